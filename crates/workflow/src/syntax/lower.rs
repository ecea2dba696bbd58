//! Steps of a file to steps that the runner takes.

use model::ProcessStep;

use super::workflow::{Node, Step, StepWork};

impl Step {
    /// The step as the runner takes it, without places.
    pub fn to_model(&self) -> model::Step {
        model::Step {
            id: self.id.clone(),
            name: self.name.as_ref().map(Node::to_template),
            condition: self.condition.to_string(),
            env: self.env.as_ref().map(Node::to_template),
            continue_on_error: self.continue_on_error.as_ref().map(Node::to_template),
            timeout_minutes: self.timeout_minutes.as_ref().map(Node::to_template),
            background: self.background,
            work: self.work.to_model(),
        }
    }
}

impl StepWork {
    /// The work as the runner takes it, without places.
    pub fn to_model(&self) -> model::StepWork {
        match self {
            StepWork::Run { script, shell, working_directory } => model::StepWork::Script(ProcessStep {
                script: script.to_template(),
                shell: shell.as_ref().map(Node::to_template),
                working_directory: working_directory.as_ref().map(Node::to_template),
            }),
            StepWork::Uses { uses, with } => model::StepWork::Action {
                uses: uses.value.clone(),
                with: with.as_ref().map(Node::to_template),
            },
            StepWork::Wait { steps } => model::StepWork::Wait { steps: steps.clone() },
            StepWork::Cancel { step } => model::StepWork::Cancel { step: step.clone() },
        }
    }
}
