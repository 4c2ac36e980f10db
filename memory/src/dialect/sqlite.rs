use super::Dialect;

pub(super) static DIALECT: Dialect = Dialect {
    size: "SELECT page_count * page_size FROM pragma_page_count, pragma_page_size",
    shrink: "VACUUM",
    page_of_records: "SELECT group_concat(line, '') FROM (SELECT \
         printf('%d %d %d %d %d %d %d;', seq, v, at_ms, octet_length(kind), octet_length(payload), \
         coalesce(octet_length(blobs), 0), octet_length(hash)) \
         || kind || payload || coalesce(blobs, '') || hash AS line \
         FROM records WHERE run = ?1 AND seq BETWEEN ?2 AND ?3 ORDER BY seq LIMIT ?4)",
    // Whoever asks holds the lock of the run.
    delete_empty_run: "DELETE FROM runs WHERE id = ?1 AND parent_run IS NULL AND ?2 IS NOT NULL \
         AND NOT EXISTS (SELECT 1 FROM records WHERE records.run = runs.no)",
    search: "snippet(memory_words, 0, '[', ']', '…', 24) AS snippet FROM memory_words \
         JOIN memories ON no = memory_words.rowid WHERE memory_words MATCH ?1 AND \
         memories.tenant = ?2 ORDER BY memory_words.rank, made LIMIT ?3",
    search_terms: match_all,
    index_words: None,
    rebuild_words: Some("INSERT INTO memory_words (memory_words) VALUES ('rebuild')"),
    texts: "SELECT tables.name, columns.name FROM sqlite_schema AS tables JOIN pragma_table_info(tables.name) AS columns \
         WHERE tables.type = 'table' AND tables.sql NOT LIKE 'CREATE VIRTUAL%' AND columns.type LIKE 'TEXT%'",
    checkpoint: Some("PRAGMA wal_checkpoint(TRUNCATE)"),
};

/// An FTS5 query for texts with all of these words. Every word is quoted, so none acts as an operator.
fn match_all(words: &[String]) -> String {
    words.iter().map(|word| format!("\"{word}\"")).collect::<Vec<_>>().join(" ")
}
