//! Copies a library into a new one, of either engine.

use super::{Library, LibraryError};
use serde::Serialize;
use sojourn_database::Kind::{Integer, Text};
use sojourn_database::{Access, Table};

/// What a library is made of; all else is derived.
const EVENTS: Table = Table {
    name: "events",
    columns: &[("seq", Integer), ("at_ms", Integer), ("kind", Text), ("payload", Text), ("source", Text)],
    key: 1,
    numbered: false,
    page: 50,
};

/// A copy of a library.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct CopiedLibrary {
    /// Events of each.
    pub events: u64,
    /// The SHA-256 of all events in order, the same of both, in hexadecimal.
    pub sha256: String,
}

impl Library {
    /// Copies the events of this library into `to`, which must have none, or the first of them. In one transaction.
    ///
    /// # Errors
    /// [`LibraryError::OtherContent`] where `to` has others; nothing was changed then.
    pub async fn copy_to(&self, to: &mut Self) -> Result<CopiedLibrary, LibraryError> {
        let mut source = self.pool.acquire().await?;
        let mut transaction = to.pool.begin(Access::Write).await?;
        let mut after = EVENTS.last_key(&mut transaction).await?;
        loop {
            let rows = EVENTS.rows(&mut source, after.as_deref()).await?;
            let Some(last) = rows.last() else { break };
            after = Some(EVENTS.key_of(last).to_vec());
            EVENTS.write(&mut transaction, rows).await?;
        }
        // Before anything is durable: what was there must be the same.
        let compared = EVENTS.compare(&mut source, &mut transaction, |_| true).await?;
        let same = compared.filter(|compared| {
            compared.first_difference.is_none() && compared.sha256[0] == compared.sha256[1]
        });
        let Some(compared) = same else { return Err(LibraryError::OtherContent) };
        transaction.commit().await?;
        to.rebuild().await?;
        Ok(CopiedLibrary { events: compared.rows[0], sha256: hex::encode(compared.sha256[0]) })
    }
}
