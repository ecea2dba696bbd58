use model::AnnotationLevel;
use serde_json::json;

use super::comment::{self, Todo};
use super::*;

fn job(id: u64, name: &str, state: State) -> JobView {
    let ended = matches!(state, State::Ended(_)).then_some(1_062);
    JobView {
        id: JobId(id),
        name: name.into(),
        url: format!("https://ci.example/jobs/{id}"),
        times: Times { started: (state != State::Queued).then_some(1_000), ended },
        state,
        summary: String::new(),
        annotations: Vec::new(),
        error: None,
    }
}

fn failed(id: u64, name: &str) -> JobView {
    let error = FirstError {
        what: "Test".into(),
        message: "2 tests failed".into(),
        lines: vec!["assertion failed".into(), "left: 1".into()],
    };
    JobView { error: Some(error), ..job(id, name, State::Ended(Conclusion::Failure)) }
}

fn run(state: State, jobs: Vec<JobView>) -> RunView {
    let ended = matches!(state, State::Ended(_)).then_some(1_100);
    RunView {
        repository: "octo/hello".parse().unwrap(),
        sha: "a".repeat(40),
        run: RunId(5),
        workflow: "CI".into(),
        event: "push".into(),
        url: "https://ci.example/runs/5".into(),
        state,
        times: Times { started: Some(1_000), ended },
        jobs,
    }
}

fn annotated(count: usize) -> JobView {
    let annotation = |number: usize| Annotation {
        level: AnnotationLevel::Warning,
        message: format!("number {number}"),
        title: None,
        file: Some("a.rs".into()),
        line: Some(1),
        end_line: None,
        column: None,
        end_column: None,
        code: None,
    };
    let annotations = (0..count).map(annotation).collect();
    JobView { annotations, ..job(1, "build", State::Ended(Conclusion::Success)) }
}

/// Carries plans out against nothing, each check run getting the job's number as its id; the calls of each round.
fn carry_out(view: &RunView, means: Means, sent: &mut Sent) -> Vec<Call> {
    let mut all = Vec::new();
    for _ in 0..50 {
        let calls = plan(view, means, sent);
        if calls.is_empty() {
            return all;
        }
        for planned in calls {
            sent.note(&planned, &json!({"id": 70 + all.len()})).unwrap();
            all.push(planned.call);
        }
    }
    panic!("the plan has no end");
}

#[test]
fn a_jobs_check_run_goes_from_queued_to_completed() {
    let mut sent = Sent::default();
    let mut at = |state: State| {
        let calls = carry_out(&run(State::Running, vec![job(1, "build", state)]), Means::Checks, &mut sent);
        assert_eq!(calls.len(), 1);
        calls.into_iter().next().unwrap()
    };
    let made = at(State::Queued);
    assert_eq!(
        (made.method, made.path.as_str()),
        (crate::github::client::Method::Post, "/repos/octo/hello/check-runs")
    );
    let expected = json!({
        "name": "CI / build (push)", "details_url": "https://ci.example/jobs/1", "external_id": "1",
        "output": {"title": "Queued", "summary": "[Steps and log](https://ci.example/jobs/1)"},
        "status": "queued", "head_sha": "a".repeat(40),
    });
    assert_eq!(made.body.unwrap(), expected);
    let running = at(State::Running);
    assert_eq!(running.path, "/repos/octo/hello/check-runs/70");
    let body = running.body.unwrap();
    assert_eq!(
        (&body["status"], &body["started_at"]),
        (&json!("in_progress"), &json!("1970-01-01T00:16:40Z"))
    );
    let ended = at(State::Ended(Conclusion::Success)).body.unwrap();
    assert_eq!((&ended["status"], &ended["conclusion"]), (&json!("completed"), &json!("success")));
    assert_eq!(ended["completed_at"], "1970-01-01T00:17:42Z");
    assert_eq!(ended["output"]["title"], "Succeeded in 1m 2s");
    assert_eq!(ended["actions"][0]["identifier"], RERUN);
}

#[test]
fn the_same_view_twice_is_no_call() {
    let view = run(State::Ended(Conclusion::Failure), vec![failed(2, "test"), annotated(120)]);
    for means in [Means::Checks, Means::Statuses] {
        let mut sent = Sent::default();
        assert!(!carry_out(&view, means, &mut sent).is_empty());
        let stored = serde_json::to_string(&sent).unwrap();
        let sent: Sent = serde_json::from_str(&stored).unwrap();
        assert_eq!(plan(&view, means, &sent), []);
    }
}

#[test]
fn annotations_come_in_batches_and_each_once() {
    let mut sent = Sent::default();
    let calls = carry_out(&run(State::Running, vec![annotated(120)]), Means::Checks, &mut sent);
    let told: Vec<Vec<String>> = calls
        .iter()
        .map(|call| {
            let list = call.body.as_ref().unwrap()["output"]["annotations"].as_array().unwrap();
            list.iter().map(|one| one["message"].as_str().unwrap().to_owned()).collect()
        })
        .collect();
    assert_eq!(told.iter().map(Vec::len).collect::<Vec<_>>(), [50, 50, 20]);
    let expected: Vec<String> = (0..120).map(|number| format!("number {number}")).collect();
    assert_eq!(told.concat(), expected);
    assert!(calls.iter().all(|call| !call.repeatable), "annotations would add up");
}

#[test]
fn more_annotations_than_github_is_told_are_counted() {
    let calls = carry_out(&run(State::Running, vec![annotated(777)]), Means::Checks, &mut Sent::default());
    assert_eq!(calls.len(), 10);
    let summary = calls[0].body.as_ref().unwrap()["output"]["summary"].as_str().unwrap().to_owned();
    assert!(summary.contains("277 more annotations are on the job's page."), "{summary}");
}

#[test]
fn a_change_that_was_lost_is_said_again_without_its_annotations() {
    let mut sent = Sent::default();
    carry_out(&run(State::Running, vec![job(1, "build", State::Running)]), Means::Checks, &mut sent);
    let view = run(State::Running, vec![annotated(10)]);
    let planned = plan(&view, Means::Checks, &sent).remove(0);
    assert!(sent.forget(&planned));
    let again = carry_out(&view, Means::Checks, &mut sent);
    let body = again[0].body.as_ref().unwrap();
    assert_eq!((again.len(), &body["status"]), (1, &json!("completed")));
    assert!(body["output"].get("annotations").is_none());
}

#[test]
fn a_summary_that_is_too_long_says_so() {
    let long = JobView { summary: "ü".repeat(70_000), ..failed(1, "build") };
    let view = run(State::Running, vec![long]);
    let call = carry_out(&view, Means::Checks, &mut Sent::default()).remove(0);
    let body = call.body.unwrap();
    let summary = body["output"]["summary"].as_str().unwrap();
    assert!(summary.len() <= 65_535 && summary.len() > 65_000);
    assert!(summary.ends_with("This was too long for GitHub; [the whole](https://ci.example/jobs/1)"));
    let first = "[Steps and log](https://ci.example/jobs/1)\n\n**Test**: 2 tests failed\n\n```\nassertion failed\nleft: 1\n```";
    assert!(summary.starts_with(first), "{}", &summary[..200]);
}

#[test]
fn a_status_tells_of_the_whole_workflow() {
    let mut sent = Sent::default();
    let mut at = |state: State, jobs: Vec<JobView>| {
        let mut calls = carry_out(&run(state, jobs), Means::Statuses, &mut sent);
        (calls.len() == 1).then(|| calls.remove(0).body.unwrap())
    };
    let queued = at(State::Queued, vec![]).unwrap();
    let expected = json!({
        "state": "pending", "context": "hearth / CI (push)", "description": "Queued",
        "target_url": "https://ci.example/runs/5",
    });
    assert_eq!(queued, expected);
    assert_eq!(at(State::Running, vec![]).unwrap()["description"], "Running");
    assert_eq!(at(State::Running, vec![job(1, "a", State::Ended(Conclusion::Success))]), None);
    let failed = at(State::Ended(Conclusion::Failure), vec![failed(1, "build")]).unwrap();
    assert_eq!(failed["state"], "failure");
    assert_eq!(failed["description"], "Failed after 1m 40s: build: 2 tests failed");
    assert_eq!(at(State::Ended(Conclusion::Cancelled), vec![]).unwrap()["state"], "error");
    assert_eq!(at(State::Ended(Conclusion::Skipped), vec![]).unwrap()["state"], "success");
    let waiting = at(State::Waiting("an approval".into()), vec![]).unwrap();
    assert_eq!(
        (&waiting["state"], &waiting["description"]),
        (&json!("pending"), &json!("Waiting for an approval"))
    );
}

#[test]
fn a_description_fits() {
    let mut long = failed(1, "build");
    long.error.as_mut().unwrap().message = "é".repeat(200);
    let call =
        carry_out(&run(State::Ended(Conclusion::Failure), vec![long]), Means::Statuses, &mut Sent::default());
    let description = call[0].body.as_ref().unwrap()["description"].as_str().unwrap().to_owned();
    assert!(description.len() <= 140 && description.ends_with('…'), "{description}");
}

fn pull(runs: Vec<RunView>) -> PullView {
    PullView {
        repository: "octo/hello".parse().unwrap(),
        number: 7,
        sha: "a".repeat(40),
        server: "https://ci.example".into(),
        runs,
    }
}

#[test]
fn the_comment_shows_each_workflow_and_job_and_the_first_error() {
    let done = run(
        State::Ended(Conclusion::Failure),
        vec![job(1, "lint", State::Ended(Conclusion::Success)), failed(2, "test (1|2)")],
    );
    let waiting = RunView { workflow: "Deploy".into(), ..run(State::Waiting("an approval".into()), vec![]) };
    let expected = "<!-- hearth: results from https://ci.example -->
### ❌ 1 of 2 workflows failed for aaaaaaa

| | Workflow and job | Time | |
|---|---|---|---|
| ❌ | **CI** (push) | 1m 40s | [run](https://ci.example/runs/5) |
| ✅ | lint | 1m 2s | [log](https://ci.example/jobs/1) |
| ❌ | test \\(1\\|2\\) | 1m 2s | [log](https://ci.example/jobs/2) |
| ✋ | **Deploy** (push) | waits for an approval | [run](https://ci.example/runs/5) |

❌ **CI / test \\(1\\|2\\)**, Test: 2 tests failed

```
assertion failed
left: 1
```";
    assert_eq!(comment_body(&pull(vec![done, waiting])), expected);
}

#[test]
fn a_matrix_of_hundreds_fits_with_those_that_failed_first() {
    let mut jobs: Vec<JobView> =
        (0..500).map(|id| job(id, &"x".repeat(300), State::Ended(Conclusion::Success))).collect();
    jobs.push(failed(500, "the one"));
    let runs = vec![run(State::Ended(Conclusion::Failure), jobs); 20];
    let body = comment_body(&pull(runs));
    assert!(body.len() <= 65_000);
    assert!(body.contains("| ❌ | the one |") && body.contains("and 471 more jobs"));
    assert!(body.ends_with("the rest is on the runs' pages."), "{}", &body[body.len() - 200..]);
}

#[test]
fn a_comment_is_looked_for_then_made_then_changed_in_place() {
    let mut sent = SentComment::default();
    let view = pull(vec![run(State::Running, vec![])]);
    let Todo::Look(call) = comment::plan(&view, &sent) else { panic!() };
    assert_eq!(call.path, "/repos/octo/hello/issues/7/comments?per_page=100");
    sent.looked = true;
    let Todo::Make(call) = comment::plan(&view, &sent) else { panic!() };
    assert_eq!(call.path, "/repos/octo/hello/issues/7/comments");
    let body = call.body.unwrap();
    sent = SentComment {
        id: Some(9),
        looked: true,
        print: Some(comment::print(body["body"].as_str().unwrap())),
    };
    assert_eq!(comment::plan(&view, &sent), Todo::Nothing);
    let Todo::Change(call) =
        comment::plan(&pull(vec![run(State::Ended(Conclusion::Success), vec![])]), &sent)
    else {
        panic!()
    };
    assert_eq!(call.path, "/repos/octo/hello/issues/comments/9");
    assert_eq!(comment::plan(&pull(vec![]), &SentComment::default()), Todo::Nothing);
}

/// xorshift: small, and the same on every machine.
struct Random(u64);

impl Random {
    fn below(&mut self, bound: usize) -> usize {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        usize::try_from(self.0 % bound as u64).unwrap()
    }
}

/// The check runs that GitHub has, by id: their conclusion, and the messages of their annotations.
#[derive(Default)]
struct Github(BTreeMap<u64, (String, Json, Vec<String>)>);

impl Github {
    fn carry_out(&mut self, call: &Call) -> u64 {
        let body = call.body.as_ref().unwrap();
        let id = match call.path.rsplit('/').next().unwrap().parse() {
            Ok(id) => id,
            Err(_) => 1000 + self.0.len() as u64,
        };
        let job = body["external_id"].as_str().unwrap().to_owned();
        let check = self.0.entry(id).or_insert((job, Json::Null, Vec::new()));
        check.1 = body["conclusion"].clone();
        let batch = body["output"]["annotations"].as_array();
        check.2.extend(batch.into_iter().flatten().map(|one| one["message"].as_str().unwrap().to_owned()));
        id
    }

    fn find(&self, job: JobId) -> Option<u64> {
        self.0.iter().find(|(_, check)| check.0 == job.to_string()).map(|(id, _)| *id)
    }
}

#[test]
fn whatever_gets_lost_github_has_each_job_once_in_the_end_with_its_conclusion() {
    for seed in 1..60 {
        let mut random = Random(seed);
        let (mut github, mut sent) = (Github::default(), Sent::default());
        let mut jobs: Vec<JobView> = (0..3).map(|id| job(id, "x", State::Queued)).collect();
        let final_views: Vec<JobView> =
            (0..3).map(|id| JobView { id: JobId(id), ..annotated(random.below(130)) }).collect();
        for _ in 0..40 {
            let which = random.below(3);
            jobs[which].state = match jobs[which].state {
                State::Queued => State::Running,
                _ => State::Ended(Conclusion::Success),
            };
            if let State::Ended(_) = jobs[which].state {
                jobs[which] = final_views[which].clone();
            }
            for planned in plan(&run(State::Running, jobs.clone()), Means::Checks, &sent) {
                match random.below(4) {
                    // It never arrived.
                    0 => {}
                    // It was carried out, and the answer was lost.
                    1 => {
                        github.carry_out(&planned.call);
                        let Mark::Made { job, .. } = planned.mark else {
                            assert!(sent.forget(&planned));
                            continue;
                        };
                        sent.note(&planned, &json!({"id": github.find(job).unwrap()})).unwrap();
                    }
                    _ => {
                        let id = github.carry_out(&planned.call);
                        sent.note(&planned, &json!({"id": id})).unwrap();
                    }
                }
                sent = serde_json::from_str(&serde_json::to_string(&sent).unwrap()).unwrap();
            }
        }
        let view = run(State::Running, final_views.clone());
        for _ in 0..10 {
            for planned in plan(&view, Means::Checks, &sent) {
                let id = github.carry_out(&planned.call);
                sent.note(&planned, &json!({"id": id})).unwrap();
            }
        }
        assert_eq!(github.0.len(), 3, "seed {seed}");
        for view in &final_views {
            let (_, conclusion, told) = &github.0[&github.find(view.id).unwrap()];
            assert_eq!(conclusion, "success", "seed {seed}");
            let expected: Vec<&String> = view.annotations.iter().map(|one| &one.message).collect();
            assert_eq!(told.iter().collect::<Vec<_>>(), expected, "seed {seed}");
        }
    }
}

#[test]
fn no_address_ends_the_hidden_mark() {
    let view = PullView { server: "https://x/--><img>".into(), ..pull(vec![run(State::Running, vec![])]) };
    let body = comment_body(&view);
    let mark = body.lines().next().unwrap();
    assert!(mark.starts_with("<!--") && mark.ends_with("-->") && mark.matches("--").count() == 2, "{mark}");
}
