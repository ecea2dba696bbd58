//! Colours, marks, and words that all forms of output for people share.

use std::time::Duration;

use model::Conclusion;

/// Colours of jobs, in turn: cyan, magenta, blue, yellow, bright cyan, bright magenta.
const JOB_COLOURS: [&str; 6] = ["36", "35", "34", "33", "96", "95"];

/// What a piece of text is, which decides its colour.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Ink {
    /// A heading.
    Strong,
    /// Beside the point.
    Faint,
    /// It went well.
    Good,
    /// It did not.
    Bad,
    /// A heading of something bad.
    StrongBad,
    /// Something to look at.
    Caution,
    /// A remark.
    Remark,
    /// The job that came so many places after the first.
    Job(usize),
}

/// Puts colours on text, if there are any.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Palette {
    /// Whether there are colours.
    pub(crate) colour: bool,
}

impl Palette {
    /// The text in the colour of what it is.
    pub(crate) fn paint(self, ink: Ink, text: &str) -> String {
        if !self.colour || text.is_empty() {
            return text.to_owned();
        }
        let code = match ink {
            Ink::Strong => "1",
            Ink::Faint => "90",
            Ink::Good => "32",
            Ink::Bad => "31",
            Ink::StrongBad => "1;31",
            Ink::Caution => "33",
            Ink::Remark => "36",
            Ink::Job(place) => JOB_COLOURS[place % JOB_COLOURS.len()],
        };
        format!("\x1b[{code}m{text}\x1b[0m")
    }

    /// The sign in front of something that has ended.
    pub(crate) fn mark(self, conclusion: Conclusion) -> String {
        let (sign, ink) = match conclusion {
            Conclusion::Success => ("✓", Ink::Good),
            Conclusion::Failure => ("✗", Ink::Bad),
            Conclusion::Cancelled => ("■", Ink::Caution),
            Conclusion::Skipped => ("–", Ink::Faint),
        };
        self.paint(ink, sign)
    }
}

/// How something ended, in a word.
pub(crate) fn word(conclusion: Conclusion) -> &'static str {
    match conclusion {
        Conclusion::Success => "succeeded",
        Conclusion::Failure => "failed",
        Conclusion::Cancelled => "cancelled",
        Conclusion::Skipped => "skipped",
    }
}

/// How long something took: as [`seconds`], and in milliseconds where tenths of a second say nothing.
pub(crate) fn elapsed(duration: Duration) -> String {
    match duration.as_millis() {
        short @ 0..100 => format!("{short}ms"),
        _ => seconds(duration),
    }
}

/// A duration for the eye, which may be growing: `1.2s`, `2m 05s`, `1h 02m`.
pub(crate) fn seconds(duration: Duration) -> String {
    let (whole, tenths) = (duration.as_secs(), duration.subsec_millis() / 100);
    match whole {
        0..60 => format!("{whole}.{tenths}s"),
        60..3600 => format!("{}m {:02}s", whole / 60, whole % 60),
        _ => format!("{}h {:02}m", whole / 3600, whole % 3600 / 60),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn durations_are_shown_in_minutes_from_one_minute_on() {
        assert_eq!(seconds(Duration::from_millis(1240)), "1.2s");
        assert_eq!(seconds(Duration::from_millis(59_990)), "59.9s");
        assert_eq!(seconds(Duration::from_secs(125)), "2m 05s");
        assert_eq!(seconds(Duration::from_secs(3725)), "1h 02m");
        assert_eq!(elapsed(Duration::from_micros(34_900)), "34ms");
        assert_eq!(elapsed(Duration::from_millis(100)), seconds(Duration::from_millis(100)));
    }

    #[test]
    fn without_colours_there_are_no_escape_sequences() {
        let plain = Palette { colour: false };
        assert_eq!(plain.paint(Ink::StrongBad, "a") + &plain.mark(Conclusion::Failure), "a✗");
        assert_eq!(Palette { colour: true }.paint(Ink::Job(7), "a"), "\x1b[35ma\x1b[0m");
    }
}
