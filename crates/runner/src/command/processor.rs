//! What a line of output asks for.

use model::{Annotation, AnnotationLevel};

use super::{Command, annotation, is_command};

/// A stop token longer than this is hidden in the log from then on.
const HIDDEN_TOKEN_CHARS: usize = 6;

/// Where GitHub explains why `set-env` and `add-path` are refused.
const DISABLED_URL: &str =
    "https://github.blog/changelog/2020-10-01-github-actions-deprecating-set-env-and-add-path-commands/";

/// Where GitHub explains why `save-state` and `set-output` will go.
const DEPRECATED_URL: &str =
    "https://github.blog/changelog/2022-10-11-github-actions-deprecating-save-state-and-set-output-commands/";

/// One thing to do because of a command.
#[derive(Clone, Debug, PartialEq)]
pub enum CommandEffect {
    /// Show this line.
    Show(String),
    /// Show and record an annotation.
    Annotate(Annotation),
    /// A debug message.
    Debug(String),
    /// Open a group.
    StartGroup(String),
    /// Close it.
    EndGroup,
    /// Hide this text from now on.
    Mask(String),
    /// Set an output of the step.
    SetOutput(String, String),
    /// Keep a value for the action's post.
    SaveState(String, String),
    /// Set a variable for the steps that follow.
    SetEnv(String, String),
    /// Put a folder at the front of `PATH` for the steps that follow.
    AddPath(String),
    /// Load problem matchers from this file.
    AddMatchers(String),
    /// Remove the matcher of this owner.
    RemoveOwner(String),
    /// Remove the matchers that this file names.
    RemoveMatchers(String),
    /// The step fails, whatever its process says.
    Fail,
}

/// What a step's environment permits, and where its files are.
#[derive(Clone, Debug, Default)]
pub struct CommandPolicy {
    /// `ACTIONS_ALLOW_UNSECURE_COMMANDS` is `true`.
    pub allow_unsecure_commands: bool,
    /// `ACTIONS_ALLOW_UNSECURE_STOPCOMMAND_TOKENS` is true.
    pub allow_unsecure_stop_tokens: bool,
    /// The workspace, to make paths relative.
    pub workspace: String,
}

/// Recognises the commands of one step, stdout and stderr alike.
#[derive(Debug, Default)]
pub struct CommandProcessor {
    policy: CommandPolicy,
    stop_token: Option<String>,
    echo: bool,
}

impl CommandProcessor {
    /// `echo`: whether commands are shown from the start (debugging is on).
    pub fn new(policy: CommandPolicy, echo: bool) -> CommandProcessor {
        CommandProcessor { policy, stop_token: None, echo }
    }

    /// What `line` asks for; `None` when it is plain output.
    pub fn process(&mut self, line: &str) -> Option<Vec<CommandEffect>> {
        if !may_be_command(line) {
            return None;
        }
        if let Some(token) = &self.stop_token {
            let resume = Command::parse(line, |name| name.eq_ignore_ascii_case(token)).is_some();
            return resume.then(|| {
                self.stop_token = None;
                vec![CommandEffect::Show(line.to_owned())]
            });
        }
        let command = Command::parse(line, is_command)?;
        let hidden = matches!(command.name.as_str(), "add-mask" | "debug" | "error" | "warning" | "notice");
        let mut effects = Vec::new();
        if self.echo && !hidden && command.name != "stop-commands" {
            effects.push(CommandEffect::Show(line.to_owned()));
        }
        if let Err(reason) = self.carry_out(&command, line, &mut effects) {
            let what = if hidden { command.name.as_str() } else { line };
            effects.push(error(format!("Unable to process command '{what}' successfully.")));
            effects.push(error(reason));
            effects.push(CommandEffect::Fail);
        }
        Some(effects)
    }

    fn carry_out(
        &mut self,
        command: &Command,
        line: &str,
        effects: &mut Vec<CommandEffect>,
    ) -> Result<(), String> {
        let data = command.data.as_str();
        match command.name.as_str() {
            "stop-commands" => self.stop(data, line, effects)?,
            "echo" => self.echo = echo_value(data)?,
            "add-mask" => self.add_mask(data, effects),
            "debug" => effects.push(CommandEffect::Debug(data.to_owned())),
            "group" => effects.push(CommandEffect::StartGroup(data.to_owned())),
            "endgroup" => effects.push(CommandEffect::EndGroup),
            "error" => self.annotate(command, AnnotationLevel::Error, effects),
            "warning" => self.annotate(command, AnnotationLevel::Warning, effects),
            "notice" => self.annotate(command, AnnotationLevel::Notice, effects),
            "set-output" | "save-state" => deprecated(command, effects)?,
            "set-env" | "add-path" => self.unsecure(command, effects)?,
            "add-matcher" if data.is_empty() => effects.push(warning("File path must be specified.")),
            "add-matcher" => effects.push(CommandEffect::AddMatchers(data.to_owned())),
            "remove-matcher" => effects.push(remove_matcher(command)),
            _ => {}
        }
        Ok(())
    }

    fn stop(&mut self, token: &str, line: &str, effects: &mut Vec<CommandEffect>) -> Result<(), String> {
        let unusable = token.is_empty() || is_command(token) || token.eq_ignore_ascii_case("pause-logging");
        if unusable && !self.policy.allow_unsecure_stop_tokens {
            return Err("You cannot use a endToken that is an empty string, the string 'pause-logging', or another \
                workflow command. For more information see: https://docs.github.com/actions/learn-github-actions/\
                workflow-commands-for-github-actions#example-stopping-and-starting-workflow-commands or opt into \
                insecure command execution by setting the `ACTIONS_ALLOW_UNSECURE_STOPCOMMAND_TOKENS` environment \
                variable to `true`."
                .to_owned());
        }
        if token.chars().count() > HIDDEN_TOKEN_CHARS {
            effects.push(CommandEffect::Mask(token.to_owned()));
        }
        effects.push(CommandEffect::Show(line.to_owned()));
        self.stop_token = Some(token.to_owned());
        Ok(())
    }

    fn add_mask(&self, value: &str, effects: &mut Vec<CommandEffect>) {
        if value.trim().is_empty() {
            effects.push(warning("Can't add secret mask for empty string in ##[add-mask] command."));
            return;
        }
        if self.echo {
            effects.push(CommandEffect::Show("::add-mask::***".to_owned()));
        }
        effects.push(CommandEffect::Mask(value.to_owned()));
    }

    fn annotate(&self, command: &Command, level: AnnotationLevel, effects: &mut Vec<CommandEffect>) {
        let (annotation, remarks) = annotation::from_command(command, level, &self.policy.workspace);
        effects.extend(remarks.into_iter().map(CommandEffect::Debug));
        effects.push(CommandEffect::Annotate(annotation));
    }

    fn unsecure(&self, command: &Command, effects: &mut Vec<CommandEffect>) -> Result<(), String> {
        if !self.policy.allow_unsecure_commands {
            return Err(format!(
                "The `{}` command is disabled. Please upgrade to using Environment Files or opt into unsecure \
                 command execution by setting the `ACTIONS_ALLOW_UNSECURE_COMMANDS` environment variable to \
                 `true`. For more information see: {DISABLED_URL}",
                command.name
            ));
        }
        if command.name == "add-path" {
            if command.data.is_empty() {
                return Err("Value cannot be null. (Parameter 'path')".to_owned());
            }
            effects.push(CommandEffect::AddPath(command.data.clone()));
            return Ok(());
        }
        let name = required_name(command)?;
        if name.eq_ignore_ascii_case("NODE_OPTIONS") {
            effects.push(error("Can't update NODE_OPTIONS environment variable using ::set-env:: command."));
        } else {
            effects.push(CommandEffect::SetEnv(name.to_owned(), command.data.clone()));
        }
        Ok(())
    }
}

/// A quick look that spares most lines the parser.
fn may_be_command(line: &str) -> bool {
    line.trim_start().starts_with("::") || (line.as_bytes().contains(&b'#') && line.contains("##["))
}

fn echo_value(data: &str) -> Result<bool, String> {
    match data.trim().to_ascii_uppercase().as_str() {
        "ON" => Ok(true),
        "OFF" => Ok(false),
        _ => Err(format!(
            "Invalid echo command value. Possible values can be: 'on', 'off'. Current value is: '{data}'."
        )),
    }
}

fn deprecated(command: &Command, effects: &mut Vec<CommandEffect>) -> Result<(), String> {
    effects.push(warning(format!(
        "The `{}` command is deprecated and will be disabled soon. Please upgrade to using Environment Files. \
         For more information see: {DEPRECATED_URL}",
        command.name
    )));
    let name = required_name(command)?.to_owned();
    effects.push(match command.name.as_str() {
        "set-output" => CommandEffect::SetOutput(name, command.data.clone()),
        _ => CommandEffect::SaveState(name, command.data.clone()),
    });
    Ok(())
}

fn required_name(command: &Command) -> Result<&str, String> {
    command
        .property("name")
        .ok_or_else(|| format!("Required field 'name' is missing in ##[{}] command.", command.name))
}

fn remove_matcher(command: &Command) -> CommandEffect {
    match (command.property("owner"), command.data.as_str()) {
        (Some(_), file) if !file.is_empty() => warning(
            "Either specify an owner name or a file path in ##[remove-matcher] command. Both values cannot be set.",
        ),
        (Some(owner), _) => CommandEffect::RemoveOwner(owner.to_owned()),
        (None, "") => {
            warning("Either an owner name or a file path must be specified in ##[remove-matcher] command.")
        }
        (None, file) => CommandEffect::RemoveMatchers(file.to_owned()),
    }
}

fn error(message: impl Into<String>) -> CommandEffect {
    CommandEffect::Annotate(plain_annotation(AnnotationLevel::Error, message.into()))
}

fn warning(message: impl Into<String>) -> CommandEffect {
    CommandEffect::Annotate(plain_annotation(AnnotationLevel::Warning, message.into()))
}

/// An annotation without a place.
pub fn plain_annotation(level: AnnotationLevel, message: String) -> Annotation {
    Annotation {
        level,
        message,
        title: None,
        file: None,
        line: None,
        end_line: None,
        column: None,
        end_column: None,
        code: None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn processor() -> CommandProcessor {
        CommandProcessor::default()
    }

    fn messages(effects: &[CommandEffect]) -> Vec<&str> {
        effects
            .iter()
            .filter_map(|effect| match effect {
                CommandEffect::Annotate(annotation) => Some(annotation.message.as_str()),
                _ => None,
            })
            .collect()
    }

    #[test]
    fn stopped_commands_are_plain_output_until_the_token_comes() {
        let mut processor = processor();
        let stop = processor.process("::stop-commands::pause-4711").unwrap();
        assert!(stop.contains(&CommandEffect::Mask("pause-4711".to_owned())));
        assert_eq!(processor.process("::error::no"), None);
        assert_eq!(processor.process("::group::no"), None);
        assert!(processor.process("::PAUSE-4711::").is_some());
        assert_eq!(messages(&processor.process("::error::yes").unwrap()), ["yes"]);
    }

    #[test]
    fn a_command_or_nothing_is_no_stop_token() {
        for token in ["", "error", "pause-logging", "Stop-Commands"] {
            let effects = processor().process(&format!("::stop-commands::{token}")).unwrap();
            assert!(effects.contains(&CommandEffect::Fail), "{token}");
        }
    }

    #[test]
    fn set_env_and_add_path_are_refused_and_fail_the_step() {
        for line in ["::set-env name=A::b", "::add-path::/opt/bin"] {
            let effects = processor().process(line).unwrap();
            assert!(effects.contains(&CommandEffect::Fail));
            assert!(messages(&effects)[0].starts_with("Unable to process command '::"));
            assert!(messages(&effects)[1].contains("command is disabled"));
        }
    }

    #[test]
    fn set_env_and_add_path_work_when_allowed() {
        let policy = CommandPolicy { allow_unsecure_commands: true, ..CommandPolicy::default() };
        let mut processor = CommandProcessor::new(policy, false);
        assert_eq!(
            processor.process("::set-env name=A::b").unwrap(),
            [CommandEffect::SetEnv("A".to_owned(), "b".to_owned())]
        );
        assert_eq!(
            processor.process("##[add-path]/opt/bin").unwrap(),
            [CommandEffect::AddPath("/opt/bin".to_owned())]
        );
        let blocked = processor.process("::set-env name=node_options::x").unwrap();
        assert_eq!(
            messages(&blocked),
            ["Can't update NODE_OPTIONS environment variable using ::set-env:: command."]
        );
    }

    #[test]
    fn set_output_warns_and_works() {
        let effects = processor().process("::set-output name=x::1").unwrap();
        assert!(messages(&effects)[0].starts_with("The `set-output` command is deprecated"));
        assert_eq!(effects[1], CommandEffect::SetOutput("x".to_owned(), "1".to_owned()));
    }

    #[test]
    fn set_output_without_a_name_fails_the_step() {
        let effects = processor().process("::set-output::1").unwrap();
        assert!(messages(&effects).contains(&"Required field 'name' is missing in ##[set-output] command."));
        assert!(effects.contains(&CommandEffect::Fail));
    }

    #[test]
    fn echo_shows_commands_but_never_a_mask() {
        let mut processor = processor();
        assert_eq!(processor.process("::echo::ON").unwrap(), []);
        assert_eq!(
            processor.process("::add-mask::hunter2").unwrap(),
            [CommandEffect::Show("::add-mask::***".to_owned()), CommandEffect::Mask("hunter2".to_owned())]
        );
        assert_eq!(
            processor.process("::save-state name=a::b").unwrap()[0],
            CommandEffect::Show("::save-state name=a::b".to_owned())
        );
        processor.process("::echo::off").unwrap();
        assert_eq!(processor.process("::group::x").unwrap(), [CommandEffect::StartGroup("x".to_owned())]);
    }

    #[test]
    fn a_wrong_echo_value_fails_the_step() {
        assert!(processor().process("::echo::maybe").unwrap().contains(&CommandEffect::Fail));
    }

    #[test]
    fn a_matcher_is_removed_by_owner_or_file_not_both() {
        let mut processor = processor();
        assert_eq!(
            processor.process("::remove-matcher owner=tsc::").unwrap(),
            [CommandEffect::RemoveOwner("tsc".to_owned())]
        );
        assert_eq!(
            processor.process("::remove-matcher::m.json").unwrap(),
            [CommandEffect::RemoveMatchers("m.json".to_owned())]
        );
        assert_eq!(messages(&processor.process("::remove-matcher owner=a::m.json").unwrap()).len(), 1);
        assert_eq!(messages(&processor.process("::remove-matcher::").unwrap()).len(), 1);
    }

    #[test]
    fn a_mask_of_nothing_warns() {
        assert_eq!(messages(&processor().process("::add-mask:: ").unwrap()).len(), 1);
    }

    #[test]
    fn plain_lines_are_left_alone() {
        for line in ["", "hello", "a :: b", "# title", "##[", "Vec::new()"] {
            assert_eq!(processor().process(line), None, "{line}");
        }
    }
}
