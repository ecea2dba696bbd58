//! `toJSON`, `fromJSON`, and values of other crates' JSON.

mod reader;

use std::fmt::Write as _;

use super::budget::Budget;
use super::evaluator::failed;
use super::number::format_number;
use super::{EvaluateError, Value};

/// Memory that a byte of JSON may take once it is read: `[],` becomes a list with its allocation.
pub(super) const BYTES_PER_BYTE: usize = 16;

/// Evaluates `fromJSON`. The reader bounds how deep the text may nest.
pub(super) fn parse(text: &str) -> Result<Value, EvaluateError> {
    if text.trim().is_empty() {
        return Err(failed("Error parsing fromJson: empty input"));
    }
    reader::read(text).map_err(|problem| failed(format!("Error parsing fromJson: {problem}")))
}

/// Evaluates `toJSON`: two blanks for each level, as GitHub writes it.
pub(super) fn write(value: &Value, budget: &mut Budget<'_>) -> Result<String, EvaluateError> {
    let mut writer = Writer { text: String::new(), spent: 0, budget };
    writer.value(value, 0)?;
    writer.account()?;
    Ok(writer.text)
}

/// Levels that `toJSON` follows; contexts and `fromJSON` can't make more.
const MAX_DEPTH: usize = 200;

struct Writer<'a, 'b> {
    text: String,
    spent: usize,
    budget: &'a mut Budget<'b>,
}

impl Writer<'_, '_> {
    fn value(&mut self, value: &Value, level: usize) -> Result<(), EvaluateError> {
        if level > MAX_DEPTH {
            return Err(failed(format!("toJSON can't show more than {MAX_DEPTH} levels")));
        }
        self.account()?;
        match value {
            Value::Null => self.text.push_str("null"),
            Value::Bool(value) => self.text.push_str(if *value { "true" } else { "false" }),
            Value::Number(number) => self.text.push_str(&format_number(*number)),
            Value::String(text) => self.string(text),
            Value::Array(items) if items.is_empty() => self.text.push_str("[]"),
            Value::Array(items) => {
                self.text.push('[');
                for (place, item) in items.iter().enumerate() {
                    self.new_line(place, level + 1);
                    self.value(item, level + 1)?;
                }
                self.close(']', level);
            }
            Value::Object(object) if object.is_empty() => self.text.push_str("{}"),
            Value::Object(object) => {
                self.text.push('{');
                for (place, (key, value)) in object.iter().enumerate() {
                    self.new_line(place, level + 1);
                    self.string(key);
                    self.text.push_str(": ");
                    self.value(value, level + 1)?;
                }
                self.close('}', level);
            }
        }
        Ok(())
    }

    /// Takes what was written since the last time off the budget.
    fn account(&mut self) -> Result<(), EvaluateError> {
        self.budget.spend(self.text.len() - self.spent)?;
        self.spent = self.text.len();
        Ok(())
    }

    fn new_line(&mut self, place: usize, level: usize) {
        self.text.push_str(if place == 0 { "\n" } else { ",\n" });
        self.indent(level);
    }

    fn close(&mut self, bracket: char, level: usize) {
        self.text.push('\n');
        self.indent(level);
        self.text.push(bracket);
    }

    fn indent(&mut self, level: usize) {
        self.text.extend(std::iter::repeat_n("  ", level));
    }

    fn string(&mut self, text: &str) {
        self.text.push('"');
        for character in text.chars() {
            match character {
                '"' => self.text.push_str("\\\""),
                '\\' => self.text.push_str("\\\\"),
                '\u{8}' => self.text.push_str("\\b"),
                '\t' => self.text.push_str("\\t"),
                '\n' => self.text.push_str("\\n"),
                '\u{c}' => self.text.push_str("\\f"),
                '\r' => self.text.push_str("\\r"),
                // .NET's line ends are escaped beside the control characters.
                '\0'..='\u{1f}' | '\u{85}' | '\u{2028}' | '\u{2029}' => {
                    // Writing to a string can't fail.
                    let _ = write!(self.text, "\\u{:04x}", u32::from(character));
                }
                _ => self.text.push(character),
            }
        }
        self.text.push('"');
    }
}

impl Value {
    /// From JSON. Of keys that differ in case only, the last has its value at the place of the first.
    pub fn from_json(json: &serde_json::Value) -> Value {
        match json {
            serde_json::Value::Null => Value::Null,
            serde_json::Value::Bool(value) => Value::Bool(*value),
            serde_json::Value::Number(number) => Value::Number(number.as_f64().unwrap_or(f64::NAN)),
            serde_json::Value::String(text) => Value::from(text.as_str()),
            serde_json::Value::Array(items) => Value::array(items.iter().map(Value::from_json).collect()),
            serde_json::Value::Object(entries) => Value::object(
                entries.iter().map(|(key, value)| (key.as_str(), Value::from_json(value))).collect(),
            ),
        }
    }

    /// From the text of JSON, read as widely as `fromJSON` reads it: with comments, commas before closing brackets.
    ///
    /// # Errors
    /// What is wrong, and where.
    pub fn from_json_text(text: &str) -> Result<Value, String> {
        reader::read(text)
    }

    /// To JSON. Whole numbers become integers; NaN and infinities become text.
    pub fn to_json(&self) -> serde_json::Value {
        match self {
            Value::Null => serde_json::Value::Null,
            Value::Bool(value) => (*value).into(),
            Value::Number(number) => number_to_json(*number),
            Value::String(text) => (**text).into(),
            Value::Array(items) => items.iter().map(Value::to_json).collect(),
            Value::Object(object) => {
                object.iter().map(|(key, value)| (key.to_owned(), value.to_json())).collect()
            }
        }
    }
}

fn number_to_json(number: f64) -> serde_json::Value {
    /// Up to here every whole number is exact (2^53).
    const EXACT: f64 = 9_007_199_254_740_992.0;
    if number.fract() == 0.0 && number.abs() <= EXACT {
        #[expect(clippy::cast_possible_truncation, reason = "bounded by the condition above")]
        return (number as i64).into();
    }
    serde_json::Number::from_f64(number)
        .map_or_else(|| format_number(number).into(), serde_json::Value::Number)
}
