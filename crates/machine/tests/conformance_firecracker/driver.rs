//! The driver with a strict server in Firecracker's place: a process of its own, started as
//! Firecracker is.

use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};

use machine::firecracker::api::{RateLimiter, TokenBucket};
use machine::firecracker::{FirecrackerDriver, Options};
use machine::image::ImageStore;
use machine::network::NetworkPolicy;
use machine::{Driver, FindingLevel, MachineSpec, Network};
use serde_json::{Value, json};
use sha2::{Digest, Sha256};

use crate::firecracker_suite::{self as suite, Bench, left_behind, spec};
use crate::strict::server::Server;

/// Tells this program that it is a Firecracker: its arguments, a line each.
const ARGUMENTS_VARIABLE: &str = "HEARTH_STRICT_ARGUMENTS";
/// What goes wrong in it.
const TRAP_VARIABLE: &str = "HEARTH_STRICT_TRAP";

/// A bench whose Firecracker is this program.
struct Strict {
    folder: tempfile::TempDir,
    bench: Bench,
}

fn strict(trap: &str) -> Strict {
    strict_with(trap, Options::default())
}

fn strict_with(trap: &str, options: Options) -> Strict {
    let folder = tempfile::tempdir().unwrap();
    let binary = folder.path().join("firecracker");
    program(&binary, "Firecracker v1.16.1", trap);
    let data = folder.path().join("data");
    std::fs::create_dir(&data).unwrap();
    put_image(&data);
    let options = Options { firecracker: Some(binary), ..options };
    Strict { bench: Bench { driver: FirecrackerDriver::new(&data, options), data }, folder }
}

/// A program that is started as Firecracker is, and becomes this one.
fn program(path: &Path, version: &str, trap: &str) {
    let own = std::env::current_exe().unwrap();
    let script = format!(
        "#!/bin/sh\nif [ \"$1\" = --version ]; then echo '{version}'; exit; fi\n\
         {ARGUMENTS_VARIABLE}=\"$*\" {TRAP_VARIABLE}='{trap}' \
         exec '{}' --exact driver::plays_firecracker --ignored --nocapture\n",
        own.display()
    );
    std::fs::write(path, script).unwrap();
    std::fs::set_permissions(path, std::fs::Permissions::from_mode(0o755)).unwrap();
}

/// An image whose files are words.
fn put_image(data: &Path) {
    let folder = data.join("image");
    std::fs::create_dir(&folder).unwrap();
    let mut files = serde_json::Map::new();
    for (name, file, text) in [
        ("kernel", "kernel", "\x7fELF kernel"),
        ("initrd", "initrd", "initrd"),
        ("root", "root.sqfs", "root"),
    ] {
        std::fs::write(folder.join(file), text).unwrap();
        files.insert(name.to_owned(), json!({"sha256": sha256(text.as_bytes()), "bytes": text.len()}));
    }
    let content = json!({
        "format": 1, "kernel_version": "6.1.0", "cmdline": "root=/dev/vda rootfstype=squashfs ro",
        "files": files, "root_kind": "squashfs", "suite": "bookworm", "packages": [],
    });
    let mut manifest = content.clone();
    manifest["id"] = sha256(content.to_string().as_bytes()).into();
    manifest["made_unix_ms"] = 1.into();
    std::fs::write(folder.join("manifest.json"), manifest.to_string()).unwrap();
    let store = ImageStore::open(data).unwrap();
    let image = store.put(&folder).unwrap();
    store.name("default", &image.id).unwrap();
}

fn sha256(bytes: &[u8]) -> String {
    Sha256::digest(bytes).iter().map(|byte| format!("{byte:02x}")).collect()
}

/// Not a test: what the driver starts instead of Firecracker.
#[tokio::test]
#[ignore = "started by other tests as a process of its own"]
async fn plays_firecracker() {
    let Ok(arguments) = std::env::var(ARGUMENTS_VARIABLE) else { return };
    let words: Vec<&str> = arguments.split(' ').collect();
    let value = |name: &str| {
        let at = words.iter().position(|word| *word == name);
        at.and_then(|at| words.get(at + 1)).copied().unwrap_or_else(|| panic!("no {name} in {arguments}"))
    };
    assert!(!arguments.contains("seccomp"), "seccomp is Firecracker's own business");
    let trap = std::env::var(TRAP_VARIABLE).unwrap_or_default().parse().ok();
    let folder = std::env::current_dir().unwrap();
    println!("playing Firecracker in {}", folder.display());
    let server = Server::start_at(Path::new(value("--api-sock")), &folder, value("--id"), trap);
    server.until_ended().await;
}

#[tokio::test]
async fn a_machine_starts_answers_and_leaves_nothing() {
    suite::a_machine_starts_answers_and_leaves_nothing(&strict("").bench).await;
}

#[tokio::test]
async fn a_snapshot_becomes_machines_as_often_as_wanted() {
    suite::a_snapshot_becomes_machines_as_often_as_wanted(&strict("").bench).await;
}

#[tokio::test]
async fn a_clone_is_frozen_in_its_turn() {
    suite::a_clone_is_frozen_in_its_turn(&strict("").bench).await;
}

#[tokio::test]
async fn a_damaged_snapshot_is_not_restored() {
    suite::a_damaged_snapshot_is_not_restored(&strict("").bench).await;
}

#[tokio::test]
async fn a_dropped_machine_ends() {
    suite::a_dropped_machine_ends(&strict("").bench).await;
}

#[tokio::test]
async fn a_refusal_reaches_the_user_with_the_call_and_leaves_nothing() {
    for (trap, phrase) in [
        ("PUT /drives/root: bad luck", "VM m-1: PUT /drives/root: Firecracker refused (400): bad luck"),
        ("PUT /boot-source: hang up", "VM m-1: PUT /boot-source: no answer on"),
        ("PUT /actions: die", "VM m-1: PUT /actions: no answer on"),
    ] {
        let strict = strict(trap);
        let error = strict.bench.driver.start(spec("m-1")).await.err().expect("no machine").to_string();
        assert!(error.starts_with("machine m-1 (firecracker): configuring the VM: "), "{error}");
        assert!(error.contains(phrase), "{error}");
        // What the process said last is told too.
        assert!(
            error.contains("the end of its console:") && error.contains("playing Firecracker"),
            "{error}"
        );
        gone(&strict.bench).await;
    }
}

#[tokio::test]
async fn a_snapshot_that_firecracker_refuses_ends_the_machine() {
    let whole = strict("");
    let machine = whole.bench.driver.start(spec("m-2")).await.expect("a machine");
    let snapshot = suite::snapshot(&whole.bench, machine, "fine").await;
    let broken = strict("PUT /snapshot/load: wrong processor");
    let error =
        broken.bench.driver.restore(&snapshot, spec("m-3")).await.err().expect("no machine").to_string();
    assert!(
        error.contains(
            "loading its snapshot: VM m-3: PUT /snapshot/load: Firecracker refused (400): wrong processor"
        ),
        "{error}"
    );
    gone(&broken.bench).await;
    let unwritten = strict("PUT /snapshot/create: no space left");
    let machine = unwritten.bench.driver.start(spec("m-4")).await.expect("a machine");
    let id = machine::SnapshotId("full".to_owned());
    let error = unwritten.bench.driver.snapshot(machine, &id).await.unwrap_err().to_string();
    assert!(error.contains("PUT /snapshot/create: Firecracker refused (400): no space left"), "{error}");
    gone(&unwritten.bench).await;
    assert!(machine::Snapshot::list(&unwritten.bench.data).unwrap().is_empty());
}

#[tokio::test]
async fn a_version_that_hearth_does_not_know_is_refused_before_anything_is_started() {
    let strict = strict("");
    let old: PathBuf = strict.bench.data.join("old");
    program(&old, "Firecracker v1.4.0", "");
    let options = Options { firecracker: Some(old), ..Options::default() };
    let driver = FirecrackerDriver::new(&strict.bench.data, options);
    let error = driver.start(spec("m-5")).await.err().expect("no machine").to_string();
    assert!(error.contains("version 1.4.0 is not supported: Hearth needs 1.12.0 or newer"), "{error}");
    let probe = driver.probe().await;
    assert!(!probe.usable);
    let finding = probe.findings.iter().find(|finding| finding.subject == "firecracker").unwrap();
    assert_eq!(finding.level, FindingLevel::Bad);
    assert!(finding.remedy.is_some());
}

#[tokio::test]
async fn a_firecracker_that_is_not_there_is_missed_by_name() {
    let folder = tempfile::tempdir().unwrap();
    put_image(folder.path());
    let options = Options { firecracker: Some("/nowhere/firecracker".into()), ..Options::default() };
    let error = FirecrackerDriver::new(folder.path(), options).start(spec("m-6")).await.err().unwrap();
    assert!(
        error.to_string().contains("looking for Firecracker: /nowhere/firecracker: No such file"),
        "{error}"
    );
}

/// What the VM of a machine was asked for: the bodies of this call.
fn asked(bench: &Bench, machine: &str, call: &str) -> Vec<Value> {
    let text = std::fs::read_to_string(bench.data.join("vms").join(machine).join("asked.jsonl")).unwrap();
    let lines = text.lines().map(|line| serde_json::from_str::<(String, Value)>(line).unwrap());
    lines.filter(|(asked, _)| asked == call).map(|(_, body)| body).collect()
}

#[tokio::test]
async fn limits_and_metadata_reach_the_vm_and_metadata_a_clone_too() {
    let bucket = |tokens: u64| json!({"size": tokens, "refill_time": 1000});
    let options = Options {
        disk_limit: Some(RateLimiter {
            bandwidth: Some(TokenBucket::per_second(7 << 20)),
            ops: Some(TokenBucket::per_second(500)),
        }),
        network_limit: Some(RateLimiter::bytes_per_second(1 << 20)),
        metadata: Some(json!({"stage": "ci"})),
        ..Options::default()
    };
    let strict = strict_with("", options);
    let root = rustix::process::geteuid().is_root();
    let network = if root { Network::User } else { Network::None };
    let machine =
        strict.bench.driver.start(MachineSpec { network, ..spec("lim-1") }).await.expect("a machine");
    let asked_of = |machine: &str, call: &str| asked(&strict.bench, machine, call);
    for disk in ["root", "scratch"] {
        let drive = &asked_of("lim-1", &format!("PUT /drives/{disk}"))[0];
        assert_eq!(drive["rate_limiter"], json!({"bandwidth": bucket(7 << 20), "ops": bucket(500)}));
    }
    if root {
        let card = &asked_of("lim-1", "PUT /network-interfaces/eth0")[0];
        assert_eq!(card["rx_rate_limiter"], json!({"bandwidth": bucket(1 << 20)}));
        assert_eq!(card["tx_rate_limiter"], card["rx_rate_limiter"]);
        assert_eq!(asked_of("lim-1", "PUT /mmds/config")[0]["version"], "V2");
        assert_eq!(asked_of("lim-1", "PUT /mmds"), [json!({"stage": "ci"})]);
    }
    let snapshot = suite::snapshot(&strict.bench, machine, "lim").await;
    let clone = strict.bench.driver.restore(&snapshot, spec("lim-2")).await.expect("a clone");
    // A snapshot holds the service, and not what it tells.
    assert_eq!(asked_of("lim-2", "PUT /mmds").len(), usize::from(root));
    clone.destroy().await.expect("an end");
    let bare = self::strict("");
    let recipe = |bench: &Bench| {
        let spec = MachineSpec { network: Network::None, ..spec("lim-3") };
        let driver = FirecrackerDriver::new(
            &bench.data,
            Options {
                firecracker: Some(bare.folder.path().join("firecracker")),
                ..bench.driver.options().clone()
            },
        );
        async move { driver.recipe(&spec).await.unwrap() }
    };
    assert_ne!(recipe(&strict.bench).await, recipe(&bare.bench).await, "other limits, another template");
}

#[tokio::test]
async fn a_vm_has_no_limits_and_no_metadata_unless_asked() {
    let strict = strict("");
    let machine = strict.bench.driver.start(spec("plain-1")).await.expect("a machine");
    assert_eq!(asked(&strict.bench, "plain-1", "PUT /drives/root")[0].get("rate_limiter"), None);
    assert!(asked(&strict.bench, "plain-1", "PUT /mmds/config").is_empty());
    machine.destroy().await.expect("an end");
}

/// A host that virtualizes, as far as its files tell.
fn put_host(root: &Path) {
    for (path, text) in [
        ("proc/sys/kernel/osrelease", "6.1.0\n"),
        ("proc/cpuinfo", "flags\t\t: fpu vmx lm\n"),
        ("proc/mounts", "cgroup2 /sys/fs/cgroup cgroup2 rw 0 0\n"),
        ("dev/kvm", ""),
    ] {
        std::fs::create_dir_all(root.join(path).parent().unwrap()).unwrap();
        std::fs::write(root.join(path), text).unwrap();
    }
}

#[tokio::test]
async fn what_keeps_firecracker_from_running_a_machine_is_known_before_it_is_started() {
    let strict = strict("");
    let (host, driver) = (strict.folder.path().join("host"), &strict.bench.driver);
    put_host(&host);
    assert_eq!(driver.expect_to_run(&spec("m-1"), &host).await.unwrap(), "Firecracker 1.16.1");
    let named = MachineSpec { image: Some("other".to_owned()), ..spec("m-1") };
    let reason = driver.expect_to_run(&named, &host).await.unwrap_err();
    assert!(reason.contains("other"), "{reason}");
    std::fs::write(host.join("proc/cpuinfo"), "flags\t\t: fpu lm\n").unwrap();
    let reason = driver.expect_to_run(&spec("m-1"), &host).await.unwrap_err();
    assert!(reason.starts_with("processor shows neither vmx nor svm"), "{reason}");
    std::fs::remove_file(host.join("dev/kvm")).unwrap();
    assert_eq!(driver.expect_to_run(&spec("m-1"), &host).await.unwrap_err(), "/dev/kvm is not there");
    let options = Options { firecracker: Some("/nowhere/firecracker".into()), ..Options::default() };
    let missing = FirecrackerDriver::new(&strict.bench.data, options);
    let reason = missing.expect_to_run(&spec("m-1"), &host).await.unwrap_err();
    assert!(reason.contains("/nowhere/firecracker"), "{reason}");
}

/// A jailer that builds no walls: it makes the root, says what it was told, and starts the program there.
fn put_jailer(path: &Path) {
    let script = "#!/bin/sh\n\
        if [ \"$1\" = --version ]; then echo 'Jailer v1.16.1'; exit; fi\n\
        told=\"$*\"\n\
        while [ \"$1\" != -- ]; do\n\
          case \"$1\" in --id) id=$2;; --exec-file) exec=$2;; --chroot-base-dir) base=$2;; --uid) uid=$2;; esac\n\
          shift 2\n\
        done\n\
        shift\n\
        cd \"$base/$(basename \"$exec\")/$id/root\" || exit 1\n\
        echo \"$told\" > told; stat -c %u scratch > owner; echo \"$uid\" >> owner\n\
        exec \"$exec\" --id \"$id\" \"$@\"\n";
    std::fs::write(path, script).unwrap();
    std::fs::set_permissions(path, std::fs::Permissions::from_mode(0o755)).unwrap();
}

/// Root's machines are jailed, anybody else's are not, and say so.
#[tokio::test]
async fn as_root_firecracker_is_started_by_the_jailer_beside_it_with_a_user_of_its_own() {
    let strict = strict("");
    put_jailer(&strict.folder.path().join("jailer"));
    let machine = strict.bench.driver.start(spec("jailed-1")).await.expect("a machine");
    assert_eq!(suite::say(&machine.guest, "echo answered").await.unwrap(), "answered");
    let root = strict.bench.data.join("vms/jailed-1/jail/firecracker/jailed-1/root");
    if rustix::process::geteuid().is_root() {
        assert_eq!(machine.notes, Vec::<String>::new());
        let told = std::fs::read_to_string(root.join("told")).unwrap();
        assert!(told.contains("--cgroup memory.") && told.contains("--resource-limit no-file="), "{told}");
        assert!(told.trim_end().ends_with("-- --api-sock api.sock --level Error"), "{told}");
        let owner = std::fs::read_to_string(root.join("owner")).unwrap();
        let (disk, user) = owner.trim().split_once('\n').unwrap();
        assert_eq!(disk, user);
        assert!(user.parse::<u32>().unwrap() >= 0x7000_0000, "{user}");
    } else {
        assert_eq!(machine.notes, ["Firecracker is not jailed: Hearth does not run as root"]);
    }
    machine.destroy().await.expect("an end");
    assert_eq!(left_behind(&strict.bench.data), Vec::<String>::new());
}

#[tokio::test]
async fn a_machine_with_a_network_is_alone_with_its_device_and_so_is_a_clone() {
    if !rustix::process::geteuid().is_root() {
        assert!(std::env::var_os("CI").is_none(), "only root may make network namespaces; run as root");
        println!("SKIPPED: only root may make network namespaces");
        return;
    }
    let strict = strict("");
    let policy = NetworkPolicy::parse(["example.org"]).unwrap();
    let wanted = MachineSpec { network: Network::User, policy: policy.clone(), ..spec("net-1") };
    let machine = strict.bench.driver.start(wanted).await.expect("a machine");
    let look = "readlink /proc/self/ns/net; tail -n +3 /proc/net/dev | cut -d: -f1 | tr -d ' '";
    let first = suite::say(&machine.guest, look).await.unwrap();
    assert!(first.ends_with("\nlo\ntap0") || first.contains("\ntap0\n"), "{first}");
    let snapshot = suite::snapshot(&strict.bench, machine, "net").await;
    assert_eq!((snapshot.network, &snapshot.policy), (Network::User, &policy));
    let clone = strict.bench.driver.restore(&snapshot, spec("net-2")).await.expect("a clone");
    let second = suite::say(&clone.guest, look).await.unwrap();
    let namespace = |seen: &str| seen.lines().next().unwrap().to_owned();
    assert_ne!(namespace(&first), namespace(&second));
    let own = std::fs::read_link("/proc/self/ns/net").unwrap();
    assert_ne!(namespace(&second), own.display().to_string());
    clone.destroy().await.expect("an end");
    assert_eq!(left_behind(&strict.bench.data), Vec::<String>::new());
}

#[tokio::test]
async fn a_list_of_what_may_be_reached_is_refused_where_nothing_would_hold_to_it() {
    let strict = strict("");
    let policy = NetworkPolicy::parse(["example.org"]).unwrap();
    for (network, reason) in
        [(Network::None, "needs a network of the machine's own"), (Network::Host, "--network user, or none")]
    {
        let wanted = MachineSpec { network, policy: policy.clone(), ..spec("net-3") };
        let error = strict.bench.driver.start(wanted).await.err().expect("no machine").to_string();
        assert!(error.contains(reason), "{error}");
    }
}

#[tokio::test]
async fn a_jailer_of_another_release_is_not_used() {
    let strict = strict("");
    let jailer = strict.folder.path().join("jailer");
    put_jailer(&jailer);
    let script = std::fs::read_to_string(&jailer).unwrap().replace("v1.16.1", "v1.15.0");
    std::fs::write(&jailer, script).unwrap();
    let machine = strict.bench.driver.start(spec("jailed-2")).await.expect("a machine");
    assert!(machine.notes[0].contains("is version 1.15.0, and Firecracker 1.16.1"), "{:?}", machine.notes);
    machine.destroy().await.expect("an end");
}

/// Waits until nothing of a machine is left: what failed is removed in the background.
async fn gone(bench: &Bench) {
    let deadline = std::time::Instant::now() + std::time::Duration::from_secs(20);
    while !left_behind(&bench.data).is_empty() {
        assert!(std::time::Instant::now() < deadline, "{:?}", left_behind(&bench.data));
        tokio::task::yield_now().await;
    }
}
