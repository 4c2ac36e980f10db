//! Which due times of a schedule are recorded now, and how: a pure function of the schedule, the clock and the runs under way.

use crate::timing::{self, Occurrences, TimingError};
use sojourn_memory::{Due, JobState, Missed, Overlap, RunId, Schedule};

/// A due time that is recorded later than this after it was missed, in milliseconds.
const ON_TIME_MS: i64 = 60_000;
/// Limit on the due times of one schedule that wait for an earlier run.
const MOST_QUEUED: usize = 100;
/// A schedule whose recorded time is this far ahead of the clock was recorded while the clock was wrong, in milliseconds.
const CLOCK_WAS_WRONG_MS: i64 = 86_400_000;

/// The jobs of a schedule that are not settled.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Standing {
    /// Those whose run is under way or paused.
    pub active: usize,
    /// Those whose run has not started.
    pub queued: usize,
}

/// The due times to record.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Plan {
    /// Every due time up to this one is in `dues`, or stands behind one of them.
    pub seen_ms: i64,
    /// The due times, the earliest first: at most two.
    pub dues: Vec<Due>,
}

/// The due times of a schedule that are not recorded yet; `None` where nothing has changed.
///
/// # Errors
/// The schedule's timing cannot be used on this computer.
pub fn plan(
    schedule: &Schedule,
    standing: Standing,
    now_ms: i64,
    mut new_run: impl FnMut() -> RunId,
) -> Result<Option<Plan>, TimingError> {
    let settings = &schedule.settings;
    if schedule.paused {
        return Ok(None);
    }
    if schedule.seen_ms.saturating_sub(now_ms) > CLOCK_WAS_WRONG_MS {
        return Ok(Some(Plan { seen_ms: now_ms, dues: Vec::new() }));
    }
    let seen_ms = schedule.seen_ms;
    let found = timing::between(&settings.timing, settings.created_ms, seen_ms, now_ms)?;
    let Some(Occurrences { latest_ms, earlier }) = found else { return Ok(None) };
    let is_late = now_ms.saturating_sub(latest_ms) > ON_TIME_MS;
    let mut dues = Vec::new();
    let mut left_out = |due_ms, missed, run| {
        let why = Some("nobody was there: the daemon did not run".to_owned());
        dues.push(Due { due_ms, missed, run, state: JobState::Skipped, why });
    };
    let missed = match settings.missed {
        Missed::Run => earlier,
        Missed::Skip if is_late => {
            left_out(latest_ms, earlier, new_run());
            return Ok(Some(Plan { seen_ms: latest_ms, dues }));
        }
        Missed::Skip => {
            if earlier > 0
                && let Some(first) = timing::next(&settings.timing, settings.created_ms, seen_ms)?
            {
                left_out(first, earlier - 1, new_run());
            }
            0
        }
    };
    let busy = standing.active + standing.queued > 0;
    let refusal = match settings.overlap {
        Overlap::Refuse if busy => Some("an earlier run was under way".to_owned()),
        Overlap::Queue if standing.queued >= MOST_QUEUED => {
            Some(format!("{MOST_QUEUED} due times were waiting already"))
        }
        _ => None,
    };
    let state = if refusal.is_some() { JobState::Refused } else { JobState::Due };
    dues.push(Due { due_ms: latest_ms, missed, run: new_run(), state, why: refusal });
    Ok(Some(Plan { seen_ms: latest_ms, dues }))
}

#[cfg(test)]
mod tests {
    use super::*;
    use sojourn_memory::{Arguments, NewSchedule, Timing, Work};

    const HOUR: i64 = 3_600_000;

    fn hourly(missed: Missed, overlap: Overlap) -> Schedule {
        let settings = NewSchedule {
            name: "hourly".to_owned(),
            work: Work::Run { agent: "agent.toml".to_owned(), arguments: Arguments::default(), queue: None },
            timing: Timing::EveryMs(HOUR),
            missed,
            overlap,
            created_ms: 0,
        };
        Schedule { no: 1, settings, seen_ms: 0, paused: false }
    }

    /// A due time, how many it stands for, and its state.
    type Recorded = (i64, u32, JobState);

    fn planned(schedule: &Schedule, standing: Standing, now_ms: i64) -> Option<(i64, Vec<Recorded>)> {
        let plan = plan(schedule, standing, now_ms, || RunId::new(0, 0)).unwrap()?;
        Some((plan.seen_ms, plan.dues.iter().map(|due| (due.due_ms, due.missed, due.state)).collect()))
    }

    #[test]
    fn what_nobody_was_there_for_is_made_up_for_once_or_left_out_and_always_recorded() {
        use JobState::{Due, Skipped};
        let none = Standing::default();
        for (missed, now_ms, expected) in [
            (Missed::Run, HOUR - 1, None),
            (Missed::Run, HOUR + 5, Some((HOUR, vec![(HOUR, 0, Due)]))),
            (Missed::Run, 5 * HOUR + 5, Some((5 * HOUR, vec![(5 * HOUR, 4, Due)]))),
            (Missed::Run, 5 * HOUR + HOUR / 2, Some((5 * HOUR, vec![(5 * HOUR, 4, Due)]))),
            (Missed::Skip, HOUR + 5, Some((HOUR, vec![(HOUR, 0, Due)]))),
            (Missed::Skip, 5 * HOUR + 5, Some((5 * HOUR, vec![(HOUR, 3, Skipped), (5 * HOUR, 0, Due)]))),
            (Missed::Skip, 5 * HOUR + HOUR / 2, Some((5 * HOUR, vec![(5 * HOUR, 4, Skipped)]))),
        ] {
            assert_eq!(
                planned(&hourly(missed, Overlap::Refuse), none, now_ms),
                expected,
                "{missed:?} {now_ms}"
            );
        }
    }

    #[test]
    fn a_due_time_during_an_earlier_run_is_refused_queued_or_started() {
        let state = |overlap, active, queued| {
            let standing = Standing { active, queued };
            planned(&hourly(Missed::Run, overlap), standing, HOUR).unwrap().1[0].2
        };
        assert_eq!(state(Overlap::Refuse, 0, 0), JobState::Due);
        assert_eq!(state(Overlap::Refuse, 1, 0), JobState::Refused);
        assert_eq!(state(Overlap::Queue, 1, MOST_QUEUED - 1), JobState::Due);
        assert_eq!(state(Overlap::Queue, 1, MOST_QUEUED), JobState::Refused);
        assert_eq!(state(Overlap::Allow, 7, 0), JobState::Due);
    }

    #[test]
    fn a_paused_schedule_records_nothing() {
        let paused = Schedule { paused: true, ..hourly(Missed::Run, Overlap::Allow) };
        assert_eq!(planned(&paused, Standing::default(), 9 * HOUR), None);
    }

    #[test]
    fn a_clock_that_was_years_ahead_silences_no_schedule() {
        let ahead = Schedule { seen_ms: 900 * HOUR, ..hourly(Missed::Run, Overlap::Allow) };
        assert_eq!(planned(&ahead, Standing::default(), 5 * HOUR), Some((5 * HOUR, Vec::new())));
        let an_hour = Schedule { seen_ms: 6 * HOUR, ..hourly(Missed::Run, Overlap::Allow) };
        assert_eq!(planned(&an_hour, Standing::default(), 5 * HOUR), None, "nothing is due twice");
    }
}
