//! Bounds that hold everywhere. Each says why that number.

use std::time::Duration;

/// GitHub's default for a job's `timeout-minutes`.
pub const JOB_TIMEOUT: Duration = Duration::from_secs(360 * 60);

/// GitHub's default for `cancel-timeout-minutes`: what a cancelled job may still use for clean-up.
pub const CANCEL_TIMEOUT: Duration = Duration::from_secs(5 * 60);

/// Jobs that one matrix may make: GitHub's documented limit.
pub const MATRIX_JOBS: usize = 256;

/// Jobs of one run, those of all matrices and called workflows together, so that nested
/// matrices can't fill memory. Far above what any known workflow has.
pub const RUN_JOBS: usize = 4096;

/// Nesting of reusable workflows, the caller counted: GitHub's documented limit (top level and nine below).
pub const REUSABLE_WORKFLOW_DEPTH: usize = 10;

/// Characters of a workflow file: the limit of GitHub's parser.
pub const WORKFLOW_FILE_CHARS: usize = 1024 * 1024;

/// Size of a step's summary: GitHub's documented limit of 1 MiB.
pub const SUMMARY_BYTES: usize = 1024 * 1024;

/// Longest log line kept whole; the rest is cut and marked, so that one line can't fill memory.
pub const LOG_LINE_BYTES: usize = 1024 * 1024;

/// Size of a step's outputs together: GitHub's documented limit of 1 MiB for a job.
pub const OUTPUT_BYTES: usize = 1024 * 1024;
