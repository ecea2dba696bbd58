//! Logs of jobs: page by page, whole, searched, and live.

use std::sync::Arc;

use axum::Json;
use axum::body::{Body, Bytes};
use axum::extract::State;
use axum::http::header;
use axum::response::{IntoResponse, Response};
use futures_util::stream;
use model::LogLine;
use serde::Deserialize;
use store::StoreError;
use store::log::{Line, LogReader, PAGE_LINES, Pattern};

use super::error::ApiError;
use super::events::{self, Event};
use super::jobs;
use super::read::{Number, Query};
use super::wire::{self, Found, Lines};
use crate::server::Shared;

/// Lines of one answer, unless it is asked for others: a few screens.
const PAGE: usize = 1000;

/// Lines of a search's answer, unless it is asked for others.
const FOUND: usize = 100;

/// Which lines.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Which {
    #[serde(default)]
    from: u64,
    count: Option<usize>,
}

/// `GET /jobs/{job}/log`
pub(super) async fn lines(
    State(shared): State<Arc<Shared>>,
    Number(job): Number,
    Query(which): Query<Which>,
) -> Result<Json<Lines>, ApiError> {
    let log = of(&shared, job).await?;
    // Asked before the lines: if nothing follows what is there, then nothing follows what is read.
    let is_complete = log.is_complete().await?;
    let count = which.count.unwrap_or(PAGE).clamp(1, PAGE_LINES);
    let lines = log.lines(which.from, count).await?;
    let next = lines.last().map_or(which.from, |line| line.number + 1);
    let is_last = is_complete && next >= log.count().await?;
    Ok(Json(Lines { lines: lines.into_iter().map(told).collect(), next, is_last }))
}

/// `GET /jobs/{job}/log/text`: all lines that are there, as they are.
pub(super) async fn text(
    State(shared): State<Arc<Shared>>,
    Number(job): Number,
) -> Result<Response, ApiError> {
    let log = of(&shared, job).await?;
    let count = log.count().await?;
    // Page by page, as fast as the client takes them.
    let pages = stream::try_unfold(0, move |from| {
        let log = log.clone();
        async move { page_of_text(&log, from, count).await }
    });
    let kind = [(header::CONTENT_TYPE, "text/plain; charset=utf-8")];
    Ok((kind, Body::from_stream(pages)).into_response())
}

async fn page_of_text(log: &LogReader, from: u64, count: u64) -> Result<Option<(Bytes, u64)>, StoreError> {
    if from >= count {
        return Ok(None);
    }
    let lines = log.lines(from, PAGE_LINES).await?;
    let Some(last) = lines.last().map(|line| line.number) else { return Ok(None) };
    let text: String = lines.into_iter().map(|line| line.line.text + "\n").collect();
    Ok(Some((text.into(), last + 1)))
}

/// What to look for.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Wanted {
    query: String,
    #[serde(default)]
    regex: bool,
    #[serde(default)]
    ignore_case: bool,
    #[serde(default)]
    from: u64,
    limit: Option<usize>,
}

/// `GET /jobs/{job}/log/search`
pub(super) async fn search(
    State(shared): State<Arc<Shared>>,
    Number(job): Number,
    Query(wanted): Query<Wanted>,
) -> Result<Json<Found>, ApiError> {
    let log = of(&shared, job).await?;
    let make = if wanted.regex { Pattern::regex } else { Pattern::text };
    let pattern =
        make(&wanted.query, wanted.ignore_case).map_err(|error| ApiError::bad(error.to_string()))?;
    let limit = wanted.limit.unwrap_or(FOUND).clamp(1, PAGE_LINES);
    let found = log.search(&pattern, wanted.from, limit).await?;
    Ok(Json(Found { lines: found.lines.into_iter().map(told).collect(), next: found.next }))
}

/// From which line on.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct From {
    #[serde(default)]
    from: u64,
}

/// `GET /jobs/{job}/log/events`: all lines from one on, those that are there and then those that come.
pub(super) async fn follow(
    State(shared): State<Arc<Shared>>,
    Number(job): Number,
    Query(From { from }): Query<From>,
) -> Result<Response, ApiError> {
    let log = of(&shared, job).await?;
    let place = shared.listeners.enter()?;
    let pages = stream::unfold(Some(log.follow(from)), async |follow| {
        let mut follow = follow?;
        match follow.next().await {
            Ok(lines) if lines.is_empty() => Some((Event::of("end", &()), None)),
            Ok(lines) => {
                let lines: Vec<wire::Line> = lines.into_iter().map(told).collect();
                Some((Event::of("lines", &lines), Some(follow)))
            }
            Err(error) => Some((Event::of("error", &error.to_string()), None)),
        }
    });
    Ok(events::answer(&shared, place, pages))
}

fn told(line: Line) -> wire::Line {
    let LogLine { step, stream, at, text, .. } = line.line;
    wire::Line { number: line.number, step, stream, at: at.into(), text }
}

/// The log of a job that must be there.
async fn of(shared: &Shared, job: u64) -> Result<LogReader, ApiError> {
    Ok(shared.logs.read(jobs::one(shared, job).await?.ran_as()))
}
