//! Where repositories come from.

use std::time::Instant;

use forge::commit::CommitSpec;
use forge::git::{Mirror, MirrorError, Mirrors, Remote, Want};
use forge::github::context::Addresses;
use forge::repository::RepositoryName;
use runner::action_store::MirrorTemplate;

use crate::reader::Reader;

/// One forge's repositories, mirrored.
pub struct Origin {
    /// Where it is.
    pub addresses: Addresses,
    /// Where git finds repositories, if it is not there.
    pub elsewhere: Option<MirrorTemplate>,
    /// The mirrors.
    pub mirrors: Mirrors,
    /// What lets Hearth read private repositories.
    pub reader: Reader,
}

impl Origin {
    /// Where git finds a repository.
    #[must_use]
    pub fn url(&self, name: &RepositoryName) -> String {
        match &self.elsewhere {
            Some(template) => template.url(name.owner(), name.name()),
            None => self.addresses.clone_url(name),
        }
    }

    /// The mirror of a repository, with all of its branches and tags as they were at `since` or later, and what is
    /// wanted besides.
    ///
    /// # Errors
    /// It can't be fetched, or what is wanted is not there.
    pub async fn mirror(&self, name: &str, want: &[Want], since: Instant) -> Result<Mirror, MirrorError> {
        let parsed = name.parse()?;
        let auth = self.reader.auth(&parsed).await?;
        let remote = Remote { url: self.url(&parsed), auth, name: name.to_owned() };
        self.mirrors.fetch_since(&remote, want, since).await
    }

    /// The mirror of a repository as it is, where it has this commit: what has been fetched once needs no server, be it
    /// slow or away. Otherwise as [`mirror`](Origin::mirror).
    ///
    /// # Errors
    /// It can't be fetched, or what is wanted is not there.
    pub async fn mirror_with(&self, sha: &str, name: &str, want: &[Want]) -> Result<Mirror, MirrorError> {
        if let Some(mirror) = self.mirrors.get(name)?
            && mirror.resolve(&CommitSpec::Sha(sha.to_owned())).await.is_ok()
        {
            return Ok(mirror);
        }
        self.mirror(name, want, Instant::now()).await
    }
}
