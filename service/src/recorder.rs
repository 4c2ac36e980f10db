//! Records due times, for whoever starts their runs. Any number of processes may do it at once: a due time is recorded by one of them.

use crate::Host;
use crate::dues::{self, Standing};
use crate::timing;
use sojourn_memory::{Error, Job, JobState, Overlap, Schedule, Store, Work};
use std::collections::BTreeSet;
use std::sync::Arc;

/// Records due times.
pub(crate) struct Recorder {
    store: Store,
    host: Arc<dyn Host>,
    /// Schedules whose timing could not be used. Each is complained about once, and then left alone.
    broken: BTreeSet<i64>,
}

impl Recorder {
    pub fn new(store: Store, host: Arc<dyn Host>) -> Self {
        Self { store, host, broken: BTreeSet::new() }
    }

    /// Tries schedules again whose timing could not be used.
    pub fn try_all_again(&mut self) {
        self.broken.clear();
    }

    /// Records the due times of a schedule; `open` are the jobs that are not settled.
    pub async fn record(&mut self, schedule: &Schedule, open: &[Job], now_ms: i64) -> Result<(), Error> {
        // To find that a pattern has no further date takes a while, so it is not looked for every second.
        if self.broken.contains(&schedule.no) {
            return Ok(());
        }
        let of_it = || open.iter().filter(|job| job.schedule == schedule.no);
        let standing = Standing {
            active: of_it().filter(|job| job.state != JobState::Due).count(),
            queued: of_it().filter(|job| job.state == JobState::Due).count(),
        };
        let plan = match dues::plan(schedule, standing, now_ms, || self.host.new_run()) {
            Ok(plan) => plan,
            Err(error) => {
                self.broken.insert(schedule.no);
                self.host.say(&format!("schedule `{}` cannot be used: {error}", schedule.settings.name));
                return Ok(());
            }
        };
        let Some(plan) = plan else { return Ok(()) };
        let recorded = self.store.record_due(schedule, plan.seen_ms, &plan.dues, now_ms).await?;
        for due in recorded.unwrap_or_default() {
            let at = timing::show(&schedule.settings.timing, due.due_ms);
            let missed =
                if due.missed > 0 { format!(", and for {} before", due.missed) } else { String::new() };
            let what = match &due.why {
                Some(why) => format!("{} ({why})", due.state.as_str()),
                None if matches!(schedule.settings.work, Work::CollectLogs(_)) => "log gc".to_owned(),
                None => format!("run `{}`", due.run),
            };
            self.host.say(&format!("[{}] due {at}{missed}: {what}", schedule.settings.name));
        }
        Ok(())
    }
}

/// Whether the run of a due time may begin beside the other open ones of its schedule.
pub(crate) fn may_begin(job: &Job, schedule: &Schedule, open: &[Job]) -> bool {
    schedule.settings.overlap == Overlap::Allow
        || open
            .iter()
            .filter(|other| other.schedule == job.schedule && other.no != job.no)
            .all(|other| other.state == JobState::Due && (other.due_ms, other.no) > (job.due_ms, job.no))
}
