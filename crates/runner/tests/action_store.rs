//! The action store against real git repositories on disk.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::{Arc, Mutex};

use model::ActionRef;
use runner::action_store::{ActionStoreConfig, GitActionStore};
use runner::{ActionStore, FetchedAction};

/// Repositories to fetch from, a cache, and the warnings of all stores that were opened on it.
struct Fixture {
    folder: tempfile::TempDir,
    warnings: Arc<Mutex<Vec<String>>>,
}

fn git(dir: &Path, args: &[&str]) -> String {
    let output = Command::new("git")
        .current_dir(dir)
        .args(["-c", "user.name=T", "-c", "user.email=t@example.com", "-c", "init.defaultBranch=main"])
        .args(args)
        .output()
        .expect("git runs");
    assert!(output.status.success(), "git {args:?}: {}", String::from_utf8_lossy(&output.stderr));
    String::from_utf8_lossy(&output.stdout).trim().to_owned()
}

impl Fixture {
    fn new() -> Self {
        Fixture { folder: tempfile::tempdir().unwrap(), warnings: Arc::default() }
    }

    fn mirror(&self) -> PathBuf {
        self.folder.path().join("mirror")
    }

    fn cache(&self) -> PathBuf {
        self.folder.path().join("cache/actions")
    }

    fn repository(&self, name: &str) -> PathBuf {
        let path = self.mirror().join(name);
        fs::create_dir_all(&path).unwrap();
        git(&path, &["init", "-q"]);
        path
    }

    /// Commits a file; gives the commit.
    fn commit(&self, repository: &Path, file: &str, text: &str) -> String {
        let path = repository.join(file);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(path, text).unwrap();
        git(repository, &["add", "-A"]);
        git(repository, &["commit", "-q", "-m", "change"]);
        git(repository, &["rev-parse", "HEAD"])
    }

    fn store(&self, change: impl FnOnce(&mut ActionStoreConfig)) -> GitActionStore {
        let mut config = ActionStoreConfig::new(self.cache());
        let template = format!("{}/{{owner}}/{{repo}}", self.mirror().display());
        config.mirrors = vec![template.parse().unwrap()];
        let warnings = Arc::clone(&self.warnings);
        config.warn = Arc::new(move |warning| warnings.lock().unwrap().push(warning));
        change(&mut config);
        GitActionStore::open(config).unwrap()
    }
}

fn action(text: &str) -> ActionRef {
    let (name, reference) = text.split_once('@').unwrap();
    let mut parts = name.splitn(3, '/');
    let mut part = || parts.next().unwrap_or_default().to_owned();
    ActionRef::Repository { owner: part(), repo: part(), path: part(), reference: reference.to_owned() }
}

async fn fetch(store: &GitActionStore, text: &str) -> Result<FetchedAction, String> {
    store.fetch(&action(text)).await.map_err(|error| error.to_string())
}

#[tokio::test]
async fn a_branch_a_tag_and_a_commit_are_fetched() {
    let fixture = Fixture::new();
    let repository = fixture.repository("o/r");
    let first = fixture.commit(&repository, "sub/action.yml", "one");
    git(&repository, &["tag", "-a", "v1", "-m", "annotated"]);
    let second = fixture.commit(&repository, "sub/action.yml", "two");
    let store = fixture.store(|_| {});
    let cases = [("main", &second), ("v1", &first), (first.as_str(), &first), ("refs/heads/main", &second)];
    for (reference, commit) in cases {
        let fetched = fetch(&store, &format!("o/r/sub@{reference}")).await.unwrap();
        assert_eq!(&fetched.commit, commit);
        let text = if commit == &first { "one" } else { "two" };
        assert_eq!(fs::read_to_string(fetched.tree.join("sub/action.yml")).unwrap(), text);
    }
}

#[tokio::test]
async fn a_tag_wins_over_a_branch_of_the_same_name() {
    let fixture = Fixture::new();
    let repository = fixture.repository("o/r");
    let tagged = fixture.commit(&repository, "a", "1");
    git(&repository, &["tag", "v1"]);
    fixture.commit(&repository, "a", "2");
    git(&repository, &["branch", "v1"]);
    assert_eq!(fetch(&fixture.store(|_| {}), "o/r@v1").await.unwrap().commit, tagged);
}

#[tokio::test]
async fn a_branch_is_resolved_anew_by_each_run_but_once_within_it() {
    let fixture = Fixture::new();
    let repository = fixture.repository("o/r");
    let first = fixture.commit(&repository, "a", "1");
    let store = fixture.store(|_| {});
    assert_eq!(fetch(&store, "o/r@main").await.unwrap().commit, first);
    let second = fixture.commit(&repository, "a", "2");
    assert_eq!(fetch(&store, "O/R@main").await.unwrap().commit, first);
    assert_eq!(store.for_run().fetch(&action("o/r@main")).await.unwrap().commit, second);
    assert_eq!(fetch(&fixture.store(|_| {}), "o/r@main").await.unwrap().commit, second);
}

#[tokio::test]
async fn a_commit_that_is_there_needs_no_remote() {
    let fixture = Fixture::new();
    let repository = fixture.repository("o/r");
    let commit = fixture.commit(&repository, "a", "1");
    fetch(&fixture.store(|_| {}), "o/r@main").await.unwrap();
    fs::remove_dir_all(fixture.mirror()).unwrap();
    fetch(&fixture.store(|_| {}), &format!("o/r@{commit}")).await.unwrap();
    let offline = fixture.store(|config| config.offline = true);
    assert_eq!(fetch(&offline, "o/r@main").await.unwrap().commit, commit);
    let error = fetch(&offline, "o/r@v9").await.unwrap_err();
    assert!(error.contains("v9") && error.contains("--offline"), "{error}");
}

#[tokio::test]
async fn an_unreachable_remote_falls_back_to_the_last_known_commit_with_a_warning() {
    let fixture = Fixture::new();
    let repository = fixture.repository("o/r");
    let commit = fixture.commit(&repository, "a", "1");
    fetch(&fixture.store(|_| {}), "o/r@main").await.unwrap();
    // Nothing listens on port 1 of the loopback.
    let unreachable = || {
        fixture.store(|config| config.mirrors = vec!["http://127.0.0.1:1/{owner}/{repo}".parse().unwrap()])
    };
    assert_eq!(fetch(&unreachable(), "o/r@main").await.unwrap().commit, commit);
    let warnings = fixture.warnings.lock().unwrap().join("\n");
    assert!(warnings.contains("o/r@main") && warnings.contains(&commit), "{warnings}");
    let error = fetch(&unreachable(), "o/other@main").await.unwrap_err();
    assert!(error.contains("http://127.0.0.1:1/o/other") && error.contains("--actions-mirror"), "{error}");
}

#[tokio::test]
async fn a_remote_that_says_no_is_an_error_even_if_the_reference_was_known() {
    let fixture = Fixture::new();
    let repository = fixture.repository("o/r");
    fixture.commit(&repository, "a", "1");
    git(&repository, &["branch", "gone"]);
    fetch(&fixture.store(|_| {}), "o/r@gone").await.unwrap();
    git(&repository, &["branch", "-D", "gone"]);
    let error = fetch(&fixture.store(|_| {}), "o/r@gone").await.unwrap_err();
    assert!(error.contains("no branch or tag 'gone'"), "{error}");
    let error = fetch(&fixture.store(|_| {}), "o/missing@v1").await.unwrap_err();
    assert!(error.starts_with("can't get action o/missing@v1:") && error.contains("does not"), "{error}");
}

#[tokio::test]
async fn another_try_may_help_where_a_remote_gave_no_answer_and_not_where_it_said_no() {
    let fixture = Fixture::new();
    let commit = fixture.commit(&fixture.repository("o/r"), "a", "1");
    let away = "http://127.0.0.1:1/{owner}/{repo}";
    let stores = [
        fixture.store(|_| {}),
        fixture.store(|config| config.mirrors = vec![away.parse().unwrap()]),
        fixture.store(|config| config.mirrors.push(away.parse().unwrap())),
        fixture.store(|config| config.offline = true),
    ];
    let unknown = commit.chars().rev().collect::<String>();
    for (reference, may_pass) in [
        ("o/r@v9".to_owned(), [false, true, true, false]),
        ("o/missing@v1".to_owned(), [false, true, true, false]),
        (format!("o/r@{unknown}"), [false, true, true, false]),
        ("o/r@--upload-pack=x".to_owned(), [false; 4]),
    ] {
        for (store, may_pass) in stores.iter().zip(may_pass) {
            let error = store.fetch(&action(&reference)).await.unwrap_err();
            assert_eq!(error.may_pass, may_pass, "{error}");
        }
    }
}

#[tokio::test]
async fn the_next_mirror_is_asked_when_one_lacks_the_action() {
    let fixture = Fixture::new();
    let repository = fixture.repository("o/r");
    let commit = fixture.commit(&repository, "a", "1");
    let empty = fixture.folder.path().join("empty/{owner}/{repo}").display().to_string();
    let store = fixture.store(|config| config.mirrors.insert(0, empty.parse().unwrap()));
    assert_eq!(fetch(&store, "o/r@main").await.unwrap().commit, commit);
    fs::remove_dir_all(fixture.cache().join("trees").join(&commit)).unwrap();
    assert_eq!(fetch(&store, &format!("o/r@{commit}")).await.unwrap().commit, commit);
}

#[tokio::test]
async fn two_stores_that_fetch_at_once_end_with_one_whole_tree() {
    let fixture = Fixture::new();
    let repository = fixture.repository("o/r");
    for index in 0..50 {
        fs::write(repository.join(format!("f{index}")), "x".repeat(10_000)).unwrap();
    }
    fixture.commit(&repository, "a", "1");
    let stores = [fixture.store(|_| {}), fixture.store(|_| {})];
    let results = tokio::join!(
        fetch(&stores[0], "o/r@main"),
        fetch(&stores[1], "o/r@main"),
        fetch(&stores[0], "o/r@main"),
    );
    for result in [results.0, results.1, results.2] {
        assert_eq!(fs::read_dir(result.unwrap().tree).unwrap().count(), 51);
    }
    assert_eq!(fs::read_dir(fixture.cache().join("scratch")).unwrap().count(), 0);
}

#[tokio::test]
async fn what_an_interrupted_fetch_left_behind_is_swept_up() {
    let fixture = Fixture::new();
    let repository = fixture.repository("o/r");
    fixture.commit(&repository, "a", "1");
    drop(fixture.store(|_| {}));
    let scratch = fixture.cache().join("scratch");
    fs::create_dir_all(scratch.join("work-dead/tree")).unwrap();
    fs::write(scratch.join("work-dead.lock"), "").unwrap();
    let store = fixture.store(|_| {});
    assert!(!scratch.join("work-dead").exists());
    fetch(&store, "o/r@main").await.unwrap();
}

#[tokio::test]
async fn executables_links_and_export_ignore_are_as_in_githubs_download() {
    use std::os::unix::fs::{PermissionsExt, symlink};
    let fixture = Fixture::new();
    let repository = fixture.repository("o/r");
    fs::write(repository.join("run.sh"), "#!/bin/sh\n").unwrap();
    fs::set_permissions(repository.join("run.sh"), fs::Permissions::from_mode(0o755)).unwrap();
    symlink("run.sh", repository.join("link")).unwrap();
    fs::write(repository.join(".gitattributes"), "/tests export-ignore\n").unwrap();
    fixture.commit(&repository, "tests/large", "x");
    let tree = fetch(&fixture.store(|_| {}), "o/r@main").await.unwrap().tree;
    assert_eq!(fs::metadata(tree.join("run.sh")).unwrap().permissions().mode() & 0o111, 0o111);
    assert_eq!(fs::read_link(tree.join("link")).unwrap(), Path::new("run.sh"));
    assert!(!tree.join("tests").exists());
}

#[tokio::test]
async fn a_reference_that_looks_like_an_option_never_reaches_git() {
    let fixture = Fixture::new();
    let canary = fixture.folder.path().join("canary");
    let error = fetch(&fixture.store(|_| {}), &format!("o/r@--upload-pack=touch {}", canary.display())).await;
    assert!(error.unwrap_err().contains("is not a branch, tag, or commit"));
    assert!(!canary.exists());
}
