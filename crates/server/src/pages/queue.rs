//! `/queue`: who waits, for what, and at which place.

use std::collections::BTreeMap;

use maud::{Markup, html};
use model::{JobId, RunId, Timestamp};
use scheduler::decide::Wait;
use scheduler::queue::Subject;
use store::record::{Job, Run};

use super::badge;
use super::format;
use super::layout::nothing;
use super::runs::encoded;

/// Who waits, as people know it.
pub(super) struct Names<'a> {
    pub(super) runs: &'a BTreeMap<RunId, Run>,
    pub(super) jobs: &'a BTreeMap<JobId, Job>,
    /// By id of the run.
    pub(super) repositories: &'a BTreeMap<RunId, String>,
}

/// Rows of the page; beyond them only a count: nobody reads ten thousand.
pub(super) const SHOWN: usize = 500;

/// The page.
pub(super) fn render(waits: &[Wait], names: &Names<'_>, now: Timestamp) -> Markup {
    let (jobs, runs): (Vec<&Wait>, Vec<&Wait>) =
        waits.iter().partition(|wait| matches!(wait.subject, Subject::Job(_)));
    html! {
        div.head { h1 { "Queue" } }
        div id="queue" data-swap {
            @if waits.is_empty() { (nothing("Nothing waits.", &html! { a href="/" { "All runs" } })) }
            (part("Jobs", &jobs, names, now))
            (part("Runs", &runs, names, now))
        }
    }
}

fn part(title: &str, waits: &[&Wait], names: &Names<'_>, now: Timestamp) -> Markup {
    html! {
        @if !waits.is_empty() {
            h2 { (title) " " span.dim { (waits.len()) } }
            div.wide {
                table.queue {
                    thead { tr { th scope="col" { "Place" } th scope="col" { "Who" } th scope="col" { "Why it waits" } th scope="col" { "Since" } } }
                    tbody { @for wait in waits.iter().take(SHOWN) { (row(wait, names, now)) } }
                }
            }
            @if waits.len() > SHOWN { p.dim { "and " (waits.len() - SHOWN) " more" } }
        }
    }
}

fn row(wait: &Wait, names: &Names<'_>, now: Timestamp) -> Markup {
    let since = match wait.subject {
        Subject::Run(run) => names.runs.get(&run).map(|run| run.queued_at),
        Subject::Job(job) => names.jobs.get(&job).map(|job| job.clock.waits_since()),
    };
    html! {
        tr data-item data-subject=(wait.subject) {
            td.place { @match wait.place { Some(place) => (place), None => "–" } }
            td { (who(wait.subject, names)) }
            td { (wait.reason) }
            td { @if let Some(since) = since { (format::ago(since, now)) } }
        }
    }
}

fn who(subject: Subject, names: &Names<'_>) -> Markup {
    match subject {
        Subject::Run(id) => run(id, names),
        Subject::Job(id) => html! {
            @match names.jobs.get(&id) {
                Some(job) => {
                    (badge::sign(badge::of_job(job))) " "
                    a href={ "/runs/" (job.run) "/jobs/" (job.id) } { (job.name) }
                    " of " (run(job.run, names))
                },
                None => (subject),
            }
        },
    }
}

fn run(id: RunId, names: &Names<'_>) -> Markup {
    html! {
        @match names.runs.get(&id) {
            Some(run) => {
                a href={ "/runs/" (id) } { (run.what.title) " #" (run.number) }
                @if let Some(repository) = names.repositories.get(&id) {
                    " " a.dim href={ "/repositories/" (encoded(repository)) } { (repository) }
                }
            },
            None => a href={ "/runs/" (id) } { "run " (id) },
        }
    }
}

#[cfg(test)]
mod tests {
    use super::super::sample;
    use super::*;
    use scheduler::decide::WaitReason;

    #[test]
    fn each_who_waits_has_its_place_and_its_reason() {
        let waits = [
            Wait {
                subject: Subject::Job(JobId(3)),
                reason: WaitReason::Jobs { running: 4, limit: 4 },
                place: Some(1),
            },
            Wait { subject: Subject::Run(sample::RUN), reason: WaitReason::Approval, place: None },
        ];
        let names = Names {
            runs: &BTreeMap::from([(sample::RUN, sample::run())]),
            jobs: &BTreeMap::from([(JobId(3), sample::job(3, "build"))]),
            repositories: &BTreeMap::from([(sample::RUN, "octo/hello".to_owned())]),
        };
        let page = render(&waits, &names, Timestamp(9_000)).into_string();
        for part in [
            "4 of at most 4 jobs are running",
            "waits for approval",
            ">build</a>",
            "octo/hello",
            "Add a door #42",
        ] {
            assert!(page.contains(part), "{part} is not in {page}");
        }
    }
}
