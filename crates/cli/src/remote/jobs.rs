//! The jobs of an attempt, and which of them is meant.

use anyhow::{Result, bail};
use server::api::wire::{Job, Jobs};

use super::connection::{Connection, query};

/// The jobs of an attempt; of the latest where none is said.
pub(super) async fn all(server: &Connection, run: u64, attempt: Option<u32>) -> Result<Vec<Job>> {
    let path = query(
        &format!("/api/v1/runs/{run}/jobs"),
        &[("attempt", attempt.map(|attempt| attempt.to_string()))],
    );
    let jobs: Jobs = server.get(&path).await?;
    Ok(jobs.jobs)
}

/// Those that somebody means by a number, a name, or a key, which all jobs of a matrix share.
pub(super) fn meant<'a>(jobs: &'a [Job], word: &str, run: u64) -> Result<Vec<&'a Job>> {
    let by = |is: &dyn Fn(&Job) -> bool| jobs.iter().filter(|job| is(job)).collect::<Vec<_>>();
    let found = [
        by(&|job| word.parse() == Ok(job.id.0)),
        by(&|job| job.name == word),
        by(&|job| job.path == word),
        by(&|job| job.key == word),
    ];
    if let Some(found) = found.into_iter().find(|found| !found.is_empty()) {
        return Ok(found);
    }
    let names: Vec<&str> = jobs.iter().map(|job| job.name.as_str()).collect();
    match names.is_empty() {
        true => bail!("run {run} has no jobs"),
        false => bail!("run {run} has no job {word:?}; its jobs: {}", names.join(", ")),
    }
}

/// The one that is meant.
pub(super) fn one<'a>(jobs: &'a [Job], word: &str, run: u64) -> Result<&'a Job> {
    match meant(jobs, word, run)?.as_slice() {
        [job] => Ok(job),
        several => {
            let names: Vec<String> = several.iter().map(|job| format!("{} ({})", job.name, job.id)).collect();
            bail!(
                "several jobs of run {run} are called {word:?}; name one by its number: {}",
                names.join(", ")
            )
        }
    }
}
