//! One comment on a pull request, with the results of all its workflows, updated in place.

use model::Conclusion;
use serde::{Deserialize, Serialize};
use serde_json::{Value as Json, json};

use super::text::{code_block, cut, duration, escaped};
use super::{JobView, Print, RunView, State};
use crate::github::client::Call;
use crate::repository::RepositoryName;

/// Bytes of a comment, of which GitHub takes 65,536 characters.
const MAX_BODY: usize = 65_000;

/// Jobs that are listed of a workflow; those that failed come first. The others are on the run's page.
const MAX_JOBS: usize = 30;

/// Lines that are shown around an error.
const MAX_LINES: usize = 20;

/// Bytes of one of them.
const MAX_LINE: usize = 300;

/// A pull request, as people should see its runs.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct PullView {
    /// Where.
    pub repository: RepositoryName,
    /// Its number.
    pub number: u64,
    /// Its last commit, which the runs are of.
    pub sha: String,
    /// Address of this server: tells the comments of two servers apart.
    pub server: String,
    /// The runs, in order.
    pub runs: Vec<RunView>,
}

/// What GitHub has been told in the comment.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct SentComment {
    pub(super) id: Option<u64>,
    /// Whether it was looked for: an earlier life, or a call that was lost, may have made it.
    pub(super) looked: bool,
    pub(super) print: Option<String>,
}

/// What is to be done about the comment.
#[derive(Clone, Debug, PartialEq)]
pub(super) enum Todo {
    Nothing,
    Look(Call),
    Make(Call),
    Change(Call),
}

/// Decides. The same view twice is nothing.
pub(super) fn plan(view: &PullView, sent: &SentComment) -> Todo {
    let body = body(view);
    if view.runs.is_empty() || sent.print.as_deref() == Some(&print(&body)) && sent.id.is_some() {
        return Todo::Nothing;
    }
    let (repository, number) = (&view.repository, view.number);
    let what = format!("comment on {repository}#{number}");
    let comments = format!("/repos/{repository}/issues/{number}/comments");
    match sent.id {
        Some(id) => {
            let path = format!("/repos/{repository}/issues/comments/{id}");
            Todo::Change(Call::patch(path, what, json!({"body": body})))
        }
        None if sent.looked => Todo::Make(Call::post(comments, what, json!({"body": body}))),
        None => Todo::Look(Call::get(format!("{comments}?per_page=100"), format!("look for the {what}"))),
    }
}

pub(super) fn print(body: &str) -> String {
    Print::of(&json!(body)).0
}

/// What the comment is found again by. Anybody can write the same, so its author is looked at too.
pub(super) fn marker(view: &PullView) -> String {
    format!("<!-- hearth: results from {} -->", view.server.replace("--", ""))
}

/// Whether a comment is this one, by its text.
pub(super) fn is_marked(view: &PullView, comment: &Json) -> bool {
    comment["body"].as_str().is_some_and(|body| body.starts_with(&marker(view)))
}

/// The comment (Markdown).
pub fn body(view: &PullView) -> String {
    let short = view.sha.get(..7).unwrap_or(&view.sha);
    let mut parts =
        vec![format!("{}\n### {} for {short}", marker(view), headline(&view.runs)), table(&view.runs)];
    parts.extend(view.runs.iter().filter_map(error));
    let note = "\n\n…\n\nThis was too long for GitHub; the rest is on the runs' pages.";
    cut(&parts.join("\n\n"), MAX_BODY, note)
}

fn headline(runs: &[RunView]) -> String {
    let count = |is: fn(&State) -> bool| runs.iter().filter(|run| is(&run.state)).count();
    let failed = count(|state| *state == State::Ended(Conclusion::Failure));
    let open = count(|state| !matches!(state, State::Ended(_)));
    let cancelled = count(|state| *state == State::Ended(Conclusion::Cancelled));
    let all = runs.len();
    let workflows = if all == 1 { "workflow" } else { "workflows" };
    if failed > 0 {
        format!("❌ {failed} of {all} {workflows} failed")
    } else if open > 0 {
        format!("🔵 {} of {all} {workflows} done", all - open)
    } else if cancelled > 0 {
        format!("🚫 {cancelled} of {all} {workflows} cancelled")
    } else {
        format!("✅ {all} {workflows} passed")
    }
}

fn table(runs: &[RunView]) -> String {
    let mut rows = vec!["| | Workflow and job | Time | |".to_owned(), "|---|---|---|---|".to_owned()];
    for run in runs {
        let name = format!("**{}** ({})", escaped(&run.workflow), escaped(&run.event));
        rows.push(row(&run.state, &name, run.times.duration(), &format!("[run]({})", run.url)));
        let jobs = listed(&run.jobs);
        for job in &jobs {
            rows.push(row(
                &job.state,
                &escaped(&job.name),
                job.times.duration(),
                &format!("[log]({})", job.url),
            ));
        }
        if run.jobs.len() > jobs.len() {
            let more = run.jobs.len() - jobs.len();
            rows.push(format!("| | and {more} more jobs | | [all]({}) |", run.url));
        }
    }
    rows.join("\n")
}

fn row(state: &State, name: &str, took: Option<u64>, link: &str) -> String {
    let time = match (took, state) {
        (Some(took), _) => duration(took),
        (None, State::Waiting(what)) => format!("waits for {}", escaped(what)),
        (None, _) => String::new(),
    };
    format!("| {} | {name} | {time} | {link} |", state.symbol())
}

/// The jobs that there is room for, in their order; where there are too many, those that failed first.
fn listed(jobs: &[JobView]) -> Vec<&JobView> {
    let mut all: Vec<&JobView> = jobs.iter().collect();
    if all.len() > MAX_JOBS {
        all.sort_by_key(|job| job.state != State::Ended(Conclusion::Failure));
        all.truncate(MAX_JOBS);
    }
    all
}

fn error(run: &RunView) -> Option<String> {
    let (job, error) = run.first_error()?;
    let (workflow, name) = (escaped(&run.workflow), escaped(&job.name));
    let head = format!("❌ **{workflow} / {name}**, {}: {}", escaped(&error.what), escaped(&error.message));
    let lines: Vec<String> =
        error.lines.iter().take(MAX_LINES).map(|line| cut(line, MAX_LINE, "…")).collect();
    Some(if lines.is_empty() { head } else { format!("{head}\n\n{}", code_block(&lines)) })
}
