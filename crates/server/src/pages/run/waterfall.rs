//! When each job waited, got its machine, and ran: one time line for all of a run.

use std::collections::BTreeMap;

use maud::{Markup, html};
use model::{JobId, Timestamp};
use store::record::{Job, JobClock, Step};

use crate::pages::badge;
use crate::pages::format;

/// A part of a bar, in hundredths of a percent of the time line.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(in crate::pages) struct Part {
    class: &'static str,
    from: u64,
    width: u64,
}

/// The time line: from when the first could have begun to when the last ended, or now.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(in crate::pages) struct Span {
    begin: Timestamp,
    end: Timestamp,
}

/// All of the time line.
const WHOLE: u64 = 10_000;

/// Least width of a part, so that it can be seen.
const LEAST: u64 = 20;

impl Span {
    fn of(jobs: &[Job], now: Timestamp) -> Span {
        let begin = jobs.iter().map(|job| job.clock.queued_at).min().unwrap_or(now);
        let end = jobs.iter().map(|job| job.clock.ended_at.unwrap_or(now)).max().unwrap_or(now);
        Span { begin, end: end.max(begin) }
    }

    fn place(self, at: Timestamp) -> u64 {
        let whole = self.end.0.saturating_sub(self.begin.0).max(1);
        let place = at.0.clamp(self.begin.0, self.end.0) - self.begin.0;
        u64::try_from(u128::from(place) * u128::from(WHOLE) / u128::from(whole)).unwrap_or(WHOLE)
    }

    fn part(self, class: &'static str, from: Timestamp, to: Timestamp) -> Part {
        let (from, to) = (self.place(from), self.place(to));
        let from = from.min(WHOLE - LEAST);
        Part { class, from, width: to.saturating_sub(from).max(LEAST) }
    }
}

/// The moments of a clock in their order, each with what began then.
fn moments(clock: &JobClock) -> [(Option<Timestamp>, &'static str, &'static str); 5] {
    [
        (clock.retried_at.map(|_| clock.queued_at), "tried", "earlier tries"),
        (Some(clock.waits_since()), "queue", "waited"),
        (clock.leased_at, "lease", "machine"),
        (clock.started_at, "start", "first line"),
        (clock.first_line_at, "work", "ran"),
    ]
}

/// What a job did when: parts that follow each other, up to its end or now.
fn phases(clock: &JobClock, now: Timestamp) -> Vec<(&'static str, &'static str, Timestamp, Timestamp)> {
    let begun: Vec<_> =
        moments(clock).into_iter().filter_map(|(at, class, word)| Some((at?, class, word))).collect();
    let end = clock.ended_at.unwrap_or(now);
    let ends = begun.iter().skip(1).map(|(at, ..)| *at).chain([end]);
    begun.iter().zip(ends).map(|((at, class, word), end)| (*class, *word, *at, end.max(*at))).collect()
}

/// All jobs, each with its steps to unfold.
pub(in crate::pages) fn render(jobs: &[Job], steps: &BTreeMap<JobId, Vec<Step>>, now: Timestamp) -> Markup {
    let span = Span::of(jobs, now);
    html! {
        @if jobs.is_empty() { p.dim { "No job has begun." } }
        ol.waterfall {
            @for job in jobs { (of_job(job, steps.get(&job.id).map_or(&[], Vec::as_slice), span, now)) }
        }
        @if !jobs.is_empty() { (legend(jobs.iter().any(|job| job.clock.retried_at.is_some()))) }
    }
}

fn legend(with_tries: bool) -> Markup {
    html! {
        p.legend {
            @if with_tries { span { span.key.tried aria-hidden="true" {} " earlier tries" } " " }
            @for (class, word) in [("queue", "waited for its turn"), ("lease", "for its machine"),
                ("start", "for the first line"), ("work", "ran")] {
                span { span.key.(class) aria-hidden="true" {} " " (word) } " "
            }
        }
    }
}

fn of_job(job: &Job, steps: &[Step], span: Span, now: Timestamp) -> Markup {
    let word = badge::of_job(job);
    html! {
        li data-job=(job.id) data-state=(word) data-item {
            div.row {
                (badge::sign(word))
                a.name href={ "/runs/" (job.run) "/jobs/" (job.id) } { (job.name) }
                (bar(&phases(&job.clock, now), span, word))
                (format::took(job.clock.queued_at, job.clock.ended_at, now))
            }
            div.sub {
                (words(&job.clock, now))
                @if let Some(machine) = &job.machine { " · on " code { (machine) } }
                @if job.tries > 1 { " · try " (job.tries) }
                @if let Some(reason) = job.reason.as_deref().or(job.infrastructure_error.as_deref()) {
                    " · " span.reason { (reason) }
                }
            }
            @if !steps.is_empty() {
                details id={ "steps-" (job.id) } {
                    summary { (steps.len()) " steps" }
                    ol { @for step in steps { (of_step(job, step, span, now)) } }
                }
            }
        }
    }
}

/// `waited 2.0 s, machine 140 ms, first line 80 ms, ran 12 s`.
pub(in crate::pages) fn words(clock: &JobClock, now: Timestamp) -> String {
    let phases = phases(clock, now);
    let said =
        phases.iter().map(|(_, word, from, to)| format!("{word} {}", format::duration(to.since(*from))));
    said.collect::<Vec<_>>().join(", ")
}

fn of_step(job: &Job, step: &Step, span: Span, now: Timestamp) -> Markup {
    let word = badge::of_step(step);
    let end = step.ended_at.unwrap_or(now);
    let ran = ("work", "ran", step.started_at, end);
    // What ran in an earlier attempt has no place on the time line of this one.
    let phases = if job.taken_from.is_none() { std::slice::from_ref(&ran) } else { &[] };
    html! {
        li.row data-state=(word) {
            (badge::sign(word))
            a.name href={ "/runs/" (job.run) "/jobs/" (job.id) "?line=" (step.first_line) "#L" (step.first_line + 1) } {
                (step.name)
            }
            (bar(phases, span, word))
            (format::took(step.started_at, step.ended_at, now))
        }
    }
}

fn bar(
    phases: &[(&'static str, &'static str, Timestamp, Timestamp)],
    span: Span,
    word: badge::Word,
) -> Markup {
    let percent = |hundredths: u64| format!("{}.{:02}%", hundredths / 100, hundredths % 100);
    html! {
        svg.bar.{ "s-" (word) } width="100%" height="12" aria-hidden="true" {
            @for part in phases.iter().map(|(class, _, from, to)| span.part(class, *from, *to)) {
                rect.(part.class) x=(percent(part.from)) width=(percent(part.width)) height="12" rx="2" {}
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::pages::sample;

    fn clock(moments: [u64; 5]) -> JobClock {
        JobClock {
            queued_at: Timestamp(moments[0]),
            retried_at: None,
            leased_at: Some(Timestamp(moments[1])),
            started_at: Some(Timestamp(moments[2])),
            first_line_at: Some(Timestamp(moments[3])),
            ended_at: Some(Timestamp(moments[4])),
        }
    }

    #[test]
    fn a_bar_tells_waiting_from_running() {
        let clock = clock([1_000, 3_000, 3_140, 3_220, 11_000]);
        assert_eq!(words(&clock, Timestamp(0)), "waited 2.0 s, machine 140 ms, first line 80 ms, ran 7.7 s");
        let span = Span { begin: Timestamp(1_000), end: Timestamp(11_000) };
        let parts: Vec<_> = phases(&clock, Timestamp(0))
            .iter()
            .map(|(class, _, from, to)| span.part(class, *from, *to))
            .collect();
        assert_eq!(parts[0], Part { class: "queue", from: 0, width: 2000 });
        assert_eq!(parts[3], Part { class: "work", from: 2220, width: 7780 });
    }

    #[test]
    fn a_job_that_was_tried_before_waits_from_when_it_was_queued_again() {
        let clock =
            JobClock { retried_at: Some(Timestamp(2_500)), ..clock([1_000, 3_000, 3_140, 3_220, 11_000]) };
        let said = "earlier tries 1.5 s, waited 500 ms, machine 140 ms, first line 80 ms, ran 7.7 s";
        assert_eq!(words(&clock, Timestamp(0)), said);
    }

    #[test]
    fn a_job_that_waits_still_has_one_part_that_grows() {
        let clock = JobClock { queued_at: Timestamp(1_000), ..JobClock::default() };
        assert_eq!(words(&clock, Timestamp(5_000)), "waited 4.0 s");
    }

    #[test]
    fn a_moment_is_seen_and_stays_on_the_line() {
        let span = Span { begin: Timestamp(0), end: Timestamp(1_000_000) };
        let part = span.part("work", Timestamp(1_000_000), Timestamp(1_000_000));
        assert_eq!((part.from, part.width), (WHOLE - LEAST, LEAST));
        let none = Span { begin: Timestamp(5), end: Timestamp(5) };
        assert_eq!(none.part("work", Timestamp(9), Timestamp(1)).from, 0);
    }

    #[test]
    fn a_clock_that_went_backwards_makes_no_negative_time() {
        let clock = clock([5_000, 4_000, 3_000, 2_000, 1_000]);
        assert_eq!(words(&clock, Timestamp(0)), "waited 0 ms, machine 0 ms, first line 0 ms, ran 0 ms");
    }

    #[test]
    fn names_of_jobs_and_steps_are_escaped() {
        let mut job = sample::job(1, "build");
        job.name = "<b>".to_owned();
        let step = sample::step(job.id, "<i>");
        let page =
            render(&[job.clone()], &BTreeMap::from([(job.id, vec![step])]), Timestamp(9)).into_string();
        assert!(!page.contains("<b>") && !page.contains("<i>"), "{page}");
        assert!(page.contains("&lt;b&gt;") && page.contains("&lt;i&gt;"), "{page}");
    }
}
