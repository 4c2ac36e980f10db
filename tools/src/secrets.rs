//! Secrets that this process obtains while it runs, such as the tokens of a server that somebody signed in to.
//!
//! No agent file names them. The code that obtains a secret registers it here, and the redaction of logs, prompts and errors
//! removes it.

use std::sync::{Arc, PoisonError, RwLock};

/// Limit on the number of secrets. A server that gives a token for an hour needs weeks to reach it.
pub const MAX_SECRETS: usize = 500;
/// Limit on all secrets together, in bytes.
pub const MAX_BYTES: usize = 1 << 20;

/// The secrets of this process at one moment.
#[derive(Debug, Clone, Default)]
pub struct Learned {
    /// Pairs of name and value, the latest last.
    pub secrets: Arc<Vec<(String, String)>>,
    /// Changes whenever the secrets do.
    pub generation: u64,
}

/// Secrets of the whole process, because a log of one run may show a secret that another run obtained. The lock is held for a
/// look-up or an insertion only.
static LEARNED: RwLock<Option<Learned>> = RwLock::new(None);

/// Registers the secret `value`; redacted texts show `name` in its place. Spaces around it do not count, and an empty value is
/// ignored. Of more than [`MAX_SECRETS`], or more than [`MAX_BYTES`], the earliest are forgotten: such tokens have long expired.
pub fn learn(name: &str, value: &str) {
    LEARNED.write().unwrap_or_else(PoisonError::into_inner).get_or_insert_default().add(name, value.trim());
}

impl Learned {
    fn add(&mut self, name: &str, value: &str) {
        if value.is_empty() || self.secrets.iter().any(|(_, other)| other == value) {
            return;
        }
        self.generation += 1;
        let secrets = Arc::make_mut(&mut self.secrets);
        secrets.push((name.to_owned(), value.to_owned()));
        let mut bytes: usize = secrets.iter().map(|(_, value)| value.len()).sum();
        let mut expired = 0;
        while secrets.len() - expired > 1 && (secrets.len() - expired > MAX_SECRETS || bytes > MAX_BYTES) {
            bytes -= secrets[expired].1.len();
            expired += 1;
        }
        secrets.drain(..expired);
    }
}

/// All secrets so far.
pub fn learned() -> Learned {
    LEARNED.read().unwrap_or_else(PoisonError::into_inner).clone().unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_server_that_gives_tokens_for_ever_fills_no_memory() {
        let mut learned = Learned::default();
        for number in 0..MAX_SECRETS + 10 {
            learned.add("x", &format!("token-{number:05}"));
        }
        assert_eq!((learned.secrets.len(), learned.secrets[0].1.as_str()), (MAX_SECRETS, "token-00010"));
        let before = learned.generation;
        learned.add("x", &"y".repeat(MAX_BYTES));
        assert_eq!((learned.secrets.len(), learned.generation), (1, before + 1));
    }
}
