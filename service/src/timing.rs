//! When a schedule is due.
//!
//! All arithmetic is in milliseconds since 1970; only cron patterns and local times look at a calendar. A cron pattern is meant in
//! the local time of its zone: where clocks are set forward over a due time, it is due right after the gap; where they are set
//! back over one, a fixed time is due once.

use croner::Cron;
use croner::parser::{CronParser, Seconds};
use jiff::tz::TimeZone;
use jiff::{Timestamp, Zoned, civil};
use sojourn_memory::Timing;
use std::time::Duration;

/// Missed due times are counted up to this number.
const MOST_COUNTED: u32 = 1000;
/// The shortest time between two due times of `--every`, in milliseconds.
const SHORTEST_MS: i64 = 1000;

/// A timing that cannot be used.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum TimingError {
    /// The cron pattern is not one, or no date ever matches it.
    #[error(
        "`{pattern}` is not a cron pattern: {reason}; write minute, hour, day, month and day of the week: `0 8 * * mon-fri`"
    )]
    Pattern {
        /// The pattern.
        pattern: String,
        /// Why not.
        reason: String,
    },
    /// The zone is not in this computer's database.
    #[error("there is no time zone `{zone}` on this computer; write a name like `Europe/Berlin`, or `UTC`")]
    Zone {
        /// The name.
        zone: String,
    },
    /// The text is not a time.
    #[error("`{text}` is not a time: write `now`, `2026-12-24 18:00` or `2026-12-24T18:00:00Z`")]
    Time {
        /// The text.
        text: String,
    },
    /// Due times would be too close to each other.
    #[error("due times must be at least a second and at most 1000 years apart")]
    Interval,
}

/// The due times of a span of time.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Occurrences {
    /// The latest one, in milliseconds since 1970.
    pub latest_ms: i64,
    /// Number of those before it, counted up to 1000.
    pub earlier: u32,
}

/// A timing that repeats.
///
/// # Errors
/// [`TimingError::Interval`].
pub fn every(interval: Duration) -> Result<Timing, TimingError> {
    const LONGEST_MS: i64 = 1000 * 365 * 86_400_000;
    let ms = i64::try_from(interval.as_millis()).unwrap_or(i64::MAX);
    if (SHORTEST_MS..=LONGEST_MS).contains(&ms) {
        Ok(Timing::EveryMs(ms))
    } else {
        Err(TimingError::Interval)
    }
}

/// A timing by a cron pattern in `zone`; without one, in this computer's.
///
/// # Errors
/// [`TimingError::Pattern`], [`TimingError::Zone`].
pub fn cron(pattern: &str, zone: Option<&str>, now_ms: i64) -> Result<Timing, TimingError> {
    let zone = zone.map_or_else(local_zone, str::to_owned);
    let timing = Timing::Cron { pattern: pattern.to_owned(), zone };
    next(&timing, 0, now_ms)?;
    Ok(timing)
}

/// A timing for one moment: `now`, a local time in `zone` (without one, in this computer's), or a time with its offset.
///
/// # Errors
/// [`TimingError::Time`], [`TimingError::Zone`].
pub fn at(text: &str, zone: Option<&str>, now_ms: i64) -> Result<Timing, TimingError> {
    let bad = || TimingError::Time { text: text.to_owned() };
    if text == "now" {
        // A schedule that is created now counts due times after now.
        return Ok(Timing::AtMs(now_ms.saturating_add(1)));
    }
    if let Ok(instant) = text.parse::<Timestamp>() {
        return Ok(Timing::AtMs(instant.as_millisecond()));
    }
    let local = text.parse::<civil::DateTime>().map_err(|_| bad())?;
    let zoned =
        local.to_zoned(time_zone(&zone.map_or_else(local_zone, str::to_owned))?).map_err(|_| bad())?;
    Ok(Timing::AtMs(zoned.timestamp().as_millisecond()))
}

/// The first due time after `after_ms`; `None` where there is none. `created_ms` is the creation of the schedule.
///
/// # Errors
/// The stored timing cannot be used on this computer.
pub fn next(timing: &Timing, created_ms: i64, after_ms: i64) -> Result<Option<i64>, TimingError> {
    match timing {
        Timing::EveryMs(interval) => {
            let interval = (*interval).max(SHORTEST_MS);
            let past = after_ms.saturating_sub(created_ms).max(0) / interval;
            Ok(Some(created_ms.saturating_add(interval.saturating_mul(past + 1))))
        }
        Timing::AtMs(at) => Ok((*at > after_ms).then_some(*at)),
        Timing::Cron { pattern, zone } => {
            let cron = parse(pattern)?;
            let found = cron.find_next_occurrence(&zoned(after_ms, zone)?, false);
            let found = found.map_err(|error| bad_pattern(pattern, &error.to_string()))?;
            Ok(Some(found.timestamp().as_millisecond()))
        }
    }
}

/// The due times after `after_ms` and up to `until_ms`; `None` where there is none.
///
/// # Errors
/// As [`next`].
pub fn between(
    timing: &Timing,
    created_ms: i64,
    after_ms: i64,
    until_ms: i64,
) -> Result<Option<Occurrences>, TimingError> {
    let Some(first) = next(timing, created_ms, after_ms)?.filter(|first| *first <= until_ms) else {
        return Ok(None);
    };
    if let Timing::EveryMs(interval) = timing {
        let interval = (*interval).max(SHORTEST_MS);
        let earlier = until_ms.saturating_sub(first) / interval;
        let latest_ms = first.saturating_add(earlier.saturating_mul(interval));
        let earlier = u32::try_from(earlier).unwrap_or(MOST_COUNTED).min(MOST_COUNTED);
        return Ok(Some(Occurrences { latest_ms, earlier }));
    }
    let Timing::Cron { pattern, zone } = timing else {
        return Ok(Some(Occurrences { latest_ms: first, earlier: 0 }));
    };
    let (cron, mut at, mut earlier) = (parse(pattern)?, zoned(first, zone)?, 0);
    let until = zoned(until_ms, zone)?;
    while let Some(later) = cron.find_next_occurrence(&at, false).ok().filter(|later| *later <= until) {
        at = later;
        earlier += 1;
        if earlier == MOST_COUNTED {
            at = cron.find_previous_occurrence(&until, true).unwrap_or(at);
            break;
        }
    }
    Ok(Some(Occurrences { latest_ms: at.timestamp().as_millisecond(), earlier }))
}

/// The name of this computer's time zone; `UTC` where it has none.
pub fn local_zone() -> String {
    TimeZone::system().iana_name().unwrap_or("UTC").to_owned()
}

/// A time as people read it, with its offset: `2026-12-24 18:00:00 +01:00`. In the zone of a cron pattern, else this computer's.
pub fn show(timing: &Timing, at_ms: i64) -> String {
    let zone = match timing {
        Timing::Cron { zone, .. } => zone.clone(),
        Timing::EveryMs(_) | Timing::AtMs(_) => local_zone(),
    };
    zoned(at_ms, &zone)
        .map_or_else(|_| at_ms.to_string(), |time| time.strftime("%Y-%m-%d %H:%M:%S %:z").to_string())
}

fn zoned(at_ms: i64, zone: &str) -> Result<Zoned, TimingError> {
    let instant = Timestamp::from_millisecond(at_ms).unwrap_or(Timestamp::MAX);
    Ok(instant.to_zoned(time_zone(zone)?))
}

fn time_zone(zone: &str) -> Result<TimeZone, TimingError> {
    if zone == "UTC" {
        return Ok(TimeZone::UTC);
    }
    TimeZone::get(zone).map_err(|_| TimingError::Zone { zone: zone.to_owned() })
}

fn parse(pattern: &str) -> Result<Cron, TimingError> {
    let parser = CronParser::builder().seconds(Seconds::Optional).build();
    parser.parse(pattern).map_err(|error| bad_pattern(pattern, &error.to_string()))
}

fn bad_pattern(pattern: &str, reason: &str) -> TimingError {
    TimingError::Pattern { pattern: pattern.to_owned(), reason: reason.trim_end_matches('.').to_owned() }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn ms(text: &str) -> i64 {
        text.parse::<Timestamp>().unwrap().as_millisecond()
    }

    fn cron_in(zone: &str, pattern: &str) -> Timing {
        Timing::Cron { pattern: pattern.to_owned(), zone: zone.to_owned() }
    }

    /// The due times after `from`, as UTC.
    fn times(timing: &Timing, from: &str, count: usize) -> Vec<String> {
        let mut at = ms(from);
        let mut found = Vec::new();
        for _ in 0..count {
            at = next(timing, 0, at).unwrap().unwrap();
            found.push(Timestamp::from_millisecond(at).unwrap().to_string());
        }
        found
    }

    #[test]
    fn an_interval_counts_from_the_creation_and_not_from_the_last_run() {
        let hour = every(Duration::from_hours(1)).unwrap();
        let created = ms("2026-11-29T10:20:00Z");
        let due = |after: &str| next(&hour, created, ms(after)).unwrap().unwrap();
        assert_eq!(due("2026-11-29T10:20:00Z"), ms("2026-11-29T11:20:00Z"));
        assert_eq!(due("2026-11-29T11:19:59.999Z"), ms("2026-11-29T11:20:00Z"));
        assert_eq!(due("2026-11-29T11:20:00Z"), ms("2026-11-29T12:20:00Z"));
        assert_eq!(due("2020-01-01T00:00:00Z"), ms("2026-11-29T11:20:00Z"), "a clock that was set back");
    }

    #[test]
    fn missed_due_times_are_counted() {
        let hour = every(Duration::from_hours(1)).unwrap();
        let created = ms("2026-11-29T00:00:00Z");
        let span = |until: &str| between(&hour, created, created, ms(until)).unwrap();
        assert_eq!(span("2026-11-29T00:59:59Z"), None);
        let latest_ms = ms("2026-11-29T05:00:00Z");
        assert_eq!(span("2026-11-29T05:30:00Z"), Some(Occurrences { latest_ms, earlier: 4 }));
        let second = every(Duration::from_secs(1)).unwrap();
        let year = between(&second, created, created, ms("2027-11-29T00:00:00Z")).unwrap().unwrap();
        assert_eq!((year.latest_ms, year.earlier), (ms("2027-11-29T00:00:00Z"), MOST_COUNTED));

        let daily = cron_in("UTC", "0 8 * * *");
        let found = between(&daily, 0, ms("2026-11-20T08:00:00Z"), ms("2026-11-29T07:59:59Z")).unwrap();
        assert_eq!(found, Some(Occurrences { latest_ms: ms("2026-11-28T08:00:00Z"), earlier: 7 }));
        let often = cron_in("UTC", "* * * * *");
        let found =
            between(&often, 0, ms("2026-01-01T00:00:00Z"), ms("2026-11-29T07:59:59Z")).unwrap().unwrap();
        assert_eq!((found.latest_ms, found.earlier), (ms("2026-11-29T07:59:00Z"), MOST_COUNTED));
    }

    #[test]
    fn a_moment_is_due_once() {
        let moment = Timing::AtMs(5000);
        assert_eq!(
            between(&moment, 0, 4999, 5000).unwrap(),
            Some(Occurrences { latest_ms: 5000, earlier: 0 })
        );
        assert_eq!(between(&moment, 0, 5000, i64::MAX).unwrap(), None);
    }

    #[test]
    fn a_pattern_follows_the_clocks_of_its_zone_through_both_changes() {
        // 2026-03-29 at 02:00 clocks in Berlin are set to 03:00, on 2026-10-25 at 03:00 to 02:00.
        let morning = cron_in("Europe/Berlin", "30 2 * * *");
        assert_eq!(
            times(&morning, "2026-03-27T12:00:00Z", 3),
            ["2026-03-28T01:30:00Z", "2026-03-29T01:00:00Z", "2026-03-30T00:30:00Z"],
            "02:30 does not exist on the 29th, so it is due at 03:00, right after the gap"
        );
        assert_eq!(
            times(&morning, "2026-10-24T12:00:00Z", 2),
            ["2026-10-25T00:30:00Z", "2026-10-26T01:30:00Z"],
            "02:30 happens twice on the 25th and is due once"
        );
        let weekdays = cron_in("America/New_York", "0 9 * * mon-fri");
        assert_eq!(
            times(&weekdays, "2026-11-27T12:00:00Z", 2),
            ["2026-11-27T14:00:00Z", "2026-11-30T14:00:00Z"]
        );
    }

    #[test]
    fn local_times_are_meant_in_their_zone_and_shown_with_their_offset() {
        let now = ms("2026-11-29T12:00:00Z");
        let read = |text: &str| at(text, Some("Europe/Berlin"), now);
        assert_eq!(read("2026-12-24 18:00"), Ok(Timing::AtMs(ms("2026-12-24T17:00:00Z"))));
        assert_eq!(read("2026-12-24T18:00:00Z"), Ok(Timing::AtMs(ms("2026-12-24T18:00:00Z"))));
        assert_eq!(read("2026-12-24T18:00:00+02:00"), Ok(Timing::AtMs(ms("2026-12-24T16:00:00Z"))));
        assert_eq!(read("now"), Ok(Timing::AtMs(now + 1)));
        let eve = cron_in("Europe/Berlin", "0 18 24 12 *");
        assert_eq!(show(&eve, ms("2026-12-24T17:00:00Z")), "2026-12-24 18:00:00 +01:00");
    }

    #[test]
    fn what_is_never_due_is_refused_when_it_is_said() {
        let now = ms("2026-11-29T12:00:00Z");
        for pattern in ["", "* * *", "61 * * * *", "0 0 30 2 *", "now"] {
            let refused = cron(pattern, Some("UTC"), now).unwrap_err();
            assert!(matches!(refused, TimingError::Pattern { .. }), "{pattern}: {refused}");
        }
        let nowhere = cron("0 8 * * *", Some("Europe/Berlinn"), now).unwrap_err();
        assert!(nowhere.to_string().contains("`Europe/Berlinn`"), "{nowhere}");
        assert!(at("tomorrow", None, now).unwrap_err().to_string().contains("`tomorrow` is not a time"));
        assert_eq!(every(Duration::from_millis(10)), Err(TimingError::Interval));
    }
}
