//! Who wants to be told of changes.

use rmcp::service::SubscriptionSink;
use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, PoisonError};

/// Those who listen now, by number.
#[derive(Clone, Default)]
pub struct Subscribers(Arc<Mutex<BTreeMap<u64, SubscriptionSink>>>);

impl Subscribers {
    /// Adds one, until the guard is dropped.
    pub fn add(&self, sink: SubscriptionSink) -> Listening {
        let mut all = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let number = all.keys().next_back().map_or(0, |last| last + 1);
        all.insert(number, sink);
        Listening { all: self.clone(), number }
    }

    /// All of them.
    pub fn now(&self) -> Vec<SubscriptionSink> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).values().cloned().collect()
    }
}

/// One who listens.
pub struct Listening {
    all: Subscribers,
    number: u64,
}

impl Drop for Listening {
    fn drop(&mut self) {
        self.all.0.lock().unwrap_or_else(PoisonError::into_inner).remove(&self.number);
    }
}
