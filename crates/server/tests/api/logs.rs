//! Logs of jobs.

use std::time::{Duration, SystemTime};

use model::{Conclusion, JobId, JobState, LogLine, StepPhase, StepRef, Stream};
use scheduler::recipe::{first_job, run_of};
use serde_json::{Value, json};
use server::auth::Role;
use store::log::LogWriter;
use store::record::Job;
use store::{Change, Store};

use crate::events::Events;
use crate::fixture::World;
use crate::sample::{failed_run, job, later};

fn write(writer: &mut LogWriter, from: u64, texts: &[&str]) {
    for (number, text) in (from..).zip(texts) {
        let step = StepRef { index: 0, phase: StepPhase::Main };
        let at = SystemTime::UNIX_EPOCH + Duration::from_secs(1_750_000_000 + number);
        let text = (*text).to_owned();
        writer.write(&[LogLine { step, sequence: number, stream: Stream::Stdout, at, text }]).unwrap();
    }
    writer.flush().unwrap();
}

async fn logged(world: &World, texts: &[&str]) -> (JobId, LogWriter) {
    let (_, job) = failed_run(&*world.store).await;
    let mut writer = world.logs.append(job).unwrap();
    write(&mut writer, 0, texts);
    (job, writer)
}

#[tokio::test]
async fn a_log_is_read_line_by_line_whole_and_from_any_place() {
    let world = World::start().await;
    let reader = world.with(Role::Read).await;
    let (job, writer) = logged(&world, &["one", "\u{1b}[31mtwo\u{1b}[0m", "three"]).await;
    let page = reader.get(&format!("/api/v1/jobs/{job}/log?from=1&count=1")).await.is(200).json();
    assert_eq!(page["lines"].as_array().unwrap().len(), 1);
    assert_eq!((&page["lines"][0]["number"], &page["next"]), (&1.into(), &2.into()));
    assert_eq!(page["lines"][0]["text"], "\u{1b}[31mtwo\u{1b}[0m");
    assert_eq!(page["lines"][0]["at"], 1_750_000_001_000_u64);
    let rest = reader.get(&format!("/api/v1/jobs/{job}/log?from=2")).await.is(200).json();
    assert_eq!((&rest["lines"][0]["text"], &rest["is_last"]), (&"three".into(), &false.into()));
    let beyond = reader.get(&format!("/api/v1/jobs/{job}/log?from=99")).await.is(200).json();
    assert_eq!((&beyond["lines"], &beyond["next"]), (&Value::Array(Vec::new()), &99.into()));
    writer.finish().unwrap();
    let rest = reader.get(&format!("/api/v1/jobs/{job}/log?from=2")).await.is(200).json();
    assert_eq!(rest["is_last"], true);
    let text = reader.get(&format!("/api/v1/jobs/{job}/log/text")).await.is(200);
    assert_eq!(String::from_utf8(text.bytes).unwrap(), "one\n\u{1b}[31mtwo\u{1b}[0m\nthree\n");
}

#[tokio::test]
async fn a_job_that_was_taken_over_has_the_log_the_steps_and_the_annotations_of_the_one_that_ran() {
    let world = World::start().await;
    let reader = world.with(Role::Read).await;
    let (ran, writer) = logged(&world, &["one", "two"]).await;
    writer.finish().unwrap();
    let (run, at) = (run_of(ran), later(9000));
    let again = json!("failed");
    let id = first_job(run, 2);
    let taken = Job {
        attempt: 2,
        state: JobState::Ended,
        conclusion: Some(Conclusion::Success),
        taken_from: Some(ran),
        ..job(id, run)
    };
    let changes = vec![
        Change::AttemptQueued { run, attempt: 2, actor: "ada".to_owned(), again, at },
        Change::RunStarted { run, plan: json!({}), at },
        Change::JobCreated(Box::new(taken)),
    ];
    world.store.apply(changes).await.unwrap();
    assert_eq!(reader.get(&format!("/api/v1/jobs/{id}")).await.is(200).json()["taken_from"], json!(ran));
    let text = reader.get(&format!("/api/v1/jobs/{id}/log/text")).await.is(200);
    assert_eq!(String::from_utf8(text.bytes).unwrap(), "one\ntwo\n");
    let lines = reader.get(&format!("/api/v1/jobs/{id}/log")).await.is(200).json();
    assert_eq!((&lines["lines"][1]["text"], &lines["is_last"]), (&json!("two"), &json!(true)));
    let steps = reader.get(&format!("/api/v1/jobs/{id}/steps")).await.is(200).json();
    assert_eq!(steps["steps"][0]["name"], "Run make");
    for (attempt, of) in [(1, ran), (2, id)] {
        let path = format!("/api/v1/runs/{run}/annotations?attempt={attempt}");
        let told = reader.get(&path).await.is(200).json();
        let told: Vec<_> = told["annotations"].as_array().unwrap().iter().map(|one| &one["job_id"]).collect();
        assert_eq!(told, [&json!(of)], "attempt {attempt}");
    }
}

#[tokio::test]
async fn a_log_of_many_pages_comes_whole() {
    let world = World::start().await;
    let reader = world.with(Role::Read).await;
    let lines: Vec<String> = (0..12_345).map(|number| format!("line {number}")).collect();
    let (job, _writer) = logged(&world, &lines.iter().map(String::as_str).collect::<Vec<_>>()).await;
    let text = reader.get(&format!("/api/v1/jobs/{job}/log/text")).await.is(200);
    assert_eq!(String::from_utf8(text.bytes).unwrap(), lines.join("\n") + "\n");
}

#[tokio::test]
async fn a_log_is_searched() {
    let world = World::start().await;
    let reader = world.with(Role::Read).await;
    let (job, _writer) = logged(&world, &["Error: a", "fine", "error: b", "error: c"]).await;
    let search = async |query: &str| reader.get(&format!("/api/v1/jobs/{job}/log/search?{query}")).await;
    let numbers = |found: &Value| -> Vec<u64> {
        found["lines"].as_array().unwrap().iter().map(|line| line["number"].as_u64().unwrap()).collect()
    };
    assert_eq!(numbers(&search("query=error").await.is(200).json()), [2, 3]);
    let first = search("query=ERROR&ignore_case=true&limit=2").await.is(200).json();
    assert_eq!((numbers(&first), &first["next"]), (vec![0, 2], &3.into()));
    assert_eq!(numbers(&search("query=%5Eerror:+%5Bbc%5D&regex=true&from=3").await.is(200).json()), [3]);
    assert!(search("query=(&regex=true").await.refused(400).contains("pattern"));
    search(&format!("query={}", "x".repeat(1001))).await.refused(400);
    search("").await.refused(400);
}

#[tokio::test]
async fn a_log_without_lines_is_empty_and_that_of_no_job_is_not_there() {
    let world = World::start().await;
    let reader = world.with(Role::Read).await;
    let (_, job) = failed_run(&*world.store).await;
    let page = reader.get(&format!("/api/v1/jobs/{job}/log")).await.is(200).json();
    assert_eq!(page["lines"], Value::Array(Vec::new()));
    for path in ["log", "log/text", "log/search?query=a", "log/events"] {
        reader.get(&format!("/api/v1/jobs/77/{path}")).await.refused(404);
    }
}

#[tokio::test]
async fn who_comes_late_sees_all_lines_and_then_the_new_ones() {
    let world = World::start().await;
    let reader = world.with(Role::Read).await;
    let (job, mut writer) = logged(&world, &["one", "two"]).await;
    let mut events = Events::open(&reader, &format!("/api/v1/jobs/{job}/log/events?from=1")).await;
    let (name, lines) = events.next().await;
    assert_eq!((name.as_str(), &lines[0]["text"]), ("lines", &"two".into()));
    write(&mut writer, 2, &["three"]);
    let (name, lines) = events.next().await;
    assert_eq!((name.as_str(), &lines[0]["number"]), ("lines", &2.into()));
    writer.finish().unwrap();
    assert_eq!(events.next().await.0, "end");
    assert!(events.is_over().await);
}
