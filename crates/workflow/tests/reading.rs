//! What an author is told: one small file each, and all that is said of it.

use workflow::diagnostic::{Diagnostic, Severity};
use workflow::schema::{ReadOptions, read_action, read_workflow};
use workflow::syntax::{ActionRuns, JobWork, Step, StepWork, Workflow};
use workflow::yaml::{self, Limits, Problems};

const JOB: &str = "jobs:\n  build:\n    runs-on: ubuntu-latest\n    steps:\n      - run: echo hi\n";

fn problems(text: &str) -> Vec<Diagnostic> {
    read_workflow("w.yml", text, &ReadOptions::default()).1
}

fn said(text: &str) -> Vec<String> {
    problems(text).iter().map(ToString::to_string).collect()
}

fn workflow(text: &str) -> Workflow {
    let (workflow, problems) = read_workflow("w.yml", text, &ReadOptions::default());
    workflow.unwrap_or_else(|| panic!("{problems:?}"))
}

/// A workflow whose only job has these lines below `runs-on`.
fn job(lines: &str) -> String {
    format!("on: push\njobs:\n  build:\n    runs-on: x\n{lines}")
}

#[test]
fn all_problems_are_told_at_once_in_the_order_of_their_places() {
    let text = "on: pushh\nfoo: 1\njobs:\n  a:\n    runs-on: x\n    needs: zz\n    steps:\n      - uses: bad\n        id: 1\n  b:\n    runs-on: []\n    timeout-minutes: soon\n";
    assert_eq!(
        said(text),
        [
            "w.yml (Line: 1, Col: 5): Unexpected value 'pushh'",
            "w.yml (Line: 2, Col: 1): Unexpected value 'foo'",
            "w.yml (Line: 6, Col: 12): Job 'a' depends on unknown job 'zz'.",
            "w.yml (Line: 8, Col: 15): Expected format {org}/{repo}[/path]@ref. Actual 'bad'",
            "w.yml (Line: 9, Col: 13): The identifier '1' is invalid. IDs may only contain alphanumeric characters, '_', and '-'. IDs must start with a letter or '_' and and must be less than 100 characters.",
            "w.yml (Line: 12, Col: 22): Unexpected value 'soon'",
        ]
    );
}

#[test]
fn every_problem_has_a_place_and_a_known_code() {
    for text in
        ["", "- a", "on: push", "a: b: c", "on: *x", "on: push\njobs:\n  a: {}\n", "x: !!int y", "? [a]\n: b"]
    {
        let problems = problems(text);
        assert!(!problems.is_empty(), "{text}");
        for problem in problems {
            assert!(problem.span.is_some(), "{problem:?}");
            assert!(
                workflow::diagnostic::codes::ALL.iter().any(|(code, _)| *code == problem.code),
                "{problem:?}"
            );
        }
    }
}

#[test]
fn columns_count_characters_and_not_bytes() {
    let text = format!("on: push\nenv: {{ Größe: '漢字', 漢字: [x] }}\n{JOB}");
    assert_eq!(said(&text), ["w.yml (Line: 2, Col: 25): A sequence was not expected"]);
}

#[test]
fn windows_line_ends_and_a_byte_order_mark_change_nothing() {
    let text = format!("\u{feff}on: push\nfoo: 1\n{JOB}").replace('\n', "\r\n");
    assert_eq!(said(&text), ["w.yml (Line: 2, Col: 1): Unexpected value 'foo'"]);
}

#[test]
fn the_place_of_a_block_of_text_is_its_header() {
    let text = job("    steps:\n      - run: |  # why\n          echo ${{ foo }}\n");
    assert!(said(&text)[0].starts_with("w.yml (Line: 6, Col: 14): Unrecognized named-value: 'foo'"));
}

#[test]
fn each_wrong_expression_of_a_text_is_told() {
    let text = job("    steps:\n      - run: echo ${{ a.b }} ${{ github.sha }} ${{ c() }} ${{ }}\n");
    let said = said(&text);
    assert_eq!(said.len(), 3, "{said:?}");
    assert!(
        said[0].contains("'a'") && said[1].contains("'c'") && said[2].contains("An expression was expected")
    );
}

#[test]
fn a_misspelled_key_is_guessed() {
    let found = problems(&job("    time-out-minutes: 3\n    step: []\n    conatiner: x\n"));
    let hints: Vec<_> = found.iter().filter_map(|problem| problem.hint.as_deref()).collect();
    assert_eq!(
        hints,
        ["did you mean `timeout-minutes`?", "did you mean `steps`?", "did you mean `container`?"]
    );
}

#[test]
fn a_misspelled_event_is_guessed() {
    let found = problems(&format!("on: [push, pull_requests]\n{JOB}"));
    assert_eq!(found[0].hint.as_deref(), Some("did you mean `pull_request`?"));
}

#[test]
fn the_same_key_in_another_case_is_the_same_key() {
    let text = format!("on: push\nenv:\n  PATH_X: 1\n  Path_x: 2\n{JOB}");
    assert_eq!(said(&text), ["w.yml (Line: 4, Col: 3): 'Path_x' is already defined"]);
}

#[test]
fn an_alias_stands_for_what_its_anchor_holds() {
    let text = "on: push\njobs:\n  a: &job\n    runs-on: x\n    env: &env { A: 1 }\n    steps: &steps\n      - run: echo ${{ github.sha }}\n  b:\n    runs-on: y\n    env: *env\n    steps: *steps\n  c: *job\n";
    let workflow = workflow(text);
    let ids: Vec<_> = workflow.jobs.iter().map(|job| job.id.value.as_str()).collect();
    assert_eq!(ids, ["a", "b", "c"]);
    let JobWork::Steps { steps, .. } = &workflow.jobs[1].work else { panic!("no steps") };
    assert_eq!(steps[0].span.start.line, 7, "an alias has the place of its anchor");
}

#[test]
fn what_github_refuses_of_yaml_is_refused() {
    for (text, code) in [
        ("env: &e { A: 1 }\nx: { <<: *e }\n", "yaml-merge-key"),
        ("a: !custom b\n", "yaml-tag"),
        ("a: !!bool maybe\n", "yaml-scalar"),
        ("a: *nowhere\n", "yaml-alias"),
        ("a: &a [*a]\n", "yaml-alias"),
        ("[a]: b\n", "yaml-key"),
        ("a: b\n---\nc: d\n", "yaml-documents"),
        ("a: b\n\tc: d\n", "yaml-tab"),
    ] {
        assert!(problems(text).iter().any(|problem| problem.code == code), "{code}: {:?}", problems(text));
    }
}

#[test]
fn a_quoted_merge_key_is_an_ordinary_key() {
    let text = format!("on: push\nenv:\n  '<<': x\n{JOB}");
    assert_eq!(said(&text), [""; 0]);
}

#[test]
fn an_alias_bomb_ends_at_the_bound() {
    let mut text = "a: &a0 x\n".to_owned();
    for level in 1..20 {
        let many = vec![format!("*a{}", level - 1); 10].join(", ");
        text.push_str(&format!("b{level}: &a{level} [{many}]\n"));
    }
    let found = problems(&text);
    assert_eq!((found.len(), found[0].code), (1, "yaml-nodes"));
}

#[test]
fn aliases_of_a_long_text_end_at_the_bound() {
    let text = format!("a: &a {}\nb: [{}]\n", "x".repeat(100_000), vec!["*a"; 200].join(", "));
    let found = problems(&text);
    assert_eq!((found.len(), found[0].code), (1, "yaml-size"));
    let limits = Limits { text_bytes: 10, ..Limits::default() };
    let read = |text| {
        let mut problems = Problems::new("w.yml");
        (yaml::parse(text, &limits, &mut problems).is_some(), problems.into_sorted().len())
    };
    assert_eq!(read("a: &a [bc, d]\ne: *a\n"), (true, 0));
    assert_eq!(read("a: &a [bc, d]\nef: *a\ng: *a"), (false, 1));
}

#[test]
fn depth_is_bounded_in_blocks_in_brackets_and_through_aliases() {
    let blocks: String = (0..60).map(|level| format!("{}a:\n", " ".repeat(level))).collect();
    let through_alias =
        format!("a: &a {}{}\nb: {}*a{}\n", "[".repeat(30), "]".repeat(30), "[".repeat(30), "]".repeat(30));
    for text in [blocks, "[".repeat(60), "- ".repeat(60), through_alias] {
        assert!(problems(&text).iter().any(|problem| problem.code == "yaml-depth"), "{:?}", problems(&text));
    }
}

#[test]
fn a_condition_without_a_status_function_also_demands_success() {
    let text = job(
        "    if: github.ref == 'x'\n    steps:\n      - run: a\n        if: ${{ failure() }}\n      - run: b\n        if: \"contains('success()', github.ref)\"\n      - run: c\n",
    );
    let workflow = workflow(&text);
    let JobWork::Steps { steps, .. } = &workflow.jobs[0].work else { panic!("no steps") };
    assert_eq!(&*workflow.jobs[0].condition, "success() && (github.ref == 'x')");
    let conditions: Vec<_> = steps.iter().map(|step| &*step.condition).collect();
    assert_eq!(conditions, ["failure()", "success() && (contains('success()', github.ref))", "success()"]);
}

#[test]
fn a_condition_with_text_around_its_expressions_is_a_warning() {
    let found = problems(&job("    if: ${{ github.a }} && ${{ github.b }}\n    steps: [run: a]\n"));
    assert_eq!(
        (found.len(), found[0].code, found[0].severity),
        (1, "condition-always-true", Severity::Warning)
    );
}

#[test]
fn a_condition_that_compares_a_formatted_text_is_no_warning() {
    for condition in [
        "${{ format('refs/heads/{0}', github.base_ref) == github.ref }}",
        "${{ contains(format('{0} {1}', github.a, github.b), 'x') }}",
        "${{ format('{0}', github.ref) }}",
    ] {
        assert_eq!(said(&job(&format!("    if: {condition}\n    steps: [run: a]\n"))), [""; 0]);
    }
    let found = problems(&job("    if: ${{ format('refs/{0}', github.ref) }}\n    steps: [run: a]\n"));
    assert_eq!((found.len(), found[0].code), (1, "condition-always-true"));
}

#[test]
fn ids_that_the_file_gives_come_before_made_up_ones() {
    let text = job(
        "    steps:\n      - run: a\n      - uses: docker://alpine:3\n      - uses: ./here\n      - run: b\n        id: run\n",
    );
    let workflow = workflow(&text);
    let JobWork::Steps { steps, .. } = &workflow.jobs[0].work else { panic!("no steps") };
    let ids: Vec<_> = steps.iter().map(|step| step.id.as_str()).collect();
    assert_eq!(ids, ["__run", "__alpine_3", "__self", "run"]);
}

#[test]
fn a_part_that_is_wrong_is_not_judged_twice() {
    // The image is wrong; that there is none is not said on top of it.
    let text = job("    container:\n      image:\n    steps: [run: a]\n");
    assert_eq!(said(&text), ["w.yml (Line: 6, Col: 13): Unexpected value ''"]);
    for wrong in ["      - uses: ''\n", "      - run: a\n        id: ''\n"] {
        let said = said(&job(&format!("    steps:\n{wrong}")));
        assert!(matches!(&said[..], [only] if only.ends_with("Unexpected value ''")), "{said:?}");
    }
}

#[test]
fn a_matrix_is_judged_as_far_as_it_is_known() {
    for (matrix, expected) in [
        ("{}", Some("Matrix must define at least one vector")),
        ("{ a: [] }", Some("Matrix vector 'a' does not contain any values")),
        (
            "{ a: [1], exclude: [{ b: 1 }] }",
            Some("Matrix exclude key 'b' does not match any key within the matrix"),
        ),
        ("{ a: [1], exclude: [{}] }", Some("Matrix exclude filter must not be empty")),
        ("{ include: [{}] }", Some("Matrix include mapping does not contain any values")),
        ("{ include: [{ a: 1 }] }", None),
        ("{ A: [1], exclude: [{ a: 1 }] }", None),
        ("{ a: \"${{ fromJSON('[]') }}\", exclude: [{ b: 1 }] }", None),
        ("\"${{ fromJSON(needs.x.outputs.y) }}\"", None),
    ] {
        let said = said(&job(&format!("    strategy:\n      matrix: {matrix}\n    steps: [run: a]\n")));
        assert_eq!(said.first().and_then(|text| text.split("): ").nth(1)), expected, "{matrix}");
    }
}

#[test]
fn contexts_are_checked_where_github_has_them() {
    for (lines, name) in [
        ("    if: env.x\n", Some("env")),
        ("    name: ${{ matrix.x }} ${{ secrets.y }}\n", Some("secrets")),
        ("    env: { A: '${{ secrets.y }} ${{ steps.z }}' }\n", Some("steps")),
        ("    concurrency: ${{ matrix.x }}-${{ runner.os }}\n", Some("runner")),
        ("    defaults: { run: { shell: '${{ env.x }}' } }\n", None),
        ("    environment: { name: a, url: '${{ steps.x.outputs.y }}' }\n", None),
        ("    container: { image: a, env: { A: '${{ secrets.x }}' } }\n", None),
    ] {
        let said = said(&job(&format!("{lines}    steps: [run: a]\n")));
        match name {
            Some(name) => {
                assert!(said[0].contains(&format!("Unrecognized named-value: '{name}'")), "{said:?}")
            }
            None => assert!(said.is_empty(), "{said:?}"),
        }
    }
}

#[test]
fn who_waits_in_line_does_not_cancel_who_is_in_progress() {
    for (wish, codes) in [
        ("{ group: g, queue: max, cancel-in-progress: true }", &["concurrency-queue"][..]),
        ("{ group: g, queue: max, cancel-in-progress: false }", &[]),
        ("{ group: g, queue: single, cancel-in-progress: true }", &[]),
        ("{ group: g, queue: many }", &["unexpected-value"]),
    ] {
        let of_job = job(&format!("    concurrency: {wish}\n    steps: [run: a]\n"));
        for text in [format!("on: push\nconcurrency: {wish}\n{JOB}"), of_job] {
            let found: Vec<_> = problems(&text).into_iter().map(|problem| problem.code).collect();
            assert_eq!(found, codes, "{text}");
        }
    }
}

#[test]
fn what_only_the_service_of_github_refuses_is_warned_of() {
    let inputs = |count| (0..count).map(|number| format!("i{number}: ")).collect::<Vec<_>>().join(", ");
    let dispatch =
        |count| format!("on: {{ workflow_dispatch: {{ inputs: {{ {} }} }} }}\n{JOB}", inputs(count));
    for (text, expected) in [
        (
            format!("on: []\n{JOB}"),
            Some("(Line: 1, Col: 5): GitHub refuses this file: No event triggers defined in `on`"),
        ),
        (
            format!("on: {{}}\n{JOB}"),
            Some("(Line: 1, Col: 5): GitHub refuses this file: No event triggers defined in `on`"),
        ),
        (
            job(""),
            Some(
                "(Line: 3, Col: 3): GitHub refuses this file: No steps defined in `steps` and no workflow called in `uses` for the following jobs: build",
            ),
        ),
        (job("    steps: []\n"), Some("(Line: 3, Col: 3): GitHub refuses this file: No steps defined")),
        (job("    stepps: [run: a]\n"), Some("(Line: 5, Col: 5): Unexpected value 'stepps'")),
        (
            format!("on: {{ workflow_run: {{ types: [completed] }} }}\n{JOB}"),
            Some(
                "(Line: 1, Col: 7): GitHub refuses this file: `on.workflow_run` does not reference any workflows.",
            ),
        ),
        (
            format!("on: {{ workflow_run: {{ workflows: [] }} }}\n{JOB}"),
            Some("does not reference any workflows."),
        ),
        (format!("on: {{ workflow_run: {{ workflow: [CI] }} }}\n{JOB}"), Some("Unexpected value 'workflow'")),
        (format!("on: {{ workflow_run: {{ workflows: CI }} }}\n{JOB}"), None),
        (dispatch(25), None),
        (dispatch(26), Some("you may only define up to 25 `inputs` for a `workflow_dispatch` event")),
    ] {
        let said = said(&text);
        assert_eq!(said.len(), usize::from(expected.is_some()), "{said:?}");
        assert!(said.iter().all(|said| expected.is_some_and(|text| said.contains(text))), "{said:?}");
        let refuses = said.iter().all(|said| said.contains("GitHub refuses this file"));
        let found = read_workflow("w.yml", &text, &ReadOptions::default()).0;
        assert_eq!(found.is_some(), refuses, "Hearth runs what GitHub's parser takes: {text}");
    }
}

#[test]
fn of_a_value_whose_expression_is_wrong_nothing_else_is_said() {
    let text =
        job("    timeout-minutes: ${{ foo.bar }}\n    continue-on-error: ${{ 1 + }}\n    steps: [run: a]\n");
    let codes: Vec<_> = problems(&text).into_iter().map(|problem| problem.code).collect();
    assert_eq!(codes, ["expression", "expression"]);
}

#[test]
fn a_function_without_parentheses_is_guessed_and_so_are_jobs_that_are_missing() {
    let found = problems(&job("    if: always\n    steps: [run: a]\n"));
    assert_eq!(found[0].hint.as_deref(), Some("a function is called with parentheses: `always()`"));
    let found = problems(&job("    needs: biuld\n    steps: [run: a]\n"));
    assert_eq!(
        found[0].hint.as_deref(),
        Some("let one job need no other; there are no jobs of these names: biuld")
    );
}

#[test]
fn the_jobs_of_a_file_are_listed_as_far_as_somebody_reads_on() {
    let jobs: String =
        (0..23).map(|number| format!("  j{number}: {{ runs-on: x, steps: [run: a] }}\n")).collect();
    let found =
        problems(&format!("on: push\njobs:\n  a: {{ runs-on: x, needs: b, steps: [run: a] }}\n{jobs}"));
    let hint = found[0].hint.as_deref().unwrap();
    assert!(hint.starts_with("jobs of this file: a, j0, ") && hint.ends_with(", j18, and 4 more"), "{hint}");
}

#[test]
fn filters_may_be_empty_and_dispatch_inputs_may_say_nothing() {
    let text = format!(
        "on:\n  push:\n    branches:\n  workflow_dispatch:\n    inputs:\n      a:\n      b: {{ type: boolean, default: 'true' }}\n{JOB}"
    );
    let workflow = workflow(&text);
    assert!(workflow.on[0].branches.is_none());
    assert_eq!(workflow.on[1].inputs.len(), 2);
}

fn steps(lines: &str) -> Vec<Step> {
    let JobWork::Steps { steps, .. } = workflow(&job(lines)).jobs.remove(0).work else { panic!("no steps") };
    steps
}

#[test]
fn a_parallel_group_becomes_its_steps_and_one_that_waits_for_them() {
    let found = steps(
        "    steps:\n      - parallel:\n          - run: a\n          - id: b\n            run: b\n      - run: c\n",
    );
    let shape: Vec<(&str, bool)> = found.iter().map(|step| (step.id.as_str(), step.background)).collect();
    assert_eq!(shape, [("__run", true), ("b", true), ("__wait", false), ("__run_2", false)]);
    let StepWork::Wait { steps: Some(waited) } = &found[2].work else { panic!("no wait") };
    assert_eq!((waited.join(" "), &*found[2].condition), ("__run b".to_owned(), "always()"));
}

#[test]
fn a_parallel_group_has_no_key_beside_it() {
    let said = said(&job("    steps:\n      - parallel: [run: a]\n        name: group\n"));
    assert_eq!(said, ["w.yml (Line: 7, Col: 9): Unexpected value 'name'"]);
}

#[test]
fn a_job_waits_at_its_end_for_what_no_step_waits_for_or_cancels() {
    let open =
        "      - id: a\n        run: a\n        background: true\n      - run: b\n        background: true\n";
    let ends = |rest: &str| {
        let found = steps(&format!("    steps:\n{open}{rest}"));
        matches!(found.last().unwrap().work, StepWork::Wait { steps: None })
    };
    assert!(ends("") && ends("      - wait: A\n") && ends("      - cancel: a\n"));
    let found = steps(&format!("    steps:\n{open}      - wait-all:\n      - run: c\n"));
    assert!(matches!(found.last().unwrap().work, StepWork::Run { .. }));
}

#[test]
fn what_is_waited_for_or_cancelled_is_a_background_step_before() {
    let steps = "    steps:\n      - wait: [later, plain]\n      - id: plain\n        run: a\n      - id: later\n        background: true\n        run: b\n      - cancel: LATER\n      - wait: plain\n";
    assert_eq!(
        said(&job(steps)),
        [
            "w.yml (Line: 6, Col: 16): The step 'later' is not a background step before this one",
            "w.yml (Line: 6, Col: 23): The step 'plain' is not a background step before this one",
            "w.yml (Line: 13, Col: 15): The step 'plain' is not a background step before this one",
        ]
    );
}

#[test]
fn an_action_of_each_kind_is_read() {
    let javascript = "name: a\ndescription: b\ninputs:\n  x: { default: '${{ github.token }}', required: true }\nruns: { using: Node20, main: m.js, post: p.js, post-if: failure() }\n";
    let (action, problems) = read_action("action.yml", javascript);
    let action = action.unwrap_or_else(|| panic!("{problems:?}"));
    assert!(action.inputs[0].required);
    let ActionRuns::JavaScript { using, pre_if, post_if, .. } = action.runs else { panic!("not JavaScript") };
    assert_eq!((using.value.as_str(), &*pre_if, &*post_if), ("node20", "always()", "failure()"));

    let composite = "runs:\n  using: composite\n  steps:\n    - run: a\n      shell: bash\n      if: inputs.x\n    - uses: actions/cache/save@v4\n";
    let (action, problems) = read_action("action.yml", composite);
    let Some(ActionRuns::Composite { steps }) = action.map(|action| action.runs) else {
        panic!("{problems:?}")
    };
    assert_eq!(&*steps[0].condition, "success() && (inputs.x)");
    let StepWork::Uses { uses, .. } = &steps[1].work else { panic!("no uses") };
    assert_eq!(uses.value.to_string(), "actions/cache/save@v4");

    let docker = "runs: { using: docker, image: Dockerfile, args: ['${{ inputs.x }}'], env: { A: 1 } }\n";
    assert!(matches!(
        read_action("action.yml", docker).0.map(|action| action.runs),
        Some(ActionRuns::Docker { .. })
    ));
}

#[test]
fn what_an_action_gets_wrong_is_told_and_what_github_ignores_is_a_warning() {
    for (text, severity, expected) in [
        ("name: a\n", Severity::Error, "Required property is missing: runs"),
        ("runs: { using: node20 }\n", Severity::Error, "Required property is missing: main"),
        ("runs: { using: composite }\n", Severity::Error, "Required property is missing: steps"),
        ("runs: { using: nodejs, main: a }\n", Severity::Error, "Unexpected value 'nodejs'"),
        (
            "runs:\n  using: composite\n  steps: [run: a]\n",
            Severity::Error,
            "Required property is missing: shell",
        ),
        (
            "runs:\n  using: composite\n  steps: [{ run: a, shell: b, timeout-minutes: 3 }]\n",
            Severity::Error,
            "Unexpected value 'timeout-minutes'",
        ),
        (
            "runs:\n  using: composite\n  steps: [{ run: '${{ secrets.x }}', shell: b }]\n",
            Severity::Error,
            "Unrecognized named-value: 'secrets'",
        ),
        (
            "runs: { using: node20, main: a }\nfoo: 1\n",
            Severity::Warning,
            "The key 'foo' is not known here and is ignored",
        ),
        (
            "runs: { using: node20, main: a, steps: [] }\n",
            Severity::Warning,
            "The key 'steps' does not go with this",
        ),
    ] {
        let (_, problems) = read_action("action.yml", text);
        assert_eq!(problems.len(), 1, "{text}: {problems:?}");
        assert_eq!(problems[0].severity, severity, "{text}");
        assert!(problems[0].message.starts_with(expected), "{text}: {problems:?}");
    }
}
