//! What a job gets to see of the host's folder, looked at with git itself.

use std::fs;
use std::os::unix::ffi::OsStrExt;
use std::os::unix::fs::{PermissionsExt, symlink};
use std::path::{Path, PathBuf};
use std::process::Command;

use runner::source::WorkTree;
use runner::{CheckoutRequest, SourceProvider};
use tokio::io::AsyncReadExt;

struct Fixture {
    folder: tempfile::TempDir,
}

/// Runs git; gives its standard output, or its standard error if it fails.
fn try_git(dir: &Path, args: &[&str]) -> Result<String, String> {
    let settings = ["user.name=T", "user.email=t@example.com", "init.defaultBranch=main"];
    let output = Command::new("git")
        .current_dir(dir)
        .args(settings.iter().flat_map(|setting| ["-c", setting]))
        .args(["-c", "protocol.file.allow=always"])
        .args(args)
        .output()
        .expect("git runs");
    let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).trim_end().to_owned();
    if output.status.success() { Ok(text(&output.stdout)) } else { Err(text(&output.stderr)) }
}

fn git(dir: &Path, args: &[&str]) -> String {
    try_git(dir, args).unwrap_or_else(|error| panic!("git {args:?}: {error}"))
}

impl Fixture {
    fn new() -> Self {
        let fixture = Fixture { folder: tempfile::tempdir().unwrap() };
        fs::create_dir(fixture.root()).unwrap();
        fixture
    }

    /// A repository with two commits.
    fn repository() -> Self {
        let fixture = Fixture::new();
        git(&fixture.root(), &["init", "-q"]);
        fixture.write("a.txt", "one\n");
        fixture.write("src/lib.rs", "code\n");
        fixture.write("src/deep/x", "x\n");
        fixture.write("docs/guide", "guide\n");
        fixture.commit("first");
        fixture.write("a.txt", "two\n");
        fixture.commit("second");
        fixture
    }

    fn root(&self) -> PathBuf {
        self.folder.path().join("host")
    }

    fn write(&self, path: &str, text: &str) {
        let path = self.root().join(path);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(path, text).unwrap();
    }

    fn commit(&self, message: &str) {
        git(&self.root(), &["add", "-A"]);
        git(&self.root(), &["commit", "-q", "-m", message]);
    }

    /// Checks out into a new folder; an error is that of the archive or of its stream.
    async fn check_out(&self, request: CheckoutRequest) -> Result<PathBuf, String> {
        let mut stream = match WorkTree::new(self.root()).archive(&request).await {
            Ok(stream) => stream.expect("the run's own repository"),
            Err(error) => return Err(error.to_string()),
        };
        let mut bytes = Vec::new();
        stream.read_to_end(&mut bytes).await.map_err(|error| error.to_string())?;
        let workspace = tempfile::tempdir_in(self.folder.path()).unwrap().keep();
        tar::Archive::new(bytes.as_slice()).unpack(&workspace).map_err(|error| error.to_string())?;
        Ok(workspace)
    }
}

fn request() -> CheckoutRequest {
    CheckoutRequest { fetch_depth: 1, cone_mode: true, ..CheckoutRequest::default() }
}

fn read(workspace: &Path, path: &str) -> String {
    fs::read_to_string(workspace.join(path)).unwrap()
}

#[tokio::test]
async fn uncommitted_changes_are_there_and_git_knows_them() {
    let fixture = Fixture::repository();
    fixture.write(".gitignore", "ignored\n");
    fixture.commit("third");
    fixture.write("a.txt", "changed\n");
    fixture.write("new", "new\n");
    fixture.write("staged", "staged\n");
    git(&fixture.root(), &["add", "staged"]);
    fixture.write("ignored/secret", "secret\n");
    fs::remove_file(fixture.root().join("docs/guide")).unwrap();
    let workspace = fixture.check_out(request()).await.unwrap();
    assert_eq!(read(&workspace, "a.txt"), "changed\n");
    assert!(!workspace.join("ignored").exists() && !workspace.join("docs/guide").exists());
    let status = git(&workspace, &["status", "--short"]);
    assert_eq!(status, " M a.txt\n D docs/guide\n?? new\n?? staged");
    assert_eq!(git(&workspace, &["rev-parse", "HEAD"]), git(&fixture.root(), &["rev-parse", "HEAD"]));
    assert_eq!(git(&workspace, &["branch", "--show-current"]), "main");
    git(&workspace, &["fsck", "--strict"]);
}

#[tokio::test]
async fn a_clean_tree_is_clean_in_the_job() {
    let fixture = Fixture::repository();
    let workspace = fixture.check_out(request()).await.unwrap();
    assert_eq!(git(&workspace, &["status", "--short", "--branch"]), "## main");
}

#[tokio::test]
async fn the_depth_decides_how_much_history_there_is() {
    let fixture = Fixture::repository();
    fixture.write("a.txt", "three\n");
    fixture.commit("third");
    for (depth, commits) in [(1, "1"), (2, "2"), (3, "3"), (100, "3"), (0, "3")] {
        let workspace = fixture.check_out(CheckoutRequest { fetch_depth: depth, ..request() }).await.unwrap();
        assert_eq!(git(&workspace, &["rev-list", "--count", "HEAD"]), commits, "depth {depth}");
        assert_eq!(git(&workspace, &["status", "--short"]), "", "depth {depth}");
        git(&workspace, &["fsck"]);
    }
}

#[tokio::test]
async fn the_whole_history_has_all_branches_and_tags() {
    let fixture = Fixture::repository();
    git(&fixture.root(), &["tag", "-a", "v1", "-m", "one", "HEAD~1"]);
    git(&fixture.root(), &["branch", "other", "HEAD~1"]);
    let workspace = fixture.check_out(CheckoutRequest { fetch_depth: 0, ..request() }).await.unwrap();
    assert!(git(&workspace, &["describe"]).starts_with("v1-1-g"));
    git(&workspace, &["rev-parse", "--verify", "refs/remotes/origin/other"]);
    let shallow = fixture.check_out(request()).await.unwrap();
    assert!(try_git(&shallow, &["describe"]).is_err(), "like a clone of depth 1, it has no tags");
    let tagged = fixture.check_out(CheckoutRequest { fetch_tags: true, ..request() }).await.unwrap();
    assert_eq!(git(&tagged, &["tag"]), "v1");
    assert_eq!(git(&tagged, &["rev-list", "--count", "HEAD"]), "1");
}

#[tokio::test]
async fn another_ref_gives_its_committed_files() {
    let fixture = Fixture::repository();
    git(&fixture.root(), &["tag", "v1", "HEAD~1"]);
    git(&fixture.root(), &["branch", "old", "HEAD~1"]);
    fixture.write("a.txt", "uncommitted\n");
    for reference in ["v1", "refs/tags/v1", "old", "refs/heads/old"] {
        let request = CheckoutRequest { reference: reference.to_owned(), ..request() };
        let workspace = fixture.check_out(request).await.unwrap();
        assert_eq!(read(&workspace, "a.txt"), "one\n", "{reference}");
        assert_eq!(git(&workspace, &["status", "--short"]), "", "{reference}");
    }
    for reference in ["main", "refs/heads/main", "refs/pull/1/merge"] {
        let request = CheckoutRequest { reference: reference.to_owned(), ..request() };
        assert_eq!(read(&fixture.check_out(request).await.unwrap(), "a.txt"), "uncommitted\n", "{reference}");
    }
    let missing = CheckoutRequest { reference: "--upload-pack=x".to_owned(), ..request() };
    let error = fixture.check_out(missing).await.unwrap_err();
    assert!(error.contains("'--upload-pack=x' of") && error.contains("git fetch origin"), "{error}");
}

#[tokio::test]
async fn no_credentials_and_no_hooks_of_the_host_get_into_the_job() {
    let fixture = Fixture::repository();
    let root = fixture.root();
    git(&root, &["remote", "add", "origin", "https://user:s3cret@github.com/octo/app.git"]);
    git(&root, &["config", "http.https://github.com/.extraheader", "AUTHORIZATION: basic s3cret"]);
    fixture.write(".git/hooks/pre-commit", "#!/bin/sh\n# s3cret\n");
    let workspace = fixture.check_out(CheckoutRequest { fetch_depth: 0, ..request() }).await.unwrap();
    assert_eq!(git(&workspace, &["remote", "get-url", "origin"]), "https://github.com/octo/app.git");
    let found = Command::new("grep").args(["-ra", "s3cret"]).arg(&workspace).output().unwrap();
    assert_eq!(String::from_utf8_lossy(&found.stdout), "");
}

#[tokio::test]
async fn modes_links_and_odd_names_survive() {
    let fixture = Fixture::repository();
    let root = fixture.root();
    fixture.write("run.sh", "#!/bin/sh\n");
    fs::set_permissions(root.join("run.sh"), fs::Permissions::from_mode(0o700)).unwrap();
    symlink("../outside", root.join("link")).unwrap();
    let odd = Path::new(std::ffi::OsStr::from_bytes(b"odd \xff\n\"name"));
    fs::write(root.join(odd), "odd").unwrap();
    let long = "d/".repeat(60) + &"n".repeat(150);
    fixture.write(&long, "long");
    fixture.commit("odd");
    let workspace = fixture.check_out(request()).await.unwrap();
    assert_eq!(fs::metadata(workspace.join("run.sh")).unwrap().permissions().mode() & 0o777, 0o755);
    assert_eq!(fs::read_link(workspace.join("link")).unwrap(), Path::new("../outside"));
    assert_eq!(fs::read(workspace.join(odd)).unwrap(), b"odd");
    assert_eq!(read(&workspace, &long), "long");
    assert_eq!(git(&workspace, &["status", "--short"]), "");
}

#[tokio::test]
async fn a_link_in_the_place_of_a_folder_leads_nowhere_else() {
    let fixture = Fixture::repository();
    let outside = fixture.folder.path().join("outside");
    fs::create_dir_all(outside.join("deep")).unwrap();
    fs::write(outside.join("lib.rs"), "not the tree's").unwrap();
    fs::remove_dir_all(fixture.root().join("src")).unwrap();
    symlink(&outside, fixture.root().join("src")).unwrap();
    let workspace = fixture.check_out(request()).await.unwrap();
    assert_eq!(fs::read_link(workspace.join("src")).unwrap(), outside);
}

#[tokio::test]
async fn sparse_patterns_choose_committed_and_new_files() {
    let fixture = Fixture::repository();
    fixture.write("src/deep/new", "n");
    fixture.write("docs/new", "n");
    let cone = CheckoutRequest { sparse_checkout: vec!["src/deep".to_owned()], ..request() };
    let workspace = fixture.check_out(cone.clone()).await.unwrap();
    assert!(workspace.join("src/deep/new").exists() && workspace.join("src/lib.rs").exists());
    assert!(workspace.join("a.txt").exists() && !workspace.join("docs").exists());
    assert_eq!(git(&workspace, &["status", "--short"]), "?? src/deep/new");

    let patterns = vec!["/docs/".to_owned(), "!/docs/new".to_owned()];
    let request = CheckoutRequest { sparse_checkout: patterns, cone_mode: false, ..cone };
    let workspace = fixture.check_out(request.clone()).await.unwrap();
    assert!(workspace.join("docs/guide").exists());
    assert!(!workspace.join("docs/new").exists() && !workspace.join("a.txt").exists());
    git(&fixture.root(), &["branch", "old", "HEAD~1"]);
    let old = CheckoutRequest { reference: "old".to_owned(), ..request };
    let workspace = fixture.check_out(old).await.unwrap();
    assert!(workspace.join("docs/guide").exists() && !workspace.join("src").exists());
}

#[tokio::test]
async fn submodules_come_only_when_asked_for() {
    let fixture = Fixture::repository();
    let other = Fixture::repository();
    let url = other.root().display().to_string();
    git(&fixture.root(), &["submodule", "--quiet", "add", &url, "lib"]);
    fixture.commit("submodule");
    let without = fixture.check_out(request()).await.unwrap();
    assert_eq!(fs::read_dir(without.join("lib")).unwrap().count(), 0);
    assert_eq!(git(&without, &["status", "--short"]), "");
    let with = CheckoutRequest { submodules: "true".to_owned(), ..request() };
    assert_eq!(read(&fixture.check_out(with.clone()).await.unwrap(), "lib/a.txt"), "two\n");
    git(&fixture.root(), &["submodule", "--quiet", "deinit", "-f", "lib"]);
    let error = fixture.check_out(with).await.unwrap_err();
    assert!(error.contains("git submodule update"), "{error}");
}

#[tokio::test]
async fn a_folder_without_git_gives_its_files() {
    let fixture = Fixture::new();
    fixture.write("a/b", "b");
    let workspace = fixture.check_out(request()).await.unwrap();
    assert_eq!(read(&workspace, "a/b"), "b");
    assert!(!workspace.join(".git").exists());
}

#[tokio::test]
async fn nothing_is_written_into_the_hosts_repository_while_it_is_packed() {
    let fixture = Fixture::repository();
    let packs = fixture.root().join(".git/objects/pack");
    fs::remove_dir(&packs).expect("the objects are loose");
    fs::write(&packs, "no place for a pack").unwrap();
    for fetch_depth in [1, 0] {
        let workspace = fixture.check_out(CheckoutRequest { fetch_depth, ..request() }).await.unwrap();
        assert_eq!(git(&workspace, &["status", "--short"]), "");
    }
}

#[tokio::test]
async fn gits_own_files_are_no_tree() {
    let fixture = Fixture::repository();
    let error =
        WorkTree::new(fixture.root().join(".git")).archive(&request()).await.err().expect("a refusal");
    assert!(error.to_string().contains("bare repository"), "{error}");
}

#[tokio::test]
async fn a_folder_within_a_repository_gives_its_files_without_what_git_ignores() {
    let fixture = Fixture::repository();
    fixture.write(".gitignore", "target\n");
    fixture.write("src/target/x", "x");
    let mut stream = WorkTree::new(fixture.root().join("src")).archive(&request()).await.unwrap().unwrap();
    let mut bytes = Vec::new();
    stream.read_to_end(&mut bytes).await.unwrap();
    let mut archive = tar::Archive::new(bytes.as_slice());
    let names: Vec<_> =
        archive.entries().unwrap().map(|entry| entry.unwrap().path().unwrap().into_owned()).collect();
    assert_eq!(names, [Path::new("deep/x"), Path::new("lib.rs")]);
}

#[tokio::test]
async fn a_repository_without_a_commit_gives_its_files() {
    let fixture = Fixture::new();
    git(&fixture.root(), &["init", "-q", "-b", "start"]);
    fixture.write("a", "a");
    let workspace = fixture.check_out(request()).await.unwrap();
    assert_eq!(git(&workspace, &["status", "--short", "--branch"]), "## No commits yet on start\n?? a");
}

#[tokio::test]
async fn a_linked_work_tree_and_a_shallow_clone_work_as_well() {
    let fixture = Fixture::repository();
    let linked = fixture.folder.path().join("linked");
    git(&fixture.root(), &["worktree", "add", "-q", "-b", "side", &linked.display().to_string()]);
    let shallow = fixture.folder.path().join("shallow");
    let url = format!("file://{}", fixture.root().display());
    git(fixture.folder.path(), &["clone", "-q", "--depth=1", &url, &shallow.display().to_string()]);
    for (root, branch) in [(linked, "side"), (shallow, "main")] {
        for depth in [0, 1, 5] {
            let request = CheckoutRequest { fetch_depth: depth, ..request() };
            let mut stream = WorkTree::new(&root).archive(&request).await.unwrap().unwrap();
            let mut bytes = Vec::new();
            stream.read_to_end(&mut bytes).await.unwrap();
            let workspace = tempfile::tempdir().unwrap();
            tar::Archive::new(bytes.as_slice()).unpack(&workspace).unwrap();
            let state = git(workspace.path(), &["status", "--short", "--branch"]);
            assert!(state.starts_with(&format!("## {branch}")) && !state.contains('\n'), "{state}");
            git(workspace.path(), &["fsck"]);
        }
    }
}

#[tokio::test]
async fn a_file_that_cant_be_read_to_its_end_is_named_and_the_stream_fails() {
    let fixture = Fixture::new();
    let large = fs::File::create(fixture.root().join("large")).unwrap();
    large.set_len(64 * 1024 * 1024).unwrap();
    let mut stream = WorkTree::new(fixture.root()).archive(&request()).await.unwrap().unwrap();
    stream.read_exact(&mut [0; 4096]).await.unwrap();
    // The packer waits for its reader, so most of the file has not been read yet.
    large.set_len(0).unwrap();
    let error = stream.read_to_end(&mut Vec::new()).await.unwrap_err();
    assert!(error.to_string().contains("large: it became shorter"), "{error}");
}

#[tokio::test]
async fn another_repository_is_not_ours() {
    let fixture = Fixture::repository();
    let request = CheckoutRequest { repository: "octo/other".to_owned(), ..request() };
    assert!(WorkTree::new(fixture.root()).archive(&request).await.unwrap().is_none());
}
