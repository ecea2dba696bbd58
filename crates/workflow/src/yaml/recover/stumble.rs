//! Where the parser gives up, and what it had read until then.

use saphyr_parser::{Event, Marker, Parser, ScalarStyle};

/// A place at which the parser gave up. Places are bytes.
pub(super) struct Stumble {
    /// What the parser says.
    pub(super) info: String,
    /// Where it says so: often behind the cause.
    pub(super) at: usize,
    /// What it had delivered last.
    pub(super) previous: Previous,
    /// The outermost bracket that was open.
    pub(super) bracket: Option<usize>,
}

/// The last that the parser delivered.
pub(super) struct Previous {
    pub(super) start: usize,
    pub(super) end: usize,
    /// Its style, for scalars.
    pub(super) style: Option<ScalarStyle>,
}

/// Reads the first document of a text up to the first place that is no YAML.
pub(super) fn find(text: &str) -> Option<Stumble> {
    let nothing = Marker::new(0, 1, 0);
    let (mut start, mut end, mut style) = (nothing, nothing, None);
    // One for each open list and mapping: where its bracket stands, if it has one.
    let mut open: Vec<Option<usize>> = Vec::new();
    let mut documents = 0;
    for event in Parser::new_from_str(text) {
        let (event, marks) = match event {
            Ok(event) => event,
            Err(error) => {
                let byte = |mark: Marker| byte_of(text, mark.index());
                return Some(Stumble {
                    info: error.info().to_owned(),
                    at: byte(*error.marker()),
                    previous: Previous { start: byte(start), end: byte(end), style },
                    bracket: open.into_iter().flatten().next().map(|index| byte_of(text, index)),
                });
            }
        };
        match &event {
            Event::DocumentStart(_) => {
                documents += 1;
                if documents > 1 {
                    return None;
                }
            }
            Event::SequenceStart(..) | Event::MappingStart(..) => {
                open.push((!marks.is_empty()).then_some(marks.start.index()));
            }
            Event::SequenceEnd | Event::MappingEnd => drop(open.pop()),
            _ => {}
        }
        style = match &event {
            Event::Scalar(_, style, ..) => Some(*style),
            _ => None,
        };
        (start, end) = (marks.start, marks.end);
    }
    None
}

fn byte_of(text: &str, character: usize) -> usize {
    text.char_indices().nth(character).map_or(text.len(), |(byte, _)| byte)
}
