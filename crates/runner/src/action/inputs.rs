//! The inputs of an action: what the step gives, and defaults.

use model::Template;

use super::Manifest;
use crate::contexts::Status;
use crate::environment::Variables;
use crate::job::{JobRun, WorkError};
use crate::step::{Frame, StepRun};

impl JobRun<'_> {
    /// Evaluates `with`, and the defaults of what it leaves out. Names are compared without case.
    pub(super) async fn action_inputs(
        &self,
        manifest: &Manifest,
        with: Option<&Template>,
        frame: &Frame,
        run: &mut StepRun,
    ) -> Result<Variables, WorkError> {
        let given = self.evaluator.pairs(with, "with", &mut run.scope).await?;
        let mut inputs = Variables::new();
        for (name, value) in given {
            let known = manifest.inputs.iter().find(|input| input.name.eq_ignore_ascii_case(&name));
            if let Some(message) = known.and_then(|input| input.deprecation.as_ref()) {
                let warning = format!("Input '{name}' has been deprecated with message: {message}");
                self.log.warning(run.at, warning);
            }
            inputs.insert(name, value);
        }
        self.warn_of_unexpected(manifest, &inputs, run);
        // Defaults see what belongs to the job, not the steps and the env around.
        let status = Status { job: self.progress.status, action: None };
        let mut scope = self.scope(frame, status, &run.id);
        let github = self.github_value(&run.github);
        scope.set("github", github);
        for input in &manifest.inputs {
            if !inputs.keys().any(|name| name.eq_ignore_ascii_case(&input.name)) {
                let value = self.evaluator.text(input.default.as_ref(), &mut scope).await?;
                inputs.insert(input.name.clone(), value.unwrap_or_default());
            }
        }
        Ok(inputs)
    }

    /// Says of an action that has failed that it had no token, where GitHub would have given it one.
    pub(super) fn warn_of_missing_token(&self, manifest: &Manifest, run: &StepRun) {
        let is_token = |default: &Option<Template>| matches!(default, Some(Template::Expression(source)) if source.trim().eq_ignore_ascii_case("github.token"));
        let is_empty = |name: &str| run.inputs.get(name).is_some_and(String::is_empty);
        if let Some(input) =
            manifest.inputs.iter().find(|input| is_token(&input.default) && is_empty(&input.name))
        {
            let warning = format!(
                "The action had no '{}': it is github.token unless given, and this run has none. Give it one: --secret \
                 GITHUB_TOKEN",
                input.name
            );
            self.log.warning(run.at, warning);
        }
    }

    fn warn_of_unexpected(&self, manifest: &Manifest, inputs: &Variables, run: &StepRun) {
        let known = |name: &str| manifest.inputs.iter().any(|input| input.name.eq_ignore_ascii_case(name));
        let unexpected: Vec<&str> = inputs.keys().map(String::as_str).filter(|name| !known(name)).collect();
        if unexpected.is_empty() {
            return;
        }
        let valid: Vec<&str> = manifest.inputs.iter().map(|input| input.name.as_str()).collect();
        self.log.warning(
            run.at,
            format!(
                "Unexpected input(s) '{}', valid inputs are ['{}']",
                unexpected.join("', '"),
                valid.join("', '")
            ),
        );
    }
}
