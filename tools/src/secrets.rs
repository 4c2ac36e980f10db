//! Secrets that this process obtains while it runs, such as the tokens of a server that somebody signed in to.
//!
//! No agent file names them. Whoever obtains one tells it here, and everything that writes logs, prompts or errors removes it.

use std::sync::{Arc, PoisonError, RwLock};

/// Pairs of name and value.
pub type Secrets = Arc<Vec<(String, String)>>;

/// A process obtains a handful.
static LEARNED: RwLock<Option<Secrets>> = RwLock::new(None);

/// Tells that `value` is secret; `name` stands for it from now on. An empty value is none.
pub fn learn(name: &str, value: &str) {
    let value = value.trim();
    let mut learned = LEARNED.write().unwrap_or_else(PoisonError::into_inner);
    let known = learned.get_or_insert_default();
    if !value.is_empty() && !known.iter().any(|(_, other)| other == value) {
        Arc::make_mut(known).push((name.to_owned(), value.to_owned()));
    }
}

/// All secrets so far, the latest last. None is ever removed: a text with an old one may come in later.
pub fn learned() -> Secrets {
    LEARNED.read().unwrap_or_else(PoisonError::into_inner).clone().unwrap_or_default()
}
