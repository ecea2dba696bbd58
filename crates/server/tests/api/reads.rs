//! What can be read.

use model::RunId;
use scheduler::decide::{Wait, WaitReason};
use scheduler::queue::Subject;
use server::auth::Role;
use store::Store;

use crate::fixture::World;
use crate::sample::{failed_run, new_run, queued_run, repository, working_run};

#[tokio::test]
async fn a_run_is_there_with_all_that_is_in_it() {
    let world = World::start().await;
    let reader = world.with(Role::Read).await;
    let (run, job) = failed_run(&*world.store).await;
    let shown = reader.get(&format!("/api/v1/runs/{run}")).await.is(200).json();
    assert_eq!((&shown["state"], &shown["conclusion"]), (&"ended".into(), &"failure".into()));
    assert_eq!((&shown["ref"], &shown["number"]), (&"refs/heads/main".into(), &1.into()));
    let attempts = reader.get(&format!("/api/v1/runs/{run}/attempts")).await.is(200).json();
    assert_eq!(attempts["attempts"].as_array().unwrap().len(), 1);
    let jobs = reader.get(&format!("/api/v1/runs/{run}/jobs")).await.is(200).json();
    assert_eq!(jobs["jobs"][0]["id"], job.0);
    let shown = reader.get(&format!("/api/v1/jobs/{job}")).await.is(200).json();
    assert_eq!(shown, jobs["jobs"][0]);
    assert_eq!(shown["first_line_at"].as_u64().unwrap() - shown["started_at"].as_u64().unwrap(), 499);
    let steps = reader.get(&format!("/api/v1/jobs/{job}/steps")).await.is(200).json();
    assert_eq!(
        (&steps["steps"][0]["name"], &steps["steps"][0]["phase"]),
        (&"Run make".into(), &"main".into())
    );
    let annotations = reader.get(&format!("/api/v1/runs/{run}/annotations")).await.is(200).json();
    assert_eq!(annotations["annotations"][0]["message"], "it broke");
    assert_eq!(annotations["annotations"][0]["job_id"], job.0);
}

#[tokio::test]
async fn one_answer_tells_how_the_server_stands() {
    let world = World::start().await;
    let reader = world.with(Role::Read).await;
    let (run, job) = working_run(&*world.store).await;
    let waits = queued_run(&*world.store).await.id;
    let wait = |subject| Wait { subject, place: None, reason: WaitReason::Draining };
    *world.control.waits.lock().unwrap() = vec![wait(Subject::Run(RunId(99))), wait(Subject::Run(waits))];
    let status = reader.get("/api/v1/status").await.is(200).json();
    assert_eq!(status["version"], env!("CARGO_PKG_VERSION"));
    let working = status["working"].as_array().unwrap();
    assert_eq!(working.len(), 1, "{status}");
    assert_eq!((&working[0]["job"]["id"], &working[0]["job"]["run_id"]), (&job.0.into(), &run.0.into()));
    assert_eq!((&working[0]["repository"], &working[0]["step"]), (&"octo/hello".into(), &"Run make".into()));
    assert_eq!((&status["waiting"], &status["oldest"]["run_id"]), (&2.into(), &waits.0.into()));
    assert_eq!(status["oldest"]["reason"], WaitReason::Draining.to_string());
    assert_eq!((&status["pool"][0]["ready"], &status["profiles"][0]["machines"]), (&1.into(), &4.into()));
    assert_eq!(status["disk"], serde_json::json!({"free_bytes": 50, "size_bytes": 100}));
}

#[tokio::test]
async fn what_is_for_the_server_alone_is_not_shown() {
    let world = World::start().await;
    let admin = world.with(Role::Admin).await;
    let (run, job) = failed_run(&*world.store).await;
    for path in [format!("runs/{run}"), "runs".to_owned(), format!("runs/{run}/jobs"), format!("jobs/{job}")]
    {
        let answer = admin.get(&format!("/api/v1/{path}")).await.is(200);
        assert!(!String::from_utf8_lossy(&answer.bytes).contains("not for everybody"), "{path}");
        assert_eq!(answer.headers["cache-control"], "no-store");
    }
}

#[tokio::test]
async fn runs_are_found_by_what_is_asked_and_page_by_page() {
    let world = World::start().await;
    let reader = world.with(Role::Read).await;
    let other = repository(&*world.store, "octo/other").await;
    for _ in 0..5 {
        queued_run(&*world.store).await;
    }
    let mut odd = new_run(other);
    odd.head_branch = "feature/ä b".to_owned();
    odd.pull_request = Some(7);
    let odd = world.store.create_run(odd, crate::sample::NOON).await.unwrap().id;
    let ids = async |query: &str| -> Vec<u64> {
        let answer = reader.get(&format!("/api/v1/runs?{query}")).await.is(200).json();
        answer["runs"].as_array().unwrap().iter().map(|run| run["id"].as_u64().unwrap()).collect()
    };
    assert_eq!(ids("").await, [6, 5, 4, 3, 2, 1]);
    assert_eq!(ids("repository=Octo/Other").await, [odd.0]);
    assert_eq!(ids("branch=feature%2F%C3%A4+b").await, [odd.0]);
    assert_eq!(ids("pull_request=7").await, [odd.0]);
    assert_eq!(ids("state=queued&event=push&actor=octocat&before=3").await, [2, 1]);
    assert_eq!(ids("conclusion=failure").await, [0u64; 0]);
    let (mut seen, mut next) = (Vec::new(), String::new());
    loop {
        let page = reader.get(&format!("/api/v1/runs?limit=4{next}")).await.is(200).json();
        seen.extend(page["runs"].as_array().unwrap().iter().map(|run| run["id"].as_u64().unwrap()));
        match page["next"].as_u64() {
            Some(before) => next = format!("&before={before}"),
            None => break,
        }
    }
    assert_eq!(seen, [6, 5, 4, 3, 2, 1]);
}

#[tokio::test]
async fn what_can_not_be_asked_is_refused_with_the_reason() {
    let world = World::start().await;
    let reader = world.with(Role::Read).await;
    queued_run(&*world.store).await;
    for (query, status) in [
        ("state=done", 400),
        ("conclusion=maybe", 400),
        ("before=-1", 400),
        ("limit=x", 400),
        ("colour=red", 400),
        ("repository=nobody/nothing", 404),
    ] {
        reader.get(&format!("/api/v1/runs?{query}")).await.refused(status);
    }
    reader.get("/api/v1/runs?limit=0").await.is(200);
    reader.get("/api/v1/runs?limit=100000").await.is(200);
    for path in
        ["runs/2", "runs/x", "runs/-1", "runs/1%2F2", "runs/99999999999999999999", "jobs/7", "nothing"]
    {
        reader.get(&format!("/api/v1/{path}")).await.refused(404);
    }
    reader.get("/api/v1/runs/1/jobs?attempt=2").await.refused(404);
    reader.get("/api/v1/repositories/octo/nothing").await.refused(404);
}

#[tokio::test]
async fn a_number_beyond_all_that_are_given_is_of_nothing_that_is_there() {
    let world = World::start().await;
    let operator = world.with(Role::Operate).await;
    failed_run(&*world.store).await;
    for number in [i64::MAX as u64, i64::MAX as u64 + 1, u64::MAX] {
        for path in ["runs", "jobs", "deliveries"] {
            operator.get(&format!("/api/v1/{path}/{number}")).await.refused(404);
        }
        operator.get(&format!("/api/v1/runs/{number}/artifacts")).await.refused(404);
        operator.get(&format!("/api/v1/jobs/{number}/log")).await.refused(404);
        operator.get(&format!("/api/v1/runs/1/artifacts/{number}")).await.refused(404);
        let runs = operator.get(&format!("/api/v1/runs?before={number}")).await.is(200).json();
        assert_eq!(runs["runs"].as_array().unwrap().len(), 1, "all are before {number}");
        for path in ["deliveries", "artifacts", "caches"] {
            operator.get(&format!("/api/v1/{path}?before={number}")).await.is(200);
        }
    }
}

#[tokio::test]
async fn repositories_are_there_by_name() {
    let world = World::start().await;
    let reader = world.with(Role::Read).await;
    repository(&*world.store, "octo/hello").await;
    let all = reader.get("/api/v1/repositories").await.is(200).json();
    assert_eq!(all["repositories"][0]["full_name"], "octo/hello");
    let one = reader.get("/api/v1/repositories/OCTO/hello").await.is(200).json();
    assert_eq!(one, all["repositories"][0]);
}

#[tokio::test]
async fn the_queue_says_why_each_waits() {
    let world = World::start().await;
    let reader = world.with(Role::Read).await;
    let (run, job) = working_run(&*world.store).await;
    let next = queued_run(&*world.store).await.id;
    *world.control.waits.lock().unwrap() = vec![
        Wait { subject: Subject::Run(next), reason: WaitReason::Next, place: Some(1) },
        Wait {
            subject: Subject::Job(job),
            reason: WaitReason::Environment("production".to_owned()),
            place: None,
        },
    ];
    let queue = reader.get("/api/v1/queue").await.is(200).json();
    let [first, second] = queue["waiting"].as_array().unwrap().as_slice() else { panic!("{queue}") };
    assert_eq!((&first["run_id"], &first["job_id"]), (&next.0.into(), &().into()));
    assert_eq!((&first["name"], &first["reason"]), (&"Say hello".into(), &"about to start".into()));
    assert_eq!((&second["run_id"], &second["job_id"]), (&run.0.into(), &job.0.into()));
    assert_eq!((&second["name"], &second["repository"]), (&"Build (1)".into(), &"octo/hello".into()));
    assert_eq!((&second["needs_approval"], &second["place"]), (&true.into(), &().into()));
    for (query, ids) in [("approval=true", [run.0]), ("approval=false", [next.0]), ("limit=1", [next.0])] {
        let queue = reader.get(&format!("/api/v1/queue?{query}")).await.is(200).json();
        let found: Vec<u64> =
            queue["waiting"].as_array().unwrap().iter().filter_map(|one| one["run_id"].as_u64()).collect();
        assert_eq!(found, ids, "{query}");
    }
    assert_eq!(reader.get("/api/v1/queue?limit=1").await.is(200).json()["total"], 2);
}

#[tokio::test]
async fn deliveries_are_shown_and_can_be_received_anew() {
    let world = World::start().await;
    let operator = world.with(Role::Operate).await;
    for number in 0..3 {
        world.webhook("push", &format!("g{number}"), r#"{"ref": "refs/heads/main"}"#).await.is(200);
    }
    let page = operator.get("/api/v1/deliveries?limit=2").await.is(200).json();
    assert_eq!((page["deliveries"].as_array().unwrap().len(), &page["next"]), (2, &2.into()));
    let rest = operator.get("/api/v1/deliveries?limit=2&before=2").await.is(200).json();
    assert_eq!((&rest["deliveries"][0]["guid"], &rest["next"]), (&"g0".into(), &().into()));
    let whole = operator.get("/api/v1/deliveries/1").await.is(200).json();
    assert_eq!(whole["payload"]["ref"], "refs/heads/main");
    let nothing = store::record::Expansion::Ignored("nothing listens".to_owned());
    world.store.expand(model::DeliveryId(1), nothing, model::Timestamp::now()).await.unwrap();
    let nudges = world.control.nudges();
    let again = operator.post("/api/v1/deliveries/1/redeliver", serde_json::json!({})).await.is(202).json();
    assert_eq!(again["delivery_id"], 4);
    assert_eq!(world.control.nudges(), nudges + 1);
    let (delivery, payload) = world.store.delivery(model::DeliveryId(4)).await.unwrap().unwrap();
    assert_eq!(
        (delivery.event.as_str(), payload.as_slice()),
        ("push", &br#"{"ref": "refs/heads/main"}"#[..])
    );
}

#[tokio::test]
async fn what_failed_is_tried_again_as_itself_what_is_done_starts_anew_and_what_waits_is_left_alone() {
    use model::{DeliveryId, DeliveryState, Timestamp};
    use store::record::Expansion;
    let world = World::start().await;
    let operator = world.with(Role::Operate).await;
    for guid in ["failed", "done", "waiting"] {
        world.webhook("push", guid, r#"{"ref": "refs/heads/main"}"#).await.is(200);
    }
    let ends = [Expansion::Failed("no such commit".to_owned()), Expansion::Ignored("nothing".to_owned())];
    for (id, end) in (1..).map(DeliveryId).zip(ends) {
        world.store.expand(id, end, Timestamp::now()).await.unwrap();
    }
    let mut worked_on = Vec::new();
    for id in 1..=3 {
        let path = format!("/api/v1/deliveries/{id}/redeliver");
        worked_on
            .push(operator.post(&path, serde_json::json!({})).await.is(202).json()["delivery_id"].clone());
    }
    assert_eq!((&worked_on[0], &worked_on[2]), (&1.into(), &3.into()));
    let anew = worked_on[1].as_u64().filter(|id| *id > 3).map(DeliveryId).expect("one of its own");
    let (delivery, payload) = world.store.delivery(anew).await.unwrap().unwrap();
    assert_eq!((delivery.state, delivery.event.as_str()), (DeliveryState::Received, "push"));
    assert_eq!(payload, br#"{"ref": "refs/heads/main"}"#);
    let state = async |id| world.store.delivery(DeliveryId(id)).await.unwrap().unwrap().0.state;
    assert_eq!((state(1).await, state(2).await), (DeliveryState::Received, DeliveryState::Ignored));
    operator.post("/api/v1/deliveries/77/redeliver", serde_json::json!({})).await.is(404);
}

#[tokio::test]
async fn a_delivery_whose_body_was_forgotten_can_not_be_received_anew() {
    use model::{DeliveryId, Timestamp};
    let world = World::start().await;
    let operator = world.with(Role::Operate).await;
    world.webhook("push", "old", "{}").await.is(200);
    let nothing = store::record::Expansion::Ignored("nothing listens".to_owned());
    world.store.expand(DeliveryId(1), nothing, Timestamp(1)).await.unwrap();
    world.store.forget_deliveries(Timestamp::now(), Timestamp(0), 10).await.unwrap();
    let reason = operator.post("/api/v1/deliveries/1/redeliver", serde_json::json!({})).await.refused(409);
    assert!(reason.contains("have the forge send it again"), "{reason}");
}
