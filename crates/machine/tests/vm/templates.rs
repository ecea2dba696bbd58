//! Machines that go on from a snapshot of a fresh one, which this host really takes.

use std::fs::OpenOptions;
use std::path::Path;
use std::sync::Arc;

use machine::templates::Templates;
use machine::{Driver, Machine, Snapshot};

use crate::house::{House, spec, told};

async fn start(house: &House, name: &str) -> Machine {
    let templates = Templates::new(Arc::new(house.driver()), house.data.path());
    templates.start(spec(name)).await.unwrap_or_else(|error| panic!("{error}"))
}

/// The file of this name in the only template.
fn file(data: &Path, name: &str) -> std::path::PathBuf {
    let templates = Snapshot::list(data).unwrap();
    assert_eq!(templates.len(), 1);
    templates[0].folder.join(name)
}

fn booted(machine: &Machine) -> bool {
    machine.boot.iter().any(|(part, _)| *part == "kernel")
}

#[tokio::test]
async fn machines_from_a_template_are_quick_and_strangers_to_each_other_and_a_damaged_template_is_replaced() {
    let Some(house) = House::open() else { return };
    let (one, two) = (start(&house, "one").await, start(&house, "two").await);
    assert!(!booted(&one) && !booted(&two), "{:?} {:?}", one.boot, two.boot);
    assert!(one.notes.iter().any(|note| note.contains("a snapshot of a fresh machine was made")));
    assert!(!two.notes.iter().any(|note| note.contains("snapshot")));
    let unique = "hostname; cat /etc/machine-id /proc/sys/kernel/random/boot_id; head -c 16 /dev/urandom | od -An -tx1";
    let (first, second) = (told(&one.guest, unique).await, told(&two.guest, unique).await);
    for (line, other) in first.lines().zip(second.lines()) {
        assert_ne!(line, other);
    }
    assert_eq!(first.lines().next(), Some(&*one.id.0));
    told(&one.guest, "echo mine > /home/runner/file").await;
    told(&two.guest, "test ! -e /home/runner/file").await;
    one.destroy().await.unwrap();
    two.destroy().await.unwrap();

    let state = file(house.data.path(), "state");
    OpenOptions::new().write(true).open(&state).unwrap().set_len(1000).unwrap();
    let three = start(&house, "three").await;
    assert!(booted(&three));
    let note = three.notes.iter().find(|note| note.contains("it was booted")).expect("it says why");
    assert!(note.contains("state is damaged"), "{note}");
    assert!(Snapshot::list(house.data.path()).unwrap().is_empty());
    three.destroy().await.unwrap();
    assert!(house.left().is_empty());
}
