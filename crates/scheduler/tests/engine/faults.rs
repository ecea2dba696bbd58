//! A forge that is down, slow, or has had enough: reports come at last, once, and hold no job up.

use std::time::Duration;

use model::{Conclusion, Timestamp};
use scheduler::worker::fake::Deed;

use crate::forge::{FakeForge, Fault, Heard};
use crate::house::{Place, push};
use crate::reports::{FLOW, heard, pull_request, report, says};

/// Refuses with these headers.
fn refuse(status: u16, headers: &[(&'static str, String)], message: &'static str) -> Fault {
    Fault::Refuse(status, headers.to_vec(), message)
}

/// Runs a job while the forge has a fault, which passes after it was met a few times.
async fn reported_in_spite_of(fault: Fault, times: usize) {
    let place = Place::new(FLOW);
    let sha = place.commit("a.txt", "1");
    let (house, forge) = (place.house().await, FakeForge::start());
    let (met, limit) = (std::sync::Arc::new(std::sync::atomic::AtomicUsize::new(0)), times);
    forge.fail(move |_| {
        let before = met.fetch_add(1, std::sync::atomic::Ordering::SeqCst);
        (before < limit).then(|| fault.clone())
    });
    report(&house, &forge);
    house.deliver("d-1", "push", &push(&sha)).await;
    assert_eq!(house.ended(1).await.conclusion, Some(Conclusion::Success));
    let (_, body) = heard(&forge, says("success")).await;
    assert_eq!(body["context"], "hearth / CI (push)");
    assert!(forge.asked().len() > times, "the fault was not met: {:?}", forge.asked());
    let told = forge.heard().iter().filter(|heard| says("success")(heard)).count();
    assert_eq!(told, 1, "it is told once");
}

#[tokio::test]
async fn a_forge_that_never_answers() {
    reported_in_spite_of(Fault::Silent, 7).await;
}

#[tokio::test]
async fn a_forge_whose_allowance_of_the_hour_is_used_up() {
    let reset = (Timestamp::now().0 / 1000 + 3).to_string();
    let headers = [("x-ratelimit-remaining", "0".to_owned()), ("x-ratelimit-reset", reset)];
    reported_in_spite_of(refuse(403, &headers, "API rate limit exceeded"), 1).await;
}

#[tokio::test]
async fn a_forge_that_asks_for_fewer_calls() {
    let message = "You have exceeded a secondary rate limit";
    reported_in_spite_of(refuse(403, &[], message), 2).await;
    reported_in_spite_of(refuse(429, &[("retry-after", "1".to_owned())], message), 2).await;
}

#[tokio::test]
async fn a_forge_that_is_broken_or_being_repaired() {
    for status in [500, 502, 503] {
        reported_in_spite_of(refuse(status, &[], "Server Error"), 7).await;
    }
}

#[tokio::test]
async fn a_token_that_has_expired_until_somebody_sets_another() {
    reported_in_spite_of(refuse(401, &[], "Bad credentials"), 3).await;
}

#[tokio::test]
async fn a_comment_whose_making_got_no_answer_is_found_and_changed_in_place() {
    let place = Place::new(FLOW);
    let (head, base) = place.pull();
    let (house, forge) = (place.house().await, FakeForge::start());
    let mut is_first = true;
    forge.fail(move |what| {
        let loses = what.starts_with("POST") && what.ends_with("/comments") && is_first;
        is_first &= !loses;
        loses.then_some(Fault::LoseAnswer)
    });
    let reporting = report(&house, &forge);
    house.worker.tell("a", [Deed::Hang]);
    house.deliver("d-1", "pull_request", &pull_request(&head, &base)).await;
    let is_made = |(what, _): &Heard| what == "POST /repos/octo/hello/issues/7/comments";
    heard(&forge, is_made).await;
    // The server goes and comes again before it has looked.
    reporting.crash();
    report(&house, &forge);
    house.engine.cancel(model::RunId(1).into(), "enough".to_owned()).await.expect("cancelled");
    let is_changed = |(what, body): &Heard| {
        what.starts_with("PATCH /repos/octo/hello/issues/comments/")
            && body["body"].as_str().is_some_and(|text| text.contains("🚫"))
    };
    heard(&forge, is_changed).await;
    assert_eq!(forge.comments().len(), 1, "{:?}", forge.comments());
}

#[tokio::test]
async fn many_runs_end_while_the_forge_hangs() {
    let place = Place::new(FLOW);
    let sha = place.commit("a.txt", "1");
    let (house, forge) = (place.house().await, FakeForge::start());
    forge.fail(|_| Some(Fault::Silent));
    report(&house, &forge);
    for run in 1..=20 {
        house.deliver(&format!("d-{run}"), "push", &push(&sha)).await;
    }
    let all = async {
        for run in 1..=20 {
            assert_eq!(house.ended(run).await.conclusion, Some(Conclusion::Success));
        }
    };
    tokio::time::timeout(Duration::from_secs(30), all).await.expect("jobs wait for the forge");
    assert_eq!(forge.heard(), []);
    forge.answer_with(None);
    for run in 1..=20 {
        let url = format!("https://ci.example.com/runs/{run}");
        heard(&forge, |heard| says("success")(heard) && heard.1["target_url"] == *url).await;
    }
}
