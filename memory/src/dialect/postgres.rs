use super::Dialect;
use crate::memories::plain;

pub(super) static DIALECT: Dialect = Dialect {
    size: "SELECT pg_database_size(current_database())",
    shrink: "VACUUM records, blobs",
    page_of_records: "SELECT string_agg(convert_to(format('%s %s %s %s %s %s %s;', seq, v, at_ms, octet_length(kind), \
         length(payload), coalesce(length(blobs), 0), length(hash)) || kind, 'UTF8') \
         || payload || coalesce(blobs, ''::bytea) || hash, ''::bytea ORDER BY seq) \
         FROM (SELECT * FROM records WHERE run = ?1 AND seq BETWEEN ?2 AND ?3 ORDER BY seq LIMIT ?4) page",
    delete_empty_run: "DELETE FROM runs WHERE id = ?1 AND parent_run IS NULL \
         AND (owner IS NULL OR leased_until < clock_timestamp() \
         OR owner != ?2 AND starts_with(owner, split_part(?2, '/', 1) || '/')) \
         AND NOT EXISTS (SELECT 1 FROM records WHERE records.run = runs.no)",
    // Short texts first, as BM25 would have it among texts with the same words.
    search: "NULL::text AS snippet FROM memories WHERE words @> ARRAY(SELECT value FROM json_each(?1)) \
         AND memories.tenant = ?2 ORDER BY cardinality(words), made LIMIT ?3",
    search_terms: list,
    index_words: Some("UPDATE memories SET words = ARRAY(SELECT value FROM json_each(?2)) WHERE no = ?1"),
    rebuild_words: None,
    texts: "SELECT table_name::text, column_name::text FROM information_schema.columns \
         WHERE table_schema = current_schema() AND data_type = 'text' ORDER BY 1, 2",
    checkpoint: None,
};

/// A JSON list of the words as they are indexed.
fn list(words: &[String]) -> String {
    serde_json::json!(words.iter().map(|word| plain(word)).collect::<Vec<_>>()).to_string()
}
