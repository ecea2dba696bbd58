//! The forms in which a secret may turn up in a log.
//!
//! The same encoders as GitHub's runner has, and a few more: base64 at each alignment without the
//! characters that depend on the neighbours, form encoding, and what shells print.

use std::collections::BTreeSet;
use std::fmt::Write as _;

use base64::Engine as _;
use base64::engine::general_purpose::{STANDARD, STANDARD_NO_PAD};

/// A line of a multi-line secret is a secret of its own from this length on: `{` alone is none.
const LINE_CHARS: usize = 3;

/// Encoded forms are looked for from this length of the plain value on; shorter ones would hide
/// common text.
const ENCODED_CHARS: usize = 4;

/// Shortest base64 text, without the characters that depend on its neighbours, that is looked for.
const BASE64_CHARS: usize = 6;

/// Shortest part of a secret that is looked for beside an `&`, as PowerShell may colour it apart.
const AMPERSAND_CHARS: usize = 6;

/// Every text that shows `secret`: the whole, its lines, and their encoded forms.
pub(super) fn of_secret(secret: &str) -> BTreeSet<String> {
    let mut forms = BTreeSet::new();
    let whole = secret.trim();
    if whole.is_empty() {
        return forms;
    }
    add_value(&mut forms, whole);
    let lines: Vec<&str> = whole.split(['\r', '\n']).map(str::trim).filter(|line| !line.is_empty()).collect();
    if lines.len() > 1 {
        for line in lines.into_iter().filter(|line| line.chars().count() >= LINE_CHARS) {
            add_value(&mut forms, line);
        }
        add_value(&mut forms, &secret.replace("\r\n", "\n"));
    }
    if whole.len() != secret.len() {
        add_value(&mut forms, secret);
    }
    forms
}

fn add_value(forms: &mut BTreeSet<String>, value: &str) {
    forms.insert(value.to_owned());
    if value.chars().count() < ENCODED_CHARS {
        return;
    }
    forms.extend(base64_forms(value));
    forms.extend(url_forms(value));
    forms.extend(quoted_forms(value));
    forms.extend(powershell_sections(value));
}

/// Base64 of the whole value, and of the value behind any other bytes and before any others.
fn base64_forms(value: &str) -> Vec<String> {
    let bytes = value.as_bytes();
    let mut forms = vec![STANDARD.encode(bytes), STANDARD_NO_PAD.encode(bytes)];
    for shift in 0..3 {
        let mut shifted = vec![0; shift];
        shifted.extend_from_slice(bytes);
        let text = STANDARD_NO_PAD.encode(&shifted);
        let first = (shift * 8).div_ceil(6);
        let last = shifted.len() * 8 / 6;
        if last >= first + BASE64_CHARS {
            forms.push(text[first..last].to_owned());
        }
        // GitHub's encoders drop the first bytes instead; the tail then shows with its padding.
        if bytes.len() > shift + ENCODED_CHARS {
            forms.push(STANDARD.encode(&bytes[shift..]));
        }
    }
    let url_safe: Vec<String> = forms.iter().map(|form| form.replace('+', "-").replace('/', "_")).collect();
    forms.extend(url_safe);
    forms
}

/// Percent-encoded, with either case of the digits, as a form is encoded, and as a path.
fn url_forms(value: &str) -> [String; 5] {
    let percent = |upper: bool| {
        let mut text = String::with_capacity(value.len() * 3);
        for byte in value.bytes() {
            match byte {
                b'A'..=b'Z' | b'a'..=b'z' | b'0'..=b'9' | b'-' | b'.' | b'_' | b'~' => {
                    text.push(char::from(byte))
                }
                _ if upper => write!(text, "%{byte:02X}").expect("writing to a string"),
                _ => write!(text, "%{byte:02x}").expect("writing to a string"),
            }
        }
        text
    };
    let (upper, lower) = (percent(true), percent(false));
    [upper.replace("%20", "+"), lower.replace("%20", "+"), upper.replace("%2F", "/"), upper, lower]
}

/// As JSON, XML, expressions, command lines, shells, and workflow commands write it.
fn quoted_forms(value: &str) -> Vec<String> {
    let mut forms = vec![
        json_escaped(value),
        value.replace('&', "&amp;").replace('<', "&lt;").replace('>', "&gt;").replace('"', "&quot;"),
        value
            .replace('&', "&amp;")
            .replace('<', "&lt;")
            .replace('>', "&gt;")
            .replace('"', "&quot;")
            .replace('\'', "&apos;"),
        value.replace('\'', "''"),
        value.replace('"', "\\\""),
        value.replace('\'', "'\\''"),
        value.replace('\\', "\\\\").replace('"', "\\\"").replace('$', "\\$").replace('`', "\\`"),
        backslashed(value),
        value.replace('%', "%25").replace('\r', "%0D").replace('\n', "%0A"),
    ];
    if value.len() > 8 && value.starts_with('"') && value.ends_with('"') {
        forms.push(value[1..value.len() - 1].to_owned());
    }
    forms
}

fn json_escaped(value: &str) -> String {
    let quoted = serde_json::Value::from(value).to_string();
    quoted[1..quoted.len() - 1].to_owned()
}

/// As bash's `printf %q` writes it.
fn backslashed(value: &str) -> String {
    let mut text = String::with_capacity(value.len() * 2);
    for character in value.chars() {
        if character.is_ascii()
            && !character.is_ascii_alphanumeric()
            && !"-_./@%+:=^~\n\r".contains(character)
        {
            text.push('\\');
        }
        text.push(character);
    }
    text
}

/// The parts of a value before and behind an `&`: PowerShell may print them apart.
fn powershell_sections(value: &str) -> Vec<String> {
    let cut = match value.find("&+") {
        Some(at) => Some((at + 2, 1)),
        None => value.rfind('&').map(|at| (at + 1, 0)),
    };
    let Some((cut, skip)) = cut else { return Vec::new() };
    let behind: String = value[cut..].chars().skip(skip).collect();
    [value[..cut].to_owned(), behind]
        .into_iter()
        .filter(|part| part.chars().count() >= AMPERSAND_CHARS)
        .collect()
}
