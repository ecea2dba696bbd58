//! Backups, and the way back.

use std::fs;
use std::path::Path;

use model::{JobId, Secret, Timestamp};
use store::log::LogFolder;
use store::record::{NewCache, Scope};
use store::seal::{KEY_FILE, SealKey};
use store::sqlite::DATABASE_FILE;
use store::{Change, SqliteStore, Store, StoreError, backup};
use tempfile::TempDir;

use crate::sample::{delivery, guids, line};

async fn receive(store: &dyn Store, guid: &str) {
    store.receive(delivery(guid, 5000)).await.expect("received");
}

fn write_log(data: &Path) {
    let mut writer = LogFolder::new(&data.join("logs")).append(JobId(4)).expect("opened");
    writer.write(&[line(0), line(1)]).expect("written");
    writer.finish().expect("finished");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_backup_of_a_store_that_is_written_meanwhile_is_restored_whole() {
    let place = TempDir::new().expect("a folder");
    let (data, to) = (place.path().join("data"), place.path().join("backup"));
    fs::create_dir(&data).expect("made");
    let store = std::sync::Arc::new(SqliteStore::open(&data).expect("opens"));
    let scope = Scope::Organisation("octo".to_owned());
    let key = SealKey::load_or_make(&data.join(KEY_FILE)).expect("made");
    let sealed = key.seal(&scope, "KEY", &Secret("value".to_owned())).expect("sealed");
    write_log(&data);
    for n in 0..50 {
        receive(&*store, &format!("before-{n}")).await;
    }
    let meanwhile = tokio::spawn({
        let store = std::sync::Arc::clone(&store);
        async move {
            for n in 0..200 {
                receive(&*store, &format!("meanwhile-{n}")).await;
            }
        }
    });
    backup::write(&*store, &data, &["logs", "artifacts"], &to).await.expect("written");
    meanwhile.await.expect("written");
    receive(&*store, "after").await;
    let again = backup::write(&*store, &data, &["logs"], &to).await.expect_err("never written over");
    assert!(again.to_string().contains("it is there already"), "{again}");

    let live = backup::restore(&to, &data).expect_err("a server has it");
    assert!(matches!(live, StoreError::Taken { .. }), "{live}");
    drop(store);
    fs::remove_dir_all(data.join("logs")).expect("lost");
    fs::remove_file(data.join(KEY_FILE)).expect("lost");
    fs::write(data.join(DATABASE_FILE), "damaged").expect("damaged");
    backup::restore(&to, &data).expect("restored");

    let store = SqliteStore::open(&data).expect("opens");
    let kept = guids(&store).await;
    assert!(kept.iter().filter(|guid| guid.starts_with("before-")).count() == 50);
    assert!(!kept.contains(&"after".to_owned()));
    assert_eq!(LogFolder::new(&data.join("logs")).read(JobId(4)).count().await.expect("counted"), 2);
    let key = SealKey::load_or_make(&data.join(KEY_FILE)).expect("there");
    assert_eq!(key.open(&scope, "KEY", &sealed).expect("opens").0, "value");
    let replaced = data.join(backup::REPLACED_FOLDER).join(DATABASE_FILE);
    assert_eq!(fs::read_to_string(replaced).expect("kept"), "damaged");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_backup_is_also_written_beside_the_process_that_writes_and_without_any() {
    let place = TempDir::new().expect("a folder");
    let (data, to) = (place.path().join("data"), place.path().join("backup"));
    fs::create_dir(&data).expect("made");
    let none = backup::write_beside(&data, &[], &to).expect_err("nothing there").to_string();
    assert!(none.contains("no server has used it"), "{none}");
    assert!(!data.join(DATABASE_FILE).exists() && !to.exists());
    let store = std::sync::Arc::new(SqliteStore::open(&data).expect("opens"));
    write_log(&data);
    receive(&*store, "before").await;
    let meanwhile = tokio::spawn({
        let store = std::sync::Arc::clone(&store);
        async move {
            for n in 0..100 {
                receive(&*store, &format!("meanwhile-{n}")).await;
            }
        }
    });
    let (beside, target) = (data.clone(), to.clone());
    let writing = tokio::task::spawn_blocking(move || backup::write_beside(&beside, &["logs"], &target));
    writing.await.expect("ended").expect("written");
    meanwhile.await.expect("written");
    // The database that was read is whole, and still the store's.
    receive(&*store, "after").await;
    drop(store);
    let elsewhere = place.path().join("elsewhere");
    backup::restore(&to, &elsewhere).expect("restored");
    let kept = guids(&SqliteStore::open(&elsewhere).expect("opens")).await;
    assert!(kept.contains(&"before".to_owned()) && !kept.contains(&"after".to_owned()), "{kept:?}");
    assert_eq!(LogFolder::new(&elsewhere.join("logs")).read(JobId(4)).count().await.expect("counted"), 2);
    let last = place.path().join("last");
    backup::write_beside(&data, &[], &last).expect("written without a server");
    assert_eq!(guids(&SqliteStore::open(&data).expect("opens")).await.len(), 102);
}

#[tokio::test]
async fn what_stands_for_a_file_is_in_a_backup_only_with_that_file() {
    let place = TempDir::new().expect("a folder");
    let (data, to) = (place.path().join("data"), place.path().join("backup"));
    fs::create_dir_all(data.join("runs/1")).expect("made");
    let store = SqliteStore::open(&data).expect("opens");
    let cache = |file: &str| {
        fs::create_dir_all(data.join(file).parent().expect("a parent")).expect("made");
        fs::write(data.join(file), "bytes").expect("written");
        Change::CacheKept(NewCache {
            repository: "octo/hello".to_owned(),
            reference: "refs/heads/main".to_owned(),
            key: file.to_owned(),
            version: "v".to_owned(),
            file: file.to_owned(),
            size: 5,
            digest: None,
            created_at: Timestamp(1),
        })
    };
    // Of these folders one is in the backup.
    let kept = vec![cache("runs/1/größe"), cache("runs/1/gone"), cache("caches/a")];
    store.apply(kept).await.expect("kept");
    fs::remove_file(data.join("runs/1/gone")).expect("removed");
    backup::write(&store, &data, &["runs"], &to).await.expect("written");
    assert_eq!(store.kept_files().await.expect("read").len(), 3, "the copy is compared, not what is copied");
    drop(store);
    let elsewhere = place.path().join("elsewhere");
    backup::restore(&to, &elsewhere).expect("restored");
    let restored = SqliteStore::open(&elsewhere).expect("opens").kept_files().await.expect("read");
    assert_eq!(restored.iter().map(|kept| kept.file.as_str()).collect::<Vec<_>>(), ["runs/1/größe"]);
    assert_eq!(fs::read_to_string(elsewhere.join(&restored[0].file)).expect("there"), "bytes");
}

#[tokio::test]
async fn a_backup_that_is_damaged_or_none_changes_nothing() {
    let place = TempDir::new().expect("a folder");
    let (data, to) = (place.path().join("data"), place.path().join("backup"));
    fs::create_dir(&data).expect("made");
    let store = SqliteStore::open(&data).expect("opens");
    receive(&store, "one").await;
    backup::write(&store, &data, &[], &to).await.expect("written");
    drop(store);
    let backed_up = to.join(DATABASE_FILE);
    let length = fs::metadata(&backed_up).expect("there").len();
    fs::File::options().write(true).open(&backed_up).expect("there").set_len(length / 2).expect("cut");
    let refused = backup::restore(&to, &data).expect_err("damaged");
    assert!(matches!(refused, StoreError::Damaged { .. }), "{refused}");
    fs::remove_file(backed_up).expect("removed");
    let refused = backup::restore(&to, &data).expect_err("nothing in it").to_string();
    assert!(refused.contains("there is no hearth.db in it"), "{refused}");
    assert_eq!(guids(&SqliteStore::open(&data).expect("opens")).await, ["one"]);
}
