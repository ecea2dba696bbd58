//! Secrets, variables, environments, and tokens.

use clap::{Args, Subcommand, ValueEnum};

use super::ServerArgs;

/// Whose secrets or variables.
#[derive(Debug, Args)]
pub(crate) struct ScopeArgs {
    /// Of this repository
    #[arg(
        short = 'R',
        long = "repo",
        value_name = "OWNER/NAME",
        required_unless_present = "organisation",
        conflicts_with = "organisation"
    )]
    pub(crate) repository: Option<String>,

    /// Of this environment of the repository
    #[arg(short, long = "env", value_name = "NAME", requires = "repository")]
    pub(crate) environment: Option<String>,

    /// Of all repositories of this owner
    #[arg(short, long = "org", value_name = "OWNER")]
    pub(crate) organisation: Option<String>,

    #[command(flatten)]
    pub(crate) server: ServerArgs,
}

/// One secret or variable.
#[derive(Debug, Args)]
pub(crate) struct NamedArgs {
    /// Its name
    pub(crate) name: String,

    #[command(flatten)]
    pub(crate) scope: ScopeArgs,
}

#[derive(Debug, Subcommand)]
pub(crate) enum SecretWhat {
    /// Set a secret; its value is read from standard input, or asked for on a terminal
    Set(NamedArgs),
    /// List names of secrets; nobody is told their values
    Ls(ScopeArgs),
    /// Remove a secret
    Rm(NamedArgs),
}

#[derive(Debug, Subcommand)]
pub(crate) enum VariableWhat {
    /// Set a variable
    Set {
        /// Its name
        name: String,
        /// Its value [default: what standard input has]
        value: Option<String>,
        #[command(flatten)]
        scope: ScopeArgs,
    },
    /// List variables with their values
    Ls(ScopeArgs),
    /// Remove a variable
    Rm(NamedArgs),
}

/// The repository whose environments are meant.
#[derive(Debug, Args)]
pub(crate) struct OfRepositoryArgs {
    /// Of this repository
    #[arg(short = 'R', long = "repo", value_name = "OWNER/NAME")]
    pub(crate) repository: String,

    #[command(flatten)]
    pub(crate) server: ServerArgs,
}

#[derive(Debug, Subcommand)]
pub(crate) enum EnvironmentWhat {
    /// Set who is let into an environment; what is not said here is no rule any more
    Set {
        /// Its name
        name: String,
        /// Somebody must let each job in
        #[arg(short, long)]
        approval: bool,
        /// Who may: the name of a token, or @LOGIN (repeatable) [default: all who may operate]
        #[arg(long = "reviewer", value_name = "NAME", requires = "approval")]
        reviewers: Vec<String>,
        /// Whoever has caused a run may not let its jobs in
        #[arg(long, requires = "approval")]
        prevent_self_review: bool,
        /// Each job waits this long, from when it could have begun: up to 43200, 30 days
        #[arg(short, long = "wait", value_name = "MINUTES", default_value_t = 0, hide_default_value = true, value_parser = clap::value_parser!(u32).range(..=43_200))]
        wait_minutes: u32,
        /// Only jobs of branches like this come in (repeatable)
        #[arg(short, long = "branch", value_name = "PATTERN")]
        branches: Vec<String>,
        /// Only jobs of tags like this come in (repeatable)
        #[arg(short, long = "tag", value_name = "PATTERN")]
        tags: Vec<String>,
        #[command(flatten)]
        of: OfRepositoryArgs,
    },
    /// List environments that have rules
    Ls(OfRepositoryArgs),
    /// Remove the rules of an environment, with its secrets and variables
    Rm {
        /// Its name
        name: String,
        #[command(flatten)]
        of: OfRepositoryArgs,
    },
}

#[derive(Debug, Subcommand)]
pub(crate) enum TokenWhat {
    /// Make a token and print it; it is not shown a second time
    Create {
        /// What people call it
        name: String,
        /// What it allows
        #[arg(long, value_enum)]
        role: RoleName,
        /// For how many days it is good [default: without end]
        #[arg(long, value_name = "DAYS", value_parser = clap::value_parser!(u32).range(1..=3650))]
        days: Option<u32>,
        #[command(flatten)]
        server: ServerArgs,
    },
    /// List tokens
    Ls {
        #[command(flatten)]
        server: ServerArgs,
    },
    /// Revoke a token
    Rm {
        /// Its name
        name: String,
        #[command(flatten)]
        server: ServerArgs,
    },
}

/// What a token allows; each what those before it allow.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(crate) enum RoleName {
    /// See runs, logs, and artifacts
    Read,
    /// Cancel, run again, approve, and start
    Operate,
    /// Secrets, variables, and tokens
    Admin,
}
