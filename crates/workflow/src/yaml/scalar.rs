//! What a scalar is: GitHub's reading of YAML 1.2's core schema.

use saphyr_parser::{ScalarStyle, Tag};

use super::tree::Value;

const STRING_TAG: &str = "tag:yaml.org,2002:str";
const BOOLEAN_TAG: &str = "tag:yaml.org,2002:bool";
const INTEGER_TAG: &str = "tag:yaml.org,2002:int";
const FLOAT_TAG: &str = "tag:yaml.org,2002:float";
const NULL_TAG: &str = "tag:yaml.org,2002:null";

/// Why a scalar has no value.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum ScalarError {
    /// The tag is not one of the core schema.
    Tag(String),
    /// A quoted scalar can only be a string.
    Style {
        /// GitHub's name of the style.
        style: &'static str,
        /// The tag.
        tag: String,
    },
    /// The text is not of the type that the tag names, or does not fit into it.
    Value {
        /// The type.
        tag: &'static str,
    },
}

/// The value of a scalar.
pub(super) fn resolve(text: &str, style: ScalarStyle, tag: Option<&Tag>) -> Result<Value, ScalarError> {
    let Some(tag) = tag else {
        return if style == ScalarStyle::Plain {
            resolve_plain(text)
        } else {
            Ok(Value::String(text.to_owned()))
        };
    };
    let tag = format!("{}{}", tag.handle, tag.suffix);
    if tag == STRING_TAG {
        return Ok(Value::String(text.to_owned()));
    }
    if let Some(style) = style_name(style) {
        return Err(ScalarError::Style { style, tag });
    }
    let (value, tag) = match tag.as_str() {
        BOOLEAN_TAG => (boolean(text).map(Value::Bool), BOOLEAN_TAG),
        FLOAT_TAG => (float(text).map(Value::Number), FLOAT_TAG),
        INTEGER_TAG => (integer(text)?.map(Value::Number), INTEGER_TAG),
        NULL_TAG => (is_null(text).then_some(Value::Null), NULL_TAG),
        _ => return Err(ScalarError::Tag(tag)),
    };
    value.ok_or(ScalarError::Value { tag })
}

fn resolve_plain(text: &str) -> Result<Value, ScalarError> {
    if is_null(text) {
        return Ok(Value::Null);
    }
    if let Some(value) = boolean(text) {
        return Ok(Value::Bool(value));
    }
    if let Some(number) = integer(text)? {
        return Ok(Value::Number(number));
    }
    Ok(float(text).map_or_else(|| Value::String(text.to_owned()), Value::Number))
}

fn is_null(text: &str) -> bool {
    matches!(text, "" | "null" | "Null" | "NULL" | "~")
}

fn boolean(text: &str) -> Option<bool> {
    match text {
        "true" | "True" | "TRUE" => Some(true),
        "false" | "False" | "FALSE" => Some(false),
        _ => None,
    }
}

/// `[-+]?[0-9]+`, `0x[0-9a-fA-F]+`, or `0o[0-7]+`; the latter two have 32 bits in two's complement.
fn integer(text: &str) -> Result<Option<f64>, ScalarError> {
    let unsigned = text.strip_prefix(['-', '+']).unwrap_or(text);
    if !unsigned.is_empty() && unsigned.bytes().all(|byte| byte.is_ascii_digit()) {
        return Ok(text.parse().ok());
    }
    for (prefix, radix) in [("0x", 16), ("0o", 8)] {
        let Some(digits) = text.strip_prefix(prefix) else { continue };
        if digits.is_empty() || !digits.chars().all(|digit| digit.is_digit(radix)) {
            continue;
        }
        let bits = u32::from_str_radix(digits, radix).map_err(|_| ScalarError::Value { tag: INTEGER_TAG })?;
        return Ok(Some(f64::from(bits.cast_signed())));
    }
    Ok(None)
}

/// `[-+]?(\.[0-9]+|[0-9]+(\.[0-9]*)?)([eE][-+]?[0-9]+)?`, an infinity, or no number.
fn float(text: &str) -> Option<f64> {
    match text {
        ".inf" | ".Inf" | ".INF" | "+.inf" | "+.Inf" | "+.INF" => return Some(f64::INFINITY),
        "-.inf" | "-.Inf" | "-.INF" => return Some(f64::NEG_INFINITY),
        ".nan" | ".NaN" | ".NAN" => return Some(f64::NAN),
        _ => {}
    }
    // What Rust reads as a float beyond that (`inf`, `nan`) has other letters.
    let is_number = text.bytes().any(|byte| byte.is_ascii_digit())
        && text.bytes().all(|byte| matches!(byte, b'0'..=b'9' | b'+' | b'-' | b'.' | b'e' | b'E'));
    if is_number { text.parse().ok() } else { None }
}

/// GitHub's name of a style that only strings may have.
fn style_name(style: ScalarStyle) -> Option<&'static str> {
    match style {
        ScalarStyle::Plain => None,
        ScalarStyle::SingleQuoted => Some("SingleQuoted"),
        ScalarStyle::DoubleQuoted => Some("DoubleQuoted"),
        ScalarStyle::Literal => Some("Literal"),
        ScalarStyle::Folded => Some("Folded"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn plain(text: &str) -> String {
        match resolve(text, ScalarStyle::Plain, None) {
            Ok(Value::Null) => "null".into(),
            Ok(Value::Bool(value)) => value.to_string(),
            Ok(Value::Number(number)) => format!("number {number}"),
            Ok(Value::String(text)) => format!("string {text}"),
            other => format!("{other:?}"),
        }
    }

    #[test]
    fn only_the_words_of_the_core_schema_are_booleans_and_nulls() {
        for (text, expected) in [
            ("", "null"),
            ("~", "null"),
            ("Null", "null"),
            ("nULL", "string nULL"),
            ("True", "true"),
            ("tRUE", "string tRUE"),
            ("yes", "string yes"),
            ("on", "string on"),
        ] {
            assert_eq!(plain(text), expected, "{text}");
        }
    }

    #[test]
    fn numbers_are_read_as_github_reads_them() {
        for (text, expected) in [
            ("0755", "number 755"),
            ("0o10", "number 8"),
            ("0xff", "number 255"),
            ("0xFFFFFFFF", "number -1"),
            ("-0x1", "string -0x1"),
            ("3.10", "number 3.1"),
            ("1.", "number 1"),
            (".5", "number 0.5"),
            (".", "string ."),
            ("1e3", "number 1000"),
            ("1e", "string 1e"),
            ("e1", "string e1"),
            ("-.inf", "number -inf"),
            ("inf", "string inf"),
            ("+infinity", "string +infinity"),
            ("1_000", "string 1_000"),
            ("1.2.3", "string 1.2.3"),
            ("2024-01-01", "string 2024-01-01"),
        ] {
            assert_eq!(plain(text), expected, "{text}");
        }
    }

    #[test]
    fn a_hexadecimal_number_of_more_than_32_bits_is_an_error() {
        assert_eq!(
            resolve("0x100000000", ScalarStyle::Plain, None).unwrap_err(),
            ScalarError::Value { tag: INTEGER_TAG }
        );
    }
}
