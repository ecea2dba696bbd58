//! Secrets of runs, opened as they are needed.

use std::sync::Arc;

use anyhow::{Result as Outcome, ensure};
use async_trait::async_trait;
use model::Secrets;
use scheduler::engine::{SecretError, SecretSource};
use store::Store;
use store::record::Scope;
use store::seal::{KEY_FILE, SealKey};

use crate::data::DataFolder;

/// The store's sealed secrets, and the key to them.
pub(super) struct SealedSecrets {
    pub(super) store: Arc<dyn Store>,
    pub(super) key: Arc<SealKey>,
}

#[async_trait]
impl SecretSource for SealedSecrets {
    async fn secrets(&self, scopes: &[Scope]) -> Result<Secrets, SecretError> {
        let mut opened = Secrets::new();
        for scope in scopes {
            for sealed in self.store.secrets(scope).await? {
                let value = self.key.open(scope, &sealed.name, &sealed.sealed)?;
                opened.insert(sealed.name, value);
            }
        }
        Ok(opened)
    }
}

/// The key of the secrets, made where there is none and nothing is sealed yet. A new one in place of one that is gone
/// would open nothing, and each run that needs a secret would fail.
pub(super) async fn key(store: &dyn Store, data: &DataFolder) -> Outcome<SealKey> {
    let path = data.root().join(KEY_FILE);
    if !path.try_exists()? {
        let scopes = store.sealed_scopes().await?;
        let of: Vec<String> = scopes.iter().map(words).collect();
        ensure!(
            scopes.is_empty(),
            "{path} is gone, the key of the secrets of {of}: put it back from a backup; or, to give these secrets up, \
             make a new one (`age-keygen -o {path}`), start, and set them again",
            path = path.display(),
            of = of.join(", "),
        );
    }
    Ok(SealKey::load_or_make(&path)?)
}

/// The scope as `hearth secret` names it.
fn words(scope: &Scope) -> String {
    match scope {
        Scope::Organisation(name) | Scope::Repository(name) => name.clone(),
        Scope::Environment(name, environment) => format!("{name}@{environment}"),
    }
}

#[cfg(test)]
mod tests {
    use model::{Secret, Timestamp};
    use store::{Change, SqliteStore};

    use super::*;

    #[tokio::test]
    async fn a_key_that_is_gone_is_not_replaced_while_secrets_need_it() {
        let folder = tempfile::tempdir().unwrap();
        let data = DataFolder::open(Some(folder.path().to_owned())).unwrap();
        let store = SqliteStore::open(data.root()).unwrap();
        let first = key(&store, &data).await.unwrap();
        let scope = Scope::Repository("octo/hello".to_owned());
        let sealed = first.seal(&scope, "KEY", &Secret("s3cret".to_owned())).unwrap();
        let secret = Change::SecretSet { scope, name: "KEY".to_owned(), sealed, at: Timestamp::now() };
        store.apply(vec![secret]).await.unwrap();
        key(&store, &data).await.unwrap();
        std::fs::remove_file(data.root().join(KEY_FILE)).unwrap();
        let error = key(&store, &data).await.unwrap_err().to_string();
        assert!(error.contains("octo/hello") && error.contains("backup"), "{error}");
        assert!(!data.root().join(KEY_FILE).exists());
    }

    #[tokio::test]
    async fn secrets_that_cannot_be_read_now_are_told_from_those_that_do_not_open() {
        let folder = tempfile::tempdir().unwrap();
        let store = Arc::new(SqliteStore::open(folder.path()).unwrap());
        let right = Arc::new(SealKey::load_or_make(&folder.path().join("right")).unwrap());
        let wrong = Arc::new(SealKey::load_or_make(&folder.path().join("wrong")).unwrap());
        let scope = Scope::Repository("octo/hello".to_owned());
        let sealed = right.seal(&scope, "KEY", &Secret("s3cret".to_owned())).unwrap();
        let secret =
            Change::SecretSet { scope: scope.clone(), name: "KEY".to_owned(), sealed, at: Timestamp::now() };
        store.apply(vec![secret]).await.unwrap();
        let with = |key: &Arc<SealKey>| SealedSecrets { store: store.clone(), key: Arc::clone(key) };
        let scopes = [scope];

        let (database, aside) = (folder.path().join("hearth.db"), folder.path().join("aside"));
        std::fs::rename(&database, &aside).unwrap();
        std::fs::create_dir(&database).unwrap();
        let error = with(&right).secrets(&scopes).await.unwrap_err();
        assert!(matches!(&error, SecretError::Store(error) if error.may_pass()), "{error}");
        std::fs::remove_dir(&database).unwrap();
        std::fs::rename(&aside, &database).unwrap();

        assert!(with(&right).secrets(&scopes).await.unwrap().contains_key("KEY"));
        let error = with(&wrong).secrets(&scopes).await.unwrap_err();
        assert!(matches!(error, SecretError::Seal(_)) && error.to_string().contains("KEY"), "{error}");
    }
}
