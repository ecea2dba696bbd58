//! Databases that an earlier version has written.

use model::{JobId, JobState, RunId, RunState, Timestamp};
use rusqlite::Connection;
use serde_json::json;
use store::change::Requeue;
use store::record::Job;
use store::sqlite::DATABASE_FILE;
use store::{Change, SqliteStore, Store, sample};
use tempfile::TempDir;

use crate::sample::NOON;

/// The format before runs waited for people in their midst.
const FORMAT_2: [&str; 2] =
    [include_str!("../../src/sqlite/migration/1.sql"), include_str!("../../src/sqlite/migration/2.sql")];

/// A repository that was renamed once, a run with a job that waits and one that runs, and rules of two environments.
const CONTENT: &str = r#"
INSERT INTO repositories VALUES (7, 'github', 'octo/hi', 'Octo/Hello', 1, 'main', 0, 'https://x.test', NULL, 1);
INSERT INTO deliveries VALUES (5, 'd-1', 'push', NULL, 'octo/hi', 1, 'expanded', NULL, 1, 1, 1);
INSERT INTO runs VALUES (3, 7, 'ci.yml', 1, 5, 'CI', 'Say hello', 'push', 'refs/heads/main', 'aa', 'aa', 'main', NULL,
  'mona', 'trusted', 0, NULL, 0, 0, '{}', 1, 1);
INSERT INTO attempts VALUES (3, 1, 'mona', NULL, 'running', NULL, NULL, 1, 1, NULL, '{}', 'waiting');
INSERT INTO jobs VALUES
  (1, 3, 1, 'deploy', 'deploy', 'deploy', '[]', 'waiting', 'somebody must', NULL, NULL, 0, 0, NULL, 1, NULL, NULL, NULL,
    NULL, '[]', 'production', NULL),
  (2, 3, 1, 'build', 'build', 'build', '[]', 'running', NULL, NULL, NULL, 1, 0, 'm-1', 1, 1, 1, NULL, NULL, '[]', NULL,
    NULL);
INSERT INTO settings VALUES
  ('environment/7/production', '{"name":"Production","approval":true}'),
  ('environment/7/eu/north', '{"name":"EU/north","approval":true}'),
  ('approved/7/1', 'true');
PRAGMA user_version = 2;
"#;

/// A store of a database of format 2.
fn opened() -> (TempDir, SqliteStore) {
    let folder = TempDir::new().expect("a folder");
    let old = Connection::open(folder.path().join(DATABASE_FILE)).expect("made");
    for sql in FORMAT_2.into_iter().chain([CONTENT]) {
        old.execute_batch(sql).expect("filled");
    }
    drop(old);
    let store = SqliteStore::open(folder.path()).expect("opens");
    (folder, store)
}

#[tokio::test]
async fn a_database_of_an_earlier_version_has_all_that_it_had_and_goes_on() {
    let (_folder, store) = opened();
    let run = store.run(RunId(3)).await.expect("read").expect("there");
    assert_eq!((run.what.state, run.what.title.as_str()), (RunState::Running, "Say hello"));
    let jobs = store.jobs(run.id, 1).await.expect("read");
    let said: Vec<_> = jobs.iter().map(|job| (job.key.as_str(), job.state, job.waits_until)).collect();
    assert_eq!(said, [("deploy", JobState::Waiting, None), ("build", JobState::Running, None)]);

    let new = Job { rank: "0001.0000".to_owned(), ..sample::job(JobId(9), run.id) };
    let until = Timestamp(NOON.0 + 1000);
    let changes = vec![
        Change::JobCreated(Box::new(new.clone())),
        Change::JobRequeued {
            job: JobId(2),
            reason: "its machine failed".to_owned(),
            requeue: Requeue::Machine,
            at: NOON,
        },
        Change::JobDelayed { job: JobId(1), until: Some(until), reason: "it waits".to_owned() },
        Change::RunHeld { run: run.id, reason: "somebody must".to_owned() },
    ];
    let written = tokio::time::timeout(std::time::Duration::from_secs(20), store.apply(changes)).await;
    written.expect("it is not tried for ever").expect("written");
    assert_eq!(store.job(JobId(9)).await.expect("read"), Some(new));
    let delayed = store.job(JobId(1)).await.expect("read").expect("there");
    assert_eq!(delayed.waits_until, Some(until));
    // Those who follow it were not told yet that it runs, and it does for them while it waits in its midst.
    let told = store.unannounced(None, 10).await.expect("read");
    let told: Vec<_> = told.iter().map(|(attempt, _)| (attempt.run, attempt.progress())).collect();
    assert_eq!(told, [(run.id, RunState::Running)]);
    store
        .apply(vec![Change::Announced { run: run.id, attempt: 1, state: RunState::Running }])
        .await
        .expect("told");
    assert!(store.unannounced(None, 10).await.expect("read").is_empty());
}

#[tokio::test]
async fn rules_of_environments_of_an_earlier_version_hold_where_the_repository_keeps_its_things() {
    let (_folder, store) = opened();
    let kept = |key: &str, value| (format!("environment/octo/hello/{key}"), value);
    let expected = [
        kept("eu/north", json!({"name": "EU/north", "approval": true})),
        kept("production", json!({"name": "Production", "approval": true})),
    ];
    let repository = store.repositories().await.expect("read").remove(0);
    assert_eq!((repository.facts.full_name.as_str(), repository.place.as_str()), ("octo/hi", "Octo/Hello"));
    assert_eq!(store.settings("environment/octo/hello/").await.expect("read"), expected);
    assert_eq!(store.settings("environment/7/").await.expect("read"), []);
    assert_eq!(store.setting("approved/7/1").await.expect("read"), Some(json!(true)), "the others stay");
}
