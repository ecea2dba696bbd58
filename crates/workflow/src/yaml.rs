//! Text to a tree of values with places: YAML 1.2 as GitHub reads it.
//!
//! GitHub takes the core schema of YAML 1.2 (<https://yaml.org/spec/1.2.2/#103-core-schema>),
//! expands anchors and aliases, and refuses merge keys, tags that it does not know, keys that
//! are not scalars, and more than one document. Every bound of [`Limits`] holds before memory
//! is spent, so that an alias bomb costs what the bound says and no more.

mod builder;
mod problems;
mod recover;
mod scalar;
mod tabs;
mod tree;

pub use problems::Problems;
pub use tree::{Node, Value};

use std::sync::Arc;

/// Bounds on what is read from one file.
#[derive(Clone, Debug)]
pub struct Limits {
    /// Characters of the file. GitHub takes a mebibyte.
    pub characters: usize,
    /// Sequences and mappings inside of each other. GitHub takes 50.
    pub depth: usize,
    /// Nodes, where each use of an alias counts all nodes that it stands for. GitHub takes 50,000.
    pub nodes: usize,
    /// Bytes of all scalars, counted likewise. GitHub's results have 10 MiB; no file has more without aliases.
    pub text_bytes: usize,
}

impl Default for Limits {
    fn default() -> Self {
        Limits { characters: 1024 * 1024, depth: 50, nodes: 50_000, text_bytes: 10 * 1024 * 1024 }
    }
}

/// Reads one document. Without a tree there is at least one error in `problems`.
///
/// What is wrong in itself (`!!int x`, `"unclosed`) is reported and becomes [`Value::Invalid`], so
/// that what follows it is still read; [`Problems::is_whole`] tells which parts lack lines that
/// can't be read.
pub fn parse(text: &str, limits: &Limits, problems: &mut Problems) -> Option<Node> {
    builder::build(text, limits, problems)
}

/// A place that stands for the whole file.
fn start_of(file: &Arc<str>) -> crate::span::Span {
    let start = crate::span::Position { line: 1, column: 1 };
    crate::span::Span { file: file.clone(), start, end: start }
}
