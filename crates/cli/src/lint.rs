//! `hearth lint`: every problem of workflow and action files, before anything runs.

use std::path::Path;

use anyhow::{Result, bail};
use serde_json::{Value as Json, json};
use workflow::diagnostic::{Diagnostic, Severity};

use crate::args::{Format, LintArgs, LintFormat};
use crate::run::called;
use crate::run::output::Surroundings;
use crate::run::workflows::{self, WorkflowFile};
use crate::{diagnostics, exit, json};

/// Checks the files given, or all workflows of the repositories given. Returns the exit code.
pub(crate) fn lint(args: &LintArgs) -> Result<u8> {
    let here = [".".into()];
    let paths = if args.paths.is_empty() { &here[..] } else { &args.paths[..] };
    let mut files = Vec::new();
    for path in paths {
        match path.is_dir() {
            true => files.extend(folder(path, !args.paths.is_empty())?),
            false => files.push(read(path)?),
        }
    }
    match args.format {
        LintFormat::Text => show_text(&files),
        LintFormat::Json => say!("{}", json::line(&Json::Array(all(&files).map(listed).collect()))),
        LintFormat::Sarif => say!("{}", json::line(&sarif(&files))),
        LintFormat::Github => all(&files).for_each(|diagnostic| say!("{}", command(diagnostic))),
    }
    let broken = all(&files).any(|diagnostic| diagnostic.severity == Severity::Error);
    Ok(if broken { exit::FAILURE } else { exit::SUCCESS })
}

/// The workflows of a repository, or else, where the folder was named, the YAML files that lie in it.
fn folder(path: &Path, named: bool) -> Result<Vec<WorkflowFile>> {
    let mut found = workflows::discover(path)?;
    for file in &mut found {
        check_calls(path, file)?;
    }
    if found.is_empty() && named {
        found = workflows::yaml_files(path)?.iter().map(|file| read(file)).collect::<Result<_>>()?;
    }
    if found.is_empty() {
        let folder = path.join(workflows::FOLDER);
        bail!("there are no workflow files in {}", folder.display());
    }
    Ok(found)
}

fn read(path: &Path) -> Result<WorkflowFile> {
    let shown = path.display().to_string();
    let repository = repository_of(path);
    // In the folder of workflows it is one, whatever its name.
    if repository.is_none() && path.file_stem().is_some_and(|stem| stem == "action") {
        return WorkflowFile::read_as(path, shown, |path, text| {
            let (_, diagnostics) = workflow::schema::read_action(&path, &text);
            WorkflowFile { path, text, workflow: None, diagnostics }
        });
    }
    let mut file = WorkflowFile::read(path, shown)?;
    if let Some(root) = repository {
        check_calls(root, &mut file)?;
    }
    Ok(file)
}

/// Where the repository begins whose workflow the file at `path` is.
fn repository_of(path: &Path) -> Option<&Path> {
    path.parent()?.ends_with(workflows::FOLDER).then(|| path.ancestors().nth(3)).flatten()
}

/// Adds what is wrong with the calls of `file`, a workflow of the repository in `root`.
fn check_calls(root: &Path, file: &mut WorkflowFile) -> Result<()> {
    let problems = called::check_local(root, file)?;
    file.diagnostics.extend(problems);
    file.diagnostics.sort_by_key(|problem| problem.span.as_ref().map(|span| span.start));
    Ok(())
}

fn all(files: &[WorkflowFile]) -> impl Iterator<Item = &Diagnostic> {
    files.iter().flat_map(|file| &file.diagnostics)
}

fn show_text(files: &[WorkflowFile]) {
    for file in files {
        let source = |path: &str| (path == file.path).then(|| file.text.clone());
        let shown =
            diagnostics::render(&file.diagnostics, &source, Surroundings::of_stdout().colour(Format::Auto));
        if !shown.is_empty() {
            say!("{}\n", shown.trim_end());
        }
    }
    let broken = files.iter().filter(|file| all(std::slice::from_ref(*file)).any(is_error)).count();
    let files = if files.len() == 1 { "1 file".to_owned() } else { format!("{} files", files.len()) };
    say!("{files} checked, {broken} with errors");
}

fn is_error(diagnostic: &Diagnostic) -> bool {
    diagnostic.severity == Severity::Error
}

fn severity(diagnostic: &Diagnostic) -> &'static str {
    match diagnostic.severity {
        Severity::Error => "error",
        Severity::Warning => "warning",
    }
}

/// A diagnostic in the list of `--format json`.
fn listed(diagnostic: &Diagnostic) -> Json {
    let span = diagnostic.span.as_ref();
    json!({
        "path": span.map(|span| &*span.file),
        "line": span.map(|span| span.start.line),
        "column": span.map(|span| span.start.column),
        "end_line": span.map(|span| span.end.line),
        "end_column": span.map(|span| span.end.column),
        "severity": severity(diagnostic),
        "code": diagnostic.code,
        "message": diagnostic.message,
        "hint": diagnostic.hint,
    })
}

/// A diagnostic as one event of `hearth run --format json`.
pub(crate) fn event(diagnostic: &Diagnostic) -> Json {
    let mut event = listed(diagnostic);
    event["type"] = json!("diagnostic");
    event
}

/// SARIF 2.1.0: <https://docs.oasis-open.org/sarif/sarif/v2.1.0/sarif-v2.1.0.html>
fn sarif(files: &[WorkflowFile]) -> Json {
    let mut codes: Vec<&str> = all(files).map(|diagnostic| diagnostic.code).collect();
    codes.sort_unstable();
    codes.dedup();
    let rules: Vec<Json> = codes.iter().map(|code| json!({"id": code})).collect();
    let results: Vec<Json> = all(files)
        .map(|diagnostic| {
            let locations: Vec<Json> = diagnostic
                .span
                .iter()
                .map(|span| {
                    json!({"physicalLocation": {
                        "artifactLocation": {"uri": uri(&span.file)},
                        "region": {
                            "startLine": span.start.line,
                            "startColumn": span.start.column,
                            "endLine": span.end.line,
                            "endColumn": span.end.column,
                        },
                    }})
                })
                .collect();
            json!({
                "ruleId": diagnostic.code,
                "level": severity(diagnostic),
                "message": {"text": diagnostic.message},
                "locations": locations,
            })
        })
        .collect();
    json!({
        "$schema": "https://json.schemastore.org/sarif-2.1.0.json",
        "version": "2.1.0",
        "runs": [{
            "tool": {"driver": {"name": "hearth", "version": env!("CARGO_PKG_VERSION"), "rules": rules}},
            "columnKind": "unicodeCodePoints",
            "results": results,
        }],
    })
}

/// A path as a URI reference: what may not stand in one is escaped, and an absolute path has its scheme.
fn uri(path: &str) -> String {
    let stays = |byte: u8| byte.is_ascii_alphanumeric() || b"-._~/@$&'()*+,;=".contains(&byte);
    let escaped: String = path
        .bytes()
        .map(|byte| if stays(byte) { char::from(byte).to_string() } else { format!("%{byte:02X}") })
        .collect();
    if path.starts_with('/') { format!("file://{escaped}") } else { escaped }
}

/// A workflow command, with GitHub's escapes.
fn command(diagnostic: &Diagnostic) -> String {
    let data = |text: &str| text.replace('%', "%25").replace('\r', "%0D").replace('\n', "%0A");
    let property = |text: &str| data(text).replace(':', "%3A").replace(',', "%2C");
    let place = diagnostic.span.as_ref().map(|span| {
        format!("file={},line={},col={},", property(&span.file), span.start.line, span.start.column)
    });
    let (word, code, message) = (severity(diagnostic), property(diagnostic.code), data(&diagnostic.message));
    format!("::{word} {}title={code}::{message}", place.unwrap_or_default())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn file() -> WorkflowFile {
        WorkflowFile::parse("ä,1.yml".to_owned(), "on: psh\njobs: {}\n".to_owned())
    }

    #[test]
    fn a_path_becomes_a_uri() {
        for (path, expected) in [
            (".github/workflows/ci.yml", ".github/workflows/ci.yml"),
            ("a b/100%#?.yml", "a%20b/100%25%23%3F.yml"),
            ("a:b.yml", "a%3Ab.yml"),
            ("/tmp/ö.yml", "file:///tmp/%C3%B6.yml"),
        ] {
            assert_eq!(uri(path), expected);
        }
    }

    #[test]
    fn a_workflow_that_is_called_action_is_a_workflow() {
        let root = tempfile::tempdir().unwrap();
        let folder = root.path().join(workflows::FOLDER);
        std::fs::create_dir_all(&folder).unwrap();
        let runs = "runs: { using: node20, main: a.js }\n";
        for (path, is_wrong) in [(folder.join("action.yml"), true), (root.path().join("action.yml"), false)] {
            std::fs::write(&path, runs).unwrap();
            assert_eq!(read(&path).unwrap().diagnostics.iter().any(is_error), is_wrong, "{}", path.display());
        }
    }

    #[test]
    fn every_format_names_the_place_and_the_code() {
        let files = [file()];
        let first = all(&files).next().expect("an unknown event is a problem");
        let json = listed(first);
        assert_eq!(
            (&json["path"], &json["line"], &json["severity"]),
            (&json!("ä,1.yml"), &json!(1), &json!("error"))
        );
        let sarif = sarif(&files);
        let region = &sarif["runs"][0]["results"][0]["locations"][0]["physicalLocation"]["region"];
        assert_eq!((&sarif["version"], &region["startLine"]), (&json!("2.1.0"), &json!(1)));
        let place = &sarif["runs"][0]["results"][0]["locations"][0]["physicalLocation"];
        assert_eq!(place["artifactLocation"]["uri"], "%C3%A4,1.yml");
        let line = command(first);
        assert!(line.starts_with("::error file=ä%2C1.yml,line=1,col=5,title="), "{line}");
    }
}
