//! When schedules fire, by clocks that behave and by clocks that don't.

use std::time::Duration;

use model::Timestamp;
use scheduler::cron::{Progress, Schedule, ScheduleError};

fn at(text: &str) -> Timestamp {
    let time: jiff::Timestamp = text.parse().expect("it is a moment");
    Timestamp(u64::try_from(time.as_millisecond()).expect("it is after 1970"))
}

fn show(time: Timestamp) -> String {
    jiff::Timestamp::from_millisecond(i64::try_from(time.0).unwrap()).unwrap().to_string()
}

fn schedule(cron: &str, zone: Option<&str>) -> Schedule {
    Schedule::new(cron, zone).expect("it is a schedule")
}

/// The next so many moments after `from`.
fn next(cron: &str, zone: Option<&str>, from: &str, count: usize) -> Vec<String> {
    let schedule = schedule(cron, zone);
    let first = schedule.next_after(at(from));
    let all = std::iter::successors(first, |time| schedule.next_after(*time));
    all.take(count).map(show).collect()
}

#[test]
fn the_next_moment_is_the_first_that_all_fields_take() {
    let one = |cron, from| next(cron, None, from, 1).remove(0);
    assert_eq!(one("30 5,17 * * *", "2026-11-21T05:30:00Z"), "2026-11-21T17:30:00Z");
    assert_eq!(one("30 5,17 * * *", "2026-11-21T05:29:59.999Z"), "2026-11-21T05:30:00Z");
    assert_eq!(one("0 0 1 JAN *", "2026-11-21T00:00:00Z"), "2027-01-01T00:00:00Z");
    assert_eq!(one("15 4 * * MON-FRI", "2026-11-20T04:15:00Z"), "2026-11-23T04:15:00Z");
    assert_eq!(one("0 12 29 2 *", "2096-02-29T12:00:00Z"), "2104-02-29T12:00:00Z");
    assert_eq!(
        next("0 0 13 * 5", None, "2026-11-01T00:00:00Z", 3),
        ["2026-11-06T00:00:00Z", "2026-11-13T00:00:00Z", "2026-11-20T00:00:00Z"]
    );
    assert_eq!(
        next("20/15 * * * *", None, "2026-01-01T00:00:00Z", 4)[2..],
        ["2026-01-01T00:50:00Z", "2026-01-01T01:20:00Z"]
    );
}

#[test]
fn a_day_that_never_comes_is_never_due() {
    assert_eq!(schedule("0 0 30 2 *", None).next_after(at("2026-01-01T00:00:00Z")), None);
    assert_eq!(schedule("* * * * *", None).next_after(Timestamp(u64::MAX)), None);
}

#[test]
fn a_time_of_the_day_is_that_of_its_zone() {
    let days = next("0 9 * * *", Some("Europe/Berlin"), "2026-03-28T00:00:00Z", 2);
    assert_eq!(days, ["2026-03-28T08:00:00Z", "2026-03-29T07:00:00Z"]);
}

#[test]
fn in_spring_times_of_the_hour_that_is_left_out_are_due_once_when_it_would_have_ended() {
    // GitHub's own example: 2:30 AM advances to 3:00 AM, which is 07:00 UTC then.
    let days = next("30 2 * * *", Some("America/New_York"), "2026-03-07T12:00:00Z", 2);
    assert_eq!(days, ["2026-03-08T07:00:00Z", "2026-03-09T06:30:00Z"]);
    let quarters = next("*/15 2 * * *", Some("America/New_York"), "2026-03-07T12:00:00Z", 2);
    assert_eq!(quarters, ["2026-03-08T07:00:00Z", "2026-03-09T06:00:00Z"]);
}

#[test]
fn in_autumn_times_of_the_hour_that_comes_twice_are_due_once() {
    let days = next("30 1 * * *", Some("America/New_York"), "2026-11-01T00:00:00Z", 2);
    assert_eq!(days, ["2026-11-01T05:30:00Z", "2026-11-02T06:30:00Z"]);
    let again =
        schedule("30 1 * * *", Some("America/New_York")).next_after(at("2026-11-01T06:10:00Z")).unwrap();
    assert_eq!(show(again), "2026-11-02T06:30:00Z", "asked in the second of the two hours");
}

#[test]
fn intervals_go_by_the_hours_that_there_are() {
    let spring = next("30 * * * *", Some("America/New_York"), "2026-03-08T06:00:00Z", 3);
    assert_eq!(spring, ["2026-03-08T06:30:00Z", "2026-03-08T07:30:00Z", "2026-03-08T08:30:00Z"]);
    let autumn = next("0 * * * *", Some("America/New_York"), "2026-11-01T04:30:00Z", 3);
    assert_eq!(autumn, ["2026-11-01T05:00:00Z", "2026-11-01T06:00:00Z", "2026-11-01T07:00:00Z"]);
}

#[test]
fn an_entry_that_is_none_says_what_one_looks_like() {
    for cron in ["@daily", "* * * *", "60 * * * *", ""] {
        assert_eq!(Schedule::new(cron, None).unwrap_err(), ScheduleError::Cron(cron.to_owned()));
    }
    let error = Schedule::new("* * * * *", Some("Mars/Olympus")).unwrap_err();
    assert_eq!(
        error.to_string(),
        "there is no time zone `Mars/Olympus`: it takes a name of the IANA database, as in `Europe/Berlin`"
    );
}

/// Ticks at these moments; those at which it fired.
fn ticks(cron: &str, from: &str, moments: &[Timestamp]) -> Vec<String> {
    let schedule = schedule(cron, None);
    let mut progress = Progress::from(at(from));
    let mut fired = Vec::new();
    for now in moments {
        let tick = schedule.tick(progress, *now);
        progress = tick.progress;
        fired.extend(tick.fires.map(|due| format!("{} for {}", show(*now), show(due))));
    }
    fired
}

#[test]
fn every_minute_fires_every_five_minutes() {
    let start = at("2026-11-21T00:00:00Z");
    let minutes: Vec<Timestamp> =
        (1..=20).map(|minute| start.after(Duration::from_secs(60 * minute + 7))).collect();
    let fired = ticks("* * * * *", "2026-11-21T00:00:00Z", &minutes);
    let expected = ["00:01", "00:06", "00:11", "00:16"]
        .map(|time| format!("2026-11-21T{time}:07Z for 2026-11-21T{time}:00Z"));
    assert_eq!(fired, expected);
}

#[test]
fn a_tick_that_comes_twice_or_late_fires_once() {
    let moments =
        ["2026-11-21T05:29:59Z", "2026-11-21T05:30:40Z", "2026-11-21T05:30:41Z", "2026-11-21T05:31:00Z"]
            .map(at);
    let fired = ticks("30 5 * * *", "2026-11-21T00:00:00Z", &moments);
    assert_eq!(fired, ["2026-11-21T05:30:40Z for 2026-11-21T05:30:00Z"]);
}

#[test]
fn a_jump_forward_fires_once_however_much_was_missed() {
    let moments =
        ["2026-11-21T05:30:00Z", "2026-12-24T12:00:00Z", "2026-12-24T12:01:00Z", "2026-12-25T05:30:00Z"]
            .map(at);
    let fired = ticks("30 5 * * *", "2026-11-21T00:00:00Z", &moments);
    assert_eq!(fired.len(), 3, "{fired:?}");
    assert_eq!(fired[1], "2026-12-24T12:00:00Z for 2026-11-22T05:30:00Z");
}

#[test]
fn a_clock_that_is_set_back_fires_nothing_again() {
    let moments = [
        "2026-11-21T05:30:10Z",
        "2026-11-21T03:00:00Z",
        "2026-11-21T05:30:00Z",
        "2026-11-21T06:00:00Z",
        "2026-11-22T05:30:00Z",
    ]
    .map(at);
    let fired = ticks("30 5 * * *", "2026-11-21T00:00:00Z", &moments);
    assert_eq!(fired.len(), 2, "{fired:?}");
    assert!(fired[1].starts_with("2026-11-22"), "{fired:?}");
}

#[test]
fn a_clock_that_was_years_ahead_does_not_silence_schedules_for_years() {
    let moments =
        ["2026-11-21T05:30:00Z", "2090-01-01T00:00:00Z", "2026-11-21T05:35:00Z", "2026-11-22T05:30:00Z"]
            .map(at);
    let fired = ticks("30 5 * * *", "2026-11-21T00:00:00Z", &moments);
    assert_eq!(fired.len(), 3, "{fired:?}");
    assert_eq!(fired[2], "2026-11-22T05:30:00Z for 2026-11-22T05:30:00Z");
}

#[test]
fn a_restart_fires_what_was_missed_once_and_nothing_twice() {
    let schedule = schedule("0 * * * *", None);
    let kept = schedule.tick(Progress::from(at("2026-11-21T00:00:00Z")), at("2026-11-21T01:00:05Z")).progress;
    assert_eq!(schedule.tick(kept, at("2026-11-21T01:00:50Z")).fires, None);
    let late = schedule.tick(kept, at("2026-11-21T04:10:00Z"));
    assert_eq!(late.fires, Some(at("2026-11-21T02:00:00Z")));
    assert_eq!(schedule.due_at(late.progress), Some(at("2026-11-21T05:00:00Z")));
}
