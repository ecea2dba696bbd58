//! `hearth repos`: which repositories there are.

use anyhow::{Result, bail};
use server::api::wire::Repositories;
use server::client::escaped;

use super::connection::Connection;
use crate::args::ReposArgs;
use crate::run::output::one_line;
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

/// Who something is kept for.
pub(super) enum Owner<'a> {
    /// A repository, `OWNER/NAME`.
    Repository(&'a str),
    /// All repositories of somebody.
    Organisation(&'a str),
}

impl Owner<'_> {
    /// What no webhook has told of, if it is so.
    fn unheard(&self, known: &Repositories) -> Option<String> {
        let mut names = known.repositories.iter().map(|known| known.full_name.as_str());
        match *self {
            Owner::Repository(repository) => {
                let is_known = names.any(|name| name.eq_ignore_ascii_case(repository));
                (!is_known).then(|| format!("repository {}", one_line(repository)))
            }
            Owner::Organisation(owner) => {
                let of_them =
                    |name: &str| name.split('/').next().is_some_and(|of| of.eq_ignore_ascii_case(owner));
                (!names.any(of_them)).then(|| format!("repository of {}", one_line(owner)))
            }
        }
    }
}

/// Says so where no webhook has told of who something is kept for: a slip of the hand, perhaps. `set` is what was set
/// for them.
pub(super) async fn warn_unheard(server: &Connection, owner: Owner<'_>, set: Option<&str>) -> Result<()> {
    let known: Repositories = server.get("/api/v1/repositories").await?;
    if let Some(unknown) = owner.unheard(&known) {
        let done = set.map(|name| format!("{} is set, but ", one_line(name))).unwrap_or_default();
        eprintln!("hearth: {done}the server has heard of no {unknown} yet: is it written so on GitHub?");
    }
    Ok(())
}

/// Where a repository is in the API.
pub(super) fn path(repository: &str) -> Result<String> {
    let Some((owner, name)) = repository.split_once('/') else {
        bail!("{repository:?} is no repository; write OWNER/NAME");
    };
    Ok(format!("/api/v1/repositories/{}/{}", escaped(owner), escaped(name)))
}
