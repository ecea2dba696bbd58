//! What a machine is from its start to its end, and through a snapshot.

use std::time::{Duration, SystemTime, UNIX_EPOCH};

use machine::{Driver, Isolation, Network, Snapshot, SnapshotId};

use crate::house::{House, run, spec, start, told};

#[tokio::test(flavor = "multi_thread")]
async fn a_machine_is_a_linux_of_its_own_within_its_bounds_and_leaves_nothing() {
    let Some(house) = House::open() else { return };
    let driver = house.driver();
    let machine = start(&driver, spec("life")).await;
    assert_eq!(machine.isolation, Isolation::VirtualMachine);
    let guest = &machine.guest;
    assert_eq!(told(guest, "hostname").await, machine.id.0);
    assert_eq!(told(guest, "cat /etc/machine-id | tr -d '\\n' | wc -c").await, "32");
    assert_eq!(
        told(guest, "test -d /opt/hostedtoolcache && test -d /home/runner/work/_temp && echo ok").await,
        "ok"
    );
    assert_eq!(told(guest, "nproc").await, "1");
    let memory: u64 = told(guest, "awk '/MemTotal/{print $2}' /proc/meminfo").await.parse().unwrap();
    assert!((150_000..262_144).contains(&memory), "{memory} KiB");
    let clock: u64 = told(guest, "date +%s").await.parse().unwrap();
    let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap().as_secs();
    assert!(now.abs_diff(clock) <= 5, "the guest's clock says {clock}, it is {now}");
    // Its own loopback, and nothing else.
    assert_eq!(told(guest, "ls /sys/class/net").await, "lo");
    assert_eq!(
        told(guest, "cat /sys/class/net/lo/operstate; echo x > /dev/null; readlink /dev/stdin").await,
        "unknown\nfd/0"
    );
    // Full at its bound, and only there.
    let (output, status) =
        run(guest, "dd if=/dev/zero of=/home/runner/big bs=1M count=100; rm /home/runner/big").await;
    assert!(output.contains("No space left"), "{status:?} {output}");
    assert_eq!(told(guest, "echo still writes > /etc/motd && cat /etc/motd").await, "still writes");
    let parts: Vec<&str> = machine.boot.iter().map(|(part, _)| *part).collect();
    assert_eq!(parts, ["vmm", "kernel", "init", "agent", "whole"]);
    println!("{:?}", machine.boot);
    machine.destroy().await.unwrap();
    assert_eq!(house.left(), Vec::<String>::new());
}

#[tokio::test(flavor = "multi_thread")]
async fn clones_of_a_snapshot_go_on_where_it_was_taken_and_are_strangers() {
    let Some(house) = House::open() else { return };
    let driver = house.driver();
    let machine = start(&driver, spec("origin")).await;
    told(
        &machine.guest,
        "echo before > /tmp/disk; (while :; do sleep 1; done) > /dev/null 2>&1 & echo $! > /dev/shm/memory",
    )
    .await;
    let id = SnapshotId("taken".to_owned());
    let snapshot = driver.snapshot(machine, &id).await.unwrap_or_else(|error| panic!("{error}"));
    assert_eq!(Snapshot::open(house.data.path(), &id).unwrap(), snapshot);
    assert_eq!(house.left(), Vec::<String>::new());

    let one = driver.restore(&snapshot, spec("one")).await.unwrap_or_else(|error| panic!("{error}"));
    let other = driver.restore(&snapshot, spec("other")).await.unwrap_or_else(|error| panic!("{error}"));
    println!("{:?}", one.boot);
    for machine in [&one, &other] {
        assert_eq!(
            told(&machine.guest, "cat /tmp/disk; kill -0 $(cat /dev/shm/memory) && hostname").await,
            format!("before\n{}", machine.id.0)
        );
    }
    // What is written in one is not seen in the other, on disk and in memory.
    told(&one.guest, "echo one > /tmp/disk; echo one > /dev/shm/own").await;
    assert_eq!(told(&other.guest, "cat /tmp/disk; ls /dev/shm").await, "before\nmemory");
    for secret in
        ["cat /etc/machine-id", "cat /proc/sys/kernel/random/boot_id", "head -c 16 /dev/urandom | od -x"]
    {
        assert_ne!(told(&one.guest, secret).await, told(&other.guest, secret).await, "{secret}");
    }
    let clock: u64 = told(&other.guest, "date +%s").await.parse().unwrap();
    let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap().as_secs();
    assert!(now.abs_diff(clock) <= 5, "the clone's clock says {clock}, it is {now}");

    // A clone can be frozen as well.
    let again =
        driver.snapshot(one, &SnapshotId("again".to_owned())).await.unwrap_or_else(|error| panic!("{error}"));
    let third = driver.restore(&again, spec("third")).await.unwrap_or_else(|error| panic!("{error}"));
    assert_eq!(told(&third.guest, "cat /tmp/disk /dev/shm/own").await, "one\none");
    let whole = third.boot.iter().find(|(part, _)| *part == "whole").unwrap().1;
    assert!(whole < Duration::from_secs(60), "{whole:?}");
    third.destroy().await.unwrap();
    other.destroy().await.unwrap();
    assert_eq!(house.left(), Vec::<String>::new());
}

#[tokio::test(flavor = "multi_thread")]
async fn a_machine_on_the_users_network_has_an_address_and_a_name_server() {
    let Some(house) = House::open() else { return };
    let driver = house.driver();
    let wanted = machine::MachineSpec { network: Network::User, ..spec("net") };
    let machine = start(&driver, wanted).await;
    let address = told(&machine.guest, "ip -4 addr show | grep -o '198.19.0.2/30'; ip route | grep -o 'default via 198.19.0.1'; cat /etc/resolv.conf").await;
    assert_eq!(address, "198.19.0.2/30\ndefault via 198.19.0.1\nnameserver 198.19.0.1");
    machine.destroy().await.unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn an_image_s_own_init_is_the_first_process_and_the_agent_serves_beside_it() {
    let Some(house) = House::open() else { return };
    let driver = house.driver();
    // A shell that waits for what somebody types on the console.
    let image = house.with_init("own-init", "/bin/sh");
    let spec = || machine::MachineSpec { image: Some(image.clone()), ..spec("own-init") };
    let machine = start(&driver, spec()).await;
    let guest = &machine.guest;
    assert_eq!(told(guest, "cat /proc/1/comm").await, "sh");
    // What a job leaves behind comes to the agent, which collects it; the init would not.
    let orphan = told(guest, "sleep 300 > /dev/null 2>&1 < /dev/null & echo $!").await;
    let parent = format!("tr '\\0' ' ' < /proc/$(awk '/^PPid/{{print $2}}' /proc/{orphan}/status)/cmdline");
    assert!(told(guest, &parent).await.contains("beside-init"));
    told(guest, &format!("kill {orphan}; while test -d /proc/{orphan}; do sleep 0.05; done")).await;
    let (_, status) = run(guest, "exit 3").await;
    assert_eq!(status, guest::client::ExitStatus::Code(3));
    let snapshot = driver.snapshot(machine, &SnapshotId("own-init".to_owned())).await;
    let snapshot = snapshot.unwrap_or_else(|error| panic!("{error}"));
    let clone = driver.restore(&snapshot, spec()).await.unwrap_or_else(|error| panic!("{error}"));
    assert_eq!(told(&clone.guest, "cat /proc/1/comm").await, "sh");
    clone.destroy().await.unwrap();

    let missing = house.with_init("no-init", "/sbin/no-init");
    let spec = machine::MachineSpec { image: Some(missing), ..self::spec("no-init") };
    let error = driver.start(spec).await.err().map(|error| error.to_string()).unwrap_or_default();
    assert!(error.contains("becoming /sbin/no-init, the image's init: No such file"), "{error}");
    assert_eq!(house.left(), Vec::<String>::new());
}

#[tokio::test(flavor = "multi_thread")]
async fn a_store_without_a_default_image_is_tried_with_the_one_that_there_is() {
    let Some(house) = House::open() else { return };
    let names = house.data.path().join("images/names");
    let id = std::fs::read_to_string(names.join("default")).unwrap();
    std::fs::remove_dir_all(&names).unwrap();
    std::fs::create_dir(&names).unwrap();
    std::fs::write(names.join("small"), id).unwrap();
    let probe = house.driver().probe().await;
    assert!(probe.usable, "{:?}", probe.findings);
    assert!(house.left().is_empty());
}
