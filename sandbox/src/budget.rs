//! The budget that an outermost call and the skills that it calls share.

use crate::{LimitKind, Limits};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use tokio::time::Instant;

/// Limit, in bytes, on the data that the host holds for guests at once: arguments of calls under way and answers not yet fetched.
const MAX_HELD_BYTES: u64 = 128 << 20;
/// Limit on all bytes that cross the border. Ten thousand views of a large state are a tenth of it.
pub(crate) const MAX_TRAFFIC_BYTES: u64 = 4 << 30;
/// Instances that a call and its callees may have at once.
const MAX_INSTANCES: u64 = 64;
/// Memory that a call and its callees may have at once, in memories of one call. A script needs 2 of its 64 MiB to start.
const MEMORIES: u64 = 4;

/// The budget of an outermost call, shared by all calls below it. Fuel and host calls are those of its [`Limits`].
pub(crate) struct Budget {
    fuel: AtomicU64,
    host_calls: AtomicU64,
    traffic: AtomicU64,
    held: AtomicU64,
    memory: AtomicU64,
    instances: AtomicU64,
    /// Wall-clock deadline; `None` if only counted budgets limit the call.
    deadline: Option<Instant>,
}

impl Budget {
    pub(crate) fn new(limits: &Limits, deadline: Option<Instant>) -> Arc<Self> {
        Arc::new(Self {
            fuel: limits.fuel.into(),
            host_calls: u64::from(limits.host_calls).into(),
            traffic: MAX_TRAFFIC_BYTES.into(),
            held: MAX_HELD_BYTES.into(),
            memory: limits.memory_bytes.saturating_mul(MEMORIES).into(),
            instances: MAX_INSTANCES.into(),
            deadline,
        })
    }

    /// The deadline of a call that by itself would have until `own`.
    pub(crate) fn deadline(&self, own: Option<Instant>) -> Option<Instant> {
        [self.deadline, own].into_iter().flatten().min()
    }

    /// The used up limit that leaves no room for another callee; `None` if there is room.
    pub(crate) fn exhausted(&self) -> Option<LimitKind> {
        if self.fuel() == 0 {
            return Some(LimitKind::Fuel);
        }
        self.deadline.is_some_and(|deadline| Instant::now() >= deadline).then_some(LimitKind::Wall)
    }

    pub(crate) fn fuel(&self) -> u64 {
        self.fuel.load(Ordering::Relaxed)
    }

    pub(crate) fn spend_fuel(&self, used: u64) {
        let _ = self
            .fuel
            .fetch_update(Ordering::Relaxed, Ordering::Relaxed, |left| Some(left.saturating_sub(used)));
    }

    /// Counts one host call. Returns false if none is left.
    pub(crate) fn take_host_call(&self) -> bool {
        take(&self.host_calls, 1)
    }

    /// Counts bytes that are about to cross the border. Returns false if there are too many.
    pub(crate) fn take_traffic(&self, bytes: usize) -> bool {
        take(&self.traffic, bytes as u64)
    }

    /// Counts memory of an instance. Returns false if the call and its callees have too much.
    pub(crate) fn take_memory(&self, bytes: u64) -> bool {
        take(&self.memory, bytes)
    }

    pub(crate) fn return_memory(&self, bytes: u64) {
        self.memory.fetch_add(bytes, Ordering::Relaxed);
    }

    /// Permission for one more instance, returned on drop.
    pub(crate) fn enter(self: &Arc<Self>) -> Option<Held> {
        take(&self.instances, 1).then(|| Held {
            budget: Arc::clone(self),
            of: |budget| &budget.instances,
            count: 1,
        })
    }

    /// Permission to hold `bytes` in the host, returned on drop.
    pub(crate) fn hold(self: &Arc<Self>, bytes: usize) -> Option<Held> {
        let count = bytes as u64;
        take(&self.held, count).then(|| Held { budget: Arc::clone(self), of: |budget| &budget.held, count })
    }
}

/// A part of a budget that is in use until this is dropped.
pub(crate) struct Held {
    budget: Arc<Budget>,
    of: fn(&Budget) -> &AtomicU64,
    count: u64,
}

impl Drop for Held {
    fn drop(&mut self) {
        (self.of)(&self.budget).fetch_add(self.count, Ordering::Relaxed);
    }
}

fn take(left: &AtomicU64, count: u64) -> bool {
    left.fetch_update(Ordering::Relaxed, Ordering::Relaxed, |left| left.checked_sub(count)).is_ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_held_comes_back() {
        let budget = Budget::new(&Limits::default(), None);
        let all = budget.hold(MAX_HELD_BYTES as usize).unwrap();
        assert!(budget.hold(1).is_none());
        drop(all);
        assert!(budget.hold(1).is_some());
        let instances: Vec<_> = std::iter::from_fn(|| budget.enter()).collect();
        assert_eq!(instances.len() as u64, MAX_INSTANCES);
        drop(instances);
        assert!(budget.enter().is_some());
    }

    #[test]
    fn nothing_is_taken_where_too_little_is_left() {
        let budget = Budget::new(&Limits { host_calls: 1, ..Limits::default() }, None);
        assert!(budget.take_host_call() && !budget.take_host_call());
        budget.spend_fuel(u64::MAX);
        assert_eq!(budget.fuel(), 0);
    }
}
