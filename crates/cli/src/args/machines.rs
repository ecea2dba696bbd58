//! The command lines of `hearth serve` and `hearth vm`.

use std::net::SocketAddr;

use clap::{Args, Subcommand};

use super::{DriverName, NetworkName, PlaceArgs};

/// Where `hearth serve machines` listens and `hearth vm` looks, unless told otherwise.
pub(crate) const ADDRESS: &str = "127.0.0.1:7070";

#[derive(Debug, Args)]
#[command(args_conflicts_with_subcommands = true)]
pub(crate) struct ServeArgs {
    #[command(subcommand)]
    pub(crate) what: Option<ServeWhat>,

    /// Where to listen; port 0 is a free one [default: 127.0.0.1:3000, or HOST and PORT of the environment]
    #[arg(long, value_name = "ADDR")]
    pub(crate) listen: Option<SocketAddr>,

    /// Show what it is like: a repository of its own whose workflows run here, in a temporary folder, without GitHub
    #[arg(long, conflicts_with_all = ["config", "data"])]
    pub(crate) demo: bool,

    /// How the log on stderr is written [default: text; also serve.log-format]. RUST_LOG says how much of it
    #[arg(long, value_name = "FORMAT", env = "HEARTH_LOG_FORMAT")]
    pub(crate) log_format: Option<LogFormat>,

    #[command(flatten)]
    pub(crate) places: PlaceArgs,
}

/// How the server's log is written.
#[derive(Clone, Copy, Debug, PartialEq, Eq, clap::ValueEnum, serde::Deserialize)]
#[serde(rename_all = "kebab-case")]
pub(crate) enum LogFormat {
    /// Lines for people
    Text,
    /// A JSON object a line
    Json,
}

#[derive(Debug, Subcommand)]
pub(crate) enum ServeWhat {
    /// The machine API alone: machines for whoever has a token (the key is in HEARTH_JWT_SECRET)
    Machines(ServeMachinesArgs),
}

#[derive(Debug, Args)]
pub(crate) struct ServeMachinesArgs {
    /// Where to listen; port 0 is a free one [default: 127.0.0.1:7070]
    #[arg(long, value_name = "ADDR")]
    pub(crate) listen: Option<SocketAddr>,

    /// Driver of the machines [default: sandbox]
    #[arg(short, long = "machine", value_enum)]
    pub(crate) driver: Option<DriverName>,

    /// Machine type that can be asked for, with its image where the driver has images (repeatable; the
    /// first is the default) [default: bionic-test]
    #[arg(long = "vm-type", value_name = "NAME[=IMAGE]")]
    pub(crate) vm_types: Vec<String>,

    /// What of the network the machines of --vm-type see [default: none]
    #[arg(long, value_enum)]
    pub(crate) network: Option<NetworkName>,

    #[command(flatten)]
    pub(crate) places: PlaceArgs,
}

#[derive(Debug, Args)]
pub(crate) struct VmArgs {
    /// Address of the server
    #[arg(long, global = true, value_name = "URL", env = "HEARTH_API", default_value_t = format!("http://{ADDRESS}"))]
    pub(crate) api: String,

    /// Token for the server; `hearth vm token` makes one
    #[arg(long, global = true, value_name = "TOKEN", env = "HEARTH_TOKEN", hide_env_values = true)]
    pub(crate) token: Option<String>,

    #[command(subcommand)]
    pub(crate) what: VmWhat,
}

#[derive(Debug, Subcommand)]
pub(crate) enum VmWhat {
    /// Start a machine and print its id
    Start(VmStartArgs),
    /// List your machines
    Ls {
        /// As JSON
        #[arg(long)]
        json: bool,
    },
    /// Show a machine, with the timeline of its start, as JSON
    Inspect {
        /// The machine
        id: String,
    },
    /// Run a command in a machine; its exit code is that of the command
    Exec(VmExecArgs),
    /// Open a terminal in a machine
    Shell {
        /// The machine
        id: String,
        /// What to run by `sh -c`, instead of a login shell
        #[arg(short, long, value_name = "COMMAND")]
        command: Option<String>,
    },
    /// Copy a file or a folder into a machine or out of it; a path of a machine is ID:PATH
    Cp {
        /// What to copy
        from: String,
        /// To where; a folder's content goes into this folder
        to: String,
    },
    /// Show what happened in a machine
    Logs {
        /// The machine
        id: String,
    },
    /// Take a snapshot of a machine and print its id
    Snapshot {
        /// The machine
        id: String,
        /// What to call it
        #[arg(long, default_value = "")]
        name: String,
        /// What it is for
        #[arg(long, default_value = "")]
        description: String,
    },
    /// List the snapshots of a machine
    Snapshots {
        /// The machine
        id: String,
    },
    /// Put a machine back to one of its snapshots
    Rollback {
        /// The machine
        id: String,
        /// The snapshot
        snapshot: String,
    },
    /// Destroy machines
    Rm {
        /// The machines
        #[arg(required = true)]
        ids: Vec<String>,
    },
    /// Show the server's driver, your limits, and the machines that are kept ready, as JSON
    Pool,
    /// Print a token, signed here with the key in HEARTH_JWT_SECRET
    Token(VmTokenArgs),
}

#[derive(Debug, Args)]
pub(crate) struct VmStartArgs {
    /// Type of machine [default: the server's first]
    #[arg(long = "type", value_name = "NAME")]
    pub(crate) vm_type: Option<String>,

    /// What to call it
    #[arg(long)]
    pub(crate) name: Option<String>,

    /// Do not wait until it is up
    #[arg(long)]
    pub(crate) no_wait: bool,
}

#[derive(Debug, Args)]
pub(crate) struct VmExecArgs {
    /// The machine
    pub(crate) id: String,

    /// Where in the machine [default: its work folder]
    #[arg(short, long, value_name = "DIR")]
    pub(crate) workdir: Option<String>,

    /// Environment variable (repeatable)
    #[arg(short, long = "env", value_name = "NAME=VALUE")]
    pub(crate) env: Vec<String>,

    /// As whom [default: the machine's usual user]
    #[arg(short, long)]
    pub(crate) user: Option<String>,

    /// Kill it after so many seconds
    #[arg(long, value_name = "SECONDS")]
    pub(crate) timeout: Option<u64>,

    /// Send standard input, up to 1 MiB, when it has ended
    #[arg(short = 'i', long)]
    pub(crate) stdin: bool,

    /// Program and arguments
    #[arg(required = true, last = true)]
    pub(crate) argv: Vec<String>,
}

#[derive(Debug, Args)]
pub(crate) struct VmTokenArgs {
    /// Whose machines the token is for [default: your user name]
    #[arg(long)]
    pub(crate) subject: Option<String>,

    /// Tier, which chooses the limits
    #[arg(long, default_value = "default")]
    pub(crate) tier: String,

    /// How long it is good
    #[arg(long, default_value_t = 8, value_parser = clap::value_parser!(u32).range(1..=24 * 366))]
    pub(crate) hours: u32,
}
