//! Secrets that this process obtains while it runs, such as the tokens of a server that somebody signed in to.
//!
//! No agent file names them. The code that obtains a secret registers it here, and the redaction of logs, prompts and errors
//! removes it.

use std::sync::{Arc, PoisonError, RwLock};

/// Pairs of name and value.
pub type Secrets = Arc<Vec<(String, String)>>;

/// Secrets of the whole process, because a log of one run may show a secret that another run obtained. The lock is held for a
/// look-up or an insertion only.
static LEARNED: RwLock<Option<Secrets>> = RwLock::new(None);

/// Registers the secret `value`; redacted texts show `name` in its place. Spaces around it do not count, and an empty value is
/// ignored.
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
