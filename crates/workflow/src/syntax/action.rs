//! An action: what its `action.yml` says.

use std::sync::Arc;

use super::workflow::{Node, Step};
use crate::span::Spanned;

/// An `action.yml` or `action.yaml`.
#[derive(Clone, Debug)]
pub struct Action {
    /// The file as the user knows it.
    pub file: Arc<str>,
    /// `name`.
    pub name: Option<Spanned<String>>,
    /// `description`.
    pub description: Option<Spanned<String>>,
    /// `inputs`, in the order of the file.
    pub inputs: Vec<ActionInput>,
    /// `outputs`, in the order of the file.
    pub outputs: Vec<ActionOutput>,
    /// `runs`.
    pub runs: ActionRuns,
}

/// One input of an action.
#[derive(Clone, Debug)]
pub struct ActionInput {
    /// Name.
    pub name: Spanned<String>,
    /// `description`.
    pub description: Option<String>,
    /// `required`. GitHub does not enforce it.
    pub required: bool,
    /// `default`: text or an expression.
    pub default: Option<Node>,
    /// `deprecationMessage`: shown when a step gives the input a value.
    pub deprecation_message: Option<String>,
}

/// One output of an action.
#[derive(Clone, Debug)]
pub struct ActionOutput {
    /// Name.
    pub name: Spanned<String>,
    /// `description`.
    pub description: Option<String>,
    /// `value`: of composite actions only.
    pub value: Option<Node>,
}

/// What an action runs.
#[derive(Clone, Debug)]
pub enum ActionRuns {
    /// JavaScript on Node.js.
    JavaScript {
        /// `node20`, in lower case.
        using: Spanned<String>,
        /// `main`.
        main: String,
        /// `pre`.
        pre: Option<String>,
        /// `pre-if`: source text; `always()` when absent.
        pre_if: Arc<str>,
        /// `post`.
        post: Option<String>,
        /// `post-if`: source text; `always()` when absent.
        post_if: Arc<str>,
    },
    /// Steps.
    Composite {
        /// `steps`.
        steps: Vec<Step>,
    },
    /// A container.
    Docker {
        /// `image`: `Dockerfile` or `docker://image`.
        image: Spanned<String>,
        /// `args`: a list.
        args: Option<Node>,
        /// `entrypoint`.
        entrypoint: Option<String>,
        /// `pre-entrypoint`.
        pre_entrypoint: Option<String>,
        /// `pre-if`: source text; `always()` when absent.
        pre_if: Arc<str>,
        /// `post-entrypoint`.
        post_entrypoint: Option<String>,
        /// `post-if`: source text; `always()` when absent.
        post_if: Arc<str>,
        /// `env`: a mapping.
        env: Option<Node>,
    },
}
