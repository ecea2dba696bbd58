//! What an `action.yml` says, as far as running it needs.

use model::{Step, Template};
use workflow::diagnostic::Severity;
use workflow::syntax::{ActionRuns, Node, Step as WorkflowStep};

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
    pub(crate) fn read(text: &str, file: &str) -> Result<Manifest, String> {
        let (action, diagnostics) = workflow::schema::read_action(file, text);
        let errors = diagnostics.iter().filter(|problem| problem.severity == Severity::Error);
        let errors: Vec<String> = errors.map(ToString::to_string).collect();
        let action = match action {
            Some(action) if errors.is_empty() => action,
            _ => return Err(format!("{}\nFailed to load {file}", errors.join("\n"))),
        };
        let inputs = action.inputs.iter().map(|input| ManifestInput {
            name: input.name.value.clone(),
            default: input.default.as_ref().map(Node::to_template),
            deprecation: input.deprecation_message.clone(),
        });
        let outputs = action.outputs.iter().filter_map(|output| {
            let value = output.value.as_ref()?.to_template();
            Some((output.name.value.clone(), value))
        });
        let (inputs, outputs) = (inputs.collect(), outputs.collect());
        Ok(Manifest { inputs, outputs, runs: runs(action.runs)? })
    }

    /// The manifest of an action of this repository: there, `$/path` means another action beside it, of the same
    /// version.
    pub(crate) fn beside(mut self, owner: &str, repo: &str, reference: &str) -> Manifest {
        if let Runs::Composite(steps) = &mut self.runs {
            steps.iter_mut().for_each(|step| step.work.own_is(owner, repo, reference));
        }
        self
    }
}

fn runs(runs: ActionRuns) -> Result<Runs, String> {
    Ok(match runs {
        ActionRuns::JavaScript { using, main, pre, pre_if, post, post_if } => Runs::Node(NodeScripts {
            version: node_version(&using)?,
            main,
            pre,
            pre_if: Some(pre_if.to_string()),
            post,
            post_if: Some(post_if.to_string()),
        }),
        ActionRuns::Composite { steps } => {
            Runs::Composite(steps.iter().map(WorkflowStep::to_model).collect())
        }
        ActionRuns::Docker { .. } => Runs::Docker,
    })
}

/// `node20` is 20.
fn node_version(using: &str) -> Result<u32, String> {
    let digits = using.trim().to_ascii_lowercase();
    let version = digits.strip_prefix("node").and_then(|digits| digits.parse().ok());
    version.ok_or_else(|| {
        format!("'using: {using}' is not supported, use 'docker', 'node12', 'node16', 'node20' or 'node24' instead.")
    })
}
