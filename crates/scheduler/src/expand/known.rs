//! Which repository an event is of. The forge's number says it: a name may be another's today.

use forge::git::MirrorError;
use model::{RepositoryId, Timestamp};
use store::StoreError;
use store::record::RepositoryFacts;
use tracing::warn;

use super::Expander;

impl Expander {
    /// The repository with these facts, from now on under this name. `Err`: what git has of whoever had the name before
    /// can't be thrown away now, and another one must not find it.
    pub(super) async fn known(
        &self,
        facts: RepositoryFacts,
        now: Timestamp,
    ) -> Result<Result<RepositoryId, MirrorError>, StoreError> {
        let name = facts.full_name.clone();
        let all = self.store.repositories().await?;
        let before = all.iter().find(|one| one.facts.full_name.eq_ignore_ascii_case(&name));
        // Most deliveries say nothing new, and what is written has to reach the disk before they are worked out.
        if let Some(before) = before.filter(|before| before.facts == facts) {
            return Ok(Ok(before.id));
        }
        if before.is_none_or(|before| before.facts.forge_id != facts.forge_id) {
            // First, so that a crash leaves nothing behind.
            if let Err(error) = self.without_mirror(&name).await {
                return Ok(Err(error));
            }
        }
        let id = self.store.repository_seen(facts, now).await?;
        match before {
            Some(before) if before.id != id => warn!(
                repository = name,
                "it is another one than before, of the same name: it has none of the secrets, variables, environments, \
                 approvals, and caches that the old one had; set those that it needs"
            ),
            _ => {}
        }
        Ok(Ok(id))
    }

    async fn without_mirror(&self, name: &str) -> Result<(), MirrorError> {
        match self.origin.mirrors.get(name)? {
            Some(_) => self.origin.mirrors.remove(name).await,
            None => Ok(()),
        }
    }
}
