//! From an event and a workflow to yes or no.

use serde_json::Value as Json;

use super::filter::Filter;
use super::skip::skip_instruction;
use super::{Decision, Event};
use crate::diagnostic::Diagnostic;
use crate::span::Spanned;
use crate::syntax::{Schedule, Trigger, Workflow};

/// Activity types of pull requests that count when `types` is absent; for every other event all do.
const PULL_REQUEST_TYPES: [&str; 3] = ["opened", "synchronize", "reopened"];

/// Files of a diff that GitHub compares with path filters; it does not see those behind them.
/// <https://docs.github.com/en/actions/reference/workflows-and-actions/workflow-syntax#git-diff-comparisons>
const MAX_CHANGED_FILES: usize = 300;

/// Commits of a push up to which GitHub compares at all; a larger one passes every path filter.
const MAX_COMMITS: usize = 1000;

/// Whether the event starts the workflow, and if not, why.
pub fn decide(workflow: &Workflow, event: &Event) -> Decision {
    let mut triggers = workflow.on.iter().filter(|trigger| *trigger.event.value == event.name).peekable();
    if triggers.peek().is_none() {
        return Decision::Skip(format!("the workflow is not triggered by {}", event.name));
    }
    if let Some(reason) = reason_for_every_workflow(event) {
        return Decision::Skip(reason);
    }
    let mut reasons = Vec::new();
    for trigger in triggers {
        match reason_of_trigger(trigger, event) {
            Ok(None) => return Decision::Run,
            Ok(Some(reason)) => reasons.push(reason),
            Err(problems) => return Decision::Invalid(problems),
        }
    }
    Decision::Skip(reasons.join("; "))
}

/// Why no workflow runs for this event, whatever its filters.
fn reason_for_every_workflow(event: &Event) -> Option<String> {
    let payload = &event.payload;
    match event.name.as_str() {
        "push" if payload["deleted"] == true => Some(format!("{} was deleted", GitRef::of_push(payload))),
        "push" | "pull_request" => {
            let in_payload = payload["head_commit"]["message"].as_str();
            let message = event.head_commit_message.as_deref().or(in_payload);
            if let Some(instruction) = message.and_then(skip_instruction) {
                return Some(format!("the message of the head commit says {instruction}"));
            }
            let conflicts = event.name == "pull_request" && payload["pull_request"]["mergeable"] == false;
            conflicts.then(|| "the pull request has a merge conflict".to_owned())
        }
        // A workflow that ends must not start the next one for ever.
        "check_run" | "check_suite" => {
            let made_by = &payload[&event.name]["app"]["slug"];
            (made_by == "github-actions").then(|| format!("the {} is one of GitHub Actions", event.name))
        }
        "deployment_status" if payload["deployment_status"]["state"] == "inactive" => {
            Some("the deployment became inactive".to_owned())
        }
        "release" if payload["release"]["draft"] == true => {
            let silent = matches!(text(&payload["action"]), "created" | "edited" | "deleted");
            silent.then(|| "the release is a draft".to_owned())
        }
        _ => None,
    }
}

/// Why this trigger does not match; `None` when it does.
fn reason_of_trigger(trigger: &Trigger, event: &Event) -> Result<Option<String>, Vec<Diagnostic>> {
    let filters = Filters::new(trigger)?;
    let payload = &event.payload;
    let reason = reason_of_type(trigger, event).or_else(|| match event.name.as_str() {
        "push" => filters.reason_of_push(&GitRef::of_push(payload), event),
        "pull_request" | "pull_request_target" => {
            let base = text(&payload["pull_request"]["base"]["ref"]);
            filters.reason_of_branch("base branch", base).or_else(|| filters.reason_of_paths(event))
        }
        "merge_group" => {
            let base = text(&payload["merge_group"]["base_ref"]);
            filters.reason_of_branch("base branch", base.strip_prefix("refs/heads/").unwrap_or(base))
        }
        "workflow_run" => reason_of_workflow_run(trigger, &filters, &payload["workflow_run"], payload),
        "schedule" => reason_of_schedule(trigger, payload),
        "image_version" => filters.reason_of_image(&payload["image_version"]),
        _ => None,
    });
    Ok(reason)
}

fn reason_of_type(trigger: &Trigger, event: &Event) -> Option<String> {
    let action = event.payload["action"].as_str();
    let wanted: Vec<&str> = if !trigger.types.is_empty() {
        trigger.types.iter().map(|wanted| wanted.value.as_str()).collect()
    } else if matches!(event.name.as_str(), "pull_request" | "pull_request_target") {
        PULL_REQUEST_TYPES.to_vec()
    } else {
        return None;
    };
    match action {
        Some(action) if wanted.contains(&action) => None,
        Some(action) => Some(format!("activity type {action} is not one of {}", wanted.join(", "))),
        // Made by hand, without a payload to speak of: its default is what is wanted.
        None if event.payload.is_null() => None,
        None => Some(format!("the event has no activity type, and it must be one of {}", wanted.join(", "))),
    }
}

fn reason_of_workflow_run(
    trigger: &Trigger,
    filters: &Filters<'_>,
    run: &Json,
    payload: &Json,
) -> Option<String> {
    let name = run["name"].as_str().or(payload["workflow"]["name"].as_str()).unwrap_or_default();
    if !trigger.workflows.is_empty() && !trigger.workflows.iter().any(|wanted| *wanted.value == *name) {
        return Some(format!("workflow {name} is not one of {}", listed(&trigger.workflows)));
    }
    filters.reason_of_branch("branch", text(&run["head_branch"]))
}

fn reason_of_schedule(trigger: &Trigger, payload: &Json) -> Option<String> {
    let due = text(&payload["schedule"]);
    // The same expression is due at other moments in another zone.
    let zone = payload.get("timezone").map(Json::as_str);
    let is_due = |entry: &Schedule| {
        *entry.cron.value == *due
            && zone.is_none_or(|zone| entry.timezone.as_ref().map(|own| own.value.as_str()) == zone)
    };
    let place = zone.flatten().map_or_else(String::new, |zone| format!(" in {zone}"));
    (!trigger.schedule.iter().any(is_due)).then(|| format!("no schedule of the workflow is '{due}'{place}"))
}

/// What a push changed.
enum GitRef<'a> {
    Branch(&'a str),
    Tag(&'a str),
    Other(&'a str),
}

impl<'a> GitRef<'a> {
    fn of_push(payload: &'a Json) -> GitRef<'a> {
        let name = text(&payload["ref"]);
        if let Some(branch) = name.strip_prefix("refs/heads/") {
            GitRef::Branch(branch)
        } else if let Some(tag) = name.strip_prefix("refs/tags/") {
            GitRef::Tag(tag)
        } else {
            GitRef::Other(name)
        }
    }
}

impl std::fmt::Display for GitRef<'_> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            GitRef::Branch(name) => write!(f, "branch {name}"),
            GitRef::Tag(name) => write!(f, "tag {name}"),
            GitRef::Other(name) => write!(f, "ref {name}"),
        }
    }
}

/// The compiled filters of a trigger.
struct Filters<'a> {
    trigger: &'a Trigger,
    branches: Option<Filter>,
    branches_ignore: Option<Filter>,
    tags: Option<Filter>,
    tags_ignore: Option<Filter>,
    paths: Option<Filter>,
    paths_ignore: Option<Filter>,
    names: Option<Filter>,
    versions: Option<Filter>,
}

impl<'a> Filters<'a> {
    fn new(trigger: &'a Trigger) -> Result<Filters<'a>, Vec<Diagnostic>> {
        let mut problems = Vec::new();
        let mut compile = |patterns: &Option<Vec<Spanned<String>>>| {
            Filter::new(patterns.as_ref()?).map_err(|found| problems.extend(found)).ok()
        };
        let filters = Filters {
            trigger,
            branches: compile(&trigger.branches),
            branches_ignore: compile(&trigger.branches_ignore),
            tags: compile(&trigger.tags),
            tags_ignore: compile(&trigger.tags_ignore),
            paths: compile(&trigger.paths),
            paths_ignore: compile(&trigger.paths_ignore),
            names: compile(&trigger.names),
            versions: compile(&trigger.versions),
        };
        if problems.is_empty() { Ok(filters) } else { Err(problems) }
    }

    fn reason_of_push(&self, pushed: &GitRef<'_>, event: &Event) -> Option<String> {
        let filters_branches = self.branches.is_some() || self.branches_ignore.is_some();
        let filters_tags = self.tags.is_some() || self.tags_ignore.is_some();
        match pushed {
            GitRef::Branch(_) if filters_tags && !filters_branches => {
                Some(format!("{pushed} was pushed, and the workflow filters tags only"))
            }
            GitRef::Branch(name) => {
                self.reason_of_branch("branch", name).or_else(|| self.reason_of_paths(event))
            }
            GitRef::Tag(_) if filters_branches && !filters_tags => {
                Some(format!("{pushed} was pushed, and the workflow filters branches only"))
            }
            // Paths are not compared for tags.
            GitRef::Tag(name) => self.reason_of_tag(name),
            GitRef::Other(_) => Some(format!("{pushed} is neither a branch nor a tag")),
        }
    }

    fn reason_of_branch(&self, what: &str, name: &str) -> Option<String> {
        reason_of_name(what, name, "branches", self.branches.as_ref(), self.branches_ignore.as_ref())
    }

    fn reason_of_tag(&self, name: &str) -> Option<String> {
        reason_of_name("tag", name, "tags", self.tags.as_ref(), self.tags_ignore.as_ref())
    }

    fn reason_of_image(&self, image: &Json) -> Option<String> {
        let (name, version) = (text(&image["name"]), text(&image["version"]));
        reason_of_name("image", name, "names", self.names.as_ref(), None)
            .or_else(|| reason_of_name("version", version, "versions", self.versions.as_ref(), None))
    }

    fn reason_of_paths(&self, event: &Event) -> Option<String> {
        if event.payload["commits"].as_array().is_some_and(|commits| commits.len() > MAX_COMMITS) {
            return None;
        }
        let files = event.changed_files.as_deref()?;
        let files = &files[..files.len().min(MAX_CHANGED_FILES)];
        if let (Some(paths), Some(patterns)) = (&self.paths, &self.trigger.paths)
            && !files.iter().any(|file| paths.includes(file))
        {
            return Some(format!("no changed file matches a pattern of paths ({})", listed(patterns)));
        }
        if let (Some(ignored), Some(patterns)) = (&self.paths_ignore, &self.trigger.paths_ignore)
            && files.iter().all(|file| ignored.includes(file))
        {
            return Some(format!(
                "every changed file matches a pattern of paths-ignore ({})",
                listed(patterns)
            ));
        }
        None
    }
}

fn reason_of_name(
    what: &str,
    name: &str,
    key: &str,
    included: Option<&Filter>,
    ignored: Option<&Filter>,
) -> Option<String> {
    if included.is_some_and(|filter| !filter.includes(name)) {
        return Some(format!("{what} {name} matches no pattern of {key}"));
    }
    let is_ignored = ignored.is_some_and(|filter| filter.includes(name));
    is_ignored.then(|| format!("{what} {name} matches a pattern of {key}-ignore"))
}

fn text(json: &Json) -> &str {
    json.as_str().unwrap_or_default()
}

fn listed(names: &[Spanned<String>]) -> String {
    names.iter().map(|name| name.value.as_str()).collect::<Vec<_>>().join(", ")
}
