//! Builds the agent as a small static program, to be embedded.
//!
//! Static against glibc: a musl target is one more thing to install, and the agent uses
//! nothing of what static glibc lacks (it reads users from files, and resolves no names).

use std::env;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

/// Settings of the build around us that must not reach the agent's.
const FOREIGN: [&str; 6] = [
    "CARGO_ENCODED_RUSTFLAGS",
    "RUSTFLAGS",
    "RUSTC_WRAPPER",
    "RUSTC_WORKSPACE_WRAPPER",
    "RUSTC",
    "CARGO_BUILD_TARGET_DIR",
];

fn main() {
    let workspace = Path::new(&variable("CARGO_MANIFEST_DIR")).join("../..");
    for file in ["crates/guest/src", "crates/guest/Cargo.toml", "Cargo.toml", "Cargo.lock"] {
        println!("cargo::rerun-if-changed={}", workspace.join(file).display());
    }
    let own = PathBuf::from(variable("OUT_DIR"));
    let built = build(&workspace, &variable("TARGET"), &shared(&own));
    let agent = own.join("hearth-agent");
    fs::copy(&built, &agent).unwrap_or_else(|error| panic!("can't copy {}: {error}", built.display()));
    println!("cargo::rustc-env=HEARTH_AGENT_BINARY={}", agent.display());
}

/// A folder that builds of every profile, and of lints and documentation, have in common: the agent is the same in all
/// of them, and a minute of processor time. Cargo names none, so it is found from where our own always lies:
/// `<target folder>/<profile>/build/<package>/out`.
fn shared(own: &Path) -> PathBuf {
    own.ancestors().nth(4).unwrap_or(own).join("agent")
}

/// Builds the agent for `target`; a named target keeps the flags from build scripts and macros.
fn build(workspace: &Path, target: &str, folder: &Path) -> PathBuf {
    let flags = format!("CARGO_TARGET_{}_RUSTFLAGS", target.to_uppercase().replace('-', "_"));
    let mut cargo = Command::new(variable("CARGO"));
    FOREIGN.iter().for_each(|name| {
        cargo.env_remove(name);
    });
    cargo.current_dir(workspace).env(flags, "-C target-feature=+crt-static");
    cargo.args(["build", "--locked", "--profile", "agent", "--package", "hearth-guest"]);
    cargo.args(["--bin", "hearth-agent", "--target", target, "--target-dir"]).arg(folder);
    let status = cargo.status().unwrap_or_else(|error| panic!("can't run cargo for the agent: {error}"));
    assert!(status.success(), "the agent could not be built: {status}");
    folder.join(target).join("agent/hearth-agent")
}

fn variable(name: &str) -> String {
    env::var(name).unwrap_or_else(|error| panic!("cargo gives build scripts {name}: {error}"))
}
