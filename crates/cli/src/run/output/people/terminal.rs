//! What standard output is: a terminal or not, what it can do, and how large it is.

use std::io::IsTerminal;

use crate::args::Format;

/// Size of a terminal, in characters.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Size {
    /// Its width.
    pub(crate) columns: usize,
    /// Its height.
    pub(crate) rows: usize,
}

impl Size {
    /// Of a terminal that does not tell its size: what terminals have always had.
    const USUAL: Size = Size { columns: 80, rows: 24 };

    /// The size of the terminal that standard output is, now.
    pub(crate) fn of_stdout() -> Size {
        match rustix::termios::tcgetwinsize(std::io::stdout()) {
            Ok(size) if size.ws_col > 0 && size.ws_row > 0 => {
                Size { columns: usize::from(size.ws_col), rows: usize::from(size.ws_row) }
            }
            _ => Size::USUAL,
        }
    }
}

/// What is around standard output.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Surroundings {
    /// It is a terminal.
    terminal: bool,
    /// `TERM` says that it can print and nothing else, or is missing.
    dumb: bool,
    /// `NO_COLOR` is set (<https://no-color.org>).
    no_color: bool,
    /// `CI` is set: nobody watches, and the output is kept.
    ci: bool,
}

impl Surroundings {
    /// Looks around.
    pub(crate) fn of_stdout() -> Surroundings {
        let set = |name| std::env::var_os(name).filter(|value| !value.is_empty());
        Surroundings {
            terminal: std::io::stdout().is_terminal(),
            dumb: set("TERM").is_none_or(|term| term == "dumb"),
            no_color: set("NO_COLOR").is_some(),
            ci: set("CI").is_some_and(|value| value != "false" && value != "0"),
        }
    }

    /// The format that `--format` means here: never `Auto`.
    pub(crate) fn format(self, asked: Format) -> Format {
        match asked {
            Format::Auto if self.moves_cursor() && !self.ci => Format::Pretty,
            Format::Auto => Format::Plain,
            asked => asked,
        }
    }

    /// Whether output in this format has colours. `pretty` has them in a file, too, when it was asked for.
    pub(crate) fn colour(self, asked: Format) -> bool {
        let can = self.moves_cursor() || asked == Format::Pretty && !self.terminal;
        self.format(asked) == Format::Pretty && can && !self.no_color
    }

    /// Whether a part of the output can be drawn anew.
    pub(crate) fn moves_cursor(self) -> bool {
        self.terminal && !self.dumb
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const WINDOW: Surroundings = Surroundings { terminal: true, dumb: false, no_color: false, ci: false };

    #[test]
    fn a_terminal_gets_the_live_display_and_everything_else_plain_lines() {
        assert_eq!(WINDOW.format(Format::Auto), Format::Pretty);
        for plain in [
            Surroundings { terminal: false, ..WINDOW },
            Surroundings { dumb: true, ..WINDOW },
            Surroundings { ci: true, ..WINDOW },
        ] {
            assert_eq!(plain.format(Format::Auto), Format::Plain, "{plain:?}");
            assert!(!plain.colour(Format::Auto), "{plain:?}");
        }
        assert_eq!(Surroundings { ci: true, ..WINDOW }.format(Format::Pretty), Format::Pretty);
    }

    #[test]
    fn colours_follow_no_color_even_where_pretty_was_asked_for() {
        assert!(WINDOW.colour(Format::Auto) && WINDOW.colour(Format::Pretty));
        assert!(!WINDOW.colour(Format::Plain) && !WINDOW.colour(Format::Json));
        let uncoloured = Surroundings { no_color: true, ..WINDOW };
        assert!(!uncoloured.colour(Format::Auto) && !uncoloured.colour(Format::Pretty));
        assert!(Surroundings { terminal: false, ..WINDOW }.colour(Format::Pretty));
        assert!(!Surroundings { dumb: true, ..WINDOW }.colour(Format::Pretty));
    }
}
