//! Machines from templates, on the fake driver: what is made, what is used again, and what is left to the driver.

use std::path::Path;
use std::sync::Arc;

use machine::fake::FakeDriver;
use machine::templates::Templates;
use machine::{Driver, Machine, MachineSpec, Network, Snapshot};
use model::MachineId;

struct Host {
    folder: tempfile::TempDir,
    driver: FakeDriver,
}

impl Host {
    fn new() -> Host {
        let folder = tempfile::tempdir().unwrap();
        let driver = FakeDriver::new(folder.path());
        driver.allow_snapshots();
        Host { folder, driver }
    }

    fn data(&self) -> &Path {
        self.folder.path()
    }

    /// As a new process would see it.
    fn templates(&self) -> Templates {
        Templates::new(Arc::new(self.driver.clone()), self.data())
    }

    /// How many templates there are, and nothing else beside them.
    fn kept(&self) -> usize {
        let all = Snapshot::list(self.data()).unwrap();
        let entries = std::fs::read_dir(Snapshot::all(self.data())).map_or(0, Iterator::count);
        assert_eq!(all.len(), entries, "locks and halves are gone");
        all.len()
    }
}

fn spec(id: &str) -> MachineSpec {
    MachineSpec::new(MachineId(id.to_owned()), Network::None)
}

async fn start(templates: &Templates, spec: MachineSpec) -> Machine {
    templates.start(spec).await.unwrap_or_else(|error| panic!("{error}"))
}

/// Whether this machine was told to have been the cause of a template.
fn made_one(machine: &Machine) -> bool {
    machine.notes.iter().any(|note| note.contains("a snapshot of a fresh machine was made"))
}

#[tokio::test]
async fn a_fresh_machine_is_frozen_once_and_all_that_are_alike_start_from_it_in_later_processes_too() {
    let host = Host::new();
    let templates = host.templates();
    let (one, two) = tokio::join!(start(&templates, spec("one")), start(&templates, spec("two")));
    assert_eq!((host.kept(), host.driver.started()), (1, 3), "one to freeze, and two clones");
    assert_eq!((made_one(&one), made_one(&two)), (true, false), "the note comes once");
    assert_eq!((&*one.id.0, &*two.id.0), ("one", "two"));
    let later = start(&host.templates(), spec("three")).await;
    assert_eq!((host.kept(), host.driver.started(), made_one(&later)), (1, 4, false));
    assert_eq!(host.driver.alive(), 3, "the machine that was frozen is gone");
}

#[tokio::test]
async fn machines_that_differ_in_more_than_id_and_what_they_may_reach_start_from_other_templates() {
    let host = Host::new();
    let templates = host.templates();
    start(&templates, spec("a")).await;
    start(&templates, MachineSpec { memory_mib: Some(512), ..spec("b") }).await;
    start(&templates, MachineSpec { network: Network::User, ..spec("c") }).await;
    start(&templates, MachineSpec { image: Some("other".to_owned()), ..spec("d") }).await;
    assert_eq!(host.kept(), 4);
    let policy = machine::network::NetworkPolicy::parse(["example.org"]).unwrap();
    assert!(!made_one(&start(&templates, MachineSpec { policy, network: Network::User, ..spec("e") }).await));
}

#[tokio::test]
async fn only_so_many_templates_are_kept_and_the_oldest_go() {
    let host = Host::new();
    let templates = host.templates();
    let sized = |mib| MachineSpec { memory_mib: Some(mib), ..spec(&format!("m{mib}")) };
    for mib in 1..=6 {
        start(&templates, sized(mib)).await;
    }
    assert_eq!(host.kept(), 4);
    assert!(!made_one(&start(&templates, sized(6)).await), "the newest is there");
    assert!(made_one(&start(&templates, sized(1)).await), "the oldest is not");
    assert_eq!(host.kept(), 4);
}

#[tokio::test]
async fn a_template_that_is_of_no_use_is_removed_and_its_machine_boots() {
    let host = Host::new();
    start(&host.templates(), spec("before")).await;
    host.driver.fail_restores(Some("ram is damaged"));
    let templates = host.templates();
    let machine = start(&templates, spec("one")).await;
    assert!(machine.notes[0].contains("it was booted") && machine.notes[0].contains("ram is damaged"));
    assert_eq!(host.kept(), 0);
    let before = host.driver.started();
    assert!(start(&templates, spec("two")).await.notes.is_empty(), "told once, and not tried again");
    assert_eq!(host.driver.started(), before + 1);
    host.driver.fail_restores(None);
    assert!(made_one(&start(&host.templates(), spec("three")).await), "the next process makes another");
}

#[tokio::test]
async fn where_no_snapshot_can_be_kept_machines_boot_and_say_why() {
    let host = Host::new();
    host.driver.fail_snapshots(Some("the disk is full"));
    let templates = host.templates();
    let machine = start(&templates, spec("one")).await;
    assert!(machine.notes[0].contains("it was booted") && machine.notes[0].contains("the disk is full"));
    start(&templates, spec("two")).await;
    assert_eq!((host.kept(), host.driver.started()), (0, 3), "not tried for each");
}

#[tokio::test]
async fn a_driver_that_can_start_nothing_says_so_of_the_machine_that_was_asked_for() {
    let host = Host::new();
    host.driver.fail_starts("no image");
    let error = host.templates().start(spec("one")).await.err().unwrap().to_string();
    assert!(error.contains("machine one ") && error.contains("no image"), "{error}");
    assert_eq!((host.kept(), host.driver.started()), (0, 1), "it is not tried twice");
}

#[tokio::test]
async fn a_template_that_cannot_be_read_is_made_anew() {
    let host = Host::new();
    start(&host.templates(), spec("one")).await;
    let template = Snapshot::list(host.data()).unwrap().remove(0);
    std::fs::write(template.folder.join("manifest.json"), "{").unwrap();
    assert!(made_one(&start(&host.templates(), spec("two")).await));
    assert_eq!(host.kept(), 1);
}

#[tokio::test]
async fn a_machine_does_not_wait_for_a_template_that_another_process_makes() {
    let host = Host::new();
    start(&host.templates(), spec("first")).await;
    let template = Snapshot::list(host.data()).unwrap().remove(0);
    std::fs::remove_dir_all(&template.folder).unwrap();
    let lock =
        std::fs::File::create(Snapshot::all(host.data()).join(format!("{}.lock", template.id))).unwrap();
    lock.lock().unwrap();
    let before = host.driver.started();
    let machine = start(&host.templates(), spec("one")).await;
    assert!(machine.notes.is_empty());
    assert_eq!(host.driver.started(), before + 1, "only the machine itself");
}

#[tokio::test]
async fn a_template_that_is_given_up_or_whose_maker_is_killed_leaves_nothing() {
    let host = Host::new();
    host.driver.hold_starts(Arc::new(tokio::sync::Notify::new()));
    let templates = host.templates();
    let starting = templates.start(spec("one"));
    assert!(tokio::time::timeout(std::time::Duration::from_millis(50), starting).await.is_err());
    assert_eq!((host.kept(), host.driver.started()), (0, 1), "it was being made, and left no lock");

    let lock = Snapshot::all(host.data()).join("template-0.lock");
    let holder = std::fs::File::create(&lock).unwrap();
    holder.lock().unwrap();
    templates.reap().await.unwrap();
    assert!(lock.exists(), "its holder is alive");
    drop(holder);
    templates.reap().await.unwrap();
    assert!(!lock.exists());
}

#[tokio::test]
async fn two_profiles_make_their_templates_at_once_and_neither_is_in_the_others_way() {
    let host = Host::new();
    host.driver.refuse_twins();
    // As in a server: each profile has templates of its own.
    let (small, large) = (host.templates(), host.templates());
    let sized = |mib| MachineSpec { memory_mib: Some(mib), ..spec(&format!("m{mib}")) };
    let (one, two) = tokio::join!(start(&small, sized(1)), start(&large, sized(2)));
    assert_eq!((made_one(&one), made_one(&two), host.kept()), (true, true, 2));
}
