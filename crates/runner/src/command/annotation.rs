//! `::error::`, `::warning::`, `::notice::` to annotations.

use model::{Annotation, AnnotationLevel};

use super::Command;

/// The annotation that `command` asks for, and remarks on positions that make no sense.
pub(super) fn from_command(
    command: &Command,
    level: AnnotationLevel,
    workspace: &str,
) -> (Annotation, Vec<String>) {
    let (position, remarks) = Position::read(command);
    let annotation = Annotation {
        level,
        message: command.data.clone(),
        title: command.property("title").map(str::to_owned),
        file: command.property("file").map(|file| relative_to(file, workspace)),
        line: position.line,
        end_line: position.end_line,
        column: position.column,
        end_column: position.end_column,
        code: command.property("code").map(str::to_owned),
    };
    (annotation, remarks)
}

/// `file` relative to `workspace` where it lies inside of it; otherwise as it is.
pub(crate) fn relative_to(file: &str, workspace: &str) -> String {
    let inside = file.strip_prefix(workspace.trim_end_matches('/')).and_then(|rest| rest.strip_prefix('/'));
    inside.map_or_else(|| file.to_owned(), |rest| rest.trim_start_matches('/').to_owned())
}

#[derive(Clone, Copy, Default)]
struct Position {
    line: Option<u32>,
    end_line: Option<u32>,
    column: Option<u32>,
    end_column: Option<u32>,
}

impl Position {
    /// GitHub's rules: an end without a start is the start; columns need one line; no end before its start.
    fn read(command: &Command) -> (Position, Vec<String>) {
        let number = |name| command.property(name).and_then(|text| text.trim().parse().ok());
        let mut at = Position {
            line: number("line"),
            end_line: number("endLine"),
            column: number("col"),
            end_column: number("endColumn"),
        };
        let mut remarks = Vec::new();
        let mut remark = |text: &str| remarks.push(format!("Invalid {} command value. {text}", command.name));
        if at.end_line.is_some() && at.line.is_none() {
            remark("'endLine' can only be set if 'line' is provided");
            at.line = at.end_line;
        }
        if at.end_column.is_some() && at.column.is_none() {
            remark("'endColumn' can only be set if 'col' is provided");
            at.column = at.end_column;
        }
        if at.line.is_none() && at.column.is_some() {
            remark("'col' and 'endColumn' can only be set if 'line' value is provided.");
            (at.column, at.end_column) = (None, None);
        }
        if at.end_line.is_some() && at.line != at.end_line && at.column.is_some() {
            remark("'col' and 'endColumn' cannot be set if 'line' and 'endLine' are different values.");
            (at.column, at.end_column) = (None, None);
        }
        if at.end_line.is_some_and(|end| at.line.is_some_and(|line| end < line)) {
            remark("'endLine' cannot be less than 'line'.");
            (at.line, at.end_line) = (None, None);
        }
        if at.end_column.is_some_and(|end| at.column.is_some_and(|column| end < column)) {
            remark("'endColumn' cannot be less than 'col'.");
            (at.column, at.end_column) = (None, None);
        }
        (at, remarks)
    }
}

#[cfg(test)]
mod tests {
    use super::super::is_command;
    use super::*;

    fn annotate(line: &str) -> Annotation {
        let command = Command::parse(line, is_command).unwrap();
        from_command(&command, AnnotationLevel::Error, "/home/runner/work/app/app").0
    }

    fn position(line: &str) -> [Option<u32>; 4] {
        let found = annotate(line);
        [found.line, found.end_line, found.column, found.end_column]
    }

    #[test]
    fn a_file_in_the_workspace_becomes_relative() {
        assert_eq!(annotate("::error file=/home/runner/work/app/app/src/a.rs::x").file.unwrap(), "src/a.rs");
        assert_eq!(annotate("::error file=src/a.rs::x").file.unwrap(), "src/a.rs");
        assert_eq!(
            annotate("::error file=/home/runner/work/app/apple/a.rs::x").file.unwrap(),
            "/home/runner/work/app/apple/a.rs"
        );
    }

    #[test]
    fn a_whole_position_is_kept() {
        assert_eq!(
            position("::error line=3,endLine=3,col=5,endColumn=9::x"),
            [Some(3), Some(3), Some(5), Some(9)]
        );
    }

    #[test]
    fn an_end_alone_is_the_start() {
        assert_eq!(position("::error endLine=3::x"), [Some(3), Some(3), None, None]);
        assert_eq!(position("::error line=1,endColumn=3::x"), [Some(1), None, Some(3), Some(3)]);
    }

    #[test]
    fn columns_are_dropped_without_one_line() {
        assert_eq!(position("::error col=3::x"), [None; 4]);
        assert_eq!(position("::error line=1,endLine=2,col=3::x"), [Some(1), Some(2), None, None]);
    }

    #[test]
    fn an_end_before_its_start_drops_both() {
        assert_eq!(position("::error line=5,endLine=2::x"), [None; 4]);
        assert_eq!(position("::error line=5,col=4,endColumn=2::x"), [Some(5), None, None, None]);
    }

    #[test]
    fn a_line_that_is_no_number_is_none() {
        assert_eq!(position("::error line=many::x"), [None; 4]);
    }
}
