//! Logs of jobs: lines as markup, groups, and what the viewer asks for.

pub(super) mod fold;
pub(super) mod line;
pub(super) mod range;
pub(super) mod serve;
