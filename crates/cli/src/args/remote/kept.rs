//! Artifacts and caches.

use std::path::PathBuf;

use clap::{Args, Subcommand};

use super::{RepositoryArgs, ServerArgs};

/// How many of a list, newest first: at most what the API gives at once.
#[derive(Debug, Args)]
pub(crate) struct LimitArgs {
    /// How many at most
    #[arg(short = 'L', long, value_name = "N", default_value_t = 20,
        value_parser = clap::value_parser!(u32).range(1..=i64::from(LimitArgs::MOST)))]
    pub(crate) limit: u32,
}

impl LimitArgs {
    /// The most that the API gives at once.
    pub(crate) const MOST: u32 = 200;
}

#[derive(Debug, Subcommand)]
pub(crate) enum ArtifactsWhat {
    /// List artifacts, newest first
    Ls {
        /// Only of this run
        #[arg(value_name = "RUN", conflicts_with_all = ["repository", "name"])]
        run: Option<u64>,
        #[command(flatten)]
        of: RepositoryArgs,
        /// Only of this name
        #[arg(short, long, value_name = "NAME")]
        name: Option<String>,
        #[command(flatten)]
        most: LimitArgs,
        #[command(flatten)]
        server: ServerArgs,
    },
    /// Fetch an artifact as it was uploaded: a zip archive, or the one file
    Get {
        #[command(flatten)]
        which: ArtifactArgs,
        /// Where to, - for standard output; never over a file that is there [default: the file's own name, here]
        #[arg(short, long, value_name = "FILE")]
        output: Option<PathBuf>,
        #[command(flatten)]
        server: ServerArgs,
    },
    /// Remove an artifact
    Rm {
        #[command(flatten)]
        which: ArtifactArgs,
        #[command(flatten)]
        server: ServerArgs,
    },
}

/// An artifact.
#[derive(Debug, Args)]
pub(crate) struct ArtifactArgs {
    /// The run
    pub(crate) run: u64,
    /// Its name, or its number in the run
    pub(crate) artifact: String,
}

#[derive(Debug, Subcommand)]
pub(crate) enum CachesWhat {
    /// List caches, newest first
    Ls {
        #[command(flatten)]
        of: RepositoryArgs,
        /// Only of this ref, such as refs/heads/main
        #[arg(short, long = "ref", value_name = "REF")]
        reference: Option<String>,
        /// Only those whose keys begin so
        #[arg(short, long, value_name = "PREFIX")]
        key: Option<String>,
        #[command(flatten)]
        most: LimitArgs,
        #[command(flatten)]
        server: ServerArgs,
    },
    /// Remove a cache by its number, or all that a key of a repository means
    Rm {
        /// The number in the first column of the list
        #[arg(required_unless_present = "key", conflicts_with = "key")]
        cache: Option<u64>,
        /// The whole key
        #[arg(short, long, value_name = "KEY", requires = "repository")]
        key: Option<String>,
        /// Of this repository
        #[arg(short = 'R', long = "repo", value_name = "OWNER/NAME", requires = "key")]
        repository: Option<String>,
        /// Only of this ref, such as refs/heads/main
        #[arg(short, long = "ref", value_name = "REF", requires = "key")]
        reference: Option<String>,
        #[command(flatten)]
        server: ServerArgs,
    },
}
