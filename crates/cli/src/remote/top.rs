//! `hearth top`: a server, live on a terminal.
//!
//! What is shown is a state ([`Top`]) that keys and answers change, and [`draw`] puts on the screen; nothing there
//! knows a terminal or a server. This file is what carries it out.

mod draw;
mod state;

use std::io::IsTerminal;
use std::time::Duration;

use anyhow::{Context, Result, bail};
use model::{JobId, Timestamp};
use ratatui::crossterm::event::{Event as Typed, KeyCode, KeyEventKind, KeyModifiers, read};
use serde_json::json;
use server::api::wire::{Line, Queue, Steps};
use server::client::{Events, Method};
use tokio::sync::mpsc;
use tokio::time::{Instant, MissedTickBehavior, interval, sleep_until};

use super::connection::Connection;
use super::{runs, status};
use crate::args::TopArgs;
use crate::exit;
use state::{Key, Seen, Top, Wish};

/// How often durations grow on the screen.
const TICK: Duration = Duration::from_secs(1);

/// The least time between two questions to the server, however much changes.
const PACE: Duration = Duration::from_millis(500);

/// How long after the last answer it is asked again though nothing was told: disk and pool change so.
const SELDOM: Duration = Duration::from_secs(10);

/// Runs that are asked for: more than most terminals have rows.
const RUNS: usize = 50;

/// Keys that wait for a screen that is being drawn.
const WAITING_KEYS: usize = 16;

/// Shows it until somebody has seen enough.
pub(super) async fn top(args: &TopArgs) -> Result<u8> {
    let server = Connection::of(&args.server)?;
    if !std::io::stdout().is_terminal() || !std::io::stdin().is_terminal() {
        bail!("`hearth top` needs a terminal; `hearth status` does not");
    }
    // Before the screen is taken: what is wrong is better told on the usual one.
    let mut top = Top::default();
    top.see(seen(&server).await?);
    let mut terminal = ratatui::try_init().context("can't take the terminal")?;
    let ended = show(&server, &mut top, &mut terminal).await;
    ratatui::restore();
    ended.map(|()| exit::SUCCESS)
}

/// A server's answers to all that the screen shows.
async fn seen(server: &Connection) -> Result<Seen> {
    let screen = status::fetch(server, RUNS).await?;
    let queue: Queue = server.get("/api/v1/queue").await?;
    Ok(Seen { screen, queue, names: runs::names(server).await?, address: server.address().to_owned() })
}

async fn show(server: &Connection, top: &mut Top, terminal: &mut ratatui::DefaultTerminal) -> Result<()> {
    let mut keys = keys();
    let mut changes = Some(server.listen("/api/v1/events").await?);
    let mut log: Option<Events> = None;
    let mut tick = interval(TICK);
    tick.set_missed_tick_behavior(MissedTickBehavior::Skip);
    let mut asked = Instant::now();
    let mut ask_at = asked + SELDOM;
    loop {
        terminal.draw(|frame| draw::draw(frame, top, Timestamp::now()))?;
        tokio::select! {
            key = keys.recv() => match top.press(key.context("the terminal was closed")?) {
                Some(Wish::Quit) => return Ok(()),
                Some(wish) => {
                    carry_out(server, top, &mut log, wish).await;
                    ask_at = Instant::now();
                }
                None => {}
            },
            event = next(&mut changes) => match event {
                Some(_) => ask_at = ask_at.min(asked + PACE),
                // It says so with the next question, or is there again.
                None => changes = None,
            },
            event = next(&mut log) => match event {
                Some((name, data)) if name == "lines" => {
                    top.add(serde_json::from_str::<Vec<Line>>(&data).unwrap_or_default());
                }
                Some(_) => {}
                None => log = None,
            },
            () = sleep_until(ask_at) => {
                asked = Instant::now();
                ask_at = asked + SELDOM;
                match seen(server).await {
                    Ok(seen) => top.see(seen),
                    Err(error) => top.tell(format!("{error:#}")),
                }
                if changes.is_none() {
                    changes = server.listen("/api/v1/events").await.ok();
                }
            }
            _ = tick.tick() => {}
        }
    }
}

/// The next event of a stream: none at its end, and never one where there is no stream.
async fn next(events: &mut Option<Events>) -> Option<(String, String)> {
    match events {
        Some(events) => events.next().await.ok().flatten().map(|event| (event.name, event.data)),
        None => std::future::pending().await,
    }
}

async fn carry_out(server: &Connection, top: &mut Top, log: &mut Option<Events>, wish: Wish) {
    let cancel = |path: String| async move { server.tell(Method::POST, &path, Some(&json!({}))).await };
    let outcome = match wish {
        Wish::CancelJob(job) => cancel(format!("/api/v1/jobs/{job}/cancel")).await.map_err(Into::into),
        Wish::CancelRun(run) => cancel(format!("/api/v1/runs/{run}/cancel")).await.map_err(Into::into),
        Wish::OpenLog(job) => open_log(server, job).await.map(|events| *log = Some(events)),
        Wish::CloseLog => {
            *log = None;
            Ok(())
        }
        Wish::Quit => Ok(()),
    };
    if let Err(error) = outcome {
        top.tell(format!("{error:#}"));
    }
}

/// The log of a job from where its latest step begins.
async fn open_log(server: &Connection, job: JobId) -> Result<Events> {
    let steps: Steps = server.get(&format!("/api/v1/jobs/{job}/steps")).await?;
    let from = steps.steps.last().map_or(0, |step| step.first_line);
    Ok(server.listen(&format!("/api/v1/jobs/{job}/log/events?from={from}")).await?)
}

/// Keys as they are pressed. The thread that reads them can't be stopped, and ends with the process.
fn keys() -> mpsc::Receiver<Key> {
    let (pressed, keys) = mpsc::channel(WAITING_KEYS);
    std::thread::spawn(move || {
        while let Ok(typed) = read() {
            if key_of(&typed).is_some_and(|key| pressed.blocking_send(key).is_err()) {
                return;
            }
        }
    });
    keys
}

fn key_of(typed: &Typed) -> Option<Key> {
    let key = match typed {
        Typed::Resize(..) => return Some(Key::Resized),
        Typed::Key(key) if key.kind == KeyEventKind::Press => key,
        _ => return None,
    };
    Some(match key.code {
        KeyCode::Char('c') if key.modifiers.contains(KeyModifiers::CONTROL) => Key::Quit,
        KeyCode::Char('q') => Key::Quit,
        KeyCode::Esc => Key::Back,
        KeyCode::Up | KeyCode::Char('k') => Key::Up,
        KeyCode::Down | KeyCode::Char('j') => Key::Down,
        KeyCode::Char('l') | KeyCode::Enter => Key::Log,
        KeyCode::Char('c') => Key::Cancel,
        KeyCode::Char('y') => Key::Yes,
        KeyCode::Char('r') => Key::WholeRun,
        KeyCode::Char('n') => Key::Back,
        _ => return None,
    })
}
