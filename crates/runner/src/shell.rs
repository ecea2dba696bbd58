//! Which program runs a script, and how.
//!
//! The flags are those of
//! <https://docs.github.com/actions/reference/workflow-syntax-for-github-actions#jobsjob_idstepsshell>.

/// How a shell is started, before it is known where its program is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Shell {
    /// Programs to look for in `PATH`; the first that is there is used.
    pub programs: Vec<String>,
    /// Arguments, with `{0}` for the script's path.
    pub arguments: String,
    /// Extension of the script's file, with its dot.
    pub extension: &'static str,
    /// What is put around the script.
    wrapping: Wrapping,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Wrapping {
    None,
    PowerShell,
}

/// A shell that can't be used.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum ShellError {
    /// It is no built-in and its template has no place for the script.
    #[error(
        "Invalid shell option. Shell must be a valid built-in (bash, sh, cmd, powershell, pwsh) or a format \
         string containing '{{0}}'"
    )]
    NoPlaceForScript,
    /// It exists on Windows only.
    #[error(
        "the shell '{0}' exists on Windows only; use 'bash', 'sh', 'pwsh', or 'python' on a Linux machine"
    )]
    WindowsOnly(String),
    /// Quotes that do not end.
    #[error("the shell template '{0}' has a quotation mark that is never closed")]
    OpenQuote(String),
}

impl Shell {
    /// Reads the value of `shell`; `None` or blank: the default, bash if there is one, and otherwise sh.
    pub fn parse(option: Option<&str>) -> Result<Shell, ShellError> {
        let Some(option) = option.filter(|option| !option.is_empty()) else {
            return Ok(Shell::new(&["bash", "sh"], "-e {0}", ".sh"));
        };
        let (program, template) = option.split_once(' ').unwrap_or((option, ""));
        let mut shell = match program.to_ascii_lowercase().as_str() {
            "bash" => Shell::new(&[program], "--noprofile --norc -e -o pipefail {0}", ".sh"),
            "sh" => Shell::new(&[program], "-e {0}", ".sh"),
            // Distributions without GitHub's images often have the versioned name only.
            "python" => Shell::new(&[program, "python3"], "{0}", ".py"),
            "pwsh" => Shell::new(&[program], "-command \". '{0}'\"", ".ps1"),
            "cmd" | "powershell" => return Err(ShellError::WindowsOnly(program.to_owned())),
            _ => Shell::new(&[program], "", ""),
        };
        if shell.extension == ".ps1" {
            shell.wrapping = Wrapping::PowerShell;
        }
        let template = template.trim_start();
        if !template.is_empty() {
            shell.arguments = template.to_owned();
        }
        if !shell.arguments.contains("{0}") {
            return Err(ShellError::NoPlaceForScript);
        }
        split_words(&shell.arguments).ok_or_else(|| ShellError::OpenQuote(option.to_owned()))?;
        Ok(shell)
    }

    fn new(programs: &[&str], arguments: &str, extension: &'static str) -> Shell {
        Shell {
            programs: programs.iter().map(|program| (*program).to_owned()).collect(),
            arguments: arguments.to_owned(),
            extension,
            wrapping: Wrapping::None,
        }
    }

    /// The arguments that run the script at this path.
    pub fn arguments_for(&self, script: &str) -> Vec<String> {
        let words = split_words(&self.arguments).unwrap_or_default();
        words.iter().map(|word| fill_in(word, script)).collect()
    }

    /// The text of the script's file.
    pub fn wrap(&self, script: &str) -> String {
        match self.wrapping {
            Wrapping::None => script.to_owned(),
            Wrapping::PowerShell => format!(
                "$ErrorActionPreference = 'stop'\n{script}\n\
                 if ((Test-Path -LiteralPath variable:\\LASTEXITCODE)) {{ exit $LASTEXITCODE }}"
            ),
        }
    }
}

/// The word with the script's path for `{0}`; as on GitHub, doubled braces stand for one.
fn fill_in(word: &str, script: &str) -> String {
    let mut filled = String::new();
    let mut rest = word;
    while let Some(at) = rest.find(['{', '}']) {
        filled.push_str(&rest[..at]);
        let brace = &rest[at..];
        let (text, length) = match brace.get(..3) {
            Some("{0}") => (script, 3),
            _ if brace.starts_with("{{") || brace.starts_with("}}") => (&brace[..1], 2),
            _ => (&brace[..1], 1),
        };
        filled.push_str(text);
        rest = &brace[length..];
    }
    filled + rest
}

/// Splits a command line into words, with double quotes around what holds together. `None`: a
/// quote stays open. Single quotes are plain characters, as on GitHub.
fn split_words(line: &str) -> Option<Vec<String>> {
    let mut words = Vec::new();
    let mut word: Option<String> = None;
    let mut quoted = false;
    let mut characters = line.chars().peekable();
    while let Some(character) = characters.next() {
        match character {
            '\\' if characters.peek() == Some(&'"') => {
                word.get_or_insert_default().push('"');
                characters.next();
            }
            '"' => {
                quoted = !quoted;
                word.get_or_insert_default();
            }
            ' ' | '\t' if !quoted => words.extend(word.take()),
            _ => word.get_or_insert_default().push(character),
        }
    }
    words.extend(word);
    (!quoted).then_some(words)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn command(option: Option<&str>) -> Vec<String> {
        let shell = Shell::parse(option).unwrap();
        let mut words = vec![shell.programs[0].clone()];
        words.extend(shell.arguments_for("/t/s.sh"));
        words
    }

    #[test]
    fn flags_are_githubs() {
        assert_eq!(command(None), ["bash", "-e", "/t/s.sh"]);
        assert_eq!(
            command(Some("bash")),
            ["bash", "--noprofile", "--norc", "-e", "-o", "pipefail", "/t/s.sh"]
        );
        assert_eq!(command(Some("sh")), ["sh", "-e", "/t/s.sh"]);
        assert_eq!(command(Some("python")), ["python", "/t/s.sh"]);
        assert_eq!(command(Some("pwsh")), ["pwsh", "-command", ". '/t/s.sh'"]);
    }

    #[test]
    fn without_bash_the_default_is_sh() {
        assert_eq!(Shell::parse(None).unwrap().programs, ["bash", "sh"]);
    }

    #[test]
    fn a_template_takes_the_place_of_the_flags() {
        assert_eq!(command(Some("bash {0}")), ["bash", "/t/s.sh"]);
        assert_eq!(command(Some("perl -w \"{0} x\" y")), ["perl", "-w", "/t/s.sh x", "y"]);
        assert_eq!(command(Some("env -i  bash -c {0}")), ["env", "-i", "bash", "-c", "/t/s.sh"]);
        assert_eq!(Shell::parse(Some("perl {0}")).unwrap().extension, "");
    }

    #[test]
    fn doubled_braces_are_one_and_single_ones_stay() {
        assert_eq!(
            command(Some("perl -e \"BEGIN {{ ä }}; {x} {\" {0}{{0}}")),
            ["perl", "-e", "BEGIN { ä }; {x} {", "/t/s.sh{0}"]
        );
    }

    #[test]
    fn what_has_no_place_for_the_script_is_refused() {
        assert_eq!(Shell::parse(Some("perl")), Err(ShellError::NoPlaceForScript));
        assert_eq!(Shell::parse(Some("bash -x")), Err(ShellError::NoPlaceForScript));
        assert!(matches!(Shell::parse(Some("perl \"{0}")), Err(ShellError::OpenQuote(_))));
        assert!(matches!(Shell::parse(Some("cmd")), Err(ShellError::WindowsOnly(_))));
        assert!(matches!(Shell::parse(Some("powershell")), Err(ShellError::WindowsOnly(_))));
    }

    #[test]
    fn powershell_stops_at_the_first_error_and_keeps_the_exit_code() {
        let text = Shell::parse(Some("pwsh")).unwrap().wrap("Get-Item x");
        assert!(text.starts_with("$ErrorActionPreference = 'stop'\nGet-Item x\n"));
        assert!(text.ends_with("{ exit $LASTEXITCODE }"));
        assert_eq!(Shell::parse(Some("bash")).unwrap().wrap("x"), "x");
    }
}
