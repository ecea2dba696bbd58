//! Files of the machine.

use std::os::unix::fs::{MetadataExt, PermissionsExt, symlink};

use bytes::Bytes;
use guest::client::{FileKind, GuestError, RefusalKind};

use crate::agent::{Agent, bash};

fn kind(error: &GuestError) -> RefusalKind {
    match error {
        GuestError::Refused { kind, .. } => *kind,
        other => panic!("{other}"),
    }
}

#[tokio::test]
async fn a_written_file_is_read_back_and_has_its_mode() {
    let agent = Agent::start().await;
    let path = agent.path("deep/er/ü.txt");
    let data = Bytes::from(vec![7; 300_000]);
    agent.guest.write_file(&path, 0o754, data.clone()).await.unwrap();
    assert_eq!(agent.guest.read_file(&path, 300_000).await.unwrap(), data);
    let stat = agent.guest.stat(&path).await.unwrap().unwrap();
    assert_eq!((stat.kind, stat.size, stat.mode), (FileKind::File, 300_000, 0o754));
}

#[tokio::test]
async fn an_empty_file_can_be_written_and_read() {
    let agent = Agent::start().await;
    let path = agent.path("empty");
    agent.guest.write_file(&path, 0o644, Bytes::new()).await.unwrap();
    assert_eq!(agent.guest.read_file(&path, 0).await.unwrap(), Bytes::new());
}

#[tokio::test]
async fn writing_replaces_a_link_and_not_what_it_leads_to() {
    let agent = Agent::start().await;
    std::fs::write(agent.path("precious"), "precious").unwrap();
    symlink(agent.path("precious"), agent.path("link")).unwrap();
    agent.guest.write_file(&agent.path("link"), 0o644, "new".into()).await.unwrap();
    assert_eq!(std::fs::read_to_string(agent.path("precious")).unwrap(), "precious");
    assert_eq!(std::fs::read_to_string(agent.path("link")).unwrap(), "new");
}

#[tokio::test]
async fn a_file_longer_than_its_bound_is_too_large_and_at_the_bound_it_is_not() {
    let agent = Agent::start().await;
    let path = agent.path("file");
    agent.guest.write_file(&path, 0o644, "12345".into()).await.unwrap();
    assert!(matches!(agent.guest.read_file(&path, 4).await, Err(GuestError::TooLarge { limit: 4, .. })));
    assert_eq!(agent.guest.read_file(&path, 5).await.unwrap(), "12345");
    assert!(matches!(agent.guest.read_file("/dev/zero", 5).await, Err(GuestError::Refused { .. })));
}

#[tokio::test]
async fn what_can_not_be_read_is_refused_by_name() {
    let agent = Agent::start().await;
    let missing = agent.path("missing");
    let error = agent.guest.read_file(&missing, 5).await.unwrap_err();
    assert_eq!(error.to_string(), format!("reading {missing}: No such file or directory"));
    assert_eq!(kind(&error), RefusalKind::NotFound);
    let folder = agent.guest.read_file(&agent.path(""), 5).await.unwrap_err();
    assert_eq!(kind(&folder), RefusalKind::Invalid);
    nix::unistd::mkfifo(agent.path("pipe").as_str(), nix::sys::stat::Mode::S_IRWXU).unwrap();
    let pipe = agent.guest.read_file(&agent.path("pipe"), 5).await.unwrap_err();
    assert_eq!(kind(&pipe), RefusalKind::Invalid);
    let relative = agent.guest.read_file("etc/passwd", 5).await.unwrap_err();
    assert_eq!(kind(&relative), RefusalKind::Invalid);
}

#[tokio::test]
async fn nothing_is_told_as_nothing_and_a_link_by_what_it_leads_to() {
    let agent = Agent::start().await;
    assert!(agent.guest.stat(&agent.path("missing")).await.unwrap().is_none());
    std::fs::write(agent.path("file"), "x").unwrap();
    assert!(agent.guest.stat(&agent.path("file/below")).await.unwrap().is_none());
    symlink("file", agent.path("link")).unwrap();
    symlink("nowhere", agent.path("dangling")).unwrap();
    let link = agent.guest.stat(&agent.path("link")).await.unwrap().unwrap();
    assert_eq!((link.kind, link.size), (FileKind::File, 1));
    assert!(agent.guest.stat(&agent.path("dangling")).await.unwrap().is_none());
}

#[tokio::test]
async fn directories_are_made_with_parents_and_twice() {
    let agent = Agent::start().await;
    let path = agent.path("a/b/c");
    agent.guest.make_dir(&path).await.unwrap();
    agent.guest.make_dir(&path).await.unwrap();
    assert!(std::fs::metadata(&path).unwrap().is_dir());
    std::fs::write(agent.path("file"), "").unwrap();
    assert!(agent.guest.make_dir(&agent.path("file/x")).await.is_err());
}

#[tokio::test]
async fn removing_takes_trees_and_links_but_not_what_links_lead_to() {
    let agent = Agent::start().await;
    std::fs::create_dir_all(agent.path("kept")).unwrap();
    std::fs::write(agent.path("kept/file"), "x").unwrap();
    std::fs::create_dir_all(agent.path("tree/locked")).unwrap();
    symlink(agent.path("kept"), agent.path("tree/locked/link")).unwrap();
    std::fs::set_permissions(agent.path("tree/locked"), PermissionsExt::from_mode(0o500)).unwrap();
    agent.guest.remove(&agent.path("tree")).await.unwrap();
    assert!(!std::fs::exists(agent.path("tree")).unwrap());
    symlink(agent.path("kept"), agent.path("link")).unwrap();
    agent.guest.remove(&agent.path("link")).await.unwrap();
    assert!(std::fs::exists(agent.path("kept/file")).unwrap());
    agent.guest.remove(&agent.path("missing")).await.unwrap();
}

#[tokio::test]
async fn a_walk_lists_parents_first_by_name_and_follows_no_links() {
    let agent = Agent::start().await;
    let root = agent.path("root");
    for folder in ["b/c", "a", "a.d"] {
        std::fs::create_dir_all(format!("{root}/{folder}")).unwrap();
    }
    std::fs::write(format!("{root}/a/file"), "12").unwrap();
    symlink("/etc", format!("{root}/b/link")).unwrap();
    let found = agent.guest.walk(&root, 100).await.unwrap();
    let names: Vec<_> = found.iter().map(|stat| (stat.path.as_str(), stat.kind)).collect();
    use FileKind::{Directory, File, Symlink};
    let expected = [
        ("a", Directory),
        ("a/file", File),
        ("a.d", Directory),
        ("b", Directory),
        ("b/c", Directory),
        ("b/link", Symlink),
    ];
    assert_eq!(names, expected);
    assert_eq!(found[1].size, 2);
    assert_eq!(agent.guest.walk(&root, 6).await.unwrap().len(), 6);
    assert!(agent.guest.walk(&root, 5).await.unwrap_err().to_string().contains("more than 5 entries"));
    assert_eq!(kind(&agent.guest.walk(&agent.path("missing"), 5).await.unwrap_err()), RefusalKind::NotFound);
}

#[tokio::test]
async fn a_walk_of_many_files_is_whole() {
    let agent = Agent::start().await;
    agent.run(bash(&format!("cd {} && mkdir many && touch many/{{1..3000}}", agent.path("")))).await;
    assert_eq!(agent.guest.walk(&agent.path("many"), 10_000).await.unwrap().len(), 3000);
}

#[tokio::test]
async fn digests_come_in_the_order_that_was_asked_for() {
    let agent = Agent::start().await;
    std::fs::write(agent.path("abc"), "abc").unwrap();
    std::fs::write(agent.path("empty"), "").unwrap();
    let paths = (0..1500).map(|number| agent.path(if number % 2 == 0 { "abc" } else { "empty" })).collect();
    let digests = agent.guest.digest(paths).await.unwrap();
    assert_eq!(digests.len(), 1500);
    let hex = |digest: &[u8; 32]| digest.iter().map(|byte| format!("{byte:02x}")).collect::<String>();
    assert_eq!(hex(&digests[1498]), "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad");
    assert_eq!(hex(&digests[1499]), "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855");
    let missing = agent.guest.digest(vec![agent.path("abc"), agent.path("gone")]).await.unwrap_err();
    assert!(missing.to_string().contains("gone"), "{missing}");
}

#[tokio::test]
async fn a_full_disk_is_told_as_such_and_leaves_what_was_there() {
    if !nix::unistd::Uid::effective().is_root() {
        return;
    }
    let agent = Agent::start().await;
    let disk = agent.path("disk");
    let mount = agent.run(bash(&format!("mkdir {disk} && mount -t tmpfs -o size=128k none {disk}"))).await;
    if mount.status != guest::client::ExitStatus::Code(0) {
        return;
    }
    let path = format!("{disk}/file");
    agent.guest.write_file(&path, 0o644, "before".into()).await.unwrap();
    let error = agent.guest.write_file(&path, 0o644, vec![1; 4 << 20].into()).await.unwrap_err();
    let after = agent.guest.read_file(&path, 100).await;
    let names = agent.guest.walk(&disk, 10).await.unwrap().len();
    let tar = crate::archive::tar_of(&[("big", &vec![1; 1 << 20])]);
    let unpacking = agent.guest.archive_in(&disk, std::io::Cursor::new(tar)).await.unwrap_err();
    agent.run(bash(&format!("umount {disk}"))).await;
    assert_eq!(kind(&error), RefusalKind::DiskFull);
    assert_eq!(after.unwrap(), "before");
    assert_eq!(names, 1, "a half file was left");
    assert_eq!(kind(&unpacking), RefusalKind::DiskFull);
}

#[tokio::test]
async fn files_are_not_writable_by_others_unless_asked_for() {
    let agent = Agent::start().await;
    agent.run(bash(&format!("touch {}", agent.path("made")))).await;
    assert_eq!(std::fs::metadata(agent.path("made")).unwrap().mode() & 0o777, 0o644);
    agent.guest.write_file(&agent.path("open"), 0o666, Bytes::new()).await.unwrap();
    assert_eq!(std::fs::metadata(agent.path("open")).unwrap().mode() & 0o777, 0o666);
}
