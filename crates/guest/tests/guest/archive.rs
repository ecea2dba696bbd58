//! Archives, good and evil.

use std::io::Cursor;
use std::os::unix::ffi::OsStrExt;
use std::os::unix::fs::{MetadataExt, PermissionsExt, symlink};
use std::path::Path;

use guest::archive::unpack;
use guest::client::{GuestError, RefusalKind};
use tar::{Builder, EntryType, Header};

use crate::agent::Agent;

/// A tar stream of files with these names, unchecked.
pub(crate) fn tar_of(files: &[(&str, &[u8])]) -> Vec<u8> {
    let mut tar = Tar::default();
    for (name, data) in files {
        tar.add(name, EntryType::Regular, "", data);
    }
    tar.finish()
}

/// Makes tar streams that no honest program would make.
#[derive(Default)]
struct Tar(Vec<u8>);

impl Tar {
    fn add(&mut self, name: &str, kind: EntryType, link: &str, data: &[u8]) -> &mut Self {
        let mut header = Header::new_gnu();
        header.as_old_mut().name[..name.len()].copy_from_slice(name.as_bytes());
        header.as_old_mut().linkname[..link.len()].copy_from_slice(link.as_bytes());
        header.set_entry_type(kind);
        header.set_size(data.len() as u64);
        header.set_mode(0o6755);
        header.set_mtime(1_000_000_000);
        header.set_cksum();
        self.0.extend_from_slice(header.as_bytes());
        self.0.extend_from_slice(data);
        self.0.resize(self.0.len().next_multiple_of(512), 0);
        self
    }

    fn finish(&mut self) -> Vec<u8> {
        self.0.extend_from_slice(&[0; 1024]);
        std::mem::take(&mut self.0)
    }
}

/// Unpacks into `dest` beside a folder `outside`; the error, and that nothing got outside.
async fn refused(tar: &mut Tar, prepare: impl FnOnce(&Path)) -> String {
    let agent = Agent::start().await;
    let (dest, outside) = (agent.folder.path().join("dest"), agent.folder.path().join("outside"));
    std::fs::create_dir_all(&dest).unwrap();
    std::fs::create_dir_all(&outside).unwrap();
    std::fs::write(outside.join("secret"), "secret").unwrap();
    prepare(&dest);
    let error = agent.guest.archive_in(dest.to_str().unwrap(), Cursor::new(tar.finish())).await.unwrap_err();
    assert!(matches!(error, GuestError::Refused { kind: RefusalKind::Invalid, .. }), "{error}");
    let left: Vec<_> = std::fs::read_dir(&outside).unwrap().map(|entry| entry.unwrap().file_name()).collect();
    assert_eq!(left, ["secret"]);
    assert_eq!(std::fs::read_to_string(outside.join("secret")).unwrap(), "secret");
    assert_eq!(std::fs::metadata(outside.join("secret")).unwrap().nlink(), 1);
    error.to_string()
}

#[tokio::test]
async fn names_that_climb_out_are_refused() {
    let file = EntryType::Regular;
    let error = refused(Tar::default().add("../outside/new", file, "", b"x"), |_| {}).await;
    assert!(error.contains("climbs out by `..`") && error.contains("../outside/new"), "{error}");
    refused(Tar::default().add("a/../../outside/new", file, "", b"x"), |_| {}).await;
    let error = refused(Tar::default().add("/tmp/hearth-evil", file, "", b"x"), |_| {}).await;
    assert!(error.contains("is an absolute path"), "{error}");
    assert!(!Path::new("/tmp/hearth-evil").exists());
}

#[tokio::test]
async fn links_in_the_stream_lead_nothing_out() {
    let file = EntryType::Regular;
    let through = |target: &str| {
        let mut tar = Tar::default();
        tar.add("link", EntryType::Symlink, target, b"").add("link/new", file, "", b"x");
        tar
    };
    let error = refused(&mut through("../outside"), |_| {}).await;
    assert!(error.contains("leads out of the destination through a symbolic link"), "{error}");
    refused(&mut through("/tmp"), |_| {}).await;
    refused(&mut through("../dest/../outside"), |_| {}).await;
    let mut two = Tar::default();
    two.add("a", EntryType::Symlink, "b", b"").add("b", EntryType::Symlink, "../outside", b"");
    refused(two.add("a/new", file, "", b"x"), |_| {}).await;
    let mut folder = Tar::default();
    folder.add("link", EntryType::Symlink, "../outside", b"").add("link/sub", EntryType::Directory, "", b"");
    refused(&mut folder, |_| {}).await;
    let mut turned = Tar::default();
    turned.add("loop", EntryType::Symlink, "loop", b"").add("loop/new", file, "", b"x");
    refused(&mut turned, |_| {}).await;
}

#[tokio::test]
async fn links_that_were_there_lead_nothing_out() {
    let place = |dest: &Path| symlink("../outside", dest.join("link")).unwrap();
    refused(Tar::default().add("link/new", EntryType::Regular, "", b"x"), place).await;
    refused(Tar::default().add("link/deep/new", EntryType::Regular, "", b"x"), place).await;
}

#[tokio::test]
async fn hard_links_stay_inside() {
    let hard = EntryType::Link;
    refused(Tar::default().add("mine", hard, "../outside/secret", b""), |_| {}).await;
    refused(Tar::default().add("mine", hard, "/etc/passwd", b""), |_| {}).await;
    let mut through = Tar::default();
    through.add("link", EntryType::Symlink, "../outside", b"").add("mine", hard, "link/secret", b"");
    refused(&mut through, |_| {}).await;
}

#[tokio::test]
async fn devices_and_pipes_are_refused() {
    for kind in [EntryType::Char, EntryType::Block, EntryType::Fifo] {
        let error = refused(Tar::default().add("thing", kind, "", b""), |_| {}).await;
        assert!(error.contains("is a device or a pipe"), "{error}");
    }
}

#[test]
fn a_file_replaces_a_link_instead_of_writing_through_it() {
    let folder = tempfile::tempdir().unwrap();
    std::fs::write(folder.path().join("outside"), "kept").unwrap();
    let dest = folder.path().join("dest");
    std::fs::create_dir(&dest).unwrap();
    symlink("../outside", dest.join("file")).unwrap();
    symlink("..", dest.join("folder")).unwrap();
    let mut tar = Tar::default();
    tar.add("file", EntryType::Regular, "", b"new").add("folder", EntryType::Directory, "", b"");
    unpack(&dest, Cursor::new(tar.finish())).unwrap();
    assert_eq!(std::fs::read_to_string(folder.path().join("outside")).unwrap(), "kept");
    assert_eq!(std::fs::read_to_string(dest.join("file")).unwrap(), "new");
    assert!(dest.join("folder").symlink_metadata().unwrap().is_dir());
}

#[test]
fn links_that_stay_inside_may_be_written_through() {
    let folder = tempfile::tempdir().unwrap();
    let mut tar = Tar::default();
    tar.add("real", EntryType::Directory, "", b"").add("link", EntryType::Symlink, "real", b"");
    tar.add("link/file", EntryType::Regular, "", b"x");
    unpack(folder.path(), Cursor::new(tar.finish())).unwrap();
    assert_eq!(std::fs::read_to_string(folder.path().join("real/file")).unwrap(), "x");
}

#[test]
fn bits_that_change_the_user_are_dropped_and_the_others_and_times_are_kept() {
    let folder = tempfile::tempdir().unwrap();
    let mut tar = Tar::default();
    tar.add("dir", EntryType::Directory, "", b"").add("dir/file", EntryType::Regular, "", b"x");
    unpack(folder.path(), Cursor::new(tar.finish())).unwrap();
    for name in ["dir", "dir/file"] {
        let found = std::fs::metadata(folder.path().join(name)).unwrap();
        assert_eq!((found.mode() & 0o7777, found.mtime()), (0o755, 1_000_000_000), "{name}");
    }
}

#[test]
fn a_folder_that_can_not_be_written_is_filled_all_the_same() {
    let folder = tempfile::tempdir().unwrap();
    let mut builder = Builder::new(Vec::new());
    let mut header = Header::new_gnu();
    header.set_entry_type(EntryType::Directory);
    header.set_mode(0o555);
    header.set_size(0);
    builder.append_data(&mut header, "locked", std::io::empty()).unwrap();
    let mut header = Header::new_gnu();
    header.set_mode(0o444);
    header.set_size(1);
    builder.append_data(&mut header, "locked/file", &b"x"[..]).unwrap();
    unpack(folder.path(), Cursor::new(builder.into_inner().unwrap())).unwrap();
    let mode = |name: &str| std::fs::metadata(folder.path().join(name)).unwrap().mode() & 0o777;
    assert_eq!((mode("locked"), mode("locked/file")), (0o555, 0o444));
    std::fs::set_permissions(folder.path().join("locked"), PermissionsExt::from_mode(0o755)).unwrap();
}

#[test]
fn a_stream_that_is_cut_is_an_error() {
    let folder = tempfile::tempdir().unwrap();
    let whole = tar_of(&[("one", &[1; 2000]), ("two", &[2; 2000])]);
    assert!(unpack(folder.path(), Cursor::new(&whole[..1000])).is_err());
    assert!(unpack(folder.path(), Cursor::new(b"this is no tar stream".repeat(100))).is_err());
}

#[tokio::test]
async fn a_tree_comes_back_as_it_was_sent() {
    let agent = Agent::start().await;
    let from = agent.folder.path().join("from");
    let long = "n".repeat(200);
    std::fs::create_dir_all(from.join(&long).join(&long)).unwrap();
    std::fs::create_dir(from.join("empty")).unwrap();
    std::fs::write(from.join(&long).join(&long).join("deep"), "deep").unwrap();
    let odd = std::ffi::OsStr::from_bytes(b"\xffodd ");
    std::fs::write(from.join(odd), "odd").unwrap();
    std::fs::write(from.join("run.sh"), vec![3; 200_000]).unwrap();
    std::fs::set_permissions(from.join("run.sh"), PermissionsExt::from_mode(0o750)).unwrap();
    symlink("/nowhere/at/all", from.join("absolute")).unwrap();
    symlink(format!("{long}/{long}"), from.join("relative")).unwrap();
    let mut tar = Vec::new();
    agent.guest.archive_out(from.to_str().unwrap(), &mut tar, u64::MAX).await.unwrap();
    let to = agent.folder.path().join("to");
    agent.guest.archive_in(to.to_str().unwrap(), Cursor::new(tar)).await.unwrap();
    let same = std::process::Command::new("diff")
        .arg("-r")
        .arg("--no-dereference")
        .args([&from, &to])
        .output()
        .unwrap();
    assert!(same.status.success(), "{}", String::from_utf8_lossy(&same.stdout));
    let look = |folder: &Path, name: &str| {
        let found = std::fs::symlink_metadata(folder.join(name)).unwrap();
        (found.mode(), found.mtime())
    };
    for name in ["run.sh", "empty", "absolute", &long] {
        assert_eq!(look(&from, name), look(&to, name), "{name}");
    }
}

#[test]
fn a_file_that_only_says_that_it_is_empty_is_packed_with_what_it_holds() {
    let (folder, mut tar) = (tempfile::tempdir().unwrap(), Vec::new());
    guest::archive::pack(Path::new("/proc/version"), &mut tar).unwrap();
    unpack(folder.path(), Cursor::new(tar)).unwrap();
    let packed = std::fs::read_to_string(folder.path().join("version")).unwrap();
    assert_eq!(packed, std::fs::read_to_string("/proc/version").unwrap());
}

#[tokio::test]
async fn a_single_file_is_packed_under_its_name() {
    let agent = Agent::start().await;
    std::fs::write(agent.path("one"), "1").unwrap();
    let mut tar = Vec::new();
    agent.guest.archive_out(&agent.path("one"), &mut tar, 1 << 20).await.unwrap();
    let dest = agent.folder.path().join("dest");
    unpack(&dest, Cursor::new(tar)).unwrap();
    assert_eq!(std::fs::read_to_string(dest.join("one")).unwrap(), "1");
}

#[tokio::test]
async fn packing_follows_no_links_and_skips_what_is_no_file() {
    let agent = Agent::start().await;
    let from = agent.folder.path().join("from");
    std::fs::create_dir(&from).unwrap();
    std::fs::write(agent.path("secret"), "secret").unwrap();
    symlink(agent.path("secret"), from.join("link")).unwrap();
    nix::unistd::mkfifo(&from.join("pipe"), nix::sys::stat::Mode::S_IRWXU).unwrap();
    let mut tar = Vec::new();
    agent.guest.archive_out(from.to_str().unwrap(), &mut tar, 1 << 20).await.unwrap();
    assert!(
        !tar.windows(6).any(|window| window == b"secret" && !tar.is_empty()) || {
            let mut archive = tar::Archive::new(Cursor::new(&tar));
            archive.entries().unwrap().all(|entry| entry.unwrap().header().entry_type() == EntryType::Symlink)
        }
    );
    let mut archive = tar::Archive::new(Cursor::new(&tar));
    let names: Vec<_> =
        archive.entries().unwrap().map(|entry| entry.unwrap().path().unwrap().into_owned()).collect();
    assert_eq!(names, [Path::new("link")]);
}

#[tokio::test]
async fn an_archive_over_its_bound_is_too_large() {
    let agent = Agent::start().await;
    std::fs::write(agent.path("big"), vec![0; 1 << 20]).unwrap();
    let mut tar = Vec::new();
    let error = agent.guest.archive_out(&agent.path("big"), &mut tar, 100_000).await.unwrap_err();
    assert!(matches!(error, GuestError::TooLarge { limit: 100_000, .. }), "{error}");
    assert!(tar.len() <= 100_000);
    assert!(agent.guest.archive_out(&agent.path("missing"), &mut tar, 100).await.is_err());
}

#[tokio::test]
async fn a_source_that_fails_is_told_and_not_taken_for_a_whole_archive() {
    struct Failing(usize);
    impl tokio::io::AsyncRead for Failing {
        fn poll_read(
            mut self: std::pin::Pin<&mut Self>,
            _: &mut std::task::Context<'_>,
            buffer: &mut tokio::io::ReadBuf<'_>,
        ) -> std::task::Poll<std::io::Result<()>> {
            if self.0 == 0 {
                return std::task::Poll::Ready(Err(std::io::Error::other("the source broke")));
            }
            self.0 -= 1;
            buffer.put_slice(&tar_of(&[("file", &[1; 100])])[..512]);
            std::task::Poll::Ready(Ok(()))
        }
    }
    let agent = Agent::start().await;
    let error = agent.guest.archive_in(&agent.path("dest"), Failing(1)).await.unwrap_err();
    assert!(error.to_string().contains("the source broke"), "{error}");
    agent.guest.info().await.unwrap();
}
