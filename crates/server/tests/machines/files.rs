//! Files and trees, in and out.

use std::path::Path;

use guest::archive;
use serde_json::json;

use crate::fixture::Server;

#[tokio::test]
async fn a_file_goes_in_and_out_byte_for_byte_with_its_mode() {
    let server = Server::start().await;
    let ann = server.ann();
    let id = ann.vm().await;
    let content: Vec<u8> = (0..3_000_000_u32).map(|number| (number % 251) as u8).collect();
    let path = format!("/api/vms/{id}/files?path=new/folder/a%20b");
    ann.put(&format!("{path}&mode=750"), content.clone()).await.ok(204);
    assert_eq!(ann.get(&path).await.ok(200).bytes, content);
    assert_eq!(ann.output(&id, "stat -c %a 'new/folder/a b'").await, "750\n");
    ann.delete(&path).await.ok(204);
    ann.delete(&path).await.ok(204);
    assert!(ann.get(&path).await.refused(404).contains("a b"));
}

#[tokio::test]
async fn a_path_that_climbs_or_is_none_is_refused_on_every_route() {
    let server = Server::start().await;
    let ann = server.ann();
    let id = ann.vm().await;
    for path in ["../x", "a/../../x", "/etc/../root/x", "..", "a%2F..%2Fx", "a%00b"] {
        for route in ["files", "archive"] {
            let path = format!("/api/vms/{id}/{route}?path={path}");
            ann.get(&path).await.refused(400);
            ann.put(&path, "").await.refused(400);
            if route == "files" {
                ann.delete(&path).await.refused(400);
            }
        }
    }
    ann.get(&format!("/api/vms/{id}/files")).await.refused(400);
    ann.get(&format!("/api/vms/{id}/files?path=")).await.refused(400);
    ann.get(&format!("/api/vms/{id}/files?path=x&pth=y")).await.refused(400);
    ann.put(&format!("/api/vms/{id}/files?path=x&mode=rwx"), "").await.refused(400);
    ann.put(&format!("/api/vms/{id}/files?path=x&mode=4755"), "").await.refused(400);
    assert!(!server.folder.path().join("x").exists());
}

#[tokio::test]
async fn a_folder_is_no_file_and_a_file_too_many_bytes_is_refused() {
    let server = Server::start().await;
    let ann = server.ann();
    let id = ann.vm().await;
    ann.output(&id, "mkdir d; truncate -s 67108865 big").await;
    ann.get(&format!("/api/vms/{id}/files?path=d")).await.refused(400);
    assert!(ann.get(&format!("/api/vms/{id}/files?path=big")).await.refused(413).contains("67108864"));
}

#[tokio::test]
async fn a_tree_goes_in_and_out() {
    let server = Server::start().await;
    let ann = server.ann();
    let id = ann.vm().await;
    let tree = tempfile::tempdir().unwrap();
    std::fs::create_dir(tree.path().join("sub")).unwrap();
    std::fs::write(tree.path().join("sub/file"), "content").unwrap();
    std::os::unix::fs::symlink("sub/file", tree.path().join("link")).unwrap();
    let mut tar = Vec::new();
    archive::pack(tree.path(), &mut tar).unwrap();
    ann.put(&format!("/api/vms/{id}/archive?path=in"), tar).await.ok(204);
    assert_eq!(ann.output(&id, "cat in/link").await, "content");

    let answer = ann.get(&format!("/api/vms/{id}/archive?path=in")).await.ok(200);
    assert_eq!(answer.headers["hearth-kind"], "directory");
    let out = tempfile::tempdir().unwrap();
    archive::unpack(out.path(), &answer.bytes[..]).unwrap();
    assert_eq!(std::fs::read_to_string(out.path().join("sub/file")).unwrap(), "content");
    assert_eq!(std::fs::read_link(out.path().join("link")).unwrap(), Path::new("sub/file"));

    let answer = ann.get(&format!("/api/vms/{id}/archive?path=in/sub/file")).await.ok(200);
    assert_eq!(answer.headers["hearth-kind"], "file");
    let mut archive = tar::Archive::new(&answer.bytes[..]);
    let names: Vec<_> =
        archive.entries().unwrap().map(|entry| entry.unwrap().path().unwrap().into_owned()).collect();
    assert_eq!(names, [Path::new("file")]);
    assert!(ann.get(&format!("/api/vms/{id}/archive?path=nowhere")).await.refused(404).contains("nowhere"));
}

#[tokio::test]
async fn a_large_tree_comes_out_whole() {
    let server = Server::start().await;
    let ann = server.ann();
    let id = ann.vm().await;
    ann.output(
        &id,
        "mkdir t; head -c 9000000 /dev/urandom >t/big; for i in $(seq 300); do echo $i >t/$i; done",
    )
    .await;
    let answer = ann.get(&format!("/api/vms/{id}/archive?path=t")).await.ok(200);
    let out = tempfile::tempdir().unwrap();
    archive::unpack(out.path(), &answer.bytes[..]).unwrap();
    assert_eq!(std::fs::read_dir(out.path()).unwrap().count(), 301);
    let made = server.folder.path().join(&id).join("work/t/big");
    assert_eq!(std::fs::read(out.path().join("big")).unwrap(), std::fs::read(made).unwrap());
}

#[tokio::test]
async fn an_archive_with_a_member_that_climbs_out_is_refused() {
    let server = Server::start().await;
    let ann = server.ann();
    let id = ann.vm().await;
    for name in ["../escaped", "/escaped-absolutely"] {
        let mut header = tar::Header::new_gnu();
        header.as_gnu_mut().unwrap().name[..name.len()].copy_from_slice(name.as_bytes());
        header.set_size(1);
        header.set_mode(0o644);
        header.set_cksum();
        let mut tar = tar::Builder::new(Vec::new());
        tar.append(&header, &b"x"[..]).unwrap();
        let refused =
            ann.put(&format!("/api/vms/{id}/archive?path=in"), tar.into_inner().unwrap()).await.refused(400);
        assert!(refused.contains("escaped"), "{refused}");
    }
    assert!(!server.folder.path().join(&id).join("work/escaped").exists());
    assert!(!Path::new("/escaped-absolutely").exists());
    ann.put(&format!("/api/vms/{id}/archive?path=in"), "no archive at all").await.refused(400);
}

#[tokio::test]
async fn a_full_disk_of_the_machine_is_told() {
    let server = Server::start().await;
    let ann = server.ann();
    let id = ann.vm().await;
    server.driver.set_disk_full(true);
    ann.put(&format!("/api/vms/{id}/files?path=x"), "x").await.refused(507);
    ann.post("/api/llm/execute", json!({"language": "sh", "code": "true", "vm_id": id})).await.refused(507);
}
