//! `docs/reference/diagnostics.md` explains every code, and no other.

use std::collections::BTreeSet;
use std::path::Path;

use workflow::diagnostic::codes;

#[test]
fn every_code_is_explained_and_every_explained_code_exists() {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../docs/reference/diagnostics.md");
    let text = std::fs::read_to_string(&path).expect("the page of diagnostics is part of the repository");
    let explained: BTreeSet<&str> = text
        .lines()
        .filter_map(|line| line.strip_prefix("| `")?.split_once('`').map(|(code, _)| code))
        .collect();
    let known: BTreeSet<&str> = codes::ALL.iter().map(|(code, _)| *code).collect();
    assert_eq!(explained, known);
}

#[test]
fn every_code_in_the_source_is_a_known_one() {
    let mut files = Vec::new();
    collect(&Path::new(env!("CARGO_MANIFEST_DIR")).join("src"), &mut files);
    assert!(files.len() > 20, "the source is there");
    let pattern = regex::Regex::new(r#"code: "([^"]+)""#).expect("the pattern is right");
    for (file, text) in files {
        for found in pattern.captures_iter(&text) {
            let code = &found[1];
            assert!(codes::ALL.iter().any(|(known, _)| *known == code), "{file}: {code}");
        }
    }
}

fn collect(folder: &Path, files: &mut Vec<(String, String)>) {
    for entry in std::fs::read_dir(folder).into_iter().flatten().filter_map(Result::ok) {
        let path = entry.path();
        if path.is_dir() {
            collect(&path, files);
        } else if let Ok(text) = std::fs::read_to_string(&path) {
            files.push((path.display().to_string(), text));
        }
    }
}
