//! The event that a local run pretends: its payload and the `github` context.

mod payload;
mod refs;
mod server;

use serde_json::{Map, Value as Json, json};
use workflow::syntax::Workflow;

pub(crate) use payload::read as read_payload;
pub(crate) use refs::EventRefs;
pub(crate) use server::ServerUrl;

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

    /// Its refs.
    pub(crate) fn refs(&self, facts: &Facts) -> EventRefs {
        EventRefs::of(self, facts)
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
    pub(crate) server: &'a ServerUrl,
}

/// The `github` context of a run; the runner adds what belongs to a job.
///
/// Fields: <https://docs.github.com/en/actions/reference/workflows-and-actions/contexts#github-context>
pub(crate) fn github_context(event: &LocalEvent, facts: &Facts, identity: &RunIdentity<'_>) -> Json {
    // A payload of the user's own says more truly than the folder whose event it is.
    let repository = event.text("/repository/full_name").unwrap_or(&facts.repository);
    let owner = repository.split_once('/').map_or(repository, |(owner, _)| owner);
    let actor = event.text("/sender/login").unwrap_or(identity.actor);
    let refs = event.refs(facts);
    let mut github = Map::new();
    let mut set = |key: &str, value: Json| {
        github.insert(key.to_owned(), value);
    };
    set("token", json!(identity.token));
    set("job", json!(""));
    set("ref", json!(refs.reference));
    set("sha", json!(facts.sha));
    set("repository", json!(repository));
    set("repository_owner", json!(owner));
    set("repository_id", json!(payload_id(&event.payload, "/repository/id")));
    set("repository_owner_id", json!(payload_id(&event.payload, "/repository/owner/id")));
    set("repositoryUrl", json!(format!("git://{}/{repository}.git", identity.server.host())));
    set("run_id", json!(identity.run.to_string()));
    set("run_number", json!(identity.number.to_string()));
    set("run_attempt", json!("1"));
    set("retention_days", json!("90"));
    set("artifact_cache_size_limit", json!("10"));
    set("actor_id", json!(payload_id(&event.payload, "/sender/id")));
    set("actor", json!(actor));
    set("triggering_actor", json!(actor));
    set("workflow", json!(identity.workflow));
    set("head_ref", json!(refs.head_ref));
    set("base_ref", json!(refs.base_ref));
    set("event_name", json!(event.name));
    set("event", event.payload.clone());
    set("server_url", json!(identity.server.to_string()));
    set("api_url", json!(identity.server.api()));
    set("graphql_url", json!(identity.server.graphql()));
    set("ref_name", json!(refs.name()));
    set("ref_protected", json!(false));
    set("ref_type", json!(refs.kind()));
    set("secret_source", json!("Actions"));
    let workflow_ref = format!("{repository}/{}@{}", identity.workflow_path, refs.reference);
    set("workflow_ref", json!(workflow_ref));
    set("workflow_sha", json!(facts.sha));
    Json::Object(github)
}

fn payload_id(payload: &Json, pointer: &str) -> String {
    payload.pointer(pointer).and_then(Json::as_u64).unwrap_or(0).to_string()
}

#[cfg(test)]
mod tests {
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
    fn each_event_has_the_ref_that_github_documents() {
        let reference = |name: &str, payload: Json| {
            let event = event(name, "push", Some(payload));
            let refs = event.refs(&facts());
            [refs.reference, refs.head_ref, refs.base_ref].join(" ")
        };
        let pull = |merged: bool| json!({"pull_request": {"number": 7, "merged": merged, "head": {"ref": "topic"}, "base": {"ref": "v2"}}});
        assert_eq!(reference("push", json!({"ref": "refs/tags/v1"})), "refs/tags/v1  ");
        assert_eq!(reference("pull_request", pull(false)), "refs/pull/7/merge topic v2");
        assert_eq!(reference("pull_request", pull(true)), "refs/heads/v2 topic v2");
        assert_eq!(reference("pull_request_target", pull(false)), "refs/heads/main topic v2");
        assert_eq!(reference("pull_request_review", pull(false)), "refs/pull/7/merge  ");
        assert_eq!(reference("release", json!({"release": {"tag_name": "v9"}})), "refs/tags/v9  ");
        assert_eq!(reference("create", json!({"ref": "v3", "ref_type": "tag"})), "refs/tags/v3  ");
        assert_eq!(reference("create", json!({"ref": "dev", "ref_type": "branch"})), "refs/heads/dev  ");
        let queue = json!({"merge_group": {"head_ref": "refs/heads/gh-readonly-queue/main/pr-1"}});
        assert_eq!(reference("merge_group", queue), "refs/heads/gh-readonly-queue/main/pr-1  ");
        assert_eq!(reference("workflow_dispatch", json!({"ref": "refs/heads/x"})), "refs/heads/x  ");
        for name in ["schedule", "issues", "issue_comment", "workflow_run", "repository_dispatch", "delete"] {
            assert_eq!(reference(name, json!({"ref": "gone"})), "refs/heads/main  ", "{name}");
        }
        let renamed = json!({"repository": {"default_branch": "trunk"}});
        assert_eq!(reference("schedule", renamed), "refs/heads/trunk  ");
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
            let event = Event { name, payload, ..Event::default() };
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
