//! What is written of a run, so that it can go on another day.

use anyhow::Result;
use machine::MachineSpec;
use machine::network::NetworkPolicy;
use machine::sandbox::Exposures;
use workflow::plan::RunContext;

use super::{Chosen, Prepared, Session, machine_spec, network};
use crate::kept::{Machines, RunFacts, RunRecord, Text};

impl Session {
    /// The record of a run that begins.
    pub(super) fn record(&self, one: &Chosen, prepared: &Prepared, facts: RunFacts) -> Result<RunRecord> {
        let RunContext { github, secrets, .. } = &prepared.context;
        let mut github = github.clone();
        if let Some(entries) = github.as_object_mut() {
            entries.remove("token");
        }
        let text = |path: &str| Text {
            path: path.to_owned(),
            text: prepared.sources.text(path).unwrap_or_default(),
        };
        let MachineSpec { image, memory_mib, expose, .. } =
            machine_spec(&self.args, &self.config, &Exposures::default());
        // What is configured for workflows and jobs is read again when the run goes on.
        let policy = NetworkPolicy { allow: self.args.machine.allow_hosts.clone() };
        let context = &prepared.context;
        Ok(RunRecord {
            format: RunRecord::FORMAT,
            run: context.run,
            attempt: context.attempt,
            conclusion: None,
            facts,
            file: text(&one.file.path),
            called: prepared.called.iter().map(|(key, file)| (key.clone(), text(&file.file))).collect(),
            commits: context.commits.clone(),
            github,
            vars: context.vars.clone(),
            inputs: context.inputs.clone(),
            trust: context.trust,
            only: context.only.clone(),
            matrix: context.matrix.clone(),
            first_job: context.first_job,
            secrets: secrets.keys().cloned().collect(),
            env: self.env.clone(),
            machines: Machines {
                driver: self.supply.driver().name().to_owned(),
                image,
                memory_mib,
                network: network(&self.args, &self.config),
                policy,
                expose,
                labels: self.args.machine.accept_labels.clone(),
            },
            artifacts: self.args.artifacts.as_deref().map(std::path::absolute).transpose()?,
            real_checkout: self.args.real_checkout,
        })
    }
}
