//! What the viewer of a log asks for: ranges of lines, marks, matches, and what comes live.

use std::convert::Infallible;
use std::time::Duration;

use axum::Json;
use axum::body::Body;
use axum::extract::State;
use axum::http::header;
use axum::response::sse::{Event, KeepAlive, Sse};
use axum::response::{IntoResponse, Response};
use bytes::Bytes;
use futures_util::{Stream, StreamExt, stream};
use model::{JobId, RunId, StepPhase, Timestamp};
use serde::{Deserialize, Serialize};
use store::log::{Follow, Line, LogReader, PAGE_LINES, Pattern};

use super::line::{self, MARK_PATTERN, Mark};
use crate::pages::asked::{Number, Path, Query};
use crate::pages::error::PageError;
use crate::pages::{Pages, format};

/// Lines of one answer with markup: some screens, so that scrolling asks seldom and an answer stays small.
const LINES: usize = 1000;

/// Matches of one answer: more than anybody steps through.
const MATCHES: usize = 2000;

/// Between two signs of life on a silent line: shorter than what proxies wait (nginx: 60 s).
pub(in crate::pages) const SIGN_OF_LIFE: Duration = Duration::from_secs(20);

/// Where from, and how many.
#[derive(Debug, Deserialize)]
pub(in crate::pages) struct Ask {
    #[serde(default)]
    from: u64,
    count: Option<usize>,
    #[serde(default)]
    q: String,
}

/// The log of a job of a run, if the run has that job.
async fn log_of(pages: &Pages, (Number(run), Number(job)): (Number, Number)) -> Result<LogReader, PageError> {
    let job = pages.store().job(JobId(job)).await?.filter(|job| job.run == RunId(run));
    let job = job.ok_or(PageError::Missing("job"))?;
    Ok(pages.logs().read(job.ran_as()))
}

/// `GET …/log?from=&count=`: lines as markup, one element each.
pub(in crate::pages) async fn lines(
    State(pages): State<Pages>,
    Path(of): Path<(Number, Number)>,
    Query(ask): Query<Ask>,
) -> Result<Response, PageError> {
    let log = log_of(&pages, of).await?;
    let lines = log.lines(ask.from, ask.count.unwrap_or(LINES).min(LINES)).await?;
    let markup: String = lines.iter().map(|one| line::render(one, "").into_string()).collect();
    Ok(([(header::CONTENT_TYPE, "text/html; charset=utf-8")], markup).into_response())
}

/// Marks of a part of a log, and where the next part begins.
#[derive(Debug, PartialEq, Eq, Serialize)]
pub(in crate::pages) struct Marks {
    marks: Vec<Marked>,
    next: Option<u64>,
}

/// A mark: where groups begin and end, and errors.
#[derive(Debug, PartialEq, Eq, Serialize)]
struct Marked {
    /// Number of the line.
    n: u64,
    kind: &'static str,
    /// The step, so that groups of steps that run at once are told apart.
    step: String,
    /// The line of a group: a screen may show a hundred that are folded, each from another end of the log.
    #[serde(skip_serializing_if = "Option::is_none")]
    markup: Option<String>,
}

fn marked(line: &Line) -> Option<Marked> {
    let (mark, _) = line::read(&line.line);
    let phase = match line.line.step.phase {
        StepPhase::SetUp => 's',
        StepPhase::Pre => 'a',
        StepPhase::Main => 'm',
        StepPhase::Post => 'p',
        StepPhase::Complete => 'c',
    };
    match mark {
        Mark::None | Mark::Hearth | Mark::Debug => None,
        _ => Some(Marked {
            n: line.number,
            kind: mark.word(),
            step: format!("{phase}{}", line.line.step.index),
            markup: (mark == Mark::Group).then(|| line::render(line, "").into_string()),
        }),
    }
}

/// `GET …/log/marks?from=`
pub(in crate::pages) async fn marks(
    State(pages): State<Pages>,
    Path(of): Path<(Number, Number)>,
    Query(ask): Query<Ask>,
) -> Result<Json<Marks>, PageError> {
    let log = log_of(&pages, of).await?;
    let found = log.search(&Pattern::regex(MARK_PATTERN, false)?, ask.from, PAGE_LINES).await?;
    Ok(Json(Marks { marks: found.lines.iter().filter_map(marked).collect(), next: found.next }))
}

/// Numbers of lines that match, and where the search goes on.
#[derive(Debug, Serialize)]
pub(in crate::pages) struct Matches {
    lines: Vec<u64>,
    next: Option<u64>,
}

/// `GET …/log/search?q=&from=`
pub(in crate::pages) async fn search(
    State(pages): State<Pages>,
    Path(of): Path<(Number, Number)>,
    Query(ask): Query<Ask>,
) -> Result<Json<Matches>, PageError> {
    let log = log_of(&pages, of).await?;
    let found = log.search(&Pattern::text(&ask.q, true)?, ask.from, MATCHES).await?;
    Ok(Json(Matches { lines: found.lines.iter().map(|line| line.number).collect(), next: found.next }))
}

/// `GET …/log/live?from=`: tells how many lines there are, whenever there are more, and `end` when nothing follows.
/// The lines themselves are asked for by whoever looks at them.
pub(in crate::pages) async fn live(
    State(pages): State<Pages>,
    Path(of): Path<(Number, Number)>,
    Query(ask): Query<Ask>,
) -> Result<impl IntoResponse, PageError> {
    let permit = pages.watch()?;
    let follow = log_of(&pages, of).await?.follow(ask.from);
    let counts = counts(follow).map(move |event| {
        let _held = &permit;
        Ok::<_, Infallible>(event)
    });
    let counts = counts.take_until(pages.stopped());
    Ok(Sse::new(counts).keep_alive(KeepAlive::new().interval(SIGN_OF_LIFE)))
}

fn counts(follow: Follow) -> impl Stream<Item = Event> {
    stream::unfold(Some(follow), async |follow| {
        let mut follow = follow?;
        match follow.next().await {
            Ok(lines) => match lines.last() {
                Some(last) => {
                    Some((Event::default().event("count").data((last.number + 1).to_string()), Some(follow)))
                }
                None => Some((Event::default().event("end").data("now"), None)),
            },
            // The browser connects again, and hears the reason from the page.
            Err(_) => None,
        }
    })
}

/// `GET …/log.txt`: the whole log as text, with times.
pub(in crate::pages) async fn raw(
    State(pages): State<Pages>,
    Path(of): Path<(Number, Number)>,
) -> Result<Response, PageError> {
    let log = log_of(&pages, of).await?;
    let parts = stream::try_unfold((log, 0), async |(log, from)| {
        let lines = log.lines(from, PAGE_LINES).await?;
        let Some(last) = lines.last().map(|line| line.number) else { return Ok(None) };
        let text: String = lines.iter().map(text).collect();
        Ok::<_, store::StoreError>(Some((Bytes::from(text), (log, last + 1))))
    });
    Ok(([(header::CONTENT_TYPE, "text/plain; charset=utf-8")], Body::from_stream(parts)).into_response())
}

fn text(line: &Line) -> String {
    let at = format::moment(Timestamp::from(line.line.at)).replace(' ', "T");
    format!("{at}Z {}\n", line.line.text)
}

#[cfg(test)]
mod tests {
    use super::super::line::tests::line;
    use super::*;
    use model::Stream as From;

    #[test]
    fn marks_tell_where_groups_of_which_step_are() {
        let group = marked(&line(7, From::Hearth, "##[group]x")).unwrap();
        assert_eq!((group.n, group.kind, group.step.as_str()), (7, "group", "m1"));
        assert!(
            group.markup.unwrap().contains("id=\"L8\""),
            "a folded group is shown without asking for its line"
        );
        assert_eq!(marked(&line(8, From::Stdout, "##[group]x")), None, "what a job prints is text");
    }

    #[test]
    fn a_raw_line_has_its_time() {
        assert_eq!(text(&line(0, From::Stdout, "x")), "1970-01-01T00:00:00.000Z x\n");
    }
}
