use std::collections::VecDeque;
use std::sync::{Arc, Mutex, PoisonError};

/// Media and pairs of media whose results are kept.
const KEPT_RESULTS: usize = 128;

/// The latest results, by the addresses of the media that they are about.
pub(crate) struct Kept<T>(Mutex<VecDeque<(String, Arc<T>)>>);

impl<T> Default for Kept<T> {
    fn default() -> Self {
        Self(Mutex::default())
    }
}

impl<T> Kept<T> {
    pub(crate) fn get(&self, key: &str) -> Option<Arc<T>> {
        let kept = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        kept.iter().find(|(known, _)| known == key).map(|(_, result)| Arc::clone(result))
    }

    pub(crate) fn put(&self, key: String, result: T) -> Arc<T> {
        let result = Arc::new(result);
        let mut kept = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if kept.len() == KEPT_RESULTS {
            kept.pop_front();
        }
        kept.push_back((key, Arc::clone(&result)));
        result
    }
}
