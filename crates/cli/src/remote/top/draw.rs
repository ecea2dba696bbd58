//! `hearth top` on a screen of any size.

use model::{Conclusion, Timestamp};
use ratatui::Frame;
use ratatui::layout::{Constraint, Layout, Rect};
use ratatui::style::{Color, Modifier, Style};
use ratatui::text::{Line, Span};
use ratatui::widgets::{Block, Borders, Paragraph, Row, Table, TableState};
use server::api::wire::Run;

use super::super::log::shown;
use super::super::status::{head, lasts, step};
use super::super::words;
use super::state::{Mode, Seen, Top};
use crate::age::age;
use crate::run::output::{one_line, seconds};

/// Rows of facts about the server, where they are no more than this part of the screen.
const FACTS: u16 = 5;
const FACTS_PART: u16 = 4;

/// Rows from which on those who wait, and the runs, have a place beside the jobs.
const ROOM_FOR_ALL: u16 = 14;
const ROOM_FOR_RUNS: u16 = 9;

/// Columns from which on the repository of a job has a place beside its step.
const WIDE: u16 = 70;

/// Rows of those who wait, with their border; the queue has a page of its own.
const WAITING: u16 = 5;

/// What the keys do.
const KEYS: &str = "↑↓ choose   l log   c cancel   q quit";

/// Draws all of it.
pub(super) fn draw(frame: &mut Frame<'_>, top: &Top, now: Timestamp) {
    let Some(seen) = &top.seen else { return };
    let [facts, middle, foot] = Layout::vertical([
        Constraint::Length(FACTS.min(frame.area().height / FACTS_PART)),
        Constraint::Min(3),
        Constraint::Length(1),
    ])
    .areas(frame.area());
    let status = &seen.screen.status;
    let lines: Vec<Line<'_>> =
        head(status, &seen.screen.ready, &seen.address).into_iter().map(Line::from).collect();
    frame.render_widget(Paragraph::new(lines), facts);
    match &top.mode {
        Mode::Log { name, lines } => {
            let room = usize::from(middle.height.saturating_sub(2));
            let skipped = lines.len().saturating_sub(room);
            let shown = lines.iter().skip(skipped).filter_map(|line| shown(&line.text, false));
            let shown: Vec<Line<'_>> = shown.map(Line::from).collect();
            frame.render_widget(
                Paragraph::new(shown).block(titled(format!("Log of {}", one_line(name)))),
                middle,
            );
        }
        Mode::List | Mode::Asking { .. } => {
            let waiting =
                if seen.queue.waiting.is_empty() || middle.height < ROOM_FOR_ALL { 0 } else { WAITING };
            let runs = u16::from(middle.height >= ROOM_FOR_RUNS);
            let [jobs, queue, recent] =
                Layout::vertical([Constraint::Fill(1), Constraint::Length(waiting), Constraint::Fill(runs)])
                    .areas(middle);
            draw_jobs(frame, top, jobs, now);
            draw_queue(frame, seen, queue);
            draw_runs(frame, seen, recent, now);
        }
    }
    frame.render_widget(Paragraph::new(footer(top)), foot);
}

fn titled(title: String) -> Block<'static> {
    Block::default().borders(Borders::TOP).title(Span::styled(format!(" {title} "), Modifier::BOLD))
}

fn footer(top: &Top) -> Line<'static> {
    let warning = Style::default().fg(Color::Yellow);
    match (&top.mode, &top.note) {
        (Mode::Asking { name, run, .. }, _) => Line::styled(
            format!("Cancel job {} of run {run}?   y yes   r the whole run   n no", one_line(name)),
            warning,
        ),
        (_, Some(note)) => Line::styled(one_line(note), Style::default().fg(Color::Red)),
        (Mode::Log { .. }, None) => Line::from("Esc back   q quit"),
        (Mode::List, None) => Line::from(KEYS),
    }
}

fn draw_jobs(frame: &mut Frame<'_>, top: &Top, area: Rect, now: Timestamp) {
    let rows = top.working().iter().map(|working| {
        Row::new([
            working.job.run_id.to_string(),
            one_line(&working.repository),
            one_line(&working.job.name),
            step(working),
            lasts(working, now).map(seconds).unwrap_or_default(),
        ])
    });
    let widths = [
        Constraint::Length(7),
        if area.width < WIDE { Constraint::Length(0) } else { Constraint::Percentage(22) },
        Constraint::Percentage(25),
        Constraint::Fill(1),
        Constraint::Length(9),
    ];
    let title = match top.working().len() {
        0 => "Nothing runs".to_owned(),
        1 => "1 job runs".to_owned(),
        jobs => format!("{jobs} jobs run"),
    };
    let table = Table::new(rows, widths)
        .header(Row::new(["RUN", "REPOSITORY", "JOB", "STEP", "TIME"]).style(Modifier::DIM))
        .row_highlight_style(Modifier::REVERSED)
        .block(titled(title));
    let mut chosen = TableState::default().with_selected(top.place());
    frame.render_stateful_widget(table, area, &mut chosen);
}

fn draw_queue(frame: &mut Frame<'_>, seen: &Seen, area: Rect) {
    let lines = seen.queue.waiting.iter().map(|waiting| {
        let of = if waiting.job_id.is_some() { "of run" } else { "run" };
        let (name, reason) = (one_line(&waiting.name), one_line(&waiting.reason));
        Line::from(format!("{name} ({of} {}): {reason}", waiting.run_id))
    });
    let lines: Vec<Line<'_>> = lines.collect();
    frame.render_widget(Paragraph::new(lines).block(titled(format!("{} wait", seen.queue.total))), area);
}

fn draw_runs(frame: &mut Frame<'_>, seen: &Seen, area: Rect, now: Timestamp) {
    let rows = seen.screen.runs.runs.iter().map(|run| {
        let took = words::took(run.started_at, run.ended_at, now).map(seconds).unwrap_or_default();
        Row::new([
            run.id.to_string(),
            words::of_run(run.state, run.conclusion).to_owned(),
            seen.names.get(&run.repository_id).map(|name| one_line(name)).unwrap_or_default(),
            one_line(&run.title),
            took,
            age(run.created_at.0),
        ])
        .style(colour(run))
    });
    let widths = [
        Constraint::Length(7),
        Constraint::Length(9),
        Constraint::Percentage(22),
        Constraint::Fill(1),
        Constraint::Length(9),
        Constraint::Length(8),
    ];
    let table = Table::new(rows, widths)
        .header(Row::new(["RUN", "STATUS", "REPOSITORY", "TITLE", "TIME", "AGE"]).style(Modifier::DIM))
        .block(titled("Runs".to_owned()));
    frame.render_widget(table, area);
}

fn colour(run: &Run) -> Style {
    let colour = match run.conclusion {
        Some(Conclusion::Success) => Color::Green,
        Some(Conclusion::Failure) => Color::Red,
        Some(Conclusion::Cancelled | Conclusion::Skipped) => Color::DarkGray,
        None => Color::Reset,
    };
    Style::default().fg(colour)
}
