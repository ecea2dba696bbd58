//! Workflows for the tests, written as JSON (which is YAML) and read as any file is.

use std::sync::Arc;

use model::{JobId, RunId, Secret, Trust};
use serde_json::{Value as Json, json};

use crate::plan::{CalledWorkflows, RunContext};
use crate::resolve::DefaultPermissions;
use crate::schema::{ReadOptions, read_workflow};
use crate::syntax::Workflow;

/// A run of a push with one variable and two secrets beside the token.
pub(super) fn context() -> RunContext {
    RunContext {
        run: RunId(7),
        attempt: 1,
        github: json!({"event_name": "push", "ref": "refs/heads/main", "sha": "abc", "event": {"n": 3}}),
        vars: json!({"REGION": "eu", "YES": "true", "TEN": "10", "LIST": "[1]", "NONE": "[]", "MAP": "{\"k\":1}"}),
        inputs: json!({}),
        secrets: [("GITHUB_TOKEN", "ghs"), ("KEY", "k1"), ("OTHER", "o1")]
            .map(|(name, value)| (name.to_owned(), Secret(value.to_owned())))
            .into(),
        trust: Trust::Trusted,
        permissions: DefaultPermissions::default(),
        parallel: 1000,
        only: Vec::new(),
        matrix: Vec::new(),
        commits: Default::default(),
        first_job: JobId(1000),
    }
}

pub(super) fn called<const N: usize>(files: [(&str, Json); N]) -> CalledWorkflows {
    files.map(|(key, file)| (key.to_owned(), read(key, &file))).into()
}

pub(super) fn workflow(json: &Json) -> Arc<Workflow> {
    read("ci.yml", json)
}

/// Reads a workflow whose `on` and, in its jobs, `runs-on` and `steps` may be left out.
fn read(file: &str, json: &Json) -> Arc<Workflow> {
    let mut json = json.clone();
    default(&mut json, "on", json!("push"));
    for job in json["jobs"].as_object_mut().into_iter().flat_map(|jobs| jobs.values_mut()) {
        if job.get("uses").is_none() {
            default(job, "runs-on", json!("linux"));
            default(job, "steps", json!([{"run": "true"}]));
        }
    }
    let (workflow, problems) = read_workflow(file, &json.to_string(), &ReadOptions::default());
    Arc::new(workflow.unwrap_or_else(|| panic!("the test's workflow can be read: {problems:?}")))
}

fn default(json: &mut Json, key: &str, value: Json) {
    let Some(entries) = json.as_object_mut() else { panic!("{json} is no mapping") };
    entries.entry(key).or_insert(value);
}
