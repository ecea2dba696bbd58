//! The command lines of what speaks to a running server.

mod kept;
mod settings;

use std::path::PathBuf;

use clap::{Args, Subcommand, ValueEnum};

pub(crate) use kept::{ArtifactArgs, ArtifactsWhat, CachesWhat, LimitArgs};
pub(crate) use settings::{EnvironmentWhat, NamedArgs, ScopeArgs, SecretWhat, TokenWhat, VariableWhat};

/// Where `hearth serve` listens, unless told otherwise.
pub(crate) const SERVER: &str = "http://127.0.0.1:3000";

/// Which server, and how its answers are shown.
#[derive(Debug, Args)]
#[command(next_help_heading = "Server (its token comes from HEARTH_TOKEN)")]
pub(crate) struct ServerArgs {
    /// Address of the server [default: where the one of the data folder listens, or http://127.0.0.1:3000]
    #[arg(long, value_name = "URL", env = "HEARTH_SERVER")]
    pub(crate) server: Option<String>,

    /// Data folder of a server on this host: its address, and its administrator's token where HEARTH_TOKEN has none
    #[arg(long, value_name = "DIR", env = "HEARTH_DATA")]
    pub(crate) data: Option<PathBuf>,

    /// How it is shown
    #[arg(long, value_enum, default_value_t = RemoteFormat::Text)]
    pub(crate) format: RemoteFormat,
}

/// How answers of a server are shown.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(crate) enum RemoteFormat {
    /// For people
    Text,
    /// As the API has it
    Json,
}

/// One repository, or all.
#[derive(Debug, Args)]
pub(crate) struct RepositoryArgs {
    /// Only of this repository
    #[arg(short = 'R', long = "repo", value_name = "OWNER/NAME")]
    pub(crate) repository: Option<String>,
}

/// What is asked of a running `hearth serve`.
#[derive(Debug, Subcommand)]
pub(crate) enum Remote {
    /// List the runs of a server, newest first, or show one
    Runs(RunsArgs),
    /// Print the logs of a run, or follow them
    Logs(LogsArgs),
    /// Run an ended run again, or some of its jobs
    Rerun(RerunArgs),
    /// Cancel a run, or a job of it
    Cancel(CancelArgs),
    /// Let a run go on that waits for approval, or a job into its environment
    Approve(ApproveArgs),
    /// Keep a job out of its environment: it fails
    Reject(RejectArgs),
    /// Start a workflow by hand, or all that listen to an event of your own
    Dispatch(DispatchArgs),
    /// Show a server on one screen; ends with 1 if it is not ready
    Status(StatusArgs),
    /// Watch a server on a terminal: what runs, what waits, what has ended
    Top(TopArgs),
    /// List the runs and jobs that wait, and why each does
    Queue(QueueArgs),
    /// List the repositories that the server has heard of
    Repos(ReposArgs),
    /// List what the forge has told, newest first, or show one delivery with its payload
    Deliveries(DeliveriesArgs),
    /// Work on a delivery once more: what it starts is started again
    Redeliver(RedeliverArgs),
    /// List, fetch, and remove what runs have left
    Artifacts {
        #[command(subcommand)]
        what: ArtifactsWhat,
    },
    /// List and remove what jobs have saved for later ones
    Caches {
        #[command(subcommand)]
        what: CachesWhat,
    },
    /// Set, list, and remove secrets
    Secret {
        #[command(subcommand)]
        what: SecretWhat,
    },
    /// Set, list, and remove configuration variables
    Variable {
        #[command(subcommand)]
        what: VariableWhat,
    },
    /// Say who is let into environments
    Environment {
        #[command(subcommand)]
        what: EnvironmentWhat,
    },
    /// Make, list, and revoke tokens of the server
    Token {
        #[command(subcommand)]
        what: TokenWhat,
    },
}

#[derive(Debug, Args)]
pub(crate) struct RunsArgs {
    /// The run to show: the number in the first column of the list
    #[arg(value_name = "RUN")]
    pub(crate) run: Option<u64>,

    /// Which runs are listed
    #[command(flatten)]
    pub(crate) which: WhichRuns,

    /// With RUN: an earlier attempt
    #[arg(long, value_name = "N", requires = "run")]
    pub(crate) attempt: Option<u32>,

    #[command(flatten)]
    pub(crate) server: ServerArgs,
}

#[derive(Debug, Args)]
pub(crate) struct WhichRuns {
    /// Only of this repository
    #[arg(short = 'R', long = "repo", value_name = "OWNER/NAME", conflicts_with = "run")]
    pub(crate) repository: Option<String>,

    /// Only of this workflow: its path, or its file's name in .github/workflows
    #[arg(short, long, value_name = "FILE", conflicts_with = "run")]
    pub(crate) workflow: Option<String>,

    /// Only of this branch
    #[arg(short, long, value_name = "NAME", conflicts_with = "run")]
    pub(crate) branch: Option<String>,

    /// Only by this event, such as push
    #[arg(short, long, value_name = "NAME", conflicts_with = "run")]
    pub(crate) event: Option<String>,

    /// Only those that this person caused
    #[arg(short = 'u', long = "user", value_name = "LOGIN", conflicts_with = "run")]
    pub(crate) actor: Option<String>,

    /// Only those that stand so, or ended so
    #[arg(short, long, value_enum, conflicts_with = "run")]
    pub(crate) status: Option<StatusName>,

    /// Only of this commit, by its whole SHA
    #[arg(short, long, value_name = "SHA", conflicts_with = "run")]
    pub(crate) commit: Option<String>,

    /// Only of this pull request
    #[arg(long = "pr", value_name = "NUMBER", conflicts_with = "run")]
    pub(crate) pull_request: Option<u64>,

    /// How many
    #[arg(short = 'L', long, value_name = "N", default_value_t = 20, conflicts_with = "run",
        value_parser = clap::value_parser!(u32).range(1..=i64::from(WhichRuns::MOST)))]
    pub(crate) limit: u32,
}

impl WhichRuns {
    /// The most that can be asked for: fifty pages of the API.
    pub(crate) const MOST: u32 = 10_000;
}

/// Where a run stands, or how it ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(crate) enum StatusName {
    /// Somebody must approve it
    Waiting,
    /// It waits for its turn
    Queued,
    /// Its jobs run
    Running,
    /// It is over, however it ended
    Ended,
    /// It succeeded
    Success,
    /// It failed
    Failure,
    /// It was cancelled
    Cancelled,
    /// Its condition was false
    Skipped,
}

#[derive(Debug, Args)]
pub(crate) struct LogsArgs {
    /// The run
    #[arg(value_name = "RUN")]
    pub(crate) run: u64,

    /// Only of this job: its key, its name, or its number
    #[arg(value_name = "JOB")]
    pub(crate) job: Option<String>,

    /// Show lines as they come, until the run, or the job, ends
    #[arg(short, long)]
    pub(crate) follow: bool,

    /// Only failed steps of failed jobs
    #[arg(long, conflicts_with = "follow")]
    pub(crate) failed: bool,

    /// The time in front of each line (UTC)
    #[arg(short, long)]
    pub(crate) timestamps: bool,

    /// End with 1 if the run, or the job, failed, with 130 if it was cancelled, and with 4 if it lacked a machine
    #[arg(long)]
    pub(crate) exit_status: bool,

    /// An earlier attempt of the run
    #[arg(long, value_name = "N")]
    pub(crate) attempt: Option<u32>,

    #[command(flatten)]
    pub(crate) server: ServerArgs,
}

#[derive(Debug, Args)]
pub(crate) struct RerunArgs {
    /// The run
    #[arg(value_name = "RUN")]
    pub(crate) run: u64,

    /// Only the jobs that failed, and those that need them
    #[arg(long, conflicts_with = "job")]
    pub(crate) failed: bool,

    /// Only this job, and those that need it: its key, its name, or its number
    #[arg(short, long, value_name = "JOB")]
    pub(crate) job: Option<String>,

    #[command(flatten)]
    pub(crate) server: ServerArgs,
}

#[derive(Debug, Args)]
pub(crate) struct CancelArgs {
    /// The run
    #[arg(value_name = "RUN")]
    pub(crate) run: u64,

    /// Only this job: its key, its name, or its number
    #[arg(value_name = "JOB")]
    pub(crate) job: Option<String>,

    /// Why, for whoever looks at it
    #[arg(long, value_name = "TEXT")]
    pub(crate) reason: Option<String>,

    #[command(flatten)]
    pub(crate) server: ServerArgs,
}

#[derive(Debug, Args)]
pub(crate) struct ApproveArgs {
    /// The run
    #[arg(value_name = "RUN")]
    pub(crate) run: u64,

    /// The job that waits for its environment: its key, its name, or its number
    #[arg(value_name = "JOB")]
    pub(crate) job: Option<String>,

    /// What its log is to say of it
    #[arg(short, long, value_name = "TEXT", requires = "job")]
    pub(crate) comment: Option<String>,

    #[command(flatten)]
    pub(crate) server: ServerArgs,
}

#[derive(Debug, Args)]
pub(crate) struct RejectArgs {
    /// The run
    #[arg(value_name = "RUN")]
    pub(crate) run: u64,

    /// The job that waits for its environment: its key, its name, or its number
    #[arg(value_name = "JOB")]
    pub(crate) job: String,

    /// Why, for whoever looks at it
    #[arg(short, long, value_name = "TEXT")]
    pub(crate) comment: Option<String>,

    #[command(flatten)]
    pub(crate) server: ServerArgs,
}

#[derive(Debug, Args)]
pub(crate) struct QueueArgs {
    /// Only who waits for somebody's word
    #[arg(short, long)]
    pub(crate) approval: bool,

    /// How many at most
    #[arg(short = 'L', long, value_name = "N", default_value_t = 50,
        value_parser = clap::value_parser!(u32).range(1..=i64::from(QueueArgs::MOST)))]
    pub(crate) limit: u32,

    #[command(flatten)]
    pub(crate) server: ServerArgs,
}

impl QueueArgs {
    /// The most that the API gives.
    pub(crate) const MOST: u32 = 1000;
}

#[derive(Debug, Args)]
pub(crate) struct ReposArgs {
    #[command(flatten)]
    pub(crate) server: ServerArgs,
}

#[derive(Debug, Args)]
pub(crate) struct DeliveriesArgs {
    /// The delivery to show: the number in the first column of the list
    #[arg(value_name = "DELIVERY")]
    pub(crate) delivery: Option<u64>,

    #[command(flatten)]
    pub(crate) most: LimitArgs,

    #[command(flatten)]
    pub(crate) server: ServerArgs,
}

#[derive(Debug, Args)]
pub(crate) struct RedeliverArgs {
    /// The delivery: the number in the first column of `hearth deliveries`
    #[arg(value_name = "DELIVERY")]
    pub(crate) delivery: u64,

    #[command(flatten)]
    pub(crate) server: ServerArgs,
}

#[derive(Debug, Args)]
pub(crate) struct DispatchArgs {
    /// The repository
    #[arg(value_name = "OWNER/NAME")]
    pub(crate) repository: String,

    /// The workflow to start: its path, or its file's name in .github/workflows
    #[arg(value_name = "WORKFLOW", required_unless_present = "event_type", conflicts_with = "event_type")]
    pub(crate) workflow: Option<String>,

    /// Branch or tag to run it on [default: the default branch]
    #[arg(short, long = "ref", value_name = "REF", conflicts_with = "event_type")]
    pub(crate) reference: Option<String>,

    /// An input of the workflow (repeatable)
    #[arg(short, long = "input", value_name = "NAME=VALUE", conflicts_with = "event_type")]
    pub(crate) inputs: Vec<String>,

    /// Instead of one workflow, start those that listen to repository_dispatch of this type
    #[arg(long, value_name = "TYPE")]
    pub(crate) event_type: Option<String>,

    /// What these find in `github.event.client_payload`: a file with a JSON object, or - for standard input
    #[arg(long, value_name = "FILE", requires = "event_type")]
    pub(crate) payload: Option<PathBuf>,

    #[command(flatten)]
    pub(crate) server: ServerArgs,
}

#[derive(Debug, Args)]
pub(crate) struct StatusArgs {
    #[command(flatten)]
    pub(crate) server: ServerArgs,
}

#[derive(Debug, Args)]
pub(crate) struct TopArgs {
    #[command(flatten)]
    pub(crate) server: ServerArgs,
}
