//! What people make the server do.

use std::collections::BTreeSet;

use scheduler::queue::Subject;
use serde_json::json;
use server::auth::Role;
use server::control::{Again, ControlError, Decision, Dispatch, Dispatched, Review};

use crate::fake::Asked;
use crate::fixture::World;
use crate::sample::{failed_run, queued_run};

#[tokio::test]
async fn runs_and_jobs_are_cancelled_run_again_and_approved() {
    let world = World::start().await;
    let operator = world.with(Role::Operate).await;
    let (run, job) = failed_run(&*world.store).await;
    let (run_path, job_path) = (format!("/api/v1/runs/{run}"), format!("/api/v1/jobs/{job}"));
    operator.post(&format!("{run_path}/cancel"), json!({})).await.is(204);
    operator.post(&format!("{job_path}/cancel"), json!({"reason": "too slow"})).await.is(204);
    let anew = operator.post(&format!("{run_path}/rerun"), json!({})).await.is(201).json();
    assert_eq!(anew, json!({"run_id": run.0, "attempt": 2}));
    operator.post(&format!("{run_path}/rerun"), json!({"jobs": "failed"})).await.is(201);
    operator.post(&format!("{job_path}/rerun"), json!({})).await.is(201);
    operator.post(&format!("{run_path}/approve"), json!({})).await.is(204);
    operator.post(&format!("{job_path}/approve"), json!({"comment": "go"})).await.is(204);
    operator.post(&format!("{job_path}/reject"), json!({})).await.is(204);
    operator.post(&format!("{job_path}/reject"), json!({"comment": "x".repeat(501)})).await.refused(400);
    let who = || "operate".to_owned();
    let review = |decision, comment: Option<&str>| {
        let comment = comment.map(str::to_owned);
        Asked::Review(job, Review { actor: who(), decision, comment })
    };
    let expected = [
        Asked::Cancel(Subject::Run(run), "cancelled by operate".to_owned()),
        Asked::Cancel(Subject::Job(job), "cancelled by operate: too slow".to_owned()),
        Asked::Again(run, Again::All, who()),
        Asked::Again(run, Again::Failed, who()),
        Asked::Again(run, Again::Jobs(BTreeSet::from(["build (1)".to_owned()])), who()),
        Asked::Approve(run, who()),
        review(Decision::Approve, Some("go")),
        review(Decision::Reject, None),
    ];
    assert_eq!(world.control.asked(), expected);
    let forbidden = ControlError::Forbidden("operate is not among the reviewers of production".to_owned());
    *world.control.refuses.lock().unwrap() = Some(forbidden);
    operator.post(&format!("{job_path}/approve"), json!({})).await.refused(403);
}

#[tokio::test]
async fn workflows_are_started_by_hand() {
    let world = World::start().await;
    let operator = world.with(Role::Operate).await;
    let run = queued_run(&*world.store).await;
    *world.control.starts.lock().unwrap() = vec![run.clone()];
    let body = json!({"workflow": "ci.yml", "ref": "main", "inputs": {"level": "high", "dry": true}});
    let told = operator.post("/api/v1/repositories/octo/hello/workflow-dispatch", body).await.is(201).json();
    assert_eq!(told["runs"][0]["id"], run.id.0);
    let body = json!({"event_type": "deploy", "client_payload": {"a": 1}});
    operator.post("/api/v1/repositories/octo/hello/repository-dispatch", body).await.is(201);
    let by = |what| {
        Asked::Dispatch(Dispatch { repository: run.what.repository, actor: "operate".to_owned(), what })
    };
    let inputs = json!({"level": "high", "dry": true}).as_object().unwrap().clone();
    let expected = [
        by(Dispatched::Workflow {
            workflow: "ci.yml".to_owned(),
            reference: Some("main".to_owned()),
            inputs,
        }),
        by(Dispatched::Repository { event_type: "deploy".to_owned(), client_payload: json!({"a": 1}) }),
    ];
    assert_eq!(world.control.asked(), expected);
}

#[tokio::test]
async fn what_the_engine_refuses_is_told_with_its_reason() {
    let world = World::start().await;
    let operator = world.with(Role::Operate).await;
    let (run, _) = failed_run(&*world.store).await;
    let path = format!("/api/v1/runs/{run}/cancel");
    for (error, status) in [
        (ControlError::Missing("run 1 is gone".to_owned()), 404),
        (ControlError::Unfit("run 1 has ended".to_owned()), 409),
        (ControlError::Invalid("no such input".to_owned()), 400),
        (ControlError::Unavailable("the server is being stopped".to_owned()), 503),
    ] {
        *world.control.refuses.lock().unwrap() = Some(error.clone());
        assert_eq!(operator.post(&path, json!({})).await.refused(status), error.to_string());
    }
}

#[tokio::test]
async fn what_can_not_be_meant_reaches_no_engine() {
    let world = World::start().await;
    let operator = world.with(Role::Operate).await;
    let (run, _) = failed_run(&*world.store).await;
    let path = format!("/api/v1/runs/{run}/rerun");
    for body in [json!([]), json!("all"), json!({"jobs": "some"}), json!({"job": "all"}), json!({"jobs": 1})]
    {
        operator.post(&path, body).await.refused(400);
    }
    operator.send(axum::http::Method::POST, &path, "{").await.refused(400);
    operator.post(&path, json!({"jobs": "x".repeat(300_000)})).await.refused(413);
    operator
        .post(&format!("/api/v1/runs/{run}/cancel"), json!({"reason": "x".repeat(501)}))
        .await
        .refused(400);
    operator.post("/api/v1/runs/77/cancel", json!({})).await.refused(404);
    let dispatch = "/api/v1/repositories/octo/hello/repository-dispatch";
    operator.post(dispatch, json!({})).await.refused(400);
    operator.post(dispatch, json!({"event_type": ""})).await.refused(400);
    operator.post(dispatch, json!({"event_type": "x", "client_payload": []})).await.refused(400);
    operator
        .post("/api/v1/repositories/octo/none/workflow-dispatch", json!({"workflow": "x"}))
        .await
        .refused(404);
    assert!(world.control.asked().is_empty());
}
