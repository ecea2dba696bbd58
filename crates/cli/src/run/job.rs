//! One job of a local run: a machine for it, what it may ask of the host, and its end.

use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use machine::Machine;
use model::{Conclusion, EventSink, Job, JobEvent, JobResult, Template};
use runner::{Cancellation, Halted, JobEnd, Services};
use workflow::plan::{JobPath, JobPlace, RunsOn};

use super::contacts::ContactsFile;
use super::drive::{Screen, ended_without_running};
use super::machines::foreign_label;
use super::output::JobTitle;
use super::reach::WorkflowReach;
use super::supply::Supply;
use crate::data::DataFolder;
use crate::kept::{Keeper, Kept, RunLog};
use crate::told::told;

/// Gives a job what it may ask of the host.
pub(crate) type ServicesOf = Box<dyn Fn(&Job) -> Services + Send + Sync>;

/// Runs the jobs of one run, each on a machine of its own.
pub(crate) struct JobRunner {
    /// Where machines come from.
    pub(crate) supply: Arc<Supply>,
    /// What of the network each job may reach.
    pub(crate) reach: WorkflowReach,
    /// Foreign labels that the user wants run here all the same.
    pub(crate) accepted_labels: Vec<String>,
    /// Environment of every step, outside of the workflow's own (`--env`).
    pub(crate) env: Option<Template>,
    /// Gives each job what it may ask of the host.
    pub(crate) services: ServicesOf,
    /// Folder for what jobs leave in their work folders (`--keep`).
    pub(crate) keep: Option<PathBuf>,
    /// How jobs are run.
    pub(crate) options: runner::RunnerOptions,
    /// Where kept machines are.
    pub(crate) data: DataFolder,
    /// Keeps the machines of jobs that fail (`--debug-on-failure`).
    pub(crate) keeper: Option<Keeper>,
    /// Where what comes of the jobs is written, if the run shall be able to go on, or does.
    pub(crate) log: Option<RunLog>,
}

impl JobRunner {
    /// Why a job with these labels can't be run here, if so.
    pub(crate) fn refusal(&self, runs_on: &RunsOn) -> Option<String> {
        foreign_label(&runs_on.labels, &self.accepted_labels)
    }

    /// Runs a job, and writes down what comes of it.
    pub(crate) async fn run(
        &self,
        job: Job,
        place: Option<JobPlace>,
        title: &JobTitle,
        sink: Arc<dyn EventSink>,
        screen: Screen,
        cancellation: Cancellation,
    ) -> JobResult {
        let (Some(log), Some(place)) = (&self.log, place) else {
            return self.run_from(job, None, title, sink, screen, cancellation).await;
        };
        let tell = |written: anyhow::Result<()>| {
            if let Err(error) = written {
                screen
                    .lock()
                    .machine_note(title, &format!("the run can't go on another time: {}", told(&error)));
            }
        };
        let found = self.kept(&job, &place);
        tell(log.job_begins(job.id, &place.path));
        let result = match found {
            Ok(kept) => {
                let from = Place { path: &place.path, kept };
                self.run_from(job, Some(from), title, sink, screen.clone(), cancellation).await
            }
            Err(error) => {
                let result = ended_without_running(Conclusion::Failure, Some(told(&error)));
                ended(&*sink, result, Duration::ZERO)
            }
        };
        tell(log.job_ended(title.id, &place.path, &result));
        result
    }

    /// The machine of a job that an earlier attempt has kept, and where the job stood. Where something that the
    /// job needs has run since, it begins anew: that machine is of no use any more.
    fn kept(&self, job: &Job, place: &JobPlace) -> anyhow::Result<Option<(Kept, Halted)>> {
        let Some(kept) = Kept::of_job(&self.data, job.run, &place.path)? else { return Ok(None) };
        if !place.same_needs {
            kept.remove(&self.data)?;
            return Ok(None);
        }
        let halted = kept.halted(&self.data)?;
        Ok(Some((kept, halted)))
    }

    /// Gives the job a machine, runs it, and destroys the machine. A job whose machine was kept goes on there.
    async fn run_from(
        &self,
        mut job: Job,
        from: Option<Place<'_>>,
        title: &JobTitle,
        sink: Arc<dyn EventSink>,
        screen: Screen,
        cancellation: Cancellation,
    ) -> JobResult {
        let began = Instant::now();
        if let Some(env) = &self.env {
            job.env.insert(0, env.clone());
        }
        let (path, kept) = from.map_or((None, None), |place| (Some(place.path), place.kept));
        let (kept, halted) = kept.unzip();
        let machine = tokio::select! {
            started = self.machine(&job, kept.as_ref()) => started,
            () = cancellation.cancelled() => {
                return ended(&*sink, ended_without_running(Conclusion::Cancelled, None), began.elapsed());
            }
        };
        let mut machine = match machine {
            Ok(machine) => machine,
            Err(error) => {
                let result = ended_without_running(Conclusion::Failure, Some(told(&error)));
                return ended(&*sink, result, began.elapsed());
            }
        };
        for note in &machine.notes {
            screen.lock().machine_note(title, note);
        }
        let sink: Arc<dyn EventSink> = Arc::new(ContactsFile {
            next: sink,
            folder: self.data.run(job.run).join("network"),
            title: title.clone(),
            screen: screen.clone(),
            contacts: Mutex::default(),
        });
        let services = (self.services)(&job);
        // What is kept of the job, should it fail.
        let known = self.keeper.is_some().then(|| job.clone());
        let killed = cancellation.clone();
        let JobEnd { result, halted } = runner::run_job_from(
            job,
            halted,
            &machine,
            services,
            Arc::clone(&sink),
            cancellation,
            self.options.clone(),
        )
        .await;
        if result.infrastructure_error.is_some()
            && let Some(words) = machine.guard.last_words().await
        {
            screen.lock().machine_note(title, &words);
        }
        if let Some(folder) = &self.keep {
            let kept = tokio::select! {
                kept = keep(&machine, folder, title) => kept,
                () = killed.killed() => Err(anyhow::anyhow!("the run was ended")),
            };
            screen
                .lock()
                .machine_note(title, &kept.unwrap_or_else(|error| format!("nothing is kept: {error:#}")));
        }
        if let (Some(keeper), Some(job), Some(path), Some(halted)) = (&self.keeper, &known, path, halted) {
            let said = keeper.keep(self.supply.driver(), machine, (job, path), halted).await;
            screen.lock().machine_note(
                title,
                &said.unwrap_or_else(|error| format!("its machine could not be kept: {error:#}")),
            );
            return result;
        }
        // The job has its result; a machine that does not go away is told to the user, and does not change it.
        let title = title.clone();
        self.supply.give_back(machine, move |error| screen.lock().machine_note(&title, &error.to_string()));
        result
    }

    /// A fresh machine for this job, or one as it was kept, with what it could reach then.
    async fn machine(&self, job: &Job, kept: Option<&Kept>) -> anyhow::Result<Machine> {
        match kept {
            Some(kept) => kept.restore(&self.data, self.supply.driver(), self.supply.next_id()).await,
            None => Ok(self.supply.take(self.reach.of_job(&job.key, &job.name)).await?),
        }
    }
}

/// A job in a run that can go on, and its kept machine.
struct Place<'a> {
    path: &'a JobPath,
    kept: Option<(Kept, Halted)>,
}

/// Most that is kept of one job: enough for any sane work folder, too little to fill a disk unseen.
const KEPT_BYTES: u64 = 16 * 1024 * 1024 * 1024;

/// Packs the work folder of a job, whole or not at all. Says where it is.
async fn keep(machine: &Machine, folder: &Path, title: &JobTitle) -> anyhow::Result<String> {
    tokio::fs::create_dir_all(folder).await?;
    let path = folder.join(format!("{}.tar", title.id));
    let (file, unfinished) = tempfile::NamedTempFile::new_in(folder)?.into_parts();
    machine.guest.archive_out(&machine.layout.work, tokio::fs::File::from_std(file), KEPT_BYTES).await?;
    unfinished.persist(&path)?;
    Ok(format!("its work folder is kept: {}", path.display()))
}

/// Tells the end of a job that the runner has not seen.
fn ended(sink: &dyn EventSink, result: JobResult, duration: Duration) -> JobResult {
    sink.emit(JobEvent::JobFinished { result: result.clone(), duration });
    result
}

#[cfg(test)]
mod tests {
    use machine::fake::FakeDriver;
    use machine::{Driver, MachineSpec, Network};
    use model::{JobId, MachineId};

    use super::*;

    #[tokio::test]
    async fn a_work_folder_is_kept_whole_or_not_at_all() {
        let root = tempfile::tempdir().unwrap();
        let driver = FakeDriver::new(root.path());
        let spec = MachineSpec::new(MachineId("m".to_owned()), Network::Host);
        let machine = driver.start(spec).await.unwrap();
        let title = JobTitle { id: JobId(1), key: "a".to_owned(), name: "a".to_owned() };
        let folder = root.path().join("kept");
        assert!(keep(&machine, &folder, &title).await.unwrap().ends_with("1.tar"));
        let count = || std::fs::read_dir(&folder).unwrap().count();
        assert_eq!(count(), 1);
        driver.kill_agents();
        let other = JobTitle { id: JobId(2), ..title };
        assert!(keep(&machine, &folder, &other).await.is_err());
        assert_eq!(count(), 1);
    }
}
