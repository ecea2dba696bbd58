//! A configuration as it is written, so that single values can be put over it without a change to the others: `007`
//! stays what it was, whatever it is taken for.

use workflow::yaml::{self, Limits, Node, Problems, Value};

use super::keys::Key;

/// Keys, and what is written for them.
#[derive(Clone, Debug)]
pub(crate) enum Tree {
    /// What has keys.
    Keys(Vec<(String, Tree)>),
    /// What has a value, as YAML in one line, and its line in the file.
    Value(String, Option<usize>),
}

impl Tree {
    /// Of a file. What can't be read is nothing: reading it for good says what is wrong.
    pub(crate) fn of(text: &str) -> Tree {
        let mut problems = Problems::new("");
        let root = yaml::parse(text, &Limits::default(), &mut problems);
        root.map_or_else(|| Tree::Keys(Vec::new()), |root| Tree::from(&root, text))
    }

    fn from(node: &Node, text: &str) -> Tree {
        match &node.value {
            Value::Mapping(pairs) => {
                let pair =
                    |(key, value): &(Node, Node)| Some((key.value.scalar_text()?, Tree::from(value, text)));
                Tree::Keys(pairs.iter().filter_map(pair).collect())
            }
            Value::Null | Value::Invalid => Tree::Keys(Vec::new()),
            _ => Tree::Value(flow(node, text), usize::try_from(node.span.start.line).ok()),
        }
    }

    /// Puts a value where a key is.
    pub(crate) fn put(&mut self, key: &Key, value: String) {
        let mut place = self;
        for name in key.names() {
            if let Tree::Value(..) = place {
                *place = Tree::Keys(Vec::new());
            }
            let Tree::Keys(members) = place else { return };
            let at = members.iter().position(|(known, _)| known == name).unwrap_or_else(|| {
                members.push((name.to_owned(), Tree::Keys(Vec::new())));
                members.len() - 1
            });
            place = &mut members[at].1;
        }
        *place = Tree::Value(value, None);
    }

    /// What is written for a key: in one line, with the line of the file that it is in.
    pub(crate) fn get(&self, key: &Key) -> Option<(String, Option<usize>)> {
        let mut place = self;
        for name in key.names() {
            let Tree::Keys(members) = place else { return None };
            place = members.iter().find(|(known, _)| known == name).map(|(_, place)| place)?;
        }
        match place {
            Tree::Keys(members) if members.is_empty() => None,
            Tree::Keys(_) => Some((place.text(), place.line())),
            Tree::Value(text, line) => Some((text.clone(), *line)),
        }
    }

    /// All of it as YAML in one line.
    pub(crate) fn text(&self) -> String {
        match self {
            Tree::Value(text, _) => text.clone(),
            Tree::Keys(members) => {
                let member = |(name, tree): &(String, Tree)| match tree {
                    // Nothing is written for it.
                    Tree::Keys(members) if members.is_empty() => None,
                    tree => Some(format!("{}: {}", quoted(name), tree.text())),
                };
                format!("{{{}}}", members.iter().filter_map(member).collect::<Vec<_>>().join(", "))
            }
        }
    }

    fn line(&self) -> Option<usize> {
        match self {
            Tree::Value(_, line) => *line,
            Tree::Keys(members) => members.iter().find_map(|(_, tree)| tree.line()),
        }
    }
}

/// The value of a variable as YAML in one line; nothing if it is no YAML.
pub(crate) fn one_line(text: &str) -> Option<String> {
    let mut problems = Problems::new("");
    let root = yaml::parse(text, &Limits::default(), &mut problems)?;
    (!problems.has_errors()).then(|| flow(&root, text))
}

/// A text as YAML has it in quotes.
pub(crate) fn quoted(text: &str) -> String {
    serde_json::Value::from(text).to_string()
}

fn flow(node: &Node, text: &str) -> String {
    match &node.value {
        Value::Invalid | Value::Null => "null".to_owned(),
        // As it is written: `0123` may be a secret.
        Value::Bool(_) | Value::Number(_) => written(node, text),
        Value::String(value) => quoted(value),
        Value::Sequence(items) => {
            format!("[{}]", items.iter().map(|item| flow(item, text)).collect::<Vec<_>>().join(", "))
        }
        Value::Mapping(pairs) => {
            let pair = |(key, value): &(Node, Node)| {
                let key = key.value.scalar_text().unwrap_or_default();
                format!("{}: {}", quoted(&key), flow(value, text))
            };
            format!("{{{}}}", pairs.iter().map(pair).collect::<Vec<_>>().join(", "))
        }
    }
}

/// What stands in the file where a scalar of one line is.
fn written(node: &Node, text: &str) -> String {
    let (start, end) = (node.span.start, node.span.end);
    let line = usize::try_from(start.line).unwrap_or(1).saturating_sub(1);
    let from = usize::try_from(start.column).unwrap_or(1).saturating_sub(1);
    let length = usize::try_from(end.column.saturating_sub(start.column)).unwrap_or(0);
    let line = text.lines().nth(line).unwrap_or_default();
    line.chars().skip(from).take(length).collect::<String>().trim().to_owned()
}

#[cfg(test)]
mod tests {
    use super::super::keys::KEYS;
    use super::*;

    fn key(path: &str) -> &'static Key {
        KEYS.iter().find(|key| key.path == path).unwrap()
    }

    #[test]
    fn values_stay_as_they_are_written_and_one_is_put_over_them() {
        let mut tree = Tree::of("jobs: 007\nserve:\n  url: 'a # b'\n  github: {token: 0123}\n");
        assert_eq!(tree.get(key("jobs")), Some(("007".to_owned(), Some(1))));
        assert_eq!(tree.get(key("serve.url")), Some((r#""a # b""#.to_owned(), Some(3))));
        assert_eq!(tree.get(key("serve.github.token")), Some(("0123".to_owned(), Some(4))));
        tree.put(key("serve.workflows"), "2".to_owned());
        tree.put(key("jobs"), "1".to_owned());
        assert_eq!(
            tree.text(),
            r#"{"jobs": 1, "serve": {"url": "a # b", "github": {"token": 0123}, "workflows": 2}}"#
        );
        assert_eq!(tree.get(key("serve.listen")), None);
    }
}
