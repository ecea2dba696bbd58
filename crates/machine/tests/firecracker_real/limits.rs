//! Sizes of machines, and bounds of their devices.

use std::io::Read;
use std::time::Instant;

use machine::firecracker::Options;
use machine::firecracker::api::RateLimiter;
use machine::network::NetworkPolicy;
use machine::{Driver, Machine, MachineSpec, Network, Snapshot};

use crate::bench;
use crate::firecracker_suite::{say, snapshot, spec};
use crate::network_world::{ALLOWED, in_a_world};

const MIB: u64 = 1 << 20;
/// What the disk may carry in a second, and what is written: far more than in one.
const DISK_BYTES: (u64, u64) = (4 * MIB, 24 * MIB);
/// The same for the network, which an emulated host makes slow by itself.
const NETWORK_BYTES: (u64, u64) = (MIB / 4, 2 * MIB);

#[tokio::test]
#[ignore = "needs a real Firecracker: cargo xtask test-firecracker"]
async fn a_machine_has_the_sizes_that_were_asked_for() {
    let bench = bench(Options::default());
    let sizes = MachineSpec { vcpus: Some(2), memory_mib: Some(384), disk_mib: Some(128), ..spec("sizes-1") };
    let machine = bench.driver.start(sizes).await.expect("a machine");
    let seen = "nproc; awk '/MemTotal/ {print $2}' /proc/meminfo; df -k --output=size /home | tail -1";
    let seen = say(&machine.guest, seen).await.unwrap();
    let seen: Vec<u64> = seen.split_whitespace().map(|number| number.parse().unwrap()).collect();
    println!("processors, KiB of memory, KiB of disk: {seen:?}");
    assert_eq!(seen[0], 2);
    // The kernel keeps some for itself, and a file system too.
    assert!((320 * 1024..384 * 1024).contains(&seen[1]), "{seen:?}");
    assert!((96 * 1024..=128 * 1024).contains(&seen[2]), "{seen:?}");
    machine.destroy().await.expect("an end");
    for wrong in [
        MachineSpec { vcpus: Some(33), ..spec("sizes-2") },
        MachineSpec { memory_mib: Some(64), ..spec("sizes-2") },
    ] {
        assert!(bench.driver.check(&wrong).is_err(), "{wrong:?}");
    }
}

/// Seconds that it takes to write to the machine's disk, and to send to it over its network.
async fn seconds(machine: &Machine, port: u16) -> (f64, f64) {
    // Past the guest's memory, in which it would stay.
    let count = DISK_BYTES.1 / MIB;
    let write = format!("dd if=/dev/zero of=/home/runner/file bs=1M count={count} oflag=direct");
    let begin = Instant::now();
    say(&machine.guest, &write).await.unwrap();
    let written = begin.elapsed();
    let begin = Instant::now();
    let fetch = format!("bash -c 'cat < /dev/tcp/{ALLOWED}/{port} | wc -c'; rm /home/runner/file");
    assert_eq!(say(&machine.guest, &fetch).await.unwrap(), NETWORK_BYTES.1.to_string());
    (written.as_secs_f64(), begin.elapsed().as_secs_f64())
}

#[test]
#[ignore = "needs a real Firecracker: cargo xtask test-firecracker"]
fn disk_and_network_carry_no_more_than_their_limits_in_a_clone_too() {
    in_a_world(async || {
        let server = std::net::TcpListener::bind((ALLOWED, 0)).unwrap();
        let port = server.local_addr().unwrap().port();
        std::thread::spawn(move || {
            for stream in server.incoming() {
                let _ = std::io::copy(&mut std::io::repeat(0).take(NETWORK_BYTES.1), &mut stream.unwrap());
            }
        });
        let policy = NetworkPolicy::parse([ALLOWED]).unwrap();
        let networked = |id: &str| MachineSpec { network: Network::User, policy: policy.clone(), ..spec(id) };
        let free = bench(Options::default());
        let machine = free.driver.start(networked("free-1")).await.expect("a machine");
        let without = seconds(&machine, port).await;
        machine.destroy().await.expect("an end");

        let limit = |(in_a_second, _)| Some(RateLimiter::bytes_per_second(in_a_second));
        let limits = Options {
            disk_limit: limit(DISK_BYTES),
            network_limit: limit(NETWORK_BYTES),
            ..Options::default()
        };
        let bounded = bench(limits);
        let machine = bounded.driver.start(networked("bound-1")).await.expect("a machine");
        let with = seconds(&machine, port).await;
        let snapshot = snapshot(&bounded, machine, "bound").await;
        let clone = bounded.driver.restore(&snapshot, networked("bound-2")).await.expect("a clone");
        let in_clone = seconds(&clone, port).await;
        clone.destroy().await.expect("an end");
        Snapshot::remove(&bounded.data, &snapshot.id).unwrap();
        println!(
            "seconds to disk, from network: {without:.1?}; with limits {with:.1?}, in a clone {in_clone:.1?}"
        );
        let (disk, network) = (least_seconds(DISK_BYTES), least_seconds(NETWORK_BYTES));
        for took in [with, in_clone] {
            assert!(took.0 > disk && took.1 > network, "{took:?}, not {disk} and {network}");
        }
        assert!(without.0 < disk && without.1 < network, "{without:?}: the host alone is as slow");
    });
}

/// How much of the time that a limit should take it must take at least: the clock of an emulated host keeps the timer
/// that refills it badly (0.88 was seen), and without a limit it is a tenth.
const TOLERANCE: f64 = 0.7;

/// What so many bytes take where only so many go in a second; a second's worth may go at once.
fn least_seconds((in_a_second, bytes): (u64, u64)) -> f64 {
    (bytes - in_a_second) as f64 / in_a_second as f64 * TOLERANCE
}
