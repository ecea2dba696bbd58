//! Every call of GitHub's API is held to GitHub's own description of it: a server made of that description (`prism`)
//! refuses what does not conform, and answers with its examples.
//!
//! It can't tell whether a token may do what is asked, nor lengths, counts, and rates that the description does not
//! have; unknown queries and headers it lets pass.

use std::collections::BTreeMap;
use std::io::{BufRead, BufReader};
use std::net::TcpListener;
use std::path::{Path, PathBuf};
use std::process::{Child, ChildStdout, Command, Stdio};
use std::sync::Arc;
use std::sync::mpsc::{Receiver, channel};
use std::time::Duration;

use forge::RepositoryName;
use forge::github::app::App;
use forge::github::app::tokens::TokenRequest;
use forge::github::client::{Auth, Call, Client, ClientError};
use forge::github::deliveries::{self, Holder, Hook};
use forge::github::questions;
use forge::github::report::{
    FirstError, JobView, PullView, RunView, Sent, SentComment, State, Times, send, send_comment,
};
use model::{Annotation, AnnotationLevel, Conclusion, JobId, RunId, Secret};
use serde_json::json;

/// How long the server may take to read the description, on a loaded machine.
const START_DEADLINE: Duration = Duration::from_secs(120);

/// The server; it ends with this.
struct Prism {
    child: Child,
    url: String,
    said: Receiver<String>,
}

fn clients() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("clients/node_modules")
}

impl Prism {
    fn start() -> Prism {
        // Free now; nobody else on this host asks for just this one.
        let port =
            TcpListener::bind("127.0.0.1:0").and_then(|listener| listener.local_addr()).expect("a port");
        let description = clients().join(".built/github-api.json");
        assert!(description.exists(), "{}: `cargo xtask setup` makes it", description.display());
        let mut child = Command::new("node")
            .arg(clients().join("@stoplight/prism-cli/dist/index.js"))
            .args(["mock", "--errors", "--host", "127.0.0.1", "--port", &port.port().to_string()])
            .arg(description)
            .stdout(Stdio::piped())
            .spawn()
            .expect("node");
        let said = lines(child.stdout.take().expect("piped"));
        let prism = Prism { child, url: format!("http://{port}"), said };
        while !prism.said.recv_timeout(START_DEADLINE).expect("prism does not start").contains("is listening")
        {
        }
        prism
    }

    fn client(&self, auth: Auth) -> Client {
        Client::new(&self.url, auth).expect("a client")
    }

    /// What it has refused so far.
    fn refused(&self) -> Vec<String> {
        self.said.try_iter().filter(|line| line.contains("error")).collect()
    }
}

impl Drop for Prism {
    fn drop(&mut self) {
        // It has nothing to finish.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// What is written, line by line, so that the writer never waits.
fn lines(output: ChildStdout) -> Receiver<String> {
    let (sender, receiver) = channel();
    std::thread::spawn(move || {
        for line in BufReader::new(output).lines().map_while(Result::ok) {
            if sender.send(line).is_err() {
                return;
            }
        }
    });
    receiver
}

fn hello() -> RepositoryName {
    "octo/hello".parse().expect("a name")
}

fn token() -> Auth {
    Auth::Token(Secret("ghp_token".to_owned()))
}

fn app() -> Auth {
    let key = include_str!("../../crates/forge/src/github/app/test_key_pkcs1.pem");
    Auth::App(Arc::new(App::new("Iv1.abc", &Secret(key.to_owned())).expect("an App")))
}

/// A job with everything that a job can have.
fn job(state: State) -> JobView {
    let annotation = |number: u32| Annotation {
        level: [AnnotationLevel::Notice, AnnotationLevel::Warning, AnnotationLevel::Error]
            [number as usize % 3],
        message: format!("number {number}"),
        title: number.is_multiple_of(2).then(|| "A title".to_owned()),
        file: (!number.is_multiple_of(5)).then(|| "src/lib.rs".to_owned()),
        line: (number % 5 > 1).then_some(number + 1),
        end_line: (number % 5 > 2).then_some(number + 2),
        column: (number % 5 > 3).then_some(3),
        end_column: (number % 5 > 3).then_some(9),
        code: None,
    };
    let has_ended = matches!(state, State::Ended(_));
    let error = FirstError {
        what: "Test".to_owned(),
        message: "2 tests failed".to_owned(),
        lines: vec!["left: 1".to_owned()],
    };
    JobView {
        id: JobId(11),
        name: "build (a, 1)".to_owned(),
        url: "https://ci.example.com/runs/5/jobs/11".to_owned(),
        times: Times {
            started: (state != State::Queued).then_some(1_800_000_000),
            ended: has_ended.then_some(1_800_000_060),
        },
        state,
        summary: "# All\n\n| a |\n|---|\n".to_owned(),
        annotations: (0..120).map(annotation).collect(),
        error: has_ended.then_some(error),
    }
}

fn run(state: State) -> RunView {
    RunView {
        repository: hello(),
        sha: "a".repeat(40),
        run: RunId(5),
        workflow: "CI".to_owned(),
        event: "pull_request".to_owned(),
        url: "https://ci.example.com/runs/5".to_owned(),
        times: job(state.clone()).times,
        jobs: vec![job(state.clone())],
        state,
    }
}

fn states() -> Vec<State> {
    let ends = [Conclusion::Failure, Conclusion::Success, Conclusion::Cancelled, Conclusion::Skipped];
    let before = [State::Queued, State::Waiting("approval".to_owned()), State::Running];
    before.into_iter().chain(ends.map(State::Ended)).collect()
}

async fn reports(prism: &Prism) -> Result<(), ClientError> {
    for auth in [app(), token()] {
        let client = prism.client(auth).installation(9);
        let mut sent = Sent::default();
        for state in states() {
            send(&client, &run(state), &mut sent).await?;
        }
        let mut comment = SentComment::default();
        for state in states() {
            let server = "https://ci.example.com".to_owned();
            let pull = PullView {
                repository: hello(),
                number: 7,
                sha: "a".repeat(40),
                server,
                runs: vec![run(state)],
            };
            send_comment(&client, &pull, &mut comment).await?;
        }
    }
    Ok(())
}

async fn questions(prism: &Prism) -> Result<(), ClientError> {
    let (app, client) = (prism.client(app()), prism.client(token()));
    questions::app(&app).await?;
    questions::installation(&app, &hello()).await?;
    let permissions = [("contents", "read"), ("pull_requests", "write"), ("statuses", "write")];
    let permissions = permissions.map(|(name, level)| (name.to_owned(), level.to_owned()));
    let request = TokenRequest {
        repositories: vec!["hello".to_owned()],
        repository_ids: vec![1],
        permissions: Some(BTreeMap::from(permissions)),
        ..TokenRequest::whole(9)
    };
    app.token(&request).await?;
    questions::permission(&client, &hello(), "dependabot[bot]").await?;
    questions::comment(&client, &hello(), 7, "hello").await?;
    questions::repository(&client, &hello()).await?;
    questions::pull_request(&client, &hello(), 7).await?;
    Ok(())
}

async fn webhooks(prism: &Prism) -> Result<(), ClientError> {
    let (app, client) = (prism.client(app()), prism.client(token()));
    let mut all = vec![(&app, Hook::App)];
    for holder in [Holder::Repository(hello()), Holder::Organisation("octo".to_owned())] {
        deliveries::hooks(&client, &holder).await?;
        all.push((&client, Hook::Of { holder, hook: 4 }));
    }
    for (client, hook) in all {
        deliveries::since(client, &hook, 0).await?;
        deliveries::redeliver(client, &hook, 12).await?;
    }
    Ok(())
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn all_that_github_is_asked_and_told_is_as_its_description_has_it() {
    let prism = Prism::start();
    let outcomes = [reports(&prism).await, questions(&prism).await, webhooks(&prism).await];
    let refused = prism.refused();
    assert!(refused.is_empty() && outcomes.iter().all(Result::is_ok), "{outcomes:?}\n{}", refused.join("\n"));

    // It does refuse.
    let wrong =
        Call::post("/repos/octo/hello/check-runs", "make a check", json!({"name": "a", "status": "done"}));
    assert_eq!(prism.client(token()).call(&wrong).await.unwrap_err().status(), Some(422));
    assert!(!prism.refused().is_empty());
    let unknown = Call::get("/repos/octo/hello/nothing", "ask for nothing");
    assert_eq!(prism.client(token()).call(&unknown).await.unwrap_err().status(), Some(404));
}
