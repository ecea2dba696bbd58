//! Jobs and what they need, drawn on the server.

use std::collections::BTreeMap;

use maud::{Markup, html};
use model::RunId;
use store::record::Job;

use super::needs::Needs;
use crate::pages::badge;

/// Boxes of a drawing: a file may have more jobs, but nobody sees anything in such a picture.
const BOXES: usize = 120;

/// Jobs of a matrix that are listed in their box.
const LEGS: usize = 8;

/// Letters of a name that fit into a box.
const NAME_CHARS: usize = 27;

const BOX_WIDTH: usize = 232;
const COLUMN_GAP: usize = 56;
const ROW_HEIGHT: usize = 26;
const BOX_GAP: usize = 14;
const PADDING: usize = 6;

/// Between lines that pass the same boxes.
const LANE_GAP: usize = 6;

/// A job of the file: one box, with all jobs that its matrix or its call made.
#[derive(Clone, Debug)]
pub(in crate::pages) struct Box<'a> {
    key: &'a str,
    x: usize,
    y: usize,
    legs: Vec<&'a Job>,
}

/// Boxes with their places, and lines between them.
#[derive(Clone, Debug, Default)]
pub(in crate::pages) struct Graph<'a> {
    boxes: Vec<Box<'a>>,
    lines: Vec<Line>,
    width: usize,
    height: usize,
}

/// From the needed one to the one that needs it, by place in `boxes`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Line {
    from: usize,
    to: usize,
    /// How far down it goes, to pass the boxes of the columns in between; none if there are no such.
    lane: Option<usize>,
}

impl Box<'_> {
    fn rows(&self) -> usize {
        match self.legs.len() {
            0 | 1 => 1,
            many if many > LEGS => LEGS + 2,
            many => many + 1,
        }
    }

    fn height(&self) -> usize {
        self.rows() * ROW_HEIGHT + 2 * PADDING
    }
}

/// The key of the job of the file that a job comes from: `deploy` of `deploy[1]/build`.
fn key(job: &Job) -> &str {
    let end = job.path.find(['[', '/']).unwrap_or(job.path.len());
    &job.path[..end]
}

/// Places a box for each job of the file in the column of its level, in the order of the file.
pub(in crate::pages) fn place<'a>(jobs: &'a [Job], needs: &'a Needs) -> Graph<'a> {
    let mut legs: BTreeMap<&str, Vec<&Job>> = BTreeMap::new();
    for job in jobs {
        legs.entry(key(job)).or_default().push(job);
    }
    let mut keys: Vec<&str> = needs.0.iter().map(|(key, _)| key.as_str()).collect();
    let unknown: Vec<&str> = legs.keys().copied().filter(|key| !keys.contains(key)).collect();
    keys.extend(unknown);
    keys.truncate(BOXES);
    let levels = needs.levels();
    let mut graph = Graph::default();
    let mut heights: Vec<usize> = Vec::new();
    for key in keys {
        let level = levels.get(key).copied().unwrap_or(0);
        if heights.len() <= level {
            heights.resize(level + 1, 0);
        }
        let legs = legs.remove(key).unwrap_or_default();
        let next = Box { key, x: level * (BOX_WIDTH + COLUMN_GAP), y: heights[level], legs };
        heights[level] += next.height() + BOX_GAP;
        graph.boxes.push(next);
    }
    graph.lines = lines(&graph.boxes, needs, &heights);
    graph.width = heights.len() * (BOX_WIDTH + COLUMN_GAP) - COLUMN_GAP.min(heights.len() * COLUMN_GAP);
    let lowest = graph.lines.iter().filter_map(|line| line.lane).max().unwrap_or(0);
    graph.height = heights.iter().max().map_or(0, |height| height - BOX_GAP).max(lowest);
    graph
}

/// `heights` are those of the columns.
fn lines(boxes: &[Box<'_>], needs: &Needs, heights: &[usize]) -> Vec<Line> {
    let place = |key: &str| boxes.iter().position(|one| one.key == key);
    let column = |place: usize| boxes[place].x / (BOX_WIDTH + COLUMN_GAP);
    let pairs = needs.0.iter().flat_map(|(key, needs)| needs.iter().map(move |need| (need, key)));
    let mut passing = 0;
    let line = |(need, key): (&String, &String)| {
        let (from, to) = (place(need)?, place(key)?);
        let between = heights.get(column(from) + 1..column(to)).unwrap_or_default();
        let lane = between.iter().max().map(|height| {
            passing += 1;
            height + (passing - 1) * LANE_GAP
        });
        Some(Line { from, to, lane })
    };
    pairs.filter_map(line).collect()
}

/// The drawing; nothing where one job is all there is.
pub(in crate::pages) fn render(graph: &Graph<'_>, run: RunId, attempt: u32) -> Markup {
    let rows: usize = graph.boxes.iter().map(|one| one.legs.len().max(1)).sum();
    if rows < 2 {
        return Markup::default();
    }
    let size = format!("-1 -1 {} {}", graph.width + 2, graph.height + 2);
    html! {
        h2 { "Jobs" }
        div.wide {
            svg.graph viewBox=(size) width=(graph.width + 2) height=(graph.height + 2) role="group" {
                @for line in &graph.lines { (curve(&graph.boxes[line.from], &graph.boxes[line.to], line.lane)) }
                @for one in &graph.boxes { (draw(one, run, attempt)) }
            }
        }
    }
}

fn curve(from: &Box<'_>, to: &Box<'_>, lane: Option<usize>) -> Markup {
    let middle = PADDING + ROW_HEIGHT / 2;
    let (x1, y1, x2, y2) = (from.x + BOX_WIDTH, from.y + middle, to.x, to.y + middle);
    let bend = COLUMN_GAP / 2;
    let bow = |x: usize, from: usize, to: usize| {
        format!("C{} {from} {} {to} {} {to}", x + bend, x + bend, x + COLUMN_GAP)
    };
    let path = match lane {
        None => format!("M{x1} {y1} {}", bow(x1, y1, y2)),
        Some(lane) => {
            let back = x2.saturating_sub(COLUMN_GAP);
            format!("M{x1} {y1} {} H{back} {}", bow(x1, y1, lane), bow(back, lane, y2))
        }
    };
    html! { path.need d=(path) {} }
}

fn draw(one: &Box<'_>, run: RunId, attempt: u32) -> Markup {
    let row = |place: usize| one.y + PADDING + place * ROW_HEIGHT + ROW_HEIGHT * 2 / 3;
    let word = together(&one.legs);
    html! {
        rect.box.{ "s-" (word) } x=(one.x) y=(one.y) width=(BOX_WIDTH) height=(one.height()) rx="8" {}
        @match one.legs.as_slice() {
            [] => (label(one.x, row(0), word, one.key)),
            [job] => (linked(one.x, row(0), job, run, attempt)),
            many => {
                (label(one.x, row(0), word, &format!("{} ({})", one.key, many.len())))
                @for (job, place) in many.iter().take(LEGS).zip(1..) { (linked(one.x + 10, row(place), job, run, attempt)) }
                @if many.len() > LEGS {
                    text.dim x=(one.x + 34) y=(row(LEGS + 1)) { "and " (many.len() - LEGS) " more" }
                }
            },
        }
    }
}

fn linked(x: usize, y: usize, job: &Job, run: RunId, attempt: u32) -> Markup {
    let word = badge::of_job(job);
    let address = match job.run == run && job.attempt == attempt {
        true => format!("/runs/{run}/jobs/{}", job.id),
        false => format!("/runs/{}", job.run),
    };
    html! {
        a href=(address) data-job=(job.id) data-state=(word) aria-label={ (job.name) ": " (word) } {
            (label(x, y, word, &job.name))
        }
    }
}

fn label(x: usize, y: usize, word: badge::Word, name: &str) -> Markup {
    html! {
        text.{ "sign s-" (word) } x=(x + 12) y=(y) { (badge::glyph(word)) }
        text x=(x + 32) y=(y) { (short(name)) @if name.chars().count() > NAME_CHARS { title { (name) } } }
    }
}

fn short(name: &str) -> String {
    match name.chars().count() > NAME_CHARS {
        true => name.chars().take(NAME_CHARS - 1).chain(['…']).collect(),
        false => name.to_owned(),
    }
}

/// How several jobs stand together: the worst of them, or else the one that is furthest from its end.
fn together(jobs: &[&Job]) -> badge::Word {
    let words: Vec<_> = jobs.iter().map(|job| badge::of_job(job)).collect();
    let order = ["failure", "cancelled", "running", "leasing", "waiting", "queued", "success", "skipped"];
    order.into_iter().find(|word| words.contains(word)).unwrap_or("blocked")
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::pages::sample;

    fn needs(pairs: &[(&str, &[&str])]) -> Needs {
        let owned = |needs: &[&str]| needs.iter().map(|need| (*need).to_owned()).collect();
        Needs(pairs.iter().map(|(key, needs)| ((*key).to_owned(), owned(needs))).collect())
    }

    #[test]
    fn a_job_is_drawn_to_the_right_of_what_it_needs() {
        let needs = needs(&[("build", &[]), ("lint", &[]), ("test", &["build", "lint"])]);
        let graph = place(&[], &needs);
        let at = |key: &str| graph.boxes.iter().find(|one| one.key == key).map(|one| (one.x, one.y)).unwrap();
        assert!(at("test").0 > at("build").0 && at("build").0 == at("lint").0);
        assert!(at("lint").1 > at("build").1, "{graph:?}");
        let lines: Vec<_> = graph.lines.iter().map(|line| (line.from, line.to, line.lane)).collect();
        assert_eq!(lines, [(0, 2, None), (1, 2, None)]);
    }

    #[test]
    fn a_line_passes_below_the_boxes_in_between() {
        let needs = needs(&[("build", &[]), ("test", &["build"]), ("deploy", &["test", "build"])]);
        let graph = place(&[], &needs);
        let lane = graph.lines.iter().find_map(|line| line.lane).unwrap();
        assert!(lane > graph.boxes[1].y + graph.boxes[1].height() && lane <= graph.height, "{graph:?}");
    }

    #[test]
    fn jobs_of_a_matrix_share_a_box_that_shows_the_worst() {
        let mut jobs: Vec<_> = (0..12).map(|leg| sample::job(leg, &format!("test[{leg}]"))).collect();
        jobs[3].conclusion = Some(model::Conclusion::Failure);
        let needs = needs(&[("test", &[])]);
        let graph = place(&jobs, &needs);
        assert_eq!(graph.boxes.len(), 1);
        let page = render(&graph, sample::RUN, 1).into_string();
        assert!(page.contains("test (12)") && page.contains("and 4 more"), "{page}");
        assert!(page.contains("class=\"box s-failure\""), "{page}");
    }

    #[test]
    fn a_job_that_has_not_begun_has_its_box_already() {
        let needs = needs(&[("build", &[]), ("deploy", &["build"])]);
        let jobs = [sample::job(1, "build")];
        let page = render(&place(&jobs, &needs), sample::RUN, 1).into_string();
        assert!(page.contains("deploy") && page.contains("s-blocked"), "{page}");
    }

    #[test]
    fn names_are_cut_and_escaped() {
        let mut jobs = [sample::job(1, "a"), sample::job(2, "b")];
        jobs[0].name = format!("<svg onload=alert(1)>{}", "x".repeat(100));
        let needs = Needs::default();
        let page = render(&place(&jobs, &needs), sample::RUN, 1).into_string();
        assert!(!page.contains("<svg onload") && page.contains('…'), "{page}");
    }
}
