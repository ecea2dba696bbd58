//! Mirrors of real repositories, fetched by the real git.

mod changes;
mod checking_out;
mod damage;
mod network;
mod origin;
mod reading;
mod server;

use forge::git::{Mirror, MirrorError, Mirrors, Remote, Want};
use origin::Origin;

/// A folder of mirrors, and the repository that is mirrored in it.
struct Place {
    folder: tempfile::TempDir,
    mirrors: Mirrors,
    origin: Origin,
}

impl Place {
    fn new() -> Place {
        Place::around(Origin::new())
    }

    fn around(origin: Origin) -> Place {
        let folder = tempfile::tempdir().unwrap();
        let mirrors = Mirrors::open(folder.path().join("mirrors")).unwrap();
        Place { folder, mirrors, origin }
    }

    fn remote(&self) -> Remote {
        Remote { name: "octo/hello".into(), url: self.origin.url(), auth: None }
    }

    async fn fetch(&self, want: &[Want]) -> Result<Mirror, MirrorError> {
        self.mirrors.fetch(&self.remote(), want).await
    }

    async fn mirror(&self) -> Mirror {
        self.fetch(&[]).await.unwrap_or_else(|error| panic!("{error}"))
    }
}
