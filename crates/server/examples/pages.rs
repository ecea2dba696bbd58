//! Serves all pages with made-up records, to look at them: `cargo run -p hearth-server --example pages`.
//!
//! It prints the address and a token to sign in with. One job goes on for as long as it is watched.

#[path = "../tests/pages/world.rs"]
#[expect(dead_code, reason = "the tests use what is not used here")]
mod world;

use std::time::Duration;

use model::{
    AnnotationLevel, Conclusion, JobId, LogLine, RunId, RunState, StepPhase, StepRef, StepState, Stream,
    Timestamp,
};
use scheduler::decide::WaitReason;
use scheduler::queue::Subject;
use server::auth::Role;
use store::Change;
use store::record::Step;
use tokio::net::TcpListener;
use world::World;

const WORKFLOW: &str = "
on: push
jobs:
  lint: {runs-on: ubuntu-latest, steps: [{run: x}]}
  build: {runs-on: ubuntu-latest, steps: [{run: x}]}
  test: {runs-on: ubuntu-latest, needs: build, steps: [{run: x}]}
  package: {runs-on: ubuntu-latest, needs: [test, lint], steps: [{run: x}]}
  deploy: {runs-on: ubuntu-latest, needs: package, steps: [{run: x}]}
";

/// Lines of each step of the job that goes on.
const LINES_OF_STEP: u64 = 20;

/// Lines of the longest log.
const LONG: u64 = 1_000_000;

#[tokio::main]
async fn main() -> Result<(), Box<dyn std::error::Error>> {
    let address = std::env::args().nth(1).unwrap_or_else(|| "127.0.0.1:8099".to_owned());
    let world = World::new().await;
    seed(&world).await;
    let token = world.token("mona", Role::Admin).await;
    let listener = TcpListener::bind(&address).await?;
    println!("http://{} token {token}", listener.local_addr()?);
    let router = world.pages(false).router();
    let live = live(&world).await;
    let served = server::http::serve(listener, router, world.stop.clone());
    tokio::select! {
        () = served => {}
        () = speak(&world, live) => {}
        _ = tokio::signal::ctrl_c() => {}
    }
    Ok(())
}

async fn seed(world: &World) {
    let hello = world.repository("octo/hello").await;
    let site = world.repository("octo/site").await;
    let titles = ["Warm the cache", "Bump tokio to 1.49", "Say why a job waits", "Fold groups", "Draw needs"];
    for (title, place) in titles.iter().zip(1_u64..) {
        let begun = 90_000 / place;
        let run = world
            .run(if place % 2 == 0 { site } else { hello }, begun, |run| run.title = (*title).to_owned())
            .await;
        world.start(run.id, WORKFLOW, begun - 2).await;
        let conclusion = if place == 3 { Conclusion::Cancelled } else { Conclusion::Success };
        world.end(run.id, conclusion, begun - 60 - place * 7).await;
    }
    failed(
        world,
        world
            .run(hello, 700, |run| {
                run.title = "Let two halves of a door meet".to_owned();
                (run.pull_request, run.head_branch) = (Some(118), "mona/door".to_owned());
                run.event = "pull_request".to_owned();
            })
            .await
            .id,
    )
    .await;
    long(world, world.run(hello, 400, |run| run.title = "A log of a million lines".to_owned()).await.id)
        .await;
    let fork = world
        .run(site, 120, |run| {
            run.title = "Fix a typo in the readme".to_owned();
            (run.actor, run.event, run.pull_request) =
                ("first-timer".to_owned(), "pull_request".to_owned(), Some(119));
            run.head_branch = "patch-1".to_owned();
            run.state = RunState::Waiting;
            run.reason =
                Some("first-timer has not contributed before: somebody must approve this run".to_owned());
        })
        .await;
    world.wait(Subject::Run(fork.id), WaitReason::Approval, None);
    let queued = world.run(site, 45, |run| run.title = "Rebuild the index".to_owned()).await;
    world.wait(Subject::Run(queued.id), WaitReason::RunningWorkflows { running: 2, limit: 2 }, Some(1));
}

async fn failed(world: &World, run: RunId) {
    world.start(run, WORKFLOW, 698).await;
    for attempt in 1..=2 {
        if attempt == 2 {
            let again = serde_json::json!("failed");
            let at = world.ago(300);
            world
                .apply(vec![Change::AttemptQueued { run, attempt, actor: "hubot".to_owned(), again, at }])
                .await;
            world.start(run, WORKFLOW, 299).await;
        }
        let begun = if attempt == 1 { 698 } else { 299 };
        let lint = world.job(run, attempt, "lint", "lint", begun).await;
        done(world, lint, begun - 1, begun - 16).await;
        let build = world.job(run, attempt, "build", "build", begun).await;
        done(world, build, begun - 2, begun - 40).await;
        for (leg, name) in ["linux", "macos", "windows"].iter().enumerate() {
            let job =
                world.job(run, attempt, &format!("test[{leg}]"), &format!("test ({name})"), begun - 40).await;
            let has_failed = leg == 1 || (leg == 2 && attempt == 1);
            if has_failed {
                broken(world, job, begun - 43, begun - 90).await
            } else {
                done(world, job, begun - 41, begun - 80).await
            }
        }
        world.end(run, Conclusion::Failure, begun - 92).await;
    }
}

async fn done(world: &World, job: JobId, from: u64, to: u64) {
    world.begin(job, from).await;
    let lines = [
        (Stream::Hearth, "##[group]Run cargo build --locked"),
        (Stream::Hearth, "shell: bash -e {0}"),
        (Stream::Hearth, "##[endgroup]"),
        (Stream::Stderr, "\u{1b}[1m\u{1b}[32m   Compiling\u{1b}[0m door v0.3.1"),
        (Stream::Stderr, "\u{1b}[1m\u{1b}[32m    Finished\u{1b}[0m `dev` profile in 11.20s"),
    ];
    world.step(job, 0, "Check out", (from, from - 2), Some(Conclusion::Success), &lines[..2]).await;
    world.step(job, 1, "Build", (from - 2, to + 1), Some(Conclusion::Success), &lines).await;
    world.end_job(job, Conclusion::Success, to).await;
}

async fn broken(world: &World, job: JobId, from: u64, to: u64) {
    world.begin(job, from).await;
    world
        .step(
            job,
            0,
            "Check out",
            (from, from - 2),
            Some(Conclusion::Success),
            &[(Stream::Hearth, "Checked out 4f1c0de")],
        )
        .await;
    let lines = [
        (Stream::Hearth, "##[group]Run cargo test"),
        (Stream::Hearth, "cargo test --locked --no-fail-fast"),
        (Stream::Hearth, "shell: bash -e {0}"),
        (Stream::Hearth, "##[endgroup]"),
        (Stream::Stderr, "\u{1b}[1m\u{1b}[32m   Compiling\u{1b}[0m door v0.3.1"),
        (Stream::Stdout, "running 41 tests"),
        (Stream::Stdout, "test halves_meet ... \u{1b}[31mFAILED\u{1b}[0m"),
        (Stream::Stdout, "test hinges_turn ... \u{1b}[32mok\u{1b}[0m"),
        (Stream::Stdout, ""),
        (Stream::Stdout, "thread 'halves_meet' panicked at src/door.rs:41:9:"),
        (Stream::Stdout, "assertion `left == right` failed: the gap is not closed"),
        (Stream::Stdout, "  left: 3"),
        (Stream::Stdout, " right: 2"),
        (Stream::Hearth, "##[error]src/door.rs:41: assertion failed: the gap is not closed"),
        (Stream::Hearth, "##[error]Process completed with exit code 101."),
    ];
    world.step(job, 1, "Test", (from - 2, to + 2), Some(Conclusion::Failure), &lines).await;
    world.step(job, 2, "Upload coverage", (to + 2, to + 1), Some(Conclusion::Skipped), &[]).await;
    world
        .annotate(job, AnnotationLevel::Error, "src/door.rs", 41, "assertion failed: the gap is not closed")
        .await;
    world.annotate(job, AnnotationLevel::Warning, "src/hinge.rs", 7, "unused variable: `oil`").await;
    let step = StepRef { index: 1, phase: StepPhase::Main };
    let markdown = "### Tests\n\n| Suite | Passed | Failed |\n|-|-|-|\n| door | 40 | **1** |\n| hinge | 12 | 0 |\n\n- [x] built\n- [ ] closed\n".to_owned();
    world.apply(vec![Change::Summary { job, step, markdown }]).await;
    world.end_job(job, Conclusion::Failure, to).await;
}

async fn long(world: &World, run: RunId) {
    world.start(run, "on: push\njobs:\n  fuzz: {runs-on: a, steps: [{run: x}]}\n", 399).await;
    let job = world.job(run, 1, "fuzz", "fuzz", 399).await;
    world.begin(job, 398).await;
    world.step(job, 0, "Fuzz", (397, 300), Some(Conclusion::Success), &[]).await;
    let mut writer = world.logs.append(job).expect("a writer");
    for from in (0..LONG).step_by(10_000) {
        let lines: Vec<LogLine> = (from..from + 10_000).map(|number| fuzz_line(world, number)).collect();
        writer.write(&lines).expect("written");
    }
    writer.finish().expect("finished");
    world.end_job(job, Conclusion::Success, 300).await;
    world.end(run, Conclusion::Success, 299).await;
}

fn fuzz_line(world: &World, number: u64) -> LogLine {
    let (stream, text) = match number % 5000 {
        0 => (Stream::Hearth, format!("##[group]Round {}", number / 5000)),
        4999 => (Stream::Hearth, "##[endgroup]".to_owned()),
        _ => (
            Stream::Stdout,
            format!("#{number}\tcov: \u{1b}[36m{}\u{1b}[0m exec/s: {}", number % 977, 4000 + number % 613),
        ),
    };
    let step = StepRef { index: 0, phase: StepPhase::Main };
    LogLine {
        step,
        sequence: number,
        stream,
        at: world.ago(397).after(Duration::from_micros(number * 90)).into(),
        text,
    }
}

/// A run with a job that speaks.
async fn live(world: &World) -> JobId {
    let hello = world.repository("octo/hello").await;
    let run = world.run(hello, 30, |run| run.title = "Watch a live run".to_owned()).await.id;
    world.start(run, WORKFLOW, 29).await;
    let lint = world.job(run, 1, "lint", "lint", 29).await;
    done(world, lint, 28, 12).await;
    let build = world.job(run, 1, "build", "build", 29).await;
    world.begin(build, 27).await;
    world
        .step(
            build,
            0,
            "Check out",
            (26, 25),
            Some(Conclusion::Success),
            &[(Stream::Hearth, "Checked out 4f1c0de")],
        )
        .await;
    world
        .step(
            build,
            1,
            "Build",
            (25, 0),
            None,
            &[(Stream::Hearth, "##[group]Run make"), (Stream::Hearth, "##[endgroup]")],
        )
        .await;
    let waiting = world.job(run, 1, "docs", "docs", 5).await;
    world.wait(Subject::Job(waiting), WaitReason::Jobs { running: 4, limit: 4 }, Some(1));
    build
}

async fn speak(world: &World, job: JobId) {
    let mut writer = world.logs.append(job).expect("a writer");
    let mut tick = tokio::time::interval(Duration::from_millis(300));
    let mut step = StepRef { index: 1, phase: StepPhase::Main };
    for number in writer.count().. {
        tick.tick().await;
        if number % LINES_OF_STEP == 0 {
            step = next_step(world, job, step, number).await;
        }
        let text = format!("\u{1b}[32m[{number}]\u{1b}[0m compiling part {number} of the door");
        let line =
            LogLine { step, sequence: number, stream: Stream::Stdout, at: Timestamp::now().into(), text };
        writer.write(&[line]).expect("written");
        writer.flush().expect("flushed");
    }
}

/// Ends a step and begins the next one.
async fn next_step(world: &World, job: JobId, step: StepRef, first_line: u64) -> StepRef {
    let (at, success) = (Timestamp::now(), Conclusion::Success);
    let next = StepRef { index: step.index + 1, ..step };
    let begun = Step {
        job,
        step: next,
        name: format!("Part {}", next.index),
        state: StepState::Running,
        outcome: None,
        conclusion: None,
        started_at: at,
        ended_at: None,
        first_line,
        summary: None,
    };
    let ended = Change::StepEnded { job, step, outcome: success, conclusion: success, at };
    world.apply(vec![ended, Change::StepStarted(Box::new(begun))]).await;
    next
}
