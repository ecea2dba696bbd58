//! What a run would do.

use serde_json::json;

use super::build;
use crate::plan::{CalledWorkflows, Outlook, preview};

#[test]
fn a_preview_tells_waves_reasons_errors_and_what_nobody_can_know() {
    let workflow = build::workflow(&json!({"jobs": {
        "build": {"strategy": {"matrix": {"os": ["linux", "mac"]}, "max-parallel": 1}, "runs-on": "${{ matrix.os }}"},
        "test": {"needs": "build", "steps": [{"run": "a"}, {"run": "b"}]},
        "release": {"needs": "test", "if": "github.ref == 'refs/tags/v1'"},
        "announce": {"needs": "release"},
        "broken": {"timeout-minutes": "${{ vars.TEN }}"},
        "shards": {"needs": "build", "strategy": {"matrix": {"x": "${{ fromJSON(needs.build.outputs.list) }}"}}},
        "merge": {"needs": "shards"},
        "clean": {"needs": ["shards", "test"], "if": "always()"},
    }}));
    let jobs = preview(workflow, CalledWorkflows::new(), build::context()).unwrap();
    let told: Vec<String> = jobs
        .iter()
        .map(|job| match &job.outlook {
            Outlook::Runs { wave, runs_on, steps } => {
                format!("{wave} {} on {} ({steps})", job.name, runs_on.labels.join(","))
            }
            Outlook::Skipped(reason) => format!("skip {}: {reason}", job.name),
            Outlook::Fails(reason) => {
                format!("fail {}: {}", job.key, reason.contains("Unexpected value '10'"))
            }
            Outlook::Unknown => format!("? {}", job.name),
        })
        .collect();
    assert_eq!(
        told,
        [
            "fail broken: true",
            "0 build (linux) on linux (1)",
            "1 build (mac) on mac (1)",
            "? shards",
            "? merge",
            "2 test on linux (2)",
            "skip release: its condition is false: success() && (github.ref == 'refs/tags/v1')",
            "skip announce: 'release', which it needs, was skipped",
            "3 clean on linux (1)",
        ]
    );
    assert_eq!(jobs.last().unwrap().needs, ["shards", "test"]);
}

#[test]
fn what_hangs_on_outputs_inside_of_a_call_leaves_the_call_open_too() {
    let file = "./.github/workflows/lib.yml";
    let lib = json!({"on": {"workflow_call": {}}, "jobs": {
        "a": {}, "b": {"needs": "a", "strategy": {"matrix": "${{ fromJSON(needs.a.outputs.m) }}"}},
    }});
    let workflow = build::workflow(&json!({"jobs": {"call": {"uses": file}, "after": {"needs": "call"}}}));
    let jobs = preview(workflow, build::called([(file, lib)]), build::context()).unwrap();
    let unknown: Vec<&str> =
        jobs.iter().filter(|job| job.outlook == Outlook::Unknown).map(|job| job.name.as_str()).collect();
    assert_eq!(unknown, ["call / b", "after"]);
}
