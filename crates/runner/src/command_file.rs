//! Command files: what a step writes into `GITHUB_OUTPUT`, `GITHUB_ENV`, `GITHUB_PATH`,
//! `GITHUB_STATE`, and `GITHUB_STEP_SUMMARY`.
//!
//! The format is that of
//! <https://docs.github.com/actions/reference/workflow-commands-for-github-actions#environment-files>,
//! its errors are GitHub's.

use model::limits::SUMMARY_BYTES;

/// Largest command file that is read: outputs are bounded to 1 MiB for a job, the rest is generous.
pub const COMMAND_FILE_BYTES: u64 = 16 * 1024 * 1024;

/// The files of one step.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum CommandFile {
    /// `GITHUB_PATH`
    Path,
    /// `GITHUB_ENV`
    Env,
    /// `GITHUB_STEP_SUMMARY`
    Summary,
    /// `GITHUB_STATE`
    State,
    /// `GITHUB_OUTPUT`
    Output,
}

impl CommandFile {
    /// In the order in which they are read after a step.
    pub const ALL: [CommandFile; 5] =
        [CommandFile::Path, CommandFile::Env, CommandFile::Summary, CommandFile::State, CommandFile::Output];

    /// Its key in the `github` context; `GITHUB_` and the same in capitals is its variable.
    pub fn context_key(self) -> &'static str {
        match self {
            CommandFile::Path => "path",
            CommandFile::Env => "env",
            CommandFile::Summary => "step_summary",
            CommandFile::State => "state",
            CommandFile::Output => "output",
        }
    }

    /// Its name in the folder of command files, of the step with this unique suffix.
    pub fn file_name(self, unique: &str) -> String {
        let prefix = match self {
            CommandFile::Path => "add_path",
            CommandFile::Env => "set_env",
            CommandFile::Summary => "step_summary",
            CommandFile::State => "save_state",
            CommandFile::Output => "set_output",
        };
        format!("{prefix}_{unique}")
    }
}

/// Reads `NAME=VALUE` lines and `NAME<<DELIMITER` blocks.
///
/// What stands before an error counts, as on GitHub; the error is GitHub's message.
pub fn parse_pairs(bytes: &[u8]) -> (Vec<(String, String)>, Option<String>) {
    let text = decode(bytes);
    let mut lines = Lines { rest: &text };
    let mut pairs = Vec::new();
    while let Some((line, _)) = lines.next() {
        if line.is_empty() {
            continue;
        }
        match parse_line(line, &mut lines) {
            Ok(pair) => pairs.push(pair),
            Err(message) => return (pairs, Some(message)),
        }
    }
    (pairs, None)
}

fn parse_line(line: &str, lines: &mut Lines<'_>) -> Result<(String, String), String> {
    let heredoc = line.find("<<");
    match (line.find('='), heredoc) {
        (Some(equals), _) if heredoc.is_none_or(|heredoc| equals < heredoc) => {
            if equals == 0 {
                return Err(format!("Invalid format '{line}'. Name must not be empty"));
            }
            Ok((line[..equals].to_owned(), line[equals + 1..].to_owned()))
        }
        (_, Some(heredoc)) => {
            let (name, delimiter) = (&line[..heredoc], &line[heredoc + 2..]);
            if name.is_empty() || delimiter.is_empty() {
                return Err(format!(
                    "Invalid format '{line}'. Name must not be empty and delimiter must not be empty"
                ));
            }
            Ok((name.to_owned(), read_block(delimiter, lines)?))
        }
        _ => Err(format!("Invalid format '{line}'")),
    }
}

/// The lines up to the delimiter, without the last line's end.
fn read_block(delimiter: &str, lines: &mut Lines<'_>) -> Result<String, String> {
    let mut value = String::new();
    let mut first = true;
    for (line, ended) in lines.by_ref() {
        if line == delimiter {
            return Ok(value);
        }
        if !ended {
            return Err("Invalid value. EOF marker missing new line.".to_owned());
        }
        if !first {
            value.push('\n');
        }
        first = false;
        value.push_str(line);
    }
    Err(format!("Invalid value. Matching delimiter not found '{delimiter}'"))
}

/// The folders of a `GITHUB_PATH` file.
pub fn parse_paths(bytes: &[u8]) -> Vec<String> {
    decode(bytes).split(['\n', '\r']).filter(|line| !line.is_empty()).map(str::to_owned).collect()
}

/// The text of a summary; `None` when there is none, an error when it is too large.
pub fn parse_summary(bytes: &[u8], size: u64) -> Result<Option<String>, String> {
    if size > SUMMARY_BYTES as u64 {
        return Err(format!(
            "$GITHUB_STEP_SUMMARY upload aborted, supports content up to a size of {}k, got {}k. For more \
             information see: https://docs.github.com/actions/using-workflows/\
             workflow-commands-for-github-actions#adding-a-markdown-summary",
            SUMMARY_BYTES / 1024,
            size / 1024
        ));
    }
    Ok((!bytes.is_empty()).then(|| decode(bytes)))
}

/// Whether `GITHUB_ENV` may set `name`; the error is GitHub's.
///
/// The runner's own variables are laid over whatever a step sets, so a pair for `GITHUB_*` or
/// `RUNNER_*` is taken and has no effect on the processes of later steps, as on GitHub.
pub fn check_env_name(name: &str) -> Result<(), String> {
    if name.eq_ignore_ascii_case("NODE_OPTIONS") {
        return Err("Can't store NODE_OPTIONS output parameter using '$GITHUB_ENV' command.".to_owned());
    }
    Ok(())
}

/// The lines of a text, each with whether it has an end. Only LF ends a line, as on GitHub's Linux machines.
struct Lines<'a> {
    rest: &'a str,
}

impl<'a> Iterator for Lines<'a> {
    type Item = (&'a str, bool);

    fn next(&mut self) -> Option<(&'a str, bool)> {
        if self.rest.is_empty() {
            return None;
        }
        let (line, rest, ended) = match self.rest.split_once('\n') {
            Some((line, rest)) => (line, rest, true),
            None => (self.rest, "", false),
        };
        self.rest = rest;
        Some((line, ended))
    }
}

fn decode(bytes: &[u8]) -> String {
    let without_mark = bytes.strip_prefix(b"\xef\xbb\xbf").unwrap_or(bytes);
    String::from_utf8_lossy(without_mark).into_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn pairs(text: &str) -> Vec<(String, String)> {
        let (pairs, error) = parse_pairs(text.as_bytes());
        assert_eq!(error, None);
        pairs
    }

    fn error(text: &str) -> String {
        parse_pairs(text.as_bytes()).1.expect("an error")
    }

    fn pair(name: &str, value: &str) -> (String, String) {
        (name.to_owned(), value.to_owned())
    }

    #[test]
    fn simple_pairs_keep_everything_behind_the_first_equal_sign() {
        assert_eq!(
            pairs("a=1\n\nb= two = 2 \nempty=\nlast=x<<y"),
            [pair("a", "1"), pair("b", " two = 2 "), pair("empty", ""), pair("last", "x<<y")]
        );
    }

    #[test]
    fn a_heredoc_keeps_its_lines_as_they_are() {
        assert_eq!(
            pairs("a<<EOF\none\n\n two=2\nEOF \nEOF\nb<<_x_\n_x_\nc=3\n"),
            [pair("a", "one\n\n two=2\nEOF "), pair("b", ""), pair("c", "3")]
        );
    }

    #[test]
    fn a_heredoc_delimiter_may_hold_an_equal_sign() {
        assert_eq!(pairs("a<<E=F\nx\nE=F"), [pair("a", "x")]);
    }

    #[test]
    fn a_heredoc_may_hold_an_empty_line_only() {
        assert_eq!(pairs("a<<EOF\n\nEOF\n"), [pair("a", "")]);
        assert_eq!(pairs("a<<EOF\n\n\nEOF\n"), [pair("a", "\n")]);
    }

    #[test]
    fn carriage_returns_stay_as_on_linux() {
        assert_eq!(pairs("a=1\r\nb<<EOF\r\nx\r\nEOF\r\n"), [pair("a", "1\r"), pair("b", "x\r")]);
    }

    #[test]
    fn a_byte_order_mark_is_no_part_of_the_name() {
        assert_eq!(parse_pairs(b"\xef\xbb\xbfa=1").0, [pair("a", "1")]);
    }

    #[test]
    fn errors_are_githubs() {
        assert_eq!(error("just text"), "Invalid format 'just text'");
        assert_eq!(error("=x"), "Invalid format '=x'. Name must not be empty");
        assert_eq!(
            error("<<EOF\nEOF"),
            "Invalid format '<<EOF'. Name must not be empty and delimiter must not be empty"
        );
        assert_eq!(
            error("a<<\nx"),
            "Invalid format 'a<<'. Name must not be empty and delimiter must not be empty"
        );
        assert_eq!(error("a<<EOF\nx\n"), "Invalid value. Matching delimiter not found 'EOF'");
        assert_eq!(error("a<<EOF\nx"), "Invalid value. EOF marker missing new line.");
    }

    #[test]
    fn what_stands_before_an_error_counts() {
        let (pairs, error) = parse_pairs(b"a=1\nbad\nc=2");
        assert_eq!(pairs, [pair("a", "1")]);
        assert!(error.is_some());
    }

    #[test]
    fn any_bytes_are_read_without_a_panic() {
        parse_pairs(b"\xff\xfe<<\xff\n=\0\n\xff");
        parse_paths(b"\xff\r\n\0");
    }

    #[test]
    fn paths_are_lines_that_are_not_empty() {
        assert_eq!(parse_paths(b"/a\r\n\n/b c\n"), ["/a", "/b c"]);
    }

    #[test]
    fn a_summary_of_one_mebibyte_is_taken_and_one_byte_more_is_not() {
        let text = vec![b'x'; SUMMARY_BYTES];
        assert!(parse_summary(&text, text.len() as u64).unwrap().is_some());
        let message = parse_summary(&text, text.len() as u64 + 1024).unwrap_err();
        assert!(message.contains("up to a size of 1024k, got 1025k"), "{message}");
        assert_eq!(parse_summary(b"", 0), Ok(None));
    }

    #[test]
    fn node_options_may_not_be_set() {
        assert!(check_env_name("node_options").unwrap_err().contains("Can't store NODE_OPTIONS"));
        assert_eq!(check_env_name("NODE_OPTION"), Ok(()));
    }
}
