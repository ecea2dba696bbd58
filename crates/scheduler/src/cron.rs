//! When a `schedule` is due. Nothing here reads a clock: the moment is told.
//!
//! <https://docs.github.com/en/actions/reference/workflows-and-actions/events-that-trigger-workflows#schedule>

use std::time::Duration;

use jiff::civil::{Date, DateTime};
use jiff::tz::{AmbiguousOffset, Offset, TimeZone, TimeZoneDatabase};
use model::Timestamp;
use workflow::cron::Cron;

/// No schedule fires more often, as on GitHub.
pub const SHORTEST_INTERVAL: Duration = Duration::from_secs(5 * 60);

/// A clock that goes back further than this was wrong before: schedules follow it. One that goes back less has
/// been corrected, and nothing that has fired fires again.
pub const LARGEST_CORRECTION: Duration = Duration::from_secs(24 * 3600);

/// The calendar repeats after this: a day that has not come by then never will (`30 2` for 30 February).
const CALENDAR_YEARS: i16 = 400;

/// An entry of `schedule`: a cron expression, in a time zone.
#[derive(Clone, Debug)]
pub struct Schedule {
    cron: Cron,
    zone: TimeZone,
}

/// Why an entry of `schedule` is none.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum ScheduleError {
    /// Its cron expression.
    #[error("`{0}` is no cron expression: it takes five fields, as in `30 5 * * 1-5`")]
    Cron(String),
    /// Its time zone.
    #[error("there is no time zone `{0}`: it takes a name of the IANA database, as in `Europe/Berlin`")]
    Zone(String),
}

/// How far a schedule has come. To be kept by the caller, so that a restart fires nothing twice.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Progress {
    /// Everything up to then has fired, or never will.
    pub seen: Timestamp,
    /// When it last fired.
    pub fired: Option<Timestamp>,
}

/// What [`Schedule::tick`] found.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Tick {
    /// The moment for which it fires now, if it does.
    pub fires: Option<Timestamp>,
    /// To be kept until the next tick.
    pub progress: Progress,
}

impl Progress {
    /// Of a schedule that was first seen then: what was due before does not count.
    #[must_use]
    pub fn from(now: Timestamp) -> Progress {
        Progress { seen: now, fired: None }
    }
}

impl Schedule {
    /// Reads an entry; without a time zone UTC is meant.
    ///
    /// # Errors
    /// If the expression is none, or there is no such time zone.
    pub fn new(cron: &str, zone: Option<&str>) -> Result<Schedule, ScheduleError> {
        let parsed = Cron::parse(cron).ok_or_else(|| ScheduleError::Cron(cron.to_owned()))?;
        let zone = match zone {
            None => TimeZone::UTC,
            Some(name) => {
                TimeZoneDatabase::bundled().get(name).map_err(|_| ScheduleError::Zone(name.to_owned()))?
            }
        };
        Ok(Schedule { cron: parsed, zone })
    }

    /// The first moment after `time` at which the clocks of its zone show what the expression says.
    ///
    /// In spring, times of the hour that is left out are due once, when it would have ended; in autumn, times of
    /// the hour that comes twice are due the first time. An expression for every hour (`*` or `*/2` as hours) goes
    /// by the hours that there are instead. `None`: never (30 February), or not within what calendars reach.
    #[must_use]
    pub fn next_after(&self, time: Timestamp) -> Option<Timestamp> {
        let time = jiff::Timestamp::from_millisecond(i64::try_from(time.0).ok()?).ok()?;
        let next = if self.cron.is_every_hour() { self.next_interval(time) } else { self.next_time(time) }?;
        Some(Timestamp(u64::try_from(next.as_millisecond()).ok()?))
    }

    /// Looks at the clock: does it fire now? However much was missed, as while the server was down or after the
    /// clock jumped, it fires once; and after the clock was set back, nothing fires again.
    #[must_use]
    pub fn tick(&self, progress: Progress, now: Timestamp) -> Tick {
        if progress.seen.since(now) > LARGEST_CORRECTION {
            return Tick { fires: None, progress: Progress::from(now) };
        }
        let seen = progress.seen.max(now);
        match self.due_at(progress) {
            Some(due) if due <= now => {
                let fired = Some(Timestamp(now.0 - now.0 % MINUTE_MS));
                Tick { fires: Some(due), progress: Progress { seen, fired } }
            }
            _ => Tick { fires: None, progress: Progress { seen, ..progress } },
        }
    }

    /// When it fires next: nothing changes before.
    #[must_use]
    pub fn due_at(&self, progress: Progress) -> Option<Timestamp> {
        let earliest = progress.fired.map(|fired| Timestamp(fired.after(SHORTEST_INTERVAL).0 - 1));
        self.next_after(earliest.map_or(progress.seen, |earliest| earliest.max(progress.seen)))
    }

    /// For an expression about a time of the day: the clock's times in order, each at its moment.
    fn next_time(&self, time: jiff::Timestamp) -> Option<jiff::Timestamp> {
        let local = self.zone.to_datetime(time);
        after(&self.cron, local).map_while(|shown| self.moment_of(shown)).find(|moment| *moment > time)
    }

    /// When the clocks show this for the first time, or pass over it.
    fn moment_of(&self, shown: DateTime) -> Option<jiff::Timestamp> {
        match self.zone.to_ambiguous_timestamp(shown).offset() {
            AmbiguousOffset::Unambiguous { offset } => offset.to_timestamp(shown).ok(),
            AmbiguousOffset::Fold { before, .. } => before.to_timestamp(shown).ok(),
            AmbiguousOffset::Gap { after, .. } => {
                let before_the_gap = after.to_timestamp(shown).ok()?;
                self.zone.following(before_the_gap).next().map(|change| change.timestamp())
            }
        }
    }

    /// For an expression about intervals: goes from one change of the clocks to the next, as if there were none
    /// in between.
    fn next_interval(&self, time: jiff::Timestamp) -> Option<jiff::Timestamp> {
        let mut offset = self.zone.to_offset(time);
        let mut from = offset.to_datetime(time);
        let mut change = time;
        loop {
            let next = offset.to_timestamp(after(&self.cron, from).next()?).ok()?;
            let Some(following) =
                self.zone.following(change).next().filter(|other| other.timestamp() <= next)
            else {
                return Some(next);
            };
            change = following.timestamp();
            offset = following.offset();
            from = just_before(change, offset)?;
        }
    }
}

const MINUTE_MS: u64 = 60_000;

fn just_before(time: jiff::Timestamp, offset: Offset) -> Option<DateTime> {
    let before = jiff::Timestamp::from_millisecond(time.as_millisecond() - 1).ok()?;
    Some(offset.to_datetime(before))
}

/// The times after this one that the expression takes, in order, on a calendar without changes of the clocks.
fn after(cron: &Cron, time: DateTime) -> impl Iterator<Item = DateTime> + '_ {
    let last = time.date().year().saturating_add(CALENDAR_YEARS);
    let days = std::iter::successors(Some(time.date()), |date| next_day(cron, *date));
    let days = days.take_while(move |date| date.year() <= last).filter(|date| {
        let weekday = u32::from(date.weekday().to_sunday_zero_offset().unsigned_abs());
        cron.has_month(number(date.month())) && cron.has_day(number(date.day()), weekday)
    });
    days.flat_map(|date| cron.minutes_of_day().filter_map(move |minute| at(date, minute)))
        .skip_while(move |shown| *shown <= time)
}

/// The next day; in a month that does not fit, the first of the next one.
fn next_day(cron: &Cron, date: Date) -> Option<Date> {
    if cron.has_month(number(date.month())) {
        date.tomorrow().ok()
    } else {
        date.last_of_month().tomorrow().ok()
    }
}

fn at(date: Date, minute_of_day: u32) -> Option<DateTime> {
    let (hour, minute) = (minute_of_day / 60, minute_of_day % 60);
    Some(date.at(i8::try_from(hour).ok()?, i8::try_from(minute).ok()?, 0, 0))
}

fn number(part: i8) -> u32 {
    u32::from(part.unsigned_abs())
}
