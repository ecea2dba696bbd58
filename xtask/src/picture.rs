//! `cargo xtask picture`: runs the example and draws what the terminal shows as an SVG for the README.

use std::fmt::Write as _;

use anyhow::{Context, Result, ensure};

use crate::command;

/// Where the README looks for it.
const PICTURE: &str = "docs/run.svg";

/// Lines of the terminal that are drawn; the rest of a longer run is left out in the middle.
const LINES: usize = 44;

/// Size of one character cell, in SVG units.
const CELL: (f64, f64) = (8.4, 18.0);

/// Runs the example and writes the picture.
pub(crate) fn run() -> Result<()> {
    let root = command::root();
    let output = std::process::Command::new(env!("CARGO"))
        .args(["run", "--release", "--quiet", "--", "run", "-C", "examples/hello", "--format", "pretty"])
        .current_dir(&root)
        .output()
        .context("can't run the example")?;
    ensure!(output.status.success(), "the example failed:\n{}", String::from_utf8_lossy(&output.stdout));
    let text = String::from_utf8(output.stdout).context("the run printed text that is not UTF-8")?;
    let path = root.join(PICTURE);
    std::fs::write(&path, svg(&text)).with_context(|| format!("can't write {}", path.display()))?;
    println!("{PICTURE}");
    Ok(())
}

/// A terminal's text with its SGR colours as an SVG.
fn svg(text: &str) -> String {
    let lines = shown_lines(text);
    let columns = lines.iter().map(|line| width(line)).max().unwrap_or(0).max(80);
    let (width, height) = (columns as f64 * CELL.0 + 32.0, lines.len() as f64 * CELL.1 + 32.0);
    let mut svg = format!(
        "<svg xmlns=\"http://www.w3.org/2000/svg\" viewBox=\"0 0 {width} {height}\" width=\"{width}\" \
         height=\"{height}\">\n<rect width=\"100%\" height=\"100%\" rx=\"8\" fill=\"#16181d\"/>\n\
         <g font-family=\"ui-monospace, 'DejaVu Sans Mono', Menlo, Consolas, monospace\" font-size=\"14\" \
         fill=\"#d6d9e0\" xml:space=\"preserve\">\n"
    );
    for (row, line) in lines.iter().enumerate() {
        let y = 32.0 + row as f64 * CELL.1;
        let _ = writeln!(svg, "<text x=\"16\" y=\"{y}\">{}</text>", spans(line));
    }
    svg.push_str("</g>\n</svg>\n");
    svg
}

/// The first and the last lines, with a mark between them if some are left out.
fn shown_lines(text: &str) -> Vec<String> {
    let all: Vec<String> = text.lines().map(str::to_owned).collect();
    if all.len() <= LINES {
        return all;
    }
    let tail = LINES / 2;
    let mut shown = all[..LINES - tail - 1].to_vec();
    shown.push("\x1b[90m  ⋮\x1b[0m".to_owned());
    shown.extend_from_slice(&all[all.len() - tail..]);
    shown
}

fn width(line: &str) -> usize {
    pieces(line).iter().map(|(_, text)| text.chars().count()).sum()
}

fn spans(line: &str) -> String {
    pieces(line)
        .iter()
        .map(|(style, text)| {
            let text = text.replace('&', "&amp;").replace('<', "&lt;").replace('>', "&gt;");
            match style.as_str() {
                "" => text,
                style => format!("<tspan {style}>{text}</tspan>"),
            }
        })
        .collect()
}

/// The line cut where its style changes.
fn pieces(line: &str) -> Vec<(String, String)> {
    let mut pieces = vec![(String::new(), String::new())];
    let mut rest = line;
    while let Some(at) = rest.find("\x1b[") {
        pieces.last_mut().expect("never empty").1.push_str(&rest[..at]);
        let after = &rest[at + 2..];
        let end = after.find('m').unwrap_or(after.len().saturating_sub(1));
        pieces.push((style(&after[..end]), String::new()));
        rest = after.get(end + 1..).unwrap_or_default();
    }
    pieces.last_mut().expect("never empty").1.push_str(rest);
    pieces.retain(|(_, text)| !text.is_empty());
    pieces
}

/// SVG attributes of an SGR sequence.
fn style(codes: &str) -> String {
    let mut attributes = Vec::new();
    for code in codes.split(';') {
        match code {
            "1" => attributes.push("font-weight=\"bold\"".to_owned()),
            _ => attributes.extend(colour(code).map(|colour| format!("fill=\"{colour}\""))),
        }
    }
    attributes.join(" ")
}

fn colour(code: &str) -> Option<&'static str> {
    Some(match code {
        "31" => "#f47067",
        "32" => "#7ec699",
        "33" => "#e0b35c",
        "34" => "#6cb6ff",
        "35" => "#dcbdfb",
        "36" => "#76d4d6",
        "90" => "#768390",
        "95" => "#e0a3ff",
        "96" => "#96e4e6",
        _ => return None,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn colours_become_spans_and_markup_is_escaped() {
        assert_eq!(
            spans("a \x1b[1;32m<ok>\x1b[0m b"),
            "a <tspan font-weight=\"bold\" fill=\"#7ec699\">&lt;ok&gt;</tspan> b"
        );
    }

    #[test]
    fn a_long_run_is_cut_in_the_middle() {
        let text: String = (0..100).map(|n| format!("{n}\n")).collect();
        let shown = shown_lines(&text);
        assert_eq!(shown.len(), LINES);
        assert_eq!((shown[0].as_str(), shown.last().map(String::as_str)), ("0", Some("99")));
    }
}
