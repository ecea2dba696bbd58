//! Numbers as text: what a string is worth as a number, and how a number is written.

/// Significant digits of a number written as text (.NET's `G15`, which GitHub uses).
const SIGNIFICANT_DIGITS: usize = 15;

/// The number that `text` spells, NaN where it spells none.
///
/// Follows JavaScript's `Number()` within the bounds of GitHub's implementation: blanks around
/// are ignored, nothing is zero, `0x` and `0o` introduce 32-bit integers, decimals may have an
/// exponent, `Infinity` may have a sign.
pub(super) fn parse_number(text: &str) -> f64 {
    let text = text.trim();
    if text.is_empty() {
        return 0.0;
    }
    if text.bytes().all(|byte| matches!(byte, b'0'..=b'9' | b'+' | b'-' | b'.' | b'e' | b'E')) {
        return text.parse().unwrap_or(f64::NAN);
    }
    if let Some(digits) = text.strip_prefix("0x") {
        return parse_integer(digits, 16);
    }
    if let Some(digits) = text.strip_prefix("0o") {
        return parse_integer(digits, 8);
    }
    parse_infinity(text)
}

/// Digits of a 32-bit integer in two's complement, as .NET reads hexadecimal and octal ones:
/// `ffffffff` is -1, and more than 32 bits are no number.
fn parse_integer(digits: &str, radix: u32) -> f64 {
    if !digits.chars().all(|digit| digit.is_digit(radix)) {
        return f64::NAN;
    }
    u32::from_str_radix(digits, radix).map_or(f64::NAN, |bits| f64::from(bits.cast_signed()))
}

fn parse_infinity(text: &str) -> f64 {
    let (sign, word) = match text.strip_prefix('-') {
        Some(word) => (-1.0, word),
        None => (1.0, text.strip_prefix('+').unwrap_or(text)),
    };
    if word.eq_ignore_ascii_case("Infinity") { sign * f64::INFINITY } else { f64::NAN }
}

/// Writes a number with up to 15 significant digits; scientific from `1E+15` up and below `0.0001`.
pub(super) fn format_number(number: f64) -> String {
    if number.is_nan() {
        return "NaN".to_owned();
    }
    if number.is_infinite() {
        return if number > 0.0 { "Infinity" } else { "-Infinity" }.to_owned();
    }
    if number == 0.0 {
        return "0".to_owned();
    }
    if number.fract() == 0.0 && number.abs() < 1e15 {
        // At most 15 digits and below 2^53: exact.
        #[expect(clippy::cast_possible_truncation, reason = "bounded by the condition above")]
        return (number as i64).to_string();
    }
    format_significant(number)
}

fn format_significant(number: f64) -> String {
    let scientific = format!("{:.*e}", SIGNIFICANT_DIGITS - 1, number.abs());
    // Rust always writes the exponent in this form.
    let (mantissa, exponent) = scientific.split_once('e').unwrap_or((&scientific, "0"));
    let exponent: i32 = exponent.parse().unwrap_or(0);
    let digits: String = mantissa.chars().filter(char::is_ascii_digit).collect();
    let digits = digits.trim_end_matches('0');
    let sign = if number < 0.0 { "-" } else { "" };
    let plain_up_to = i32::try_from(SIGNIFICANT_DIGITS).unwrap_or(i32::MAX);
    if (-4..plain_up_to).contains(&exponent) {
        format!("{sign}{}", plain(digits, exponent))
    } else {
        format!("{sign}{}", scientific_text(digits, exponent))
    }
}

/// `12345` with exponent 2 is `123.45`.
fn plain(digits: &str, exponent: i32) -> String {
    let Ok(whole) = usize::try_from(exponent) else {
        let zeros = usize::try_from(-exponent - 1).unwrap_or(0);
        return format!("0.{}{digits}", "0".repeat(zeros));
    };
    let whole = whole + 1;
    if digits.len() <= whole {
        format!("{digits}{}", "0".repeat(whole - digits.len()))
    } else {
        let (before, after) = digits.split_at(whole);
        format!("{before}.{after}")
    }
}

/// `12345` with exponent 20 is `1.2345E+20`.
fn scientific_text(digits: &str, exponent: i32) -> String {
    let (first, rest) = digits.split_at(1.min(digits.len()));
    let point = if rest.is_empty() { "" } else { "." };
    let sign = if exponent < 0 { '-' } else { '+' };
    format!("{first}{point}{rest}E{sign}{:02}", exponent.abs())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn strings_are_read_as_github_reads_them() {
        for (text, number) in [
            ("", 0.0),
            (" \t\n", 0.0),
            ("\u{a0}12\u{2003}", 12.0),
            ("+1.5", 1.5),
            ("-.5", -0.5),
            ("5.", 5.0),
            ("1e3", 1000.0),
            ("1E-2", 0.01),
            ("1e400", f64::INFINITY),
            ("0xFf", 255.0),
            ("0xffffffff", -1.0),
            ("0o17", 15.0),
            ("Infinity", f64::INFINITY),
            ("+Infinity", f64::INFINITY),
            ("-Infinity", f64::NEG_INFINITY),
        ] {
            assert_eq!(parse_number(text), number, "{text:?}");
        }
    }

    #[test]
    fn what_is_no_number_is_nan() {
        let texts = [
            "a",
            ".",
            "1e",
            "1e+",
            "+",
            "--1",
            "1 2",
            "1_000",
            "0x",
            "0o",
            "0o8",
            "0xg",
            "0x+1",
            "-0x1",
            "0b1",
            "0X1",
            "0x1ffffffff",
            "Inf",
            "inf",
            "NaN",
            "true",
            "1,000",
            "١",
        ];
        for text in texts {
            assert!(parse_number(text).is_nan(), "{text:?}");
        }
    }

    #[test]
    fn numbers_are_written_with_fifteen_digits() {
        for (number, text) in [
            (0.0, "0"),
            (-0.0, "0"),
            (1.0, "1"),
            (-2.5, "-2.5"),
            (0.1 + 0.2, "0.3"),
            (0.845_512_408_225_570_1, "0.84551240822557"),
            (1234.56, "1234.56"),
            (0.0001, "0.0001"),
            (0.00001, "1E-05"),
            (-0.000_012_5, "-1.25E-05"),
            (999_999_999_999_999.0, "999999999999999"),
            (1e15, "1E+15"),
            (1_234_567_890_123_456.0, "1.23456789012346E+15"),
            (1e100, "1E+100"),
            (5e-324, "4.94065645841247E-324"),
            (f64::MAX, "1.79769313486232E+308"),
            (123_456_789_012_345.67, "123456789012346"),
            (99_999_999_999_999.99, "100000000000000"),
            (f64::NAN, "NaN"),
            (f64::NEG_INFINITY, "-Infinity"),
        ] {
            assert_eq!(format_number(number), text, "{number:e}");
        }
    }
}
