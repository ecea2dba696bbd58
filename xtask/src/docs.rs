//! `cargo xtask docs`: a link that leads nowhere, or a command that README should name and does not, is an error.

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};

use anyhow::{Context, Result, bail};

use crate::command::{output, program, root};

/// README's second command: the whole test suite.
const TEST_COMMAND: &str = "cargo xtask test";

/// Checks every Markdown file of the repository.
pub(crate) fn run() -> Result<()> {
    let root = root();
    let listed = output(&mut program(
        "git",
        ["ls-files", "--cached", "--others", "--exclude-standard", "-z", "--", "*.md"],
    ))?;
    let files: Vec<PathBuf> = listed.split_terminator('\0').map(PathBuf::from).collect();
    let mut faults = Vec::new();
    for file in files.iter().filter(|file| root.join(file).exists()) {
        let text = std::fs::read_to_string(root.join(file))
            .with_context(|| format!("can't read {}", file.display()))?;
        faults.extend(broken_links(&root, file, &text));
    }
    let readme = std::fs::read_to_string(root.join("README.md")).context("can't read README.md")?;
    if !commands(&readme).contains(&TEST_COMMAND) {
        faults.push(format!("README.md: no line of an `sh` block is `{TEST_COMMAND}`"));
    }
    faults.extend(unproved(&root)?);
    for fault in &faults {
        eprintln!("docs: {fault}");
    }
    if !faults.is_empty() {
        bail!("{} faults in the documentation", faults.len());
    }
    println!("docs: the links of {} files lead somewhere", files.len());
    Ok(())
}

/// Proofs that SPECIFICATION names and nobody has: a proof is the name of a test or of a scenario.
fn unproved(root: &Path) -> Result<Vec<String>> {
    let text =
        std::fs::read_to_string(root.join("SPECIFICATION.md")).context("can't read SPECIFICATION.md")?;
    let sources =
        output(&mut program("git", ["grep", "--untracked", "-h", "-E", "fn [a-z0-9_]+\\(", "--", "*.rs"]))?;
    let exists = |name: &str| {
        sources.contains(&format!("fn {name}(")) || root.join("e2e/scenarios").join(name).is_dir()
    };
    Ok(proofs(&text)
        .into_iter()
        .filter(|name| !exists(name))
        .map(|name| format!("SPECIFICATION.md: `{name}` is neither a test nor a scenario"))
        .collect())
}

/// Names of tests and scenarios in the last column of tables.
fn proofs(text: &str) -> Vec<&str> {
    let rows = text.lines().filter(|line| line.starts_with('|'));
    let cells = rows.filter_map(|row| row.trim_end_matches('|').rsplit('|').next());
    let words = cells.flat_map(|cell| cell.split('`').skip(1).step_by(2));
    words
        .filter(|word| word.chars().all(|c| c.is_ascii_lowercase() || c.is_ascii_digit() || c == '_'))
        .collect()
}

/// The command that README tells a newcomer to type first.
pub(crate) fn first_command() -> Result<Vec<String>> {
    let readme = std::fs::read_to_string(root().join("README.md")).context("can't read README.md")?;
    let command = commands(&readme).into_iter().find(|line| line.starts_with("cargo run"));
    let command = command.context("README.md: no line of an `sh` block begins with `cargo run`")?;
    Ok(command.split_whitespace().map(ToOwned::to_owned).collect())
}

/// The lines of all `sh` blocks.
fn commands(text: &str) -> Vec<&str> {
    let mut inside = false;
    let mut commands = Vec::new();
    for line in text.lines() {
        match line.trim() {
            "```sh" => inside = true,
            "```" => inside = false,
            command if inside && !command.is_empty() => commands.push(command),
            _ => {}
        }
    }
    commands
}

fn broken_links(root: &Path, file: &Path, text: &str) -> Vec<String> {
    let folder = file.parent().unwrap_or(Path::new(""));
    let mut faults = Vec::new();
    for link in links(text) {
        let (path, anchor) = link.split_once('#').unwrap_or((link, ""));
        let target = if path.is_empty() { root.join(file) } else { root.join(folder).join(path) };
        if !target.exists() {
            faults.push(format!("{}: {link}: there is no such file", file.display()));
        } else if !anchor.is_empty() && target.extension().is_some_and(|extension| extension == "md") {
            let target = std::fs::read_to_string(&target).unwrap_or_default();
            if !anchors(&target).contains(anchor) {
                faults.push(format!("{}: {link}: there is no such heading", file.display()));
            }
        }
    }
    faults
}

/// The targets of all links and pictures that lead into the repository.
fn links(text: &str) -> Vec<&str> {
    let mut links = Vec::new();
    for line in outside_of_blocks(text) {
        for part in line.split("](").skip(1) {
            let Some((target, _)) = part.split_once(')') else { continue };
            let target = target.split_whitespace().next().unwrap_or("");
            if !target.is_empty() && !target.contains("://") && !target.starts_with("mailto:") {
                links.push(target);
            }
        }
    }
    links
}

/// The anchors that GitHub makes of the headings.
fn anchors(text: &str) -> BTreeSet<String> {
    let headings = outside_of_blocks(text).filter(|line| line.starts_with('#'));
    headings
        .map(|heading| {
            let title = heading.trim_start_matches('#').trim().to_lowercase();
            let kept = title.chars().filter(|c| c.is_alphanumeric() || matches!(c, ' ' | '-' | '_'));
            kept.map(|c| if c == ' ' { '-' } else { c }).collect()
        })
        .collect()
}

fn outside_of_blocks(text: &str) -> impl Iterator<Item = &str> {
    let mut inside = false;
    text.lines().filter(move |line| {
        let fence = line.trim_start().starts_with("```");
        inside ^= fence;
        !inside && !fence
    })
}

#[cfg(test)]
mod tests {
    use std::path::Path;

    use super::{anchors, broken_links, commands, links, proofs};

    #[test]
    fn only_links_into_the_repository_are_looked_at() {
        let text =
            "[a](b.md) ![p](x/y.svg \"title\") [w](https://example.org/z)\n```\n[no](no.md)\n```\n[c](#d)";
        assert_eq!(links(text), ["b.md", "x/y.svg", "#d"]);
    }

    #[test]
    fn a_link_to_nothing_and_an_anchor_to_nothing_are_faults() {
        let root = crate::command::root();
        let text = "[a](Cargo.toml) [b](nothing.md) [c](#the-title) [d](#nothing)\n";
        std::fs::create_dir_all(root.join("target")).expect("the target folder can be made");
        let faults = broken_links(&root, Path::new("deny.toml"), text);
        assert_eq!(faults, ["deny.toml: nothing.md: there is no such file"]);
        assert!(anchors("# The `title`, or so\n").contains("the-title-or-so"));
    }

    #[test]
    fn proofs_are_the_names_in_the_last_column() {
        let text =
            "| Promise | Proof |\n|---|---|\n| `no` | `a_test`, `b` and `cargo xtask bench` |\n`neither`\n";
        assert_eq!(proofs(text), ["a_test", "b"]);
    }

    #[test]
    fn commands_are_the_lines_of_sh_blocks() {
        assert_eq!(commands("a\n```sh\none\n\ntwo three\n```\nb\n```toml\nc\n```\n"), ["one", "two three"]);
    }
}
