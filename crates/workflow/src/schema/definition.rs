//! The shape of a language: what may stand where.

/// What a value may be, and what expressions in it may use.
#[derive(Debug)]
pub(super) struct Definition {
    /// Contexts that expressions here may use, beside those that they may use around it.
    pub(super) contexts: &'static [&'static str],
    /// Functions that expressions here may call, as `name(min,max)`; likewise.
    pub(super) functions: &'static [&'static str],
    /// Its type.
    pub(super) kind: Kind,
}

/// Types of values.
#[derive(Debug)]
pub(super) enum Kind {
    /// Nothing.
    Null,
    /// A boolean.
    Bool,
    /// A number.
    Number,
    /// Text; other scalars become text.
    Text(Text),
    /// A list of these.
    Sequence(&'static Definition),
    /// Pairs.
    Mapping(Mapping),
    /// Whichever of these fits. At most one is a sequence.
    OneOf(&'static [&'static Definition]),
}

/// Which texts.
#[derive(Debug)]
pub(super) enum Text {
    /// Any.
    Any,
    /// Any but the empty one.
    NonEmpty,
    /// One of these.
    Words(&'static [&'static str]),
}

/// Which pairs.
#[derive(Debug)]
pub(super) struct Mapping {
    /// Keys that are known.
    pub(super) properties: &'static [Property],
    /// All other keys.
    pub(super) others: Others,
}

/// What becomes of keys that are not known.
#[derive(Debug)]
pub(super) enum Others {
    /// They are errors.
    Refused,
    /// They are reported as ignored.
    Ignored,
    /// They are names that the author chooses: what a key is, and what its value is.
    Named(&'static Definition, &'static Definition),
}

/// A known key.
#[derive(Clone, Copy, Debug)]
pub(super) struct Property {
    /// The key.
    pub(super) name: &'static str,
    /// Its value.
    pub(super) definition: &'static Definition,
    /// Whether it must be there.
    pub(super) is_required: bool,
}

impl Definition {
    /// A type whose expressions use what is allowed around it.
    pub(super) const fn new(kind: Kind) -> Definition {
        Definition { contexts: &[], functions: &[], kind }
    }

    /// The same, with these contexts.
    pub(super) const fn with(mut self, contexts: &'static [&'static str]) -> Definition {
        self.contexts = contexts;
        self
    }

    /// The same, with these functions.
    pub(super) const fn calling(mut self, functions: &'static [&'static str]) -> Definition {
        self.functions = functions;
        self
    }

    /// Text that is one of these words.
    pub(super) const fn words(words: &'static [&'static str]) -> Definition {
        Definition::new(Kind::Text(Text::Words(words)))
    }

    /// A list.
    pub(super) const fn list(item: &'static Definition) -> Definition {
        Definition::new(Kind::Sequence(item))
    }

    /// A choice.
    pub(super) const fn one_of(choices: &'static [&'static Definition]) -> Definition {
        Definition::new(Kind::OneOf(choices))
    }

    /// A mapping of these keys and no others.
    pub(super) const fn mapping(properties: &'static [Property]) -> Definition {
        Definition::new(Kind::Mapping(Mapping { properties, others: Others::Refused }))
    }

    /// A mapping of these keys; others are reported and ignored.
    pub(super) const fn tolerant(properties: &'static [Property]) -> Definition {
        Definition::new(Kind::Mapping(Mapping { properties, others: Others::Ignored }))
    }

    /// A mapping of names that the author chooses.
    pub(super) const fn named(key: &'static Definition, value: &'static Definition) -> Definition {
        Definition::new(Kind::Mapping(Mapping { properties: &[], others: Others::Named(key, value) }))
    }

    /// The types that it may have, choices opened.
    pub(super) fn kinds(&'static self) -> impl Iterator<Item = &'static Kind> {
        let mut waiting = vec![self];
        std::iter::from_fn(move || {
            loop {
                match &waiting.pop()?.kind {
                    Kind::OneOf(choices) => waiting.extend(choices.iter().rev()),
                    kind => return Some(kind),
                }
            }
        })
    }

    /// The list that it may be.
    pub(super) fn item(&'static self) -> Option<&'static Definition> {
        self.kinds().find_map(|kind| match kind {
            Kind::Sequence(item) => Some(*item),
            _ => None,
        })
    }

    /// The mappings that it may be.
    pub(super) fn mappings(&'static self) -> Vec<&'static Mapping> {
        self.kinds()
            .filter_map(|kind| match kind {
                Kind::Mapping(mapping) => Some(mapping),
                _ => None,
            })
            .collect()
    }
}

/// A key that may be absent.
pub(super) const fn optional(name: &'static str, definition: &'static Definition) -> Property {
    Property { name, definition, is_required: false }
}

/// A key that must be there.
pub(super) const fn required(name: &'static str, definition: &'static Definition) -> Property {
    Property { name, definition, is_required: true }
}

impl Text {
    /// Whether it may be this text.
    pub(super) fn takes(&self, text: &str) -> bool {
        match self {
            Text::Any => true,
            Text::NonEmpty => !text.is_empty(),
            Text::Words(words) => words.contains(&text),
        }
    }
}

/// Nothing.
pub(super) static NULL: Definition = Definition::new(Kind::Null);
/// A boolean.
pub(super) static BOOL: Definition = Definition::new(Kind::Bool);
/// A number.
pub(super) static NUMBER: Definition = Definition::new(Kind::Number);
/// Text.
pub(super) static TEXT: Definition = Definition::new(Kind::Text(Text::Any));
/// Text that is not empty.
pub(super) static NAME: Definition = Definition::new(Kind::Text(Text::NonEmpty));
/// A list of texts.
pub(super) static TEXTS: Definition = Definition::list(&TEXT);
/// A list of texts that are not empty.
pub(super) static NAMES: Definition = Definition::list(&NAME);
/// Anything.
pub(super) static ANY: Definition =
    Definition::one_of(&[&NULL, &BOOL, &NUMBER, &TEXT, &ANY_LIST, &ANY_MAPPING]);
/// A list of anything.
pub(super) static ANY_LIST: Definition = Definition::list(&ANY);
static ANY_MAPPING: Definition = Definition::named(&TEXT, &ANY);
