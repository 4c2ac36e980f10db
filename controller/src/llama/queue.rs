use crate::Priority;
use std::time::{Duration, Instant};

/// After so long a wait a job counts as one priority more, so that nothing waits for ever.
const PATIENCE: Duration = Duration::from_secs(20);

/// What the order of waiting jobs hangs on.
pub(super) trait QueueEntry {
    /// How much it matters.
    fn priority(&self) -> Priority;
    /// Since when it waits.
    fn since(&self) -> Instant;
}

/// Jobs that wait for the model, in the order in which they came.
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

    /// Takes out all jobs that `unwanted` says are.
    pub(super) fn take_if(&mut self, unwanted: impl Fn(&J) -> bool) -> Vec<J> {
        let (out, kept) = std::mem::take(&mut self.jobs).into_iter().partition(unwanted);
        self.jobs = kept;
        out
    }

    /// Takes out the next job to begin.
    ///
    /// They are asked in order of priority, and of arrival where that is equal. One that may begin `Defer` is passed
    /// over; one for which there is no `Room` keeps all others waiting, so that small jobs do not starve a large one.
    pub(super) fn next(&mut self, now: Instant, may: impl Fn(&J) -> May) -> Option<J> {
        let mut order: Vec<usize> = (0..self.jobs.len()).collect();
        order.sort_by_key(|&at| (std::cmp::Reverse(rank(&self.jobs[at], now)), at));
        for at in order {
            match may(&self.jobs[at]) {
                Admission::Start => return Some(self.jobs.remove(at)),
                Admission::Defer => {}
                Admission::Block => return None,
            }
        }
        None
    }
}

/// Whether a job may begin.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Admission {
    /// Now.
    Start,
    /// It is better off when something under way is done; others need not wait for it.
    Defer,
    /// There is no room for it now, and nobody may take what room there is.
    Block,
}

/// The priority of `job` now, with what it has gained by waiting.
fn rank<J: QueueEntry>(job: &J, now: Instant) -> u64 {
    let waited = now.saturating_duration_since(job.since());
    job.priority() as u64 + waited.as_secs() / PATIENCE.as_secs()
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
    fn what_matters_more_goes_first_and_equals_go_in_the_order_they_came() {
        let start = Instant::now();
        let all = [Priority::Background, Priority::Acting, Priority::Urgent, Priority::Acting];
        assert_eq!(drain(&mut queue(&all, start), start), [2, 1, 3, 0]);
    }

    #[test]
    fn who_has_waited_long_goes_before_what_came_since() {
        let start = Instant::now();
        let mut queue = queue(&[Priority::Background], start);
        let later = start + 3 * PATIENCE;
        queue.push(Waiting { name: 1, priority: Priority::Urgent, since: later });
        assert_eq!(drain(&mut queue, later), [0, 1]);
    }

    #[test]
    fn a_large_job_is_not_overtaken_but_one_that_prefers_to_wait_is() {
        let start = Instant::now();
        let mut queue = queue(&[Priority::Acting, Priority::Acting], start);
        let large_first = |job: &Waiting| if job.name == 0 { Admission::Block } else { Admission::Start };
        assert!(queue.next(start, large_first).is_none());
        let patient_first = |job: &Waiting| if job.name == 0 { Admission::Defer } else { Admission::Start };
        assert_eq!(queue.next(start, patient_first).map(|job| job.name), Some(1));
        assert_eq!(queue.len(), 1);
    }

    proptest! {
        /// Whatever comes in between, no job is passed over by more than those that came within its patience.
        #[test]
        fn nobody_starves(arrivals in proptest::collection::vec(0u8..3, 1..80)) {
            let start = Instant::now();
            let mut queue = Queue::new();
            queue.push(Waiting { name: usize::MAX, priority: Priority::Background, since: start });
            let mut begun = Vec::new();
            // One arrives and one begins each second, so that the queue never empties.
            for (second, kind) in arrivals.iter().enumerate() {
                let now = start + Duration::from_secs(second as u64);
                let priority = [Priority::Background, Priority::Acting, Priority::Urgent][usize::from(*kind)];
                queue.push(Waiting { name: second, priority, since: now });
                begun.extend(queue.next(now, |_| Admission::Start).map(|job| job.name));
            }
            let most = 3 * PATIENCE.as_secs() as usize;
            prop_assert!(begun.contains(&usize::MAX) || arrivals.len() <= most);
        }
    }
}
