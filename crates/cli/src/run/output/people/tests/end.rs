//! When a run is over.

use std::path::{Path, PathBuf};
use std::time::Duration;

use model::{Annotation, AnnotationLevel, Conclusion, Contact, JobEvent, Protocol};

use super::super::board::Logs;
use super::super::summary::{World, summary};
use super::super::text::printable;
use super::stage::{Stage, error};
use crate::run::output::RunEnd;

const SECOND: Duration = Duration::from_secs(1);

fn end(stage: &Stage, conclusion: Conclusion) -> Vec<String> {
    let world = World {
        source_line: &|annotation| annotation.line.map(|line| format!("{line} | the source")),
        log_of: &|_| Some(PathBuf::from("/logs/1.log")),
        logs: Some(Path::new("/logs")),
    };
    let end = RunEnd { conclusion, artifacts: None };
    let lines = summary(&stage.board, &end, &world, stage.now());
    lines.iter().map(|line| printable(line, false).into_owned()).collect()
}

fn fail(stage: &mut Stage, job: &str) {
    stage.end_step(job, Conclusion::Failure, SECOND);
    stage.end_job(job, Conclusion::Failure);
}

#[test]
fn the_end_shows_the_end_of_the_failed_log_and_where_the_whole_is() {
    let mut stage = Stage::new(60, 20);
    stage.start_step("build", "Compile");
    stage.head("build", "make");
    (1..=100).for_each(|line| stage.log("build", &format!("line {line}")));
    stage.end_step("build", Conclusion::Failure, SECOND);
    stage.start_step("build", "Clean up");
    stage.log("build", "a failure that follows from the first");
    fail(&mut stage, "build");
    let shown = end(&stage, Conclusion::Failure);
    let mut expected = vec![
        String::new(),
        "build › Compile".to_owned(),
        "  ⋮ 60 lines before these are in /logs/1.log".to_owned(),
    ];
    expected.extend((61..=100).map(|line| format!("  line {line}")));
    expected.extend(["", "Logs: /logs", "", "✗ run failed  0ms"].map(str::to_owned));
    assert_eq!(shown, expected);
}

#[test]
fn what_a_job_was_not_let_reach_is_told_and_what_it_reached_is_not() {
    let mut stage = Stage::new(100, 60);
    stage.queue("build");
    let contact = |last: u8, refused: Option<&str>| Contact {
        protocol: Protocol::Tcp,
        name: Some("x.example".to_owned()),
        address: Some([203, 0, 113, last].into()),
        port: Some(443),
        refused: refused.map(str::to_owned),
    };
    stage.tell("build", &JobEvent::Contacted { contact: contact(1, None), times: 7 });
    for last in 2..60 {
        stage.tell(
            "build",
            &JobEvent::Contacted {
                contact: contact(last, Some("closed: a test")),
                times: 2 - u64::from(last == 2),
            },
        );
    }
    let lines: Vec<_> = stage.board.lines().lines().map(|line| printable(line, false)).collect();
    assert!(
        lines[0].ends_with("note: network: tcp 203.0.113.2:443 (x.example): refused, closed: a test (once)"),
        "{lines:#?}"
    );
    assert_eq!(lines.len(), 21);
    assert!(lines[20].contains("more was refused"), "{lines:#?}");
}

#[test]
fn an_annotation_has_its_place_and_its_line_even_if_the_log_has_the_message() {
    let mut stage = Stage::new(60, 20);
    stage.start_step("build", "Compile");
    stage.log("build", "Error: expected ';'");
    stage.log("build", "src/b.c:9: unused variable");
    let place = |file: &str, line, message: &str| Annotation {
        file: Some(file.to_owned()),
        line: Some(line),
        ..error(message)
    };
    stage.annotate("build", place("src/a.c", 3, "expected ';'"));
    stage.annotate("build", place("src/b.c", 9, "unused variable"));
    fail(&mut stage, "build");
    let shown = end(&stage, Conclusion::Failure);
    assert_eq!(
        shown[2..7],
        [
            "  Error: expected ';'",
            "  src/b.c:9: unused variable",
            "  error: src/a.c:3: expected ';'",
            "    3 | the source",
            "    9 | the source",
        ]
    );
}

#[test]
fn a_warning_of_a_job_that_succeeded_is_shown_too() {
    let mut stage = Stage::new(60, 20);
    stage.start_step("lint", "Lint");
    stage.annotate("lint", Annotation { level: AnnotationLevel::Warning, ..error("old") });
    stage.end_step("lint", Conclusion::Success, SECOND);
    stage.end_job("lint", Conclusion::Success);
    assert_eq!(end(&stage, Conclusion::Success)[..3], ["", "lint", "  warning: old"]);
}

#[test]
fn when_many_jobs_fail_the_logs_of_the_first_are_shown_and_the_others_named() {
    let mut stage = Stage::new(60, 20);
    for number in 0..60 {
        let job = format!("test ({number:02})");
        stage.start_step(&job, "Test");
        stage.log(&job, "broken");
        if number < 10 {
            fail(&mut stage, &job);
        } else {
            stage.end_job(&job, Conclusion::Success);
        }
    }
    let shown = end(&stage, Conclusion::Failure);
    assert_eq!(shown.iter().filter(|line| *line == "  broken").count(), 8);
    assert_eq!(shown.iter().filter(|line| *line == "  its log: /logs/1.log").count(), 2);
    assert!(shown.contains(&"  ✗ test (09)  failed     3.0s".to_owned()), "{shown:#?}");
    assert!(shown.contains(&"  ✓ 50 other jobs succeeded".to_owned()), "{shown:#?}");
}

#[test]
fn cancelled_jobs_are_listed_and_not_explained() {
    let mut stage = Stage::new(60, 20);
    for job in ["a", "b"] {
        stage.start_step(job, "Wait");
        stage.annotate(job, error("The operation was canceled."));
        stage.end_job(job, Conclusion::Cancelled);
    }
    let shown = end(&stage, Conclusion::Cancelled);
    assert_eq!(shown[..3], ["", "  ■ a  cancelled  3.0s", "  ■ b  cancelled  3.0s"]);
}

#[test]
fn where_logs_were_shown_the_end_repeats_only_a_little() {
    let mut stage = Stage::with(60, 20, Logs::Shown);
    stage.start_step("build", "Compile");
    (1..=100).for_each(|line| stage.log("build", &format!("line {line}")));
    fail(&mut stage, "build");
    let shown = end(&stage, Conclusion::Failure);
    assert_eq!(shown.iter().filter(|line| line.starts_with("  line ")).count(), 12);
}
