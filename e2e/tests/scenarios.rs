//! Every scenario on every kind of machine. A folder of `scenarios/` that is not listed here is a failure.

use std::collections::BTreeSet;

use hearth_e2e::scenario::{Machine, Scenario};

/// One test for each scenario and kind of machine.
macro_rules! scenarios {
    ($($name:ident),* $(,)?) => {
        /// The names of all.
        const NAMES: &[&str] = &[$(stringify!($name)),*];

        mod sandbox {
            $(#[test] fn $name() { hearth_e2e::check(stringify!($name), super::Machine::Sandbox); })*
        }

        mod host {
            $(#[test] fn $name() { hearth_e2e::check(stringify!($name), super::Machine::Host); })*
        }
    };
}

scenarios! {
    action_inputs,
    add_mask,
    anchors,
    annotations,
    artifacts,
    background_process,
    big_output,
    cache,
    cancellation,
    checkout,
    checkout_reference,
    composite,
    composite_condition_error,
    composite_failure,
    daemon,
    default_variables,
    defaults,
    deprecated_commands,
    dispatch_inputs,
    docker_refusals,
    echo_command,
    env_file,
    env_file_refusals,
    env_precedence,
    environment,
    events_without_payload,
    exit_codes,
    expression_errors,
    expressions,
    fail_fast,
    fail_fast_off,
    groups,
    hash_files,
    invalid_workflow,
    invalid_yaml,
    isolation_files,
    isolation_jobs,
    javascript_action,
    job_concurrency,
    job_condition_outputs,
    job_conditions,
    masking,
    matrix_continue_on_error,
    matrix_exclude,
    matrix_from_output,
    matrix_include,
    matrix_outputs,
    max_parallel,
    missing_actions,
    missing_directory,
    network_none,
    non_ascii,
    one_job,
    output_file_errors,
    outputs,
    parallel,
    path_file,
    post_condition,
    problem_matcher,
    pull_request,
    remote_actions,
    repository_dispatch,
    reusable_matrix,
    reusable_remote,
    reusable_workflow,
    script_injection,
    secret_outputs,
    secrets_scope,
    several_workflows,
    shells,
    standard_input,
    step_conditions,
    step_continue_on_error,
    step_summary,
    stop_commands,
    timeouts,
    toolkit_core,
    trigger_branches,
    unknown_label,
}

#[test]
fn every_folder_is_a_listed_scenario_and_says_what_it_shows() {
    let entries = std::fs::read_dir(hearth_e2e::scenarios()).expect("the folder of scenarios can be read");
    let folders = entries.map(|entry| entry.expect("an entry can be read").file_name());
    let folders: BTreeSet<String> = folders.map(|name| name.to_string_lossy().into_owned()).collect();
    let listed: BTreeSet<String> = NAMES.iter().map(|name| (*name).to_owned()).collect();
    assert_eq!(folders, listed);
    for name in NAMES {
        let scenario =
            Scenario::read(&hearth_e2e::scenarios().join(name)).unwrap_or_else(|error| panic!("{error}"));
        assert!(!scenario.about.is_empty() && !scenario.runs.is_empty(), "{name}");
    }
}
