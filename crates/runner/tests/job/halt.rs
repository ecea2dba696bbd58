//! Jobs that halt at a failed step, and go on there.

use std::time::Duration;

use machine::fake::FakeDriver;
use machine::{Driver, Machine, MachineSpec, Network, SnapshotId};
use model::Conclusion::{Failure, Skipped, Success};
use model::{Job, MachineId};
use runner::{Checkpoint, JobEnd};

use crate::bench::{Bench, Outcome, StepExt, job, run, run_expression, uses, with_secret};

fn spec() -> MachineSpec {
    MachineSpec::new(MachineId("m-1".to_owned()), Network::Host)
}

async fn run_on(bench: &Bench, job: Job, from: Option<Checkpoint>, machine: &Machine) -> (Outcome, JobEnd) {
    let options = runner::RunnerOptions { halt_on_failure: true, ..bench.options.clone() };
    let (services, sink, cancel) = (bench.services.clone(), bench.sink.clone(), bench.cancel.clone());
    let end = runner::run_job_from(job, from, machine, services, sink, cancel, options);
    let end = tokio::time::timeout(Duration::from_secs(120), end).await.expect("the job ends");
    (Outcome { result: end.result.clone(), events: bench.events() }, end)
}

/// Halts a job, freezes its machine, and takes the checkpoint through its written form.
async fn halt(bench: &Bench, driver: &FakeDriver, job: Job) -> (Outcome, String, machine::Snapshot) {
    driver.allow_snapshots();
    let machine = driver.start(spec()).await.unwrap();
    let (outcome, end) = run_on(bench, job, None, &machine).await;
    let written = serde_json::to_string(&end.halted.expect("the job halted")).unwrap();
    let snapshot = driver.snapshot(machine, &SnapshotId("debug-1".to_owned())).await.unwrap();
    (outcome, written, snapshot)
}

#[tokio::test]
async fn a_halted_job_goes_on_with_the_failed_step_and_what_steps_before_it_left() {
    let bench = Bench::new();
    let driver = FakeDriver::new(bench.root.path().join("machines"));
    let mut second = run(
        "echo \"$COLOUR $TOKEN $OWN\"; my-tool; test -e fixed || { echo COLOUR=bad >> $GITHUB_ENV; exit 3; }",
    );
    second = second.env("OWN", "mine").named("Test");
    let steps = vec![
        run("echo COLOUR=red >> $GITHUB_ENV; echo TOKEN=hunter2 >> $GITHUB_ENV; echo shade=deep >> $GITHUB_OUTPUT\n\
             mkdir tools; printf '#!/bin/sh\\necho tool\\n' > tools/my-tool; chmod +x tools/my-tool\n\
             echo \"$PWD/tools\" >> $GITHUB_PATH; echo once >> count")
        .id("first"),
        second,
        run("echo cleaning").when("always()"),
        run_expression("format('echo {0}; cat count; echo $COLOUR', steps.first.outputs.shade)"),
    ];
    let job = with_secret(job(steps), "KEY", "hunter2");
    let (outcome, written, snapshot) = halt(&bench, &driver, job.clone()).await;
    assert_eq!(outcome.conclusions(), [Success, Failure, Skipped, Skipped], "{}", outcome.all());
    assert!(!outcome.output().contains(&"cleaning"), "nothing may change the machine after the failure");
    assert!(!written.contains("hunter2"), "{written}");

    let checkpoint: Checkpoint = serde_json::from_str(&written).unwrap();
    assert_eq!((checkpoint.step, checkpoint.name.as_str()), (1, "Test"));
    let seen = checkpoint.surroundings(&job.secrets);
    let has = |name: &str, value: &str| seen.env.contains(&(name.to_owned(), value.to_owned()));
    assert!(has("COLOUR", "red") && has("OWN", "mine") && has("TOKEN", "hunter2"), "{:?}", seen.env);
    assert!(seen.folder.ends_with("/app/app"), "{}", seen.folder);
    assert_eq!(seen.argv.last(), checkpoint.script.as_ref());
    let without = checkpoint.surroundings(&Default::default());
    assert_eq!(without.withheld, ["TOKEN"]);

    let machine = driver.restore(&snapshot, spec()).await.unwrap();
    assert!(machine.guest.stat(checkpoint.script.as_ref().unwrap()).await.unwrap().is_some());
    let fixed = format!("{}/fixed", seen.folder);
    machine.guest.write_file(&fixed, 0o644, Default::default()).await.unwrap();
    bench.forget_events();
    let (outcome, end) = run_on(&bench, job, Some(checkpoint), &machine).await;
    assert!(end.halted.is_none());
    assert_eq!(outcome.conclusions(), [Success, Success, Success, Success], "{}", outcome.all());
    assert_eq!(outcome.output(), ["red *** mine", "tool", "cleaning", "deep", "once", "red"]);
}

#[tokio::test]
async fn posts_of_steps_before_the_halt_run_once_the_job_has_gone_on() {
    let bench = Bench::new();
    let driver = FakeDriver::new(bench.root.path().join("machines"));
    crate::actions::node_action(&bench);
    let job = job(vec![uses("octo/node@v1", &[]), run("mkdir seen")]);
    let mut failing = job.clone();
    failing.steps[1] = run("false");
    let (outcome, written, snapshot) = halt(&bench, &driver, failing).await;
    assert!(!outcome.output().iter().any(|line| line.starts_with("post")), "{}", outcome.all());
    let machine = driver.restore(&snapshot, spec()).await.unwrap();
    bench.forget_events();
    let from = serde_json::from_str(&written).unwrap();
    let (outcome, _) = run_on(&bench, job, Some(from), &machine).await;
    assert_eq!(outcome.output(), ["post 42 1"], "the pre and the action ran before: {}", outcome.all());
}

#[tokio::test]
async fn a_job_that_goes_on_without_its_secrets_fails_before_any_step() {
    let bench = Bench::new();
    let driver = FakeDriver::new(bench.root.path().join("machines"));
    let steps = vec![run("echo TOKEN=hunter2 >> $GITHUB_ENV"), run("false")];
    let mut job = with_secret(job(steps), "KEY", "hunter2");
    let (_, written, snapshot) = halt(&bench, &driver, job.clone()).await;
    let machine = driver.restore(&snapshot, spec()).await.unwrap();
    job.secrets.clear();
    let (outcome, _) = run_on(&bench, job, Some(serde_json::from_str(&written).unwrap()), &machine).await;
    let messages = outcome.messages();
    assert!(messages.iter().any(|message| message.contains("--secret KEY")), "{messages:?}");
}

#[tokio::test]
async fn only_a_failed_step_halts_a_job() {
    let bench = Bench::new();
    let driver = FakeDriver::new(bench.root.path().join("machines"));
    let machine = driver.start(spec()).await.unwrap();
    let steps = vec![run("false").continue_on_error(), run("echo on")];
    let (outcome, end) = run_on(&bench, job(steps), None, &machine).await;
    assert!(end.halted.is_none());
    assert_eq!(outcome.output(), ["on"]);
}
