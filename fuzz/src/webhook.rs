//! Payloads of webhooks: nothing of what they say reaches git unless it has the form that it should.

use forge::commit::{is_commit, is_ref_name};
use forge::git::Want;
use forge::github::event::{EventKind, Meaning, Start, answer, read};
use forge::github::signature::{Secrets, sign};
use forge::{CommitSpec, RepositoryName};

/// Reads a payload as each kind of event.
pub(crate) fn run(input: &[u8]) {
    let secrets = Secrets::new(["right"]).expect("it is not empty");
    assert!(secrets.verify(input, Some(&sign("right", input))).is_ok(), "what is signed is believed");
    assert!(secrets.verify(input, Some(&sign("wrong", input))).is_err(), "and nothing else");
    let header = String::from_utf8_lossy(input);
    assert!(secrets.verify(b"a body", Some(&header)).is_err(), "no header is right by chance");
    let Ok(payload) = serde_json::from_slice::<serde_json::Value>(input) else { return };
    for kind in EventKind::KNOWN {
        let name = kind.as_str();
        assert!(!answer(name, &payload).is_empty(), "an answer says something");
        let reading = match read(name, &payload) {
            Ok(reading) => reading,
            Err(error) => {
                assert!(error.to_string().len() < 2000, "an error is no copy of the payload");
                continue;
            }
        };
        assert_eq!(read(name, &payload).as_ref(), Ok(&reading), "the same payload means the same");
        match reading.meaning {
            Meaning::Start(starts) => {
                assert!(!starts.is_empty() && reading.repository.is_some(), "a start has a repository");
                starts.iter().for_each(check);
            }
            Meaning::Rerequested(again) => {
                assert!(is_commit(&again.head_sha), "{}", again.head_sha);
                again.starts.iter().for_each(check);
            }
            Meaning::Nothing(reason) => assert!(!reason.is_empty(), "nothing has a reason"),
            Meaning::Ping => {}
        }
        if let Some(repository) = reading.repository {
            let again: RepositoryName = repository.name.as_str().parse().expect("a name stays one");
            assert!(!again.as_str().contains(".."), "a name climbs nowhere");
        }
    }
}

fn check(start: &Start) {
    let is_deployment = start.event.starts_with("deployment");
    assert!(
        is_ref_name(&start.reference) || start.reference.is_empty() && is_deployment,
        "{}",
        start.reference
    );
    for commit in [&start.commit, &start.workflows_from] {
        match commit {
            CommitSpec::Sha(sha) => assert!(is_commit(sha), "{sha}"),
            CommitSpec::Branch(name) => assert!(is_ref_name(&format!("refs/heads/{name}")), "{name}"),
            CommitSpec::Tag(name) => assert!(is_ref_name(&format!("refs/tags/{name}")), "{name}"),
            CommitSpec::Merge { head, base, .. } => {
                assert!(is_commit(head) && is_commit(base), "{head} {base}")
            }
        }
    }
    for want in Vec::<Want>::from(start) {
        if let Want::Sha(sha) | Want::Perhaps(sha) = want {
            assert!(is_commit(&sha), "{sha}");
        }
    }
    assert!(start.workflow_reference().is_empty() == start.reference.is_empty());
}
