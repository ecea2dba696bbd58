//! `format('{0} of {1}', ...)`.

use super::evaluator::{Evaluator, failed};
use super::tree::NodeId;
use super::{EvaluateError, Value};

/// A piece of a format string.
enum Piece<'a> {
    Text(&'a str),
    /// `{0}`, with what stands after a `:`, which no kind of value accepts.
    Argument {
        number: usize,
        specifiers: String,
    },
}

/// Evaluates `format`. An argument that the string does not name is not evaluated.
pub(super) fn format(evaluator: &mut Evaluator<'_>, arguments: &[NodeId]) -> Result<Value, EvaluateError> {
    let Some((pattern, arguments)) = arguments.split_first() else { return Ok(Value::from("")) };
    let pattern = evaluator.value(*pattern)?;
    let pattern = pattern.text();
    let pieces = split(&pattern, arguments.len())?;
    let mut values: Vec<Option<Value>> = vec![None; arguments.len()];
    let mut result = String::new();
    for piece in pieces {
        match piece {
            Piece::Text(text) => {
                evaluator.budget.spend(text.len())?;
                result.push_str(text);
            }
            Piece::Argument { number, specifiers } => {
                let value = match values[number].take() {
                    Some(value) => value,
                    None => evaluator.value(arguments[number])?,
                };
                let value = &*values[number].insert(value);
                if !specifiers.is_empty() {
                    return Err(wrong_specifiers(&specifiers, value));
                }
                let text = value.text();
                evaluator.budget.spend(text.len())?;
                result.push_str(&text);
            }
        }
    }
    Ok(Value::from(result))
}

fn wrong_specifiers(specifiers: &str, value: &Value) -> EvaluateError {
    let kind = value.kind();
    failed(format!("The format specifiers '{specifiers}' are not valid for objects of type '{kind}'"))
}

/// Splits a format string, and checks it against the number of arguments.
fn split(pattern: &str, arguments: usize) -> Result<Vec<Piece<'_>>, EvaluateError> {
    let invalid = || failed(format!("The following format string is invalid: {pattern}"));
    let mut pieces = Vec::new();
    let mut rest = pattern;
    while let Some(brace) = rest.find(['{', '}']) {
        let (opening, after) = (rest.as_bytes()[brace] == b'{', &rest[brace + 1..]);
        if after.starts_with(if opening { '{' } else { '}' }) {
            pieces.push(Piece::Text(&rest[..=brace]));
            rest = &after[1..];
            continue;
        }
        let (number, specifiers, end) = if opening { argument(after) } else { None }.ok_or_else(invalid)?;
        if number >= arguments {
            return Err(failed(format!(
                "The following format string references more arguments than were supplied: {pattern}"
            )));
        }
        pieces.push(Piece::Text(&rest[..brace]));
        pieces.push(Piece::Argument { number, specifiers });
        rest = &after[end..];
    }
    pieces.push(Piece::Text(rest));
    Ok(pieces)
}

/// Reads `0}` or `0:specifiers}`: number, specifiers, and length.
fn argument(text: &str) -> Option<(usize, String, usize)> {
    let digits = text.bytes().take_while(u8::is_ascii_digit).count();
    // GitHub holds the number in a byte.
    let number: u8 = text[..digits].parse().ok()?;
    let after = &text[digits..];
    if after.starts_with('}') {
        return Some((usize::from(number), String::new(), digits + 1));
    }
    let mut specifiers = String::new();
    let mut rest = after.strip_prefix(':')?;
    loop {
        let brace = rest.find('}')?;
        specifiers.push_str(&rest[..brace]);
        rest = &rest[brace + 1..];
        match rest.strip_prefix('}') {
            Some(escaped) => {
                specifiers.push('}');
                rest = escaped;
            }
            None => return Some((usize::from(number), specifiers, text.len() - rest.len())),
        }
    }
}
