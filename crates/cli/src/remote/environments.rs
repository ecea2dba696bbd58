//! Environments, and who is let into them.

use anyhow::Result;
use server::api::wire::{Environments, Rules};
use server::client::{Method, escaped};

use super::connection::{Connection, NOTHING};
use super::repositories::{Owner, path, warn_unheard};
use crate::args::EnvironmentWhat;
use crate::table::Table;

pub(super) async fn environment(what: EnvironmentWhat) -> Result<()> {
    match what {
        EnvironmentWhat::Set {
            name,
            approval,
            reviewers,
            prevent_self_review,
            wait_minutes,
            branches,
            tags,
            of,
        } => {
            let path = format!("{}/{}", all(&of.repository)?, escaped(&name));
            let rules = Rules { approval, reviewers, prevent_self_review, wait_minutes, branches, tags };
            let server = Connection::of(&of.server)?;
            server.tell(Method::PUT, &path, Some(&rules)).await?;
            warn_unheard(&server, Owner::Repository(&of.repository), Some(&name)).await
        }
        EnvironmentWhat::Ls(of) => {
            let server = Connection::of(&of.server)?;
            let found: Environments = server.get(&all(&of.repository)?).await?;
            let mut table = Table::new(&["NAME", "APPROVED BY", "WAIT", "BRANCHES", "TAGS"], 3).then(&[4, 1]);
            for one in &found.environments {
                let others = if one.prevent_self_review { ", not who caused it" } else { "" };
                let by = match (one.approval, one.reviewers.is_empty()) {
                    (false, _) => "-".to_owned(),
                    (true, true) => format!("all who may operate{others}"),
                    (true, false) => format!("{}{others}", one.reviewers.join(", ")),
                };
                let wait = match one.wait_minutes {
                    0 => "-".to_owned(),
                    minutes => format!("{minutes} min"),
                };
                table.row([one.name.clone(), by, wait, one.branches.join(", "), one.tags.join(", ")]);
            }
            server.show(&found, &table)?;
            warn_unheard(&server, Owner::Repository(&of.repository), None).await
        }
        EnvironmentWhat::Rm { name, of } => {
            let path = format!("{}/{}", all(&of.repository)?, escaped(&name));
            Ok(Connection::of(&of.server)?.tell(Method::DELETE, &path, NOTHING).await?)
        }
    }
}

/// Where those of a repository are.
fn all(repository: &str) -> Result<String> {
    Ok(format!("{}/environments", path(repository)?))
}
