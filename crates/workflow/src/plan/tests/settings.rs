//! What a started job is given.

use std::time::Duration;

use model::Conclusion::{Failure, Success};
use model::{ActionRef, StepWork, Template, Trust};
use serde_json::json;

use super::build;
use super::drive::Drive;
use crate::plan::{CalledWorkflows, RunsOn};

#[test]
fn runs_on_takes_a_label_a_list_and_a_group() {
    let run = Drive::new(&json!({"jobs": {
        "a": {"runs-on": "${{ matrix.os }}", "strategy": {"matrix": {"os": ["linux"]}}},
        "b": {"runs-on": ["self-hosted", "${{ vars.REGION }}"]},
        "c": {"runs-on": {"group": "org/big", "labels": "gpu"}},
        "d": {"runs-on": "${{ fromJSON('[\"x\",\"y\"]') }}"},
    }}));
    let expected = [
        (None, vec!["linux"]),
        (None, vec!["self-hosted", "eu"]),
        (Some("org/big"), vec!["gpu"]),
        (None, vec!["x", "y"]),
    ];
    for ((_, runs_on), (group, labels)) in run.started.iter().zip(expected) {
        let labels = labels.into_iter().map(str::to_owned).collect();
        assert_eq!(*runs_on, RunsOn { group: group.map(str::to_owned), labels });
    }
}

#[test]
fn a_setting_of_the_wrong_kind_fails_its_job_with_its_place() {
    for (key, value, expected) in [
        ("runs-on", json!("${{ matrix.none }}"), "Unexpected value ''"),
        (
            "runs-on",
            json!({"group": "${{ 'a/b' }}/${{ vars.REGION }}"}),
            "Invalid runs-on group name 'a/b/eu'.",
        ),
        ("runs-on", json!("${{ fromJSON(vars.MAP) }}"), "Unexpected value 'k'"),
        ("runs-on", json!([]), "There is no label"),
        ("runs-on", json!("${{ fromJSON('[]') }}"), "There is no label"),
        ("runs-on", json!({"labels": []}), "There is neither a group nor a label"),
        (
            "runs-on",
            json!(format!("x-${{{{ vars.REGION }}}}{}", "y".repeat(300))),
            "more than 256 characters",
        ),
        ("timeout-minutes", json!("${{ vars.TEN }}"), "Unexpected value '10'"),
        ("continue-on-error", json!("${{ vars.YES }}"), "Unexpected value 'true'"),
        ("name", json!("${{ github.event }}"), "A mapping was not expected"),
        ("environment", json!({"name": "${{ fromJSON(vars.LIST) }}"}), "A sequence was not expected"),
    ] {
        let run = Drive::new(&json!({"jobs": {"a": {key: value}}}));
        let reason = run.reason("a");
        assert!(
            reason.starts_with(&format!("Error when evaluating '{key}' for job 'a'. ci.yml (Line: 1, Col: ")),
            "{reason}"
        );
        assert!(reason.contains(expected), "{reason}");
        assert_eq!(run.finished, Some(Failure));
    }
}

#[test]
fn a_wrong_configuration_stops_its_matrix_too() {
    let run = Drive::new(&json!({"jobs": {"b": {
        "timeout-minutes": "${{ matrix.t }}", "strategy": {"matrix": {"t": [5, "five"]}},
    }}}));
    assert!(run.names().is_empty());
    assert_eq!(run.finished, Some(Failure));
}

#[test]
fn timeouts_have_githubs_defaults() {
    let run = Drive::new(&json!({"jobs": {
        "a": {}, "b": {"timeout-minutes": "${{ github.event.n }}", "cancel-timeout-minutes": 0.5},
        "c": {"timeout-minutes": 1e300}, "d": {"timeout-minutes": 0},
    }}));
    assert_eq!(run.job("a").timeout, Duration::from_secs(360 * 60));
    assert_eq!(run.job("a").cancel_timeout, Duration::from_secs(300));
    assert_eq!(run.job("b").timeout, Duration::from_secs(180));
    assert_eq!(run.job("b").cancel_timeout, Duration::from_secs(30));
    assert_eq!(run.job("d").timeout, run.job("a").timeout);
    assert!(run.job("c").timeout > Duration::from_secs(360 * 60));
}

#[test]
fn contexts_name_the_job_and_carry_the_token() {
    let run = Drive::new(&json!({"name": "CI", "jobs": {"a": {}}}));
    let job = run.job("a");
    assert_eq!(job.contexts.github["job"], "a");
    assert_eq!(job.contexts.github["workflow"], "CI");
    assert_eq!(job.contexts.github["token"], "ghs");
    assert_eq!(job.contexts.github["event"]["n"], 3);
    assert_eq!(job.contexts.vars["REGION"], "eu");
    assert_eq!(job.secrets.len(), 3);
    assert_eq!((job.key.as_str(), job.run.0, job.id.0, job.attempt), ("a", 7, 1000, 1));
}

#[test]
fn a_workflow_without_a_name_is_called_like_its_file_and_without_a_token_there_is_none() {
    let mut context = build::context();
    context.secrets.clear();
    let run = Drive::with(
        &json!({"jobs": {"a": {"if": "github.workflow == 'ci.yml'"}}}),
        CalledWorkflows::new(),
        context,
    );
    assert_eq!(run.job("a").contexts.github["workflow"], "ci.yml");
    assert_eq!(run.job("a").contexts.github.get("token"), None);
}

#[test]
fn untrusted_code_gets_no_secret_but_the_token() {
    let mut context = build::context();
    context.trust = Trust::Untrusted;
    let run = Drive::with(&json!({"jobs": {"a": {}}}), CalledWorkflows::new(), context);
    assert_eq!(run.job("a").secrets.keys().collect::<Vec<_>>(), ["GITHUB_TOKEN"]);
}

#[test]
fn layers_of_environment_and_defaults_reach_the_job_unevaluated() {
    let run = Drive::new(&json!({
        "env": {"A": "${{ github.sha }}"}, "defaults": {"run": {"shell": "sh", "working-directory": "w"}},
        "jobs": {"a": {
            "env": {"B": 1}, "defaults": {"run": {"shell": "bash"}}, "outputs": {"o": "${{ steps.s.outputs.x }}"},
            "environment": {"name": "prod", "url": "https://${{ steps.s.outputs.host }}"},
            "steps": [{"id": "s", "run": "echo ${{ env.A }}", "if": "failure()"}, {"uses": "./x", "with": {"k": true}}],
        }},
    }));
    let job = run.job("a");
    let pair = |key: &str, value| Template::Mapping(vec![(Template::text(key), value)]);
    assert_eq!(job.env, [pair("A", Template::expression("github.sha")), pair("B", Template::text("1"))]);
    assert_eq!(job.defaults.shell, Some(Template::text("bash")));
    assert_eq!(job.defaults.working_directory, Some(Template::text("w")));
    assert_eq!(job.outputs, [("o".to_owned(), Template::expression("steps.s.outputs.x"))]);
    assert_eq!(
        job.environment_url,
        Some(Template::expression("format('https://{0}', steps.s.outputs.host)"))
    );
    assert_eq!(job.steps[0].condition, "failure()");
    assert_eq!(job.steps[1].condition, "success()");
    let StepWork::Action { uses, with } = &job.steps[1].work else { panic!("an action") };
    assert_eq!(*uses, ActionRef::Local("./x".to_owned()));
    assert_eq!(*with, Some(pair("k", Template::text("true"))));
}

#[test]
fn the_same_results_in_the_same_order_give_the_same_run() {
    let workflow = json!({"jobs": {
        "a": {}, "b": {"strategy": {"matrix": {"x": [1, 2]}}}, "c": {"needs": ["a", "b"]},
    }});
    let names = || {
        let mut run = Drive::new(&workflow);
        run.succeed(&["b (2)", "a", "b (1)", "c"]);
        assert_eq!(run.finished, Some(Success));
        run.started.iter().map(|(job, _)| (job.id, job.name.clone())).collect::<Vec<_>>()
    };
    assert_eq!(names(), names());
}
