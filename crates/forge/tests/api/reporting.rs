//! Reports to a GitHub that remembers them.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex};

use forge::github::app::App;
use forge::github::client::{Auth, ClientError};
use forge::github::report::{
    JobView, PullView, RunView, Sent, SentComment, State, Times, send, send_comment,
};
use model::{Annotation, AnnotationLevel, Conclusion, JobId, RunId, Secret};
use serde_json::{Value as Json, json};

use crate::server::{Asked, Reply, Server};
use crate::{hasty, token};

/// What GitHub has.
#[derive(Default)]
struct World {
    /// Check runs and comments by id.
    objects: BTreeMap<u64, Json>,
    statuses: Vec<Json>,
    /// Answers that get lost, after the call was carried out.
    losses: usize,
    /// Statuses that creations and changes are refused with, first one first.
    refusals: Vec<u16>,
}

impl World {
    fn answer(&mut self, asked: &Asked) -> Reply {
        let (method, path) = asked.line.split_once(' ').unwrap();
        if path.contains("access_tokens") {
            return Reply::json(201, json!({"token": "ghs_x", "expires_at": "2999-01-01T00:00:00Z"}));
        }
        if method == "GET" {
            return self.read(path);
        }
        if !self.refusals.is_empty() {
            return Reply::json(self.refusals.remove(0), json!({"message": "no"}));
        }
        let id = match method {
            "POST" if path.contains("/statuses/") => {
                self.statuses.push(asked.body.clone());
                1
            }
            "POST" => self.make(&asked.body),
            _ => {
                let id = path.rsplit('/').next().unwrap().parse().unwrap();
                let Some(object) = self.objects.get_mut(&id) else {
                    return Reply::json(404, json!({"message": "Not Found"}));
                };
                merge(object, &asked.body);
                id
            }
        };
        if self.losses > 0 {
            self.losses -= 1;
            return Reply::Cut;
        }
        Reply::json(201, json!({"id": id}))
    }

    fn read(&self, path: &str) -> Reply {
        if path == "/user" {
            return Reply::json(200, json!({"login": "hearth-bot"}));
        }
        let all: Vec<Json> = self.objects.values().cloned().collect();
        Reply::json(200, if path.contains("/check-runs") { json!({"check_runs": all}) } else { json!(all) })
    }

    fn make(&mut self, body: &Json) -> u64 {
        let id = 100 + self.objects.len() as u64;
        let mut object =
            json!({"id": id, "user": {"login": "hearth-bot"}, "performed_via_github_app": {"id": 3}});
        merge(&mut object, body);
        self.objects.insert(id, object);
        id
    }
}

/// Changes an object as GitHub does: annotations add up.
fn merge(object: &mut Json, change: &Json) {
    for (name, value) in change.as_object().unwrap() {
        let known = object["output"]["annotations"].as_array().cloned().unwrap_or_default();
        object[name] = value.clone();
        if name == "output" {
            let more = value["annotations"].as_array().cloned().unwrap_or_default();
            object["output"]["annotations"] = json!([known, more].concat());
        }
    }
}

struct Github {
    server: Server,
    world: Arc<Mutex<World>>,
}

impl Github {
    async fn start() -> Github {
        let world = Arc::new(Mutex::new(World::default()));
        let shared = world.clone();
        let server = Server::start(move |asked, _| shared.lock().unwrap().answer(asked)).await;
        Github { server, world }
    }

    fn change(&self, change: impl FnOnce(&mut World)) {
        change(&mut self.world.lock().unwrap());
    }

    fn objects(&self) -> Vec<Json> {
        self.world.lock().unwrap().objects.values().cloned().collect()
    }
}

fn app() -> Auth {
    let pem = include_str!("../../src/github/app/test_key_pkcs1.pem");
    Auth::App(Arc::new(App::new("3", &Secret(pem.to_owned())).unwrap()))
}

fn job(id: u64, state: State, annotations: usize) -> JobView {
    let annotation = |number: usize| Annotation {
        level: AnnotationLevel::Error,
        message: format!("number {number}"),
        title: None,
        file: None,
        line: None,
        end_line: None,
        column: None,
        end_column: None,
        code: None,
    };
    JobView {
        id: JobId(id),
        name: format!("job {id}"),
        url: format!("https://ci.example/jobs/{id}"),
        state,
        times: Times::default(),
        summary: String::new(),
        annotations: (0..annotations).map(annotation).collect(),
        error: None,
    }
}

fn run(jobs: Vec<JobView>) -> RunView {
    RunView {
        repository: "octo/hello".parse().unwrap(),
        sha: "a".repeat(40),
        run: RunId(5),
        workflow: "CI".into(),
        event: "push".into(),
        url: "https://ci.example/runs/5".into(),
        state: State::Running,
        times: Times::default(),
        jobs,
    }
}

fn ended(id: u64, annotations: usize) -> JobView {
    job(id, State::Ended(Conclusion::Success), annotations)
}

fn pull(state: State) -> PullView {
    PullView {
        repository: "octo/hello".parse().unwrap(),
        number: 7,
        sha: "a".repeat(40),
        server: "https://ci.example".into(),
        runs: vec![RunView { state, ..run(vec![]) }],
    }
}

#[tokio::test]
async fn an_app_shows_each_job_as_a_check_with_all_its_annotations() {
    let github = Github::start().await;
    let client = hasty(&github.server, app()).installation(9);
    let mut sent = Sent::default();
    send(&client, &run(vec![job(1, State::Running, 0), job(2, State::Queued, 0)]), &mut sent).await.unwrap();
    send(&client, &run(vec![ended(1, 120), ended(2, 0)]), &mut sent).await.unwrap();
    let checks = github.objects();
    assert_eq!(checks.len(), 2);
    assert_eq!(checks[0]["output"]["annotations"].as_array().unwrap().len(), 120);
    assert!(checks.iter().all(|check| check["conclusion"] == "success"));
    let before = github.server.asked().len();
    send(&client, &run(vec![ended(1, 120), ended(2, 0)]), &mut sent).await.unwrap();
    assert_eq!(github.server.asked().len(), before);
}

#[tokio::test]
async fn a_token_shows_the_run_as_a_status() {
    let github = Github::start().await;
    let client = hasty(&github.server, token());
    let mut sent = Sent::default();
    send(&client, &run(vec![ended(1, 3)]), &mut sent).await.unwrap();
    send(&client, &run(vec![ended(1, 3)]), &mut sent).await.unwrap();
    let statuses = github.world.lock().unwrap().statuses.clone();
    assert_eq!(statuses.len(), 1);
    assert_eq!(statuses[0]["context"], "hearth / CI (push)");
    assert_eq!(github.server.lines(), [format!("POST /repos/octo/hello/statuses/{}", "a".repeat(40))]);
}

#[tokio::test]
async fn a_check_whose_making_got_no_answer_is_found_and_not_made_twice() {
    let github = Github::start().await;
    let client = hasty(&github.server, app()).installation(9);
    github.change(|world| world.losses = 1);
    let mut sent = Sent::default();
    send(&client, &run(vec![ended(1, 60)]), &mut sent).await.unwrap();
    let checks = github.objects();
    assert_eq!(checks.len(), 1);
    assert_eq!(checks[0]["output"]["annotations"].as_array().unwrap().len(), 60);
}

#[tokio::test]
async fn a_check_whose_change_got_no_answer_is_completed_with_each_annotation_once() {
    let github = Github::start().await;
    let client = hasty(&github.server, app()).installation(9);
    let mut sent = Sent::default();
    send(&client, &run(vec![job(1, State::Running, 0)]), &mut sent).await.unwrap();
    github.change(|world| world.losses = 1);
    send(&client, &run(vec![ended(1, 60)]), &mut sent).await.unwrap();
    let check = github.objects().remove(0);
    assert_eq!(check["conclusion"], "success");
    assert_eq!(check["output"]["annotations"].as_array().unwrap().len(), 60);
}

#[tokio::test]
async fn one_job_that_github_does_not_take_is_in_no_other_jobs_way() {
    let github = Github::start().await;
    let client = hasty(&github.server, app()).installation(9);
    github.change(|world| world.refusals = vec![422]);
    let mut sent = Sent::default();
    let view = run(vec![ended(1, 0), ended(2, 0)]);
    let error = send(&client, &view, &mut sent).await.unwrap_err();
    assert_eq!(error.status(), Some(422));
    assert_eq!(github.objects().len(), 1);
    send(&client, &view, &mut sent).await.unwrap();
    assert_eq!(github.objects().len(), 2);
}

#[tokio::test]
async fn a_pull_request_has_one_comment_whatever_is_forgotten() {
    for auth in [app(), token()] {
        let github = Github::start().await;
        let client = hasty(&github.server, auth).installation(9);
        let mut sent = SentComment::default();
        send_comment(&client, &pull(State::Running), &mut sent).await.unwrap();
        send_comment(&client, &pull(State::Ended(Conclusion::Success)), &mut sent).await.unwrap();
        let before = github.server.asked().len();
        send_comment(&client, &pull(State::Ended(Conclusion::Success)), &mut sent).await.unwrap();
        assert_eq!(github.server.asked().len(), before);
        let mut forgotten = SentComment::default();
        send_comment(&client, &pull(State::Ended(Conclusion::Failure)), &mut forgotten).await.unwrap();
        let comments = github.objects();
        assert_eq!(comments.len(), 1);
        assert!(comments[0]["body"].as_str().unwrap().contains("### ❌ 1 of 1 workflow failed"));
    }
}

#[tokio::test]
async fn a_comment_of_somebody_else_with_the_same_mark_is_left_alone() {
    for auth in [app(), token()] {
        let github = Github::start().await;
        let client = hasty(&github.server, auth).installation(9);
        let theirs = json!({
            "body": "<!-- hearth: results from https://ci.example -->\nmine",
            "user": {"login": "eve"}, "performed_via_github_app": null,
        });
        github.change(|world| {
            let id = world.make(&theirs);
            assert_eq!(id, 100);
        });
        send_comment(&client, &pull(State::Running), &mut SentComment::default()).await.unwrap();
        let comments = github.objects();
        assert_eq!(comments.len(), 2);
        assert!(comments[0]["body"].as_str().unwrap().ends_with("mine"));
    }
}

#[tokio::test]
async fn a_comment_that_was_lost_or_removed_is_there_once_in_the_end() {
    let github = Github::start().await;
    let client = hasty(&github.server, token());
    github.change(|world| world.losses = 1);
    let mut sent = SentComment::default();
    let error = send_comment(&client, &pull(State::Running), &mut sent).await.unwrap_err();
    assert!(matches!(error, ClientError::Unsure { .. }), "{error}");
    send_comment(&client, &pull(State::Running), &mut sent).await.unwrap();
    assert_eq!(github.objects().len(), 1);
    github.change(|world| world.objects.clear());
    send_comment(&client, &pull(State::Ended(Conclusion::Success)), &mut sent).await.unwrap();
    assert_eq!(github.objects().len(), 1);
}
