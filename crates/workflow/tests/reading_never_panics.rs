//! Broken files: whatever the bytes, reading ends with a value or with problems that have places.

use std::path::{Path, PathBuf};

use workflow::diagnostic::{Diagnostic, Severity};
use workflow::schema::{ReadOptions, read_action, read_workflow};

/// Broken files that are tried; enough for some seconds. `HEARTH_FUZZ_ROUNDS` gives another count.
const ROUNDS: usize = 3_000;

/// Pieces that tend to break readers.
const PIECES: [&str; 26] = [
    "\t",
    "\0",
    "\u{feff}",
    "é",
    "漢",
    "\u{2028}",
    "\r\n",
    "\n---\n",
    "...",
    "&a ",
    "*a",
    "<<: *a",
    "!!int ",
    "!<x> ",
    "${{",
    "}}",
    "${{ insert }}",
    "'",
    "\"",
    "|\n",
    ">-\n",
    "- - - ",
    "? ",
    ": ",
    "[[[[[[[[",
    "{a: {b: {",
];

const SEEDS: [&str; 3] =
    [include_str!("seeds/workflow.yml"), include_str!("seeds/call.yml"), include_str!("seeds/action.yml")];

/// A small generator of pseudo-random numbers (xorshift): the same numbers on every run.
struct Random(u64);

impl Random {
    fn next(&mut self) -> usize {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        usize::try_from(self.0 >> 33).unwrap_or_default()
    }

    fn below(&mut self, bound: usize) -> usize {
        if bound == 0 { 0 } else { self.next() % bound }
    }
}

#[test]
fn a_broken_file_is_a_problem_and_never_a_panic() {
    let seeds = seeds();
    let rounds =
        std::env::var("HEARTH_FUZZ_ROUNDS").ok().and_then(|text| text.parse().ok()).unwrap_or(ROUNDS);
    let mut random = Random(0x5eed_1e55_0bad_cafe);
    for round in 0..rounds {
        let mut bytes = seeds[random.below(seeds.len())].clone();
        for _ in 0..=random.below(4) {
            mutate(&mut bytes, &mut random);
        }
        let text = String::from_utf8_lossy(&bytes);
        let (workflow, problems) = read_workflow("broken.yml", &text, &ReadOptions::default());
        check(round, &text, workflow.is_some(), &problems);
        let (action, problems) = read_action("action.yml", &text);
        check(round, &text, action.is_some(), &problems);
    }
}

/// Flips, cuts, doubles, moves, or inserts.
fn mutate(bytes: &mut Vec<u8>, random: &mut Random) {
    let place = random.below(bytes.len() + 1);
    let other = random.below(bytes.len() + 1);
    let (start, end) = (place.min(other), place.max(other));
    match random.below(7) {
        0 => bytes.truncate(place),
        1 => {
            bytes.drain(start..end.min(start + 40));
        }
        2 => {
            let copy = bytes[start..end.min(start + 200)].to_vec();
            bytes.splice(place..place, copy);
        }
        3 if place < bytes.len() => bytes[place] ^= 1 << random.below(8),
        4 if place < bytes.len() => bytes[place] = u8::try_from(random.below(256)).unwrap_or_default(),
        _ => {
            let piece = PIECES[random.below(PIECES.len())];
            bytes.splice(place..place, piece.bytes());
        }
    }
}

fn check(round: usize, text: &str, has_value: bool, problems: &[Diagnostic]) {
    let has_errors = problems.iter().any(|problem| problem.severity == Severity::Error);
    assert_eq!(has_value, !has_errors, "round {round}: {problems:?}\n{text}");
    // Every way to end a line that YAML or its parser knows.
    let lines = 2 + text.chars().filter(|character| matches!(character, '\n' | '\r')).count();
    for problem in problems {
        let span = problem.span.as_ref().unwrap_or_else(|| panic!("round {round}: no place: {problem:?}"));
        let line = usize::try_from(span.start.line).unwrap_or(usize::MAX);
        assert!((1..=lines).contains(&line), "round {round}: line {line} of {lines}: {problem}\n{text}");
        assert!(span.start.column >= 1 && span.start <= span.end, "round {round}: {problem:?}\n{text}");
        assert!(!problem.to_string().is_empty());
    }
}

fn seeds() -> Vec<Vec<u8>> {
    let own = SEEDS.iter().map(|seed| seed.as_bytes().to_vec());
    own.chain(files().iter().filter_map(|file| std::fs::read(file).ok())).collect()
}

/// The workflows of the conformance suite, where it is there.
fn files() -> Vec<PathBuf> {
    let given = std::env::var_os("HEARTH_CONFORMANCE_DIR").map(PathBuf::from);
    let beside = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../../shared/conformance");
    let entries = std::fs::read_dir(given.unwrap_or(beside).join("workflows")).into_iter().flatten();
    let mut files: Vec<_> = entries.filter_map(Result::ok).map(|entry| entry.path()).collect();
    files.sort();
    // Large cases cost time and teach nothing more.
    files.retain(|file| file.metadata().is_ok_and(|metadata| metadata.len() < 16 * 1024));
    files
}
