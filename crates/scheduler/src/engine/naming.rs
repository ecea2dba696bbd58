//! What a run is called and which concurrency group it asks for: both may speak of the run's own id, so they come
//! after it was made and before it waits for its turn.

use serde_json::Value as Json;
use store::Change;
use store::record::{NewRun, Run};
use workflow::concurrency::Concurrency;
use workflow::plan::{run_group, run_name};

use crate::facts::RunFacts;
use crate::recipe::File;

use super::Core;
use super::prepare::PrepareError;

impl Core {
    /// Evaluates `run-name` and `concurrency` and writes them down.
    pub(super) async fn name(&mut self, run: &mut Run) -> Result<(), PrepareError> {
        let facts = RunFacts::from_json(&run.what.facts).map_err(|error| error.to_string())?;
        let github = self.parts.preparer.github(run, &facts).await?;
        let vars = self.parts.preparer.variables(run).await?;
        let file = File { path: run.what.workflow_path.clone(), text: facts.text };
        let workflow = file.read().map_err(|error| error.0)?;
        let name = run_name(&workflow, &github, &facts.inputs, &vars);
        let group = run_group(&workflow, &github, &facts.inputs, &vars)?;
        let title = if name.is_empty() { title(&github, &run.what.title) } else { name };
        run.what.title = title.clone();
        run.what.cancels_group = group.as_ref().is_some_and(|group| group.cancel_in_progress);
        run.what.queues_all = group.as_ref().is_some_and(|group| group.keep_all);
        run.what.group = group.map(|group| group.group);
        let named = Change::RunNamed {
            run: run.id,
            title,
            group: run.what.group.clone(),
            cancels_group: run.what.cancels_group,
            queues_all: run.what.queues_all,
        };
        match self.write(vec![named]).await {
            true => Ok(()),
            // It is for the next life.
            false if self.stop.is_cancelled() => {
                Err(PrepareError::Unreadable("the server is stopped".to_owned()))
            }
            false => Err("what it is called can't be written down".to_owned().into()),
        }
    }
}

/// As on GitHub: the title of the pull request or the issue, or the headline of the commit.
fn title(github: &Json, headline: &str) -> String {
    let titles = ["/event/pull_request/title", "/event/issue/title", "/event/discussion/title"];
    let title = titles.iter().find_map(|pointer| github.pointer(pointer)?.as_str());
    title.unwrap_or(headline).to_owned()
}

/// The group of a run that was named.
pub(super) fn concurrency(what: &NewRun) -> Option<Concurrency> {
    what.group.clone().map(|group| Concurrency {
        group,
        cancel_in_progress: what.cancels_group,
        keep_all: what.queues_all,
    })
}
