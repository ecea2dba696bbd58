//! JSON, fit for a terminal: what strangers wrote stands in it too, and moves no cursor.

use serde::Serialize;
use serde_json::{Error, Value};

/// On several lines, as people read it.
///
/// # Errors
/// When the value can't be JSON.
pub(crate) fn pretty(value: &impl Serialize) -> Result<String, Error> {
    serde_json::to_string_pretty(value).map(escaped)
}

/// In one line.
pub(crate) fn line(value: &Value) -> String {
    escaped(value.to_string())
}

/// The same JSON with DEL and what ECMA-48 calls C1 (CSI is one of them) escaped: JSON wants it of those below U+0020
/// only. They stand in strings, where else they could not be, so that whoever reads the JSON gets what was there.
/// <https://www.rfc-editor.org/rfc/rfc8259#section-7>
fn escaped(json: String) -> String {
    // Most lines have neither DEL nor the byte with which C1 begins.
    if json.bytes().all(|byte| byte != 0x7f && byte != 0xc2) {
        return json;
    }
    let mut shown = String::with_capacity(json.len());
    for letter in json.chars() {
        match letter {
            '\u{7f}'..='\u{9f}' => shown.push_str(&format!("\\u{:04x}", u32::from(letter))),
            letter => shown.push(letter),
        }
    }
    shown
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::{Value, json};

    #[test]
    fn no_control_character_is_left_and_nothing_is_lost() {
        let hostile = json!({"a\u{9b}2J": ["\u{7f}", "\u{80}\u{9f}", "\u{1b}[2J", "\u{a0}ü構"]});
        for json in [pretty(&hostile).unwrap(), line(&hostile)] {
            assert!(!json.contains(|letter: char| letter.is_control() && letter != '\n'), "{json:?}");
            assert_eq!(serde_json::from_str::<Value>(&json).unwrap(), hostile);
        }
        assert_eq!(line(&json!("\u{9b}\u{a0}")), "\"\\u009b\u{a0}\"");
    }
}
