//! `hearth logs -f`: lines as they come, until what is followed has ended.
//!
//! One stream of events says what changes in the run; one for each job that speaks carries its lines. Both are opened
//! anew where they break off: the first says then how things stand, and the others go on after the last line.

use std::collections::BTreeSet;
use std::time::Duration;

use anyhow::{Result, bail};
use model::{JobState, RunState};
use server::api::wire::{Happened, Job, Line, Run, Runs, What};
use server::client::Event;
use tokio::sync::mpsc;
use tokio::task::JoinSet;

use super::connection::Connection;
use super::log::Printer;
use super::steady::Steady;
use super::{jobs, words};
use crate::run::output::{one_line, seconds};

/// Batches of lines that wait to be printed: a slow terminal makes the server wait, not this process grow.
const WAITING_BATCHES: usize = 16;

/// How long a run that is not there yet may take to come: the first fetch of a large repository, and some queueing.
const COMES_WITHIN: Duration = Duration::from_secs(30);

/// Lines of a job.
type Batch = (Job, Vec<Line>);

/// Prints the lines of an attempt, or of one job of it, until it has ended. The jobs.
pub(super) async fn follow(
    server: &Connection,
    run: u64,
    attempt: u32,
    word: Option<&str>,
    printer: Printer,
) -> Result<Vec<Job>> {
    let mut events = Steady::new(server.clone(), format!("/api/v1/runs/{run}/events")).told();
    let (sender, mut lines) = mpsc::channel::<Batch>(WAITING_BATCHES);
    let mut followed = Followed {
        run,
        attempt,
        word,
        tails: JoinSet::new(),
        begun: BTreeSet::new(),
        told: BTreeSet::new(),
        last: None,
        printer,
    };
    let mut over = None;
    loop {
        if let Some(jobs) = over.take_if(|_: &mut Vec<Job>| followed.tails.is_empty()) {
            while let Ok((job, batch)) = lines.try_recv() {
                followed.print(&job, &batch);
            }
            return Ok(jobs);
        }
        tokio::select! {
            // What has been said comes before what becomes of it.
            biased;
            Some((job, batch)) = lines.recv() => followed.print(&job, &batch),
            Some(ended) = followed.tails.join_next() => ended??,
            event = events.next(), if over.is_none() => {
                if matters(&event?) {
                    match followed.look(server, &sender).await {
                        Ok(looked) => over = looked,
                        // Once the stream is open again, it is looked again.
                        Err(error) => events.doubt(error.downcast()?)?,
                    }
                }
            }
        }
    }
}

/// Whether it may have changed which jobs there are, or how they stand.
fn matters(event: &Event) -> bool {
    match event.name.as_str() {
        "open" | "lagged" => true,
        "changed" => serde_json::from_str::<Happened>(&event.data)
            .is_ok_and(|happened| matches!(happened.what, What::Run | What::Job)),
        _ => false,
    }
}

struct Followed<'a> {
    run: u64,
    attempt: u32,
    word: Option<&'a str>,
    /// Those that carry lines.
    tails: JoinSet<Result<()>>,
    /// Jobs whose lines are carried, or were.
    begun: BTreeSet<u64>,
    /// Jobs whose end was told.
    told: BTreeSet<u64>,
    /// What was last told of the run.
    last: Option<String>,
    printer: Printer,
}

impl Followed<'_> {
    /// Sees how things stand. The jobs, once all that is followed has ended.
    async fn look(&mut self, server: &Connection, lines: &mpsc::Sender<Batch>) -> Result<Option<Vec<Job>>> {
        let run: Run = server.get(&format!("/api/v1/runs/{}", self.run)).await?;
        let is_over = run.state == RunState::Ended || run.attempt > self.attempt;
        let all = jobs::all(server, self.run, Some(self.attempt)).await?;
        let wanted: Vec<Job> = match self.word {
            None => all,
            // It may come yet, after those that it needs.
            Some(word) => match jobs::meant(&all, word, self.run) {
                Err(_) if !is_over => Vec::new(),
                meant => meant?.into_iter().cloned().collect(),
            },
        };
        if self.word.is_none() || wanted.len() > 1 {
            self.printer.announce(&wanted);
        }
        for job in &wanted {
            if speaks(job) && self.begun.insert(job.id.0) {
                self.tails.spawn(tail(server.clone(), job.clone(), lines.clone()));
            }
        }
        self.tell(&run, &wanted);
        let jobs_are_over = !wanted.is_empty() && wanted.iter().all(|job| job.state == JobState::Ended);
        Ok((is_over || self.word.is_some() && jobs_are_over).then_some(wanted))
    }

    /// Says, beside the logs, why nothing comes, and what has ended.
    fn tell(&mut self, run: &Run, jobs: &[Job]) {
        let waits = matches!(run.state, RunState::Waiting | RunState::Queued);
        if let Some(reason) = run.reason.as_ref().filter(|_| waits && self.last != run.reason) {
            eprintln!("hearth: run {} waits: {}", run.id, one_line(reason));
            self.last = Some(reason.clone());
        }
        for job in jobs.iter().filter(|job| job.state == JobState::Ended) {
            if !self.told.insert(job.id.0) {
                continue;
            }
            let took = words::took(job.started_at, job.ended_at, run.created_at);
            let took = took.map(|took| format!(" after {}", seconds(took))).unwrap_or_default();
            let stands = words::of_job(job.state, job.conclusion);
            eprintln!("hearth: job {}: {stands}{took}", one_line(&job.name));
        }
    }

    fn print(&self, job: &Job, batch: &[Line]) {
        batch.iter().for_each(|line| self.printer.line(job, line));
    }
}

/// Whether it has a log: it began, another did in its place, or it was given a machine that never came, which the log
/// says.
fn speaks(job: &Job) -> bool {
    job.started_at.is_some() || job.taken_from.is_some() || job.tries > 0
}

/// Carries the lines of a job until its log ends, each once.
async fn tail(server: Connection, job: Job, lines: mpsc::Sender<Batch>) -> Result<()> {
    let path = |from: u64| format!("/api/v1/jobs/{}/log/events?from={from}", job.id);
    let mut events = Steady::new(server, path(0));
    loop {
        let event = events.next().await?;
        match event.name.as_str() {
            "lines" => {
                let batch: Vec<Line> = serde_json::from_str(&event.data)?;
                if let Some(last) = batch.last() {
                    events.go_on_at(path(last.number + 1));
                }
                if lines.send((job.clone(), batch)).await.is_err() {
                    return Ok(());
                }
            }
            "end" => return Ok(()),
            "error" => bail!("the log of job {} can't be read: {}", job.name, event.data),
            _ => {}
        }
    }
}

/// A run that is there, or comes within a while: a webhook is a run once its commit was fetched.
pub(super) async fn awaited(server: &Connection, id: u64) -> Result<Run> {
    let path = format!("/api/v1/runs/{id}");
    let missing = match server.get(&path).await {
        Err(error) if error.is_missing() => error,
        found => return Ok(found?),
    };
    let newest: Runs = server.get("/api/v1/runs?limit=1").await?;
    let newest = newest.runs.first().map_or(0, |run| run.id.0);
    if id <= newest {
        return Err(missing.into());
    }
    let seconds = COMES_WITHIN.as_secs();
    eprintln!("hearth: {missing} yet, the newest is {newest}; waiting {seconds} s for it to come");
    let mut events = Steady::new(server.clone(), "/api/v1/events".to_owned());
    let come = async {
        loop {
            if !tells_of(&events.next().await?, id) {
                continue;
            }
            match server.get(&path).await {
                Err(error) if error.is_missing() => {}
                found => return found,
            }
        }
    };
    match tokio::time::timeout(COMES_WITHIN, come).await {
        Ok(found) => Ok(found?),
        Err(_) => bail!("{missing}; `hearth deliveries` says what became of the last webhooks"),
    }
}

/// Whether there may be this run now.
fn tells_of(event: &Event, run: u64) -> bool {
    match event.name.as_str() {
        "open" | "lagged" => true,
        "changed" => serde_json::from_str::<Happened>(&event.data).is_ok_and(|what| what.run_id.0 == run),
        _ => false,
    }
}
