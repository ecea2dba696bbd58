//! Runs that somebody starts by hand.

use model::{Conclusion, RepositoryId};
use scheduler::dispatch::Wish;
use serde_json::{Map, json};

use crate::house::{Place, push};

const FLOW: &str = "\
run-name: To ${{ inputs.to }}
on:
  push:
  workflow_dispatch:
    inputs: {to: {type: choice, options: [test, prod], required: true}}
  repository_dispatch: {types: [ship]}
jobs: {a: {runs-on: ubuntu-latest, steps: [{run: x}]}}
";

fn by_hand(workflow: &str, reference: Option<&str>, to: &str) -> Wish {
    let inputs: Map<_, _> = json!({"to": to}).as_object().cloned().unwrap_or_default();
    Wish::Workflow { workflow: workflow.to_owned(), reference: reference.map(str::to_owned), inputs }
}

#[tokio::test]
async fn a_workflow_is_started_by_hand_with_inputs_and_wrong_ones_are_refused() {
    let place = Place::new(FLOW);
    let sha = place.commit("a.txt", "1");
    let house = place.house().await;
    house.deliver("d-1", "push", &push(&sha)).await;
    house.ended(1).await;
    let repository = RepositoryId(1);

    let runs = house
        .dispatcher
        .dispatch(repository, "ada", &by_hand("ci.yml", None, "prod"))
        .await
        .expect("started");
    let run = house.ended(runs[0].id.0).await;
    assert_eq!((run.conclusion, run.what.title.as_str()), (Some(Conclusion::Success), "To prod"));
    assert_eq!((run.what.actor.as_str(), run.what.event.as_str()), ("ada", "workflow_dispatch"));
    assert_eq!((run.what.sha, run.number), (sha, 2));

    for (wish, words) in [
        (by_hand("ci.yml", None, "moon"), "moon"),
        (by_hand("cd.yml", None, "prod"), "there is no workflow cd.yml"),
        (by_hand("ci.yml", Some("gone"), "prod"), "has no branch or tag gone"),
    ] {
        let error =
            house.dispatcher.dispatch(repository, "ada", &wish).await.expect_err("refused").to_string();
        assert!(error.contains(words), "{error}");
    }
    let unknown = house.dispatcher.dispatch(RepositoryId(9), "ada", &by_hand("ci.yml", None, "prod")).await;
    assert!(unknown.expect_err("refused").to_string().contains("repository 9 is not known"));

    let ship = Wish::Repository { event_type: "ship".to_owned(), client_payload: json!({"v": 1}) };
    let runs = house.dispatcher.dispatch(repository, "ada", &ship).await.expect("started");
    assert_eq!(house.ended(runs[0].id.0).await.what.event, "repository_dispatch");
    let other = Wish::Repository { event_type: "sink".to_owned(), client_payload: json!({}) };
    assert_eq!(house.dispatcher.dispatch(repository, "ada", &other).await.expect("asked"), []);
}
