//! `hearth run --resume RUN`: jobs whose machines were kept, from their failed steps on.

use std::sync::Arc;

use anyhow::{Context, Result, bail};
use model::{Conclusion, EventSink, JobResult};

use super::drive::{FLUSH_EVERY, JobScreen, Screen};
use super::interrupt::Interrupts;
use super::output::{self, JobTitle, RunEnd, RunStart};
use super::session::{Session, artifacts};
use super::{Task, given, machines, pause_on_panic};
use crate::args::RunArgs;
use crate::config::Config;
use crate::data::DataFolder;
use crate::debug::is_called;
use crate::exit;
use crate::kept::Kept;

/// Goes on with the kept jobs of a run: with those named, or with all. Returns the exit code.
pub(super) async fn resume(mut args: RunArgs, config: Config, run: u64) -> Result<u8> {
    let data = DataFolder::open(args.places.data.clone().or_else(|| config.data.clone()))?;
    let mut all = Kept::wanted(&data, run)?;
    for job in &args.jobs {
        if !all.iter().any(|kept| is_called(kept, job)) {
            bail!(
                "no machine of a job called '{job}' is kept of run {run}; `hearth debug --list` shows them"
            );
        }
    }
    all.retain(|kept| args.jobs.is_empty() || args.jobs.iter().any(|job| is_called(kept, job)));
    let given = given::secrets(&args.secrets, args.secret_file.as_deref())?;
    refuse_without_secrets(&all, &given)?;
    let Some(first) = all.first().cloned() else { bail!("no machine of run {run} is kept") };
    // All jobs of a run have machines of one driver.
    args.machine.driver = Some(machines::named(&first.driver)?);
    let root = first.run.root.clone();
    let root = root.canonicalize().with_context(|| format!("can't open the folder {}", root.display()))?;
    let screen = Screen::new(output::of_args(&args, &root));
    pause_on_panic(&screen);
    let warnings = screen.clone();
    let warn = Arc::new(move |warning: String| warnings.lock().note(&warning));
    let session = Session::open(root, args, config, Task::Resume, warn).await?;
    session.resume(all, &first, &screen).await
}

fn refuse_without_secrets(all: &[Kept], given: &model::Secrets) -> Result<()> {
    let mut missing: Vec<String> = all.iter().flat_map(|kept| kept.secrets(given).1).collect();
    missing.sort();
    missing.dedup();
    if missing.is_empty() {
        return Ok(());
    }
    let flags: Vec<String> = missing.iter().map(|name| format!("--secret {name}")).collect();
    bail!("secrets are not kept with a machine; give those of the job again: {}", flags.join(" "))
}

impl Session {
    async fn resume(&self, all: Vec<Kept>, first: &Kept, screen: &Screen) -> Result<u8> {
        let mut interrupts = Interrupts::new().context("can't listen for Ctrl-C")?;
        let run = first.job.run;
        screen.lock().run_started(&RunStart {
            workflow: &first.run.workflow,
            name: &format!("attempt {}", first.job.attempt + 1),
            what: &first.run.what,
            driver: self.supply().driver().name(),
            logs: &self.data().logs(run),
        });
        let (mut conclusion, mut infrastructure_failed) = (Conclusion::Success, false);
        for kept in all {
            let result = self.resume_job(kept, screen, &mut interrupts).await?;
            infrastructure_failed |= result.infrastructure_error.is_some();
            conclusion = match (conclusion, result.conclusion) {
                (worst, Conclusion::Success | Conclusion::Skipped) => worst,
                (_, ended) => ended,
            };
            if conclusion == Conclusion::Cancelled {
                break;
            }
        }
        self.supply().settle().await;
        screen.lock().pause();
        self.finish_results(screen).await;
        let artifacts = artifacts(self.data(), self.args.artifacts.as_deref(), run);
        screen.lock().run_finished(&RunEnd { conclusion, artifacts: artifacts.as_deref() });
        Ok(exit::of_run(conclusion, infrastructure_failed))
    }

    /// One job, in a machine as its failed step left it.
    async fn resume_job(
        &self,
        mut kept: Kept,
        screen: &Screen,
        interrupts: &mut Interrupts,
    ) -> Result<JobResult> {
        let given = given::secrets(&self.args.secrets, self.args.secret_file.as_deref())?;
        begin_attempt(&mut kept);
        kept.write(self.data())?;
        let mut job = kept.job.clone();
        job.secrets = kept.secrets(&given).0;
        let title = JobTitle { id: job.id, key: job.key.clone(), name: job.name.clone() };
        screen.lock().job_queued(&title);
        let jobs = self.job_runner(job.run, kept.run.clone());
        let cancellation = runner::Cancellation::default();
        let sink: Arc<dyn EventSink> = Arc::new(JobScreen { screen: screen.clone(), title: title.clone() });
        let running = jobs.run(job, Some(&kept), &title, sink, screen.clone(), cancellation.clone());
        tokio::pin!(running);
        let mut flush = tokio::time::interval(FLUSH_EVERY);
        let mut interrupted = false;
        loop {
            tokio::select! {
                result = &mut running => return Ok(result),
                () = interrupts.next() => {
                    match interrupted {
                        false => cancellation.cancel(),
                        true => cancellation.kill(),
                    }
                    interrupted = true;
                }
                _ = flush.tick() => screen.lock().flush(),
            }
        }
    }
}

/// Counts the attempt, in all that tells it.
fn begin_attempt(kept: &mut Kept) {
    kept.job.attempt += 1;
    if let Some(github) = kept.job.contexts.github.as_object_mut() {
        github.insert("run_attempt".to_owned(), kept.job.attempt.to_string().into());
    }
}
