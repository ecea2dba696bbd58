//! How fast virtual machines are there: `cargo xtask bench machines`.
//!
//! Usage: `vm_speed DATA ROUNDS`, where DATA is a data folder with an image called `default`.
//! All figures are ratios within one run, since an emulated machine's times drift.

use std::error::Error;
use std::io::Read;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::{Duration, Instant};

use guest::client::{ExecEvent, ExecSpec, ExitStatus, Guest};
use machine::network::NetworkPolicy;
use machine::pool::{Kind, Pool};
use machine::qemu::QemuDriver;
use machine::{Driver, Machine, MachineSpec, Network, Snapshot, SnapshotId};
use model::MachineId;

type Result<T> = std::result::Result<T, Box<dyn Error>>;

/// Memory of each machine.
const MEMORY_MIB: u64 = 256;
/// Calls of which the median is taken.
const CALLS: usize = 21;
/// Starts of `true` by a shell of the guest's, for one figure.
const OWN_STARTS: u32 = 5;
/// Bytes in each direction of the network.
const SENT_BYTES: u64 = 64 << 20;
/// Machines at once.
const PARALLEL: usize = 4;

#[tokio::main]
async fn main() -> Result<()> {
    let mut args = std::env::args_os().skip(1);
    let (data, rounds) = (args.next().map(PathBuf::from), args.next());
    let (Some(data), Some(rounds)) = (data, rounds.and_then(|rounds| rounds.to_str()?.parse().ok())) else {
        return Err("usage: vm_speed DATA ROUNDS".into());
    };
    let driver: Arc<dyn Driver> = Arc::new(QemuDriver::new(&data));
    driver.reap().await?;
    // Of a run that was broken off.
    for left in ["bench", "bench-usual"] {
        let _ = std::fs::remove_dir_all(Snapshot::all(&data).join(left));
    }
    let bench = Bench { driver, data, count: 0.into() };
    println!("| Figure | Measured | Target |\n|---|---|---|");
    let snapshot = bench.starts(rounds).await?;
    bench.calls(&snapshot).await?;
    bench.parallel(&snapshot).await?;
    bench.network().await?;
    bench.usual_clone().await?;
    std::fs::remove_dir_all(&snapshot.folder)?;
    bench.pool(rounds).await
}

struct Bench {
    driver: Arc<dyn Driver>,
    data: PathBuf,
    count: std::sync::atomic::AtomicUsize,
}

impl Bench {
    fn spec(&self) -> MachineSpec {
        let number = self.count.fetch_add(1, std::sync::atomic::Ordering::Relaxed);
        MachineSpec {
            vcpus: Some(1),
            memory_mib: Some(MEMORY_MIB),
            disk_mib: Some(64),
            ..MachineSpec::new(MachineId(format!("bench-{number}")), Network::None)
        }
    }

    /// Cold boots and restores, each until the first command has been answered.
    async fn starts(&self, rounds: usize) -> Result<Snapshot> {
        let (mut cold, mut restored, mut alone) = (Vec::new(), Vec::new(), Vec::new());
        let machine = self.driver.start(self.spec()).await?;
        // As in machines that others are made from.
        answer(&machine.guest).await?;
        let snapshot = self.driver.snapshot(machine, &SnapshotId("bench".to_owned())).await?;
        for _ in 0..rounds {
            let begin = Instant::now();
            let machine = self.driver.start(self.spec()).await?;
            answer(&machine.guest).await?;
            cold.push(begin.elapsed());
            timeline("cold", &machine);
            machine.destroy().await?;

            let begin = Instant::now();
            let machine = self.driver.restore(&snapshot, self.spec()).await?;
            answer(&machine.guest).await?;
            restored.push(begin.elapsed());
            timeline("restored", &machine);
            alone.push(proportional_mib(&self.data, &machine.id.0)?);
            machine.destroy().await?;
        }
        let (cold, restored) = (median(&mut cold), median(&mut restored));
        let faster = cold.as_secs_f64() / restored.as_secs_f64();
        row("start to first answered command, cold", format!("{cold:.2?}"), "");
        row("the same, restored", format!("{restored:.2?}, {faster:.1} times faster"), "6 times faster");
        row("memory of a clone that is alone (PSS)", share_of_memory(&mut alone, MEMORY_MIB), "");
        self.shares(&snapshot).await?;
        Ok(snapshot)
    }

    /// Memory of clones that share what none of them has written.
    async fn shares(&self, snapshot: &Snapshot) -> Result<()> {
        let mut clones = Vec::new();
        for _ in 0..PARALLEL {
            let machine = self.driver.restore(snapshot, self.spec()).await?;
            answer(&machine.guest).await?;
            clones.push(machine);
        }
        let shares = clones.iter().map(|clone| proportional_mib(&self.data, &clone.id.0));
        let mut shares = shares.collect::<Result<Vec<_>>>()?;
        let figure = format!("memory of a clone of {PARALLEL} (PSS)");
        row(&figure, share_of_memory(&mut shares, MEMORY_MIB), "0.33");
        for clone in clones {
            clone.destroy().await?;
        }
        Ok(())
    }

    /// Memory of a clone of the size that a job's machine has unless it asks for another, with none beside it.
    async fn usual_clone(&self) -> Result<()> {
        let usual = || MachineSpec { memory_mib: None, ..self.spec() };
        let machine = self.driver.start(usual()).await?;
        answer(&machine.guest).await?;
        let snapshot = self.driver.snapshot(machine, &SnapshotId("bench-usual".to_owned())).await?;
        let clone = self.driver.restore(&snapshot, usual()).await?;
        answer(&clone.guest).await?;
        let mut share = [proportional_mib(&self.data, &clone.id.0)?];
        let figure = share_of_memory(&mut share, snapshot.memory_mib);
        row("memory of a clone of the usual size that is alone (PSS)", figure, "0.33");
        clone.destroy().await?;
        Ok(std::fs::remove_dir_all(&snapshot.folder)?)
    }

    /// The channel alone, and a process through it.
    async fn calls(&self, snapshot: &Snapshot) -> Result<()> {
        let machine = self.driver.restore(snapshot, self.spec()).await?;
        let (mut channel, mut process, mut own) = (Vec::new(), Vec::new(), Vec::new());
        for _ in 0..CALLS {
            let begin = Instant::now();
            machine.guest.info().await?;
            channel.push(begin.elapsed());
            let begin = Instant::now();
            answer(&machine.guest).await?;
            process.push(begin.elapsed());
            own.push(own_start(&machine.guest).await?);
        }
        machine.destroy().await?;
        let (channel, process, own) = (median(&mut channel), median(&mut process), median(&mut own));
        let trips = |time: Duration| {
            let times = time.as_secs_f64() / channel.as_secs_f64();
            format!("{time:.2?}, {times:.1} round trips")
        };
        row("round trip of the channel", format!("{channel:.2?}"), "");
        row("`true` through the agent", trips(process), "3 round trips");
        row("of that, `true` by a shell of the guest's, without the agent", trips(own), "");
        Ok(())
    }

    /// Several machines at once, each with some work.
    async fn parallel(&self, snapshot: &Snapshot) -> Result<()> {
        let begin = Instant::now();
        let jobs = (0..PARALLEL).map(|_| async {
            let machine = self.driver.restore(snapshot, self.spec()).await?;
            let done = run(&machine.guest, "i=0; while [ $i -lt 2000 ]; do i=$((i+1)); done; echo $i").await;
            machine.destroy().await?;
            done
        });
        let ended = futures_util::future::join_all(jobs).await;
        let failures = ended.iter().filter(|done| !matches!(done, Ok(ExitStatus::Code(0)))).count();
        let took = format!("{failures} failures in {:.2?}", begin.elapsed());
        row(&format!("{PARALLEL} jobs in machines at once"), took, "0 failures");
        Ok(())
    }

    /// Bytes through the machine's network, in each direction. This host plays the world, by an address
    /// that is not its loopback's: the guest has one of its own.
    async fn network(&self) -> Result<()> {
        let finder = std::net::UdpSocket::bind("0.0.0.0:0")?;
        // Nothing is sent: only the way is looked for.
        let Ok(host) = finder.connect("192.0.2.1:9").and_then(|()| finder.local_addr()) else {
            row("network", "not measured: this host has no address".to_owned(), "");
            return Ok(());
        };
        let host = host.ip();
        let (source, sink) =
            (std::net::TcpListener::bind((host, 0))?, std::net::TcpListener::bind((host, 0))?);
        let (from, to) = (source.local_addr()?.port(), sink.local_addr()?.port());
        std::thread::spawn(move || {
            let stream = source.accept().map(|(stream, _)| stream);
            stream.and_then(|mut stream| std::io::copy(&mut std::io::repeat(7).take(SENT_BYTES), &mut stream))
        });
        std::thread::spawn(move || {
            let stream = sink.accept().map(|(stream, _)| stream);
            stream.and_then(|mut stream| std::io::copy(&mut stream, &mut std::io::sink()))
        });
        let policy = NetworkPolicy::parse([host.to_string().as_str()])?;
        let machine =
            self.driver.start(MachineSpec { network: Network::User, policy, ..self.spec() }).await?;
        let megabytes = SENT_BYTES >> 20;
        for (what, script) in [
            ("network, to the machine", format!("cat < /dev/tcp/{host}/{from} > /dev/null")),
            (
                "network, from the machine",
                format!("dd if=/dev/zero bs=1M count={megabytes} status=none > /dev/tcp/{host}/{to}"),
            ),
        ] {
            let begin = Instant::now();
            let ended = run(&machine.guest, &format!("bash -c '{script}'")).await?;
            if ended != ExitStatus::Code(0) {
                return Err(format!("{what}: {ended:?}").into());
            }
            let speed = megabytes as f64 / begin.elapsed().as_secs_f64();
            row(what, format!("{speed:.0} MiB/s"), "");
        }
        Ok(machine.destroy().await?)
    }

    /// A lease of a warm machine until its first command has been answered.
    async fn pool(&self, rounds: usize) -> Result<()> {
        let kind = Kind { name: "bench".to_owned(), spec: self.spec(), min: 1, max: 1 };
        let pool = Pool::open(Arc::clone(&self.driver), &self.data, vec![kind])?;
        let (mut leased, mut trips) = (Vec::new(), Vec::new());
        for _ in 0..rounds {
            pool.filled("bench").await;
            let begin = Instant::now();
            let machine = pool.lease("bench").await?;
            let lease = begin.elapsed();
            let begin = Instant::now();
            machine.guest.info().await?;
            trips.push(begin.elapsed());
            leased.push(lease);
            answer(&machine.guest).await?;
            machine.destroy().await?;
        }
        let misses = pool.status()[0].misses;
        pool.close().await;
        let (lease, trip) = (median(&mut leased), median(&mut trips));
        let sum =
            format!("{:.2?} ({lease:.2?} and a round trip of {trip:.2?}; {misses} not ready)", lease + trip);
        row("lease of a warm machine to first answer", sum, "50 ms and a round trip");
        Ok(())
    }
}

fn row(figure: &str, measured: impl std::fmt::Display, target: &str) {
    println!("| {figure} | {measured} | {target} |");
}

fn timeline(kind: &str, machine: &Machine) {
    let parts: Vec<String> = machine.boot.iter().map(|(part, took)| format!("{part} {took:.2?}")).collect();
    eprintln!("{kind}: {}", parts.join(", "));
}

/// How long the guest takes by itself to start `true` and see its end: a loop of its shell, less the loop.
async fn own_start(guest: &Guest) -> Result<Duration> {
    let loops = async |command: &str| {
        let begin = Instant::now();
        let script = format!("i=0; while [ $i -lt {OWN_STARTS} ]; do {command}; i=$((i+1)); done");
        match run(guest, &script).await? {
            ExitStatus::Code(0) => Ok::<_, Box<dyn Error>>(begin.elapsed()),
            status => Err(format!("a loop ended with {status:?}").into()),
        }
    };
    let (with, without) = (loops("/bin/true").await?, loops(":").await?);
    Ok(with.saturating_sub(without) / OWN_STARTS)
}

/// Runs `true`.
async fn answer(guest: &Guest) -> Result<()> {
    match run(guest, "").await? {
        ExitStatus::Code(0) => Ok(()),
        status => Err(format!("`true` ended with {status:?}").into()),
    }
}

/// Runs a script, or `true` if it is empty.
async fn run(guest: &Guest, script: &str) -> Result<ExitStatus> {
    let argv = if script.is_empty() { vec!["/bin/true"] } else { vec!["/bin/sh", "-c", script] };
    let argv = argv.into_iter().map(str::to_owned).collect();
    let mut exec = guest.exec(ExecSpec { argv, ..ExecSpec::default() }).await?;
    while let Some(event) = exec.next().await? {
        if let ExecEvent::Exited(status) = event {
            return Ok(status);
        }
    }
    Err("the command told no end".into())
}

/// The median, as a part of a machine's memory.
fn share_of_memory(shares: &mut [u64], memory_mib: u64) -> String {
    shares.sort_unstable();
    let share = shares[shares.len() / 2];
    format!("{share} of {memory_mib} MiB, {:.2}", share as f64 / memory_mib as f64)
}

/// Proportional memory of the processes that the driver has noted for this machine, in MiB.
fn proportional_mib(data: &Path, machine: &str) -> Result<u64> {
    let noted = std::fs::read(data.join("vms").join(machine).join("processes.json"))?;
    let noted: Vec<serde_json::Value> = serde_json::from_slice(&noted)?;
    let pids = noted.iter().filter_map(|life| life["pid"].as_u64());
    let kib: u64 = pids.filter_map(|pid| share_kib(&Path::new("/proc").join(pid.to_string()))).sum();
    if kib == 0 { Err(format!("no process of machine {machine} was found").into()) } else { Ok(kib / 1024) }
}

fn share_kib(process: &Path) -> Option<u64> {
    let rollup = std::fs::read_to_string(process.join("smaps_rollup")).ok()?;
    let line = rollup.lines().find_map(|line| line.strip_prefix("Pss:"))?;
    line.split_whitespace().next()?.parse().ok()
}

fn median(times: &mut [Duration]) -> Duration {
    times.sort_unstable();
    times[times.len() / 2]
}
