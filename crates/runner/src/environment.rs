//! The environment of a step's processes.
//!
//! Layers, each laid over the one before: what the machine has; the workflow's, the job's, and
//! `GITHUB_ENV`'s variables; the step's own; an action's inputs and state; and last the
//! variables of <https://docs.github.com/actions/reference/variables-reference>, which nobody
//! can override.

use guest::client::Info;
use indexmap::IndexMap;
use serde_json::{Map, Value as Json};

/// Variables in the order in which they were set. Names keep their case, as on Linux.
pub type Variables = IndexMap<String, String>;

/// Keys of the `github` context that become `GITHUB_*` variables.
const GITHUB_KEYS: [&str; 37] = [
    "action",
    "action_path",
    "action_ref",
    "action_repository",
    "actor",
    "actor_id",
    "api_url",
    "base_ref",
    "env",
    "event_name",
    "event_path",
    "graphql_url",
    "head_ref",
    "job",
    "output",
    "path",
    "ref",
    "ref_name",
    "ref_protected",
    "ref_type",
    "repository",
    "repository_id",
    "repository_owner",
    "repository_owner_id",
    "retention_days",
    "run_attempt",
    "run_id",
    "run_number",
    "server_url",
    "sha",
    "state",
    "step_summary",
    "triggering_actor",
    "workflow",
    "workflow_ref",
    "workflow_sha",
    "workspace",
];

/// What a process of the machine has before GitHub's language adds anything.
pub fn machine_variables(info: &Info, home: &str) -> Variables {
    let mut variables = Variables::new();
    for (name, value) in
        [("PATH", info.path.as_str()), ("HOME", home), ("USER", &info.user), ("LANG", "C.UTF-8")]
    {
        if !value.is_empty() {
            variables.insert(name.to_owned(), value.to_owned());
        }
    }
    variables
}

/// Lays the `github` context's variables over `variables`; a key that is null or absent is taken away.
pub fn add_github(variables: &mut Variables, github: &Map<String, Json>) {
    for key in GITHUB_KEYS {
        let name = format!("GITHUB_{}", key.to_ascii_uppercase());
        match github.get(key) {
            Some(Json::String(text)) => variables.insert(name, text.clone()),
            Some(value @ (Json::Bool(_) | Json::Number(_))) => variables.insert(name, value.to_string()),
            _ => None,
        };
    }
    variables.insert("GITHUB_ACTIONS".to_owned(), "true".to_owned());
    variables.entry("CI".to_owned()).or_insert_with(|| "true".to_owned());
}

/// Lays the `runner` context's variables over `variables`.
pub fn add_runner(variables: &mut Variables, runner: &Json) {
    for (key, value) in runner.as_object().into_iter().flatten() {
        if let Json::String(value) = value {
            variables.insert(format!("RUNNER_{}", key.to_ascii_uppercase()), value.clone());
        }
    }
}

/// Puts folders before `PATH`, the one added last first.
pub fn prepend_path(variables: &mut Variables, folders: &[String]) {
    if folders.is_empty() {
        return;
    }
    let mut path: Vec<&str> = folders.iter().rev().map(String::as_str).collect();
    let old = variables.get("PATH").cloned().unwrap_or_default();
    if !old.is_empty() {
        path.push(&old);
    }
    let path = path.join(":");
    variables.insert("PATH".to_owned(), path);
}

/// The variable of an action's input.
pub fn input_name(input: &str) -> String {
    format!("INPUT_{}", input.replace(' ', "_").to_uppercase())
}

/// The value of `runner.arch` for what the machine calls its processor.
pub fn runner_arch(machine: &str) -> &'static str {
    match machine {
        "x86" | "i386" | "i586" | "i686" => "X86",
        "aarch64" | "arm64" => "ARM64",
        "arm" | "armv6l" | "armv7l" => "ARM",
        _ => "X64",
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn info() -> Info {
        Info {
            version: String::new(),
            hostname: "m".to_owned(),
            arch: "x86_64".to_owned(),
            user: "runner".to_owned(),
            uid: 1001,
            home: "/home/runner".to_owned(),
            path: "/usr/bin:/bin".to_owned(),
            init: std::time::Duration::ZERO,
        }
    }

    #[test]
    fn githubs_variables_win_over_a_steps_own() {
        let mut variables = machine_variables(&info(), "/home/runner");
        variables.insert("GITHUB_SHA".to_owned(), "mine".to_owned());
        variables.insert("GITHUB_TOKEN".to_owned(), "kept".to_owned());
        variables.insert("CI".to_owned(), "no".to_owned());
        add_github(
            &mut variables,
            json!({"sha": "abc", "ref_protected": false, "run_id": "7", "event": {}}).as_object().unwrap(),
        );
        assert_eq!(variables["GITHUB_SHA"], "abc");
        assert_eq!(variables["GITHUB_REF_PROTECTED"], "false");
        assert_eq!(variables["GITHUB_RUN_ID"], "7");
        assert_eq!(variables["GITHUB_TOKEN"], "kept");
        assert_eq!(variables["GITHUB_ACTIONS"], "true");
        assert_eq!(variables["CI"], "no");
        assert!(!variables.contains_key("GITHUB_EVENT"));
    }

    #[test]
    fn ci_is_set_unless_the_workflow_sets_it() {
        let mut variables = Variables::new();
        add_github(&mut variables, json!({}).as_object().unwrap());
        assert_eq!(variables["CI"], "true");
    }

    #[test]
    fn the_runner_context_becomes_variables() {
        let mut variables = Variables::new();
        add_runner(&mut variables, &json!({"os": "Linux", "tool_cache": "/t", "debug": "1"}));
        assert_eq!(variables["RUNNER_OS"], "Linux");
        assert_eq!(variables["RUNNER_TOOL_CACHE"], "/t");
        assert_eq!(variables["RUNNER_DEBUG"], "1");
    }

    #[test]
    fn the_folder_added_last_is_searched_first() {
        let mut variables = machine_variables(&info(), "/home/runner");
        prepend_path(&mut variables, &["/a".to_owned(), "/b".to_owned()]);
        assert_eq!(variables["PATH"], "/b:/a:/usr/bin:/bin");
        let mut empty = Variables::new();
        prepend_path(&mut empty, &["/a".to_owned()]);
        assert_eq!(empty["PATH"], "/a");
    }

    #[test]
    fn input_names_are_upper_case_with_spaces_as_underscores() {
        assert_eq!(input_name("my input-name"), "INPUT_MY_INPUT-NAME");
    }
}
