//! The outcome of a run against its expectation: every difference, in words.

use std::collections::{BTreeMap, BTreeSet};

use crate::report::{Entry, Outcome};
use crate::scenario::{Job, Machine, Run};

/// Everything that is not as expected.
pub fn faults(run: &Run, machine: Machine, outcome: &Outcome) -> Vec<String> {
    let mut faults = other_machines(machine, outcome);
    if outcome.too_slow {
        faults.push(format!("it took longer than {:?} and was killed", run.within(machine)));
    }
    if outcome.exit != Some(run.exit) {
        faults.push(format!("exit code {:?}, expected {}", outcome.exit, run.exit));
    }
    let everything = format!("{}{}", outcome.stdout, outcome.stderr);
    for entry in &outcome.entries {
        if let Entry::Garbage(line) = entry {
            faults.push(format!("a line of standard output is not JSON: {line}"));
        }
    }
    faults.extend(missing("outside of jobs", &run.says, &messages(outcome)));
    let shown = run.never.iter().filter(|text| everything.contains(text.as_str()));
    faults.extend(shown.map(|text| format!("{text:?} is shown")));
    faults.extend(out_of_order("all jobs", &run.order, &logged(outcome, None)));
    faults.extend(job_set(run, outcome));
    for job in &run.jobs {
        faults.extend(job_faults(job, outcome));
    }
    faults.extend(artifacts(run, outcome));
    faults
}

/// Jobs that ran elsewhere than they were told to.
fn other_machines(machine: Machine, outcome: &Outcome) -> Vec<String> {
    let started = outcome.entries.iter().filter_map(|entry| match entry {
        Entry::JobStarted { job, driver } if *driver != machine.to_string() => Some((job, driver)),
        _ => None,
    });
    started.map(|(job, driver)| format!("job {job} ran on {driver}")).collect()
}

fn messages(outcome: &Outcome) -> Vec<String> {
    let mut messages: Vec<String> = outcome.stderr.lines().map(ToOwned::to_owned).collect();
    for entry in &outcome.entries {
        if let Entry::Message(text) = entry {
            messages.push(serde_json::from_str(text).map_or_else(|_| text.clone(), |json| strings(&json)));
        }
    }
    messages
}

/// All texts of a JSON value: what a message says, without the escapes.
fn strings(json: &serde_json::Value) -> String {
    match json {
        serde_json::Value::String(text) => format!("{text}\n"),
        serde_json::Value::Array(items) => items.iter().map(strings).collect(),
        serde_json::Value::Object(fields) => fields.values().map(strings).collect(),
        other => format!("{other}\n"),
    }
}

fn missing(whose: &str, expected: &[String], lines: &[String]) -> Vec<String> {
    let absent = expected.iter().filter(|text| !lines.iter().any(|line| line.contains(text.as_str())));
    absent.map(|text| format!("{whose}: nothing says {text:?}")).collect()
}

/// Lines of processes in order of time: of one job, or of all.
fn logged(outcome: &Outcome, of: Option<&str>) -> Vec<String> {
    let lines = outcome.entries.iter().filter_map(|entry| match entry {
        Entry::Log { job, remark: false, text } if of.is_none_or(|of| of == job) => Some(text.clone()),
        _ => None,
    });
    lines.collect()
}

fn out_of_order(whose: &str, expected: &[String], lines: &[String]) -> Vec<String> {
    let mut rest = lines.iter();
    for text in expected {
        let found = match text.strip_prefix('~') {
            Some(part) => rest.any(|line| line.contains(part)),
            None => rest.any(|line| line == text),
        };
        if !found {
            return vec![format!("{whose}: the line {text:?} is not logged, or not after those before it")];
        }
    }
    Vec::new()
}

fn job_set(run: &Run, outcome: &Outcome) -> Vec<String> {
    let decided = outcome.entries.iter().filter_map(|entry| match entry {
        Entry::Decided { job, .. } => Some(job.as_str()),
        _ => None,
    });
    let decided: BTreeSet<&str> = decided.collect();
    let expected: BTreeSet<&str> = run.jobs.iter().map(|job| job.name.as_str()).collect();
    let absent = expected.difference(&decided).map(|job| format!("job {job:?} is not reported"));
    let foreign =
        decided.difference(&expected).map(|job| format!("job {job:?} is reported, but not expected"));
    absent.chain(foreign).collect()
}

fn job_faults(job: &Job, outcome: &Outcome) -> Vec<String> {
    let whose = format!("job {}", job.name);
    let seen = Seen::of(&job.name, outcome);
    let mut faults = out_of_order(&whose, &job.log, &seen.lines);
    for text in &job.no_log {
        let lines = seen.lines.iter().filter(|line| line.contains(text.as_str()));
        faults.extend(lines.map(|line| format!("{whose}: logs {line:?}")));
    }
    faults.extend(missing(&whose, &job.notes, &seen.notes));
    faults.extend(missing(&whose, &job.summary, &seen.summaries));
    faults.extend(missing(&whose, &job.error.iter().cloned().collect::<Vec<_>>(), &seen.errors));
    faults.extend(missing(&whose, &job.annotations, &seen.annotations));
    faults.extend(out_of_order(&format!("{whose}: groups"), &job.groups, &seen.groups));
    faults.extend(out_of_order(&format!("{whose}: steps"), &job.step_order, &seen.started));
    if seen.conclusions != [job.conclusion.clone()] {
        faults.push(format!("{whose}: concluded {:?}, expected {:?}", seen.conclusions, job.conclusion));
    }
    for (name, expected) in &job.steps {
        if seen.steps.get(name) != Some(expected) {
            faults.push(format!("{whose}: step {name:?}: {:?}, expected {expected:?}", seen.steps.get(name)));
        }
    }
    for (name, expected) in &job.outputs {
        if seen.outputs.get(name) != Some(expected) {
            faults
                .push(format!("{whose}: output {name}: {:?}, expected {expected:?}", seen.outputs.get(name)));
        }
    }
    faults
}

/// What was seen of one job.
#[derive(Default)]
struct Seen {
    lines: Vec<String>,
    notes: Vec<String>,
    summaries: Vec<String>,
    annotations: Vec<String>,
    groups: Vec<String>,
    started: Vec<String>,
    steps: BTreeMap<String, String>,
    conclusions: Vec<String>,
    outputs: BTreeMap<String, String>,
    errors: Vec<String>,
}

impl Seen {
    fn of(name: &str, outcome: &Outcome) -> Seen {
        let mut seen = Seen { lines: logged(outcome, Some(name)), ..Seen::default() };
        let mut names: BTreeMap<&str, &str> = BTreeMap::new();
        for entry in &outcome.entries {
            match entry {
                Entry::StepStarted { job, step, name: step_name } if job == name => {
                    names.insert(step, step_name);
                    seen.started.push(step_name.clone());
                }
                Entry::StepFinished { job, step, ended } if job == name => {
                    let step_name = names.get(step.as_str()).copied().unwrap_or(step);
                    seen.steps.insert(step_name.to_owned(), ended.clone());
                }
                Entry::Log { job, remark: true, text } if job == name => seen.notes.push(text.clone()),
                Entry::Annotation { job, text } if job == name => seen.annotations.push(text.clone()),
                Entry::Summary { job, text } if job == name => seen.summaries.push(text.clone()),
                Entry::Group { job, title } if job == name => seen.groups.push(title.clone()),
                Entry::Decided { job, conclusion, outputs, error } if job == name => {
                    seen.conclusions.push(conclusion.clone());
                    seen.outputs.extend(outputs.clone());
                    seen.errors.push(error.clone());
                }
                _ => {}
            }
        }
        seen
    }
}

fn artifacts(run: &Run, outcome: &Outcome) -> Vec<String> {
    let mut faults = Vec::new();
    for (name, expected) in &run.artifacts {
        let path = outcome.artifacts.join(name);
        match std::fs::read_to_string(&path) {
            Ok(text) if text == *expected => {}
            Ok(text) => faults.push(format!("artifact {name}: {text:?}, expected {expected:?}")),
            Err(error) => faults.push(format!("artifact {name}: {error}")),
        }
    }
    faults
}

#[cfg(test)]
mod tests {
    use super::faults as all_faults;
    use crate::report::{Entry, Outcome};
    use crate::scenario::{Machine, Run};

    fn faults(run: &Run, outcome: &Outcome) -> Vec<String> {
        all_faults(run, Machine::Sandbox, outcome)
    }

    fn run(text: &str) -> Run {
        toml::from_str(text).expect("the expectation of the test is valid")
    }

    fn outcome(lines: &[&str]) -> Outcome {
        Outcome {
            exit: Some(0),
            entries: lines.iter().map(|line| Entry::read(line)).collect(),
            stdout: lines.join("\n"),
            ..Outcome::default()
        }
    }

    const STARTED: &str = r#"{"type":"job_event","job":{"name":"a"},"event":{"step_started":{"step":{"index":1,"phase":"main"},"name":"greet"}}}"#;
    const LOGGED: &str =
        r#"{"type":"job_event","job":{"name":"a"},"event":{"log":{"stream":"stdout","text":"hello"}}}"#;
    const REMARK: &str =
        r#"{"type":"job_event","job":{"name":"a"},"event":{"log":{"stream":"hearth","text":"echo hidden"}}}"#;
    const FAILED: &str = r#"{"type":"job_event","job":{"name":"a"},"event":{"step_finished":{"step":{"index":1,"phase":"main"},"outcome":"failure","conclusion":"success"}}}"#;
    const ENDED: &str = r#"{"type":"job_event","job":{"name":"a"},"event":{"job_finished":{"result":{"conclusion":"success","outputs":[["x","1"]]}}}}"#;
    const ALL: [&str; 5] = [STARTED, LOGGED, REMARK, FAILED, ENDED];

    #[test]
    fn what_is_as_expected_gives_no_fault() {
        let run = run("exit = 0\n[[job]]\nname = 'a'\nconclusion = 'success'\nlog = ['hello']\n\
             outputs.x = '1'\nsteps.greet = 'failure -> success'\nnotes = ['hidden']\nno_log = ['hidden']");
        assert_eq!(faults(&run, &outcome(&ALL)), Vec::<String>::new());
    }

    #[test]
    fn a_job_on_another_kind_of_machine_is_a_fault() {
        let run = run("exit = 0");
        let line = r#"{"type":"job_event","job":{"name":"a"},"event":{"job_started":{"driver":"host"}}}"#;
        assert_eq!(all_faults(&run, Machine::Host, &outcome(&[line])), Vec::<String>::new());
        assert_eq!(all_faults(&run, Machine::Sandbox, &outcome(&[line])), ["job a ran on host"]);
    }

    #[test]
    fn each_difference_is_a_fault() {
        for (expectation, part) in [
            ("exit = 1", "exit code Some(0)"),
            ("exit = 0", "not expected"),
            ("exit = 0\n[[job]]\nname = 'b'\nconclusion = 'success'", "\"b\" is not reported"),
            ("exit = 0\n[[job]]\nname = 'a'\nconclusion = 'failure'", "concluded"),
            (
                "exit = 0\n[[job]]\nname = 'a'\nconclusion = 'success'\nlog = ['hell']",
                "\"hell\" is not logged",
            ),
            ("exit = 0\n[[job]]\nname = 'a'\nconclusion = 'success'\nlog = ['~hidden']", "not logged"),
            ("exit = 0\n[[job]]\nname = 'a'\nconclusion = 'success'\nno_log = ['ell']", "logs \"hello\""),
            ("exit = 0\n[[job]]\nname = 'a'\nconclusion = 'success'\nsteps.greet = 'success'", "greet"),
            ("exit = 0\n[[job]]\nname = 'a'\nconclusion = 'success'\noutputs.x = '2'", "output x"),
            ("exit = 0\nnever = ['hello']", "is shown"),
            ("exit = 0\nsays = ['hello']", "nothing says"),
            ("exit = 0\n[artifacts]\n'a/b' = 'c'", "artifact a/b"),
        ] {
            let found = faults(&run(expectation), &outcome(&ALL));
            assert!(found.iter().any(|fault| fault.contains(part)), "{expectation}: {found:?}");
        }
    }
}
