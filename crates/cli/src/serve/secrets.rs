//! Secrets of runs, opened as they are needed.

use std::sync::Arc;

use async_trait::async_trait;
use model::Secrets;
use scheduler::engine::SecretSource;
use store::Store;
use store::record::Scope;
use store::seal::SealKey;

/// The store's sealed secrets, and the key to them.
pub(super) struct SealedSecrets {
    pub(super) store: Arc<dyn Store>,
    pub(super) key: Arc<SealKey>,
}

#[async_trait]
impl SecretSource for SealedSecrets {
    async fn secrets(&self, scopes: &[Scope]) -> Result<Secrets, String> {
        let mut opened = Secrets::new();
        for scope in scopes {
            for sealed in self.store.secrets(scope).await.map_err(|error| error.to_string())? {
                let value = self.key.open(scope, &sealed.name, &sealed.sealed);
                opened.insert(sealed.name, value.map_err(|error| error.to_string())?);
            }
        }
        Ok(opened)
    }
}
