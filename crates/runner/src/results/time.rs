//! Points in time as the protocols write them.

use std::time::{SystemTime, UNIX_EPOCH};

const DAYS: [&str; 7] = ["Thu", "Fri", "Sat", "Sun", "Mon", "Tue", "Wed"];
const MONTHS: [&str; 12] =
    ["Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec"];

/// A time of the proleptic Gregorian calendar in UTC.
struct Civil {
    day_of_week: usize,
    year: u64,
    month: usize,
    day: u64,
    hour: u64,
    minute: u64,
    second: u64,
    millisecond: u32,
}

/// Milliseconds since 1970.
pub(super) fn millis(time: SystemTime) -> u64 {
    let since = time.duration_since(UNIX_EPOCH).unwrap_or_default();
    u64::try_from(since.as_millis()).unwrap_or(u64::MAX)
}

/// `2026-11-21T05:08:00.000Z`, as protobuf's JSON writes a timestamp.
pub(super) fn rfc3339(millis: u64) -> String {
    let c = civil(millis);
    format!(
        "{:04}-{:02}-{:02}T{:02}:{:02}:{:02}.{:03}Z",
        c.year, c.month, c.day, c.hour, c.minute, c.second, c.millisecond
    )
}

/// What [`rfc3339`] and other writers of protobuf's JSON make of milliseconds.
pub(super) fn read_rfc3339(text: &str) -> Option<u64> {
    let time: jiff::Timestamp = text.parse().ok()?;
    u64::try_from(time.as_millisecond()).ok()
}

/// `Sat, 21 Nov 2026 05:08:00 GMT`, as HTTP writes a date.
pub(super) fn http_date(time: SystemTime) -> String {
    let c = civil(millis(time));
    let (day, month) = (DAYS[c.day_of_week], MONTHS[c.month - 1]);
    format!("{day}, {:02} {month} {:04} {:02}:{:02}:{:02} GMT", c.day, c.year, c.hour, c.minute, c.second)
}

fn civil(millis: u64) -> Civil {
    let seconds = millis / 1000;
    let days = seconds / 86_400;
    let (mut year, mut left) = (1970, days);
    while left >= days_of(year) {
        left -= days_of(year);
        year += 1;
    }
    let lengths = [31, days_of(year) - 337, 31, 30, 31, 30, 31, 31, 30, 31, 30, 31];
    let mut month = 0;
    while left >= lengths[month] {
        left -= lengths[month];
        month += 1;
    }
    Civil {
        day_of_week: (days % 7) as usize,
        year,
        month: month + 1,
        day: left + 1,
        hour: seconds / 3600 % 24,
        minute: seconds / 60 % 60,
        second: seconds % 60,
        millisecond: (millis % 1000) as u32,
    }
}

fn days_of(year: u64) -> u64 {
    let is_leap = year.is_multiple_of(4) && (!year.is_multiple_of(100) || year.is_multiple_of(400));
    if is_leap { 366 } else { 365 }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn times_are_written_as_the_protocols_want_them() {
        for (seconds, rfc, http) in [
            (0, "1970-01-01T00:00:00.000Z", "Thu, 01 Jan 1970 00:00:00 GMT"),
            (951_782_399, "2000-02-28T23:59:59.000Z", "Mon, 28 Feb 2000 23:59:59 GMT"),
            (951_782_400, "2000-02-29T00:00:00.000Z", "Tue, 29 Feb 2000 00:00:00 GMT"),
            (1_795_237_680, "2026-11-21T05:08:00.000Z", "Sat, 21 Nov 2026 05:08:00 GMT"),
        ] {
            assert_eq!(rfc3339(seconds * 1000), rfc);
            assert_eq!(read_rfc3339(rfc), Some(seconds * 1000));
            assert_eq!(http_date(UNIX_EPOCH + std::time::Duration::from_secs(seconds)), http);
        }
    }
}
