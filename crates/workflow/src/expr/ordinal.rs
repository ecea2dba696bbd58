//! Text compared without regard to case, as .NET's `OrdinalIgnoreCase` does it: each character
//! by its own upper case, never by the rules of a language, never two for one (`ß` is not `SS`).

use std::borrow::Cow;
use std::cmp::Ordering;
use std::hash::Hasher;

/// Whether two texts are the same but for case.
pub(super) fn equals(left: &str, right: &str) -> bool {
    if left.is_ascii() && right.is_ascii() {
        return left.eq_ignore_ascii_case(right);
    }
    left.chars().map(upper).eq(right.chars().map(upper))
}

/// Orders two texts by the UTF-16 code units of their upper case.
pub(super) fn compare(left: &str, right: &str) -> Ordering {
    if left.is_ascii() && right.is_ascii() {
        let upper = |byte: u8| byte.to_ascii_uppercase();
        return left.bytes().map(upper).cmp(right.bytes().map(upper));
    }
    code_units(left).cmp(code_units(right))
}

/// Whether `needle` stands in `text`.
pub(super) fn contains(text: &str, needle: &str) -> bool {
    fold(text).contains(&*fold(needle))
}

/// Whether `text` begins with `prefix`.
pub(super) fn starts_with(text: &str, prefix: &str) -> bool {
    let mut text = text.chars().map(upper);
    prefix.chars().map(upper).all(|wanted| text.next() == Some(wanted))
}

/// Whether `text` ends with `suffix`.
pub(super) fn ends_with(text: &str, suffix: &str) -> bool {
    let mut text = text.chars().rev().map(upper);
    suffix.chars().rev().map(upper).all(|wanted| text.next() == Some(wanted))
}

/// Feeds a hasher so that texts which [`equals`] finds equal hash alike.
pub(super) fn hash(text: &str, hasher: &mut impl Hasher) {
    for character in text.chars() {
        hasher.write_u32(u32::from(upper(character)));
    }
}

fn fold(text: &str) -> Cow<'_, str> {
    if text.chars().all(|character| upper(character) == character) {
        Cow::Borrowed(text)
    } else {
        Cow::Owned(text.chars().map(upper).collect())
    }
}

fn code_units(text: &str) -> impl Iterator<Item = u16> {
    text.chars().flat_map(|character| {
        let mut units = [0; 2];
        let count = upper(character).encode_utf16(&mut units).len();
        units.into_iter().take(count)
    })
}

/// The simple upper case of one character.
fn upper(character: char) -> char {
    if character.is_ascii() {
        return character.to_ascii_uppercase();
    }
    let mut mapped = character.to_uppercase();
    match (mapped.next(), mapped.next()) {
        // A letter outside ASCII never becomes one inside: `ı` and `ſ` are no `I` and `S`.
        (Some(only), None) if !only.is_ascii() => only,
        (Some(_), Some(_)) => upper_greek_with_iota(character),
        _ => character,
    }
}

/// Greek vowels with an iota below: their full upper case is two letters, their simple one is one.
fn upper_greek_with_iota(character: char) -> char {
    let capital = match character {
        '\u{1f80}'..='\u{1faf}' if u32::from(character) & 8 == 0 => u32::from(character) + 8,
        '\u{1fb3}' | '\u{1fc3}' | '\u{1ff3}' => u32::from(character) + 9,
        _ => return character,
    };
    char::from_u32(capital).unwrap_or(character)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn letters_differ_by_case_only_within_simple_mappings() {
        for (left, right) in
            [("straße", "STRAßE"), ("ς", "Σ"), ("ü", "Ü"), ("ÿ", "Ÿ"), ("ᾳ", "ᾼ"), ("ᾀ", "ᾈ")]
        {
            assert!(equals(left, right), "{left} {right}");
        }
        for (left, right) in [("ß", "ss"), ("ı", "I"), ("İ", "i"), ("ſ", "s"), ("ŉ", "ʼN"), ("\u{212a}", "k")]
        {
            assert!(!equals(left, right), "{left} {right}");
        }
    }

    #[test]
    fn order_is_that_of_upper_case_code_units() {
        assert_eq!(compare("a", "["), Ordering::Less);
        assert_eq!(compare("abc", "ABCD"), Ordering::Less);
        // A surrogate pair sorts before U+FF5E though its code point is higher.
        assert_eq!(compare("😊", "～"), Ordering::Less);
    }

    #[test]
    fn parts_of_a_text_are_found_without_case() {
        assert!(contains("Grüße", "ÜßE"));
        assert!(starts_with("ΣΑΣ", "ςα"));
        assert!(ends_with("Straße", "ßE"));
        assert!(!ends_with("e", "ße"));
        assert!(!starts_with("", "a"));
    }
}
