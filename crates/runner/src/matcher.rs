//! Problem matchers: patterns that find annotations in plain output.
//!
//! The files are those of <https://github.com/actions/toolkit/blob/main/docs/problem-matchers.md>;
//! the rules and error messages are those of GitHub's runner.

mod regex;

use std::sync::Arc;
use std::time::{Duration, Instant};

use fancy_regex::{Captures, Regex};
use model::AnnotationLevel;
use serde::Deserialize;
use workflow::expr::Value;

/// Longest line that matchers look at: the time for a line grows with its length.
const MATCHED_BYTES: usize = 16 * 1024;

/// A matcher that has taken this long for one line is removed, as on GitHub.
const SLOW_MATCH: Duration = Duration::from_secs(1);

/// Largest matcher file that is read.
pub const MATCHER_FILE_BYTES: u64 = 1024 * 1024;

#[derive(Deserialize)]
struct File {
    #[serde(rename = "problemMatcher", default)]
    matchers: Vec<Config>,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Config {
    #[serde(default)]
    owner: Option<String>,
    #[serde(default)]
    severity: Option<String>,
    #[serde(default)]
    from_path: Option<String>,
    #[serde(default)]
    pattern: Vec<PatternConfig>,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct PatternConfig {
    #[serde(default)]
    regexp: String,
    #[serde(default, rename = "loop")]
    looped: bool,
    #[serde(flatten)]
    groups: Groups,
}

/// Which group of the pattern holds what.
#[derive(Clone, Copy, Default, Deserialize)]
#[serde(rename_all = "camelCase")]
struct Groups {
    file: Option<i64>,
    line: Option<i64>,
    column: Option<i64>,
    end_line: Option<i64>,
    end_column: Option<i64>,
    severity: Option<i64>,
    code: Option<i64>,
    message: Option<i64>,
    from_path: Option<i64>,
}

impl Groups {
    fn named(&self) -> [(&'static str, Option<i64>); 9] {
        [
            ("file", self.file),
            ("line", self.line),
            ("column", self.column),
            ("endLine", self.end_line),
            ("endColumn", self.end_column),
            ("severity", self.severity),
            ("code", self.code),
            ("message", self.message),
            ("fromPath", self.from_path),
        ]
    }
}

/// What a matcher found, as text.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Found {
    /// `file`, as the tool printed it.
    pub file: Option<String>,
    /// `line`.
    pub line: Option<String>,
    /// `column`.
    pub column: Option<String>,
    /// `endLine`.
    pub end_line: Option<String>,
    /// `endColumn`.
    pub end_column: Option<String>,
    /// `severity`, or the matcher's own.
    pub severity: Option<String>,
    /// `code`.
    pub code: Option<String>,
    /// `message`.
    pub message: Option<String>,
    /// `fromPath`: the project file whose folder `file` is relative to.
    pub from_path: Option<String>,
}

impl Found {
    /// The level; `None` where the severity is a word that annotations don't know.
    pub fn level(&self) -> Option<AnnotationLevel> {
        match self.severity.as_deref().unwrap_or("").to_ascii_lowercase().as_str() {
            "" | "error" => Some(AnnotationLevel::Error),
            "warning" => Some(AnnotationLevel::Warning),
            "notice" => Some(AnnotationLevel::Notice),
            _ => None,
        }
    }
}

struct Pattern {
    regex: Regex,
    looped: bool,
    groups: Groups,
}

/// What a file says of one matcher.
struct Definition {
    /// As it was written.
    written: serde_json::Value,
    owner: String,
    severity: Option<String>,
    from_path: Option<String>,
    patterns: Vec<Pattern>,
}

/// A pattern went back and forth beyond its bound.
struct TooSlow;

/// One matcher and how far its patterns have matched.
#[derive(Clone)]
struct Matcher {
    definition: Arc<Definition>,
    running: Vec<Option<Found>>,
}

/// The matchers of a job. A clone matches on its own: each stream of each process has one.
#[derive(Clone, Default)]
pub struct Matchers {
    matchers: Vec<Matcher>,
}

/// What [`Matchers::find`] has to say.
#[derive(Debug, PartialEq, Eq)]
pub enum Outcome {
    /// A problem.
    Found(Box<Found>),
    /// The matcher of this owner was too slow and is gone.
    Removed(String),
}

impl Matchers {
    /// Adds the matchers of a file; one of the same owner is replaced. The error is GitHub's.
    pub fn add(&mut self, json: &[u8]) -> Result<Vec<String>, String> {
        let added = parse(json)?;
        let owners: Vec<String> = added.iter().map(|matcher| matcher.definition.owner.clone()).collect();
        for matcher in added {
            self.remove(&matcher.definition.owner);
            self.matchers.insert(0, matcher);
        }
        Ok(owners)
    }

    /// Adds those of another set whose owners have none here.
    pub(crate) fn adopt(&mut self, others: Matchers) {
        let is_new = |matcher: &Matcher| {
            self.matchers.iter().all(|known| known.definition.owner != matcher.definition.owner)
        };
        let mut added: Vec<Matcher> = others.matchers.into_iter().filter(is_new).collect();
        added.append(&mut self.matchers);
        self.matchers = added;
    }

    /// Removes the matcher of this owner.
    pub fn remove(&mut self, owner: &str) {
        self.matchers.retain(|matcher| !matcher.definition.owner.eq_ignore_ascii_case(owner));
    }

    /// Removes every matcher that a file names.
    pub fn remove_file(&mut self, json: &[u8]) -> Result<(), String> {
        read(json)?
            .matchers
            .iter()
            .filter_map(|matcher| matcher.owner.as_deref())
            .for_each(|owner| self.remove(owner));
        Ok(())
    }

    /// All matchers, as a file of which [`Self::add`] makes the same; `None` where there are none.
    pub(crate) fn to_file(&self) -> Option<String> {
        // The last of a file is asked first.
        let written: Vec<_> =
            self.matchers.iter().rev().map(|matcher| matcher.definition.written.clone()).collect();
        (!written.is_empty()).then(|| serde_json::json!({ "problemMatcher": written }).to_string())
    }

    /// Forgets what is half matched: a new process begins.
    pub fn reset(&mut self) {
        self.matchers.iter_mut().for_each(Matcher::reset);
    }

    /// Looks at one line of output.
    pub fn find(&mut self, line: &str) -> Option<Outcome> {
        if self.matchers.is_empty() || line.len() > MATCHED_BYTES {
            return None;
        }
        let line = strip_colours(line);
        for index in 0..self.matchers.len() {
            let begun = Instant::now();
            let found = self.matchers[index].find(&line);
            if found.is_err() || begun.elapsed() > SLOW_MATCH {
                return Some(Outcome::Removed(self.matchers.remove(index).definition.owner.clone()));
            }
            if let Ok(Some(found)) = found {
                let others = self.matchers.iter_mut().enumerate().filter(|(other, _)| *other != index);
                others.for_each(|(_, matcher)| matcher.reset());
                return Some(Outcome::Found(Box::new(found)));
            }
        }
        None
    }
}

impl Matcher {
    fn reset(&mut self) {
        self.running = vec![None; self.definition.patterns.len().saturating_sub(1)];
    }

    /// From the last pattern to the first, so that a line moves each running match on by one.
    fn find(&mut self, line: &str) -> Result<Option<Found>, TooSlow> {
        let definition = self.definition.clone();
        let last = definition.patterns.len() - 1;
        for index in (0..=last).rev() {
            let running = match index {
                0 => None,
                _ => match &self.running[index - 1] {
                    Some(running) => Some(running.clone()),
                    None => continue,
                },
            };
            let pattern = &definition.patterns[index];
            match pattern.regex.captures(line).map_err(|_| TooSlow)? {
                Some(found) => {
                    let merged = merge(running.as_ref(), pattern, &found);
                    if index == last {
                        return Ok(Some(self.complete(running, merged)));
                    }
                    self.running[index] = Some(merged);
                }
                None if index == last && index > 0 => self.running[index - 1] = None,
                None if index < last => self.running[index] = None,
                None => {}
            }
        }
        Ok(None)
    }

    fn complete(&mut self, running: Option<Found>, mut found: Found) -> Found {
        let definition = self.definition.clone();
        let looped = definition.patterns.last().is_some_and(|pattern| pattern.looped);
        self.reset();
        if looped && let Some(slot) = self.running.last_mut() {
            *slot = running;
        }
        if found.severity.as_deref().unwrap_or("").is_empty() {
            found.severity.clone_from(&definition.severity);
        }
        if found.from_path.as_deref().unwrap_or("").is_empty() {
            found.from_path.clone_from(&definition.from_path);
        }
        found
    }
}

/// What earlier lines found stays; the rest is taken from this one.
fn merge(running: Option<&Found>, pattern: &Pattern, found: &Captures<'_, str>) -> Found {
    let pick = |earlier: fn(&Found) -> &Option<String>, group: Option<i64>| {
        running.and_then(|running| earlier(running).clone()).or_else(|| {
            let group = usize::try_from(group?).ok()?;
            Some(found.get(group).map_or_else(String::new, |part| part.as_str().to_owned()))
        })
    };
    let groups = &pattern.groups;
    Found {
        file: pick(|f| &f.file, groups.file),
        line: pick(|f| &f.line, groups.line),
        column: pick(|f| &f.column, groups.column),
        end_line: pick(|f| &f.end_line, groups.end_line),
        end_column: pick(|f| &f.end_column, groups.end_column),
        severity: pick(|f| &f.severity, groups.severity),
        code: pick(|f| &f.code, groups.code),
        message: pick(|f| &f.message, groups.message),
        from_path: pick(|f| &f.from_path, groups.from_path),
    }
}

/// Reads a file. GitHub's reader takes comments and commas before closing brackets.
fn read(json: &[u8]) -> Result<File, String> {
    serde_json::from_value(read_json(json)?).map_err(|error| error.to_string())
}

fn read_json(json: &[u8]) -> Result<serde_json::Value, String> {
    let json = json.strip_prefix(b"\xef\xbb\xbf").unwrap_or(json);
    Ok(Value::from_json_text(&String::from_utf8_lossy(json))?.to_json())
}

fn parse(json: &[u8]) -> Result<Vec<Matcher>, String> {
    let mut matchers: Vec<Matcher> = Vec::new();
    let written = read_json(json)?;
    for (index, config) in read(json)?.matchers.into_iter().enumerate() {
        let matcher = compile(config, written["problemMatcher"][index].clone())?;
        if matchers.iter().any(|other| other.definition.owner.eq_ignore_ascii_case(&matcher.definition.owner))
        {
            return Err(format!("Duplicate owner name '{}'", matcher.definition.owner));
        }
        matchers.push(matcher);
    }
    Ok(matchers)
}

fn compile(config: Config, written: serde_json::Value) -> Result<Matcher, String> {
    let owner = config.owner.filter(|owner| !owner.is_empty()).ok_or("Owner must not be empty")?;
    let severity = config.severity.filter(|severity| !severity.is_empty());
    if let Some(severity) = &severity
        && !["error", "warning", "notice"].contains(&severity.to_ascii_lowercase().as_str())
    {
        return Err(format!("Matcher '{owner}' contains unexpected default severity '{severity}'"));
    }
    if config.pattern.is_empty() {
        return Err(format!("Matcher '{owner}' does not contain any patterns"));
    }
    let last = config.pattern.len() - 1;
    let mut set = Vec::new();
    let mut patterns = Vec::new();
    for (index, pattern) in config.pattern.into_iter().enumerate() {
        patterns.push(compile_pattern(pattern, index > 0 && index == last, &mut set)?);
    }
    if !set.contains(&"message") {
        return Err("At least one pattern must set 'message'".to_owned());
    }
    let from_path = config.from_path.filter(|path| !path.is_empty());
    let definition = Arc::new(Definition { written, owner, severity, from_path, patterns });
    let mut matcher = Matcher { definition, running: Vec::new() };
    matcher.reset();
    Ok(matcher)
}

fn compile_pattern(
    config: PatternConfig,
    may_loop: bool,
    set: &mut Vec<&'static str>,
) -> Result<Pattern, String> {
    if config.looped && !may_loop {
        return Err("Only the last pattern in a multiline matcher may set 'loop'".to_owned());
    }
    if config.looped && config.groups.message.is_none() {
        return Err("The loop pattern must set 'message'".to_owned());
    }
    let regex = regex::compile(&config.regexp)
        .map_err(|error| format!("Invalid pattern '{}'. {error}", config.regexp))?;
    let groups = i64::try_from(regex.captures_len()).unwrap_or(i64::MAX) - 1;
    for (name, group) in config.groups.named() {
        let Some(group) = group else { continue };
        if set.contains(&name) {
            return Err(format!("The property '{name}' is set twice"));
        }
        if group < 0 || group > groups {
            return Err(format!("The property '{name}' is set to {group} which is out of range"));
        }
        set.push(name);
    }
    Ok(Pattern { regex, looped: config.looped, groups: config.groups })
}

/// `line` without ANSI colours.
pub(crate) fn strip_colours(line: &str) -> std::borrow::Cow<'_, str> {
    if !line.contains("\x1b[") {
        return line.into();
    }
    let mut stripped = String::with_capacity(line.len());
    let mut rest = line;
    while let Some(at) = rest.find("\x1b[") {
        stripped.push_str(&rest[..at]);
        rest = rest[at + 2..].trim_start_matches(|c: char| c.is_ascii_digit() || c == ';');
        rest = rest.strip_prefix('m').unwrap_or(rest);
    }
    stripped.push_str(rest);
    stripped.into()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn matchers(json: &str) -> Matchers {
        let mut matchers = Matchers::default();
        matchers.add(json.as_bytes()).unwrap();
        matchers
    }

    fn found(matchers: &mut Matchers, line: &str) -> Option<Found> {
        match matchers.find(line) {
            Some(Outcome::Found(found)) => Some(*found),
            _ => None,
        }
    }

    fn error(json: &str) -> String {
        Matchers::default().add(json.as_bytes()).unwrap_err()
    }

    const TSC: &str = r#"{"problemMatcher":[{"owner":"tsc","pattern":[{
        "regexp":"^(.*)\\((\\d+),(\\d+)\\):\\s+(error|warning)\\s+(TS\\d+)\\s*:\\s*(.*)$",
        "file":1,"line":2,"column":3,"severity":4,"code":5,"message":6}]}]}"#;

    const ESLINT: &str = r#"{"problemMatcher":[{"owner":"eslint","severity":"warning","pattern":[
        {"regexp":"^([^\\s].*)$","file":1},
        {"regexp":"^\\s+(\\d+):(\\d+)\\s+(error|warning|info)?\\s+(.*)\\s\\s+(.*)$",
         "line":1,"column":2,"severity":3,"message":4,"code":5,"loop":true}]}]}"#;

    #[test]
    fn one_line_gives_all_parts() {
        let found = found(&mut matchers(TSC), "src/a.ts(3,14): error TS2322: Type 'x'").unwrap();
        assert_eq!(found.file.as_deref(), Some("src/a.ts"));
        assert_eq!(found.line.as_deref(), Some("3"));
        assert_eq!(found.column.as_deref(), Some("14"));
        assert_eq!(found.code.as_deref(), Some("TS2322"));
        assert_eq!(found.message.as_deref(), Some("Type 'x'"));
        assert_eq!(found.level(), Some(AnnotationLevel::Error));
    }

    #[test]
    fn colours_do_not_hide_a_problem() {
        let line = "\x1b[31msrc/a.ts\x1b[0m(3,14): \x1b[1;31merror\x1b[0m TS1: x";
        assert!(found(&mut matchers(TSC), line).is_some());
    }

    #[test]
    fn a_looping_pattern_keeps_what_the_first_line_found() {
        let mut matchers = matchers(ESLINT);
        assert_eq!(found(&mut matchers, "src/a.js"), None);
        let first = found(&mut matchers, "  1:2  error  no semi  semi").unwrap();
        let second = found(&mut matchers, "  7:1    too long  max-len").unwrap();
        assert_eq!((first.file.as_deref(), first.line.as_deref()), (Some("src/a.js"), Some("1")));
        assert_eq!((second.file.as_deref(), second.line.as_deref()), (Some("src/a.js"), Some("7")));
        assert_eq!(second.level(), Some(AnnotationLevel::Warning));
        assert_eq!(found(&mut matchers, ""), None);
        assert_eq!(found(&mut matchers, "  9:1  error  orphan  semi"), None);
    }

    #[test]
    fn a_match_of_one_matcher_resets_the_others() {
        let mut matchers = matchers(ESLINT);
        matchers.add(TSC.as_bytes()).unwrap();
        found(&mut matchers, "src/a.js");
        assert!(found(&mut matchers, "b.ts(1,1): error TS1: x").is_some());
        assert_eq!(found(&mut matchers, "  1:2  error  no semi  semi"), None);
    }

    #[test]
    fn a_matcher_can_be_removed_by_owner_and_by_file() {
        let mut by_owner = matchers(TSC);
        by_owner.remove("TSC");
        assert!(by_owner.matchers.is_empty());
        let mut by_file = matchers(TSC);
        by_file.remove_file(TSC.as_bytes()).unwrap();
        assert!(by_file.matchers.is_empty());
    }

    #[test]
    fn a_matcher_of_the_same_owner_replaces_the_first() {
        let mut matchers = matchers(TSC);
        matchers
            .add(br#"{"problemMatcher":[{"owner":"TSC","pattern":[{"regexp":"^E (.*)$","message":1}]}]}"#)
            .unwrap();
        assert!(found(&mut matchers, "a.ts(1,1): error TS1: x").is_none());
        assert!(found(&mut matchers, "E boom").is_some());
    }

    #[test]
    fn lookahead_and_named_groups_work_as_in_javascript() {
        let mut matchers = matchers(
            r#"{"problemMatcher":[{"owner":"x","pattern":[{"regexp":"^(?!ok)(?<m>[(]?\\w+) (?:a|b)$","message":1}]}]}"#,
        );
        assert!(found(&mut matchers, "ok a").is_none());
        assert_eq!(found(&mut matchers, "(bad b").unwrap().message.as_deref(), Some("(bad"));
    }

    #[test]
    fn comments_and_surplus_commas_are_read_over() {
        let json = r#"{ // of my tool
            "problemMatcher": [{"owner": "x", /* why not */ "pattern": [{"regexp": "^E (.*)$", "message": 1,},],},]}"#;
        assert!(found(&mut matchers(json), "E boom").is_some());
        let mut by_file = matchers(json);
        by_file.remove_file(json.as_bytes()).unwrap();
        assert!(by_file.matchers.is_empty());
    }

    #[test]
    fn a_pattern_that_goes_back_and_forth_without_end_is_removed() {
        let mut matchers = matchers(
            r#"{"problemMatcher":[{"owner":"x","pattern":[{"regexp":"^(?=a)((a|aa)+)+\\1$","message":1}]}]}"#,
        );
        let line = format!("{}b", "a".repeat(1000));
        assert_eq!(matchers.find(&line), Some(Outcome::Removed("x".to_owned())));
        assert_eq!(matchers.find(&line), None);
    }

    #[test]
    fn wrong_files_are_refused_with_githubs_words() {
        let with = |matcher: &str| format!(r#"{{"problemMatcher":[{matcher}]}}"#);
        assert_eq!(error(&with(r#"{"pattern":[]}"#)), "Owner must not be empty");
        assert_eq!(error(&with(r#"{"owner":"a"}"#)), "Matcher 'a' does not contain any patterns");
        assert_eq!(
            error(&with(r#"{"owner":"a","severity":"fatal","pattern":[{"regexp":"x"}]}"#)),
            "Matcher 'a' contains unexpected default severity 'fatal'"
        );
        assert_eq!(
            error(&with(r#"{"owner":"a","pattern":[{"regexp":"(x)","file":1}]}"#)),
            "At least one pattern must set 'message'"
        );
        assert_eq!(
            error(&with(r#"{"owner":"a","pattern":[{"regexp":"(x)","message":2}]}"#)),
            "The property 'message' is set to 2 which is out of range"
        );
        assert_eq!(
            error(&with(r#"{"owner":"a","pattern":[{"regexp":"(x)","file":1},{"regexp":"(y)","file":1}]}"#)),
            "The property 'file' is set twice"
        );
        assert_eq!(
            error(&with(r#"{"owner":"a","pattern":[{"regexp":"(x)","message":1,"loop":true}]}"#)),
            "Only the last pattern in a multiline matcher may set 'loop'"
        );
        assert!(
            error(&with(r#"{"owner":"a","pattern":[{"regexp":"(x","message":0}]}"#))
                .contains("Invalid pattern")
        );
        let one = r#"{"owner":"a","pattern":[{"regexp":"(x)","message":1}]}"#;
        assert_eq!(error(&with(&format!("{one},{one}"))), "Duplicate owner name 'a'");
        assert!(Matchers::default().add(b"{").is_err());
    }
}
