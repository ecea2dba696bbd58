//! `cargo xtask layers`: dependencies between crates point down, and down only.

use std::collections::BTreeMap;

use anyhow::{Result, bail};

use crate::metadata::{Metadata, Package};

/// The floor of each crate. A crate may use those on lower floors; one on its own floor is a stranger.
const FLOORS: &[(&str, u8)] = &[
    ("hearth-model", 0),
    ("hearth-guest", 0),
    ("hearth-workflow", 1),
    ("hearth-machine", 1),
    ("hearth-store", 1),
    ("hearth-forge", 1),
    ("hearth-runner", 2),
    ("hearth-insight", 2),
    ("hearth-scheduler", 3),
    ("hearth-server", 4),
    ("hearth", 5),
];

/// Beside the house: these may use anything, and nothing may use them.
const BESIDE: &[&str] = &["xtask", "hearth-e2e", "hearth-fuzz"];

/// Crates that are pure, and what would let them reach the world.
const PURE: &[&str] = &["hearth-model", "hearth-workflow"];
const REACHES_THE_WORLD: &[&str] = &["tokio", "nix", "rustix", "hyper-util", "tonic", "axum", "tempfile"];

/// Checks the workspace and prints every edge that must not be.
pub(crate) fn run() -> Result<()> {
    let metadata = Metadata::read()?;
    let members: Vec<&Package> = metadata.members().collect();
    let faults = faults(&members);
    for fault in &faults {
        eprintln!("layers: {fault}");
    }
    if !faults.is_empty() {
        bail!("{} dependencies do not point down", faults.len());
    }
    println!("layers: {} crates, every dependency points down", members.len());
    Ok(())
}

fn faults(members: &[&Package]) -> Vec<String> {
    let floors: BTreeMap<&str, u8> = FLOORS.iter().copied().collect();
    let mut faults = Vec::new();
    for package in members {
        let name = package.name.as_str();
        if !BESIDE.contains(&name) && !floors.contains_key(name) {
            faults.push(format!("{name} has no floor: give it one in xtask/src/layers.rs"));
        }
        for dependency in &package.dependencies {
            let used = dependency.name.as_str();
            let kind = dependency.kind.as_deref().unwrap_or("normal");
            if PURE.contains(&name) && kind != "dev" && REACHES_THE_WORLD.contains(&used) {
                faults.push(format!("{name} is pure and must not use {used}"));
            }
            if BESIDE.contains(&used) {
                faults.push(format!("{name} uses {used} ({kind}), which stands beside the house"));
            }
            if let (Some(own), Some(other)) = (floors.get(name), floors.get(used))
                && other >= own
            {
                let direction = if other == own { "sideways" } else { "upward" };
                faults.push(format!("{name} (floor {own}) uses {used} (floor {other}, {kind}): {direction}"));
            }
        }
    }
    faults
}

#[cfg(test)]
mod tests {
    use super::faults;
    use crate::metadata::{Dependency, Package};

    fn package(name: &str, uses: &[(&str, Option<&str>)]) -> Package {
        Package {
            name: name.to_owned(),
            version: "0.1.0".to_owned(),
            license: None,
            source: None,
            dependencies: uses
                .iter()
                .map(|(name, kind)| Dependency {
                    name: (*name).to_owned(),
                    kind: kind.map(ToOwned::to_owned),
                })
                .collect(),
        }
    }

    fn faults_of(name: &str, uses: &[(&str, Option<&str>)]) -> Vec<String> {
        faults(&[&package(name, uses)])
    }

    #[test]
    fn a_dependency_that_points_down_is_fine() {
        let uses = [("hearth-workflow", None), ("hearth-model", None), ("tokio", None)];
        assert_eq!(faults_of("hearth-runner", &uses), Vec::<String>::new());
    }

    #[test]
    fn an_upward_dependency_is_a_fault() {
        let found = faults_of("hearth-model", &[("hearth-runner", None)]);
        assert_eq!(found, ["hearth-model (floor 0) uses hearth-runner (floor 2, normal): upward"]);
    }

    #[test]
    fn a_sideways_dependency_is_a_fault_even_for_tests_alone() {
        let found = faults_of("hearth-workflow", &[("hearth-machine", Some("dev"))]);
        assert_eq!(found, ["hearth-workflow (floor 1) uses hearth-machine (floor 1, dev): sideways"]);
    }

    #[test]
    fn a_crate_without_a_floor_is_a_fault() {
        let found = faults_of("hearth-misc", &[]);
        assert_eq!(found, ["hearth-misc has no floor: give it one in xtask/src/layers.rs"]);
    }

    #[test]
    fn a_pure_crate_that_could_open_files_is_a_fault() {
        assert_eq!(
            faults_of("hearth-workflow", &[("tokio", None)]),
            ["hearth-workflow is pure and must not use tokio"]
        );
        assert_eq!(faults_of("hearth-workflow", &[("tempfile", Some("dev"))]), Vec::<String>::new());
    }

    #[test]
    fn nothing_may_use_what_stands_beside_the_house() {
        assert_eq!(
            faults_of("hearth", &[("hearth-e2e", Some("dev"))]),
            ["hearth uses hearth-e2e (dev), which stands beside the house"]
        );
    }
}
