//! `lfs`: files that git keeps elsewhere.

use std::fs;
use std::path::Path;

use model::Secret;
use runner::source::WorkTree;
use runner::{CheckoutRequest, SourceProvider};

use crate::fixture::{Fixture, git, request};
use crate::server::{Server, TOKEN};

/// Of `big.bin` and of `other/big.bin`.
const FILES: [(&str, &str); 2] = [("big.bin", "large\n"), ("other/big.bin", "other\n")];

fn oid(text: &str) -> String {
    use sha2::Digest;
    use std::fmt::Write;
    let mut hex = String::new();
    for byte in sha2::Sha256::digest(text.as_bytes()) {
        write!(hex, "{byte:02x}").unwrap();
    }
    hex
}

/// Commits pointers to the files, and gives the server the files.
fn add_lfs(fixture: &Fixture) {
    add_lfs_from(fixture, "");
}

/// The same with the settings that a repository can have for LFS.
fn add_lfs_from(fixture: &Fixture, settings: &str) {
    let (work, store) = (fixture.folder.path().join("work"), fixture.folder.path().join("remotes/lfs"));
    fs::create_dir_all(&store).unwrap();
    fs::create_dir_all(work.join("other")).unwrap();
    fs::write(work.join(".gitattributes"), "*.bin filter=lfs diff=lfs merge=lfs -text\n").unwrap();
    fs::write(work.join(".lfsconfig"), settings).unwrap();
    for (path, text) in FILES {
        fs::write(store.join(oid(text)), text).unwrap();
        fs::write(work.join(path), pointer(text)).unwrap();
    }
    let plain = ["-c", "filter.lfs.required=false", "-c", "filter.lfs.process=", "-c", "filter.lfs.clean="];
    git(&work, &[&plain[..], &["add", "-A"]].concat());
    git(&work, &[&plain[..], &["commit", "-q", "-m", "lfs"]].concat());
    git(&work, &["push", "-q", "--no-verify", &fixture.remote().display().to_string(), "main"]);
}

fn pointer(text: &str) -> String {
    format!("version https://git-lfs.github.com/spec/v1\noid sha256:{}\nsize {}\n", oid(text), text.len())
}

fn read(workspace: &Path, path: &str) -> String {
    fs::read_to_string(workspace.join(path)).unwrap()
}

async fn served(fixture: &Fixture) -> CheckoutRequest {
    let server = Server::start(fixture.folder.path().join("remotes")).await;
    CheckoutRequest { server: server.url, token: Secret(TOKEN.to_owned()), ..request() }
}

#[tokio::test]
async fn lfs_files_come_from_the_server_when_asked_for() {
    let fixture = Fixture::new();
    add_lfs(&fixture);
    let without = served(&fixture).await;
    let workspace = fixture.check_out(without.clone()).await.unwrap();
    assert_eq!(read(&workspace, "big.bin"), pointer("large\n"));
    let with = CheckoutRequest { lfs: true, ..without };
    let workspace = fixture.check_out(with).await.unwrap();
    assert_eq!(
        (read(&workspace, "big.bin"), read(&workspace, "other/big.bin")),
        ("large\n".into(), "other\n".into())
    );
    assert!(workspace.join(".git/lfs/objects").is_dir() && !workspace.join(".git/lfs/tmp").exists());
    assert_eq!(git(&workspace, &["status", "--short"]), "", "git knows that these are the committed files");
    assert_eq!(git(&workspace, &["config", "filter.lfs.smudge"]), "git-lfs smudge -- %f");
    let config = read(&workspace, ".git/config");
    assert!(!config.contains(TOKEN) && !config.contains("basic"), "{config}");
}

#[tokio::test]
async fn a_sparse_checkout_fetches_the_lfs_files_of_its_folders_alone() {
    let fixture = Fixture::new();
    add_lfs(&fixture);
    let sparse_checkout = vec!["other".to_owned()];
    let request = CheckoutRequest { lfs: true, cone_mode: false, sparse_checkout, ..served(&fixture).await };
    let workspace = fixture.check_out(request).await.unwrap();
    assert_eq!(read(&workspace, "other/big.bin"), "other\n");
    let stored = |text: &str| {
        let oid = oid(text);
        workspace.join(format!(".git/lfs/objects/{}/{}/{oid}", &oid[..2], &oid[2..4])).exists()
    };
    assert!(stored("other\n") && !stored("large\n"));
}

/// Puts the files to where LFS keeps those of the remote.
fn store_in_remote(fixture: &Fixture) {
    for (_, text) in FILES {
        let oid = oid(text);
        let folder = fixture.remote().join(format!("lfs/objects/{}/{}", &oid[..2], &oid[2..4]));
        fs::create_dir_all(&folder).unwrap();
        fs::write(folder.join(&oid), text).unwrap();
    }
}

#[tokio::test]
async fn lfs_files_come_from_a_mirror_in_a_folder_wherever_else_they_are() {
    let fixture = Fixture::new();
    add_lfs_from(&fixture, "[lfs]\n\turl = http://127.0.0.1:1/lfs\n");
    store_in_remote(&fixture);
    let workspace = fixture.check_out(CheckoutRequest { lfs: true, ..request() }).await.unwrap();
    assert_eq!(read(&workspace, "big.bin"), "large\n");
}

#[tokio::test]
async fn a_repository_of_a_server_gets_no_lfs_files_from_the_host() {
    let fixture = Fixture::new();
    add_lfs_from(&fixture, &format!("[lfs]\n\turl = file://{}\n", fixture.remote().display()));
    store_in_remote(&fixture);
    let request = CheckoutRequest { lfs: true, ..served(&fixture).await };
    let error = fixture.check_out(request).await.unwrap_err();
    assert!(error.contains("big.bin"), "{error}");
}

#[tokio::test]
async fn an_lfs_file_that_the_server_lacks_is_named() {
    let fixture = Fixture::new();
    add_lfs(&fixture);
    fs::remove_file(fixture.folder.path().join("remotes/lfs").join(oid("large\n"))).unwrap();
    let request = CheckoutRequest { lfs: true, ..served(&fixture).await };
    let error = fixture.check_out(request).await.unwrap_err();
    assert!(error.contains("big.bin") && error.contains("Object does not exist"), "{error}");
    assert!(!error.contains(TOKEN), "{error}");
}

#[tokio::test]
async fn of_the_working_tree_lfs_files_must_be_there() {
    let fixture = Fixture::new();
    add_lfs(&fixture);
    let own = fixture.folder.path().join("work");
    let tree = WorkTree::new(&own);
    let request = CheckoutRequest { repository: String::new(), lfs: true, ..request() };
    let error = tree.archive(&request).await.err().unwrap().to_string();
    assert!(error.contains("'big.bin' is not there") && error.contains("git lfs pull"), "{error}");
    for (path, text) in FILES {
        fs::write(own.join(path), text).unwrap();
    }
    let workspace = fixture.check_out_from(&tree, request.clone()).await.unwrap();
    assert_eq!(read(&workspace, "big.bin"), "large\n");
    assert_eq!(git(&workspace, &["status", "--short"]), "");

    git(
        &own,
        &[
            "-c",
            "filter.lfs.process=",
            "-c",
            "filter.lfs.clean=",
            "-c",
            "filter.lfs.smudge=",
            "-c",
            "filter.lfs.required=false",
            "checkout",
            "-q",
            "-f",
            "v1",
        ],
    );
    let other = CheckoutRequest { reference: "main".to_owned(), ..request };
    let error = WorkTree::new(&own).archive(&other).await.err().unwrap().to_string();
    assert!(error.contains("big.bin") && error.contains("git lfs fetch"), "{error}");
    for (_, text) in FILES {
        let oid = oid(text);
        let folder = own.join(format!(".git/lfs/objects/{}/{}", &oid[..2], &oid[2..4]));
        fs::create_dir_all(&folder).unwrap();
        fs::write(folder.join(&oid), text).unwrap();
    }
    let workspace = fixture.check_out_from(&WorkTree::new(&own), other).await.unwrap();
    assert_eq!(read(&workspace, "big.bin"), "large\n");
}
