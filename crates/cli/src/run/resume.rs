//! `hearth run --resume RUN`: a further attempt of a run, of which machines are kept.
//!
//! It goes on as the run would have: what succeeded counts, jobs whose machines are kept go on from their failed
//! steps, the others begin anew, and what needs them follows.

use std::collections::BTreeMap;
use std::sync::Arc;

use anyhow::{Context, Result, bail};
use model::{Conclusion, JobResult, RunId, Secrets};
use workflow::plan::{JobPath, RunPlan};

use super::drive::Screen;
use super::interrupt::Interrupts;
use super::output;
use super::session::{Going, Session};
use super::workflows::Sources;
use super::{Task, given, machines, pause_on_panic, pause_on_suspension, show_diagnostics};
use crate::args::RunArgs;
use crate::config::Config;
use crate::data::DataFolder;
use crate::debug::is_called;
use crate::exit;
use crate::kept::{Found, Kept, Machines, RunLog, RunRecord, Unreadable, results_of};

/// Goes on with a run: with the jobs named, or with all that did not succeed. Returns the exit code.
pub(super) async fn resume(mut args: RunArgs, config: Config, run: u64) -> Result<u8> {
    let data = DataFolder::open(args.places.data.clone().or_else(|| config.data.clone()))?;
    let Found { kept, unreadable } = Kept::wanted(&data, run)?;
    for Unreadable { name, why } in unreadable {
        eprintln!("hearth: the machine of job {} is of no use: {why}", name.job);
    }
    let record = RunRecord::read(&data, RunId(run))?;
    let named = named(&kept, &args.jobs, run)?;
    if named.is_empty() && record.conclusion == Some(Conclusion::Success) {
        bail!("run {run} has succeeded since; name a job to go on with that one all the same");
    }
    let given = given::secrets(&args.secrets, args.secret_file.as_deref())?;
    refuse_without_secrets(&record.secrets, &given)?;
    as_before(&mut args, &record)?;
    let root = record.facts.root.clone();
    let root = root.canonicalize().with_context(|| format!("can't open the folder {}", root.display()))?;
    let screen = Screen::new(output::of_args(&args, &root));
    pause_on_panic(&screen);
    let _suspension = pause_on_suspension(&screen, &args)?;
    let warnings = screen.clone();
    let warn = Arc::new(move |warning: String| warnings.lock().note(&warning));
    let session = Session::open(root, args, config, Task::Resume, warn).await?;
    session.resume(record, &given, &named, &screen).await
}

/// The kept jobs that go by these names.
fn named(kept: &[Kept], names: &[String], run: u64) -> Result<Vec<JobPath>> {
    let mut paths = Vec::new();
    for name in names {
        let before = paths.len();
        paths.extend(kept.iter().filter(|kept| is_called(kept, name)).map(|kept| kept.path.clone()));
        if paths.len() == before {
            bail!(
                "no machine of a job called '{name}' is kept of run {run}; `hearth debug --list` shows them"
            );
        }
    }
    Ok(paths)
}

fn refuse_without_secrets(names: &[String], given: &Secrets) -> Result<()> {
    let missing = names.iter().filter(|name| !given.contains_key(*name));
    let flags: Vec<String> = missing.map(|name| format!("--secret {name}")).collect();
    match flags.is_empty() {
        true => Ok(()),
        false => {
            bail!("secrets are not kept with a machine; give those of the run again: {}", flags.join(" "))
        }
    }
}

/// Makes the command line what it was, where it does not say otherwise now.
fn as_before(args: &mut RunArgs, record: &RunRecord) -> Result<()> {
    let Machines { driver, image, memory_mib, network, policy, expose, labels } = &record.machines;
    // All machines of a run are of one driver.
    args.machine.driver = Some(machines::named(driver)?);
    args.machine.image = args.machine.image.take().or_else(|| image.clone());
    args.machine.memory = args.machine.memory.or(*memory_mib);
    args.machine.network = args.machine.network.or(Some(*network));
    args.machine.expose.extend(expose.iter().cloned());
    args.machine.accept_labels.extend(labels.iter().cloned());
    if args.machine.allow_hosts.is_empty() {
        args.machine.allow_hosts.clone_from(&policy.allow);
    }
    args.artifacts = args.artifacts.take().or_else(|| record.artifacts.clone());
    args.real_checkout |= record.real_checkout;
    // They chose what goes on; what the run has altogether is in its record.
    args.jobs.clear();
    Ok(())
}

/// What counts of earlier attempts: successes, or, where jobs are named, all but these.
fn counting(results: BTreeMap<JobPath, JobResult>, named: &[JobPath]) -> BTreeMap<JobPath, JobResult> {
    let counts = |path: &JobPath, result: &JobResult| match named.is_empty() {
        true => result.conclusion == Conclusion::Success,
        false => !named.contains(path),
    };
    results.into_iter().filter(|(path, result)| counts(path, result)).collect()
}

impl Session {
    async fn resume(
        &self,
        record: RunRecord,
        given: &Secrets,
        named: &[JobPath],
        screen: &Screen,
    ) -> Result<u8> {
        let mut interrupts = Interrupts::new().context("can't listen for Ctrl-C")?;
        let (workflow, called) = record.workflows()?;
        let record = RunRecord { attempt: record.attempt + 1, ..record };
        let (run, facts, env) = (record.run, record.facts.clone(), record.env.clone());
        let plan = match RunPlan::new(workflow, called, record.context(given, self.parallel())) {
            Ok(plan) => plan,
            Err(problems) => {
                show_diagnostics(&problems, &Sources::default(), self.args.format);
                return Ok(exit::INVALID_WORKFLOW);
            }
        };
        let name = format!("attempt {}", record.attempt);
        let log = RunLog::begin(self.data(), record)?;
        let plan = plan.after(counting(results_of(self.data(), run)?, named));
        let going = Going { run, facts, name, env, log: Some(log) };
        let code = self.conduct(plan, going, screen, &mut interrupts).await;
        self.supply().close().await;
        code
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn successes_count_and_where_jobs_are_named_all_but_these() {
        let path = |name: &str| serde_json::from_value::<JobPath>(name.into()).unwrap();
        let result = |conclusion| super::super::drive::ended_without_running(conclusion, None);
        let results = BTreeMap::from([
            (path("a"), result(Conclusion::Success)),
            (path("b"), result(Conclusion::Failure)),
            (path("c"), result(Conclusion::Cancelled)),
        ]);
        let counts = |named: &[JobPath]| {
            counting(results.clone(), named).into_keys().map(|path| path.to_string()).collect::<Vec<_>>()
        };
        assert_eq!(counts(&[]), ["a"]);
        assert_eq!(counts(&[path("b")]), ["a", "c"]);
    }
}
