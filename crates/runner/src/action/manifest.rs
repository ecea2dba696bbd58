//! What an `action.yml` says, as far as running it needs.

use model::{Step, Template};

/// Names of the file, the first that is there counts.
pub(crate) const MANIFEST_FILES: [&str; 2] = ["action.yml", "action.yaml"];

/// Largest manifest that is read: the largest known ones have some 100 KiB.
pub(crate) const MANIFEST_BYTES: u64 = 1024 * 1024;

/// An action's manifest.
pub(crate) struct Manifest {
    /// Its inputs, in the order of the file.
    pub(crate) inputs: Vec<ManifestInput>,
    /// Outputs of a composite action.
    pub(crate) outputs: Vec<(String, Template)>,
    /// What it runs.
    pub(crate) runs: Runs,
}

/// One input.
pub(crate) struct ManifestInput {
    pub(crate) name: String,
    /// Its value where the step gives none.
    pub(crate) default: Option<Template>,
    /// Shown when the step gives it a value.
    pub(crate) deprecation: Option<String>,
}

/// What an action runs.
pub(crate) enum Runs {
    /// JavaScript.
    Node(NodeScripts),
    /// Steps.
    Composite(Vec<Step>),
    /// A container.
    Docker,
    /// Hearth's own `actions/checkout`.
    Checkout,
}

/// Files of a JavaScript action, relative to its folder.
pub(crate) struct NodeScripts {
    /// Major version of Node.js that it asks for.
    pub(crate) version: u32,
    pub(crate) main: String,
    pub(crate) pre: Option<String>,
    pub(crate) pre_if: Option<String>,
    pub(crate) post: Option<String>,
    pub(crate) post_if: Option<String>,
}

impl Manifest {
    /// Reads a manifest; the error names every problem.
    pub(crate) fn read(_text: &str, file: &str) -> Result<Manifest, String> {
        Err(format!("can't read {file} yet"))
    }
}
