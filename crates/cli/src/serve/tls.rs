//! `serve.tls` of the configuration: the server's own certificate, read anew when it was renewed.

use std::path::{Path, PathBuf};
use std::time::{Duration, SystemTime};

use anyhow::Result;
use serde::Deserialize;
use server::tls::Tls;
use tokio::signal::unix::{SignalKind, signal};
use tokio_util::sync::CancellationToken;
use tracing::{info, warn};

/// How often the files are looked at: certificates are renewed weeks before they end.
const LOOK_EVERY: Duration = Duration::from_secs(10);

/// Files of the certificate, in `hearth.yaml`.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
pub(crate) struct TlsConfig {
    /// The certificate, then those that it rests on, in PEM.
    certificate: PathBuf,
    /// Its key, in PEM.
    key: PathBuf,
}

/// What a file is known by, without reading it.
type Stamp = Option<(SystemTime, u64)>;

impl TlsConfig {
    /// Reads both files.
    pub(super) fn open(&self) -> Result<Tls> {
        Ok(Tls::open(&self.certificate, &self.key)?)
    }

    /// Reads the files again when they have changed, or on SIGHUP, until `stop`. A pair that can't be used is told, and
    /// the former one stays.
    pub(super) async fn watch(self, tls: Tls, stop: CancellationToken) -> Result<()> {
        let mut asked = signal(SignalKind::hangup())?;
        let mut known = self.stamps();
        let mut every = tokio::time::interval(LOOK_EVERY);
        loop {
            let is_asked = tokio::select! {
                () = stop.cancelled() => return Ok(()),
                _ = asked.recv() => true,
                _ = every.tick() => false,
            };
            let found = self.stamps();
            if !is_asked && found == known {
                continue;
            }
            known = found;
            let tls = tls.clone();
            let reloaded = tokio::task::spawn_blocking(move || tls.reload()).await?;
            let certificate = self.certificate.display();
            match reloaded {
                Ok(()) => info!(%certificate, "new connections are shown the certificate as it is now"),
                Err(error) => warn!(%error, "the new certificate can't be used; the former one stays"),
            }
        }
    }

    fn stamps(&self) -> [Stamp; 2] {
        [stamp(&self.certificate), stamp(&self.key)]
    }
}

fn stamp(path: &Path) -> Stamp {
    let metadata = path.metadata().ok()?;
    Some((metadata.modified().ok()?, metadata.len()))
}
