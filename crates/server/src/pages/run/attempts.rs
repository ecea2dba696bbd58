//! The attempts of a run: one chosen, and all side by side.

use std::collections::BTreeMap;

use maud::{Markup, html};
use store::record::{Attempt, Job};

use super::View;
use crate::pages::badge;
use crate::pages::format;

/// Attempts that stand side by side: what a screen has room for.
pub(in crate::pages) const BESIDE: usize = 6;

/// Which attempt is shown, where there are several.
pub(in crate::pages) fn choice(view: &View<'_>) -> Markup {
    html! {
        @if view.attempts.len() > 1 {
            nav.attempts aria-label="Attempts" {
                "Attempt "
                @for attempt in view.attempts {
                    a href={ "/runs/" (view.run.id) "?attempt=" (attempt.attempt) }
                        aria-current=[(attempt.attempt == view.shown).then_some("true")] {
                        (attempt.attempt) " " (badge::sign(word(attempt)))
                    }
                }
            }
        }
    }
}

/// Jobs down, the latest attempts across.
pub(in crate::pages) fn render(view: &View<'_>) -> Markup {
    let shown: Vec<&Attempt> = view.attempts.iter().rev().take(BESIDE).rev().collect();
    if shown.len() < 2 {
        return Markup::default();
    }
    let jobs = |attempt: u32| match attempt == view.shown {
        true => view.jobs,
        false => view.others.get(&attempt).map_or(&[][..], Vec::as_slice),
    };
    let mut names: BTreeMap<&str, &str> = BTreeMap::new();
    for job in shown.iter().flat_map(|attempt| jobs(attempt.attempt)) {
        names.insert(&job.path, &job.name);
    }
    html! {
        section aria-label="Attempts" {
            h2 { "Attempts" }
            div.wide {
                table.beside {
                    thead {
                        tr {
                            th scope="col" { "Job" }
                            @for attempt in &shown {
                                th scope="col" { "#" (attempt.attempt) " " span.dim { "by " (attempt.actor) } }
                            }
                        }
                    }
                    tbody {
                        @for (path, name) in &names {
                            tr {
                                th scope="row" { (name) }
                                @for attempt in &shown {
                                    (cell(jobs(attempt.attempt).iter().find(|job| job.path == **path), view))
                                }
                            }
                        }
                    }
                }
            }
        }
    }
}

fn cell(job: Option<&Job>, view: &View<'_>) -> Markup {
    html! {
        @match job {
            Some(job) => td {
                a href={ "/runs/" (job.run) "/jobs/" (job.id) } {
                    (badge::sign(badge::of_job(job))) " "
                    (format::took(job.clock.started_at.unwrap_or(job.clock.queued_at), job.clock.ended_at, view.now))
                }
            },
            None => td.dim { "–" },
        }
    }
}

fn word(attempt: &Attempt) -> badge::Word {
    badge::of_run(attempt.state, attempt.conclusion)
}
