//! Machines that fail.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use model::Conclusion::{Cancelled, Failure, Skipped, Success};
use model::{JobEvent, StepPhase, StepRef};

use crate::bench::{Bench, StepExt, job, run, uses};

#[tokio::test]
async fn a_stream_cut_in_mid_step_is_an_infrastructure_error() {
    let bench = Bench::new();
    let steps = vec![run("echo ready; sleep 60; exit 0").named("long"), run("echo no").when("always()")];
    let cut = async {
        bench.wait_for("ready").await;
        bench.cut();
    };
    let (outcome, ()) = tokio::join!(bench.run(job(steps)), cut);
    assert_eq!(outcome.result.conclusion, Failure);
    let error = outcome.result.infrastructure_error.as_deref().expect("an infrastructure error");
    assert!(error.contains("job 'build'") && error.contains("step 1 ('long')"), "{error}");
    assert_eq!(outcome.conclusions(), [Failure, Skipped], "{}", outcome.all());
}

#[tokio::test]
async fn a_step_that_failed_before_the_machine_did_has_decided_the_job() {
    let bench = Bench::new();
    let steps = vec![run("exit 3"), run("echo ready; sleep 60").when("always()")];
    let cut = async {
        bench.wait_for("ready").await;
        bench.cut();
    };
    let (outcome, ()) = tokio::join!(bench.run(job(steps)), cut);
    assert_eq!(outcome.conclusions(), [Failure, Failure], "{}", outcome.all());
    assert_eq!(outcome.result.conclusion, Failure);
    assert_eq!(outcome.result.infrastructure_error, None, "it would be tried again, and might succeed");
    assert!(outcome.all().contains("The machine failed: job 'build'"), "{}", outcome.all());
}

#[tokio::test]
async fn a_machine_that_dies_after_the_jobs_time_was_up_changes_nothing_of_that() {
    for (first, decided) in [("exit 0", Cancelled), ("exit 3", Failure)] {
        let bench = Bench::new();
        let steps = vec![
            run(first),
            run("sleep 60").when("success() || failure()"),
            run("echo ready; sleep 60").when("always()"),
        ];
        let mut job = job(steps);
        job.timeout = Duration::from_millis(2000);
        let cut = async {
            bench.wait_for("ready").await;
            bench.cut();
        };
        let (outcome, ()) = tokio::join!(bench.run(job), cut);
        assert_eq!(outcome.result.infrastructure_error, None, "it would be tried again: {}", outcome.all());
        assert_eq!(outcome.result.conclusion, Cancelled, "{}", outcome.all());
        assert_eq!(outcome.result.decided, Some(decided));
    }
}

#[tokio::test]
async fn a_background_step_that_failed_before_the_machine_did_has_decided_the_job() {
    let bench = Bench::new();
    let mut server = run("exit 3");
    server.background = true;
    let cut = async {
        bench.has_ended(0).await;
        bench.cut();
    };
    let (outcome, ()) = tokio::join!(bench.run(job(vec![server, run("sleep 60")])), cut);
    assert_eq!(outcome.conclusions(), [Failure, Failure], "{}", outcome.all());
    assert_eq!(outcome.result.decided, Some(Failure), "{}", outcome.all());
    assert_eq!(outcome.result.infrastructure_error, None, "it would be tried again: {}", outcome.all());
}

#[tokio::test]
async fn a_post_that_failed_has_decided_a_job_that_is_ended_in_the_next_one() {
    let bench = Bench::new();
    for (name, post) in
        [("slow", "console.log('ready'); setTimeout(() => {}, 60000)"), ("bad", "process.exit(1)")]
    {
        let action = "name: a\nruns: { using: node20, main: m.js, post: p.js }";
        bench.write(&format!("store/octo/{name}/action.yml"), action);
        bench.write(&format!("store/octo/{name}/m.js"), "");
        bench.write(&format!("store/octo/{name}/p.js"), post);
    }
    let kill = async {
        bench.wait_for("ready").await;
        bench.cancel.kill();
    };
    let steps = vec![uses("octo/slow@v1", &[]), uses("octo/bad@v1", &[])];
    let (outcome, ()) = tokio::join!(bench.run(job(steps)), kill);
    assert_eq!(outcome.conclusions(), [Success, Success], "{}", outcome.all());
    assert_eq!(outcome.result.decided, Some(Failure), "{}", outcome.all());
}

#[tokio::test]
async fn background_steps_fail_with_their_machine_and_are_told_to_have_ended() {
    let bench = Bench::new();
    let mut server = run("echo ready; sleep 60");
    server.background = true;
    let cut = async {
        bench.wait_for("ready").await;
        bench.cut();
    };
    let (outcome, ()) = tokio::join!(bench.run(job(vec![server, run("sleep 60")])), cut);
    assert_eq!(outcome.conclusions(), [Failure, Failure], "{}", outcome.all());
    assert!(outcome.result.infrastructure_error.is_some());
    let main = |step: &StepRef| step.phase == StepPhase::Main;
    let count = |wanted: fn(&JobEvent) -> Option<&StepRef>| {
        outcome.events.iter().filter_map(wanted).filter(|step| main(step)).count()
    };
    let started =
        count(|event| if let JobEvent::StepStarted { step, .. } = event { Some(step) } else { None });
    let ended =
        count(|event| if let JobEvent::StepFinished { step, .. } = event { Some(step) } else { None });
    assert_eq!((started, ended), (2, 2));
}

#[tokio::test]
async fn an_agent_that_is_gone_before_the_job_is_an_infrastructure_error() {
    let bench = Bench::new();
    let machine = bench.machine().await;
    bench.cut();
    let result = runner::run_job(
        job(vec![run("echo no")]),
        &machine,
        bench.services.clone(),
        bench.sink.clone(),
        bench.cancel.clone(),
        bench.options.clone(),
    )
    .await;
    assert_eq!(result.conclusion, Failure);
    assert!(result.infrastructure_error.is_some());
    assert_eq!(result.steps[0].conclusion, Skipped);
}

#[tokio::test]
async fn a_full_disk_is_an_infrastructure_error_that_says_so() {
    let full = Arc::new(AtomicBool::new(false));
    let mut bench = Bench::new();
    bench.agent_options.full_disk = Some(full.clone());
    let steps = vec![run("echo ready; sleep 0.3"), run("echo no")];
    let fill = async {
        bench.wait_for("ready").await;
        full.store(true, Ordering::SeqCst);
    };
    let (outcome, ()) = tokio::join!(bench.run(job(steps)), fill);
    assert_eq!(outcome.result.conclusion, Failure);
    let error = outcome.result.infrastructure_error.as_deref().expect("an infrastructure error");
    assert!(error.contains("step 2"), "{error}");
    assert_eq!(outcome.output(), ["ready"]);
}
