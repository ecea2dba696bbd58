//! Annotations in words, with the line that they are about.

use std::path::Path;

use model::{Annotation, AnnotationLevel};

use super::style::Ink;
use super::text::{fit, one_line};

/// Largest file of which a line is shown; larger ones are generated.
const SOURCE_BYTES: u64 = 4 * 1024 * 1024;

/// Widest line of source that is shown whole.
const SOURCE_WIDTH: usize = 120;

/// The word in front of an annotation, and its colour.
pub(super) fn label(level: AnnotationLevel) -> (Ink, &'static str) {
    match level {
        AnnotationLevel::Error => (Ink::Bad, "error:"),
        AnnotationLevel::Warning => (Ink::Caution, "warning:"),
        AnnotationLevel::Notice => (Ink::Remark, "notice:"),
    }
}

/// `file:line:column: title: message`.
pub(super) fn describe(annotation: &Annotation) -> String {
    let mut text = String::new();
    if let Some(file) = &annotation.file {
        text.push_str(file);
        for number in [annotation.line, annotation.column].into_iter().map_while(|number| number) {
            text.push_str(&format!(":{number}"));
        }
        text.push_str(": ");
    }
    if let Some(title) = &annotation.title {
        text.push_str(&format!("{title}: "));
    }
    text.push_str(&annotation.message);
    one_line(&text)
}

/// The line that an annotation is about, with its number. A path that leads out of the repository has none, and
/// neither has one of git's own files, which may hold a token: it is a job that names the path.
pub(super) fn source_line(root: &Path, annotation: &Annotation) -> Option<String> {
    let (file, number) = (annotation.file.as_ref()?, annotation.line?);
    let (root, path) = (root.canonicalize().ok()?, root.join(file).canonicalize().ok()?);
    let within = path.strip_prefix(&root).ok()?;
    let found = path.metadata().ok()?;
    if !found.is_file()
        || found.len() > SOURCE_BYTES
        || within.components().any(|part| part.as_os_str() == ".git")
    {
        return None;
    }
    let text = std::fs::read_to_string(path).ok()?;
    let line = text.lines().nth(usize::try_from(number).ok()?.checked_sub(1)?)?;
    Some(format!("{number} | {}", fit(&tabs_as_spaces(line), SOURCE_WIDTH)))
}

/// Unlike [`one_line`], keeps the indentation.
fn tabs_as_spaces(line: &str) -> String {
    super::text::printable(&line.replace('\t', "    "), false).trim_end().to_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn annotation() -> Annotation {
        Annotation {
            level: AnnotationLevel::Error,
            message: "bad".into(),
            title: Some("Lint".into()),
            file: Some("src/a.rs".into()),
            line: Some(3),
            end_line: None,
            column: Some(7),
            end_column: None,
            code: None,
        }
    }

    #[test]
    fn an_annotation_shows_its_line_of_the_repository_and_nothing_outside() {
        let folder = tempfile::tempdir().unwrap();
        let root = folder.path().join("repo");
        std::fs::create_dir(&root).unwrap();
        std::fs::write(root.join("ä.c"), "one\n\ttwo();\x1b[2J\n").unwrap();
        std::fs::write(folder.path().join("secret"), "hidden\n").unwrap();
        let at =
            |file: &str, line| Annotation { file: Some(file.to_owned()), line: Some(line), ..annotation() };
        assert_eq!(source_line(&root, &at("ä.c", 2)).as_deref(), Some("2 |     two();"));
        assert_eq!(source_line(&root, &at("ä.c", 0)), None);
        assert_eq!(source_line(&root, &at("../secret", 1)), None);
        std::fs::create_dir(root.join(".git")).unwrap();
        std::fs::write(root.join(".git/config"), "url = https://token@example.com\n").unwrap();
        assert_eq!(source_line(&root, &at(".git/config", 1)), None);
    }

    #[test]
    fn an_annotation_is_described_with_its_place() {
        assert_eq!(describe(&annotation()), "src/a.rs:3:7: Lint: bad");
        let elsewhere = Annotation { file: None, title: None, message: "a\nb".into(), ..annotation() };
        assert_eq!(describe(&elsewhere), "a b");
    }
}
