//! A table of all versions for people and other programs, derived from the events.

use super::LibraryError;
use crate::{LibraryEvent, LibraryState};
use serde::Serialize;
use sojourn_database::{Connection, Row, query};

/// One row of the index: a version and its statistics.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct IndexRow {
    /// Content address.
    pub id: String,
    /// Name of the skill.
    pub name: String,
    /// Version number, from 1.
    pub version: i64,
    /// `draft`, `trial`, `admitted` or `retired`.
    pub status: String,
    /// Whether a call of the name runs this version.
    pub active: bool,
    /// One-line description.
    pub description: String,
    /// Name of the environment.
    pub environment: String,
    /// Creation time, in milliseconds since 1970.
    pub created_ms: i64,
    /// Successful uses.
    pub successes: i64,
    /// Failed uses.
    pub failures: i64,
    /// Uses during which the agent died.
    pub deaths: i64,
    /// Environment steps over all uses.
    pub steps: i64,
    /// Error of the latest use that had one.
    pub last_error: Option<String>,
}

impl IndexRow {
    pub(super) fn read(row: &Row) -> Result<Self, LibraryError> {
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

/// Writes the rows of all versions of `name`.
pub(super) async fn write(
    connection: &mut Connection<'_>,
    state: &LibraryState,
    name: &str,
) -> Result<(), LibraryError> {
    let Some(history) = state.history(name) else { return Ok(()) };
    for entry in &history.versions {
        let (manifest, total) = (&entry.skill.manifest, entry.total_usage());
        query("DELETE FROM skills WHERE id = ?1 OR (name = ?2 AND version = ?3)")
            .bind(manifest.id.as_str())
            .bind(&manifest.name)
            .bind(i64::from(manifest.version))
            .execute(&mut *connection)
            .await?;
        query("INSERT INTO skills VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)")
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

/// Name of the skill that an event changes.
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
