//! A warm pool on the fake driver, with and without snapshots.

use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use async_trait::async_trait;
use guest::agent::Script;
use guest::client::{ExecEvent, ExecSpec, ExitStatus};
use machine::fake::FakeDriver;
use machine::pool::{Kind, KindStatus, LeaseError, Pool};
use machine::{
    Capabilities, Driver, Machine, MachineError, MachineSpec, Network, Probe, Snapshot, SnapshotId,
};
use model::MachineId;
use tempfile::TempDir;

fn kind(min: usize, max: usize) -> Vec<Kind> {
    let spec = MachineSpec::new(MachineId(String::new()), Network::None);
    vec![Kind { name: "small".to_owned(), spec, min, max }]
}

fn status(pool: &Pool) -> KindStatus {
    pool.status().remove(0)
}

struct Host {
    folder: TempDir,
    driver: FakeDriver,
}

impl Host {
    fn new() -> Host {
        let folder = tempfile::tempdir().unwrap();
        let driver = FakeDriver::new(folder.path().join("machines"));
        Host { folder, driver }
    }

    fn data(&self) -> PathBuf {
        self.folder.path().join("data")
    }

    async fn pool(&self, min: usize, max: usize) -> Pool {
        let pool = Pool::open(Arc::new(self.driver.clone()), self.data(), kind(min, max)).unwrap();
        pool.filled("small").await;
        pool
    }
}

async fn runs(machine: &Machine, script: &str) -> ExitStatus {
    let argv = ["/bin/sh", "-c", script].map(str::to_owned).to_vec();
    let mut exec = machine.guest.exec(ExecSpec { argv, ..ExecSpec::default() }).await.unwrap();
    loop {
        if let Some(ExecEvent::Exited(status)) = exec.next().await.unwrap() {
            return status;
        }
    }
}

#[tokio::test]
async fn who_leases_a_machine_is_alone_with_its_agent() {
    let host = Host::new();
    let pool = host.pool(1, 1).await;
    let Machine { guest, guard, .. } = pool.lease("small").await.unwrap();
    let over = guest.over();
    // A machine is frozen once nobody speaks to its agent any more.
    drop(guest);
    tokio::time::timeout(Duration::from_secs(10), over).await.expect("the stream ends with its last user");
    guard.destroy().await.unwrap();
    pool.close().await;
}

#[tokio::test]
async fn machines_are_ready_serve_one_lease_and_are_made_up_for() {
    let host = Host::new();
    let pool = host.pool(2, 4).await;
    assert_eq!((status(&pool).ready, host.driver.started()), (2, 2));
    let first = pool.lease("small").await.unwrap();
    let second = pool.lease("small").await.unwrap();
    assert_ne!(first.id, second.id);
    assert_eq!(runs(&first, "exit 7").await, ExitStatus::Code(7));
    pool.filled("small").await;
    let now = status(&pool);
    assert_eq!((now.ready, now.leases, now.misses, host.driver.started()), (2, 2, 0, 4));
    let made = pool.made();
    assert!(made.len() == 4 && made.iter().all(|(kind, _)| kind == "small"), "{made:?}");
    assert!(pool.made().is_empty(), "each is told of once");
    first.destroy().await.unwrap();
    second.destroy().await.unwrap();
    pool.close().await;
    assert_eq!(host.driver.alive(), 0);
    assert!(matches!(pool.lease("small").await, Err(LeaseError::Closing)));
}

#[tokio::test]
async fn who_finds_none_ready_gets_one_all_the_same_and_more_are_kept() {
    let host = Host::new();
    let pool = host.pool(0, 1).await;
    assert_eq!(status(&pool).ready, 0);
    let first = pool.lease("small").await.unwrap();
    assert_eq!(runs(&first, "true").await, ExitStatus::Code(0));
    pool.filled("small").await;
    let now = status(&pool);
    assert_eq!((now.misses, now.wanted, now.ready), (1, 1, 1));
    pool.close().await;
}

#[tokio::test]
async fn a_ready_machine_that_dies_is_replaced_and_counted() {
    let host = Host::new();
    let pool = host.pool(1, 1).await;
    host.driver.kill_agents();
    while status(&pool).deaths == 0 {
        tokio::task::yield_now().await;
    }
    let machine = pool.lease("small").await.unwrap();
    assert_eq!(runs(&machine, "true").await, ExitStatus::Code(0), "it is not the dead one");
    machine.destroy().await.unwrap();
    pool.close().await;
    assert_eq!(status(&pool).deaths, 1);
    assert_eq!(host.driver.alive(), 0);
}

/// Machines in which `true` fails, as long as it is switched on.
struct Sick(AtomicBool);

impl Script for Sick {
    fn play(&self, spec: &ExecSpec) -> Option<Vec<ExecEvent>> {
        let sick = self.0.load(Ordering::Relaxed) && spec.argv == ["true"];
        sick.then(|| vec![ExecEvent::Exited(ExitStatus::Code(1))])
    }
}

#[tokio::test]
async fn machines_that_fail_their_canary_are_thrown_away_and_not_made_for_ever() {
    let host = Host::new();
    let sick = Arc::new(Sick(AtomicBool::new(true)));
    host.driver.play(sick.clone());
    let pool = host.pool(1, 1).await;
    // Each failure starts another attempt, until it is plain that they lead nowhere.
    let now = status(&pool);
    assert_eq!((now.ready, now.failures, host.driver.alive()), (0, 3, 0));
    assert!(now.last_failure.unwrap().contains("canary: `true` ended with Code(1)"));
    let Err(error) = pool.lease("small").await else { panic!("a machine that fails its canary was leased") };
    assert!(error.to_string().contains("running its canary"), "{error}");
    sick.0.store(false, Ordering::Relaxed);
    let machine = pool.lease("small").await.unwrap();
    assert_eq!(runs(&machine, "true").await, ExitStatus::Code(0));
    pool.close().await;
}

/// What a log is written to.
#[derive(Clone, Default)]
struct Paper(Arc<Mutex<Vec<u8>>>);

impl std::io::Write for Paper {
    fn write(&mut self, bytes: &[u8]) -> std::io::Result<usize> {
        self.0.lock().unwrap().write(bytes)
    }

    fn flush(&mut self) -> std::io::Result<()> {
        Ok(())
    }
}

#[tokio::test]
async fn a_kind_that_is_given_up_is_told_once_in_the_log_with_the_reason() {
    let paper = Paper::default();
    let copy = paper.clone();
    let log = tracing_subscriber::fmt().with_ansi(false).with_writer(move || copy.clone()).finish();
    let _log = tracing::subscriber::set_default(log);
    let host = Host::new();
    host.driver.fail_starts("the disk is full");
    let pool = host.pool(4, 4).await;
    assert_eq!((status(&pool).ready, status(&pool).failures >= 3), (0, true));
    pool.close().await;
    let text = String::from_utf8(paper.0.lock().unwrap().clone()).unwrap();
    let told: Vec<&str> = text.lines().collect();
    assert_eq!(told.len(), 1, "{text}");
    for part in ["WARN", "no more machines are kept ready", "kind=\"small\"", "the disk is full"] {
        assert!(told[0].contains(part), "no {part}: {text}");
    }
}

#[tokio::test]
async fn a_kind_that_is_not_there_is_told_with_those_that_are() {
    let host = Host::new();
    let pool = host.pool(0, 0).await;
    let Err(error) = pool.lease("large").await else { panic!("a machine of no kind was leased") };
    assert_eq!(error.to_string(), "the pool has no kind of machine called \"large\"; it has small");
}

/// A fake that can snapshot: machines that are restored are new ones, and the snapshot is a folder.
struct Snapping {
    fake: FakeDriver,
    data: PathBuf,
    restored: AtomicUsize,
    broken: AtomicBool,
}

#[async_trait]
impl Driver for Snapping {
    fn name(&self) -> &'static str {
        "snapping"
    }
    fn capabilities(&self) -> Capabilities {
        Capabilities { snapshots: true, ..self.fake.capabilities() }
    }
    async fn probe(&self) -> Probe {
        self.fake.probe().await
    }
    async fn start(&self, spec: MachineSpec) -> Result<Machine, MachineError> {
        self.fake.start(spec).await
    }
    async fn reap(&self) -> Result<Vec<String>, MachineError> {
        self.fake.reap().await
    }
    async fn snapshot(&self, machine: Machine, id: &SnapshotId) -> Result<Snapshot, MachineError> {
        let folder = Snapshot::all(&self.data).join(&id.0);
        std::fs::create_dir_all(&folder).unwrap();
        let layout = machine.layout.clone();
        machine.destroy().await?;
        Ok(Snapshot {
            id: id.clone(),
            driver: "snapping".to_owned(),
            image: String::new(),
            vcpus: 1,
            memory_mib: 1,
            disk_mib: 1,
            layout,
            network: Network::Host,
            policy: machine::network::NetworkPolicy::default(),
            made_unix_ms: 0,
            version: String::new(),
            files: Default::default(),
            folder,
        })
    }
    async fn restore(&self, snapshot: &Snapshot, spec: MachineSpec) -> Result<Machine, MachineError> {
        self.restored.fetch_add(1, Ordering::Relaxed);
        if self.broken.swap(false, Ordering::Relaxed) || !snapshot.folder.is_dir() {
            let reason = "the snapshot is broken".to_owned();
            let driver = "snapping";
            return Err(MachineError {
                machine: spec.id,
                driver,
                operation: "restoring",
                reason,
                source: None,
            });
        }
        self.fake.start(spec).await
    }
}

fn snapshots(data: &Path) -> usize {
    std::fs::read_dir(Snapshot::all(data)).map_or(0, Iterator::count)
}

#[tokio::test]
async fn machines_are_restored_from_one_snapshot_of_a_fresh_machine() {
    let host = Host::new();
    let driver = Arc::new(Snapping {
        fake: host.driver.clone(),
        data: host.data(),
        restored: AtomicUsize::new(0),
        broken: AtomicBool::new(false),
    });
    let pool = Pool::open(driver.clone(), host.data(), kind(3, 3)).unwrap();
    pool.filled("small").await;
    assert_eq!((status(&pool).ready, driver.restored.load(Ordering::Relaxed)), (3, 3));
    assert_eq!((host.driver.started(), snapshots(&host.data())), (4, 1), "one more, for the snapshot");
    // A snapshot that can't be restored is made anew.
    driver.broken.store(true, Ordering::Relaxed);
    let machine = pool.lease("small").await.unwrap();
    machine.destroy().await.unwrap();
    pool.filled("small").await;
    assert_eq!((status(&pool).ready, status(&pool).failures, snapshots(&host.data())), (3, 1, 1));
    pool.close().await;
    assert_eq!((host.driver.alive(), snapshots(&host.data())), (0, 0));
}

#[tokio::test]
async fn snapshots_of_a_dead_pool_are_removed_and_those_of_a_living_one_are_not() {
    let host = Host::new();
    let living = host.pool(0, 0).await;
    let all = Snapshot::all(&host.data());
    let name = |pool: &str| {
        let lock = std::fs::read_dir(host.data().join("pools")).unwrap().next().unwrap().unwrap().file_name();
        match pool {
            "living" => lock.to_str().unwrap().strip_suffix(".lock").unwrap().to_owned(),
            dead => dead.to_owned(),
        }
    };
    let (kept, gone) = (all.join(format!("{}-1-small", name("living"))), all.join("pool-dead-1-small"));
    let users = all.join("mine");
    for folder in [&kept, &gone, &users] {
        std::fs::create_dir_all(folder).unwrap();
    }
    std::fs::write(host.data().join("pools/pool-dead.lock"), "").unwrap();
    let other = host.pool(0, 0).await;
    assert!(kept.is_dir() && users.is_dir() && !gone.exists());
    other.close().await;
    living.close().await;
    assert!(!kept.exists() && users.is_dir());
}
