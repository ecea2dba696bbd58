//! What `hearth top` shows, and what keys make of it.

use std::collections::{BTreeMap, VecDeque};

use model::{JobId, RepositoryId, RunId};
use server::api::wire::{Line, Queue, Working};

use super::super::status::Screen;

/// Lines of a log that are kept: many screens.
const LINES: usize = 1000;

/// What a server has said of itself.
pub(super) struct Seen {
    pub(super) screen: Screen,
    pub(super) queue: Queue,
    pub(super) names: BTreeMap<RepositoryId, String>,
    pub(super) address: String,
}

/// A key that means something.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Key {
    Up,
    Down,
    Log,
    Cancel,
    Yes,
    WholeRun,
    Back,
    Quit,
    /// None was pressed, but the screen must be drawn anew.
    Resized,
}

/// What a key makes the program do.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Wish {
    CancelJob(JobId),
    CancelRun(RunId),
    OpenLog(JobId),
    CloseLog,
    Quit,
}

/// What the keys are about.
///
/// ```text
///          c                 l
/// asking ◄─── list ────────────► log
///    └─ y,r,n ─►▲◄─────── Esc,l ──┘
/// ```
#[derive(Debug, Default)]
pub(super) enum Mode {
    /// The jobs that run.
    #[default]
    List,
    /// Whether this one shall be cancelled.
    Asking { job: JobId, run: RunId, name: String },
    /// The end of the log of one.
    Log { name: String, lines: VecDeque<Line> },
}

/// All of it.
#[derive(Default)]
pub(super) struct Top {
    pub(super) seen: Option<Seen>,
    /// The chosen job, which stays chosen when others come and go.
    chosen: Option<JobId>,
    pub(super) mode: Mode,
    /// What went wrong last.
    pub(super) note: Option<String>,
}

impl Top {
    /// The server has said how it stands.
    pub(super) fn see(&mut self, seen: Seen) {
        self.seen = Some(seen);
        self.note = None;
        if self.place().is_none() {
            self.chosen = self.working().first().map(|working| working.job.id);
        }
    }

    /// Something went wrong.
    pub(super) fn tell(&mut self, note: String) {
        self.note = Some(note);
    }

    /// Lines have come.
    pub(super) fn add(&mut self, new: Vec<Line>) {
        if let Mode::Log { lines, .. } = &mut self.mode {
            lines.extend(new);
            let over = lines.len().saturating_sub(LINES);
            lines.drain(..over);
        }
    }

    /// The jobs that run.
    pub(super) fn working(&self) -> &[Working] {
        self.seen.as_ref().map_or(&[], |seen| &seen.screen.status.working)
    }

    /// The place of the chosen job among them.
    pub(super) fn place(&self) -> Option<usize> {
        let chosen = self.chosen?;
        self.working().iter().position(|working| working.job.id == chosen)
    }

    /// What a key makes of it.
    pub(super) fn press(&mut self, key: Key) -> Option<Wish> {
        match (&self.mode, key) {
            (_, Key::Quit) => Some(Wish::Quit),
            (Mode::List, Key::Up | Key::Down) => {
                self.choose(key);
                None
            }
            (Mode::List, Key::Log) => self.open(),
            (Mode::List, Key::Cancel) => {
                let working = &self.working()[self.place()?];
                let job = &working.job;
                self.mode = Mode::Asking { job: job.id, run: job.run_id, name: job.name.clone() };
                None
            }
            (&Mode::Asking { job, .. }, Key::Yes) => self.back(Some(Wish::CancelJob(job))),
            (&Mode::Asking { run, .. }, Key::WholeRun) => self.back(Some(Wish::CancelRun(run))),
            (Mode::Asking { .. }, Key::Back) => self.back(None),
            (Mode::Log { .. }, Key::Back | Key::Log) => self.back(Some(Wish::CloseLog)),
            _ => None,
        }
    }

    fn back(&mut self, wish: Option<Wish>) -> Option<Wish> {
        self.mode = Mode::List;
        wish
    }

    fn open(&mut self) -> Option<Wish> {
        let job = &self.working()[self.place()?].job;
        let (id, name) = (job.id, job.name.clone());
        self.mode = Mode::Log { name, lines: VecDeque::new() };
        Some(Wish::OpenLog(id))
    }

    fn choose(&mut self, key: Key) {
        let last = self.working().len().saturating_sub(1);
        let place = self.place().unwrap_or(0);
        let next = if key == Key::Up { place.saturating_sub(1) } else { (place + 1).min(last) };
        self.chosen = self.working().get(next).map(|working| working.job.id);
    }
}
