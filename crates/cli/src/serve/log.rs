//! The server's own log, on stderr: what happened, with the ids of what it happened to.
//!
//! It is not the log of a job. Nothing that a job says and no payload, token, or secret goes into it: events name
//! what they are about by its id, and say why.

use std::io::{self, IsTerminal};

use anyhow::{Context, Result};
use server::metrics::Metrics;
use tracing::level_filters::LevelFilter;
use tracing::{Event, Subscriber};
use tracing_subscriber::filter::Targets;
use tracing_subscriber::fmt::MakeWriter;
use tracing_subscriber::layer::{Context as LayerContext, Layer, SubscriberExt};
use tracing_subscriber::{Registry, fmt};

use crate::args::LogFormat;

/// Says how much is written, as everywhere: `warn`, `info,scheduler=debug`.
const LEVELS: &str = "RUST_LOG";

/// Parts of Hearth: what they tell is written from `info` on, and of everything else only warnings.
const OWN: [&str; 7] = ["forge", "hearth", "machine", "runner", "scheduler", "server", "store"];

/// Writes the log from now on, and counts errors.
pub(super) fn start(format: LogFormat, metrics: &Metrics) -> Result<()> {
    let wanted = std::env::var(LEVELS).ok();
    let levels = levels(wanted.as_deref())?;
    let is_coloured = io::stderr().is_terminal() && std::env::var_os("NO_COLOR").is_none();
    let subscriber = subscriber(format, levels, is_coloured, io::stderr, metrics);
    tracing::subscriber::set_global_default(subscriber).context("the log is written by somebody else already")
}

fn levels(wanted: Option<&str>) -> Result<Targets> {
    match wanted.filter(|wanted| !wanted.is_empty()) {
        Some(wanted) => wanted.parse().with_context(|| {
            format!("{LEVELS} is {wanted:?}; write a level (error, warn, info, debug, trace), or scheduler=debug,warn")
        }),
        None => {
            let own = OWN.into_iter().map(|part| (part, LevelFilter::INFO));
            Ok(Targets::new().with_default(LevelFilter::WARN).with_targets(own))
        }
    }
}

fn subscriber<W>(
    format: LogFormat,
    levels: Targets,
    is_coloured: bool,
    writer: W,
    metrics: &Metrics,
) -> impl Subscriber + Send + Sync + use<W>
where
    W: for<'a> MakeWriter<'a> + Send + Sync + 'static,
{
    // An error of the log itself would be printed to where the log can't be written.
    let lines = fmt::layer().with_writer(writer).with_ansi(is_coloured).log_internal_errors(false);
    let lines: Box<dyn Layer<Registry> + Send + Sync> = match format {
        LogFormat::Text => lines.with_target(false).compact().boxed(),
        LogFormat::Json => {
            lines.json().flatten_event(true).with_current_span(false).with_span_list(false).boxed()
        }
    };
    let errors = Errors(metrics.clone()).with_filter(LevelFilter::ERROR);
    tracing_subscriber::registry().with(lines.with_filter(levels)).with(errors)
}

/// Counts errors by the part that tells of them.
struct Errors(Metrics);

impl<S: Subscriber> Layer<S> for Errors {
    fn on_event(&self, event: &Event<'_>, _context: LayerContext<'_, S>) {
        self.0.error(event.metadata().target().split("::").next().unwrap_or_default());
    }
}

#[cfg(test)]
mod tests {
    use std::sync::{Arc, Mutex};

    use super::*;

    #[derive(Clone, Default)]
    struct Paper(Arc<Mutex<Vec<u8>>>);

    impl io::Write for Paper {
        fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
            self.0.lock().unwrap().write(bytes)
        }

        fn flush(&mut self) -> io::Result<()> {
            Ok(())
        }
    }

    fn written(format: LogFormat, wanted: Option<&str>) -> (String, String) {
        let (paper, metrics) = (Paper::default(), Metrics::default());
        let copy = paper.clone();
        let subscriber = subscriber(format, levels(wanted).unwrap(), false, move || copy.clone(), &metrics);
        tracing::subscriber::with_default(subscriber, || {
            tracing::info!(target: "scheduler::engine", job = 7, run = "3", "job ended");
            tracing::info!(target: "hyper::proto", "a connection");
            tracing::error!(target: "store::sqlite", "no room left");
        });
        let text = String::from_utf8(paper.0.lock().unwrap().clone()).unwrap();
        (text, metrics.text())
    }

    #[test]
    fn a_program_reads_an_object_a_line_with_the_ids_as_fields() {
        let (text, _) = written(LogFormat::Json, None);
        let lines: Vec<serde_json::Value> =
            text.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
        assert_eq!(lines.len(), 2, "{text}");
        assert_eq!((&lines[0]["job"], &lines[0]["run"]), (&7.into(), &"3".into()), "{text}");
        assert_eq!((&lines[0]["level"], &lines[0]["message"]), (&"INFO".into(), &"job ended".into()));
    }

    #[test]
    fn people_read_lines_without_colours_where_there_is_no_terminal() {
        let (text, _) = written(LogFormat::Text, None);
        assert!(text.lines().next().unwrap().contains("INFO job ended job=7"), "{text}");
        assert!(!text.contains('\x1b'));
    }

    #[test]
    fn rust_log_says_how_much_and_what_it_can_not_mean_is_refused() {
        let (text, _) = written(LogFormat::Text, Some("off,hyper=info"));
        assert_eq!(text.lines().count(), 1, "{text}");
        assert!(text.contains("a connection"), "{text}");
        assert!(levels(Some("scheduler=loud")).unwrap_err().to_string().contains("scheduler=loud"));
    }

    #[test]
    fn errors_are_counted_by_part_however_much_is_written() {
        let (_, metrics) = written(LogFormat::Text, Some("off"));
        assert!(metrics.contains("hearth_errors_total{part=\"store\"} 1\n"), "{metrics}");
        assert!(!metrics.contains("scheduler"), "{metrics}");
    }
}
