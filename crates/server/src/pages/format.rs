//! Durations, ages, sizes, and moments, as people read them.

use std::time::Duration;

use maud::{Markup, html};
use model::Timestamp;

/// Days in 400 years, after which the calendar repeats.
const DAYS_OF_ERA: u64 = 146_097;

/// Days from 1 March of the year 0 to the beginning of 1970.
const DAYS_TO_1970: u64 = 719_468;

/// Hexadecimal digits of a commit that people read: what git and GitHub show.
const SHORT_SHA: usize = 7;

/// `840 ms`, `4.2 s`, `3 m 05 s`, `2 h 07 m`, `3 d 4 h`.
#[must_use]
pub fn duration(duration: Duration) -> String {
    let (millis, secs) = (duration.as_millis(), duration.as_secs());
    match secs {
        0 => format!("{millis} ms"),
        1..10 => format!("{secs}.{} s", millis % 1000 / 100),
        10..60 => format!("{secs} s"),
        60..3600 => format!("{} m {:02} s", secs / 60, secs % 60),
        3600..86_400 => format!("{} h {:02} m", secs / 3600, secs % 3600 / 60),
        _ => format!("{} d {} h", secs / 86_400, secs % 86_400 / 3600),
    }
}

/// `just now`, `4 min ago`, `2 h ago`, `3 d ago`, then the day.
#[must_use]
pub fn age(then: Timestamp, now: Timestamp) -> String {
    let secs = now.since(then).as_secs();
    match secs {
        0..10 => "just now".to_owned(),
        10..60 => format!("{secs} s ago"),
        60..3600 => format!("{} min ago", secs / 60),
        3600..86_400 => format!("{} h ago", secs / 3600),
        86_400..2_592_000 => format!("{} d ago", secs / 86_400),
        _ => moment(then)[..10].to_owned(),
    }
}

/// `900 B`, `1.5 KiB`, `24 MiB`.
#[must_use]
pub fn size(bytes: u64) -> String {
    const UNITS: [&str; 5] = ["B", "KiB", "MiB", "GiB", "TiB"];
    let (mut unit, mut whole, mut tenths) = (0, bytes, 0);
    while whole >= 1024 && unit + 1 < UNITS.len() {
        tenths = whole % 1024 * 10 / 1024;
        whole /= 1024;
        unit += 1;
    }
    match whole {
        _ if unit == 0 => format!("{whole} B"),
        0..10 => format!("{whole}.{tenths} {}", UNITS[unit]),
        _ => format!("{whole} {}", UNITS[unit]),
    }
}

/// `12 345 678`, with narrow spaces that do not break.
#[must_use]
pub fn count(number: u64) -> String {
    let digits = number.to_string();
    let mut text = String::with_capacity(digits.len() + digits.len() / 3 * 3);
    for (place, digit) in digits.chars().enumerate() {
        if place > 0 && (digits.len() - place).is_multiple_of(3) {
            text.push('\u{202f}');
        }
        text.push(digit);
    }
    text
}

/// `2026-11-21 18:05:09.123`, UTC.
#[must_use]
pub fn moment(at: Timestamp) -> String {
    let (year, month, day) = date(at.0 / 86_400_000);
    format!("{year:04}-{month:02}-{day:02} {}", time_of_day(at))
}

/// `18:05:09.123`, UTC.
#[must_use]
pub fn time_of_day(at: Timestamp) -> String {
    let millis = at.0 % 86_400_000;
    let secs = millis / 1000;
    format!("{:02}:{:02}:{:02}.{:03}", secs / 3600, secs / 60 % 60, secs % 60, millis % 1000)
}

/// Year, month, and day of the day that lies so many days after the beginning of 1970, by the Gregorian calendar:
/// years are counted from March, so that the day of the leap year is the last.
fn date(days: u64) -> (u64, u64, u64) {
    let days = days + DAYS_TO_1970;
    let (era, day_of_era) = (days / DAYS_OF_ERA, days % DAYS_OF_ERA);
    let year_of_era = (day_of_era - day_of_era / 1460 + day_of_era / 36_524 - day_of_era / 146_096) / 365;
    let day_of_year = day_of_era - (365 * year_of_era + year_of_era / 4 - year_of_era / 100);
    let month_from_march = (5 * day_of_year + 2) / 153;
    let day = day_of_year - (153 * month_from_march + 2) / 5 + 1;
    let month = if month_from_march < 10 { month_from_march + 3 } else { month_from_march - 9 };
    (400 * era + year_of_era + u64::from(month <= 2), month, day)
}

/// What people read of a commit.
#[must_use]
pub fn short_sha(sha: &str) -> &str {
    sha.get(..SHORT_SHA).unwrap_or(sha)
}

/// An age that the page's script keeps true, with the moment as its tooltip.
pub(super) fn ago(then: Timestamp, now: Timestamp) -> Markup {
    html! { time data-ago=(then) datetime=(iso(then)) title={ (moment(then)) " UTC" } { (age(then, now)) } }
}

/// From `begin` to `end`; what has not ended counts on in the page.
pub(super) fn took(begin: Timestamp, end: Option<Timestamp>, now: Timestamp) -> Markup {
    match end {
        Some(end) => html! { span.took { (duration(end.since(begin))) } },
        None => html! { span.took data-since=(begin) { (duration(now.since(begin))) } },
    }
}

fn iso(at: Timestamp) -> String {
    format!("{}Z", moment(at).replace(' ', "T"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_duration_has_two_units_at_most() {
        let read = |millis| duration(Duration::from_millis(millis));
        assert_eq!(read(0), "0 ms");
        assert_eq!(read(999), "999 ms");
        assert_eq!(read(4_250), "4.2 s");
        assert_eq!(read(59_999), "59 s");
        assert_eq!(read(185_000), "3 m 05 s");
        assert_eq!(read(7_620_000), "2 h 07 m");
        assert_eq!(read(273_600_000), "3 d 4 h");
    }

    #[test]
    fn an_age_of_months_is_a_day_of_the_calendar() {
        let now = Timestamp(1_795_284_000_000);
        assert_eq!(age(now, now), "just now");
        assert_eq!(age(Timestamp(now.0 + 5_000), now), "just now", "a clock ahead of ours");
        assert_eq!(age(Timestamp(now.0 - 240_000), now), "4 min ago");
        assert_eq!(age(Timestamp(now.0 - 86_400_000 * 3), now), "3 d ago");
        assert_eq!(age(Timestamp(0), now), "1970-01-01");
    }

    #[test]
    fn a_size_has_one_digit_behind_the_point_where_that_says_something() {
        assert_eq!(size(0), "0 B");
        assert_eq!(size(1023), "1023 B");
        assert_eq!(size(1536), "1.5 KiB");
        assert_eq!(size(25 << 20), "25 MiB");
        assert_eq!(size(u64::MAX), "16777215 TiB");
    }

    #[test]
    fn a_moment_follows_the_calendar_with_its_leap_years() {
        assert_eq!(moment(Timestamp(0)), "1970-01-01 00:00:00.000");
        assert_eq!(moment(Timestamp(951_782_400_000)), "2000-02-29 00:00:00.000");
        assert_eq!(moment(Timestamp(1_740_787_199_999)), "2025-02-28 23:59:59.999");
        assert_eq!(moment(Timestamp(1_795_284_309_123)), "2026-11-21 18:05:09.123");
    }

    #[test]
    fn a_million_is_read_in_threes() {
        assert_eq!(count(7), "7");
        assert_eq!(count(1_234_567), "1\u{202f}234\u{202f}567");
    }

    #[test]
    fn a_commit_that_is_none_is_shown_as_it_is() {
        assert_eq!(short_sha("0123456789abcdef"), "0123456");
        assert_eq!(short_sha("é"), "é");
    }
}
