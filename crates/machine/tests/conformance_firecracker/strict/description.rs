//! Firecracker's description of its API, and what of it a request touches.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use serde_json::Value;

use super::schema;

/// Names the folder that holds `firecracker.yaml`.
const FOLDER_VARIABLE: &str = "HEARTH_FACTS_DIR";

/// The description, as the document that it is.
#[derive(Clone)]
pub(crate) struct Description(Arc<Value>);

/// When a call is allowed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Phase {
    /// At any time.
    Any,
    /// Before the guest was started.
    BeforeBoot,
    /// After.
    AfterBoot,
}

/// What the description has for one request.
pub(crate) struct Operation<'a> {
    /// The path as the description writes it, with `{names}`.
    pub(crate) path: &'a str,
    phase: Phase,
    body: Option<Body<'a>>,
}

struct Body<'a> {
    schema: &'a Value,
    required: bool,
}

impl Description {
    /// Reads the description.
    pub(crate) fn read() -> Self {
        let given = std::env::var_os(FOLDER_VARIABLE).map(PathBuf::from);
        let beside = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../../shared/facts");
        let file = given.unwrap_or(beside).join("firecracker.yaml");
        let text = std::fs::read_to_string(&file).unwrap_or_else(|error| {
            let file = file.display();
            panic!(
                "can't read {file}: {error}; set {FOLDER_VARIABLE} to the folder with Firecracker's description"
            )
        });
        let document: Value = serde_saphyr::from_str(&text).expect("the description is YAML");
        assert!(document["paths"].is_object(), "{} has no paths", file.display());
        Self(Arc::new(document))
    }

    /// What the description has for this request, or why it has nothing.
    pub(crate) fn operation(&self, method: &str, path: &str) -> Result<Operation<'_>, String> {
        let paths = self.0["paths"].as_object().expect("paths are an object");
        let (template, methods) = paths
            .iter()
            .find(|(template, _)| matches_template(template, path))
            .ok_or_else(|| format!("the description has no path {path}"))?;
        let operation = &methods[method.to_ascii_lowercase()];
        if operation.is_null() {
            return Err(format!("the description has no {method} for {template}"));
        }
        let parameters = operation["parameters"].as_array().map_or(&[][..], Vec::as_slice);
        let body = parameters
            .iter()
            .find(|parameter| parameter["in"] == "body")
            .map(|parameter| Body { schema: &parameter["schema"], required: parameter["required"] == true });
        Ok(Operation { path: template, phase: phase(method, template, operation), body })
    }
}

impl Operation<'_> {
    /// When it is allowed.
    pub(crate) fn phase(&self) -> Phase {
        self.phase
    }

    /// Everything that is wrong with the body.
    pub(crate) fn problems(&self, description: &Description, body: Option<&Value>) -> Vec<String> {
        match (&self.body, body) {
            (None, None) => Vec::new(),
            (None, Some(_)) => vec!["a body, where none is described".to_owned()],
            (Some(body), None) if body.required => vec!["no body, where one is required".to_owned()],
            (Some(_), None) => Vec::new(),
            (Some(wanted), Some(body)) => schema::problems(&description.0, wanted.schema, body),
        }
    }
}

/// Whether `/drives/{drive_id}` is the template of `/drives/root`.
fn matches_template(template: &str, path: &str) -> bool {
    let (mut wanted, mut parts) = (template.split('/'), path.split('/'));
    loop {
        match (wanted.next(), parts.next()) {
            (None, None) => return true,
            (Some(wanted), Some(part)) if wanted.starts_with('{') => {
                // What Firecracker takes as an identifier in a path.
                let letters = part.chars().all(|letter| letter.is_ascii_alphanumeric() || letter == '_');
                if part.is_empty() || !letters {
                    return false;
                }
            }
            (Some(wanted), Some(part)) if wanted == part => {}
            _ => return false,
        }
    }
}

/// Where the description says in words when a call is allowed, it is taken at its word. For the
/// rest, Firecracker's documents say it (docs/snapshotting, docs/getting-started).
fn phase(method: &str, path: &str, operation: &Value) -> Phase {
    let words = [&operation["summary"], &operation["description"]];
    let says =
        |phrase: &str| words.iter().any(|text| text.as_str().is_some_and(|text| text.contains(phrase)));
    if says("Pre-boot only") || says("This will fail after machine startup") {
        return Phase::BeforeBoot;
    }
    if says("Post-boot only") {
        return Phase::AfterBoot;
    }
    match (method, path) {
        ("PUT", "/actions" | "/serial" | "/logger" | "/metrics" | "/mmds/config" | "/hotplug/memory") => {
            Phase::BeforeBoot
        }
        ("PATCH", "/vm" | "/balloon" | "/balloon/statistics" | "/hotplug/memory") => Phase::AfterBoot,
        _ => Phase::Any,
    }
}

#[test]
fn the_phases_are_those_of_the_description() {
    let description = Description::read();
    for (method, path, phase) in [
        ("PUT", "/boot-source", Phase::BeforeBoot),
        ("PUT", "/balloon", Phase::BeforeBoot),
        ("PUT", "/snapshot/load", Phase::BeforeBoot),
        ("PUT", "/snapshot/create", Phase::AfterBoot),
        ("PATCH", "/drives/root", Phase::AfterBoot),
        ("GET", "/", Phase::Any),
        ("PUT", "/mmds", Phase::Any),
    ] {
        assert_eq!(description.operation(method, path).unwrap().phase(), phase, "{method} {path}");
    }
    for (method, path) in
        [("DELETE", "/boot-source"), ("PUT", "/boot"), ("PUT", "/drives/"), ("PUT", "/drives/a-b")]
    {
        assert!(description.operation(method, path).is_err(), "{method} {path}");
    }
}
