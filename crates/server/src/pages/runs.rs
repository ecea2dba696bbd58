//! `/`: all runs, newest first, with filters.

use maud::{Markup, html};
use model::{RepositoryId, RunId, RunState, Timestamp};
use serde::Deserialize;
use std::collections::BTreeMap;
use std::str::FromStr;
use store::query::RunFilter;
use store::record::{Repository, Run};

use super::badge;
use super::format;
use super::layout::nothing;

/// Runs of one page: what a person looks through before filtering.
pub const SHOWN: usize = 50;

/// Events that are offered for the filter; others can be typed into the address.
const EVENTS: [&str; 8] = [
    "push",
    "pull_request",
    "pull_request_target",
    "workflow_dispatch",
    "schedule",
    "release",
    "repository_dispatch",
    "workflow_run",
];

/// What the address asks for.
#[derive(Clone, Debug, Default, Deserialize)]
pub struct Query {
    /// `owner/name`.
    #[serde(default)]
    pub repository: String,
    /// A branch.
    #[serde(default)]
    pub branch: String,
    /// An event.
    #[serde(default)]
    pub event: String,
    /// A word of a state or an end.
    #[serde(default)]
    pub state: String,
    /// A person.
    #[serde(default)]
    pub actor: String,
    /// A workflow file.
    #[serde(default)]
    pub workflow: String,
    /// A commit.
    #[serde(default)]
    pub sha: String,
    /// The number of a pull request.
    #[serde(default)]
    pub pull_request: String,
    /// Only runs before this one.
    #[serde(default)]
    pub before: String,
}

impl Query {
    /// What the store is asked. `None`: no run can match.
    ///
    /// # Errors
    /// Something is asked for that no run can be.
    pub fn filter(&self, repositories: &[Repository]) -> Result<Option<RunFilter>, Unfit> {
        let repository = match self.repository.trim() {
            "" => None,
            name => match find(repositories, name) {
                Some(repository) => Some(repository.id),
                None => return Ok(None),
            },
        };
        let (state, conclusion) = badge::of_word(self.state.trim());
        if said(&self.state).is_some() && state.is_none() && conclusion.is_none() {
            return Err(Unfit::State(self.state.clone()));
        }
        Ok(Some(RunFilter {
            repository,
            workflow_path: said(&self.workflow),
            branch: said(&self.branch),
            event: said(&self.event),
            actor: said(&self.actor),
            state,
            conclusion,
            sha: said(&self.sha),
            pull_request: number(&self.pull_request)?,
            delivery: None,
            before: number(&self.before)?.map(RunId),
        }))
    }

    fn is_filtered(&self) -> bool {
        self.fields().iter().any(|(_, value)| !value.is_empty())
    }

    fn fields(&self) -> [(&'static str, &str); 8] {
        [
            ("repository", &self.repository),
            ("branch", &self.branch),
            ("event", &self.event),
            ("state", &self.state),
            ("actor", &self.actor),
            ("workflow", &self.workflow),
            ("sha", &self.sha),
            ("pull_request", &self.pull_request),
        ]
    }

    /// The address of the page after the one that ended with this run.
    fn older(&self, last: RunId) -> String {
        let last = last.to_string();
        let fields = self.fields().into_iter().chain([("before", last.as_str())]);
        let said: Vec<String> = fields
            .filter(|(_, value)| !value.is_empty())
            .map(|(name, value)| format!("{name}={}", encoded(value)))
            .collect();
        format!("/?{}", said.join("&"))
    }
}

/// What no run can be asked for by.
#[derive(Debug, PartialEq, Eq, thiserror::Error)]
pub enum Unfit {
    /// Not a word of [`badge::RUN_WORDS`].
    #[error("no run is ever in the state {0:?}; there are {states}", states = badge::RUN_WORDS.join(", "))]
    State(String),
    /// Runs and pull requests are asked for by their numbers.
    #[error("{0:?} is no number of a run or a pull request")]
    Number(String),
}

fn number<T: FromStr>(text: &str) -> Result<Option<T>, Unfit> {
    let read = |text: String| text.parse().map(Some).map_err(|_| Unfit::Number(text));
    said(text).map_or(Ok(None), read)
}

/// A repository by its name, whatever its case.
pub(super) fn find<'a>(repositories: &'a [Repository], name: &str) -> Option<&'a Repository> {
    repositories.iter().find(|repository| repository.facts.full_name.eq_ignore_ascii_case(name))
}

fn said(text: &str) -> Option<String> {
    let text = text.trim();
    (!text.is_empty()).then(|| text.to_owned())
}

/// Text as a part of an address.
pub(super) fn encoded(text: &str) -> String {
    let byte = |byte: u8| match byte {
        b'a'..=b'z' | b'A'..=b'Z' | b'0'..=b'9' | b'-' | b'.' | b'_' | b'~' | b'/' => {
            char::from(byte).to_string()
        }
        _ => format!("%{byte:02X}"),
    };
    text.bytes().map(byte).collect()
}

/// What the page shows.
pub(super) struct View<'a> {
    pub(super) runs: &'a [Run],
    pub(super) repositories: &'a [Repository],
    pub(super) query: &'a Query,
    pub(super) now: Timestamp,
}

/// The page.
pub(super) fn render(view: &View<'_>) -> Markup {
    html! {
        div.head { h1 { "Runs" } }
        (filters(view))
        div id="runs" data-swap { (list(view)) }
    }
}

fn filters(view: &View<'_>) -> Markup {
    let query = view.query;
    let names = view.repositories.iter().map(|repository| repository.facts.full_name.as_str());
    html! {
        form.filters role="search" method="get" action="/" {
            (select("repository", "Repository", names, &query.repository))
            (select("state", "State", badge::RUN_WORDS.into_iter(), &query.state))
            (select("event", "Event", EVENTS.into_iter(), &query.event))
            label { span { "Branch" } input name="branch" value=(query.branch) data-search autocomplete="off"; }
            label { span { "Person" } input name="actor" value=(query.actor) autocomplete="off"; }
            (if_said("Workflow", "workflow", &query.workflow))
            (if_said("Commit", "sha", &query.sha))
            (if_said("Pull request", "pull_request", &query.pull_request))
            button { "Filter" }
            @if query.is_filtered() { a.plain href="/" { "Clear" } }
        }
    }
}

/// A field for what seldom is filtered by: links set it.
fn if_said(title: &str, name: &str, value: &str) -> Markup {
    html! { @if !value.is_empty() { label { span { (title) } input name=(name) value=(value); } } }
}

fn select<'a>(name: &str, title: &str, options: impl Iterator<Item = &'a str>, chosen: &str) -> Markup {
    let options: Vec<&str> = options.collect();
    html! {
        label {
            span { (title) }
            select name=(name) {
                option value="" { "any" }
                @for option in &options { option value=(option) selected[*option == chosen] { (option) } }
                @if !chosen.is_empty() && !options.contains(&chosen) {
                    option value=(chosen) selected { (chosen) }
                }
            }
        }
    }
}

fn list(view: &View<'_>) -> Markup {
    if view.runs.is_empty() {
        return match view.query.is_filtered() {
            true => nothing("No run matches.", &html! { a href="/" { "Show all runs" } }),
            false => nothing(
                "Nothing has run yet.",
                &html! { "Point a webhook of a repository at this server: " a href="/settings#webhook" { "how" } "." },
            ),
        };
    }
    let names = names(view.repositories);
    html! {
        ol.runs { @for run in view.runs { (row(run, names.get(&run.what.repository).copied(), view.now)) } }
        @if let (Some(last), true) = (view.runs.last(), view.runs.len() >= SHOWN) {
            nav.pages aria-label="Pages" { a rel="next" href=(view.query.older(last.id)) { "Older runs" } }
        }
    }
}

/// Names of repositories by id.
pub(super) fn names(repositories: &[Repository]) -> BTreeMap<RepositoryId, &str> {
    repositories.iter().map(|repository| (repository.id, repository.facts.full_name.as_str())).collect()
}

/// A run in a list.
pub(super) fn row(run: &Run, repository: Option<&str>, now: Timestamp) -> Markup {
    let word = badge::of_run(run.what.state, run.conclusion);
    html! {
        li.run data-run=(run.id) data-state=(word) data-item {
            (badge::sign(word))
            div.what {
                a.title href={ "/runs/" (run.id) } { (run.what.title) }
                div.sub {
                    @if let Some(name) = repository { a href={ "/repositories/" (encoded(name)) } { (name) } " · " }
                    (run.what.workflow_name) " #" (run.number)
                    @if run.attempt > 1 { " · attempt " (run.attempt) }
                    " · " (run.what.event) " by " (run.what.actor)
                    @if run.what.state == RunState::Waiting { " · " strong.s-waiting { (waits_for(run)) } }
                }
            }
            div.where { (branch(run)) " " code.sha { (format::short_sha(&run.what.head_sha)) } }
            div.when { (clock(run, now)) (format::ago(run.created_at, now)) }
        }
    }
}

/// What a run waits for that waits for people.
fn waits_for(run: &Run) -> &str {
    let of_its_jobs = run.what.reason.as_deref().filter(|_| !run.needs_approval());
    of_its_jobs.unwrap_or("waits for approval")
}

/// The branch, or the pull request, that people know the run by.
pub(super) fn branch(run: &Run) -> Markup {
    html! {
        @if let Some(number) = run.what.pull_request { span.branch { "PR #" (number) } " " }
        @if !run.what.head_branch.is_empty() { span.branch { (run.what.head_branch) } }
    }
}

/// How long the latest attempt took, or has waited.
pub(super) fn clock(run: &Run, now: Timestamp) -> Markup {
    match (run.started_at, run.ended_at) {
        (Some(begin), end) => format::took(begin, end, now),
        (None, Some(_)) => html! { span.took { "–" } },
        (None, None) => html! { span.took { "waiting" } },
    }
}

#[cfg(test)]
mod tests {
    use super::super::sample::{self, HOSTILE};
    use super::*;

    fn list_of(runs: &[Run], query: &Query) -> String {
        let view = View { runs, repositories: &[sample::repository()], query, now: Timestamp(90_000) };
        render(&view).into_string()
    }

    #[test]
    fn a_run_shows_what_it_is_and_how_it_stands() {
        let page = list_of(&[sample::run()], &Query::default());
        for part in
            ["Add a door", "octo/hello", "CI #42", "push by mona", ">main</span>", "0123456", "1 m 00 s"]
        {
            assert!(page.contains(part), "{part} is not in {page}");
        }
        assert!(page.contains("data-run=\"7\" data-state=\"success\""), "{page}");
    }

    #[test]
    fn a_run_that_waits_for_people_says_for_what() {
        let mut run = sample::run();
        (run.what.state, run.conclusion, run.started_at) = (RunState::Waiting, None, None);
        run.what.reason = Some("a fork".to_owned());
        assert!(list_of(&[run.clone()], &Query::default()).contains("waits for approval"));
        run.started_at = Some(Timestamp(1));
        run.what.reason = Some("deploy waits to be let into <production>".to_owned());
        let page = list_of(&[run], &Query::default());
        assert!(page.contains("data-state=\"waiting\"") && !page.contains("waits for approval"), "{page}");
        assert!(page.contains("deploy waits to be let into &lt;production&gt;"), "{page}");
    }

    #[test]
    fn the_next_page_keeps_the_filters_and_escapes_them() {
        let runs = vec![sample::run(); SHOWN];
        let query = Query { branch: "a&b=\"".to_owned(), state: "failure".to_owned(), ..Query::default() };
        let page = list_of(&runs, &query);
        assert!(page.contains("href=\"/?branch=a%26b%3D%22&amp;state=failure&amp;before=7\""), "{page}");
    }

    #[test]
    fn what_nobody_offers_can_be_filtered_by_and_is_escaped() {
        let query = Query { event: HOSTILE.to_owned(), sha: HOSTILE.to_owned(), ..Query::default() };
        let page = list_of(&[], &query);
        assert!(page.contains("No run matches.") && page.contains("Commit"), "{page}");
        assert!(!page.contains("<script") && !page.contains("\" onmouseover"), "{page}");
    }
}
