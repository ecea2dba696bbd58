//! Any graph with any results ends, and keeps the rules on the way.

use std::collections::BTreeMap;

use model::Conclusion::{self, Cancelled, Failure, Success};
use model::JobId;
use serde_json::{Map, Value as Json, json};

use super::build;
use super::drive::result;
use crate::plan::{CalledWorkflows, PlanCommand, RunPlan};

/// xorshift: small, and the same on every machine.
struct Dice(u64);

impl Dice {
    fn below(&mut self, bound: usize) -> usize {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        (self.0 % bound as u64) as usize
    }
}

const CONDITIONS: [&str; 6] = ["", "", "always()", "failure()", "!cancelled()", "github.event.n == 3"];

fn job(dice: &mut Dice, number: usize) -> Json {
    let mut job = json!({"needs": (0..number).filter(|_| dice.below(4) == 0).map(|need| format!("j{need}")).collect::<Vec<_>>()});
    let condition = CONDITIONS[dice.below(CONDITIONS.len())];
    if !condition.is_empty() {
        job["if"] = json!(condition);
    }
    match dice.below(6) {
        0 => {
            job["strategy"] = json!({"matrix": {"x": [1, 2, 3]}, "max-parallel": 1 + dice.below(3), "fail-fast": dice.below(2) == 0})
        }
        1 => {
            job["concurrency"] =
                json!({"group": format!("g{}", dice.below(2)), "cancel-in-progress": dice.below(2) == 0})
        }
        2 => job["concurrency"] = json!({"group": "line", "queue": "max"}),
        3 => {
            job["uses"] = json!("./.github/workflows/lib.yml");
            job["concurrency"] = json!({"group": format!("g{}", dice.below(3)), "queue": "max"});
        }
        4 => job["continue-on-error"] = json!(true),
        _ => {}
    }
    job
}

/// What the test believes about one run.
struct Watch {
    jobs: Map<String, Json>,
    running: Vec<JobId>,
    seen: BTreeMap<JobId, usize>,
    /// By key of a job of the run's own workflow: how it ended before `continue-on-error`.
    worst: BTreeMap<String, Conclusion>,
    by_id: BTreeMap<JobId, String>,
}

impl Watch {
    fn start(&mut self, job: &model::Job) {
        *self.seen.entry(job.id).or_default() += 1;
        assert_eq!(self.seen[&job.id], 1, "{} starts once", job.name);
        self.running.push(job.id);
        let key = job.name.split([' ', '(']).next().unwrap_or_default().to_owned();
        let definition = &self.jobs[&key];
        self.by_id.insert(job.id, key);
        let needs: Vec<&str> =
            definition["needs"].as_array().unwrap().iter().filter_map(Json::as_str).collect();
        for need in &needs {
            let busy = self.running.iter().any(|id| self.by_id[id] == *need);
            assert!(!busy, "{} starts while {need} runs", job.name);
            let failed = self.worst.get(*need) == Some(&Failure)
                && self.jobs[*need].get("continue-on-error").is_none();
            let asks = definition["if"].as_str().is_some_and(|condition| condition.contains("()"));
            assert!(!failed || asks, "{} runs although {need} failed", job.name);
        }
    }

    fn end(&mut self, id: JobId, conclusion: Conclusion) {
        self.running.retain(|running| *running != id);
        let worst = self.worst.entry(self.by_id[&id].clone()).or_insert(conclusion);
        if conclusion == Failure {
            *worst = Failure;
        }
    }
}

fn play(seed: u64) -> (Conclusion, usize) {
    let mut dice = Dice(seed.wrapping_mul(0x9E37_79B9_7F4A_7C15) | 1);
    let count = 1 + dice.below(12);
    let jobs: Map<String, Json> =
        (0..count).map(|number| (format!("j{number}"), job(&mut dice, number))).collect();
    let lib = json!({"on": {"workflow_call": {}}, "jobs": {"p": {}, "q": {"needs": "p"}, "r": {"needs": "q", "if": "always()", "concurrency": "g0"}}});
    let mut context = build::context();
    context.parallel = 1 + dice.below(4);
    let parallel = context.parallel;
    let files: CalledWorkflows = build::called([("./.github/workflows/lib.yml", lib)]);
    let mut plan =
        RunPlan::new(build::workflow(&json!({"jobs": jobs})), files, context).expect("it has a plan");
    let mut watch = Watch {
        jobs,
        running: Vec::new(),
        seen: BTreeMap::new(),
        worst: BTreeMap::new(),
        by_id: BTreeMap::new(),
    };
    let cancel_at = dice.below(40);
    for turn in 0..10_000 {
        for command in plan.poll() {
            match command {
                PlanCommand::Start { job, .. } => watch.start(&job),
                PlanCommand::Cancel(id) => assert!(watch.running.contains(&id)),
                PlanCommand::Decided { .. } => {}
                PlanCommand::Finished(conclusion) => {
                    assert!(watch.running.is_empty() && plan.poll().is_empty());
                    return (conclusion, watch.seen.len());
                }
            }
        }
        assert!(watch.running.len() <= parallel, "no more than {parallel} at once");
        if turn == cancel_at {
            plan.cancel();
            continue;
        }
        assert!(!watch.running.is_empty(), "seed {seed}: nothing runs and the run does not end: {plan:?}");
        let id = watch.running[dice.below(watch.running.len())];
        let conclusion = [Success, Success, Success, Failure, Cancelled][dice.below(5)];
        watch.end(id, conclusion);
        plan.job_finished(id, &result(conclusion, &[("o", "v")]));
    }
    panic!("seed {seed}: the run does not end");
}

#[test]
fn every_random_run_ends_and_keeps_the_rules() {
    let mut endings = BTreeMap::new();
    let mut started = 0;
    for seed in 0..2000 {
        let (conclusion, jobs) = play(seed);
        *endings.entry(conclusion.as_str()).or_insert(0) += 1;
        started += jobs;
    }
    assert!(endings.len() >= 3 && started > 5_000, "the runs differ: {endings:?}, {started} jobs");
}
