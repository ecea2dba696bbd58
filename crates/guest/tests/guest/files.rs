//! Files and archives.

use bytes::Bytes;
use guest::client::FileKind;

use crate::agent::Agent;

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
