use crate::Priority;
use std::time::{Duration, Instant};

/// Waiting this long raises a job's priority by one, so that no job starves.
const AGING: Duration = Duration::from_secs(20);

/// What determines the order of queued jobs.
pub(super) trait QueueEntry {
    fn priority(&self) -> Priority;
    /// Time of arrival.
    fn since(&self) -> Instant;
}

/// Jobs that wait for the model, in order of arrival.
#[derive(Debug)]
pub(super) struct Queue<J> {
    jobs: Vec<J>,
}

impl<J: QueueEntry> Queue<J> {
    pub(super) fn new() -> Self {
        Self { jobs: Vec::new() }
    }

    pub(super) fn len(&self) -> usize {
        self.jobs.len()
    }

    pub(super) fn is_empty(&self) -> bool {
        self.jobs.is_empty()
    }

    pub(super) fn push(&mut self, job: J) {
        self.jobs.push(job);
    }

    /// Removes and returns all jobs for which `unwanted` is true.
    pub(super) fn take_if(&mut self, unwanted: impl Fn(&J) -> bool) -> Vec<J> {
        let (out, kept) = std::mem::take(&mut self.jobs).into_iter().partition(unwanted);
        self.jobs = kept;
        out
    }

    /// Removes and returns the next job to start.
    ///
    /// Jobs are tried in order of priority, then arrival. A job that may be `Defer`red is skipped. A job that
    /// must `Block` stops the search, so that small jobs do not starve a large one.
    pub(super) fn next(&mut self, now: Instant, admit: impl Fn(&J) -> Admission) -> Option<J> {
        let mut order: Vec<usize> = (0..self.jobs.len()).collect();
        order.sort_by_key(|&at| (std::cmp::Reverse(rank(&self.jobs[at], now)), at));
        for at in order {
            match admit(&self.jobs[at]) {
                Admission::Start => return Some(self.jobs.remove(at)),
                Admission::Defer => {}
                Admission::Block => return None,
            }
        }
        None
    }
}

/// Whether a job may start.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Admission {
    /// Start now.
    Start,
    /// Start after an active job has finished; later jobs may overtake.
    Defer,
    /// The job does not fit now, and no later job may start before it.
    Block,
}

/// The priority of `job`, raised by its waiting time.
fn rank<J: QueueEntry>(job: &J, now: Instant) -> u64 {
    let waited = now.saturating_duration_since(job.since());
    job.priority() as u64 + waited.as_secs() / AGING.as_secs()
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[derive(Debug, Clone)]
    struct Waiting {
        name: usize,
        priority: Priority,
        since: Instant,
    }

    impl QueueEntry for Waiting {
        fn priority(&self) -> Priority {
            self.priority
        }

        fn since(&self) -> Instant {
            self.since
        }
    }

    fn queue(priorities: &[Priority], start: Instant) -> Queue<Waiting> {
        let mut queue = Queue::new();
        for (name, &priority) in priorities.iter().enumerate() {
            queue.push(Waiting { name, priority, since: start });
        }
        queue
    }

    fn drain(queue: &mut Queue<Waiting>, now: Instant) -> Vec<usize> {
        std::iter::from_fn(|| queue.next(now, |_| Admission::Start)).map(|job| job.name).collect()
    }

    #[test]
    fn higher_priority_first_then_arrival_order() {
        let start = Instant::now();
        let all = [Priority::Background, Priority::Acting, Priority::Urgent, Priority::Acting];
        assert_eq!(drain(&mut queue(&all, start), start), [2, 1, 3, 0]);
    }

    #[test]
    fn long_wait_overtakes_higher_priority() {
        let start = Instant::now();
        let mut queue = queue(&[Priority::Background], start);
        let later = start + 3 * AGING;
        queue.push(Waiting { name: 1, priority: Priority::Urgent, since: later });
        assert_eq!(drain(&mut queue, later), [0, 1]);
    }

    #[test]
    fn blocked_job_is_not_overtaken_but_deferred_one_is() {
        let start = Instant::now();
        let mut queue = queue(&[Priority::Acting, Priority::Acting], start);
        let large_first = |job: &Waiting| if job.name == 0 { Admission::Block } else { Admission::Start };
        assert!(queue.next(start, large_first).is_none());
        let patient_first = |job: &Waiting| if job.name == 0 { Admission::Defer } else { Admission::Start };
        assert_eq!(queue.next(start, patient_first).map(|job| job.name), Some(1));
        assert_eq!(queue.len(), 1);
    }

    proptest! {
        /// With any arrivals, no job waits longer than three times the aging interval.
        #[test]
        fn no_job_starves(arrivals in proptest::collection::vec(0u8..3, 1..80)) {
            let start = Instant::now();
            let mut queue = Queue::new();
            queue.push(Waiting { name: usize::MAX, priority: Priority::Background, since: start });
            let mut begun = Vec::new();
            // One job arrives and one starts each second, so the queue is never empty.
            for (second, kind) in arrivals.iter().enumerate() {
                let now = start + Duration::from_secs(second as u64);
                let priority = [Priority::Background, Priority::Acting, Priority::Urgent][usize::from(*kind)];
                queue.push(Waiting { name: second, priority, since: now });
                begun.extend(queue.next(now, |_| Admission::Start).map(|job| job.name));
            }
            let most = 3 * AGING.as_secs() as usize;
            prop_assert!(begun.contains(&usize::MAX) || arrivals.len() <= most);
        }
    }
}
