//! The token of the first administrator.

use std::io::Write;
use std::os::unix::fs::OpenOptionsExt;

use anyhow::{Context, Result};
use model::Timestamp;
use server::auth::{Role, token};
use store::record::Token;
use store::{Change, Store};
use tracing::info;

use crate::data::DataFolder;

/// Where it is written.
pub(crate) const FIRST_TOKEN: &str = "admin-token";

/// Makes a token for an administrator, where none has one that is good: it lies in the data folder, for whoever may read
/// that.
pub(super) async fn make(store: &dyn Store, data: &DataFolder) -> Result<()> {
    let now = Timestamp::now();
    let tokens = store.tokens().await?;
    if tokens.iter().any(|token| token::is_administrator(token, now)) {
        return Ok(());
    }
    let (secret, token) = token::make(&free_name(&tokens), Role::Admin, None, now)?;
    let path = data.root().join(FIRST_TOKEN);
    let written = std::fs::OpenOptions::new().create(true).truncate(true).write(true).mode(0o600).open(&path);
    let written = written.and_then(|mut file| writeln!(file, "{secret}"));
    written.with_context(|| format!("can't write the administrator's token to {}", path.display()))?;
    store.apply(vec![Change::TokenMade(token)]).await?;
    info!("a token for the administrator of this server is in {}", path.display());
    Ok(())
}

/// `admin`, or the first of `admin-2`, `admin-3`, ... that no token has, such as one that has expired.
fn free_name(tokens: &[Token]) -> String {
    let is_free = |name: &String| tokens.iter().all(|token| token.name != *name);
    let further = (2_u64..).map(|number| format!("admin-{number}"));
    std::iter::once("admin".to_owned()).chain(further).find(is_free).unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use store::SqliteStore;

    use super::*;

    #[tokio::test]
    async fn who_has_no_good_token_of_an_administrator_gets_one_at_the_next_start() {
        let folder = tempfile::tempdir().unwrap();
        let data = DataFolder::open(Some(folder.path().to_owned())).unwrap();
        let store = SqliteStore::open(data.root()).unwrap();
        let names =
            async || store.tokens().await.unwrap().into_iter().map(|token| token.name).collect::<Vec<_>>();
        make(&store, &data).await.unwrap();
        assert_eq!(names().await, ["admin"]);
        make(&store, &data).await.unwrap();
        assert_eq!(names().await, ["admin"], "one is enough");

        let mut over = store.tokens().await.unwrap().remove(0);
        over.expires_at = Some(Timestamp(1));
        let reader = token::make("ci", Role::Read, None, Timestamp::now()).unwrap().1;
        let again = vec![
            Change::TokenRevoked { name: "admin".to_owned() },
            Change::TokenMade(over),
            Change::TokenMade(reader),
        ];
        store.apply(again).await.unwrap();
        let path = data.root().join(FIRST_TOKEN);
        std::fs::remove_file(&path).unwrap();
        make(&store, &data).await.unwrap();
        assert_eq!(names().await, ["admin", "admin-2", "ci"]);
        let secret = std::fs::read_to_string(&path).unwrap();
        let made = store.token(&token::digest(secret.trim())).await.unwrap().unwrap();
        assert_eq!((made.name.as_str(), made.role.as_str()), ("admin-2", "admin"));
    }
}
