//! What `cargo metadata` says of the workspace, as far as tasks ask.

use anyhow::{Context, Result};
use serde::Deserialize;

use crate::command::{cargo, output};

/// The workspace with its dependencies.
#[derive(Debug, Deserialize)]
pub(crate) struct Metadata {
    /// Every package that is built for this platform.
    pub(crate) packages: Vec<Package>,
}

/// One package.
#[derive(Debug, Clone, Deserialize)]
pub(crate) struct Package {
    /// Its name in the registry or the workspace.
    pub(crate) name: String,
    /// Its version.
    pub(crate) version: String,
    /// SPDX expression.
    pub(crate) license: Option<String>,
    /// Registry or git; `None` for a package of the workspace.
    pub(crate) source: Option<String>,
    /// Direct dependencies of every kind.
    pub(crate) dependencies: Vec<Dependency>,
}

/// A direct dependency.
#[derive(Debug, Clone, Deserialize)]
pub(crate) struct Dependency {
    /// The package's name, whatever it is renamed to.
    pub(crate) name: String,
    /// `dev`, `build`, or `None` for a normal one.
    pub(crate) kind: Option<String>,
}

impl Metadata {
    /// Reads the locked dependency graph for Linux, which is what Hearth runs on.
    pub(crate) fn read() -> Result<Metadata> {
        let platform = format!("{}-unknown-linux-gnu", std::env::consts::ARCH);
        let text = output(&mut cargo([
            "metadata",
            "--format-version",
            "1",
            "--locked",
            "--filter-platform",
            &platform,
        ]))?;
        serde_json::from_str(&text).context("cargo metadata has another shape than expected")
    }

    /// The packages of the workspace itself.
    pub(crate) fn members(&self) -> impl Iterator<Item = &Package> {
        self.packages.iter().filter(|package| package.source.is_none())
    }
}
