//! What jobs have left: artifacts and caches.

use std::os::fd::AsFd;
use std::path::{Path, PathBuf};

use anyhow::{Context, Result, bail};
use server::api::wire::{Artifact, Artifacts, Caches};
use server::client::Method;
use server::pages::format::size;
use tokio::io::AsyncWriteExt;

use super::connection::{Connection, NOTHING, query};
use super::words::day;
use crate::args::{ArtifactArgs, ArtifactsWhat, CachesWhat};
use crate::table::Table;

/// Stands for standard output.
const STDOUT: &str = "-";

pub(super) async fn artifacts(what: ArtifactsWhat) -> Result<()> {
    match what {
        ArtifactsWhat::Ls { run, of, name, most, server } => {
            let server = Connection::of(&server)?;
            let path = match run {
                Some(run) => format!("/api/v1/runs/{run}/artifacts"),
                None => query(
                    "/api/v1/artifacts",
                    &[("repository", of.repository), ("name", name), ("limit", Some(most.limit.to_string()))],
                ),
            };
            let found: Artifacts = server.get(&path).await?;
            let mut table = Table::new(&["RUN", "NUMBER", "NAME", "SIZE", "KEPT UNTIL", "MADE"], 2);
            for one in &found.artifacts {
                let (run, number) = (one.run_id.to_string(), one.id.to_string());
                let cells = [run, number, one.name.clone(), size(one.size), day(one.expires_at)];
                table.row_at(cells, one.created_at);
            }
            server.show(&found, &table)
        }
        ArtifactsWhat::Get { which, output, server } => {
            let server = Connection::of(&server)?;
            let one = meant(&server, &which).await?;
            fetch(&server, &one, output).await
        }
        ArtifactsWhat::Rm { which, server } => {
            let server = Connection::of(&server)?;
            let one = meant(&server, &which).await?;
            Ok(server.tell(Method::DELETE, &path_of(&one), NOTHING).await?)
        }
    }
}

pub(super) async fn caches(what: CachesWhat) -> Result<()> {
    match what {
        CachesWhat::Ls { of, reference, key, most, server } => {
            let server = Connection::of(&server)?;
            let path = query(
                "/api/v1/caches",
                &[
                    ("repository", of.repository),
                    ("ref", reference),
                    ("key", key),
                    ("limit", Some(most.limit.to_string())),
                ],
            );
            show_caches(&server, &server.get(&path).await?)
        }
        CachesWhat::Rm { cache: Some(cache), server, .. } => {
            let path = format!("/api/v1/caches/{cache}");
            Ok(Connection::of(&server)?.tell(Method::DELETE, &path, NOTHING).await?)
        }
        CachesWhat::Rm { cache: None, key, repository, reference, server } => {
            let server = Connection::of(&server)?;
            let path =
                query("/api/v1/caches", &[("repository", repository), ("key", key), ("ref", reference)]);
            show_caches(&server, &server.remove(&path).await?)
        }
    }
}

fn show_caches(server: &Connection, found: &Caches) -> Result<()> {
    let mut table = Table::new(&["CACHE", "KEY", "SIZE", "REF", "REPOSITORY", "LAST USED"], 1);
    for one in &found.caches {
        let cells = [
            one.id.to_string(),
            one.key.clone(),
            size(one.size),
            one.reference.clone(),
            one.repository.clone(),
        ];
        table.row_at(cells, one.used_at);
    }
    server.show(found, &table)
}

/// The artifact of a run that somebody means by its name or its number.
async fn meant(server: &Connection, which: &ArtifactArgs) -> Result<Artifact> {
    let (run, word) = (which.run, which.artifact.as_str());
    let found: Artifacts = server.get(&format!("/api/v1/runs/{run}/artifacts")).await?;
    let names: Vec<String> = found.artifacts.iter().map(|one| one.name.clone()).collect();
    let by_name = found.artifacts.iter().position(|one| one.name == word);
    let number = || found.artifacts.iter().position(|one| word.parse() == Ok(one.id));
    match by_name.or_else(number) {
        Some(place) => Ok(found.artifacts[place].clone()),
        None if names.is_empty() => bail!("run {run} has no artifacts"),
        None => bail!("run {run} has no artifact {word:?}; its artifacts: {}", names.join(", ")),
    }
}

fn path_of(artifact: &Artifact) -> String {
    format!("/api/v1/runs/{}/artifacts/{}", artifact.run_id, artifact.id)
}

async fn fetch(server: &Connection, artifact: &Artifact, output: Option<PathBuf>) -> Result<()> {
    let mut content = server.download(&path_of(artifact)).await?;
    if output.as_deref() == Some(Path::new(STDOUT)) {
        let stdout = std::fs::File::from(std::io::stdout().as_fd().try_clone_to_owned()?);
        let mut stdout = tokio::fs::File::from_std(stdout);
        tokio::io::copy(&mut content, &mut stdout).await.context("can't fetch the artifact")?;
        return Ok(stdout.flush().await?);
    }
    // A name of the job's making names a file here and none elsewhere.
    let own = || Path::new(&artifact.file_name).file_name().map(PathBuf::from);
    let to = output.or_else(own).context("the artifact's name is none of a file; name one with --output")?;
    let file = tokio::fs::File::create_new(&to).await;
    let mut file =
        file.with_context(|| format!("can't write {}; name another with --output", to.display()))?;
    let copied = tokio::io::copy(&mut content, &mut file).await;
    let copied = match copied {
        Ok(copied) => file.flush().await.map(|()| copied),
        Err(error) => Err(error),
    };
    match copied {
        Ok(copied) if copied == artifact.size => {}
        ended => {
            // Half an artifact is worse than none.
            let _ = tokio::fs::remove_file(&to).await;
            let reason = ended
                .map_or_else(|error| error.to_string(), |copied| format!("it ended after {copied} bytes"));
            bail!("can't fetch the artifact to {}: {reason}", to.display());
        }
    }
    say!("{}", to.display());
    Ok(())
}
