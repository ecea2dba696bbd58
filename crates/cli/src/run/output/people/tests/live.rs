//! While a run goes on.

use std::time::Duration;

use model::Conclusion::{Failure, Skipped, Success};

use super::super::board::Logs;
use super::super::text::{printable, width};
use super::stage::{Stage, title};

const SECOND: Duration = Duration::from_secs(1);

#[test]
fn a_running_step_is_shown_with_its_time_and_leaves_a_line_when_it_ends() {
    let mut stage = Stage::new(60, 20);
    stage.board.waiting = 2;
    stage.queue("build");
    stage.draw();
    assert_eq!(stage.screen(), ["", "build │ ⠋ starting its machine  0.0s", "1 running · 2 waiting  0.0s"]);
    stage.start_step("build", "Compile");
    stage.pass(SECOND * 2 + SECOND / 2);
    stage.draw();
    assert_eq!(stage.screen(), ["", "build │ ⠴ Compile  2.5s", "1 running · 2 waiting  2.5s"]);
    stage.end_step("build", Success, SECOND * 3);
    stage.start_step("build", "Test");
    stage.draw();
    let shown = ["build │ ✓ Compile  3.0s", "", "build │ ⠴ Test  0.0s", "1 running · 2 waiting  2.5s"];
    assert_eq!(stage.screen(), shown);
    stage.end_step("build", Skipped, Duration::ZERO);
    stage.end_job("build", Success);
    stage.board.waiting = 0;
    stage.draw();
    assert_eq!(
        stage.screen(),
        ["build │ ✓ Compile  3.0s", "build │ – Test", "build │ ✓ job succeeded  3.0s"]
    );
}

#[test]
fn logs_are_folded_but_for_the_last_lines_of_what_runs() {
    let mut stage = Stage::new(60, 20);
    stage.start_step("build", "Compile");
    stage.head("build", "make");
    (1..=20).for_each(|line| stage.log("build", &format!("line {line}\x1b[2J")));
    stage.draw();
    assert_eq!(stage.screen().len(), 3, "a step that has just begun shows no log yet");
    stage.pass(SECOND);
    stage.draw();
    let tail: Vec<String> = (16..=20).map(|line| format!("      │   line {line}")).collect();
    assert_eq!(stage.screen()[2..7], tail);
    stage.end_step("build", Success, SECOND);
    stage.end_job("build", Success);
    stage.draw();
    assert_eq!(stage.screen(), ["build │ ✓ Compile  1.0s", "build │ ✓ job succeeded  3.0s"]);
}

#[test]
fn of_steps_that_run_at_once_the_last_is_shown_and_each_line_says_whose_it_is() {
    let mut stage = Stage::with(60, 20, Logs::Shown);
    stage.start_step("build", "Server");
    stage.log("build", "alone");
    stage.turn_to(1);
    stage.start_step("build", "Test");
    stage.log("build", "tested");
    stage.turn_to(0);
    stage.log("build", "served");
    stage.draw();
    let shown = [
        "build │ ▸ Server",
        "build │   alone",
        "build │ ▸ Test",
        "build │   Test · tested",
        "build │   Server · served",
        "",
        "build │ ⠋ Test  +1 in the background  0.0s",
        "1 running  0.0s",
    ];
    assert_eq!(stage.screen(), shown);
    stage.end_step("build", Failure, SECOND);
    stage.turn_to(1);
    stage.end_step("build", Success, SECOND);
    stage.draw();
    assert_eq!(stage.screen()[5..7], ["build │ ✗ Server  1.0s", "build │ ✓ Test  1.0s"]);
}

#[test]
fn a_region_that_shrinks_leaves_nothing_below_it() {
    let mut stage = Stage::new(60, 20);
    stage.start_step("a", "Compile");
    (0..9).for_each(|_| stage.log("a", "cc"));
    stage.pass(SECOND);
    stage.draw();
    assert_eq!(stage.screen().len(), 8);
    ["b", "c"].iter().for_each(|job| stage.start_step(job, "Compile"));
    stage.draw();
    assert_eq!(stage.screen().len(), 6);
}

#[test]
fn with_verbose_every_line_of_a_log_stays() {
    let mut stage = Stage::with(60, 20, Logs::Shown);
    stage.start_step("build", "Compile");
    stage.head("build", "make");
    stage.log("build", "cc a.c");
    stage.end_step("build", Success, SECOND);
    stage.draw();
    assert_eq!(stage.screen()[..3], ["build │ ▸ Compile", "build │   cc a.c", "build │ ✓ Compile  1.0s"]);
}

#[test]
fn no_row_is_wider_than_the_terminal_and_never_are_there_more_than_it_has() {
    let mut stage = Stage::new(80, 24);
    for job in ["構築とテスト (ubuntu-最新, 全て)", "a", "Grüße aus dem schönen München"] {
        stage.start_step(job, "Übersetzen 🎉 mit sehr vielen Wörtern und 漢字 ohne Ende");
        (0..9).for_each(|_| stage.log(job, "\tエラー: ファイルが見つかりません 🎉🎉🎉 \x1b[31mrot\x1b[0m"));
    }
    stage.pass(SECOND);
    stage.board.waiting = 1234;
    for columns in 1..=100 {
        for rows in 1..=30 {
            stage.resize(columns, rows);
            let region = stage.region();
            assert!(region.len() <= usize::from(rows), "{rows} rows: {region:#?}");
            // The name of a job, its mark, and a duration have no narrower form.
            for row in region.iter().filter(|_| columns >= 24) {
                let row = printable(row, false);
                assert!(width(&row) < usize::from(columns), "{columns} columns: {row}");
            }
        }
    }
}

#[test]
fn of_many_jobs_half_of_the_terminal_is_filled_and_the_others_are_counted() {
    let mut stage = Stage::new(60, 30);
    for job in 0..50 {
        stage.start_step(&format!("test ({job})"), "Test");
    }
    let region = stage.region();
    assert_eq!(region.len(), 15);
    stage.draw();
    let screen = stage.screen();
    assert!(screen[1].starts_with("test (0)  │ ⠋ Test"), "{screen:#?}");
    assert_eq!(screen[13].trim(), "+38 more");
    assert!(screen[14].starts_with("50 running"), "{screen:#?}");
}

#[test]
fn a_terminal_of_two_rows_shows_what_fits() {
    let mut stage = Stage::new(40, 2);
    stage.start_step("build", "Compile");
    stage.end_step("build", Success, SECOND);
    stage.draw();
    stage.draw();
    stage.end_job("build", Success);
    stage.draw();
    assert_eq!(stage.screen(), ["build │ ✓ job succeeded  3.0s"]);
}

#[test]
fn the_region_stays_at_the_bottom_of_a_full_terminal() {
    let mut stage = Stage::new(40, 10);
    for step in 0..30 {
        stage.start_step("build", &format!("Step {step}"));
        stage.draw();
        stage.end_step("build", Success, SECOND);
        stage.draw();
    }
    let mut expected: Vec<String> = (23..30).map(|step| format!("build │ ✓ Step {step}  1.0s")).collect();
    expected.extend(["", "build │ ⠋   0.0s", "1 running  0.0s"].map(str::to_owned));
    assert_eq!(stage.screen(), expected);
}

#[test]
fn nothing_is_written_while_nothing_changes() {
    let mut stage = Stage::new(60, 20);
    stage.start_step("build", "Compile");
    assert!(stage.draw() > 0);
    assert_eq!(stage.draw(), 0);
    stage.pass(SECOND);
    assert!(stage.draw() > 0);
}

#[test]
fn the_cursor_rests_above_the_region_and_is_never_hidden() {
    let mut stage = Stage::new(60, 20);
    stage.board.line("first");
    stage.start_step("build", "Compile");
    for _ in 0..3 {
        stage.pass(SECOND);
        stage.draw();
        assert_eq!(stage.terminal.screen().cursor_position(), (1, 0));
        assert!(!stage.terminal.screen().hide_cursor());
    }
}

#[test]
fn what_others_print_is_not_drawn_over() {
    let mut stage = Stage::new(60, 20);
    stage.start_step("build", "Compile");
    stage.draw();
    stage.terminal.process(b"a panic\x1b[K\r\nin two lines\x1b[K\r\n");
    stage.pass(SECOND);
    stage.draw();
    let shown = ["a panic", "in two lines", "", "build │ ⠋ Compile  1.0s", "1 running  1.0s"];
    assert_eq!(stage.screen(), shown);
}

#[test]
fn a_resized_terminal_keeps_nothing_of_the_old_region() {
    let mut stage = Stage::new(80, 12);
    stage.board.line("first");
    stage.start_step("build", "Compile everything that there is in this repository");
    (0..9).for_each(|_| stage.log("build", "a line that is much longer than the terminal will be soon"));
    stage.pass(SECOND);
    stage.draw();
    for (columns, rows) in [(30, 12), (30, 6), (100, 20), (40, 9)] {
        stage.resize(columns, rows);
        stage.pass(SECOND);
        stage.draw();
        let screen = stage.screen();
        assert_eq!(screen[0], "first");
        assert_eq!(screen.iter().filter(|row| row.contains("Compile")).count(), 1, "{screen:#?}");
        assert_eq!(screen.iter().filter(|row| row.contains("1 running")).count(), 1, "{screen:#?}");
    }
}

#[test]
fn a_remark_on_machines_is_made_once_line_by_line_and_moves_no_cursor() {
    let mut stage = Stage::new(60, 20);
    for job in ["a", "b"] {
        stage.board.machine_note(&title(job), "no cgroup\n\x1b[2Jlimits", stage.now());
    }
    stage.end_job("a", Failure);
    stage.end_job("b", Failure);
    stage.draw();
    assert_eq!(stage.screen()[..2], ["a │ note: no cgroup", "a │   limits"]);
    assert_eq!(stage.screen().len(), 4);
}
