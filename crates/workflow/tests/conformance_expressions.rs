//! GitHub's own cases for expressions: every file of `expressions/` in the conformance data.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use serde_json::Value as Json;
use workflow::expr::{Allowed, Expression, Object, Scope, Value};

/// Names the folder that holds the conformance data.
const FOLDER_VARIABLE: &str = "HEARTH_CONFORMANCE_DIR";

/// How many cases of a group ended how.
#[derive(Default)]
struct Tally {
    passed: usize,
    failed: Vec<String>,
}

#[test]
fn expressions_have_the_values_and_errors_that_github_gives() {
    let folder = conformance_folder().join("expressions");
    let mut files: Vec<PathBuf> = std::fs::read_dir(&folder)
        .unwrap_or_else(|error| {
            panic!("can't read {}: {error}; set {FOLDER_VARIABLE} to the conformance data", folder.display())
        })
        .map(|entry| entry.expect("the folder can be listed").path())
        .filter(|path| path.extension().is_some_and(|extension| extension == "json"))
        .collect();
    files.sort();
    assert!(!files.is_empty(), "no cases in {}; set {FOLDER_VARIABLE}", folder.display());

    let mut tallies: BTreeMap<String, Tally> = BTreeMap::new();
    for file in &files {
        run_file(file, &mut tallies);
    }
    report(&tallies);
}

fn conformance_folder() -> PathBuf {
    std::env::var_os(FOLDER_VARIABLE).map_or_else(
        || Path::new(env!("CARGO_MANIFEST_DIR")).join("../../../shared/conformance"),
        PathBuf::from,
    )
}

fn run_file(file: &Path, tallies: &mut BTreeMap<String, Tally>) {
    let name = file.file_stem().unwrap_or_default().to_string_lossy();
    let text = std::fs::read_to_string(file).expect("the file can be read");
    let groups: Json = serde_json::from_str(&text).expect("the file is JSON");
    for (group, cases) in groups.as_object().expect("groups by name") {
        let tally = tallies.entry(format!("{name}/{group}")).or_default();
        for case in cases.as_array().expect("a list of cases") {
            match run_case(case) {
                Ok(()) => tally.passed += 1,
                Err(problem) => tally.failed.push(format!("{}: {problem}", case["expr"])),
            }
        }
    }
}

/// No case is skipped: what others skip, GitHub's service passes.
fn report(tallies: &BTreeMap<String, Tally>) {
    let (mut passed, mut failed) = (0, 0);
    for (group, tally) in tallies {
        println!("{group}: {} passed, {} failed, 0 skipped", tally.passed, tally.failed.len());
        for problem in &tally.failed {
            println!("    {problem}");
        }
        passed += tally.passed;
        failed += tally.failed.len();
    }
    println!("expressions: {passed} passed, {failed} failed, 0 skipped");
    assert!(passed > 0 && failed == 0, "{failed} cases failed");
}

fn run_case(case: &Json) -> Result<(), String> {
    let source = case["expr"].as_str().ok_or("no expression")?;
    let scope = Contexts(case.get("contexts").map_or_else(|| Value::object(Object::new()), Value::from_json));
    let outcome = evaluate(source, &scope);
    match (case.get("err"), outcome) {
        (Some(wanted), Err(message)) => {
            let wanted = wanted["value"].as_str().ok_or("no error text")?;
            message.contains(wanted).then_some(()).ok_or(format!("the error is {message:?}"))
        }
        (Some(wanted), Ok(value)) => Err(format!("is {value:?} instead of the error {wanted}")),
        (None, Err(message)) => Err(format!("fails with {message:?}")),
        (None, Ok(value)) => check_value(&value, &case["result"]),
    }
}

fn evaluate(source: &str, scope: &Contexts) -> Result<Value, String> {
    let names = scope.names();
    let names: Vec<&str> = names.iter().map(String::as_str).collect();
    let allowed = Allowed { contexts: &names, functions: &[] };
    let expression = Expression::parse(source, Some(&allowed)).map_err(|error| error.message)?;
    expression.evaluate(scope).map_err(|error| error.to_string())
}

fn check_value(value: &Value, wanted: &Json) -> Result<(), String> {
    if wanted["kind"] != value.kind() {
        return Err(format!("is of kind {} instead of {}", value.kind(), wanted["kind"]));
    }
    // Through the same door, so that 1 and 1.0 are alike.
    let (value, wanted) = (value.to_json(), Value::from_json(&wanted["value"]).to_json());
    if value == wanted { Ok(()) } else { Err(format!("is {value} instead of {wanted}")) }
}

struct Contexts(Value);

impl Contexts {
    fn names(&self) -> Vec<String> {
        let Value::Object(contexts) = &self.0 else { return Vec::new() };
        contexts.iter().map(|(name, _)| name.to_owned()).collect()
    }
}

impl Scope for Contexts {
    fn context(&self, name: &str) -> Option<Value> {
        let Value::Object(contexts) = &self.0 else { return None };
        contexts.get(name).cloned()
    }

    fn status(&self, _function: &str) -> Option<bool> {
        None
    }
}
