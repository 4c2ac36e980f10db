//! The tables of a store that are copied: columns that both engines have, parents before those that refer to them.

use sojourn_database::Kind::{self, Bytes, Flag, Integer, Real, Stored, Text};
use sojourn_database::Table;

/// Rows of a page where they are small, where they are payloads, and where each may have megabytes.
const SMALL: u32 = 200;
const MIDDLE: u32 = 100;
const LARGE: u32 = 8;

const fn table(
    name: &'static str,
    columns: &'static [(&'static str, Kind)],
    (key, numbered): (usize, bool),
    page: u32,
) -> Table {
    Table { name, columns, key, numbered, page }
}

/// The engine numbers the rows.
const NUMBERED: (usize, bool) = (1, true);

/// Tables whose rows never change once they are written, so that a copy goes on after the last one. A row that was deleted meanwhile is
/// noticed when both sides are compared.
pub(super) const GROWING: [&str; 3] = ["records", "blobs", "memory_vectors"];

/// All tables but those of processes: what they reported last, and the queue of a server.
pub(super) const TABLES: &[Table] = &[
    table(
        "runs",
        &[
            ("no", Integer),
            ("id", Text),
            ("created_ms", Integer),
            ("environment", Text),
            ("model", Text),
            ("parent_run", Text),
            ("parent_seq", Integer),
            ("title", Text),
            ("status", Text),
            ("last_seq", Integer),
            ("last_at_ms", Integer),
            ("head", Bytes),
        ],
        NUMBERED,
        SMALL,
    ),
    table(
        "records",
        &[
            ("place", Integer),
            ("run", Integer),
            ("seq", Integer),
            ("v", Integer),
            ("at_ms", Integer),
            ("kind", Text),
            ("payload", Stored),
            ("blobs", Bytes),
            ("hash", Bytes),
        ],
        NUMBERED,
        MIDDLE,
    ),
    table(
        "blobs",
        &[("no", Integer), ("id", Bytes), ("size", Integer), ("packed", Integer), ("body", Bytes)],
        NUMBERED,
        LARGE,
    ),
    table("forgotten_records", &[("run", Integer), ("seq", Integer)], (2, false), SMALL),
    table("forgotten_blobs", &[("id", Bytes)], (1, false), SMALL),
    table("imported_runs", &[("run", Integer), ("last", Integer)], (1, false), SMALL),
    table(
        "memory_documents",
        &[
            ("no", Integer),
            ("tenant", Text),
            ("uri", Text),
            ("title", Text),
            ("content_hash", Bytes),
            ("added_ms", Integer),
        ],
        NUMBERED,
        SMALL,
    ),
    table(
        "memories",
        &[
            ("no", Integer),
            ("id", Bytes),
            ("tenant", Text),
            ("kind", Text),
            ("text", Text),
            ("importance", Real),
            ("event_time_ms", Integer),
            ("environment", Text),
            ("run", Text),
            ("seq", Integer),
            ("ordinal", Integer),
            ("expires_at_ms", Integer),
            ("valid_to_ms", Integer),
            ("pinned", Flag),
            ("content_hash", Bytes),
            ("helpful", Integer),
            ("harmful", Integer),
            ("made", Integer),
            ("closed", Integer),
            ("valid_from_ms", Integer),
            ("superseded_by", Bytes),
            ("changed", Integer),
            ("document", Integer),
            ("position", Integer),
            ("blob", Bytes),
            ("media_type", Text),
            ("folded", Text),
            ("untrusted", Flag),
        ],
        NUMBERED,
        MIDDLE,
    ),
    table("memory_sources", &[("memory", Integer), ("run", Text), ("seq", Integer)], (3, false), SMALL),
    table("memory_models", &[("no", Integer), ("name", Text), ("dimension", Integer)], NUMBERED, SMALL),
    table(
        "memory_vectors",
        &[("memory", Integer), ("model", Integer), ("vector", Bytes), ("tick", Integer)],
        (2, false),
        MIDDLE,
    ),
    table("memory_tombstones", &[("tick", Integer), ("id", Bytes)], (1, false), SMALL),
    table("memory_consolidations", &[("tenant", Text), ("run", Text), ("seq", Integer)], (3, false), SMALL),
    table(
        "schedules",
        &[
            ("no", Integer),
            ("name", Text),
            ("agent", Text),
            ("arguments", Text),
            ("timing", Text),
            ("missed", Text),
            ("overlap", Text),
            ("created_ms", Integer),
            ("seen_ms", Integer),
            ("paused", Flag),
            ("removed_ms", Integer),
        ],
        NUMBERED,
        SMALL,
    ),
    table(
        "jobs",
        &[
            ("no", Integer),
            ("schedule", Integer),
            ("due_ms", Integer),
            ("run", Text),
            ("state", Text),
            ("missed", Integer),
            ("recorded_ms", Integer),
            ("started_ms", Integer),
            ("ended_ms", Integer),
            ("starts", Integer),
            ("deaths", Integer),
            ("last_seq", Integer),
            ("not_before_ms", Integer),
            ("why", Text),
        ],
        NUMBERED,
        SMALL,
    ),
    table(
        "approvals",
        &[
            ("no", Integer),
            ("run", Text),
            ("seq", Integer),
            ("hash", Text),
            ("call", Text),
            ("reason", Text),
            ("asked_ms", Integer),
            ("expires_ms", Integer),
            ("on_timeout", Text),
            ("state", Text),
            ("answered_ms", Integer),
            ("answered_by", Text),
        ],
        NUMBERED,
        SMALL,
    ),
    table(
        "outbox",
        &[
            ("no", Integer),
            ("run", Text),
            ("agent", Text),
            ("channel", Text),
            ("event", Text),
            ("body", Text),
            ("at_ms", Integer),
            ("attempts", Integer),
            ("next_ms", Integer),
            ("ended_ms", Integer),
            ("failure", Text),
        ],
        NUMBERED,
        SMALL,
    ),
    table("told", &[("run", Text), ("event", Text), ("seq", Integer)], (2, false), SMALL),
    table(
        "requests",
        &[
            ("no", Integer),
            ("run", Text),
            ("what", Text),
            ("body", Text),
            ("asked_by", Text),
            ("asked_ms", Integer),
            ("outcome", Text),
            ("settled_ms", Integer),
        ],
        NUMBERED,
        SMALL,
    ),
];

#[cfg(test)]
mod tests {
    use super::*;
    use crate::Store;
    use sojourn_database::query;
    use std::collections::BTreeSet;

    /// Tables and columns that a copy leaves out on purpose.
    const LEFT_OUT: [&str; 6] =
        ["heartbeats", "memory_clock", "memory_store", "unfinished_copy", "memory_folded", "memory_words"];

    #[tokio::test]
    async fn every_table_and_column_of_a_home_is_copied() {
        let home = tempfile::tempdir().unwrap();
        let store = Store::open(home.path()).await.unwrap();
        let sql = "SELECT tables.name, columns.name FROM sqlite_schema AS tables JOIN pragma_table_info(tables.name) AS columns \
                   WHERE tables.type = 'table' AND tables.name NOT LIKE 'sqlite_%' AND tables.name NOT LIKE 'memory_words_%'";
        let rows = query(sql).fetch_all(&store.pool).await.unwrap();
        let all = rows.iter().map(|row| (row.text(0).unwrap(), row.text(1).unwrap()));
        let there: BTreeSet<(String, String)> =
            all.filter(|(table, _)| !LEFT_OUT.contains(&table.as_str())).collect();
        let copied = TABLES.iter().flat_map(|table| {
            table.columns.iter().map(|(column, _)| (table.name.to_owned(), (*column).to_owned()))
        });
        assert_eq!(copied.collect::<BTreeSet<_>>(), there);
    }
}
