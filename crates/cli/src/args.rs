//! The command line.

mod machines;
mod remote;

use std::path::PathBuf;

use clap::{Args, Parser, Subcommand, ValueEnum};
use forge::ServerUrl;
use machine::network::Destination;

use crate::image::args::ImageCommand;
pub(crate) use machines::{
    ADDRESS, LogFormat, ServeArgs, ServeMachinesArgs, ServeWhat, VmArgs, VmExecArgs, VmStartArgs,
    VmTokenArgs, VmWhat,
};
pub(crate) use remote::*;

/// CI on your own machines: real GitHub Actions workflows, each job in a machine of its own.
#[derive(Debug, Parser)]
#[command(name = "hearth", version, propagate_version = true)]
pub(crate) struct Cli {
    #[command(subcommand)]
    pub(crate) command: Command,
}

#[derive(Debug, Subcommand)]
pub(crate) enum Command {
    /// Run the workflows of a repository here, each job in an isolated machine
    Run(Box<RunArgs>),
    /// Show the jobs that would run, in the order of the run, and why others would not
    Plan(Box<RunArgs>),
    /// Check workflow and action files and report every problem in them
    Lint(LintArgs),
    /// Evaluate an expression of the workflow language
    Expr(ExprArgs),
    /// Make and keep the images that virtual machines boot from
    Image {
        #[command(subcommand)]
        command: ImageCommand,
    },
    /// Find out which machine drivers work on this host, and why not
    Doctor(DoctorArgs),
    /// Serve repositories: webhooks in, jobs on machines, pages and results out
    Serve(ServeArgs),
    /// Start machines of a running `hearth serve machines`, and work in them
    Vm(Box<VmArgs>),
    /// Open a shell in the kept machine of a failed job, as its failed step left it
    Debug(Box<DebugArgs>),
    #[command(flatten)]
    Remote(Box<Remote>),
    /// Check the configuration, or show what it comes to
    Config {
        #[command(subcommand)]
        what: ConfigWhat,
    },
    /// Copy the data folder of a server, which goes on meanwhile
    Backup(BackupArgs),
    /// Put a backup in the place of a data folder that no server has
    Restore(RestoreArgs),
    /// Print a completion script for a shell
    Completions(CompletionsArgs),
}

#[derive(Debug, Args)]
pub(crate) struct RunArgs {
    /// Run only these jobs and those that they need
    #[arg(value_name = "JOB")]
    pub(crate) jobs: Vec<String>,

    /// Workflow to run: a path, a file name in .github/workflows, or a workflow's name (repeatable);
    /// without it, all that the event starts
    #[arg(short = 'W', long = "workflow", value_name = "FILE")]
    pub(crate) workflows: Vec<String>,

    /// Folder of the repository
    #[arg(short = 'C', long = "directory", value_name = "DIR", default_value = ".")]
    pub(crate) directory: PathBuf,

    /// Event that starts the workflows [default: push, or what the named workflow has]
    #[arg(short, long, value_name = "NAME")]
    pub(crate) event: Option<String>,

    /// File with the event's payload (JSON)
    #[arg(long, value_name = "FILE")]
    pub(crate) event_file: Option<PathBuf>,

    /// Run only the configurations of matrices that have this value (repeatable; of one key, any of the values)
    #[arg(long = "matrix", value_name = "KEY=VALUE")]
    pub(crate) matrix: Vec<String>,

    /// Input of workflow_dispatch (repeatable)
    #[arg(long = "input", value_name = "NAME=VALUE")]
    pub(crate) inputs: Vec<String>,

    /// Secret; without a value it is taken from the environment (repeatable)
    #[arg(short, long = "secret", value_name = "NAME[=VALUE]")]
    pub(crate) secrets: Vec<String>,

    /// File with secrets, a NAME=VALUE a line
    #[arg(long, value_name = "FILE")]
    pub(crate) secret_file: Option<PathBuf>,

    /// Configuration variable, for the `vars` context (repeatable)
    #[arg(long = "var", value_name = "NAME=VALUE")]
    pub(crate) vars: Vec<String>,

    /// Environment variable of every step (repeatable)
    #[arg(long = "env", value_name = "NAME=VALUE")]
    pub(crate) env: Vec<String>,

    /// Jobs that run at once [default: number of CPUs]
    #[arg(long = "jobs", value_name = "N", value_parser = clap::value_parser!(u16).range(1..))]
    pub(crate) parallel: Option<u16>,

    #[command(flatten)]
    pub(crate) machine: MachineArgs,

    /// Where actions are fetched from, instead of github.com (repeatable, tried in order):
    /// file:///srv/git/{owner}/{repo}
    #[arg(long = "actions-mirror", value_name = "TEMPLATE")]
    pub(crate) actions_mirrors: Vec<String>,

    /// Use actions and workflows of other repositories as they were last fetched
    #[arg(long)]
    pub(crate) offline: bool,

    /// Use the action actions/checkout itself instead of the built-in one
    #[arg(long)]
    pub(crate) real_checkout: bool,

    /// Server that the repository is on: `github.server_url` and the addresses of its API [default: github.com]
    #[arg(long, value_name = "URL")]
    pub(crate) server_url: Option<ServerUrl>,

    /// Folder for artifacts [default: in the data folder]
    #[arg(long, value_name = "DIR")]
    pub(crate) artifacts: Option<PathBuf>,

    /// How the run is shown
    #[arg(long, value_enum, default_value_t = Format::Auto)]
    pub(crate) format: Format,

    /// Show the log of every step as it comes; pretty otherwise shows the end of failing ones
    #[arg(short, long)]
    pub(crate) verbose: bool,

    /// Show debug messages (sets RUNNER_DEBUG=1 in the jobs)
    #[arg(long)]
    pub(crate) debug: bool,

    /// Keep the machine of a job that fails, as its failed step leaves it, for `hearth debug` and --resume
    #[arg(long)]
    pub(crate) debug_on_failure: bool,

    /// Go on with a run: with jobs whose machines are kept from their failed steps, with those that did not succeed
    /// otherwise from the start, and with all that need them; JOB limits it to some
    #[arg(long, value_name = "RUN", conflicts_with_all = ["workflows", "event", "event_file", "inputs", "matrix", "vars", "env"])]
    pub(crate) resume: Option<u64>,

    /// Keep what each job leaves in its work folder, as a tar archive in the folder of the run
    #[arg(long)]
    pub(crate) keep: bool,

    #[command(flatten)]
    pub(crate) places: PlaceArgs,
}

#[derive(Debug, Args)]
pub(crate) struct MachineArgs {
    /// Machine that each job gets [default: sandbox]
    #[arg(short, long = "machine", value_enum)]
    pub(crate) driver: Option<DriverName>,

    /// Image that virtual machines boot from: a name or an id of `hearth image ls` [default: default]
    #[arg(long, value_name = "IMAGE")]
    pub(crate) image: Option<String>,

    /// What of the network a job sees [default: host; user for virtual machines]
    #[arg(long, value_enum)]
    pub(crate) network: Option<NetworkName>,

    /// Name, address, or range that a job may reach on a network of its own, and nothing else (repeatable);
    /// *.NAME for the names below one, * for all that is public
    #[arg(long = "allow-host", value_name = "NAME")]
    pub(crate) allow_hosts: Vec<Destination>,

    /// Memory of a job's machine in MiB
    #[arg(long, value_name = "MIB")]
    pub(crate) memory: Option<u64>,

    /// Boot each virtual machine, instead of going on from a snapshot that was taken of a fresh one
    #[arg(long)]
    pub(crate) cold_boot: bool,

    /// Host folder that jobs see read-only at the same path (repeatable)
    #[arg(long, value_name = "DIR")]
    pub(crate) expose: Vec<PathBuf>,

    /// Run jobs for these labels, which this host is not made for (windows-latest, macos-latest), all the same
    #[arg(long = "accept-label", value_name = "LABEL")]
    pub(crate) accept_labels: Vec<String>,
}

#[derive(Debug, Args)]
pub(crate) struct PlaceArgs {
    /// Data folder: caches, actions, artifacts [default: $XDG_DATA_HOME/hearth]
    #[arg(long, value_name = "DIR", env = "HEARTH_DATA")]
    pub(crate) data: Option<PathBuf>,

    /// Configuration file [default: $XDG_CONFIG_HOME/hearth/hearth.yaml]
    #[arg(long, value_name = "FILE", env = "HEARTH_CONFIG")]
    pub(crate) config: Option<PathBuf>,
}

#[derive(Debug, Subcommand)]
pub(crate) enum ConfigWhat {
    /// Read the configuration, say what is wrong with it and where, and start nothing
    Check {
        /// The file [default: that of --config, or your own]
        #[arg(value_name = "FILE")]
        file: Option<PathBuf>,
        #[command(flatten)]
        places: PlaceArgs,
    },
    /// Show every key with its value and where that comes from; secrets are not shown
    Show {
        /// How it is shown
        #[arg(long, value_enum, default_value_t = RemoteFormat::Text)]
        format: RemoteFormat,
        #[command(flatten)]
        places: PlaceArgs,
    },
}

#[derive(Debug, Args)]
pub(crate) struct BackupArgs {
    /// The folder to write, which must not be there yet
    #[arg(value_name = "TO")]
    pub(crate) to: PathBuf,

    /// Without what runs have left
    #[arg(long)]
    pub(crate) without_artifacts: bool,

    #[command(flatten)]
    pub(crate) places: PlaceArgs,
}

#[derive(Debug, Args)]
pub(crate) struct RestoreArgs {
    /// A folder that `hearth backup` has written
    #[arg(value_name = "FROM")]
    pub(crate) from: PathBuf,

    #[command(flatten)]
    pub(crate) places: PlaceArgs,
}

#[derive(Debug, Args)]
pub(crate) struct LintArgs {
    /// Workflow or action files, repositories, or folders with YAML files; without any, the repository here
    #[arg(value_name = "PATH")]
    pub(crate) paths: Vec<PathBuf>,

    /// How problems are shown
    #[arg(long, value_enum, default_value_t = LintFormat::Text)]
    pub(crate) format: LintFormat,
}

#[derive(Debug, Args)]
pub(crate) struct ExprArgs {
    /// The expression, with or without ${{ }}
    #[arg(value_name = "EXPR", allow_hyphen_values = true)]
    pub(crate) expression: String,

    /// File with the contexts: a JSON object, a key for each
    #[arg(long, value_name = "FILE")]
    pub(crate) contexts: Option<PathBuf>,

    /// How the value is shown
    #[arg(long, value_enum, default_value_t = ExprFormat::Text)]
    pub(crate) format: ExprFormat,
}

#[derive(Debug, Args)]
pub(crate) struct DebugArgs {
    /// The run
    #[arg(value_name = "RUN")]
    pub(crate) run: Option<u64>,

    /// The job, where machines of several are kept: its key, its name, or its id
    #[arg(value_name = "JOB")]
    pub(crate) job: Option<String>,

    /// Command to run instead of a shell
    #[arg(last = true, value_name = "COMMAND")]
    pub(crate) command: Vec<String>,

    /// Show the machines that are kept
    #[arg(long, conflicts_with_all = ["run", "remove"])]
    pub(crate) list: bool,

    /// Remove the kept machines of the run, or that of the job
    #[arg(long = "rm", requires = "run")]
    pub(crate) remove: bool,

    /// Secret of the job, for the shell's environment; without a value it is taken from the environment (repeatable)
    #[arg(short, long = "secret", value_name = "NAME[=VALUE]")]
    pub(crate) secrets: Vec<String>,

    /// File with secrets, a NAME=VALUE a line
    #[arg(long, value_name = "FILE")]
    pub(crate) secret_file: Option<PathBuf>,

    #[command(flatten)]
    pub(crate) places: PlaceArgs,
}

#[derive(Debug, Args)]
pub(crate) struct CompletionsArgs {
    /// For which shell
    pub(crate) shell: clap_complete::Shell,
}

/// How `lint` shows problems.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(crate) enum LintFormat {
    /// For people, with the lines that are wrong
    Text,
    /// One JSON list
    Json,
    /// SARIF 2.1.0, for code scanning
    Sarif,
    /// Workflow commands, which annotate a pull request
    Github,
}

/// How `expr` shows a value.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(crate) enum ExprFormat {
    /// As a step would print it; lists and mappings as JSON
    Text,
    /// `{"kind": ..., "value": ...}` or `{"error": ...}`
    Json,
}

#[derive(Debug, Args)]
pub(crate) struct DoctorArgs {
    #[command(flatten)]
    pub(crate) places: PlaceArgs,
}

/// Machine drivers by name.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum, serde::Deserialize)]
#[serde(rename_all = "lowercase")]
pub(crate) enum DriverName {
    /// Linux namespaces: the host's kernel, nothing else of the host
    Sandbox,
    /// No isolation at all: jobs run as you, on your files
    Host,
    /// A virtual machine with a kernel of its own, by the best driver that works here
    Vm,
    /// A virtual machine in QEMU
    Qemu,
    /// A virtual machine in Firecracker, on hosts that virtualize; with a network only as root
    Firecracker,
}

impl DriverName {
    /// What of the network its machines see where nobody says.
    pub(crate) fn usual_network(self) -> NetworkName {
        match self {
            DriverName::Sandbox | DriverName::Host => NetworkName::Host,
            DriverName::Vm | DriverName::Qemu => NetworkName::User,
            DriverName::Firecracker if rustix::process::geteuid().is_root() => NetworkName::User,
            // Only root can have one, and a job that needs it shall run into that, not into a refusal.
            DriverName::Firecracker => NetworkName::None,
        }
    }
}

/// What of the network a job sees.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum, serde::Serialize, serde::Deserialize)]
#[serde(rename_all = "lowercase")]
pub(crate) enum NetworkName {
    /// Its own loopback only
    None,
    /// A network of its own, which reaches what is public or --allow-host names (virtual machines)
    User,
    /// The host's network (not for virtual machines)
    Host,
}

impl From<NetworkName> for machine::Network {
    fn from(name: NetworkName) -> Self {
        match name {
            NetworkName::None => Self::None,
            NetworkName::User => Self::User,
            NetworkName::Host => Self::Host,
        }
    }
}

/// How results are shown.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(crate) enum Format {
    /// pretty on a terminal, plain elsewhere
    Auto,
    /// For people: steps as they end, running jobs live below them, logs of failing steps at the end
    Pretty,
    /// Every line of every log with its job, without colours
    Plain,
    /// One JSON object a line
    Json,
}
