//! `hearth debug`: a shell in the machine of a failed job, as its failed step left it.

mod shell;

use anyhow::{Context, Result, bail};
use model::{MachineId, RunId, Timestamp};
use runner::Surroundings;

use crate::args::DebugArgs;
use crate::config::Config;
use crate::data::DataFolder;
use crate::kept::{Found, Kept, Unreadable, clean, none_of, prune};
use crate::run::given;
use crate::run::machines;
use crate::table::Table;
use crate::{exit, terminal};

/// Does what is asked for. Returns the exit code.
pub(crate) async fn debug(args: DebugArgs) -> Result<u8> {
    if args.list {
        let (_, data) = places(&args)?;
        prune(&data)?;
        list(&data)?;
        return Ok(exit::SUCCESS);
    }
    let run = args.run.context("which run? `hearth debug --list` shows the machines that are kept")?;
    if args.remove {
        let (_, data) = places(&args)?;
        remove(&data, run, args.job.as_deref())?;
        return Ok(exit::SUCCESS);
    }
    Ok(exit::of_command(enter(&args, run).await))
}

fn places(args: &DebugArgs) -> Result<(Config, DataFolder)> {
    let config = Config::load(args.places.config.as_deref())?;
    let data = DataFolder::open(args.places.data.clone().or_else(|| config.data.clone()))?;
    Ok((config, data))
}

/// Removes the kept machines of a run, or that of a job, also if they can't be read.
fn remove(data: &DataFolder, run: u64, job: Option<&str>) -> Result<()> {
    let found = Found::of_run(data, RunId(run))?;
    if found.is_empty() {
        return Err(none_of(run));
    }
    for one in found.kept.iter().filter(|one| job.is_none_or(|job| is_called(one, job))) {
        one.remove(data)?;
        say!("{run} {}", one.job.name);
    }
    // Nobody knows what their jobs are called.
    let names = found.unreadable.iter().map(|one| one.name);
    for name in names.filter(|name| job.is_none_or(|job| name.job.to_string() == job)) {
        name.remove(data)?;
        say!("{run} {}", name.snapshot());
    }
    clean(data, RunId(run))
}

/// Runs the command, or a shell, in the machine of the job that is meant. Returns its exit code.
async fn enter(args: &DebugArgs, run: u64) -> Result<u8> {
    let (config, data) = places(args)?;
    let chosen = choose(Kept::wanted(&data, run)?.kept, args.job.as_deref())?;
    open(args, &data, &config, &chosen).await
}

/// Whether a job goes by this: its key, its name, or its id.
pub(crate) fn is_called(kept: &Kept, job: &str) -> bool {
    let Kept { job: known, .. } = kept;
    known.key == job || known.name == job || known.id.to_string() == job
}

fn choose(mut kept: Vec<Kept>, job: Option<&str>) -> Result<Kept> {
    let names: Vec<String> = kept.iter().map(|one| format!("'{}'", one.job.name)).collect();
    let names = names.join(", ");
    if let Some(job) = job {
        kept.retain(|one| is_called(one, job));
    }
    match kept.len() {
        0 => {
            bail!("no machine of a job called '{}' is kept; of this run there are {names}", job.unwrap_or(""))
        }
        1 => Ok(kept.remove(0)),
        _ => bail!("machines of several jobs are kept; name one: {names}"),
    }
}

/// Lists the kept machines, and says which can't be read.
fn list(data: &DataFolder) -> Result<()> {
    let found = Found::all(data)?;
    let mut table = Table::new(&["RUN", "JOB", "FAILED STEP", "KEPT"], 2).then(&[1]);
    for kept in &found.kept {
        let Kept { job, checkpoint, .. } = kept;
        let cells = [job.run.to_string(), job.name.clone(), checkpoint.title()];
        table.row_at(cells, Timestamp(kept.kept_unix_ms));
    }
    table.list();
    for Unreadable { name, why } in &found.unreadable {
        eprintln!(
            "hearth: the machine of job {} of run {} is kept, but of no use: {why}",
            name.job, name.run
        );
    }
    Ok(())
}

/// Opens a clone of the machine, runs a shell or the command in it, and destroys it.
async fn open(args: &DebugArgs, data: &DataFolder, config: &Config, kept: &Kept) -> Result<u8> {
    if args.command.is_empty() {
        terminal::require("`hearth debug RUN -- COMMAND`")?;
    }
    let given = given::secrets(&args.secrets, args.secret_file.as_deref())?;
    let (secrets, _) = kept.secrets(&given);
    let halted = kept.halted(data)?;
    let seen = halted.checkpoint.surroundings(&secrets, &halted.vault);
    let driver = machines::driver(machines::named(&kept.driver)?, data, config)?;
    driver.reap().await.context("can't clean up what an earlier run left")?;
    let id = MachineId(format!("hearth-debug-{:x}-{}", kept.job.run.0, std::process::id()));
    let machine = kept.restore(data, &*driver, id).await?;
    let ended = if args.command.is_empty() {
        introduce(kept, &seen);
        shell::shell(&machine, &seen).await
    } else {
        shell::command(&machine, &seen, &args.command).await
    };
    let destroyed = machine.destroy().await;
    let code = ended?;
    destroyed?;
    Ok(code)
}

/// Says where the user is, and how to do again what failed.
fn introduce(kept: &Kept, seen: &Surroundings) {
    let Kept { job, checkpoint, .. } = kept;
    eprintln!("hearth: the machine of job '{}' as {} left it", job.name, checkpoint.title());
    if let Some(script) = &checkpoint.script {
        eprintln!("hearth: its script:   {script}");
    }
    if !seen.argv.is_empty() {
        let words: Vec<String> = seen.argv.iter().map(|word| quoted(word)).collect();
        eprintln!("hearth: run it again: {}", words.join(" "));
    }
    if !seen.withheld.is_empty() {
        eprintln!(
            "hearth: not set, as they hold secrets (--secret gives them again): {}",
            seen.withheld.join(", ")
        );
    }
    eprintln!("hearth: what you change is gone when the shell ends; the kept machine stays as it is");
}

/// A word as a shell takes it.
fn quoted(word: &str) -> String {
    let plain = |letter: char| letter.is_ascii_alphanumeric() || "-_./=+:,@%".contains(letter);
    if !word.is_empty() && word.chars().all(plain) {
        return word.to_owned();
    }
    format!("'{}'", word.replace('\'', r"'\''"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_command_to_run_again_can_be_pasted_into_a_shell() {
        assert_eq!(quoted("/usr/bin/bash"), "/usr/bin/bash");
        assert_eq!(quoted("it's $HOME"), r"'it'\''s $HOME'");
        assert_eq!(quoted(""), "''");
    }
}
