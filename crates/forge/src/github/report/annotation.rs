//! Annotations of a check run.
//!
//! <https://docs.github.com/en/rest/checks/runs#create-a-check-run>

use model::{Annotation, AnnotationLevel};
use serde_json::{Value as Json, json};

use super::text::cut;

/// Annotations of one request, as GitHub takes them.
pub(super) const BATCH: usize = 50;

/// Annotations of a check run: ten requests. All are on the job's page.
pub(super) const MAX: usize = 500;

/// Bytes of a message (GitHub: 64 KB).
const MAX_MESSAGE: usize = 64_000;

/// Bytes of a title (GitHub: 255 characters).
const MAX_TITLE: usize = 255;

/// The place of an annotation that has none, as GitHub's own runner has it.
const NOWHERE: &str = ".github";

pub(super) fn body(annotation: &Annotation) -> Json {
    let start = annotation.line.unwrap_or(1).max(1);
    let end = annotation.end_line.unwrap_or(start).max(start);
    let message = if annotation.message.trim().is_empty() { "(no message)" } else { &annotation.message };
    let mut body = json!({
        "path": annotation.file.as_deref().filter(|path| !path.is_empty()).unwrap_or(NOWHERE),
        "start_line": start,
        "end_line": end,
        "annotation_level": match annotation.level {
            AnnotationLevel::Notice => "notice",
            AnnotationLevel::Warning => "warning",
            AnnotationLevel::Error => "failure",
        },
        "message": cut(message, MAX_MESSAGE, "…"),
    });
    if let Some(title) = annotation.title.as_deref().or(annotation.code.as_deref()) {
        body["title"] = json!(cut(title, MAX_TITLE, "…"));
    }
    // Columns are for annotations of one line only.
    if let (true, Some(column)) = (start == end, annotation.column) {
        let column = column.max(1);
        body["start_column"] = json!(column);
        body["end_column"] = json!(annotation.end_column.unwrap_or(column).max(column));
    }
    body
}

#[cfg(test)]
mod tests {
    use super::*;

    fn annotation() -> Annotation {
        Annotation {
            level: AnnotationLevel::Error,
            message: "mismatched types".into(),
            title: None,
            file: Some("src/main.rs".into()),
            line: Some(3),
            end_line: None,
            column: Some(5),
            end_column: Some(9),
            code: Some("E0308".into()),
        }
    }

    #[test]
    fn an_annotation_is_at_its_place() {
        let expected = json!({
            "path": "src/main.rs", "start_line": 3, "end_line": 3, "annotation_level": "failure",
            "message": "mismatched types", "title": "E0308", "start_column": 5, "end_column": 9,
        });
        assert_eq!(body(&annotation()), expected);
    }

    #[test]
    fn what_github_would_refuse_is_made_right() {
        let nowhere =
            Annotation { file: None, line: Some(0), end_line: Some(0), column: None, ..annotation() };
        let told = body(&nowhere);
        assert_eq!(
            (&told["path"], &told["start_line"], &told["end_line"]),
            (&json!(".github"), &json!(1), &json!(1))
        );
        let over_lines = body(&Annotation { end_line: Some(4), ..annotation() });
        assert!(over_lines.get("start_column").is_none() && over_lines.get("end_column").is_none());
        let backwards = body(&Annotation { end_line: Some(1), end_column: Some(2), ..annotation() });
        assert_eq!((&backwards["end_line"], &backwards["end_column"]), (&json!(3), &json!(5)));
        let empty = body(&Annotation { message: " ".into(), title: Some("é".repeat(300)), ..annotation() });
        assert_eq!(empty["message"], "(no message)");
        assert!(empty["title"].as_str().unwrap().len() <= 255);
    }
}
