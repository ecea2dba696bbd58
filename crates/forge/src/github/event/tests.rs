use serde_json::{Value as Json, json};

use super::*;
use crate::commit::NO_COMMIT;
use crate::git::Want;

fn sha(letter: &str) -> String {
    letter.repeat(40)
}

/// A payload about octo/hello, with these fields besides.
fn payload(fields: Json) -> Json {
    let mut payload = json!({
        "repository": {"id": 1, "full_name": "octo/hello", "default_branch": "main", "private": true},
        "sender": {"login": "mona"},
        "installation": {"id": 9},
    });
    for (name, value) in fields.as_object().expect("an object") {
        payload[name] = value.clone();
    }
    payload
}

fn pull(action: &str, fields: Json) -> Json {
    let mut pull = json!({
        "number": 7,
        "merged": false,
        "author_association": "CONTRIBUTOR",
        "user": {"login": "ada"},
        "head": {"ref": "topic", "sha": sha("a"), "repo": {"id": 1, "full_name": "octo/hello"}},
        "base": {"ref": "v2", "sha": sha("b"), "repo": {"id": 1, "full_name": "octo/hello"}},
    });
    for (name, value) in fields.as_object().expect("an object") {
        pull[name] = value.clone();
    }
    payload(json!({"action": action, "number": 7, "pull_request": pull}))
}

fn starts(event: &str, payload: &Json) -> Vec<Start> {
    match read(event, payload).unwrap_or_else(|error| panic!("{event}: {error}")).meaning {
        Meaning::Start(starts) => starts,
        other => panic!("{event}: {other:?}"),
    }
}

fn start(event: &str, fields: Json) -> Start {
    starts(event, &payload(fields)).remove(0)
}

fn nothing(event: &str, fields: Json) -> String {
    match read(event, &payload(fields)).unwrap().meaning {
        Meaning::Nothing(reason) => reason,
        other => panic!("{event}: {other:?}"),
    }
}

fn push(fields: Json) -> Json {
    let mut push = json!({
        "ref": "refs/heads/topic", "before": sha("b"), "after": sha("a"),
        "created": false, "deleted": false, "forced": false,
        "head_commit": {"id": sha("a"), "message": "Do it"},
        "commits": [{"id": sha("c")}, {"id": sha("a")}],
    });
    for (name, value) in fields.as_object().expect("an object") {
        push[name] = value.clone();
    }
    push
}

#[test]
fn a_reading_says_where_and_who() {
    let reading = read("push", &payload(push(json!({})))).unwrap();
    let repository = reading.repository.unwrap();
    assert_eq!((repository.id, repository.name.as_str(), repository.private), (1, "octo/hello", true));
    assert_eq!(repository.default_branch.as_deref(), Some("main"));
    assert_eq!((reading.installation, reading.sender.as_deref()), (Some(9), Some("mona")));
}

#[test]
fn a_push_runs_its_own_commit_with_its_own_workflows() {
    let start = start("push", push(json!({})));
    assert_eq!(start.reference, "refs/heads/topic");
    assert_eq!(start.commit, CommitSpec::Sha(sha("a")));
    assert_eq!(start.workflows_from, start.commit);
    assert_eq!(start.actor, "mona");
    assert_eq!(start.head_message.as_deref(), Some("Do it"));
    assert!(!start.is_fork);
    let diff = Diff::Push {
        before: sha("b"),
        after: sha("a"),
        first: Some(sha("c")),
        created: false,
        forced: false,
    };
    assert_eq!(start.diff, diff);
    assert_eq!(Vec::<Want>::from(&start), [Want::Sha(sha("a")), Want::Perhaps(sha("b"))]);
}

#[test]
fn an_annotated_tag_runs_the_commit_that_it_is_of() {
    let start = start("push", push(json!({"ref": "refs/tags/v1", "after": sha("d")})));
    assert_eq!((start.commit, start.diff), (CommitSpec::Sha(sha("a")), Diff::None));
}

#[test]
fn what_was_deleted_and_what_is_no_branch_starts_nothing() {
    let gone = push(json!({"deleted": true, "after": NO_COMMIT, "head_commit": null}));
    assert_eq!(nothing("push", gone), "refs/heads/topic was deleted");
    let note = push(json!({"ref": "refs/notes/commits"}));
    assert_eq!(nothing("push", note), "'refs/notes/commits' is neither a branch nor a tag");
}

#[test]
fn a_pull_request_is_two_events_on_both_sides_of_trust() {
    let starts = starts("pull_request", &pull("opened", json!({})));
    let [own, target] = &starts[..] else { panic!("{starts:?}") };
    assert_eq!((own.event.as_str(), target.event.as_str()), ("pull_request", "pull_request_target"));
    let merge = CommitSpec::Merge { pull: 7, head: sha("a"), base: sha("b") };
    assert_eq!((&own.commit, &own.workflows_from), (&merge, &merge));
    assert_eq!(own.reference, "refs/pull/7/merge");
    let default = CommitSpec::Branch("main".into());
    assert_eq!((&target.commit, &target.workflows_from), (&default, &default));
    assert_eq!(target.reference, "refs/heads/main");
    assert_eq!(own.message_from("merge"), sha("a"), "the trial merge's own message is nobody's");
    assert_eq!(target.message_from("main"), "main");
    let diff = Diff::Pull { base: sha("b"), head: sha("a") };
    assert_eq!((&own.diff, &target.diff), (&diff, &diff));
    let wants = [Want::Pull(7), Want::Perhaps(sha("b")), Want::Perhaps(sha("a"))];
    assert_eq!(Vec::<Want>::from(own), wants);
}

#[test]
fn a_pull_request_is_described() {
    let described = starts("pull_request", &pull("opened", json!({}))).remove(0).pull_request.unwrap();
    let expected = PullRequest {
        number: 7,
        head_repository: Some("octo/hello".parse().unwrap()),
        head_ref: "topic".into(),
        head_sha: sha("a"),
        base_ref: "v2".into(),
        base_sha: sha("b"),
        author: "ada".into(),
        author_id: None,
        author_association: "CONTRIBUTOR".into(),
        is_fork: false,
    };
    assert_eq!(described, expected);
}

#[test]
fn a_pull_request_of_another_repository_is_not_trusted_nor_one_of_a_deleted_repository() {
    let of = |repo: Json| pull("opened", json!({"head": {"ref": "topic", "sha": sha("a"), "repo": repo}}));
    for repo in [json!({"id": 2, "full_name": "eve/hello"}), Json::Null, json!({})] {
        let [own, target] = &starts("pull_request", &of(repo.clone()))[..] else { panic!() };
        assert!(own.is_fork && own.pull_request.as_ref().unwrap().is_fork, "{repo}");
        assert!(!target.is_fork, "its code is the default branch's");
        assert!(target.pull_request.as_ref().unwrap().is_fork, "{repo}");
        assert!(starts("pull_request_review", &of(repo))[0].is_fork);
    }
    assert!(!starts("pull_request", &of(json!({"id": 1})))[0].is_fork);
}

#[test]
fn a_merged_pull_request_runs_what_came_of_the_merge() {
    let merged = pull("closed", json!({"merged": true, "merge_commit_sha": sha("e")}));
    let starts_of = starts("pull_request", &merged);
    assert_eq!(starts_of[0].reference, "refs/heads/v2");
    assert_eq!(starts_of[0].commit, CommitSpec::Sha(sha("e")));
    assert_eq!(starts_of[1].commit, CommitSpec::Branch("main".into()));
    let unsaid = starts("pull_request", &pull("closed", json!({"merged": true})));
    assert_eq!(unsaid[0].commit, CommitSpec::Branch("v2".into()));
    let closed = starts("pull_request", &pull("closed", json!({"merge_commit_sha": sha("e")})));
    assert!(matches!(closed[0].commit, CommitSpec::Merge { .. }));
}

#[test]
fn reviews_run_the_merge_and_compare_no_files() {
    for event in ["pull_request_review", "pull_request_review_comment"] {
        let starts = starts(event, &pull("submitted", json!({})));
        assert_eq!(starts.len(), 1);
        assert!(matches!(starts[0].commit, CommitSpec::Merge { pull: 7, .. }), "{event}");
        assert_eq!(starts[0].diff, Diff::None);
    }
}

#[test]
fn most_events_run_the_default_branch() {
    for event in [
        "branch_protection_rule",
        "delete",
        "discussion",
        "discussion_comment",
        "fork",
        "gollum",
        "image_version",
        "issue_comment",
        "issues",
        "label",
        "milestone",
        "page_build",
        "public",
        "repository_dispatch",
        "schedule",
        "status",
        "workflow_run",
    ] {
        let start = start(event, json!({"action": "created", "ref": "elsewhere"}));
        assert_eq!(start.reference, "refs/heads/main", "{event}");
        assert_eq!(start.commit, CommitSpec::Branch("main".into()), "{event}");
        assert_eq!(start.workflows_from, start.commit, "{event}");
    }
}

#[test]
fn events_of_a_ref_run_that_ref() {
    let created = start("create", json!({"ref": "dev", "ref_type": "branch"}));
    assert_eq!(
        (created.commit, created.reference.as_str()),
        (CommitSpec::Branch("dev".into()), "refs/heads/dev")
    );
    let released = start("release", json!({"action": "published", "release": {"tag_name": "v9"}}));
    assert_eq!(
        (released.commit, released.reference.as_str()),
        (CommitSpec::Tag("v9".into()), "refs/tags/v9")
    );
    let by_hand = json!({"ref": "refs/tags/v3", "workflow": ".github/workflows/ci.yml"});
    let dispatched = start("workflow_dispatch", by_hand);
    assert_eq!(dispatched.commit, CommitSpec::Tag("v3".into()));
    assert_eq!(dispatched.workflow.as_deref(), Some(".github/workflows/ci.yml"));
    let queue = json!({"head_ref": "refs/heads/gh-readonly-queue/main/pr-1", "head_sha": sha("f"), "head_commit": {"message": "m"}});
    let grouped = start("merge_group", json!({"action": "checks_requested", "merge_group": queue}));
    assert_eq!(grouped.commit, CommitSpec::Sha(sha("f")));
    assert_eq!(grouped.head_message.as_deref(), Some("m"));
}

#[test]
fn a_deployment_runs_the_commit_that_is_deployed() {
    let of = |reference: &str| json!({"deployment": {"ref": reference, "sha": sha("a")}});
    let named = start("deployment", of("topic"));
    assert_eq!((named.reference.as_str(), named.commit), ("refs/heads/topic", CommitSpec::Sha(sha("a"))));
    for bare in ["", &sha("a")] {
        assert_eq!(start("deployment_status", of(bare)).reference, "", "{bare}");
    }
}

#[test]
fn a_package_runs_its_own_commit_with_the_default_branchs_workflows() {
    let version = json!({"package_version": {"target_commitish": "rel", "target_oid": sha("a")}});
    let start = start("registry_package", json!({"action": "published", "registry_package": version}));
    assert_eq!(start.reference, "refs/heads/rel");
    assert_eq!(start.commit, CommitSpec::Sha(sha("a")));
    assert_eq!(start.workflows_from, CommitSpec::Branch("main".into()));
    assert_eq!(start.workflow_reference(), "refs/heads/main");
}

#[test]
fn actions_that_github_runs_nothing_for_start_nothing() {
    let requested = nothing("check_suite", json!({"action": "requested", "check_suite": {"id": 5}}));
    assert_eq!(requested, "check_suite with action requested starts no workflows");
    nothing("merge_group", json!({"action": "destroyed"}));
    nothing("create", json!({"ref": null, "ref_type": "repository"}));
    for event in ["star", "commit_comment", "installation", "workflow_job", "brand_new"] {
        assert_eq!(nothing(event, json!({"action": "created"})), format!("{event} starts no workflows"));
    }
}

#[test]
fn a_check_that_is_wanted_again_is_named() {
    let check = json!({
        "id": 4, "head_sha": sha("a"), "external_id": "17", "app": {"id": 3}, "check_suite": {"id": 5},
    });
    let again = |fields: Json| match read("check_run", &payload(fields)).unwrap().meaning {
        Meaning::Rerequested(again) => again,
        other => panic!("{other:?}"),
    };
    let run = again(json!({"action": "rerequested", "check_run": check}));
    assert_eq!((run.check_run, run.check_suite, run.app), (Some(4), 5, Some(3)));
    assert_eq!(run.external_id.as_deref(), Some("17"));
    assert_eq!((run.starts[0].event.as_str(), run.starts[0].app), ("check_run", Some(3)));
    let button = json!({"action": "requested_action", "check_run": check, "requested_action": {"identifier": "rerun"}});
    assert_eq!(again(button).requested_action.as_deref(), Some("rerun"));
    let suite = payload(
        json!({"action": "rerequested", "check_suite": {"id": 5, "head_sha": sha("a"), "app": {"id": 3}}}),
    );
    let Meaning::Rerequested(suite) = read("check_suite", &suite).unwrap().meaning else { panic!() };
    assert_eq!((suite.check_run, suite.check_suite, suite.starts), (None, 5, Vec::new()));
}

#[test]
fn a_ping_is_a_ping_also_without_a_repository() {
    assert_eq!(read("ping", &json!({"zen": "Keep it simple"})).unwrap().meaning, Meaning::Ping);
}

#[test]
fn what_cannot_be_read_says_what_is_missing() {
    let error = |event: &str, payload: &Json| read(event, payload).unwrap_err().to_string();
    assert!(error("push", &json!([1])).contains("not a JSON object"));
    let of_none = error("issues", &json!({"action": "opened"}));
    assert_eq!(of_none, "the payload of issues has no repository, without which nobody can say what to run");
    assert!(error("push", &payload(json!({"ref": "refs/heads/x"}))).contains("has no after"));
    let option = error("push", &payload(push(json!({"head_commit": {"id": "--output=x"}}))));
    assert!(option.contains("has a head_commit/id that can't be one: '--output=x'"), "{option}");
    let climbing = json!({"repository": {"full_name": "../../etc"}});
    assert!(error("push", &climbing).contains("'../../etc' is no name of a repository"));
    let odd = error("push", &payload(push(json!({"ref": "refs/heads/a b"}))));
    assert!(odd.contains("has a ref that can't be one"), "{odd}");
    let base = pull("closed", json!({"merged": true, "base": {"ref": "a b", "sha": sha("b")}}));
    assert!(error("pull_request", &base).contains("has a pull_request/base/ref that can't be one: 'a b'"));
    let default = json!({"repository": {"full_name": "octo/hello", "default_branch": "-> x"}});
    assert!(error("issues", &default).contains("has a repository/default_branch that can't be one"));
    let long = error("push", &payload(push(json!({"ref": format!("refs/heads/ {}", "é".repeat(5000))}))));
    assert!(long.len() < 400, "{long}");
}

#[test]
fn what_our_own_clock_and_people_make_up_is_read_like_a_webhook() {
    let server: crate::ServerUrl = "https://git.example.com".parse().unwrap();
    let repository = read("push", &payload(push(json!({})))).unwrap().repository.unwrap();
    let repository = made::repository(&repository, &server);
    let due = starts("schedule", &made::schedule(&repository, "mona", "5 4 * * *", None)).remove(0);
    assert_eq!((due.commit, due.actor.as_str()), (CommitSpec::Branch("main".into()), "mona"));
    let by_hand =
        made::workflow_dispatch(&repository, "mona", "refs/heads/dev", "ci.yml", &json!({"a": "b"}));
    assert_eq!(starts("workflow_dispatch", &by_hand)[0].commit, CommitSpec::Branch("dev".into()));
    let elsewhere = made::repository_dispatch(&repository, "mona", "deploy", &json!({}));
    assert_eq!(starts("repository_dispatch", &elsewhere)[0].action.as_deref(), Some("deploy"));
}

#[test]
fn no_payload_makes_reading_panic() {
    let whole = pull("opened", json!({}));
    let odd = [Json::Null, json!(1), json!(""), json!("x"), json!([]), json!({}), json!(-1.5), json!(true)];
    for kind in EventKind::KNOWN {
        for pointer in pointers(&whole) {
            for value in &odd {
                let mut payload = whole.clone();
                *payload.pointer_mut(&pointer).expect("it is there") = value.clone();
                let _ = read(kind.as_str(), &payload);
                answer(kind.as_str(), &payload);
            }
        }
    }
}

/// Where everything in a value is.
fn pointers(value: &Json) -> Vec<String> {
    let mut all = vec![String::new()];
    for (name, inner) in value.as_object().into_iter().flatten() {
        all.extend(pointers(inner).into_iter().map(|rest| format!("/{name}{rest}")));
    }
    all
}
