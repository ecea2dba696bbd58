//! From the parser's events to a tree.

use std::collections::{HashMap, HashSet};

use saphyr_parser::{Event, Marker, Parser, ScalarStyle, Span as Marks, StrInput, Tag};

use super::problems::Unread;
use super::recover::{self, Cuts, Readable};
use super::scalar::{self, ScalarError};
use super::tree::{Node, Value};
use super::{Limits, Problems, start_of, tabs};
use crate::diagnostic::codes;
use crate::span::{Position, Span};

/// A key that other YAML readers take for "put these pairs here".
const MERGE_KEY: &str = "<<";

/// Why reading can't go on.
enum Stop {
    /// A bound; it has been reported.
    Bound,
    /// What follows is no YAML.
    Syntax,
}

pub(super) fn build(text: &str, limits: &Limits, problems: &mut Problems) -> Option<Node> {
    let characters = text.chars().count();
    if characters > limits.characters {
        let message = format!("The maximum file size of {} characters has been exceeded", limits.characters);
        problems.error(codes::FILE_SIZE, &start_of(problems.file()), message);
        return None;
    }
    let text = &*tabs::without_separating_tabs(text);
    let mut found = Problems::new(problems.file());
    match Builder::new(text, limits, &Cuts::default(), &mut found).run() {
        Err(Stop::Syntax) => {
            let Readable { text, cuts } = recover::recover(text, problems)?;
            Builder::new(&text, limits, &cuts, problems).run().ok()
        }
        ended => {
            problems.take(found);
            ended.ok()
        }
    }
}

/// A list or mapping that has not ended.
struct Open {
    start: Position,
    anchor: usize,
    size: Size,
    /// Levels below it, itself included.
    depth: usize,
    content: Content,
}

/// How much something holds, itself included.
#[derive(Clone, Copy)]
struct Size {
    nodes: usize,
    /// Bytes of its scalars.
    text: usize,
}

impl Size {
    /// A node without text.
    const NODE: Size = Size { nodes: 1, text: 0 };

    fn and(self, other: Size) -> Size {
        Size { nodes: self.nodes.saturating_add(other.nodes), text: self.text.saturating_add(other.text) }
    }
}

enum Content {
    Sequence(Vec<Node>),
    Mapping {
        pairs: Vec<(Node, Node)>,
        /// A key that waits for its value.
        key: Option<Key>,
    },
}

enum Key {
    Good(Node),
    /// Reported; its value is read and dropped.
    Refused,
}

/// What an alias stands for.
#[derive(Clone)]
struct Anchored {
    node: Node,
    size: Size,
    depth: usize,
}

struct Builder<'a> {
    text: &'a str,
    limits: &'a Limits,
    problems: &'a mut Problems,
    parser: Parser<'a, StrInput<'a>>,
    open: Vec<Open>,
    /// Anchors that some alias names: only these are kept.
    used_anchors: HashSet<usize>,
    anchors: HashMap<usize, Anchored>,
    /// What has been read, aliases expanded.
    size: Size,
    /// Where the event before ended: the header of a block scalar lies between it and the scalar.
    previous_end: Marker,
    cursor: Cursor,
    characters: usize,
    /// What was taken out of the text.
    cuts: &'a Cuts,
    root: Option<Node>,
}

impl<'a> Builder<'a> {
    fn new(text: &'a str, limits: &'a Limits, cuts: &'a Cuts, problems: &'a mut Problems) -> Builder<'a> {
        Builder {
            text,
            limits,
            problems,
            parser: Parser::new_from_str(text),
            open: Vec::new(),
            used_anchors: used_anchors(text),
            anchors: HashMap::new(),
            size: Size { nodes: 0, text: 0 },
            previous_end: Marker::new(0, 1, 0),
            cursor: Cursor { character: 0, byte: 0 },
            characters: text.chars().count(),
            cuts,
            root: None,
        }
    }

    fn run(mut self) -> Result<Node, Stop> {
        while let Some(event) = self.parser.next_event() {
            let (event, marks) = event.map_err(|_| Stop::Syntax)?;
            if matches!(event, Event::DocumentStart(_)) && self.root.is_some() {
                self.second_document(marks);
                break;
            }
            self.take(event, marks)?;
            self.previous_end = marks.end;
        }
        let nothing = if self.cuts.is_empty() { Value::Null } else { Value::Invalid };
        let span = start_of(self.problems.file());
        Ok(self.root.unwrap_or(Node { span, value: nothing }))
    }

    fn take(&mut self, event: Event<'_>, marks: Marks) -> Result<(), Stop> {
        match event {
            Event::Nothing
            | Event::StreamStart
            | Event::StreamEnd
            | Event::DocumentStart(_)
            | Event::DocumentEnd => Ok(()),
            Event::Scalar(text, style, anchor, tag) => {
                let mut span = self.scalar_span(&text, style, marks);
                let value = match self.end_of_unread(&span, &text, style, marks) {
                    Some(end) => {
                        span.end = end;
                        Value::Invalid
                    }
                    None => self.scalar(&text, &span, style, tag.as_deref(), marks),
                };
                let is_merge_key = style == ScalarStyle::Plain && text == MERGE_KEY;
                let size = Size { nodes: 1, text: text.len() };
                self.count(size)?;
                self.add(Anchored { node: Node { span, value }, size, depth: 0 }, anchor, is_merge_key)
            }
            Event::Alias(anchor) => self.expand(anchor, marks),
            Event::SequenceStart(anchor, _) => self.start(anchor, marks, Content::Sequence(Vec::new())),
            Event::MappingStart(anchor, _) => {
                self.start(anchor, marks, Content::Mapping { pairs: Vec::new(), key: None })
            }
            Event::SequenceEnd | Event::MappingEnd => self.end(marks),
        }
    }

    /// The first document is read; of the others it is only said that they are there.
    fn second_document(&mut self, marks: Marks) {
        let span = self.span(marks);
        let text = self.text_at(marks.start).to_owned();
        self.problems.add_unread(Unread { first: 1, last: u32::MAX, text });
        self.problems.error_with_hint(
            codes::YAML_DOCUMENTS,
            &span,
            "Expected the end of the file after the first document",
            "a workflow or action is one document: remove the `---` and what follows it",
        );
    }

    fn scalar(
        &mut self,
        text: &str,
        span: &Span,
        style: ScalarStyle,
        tag: Option<&Tag>,
        marks: Marks,
    ) -> Value {
        match scalar::resolve(text, style, tag) {
            Ok(Value::String(text)) => Value::String(self.at_end_of_file(text, style, marks)),
            Ok(value) => value,
            Err(error) => {
                self.scalar_error(text, span, error);
                Value::Invalid
            }
        }
    }

    /// Where a scalar ends of which something was taken out of the text.
    fn end_of_unread(
        &mut self,
        span: &Span,
        text: &str,
        style: ScalarStyle,
        marks: Marks,
    ) -> Option<Position> {
        if self.cuts.is_empty() || style != ScalarStyle::Plain {
            return None;
        }
        if let Some(end) = self.cuts.value_at(span.start) {
            return Some(end);
        }
        let rest = self.text_at(marks.end).split(['\n', '\r']).next().unwrap_or_default().trim();
        let is_last =
            rest.is_empty() || rest.starts_with('#') || (text.is_empty() && matches!(rest, ":" | "-"));
        if is_last { self.cuts.end_of_text(span.end.line, text.is_empty()) } else { None }
    }

    fn start(&mut self, anchor: usize, marks: Marks, content: Content) -> Result<(), Stop> {
        self.count(Size::NODE)?;
        self.check_depth(1, marks)?;
        self.open.push(Open { start: position(marks.start), anchor, size: Size::NODE, depth: 1, content });
        Ok(())
    }

    fn end(&mut self, marks: Marks) -> Result<(), Stop> {
        let Some(open) = self.open.pop() else { return Ok(()) };
        // A block ends where its last part does, not where the next thing begins.
        let (last, value) = match open.content {
            Content::Sequence(items) => (items.last().map(|item| item.span.end), Value::Sequence(items)),
            Content::Mapping { pairs, .. } => {
                (pairs.last().map(|(_, value)| value.span.end), Value::Mapping(pairs))
            }
        };
        let is_flow = marks.end.index() > marks.start.index();
        let end = last.filter(|end| !is_flow && *end >= open.start).unwrap_or(position(marks.end));
        let node = Node { span: self.problems.span(open.start, end), value };
        self.add(Anchored { node, size: open.size, depth: open.depth }, open.anchor, false)
    }

    /// Puts a finished node where it belongs.
    fn add(&mut self, added: Anchored, anchor: usize, is_merge_key: bool) -> Result<(), Stop> {
        if anchor > 0 && self.used_anchors.contains(&anchor) {
            self.anchors.insert(anchor, added.clone());
        }
        let Anchored { node, size, depth } = added;
        let Some(parent) = self.open.last_mut() else {
            self.root = Some(node);
            return Ok(());
        };
        parent.size = parent.size.and(size);
        parent.depth = parent.depth.max(depth + 1);
        match &mut parent.content {
            Content::Sequence(items) => items.push(node),
            Content::Mapping { pairs, key } => match key.take() {
                None => *key = Some(check_key(node, is_merge_key, self.problems)),
                Some(Key::Good(key)) => pairs.push((key, node)),
                Some(Key::Refused) => {}
            },
        }
        Ok(())
    }

    fn expand(&mut self, anchor: usize, marks: Marks) -> Result<(), Stop> {
        let Some(anchored) = self.anchors.get(&anchor) else {
            self.problems.error_with_hint(
                codes::YAML_ALIAS,
                &self.span(marks),
                "The alias stands inside of what it stands for",
                "an alias may only name an anchor whose value has ended",
            );
            let node = Node { span: self.span(marks), value: Value::Invalid };
            self.count(Size::NODE)?;
            return self.add(Anchored { node, size: Size::NODE, depth: 0 }, 0, false);
        };
        let (size, depth) = (anchored.size, anchored.depth);
        self.count(size)?;
        self.check_depth(depth, marks)?;
        let copy = self.anchors.get(&anchor).cloned();
        copy.map_or(Ok(()), |copy| self.add(copy, 0, false))
    }

    fn count(&mut self, more: Size) -> Result<(), Stop> {
        self.size = self.size.and(more);
        let (code, message, hint) = if self.size.nodes > self.limits.nodes {
            let hint = format!(
                "a file may have {} values, and each alias counts for all that it stands for",
                self.limits.nodes
            );
            (codes::YAML_NODES, "Maximum YAML nodes exceeded", hint)
        } else if self.size.text > self.limits.text_bytes {
            let hint = format!(
                "the texts of a file may have {} bytes, and each alias counts for what it stands for",
                self.limits.text_bytes
            );
            (codes::YAML_SIZE, "Maximum object size exceeded", hint)
        } else {
            return Ok(());
        };
        let span = self.problems.span(position(self.previous_end), position(self.previous_end));
        self.problems.error_with_hint(code, &span, message, hint);
        Err(Stop::Bound)
    }

    fn check_depth(&mut self, levels: usize, marks: Marks) -> Result<(), Stop> {
        if self.open.len() + levels <= self.limits.depth {
            return Ok(());
        }
        self.problems.error_with_hint(
            codes::YAML_DEPTH,
            &self.span(marks),
            "Maximum object depth exceeded",
            format!("lists and mappings may stand inside of each other {} times", self.limits.depth),
        );
        Err(Stop::Bound)
    }

    fn scalar_error(&mut self, text: &str, span: &Span, error: ScalarError) {
        let Position { line, column } = span.start;
        match error {
            ScalarError::Tag(tag) => self.problems.error_with_hint(
                codes::YAML_TAG,
                span,
                format!("Unexpected tag '{tag}'"),
                "quote a value that begins with `!`; of tags only !!str, !!bool, !!int, !!float, and !!null are known",
            ),
            ScalarError::Style { style, tag } => self.problems.error_with_hint(
                codes::YAML_TAG,
                span,
                format!("The scalar style '{style}' on line {line} and column {column} is not valid with the tag '{tag}'"),
                "remove the quotes or the tag",
            ),
            ScalarError::Value { tag } => self.problems.error_with_hint(
                codes::YAML_SCALAR,
                span,
                format!("The value '{text}' on line {line} and column {column} is invalid for the type '{tag}'"),
                "quote the value to make it text",
            ),
        }
    }

    fn span(&self, marks: Marks) -> Span {
        self.problems.span(position(marks.start), position(marks.end))
    }

    /// The parser's place of a block scalar is its first line of text; ours is its header. Its
    /// place of nothing after a key is the colon; ours is behind it.
    fn scalar_span(&mut self, text: &str, style: ScalarStyle, marks: Marks) -> Span {
        let mut span = self.span(marks);
        if text.is_empty() && marks.is_empty() && self.text_at(marks.start).starts_with(':') {
            span.start.column += 1;
            span.end = span.start;
            return span;
        }
        if !matches!(style, ScalarStyle::Literal | ScalarStyle::Folded) {
            return span;
        }
        let mut place = position(self.previous_end);
        let mut in_comment = false;
        let header = self.previous_end;
        for character in self.text_at(header).chars() {
            match character {
                '\n' => {
                    in_comment = false;
                    place = Position { line: place.line + 1, column: 0 };
                }
                _ if in_comment || character.is_whitespace() || ":-?".contains(character) => {}
                '#' => in_comment = true,
                _ => {
                    span.start = place.min(span.start);
                    break;
                }
            }
            place.column += 1;
        }
        span
    }

    /// A block scalar that ends with the file has no more line breaks than the file has.
    fn at_end_of_file(&self, mut text: String, style: ScalarStyle, marks: Marks) -> String {
        let is_block = matches!(style, ScalarStyle::Literal | ScalarStyle::Folded);
        if is_block
            && marks.end.index() >= self.characters
            && !self.text.ends_with(['\n', '\r'])
            && text.ends_with('\n')
        {
            text.pop();
        }
        text
    }

    /// The text from a mark on.
    fn text_at(&mut self, mark: Marker) -> &str {
        self.cursor.seek(self.text, mark.index());
        &self.text[self.cursor.byte..]
    }
}

/// Finds the byte of a character; marks come in the order of the text, so it walks the text once.
struct Cursor {
    character: usize,
    byte: usize,
}

impl Cursor {
    fn seek(&mut self, text: &str, character: usize) {
        if character < self.character {
            *self = Cursor { character: 0, byte: 0 };
        }
        let rest = &text[self.byte..];
        let steps = character - self.character;
        self.byte += rest.char_indices().nth(steps).map_or(rest.len(), |(place, _)| place);
        self.character = character;
    }
}

/// Anchors that aliases name. Keeping only these keeps nested anchors that nobody uses from
/// being copied level by level.
fn used_anchors(text: &str) -> HashSet<usize> {
    if !text.contains('*') || !text.contains('&') {
        return HashSet::new();
    }
    let events = Parser::new_from_str(text).map_while(Result::ok);
    events
        .filter_map(|(event, _)| match event {
            Event::Alias(anchor) => Some(anchor),
            _ => None,
        })
        .collect()
}

fn check_key(node: Node, is_merge_key: bool, problems: &mut Problems) -> Key {
    if is_merge_key {
        let hint = "GitHub has no merge keys: write the pairs out, or use an alias for the whole mapping";
        problems.error_with_hint(codes::YAML_MERGE_KEY, &node.span, "Unexpected value '<<'", hint);
        return Key::Refused;
    }
    match node.value {
        Value::Sequence(_) | Value::Mapping(_) => {
            let hint =
                "a key is text: quote it if it begins with `[`, `{`, or `?`; an expression begins with `${{`";
            problems.error_with_hint(codes::YAML_KEY, &node.span, "Expected a scalar value", hint);
            Key::Refused
        }
        Value::Invalid => Key::Refused,
        _ => Key::Good(node),
    }
}

fn position(mark: Marker) -> Position {
    let clamp = |number: usize| u32::try_from(number).unwrap_or(u32::MAX);
    Position { line: clamp(mark.line()), column: clamp(mark.col()).saturating_add(1) }
}
