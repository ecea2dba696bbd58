//! What events start, and how it ends.

use std::sync::atomic::Ordering;

use model::{Conclusion, DeliveryState, RunState, Trust};
use scheduler::worker::fake::Deed;
use serde_json::json;
use store::record::Receipt;

use crate::house::{Place, push, repository, strangers_pull};

const CHAIN: &str = "\
name: CI
run-name: Build ${{ github.sha }} in ${{ github.run_id }}
on: push
jobs:
  build:
    runs-on: ubuntu-latest
    outputs:
      version: ${{ steps.a.outputs.v }}
    steps: [{id: a, run: make}]
  test:
    needs: build
    strategy: {matrix: {os: [a, b]}}
    runs-on: ubuntu-latest
    steps: [{run: make test}]
  never:
    needs: build
    if: false
    runs-on: ubuntu-latest
    steps: [{run: make}]
";

#[tokio::test]
async fn a_push_runs_the_workflow_of_its_commit_to_the_end() {
    let place = Place::new(CHAIN);
    let sha = place.commit("a.txt", "1");
    let house = place.house().await;
    house.deliver("d-1", "push", &push(&sha)).await;
    let run = house.ended(1).await;
    assert_eq!(run.conclusion, Some(Conclusion::Success));
    assert_eq!(house.said(&run).await, "build:success test:success test:success never:skipped");
    assert_eq!(run.what.title, format!("Build {sha} in 1"));
    assert_eq!((run.number, run.what.sha.as_str(), run.what.actor.as_str()), (1, sha.as_str(), "mona"));
    let jobs = house.jobs(&run).await;
    let build = jobs.iter().find(|job| job.key == "build").expect("there");
    assert_eq!((build.tries, build.machine.as_deref()), (1, Some("fake-1")));
    assert!(build.clock.first_line_at.is_some() && build.clock.leased_at.is_some());
    let steps = house.store.steps(build.id).await.expect("read");
    assert_eq!((steps[0].name.as_str(), steps[0].conclusion), ("Run it", Some(Conclusion::Success)));
    let lines = house.logs.read(build.id).lines(0, 10).await.expect("read");
    assert_eq!(lines[0].line.text, "build works");
    // Whoever follows the log hears of its end.
    let mut follow = house.logs.read(build.id).follow(0);
    while !follow.next().await.expect("read").is_empty() {}
    let (delivery, _) = house.store.delivery(model::DeliveryId(1)).await.expect("read").expect("there");
    assert_eq!(delivery.state, DeliveryState::Expanded);
}

#[tokio::test]
async fn the_workflow_is_that_of_the_pushed_commit_and_of_no_other() {
    let place = Place::new(CHAIN);
    let old = place.commit("a.txt", "1");
    place.commit(
        ".github/workflows/ci.yml",
        "on: push\njobs: {other: {runs-on: ubuntu-latest, steps: [{run: x}]}}\n",
    );
    let house = place.house().await;
    house.deliver("d-1", "push", &push(&old)).await;
    let run = house.ended(1).await;
    assert!(house.said(&run).await.starts_with("build:success"), "{}", house.said(&run).await);
}

#[tokio::test]
async fn a_delivery_that_comes_again_runs_once() {
    let place = Place::new(CHAIN);
    let sha = place.commit("a.txt", "1");
    let house = place.house().await;
    house.deliver("d-1", "push", &push(&sha)).await;
    house.ended(1).await;
    let again = house.deliver("d-1", "push", &push(&sha)).await;
    assert!(matches!(again, Receipt::Known(_, DeliveryState::Expanded)), "{again:?}");
    house.engine.idle().await;
    assert_eq!(house.store.run(model::RunId(2)).await.expect("read"), None);
}

#[tokio::test]
async fn a_failed_job_fails_the_run_and_skips_what_needs_it() {
    let place = Place::new(CHAIN);
    let sha = place.commit("a.txt", "1");
    let house = place.house().await;
    house.worker.tell("build", [Deed::End(Conclusion::Failure)]);
    house.deliver("d-1", "push", &push(&sha)).await;
    let run = house.ended(1).await;
    assert_eq!(run.conclusion, Some(Conclusion::Failure));
    assert_eq!(house.said(&run).await, "build:failure test:skipped never:skipped");
    assert_eq!(house.worker.began(), ["build"]);
}

#[tokio::test]
async fn a_machine_that_fails_is_replaced_and_a_step_that_fails_is_not_tried_again() {
    let place = Place::new("on: push\njobs: {a: {runs-on: ubuntu-latest, steps: [{run: x}]}}\n");
    let sha = place.commit("a.txt", "1");
    let house = place.house().await;
    let broken = || Deed::MachineFails("no memory".to_owned());
    house.worker.tell("a", [broken(), Deed::End(Conclusion::Success)]);
    house.deliver("d-1", "push", &push(&sha)).await;
    let run = house.ended(1).await;
    assert_eq!(run.conclusion, Some(Conclusion::Success));
    let job = &house.jobs(&run).await[0];
    assert_eq!((job.tries, job.infrastructure_error.as_deref()), (2, Some("no memory")));

    house.worker.tell("a", [broken()]);
    house.deliver("d-2", "push", &push(&sha)).await;
    let run = house.ended(2).await;
    assert_eq!(run.conclusion, Some(Conclusion::Failure));
    let job = &house.jobs(&run).await[0];
    assert_eq!(job.tries, 3);
    assert!(job.reason.as_ref().is_some_and(|reason| reason.contains("no memory")), "{job:?}");
}

#[tokio::test]
async fn labels_that_no_machine_has_fail_the_job_with_a_word() {
    let place = Place::new("on: push\njobs: {a: {runs-on: gpu, steps: [{run: x}]}}\n");
    let sha = place.commit("a.txt", "1");
    let house = place.house().await;
    house.deliver("d-1", "push", &push(&sha)).await;
    let run = house.ended(1).await;
    assert_eq!(run.conclusion, Some(Conclusion::Failure));
    let job = &house.jobs(&run).await[0];
    assert!(job.reason.as_ref().is_some_and(|reason| reason.contains("gpu")), "{job:?}");
    assert_eq!(house.worker.began(), [""; 0]);
}

#[tokio::test]
async fn a_workflow_file_that_cannot_be_read_is_a_run_that_failed_with_the_reason() {
    let place = Place::new("on: push\njobs: {a: {runs-on: ubuntu-latest, steps: [{ruun: x}]}}\n");
    let sha = place.commit("a.txt", "1");
    let house = place.house().await;
    house.deliver("d-1", "push", &push(&sha)).await;
    let run = house.ended(1).await;
    assert_eq!((run.what.state, run.conclusion), (RunState::Ended, Some(Conclusion::Failure)));
    assert!(run.what.reason.as_ref().is_some_and(|reason| reason.contains("ruun")), "{run:?}");
}

#[tokio::test]
async fn a_fork_of_a_stranger_waits_for_approval_and_gets_no_secret() {
    let place = Place::new("on: pull_request\njobs: {a: {runs-on: ubuntu-latest, steps: [{run: x}]}}\n");
    let (head, base) = place.pull();
    let house = place.house().await;
    let payload = strangers_pull(&head, &base);
    house.deliver("d-1", "pull_request", &payload).await;
    let run = house.run_is(1, |run| run.what.group.is_none()).await;
    assert_eq!((run.what.state, run.what.trust), (RunState::Waiting, Trust::Untrusted));
    assert!(
        run.what.reason.as_ref().is_some_and(|reason| reason.contains("eve has not contributed")),
        "{run:?}"
    );
    assert_eq!(house.wait().await, "waits for approval");
    assert_eq!(house.worker.began(), [""; 0]);

    house.engine.approve(run.id, "mona".to_owned()).await.expect("approved");
    let run = house.ended(1).await;
    assert_eq!((run.conclusion, run.what.title.as_str()), (Some(Conclusion::Success), "Nice change"));
    assert_eq!(house.worker.secrets_of("a"), ["GITHUB_TOKEN"], "and that one reads");

    // Who was approved once need not be again.
    house.deliver("d-2", "pull_request", &payload).await;
    assert_eq!(house.ended(2).await.conclusion, Some(Conclusion::Success));
}

#[tokio::test]
async fn what_dependabot_causes_runs_as_a_fork_does_and_needs_no_approval() {
    let flow = "on: [push, issues]\njobs: {a: {runs-on: ubuntu-latest, steps: [{run: x}]}}\n";
    let place = Place::new(flow);
    let sha = place.commit("a.txt", "1");
    let house = place.house().await;
    let by = |login: &str| json!({"login": login, "id": 49699333, "type": "Bot"});
    let mut payload = push(&sha);
    payload["sender"] = by("dependabot[bot]");
    house.deliver("d-1", "push", &payload).await;
    let run = house.ended(1).await;
    assert_eq!((run.what.trust, run.conclusion), (Trust::Untrusted, Some(Conclusion::Success)));
    assert_eq!(house.worker.secrets_of("a"), ["GITHUB_TOKEN"], "and that one reads");
    // Somebody else runs it again.
    house.engine.again(run.id, scheduler::recipe::Again::All, "mona".to_owned()).await.expect("queued");
    house.run_is(1, |run| run.attempt == 2 && run.conclusion.is_some()).await;
    assert_eq!(house.worker.secrets_of("a"), ["GITHUB_TOKEN"], "and that one reads");

    payload["sender"] = by("renovate[bot]");
    house.deliver("d-2", "push", &payload).await;
    assert_eq!(house.ended(2).await.what.trust, Trust::Trusted);
    // On the default branch's own code it may do what others may.
    let opened = json!({
        "action": "opened", "issue": {"number": 3}, "repository": repository(), "sender": by("dependabot[bot]"),
    });
    house.deliver("d-3", "issues", &opened).await;
    assert_eq!(house.ended(3).await.what.trust, Trust::Trusted);
}

#[tokio::test]
async fn what_jobs_do_with_their_tokens_starts_nothing_but_dispatches() {
    let flow = "on: [push, repository_dispatch]\njobs: {a: {runs-on: ubuntu-latest, steps: [{run: x}]}}\n";
    let place = Place::new(flow);
    let sha = place.commit("a.txt", "1");
    let house = place.house().await;
    let by = |login: &str, mut payload: serde_json::Value| {
        payload["sender"] = json!({"login": login, "id": 77, "type": "Bot"});
        payload
    };
    let dispatch =
        json!({"action": "deploy", "branch": "main", "client_payload": {}, "repository": repository()});
    house.deliver("d-1", "push", &by("hearth-octo[bot]", push(&sha))).await;
    house.deliver("d-2", "repository_dispatch", &by("hearth-octo[bot]", dispatch)).await;
    house.deliver("d-3", "push", &by("other[bot]", push(&sha))).await;
    let events = [house.ended(1).await.what.event, house.ended(2).await.what.event];
    assert_eq!(events, ["repository_dispatch", "push"]);
    let (first, _) = house.store.delivery(model::DeliveryId(1)).await.expect("read").expect("there");
    assert_eq!(first.state, DeliveryState::Ignored);
    assert!(first.reason.as_ref().is_some_and(|reason| reason.contains("own App")), "{first:?}");
}

#[tokio::test]
async fn deliveries_that_came_together_share_a_fetch_and_run_each_its_own_commit() {
    let place = Place::new("on: push\njobs: {a: {runs-on: ubuntu-latest, steps: [{run: x}]}}\n");
    let mut commits: Vec<_> = (1..=6).map(|number| place.commit("a.txt", &number.to_string())).collect();
    commits.push(commits[0].clone());
    let house = place.house().await;
    for (number, sha) in commits.iter().enumerate() {
        house.receive(&format!("d-{number}"), "push", &push(sha)).await;
    }
    house.deliver("d-other", "ping", &json!({})).await;
    for (run, sha) in (1..).zip(&commits) {
        assert_eq!(house.ended(run).await.what.sha, *sha);
    }
    // Whoever looks by itself meanwhile finds some of them, and fetches for these.
    let fetches = house.fetches.load(Ordering::Relaxed);
    assert!(fetches <= 2, "{fetches} fetches for seven deliveries");
}
