//! Subscriptions to changes.

use rmcp::service::SubscriptionSink;
use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, PoisonError};

/// The current subscriptions, by number.
#[derive(Clone, Default)]
pub struct Subscribers(Arc<Mutex<BTreeMap<u64, SubscriptionSink>>>);

impl Subscribers {
    /// Adds a subscription, which ends when the guard is dropped.
    pub fn add(&self, sink: SubscriptionSink) -> Listening {
        let mut all = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let number = all.keys().next_back().map_or(0, |last| last + 1);
        all.insert(number, sink);
        Listening { all: self.clone(), number }
    }

    /// All current subscriptions.
    pub fn now(&self) -> Vec<SubscriptionSink> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).values().cloned().collect()
    }
}

/// A subscription; dropping it ends the subscription.
pub struct Listening {
    all: Subscribers,
    number: u64,
}

impl Drop for Listening {
    fn drop(&mut self) {
        self.all.0.lock().unwrap_or_else(PoisonError::into_inner).remove(&self.number);
    }
}
