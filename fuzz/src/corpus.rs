//! Good input to begin with: what the project has, and a few seeds.

use std::fs;
use std::path::{Path, PathBuf};

use anyhow::{Context, Result};

use crate::targets::Target;

const EXPRESSIONS: &[&str] = &[
    "a.b == 'c'",
    "!(github.event.x[0].*.name != null) && contains(fromJSON('[\"a\",1]'), 'A') || -0x1F >= 1.5e-3",
    "format('{0} {{1}} {2}', 'it''s', toJSON(a), join(a.*.n, ', '))",
    "case(startsWith('a', 'A'), 1, endsWith(x, ''), NaN, Infinity)",
    "hashFiles('**/x', '!y') && success() || failure() || always() || cancelled()",
];

const EVENTS: &[&str] = &[
    r#"{"ref":"refs/heads/main","before":"0","after":"1","deleted":false,"head_commit":{"message":"m [skip ci]"},"commits":[{"modified":["a"]}]}"#,
    r#"{"action":"opened","number":1,"pull_request":{"base":{"ref":"main"},"head":{"ref":"x","sha":"1","repo":{"fork":true}},"draft":true}}"#,
    r#"{"action":"completed","workflow_run":{"name":"CI","head_branch":"main","conclusion":"success"}}"#,
    r#"{"action":"deploy","client_payload":{"a":[1,null,"ä"]}}"#,
    r#"{"schedule":"0 5 * * 1-5"}"#,
];

const WEBHOOKS: &[&str] = &[
    r#"{"ref":"refs/heads/main","before":"1111111111111111111111111111111111111111","after":"2222222222222222222222222222222222222222","created":false,"deleted":false,"head_commit":{"id":"2222222222222222222222222222222222222222","message":"m"},"commits":[{"id":"2222222222222222222222222222222222222222"}],"repository":{"id":1,"full_name":"octo/hello","default_branch":"main"},"sender":{"login":"mona"},"installation":{"id":2}}"#,
    r#"{"action":"opened","number":7,"pull_request":{"number":7,"merged":true,"merge_commit_sha":"3333333333333333333333333333333333333333","user":{"login":"a"},"head":{"ref":"x","sha":"1111111111111111111111111111111111111111","repo":{"id":2,"full_name":"eve/hello"}},"base":{"ref":"main","sha":"2222222222222222222222222222222222222222","repo":{"id":1}}},"repository":{"id":1,"full_name":"octo/hello","default_branch":"main"}}"#,
    r#"{"action":"requested_action","requested_action":{"identifier":"rerun"},"check_run":{"id":4,"head_sha":"1111111111111111111111111111111111111111","external_id":"17","app":{"id":3},"check_suite":{"id":5}},"check_suite":{"id":5,"head_sha":"1111111111111111111111111111111111111111"},"repository":{"id":1,"full_name":"octo/hello","default_branch":"main"}}"#,
    r#"{"action":"published","ref":"v1","ref_type":"tag","workflow":"ci.yml","release":{"tag_name":"v1"},"deployment":{"ref":"main","sha":"1111111111111111111111111111111111111111"},"merge_group":{"head_ref":"refs/heads/q","head_sha":"1111111111111111111111111111111111111111"},"registry_package":{"package_version":{"target_oid":"x","target_commitish":"main"}},"repository":{"id":1,"full_name":"octo/hello","default_branch":"main"}}"#,
];

const PATTERNS: &[&str] =
    &["main\nmain", "!r/**\nr/a/b", "v[0-9]+.*\nv12.3", "a?b+c*\nabbc", "**/*.md\nä/ö.md", "[!a-z]\\*\nA*"];

const COMMAND_FILES: &[&str] = &[
    "a=b\nc<<EOF\nd\ne\nEOF\n",
    "ä<<ö ü\n=\n\nö ü\nx=<<\n",
    "/usr/bin\r\n/opt/größe\n",
    "\u{feff}a=b\n# heading\n",
];

const LINES: &[&str] = &[
    "secret\n::error file=a,line=1,col=2::it is secret%0Ac2VjcmV0\n##[group]x]\n",
    "ab\nc\n{\"problemMatcher\":[{\"owner\":\"o\",\"pattern\":[{\"regexp\":\"^(.+):(\\\\d+): (.*)$\",\"file\":1,\"line\":2,\"message\":3,\"loop\":false}]}]}",
    "x\n::stop-commands::t\n::add-mask::y\n::t::\n::set-output name=a;b::c",
];

/// What the inputs of a target are made of.
pub(crate) fn of(target: Target) -> Result<Vec<Vec<u8>>> {
    let seeds = match target {
        Target::Workflow => return files(&["e2e/scenarios", "examples"], &["yml"]),
        Target::Expression => EXPRESSIONS,
        Target::Event => EVENTS,
        Target::Webhook => WEBHOOKS,
        Target::Pattern => PATTERNS,
        Target::CommandFile => COMMAND_FILES,
        Target::Line => LINES,
    };
    Ok(seeds.iter().map(|seed| seed.as_bytes().to_vec()).collect())
}

fn files(folders: &[&str], extensions: &[&str]) -> Result<Vec<Vec<u8>>> {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("..");
    let mut open: Vec<PathBuf> = folders.iter().map(|folder| root.join(folder)).collect();
    let mut found = Vec::new();
    while let Some(folder) = open.pop() {
        let entries = fs::read_dir(&folder).with_context(|| format!("can't read {}", folder.display()))?;
        for entry in entries {
            let path = entry?.path();
            if path.is_symlink() {
                continue;
            }
            if path.is_dir() {
                open.push(path);
            } else if path.extension().is_some_and(|have| extensions.iter().any(|want| have == *want)) {
                found.push(path);
            }
        }
    }
    found.sort();
    found
        .iter()
        .map(|path| fs::read(path).with_context(|| format!("can't read {}", path.display())))
        .collect()
}
