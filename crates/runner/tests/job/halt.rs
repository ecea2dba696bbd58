//! Jobs that halt at a failed step, and go on there.

use std::time::Duration;

use machine::fake::FakeDriver;
use machine::{Driver, Machine, MachineSpec, Network, SnapshotId};
use model::Conclusion::{Failure, Skipped, Success};
use model::{Job, MachineId, Template};
use runner::{Checkpoint, Halted, JobEnd, Vault};

use crate::bench::{Bench, Outcome, StepExt, job, run, run_expression, uses, with_secret};

fn spec() -> MachineSpec {
    MachineSpec::new(MachineId("m-1".to_owned()), Network::Host)
}

async fn run_on(bench: &Bench, job: Job, from: Option<Halted>, machine: &Machine) -> (Outcome, JobEnd) {
    let options = runner::RunnerOptions { halt_on_failure: true, ..bench.options.clone() };
    let (services, sink, cancel) = (bench.services.clone(), bench.sink.clone(), bench.cancel.clone());
    let end = runner::run_job_from(job, from, machine, services, sink, cancel, options);
    let end = tokio::time::timeout(Duration::from_secs(120), end).await.expect("the job ends");
    (Outcome { result: end.result.clone(), events: bench.events() }, end)
}

/// A job that halted: what is written of it, beside its machine and with it, and the machine.
struct Written {
    checkpoint: String,
    vault: String,
    snapshot: machine::Snapshot,
}

impl Written {
    fn checkpoint(&self) -> Checkpoint {
        serde_json::from_str(&self.checkpoint).unwrap()
    }

    fn vault(&self) -> Vault {
        serde_json::from_str(&self.vault).unwrap()
    }

    /// Goes on in a restored machine. The events of before are forgotten.
    async fn go_on(&self, bench: &Bench, driver: &FakeDriver, job: Job) -> (Outcome, JobEnd) {
        let machine = driver.restore(&self.snapshot, spec()).await.unwrap();
        bench.forget_events();
        let halted = Halted { checkpoint: self.checkpoint(), vault: self.vault() };
        run_on(bench, job, Some(halted), &machine).await
    }
}

/// Halts a job and freezes its machine.
async fn halt(bench: &Bench, driver: &FakeDriver, job: Job) -> (Outcome, Written) {
    driver.allow_snapshots();
    let machine = driver.start(spec()).await.unwrap();
    let (outcome, end) = run_on(bench, job, None, &machine).await;
    let Halted { checkpoint, vault } = end.halted.expect("the job halted");
    let (checkpoint, vault) =
        (serde_json::to_string(&checkpoint).unwrap(), serde_json::to_string(&vault).unwrap());
    let snapshot = driver.snapshot(machine, &SnapshotId("debug-1".to_owned())).await.unwrap();
    (outcome, Written { checkpoint, vault, snapshot })
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
    let (outcome, written) = halt(&bench, &driver, job.clone()).await;
    assert_eq!(outcome.conclusions(), [Success, Failure, Skipped, Skipped], "{}", outcome.all());
    assert!(!outcome.output().contains(&"cleaning"), "nothing may change the machine after the failure");
    let both = format!("{} {}", written.checkpoint, written.vault);
    assert!(!both.contains("hunter2"), "{both}");

    let checkpoint = written.checkpoint();
    assert_eq!((checkpoint.step, checkpoint.name.as_str()), (1, "Test"));
    let seen = checkpoint.surroundings(&job.secrets, &written.vault());
    let has = |name: &str, value: &str| seen.env.contains(&(name.to_owned(), value.to_owned()));
    assert!(has("COLOUR", "red") && has("OWN", "mine") && has("TOKEN", "hunter2"), "{:?}", seen.env);
    assert!(seen.folder.ends_with("/app/app"), "{}", seen.folder);
    assert_eq!(seen.argv.last(), checkpoint.script.as_ref());
    let without = checkpoint.surroundings(&Default::default(), &written.vault());
    assert_eq!(without.withheld, ["TOKEN"]);

    let machine = driver.restore(&written.snapshot, spec()).await.unwrap();
    assert!(machine.guest.stat(checkpoint.script.as_ref().unwrap()).await.unwrap().is_some());
    let fixed = format!("{}/fixed", seen.folder);
    machine.guest.write_file(&fixed, 0o644, Default::default()).await.unwrap();
    bench.forget_events();
    let (outcome, end) =
        run_on(&bench, job, Some(Halted { checkpoint, vault: written.vault() }), &machine).await;
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
    let (outcome, written) = halt(&bench, &driver, failing).await;
    assert!(!outcome.output().iter().any(|line| line.starts_with("post")), "{}", outcome.all());
    let (outcome, _) = written.go_on(&bench, &driver, job).await;
    assert_eq!(outcome.output(), ["post 42 1"], "the pre and the action ran before: {}", outcome.all());
}

#[tokio::test]
async fn a_job_that_goes_on_without_its_secrets_fails_before_any_step() {
    let bench = Bench::new();
    let driver = FakeDriver::new(bench.root.path().join("machines"));
    let steps = vec![run("echo TOKEN=hunter2 >> $GITHUB_ENV"), run("false")];
    let mut job = with_secret(job(steps), "KEY", "hunter2");
    let (_, written) = halt(&bench, &driver, job.clone()).await;
    job.secrets.clear();
    let (outcome, _) = written.go_on(&bench, &driver, job).await;
    let messages = outcome.messages();
    assert!(messages.iter().any(|message| message.contains("--secret KEY")), "{messages:?}");
}

#[tokio::test]
async fn what_steps_have_masked_stays_masked_and_is_written_into_the_vault_alone() {
    let bench = Bench::new();
    let driver = FakeDriver::new(bench.root.path().join("machines"));
    let steps = vec![
        run("echo '::add-mask::s3same'; echo AUTH=Bearer-s3same >> $GITHUB_ENV; echo k=s3same >> $GITHUB_OUTPUT\n\
             echo s3same > file")
        .id("login"),
        run("echo '::add-mask::late'; false"),
        run_expression("format('cat file; echo $AUTH; echo {0}; printf s3same | base64; echo late', steps.login.outputs.k)"),
    ];
    let mut job = job(steps);
    let (_, written) = halt(&bench, &driver, job.clone()).await;
    assert!(!written.checkpoint.contains("s3same"), "{}", written.checkpoint);
    assert!(written.vault.contains("s3same"), "{}", written.vault);
    assert_eq!(format!("{:?}", written.vault()), "Vault(2 masks, 2 texts)");
    let seen = written.checkpoint().surroundings(&job.secrets, &written.vault());
    assert!(seen.env.contains(&("AUTH".to_owned(), "Bearer-s3same".to_owned())), "{:?}", seen.env);

    job.steps[1] = run("true");
    let (outcome, _) = written.go_on(&bench, &driver, job.clone()).await;
    assert_eq!(outcome.output(), ["***", "Bearer-***", "***", "***", "***"], "{}", outcome.all());

    // A vault that lacks them is no reason to go on and show them.
    let lost = Written { vault: serde_json::to_string(&Vault::default()).unwrap(), ..written };
    let (outcome, _) = lost.go_on(&bench, &driver, job).await;
    assert_eq!((outcome.result.conclusion, outcome.output().len()), (Failure, 0), "{}", outcome.all());
}

#[tokio::test]
async fn problem_matchers_of_earlier_steps_go_on_matching() {
    let bench = Bench::new();
    let driver = FakeDriver::new(bench.root.path().join("machines"));
    let matcher = r#"{"problemMatcher":[{"owner":"own","pattern":[{"regexp":"^bad: (.*)$","message":1}]}]}"#;
    let steps = vec![
        run(&format!("echo '{matcher}' > m.json; echo '::add-matcher::m.json'")),
        run("false"),
        run("echo 'bad: wolf'"),
    ];
    let mut job = job(steps);
    let (_, written) = halt(&bench, &driver, job.clone()).await;
    job.steps[1] = run("true");
    let (outcome, _) = written.go_on(&bench, &driver, job).await;
    assert_eq!(outcome.messages(), ["wolf"], "{}", outcome.all());
}

/// A composite action with another one inside: `octo/outer@v1`, whose second step uses `octo/inner@v1`, whose second
/// step fails until `fixed` exists.
fn nested_actions(bench: &Bench) {
    bench.write(
        "store/octo/outer/action.yml",
        r#"
name: outer
inputs: { colour: { default: none } }
outputs: { made: { value: "${{ steps.one.outputs.v }}-${{ steps.two.outputs.w }}" } }
runs:
  using: composite
  steps:
  - { id: one, shell: bash, run: "echo one >> trail; echo v=1 >> $GITHUB_OUTPUT; echo COLOUR=blue >> $GITHUB_ENV" }
  - { id: two, uses: octo/inner@v1 }
  - { shell: bash, run: "echo always >> trail", if: always() }
  - { shell: bash, run: "echo three ${{ inputs.colour }} $COLOUR >> trail" }
"#,
    );
    bench.write(
        "store/octo/inner/action.yml",
        r#"
name: inner
outputs: { w: { value: "${{ steps.deep.outputs.w }}" } }
runs:
  using: composite
  steps:
  - { uses: octo/node@v1 }
  - { id: deep, name: Deep, shell: bash, run: "echo deep >> trail; echo w=2 >> $GITHUB_OUTPUT; test -e fixed" }
  - { shell: bash, run: "echo never >> trail", if: failure() }
"#,
    );
    crate::actions::node_action(bench);
}

#[tokio::test]
async fn a_job_that_failed_inside_of_composite_actions_goes_on_there() {
    let bench = Bench::new();
    let driver = FakeDriver::new(bench.root.path().join("machines"));
    nested_actions(&bench);
    let mut outer = uses("octo/outer@v1", &[]).id("outer").named("Outer");
    outer.work = match outer.work {
        model::StepWork::Action { uses, .. } => {
            let colour = (Template::text("colour"), Template::expression("env.COLOUR"));
            model::StepWork::Action { uses, with: Some(Template::Mapping(vec![colour])) }
        }
        work => work,
    };
    let steps = vec![
        run("echo COLOUR=red >> $GITHUB_ENV; mkdir -p x"),
        outer,
        run_expression("format('cat trail; echo {0}', steps.outer.outputs.made)"),
    ];
    let job = job(steps);
    let (outcome, written) = halt(&bench, &driver, job.clone()).await;
    assert_eq!(outcome.conclusions(), [Success, Failure, Skipped], "{}", outcome.all());
    let checkpoint = written.checkpoint();
    assert_eq!(
        checkpoint.title(),
        "step 2 ('Outer'), in it step 2 ('Run octo/inner@v1'), in it step 2 ('Deep')"
    );
    let seen = checkpoint.surroundings(&job.secrets, &written.vault());
    assert!(seen.env.contains(&("COLOUR".to_owned(), "blue".to_owned())), "{:?}", seen.env);

    // Another version of the actions by now: the job goes on with those that it has.
    bench.write("store/octo/outer/action.yml", "name: other\nruns: { using: composite, steps: [] }");
    let machine = driver.restore(&written.snapshot, spec()).await.unwrap();
    let fixed = format!("{}/fixed", seen.folder);
    machine.guest.write_file(&fixed, 0o644, Default::default()).await.unwrap();
    bench.forget_events();
    let halted = Halted { checkpoint, vault: written.vault() };
    let (outcome, end) = run_on(&bench, job, Some(halted), &machine).await;
    assert!(end.halted.is_none());
    assert_eq!(outcome.conclusions(), [Success, Success, Success], "{}", outcome.all());
    let trail = ["one", "deep", "deep", "always", "three red blue", "1-2", "post 42 1"];
    assert_eq!(outcome.output(), trail, "{}", outcome.all());
}

#[tokio::test]
async fn a_composite_action_that_may_fail_halts_nothing_in_it() {
    let bench = Bench::new();
    let driver = FakeDriver::new(bench.root.path().join("machines"));
    nested_actions(&bench);
    let steps = vec![uses("octo/outer@v1", &[]).continue_on_error(), run("tail -n 2 trail; false")];
    let (outcome, written) = halt(&bench, &driver, job(steps)).await;
    assert_eq!(written.checkpoint().title(), "step 2 ('Run tail -n 2 trail; false')");
    let output = outcome.output();
    assert_eq!(output[output.len() - 2..], ["never", "always"], "{}", outcome.all());
}

#[tokio::test]
async fn a_step_of_a_composite_action_that_may_fail_does_not_halt_the_job() {
    let bench = Bench::new();
    let driver = FakeDriver::new(bench.root.path().join("machines"));
    let machine = driver.start(spec()).await.unwrap();
    bench.write(
        "store/octo/soft/action.yml",
        "name: soft\nruns:\n  using: composite\n  steps:\n  - { shell: bash, run: 'exit 1', continue-on-error: true }\n  \
         - { shell: bash, run: echo on }",
    );
    let (outcome, end) = run_on(&bench, job(vec![uses("octo/soft@v1", &[])]), None, &machine).await;
    assert!(end.halted.is_none());
    assert_eq!(outcome.output(), ["on"], "{}", outcome.all());
}

#[tokio::test]
async fn a_job_that_goes_on_has_the_time_that_was_left_to_it() {
    let bench = Bench::new();
    let driver = FakeDriver::new(bench.root.path().join("machines"));
    let mut job = job(vec![run("sleep 2"), run("false"), run("sleep 60")]);
    let (_, written) = halt(&bench, &driver, job.clone()).await;
    job.steps[1] = run("true");
    // More than a second less than was spent.
    job.timeout = Duration::from_millis(2050);
    let begun = std::time::Instant::now();
    let (outcome, _) = written.go_on(&bench, &driver, job).await;
    assert_eq!(outcome.result.conclusion, model::Conclusion::Cancelled, "{}", outcome.all());
    assert!(begun.elapsed() < Duration::from_millis(1900), "{:?}", begun.elapsed());
}

#[tokio::test]
async fn steps_after_a_halt_run_by_their_conditions_once_the_job_has_gone_on_and_failed_again() {
    let bench = Bench::new();
    let driver = FakeDriver::new(bench.root.path().join("machines"));
    let steps = vec![
        run("false"),
        run("echo well"),
        run("echo badly").when("failure()"),
        run("echo so").when("always()"),
    ];
    let mut job = job(steps);
    let (outcome, written) = halt(&bench, &driver, job.clone()).await;
    assert!(outcome.output().is_empty(), "{}", outcome.all());
    job.steps[0] = run("true");
    let (outcome, _) = written.go_on(&bench, &driver, job.clone()).await;
    assert_eq!(outcome.output(), ["well", "so"], "{}", outcome.all());
    job.steps[0] = run("false");
    let machine = driver.restore(&written.snapshot, spec()).await.unwrap();
    bench.forget_events();
    let halted = Halted { checkpoint: written.checkpoint(), vault: written.vault() };
    let options = runner::RunnerOptions { halt_on_failure: false, ..bench.options.clone() };
    let (services, sink) = (bench.services.clone(), bench.sink.clone());
    runner::run_job_from(job, Some(halted), &machine, services, sink, bench.cancel.clone(), options).await;
    let outcome = Outcome { result: outcome.result, events: bench.events() };
    assert_eq!(outcome.output(), ["badly", "so"], "{}", outcome.all());
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
