//! Local and remote actions.

use model::Conclusion::{Cancelled, Failure, Success};
use model::{JobEvent, StepPhase, Template};

use crate::bench::{Bench, StepExt, job, run, run_expression, uses, with_output};

/// A JavaScript action that prints what it is given and tells its post about it.
const NODE_ACTION: &str = r#"
name: node
inputs:
  who to greet: { default: world }
  old: { deprecationMessage: use new }
runs: { using: node20, pre: pre.js, main: main.js, post: post.js, post-if: "success() || failure()" }
"#;

const MAIN_JS: &str = r#"
const fs = require('fs');
console.log(`hello ${process.env['INPUT_WHO_TO_GREET']}`);
console.log(`cache ${process.env['ACTIONS_RESULTS_URL'] || 'none'}`);
fs.appendFileSync(process.env.GITHUB_STATE, 'pid=42\n');
fs.appendFileSync(process.env.GITHUB_OUTPUT, 'greeting=hi\n');
console.log('::save-state name=old::1');
"#;

pub(crate) fn node_action(bench: &Bench) {
    bench.write("store/octo/node/action.yml", NODE_ACTION);
    bench.write("store/octo/node/pre.js", "console.log(`pre of ${process.env.GITHUB_ACTION_REPOSITORY}`)");
    bench.write("store/octo/node/main.js", MAIN_JS);
    bench.write(
        "store/octo/node/post.js",
        "console.log(`post ${process.env.STATE_pid} ${process.env.STATE_old}`)",
    );
}

#[tokio::test]
async fn a_javascript_action_runs_pre_main_and_post_with_its_state() {
    let bench = Bench::new();
    node_action(&bench);
    let steps = vec![
        run("echo first"),
        uses("octo/node@v1", &[("Who to greet", "mona")]).id("greet"),
        run_expression("format('echo {0}', steps.greet.outputs.greeting)"),
    ];
    let outcome = bench.run(job(steps)).await;
    assert_eq!(
        outcome.output(),
        ["pre of octo/node", "first", "hello mona", "cache none", "hi", "post 42 1"],
        "{}",
        outcome.all()
    );
    assert_eq!(
        outcome.names(),
        [
            "Set up job",
            "Pre Run octo/node@v1",
            "Run echo first",
            "Run octo/node@v1",
            "Run format('echo {0}', steps.greet.outputs.greeting)",
            "Post Run octo/node@v1",
            "Complete job"
        ]
        .map(|name| if name.starts_with("Run format") { "Run echo hi" } else { name })
    );
}

#[tokio::test]
async fn posts_run_in_reverse_order_after_a_failure_too() {
    let bench = Bench::new();
    node_action(&bench);
    bench.write("store/octo/other/action.yml", "name: o\nruns: { using: node20, main: m.js, post: p.js }");
    bench.write("store/octo/other/m.js", "process.exit(1)");
    bench.write("store/octo/other/p.js", "console.log('post other')");
    let outcome = bench.run(job(vec![uses("octo/node@v1", &[]), uses("octo/other@v1", &[])])).await;
    assert_eq!(outcome.result.conclusion, Failure);
    let output = outcome.output();
    assert_eq!(&output[output.len() - 2..], ["post other", "post 42 1"], "{output:?}");
}

#[tokio::test]
async fn unexpected_and_deprecated_inputs_are_warned_about() {
    let bench = Bench::new();
    node_action(&bench);
    let outcome = bench.run(job(vec![uses("octo/node@v1", &[("nope", "1"), ("old", "2")])])).await;
    let messages = outcome.messages();
    assert!(
        messages.contains(&"Unexpected input(s) 'nope', valid inputs are ['who to greet', 'old']"),
        "{messages:?}"
    );
    assert!(messages.contains(&"Input 'old' has been deprecated with message: use new"), "{messages:?}");
}

#[tokio::test]
async fn a_missing_action_fails_the_job_before_any_step() {
    let outcome = Bench::new().run(job(vec![run("echo no"), uses("octo/none@v1", &[])])).await;
    assert_eq!(outcome.result.conclusion, Failure);
    assert_eq!(outcome.result.infrastructure_error, None, "another try would not help");
    assert!(outcome.output().is_empty());
    assert!(
        outcome.messages()[0].contains("Unable to resolve action `octo/none@v1`"),
        "{:?}",
        outcome.messages()
    );
}

#[tokio::test]
async fn an_action_whose_host_is_away_is_no_fault_of_the_job() {
    let outcome = Bench::new().run(job(vec![run("echo no"), uses("away/node@v1", &[])])).await;
    assert_eq!(outcome.result.conclusion, Failure);
    assert!(outcome.output().is_empty());
    let error = outcome.result.infrastructure_error.as_deref().expect("an infrastructure error");
    assert!(error.contains("Unable to resolve action `away/node@v1`: Could not resolve host"), "{error}");
}

#[tokio::test]
async fn an_action_whose_host_is_away_when_a_local_action_needs_it_fails_that_step_only() {
    let bench = Bench::new();
    let manifest = "name: a\nruns: {using: composite, steps: [{uses: away/node@v1}]}\n";
    bench.write("work/app/app/actions/a/action.yml", manifest);
    let steps = vec![
        run("echo published"),
        uses("./actions/a", &[]).continue_on_error(),
        run("echo goes on"),
        uses("./actions/a", &[]),
        run("echo never"),
        run("echo cleaned up").when("always()"),
    ];
    let outcome = bench.run(job(steps)).await;
    let error = outcome.result.infrastructure_error.as_deref();
    assert_eq!((outcome.result.conclusion, error), (Failure, None), "{}", outcome.all());
    assert_eq!(outcome.output(), ["published", "goes on", "cleaned up"]);
    let why = "Unable to resolve action `away/node@v1`: Could not resolve host";
    assert!(outcome.messages().iter().any(|message| message.contains(why)), "{}", outcome.all());
}

#[tokio::test]
async fn a_local_composite_action_has_inputs_outputs_and_its_own_steps() {
    let bench = Bench::new();
    bench.write(
        "work/app/app/actions/build/action.yml",
        r#"
name: build
inputs:
  target: { default: debug }
outputs:
  artifact: { value: "${{ steps.make.outputs.path }}" }
runs:
  using: composite
  steps:
    - id: make
      shell: bash
      run: |
        echo "target ${{ inputs.target }} in $(basename ${{ github.action_path }}) $OUTER $INNER"
        echo "path=out/${{ inputs.target }}" >> $GITHUB_OUTPUT
      env: { INNER: inner }
    - if: steps.make.outcome == 'success' && inputs.target == 'release'
      shell: sh
      run: echo released $INNER
      working-directory: actions
    - shell: bash
      run: exit 1
      continue-on-error: true
    - if: failure()
      shell: bash
      run: echo never
"#,
    );
    let mut build = uses("./actions/build", &[("target", "release")]).id("build");
    build.env = Some(Template::Mapping(vec![(Template::text("OUTER"), Template::text("outer"))]));
    let steps = vec![build, run_expression("format('echo {0} $OUTER$INNER', steps.build.outputs.artifact)")];
    let outcome = bench.run(with_output(job(steps), "inner", "steps.make.outputs.path")).await;
    assert_eq!(outcome.result.conclusion, Success, "{}", outcome.all());
    assert_eq!(outcome.output(), ["target release in build outer inner", "released", "out/release"]);
    assert_eq!(outcome.output_of("inner"), None);
}

#[tokio::test]
async fn a_composite_action_fails_with_its_steps_and_runs_its_own_failure_steps() {
    let bench = Bench::new();
    bench.write(
        "work/app/app/a/action.yml",
        "name: a\nruns:\n  using: composite\n  steps:\n    - { run: exit 5, shell: bash }\n    \
         - { run: echo no, shell: bash }\n    - { run: echo tidy, shell: bash, if: failure() }\n",
    );
    let outcome = bench.run(job(vec![uses("./a", &[]), run("echo after").when("failure()")])).await;
    assert_eq!(outcome.conclusions(), [Failure, Success]);
    assert_eq!(outcome.output(), ["tidy", "after"], "{}", outcome.all());
}

#[tokio::test]
async fn nested_remote_actions_run_their_pre_and_post() {
    let bench = Bench::new();
    node_action(&bench);
    bench.write(
        "store/octo/outer/sub/action.yaml",
        "name: outer\nruns:\n  using: composite\n  steps:\n    - uses: octo/node@v1\n      \
         with: { who to greet: nested }\n    - { run: echo between, shell: bash }\n",
    );
    let outcome = bench.run(job(vec![run("echo first"), uses("octo/outer/sub@v2", &[])])).await;
    assert_eq!(
        outcome.output(),
        ["pre of octo/node", "first", "hello nested", "cache none", "between", "post 42 1"],
        "{}",
        outcome.all()
    );
}

#[tokio::test]
async fn what_a_second_cancellation_keeps_from_running_has_not_succeeded() {
    let bench = Bench::new();
    node_action(&bench);
    bench.write("store/octo/waits/action.yml", "name: w\nruns: {using: node20, pre: pre.js, main: pre.js}\n");
    bench.write("store/octo/waits/pre.js", "console.log('ready'); setInterval(() => {}, 1000)");
    bench.write(
        "store/octo/outer/action.yml",
        "name: outer\nruns:\n  using: composite\n  steps: [{uses: octo/node@v1}]\n",
    );
    let kill = async {
        bench.wait_for("ready").await;
        bench.cancel.kill();
    };
    let steps = vec![uses("octo/waits@v1", &[]), uses("octo/outer@v1", &[])];
    let (outcome, ()) = tokio::join!(bench.run(job(steps)), kill);
    let mut ended = outcome.events.iter().filter_map(|event| match event {
        JobEvent::StepFinished { step, conclusion, .. } if step.phase == StepPhase::Pre => Some(*conclusion),
        _ => None,
    });
    assert!(ended.all(|conclusion| conclusion == Cancelled), "{}", outcome.all());
    assert_eq!(outcome.result.conclusion, Cancelled);
}

#[tokio::test]
async fn actions_that_use_themselves_come_to_an_end() {
    let bench = Bench::new();
    bench.write(
        "work/app/app/loop/action.yml",
        "name: l\nruns:\n  using: composite\n  steps:\n    - uses: ./loop\n",
    );
    let outcome = bench.run(job(vec![uses("./loop", &[])])).await;
    assert_eq!(outcome.result.conclusion, Failure);
    assert!(
        outcome.messages().iter().any(|message| message.contains("depth exceeded")),
        "{:?}",
        outcome.messages()
    );
}

#[tokio::test]
async fn a_docker_action_says_what_it_needs() {
    let bench = Bench::new();
    bench.write("work/app/app/d/action.yml", "name: d\nruns: { using: docker, image: Dockerfile }\n");
    let outcome = bench.run(job(vec![uses("./d", &[]), run("echo on").when("always()")])).await;
    assert_eq!(outcome.conclusions(), [Failure, Success]);
    assert!(outcome.messages()[0].contains("needs a machine with a container engine"));
}

#[tokio::test]
async fn a_broken_manifest_is_reported_with_its_place() {
    let bench = Bench::new();
    bench.write("work/app/app/b/action.yml", "name: b\nruns:\n  using: node999x\n  main: x.js\n");
    let outcome = bench.run(job(vec![uses("./b", &[]), uses("./none", &[]).when("always()")])).await;
    assert_eq!(outcome.conclusions(), [Failure, Failure]);
    let messages = outcome.messages();
    assert!(messages.iter().any(|message| message.contains("action.yml")), "{messages:?}");
    assert!(
        messages.iter().any(|message| message.contains("Did you forget to run actions/checkout")),
        "{messages:?}"
    );
}

#[tokio::test]
async fn an_action_that_fails_without_a_token_is_told_from_one_that_has_it() {
    let bench = Bench::new();
    let action = "name: t\ninputs: { token: { default: '${{ github.token }}' } }\nruns: { using: node20, main: main.js }";
    bench.write("store/octo/token/action.yml", action);
    bench.write("store/octo/token/main.js", "process.exit(1)");
    let steps =
        vec![uses("octo/token@v1", &[]), uses("octo/token@v1", &[("token", "mine")]).when("always()")];
    let outcome = bench.run(job(steps)).await;
    assert_eq!(outcome.conclusions(), [Failure, Failure]);
    let told: Vec<_> = outcome.messages().into_iter().filter(|told| told.contains("no 'token'")).collect();
    assert_eq!(told.len(), 1, "{}", outcome.all());
    assert!(told[0].contains("--secret GITHUB_TOKEN"), "{told:?}");
}
