//! The index of a library: a table for people and other programs, made from the events.

use super::LibraryError;
use crate::{LibraryEvent, LibraryState};
use serde::Serialize;
use sqlx::sqlite::SqliteRow;
use sqlx::{FromRow, Row as _, SqliteConnection};

/// One line of the index: a version and its statistics.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Row {
    /// Content address.
    pub id: String,
    /// The skill's name.
    pub name: String,
    /// From 1.
    pub version: i64,
    /// `draft`, `trial`, `admitted` or `retired`.
    pub status: String,
    /// Whether it is what its name calls.
    pub active: bool,
    /// One line.
    pub description: String,
    /// The environment that it is for.
    pub environment: String,
    /// When it was written, in milliseconds since 1970.
    pub created_ms: i64,
    /// Uses that succeeded.
    pub successes: i64,
    /// Uses that did not.
    pub failures: i64,
    /// Uses in which the agent died.
    pub deaths: i64,
    /// Environment steps over all uses.
    pub steps: i64,
    /// What the latest failing use threw.
    pub last_error: Option<String>,
}

impl FromRow<'_, SqliteRow> for Row {
    fn from_row(row: &SqliteRow) -> sqlx::Result<Self> {
        Ok(Self {
            id: row.try_get("id")?,
            name: row.try_get("name")?,
            version: row.try_get("version")?,
            status: row.try_get("status")?,
            active: row.try_get("active")?,
            description: row.try_get("description")?,
            environment: row.try_get("environment")?,
            created_ms: row.try_get("created_ms")?,
            successes: row.try_get("successes")?,
            failures: row.try_get("failures")?,
            deaths: row.try_get("deaths")?,
            steps: row.try_get("steps")?,
            last_error: row.try_get("last_error")?,
        })
    }
}

/// Writes the index rows of every version of `name`.
pub(super) async fn write(
    connection: &mut SqliteConnection,
    state: &LibraryState,
    name: &str,
) -> Result<(), LibraryError> {
    let Some(history) = state.history(name) else { return Ok(()) };
    for entry in &history.versions {
        let (manifest, total) = (&entry.skill.manifest, entry.total_usage());
        sqlx::query("INSERT OR REPLACE INTO skills VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)")
            .bind(manifest.id.as_str())
            .bind(&manifest.name)
            .bind(i64::from(manifest.version))
            .bind(entry.status.to_string())
            .bind(history.active().is_some_and(|active| active.id() == entry.id()))
            .bind(&manifest.description)
            .bind(&manifest.environment)
            .bind(manifest.created_ms as i64)
            .bind(i64::from(total.successes))
            .bind(i64::from(total.failures))
            .bind(i64::from(total.deaths))
            .bind(total.steps as i64)
            .bind(total.last_error)
            .execute(&mut *connection)
            .await?;
    }
    Ok(())
}

/// The name of the skill that an event changed.
pub(super) fn name_of<'a>(state: &'a LibraryState, event: &'a LibraryEvent) -> Option<&'a str> {
    match event {
        LibraryEvent::Drafted { skill } => Some(&skill.manifest.name),
        LibraryEvent::RolledBack { name, .. }
        | LibraryEvent::Merged { name, .. }
        | LibraryEvent::Switched { name, .. } => Some(name),
        LibraryEvent::SetAside { .. } => None,
        LibraryEvent::TrialStarted { id }
        | LibraryEvent::Admitted { id, .. }
        | LibraryEvent::ReflexAdmitted { id, .. }
        | LibraryEvent::Retested { id, .. }
        | LibraryEvent::Demoted { id, .. }
        | LibraryEvent::Retired { id, .. }
        | LibraryEvent::Unretired { id }
        | LibraryEvent::Used { id, .. } => Some(&state.entry(id)?.skill.manifest.name),
    }
}
