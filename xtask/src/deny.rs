//! `cargo xtask deny`: licences, sources, and versions of the dependencies against `deny.toml`.
//!
//! A subset of cargo-deny with its file format; decision record 0003 says why.

use std::collections::{BTreeMap, BTreeSet};

use anyhow::{Context, Result, bail};
use serde::Deserialize;

use crate::command::root;
use crate::metadata::{Metadata, Package};

#[derive(Deserialize)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
struct Rules {
    licenses: Licenses,
    bans: Bans,
    sources: Sources,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
struct Licenses {
    allow: BTreeSet<String>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
struct Bans {
    multiple_versions: Level,
    #[serde(default)]
    skip: Vec<Named>,
    #[serde(default)]
    deny: Vec<Named>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
struct Sources {
    unknown_registry: Level,
    unknown_git: Level,
    allow_registry: Vec<String>,
}

#[derive(Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "kebab-case")]
enum Level {
    Deny,
    Allow,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Named {
    #[serde(rename = "crate")]
    name: String,
    reason: String,
    /// Of a banned crate: those that may use it all the same.
    #[serde(default)]
    wrappers: Vec<String>,
}

impl Named {
    /// Whether nobody but its wrappers uses this crate.
    fn is_wrapped(&self, packages: &[Package]) -> bool {
        // What the tests of others use is never built here.
        let is_built =
            |user: &Package, kind: &Option<String>| user.source.is_none() || kind.as_deref() != Some("dev");
        let uses = |user: &&Package| {
            user.dependencies.iter().any(|used| used.name == self.name && is_built(user, &used.kind))
        };
        let mut users = packages.iter().filter(uses);
        !self.wrappers.is_empty() && users.all(|user| self.wrappers.contains(&user.name))
    }
}

/// Checks the locked dependencies and prints every one that breaks a rule.
pub(crate) fn run() -> Result<()> {
    let path = root().join("deny.toml");
    let text = std::fs::read_to_string(&path).with_context(|| format!("can't read {}", path.display()))?;
    let rules: Rules = toml::from_str(&text).with_context(|| format!("can't read {}", path.display()))?;
    let metadata = Metadata::read()?;
    let faults = faults(&rules, &metadata.packages);
    for fault in &faults {
        eprintln!("deny: {fault}");
    }
    if !faults.is_empty() {
        bail!("{} dependencies break a rule of deny.toml", faults.len());
    }
    println!("deny: {} packages, all as deny.toml wants them", metadata.packages.len());
    Ok(())
}

fn faults(rules: &Rules, packages: &[Package]) -> Vec<String> {
    let mut faults = Vec::new();
    let mut versions: BTreeMap<&str, BTreeSet<&str>> = BTreeMap::new();
    for package in packages {
        let Package { name, version, license, source, .. } = package;
        versions.entry(name).or_default().insert(version);
        match license {
            None => faults.push(format!("{name} {version} names no licence")),
            Some(license) if allows(&rules.licenses.allow, license) => {}
            Some(license) => faults.push(format!("{name} {version} is under {license}")),
        }
        if let Some(source) = source
            && !allowed_source(&rules.sources, source)
        {
            faults.push(format!("{name} {version} comes from {source}"));
        }
        if let Some(ban) = rules.bans.deny.iter().find(|ban| ban.name == *name)
            && !ban.is_wrapped(packages)
        {
            faults.push(format!("{name} {version} is banned: {}", ban.reason));
        }
    }
    if rules.bans.multiple_versions == Level::Deny {
        faults.extend(doubled(&rules.bans.skip, &versions));
    }
    faults
}

fn doubled(skip: &[Named], versions: &BTreeMap<&str, BTreeSet<&str>>) -> Vec<String> {
    let doubled = versions.iter().filter(|(_, versions)| versions.len() > 1);
    let named = doubled.filter(|(name, _)| !skip.iter().any(|skip| skip.name == **name));
    named
        .map(|(name, versions)| {
            let list = versions.iter().copied().collect::<Vec<_>>().join(", ");
            format!("{name} is there in several versions: {list}")
        })
        .collect()
}

fn allowed_source(rules: &Sources, source: &str) -> bool {
    match source.split_once('+') {
        Some(("registry" | "sparse", url)) => {
            rules.unknown_registry == Level::Allow || rules.allow_registry.iter().any(|known| known == url)
        }
        _ => rules.unknown_git == Level::Allow,
    }
}

/// Whether an SPDX expression can be met with the allowed licences: `OR` leaves a choice, `AND` does not.
/// The old `/` between licences means `OR`.
fn allows(allowed: &BTreeSet<String>, expression: &str) -> bool {
    let spaced = expression.replace('(', " ( ").replace(')', " ) ").replace('/', " OR ");
    let words: Vec<&str> = spaced.split_whitespace().collect();
    let mut rest = words.as_slice();
    any_of(allowed, &mut rest) && rest.is_empty()
}

fn any_of(allowed: &BTreeSet<String>, words: &mut &[&str]) -> bool {
    let mut met = all_of(allowed, words);
    while let ["OR", rest @ ..] = *words {
        *words = rest;
        met |= all_of(allowed, words);
    }
    met
}

fn all_of(allowed: &BTreeSet<String>, words: &mut &[&str]) -> bool {
    let mut met = one(allowed, words);
    while let ["AND", rest @ ..] = *words {
        *words = rest;
        met &= one(allowed, words);
    }
    met
}

fn one(allowed: &BTreeSet<String>, words: &mut &[&str]) -> bool {
    match *words {
        ["(", rest @ ..] => {
            *words = rest;
            let met = any_of(allowed, words);
            if let [")", rest @ ..] = *words {
                *words = rest;
            }
            met
        }
        [license, "WITH", exception, rest @ ..] => {
            *words = rest;
            allowed.contains(&format!("{license} WITH {exception}"))
        }
        [license, rest @ ..] => {
            *words = rest;
            allowed.contains(*license)
        }
        [] => false,
    }
}

#[cfg(test)]
mod tests {
    use super::{Rules, allows, faults};
    use crate::metadata::{Dependency, Package};

    const CRATES_IO: &str = "registry+https://github.com/rust-lang/crates.io-index";

    fn package(name: &str, version: &str, license: Option<&str>, source: &str) -> Package {
        Package {
            name: name.to_owned(),
            version: version.to_owned(),
            license: license.map(ToOwned::to_owned),
            source: Some(source.to_owned()),
            dependencies: Vec::new(),
        }
    }

    fn rules() -> Rules {
        toml::from_str(include_str!("../../deny.toml")).expect("the project's own deny.toml is valid")
    }

    #[test]
    fn a_choice_of_licences_needs_one_allowed_and_a_sum_needs_all() {
        let allowed = ["MIT", "Apache-2.0 WITH LLVM-exception"].map(ToOwned::to_owned).into();
        for (expression, expected) in [
            ("MIT", true),
            ("GPL-3.0", false),
            ("GPL-3.0 OR MIT", true),
            ("GPL-3.0/MIT", true),
            ("MIT AND GPL-3.0", false),
            ("(MIT OR GPL-3.0) AND MIT", true),
            ("(MIT OR GPL-3.0) AND GPL-3.0", false),
            ("Apache-2.0 WITH LLVM-exception", true),
            ("Apache-2.0", false),
            ("", false),
            ("MIT )", false),
        ] {
            assert_eq!(allows(&allowed, expression), expected, "{expression}");
        }
    }

    #[test]
    fn a_banned_crate_is_a_fault_unless_only_its_wrappers_use_it() {
        let user = |name: &str, used: &str| {
            let used = Dependency { name: used.to_owned(), kind: None };
            Package { dependencies: vec![used], ..package(name, "1.0.0", Some("MIT"), CRATES_IO) }
        };
        let banned = package("lazy_static", "1.5.0", Some("MIT"), CRATES_IO);
        let wrapped = [banned, user("age", "lazy_static")];
        assert_eq!(faults(&rules(), &wrapped), [""; 0]);
        let [banned, age] = wrapped;
        let found = faults(&rules(), &[banned, age, user("other", "lazy_static")]);
        assert_eq!(found, ["lazy_static 1.5.0 is banned: std::sync::LazyLock"]);
    }

    #[test]
    fn a_foreign_licence_a_foreign_source_and_a_second_version_are_faults() {
        let found = faults(
            &rules(),
            &[
                package("viral", "1.0.0", Some("GPL-3.0-only"), CRATES_IO),
                package("nameless", "1.0.0", None, CRATES_IO),
                package("fork", "1.0.0", Some("MIT"), "git+https://example.org/fork"),
                package("mirror", "1.0.0", Some("MIT"), "registry+https://example.org/index"),
                package("twice", "1.0.0", Some("MIT"), CRATES_IO),
                package("twice", "2.0.0", Some("MIT"), CRATES_IO),
                package("openssl-sys", "0.9.0", Some("MIT"), CRATES_IO),
            ],
        );
        assert_eq!(
            found,
            [
                "viral 1.0.0 is under GPL-3.0-only",
                "nameless 1.0.0 names no licence",
                "fork 1.0.0 comes from git+https://example.org/fork",
                "mirror 1.0.0 comes from registry+https://example.org/index",
                "openssl-sys 0.9.0 is banned: rustls is what Hearth speaks TLS with, and git fetches",
                "twice is there in several versions: 1.0.0, 2.0.0",
            ]
        );
    }
}
