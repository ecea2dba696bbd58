//! The runs of one command: planned first, so that they can share concurrency groups, then carried out.

use anyhow::{Context, Result};
use workflow::plan::{RunPlan, begin_together, run_name};

use super::{Chosen, Going, Session};
use crate::exit;
use crate::kept::{RunLog, RunRecord};
use crate::run::drive::Screen;
use crate::run::interrupt::Interrupts;
use crate::run::{number, show_diagnostics};

/// A run that can begin.
struct Planned {
    plan: RunPlan,
    going: Going,
    /// What is written of it, if it may go on another day.
    record: Option<RunRecord>,
}

impl Session {
    /// Runs each workflow, one after the other. Returns the exit code of the worst.
    pub(crate) async fn run_all(&self, chosen: &[Chosen], screen: &Screen) -> Result<u8> {
        let mut interrupts = Interrupts::new().context("can't listen for Ctrl-C")?;
        let mut runs = Vec::new();
        for one in chosen {
            runs.extend(self.planned(one).await?);
        }
        if runs.len() < chosen.len() {
            self.supply.close().await;
            return Ok(exit::INVALID_WORKFLOW);
        }
        let mut code = exit::SUCCESS;
        begin_together(&mut runs.iter_mut().map(|run| &mut run.plan).collect::<Vec<_>>());
        for Planned { plan, going, record } in runs {
            let log = record.map(|record| RunLog::begin(&self.data, record)).transpose()?;
            let going = Going { log, ..going };
            code = exit::graver(code, self.conduct(plan, going, screen, &mut interrupts).await?);
            if interrupts.came() {
                code = exit::CANCELLED;
                break;
            }
        }
        self.supply.close().await;
        Ok(code)
    }

    /// The run of a workflow; `None` after problems were shown.
    async fn planned(&self, one: &Chosen) -> Result<Option<Planned>> {
        let run = number::new_run(self.data.root())?;
        let number = number::next_number(self.data.root(), &self.facts.repository, &one.file.path)?;
        let github = self.github(one, run, number);
        let Some(prepared) = self.prepare(one, run, github.clone()).await? else { return Ok(None) };
        let what = format!("{} {}", one.event.name, self.facts.short());
        let facts = self.run_facts(one, &what);
        let record = match self.args.debug_on_failure {
            true => Some(self.record(one, &prepared, facts.clone())?),
            false => None,
        };
        let plan = match RunPlan::new(prepared.workflow, prepared.called, prepared.context) {
            Ok(plan) => plan,
            Err(problems) => {
                show_diagnostics(&problems, &prepared.sources, self.args.format);
                return Ok(None);
            }
        };
        let name = run_name(&one.workflow, &github, &one.inputs, &self.vars);
        let going = Going { run, facts, name, env: self.env.clone(), log: None };
        Ok(Some(Planned { plan, going, record }))
    }
}
