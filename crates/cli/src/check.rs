//! `hearth check`: every problem of workflow and action files, before anything runs.

use std::path::Path;

use anyhow::Result;
use serde_json::json;
use workflow::diagnostic::{Diagnostic, Severity};

use crate::args::{CheckArgs, Format};
use crate::run::output::colour_wanted;
use crate::run::workflows::{self, WorkflowFile};
use crate::{diagnostics, exit};

/// Checks the files given, or all workflows of the repository. Returns the exit code.
pub(crate) fn check(args: &CheckArgs) -> Result<u8> {
    let files = if args.files.is_empty() {
        workflows::discover(&args.directory)?
    } else {
        args.files.iter().map(|path| read(path)).collect::<Result<_>>()?
    };
    if files.is_empty() {
        let folder = args.directory.join(workflows::FOLDER);
        anyhow::bail!("there are no workflow files in {}", folder.display());
    }
    for file in &files {
        show(file, args.format);
    }
    let broken = files.iter().filter(|file| has_errors(&file.diagnostics)).count();
    if args.format != Format::Json {
        println!("{} checked, {broken} with errors", count(files.len(), "file"));
    }
    Ok(if broken == 0 { exit::SUCCESS } else { exit::USAGE })
}

fn read(path: &Path) -> Result<WorkflowFile> {
    let shown = path.display().to_string();
    let is_action = path.file_stem().is_some_and(|stem| stem == "action");
    let file = WorkflowFile::read(path, shown)?;
    if !is_action {
        return Ok(file);
    }
    let (_, diagnostics) = workflow::schema::read_action(&file.path, &file.text);
    Ok(WorkflowFile { diagnostics, ..file })
}

fn has_errors(diagnostics: &[Diagnostic]) -> bool {
    diagnostics.iter().any(|diagnostic| diagnostic.severity == Severity::Error)
}

fn show(file: &WorkflowFile, format: Format) {
    let colour = match format {
        Format::Json => return file.diagnostics.iter().for_each(|d| println!("{}", diagnostic_json(d))),
        Format::Plain => false,
        Format::Pretty => true,
        Format::Auto => colour_wanted(),
    };
    print!("{}", diagnostics::render(&file.diagnostics, &|_| Some(file.text.clone()), colour));
}

/// A diagnostic as one JSON object.
pub(crate) fn diagnostic_json(diagnostic: &Diagnostic) -> serde_json::Value {
    let place = diagnostic.span.as_ref().map(|span| {
        json!({
            "file": &*span.file,
            "line": span.start.line,
            "column": span.start.column,
            "end_line": span.end.line,
            "end_column": span.end.column,
        })
    });
    let severity = match diagnostic.severity {
        Severity::Error => "error",
        Severity::Warning => "warning",
    };
    json!({
        "type": "diagnostic",
        "severity": severity,
        "code": diagnostic.code,
        "message": diagnostic.message,
        "hint": diagnostic.hint,
        "place": place,
    })
}

fn count(number: usize, what: &str) -> String {
    if number == 1 { format!("1 {what}") } else { format!("{number} {what}s") }
}
