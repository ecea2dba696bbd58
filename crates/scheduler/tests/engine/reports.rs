//! What the forge hears of runs.

use std::time::Duration;

use ::forge::github::client::retry::Pace;
use ::forge::github::client::{Auth, Client};
use model::{Conclusion, Secret};
use scheduler::report::{Patience, Reporter};
use scheduler::worker::fake::Deed;
use serde_json::{Value as Json, json};
use tokio::task::JoinHandle;
use tokio_util::sync::CancellationToken;

use crate::forge::{FakeForge, Heard};
use crate::house::{House, Place, push, repository};

pub(crate) const FLOW: &str =
    "name: CI\non: [push, pull_request]\njobs: {a: {runs-on: ubuntu-latest, steps: [{run: x}]}}\n";

/// As persistent as the real ones, and a hundred times as fast.
const PACE: Pace = Pace {
    first: Duration::from_millis(10),
    limited: Duration::from_millis(600),
    longest: Duration::from_millis(1200),
    tries: 5,
};
const PATIENCE: Patience = Patience { first: Duration::from_millis(50), longest: Duration::from_secs(6) };

/// How long an answer is waited for.
const CALL: Duration = Duration::from_millis(500);

/// A reporter at work.
pub(crate) struct Reporting {
    stop: CancellationToken,
    task: JoinHandle<()>,
}

impl Reporting {
    /// Ends it as the end of its server does.
    async fn stop(self) {
        self.stop.cancel();
        self.task.await.expect("it ends well");
    }

    /// Ends it as a crash does.
    pub(crate) fn crash(self) {
        self.task.abort();
    }
}

pub(crate) fn report(house: &House, forge: &FakeForge) -> Reporting {
    let auth = Auth::Token(Secret("t".to_owned()));
    let client = Client::with_pace(&forge.url(), auth, CALL, PACE).expect("a client");
    let patience = PATIENCE;
    let url = "https://ci.example.com".to_owned();
    let reporter = Reporter { store: house.store.clone(), logs: house.logs.clone(), client, url, patience };
    let stop = CancellationToken::new();
    let task = tokio::spawn(reporter.run(stop.clone()));
    Reporting { stop, task }
}

/// Waits until the forge has heard something like this.
pub(crate) async fn heard(forge: &FakeForge, is: impl Fn(&Heard) -> bool) -> Heard {
    let look = async {
        loop {
            if let Some(found) = forge.heard().into_iter().find(|heard| is(heard)) {
                return found;
            }
            tokio::task::yield_now().await;
        }
    };
    tokio::time::timeout(Duration::from_secs(60), look)
        .await
        .unwrap_or_else(|_| panic!("{:?}", forge.heard()))
}

pub(crate) fn says(state: &str) -> impl Fn(&Heard) -> bool {
    move |(what, body)| what.contains("/statuses/") && body["state"] == state
}

#[tokio::test]
async fn a_run_that_ends_just_before_its_server_does_is_told_of() {
    let place = Place::new(FLOW);
    let sha = place.commit("a.txt", "1");
    let (house, forge) = (place.house().await, FakeForge::start());
    let reporting = report(&house, &forge);
    house.deliver("d-1", "push", &push(&sha)).await;
    house.ended(1).await;
    reporting.stop().await;
    assert!(forge.heard().iter().any(says("success")), "{:?}", forge.heard());
}

#[tokio::test]
async fn a_failed_run_is_a_status_of_its_commit_with_a_link_and_is_told_once() {
    let place = Place::new(FLOW);
    let sha = place.commit("a.txt", "1");
    let (house, forge) = (place.house().await, FakeForge::start());
    report(&house, &forge);
    house.worker.tell("a", [Deed::Hang, Deed::End(Conclusion::Failure)]);
    house.deliver("d-1", "push", &push(&sha)).await;
    let (what, body) = heard(&forge, says("pending")).await;
    assert_eq!(what, format!("POST /repos/octo/hello/statuses/{sha}"));
    assert_eq!(body["target_url"], "https://ci.example.com/runs/1");
    house.engine.cancel(model::RunId(1).into(), "enough".to_owned()).await.expect("cancelled");
    heard(&forge, says("error")).await;

    house.deliver("d-2", "push", &push(&sha)).await;
    house.ended(2).await;
    let (_, body) = heard(&forge, says("failure")).await;
    assert_eq!(body["context"], "hearth / CI (push)");
    assert_eq!(forge.heard().iter().filter(|heard| says("failure")(heard)).count(), 1);
}

#[tokio::test]
async fn a_forge_that_is_down_holds_no_job_up_and_hears_of_it_later() {
    let place = Place::new(FLOW);
    let sha = place.commit("a.txt", "1");
    let (house, forge) = (place.house().await, FakeForge::start());
    forge.answer_with(Some(401));
    let reporting = report(&house, &forge);
    house.deliver("d-1", "push", &push(&sha)).await;
    assert_eq!(house.ended(1).await.conclusion, Some(Conclusion::Success));
    assert_eq!(forge.heard(), []);
    // The server is started anew meanwhile.
    reporting.stop().await;
    forge.answer_with(None);
    report(&house, &forge);
    heard(&forge, says("success")).await;
}

#[tokio::test]
async fn a_pull_request_has_one_comment_that_is_changed_in_place() {
    let place = Place::new(FLOW);
    let (head, base) = place.pull();
    let (house, forge) = (place.house().await, FakeForge::start());
    report(&house, &forge);
    let payload = pull_request(&head, &base);
    house.worker.tell("a", [Deed::End(Conclusion::Failure), Deed::End(Conclusion::Success)]);
    house.deliver("d-1", "pull_request", &payload).await;
    house.ended(1).await;
    let is_comment = |(what, _): &Heard| what == "POST /repos/octo/hello/issues/7/comments";
    let (_, body) = heard(&forge, is_comment).await;
    let text = body["body"].as_str().expect("text").to_owned();
    assert!(text.contains("CI"), "{text}");
    house
        .engine
        .again(model::RunId(1), scheduler::recipe::Again::All, "mona".to_owned())
        .await
        .expect("queued");
    house.run_is(1, |run| run.attempt == 2 && run.conclusion.is_some()).await;
    let changed = |(what, body): &Heard| {
        what.starts_with("PATCH /repos/octo/hello/issues/comments/")
            && body["body"].as_str().is_some_and(|text| text.contains("✅"))
    };
    heard(&forge, changed).await;
    assert_eq!(forge.heard().iter().filter(|heard| is_comment(heard)).count(), 1);
}

/// The payload of pull request 7, opened by an owner.
pub(crate) fn pull_request(head: &str, base: &str) -> Json {
    json!({
        "action": "opened", "number": 7, "repository": repository(), "sender": {"login": "mona", "id": 2},
        "pull_request": {
            "number": 7, "title": "Nice change", "merged": false, "author_association": "OWNER",
            "user": {"login": "mona", "id": 2},
            "head": {"ref": "patch", "sha": head, "repo": repository()},
            "base": {"ref": "main", "sha": base, "repo": repository()},
        },
    })
}
