//! The event that a local run pretends: its payload and the `github` context.

mod payload;

use forge::github::context::{Addresses, GithubRun, WorkflowRef};
use forge::github::refs::{self, EventRef};
use serde_json::Value as Json;
use workflow::syntax::Workflow;

pub(crate) use payload::read as read_payload;

use super::facts::Facts;

/// An event, ready for deciding and running.
#[derive(Clone, Debug)]
pub(crate) struct LocalEvent {
    /// Its name.
    pub(crate) name: String,
    /// Its payload: what GitHub would send, as far as a folder can know it, or the user's own file.
    pub(crate) payload: Json,
}

impl LocalEvent {
    /// The event with the payload that the user gave, or with one that is true to the repository and, where an
    /// event can be many things, is what `workflow` listens to. `named`: the user has named that workflow.
    pub(crate) fn new(
        name: &str,
        given: Option<&Json>,
        facts: &Facts,
        workflow: &Workflow,
        named: bool,
    ) -> LocalEvent {
        let payload = given.cloned().unwrap_or_else(|| payload::synthesise(name, facts, workflow, named));
        LocalEvent { name: name.to_owned(), payload }
    }

    /// The inputs in its payload, as text.
    pub(crate) fn given_inputs(&self) -> impl Iterator<Item = (String, String)> {
        let inputs = workflow::trigger::event_inputs(&self.payload["inputs"]);
        let text = |value: Json| value.as_str().unwrap_or_default().to_owned();
        inputs
            .as_object()
            .cloned()
            .unwrap_or_default()
            .into_iter()
            .map(move |(name, value)| (name, text(value)))
    }

    /// Puts the inputs of a manual start into its payload.
    pub(crate) fn set_inputs(&mut self, inputs: &Json) {
        if let Some(payload) = self.payload.as_object_mut() {
            payload.insert("inputs".to_owned(), workflow::trigger::event_inputs(inputs));
        }
    }

    /// `github.ref`: as the payload says, or else where the folder is.
    pub(crate) fn reference(&self, facts: &Facts) -> String {
        match EventRef::of(&self.name, &self.payload) {
            EventRef::Named(reference) => reference,
            EventRef::DefaultBranch => {
                refs::branch(self.text("/repository/default_branch").unwrap_or(&facts.default_branch))
            }
            EventRef::Unsaid => facts.reference.clone(),
        }
    }

    /// A text of its payload.
    pub(super) fn text(&self, pointer: &str) -> Option<&str> {
        self.payload.pointer(pointer).and_then(Json::as_str).filter(|text| !text.is_empty())
    }
}

/// Ids of a run that the `github` context carries.
pub(crate) struct RunIdentity<'a> {
    /// `github.run_id`.
    pub(crate) run: model::RunId,
    /// `github.run_number`.
    pub(crate) number: u64,
    /// `github.workflow`.
    pub(crate) workflow: &'a str,
    /// Path of the workflow file in the repository.
    pub(crate) workflow_path: &'a str,
    /// `github.actor`, unless the event knows better.
    pub(crate) actor: &'a str,
    /// `github.token`, empty when there is none.
    pub(crate) token: &'a str,
    /// Where the repository is.
    pub(crate) server: &'a forge::ServerUrl,
}

/// The `github` context of a run; the runner adds what belongs to a job.
pub(crate) fn github_context(event: &LocalEvent, facts: &Facts, identity: &RunIdentity<'_>) -> Json {
    // A payload of the user's own says more truly than the folder whose event it is.
    let actor = event.text("/sender/login").unwrap_or(identity.actor);
    let reference = event.reference(facts);
    let run = GithubRun {
        event: &event.name,
        reference: &reference,
        sha: &facts.sha,
        repository: event.text("/repository/full_name").unwrap_or(&facts.repository),
        run: identity.run,
        number: identity.number,
        attempt: 1,
        workflow: WorkflowRef {
            name: identity.workflow,
            path: identity.workflow_path,
            reference: &reference,
            sha: &facts.sha,
        },
        actor,
        triggering_actor: actor,
        token: identity.token,
        protected: false,
        retention_days: forge::github::context::RETENTION_DAYS,
        addresses: &Addresses { server: identity.server.clone(), api: None },
    };
    forge::github::context::github_context(&run, event.payload.clone())
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn facts() -> Facts {
        Facts {
            repository: "octo/hello".into(),
            sha: "a".repeat(40),
            reference: "refs/heads/feature/ü".into(),
            default_branch: "main".into(),
            message: "Add a thing\n\nbody".into(),
            author: "Ada".into(),
            email: "ada@example.com".into(),
            before: "b".repeat(40),
        }
    }

    fn workflow(on: &str) -> Workflow {
        let text = format!("on: {on}\njobs: {{a: {{runs-on: x, steps: [{{run: echo}}]}}}}\n");
        let (workflow, problems) = workflow::schema::read_workflow("ci.yml", &text, &Default::default());
        workflow.unwrap_or_else(|| panic!("{problems:?}"))
    }

    fn event(name: &str, on: &str, given: Option<Json>) -> LocalEvent {
        LocalEvent::new(name, given.as_ref(), &facts(), &workflow(on), false)
    }

    fn context(name: &str) -> Json {
        context_of(&event(name, name, None))
    }

    fn context_of(event: &LocalEvent) -> Json {
        let facts = facts();
        let identity = RunIdentity {
            run: model::RunId(7),
            number: 3,
            workflow: "CI",
            workflow_path: ".github/workflows/ci.yml",
            actor: "ada",
            token: "",
            server: &"https://git.example.com".parse().expect("an address"),
        };
        github_context(event, &facts, &identity)
    }

    #[test]
    fn the_addresses_are_those_of_the_server_that_was_named() {
        let github = context("push");
        assert_eq!(github["server_url"], "https://git.example.com");
        assert_eq!(github["api_url"], "https://git.example.com/api/v3");
        assert_eq!(github["repositoryUrl"], "git://git.example.com/octo/hello.git");
    }

    #[test]
    fn a_push_has_the_ref_of_its_branch() {
        let github = context("push");
        assert_eq!(github["ref"], "refs/heads/feature/ü");
        assert_eq!(github["ref_name"], "feature/ü");
        assert_eq!(github["ref_type"], "branch");
        assert_eq!(github["event"]["head_commit"]["message"], "Add a thing\n\nbody");
        assert_eq!(github["workflow_ref"], "octo/hello/.github/workflows/ci.yml@refs/heads/feature/ü");
        assert_eq!(github["run_number"], "3");
    }

    #[test]
    fn a_pull_request_has_the_merge_ref_with_head_and_base() {
        let github = context("pull_request");
        assert_eq!(github["ref"], "refs/pull/1/merge");
        assert_eq!(github["ref_name"], "1/merge");
        assert_eq!(github["head_ref"], "feature/ü");
        assert_eq!(github["base_ref"], "main");
    }

    #[test]
    fn an_events_own_payload_says_whose_it_is() {
        let payload = json!({"repository": {"full_name": "acme/app"}, "sender": {"login": "mona"}});
        let github = context_of(&event("issues", "issues", Some(payload)));
        assert_eq!(github["repository"], "acme/app");
        assert_eq!(github["repository_owner"], "acme");
        assert_eq!((&github["actor"], &github["triggering_actor"]), (&json!("mona"), &json!("mona")));
        assert_eq!(github["workflow_ref"], "acme/app/.github/workflows/ci.yml@refs/heads/main");
    }

    #[test]
    fn an_event_is_of_the_ref_that_its_payload_says_or_of_where_the_folder_is() {
        let reference = |name: &str, payload: Json| event(name, "push", Some(payload)).reference(&facts());
        assert_eq!(reference("push", json!({"ref": "refs/tags/v1"})), "refs/tags/v1");
        for name in [
            "push",
            "workflow_dispatch",
            "pull_request",
            "release",
            "create",
            "merge_group",
            "deployment",
            "registry_package",
        ] {
            assert_eq!(reference(name, json!({})), "refs/heads/feature/ü", "{name}");
        }
        for name in ["schedule", "issues", "issue_comment", "workflow_run", "repository_dispatch", "delete"] {
            assert_eq!(reference(name, json!({"ref": "gone"})), "refs/heads/main", "{name}");
        }
        let renamed = json!({"repository": {"default_branch": "trunk"}});
        assert_eq!(reference("schedule", renamed), "refs/heads/trunk");
    }

    #[test]
    fn an_event_without_a_payload_is_one_that_the_workflow_listens_to() {
        use workflow::trigger::{Decision, Event, decide};
        for (name, on) in [
            ("schedule", "{schedule: [{cron: '5 4 * * *'}]}"),
            ("repository_dispatch", "{repository_dispatch: {types: [deploy]}}"),
            ("release", "{release: {types: [released]}}"),
            ("workflow_run", "{workflow_run: {workflows: [CI], branches: ['feature/**']}}"),
            ("merge_group", "{merge_group: {branches: [main]}}"),
        ] {
            let LocalEvent { name, payload } = event(name, on, None);
            let event = Event { name, payload: payload.into(), ..Event::default() };
            assert_eq!(decide(&workflow(on), &event), Decision::Run, "{on}");
        }
    }

    #[test]
    fn a_pull_request_is_opened_unless_a_workflow_that_was_named_wants_something_else() {
        let on = "{pull_request: {types: [labeled, closed]}}";
        assert_eq!(event("pull_request", on, None).payload["action"], "opened");
        let named = LocalEvent::new("pull_request", None, &facts(), &workflow(on), true);
        assert_eq!(named.payload["action"], "labeled");
    }
}
