//! Conditions, failures, timeouts, cancellation.

use std::time::{Duration, Instant};

use model::Conclusion::{self, Cancelled, Failure, Skipped, Success};
use model::{JobEvent, Template};

use crate::bench::{Bench, StepExt, job, run, run_expression, with_output};

#[tokio::test]
async fn steps_after_a_failure_are_skipped_unless_they_say_otherwise() {
    let steps = vec![
        run("exit 3").id("broken"),
        run("echo no"),
        run("echo on-failure").when("failure()"),
        run("echo always").when("always()"),
        run("echo never").when("cancelled()"),
    ];
    let outcome = Bench::new().run(job(steps)).await;
    assert_eq!(outcome.result.conclusion, Failure);
    assert_eq!(outcome.conclusions(), [Failure, Skipped, Success, Success, Skipped], "{}", outcome.all());
    assert_eq!(outcome.output(), ["on-failure", "always"]);
    assert!(outcome.messages().contains(&"Process completed with exit code 3."));
}

#[tokio::test]
async fn continue_on_error_keeps_the_outcome_and_changes_the_conclusion() {
    let steps = vec![
        run("exit 1").id("soft").continue_on_error(),
        run_expression("format('echo {0} {1} {2}', steps.soft.outcome, steps.soft.conclusion, job.status)"),
    ];
    let outcome = Bench::new().run(job(steps)).await;
    assert_eq!(outcome.result.conclusion, Success);
    assert_eq!(outcome.outcomes(), [Failure, Success]);
    assert_eq!(outcome.output(), ["failure success success"], "{}", outcome.all());
}

#[tokio::test]
async fn a_wrong_condition_fails_the_step() {
    let outcome = Bench::new().run(job(vec![run("echo x").when("fromJSON('{')"), run("echo y")])).await;
    assert_eq!(outcome.conclusions(), [Failure, Skipped], "{}", outcome.all());
}

#[tokio::test]
async fn a_wrong_expression_in_a_script_or_env_fails_the_step() {
    let mut bad_env = run("echo x");
    bad_env.env = Some(Template::Mapping(vec![(Template::text("A"), Template::expression("fromJSON('{')"))]));
    let outcome =
        Bench::new().run(job(vec![run_expression("fromJSON('{')").continue_on_error(), bad_env])).await;
    assert_eq!(outcome.outcomes(), [Failure, Failure]);
    assert_eq!(outcome.conclusions(), [Success, Failure]);
}

#[tokio::test]
async fn shells_have_githubs_flags() {
    let steps = vec![
        run("false | true; echo default").id("a"),
        run("false | true; echo pipefail").shell("bash").continue_on_error(),
        run("echo $0 | sed 's/.*\\.//'").shell("sh"),
        run("import sys; print('python', sys.version_info[0] >= 3)").shell("python"),
        run("echo custom").shell("bash --norc {0}"),
        run("echo x").shell("no-such-shell {0}").continue_on_error(),
        run("echo x").shell("pwsh-without-place").continue_on_error(),
    ];
    let outcome = Bench::new().run(job(steps)).await;
    assert_eq!(outcome.output(), ["default", "sh", "python True", "custom"], "{}", outcome.all());
    assert_eq!(outcome.outcomes(), [Success, Failure, Success, Success, Success, Failure, Failure]);
    assert!(outcome.messages().iter().any(|message| message.starts_with("no-such-shell: command not found")));
}

#[tokio::test]
async fn a_missing_working_directory_fails_the_step_with_a_reason() {
    let outcome = Bench::new().run(job(vec![run("pwd").in_folder("no/such")])).await;
    assert_eq!(outcome.result.conclusion, Failure);
    assert!(outcome.messages()[0].contains("with working directory"), "{:?}", outcome.messages());
    assert!(outcome.result.infrastructure_error.is_none(), "{:?}", outcome.result);
}

#[tokio::test]
async fn a_step_whose_time_is_up_fails() {
    let begun = Instant::now();
    let steps = vec![run("sleep 60").named("slow").timeout(0.02), run("echo after").when("always()")];
    let outcome = Bench::new().run(job(steps)).await;
    assert_eq!(outcome.conclusions(), [Failure, Success], "{}", outcome.all());
    assert_eq!(outcome.result.conclusion, Failure);
    assert!(outcome.messages().contains(&"The action 'slow' has timed out after 0.02 minutes."));
    assert!(begun.elapsed() < Duration::from_secs(30));
}

#[tokio::test]
async fn a_cancelled_job_still_runs_steps_that_want_to() {
    let bench = Bench::new();
    let steps = vec![
        run("trap 'echo interrupted; exit 0' INT; echo ready; while :; do sleep 0.05; done"),
        run("echo no"),
        run("echo cleanup").when("always()"),
        run("echo told").when("cancelled()"),
        run("echo failed").when("failure()"),
    ];
    let cancel = async {
        bench.wait_for("ready").await;
        bench.cancel.cancel();
    };
    let (outcome, ()) = tokio::join!(bench.run(job(steps)), cancel);
    assert_eq!(outcome.result.conclusion, Cancelled);
    assert_eq!(outcome.conclusions(), [Cancelled, Skipped, Success, Success, Skipped], "{}", outcome.all());
    assert_eq!(outcome.output(), ["ready", "interrupted", "cleanup", "told"]);
    assert!(outcome.messages().contains(&"The operation was canceled."));
}

#[tokio::test]
async fn a_step_that_runs_always_is_not_cancelled() {
    let bench = Bench::new();
    let steps = vec![run("echo ready; sleep 0.3; echo whole").when("always()"), run("echo no")];
    let cancel = async {
        bench.wait_for("ready").await;
        bench.cancel.cancel();
    };
    let (outcome, ()) = tokio::join!(bench.run(job(steps)), cancel);
    assert_eq!(outcome.conclusions(), [Success, Skipped], "{}", outcome.all());
    assert_eq!(outcome.result.conclusion, Cancelled);
    assert_eq!(outcome.output(), ["ready", "whole"]);
}

#[tokio::test]
async fn a_process_that_ignores_signals_is_killed_in_the_end() {
    let bench = Bench::new();
    let begun = Instant::now();
    let steps = vec![run("trap '' INT TERM; echo ready; while :; do sleep 0.1; done")];
    let cancel = async {
        bench.wait_for("ready").await;
        bench.cancel.cancel();
    };
    let (outcome, ()) = tokio::join!(bench.run(job(steps)), cancel);
    assert_eq!(outcome.result.conclusion, Cancelled);
    let seconds = begun.elapsed().as_secs_f64();
    assert!((9.5..25.0).contains(&seconds), "{seconds}");
}

#[tokio::test]
async fn a_second_cancellation_ends_everything_at_once() {
    let bench = Bench::new();
    let begun = Instant::now();
    let steps = vec![
        run("trap '' INT TERM; echo ready; while :; do sleep 0.1; done"),
        run("echo cleanup").when("always()"),
    ];
    let cancel = async {
        bench.wait_for("ready").await;
        bench.cancel.cancel();
        bench.cancel.kill();
    };
    let (outcome, ()) = tokio::join!(bench.run(job(steps)), cancel);
    assert_eq!(outcome.result.conclusion, Cancelled);
    assert_eq!(outcome.output(), ["ready"], "{}", outcome.all());
    assert!(begun.elapsed() < Duration::from_secs(7));
}

#[tokio::test]
async fn a_job_whose_time_is_up_is_cancelled() {
    let bench = Bench::new();
    let mut job = job(vec![run("sleep 60"), run("echo cleanup").when("always()")]);
    job.timeout = Duration::from_millis(500);
    let outcome = bench.run(job).await;
    assert_eq!(outcome.result.conclusion, Cancelled);
    assert_eq!(outcome.output(), ["cleanup"], "{}", outcome.all());
    assert!(outcome.messages().iter().any(|message| message.contains("exceeded the maximum execution time")));
}

#[tokio::test]
async fn cleaning_up_after_a_cancellation_has_a_limit() {
    let bench = Bench::new();
    let mut job = job(vec![run("echo ready; sleep 60"), run("sleep 60").when("always()")]);
    job.cancel_timeout = Duration::from_millis(800);
    let begun = Instant::now();
    let cancel = async {
        bench.wait_for("ready").await;
        bench.cancel.cancel();
    };
    let (outcome, ()) = tokio::join!(bench.run(job), cancel);
    assert_eq!(outcome.result.conclusion, Cancelled, "{}", outcome.all());
    assert!(begun.elapsed() < Duration::from_secs(20));
}

#[tokio::test]
async fn a_job_cancelled_before_it_starts_runs_nothing() {
    let bench = Bench::new();
    bench.cancel.cancel();
    let outcome = bench.run(job(vec![run("echo no"), run("echo no").when("always()")])).await;
    assert_eq!(outcome.result.conclusion, Cancelled);
    assert!(outcome.output().is_empty(), "{}", outcome.all());
}

#[tokio::test]
async fn names_and_order_of_events_are_those_of_github() {
    let steps =
        vec![run("\n  echo one\necho two"), run("echo x").named("Say x"), run("echo no").when("false")];
    let outcome = Bench::new().run(job(steps)).await;
    assert_eq!(outcome.names(), ["Set up job", "Run echo one", "Say x", "Run echo no", "Complete job"]);
    assert!(matches!(outcome.events.first(), Some(JobEvent::JobStarted { .. })));
    assert!(matches!(outcome.events.last(), Some(JobEvent::JobFinished { .. })));
    let mut next = 0;
    for event in &outcome.events {
        if let JobEvent::Log(line) = event {
            assert_eq!(line.sequence, next);
            next += 1;
        }
    }
    let head: Vec<&str> = outcome.log().into_iter().take(4).collect();
    assert_eq!(head[0], "\x1b[36;1m\x1b[0m");
    assert!(outcome.log().iter().any(|line| line.starts_with("shell: /") && line.ends_with("bash -e {0}")));
}

#[tokio::test]
async fn an_environment_url_is_evaluated_at_the_end() {
    let mut job = job(vec![run("echo url=https://example.org/7 >> $GITHUB_OUTPUT").id("deploy")]);
    job.environment_url = Some(Template::expression("steps.deploy.outputs.url"));
    let outcome = Bench::new().run(job).await;
    assert_eq!(outcome.result.environment_url.as_deref(), Some("https://example.org/7"));
}

#[tokio::test]
async fn outputs_that_cannot_be_evaluated_fail_the_job() {
    let outcome = Bench::new().run(with_output(job(vec![run("true")]), "x", "fromJSON('{')")).await;
    assert_eq!(outcome.result.conclusion, Conclusion::Failure);
    assert!(outcome.result.infrastructure_error.is_none());
}

#[tokio::test]
async fn a_job_that_wants_a_container_fails_with_a_reason() {
    let mut job = job(vec![run("true")]);
    job.container = Some(Template::text("alpine"));
    let outcome = Bench::new().run(job).await;
    assert_eq!(outcome.result.conclusion, Failure);
    assert!(outcome.messages()[0].contains("needs a machine with a container engine"));
}
