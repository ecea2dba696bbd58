//! `/runs/{id}`: one run, from the first error to the last artifact.

pub(super) mod actions;
pub(super) mod attempts;
pub(super) mod failure;
pub(super) mod graph;
pub(super) mod needs;
pub(super) mod waterfall;

use maud::{Markup, html};
use model::{JobId, Timestamp};
use std::cmp::Reverse;
use std::collections::BTreeMap;
use store::record::{AnnotationOf, Artifact, Attempt, Job, Run, Step};

use super::artifacts;
use super::badge;
use super::format;
use super::job;
use super::markdown;
use super::runs::{branch, encoded};
use super::viewer::Viewer;
use actions::Deciders;
use failure::Failure;
use needs::Needs;

/// Annotations that a page shows; the API has the rest.
const ANNOTATIONS: usize = 200;

/// Everything of a run that its page shows.
pub(super) struct View<'a> {
    pub(super) run: &'a Run,
    pub(super) repository: &'a str,
    /// The web page of the repository on its forge, where there is one.
    pub(super) forge: Option<&'a str>,
    /// All attempts, in order.
    pub(super) attempts: &'a [Attempt],
    /// The attempt that is shown.
    pub(super) shown: u32,
    /// Its jobs.
    pub(super) jobs: &'a [Job],
    /// Their steps.
    pub(super) steps: &'a BTreeMap<JobId, Vec<Step>>,
    pub(super) annotations: &'a [AnnotationOf],
    pub(super) artifacts: &'a [Artifact],
    pub(super) needs: &'a Needs,
    pub(super) failure: Option<&'a Failure>,
    /// Jobs of other attempts, by attempt.
    pub(super) others: &'a BTreeMap<u32, Vec<Job>>,
    /// Why the run or its jobs wait, in words.
    pub(super) waits: &'a [(String, String)],
    pub(super) deciders: &'a Deciders,
    pub(super) viewer: &'a Viewer,
    pub(super) now: Timestamp,
}

/// The page.
pub(super) fn render(view: &View<'_>) -> Markup {
    html! {
        div id="head" data-swap { (head(view)) }
        div id="failure" data-swap { @if let Some(failure) = view.failure { (failure::render(failure, view.run.id)) } }
        div id="waits" data-swap { (waits(view)) }
        section id="graph" data-swap aria-label="Jobs and what they need" {
            (graph::render(&graph::place(view.jobs, view.needs), view.run.id, view.shown))
        }
        section id="times" data-swap {
            h2 { "Times" }
            (waterfall::render(view.jobs, view.steps, view.now))
        }
        div id="notes" data-swap { (annotations(view)) (artifacts::section(view.artifacts, false)) (summaries(view)) }
        div id="attempts" data-swap { (attempts::render(view)) }
    }
}

/// How the attempt that is shown stands.
pub(super) fn word(view: &View<'_>) -> badge::Word {
    let run = view.run;
    attempt(view).map_or_else(
        || badge::of_run(run.what.state, run.conclusion),
        |attempt| badge::of_run(attempt.state, attempt.conclusion),
    )
}

fn head(view: &View<'_>) -> Markup {
    let (run, attempt, word) = (view.run, attempt(view), word(view));
    html! {
        nav.crumbs aria-label="Where this is" {
            a data-up href="/" { "Runs" } " / "
            a href={ "/repositories/" (encoded(view.repository)) } { (view.repository) } " / "
            a href={ "/?repository=" (encoded(view.repository)) "&workflow=" (encoded(&run.what.workflow_path)) } {
                (run.what.workflow_name)
            }
        }
        div.head data-run=(run.id) data-state=(word) {
            (badge::badge(word))
            h1 { (run.what.title) " " span.dim { "#" (run.number) } }
            (actions::of_run(run, view.viewer))
        }
        p.sub {
            @match run.delivery {
                Some(delivery) => a href={ "/deliveries/" (delivery) } { (run.what.event) },
                None => (run.what.event),
            }
            " by " (run.what.actor) " · " (pull_request(view)) (branch(run)) " "
            (commit(view)) " · " (format::ago(run.created_at, view.now))
            @if let Some(attempt) = attempt {
                @if let Some(begin) = attempt.started_at {
                    " · took " (format::took(begin, attempt.ended_at, view.now))
                }
                " · waited " (format::took(attempt.queued_at, attempt.started_at.or(attempt.ended_at), view.now))
            }
        }
        // What its jobs wait for is said below, of each of them.
        @let attempt = attempt.filter(|attempt| attempt.progress() == attempt.state);
        @if let Some(reason) = attempt.and_then(|attempt| attempt.reason.as_deref()) {
            pre.reason { (reason) }
        }
        (attempts::choice(view))
    }
}

fn attempt<'a>(view: &View<'a>) -> Option<&'a Attempt> {
    view.attempts.iter().find(|attempt| attempt.attempt == view.shown)
}

/// The way to the pull request on its forge.
fn pull_request(view: &View<'_>) -> Markup {
    html! {
        @if let (Some(forge), Some(number)) = (view.forge, view.run.what.pull_request) {
            a rel="noopener noreferrer" href={ (forge) "/pull/" (number) } { "pull request" } " "
        }
    }
}

fn commit(view: &View<'_>) -> Markup {
    let sha = &view.run.what.head_sha;
    html! {
        @match view.forge {
            Some(forge) => a rel="noopener noreferrer" href={ (forge) "/commit/" (encoded(sha)) } {
                code.sha { (format::short_sha(sha)) }
            },
            None => code.sha { (format::short_sha(sha)) },
        }
    }
}

fn waits(view: &View<'_>) -> Markup {
    html! {
        @if !view.waits.is_empty() {
            section.waits aria-label="Waiting" {
                h2 { "Waiting" }
                ul { @for (who, why) in view.waits { li { strong { (who) } " " (why) } } }
                (actions::of_waiting(view.run, view.jobs, view.deciders, view.viewer))
            }
        }
    }
}

fn annotations(view: &View<'_>) -> Markup {
    let mut all: Vec<&AnnotationOf> = view.annotations.iter().collect();
    all.sort_by_key(|of| Reverse(of.annotation.level as u8));
    html! {
        @if !all.is_empty() {
            section aria-label="Annotations" {
                h2 { "Annotations " span.dim { (all.len()) } }
                ul.annotations {
                    @for of in all.iter().take(ANNOTATIONS) { (annotation_row(of, view)) }
                }
                @if all.len() > ANNOTATIONS { p.dim { "and " (all.len() - ANNOTATIONS) " more" } }
            }
        }
    }
}

fn annotation_row(of: &AnnotationOf, view: &View<'_>) -> Markup {
    let annotation = &of.annotation;
    let job = view.jobs.iter().find(|job| job.id == of.job);
    html! {
        li.annotation {
            (badge::sign(badge::of_level(annotation.level)))
            div {
                (job::annotation(annotation))
                div.sub {
                    @if let Some(file) = &annotation.file {
                        code { (file) @if let Some(line) = annotation.line { ":" (line) } } " · "
                    }
                    @if let Some(job) = job { a href={ "/runs/" (job.run) "/jobs/" (job.id) } { (job.name) } }
                }
            }
        }
    }
}

fn summaries(view: &View<'_>) -> Markup {
    let of_job = |job: &Job| -> Vec<&str> {
        let steps = view.steps.get(&job.id).map(Vec::as_slice).unwrap_or_default();
        steps.iter().filter_map(|step| step.summary.as_deref()).collect()
    };
    let jobs: Vec<(&Job, Vec<&str>)> = view
        .jobs
        .iter()
        .map(|job| (job, of_job(job)))
        .filter(|(_, summaries)| !summaries.is_empty())
        .collect();
    html! {
        @if !jobs.is_empty() {
            section aria-label="Summaries" {
                h2 { "Summaries" }
                @for (job, summaries) in jobs {
                    article.summary {
                        div.sub { a href={ "/runs/" (job.run) "/jobs/" (job.id) } { (job.name) } }
                        @for summary in summaries { div.markdown { (markdown::render(summary)) } }
                    }
                }
            }
        }
    }
}
