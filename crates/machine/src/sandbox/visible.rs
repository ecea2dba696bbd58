//! What of the host a machine sees: lists, and nothing that acts.
//!
//! The rule is an allow-list of a distribution's own folders. All else (homes, `/run`,
//! `/tmp`, `/srv`, folders that only this host has) is not hidden but was never there.

use std::path::{Component, Path, PathBuf};

use nix::libc;

/// Top folders of the host that are shown, each under an overlay of its own.
pub(crate) const TOP: [&str; 3] = ["usr", "etc", "opt"];

/// Top folders that are links into `/usr` on most hosts, and folders on some.
pub(crate) const MERGED: [&str; 8] = ["bin", "sbin", "lib", "lib32", "lib64", "libx32", "libo32", "libexec"];

/// Folders of `/var` that are shown: what package tools need to know what is installed.
pub(crate) const STATE: [&str; 10] = [
    "var/lib/dpkg",
    "var/lib/apt",
    "var/lib/pam",
    "var/lib/ucf",
    "var/lib/python",
    "var/lib/rpm",
    "var/lib/dnf",
    "var/lib/pacman",
    "var/lib/xml-core",
    "var/cache/debconf",
];

/// Empty folders of a machine's own, with their modes. Parents come first.
pub(crate) const OWN: [(&str, u32); 25] = [
    ("home", 0o755),
    ("root", 0o755),
    ("tmp", 0o1777),
    ("run", 0o755),
    ("mnt", 0o755),
    ("media", 0o755),
    ("srv", 0o755),
    ("proc", 0o555),
    ("sys", 0o555),
    ("dev", 0o755),
    ("var", 0o755),
    ("var/tmp", 0o1777),
    ("var/lib", 0o755),
    ("var/lib/misc", 0o755),
    ("var/cache", 0o755),
    ("var/cache/apt", 0o755),
    ("var/cache/apt/archives", 0o755),
    ("var/cache/apt/archives/partial", 0o755),
    ("var/log", 0o755),
    ("var/log/apt", 0o755),
    ("var/spool", 0o755),
    ("var/mail", 0o755),
    ("var/local", 0o755),
    ("var/opt", 0o755),
    ("var/backups", 0o755),
];

/// Folders of `/run`, which lies in memory as on any Linux.
pub(crate) const RUN: [(&str, u32); 2] = [("run/lock", 0o1777), ("run/user", 0o755)];

/// Where command files and scripts of steps lie, in memory.
pub(crate) const COMMAND_FILES: &str = "/run/runner";

/// Links of a machine's own: where, to what.
pub(crate) const LINKS: [(&str, &str); 2] = [("var/run", "/run"), ("var/lock", "/run/lock")];

/// Folders that an ordinary user's machine may add files to, though the host's root owns them.
pub(crate) const ADDABLE: [&str; 12] = [
    "usr/bin",
    "usr/sbin",
    "usr/lib",
    "usr/share",
    "usr/local",
    "usr/local/bin",
    "usr/local/sbin",
    "usr/local/lib",
    "usr/local/share",
    "usr/local/include",
    "usr/local/etc",
    "etc/profile.d",
];

/// Secrets of a host below the shown folders. What the host does not let everyone read
/// can't be read anyway where a machine's root is not the host's user (see
/// `docs/reference/sandbox.md`); these are not even there.
const SECRET: [&str; 34] = [
    "etc/shadow",
    "etc/shadow-",
    "etc/gshadow",
    "etc/gshadow-",
    "etc/sudoers",
    "etc/sudoers.d",
    "etc/security/opasswd",
    "etc/ssl/private",
    "etc/pki/private",
    "etc/pki/tls/private",
    "etc/letsencrypt",
    "etc/krb5.keytab",
    "etc/ipsec.secrets",
    "etc/ipsec.d",
    "etc/wireguard",
    "etc/openvpn",
    "etc/NetworkManager/system-connections",
    "etc/netplan",
    "etc/ppp",
    "etc/wpa_supplicant",
    "etc/docker",
    "etc/containerd",
    "etc/containers/auth.json",
    "etc/kubernetes",
    "etc/rancher",
    "etc/cni",
    "etc/hearth",
    "etc/apt/auth.conf",
    "etc/apt/auth.conf.d",
    "etc/credstore",
    "etc/credstore.encrypted",
    "etc/machine-id",
    "var/cache/debconf/passwords.dat",
    // No secret, but shut to the machine: whoever adds a user locks it.
    "etc/.pwd.lock",
];

/// The secrets that this host has.
pub(crate) fn secrets() -> Vec<PathBuf> {
    let mut found: Vec<PathBuf> =
        SECRET.iter().map(PathBuf::from).filter(|path| on_host(path).is_some()).collect();
    let keys = std::fs::read_dir("/etc/ssh").into_iter().flatten().filter_map(Result::ok);
    found.extend(
        keys.map(|entry| entry.file_name())
            .filter(|name| name.to_string_lossy().ends_with("_key"))
            .map(|name| Path::new("etc/ssh").join(name)),
    );
    found
}

/// What the host has at this path of a machine, links not followed.
pub(crate) fn on_host(path: &Path) -> Option<std::fs::Metadata> {
    Path::new("/").join(path).symlink_metadata().ok()
}

/// Whether a path (without its leading `/`) lies in a folder that is shown under an overlay.
pub(crate) fn is_shown(path: &Path) -> bool {
    TOP.iter().chain(&MERGED).chain(&STATE).any(|top| path.starts_with(top))
}

/// Devices that a machine has.
pub(crate) const DEVICES: [&str; 6] = ["null", "zero", "full", "random", "urandom", "tty"];

/// Links in `/dev`.
pub(crate) const DEVICE_LINKS: [(&str, &str); 5] = [
    ("dev/fd", "/proc/self/fd"),
    ("dev/stdin", "/proc/self/fd/0"),
    ("dev/stdout", "/proc/self/fd/1"),
    ("dev/stderr", "/proc/self/fd/2"),
    ("dev/ptmx", "pts/ptmx"),
];

/// Files and folders of `/proc` that speak of the host or act on it, and are shut.
pub(crate) const PROC_SHUT: [&str; 11] = [
    "proc/acpi",
    "proc/asound",
    "proc/kcore",
    "proc/keys",
    "proc/key-users",
    "proc/kmsg",
    "proc/latency_stats",
    "proc/sched_debug",
    "proc/scsi",
    "proc/sysrq-trigger",
    "proc/timer_list",
];

/// Folders of `/proc` that can be read only.
pub(crate) const PROC_READ: [&str; 4] = ["proc/bus", "proc/fs", "proc/irq", "proc/sys"];

/// Folders of `/sys` that language runtimes look into to count processors.
pub(crate) const SYS_READ: [&str; 2] = ["sys/devices/system/cpu", "sys/devices/system/node"];

/// The user that jobs are on GitHub's machines, as its lines in the files of users and groups begin.
const RUNNER: &str = "runner:";
/// Its ids there.
const RUNNER_ID: u32 = 1001;

/// A small file that a machine has instead of the host's.
pub(crate) struct OwnFile {
    pub(crate) path: &'static str,
    pub(crate) mode: u32,
    pub(crate) text: String,
}

/// The files that a machine has of its own.
pub(crate) fn own_files(host_name: &str, home: &str, host_network: bool, single_user: bool) -> Vec<OwnFile> {
    let read = |path: &str| std::fs::read_to_string(path).unwrap_or_default();
    let file = |path, mode, text| OwnFile { path, mode, text };
    let mut files = vec![
        file("etc/passwd", 0o644, passwd(&read("/etc/passwd"), home)),
        file("etc/group", 0o644, group(&read("/etc/group"))),
        file("etc/shadow", 0o640, "root:*:::::::\n".to_owned()),
        file("etc/gshadow", 0o640, String::new()),
        file("etc/hostname", 0o644, format!("{host_name}\n")),
        file("etc/hosts", 0o644, hosts(&read("/etc/hosts"), host_name, host_network)),
        file("etc/resolv.conf", 0o644, resolver(host_network)),
        file("etc/machine-id", 0o444, "uninitialized\n".to_owned()),
        file("usr/bin/sudo", 0o755, include_str!("sudo.sh").to_owned()),
    ];
    if single_user && on_host(Path::new("etc/apt/apt.conf.d")).is_some() {
        // There is no second user that apt could become.
        files.push(file("etc/apt/apt.conf.d/99hearth", 0o644, "APT::Sandbox::User \"root\";\n".to_owned()));
    }
    files
}

/// The text of a machine's `/etc/resolv.conf`, which on the host may be a link or a mount.
pub(crate) fn resolver(host_network: bool) -> String {
    if host_network { std::fs::read_to_string("/etc/resolv.conf").unwrap_or_default() } else { String::new() }
}

/// Where in `/run` the host's link at `path` leads, if it does: a machine's `/run` is its own, and empty.
pub(crate) fn in_run(path: &str) -> Option<PathBuf> {
    let path = Path::new("/").join(path);
    let target = path.parent()?.join(std::fs::read_link(&path).ok()?);
    let plain = without_dots(&target);
    let plain = plain.strip_prefix("var").unwrap_or(&plain);
    plain.starts_with("run").then(|| plain.to_path_buf())
}

/// A path without its leading `/`, and without `.` and `..`, as text.
fn without_dots(path: &Path) -> PathBuf {
    path.components().fold(PathBuf::new(), |mut plain, part| {
        match part {
            Component::Normal(name) => plain.push(name),
            Component::ParentDir => drop(plain.pop()),
            _ => {}
        }
        plain
    })
}

/// Where a link of the host's at the place of a shown folder leads.
pub(crate) enum Leads {
    /// Into a folder that is shown anyway, or nowhere: the link is shown as it is.
    Along,
    /// To a folder of the host's, that has to be shown.
    Elsewhere(String),
    /// To what may not be shown, or not where it is: a machine has an empty folder instead.
    Astray,
}

/// Where the host's link at `name` leads, if it is one; `data` is Hearth's data folder.
pub(crate) fn leads(name: &str, data: &Path) -> Leads {
    let link = Path::new("/").join(name);
    if !link.is_symlink() {
        return Leads::Along;
    }
    let Ok(target) = std::fs::canonicalize(&link) else { return Leads::Along };
    let plain = target.strip_prefix("/").unwrap_or(&target);
    if is_shown(plain) || !target.is_dir() {
        return Leads::Along;
    }
    let top = plain.components().next().map(Component::as_os_str).unwrap_or_default();
    let astray = data.starts_with(&target)
        || ["", "home", "root", "var"].iter().any(|whole| plain == Path::new(whole))
        || ["proc", "sys", "dev", "run", "tmp"].iter().any(|own| top == *own);
    match plain.to_str() {
        Some(plain) if !astray && !plain.contains([':', ',', '\\']) => Leads::Elsewhere(plain.to_owned()),
        _ => Leads::Astray,
    }
}

/// The host's users by name and number, without where they live.
fn passwd(host: &str, home: &str) -> String {
    let mut text = format!("root:x:0:0:root:{home}:/bin/bash\n");
    for line in host.lines() {
        let mut fields: Vec<&str> = line.split(':').collect();
        if fields.len() != 7 || fields[2] == "0" {
            continue;
        }
        let person = fields[2].parse::<u32>().is_ok_and(|uid| (1000..60000).contains(&uid));
        if person {
            // Accounts of people are nobody's business in a machine.
            continue;
        }
        fields[4] = "";
        text.push_str(&fields.join(":"));
        text.push('\n');
    }
    if !text.lines().any(|line| line.starts_with(RUNNER)) {
        text.push_str(&format!("{RUNNER}x:{RUNNER_ID}:{RUNNER_ID}::{home}:/bin/bash\n"));
    }
    text
}

/// The host's groups, and that of the user whom workflows for GitHub's machines give files to.
fn group(host: &str) -> String {
    let mut text = host.to_owned();
    if !text.is_empty() && !text.ends_with('\n') {
        text.push('\n');
    }
    if !text.lines().any(|line| line.starts_with(RUNNER)) {
        text.push_str(&format!("{RUNNER}x:{RUNNER_ID}:\n"));
    }
    text
}

/// The host's own names, when the host's network is there to reach them.
fn hosts(host: &str, name: &str, host_network: bool) -> String {
    let mut text =
        format!("127.0.0.1\tlocalhost\n::1\tlocalhost ip6-localhost ip6-loopback\n127.0.1.1\t{name}\n");
    if host_network {
        text.push_str(host);
    }
    text
}

/// Errors that mean "this kind of mount is not to be had here", not "the builder is wrong".
pub(crate) fn is_refusal(error: rustix::io::Errno) -> bool {
    [libc::EINVAL, libc::EPERM, libc::ENODEV, libc::ENOSYS, libc::EOPNOTSUPP, libc::ELOOP, libc::EOVERFLOW]
        .contains(&error.raw_os_error())
}
