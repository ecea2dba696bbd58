//! `hearth repos`: which repositories there are.

use anyhow::{Result, bail};
use server::api::wire::Repositories;
use server::client::escaped;

use super::connection::Connection;
use crate::args::ReposArgs;
use crate::table::Table;

pub(super) async fn list(args: &ReposArgs) -> Result<()> {
    let server = Connection::of(&args.server)?;
    let known: Repositories = server.get("/api/v1/repositories").await?;
    if known.repositories.is_empty() && !server.is_json() {
        eprintln!("hearth: no repository is known yet; each is with its first webhook");
        return Ok(());
    }
    let mut table = Table::new(&["REPOSITORY", "BRANCH", "SEEN BY", "KNOWN SINCE"], 0);
    for one in &known.repositories {
        let seen_by = if one.is_private { "private" } else { "public" };
        let cells = [one.full_name.clone(), one.default_branch.clone(), seen_by.to_owned()];
        table.row_at(cells, one.first_seen);
    }
    server.show(&known, &table)
}

/// Where a repository is in the API.
pub(super) fn path(repository: &str) -> Result<String> {
    let Some((owner, name)) = repository.split_once('/') else {
        bail!("{repository:?} is no repository; write OWNER/NAME");
    };
    Ok(format!("/api/v1/repositories/{}/{}", escaped(owner), escaped(name)))
}
