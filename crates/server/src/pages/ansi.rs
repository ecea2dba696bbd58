//! Colours of terminals, as classes of spans.
//!
//! A line is read once from left to right. Sequences that set colours and weights (SGR, ECMA-48 8.3.117) become a
//! [`Style`]; all other sequences and control characters are left out. Nothing of a line becomes markup here: runs of
//! text are handed on, and escaped by whoever writes them.

/// Runs of one line: a bound on the markup that a line of nothing but sequences makes. Text beyond them has the style
/// of the last.
pub const RUNS: usize = 512;

/// Characters of a line that are shown; what a line can have is bound by the log, and a browser stutters before.
pub const SHOWN_CHARS: usize = 16 * 1024;

/// Numbers of one sequence that are read; a colour of 24 bits has five.
const PARAMETERS: usize = 32;

/// A colour.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Colour {
    /// One of the sixteen that have names, 0 to 15.
    Named(u8),
    /// A place in the palette of 256, 16 and above.
    Palette(u8),
}

/// How text looks.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Style {
    /// Of the letters.
    pub front: Option<Colour>,
    /// Behind them.
    pub back: Option<Colour>,
    /// Bold.
    pub is_bold: bool,
    /// Fainter than other text.
    pub is_faint: bool,
    /// Italic.
    pub is_italic: bool,
    /// Underlined.
    pub is_underlined: bool,
    /// Struck out.
    pub is_struck: bool,
    /// Front and back are exchanged.
    pub is_inverse: bool,
}

impl Style {
    /// Names of classes that the style sheet knows; empty for plain text.
    #[must_use]
    pub fn classes(self) -> String {
        let (front, back) = match self.is_inverse {
            true => (self.back, self.front),
            false => (self.front, self.back),
        };
        let flags = [
            (self.is_bold, "ab"),
            (self.is_faint, "af"),
            (self.is_italic, "ai"),
            (self.is_underlined, "au"),
            (self.is_struck, "as"),
            (self.is_inverse && front.is_none() && back.is_none(), "av"),
        ];
        let mut classes: Vec<String> =
            flags.iter().filter(|(is_set, _)| *is_set).map(|(_, class)| (*class).to_owned()).collect();
        classes.extend(front.map(|colour| format!("f{}", colour.named())));
        classes.extend(back.map(|colour| format!("b{}", colour.named())));
        classes.join(" ")
    }

    fn set(&mut self, parameters: &[u16]) {
        let mut rest = parameters;
        while let Some((first, more)) = rest.split_first() {
            rest = more;
            match first {
                0 => *self = Style::default(),
                1 => self.is_bold = true,
                2 => self.is_faint = true,
                3 => self.is_italic = true,
                4 => self.is_underlined = true,
                7 => self.is_inverse = true,
                9 => self.is_struck = true,
                22 => (self.is_bold, self.is_faint) = (false, false),
                23 => self.is_italic = false,
                24 => self.is_underlined = false,
                27 => self.is_inverse = false,
                29 => self.is_struck = false,
                30..=37 => self.front = named(first - 30),
                38 => self.front = extended(&mut rest).or(self.front),
                39 => self.front = None,
                40..=47 => self.back = named(first - 40),
                48 => self.back = extended(&mut rest).or(self.back),
                49 => self.back = None,
                90..=97 => self.front = named(first - 90 + 8),
                100..=107 => self.back = named(first - 100 + 8),
                _ => {}
            }
        }
    }
}

impl Colour {
    /// The named colour that is nearest: pages have sixteen, which suit light and dark.
    fn named(self) -> u8 {
        match self {
            Colour::Named(name) => name,
            Colour::Palette(place @ 232..) => match (place - 232) / 6 {
                0 => 0,
                1 => 8,
                2 => 7,
                _ => 15,
            },
            Colour::Palette(place) => {
                let cube = place.saturating_sub(16);
                nearest(cube / 36 * 51, cube / 6 % 6 * 51, cube % 6 * 51)
            }
        }
    }
}

fn named(place: u16) -> Option<Colour> {
    u8::try_from(place).ok().map(Colour::Named)
}

/// The rest of `38;5;n` or `38;2;r;g;b`.
fn extended(rest: &mut &[u16]) -> Option<Colour> {
    let byte = |value: u16| u8::try_from(value.min(255)).unwrap_or(u8::MAX);
    match **rest {
        [5, place, ..] => {
            *rest = &rest[2..];
            Some(if place < 16 { Colour::Named(byte(place)) } else { Colour::Palette(byte(place)) })
        }
        [2, red, green, blue, ..] => {
            *rest = &rest[4..];
            Some(Colour::Named(nearest(byte(red), byte(green), byte(blue))))
        }
        _ => {
            *rest = &[];
            None
        }
    }
}

/// A bit for each of red, green, and blue that is strong, and one for all of them together.
fn nearest(red: u8, green: u8, blue: u8) -> u8 {
    let strongest = red.max(green).max(blue);
    if strongest < 48 {
        return 0;
    }
    let bit = |part: u8, bit: u8| if part >= strongest / 2 + strongest / 4 { bit } else { 0 };
    let hue = bit(red, 1) | bit(green, 2) | bit(blue, 4);
    match (hue, strongest) {
        (7, ..144) => 8,
        (_, 192..) => hue + 8,
        _ => hue,
    }
}

/// A line as runs of text of one style each. Text of no style is a run too.
#[must_use]
pub fn runs(line: &str) -> Vec<(Style, String)> {
    let mut runs: Vec<(Style, String)> = Vec::new();
    let mut style = Style::default();
    let mut chars = line.chars();
    let mut shown = 0;
    while let Some(next) = chars.next() {
        match next {
            '\u{1b}' => sequence(&mut chars, &mut style),
            '\u{9b}' => control(&mut chars, &mut style),
            '\t' => {}
            next if next.is_control() || is_deceptive(next) => continue,
            _ => {}
        }
        if next == '\u{1b}' || next == '\u{9b}' {
            continue;
        }
        if shown == SHOWN_CHARS {
            push(&mut runs, Style::default(), '…');
            break;
        }
        shown += 1;
        push(&mut runs, style, next);
    }
    runs
}

/// A line without its colours: what search looks at.
#[must_use]
pub fn plain(line: &str) -> String {
    runs(line).into_iter().map(|(_, text)| text).collect()
}

fn push(runs: &mut Vec<(Style, String)>, style: Style, next: char) {
    let is_full = runs.len() >= RUNS;
    match runs.last_mut() {
        Some((last, text)) if *last == style || is_full => text.push(next),
        _ => runs.push((style, next.to_string())),
    }
}

/// Marks that turn the order of letters around, so that a line reads as what it is not
/// (<https://trojansource.codes>).
fn is_deceptive(next: char) -> bool {
    matches!(next, '\u{202a}'..='\u{202e}' | '\u{2066}'..='\u{2069}')
}

/// What follows an escape character.
fn sequence(chars: &mut std::str::Chars<'_>, style: &mut Style) {
    match chars.clone().next() {
        Some('[') => {
            chars.next();
            control(chars, style);
        }
        // Strings for the terminal (titles, links): up to their end, or that of the line.
        Some(']' | 'P' | '_' | '^' | 'X') => string(chars),
        // Others have letters in between, and one that ends them.
        Some(_) => drop(chars.find(|next| !matches!(next, ' '..='/'))),
        None => {}
    }
}

/// A control sequence, behind its introducer: numbers, then a final letter.
fn control(chars: &mut std::str::Chars<'_>, style: &mut Style) {
    let mut parameters = vec![0_u16];
    let mut is_private = false;
    for next in chars.by_ref() {
        match next {
            '0'..='9' => {
                let digit = u16::try_from(u32::from(next) - u32::from('0')).unwrap_or(0);
                if let Some(last) = parameters.last_mut() {
                    *last = last.saturating_mul(10).saturating_add(digit);
                }
            }
            ';' | ':' if parameters.len() < PARAMETERS => parameters.push(0),
            'm' if !is_private => return style.set(&parameters),
            '@'..='~' => return,
            ' '..='?' => is_private |= !matches!(next, ';' | ':'),
            _ => return,
        }
    }
}

fn string(chars: &mut std::str::Chars<'_>) {
    while let Some(next) = chars.next() {
        let ends = match next {
            '\u{7}' | '\u{9c}' => true,
            '\u{1b}' => {
                chars.next();
                true
            }
            _ => false,
        };
        if ends {
            return;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(line: &str) -> Vec<(String, String)> {
        runs(line).into_iter().map(|(style, text)| (style.classes(), text)).collect()
    }

    fn pairs(pairs: &[(&str, &str)]) -> Vec<(String, String)> {
        pairs.iter().map(|(class, text)| ((*class).to_owned(), (*text).to_owned())).collect()
    }

    #[test]
    fn colours_and_weights_last_until_they_are_taken_back() {
        let line = "a\u{1b}[1;31mb\u{1b}[22mc\u{1b}[0md\u{1b}[97;44me";
        assert_eq!(read(line), pairs(&[("", "a"), ("ab f1", "b"), ("f1", "c"), ("", "d"), ("f15 b4", "e")]));
    }

    #[test]
    fn a_sequence_without_numbers_takes_all_back() {
        assert_eq!(read("\u{1b}[4mx\u{1b}[my"), pairs(&[("au", "x"), ("", "y")]));
    }

    #[test]
    fn colours_beyond_sixteen_become_the_nearest_of_them() {
        let line = "\u{1b}[38;5;196mred\u{1b}[38;2;0;200;0mgreen\u{1b}[38;5;240mgrey\u{1b}[38;2;1mleft";
        assert_eq!(read(line), pairs(&[("f9", "red"), ("f10", "green"), ("f8", "greyleft")]));
    }

    #[test]
    fn what_moves_the_cursor_or_names_the_window_is_left_out() {
        let line = "\u{1b}]0;title\u{7}a\u{1b}[2K\u{1b}[1Gb\u{1b}]8;;https://evil\u{1b}\\c\u{1b}(Bd\r\u{8}e\u{1b}[?25hf";
        assert_eq!(plain(line), "abcdef");
    }

    #[test]
    fn marks_that_turn_the_direction_around_are_left_out() {
        assert_eq!(plain("safe \u{202e}txet\u{2066}"), "safe txet");
    }

    #[test]
    fn a_line_of_nothing_but_changes_makes_a_bounded_number_of_runs() {
        let line: String = (0..RUNS * 4).map(|place| format!("\u{1b}[3{}mx", place % 8)).collect();
        assert_eq!(runs(&line).len(), RUNS);
        assert_eq!(plain(&line).len(), RUNS * 4, "no letter is lost");
    }

    #[test]
    fn an_endless_line_is_cut_and_says_so() {
        let text = plain(&"x".repeat(SHOWN_CHARS + 10));
        assert_eq!(text.chars().count(), SHOWN_CHARS + 1);
        assert!(text.ends_with('…'));
    }

    #[test]
    fn a_sequence_that_the_line_cuts_off_harms_nothing() {
        for line in ["\u{1b}", "\u{1b}[", "\u{1b}[38", "\u{1b}[38;5", "\u{1b}]0;x", "\u{1b}[99999999999m"] {
            assert_eq!(plain(line), "", "{line:?}");
        }
    }
}
