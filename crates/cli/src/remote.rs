//! What people ask of a running `hearth serve` from a terminal, over its API.

mod act;
mod connection;
mod deliveries;
mod environments;
mod follow;
mod jobs;
mod kept;
mod log;
mod queue;
mod repositories;
mod run;
mod runs;
mod settings;
mod status;
mod steady;
mod top;
mod typed;
mod words;

use anyhow::Result;

use crate::args::Remote;
use crate::exit;

pub(crate) use connection::RemoteError;

/// Does what is asked for. The exit code.
pub(crate) async fn remote(asked: Remote) -> Result<u8> {
    match asked {
        Remote::Runs(args) => match args.run {
            Some(id) => run::show(&args.server, id, args.attempt).await?,
            None => runs::list(&args.server, &args.which).await?,
        },
        Remote::Logs(args) => return log::logs(args).await,
        Remote::Rerun(args) => act::rerun(args).await?,
        Remote::Cancel(args) => act::cancel(args).await?,
        Remote::Approve(args) => act::approve(args).await?,
        Remote::Reject(args) => act::reject(args).await?,
        Remote::Dispatch(args) => act::dispatch(args).await?,
        Remote::Status(args) => return status::show(&args).await,
        Remote::Top(args) => return top::top(&args).await,
        Remote::Queue(args) => queue::show(&args).await?,
        Remote::Repos(args) => repositories::list(&args).await?,
        Remote::Deliveries(args) => deliveries::deliveries(&args).await?,
        Remote::Redeliver(args) => deliveries::redeliver(&args).await?,
        Remote::Artifacts { what } => kept::artifacts(what).await?,
        Remote::Caches { what } => kept::caches(what).await?,
        Remote::Secret { what } => settings::secret(what).await?,
        Remote::Variable { what } => settings::variable(what).await?,
        Remote::Environment { what } => environments::environment(what).await?,
        Remote::Token { what } => settings::token(what).await?,
    }
    Ok(exit::SUCCESS)
}
