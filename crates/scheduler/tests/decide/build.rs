//! A queue that carries out at once what it decides.

use std::time::Duration;

use model::{JobId, RepositoryId, RunId, Timestamp};
use scheduler::queue::{Capacity, Hold, Key, Limits, Profile, Profiles, QueuedJob, QueuedRun, Subject};
use scheduler::{Command, Queue, decide, waits};
use workflow::concurrency::Concurrency;
use workflow::plan::RunsOn;

/// How long production lets jobs wait.
pub(crate) const AN_HOUR: Duration = Duration::from_secs(60 * 60);

/// The time of a new server.
pub(crate) const BEGINNING: Timestamp = Timestamp(1_000_000_000);

/// A server without a clock: `at` is the time.
pub(crate) struct Server {
    pub(crate) queue: Queue,
    pub(crate) at: Timestamp,
    /// What has started, and what was told to stop, in this order.
    pub(crate) log: Vec<String>,
}

pub(crate) fn ubuntu() -> Profile {
    Profile {
        name: "ubuntu-latest".into(),
        labels: labels(&["self-hosted", "ubuntu-latest"]),
        ..Profile::default()
    }
}

pub(crate) fn machines(profile: Profile, machines: u32) -> Profile {
    Profile { capacity: Capacity { machines: Some(machines), ..profile.capacity }, ..profile }
}

pub(crate) fn labels(labels: &[&str]) -> Vec<String> {
    labels.iter().map(|label| (*label).to_owned()).collect()
}

pub(crate) fn runs_on(on: &[&str]) -> RunsOn {
    RunsOn { group: None, labels: labels(on) }
}

pub(crate) fn group(name: &str) -> Option<Concurrency> {
    Some(Concurrency { group: name.to_owned(), cancel_in_progress: false, keep_all: false })
}

pub(crate) fn cancelling(name: &str) -> Option<Concurrency> {
    group(name).map(|group| Concurrency { cancel_in_progress: true, ..group })
}

pub(crate) fn keeping(name: &str) -> Option<Concurrency> {
    group(name).map(|group| Concurrency { keep_all: true, ..group })
}

/// What keeps a job out of production: somebody's word, who is asked since the server's time began, or time.
pub(crate) fn production(until: Option<Timestamp>) -> Option<Hold> {
    let key = until.map_or(Key::Word { asked_at: BEGINNING }, |until| Key::Time { until });
    Some(Hold { environment: "production".to_owned(), key })
}

impl Server {
    pub(crate) fn new(limits: Limits, profiles: Vec<Profile>) -> Server {
        Server { queue: Queue::new(limits, Profiles::new(profiles)), at: BEGINNING, log: Vec::new() }
    }

    /// Without limits but that of workflows, with one profile without bounds.
    pub(crate) fn plain() -> Server {
        Server::new(Limits::default(), vec![ubuntu()])
    }

    pub(crate) fn run(&self, id: u64) -> QueuedRun {
        QueuedRun {
            id: RunId(id),
            repository: RepositoryId(1),
            priority: 0,
            queued_at: self.at,
            concurrency: None,
            asked_at: None,
        }
    }

    pub(crate) fn job(&self, id: u64) -> QueuedJob {
        QueuedJob {
            id: JobId(id),
            run: RunId(1),
            repository: RepositoryId(1),
            runs_on: runs_on(&["ubuntu-latest"]),
            priority: 0,
            queued_at: self.at,
            concurrency: None,
            within: Vec::new(),
            hold: None,
            retry: None,
        }
    }

    pub(crate) fn pass(&mut self, time: Duration) {
        self.at = self.at.after(time);
    }

    /// Carries out all that is decided; what was new in the log.
    pub(crate) fn go(&mut self) -> Vec<String> {
        let before = self.log.len();
        loop {
            let commands = decide(&self.queue, self.at);
            if commands.is_empty() {
                return self.log[before..].to_vec();
            }
            commands.into_iter().for_each(|command| self.carry_out(command));
        }
    }

    fn carry_out(&mut self, command: Command) {
        let now = self.at;
        let (line, stopped): (String, Option<Subject>) = match command {
            Command::StartRun(run) => {
                assert!(self.queue.started(run, now), "run {run} may start");
                (format!("run {run}"), None)
            }
            Command::StartJob { job, placement } => {
                assert!(self.queue.started(job, now), "job {job} may start");
                (format!("job {job} on {}", placement.profile), None)
            }
            Command::LetIn(job) => {
                self.queue.approved(job, now);
                (format!("let job {job} in"), None)
            }
            Command::WaitAnew(subject) => {
                match subject {
                    Subject::Run(run) => self.queue.asked(run, now),
                    Subject::Job(job) => self.queue.held(job, self.anew(job)),
                }
                (format!("let {subject} wait anew"), None)
            }
            Command::CancelRun { run, reason } => (format!("cancel run {run}: {reason}"), Some(run.into())),
            Command::CancelJob { job, reason } => (format!("cancel job {job}: {reason}"), Some(job.into())),
            Command::Refuse { job, reason } => {
                self.queue.ended(job, now);
                (format!("refuse job {job}: {reason}"), None)
            }
        };
        if let Some(subject) = stopped {
            let runs = self
                .log
                .iter()
                .any(|line| *line == subject.to_string() || line.starts_with(&format!("{subject} on")));
            if runs { self.queue.told(subject) } else { self.queue.ended(subject, now) }
        }
        self.log.push(line);
    }

    /// What keeps a job out of production, by the clock as it is now.
    fn anew(&self, job: JobId) -> Hold {
        let until = match self.why(job).starts_with("waits until") {
            true => Key::Time { until: self.at.after(AN_HOUR) },
            false => Key::Word { asked_at: self.at },
        };
        Hold { environment: "production".to_owned(), key: until }
    }

    pub(crate) fn end(&mut self, subject: impl Into<Subject>) -> Vec<String> {
        self.queue.ended(subject, self.at);
        self.go()
    }

    /// Why somebody waits, with the place, as `2. sentence`.
    pub(crate) fn why(&self, subject: impl Into<Subject>) -> String {
        let subject = subject.into();
        let found = waits(&self.queue, self.at).into_iter().find(|wait| wait.subject == subject);
        match found {
            Some(wait) => match wait.place {
                Some(place) => format!("{place}. {}", wait.reason),
                None => wait.reason.to_string(),
            },
            None => "does not wait".to_owned(),
        }
    }
}
