//! Reusable workflows.

use model::Conclusion::{Cancelled, Failure, Skipped, Success};
use model::Secrets;
use serde_json::{Value as Json, json};

use super::build::{self, called};
use super::drive::Drive;
use crate::plan::{CalledWorkflows, RunPlan};

const FILE: &str = "./.github/workflows/lib.yml";

fn call(job: &Json, file: Json) -> Drive {
    Drive::with(
        &json!({"jobs": {"call": job, "after": {"needs": "call"}}}),
        called([(FILE, file)]),
        build::context(),
    )
}

fn lib(on: Json, jobs: Json) -> Json {
    json!({"on": {"workflow_call": on}, "jobs": jobs})
}

#[test]
fn jobs_of_a_called_workflow_run_under_the_callers_name() {
    let mut run =
        call(&json!({"uses": FILE}), lib(json!({}), json!({"a": {}, "b": {"name": "B", "needs": "a"}})));
    assert_eq!(run.running(), ["call / a"]);
    run.succeed(&["call / a", "call / B", "after"]);
    assert_eq!(run.finished, Some(Success));
    assert_eq!(run.job("call / B").key, "b");
    assert_eq!(run.job("after").contexts.needs["call"]["result"], "success");
}

#[test]
fn a_job_knows_the_file_that_defines_it() {
    const REMOTE: &str = "acme/tools/.github/workflows/x.yml@v1";
    let mut context = build::context();
    context.github = json!({"repository": "octo/app", "workflow_sha": "abc",
        "workflow_ref": "octo/app/.github/workflows/ci.yml@refs/heads/me@home"});
    context.commits = [(REMOTE.to_owned(), "c0ffee".to_owned())].into();
    let jobs = json!({"own": {}, "local": {"uses": FILE}, "remote": {"uses": REMOTE}});
    let file = lib(json!({}), json!({"a": {}}));
    let run = Drive::with(&json!({"jobs": jobs}), called([(FILE, file.clone()), (REMOTE, file)]), context);
    let origin = |job: &str| {
        let job = &run.job(job).contexts.job;
        ["workflow_repository", "workflow_file_path", "workflow_ref", "workflow_sha"]
            .map(|key| job[key].clone())
    };
    let (ci, lib) = (".github/workflows/ci.yml", ".github/workflows/lib.yml");
    let git_ref = "refs/heads/me@home";
    assert_eq!(origin("own"), ["octo/app", ci, &format!("octo/app/{ci}@{git_ref}"), "abc"]);
    assert_eq!(origin("local / a"), ["octo/app", lib, &format!("octo/app/{lib}@{git_ref}"), "abc"]);
    assert_eq!(origin("remote / a"), ["acme/tools", ".github/workflows/x.yml", REMOTE, "c0ffee"]);
}

#[test]
fn inputs_are_typed_and_have_defaults() {
    let on = json!({"inputs": {
        "text": {"type": "string"}, "flag": {"type": "boolean", "default": true}, "count": {"type": "number"},
        "made": {"type": "string", "default": "on ${{ github.ref }}"}, "given": {"type": "number", "default": 1},
        "spelled": {"type": "string"},
    }});
    let run = call(
        &json!({"uses": FILE, "with": {"GIVEN": "${{ github.event.n }}", "spelled": true}}),
        lib(on, json!({"a": {"if": "inputs.count == 0 && inputs.flag"}})),
    );
    assert_eq!(
        run.job("call / a").contexts.inputs,
        json!({"text": "", "flag": true, "count": 0, "made": "on refs/heads/main", "given": 3, "spelled": "true"})
    );
}

#[test]
fn an_input_of_the_wrong_kind_fails_the_call() {
    let on = json!({"inputs": {"flag": {"type": "boolean"}}});
    let run = call(&json!({"uses": FILE, "with": {"flag": "${{ vars.REGION }}"}}), lib(on, json!({"a": {}})));
    assert_eq!(
        run.reason("call"),
        "Error when evaluating 'with' for job 'call'. ci.yml (Line: 1, Col: 70): Unexpected value 'eu'"
    );
    assert_eq!(run.decision("after"), Skipped);
    assert_eq!(run.finished, Some(Failure));
}

#[test]
fn only_passed_secrets_and_the_token_exist_in_the_callee() {
    let secrets = |passed: Option<Json>| -> Secrets {
        let mut job = json!({"uses": FILE});
        if let Some(passed) = passed {
            job["secrets"] = passed;
        }
        let on = json!({"secrets": {"mine": null, "void": {"required": false}}});
        call(&job, lib(on, json!({"a": {}}))).job("call / a").secrets.clone()
    };
    let names = |passed| secrets(passed).into_keys().collect::<Vec<_>>();
    assert_eq!(names(None), ["GITHUB_TOKEN"]);
    assert_eq!(names(Some(json!("inherit"))), ["GITHUB_TOKEN", "KEY", "OTHER"]);
    let named = secrets(Some(json!({"mine": "${{ secrets.key }}", "void": "${{ secrets.NONE }}"})));
    assert_eq!(named.keys().collect::<Vec<_>>(), ["GITHUB_TOKEN", "mine"]);
    assert_eq!(named["mine"].0, "k1");
}

#[test]
fn an_error_in_a_passed_secret_does_not_show_the_secret() {
    let on = json!({"secrets": {"mine": {}}});
    let job = json!({"uses": FILE, "secrets": {"mine": "${{ fromJSON(secrets.KEY) }}"}});
    let run = call(&job, lib(on, json!({"a": {}})));
    assert!(run.reason("call").contains("'secrets' for job 'call'"), "{}", run.reason("call"));
    assert!(!run.reason("call").contains("k1"), "{}", run.reason("call"));
}

#[test]
fn outputs_come_from_the_jobs_of_the_callee() {
    let on = json!({"outputs": {"version": {"value": "v${{ jobs.a.outputs.number }}"}, "how": {"value": "${{ jobs.b.result }}"}}});
    let mut run = call(&json!({"uses": FILE}), lib(on, json!({"a": {}, "b": {"if": "false"}})));
    run.end_with("call / a", Success, &[("number", "7")]);
    assert_eq!(
        run.job("after").contexts.needs["call"]["outputs"],
        json!({"version": "v7", "how": "skipped"})
    );
}

#[test]
fn a_wrong_output_fails_the_call_after_its_jobs() {
    let on = json!({"outputs": {"o": {"value": "${{ fromJSON(jobs.a.result) }}"}}});
    let mut run = call(&json!({"uses": FILE}), lib(on, json!({"a": {}})));
    run.succeed(&["call / a"]);
    assert_eq!(run.decision("call"), Failure);
    assert_eq!(run.finished, Some(Failure));
}

#[test]
fn results_of_the_callee_become_the_result_of_the_call() {
    for (first, second, expected) in
        [(Success, Failure, "failure"), (Success, Cancelled, "cancelled"), (Success, Success, "success")]
    {
        let workflow =
            json!({"jobs": {"call": {"uses": FILE}, "after": {"needs": "call", "if": "always()"}}});
        let files = called([(FILE, lib(json!({}), json!({"a": {}, "b": {}})))]);
        let mut run = Drive::with(&workflow, files, build::context());
        run.end("call / a", first);
        run.end("call / b", second);
        assert_eq!(run.job("after").contexts.needs["call"]["result"], expected);
    }
}

#[test]
fn a_skipped_call_skips_all_of_it_and_a_callee_of_skipped_jobs_is_skipped() {
    let run = call(&json!({"uses": FILE, "if": "false"}), lib(json!({}), json!({"a": {}})));
    assert_eq!(run.decided.iter().map(|(name, ..)| name.as_str()).collect::<Vec<_>>(), ["call", "after"]);
    let run = call(&json!({"uses": FILE}), lib(json!({}), json!({"a": {"if": "inputs.x"}})));
    assert_eq!((run.decision("call / a"), run.decision("after")), (Skipped, Skipped));
    assert_eq!(run.finished, Some(Skipped));
}

#[test]
fn needs_and_conditions_of_a_callee_stay_inside_of_it() {
    let workflow = json!({"jobs": {
        "broken": {}, "call": {"needs": "broken", "if": "always()", "uses": FILE},
    }});
    let files = called([(FILE, lib(json!({}), json!({"a": {}, "b": {"if": "failure()"}})))]);
    let mut run = Drive::with(&workflow, files, build::context());
    run.fail("broken");
    assert_eq!(run.running(), ["call / a"]);
    assert_eq!(run.job("call / a").contexts.needs, json!({}));
    assert_eq!(run.decision("call / b"), Skipped);
}

#[test]
fn environment_and_defaults_of_the_caller_do_not_reach_the_callee() {
    let workflow =
        json!({"env": {"A": "1"}, "defaults": {"run": {"shell": "sh"}}, "jobs": {"call": {"uses": FILE}}});
    let file = json!({"name": "Lib", "env": {"B": "2"}, "on": {"workflow_call": {}}, "jobs": {"a": {}}});
    let run = Drive::with(&workflow, called([(FILE, file)]), build::context());
    let job = run.job("call / a");
    assert_eq!(job.env.len(), 1);
    assert_eq!(job.defaults.shell, None);
    assert_eq!(job.contexts.github["workflow"], "ci.yml", "github stays the caller's");
    assert_eq!(job.contexts.github["job"], "a");
}

#[test]
fn a_call_may_have_a_matrix_whose_failure_stops_the_other_calls() {
    let job = json!({"uses": FILE, "with": {"x": "${{ matrix.x }}"}, "strategy": {"matrix": {"x": ["p", "q", "r"]}, "max-parallel": 2}});
    let on = json!({"inputs": {"x": {"type": "string"}}, "outputs": {"o": {"value": "${{ inputs.x }}"}}});
    let mut run =
        call(&job, lib(on, json!({"a": {}, "b": {"needs": "a"}, "c": {"needs": "a", "if": "always()"}})));
    assert_eq!(run.running(), ["call (p) / a", "call (q) / a"]);
    assert_eq!(run.job("call (q) / a").contexts.inputs, json!({"x": "q"}));
    run.fail("call (p) / a");
    run.succeed(&["call (p) / c"]);
    assert_eq!(run.decision("call (r)"), Cancelled);
    assert_eq!(run.cancelled, [run.id("call (q) / a")]);
    run.end("call (q) / a", Cancelled);
    assert_eq!(run.decision("call (q) / b"), Cancelled);
    run.succeed(&["call (q) / c"]);
    assert_eq!(run.finished, Some(Failure));
}

#[test]
fn cancelling_the_run_reaches_the_jobs_of_its_calls() {
    let workflow =
        json!({"jobs": {"call": {"uses": FILE}, "later": {"needs": "call", "if": "always()", "uses": FILE}}});
    let files = called([(FILE, lib(json!({}), json!({"a": {}, "b": {"needs": "a", "if": "always()"}})))]);
    let mut run = Drive::with(&workflow, files, build::context());
    run.cancel();
    assert_eq!(run.cancelled, [run.id("call / a")]);
    run.end("call / a", Cancelled);
    run.succeed(&["call / b"]);
    assert_eq!(run.decision("later / a"), Cancelled);
    run.succeed(&["later / b"]);
    assert_eq!(run.finished, Some(Cancelled));
}

#[test]
fn calls_nest_and_local_paths_mean_the_repository_of_their_file() {
    let remote = "o/r/.github/workflows/outer.yml@v1";
    let files = called([
        (remote, lib(json!({}), json!({"mid": {"uses": "./.github/workflows/inner.yml"}}))),
        ("o/r/.github/workflows/inner.yml@v1", lib(json!({}), json!({"leaf": {}}))),
    ]);
    let mut run = Drive::with(&json!({"jobs": {"top": {"uses": remote}}}), files, build::context());
    assert_eq!(run.running(), ["top / mid / leaf"]);
    run.succeed(&["top / mid / leaf"]);
    assert_eq!(run.finished, Some(Success));
}

#[test]
fn groups_hold_for_a_whole_call_and_a_callee_may_bring_its_own() {
    let wish = json!({"group": "g", "queue": "max"});
    let workflow = json!({"jobs": {
        "one": {"uses": FILE, "concurrency": wish}, "two": {"uses": FILE, "concurrency": wish}, "three": {"uses": FILE},
    }});
    let mut file = lib(json!({}), json!({"a": {}, "b": {"needs": "a"}}));
    file["concurrency"] = json!({"group": "lib", "queue": "max"});
    let mut run = Drive::with(&workflow, called([(FILE, file)]), build::context());
    for call in ["one", "three", "two"] {
        assert_eq!(run.running(), [format!("{call} / a")]);
        run.succeed(&[&format!("{call} / a"), &format!("{call} / b")]);
    }
    assert_eq!(run.finished, Some(Success));
}

#[test]
fn a_job_can_not_ask_for_the_group_of_its_call() {
    let run =
        call(&json!({"uses": FILE, "concurrency": "g"}), lib(json!({}), json!({"a": {"concurrency": "G"}})));
    assert_eq!(
        run.reason("call / a"),
        "a deadlock for concurrency group 'G' was detected between 'call' and 'call / a'"
    );
    assert_eq!(run.finished, Some(Failure));
}

#[test]
fn a_workflow_that_calls_itself_is_refused() {
    let files = called([(FILE, lib(json!({}), json!({"a": {}, "again": {"uses": FILE}})))]);
    let problems =
        RunPlan::new(build::workflow(&json!({"jobs": {"call": {"uses": FILE}}})), files, build::context());
    assert_eq!(problems.unwrap_err()[0].message, "Nested reusable workflow depth exceeded 9.");
}

#[test]
fn calls_that_do_not_fit_are_refused_before_anything_runs() {
    let plan = |job: Json, file: Json| {
        let workflow = build::workflow(&json!({"jobs": {"call": job}}));
        match RunPlan::new(workflow, called([(FILE, file)]), build::context()) {
            Err(problems) => {
                problems.into_iter().map(|problem| problem.message).collect::<Vec<_>>().join("; ")
            }
            Ok(_) => String::new(),
        }
    };
    let strict = || {
        lib(
            json!({"inputs": {"foo": {"type": "number", "required": true}}, "secrets": {"shh": {"required": true}}}),
            json!({"a": {}}),
        )
    };
    let all = json!({"foo": 1});
    assert_eq!(plan(json!({"uses": FILE, "with": all, "secrets": "inherit"}), strict()), "");
    assert_eq!(
        plan(json!({"uses": FILE}), strict()),
        "Input foo is required, but not provided while calling.; Secret shh is required, but not provided while calling."
    );
    assert_eq!(
        plan(
            json!({"uses": FILE, "with": {"foo": "x", "bar": 1}, "secrets": {"shh": "x", "psst": "y"}}),
            strict()
        ),
        "Unexpected value 'x'; Invalid input, bar is not defined in the referenced workflow.; \
         Invalid secret, psst is not defined in the referenced workflow."
    );
    let uncallable = json!({"on": {"push": {}}, "jobs": {"a": {}}});
    assert!(plan(json!({"uses": FILE}), uncallable).contains("workflow_call key is not defined"));
    assert!(
        plan(json!({"uses": "./.github/workflows/none.yml"}), strict()).contains("workflow was not found")
    );
    assert!(
        plan(json!({"uses": "./elsewhere/x.yml"}), strict())
            .contains("must be rooted in '.github/workflows'")
    );
    assert!(plan(json!({"uses": "o/r/.github/workflows/x.yml"}), strict()).contains("no version specified"));
}

#[test]
fn a_callee_may_not_take_more_permissions_than_its_caller_has() {
    let refused = |job: Json, file: Json| {
        let workflow = build::workflow(&json!({"permissions": {"actions": "read"}, "jobs": {"call": job}}));
        RunPlan::new(workflow, called([(FILE, file)]), build::context())
            .err()
            .map(|problems| problems[0].message.clone())
    };
    let file = |access: &str| lib(json!({}), json!({"a": {"permissions": {"actions": access}}}));
    assert_eq!(refused(json!({"uses": FILE}), file("read")), None);
    assert_eq!(refused(json!({"uses": FILE, "permissions": "write-all"}), file("write")), None);
    assert_eq!(
        refused(json!({"uses": FILE}), file("write")).as_deref(),
        Some(
            "Error calling workflow './.github/workflows/lib.yml'. The nested job 'a' is requesting 'actions: write', \
             but is only allowed 'actions: read'."
        )
    );
    let free = RunPlan::new(
        build::workflow(&json!({"jobs": {"call": {"uses": FILE}}})),
        called([(FILE, file("write"))]),
        build::context(),
    );
    assert!(free.is_ok(), "nobody restricts a run that restricts nothing");
}

#[test]
fn an_empty_file_list_is_a_missing_file() {
    let workflow = build::workflow(&json!({"jobs": {"call": {"uses": FILE}}}));
    assert!(RunPlan::new(workflow, CalledWorkflows::new(), build::context()).is_err());
}
