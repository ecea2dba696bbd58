//! `cargo xtask setup`: what the tests need beyond Rust, installed where it is missing.

use anyhow::{Context, Result, bail};

use crate::command::{check, is_installed, output, program, root, shown};

/// Programs that tests call, and the Debian package that has each.
const PROGRAMS: &[(&str, &str)] = &[
    ("git", "git"),
    ("git-lfs", "git-lfs"),
    ("/usr/sbin/sshd", "openssh-server"),
    ("ssh", "openssh-client"),
    ("node", "nodejs"),
    ("npm", "npm"),
    ("python3", "python3"),
    ("python", "python-is-python3"),
    ("shellcheck", "shellcheck"),
    ("qemu-system-x86_64", "qemu-system-x86"),
    ("protoc", "protobuf-compiler"),
    ("mmdebstrap", "mmdebstrap"),
    ("ip", "iproute2"),
    ("sqfstar", "squashfs-tools"),
    ("xz", "xz-utils"),
    ("zstd", "zstd"),
    ("chromium", "chromium"),
    // Clocks that jump, in tests of the server.
    ("faketime", "faketime"),
];

/// The oldest Node that GitHub's own clients (`@actions/cache` 6, `@actions/artifact` 6) run on.
const NODE_MAJOR: u32 = 20;

/// Where the npm clients of the tests are installed.
const CLIENTS: &str = "e2e/clients";

/// Installs what is missing. Does nothing, quickly, where everything is there.
pub(crate) fn run() -> Result<()> {
    install_packages()?;
    install_node()?;
    install_clients()
}

fn install_packages() -> Result<()> {
    let missing: Vec<&str> =
        PROGRAMS.iter().filter(|(name, _)| !is_installed(name)).map(|(_, package)| *package).collect();
    if missing.is_empty() {
        return Ok(());
    }
    println!("setup: installing {}", missing.join(" "));
    let mut install = program("apt-get", ["install", "--yes", "--no-install-recommends"]);
    install.args(&missing).env("DEBIAN_FRONTEND", "noninteractive");
    if !nix::unistd::geteuid().is_root() {
        bail!("these packages are missing; run as root: {}", shown(&install));
    }
    check(&mut program("apt-get", ["update", "--quiet"]))?;
    check(&mut install)
}

/// Debian 12 packages Node 18; npm has newer ones.
fn install_node() -> Result<()> {
    let version = output(&mut program("node", ["--version"]))?;
    let major = version.trim().trim_start_matches('v').split('.').next().and_then(|major| major.parse().ok());
    let major: u32 = major.with_context(|| format!("node --version says {version:?}"))?;
    if major >= NODE_MAJOR {
        return Ok(());
    }
    let package = format!("node@{NODE_MAJOR}");
    println!("setup: Node is {}, installing {package}", version.trim());
    check(&mut program("npm", ["install", "--global", "--no-audit", "--no-fund", &package]))
        .with_context(|| format!("Node {NODE_MAJOR} or newer must be on PATH"))
}

fn install_clients() -> Result<()> {
    let clients = root().join(CLIENTS);
    if !clients.join("package.json").exists() {
        return Ok(());
    }
    let wanted = std::fs::read(clients.join("package.json"))?;
    let stamp = clients.join("node_modules/.installed-for.json");
    if std::fs::read(&stamp).is_ok_and(|installed| installed == wanted) {
        return Ok(());
    }
    println!("setup: installing the npm clients of {CLIENTS}");
    let mut install =
        program("npm", ["install", "--no-audit", "--no-fund", "--no-package-lock", "--ignore-scripts"]);
    check(install.current_dir(&clients))?;
    check(program("npm", ["run", "--silent", "build"]).current_dir(&clients))?;
    Ok(std::fs::write(stamp, wanted)?)
}
