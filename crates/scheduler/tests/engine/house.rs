//! A server's parts around a repository.

use std::path::Path;
use std::process::Command;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::time::Duration;

use ::forge::git::{FetchObserver, Mirrors};
use ::forge::github::context::Addresses;
use async_trait::async_trait;
use model::{ActionRef, RunId, Secret, Secrets, Timestamp};
use runner::{ActionStore, ActionStoreError, FetchedAction};
use scheduler::chain::Chain;
use scheduler::dispatch::Dispatcher;
use scheduler::engine::{Engine, Parts, Preparer, SecretError, SecretSource};
use scheduler::expand::{Approval, Expander, OwnApp, Priorities};
use scheduler::intake::Intake;
use scheduler::origin::Origin;
use scheduler::queue::{Capacity, Limits, Profile, Profiles, Queue, Size};
use scheduler::reader::Reader;
use scheduler::retry::Policy;
use scheduler::worker::fake::FakeWorker;
use serde_json::{Value as Json, json};
use store::log::LogFolder;
use store::record::{Job, NewDelivery, Receipt, Run, Scope};
use store::{SqliteStore, Store};
use tempfile::TempDir;
use tokio::sync::Notify;
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;
use workflow::resolve::DefaultPermissions;

use crate::faulty::{Faults, FaultyStore};

/// Long enough for anything that happens here at all, on a loaded machine.
const PATIENCE: Duration = Duration::from_secs(60);

/// A repository and a data folder, which outlive servers.
pub(crate) struct Place {
    folder: TempDir,
    pub(crate) priorities: Priorities,
    /// What the engines of its servers meet in their store.
    pub(crate) faults: Arc<Faults>,
}

/// Repositories of others: one, `octo/shared`, with one workflow, `echo.yml`.
#[derive(Clone)]
pub(crate) struct Elsewhere {
    tree: Arc<TempDir>,
    is_away: Arc<AtomicBool>,
}

impl Elsewhere {
    fn new() -> Elsewhere {
        let tree = tempfile::tempdir().expect("a folder");
        let folder = tree.path().join(".github/workflows");
        std::fs::create_dir_all(&folder).expect("made");
        let text = "on: workflow_call\njobs: {said: {runs-on: ubuntu-latest, steps: [{run: x}]}}\n";
        std::fs::write(folder.join("echo.yml"), text).expect("written");
        Elsewhere { tree: Arc::new(tree), is_away: Arc::default() }
    }

    /// Has their folder of workflows be a link to this one, of the host.
    pub(crate) fn link(&self, folder: &Path) {
        let own = self.tree.path().join(".github/workflows");
        std::fs::remove_dir_all(&own).expect("removed");
        std::os::unix::fs::symlink(folder, own).expect("linked");
    }

    /// Takes their host away, or brings it back.
    pub(crate) fn be_away(&self, is_away: bool) {
        self.is_away.store(is_away, Ordering::Relaxed);
    }
}

#[async_trait]
impl ActionStore for Elsewhere {
    async fn fetch(&self, action: &ActionRef) -> Result<FetchedAction, ActionStoreError> {
        let may_pass = self.is_away.load(Ordering::Relaxed);
        let is_there = matches!(action, ActionRef::Repository { repo, .. } if repo == "shared");
        if is_there && !may_pass {
            return Ok(FetchedAction { tree: self.tree.path().to_owned(), commit: "c".repeat(40) });
        }
        let reason = if may_pass { "Could not resolve host" } else { "repository not found" };
        Err(ActionStoreError { action: action.to_string(), reason: reason.to_owned(), may_pass })
    }

    fn for_run(&self) -> Arc<dyn ActionStore> {
        Arc::new(self.clone())
    }
}

/// A server on them.
pub(crate) struct House {
    pub(crate) store: Arc<dyn Store>,
    pub(crate) engine: Engine,
    pub(crate) worker: Arc<FakeWorker>,
    pub(crate) logs: Arc<LogFolder>,
    pub(crate) dispatcher: Dispatcher,
    pub(crate) origin: Arc<Origin>,
    pub(crate) elsewhere: Arc<Elsewhere>,
    /// How often a repository was fetched.
    pub(crate) fetches: Arc<AtomicUsize>,
    news: Arc<Notify>,
    stop: CancellationToken,
    tasks: TaskTracker,
}

/// One secret for the repository, and one for each of its environments. Their faults are those of the call `open`.
struct OneSecret(Arc<Faults>);

#[async_trait]
impl SecretSource for OneSecret {
    async fn secrets(&self, scopes: &[Scope]) -> Result<Secrets, SecretError> {
        self.0.meet("open")?;
        let is_its = |scope: &Scope| match scope {
            Scope::Repository(place) | Scope::Environment(place, _) => place == "octo/hello",
            Scope::Organisation(_) => false,
        };
        if !scopes.iter().any(is_its) {
            return Ok(Secrets::new());
        }
        let is_of_environment = matches!(scopes, [Scope::Environment(..)]);
        let name = if is_of_environment { "PRODUCTION_KEY" } else { "DEPLOY_KEY" };
        Ok(Secrets::from([(name.to_owned(), Secret("s3cret".to_owned()))]))
    }
}

impl Place {
    /// With a repository `octo/hello` whose main branch has this workflow.
    pub(crate) fn new(workflow: &str) -> Place {
        let folder = tempfile::tempdir().expect("a folder");
        let place = Place { folder, priorities: Priorities::default(), faults: Arc::default() };
        std::fs::create_dir_all(place.work().join(".github/workflows")).expect("made");
        git(&place.work(), &["init", "-q", "-b", "main"]);
        std::fs::create_dir_all(place.folder.path().join("git/octo")).expect("made");
        git(place.folder.path(), &["init", "-q", "--bare", "-b", "main", "git/octo/hello.git"]);
        place.commit(".github/workflows/ci.yml", workflow);
        place
    }

    /// The data folder of the servers.
    pub(crate) fn data(&self) -> std::path::PathBuf {
        self.folder.path().join("data")
    }

    /// Takes the forge away, or brings it back.
    pub(crate) fn be_away(&self, is_away: bool) {
        let (here, away) = (self.folder.path().join("git"), self.folder.path().join("away"));
        let (from, to) = if is_away { (here, away) } else { (away, here) };
        std::fs::rename(from, to).expect("moved");
    }

    fn work(&self) -> std::path::PathBuf {
        self.folder.path().join("work")
    }

    /// Commits a file and pushes it; the commit.
    pub(crate) fn commit(&self, path: &str, text: &str) -> String {
        std::fs::write(self.work().join(path), text).expect("written");
        git(&self.work(), &["add", "-A"]);
        git(&self.work(), &["commit", "-q", "--allow-empty", "-m", "Change it\n\nbody"]);
        let bare = self.folder.path().join("git/octo/hello.git");
        git(&self.work(), &["push", "-q", "-f", bare.to_str().expect("text"), "HEAD:refs/heads/main"]);
        git(&self.work(), &["rev-parse", "HEAD"])
    }

    /// Commits an empty change that only this ref has; the commit.
    pub(crate) fn commit_aside(&self, reference: &str) -> String {
        let (work, bare) = (self.work(), self.folder.path().join("git/octo/hello.git"));
        git(&work, &["checkout", "-q", "--detach"]);
        git(&work, &["commit", "-q", "--allow-empty", "-m", reference]);
        git(&work, &["push", "-q", bare.to_str().expect("text"), &format!("HEAD:{reference}")]);
        let sha = git(&work, &["rev-parse", "HEAD"]);
        git(&work, &["checkout", "-q", "main"]);
        sha
    }

    /// A further repository at the same place, as the first one is now.
    pub(crate) fn copy(&self, name: &str) {
        let bare = format!("git/octo/{name}.git");
        git(self.folder.path(), &["clone", "-q", "--mirror", "git/octo/hello.git", &bare]);
    }

    /// What a forge has of pull request 7: a head, and its trial merge. The head and the base.
    pub(crate) fn pull(&self) -> (String, String) {
        let work = self.work();
        let bare = self.folder.path().join("git/octo/hello.git");
        let base = git(&work, &["rev-parse", "HEAD"]);
        git(&work, &["checkout", "-q", "-B", "patch"]);
        git(&work, &["commit", "-q", "--allow-empty", "-m", "Patch it"]);
        let head = git(&work, &["rev-parse", "HEAD"]);
        git(&work, &["checkout", "-q", "--detach", &base]);
        git(&work, &["merge", "-q", "--no-ff", "-m", "Merge it", "patch"]);
        let pushed = ["patch:refs/pull/7/head", "HEAD:refs/pull/7/merge"];
        git(&work, &[&["push", "-q", "-f", bare.to_str().expect("text")], pushed.as_slice()].concat());
        git(&work, &["checkout", "-q", "main"]);
        (head, base)
    }

    /// A server with room for two jobs.
    pub(crate) async fn house(&self) -> House {
        self.house_with(Arc::default(), Limits::default(), 2).await
    }

    pub(crate) async fn house_with(&self, worker: Arc<FakeWorker>, limits: Limits, machines: u32) -> House {
        let data = self.data();
        std::fs::create_dir_all(&data).expect("made");
        let store: Arc<dyn Store> = Arc::new(SqliteStore::open(&data).expect("a store"));
        let (inner, faults) = (Arc::clone(&store), Arc::clone(&self.faults));
        let faulty: Arc<dyn Store> = Arc::new(FaultyStore { inner, faults });
        let template = format!("file://{}/git/{{owner}}/{{repo}}.git", self.folder.path().display());
        let fetches = Arc::new(AtomicUsize::new(0));
        let counted = Arc::clone(&fetches);
        let observer: FetchObserver = Arc::new(move |_, _| {
            counted.fetch_add(1, Ordering::Relaxed);
        });
        let origin = Arc::new(Origin {
            addresses: Addresses::default(),
            elsewhere: Some(template.parse().expect("a template")),
            mirrors: Mirrors::open(data.join("mirrors")).expect("mirrors").observed(observer),
            reader: Reader::new(None, None),
        });
        let elsewhere = Arc::new(Elsewhere::new());
        let preparer = Arc::new(Preparer {
            store: Arc::clone(&faulty),
            origin: Arc::clone(&origin),
            actions: elsewhere.clone(),
            secrets: Arc::new(OneSecret(Arc::clone(&self.faults))),
            permissions: DefaultPermissions::LimitedRead,
            artifact_days: 90,
        });
        let profile = Profile {
            name: "linux".to_owned(),
            labels: vec!["ubuntu-latest".to_owned()],
            size: Size::default(),
            capacity: Capacity { machines: Some(machines), ..Capacity::default() },
            ..Profile::default()
        };
        let logs = Arc::new(LogFolder::new(&data.join("logs")));
        let parts = Parts {
            store: faulty,
            logs: Arc::clone(&logs),
            preparer,
            worker: worker.clone(),
            retry: Policy { first_wait: Duration::from_millis(1), ..Policy::default() },
        };
        let (stop, tasks, news) = (CancellationToken::new(), TaskTracker::new(), Arc::new(Notify::new()));
        let queue = Queue::new(limits, Profiles::new(vec![profile]));
        let engine = Engine::start(parts, queue, stop.clone(), &tasks).await.expect("an engine");
        let expander = Arc::new(Expander {
            store: Arc::clone(&store),
            origin: Arc::clone(&origin),
            approval: Approval::default(),
            priorities: self.priorities.clone(),
            app: Some(OwnApp::named("Iv1.abc", "hearth-octo")),
        });
        let intake = Intake {
            store: Arc::clone(&store),
            expander: Arc::clone(&expander),
            engine: engine.clone(),
            news: Arc::clone(&news),
            patience: Duration::from_millis(50),
        };
        tasks.spawn(intake.run(stop.clone()));
        let chain = Chain {
            store: Arc::clone(&store),
            origin: Arc::clone(&origin),
            news: Arc::clone(&news),
            url: "https://ci.example.com".to_owned(),
        };
        tasks.spawn(chain.run(stop.clone()));
        let dispatcher = Dispatcher { store: Arc::clone(&store), expander, engine: engine.clone() };
        House { store, engine, worker, logs, dispatcher, origin, elsewhere, fetches, news, stop, tasks }
    }
}

impl House {
    /// A delivery arrives.
    pub(crate) async fn deliver(&self, guid: &str, event: &str, payload: &Json) -> Receipt {
        let receipt = self.receive(guid, event, payload).await;
        self.news.notify_one();
        receipt
    }

    /// A delivery arrives, and nobody looks yet.
    pub(crate) async fn receive(&self, guid: &str, event: &str, payload: &Json) -> Receipt {
        self.store
            .receive(NewDelivery {
                guid: guid.to_owned(),
                event: event.to_owned(),
                action: payload["action"].as_str().map(str::to_owned),
                repository: payload["repository"]["full_name"].as_str().map(str::to_owned),
                payload: payload.to_string().into_bytes(),
                received_at: Timestamp::now(),
            })
            .await
            .expect("received")
    }

    /// Waits until a run looks like this.
    pub(crate) async fn run_is(&self, id: u64, is: impl Fn(&Run) -> bool) -> Run {
        let mut changes = self.store.subscribe();
        let look = async {
            loop {
                let run = self.store.run(RunId(id)).await.expect("read");
                if let Some(run) = run.filter(|run| is(run)) {
                    return run;
                }
                let _ = changes.recv().await;
            }
        };
        tokio::time::timeout(PATIENCE, look).await.unwrap_or_else(|_| panic!("run {id} never came to it"))
    }

    /// Waits until somebody waits to be tried again, and gives the reason.
    pub(crate) async fn retried(&self) -> String {
        let look = async {
            loop {
                let waits = self.engine.waits().await.expect("asked");
                let mut reasons = waits.into_iter().map(|wait| wait.reason.to_string());
                match reasons.find(|reason| reason.starts_with("retry in ")) {
                    Some(reason) => return reason,
                    None => tokio::task::yield_now().await,
                }
            }
        };
        tokio::time::timeout(PATIENCE, look).await.expect("nobody is tried again")
    }

    /// Waits for the end of a run.
    pub(crate) async fn ended(&self, id: u64) -> Run {
        self.run_is(id, |run| run.conclusion.is_some()).await
    }

    /// Why the first of those who wait does; waits until somebody does.
    pub(crate) async fn wait(&self) -> String {
        let look = async {
            loop {
                let waits = self.engine.waits().await.expect("asked");
                match waits.into_iter().next() {
                    Some(wait) => return wait.reason.to_string(),
                    None => tokio::task::yield_now().await,
                }
            }
        };
        tokio::time::timeout(PATIENCE, look).await.expect("nobody waits")
    }

    /// The jobs of the latest attempt.
    pub(crate) async fn jobs(&self, run: &Run) -> Vec<Job> {
        self.store.jobs(run.id, run.attempt).await.expect("read")
    }

    /// Key and conclusion of the jobs of the latest attempt, in a line.
    pub(crate) async fn said(&self, run: &Run) -> String {
        let jobs = self.jobs(run).await;
        let said = jobs.iter().map(|job| {
            format!("{}:{}", job.key, job.conclusion.map_or(job.state.as_str(), |end| end.as_str()))
        });
        said.collect::<Vec<_>>().join(" ")
    }

    /// Ends the server as a crash does, as far as one process can: nothing is handed back.
    pub(crate) async fn crash(self) -> Arc<FakeWorker> {
        self.stop.cancel();
        self.tasks.close();
        self.tasks.wait().await;
        self.worker
    }
}

/// The payload of a push to main.
pub(crate) fn push(sha: &str) -> Json {
    json!({
        "ref": "refs/heads/main", "before": "0000000000000000000000000000000000000000", "after": sha,
        "created": false, "deleted": false, "forced": false,
        "repository": repository(),
        "sender": {"login": "mona", "id": 2},
        "head_commit": {"id": sha, "message": "Change it\n\nbody"},
        "commits": [{"id": sha, "message": "Change it"}],
    })
}

/// The payload of a pull request from the fork of somebody whom the repository does not know.
pub(crate) fn strangers_pull(head: &str, base: &str) -> Json {
    json!({
        "action": "opened", "number": 7, "repository": repository(), "sender": {"login": "eve", "id": 9},
        "pull_request": {
            "number": 7, "title": "Nice change", "merged": false, "author_association": "NONE",
            "user": {"login": "eve", "id": 9},
            "head": {"ref": "patch", "sha": head, "repo": {"id": 5, "full_name": "eve/hello", "fork": true}},
            "base": {"ref": "main", "sha": base, "repo": repository()},
        },
    })
}

pub(crate) fn repository() -> Json {
    json!({
        "id": 1, "name": "hello", "full_name": "octo/hello", "private": false, "fork": false,
        "default_branch": "main", "owner": {"login": "octo", "id": 3},
    })
}

fn git(folder: &Path, args: &[&str]) -> String {
    if args[0] == "init" && !folder.exists() {
        std::fs::create_dir_all(folder).expect("made");
    }
    let output = Command::new("git")
        .args(["-c", "user.name=mona", "-c", "user.email=mona@example.com"])
        .args(args)
        .current_dir(folder)
        .env("GIT_CONFIG_GLOBAL", "/dev/null")
        .output()
        .expect("git");
    assert!(output.status.success(), "{args:?}: {}", String::from_utf8_lossy(&output.stderr));
    String::from_utf8_lossy(&output.stdout).trim().to_owned()
}
