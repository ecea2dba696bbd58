//! `/runs/{id}/jobs/{job}`: one job, its steps, and its log.

use maud::{Markup, html};
use model::{Annotation, JobState, Timestamp};
use store::log::{Found, Line};
use store::record::{AnnotationOf, Job, Run, Step};

use super::badge;
use super::format;
use super::layout::nothing;
use super::log::fold;
use super::log::line;
use super::log::range::{PAGE, Range};
use super::run::actions::{self, Deciders};
use super::run::waterfall;
use super::runs::encoded;
use super::viewer::Viewer;

/// Annotations above a log: those further down are in the log itself.
const ANNOTATIONS: usize = 20;

/// What is searched for in a log, and what was found.
pub(super) struct Search {
    /// As it was typed.
    pub(super) text: String,
    /// What was found, or why it can't be searched for.
    pub(super) found: Result<Found, String>,
}

/// Everything of a job that its page shows.
pub(super) struct View<'a> {
    pub(super) run: &'a Run,
    pub(super) repository: &'a str,
    pub(super) job: &'a Job,
    /// The job of an earlier attempt that ran in its place: steps, annotations, and lines are that one's.
    pub(super) ran: Option<&'a Job>,
    pub(super) steps: &'a [Step],
    pub(super) annotations: &'a [AnnotationOf],
    pub(super) lines: &'a [Line],
    pub(super) range: Range,
    pub(super) search: Option<&'a Search>,
    /// Why it waits.
    pub(super) wait: Option<&'a str>,
    pub(super) deciders: &'a Deciders,
    pub(super) viewer: &'a Viewer,
    pub(super) now: Timestamp,
}

/// The page.
pub(super) fn render(view: &View<'_>) -> Markup {
    html! {
        div id="head" data-swap { (head(view)) }
        div id="annotations" data-swap { (annotations(view)) }
        div.job {
            section.steps aria-label="Steps" { ol id="steps" data-swap { @for step in view.steps { (step_row(view, step)) } } }
            section.lines aria-label="Log" {
                (tools(view))
                @if let Some(search) = view.search { (results(view, search)) }
                (log(view))
            }
        }
    }
}

fn address(view: &View<'_>) -> String {
    format!("/runs/{}/jobs/{}", view.run.id, view.job.id)
}

fn head(view: &View<'_>) -> Markup {
    let (run, job) = (view.run, view.job);
    let word = badge::of_job(job);
    html! {
        nav.crumbs aria-label="Where this is" {
            a href="/" { "Runs" } " / "
            a href={ "/repositories/" (encoded(view.repository)) } { (view.repository) } " / "
            a data-up href={ "/runs/" (run.id) "?attempt=" (job.attempt) } { (run.what.title) " #" (run.number) }
        }
        div.head data-job=(job.id) data-state=(word) {
            (badge::badge(word))
            h1 { (job.name) }
            (actions::of_job(run, job, view.deciders, view.viewer))
        }
        p.sub {
            (waterfall::words(&job.clock, view.now))
            @if let Some(machine) = &job.machine { " · on " code { (machine) } }
            " · " @for label in &job.labels { span.label { (label) } " " }
            @if job.attempt > 1 { " · attempt " (job.attempt) }
            @if job.tries > 1 { " · try " (job.tries) }
            @if let Some(environment) = &job.environment {
                " · environment "
                @match job.environment_url.as_deref().filter(|url| is_web(url)) {
                    Some(url) => a rel="noopener noreferrer nofollow" href=(url) { (environment) },
                    None => (environment),
                }
            }
        }
        @if let Some(ran) = view.ran {
            p { "This is how it " a href={ "/runs/" (run.id) "/jobs/" (ran.id) } { "ran in attempt " (ran.attempt) } "." }
        }
        @if let Some(reason) = view.wait.or(job.reason.as_deref()).or(job.infrastructure_error.as_deref()) {
            pre.reason { (reason) }
        }
    }
}

/// Whether an address that a job has made leads to the web, and not to a script.
fn is_web(url: &str) -> bool {
    ["http://", "https://"].iter().any(|scheme| url.starts_with(scheme))
}

fn annotations(view: &View<'_>) -> Markup {
    html! {
        @if !view.annotations.is_empty() {
            ul.annotations aria-label="Annotations" {
                @for of in view.annotations.iter().take(ANNOTATIONS) {
                    li.annotation {
                        (badge::sign(badge::of_level(of.annotation.level)))
                        div {
                            (annotation(&of.annotation))
                            @if let Some(file) = &of.annotation.file {
                                div.sub { code { (file) @if let Some(line) = of.annotation.line { ":" (line) } } }
                            }
                        }
                    }
                }
            }
        }
    }
}

/// What an annotation says.
pub(super) fn annotation(annotation: &Annotation) -> Markup {
    html! {
        @if let Some(title) = &annotation.title { strong { (title) } " " }
        @if let Some(code) = &annotation.code { code { (code) } " " }
        span.message { (annotation.message) }
    }
}

fn step_row(view: &View<'_>, step: &Step) -> Markup {
    let word = badge::of_step(step);
    let line = line::shown_number(step.first_line);
    html! {
        li data-state=(word) data-item data-line=(step.first_line) data-name=(step.name) {
            (badge::sign(word))
            a href={ (address(view)) "?line=" (step.first_line) "#L" (line) } { (step.name) }
            (format::took(step.started_at, step.ended_at, view.now))
        }
    }
}

fn tools(view: &View<'_>) -> Markup {
    let text = view.search.map_or("", |search| search.text.as_str());
    html! {
        form.tools role="search" method="get" action=(address(view)) {
            label { span.hidden { "Search the log" } input type="search" name="q" value=(text) placeholder="Search the log" data-search; }
            button { "Search" }
            span id="found" role="status" {}
            button type="button" id="first-error" data-first-error hidden { "First error" }
            span.grow {}
            label.only-script hidden { input type="checkbox" id="times-shown"; " times" }
            label.only-script hidden { input type="checkbox" id="follow"; " follow" }
            a.plain href={ (address(view)) "/log.txt" } { "Raw" }
        }
    }
}

fn results(view: &View<'_>, search: &Search) -> Markup {
    html! {
        div.results id="results" {
            @match &search.found {
                Err(reason) => p.reason { (reason) },
                Ok(found) => {
                    p.dim {
                        @match (found.lines.len(), found.next) {
                            (0, None) => "Nothing found.",
                            (count, None) => { (count) " lines" },
                            (count, Some(_)) => { (count) " lines so far" },
                        }
                        @if let Some(next) = found.next {
                            " · " a rel="next" href={ (address(view)) "?q=" (encoded(&search.text)) "&from=" (next) } { "Go on" }
                        }
                    }
                    div.log { @for hit in &found.lines { (line::render(hit, &format!("{}?line={}", address(view), hit.number))) } }
                },
            }
        }
    }
}

fn log(view: &View<'_>) -> Markup {
    let (range, has_ended) = (view.range, view.job.state == JobState::Ended);
    html! {
        div.log id="log" tabindex="0" role="log" aria-label="Log" data-address={ (address(view)) "/log" }
            data-count=(range.count) data-live[!has_ended] data-failed[badge::of_job(view.job) == "failure"] {
            @if view.lines.is_empty() {
                @let what = if has_ended { "This job has no log." } else { "No line yet." };
                (nothing(what, &html! { (view.wait.unwrap_or_default()) }))
            }
            (fold::render(view.lines, ""))
        }
        (pages(view))
    }
}

fn pages(view: &View<'_>) -> Markup {
    let range = view.range;
    let link = |from: u64| format!("{}?line={from}", address(view));
    html! {
        @if range.count > PAGE {
            nav.pages id="pages" aria-label="Pages of the log" {
                @if let Some(before) = range.before() {
                    a href=(link(0)) { "First" } " " a rel="prev" href=(link(before)) { "Earlier" } " "
                }
                span.dim {
                    "lines " (format::count(range.from + 1)) " to " (format::count(range.end())) " of " (format::count(range.count))
                }
                @if let Some(after) = range.after() { " " a rel="next" href=(link(after)) { "Later" } }
                @if let Some(last) = range.last() { " " a href=(link(last)) { "Last" } }
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::super::log::line::tests::line as log_line;
    use super::super::sample::{self, HOSTILE};
    use super::super::viewer::Role;
    use super::*;
    use model::Stream;

    fn page(change: impl FnOnce(&mut Run, &mut Job, &mut Vec<Step>), lines: &[Line], count: u64) -> String {
        let (mut run, mut job) = (sample::run(), sample::job(5, "build"));
        let mut steps = vec![sample::step(job.id, "Test")];
        change(&mut run, &mut job, &mut steps);
        let view = View {
            run: &run,
            repository: "octo/hello",
            job: &job,
            ran: None,
            steps: &steps,
            annotations: &[],
            lines,
            range: Range::with(Some(1500), count),
            search: None,
            wait: None,
            deciders: &Deciders::default(),
            viewer: &sample::viewer(Role::Operate),
            now: Timestamp(70_000),
        };
        render(&view).into_string()
    }

    #[test]
    fn an_annotation_shows_its_title_and_what_it_says() {
        let (run, job) = (sample::run(), sample::job(5, "build"));
        let annotation = Annotation {
            level: model::AnnotationLevel::Error,
            message: "two is not three".to_owned(),
            title: Some("Sums <b>".to_owned()),
            file: Some("sum.rs".to_owned()),
            line: Some(7),
            end_line: None,
            column: None,
            end_column: None,
            code: None,
        };
        let view = View {
            run: &run,
            repository: "octo/hello",
            job: &job,
            ran: None,
            steps: &[],
            annotations: &[AnnotationOf { job: job.id, annotation }],
            lines: &[],
            range: Range::with(None, 0),
            search: None,
            wait: None,
            deciders: &Deciders::default(),
            viewer: &sample::viewer(Role::Read),
            now: Timestamp(70_000),
        };
        let page = render(&view).into_string();
        for part in ["<strong>Sums &lt;b&gt;</strong>", "two is not three", "sum.rs:7"] {
            assert!(page.contains(part), "{part} is not in {page}");
        }
    }

    #[test]
    fn a_step_leads_to_its_first_line() {
        let page = page(|_, _, steps| steps[0].first_line = 1234, &[], 5000);
        assert!(page.contains("href=\"/runs/7/jobs/5?line=1234#L1235\""), "{page}");
    }

    #[test]
    fn a_long_log_is_read_page_by_page_without_a_script() {
        let page = page(|_, _, _| {}, &[], 2_500);
        for part in
            ["?line=0\">Earlier", "?line=2000\">Later", "lines 1\u{202f}001 to 2\u{202f}000 of 2\u{202f}500"]
        {
            assert!(page.contains(part), "{part} is not in {page}");
        }
    }

    #[test]
    fn a_job_that_did_not_run_again_leads_to_the_one_that_ran() {
        let (run, ran, mut job) = (sample::run(), sample::job(5, "build"), sample::job(9, "build"));
        (job.attempt, job.taken_from) = (2, Some(ran.id));
        let lines = [log_line(0, Stream::Stdout, "hello")];
        let view = View {
            run: &run,
            repository: "octo/hello",
            job: &job,
            ran: Some(&ran),
            steps: &[sample::step(ran.id, "Test")],
            annotations: &[],
            lines: &lines,
            range: Range::with(None, 1),
            search: None,
            wait: None,
            deciders: &Deciders::default(),
            viewer: &sample::viewer(Role::Read),
            now: Timestamp(70_000),
        };
        let page = render(&view).into_string();
        assert!(page.contains("<a href=\"/runs/7/jobs/5\">ran in attempt 1</a>"), "{page}");
        assert!(page.contains("hello") && page.contains("data-address=\"/runs/7/jobs/9/log\""), "{page}");
    }

    #[test]
    fn a_running_job_can_be_cancelled_and_its_log_is_live() {
        let page = page(
            |run, job, _| {
                run.what.state = model::RunState::Running;
                (job.state, job.conclusion) = (JobState::Running, None);
            },
            &[],
            0,
        );
        assert!(page.contains("action=\"/runs/7/jobs/5/cancel\"") && page.contains("data-live"), "{page}");
        assert!(page.contains("No line yet."), "{page}");
    }

    #[test]
    fn nothing_that_a_job_says_becomes_markup() {
        let lines = [log_line(0, Stream::Stdout, HOSTILE), log_line(1, Stream::Hearth, "##[group]<script>")];
        let page = page(
            |run, job, steps| {
                run.what.title = HOSTILE.to_owned();
                job.name = HOSTILE.to_owned();
                job.labels = vec![HOSTILE.to_owned()];
                job.machine = Some(HOSTILE.to_owned());
                job.reason = Some(HOSTILE.to_owned());
                job.environment = Some(HOSTILE.to_owned());
                job.environment_url = Some("javascript:alert(1)".to_owned());
                steps[0].name = HOSTILE.to_owned();
            },
            &lines,
            2,
        );
        assert!(!page.contains("<script") && !page.contains("\" onmouseover"), "{page}");
        assert!(!page.contains("javascript:"), "{page}");
    }
}
