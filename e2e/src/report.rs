//! What a run printed, read from its JSON lines.

use std::collections::BTreeMap;
use std::fmt;
use std::path::PathBuf;
use std::time::Duration;

use serde_json::Value as Json;

/// Everything that came of one run of the binary.
#[derive(Debug, Default)]
pub struct Outcome {
    /// Exit code; `None` after a signal.
    pub exit: Option<i32>,
    /// How long it took.
    pub took: Duration,
    /// Whether it was killed because it took too long.
    pub too_slow: bool,
    /// Lines of standard output, understood.
    pub entries: Vec<Entry>,
    /// Standard output as it is.
    pub stdout: String,
    /// Standard error as it is.
    pub stderr: String,
    /// Where artifacts were to land.
    pub artifacts: PathBuf,
}

/// One line of `--format json`.
#[derive(Debug)]
pub enum Entry {
    /// A job begins on a machine of this driver.
    JobStarted {
        /// Name of the job.
        job: String,
        /// Name of the driver.
        driver: String,
    },
    /// A step begins.
    StepStarted {
        /// Name of the job.
        job: String,
        /// Which step: index and phase.
        step: String,
        /// Its name.
        name: String,
    },
    /// A line of a process's output, or a remark of Hearth's.
    Log {
        /// Name of the job.
        job: String,
        /// Whether Hearth says it.
        remark: bool,
        /// The line.
        text: String,
    },
    /// A step ended.
    StepFinished {
        /// Name of the job.
        job: String,
        /// Which step: index and phase.
        step: String,
        /// `conclusion`, or `outcome -> conclusion`.
        ended: String,
    },
    /// An annotation, in one line.
    Annotation {
        /// Name of the job.
        job: String,
        /// `level file:line:column message`.
        text: String,
    },
    /// A step's summary.
    Summary {
        /// Name of the job.
        job: String,
        /// Markdown.
        text: String,
    },
    /// A group begins.
    Group {
        /// Name of the job.
        job: String,
        /// Its title.
        title: String,
    },
    /// A job ended, or was decided without running.
    Decided {
        /// Name of the job.
        job: String,
        /// How.
        conclusion: String,
        /// Its outputs.
        outputs: BTreeMap<String, String>,
        /// Why, where Hearth or the plan decided it.
        error: String,
    },
    /// A message that belongs to no job.
    Message(String),
    /// Not JSON: a fault of the binary.
    Garbage(String),
}

fn text(value: &Json) -> String {
    value
        .as_str()
        .map_or_else(|| if value.is_null() { String::new() } else { value.to_string() }, str::to_owned)
}

impl Entry {
    /// Understands one line.
    pub fn read(line: &str) -> Entry {
        let Ok(json) = serde_json::from_str::<Json>(line) else {
            return Entry::Garbage(line.trim_end().to_owned());
        };
        let job = text(&json["job"]["name"]);
        match json["type"].as_str() {
            Some("job_event") => {
                Entry::of_event(job, &json["event"]).unwrap_or(Entry::Message(String::new()))
            }
            Some("decided") => Entry::Decided {
                job,
                conclusion: text(&json["conclusion"]),
                outputs: BTreeMap::new(),
                error: text(&json["error"]),
            },
            _ => Entry::Message(line.trim_end().to_owned()),
        }
    }

    fn of_event(job: String, event: &Json) -> Option<Entry> {
        let (kind, body) = event.as_object()?.iter().next()?;
        let step = || format!("{}/{}", body["step"]["index"], text(&body["step"]["phase"]));
        Some(match kind.as_str() {
            "job_started" => Entry::JobStarted { job, driver: text(&body["driver"]) },
            "step_started" => Entry::StepStarted { job, step: step(), name: text(&body["name"]) },
            "log" => Entry::Log { job, remark: body["stream"] == "hearth", text: text(&body["text"]) },
            "step_finished" => {
                let (outcome, conclusion) = (text(&body["outcome"]), text(&body["conclusion"]));
                let ended =
                    if outcome == conclusion { outcome } else { format!("{outcome} -> {conclusion}") };
                Entry::StepFinished { job, step: step(), ended }
            }
            "annotation" => Entry::Annotation { job, text: annotation(&body["annotation"]) },
            "summary" => Entry::Summary { job, text: text(&body["markdown"]) },
            "group_started" => Entry::Group { job, title: text(&body["title"]) },
            "job_finished" => Entry::Decided {
                job,
                conclusion: text(&body["result"]["conclusion"]),
                outputs: pairs(&body["result"]["outputs"]),
                error: text(&body["result"]["infrastructure_error"]),
            },
            _ => return None,
        })
    }
}

fn annotation(annotation: &Json) -> String {
    let mut words = vec![text(&annotation["level"])];
    let place = ["file", "line", "column"].map(|part| text(&annotation[part]));
    let place: Vec<String> = place.into_iter().filter(|part| !part.is_empty()).collect();
    words.push(place.join(":"));
    words.push(text(&annotation["message"]));
    words.retain(|word| !word.is_empty());
    words.join(" ")
}

fn pairs(outputs: &Json) -> BTreeMap<String, String> {
    let pairs = outputs.as_array().into_iter().flatten();
    pairs.map(|pair| (text(&pair[0]), text(&pair[1]))).collect()
}

impl fmt::Display for Outcome {
    /// For people who look at a failed scenario.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(f, "exit {:?} after {:?}", self.exit, self.took)?;
        for entry in &self.entries {
            match entry {
                Entry::StepStarted { job, name, .. } => writeln!(f, "[{job}] == {name}")?,
                Entry::Log { job, remark, text } => {
                    writeln!(f, "[{job}] {}{text}", if *remark { "# " } else { "| " })?;
                }
                Entry::Message(text) => writeln!(f, "{text}")?,
                other => writeln!(f, "{other:?}")?,
            }
        }
        write!(f, "{}", self.stderr)
    }
}
