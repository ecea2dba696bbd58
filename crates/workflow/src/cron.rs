//! Cron expressions, as GitHub takes them: five fields of numbers, names, ranges, and steps.
//! <https://docs.github.com/en/actions/reference/workflows-and-actions/events-that-trigger-workflows#schedule>

/// An expression that can come true, as far as its fields tell.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Cron {
    minutes: Values,
    hours: Values,
    days: Values,
    months: Values,
    weekdays: Values,
}

/// What one field takes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Values {
    /// Bit n for the number n.
    bits: u64,
    /// It begins with `*`.
    is_open: bool,
}

/// What a field may hold.
struct Field {
    min: u32,
    max: u32,
    /// Names for the numbers from `min` on.
    names: &'static [&'static str],
}

const MINUTE: Field = Field { min: 0, max: 59, names: &[] };
const HOUR: Field = Field { min: 0, max: 23, names: &[] };
const DAY: Field = Field { min: 1, max: 31, names: &[] };
const MONTH: Field = Field {
    min: 1,
    max: 12,
    names: &["jan", "feb", "mar", "apr", "may", "jun", "jul", "aug", "sep", "oct", "nov", "dec"],
};
const WEEKDAY: Field = Field { min: 0, max: 6, names: &["sun", "mon", "tue", "wed", "thu", "fri", "sat"] };

impl Cron {
    /// Reads an expression; `None` for one that GitHub does not take.
    #[must_use]
    pub fn parse(cron: &str) -> Option<Cron> {
        let [minutes, hours, days, months, weekdays] = split_at_blanks(cron)[..] else { return None };
        Some(Cron {
            minutes: MINUTE.list(minutes)?,
            hours: HOUR.list(hours)?,
            days: DAY.list(days)?,
            months: MONTH.list(months)?,
            weekdays: WEEKDAY.list(weekdays)?,
        })
    }

    /// Whether a month, from 1, has days that fit.
    #[must_use]
    pub fn has_month(&self, month: u32) -> bool {
        self.months.has(month)
    }

    /// Whether a day fits, by its number in the month, from 1, and its place in the week, Sunday being 0. As in
    /// POSIX, either suffices where the expression says something of both; a field that begins with `*` says
    /// nothing here, as in the crons that people know.
    #[must_use]
    pub fn has_day(&self, day: u32, weekday: u32) -> bool {
        let (by_day, by_weekday) = (self.days.has(day), self.weekdays.has(weekday));
        if self.days.is_open || self.weekdays.is_open { by_day && by_weekday } else { by_day || by_weekday }
    }

    /// The minutes of a day that fit, in order.
    pub fn minutes_of_day(&self) -> impl Iterator<Item = u32> + '_ {
        let hours = (HOUR.min..=HOUR.max).filter(|hour| self.hours.has(*hour));
        hours.flat_map(|hour| {
            let minutes = (MINUTE.min..=MINUTE.max).filter(|minute| self.minutes.has(*minute));
            minutes.map(move |minute| hour * 60 + minute)
        })
    }

    /// Whether the hours begin with `*`: it is about intervals then, rather than about a time of the day.
    #[must_use]
    pub fn is_every_hour(&self) -> bool {
        self.hours.is_open
    }
}

impl Values {
    fn has(self, value: u32) -> bool {
        self.bits >> value & 1 == 1
    }
}

/// Blanks are the only separator; one at an end makes an empty field.
fn split_at_blanks(cron: &str) -> Vec<&str> {
    let mut parts = Vec::new();
    let mut rest = cron;
    while let Some((part, more)) = rest.split_once(' ') {
        parts.push(part);
        rest = more.trim_start_matches(' ');
    }
    parts.push(rest);
    parts
}

impl Field {
    fn list(&self, text: &str) -> Option<Values> {
        let bits = text.split(',').map(|part| self.steps(part)).try_fold(0, |all, part| Some(all | part?))?;
        Some(Values { bits, is_open: text.starts_with('*') })
    }

    /// `a`, `a-b`, or `*`, each with or without `/step`. A single number with a step goes on to the end.
    fn steps(&self, text: &str) -> Option<u64> {
        let Some((range, step)) = text.split_once('/') else {
            let (start, end) = self.range(text)?;
            return Some(bits(start, end, 1));
        };
        let step = self.number(step).filter(|step| *step > 0)?;
        let (start, end) = self.range(range)?;
        let end = if range.contains('-') { end } else { self.max };
        Some(bits(start, end, step))
    }

    fn range(&self, text: &str) -> Option<(u32, u32)> {
        if text == "*" {
            return Some((self.min, self.max));
        }
        let Some((start, end)) = text.split_once('-') else {
            return self.number(text).map(|number| (number, number));
        };
        let (start, end) = (self.number(start)?, self.number(end)?);
        (start <= end).then_some((start, end))
    }

    /// A number or name within the bounds.
    fn number(&self, text: &str) -> Option<u32> {
        if let Some(place) = self.names.iter().position(|name| name.eq_ignore_ascii_case(text)) {
            return u32::try_from(place).ok().map(|place| place + self.min);
        }
        let is_decimal = !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit());
        let number: u32 = text.parse().ok().filter(|_| is_decimal)?;
        (self.min..=self.max).contains(&number).then_some(number)
    }
}

fn bits(start: u32, end: u32, step: u32) -> u64 {
    (start..=end).step_by(step as usize).fold(0, |bits, value| bits | 1 << value)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_github_documents_is_taken() {
        for cron in [
            "* * * * *",
            "15 4,5 * * *",
            "2,10 4-6 * * *",
            "20/15 * * * *",
            "30 5 * * 1-5",
            "0 0 1 JAN-mar sun",
            "*/5 * * * *",
            "1-30/2 * * * *",
            "0  0 * * *",
        ] {
            assert!(Cron::parse(cron).is_some(), "{cron}");
        }
    }

    #[test]
    fn what_never_fits_is_refused() {
        for cron in [
            "",
            "* * * *",
            "* * * * * *",
            " * * * * *",
            "* * * * * ",
            "60 * * * *",
            "* 24 * * *",
            "* * 0 * *",
            "* * * 13 *",
            "* * * * 7",
            "*/0 * * * *",
            "5-1 * * * *",
            ", * * * *",
            "1-2-3 * * * *",
            "@daily",
            "1/2/3 * * * *",
            "x * * * *",
            "-1 * * * *",
            "* * * * mon-sun",
            "é * * * *",
        ] {
            assert!(Cron::parse(cron).is_none(), "{cron}");
        }
    }

    #[test]
    fn lists_ranges_and_steps_are_what_they_are_on_github() {
        let minutes = |cron: &str| -> Vec<u32> { Cron::parse(cron).unwrap().minutes_of_day().collect() };
        assert_eq!(minutes("20/15 0 * * *"), [20, 35, 50]);
        assert_eq!(minutes("1-10/4,59 1 * * *"), [61, 65, 69, 119]);
        assert_eq!(minutes("5,2 0,23 * * *"), [2, 5, 23 * 60 + 2, 23 * 60 + 5]);
        assert_eq!(minutes("* * * * *").len(), 24 * 60);
    }

    #[test]
    fn either_kind_of_day_suffices_where_both_are_given() {
        let both = Cron::parse("0 0 13 * fri").unwrap();
        assert!(both.has_day(13, 1) && both.has_day(1, 5) && !both.has_day(1, 1));
        let by_week = Cron::parse("0 0 * * 5").unwrap();
        assert!(by_week.has_day(1, 5) && !by_week.has_day(13, 1));
        let by_step = Cron::parse("0 0 */2 * 5").unwrap();
        assert!(by_step.has_day(1, 5) && !by_step.has_day(2, 5) && !by_step.has_day(3, 1));
    }
}
