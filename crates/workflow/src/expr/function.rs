//! The functions of the language and how many arguments each takes.

/// A function.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Function {
    Case,
    Contains,
    EndsWith,
    Format,
    FromJson,
    Join,
    StartsWith,
    ToJson,
    HashFiles,
    Always,
    Cancelled,
    Failure,
    Success,
}

/// How many arguments a function takes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Arity {
    /// At least.
    pub(super) min: usize,
    /// At most.
    pub(super) max: usize,
}

/// GitHub's bound for functions with any number of arguments.
const MAX_ARGUMENTS: usize = 255;

impl Function {
    /// Every function, with the name by which it is found.
    const ALL: [(&'static str, Function, Arity); 13] = [
        ("case", Function::Case, Arity { min: 3, max: MAX_ARGUMENTS }),
        ("contains", Function::Contains, Arity { min: 2, max: 2 }),
        ("endswith", Function::EndsWith, Arity { min: 2, max: 2 }),
        ("format", Function::Format, Arity { min: 1, max: MAX_ARGUMENTS }),
        ("fromjson", Function::FromJson, Arity { min: 1, max: 1 }),
        ("join", Function::Join, Arity { min: 1, max: 2 }),
        ("startswith", Function::StartsWith, Arity { min: 2, max: 2 }),
        ("tojson", Function::ToJson, Arity { min: 1, max: 1 }),
        ("hashfiles", Function::HashFiles, Arity { min: 1, max: MAX_ARGUMENTS }),
        ("always", Function::Always, Arity { min: 0, max: 0 }),
        ("cancelled", Function::Cancelled, Arity { min: 0, max: 0 }),
        // `jobs.<id>.if` may name jobs.
        ("failure", Function::Failure, Arity { min: 0, max: usize::MAX }),
        ("success", Function::Success, Arity { min: 0, max: usize::MAX }),
    ];

    /// Finds a function and its arguments' count without regard to case.
    pub(super) fn find(name: &str) -> Option<(Function, Arity)> {
        Function::ALL
            .iter()
            .find(|(known, _, _)| known.eq_ignore_ascii_case(name))
            .map(|(_, function, arity)| (*function, *arity))
    }

    /// The name in lower case, as a scope is asked for it.
    pub(super) fn name(self) -> &'static str {
        Function::ALL.iter().find(|(_, function, _)| *function == self).map_or("", |(name, _, _)| name)
    }

    /// Whether every expression may call it, wherever it stands.
    pub(super) fn is_built_in(self) -> bool {
        !self.is_status() && self != Function::HashFiles
    }

    /// Whether it asks how the run fares.
    pub(super) fn is_status(self) -> bool {
        matches!(self, Function::Always | Function::Cancelled | Function::Failure | Function::Success)
    }
}

/// Reads `name`, or `name(min,max)` where `max` may be `MAX`, as GitHub's schema writes functions.
pub(super) fn parse_signature(signature: &str) -> (&str, Option<Arity>) {
    let Some((name, bounds)) = signature.split_once('(') else { return (signature, None) };
    let arity = bounds.strip_suffix(')').and_then(|bounds| bounds.split_once(',')).and_then(|(min, max)| {
        let max = if max.trim() == "MAX" { usize::MAX } else { max.trim().parse().ok()? };
        Some(Arity { min: min.trim().parse().ok()?, max })
    });
    (name, arity)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn signatures_of_the_schema_are_read() {
        assert_eq!(parse_signature("hashFiles(1,255)"), ("hashFiles", Some(Arity { min: 1, max: 255 })));
        assert_eq!(parse_signature("success(0,MAX)"), ("success", Some(Arity { min: 0, max: usize::MAX })));
        assert_eq!(parse_signature("always"), ("always", None));
        assert_eq!(parse_signature("always(x)"), ("always", None));
    }
}
