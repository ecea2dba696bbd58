//! `github` in `serve.webhooks.allow`: the addresses that GitHub sends webhooks from, as GitHub itself says.
//!
//! They are kept in the data folder and fetched anew every day. Without any word from GitHub, now or before, the server
//! does not start: it could only take webhooks from everybody, or from nobody.

use std::path::{Path, PathBuf};
use std::time::{Duration, SystemTime};

use anyhow::{Context, Result};
use forge::github::client::{Auth, Client};
use forge::github::questions;
use machine::network::Cidr;
use server::webhook::Allowed;
use tokio_util::sync::CancellationToken;
use tracing::{info, warn};

/// How old the addresses may be: GitHub changes them a few times a year, and tells of it before.
const FRESH: Duration = Duration::from_secs(24 * 3600);

/// Wait after GitHub did not answer.
const ASK_AGAIN: Duration = Duration::from_secs(15 * 60);

/// Where they are kept in the data folder.
const FILE: &str = "github-hooks.json";

/// Keeps the list of who may send webhooks true.
pub(super) struct GithubRanges {
    file: PathBuf,
    client: Client,
    /// Those that the operator has named besides.
    own: Vec<Cidr>,
    allowed: Allowed,
    /// When GitHub was asked last.
    asked: SystemTime,
}

impl GithubRanges {
    /// Allows what GitHub last said it sends from, and `own`.
    pub(super) async fn open(
        api: &str,
        data: &Path,
        own: Vec<Cidr>,
        allowed: Allowed,
    ) -> Result<GithubRanges> {
        let client = Client::new(api, Auth::Nobody)?;
        let file = data.join(FILE);
        let mut ranges = GithubRanges { file, client, own, allowed, asked: SystemTime::UNIX_EPOCH };
        match ranges.kept() {
            Ok((asked, kept)) => {
                ranges.asked = asked;
                ranges.allow(kept);
            }
            Err(_) => ranges.ask().await.with_context(|| {
                format!(
                    "serve.webhooks.allow has `github`, and {api} does not say which addresses those are, nor did it \
                     before; start again when it can be reached, or name the ranges themselves"
                )
            })?,
        }
        Ok(ranges)
    }

    /// Asks GitHub anew every day, until `stop`.
    pub(super) async fn run(mut self, stop: CancellationToken) {
        let mut wait = FRESH.saturating_sub(self.asked.elapsed().unwrap_or(FRESH));
        while stop.run_until_cancelled(tokio::time::sleep(wait)).await.is_some() {
            wait = match self.ask().await {
                Ok(()) => FRESH,
                Err(error) => {
                    let error = format!("{error:#}");
                    warn!(
                        error,
                        "GitHub does not say where its webhooks come from; those of before are still allowed"
                    );
                    ASK_AGAIN
                }
            };
        }
    }

    async fn ask(&mut self) -> Result<()> {
        let said = questions::hooks(&self.client).await?;
        let ranges = read(&said)?;
        info!(ranges = ranges.len(), "webhooks are taken from the addresses that GitHub names");
        self.allow(ranges);
        self.asked = SystemTime::now();
        // Beside it and by renaming, so that a crash leaves none that is half written.
        let beside = self.file.with_extension("new");
        let kept = std::fs::write(&beside, serde_json::to_vec(&said)?);
        kept.and_then(|()| std::fs::rename(&beside, &self.file))
            .with_context(|| format!("can't keep GitHub's addresses in {}", self.file.display()))
    }

    fn kept(&self) -> Result<(SystemTime, Vec<Cidr>)> {
        let text = std::fs::read(&self.file)?;
        Ok((self.file.metadata()?.modified()?, read(&serde_json::from_slice::<Vec<String>>(&text)?)?))
    }

    fn allow(&self, mut ranges: Vec<Cidr>) {
        ranges.extend(self.own.iter().copied());
        self.allowed.replace(Some(ranges));
    }
}

/// Ranges as GitHub writes them. One that can't be read makes all of them doubtful.
fn read(said: &[String]) -> Result<Vec<Cidr>> {
    let range =
        |text: &String| text.parse().map_err(|()| anyhow::anyhow!("{text:?} is no range of addresses"));
    let ranges: Vec<Cidr> = said.iter().map(range).collect::<Result<_>>()?;
    anyhow::ensure!(!ranges.is_empty(), "GitHub names no address at all");
    Ok(ranges)
}

#[cfg(test)]
mod tests {
    use super::*;

    const NOBODY: &str = "http://127.0.0.1:1";

    #[tokio::test]
    async fn what_github_said_before_is_good_when_it_says_nothing_and_nothing_at_all_is_refused() {
        let folder = tempfile::tempdir().unwrap();
        let allowed = Allowed::only(Vec::new());
        let own: Cidr = "10.0.0.0/8".parse().unwrap();
        let open = async |allowed: &Allowed| {
            GithubRanges::open(NOBODY, folder.path(), vec![own], allowed.clone()).await
        };
        let error = format!("{:#}", open(&allowed).await.err().unwrap());
        assert!(error.contains("name the ranges themselves"), "{error}");
        std::fs::write(folder.path().join(FILE), "[]").unwrap();
        assert!(open(&allowed).await.is_err(), "an empty list lets nobody in");
        std::fs::write(folder.path().join(FILE), r#"["192.30.252.0/22", "2a0a:a440::/29"]"#).unwrap();
        open(&allowed).await.unwrap();
        let has = |address: &str| allowed.has(address.parse().unwrap());
        assert_eq!(
            [has("192.30.252.1"), has("2a0a:a440::1"), has("10.1.1.1"), has("8.8.8.8")],
            [true, true, true, false]
        );
    }
}
