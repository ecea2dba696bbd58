//! How much memory one evaluation may fill: `format` of `format` of ... grows without bound.

use super::EvaluateError;
use super::evaluator::failed;

/// Bytes of text and list entries that one evaluation may make: GitHub's limit for a result, 10 MiB,
/// with room for what lies between (`toJSON` in `contains` in `format`).
const MAX_BYTES: usize = 64 * 1024 * 1024;

/// What is left of the bound.
pub(super) struct Budget<'a> {
    source: &'a str,
    left: usize,
}

impl<'a> Budget<'a> {
    pub(super) fn new(source: &'a str) -> Budget<'a> {
        Budget { source, left: MAX_BYTES }
    }

    /// Takes `bytes` off; an error where they are more than what is left.
    pub(super) fn spend(&mut self, bytes: usize) -> Result<(), EvaluateError> {
        self.left = self.left.checked_sub(bytes).ok_or_else(|| {
            let source = self.source;
            failed(format!(
                "The maximum allowed memory size was exceeded while evaluating the following expression: {source}"
            ))
        })?;
        Ok(())
    }
}
