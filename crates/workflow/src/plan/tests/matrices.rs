//! Matrices: which jobs they make, what these are called, and how they end together.

use model::Conclusion::{Cancelled, Failure, Skipped, Success};
use serde_json::{Value as Json, json};

use super::build;
use super::drive::Drive;
use crate::plan::CalledWorkflows;

fn matrix(matrix: &Json) -> Json {
    json!({"jobs": {"b": {"strategy": {"matrix": matrix}}}})
}

fn names(given: &Json) -> Vec<String> {
    Drive::new(&matrix(given)).names().into_iter().map(str::to_owned).collect()
}

fn contexts(given: &Json) -> Vec<Json> {
    Drive::new(&matrix(given)).started.iter().map(|(job, _)| job.contexts.matrix.clone()).collect()
}

/// Why a job with this matrix fails, without the place.
fn problem(given: &Json) -> String {
    let run = Drive::new(&matrix(given));
    assert_eq!(run.finished, Some(Failure));
    let reason =
        run.reason("b").strip_prefix("Error when evaluating 'strategy' for job 'b'. ci.yml (Line: 1, Col: ");
    reason.and_then(|rest| rest.split_once("): ")).expect("the error has its place").1.to_owned()
}

#[test]
fn the_last_vector_turns_fastest() {
    assert_eq!(
        names(&json!({"os": ["linux", "mac"], "version": [1, 2.5]})),
        ["b (linux, 1)", "b (linux, 2.5)", "b (mac, 1)", "b (mac, 2.5)"]
    );
}

#[test]
fn names_show_every_scalar_inside_of_a_value_but_null_and_empty_text() {
    assert_eq!(names(&json!({"x": [{"a": 1, "b": ["c", true, null]}, ""]})), ["b (1, c, true)", "b"]);
    assert_eq!(names(&json!({"sprache": ["grün", "日本"]})), ["b (grün)", "b (日本)"]);
}

#[test]
fn an_include_extends_without_overwriting_and_else_stands_alone() {
    // The example of GitHub's documentation.
    let given = json!({
        "fruit": ["apple", "pear"], "animal": ["cat", "dog"],
        "include": [
            {"color": "green"}, {"color": "pink", "animal": "cat"}, {"fruit": "apple", "shape": "circle"},
            {"fruit": "banana"}, {"fruit": "banana", "animal": "cat"},
        ],
    });
    assert_eq!(
        contexts(&given),
        [
            json!({"fruit": "apple", "animal": "cat", "color": "pink", "shape": "circle"}),
            json!({"fruit": "apple", "animal": "dog", "color": "green", "shape": "circle"}),
            json!({"fruit": "pear", "animal": "cat", "color": "pink"}),
            json!({"fruit": "pear", "animal": "dog", "color": "green"}),
            json!({"fruit": "banana"}),
            json!({"fruit": "banana", "animal": "cat"}),
        ]
    );
    assert_eq!(
        names(&given),
        [
            "b (apple, cat)",
            "b (apple, dog)",
            "b (pear, cat)",
            "b (pear, dog)",
            "b (banana)",
            "b (banana, cat)"
        ]
    );
}

#[test]
fn a_matrix_may_consist_of_includes_alone() {
    let given = json!({"include": [{"site": "production", "n": 1}, {"site": "staging"}]});
    assert_eq!(names(&given), ["b (production, 1)", "b (staging)"]);
}

#[test]
fn an_exclude_takes_away_what_agrees_in_all_that_it_names() {
    let given = json!({
        "os": ["linux", "mac"], "node": [{"v": 12, "x": 1}, {"v": 14, "x": 1}],
        "exclude": [{"os": "MAC", "node": {"v": 12}}],
    });
    assert_eq!(names(&given), ["b (linux, 12, 1)", "b (linux, 14, 1)", "b (mac, 14, 1)"]);
}

#[test]
fn an_include_of_an_excluded_combination_brings_it_back() {
    let given = json!({"os": ["a", "b"], "exclude": [{"os": "b"}], "include": [{"os": "b", "x": 1}]});
    assert_eq!(contexts(&given), [json!({"os": "a"}), json!({"os": "b", "x": 1})]);
}

#[test]
fn a_job_whose_combinations_are_all_excluded_runs_once_without_a_matrix() {
    let given = json!({"os": ["a"], "exclude": [{"os": "a"}]});
    assert_eq!(contexts(&given), [Json::Null]);
    assert_eq!(names(&given), ["b"]);
}

#[test]
fn a_vector_may_come_from_an_output() {
    let mut run = Drive::new(&json!({"jobs": {
        "a": {},
        "b": {"needs": "a", "strategy": {
            "matrix": {"x": "${{ fromJSON(needs.a.outputs.list) }}"}, "max-parallel": "${{ fromJSON('1') }}",
        }},
        "c": {"needs": "a", "strategy": {"matrix": "${{ fromJSON(needs.a.outputs.whole) }}"}},
    }}));
    let outputs = [("list", r#"["p","q"]"#), ("whole", r#"{"y":[1],"include":[{"y":2,"z":{"k":"v"}}]}"#)];
    run.end_with("a", Success, &outputs);
    assert_eq!(run.running(), ["b (p)", "c (1)", "c (2, v)"]);
    run.succeed(&["b (p)"]);
    assert_eq!(run.running(), ["c (1)", "c (2, v)", "b (q)"]);
}

#[test]
fn the_strategy_context_counts_the_jobs() {
    let run = Drive::new(&json!({"jobs": {
        "a": {},
        "b": {"strategy": {"matrix": {"x": [1, 2]}, "fail-fast": false, "max-parallel": 1.9}},
    }}));
    assert_eq!(
        run.job("a").contexts.strategy,
        json!({"fail-fast": true, "job-index": 0, "job-total": 1, "max-parallel": 1})
    );
    assert_eq!(
        run.job("b (1)").contexts.strategy,
        json!({"fail-fast": false, "job-index": 0, "job-total": 2, "max-parallel": 1})
    );
    assert_eq!(run.job("a").contexts.matrix, Json::Null);
}

#[test]
fn a_failure_stops_the_rest_of_its_matrix_and_nothing_else() {
    let mut run = Drive::new(&json!({"jobs": {
        "b": {"strategy": {"matrix": {"x": [1, 2, 3]}, "max-parallel": 2}},
        "other": {},
    }}));
    run.fail("b (1)");
    assert_eq!(run.cancelled, [run.id("b (2)")]);
    assert_eq!(
        (run.decision("b (3)"), run.reason("b (3)")),
        (Cancelled, "'b (1)' of the same matrix failed")
    );
    run.end("b (2)", Cancelled);
    run.succeed(&["other"]);
    assert_eq!(run.finished, Some(Failure));
}

#[test]
fn without_fail_fast_and_for_forgiven_failures_the_rest_goes_on() {
    let mut run = Drive::new(&json!({"jobs": {
        "slow": {"strategy": {"matrix": {"x": [1, 2]}, "fail-fast": "${{ github.event_name != 'push' }}"}},
        "mild": {
            "continue-on-error": "${{ matrix.experimental || false }}",
            "strategy": {"matrix": {"include": [{"x": 1, "experimental": true}, {"x": 2}]}},
        },
        "after": {"needs": "mild"},
    }}));
    run.fail("slow (1)");
    run.fail("mild (1, true)");
    assert!(run.cancelled.is_empty());
    run.succeed(&["slow (2)", "mild (2)", "after"]);
    assert_eq!(run.finished, Some(Failure));
    assert_eq!(run.job("after").contexts.needs["mild"]["result"], "success");
}

#[test]
fn the_last_value_that_is_not_empty_becomes_the_output_of_the_matrix() {
    let mut run = Drive::new(&json!({"jobs": {
        "b": {"strategy": {"matrix": {"x": [1, 2, 3]}}}, "c": {"needs": "b"},
    }}));
    run.end_with("b (2)", Success, &[("v", "two"), ("only", "2")]);
    run.end_with("b (1)", Success, &[("v", "one")]);
    run.end_with("b (3)", Success, &[("v", ""), ("void", "")]);
    assert_eq!(run.job("c").contexts.needs["b"]["outputs"], json!({"v": "one", "only": "2", "void": ""}));
}

#[test]
fn a_name_of_its_own_is_evaluated_and_a_literal_one_keeps_the_matrix() {
    let strategy = json!({"matrix": {"x": [1]}});
    let run = Drive::new(&json!({"jobs": {
        "a": {"name": "Test ${{ matrix.x }} on ${{ github.ref }}", "strategy": strategy},
        "b": {"name": "Build", "strategy": strategy},
        "c": {"name": "${{ matrix.none }}", "strategy": strategy},
        "d": {"name": "", "strategy": strategy},
    }}));
    assert_eq!(run.names(), ["Test 1 on refs/heads/main", "Build (1)", "c (1)", "d (1)"]);
}

#[test]
fn chosen_values_pick_configurations_and_leave_other_matrices_whole() {
    let mut context = build::context();
    context.matrix = vec![("x".to_owned(), "2".to_owned())];
    let workflow = json!({"jobs": {
        "b": {"strategy": {"matrix": {"x": [1, 2], "y": ["p"]}}},
        "c": {"strategy": {"matrix": {"z": [1]}}},
        "d": {"strategy": {"matrix": {"x": [3]}}},
        "e": {},
    }});
    let run = Drive::with(&workflow, CalledWorkflows::new(), context);
    assert_eq!(run.running(), ["b (2, p)", "c (1)", "e"]);
    assert_eq!(run.job("b (2, p)").contexts.strategy["job-index"], 1);
    assert_eq!(run.decision("d"), Skipped);
}

#[test]
fn of_several_values_chosen_for_one_key_each_picks_its_configurations() {
    let mut context = build::context();
    let chosen = [("x", "1"), ("x", "3"), ("y", "p")];
    context.matrix = chosen.map(|(key, value)| (key.to_owned(), value.to_owned())).into();
    let workflow = json!({"jobs": {"b": {"strategy": {"matrix": {"x": [1, 2, 3], "y": ["p", "q"]}}}}});
    let run = Drive::with(&workflow, CalledWorkflows::new(), context);
    assert_eq!(run.running(), ["b (1, p)", "b (3, p)"]);
}

#[test]
fn wrong_matrices_fail_their_job_in_githubs_words() {
    for (given, expected) in [
        (json!({"x": "${{ fromJSON(vars.NONE) }}"}), "Matrix vector 'x' does not contain any values"),
        (json!({"x": "${{ vars.REGION }}"}), "Unexpected value 'eu'"),
        (json!({"x": "${{ github.none }}"}), "Unexpected value ''"),
        (json!({"x": "${{ fromJSON(vars.MAP) }}"}), "A mapping was not expected"),
        (json!({"include": "${{ fromJSON(vars.NONE) }}"}), "Matrix must define at least one vector"),
        (json!({"include": "${{ fromJSON(vars.MAP) }}"}), "A mapping was not expected"),
        (json!({"include": "${{ fromJSON(vars.LIST) }}"}), "Unexpected value '1'"),
        (json!({"include": ["${{ fromJSON('{}') }}"]}), "Matrix include mapping does not contain any values"),
        (json!({"x": [1], "exclude": ["${{ fromJSON('{}') }}"]}), "Matrix exclude filter must not be empty"),
        (
            json!({"x": [1], "exclude": ["${{ fromJSON(vars.MAP) }}"]}),
            "Matrix exclude key 'k' does not match any key within the matrix",
        ),
        (json!("${{ fromJSON('{}') }}"), "Matrix must define at least one vector"),
        (json!("${{ fromJSON(vars.LIST) }}"), "A sequence was not expected"),
        (json!("${{ vars.REGION }}"), "Unexpected value 'eu'"),
    ] {
        assert_eq!(problem(&given), expected, "{given}");
    }
    assert!(problem(&json!({"x": "${{ fromJSON(vars.REGION) }}"})).starts_with("Error parsing fromJson"));
}

#[test]
fn a_wrong_strategy_fails_its_job() {
    for strategy in [
        json!({"fail-fast": "${{ vars.YES }}", "matrix": {"x": [1]}}),
        json!({"max-parallel": "${{ vars.TEN }}", "matrix": {"x": [1]}}),
        json!("${{ vars.REGION }}"),
        json!("${{ fromJSON(vars.MAP) }}"),
    ] {
        let run = Drive::new(&json!({"jobs": {"b": {"strategy": strategy}}}));
        assert!(run.reason("b").contains("Unexpected value"), "{}", run.reason("b"));
        assert_eq!(run.finished, Some(Failure));
    }
}

#[test]
fn a_matrix_has_at_most_256_jobs() {
    let numbers = |count: usize| (0..count).collect::<Vec<_>>();
    assert_eq!(names(&json!({"x": numbers(256)})).len(), 256);
    assert!(problem(&json!({"x": numbers(257)})).ends_with("Strategy expansion exceeded 256 results"));
    assert!(problem(&json!({"x": numbers(256), "include": [{"x": 999}]})).ends_with("exceeded 256 results"));
    let wide = numbers(1000);
    let huge = json!({"a": wide, "b": wide, "c": wide, "d": wide, "e": wide, "f": wide, "g": wide});
    assert!(problem(&huge).ends_with("exceeded 256 results"));
}

#[test]
fn a_matrix_of_many_vectors_and_combinations_is_refused_before_it_costs_time() {
    let mut given: serde_json::Map<String, Json> =
        (0..300).map(|number| (format!("v{number}"), json!([1]))).collect();
    given.insert("a".to_owned(), json!(vec![1; 20_000]));
    given.insert("exclude".to_owned(), json!([{"a": 1}]));
    assert!(problem(&json!(given)).ends_with("exceeded 256 results"));
}

#[test]
fn a_name_shows_the_beginning_of_long_values_and_no_more() {
    let name = names(&json!({"x": ["y".repeat(10_000)], "z": ["w".repeat(10_000)]})).remove(0);
    assert_eq!(name, format!("b ({}...", "y".repeat(94)));
    let many = vec!["ab"; 100];
    assert_eq!(names(&json!({"x": [many]}))[0], format!("b (ab{}...", ", ab".repeat(23)));
    let short = "y".repeat(96);
    assert_eq!(names(&json!({"x": [short]})), [format!("b ({short})")]);
}

#[test]
fn a_matrix_nested_without_end_is_refused() {
    let deep = format!("{}1{}", "[".repeat(60), "]".repeat(60));
    assert_eq!(
        problem(&json!({"x": format!("${{{{ fromJSON('{deep}') }}}}")})),
        "Maximum object depth exceeded"
    );
}
