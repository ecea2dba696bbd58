//! Every example of a webhook that GitHub's users have collected is read.

use std::collections::BTreeSet;
use std::path::Path;

use forge::github::event::{EventKind, Meaning, answer, read};
use serde_json::Value as Json;

/// The payloads of `@octokit/webhooks-examples`, by event.
fn examples() -> Vec<(String, Vec<Json>)> {
    let path = "clients/node_modules/@octokit/webhooks-examples/api.github.com/index.json";
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join(path);
    let text = std::fs::read(&path)
        .unwrap_or_else(|error| panic!("{}: {error} (`cargo xtask setup` installs it)", path.display()));
    let all: Vec<Json> = serde_json::from_slice(&text).expect("a list of events");
    let one = |event: &Json| {
        let examples = event["examples"].as_array().expect("examples").clone();
        (event["name"].as_str().expect("a name").to_owned(), examples)
    };
    all.iter().map(one).collect()
}

#[test]
fn every_example_is_read() {
    let mut count = 0;
    for (event, payloads) in examples() {
        assert!(!matches!(EventKind::of(&event), EventKind::Unknown(_)), "{event} is not known");
        for (place, payload) in payloads.iter().enumerate() {
            let reading = read(&event, payload).unwrap_or_else(|error| panic!("{event} {place}: {error}"));
            assert_eq!(reading.kind.as_str(), event);
            assert_eq!(reading.action.as_deref(), payload["action"].as_str(), "{event} {place}");
            let repository = reading.repository.map(|repository| repository.name.to_string());
            assert_eq!(repository.as_deref(), payload["repository"]["full_name"].as_str(), "{event} {place}");
            assert!(!answer(&event, payload).is_empty());
            count += 1;
        }
    }
    assert!(count >= 300, "only {count} examples");
}

#[test]
fn the_events_that_start_workflows_do() {
    let mut starting = BTreeSet::new();
    let mut rerequested = BTreeSet::new();
    for (event, payloads) in examples() {
        for payload in &payloads {
            match read(&event, payload).expect("it is read").meaning {
                Meaning::Start(starts) => starting.extend(starts.into_iter().map(|start| start.event)),
                Meaning::Rerequested(again) => {
                    rerequested.insert(event.clone());
                    starting.extend(again.starts.into_iter().map(|start| start.event));
                }
                Meaning::Ping | Meaning::Nothing(_) => {}
            }
        }
    }
    // Those of GitHub's list that the examples have.
    let expected = "branch_protection_rule check_run check_suite create delete deployment deployment_status discussion \
        discussion_comment fork gollum issue_comment issues label merge_group milestone page_build project \
        project_card project_column public pull_request pull_request_review pull_request_review_comment \
        pull_request_target push release repository_dispatch status watch workflow_dispatch workflow_run";
    let expected: BTreeSet<String> = expected.split_whitespace().map(str::to_owned).collect();
    assert_eq!(starting, expected);
    assert_eq!(rerequested, ["check_run", "check_suite"].map(str::to_owned).into());
}
