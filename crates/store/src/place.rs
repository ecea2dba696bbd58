//! Where the secrets and variables of a repository are kept.
//!
//! People name repositories as these are called now. What is kept for one stays where it was first put
//! ([`Repository::place`]), so that a rename takes it along, and whoever has an old name next finds nothing there.

use model::RepositoryId;

use crate::error::StoreError;
use crate::record::{Repository, Scope};
use crate::store::Store;

/// The settings that tell which repository had a name: `former/octo/hello`, in lower case, with its id.
pub(crate) const FORMER: &str = "former/";

impl Repository {
    /// Where its own secrets and variables are kept.
    #[must_use]
    pub fn scope(&self) -> Scope {
        Scope::Repository(self.place.clone())
    }

    /// Where those of one of its environments are kept.
    #[must_use]
    pub fn environment(&self, name: &str) -> Scope {
        Scope::Environment(self.place.clone(), name.to_owned())
    }
}

/// Where is kept what people call so. A repository that nobody has heard of yet has it under its name. `Err`: the name
/// was another's, which is called this now.
///
/// # Errors
/// The store can't be read.
pub async fn of(store: &dyn Store, named: &Scope) -> Result<Result<Scope, String>, StoreError> {
    let name = match named {
        Scope::Organisation(_) => return Ok(Ok(named.clone())),
        Scope::Repository(name) | Scope::Environment(name, _) => name,
    };
    let all = store.repositories().await?;
    let is_called = |one: &&Repository| one.facts.full_name.eq_ignore_ascii_case(name);
    if let Some(repository) = all.iter().find(is_called) {
        return Ok(Ok(match named {
            Scope::Environment(_, environment) => repository.environment(environment),
            _ => repository.scope(),
        }));
    }
    let had_it = store.setting(&format!("{FORMER}{}", name.to_ascii_lowercase())).await?;
    let had_it = had_it.and_then(|id| id.as_u64()).map(RepositoryId);
    let is_renamed = |one: &Repository| one.place.eq_ignore_ascii_case(name) || had_it == Some(one.id);
    Ok(match all.into_iter().find(is_renamed) {
        Some(renamed) => Err(renamed.facts.full_name),
        None => Ok(named.clone()),
    })
}
