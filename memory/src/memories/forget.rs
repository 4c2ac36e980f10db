//! Permanent deletion of a memory and of every copy of its text in the log and the blobs.
//!
//! A log record that quoted the text keeps its sequence number, time and hash; its payload becomes a
//! tombstone. The hash chain still proves that all other records are unchanged. Events that were derived from
//! a deleted payload can no longer be replayed.

use super::store::Memories;
use super::tables::{delete, find};
use super::{Memory, MemoryId, MemoryKind, Tenant};
use crate::{Error, Store, compression, unattended};
use serde::Serialize;
use serde_json::Value;
use sojourn_database::{Access, Connection, Row, Stored, query};
use std::collections::BTreeSet;
use std::fs::File;
use std::io::Read;
use std::path::{Path, PathBuf};

/// Payload of a forgotten record.
pub(crate) const TOMBSTONE: &str = r#"{"$forgotten":true}"#;
/// Shorter texts are not searched for in other records, because they occur in many by chance.
const MIN_NEEDLE_BYTES: usize = 12;
/// Of a longer sentence only so many bytes are searched for, because quotations of it are cut.
const MAX_NEEDLE_BYTES: usize = 120;
/// Number of the last bytes of a picture that are searched for.
const MEDIA_NEEDLE_BYTES: usize = 48;
/// The kind of the record that begins a run.
const STARTED: &str = "started";
/// Number of rows read at once.
const PAGE: i64 = 512;

/// The result of forgetting a memory.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Forgotten {
    /// Id of the memory.
    pub id: MemoryId,
    /// Models whose vectors of it were deleted.
    pub models: Vec<String>,
    /// Number of log records that became tombstones.
    pub records: u64,
    /// Number of deleted blobs: texts, pictures and sounds.
    pub blobs: u64,
    /// True if the index is a server that is unreachable. It deletes the vectors when it is reachable again.
    pub index_behind: bool,
    /// Number of files in the home that were searched for the text afterwards.
    pub files: u64,
    /// Places in the tables that still hold the text, in words: what cannot lose it without being lost itself, such as the first record
    /// of a run.
    pub kept: Vec<String>,
    /// Files that still contain the text. Those of the database among them, if the tables keep it or another process held a read
    /// transaction meanwhile.
    pub residue: Vec<PathBuf>,
}

impl Memories {
    /// Deletes a memory and every copy of its text: its row, keywords and vectors, the index files, log
    /// records and blobs that quote it, the pictures and sounds of these records, its attachment, and questions and messages to
    /// people that quote it. Then
    /// searches every file of the home for the text and for the pictures. Returns `None` if the memory does not exist.
    ///
    /// A text shorter than 12 bytes is deleted only from the memory and from the record it was made of.
    ///
    /// # Errors
    /// Any error of the store. Either nothing was deleted, or the caller can repeat the call.
    pub async fn forget(&self, tenant: &Tenant, id: &MemoryId) -> Result<Option<Forgotten>, Error> {
        let mut transaction = self.store.pool.begin(Access::Write).await?;
        let Some(memory) = find(&mut transaction, tenant, id).await? else { return Ok(None) };
        let models = query(
            "SELECT m.name FROM memory_vectors v JOIN memory_models m ON m.no = v.model \
             JOIN memories ON memories.no = v.memory WHERE memories.id = ? ORDER BY m.name",
        )
        .bind(id.as_bytes().as_slice())
        .fetch_all(&mut *transaction)
        .await?;
        let models = models.iter().map(|row| row.try_get(0)).collect::<Result<_, _>>()?;
        let Erased { records, blobs, needles, mut kept } = erase(&mut transaction, &memory).await?;
        kept.extend(unattended::places(&mut transaction, &needles).await?);
        transaction.commit().await?;
        self.sync().await?;
        let index_behind = match self.index().await?.purge().await {
            Err(Error::IndexUnavailable { .. }) => true,
            result => {
                result?;
                self.feed.lock().await.failure.is_some()
            }
        };
        self.store.checkpoint().await?;
        let home = self.store.home().to_owned();
        let searched = tokio::task::spawn_blocking(move || search(&home, &needles));
        let (files, residue) =
            searched.await.map_err(|error| Error::IndexUnavailable { what: error.to_string() })??;
        Ok(Some(Forgotten { id: *id, models, records, blobs, index_behind, files, kept, residue }))
    }

    /// What [`forget`](Self::forget) would remove, found by doing it in a transaction that is rolled back: numbers of log records and
    /// blobs. `None` if the memory does not exist. Writers wait meanwhile, as they do for `forget`.
    ///
    /// # Errors
    /// Any error of the store.
    pub async fn would_forget(&self, tenant: &Tenant, id: &MemoryId) -> Result<Option<(u64, u64)>, Error> {
        let mut transaction = self.store.pool.begin(Access::Write).await?;
        let Some(memory) = find(&mut transaction, tenant, id).await? else { return Ok(None) };
        let Erased { records, blobs, .. } = erase(&mut transaction, &memory).await?;
        transaction.rollback().await?;
        Ok(Some((records, blobs)))
    }

    /// Whether a memory with this id existed and was forgotten.
    pub async fn was_forgotten(&self, id: &MemoryId) -> Result<bool, Error> {
        let found = query("SELECT 1 FROM memory_tombstones WHERE id = ?").bind(id.as_bytes().as_slice());
        Ok(found.fetch_optional(&self.store.pool).await?.is_some())
    }
}

/// What was erased from the database.
struct Erased {
    records: u64,
    blobs: u64,
    /// What must not be found in any file afterwards.
    needles: Vec<Vec<u8>>,
    /// First records of runs that hold it.
    kept: Vec<String>,
}

/// Deletes a memory and its copies from the database.
async fn erase(transaction: &mut Connection<'_>, memory: &Memory) -> Result<Erased, Error> {
    delete(transaction, &memory.id).await?;
    let mut needles = needles(&memory.text, memory.kind == MemoryKind::Reflection);
    let Records { forgotten: records, media, mut kept } =
        forget_records(transaction, memory, &needles).await?;
    let (mut blobs, kept_blob) = forget_blobs(transaction, &needles).await?;
    if kept_blob && kept.is_empty() {
        kept.push("a text of the first record of a run".to_owned());
    }
    for id in &media {
        if let Some(needle) = forget_media(transaction, id).await? {
            needles.extend(needle);
            blobs += 1;
        }
    }
    if let Some(needle) = forget_attachment(transaction, memory).await? {
        needles.extend(needle);
        blobs += 1;
    }
    unattended::forget(transaction, &needles).await?;
    Ok(Erased { records, blobs, needles, kept })
}

impl Store {
    /// Moves the write-ahead log into the database file. Waits up to 1 s for readers in other processes.
    async fn checkpoint(&self) -> Result<(), Error> {
        let Some(checkpoint) = self.dialect().checkpoint else { return Ok(()) };
        for _ in 0..20 {
            let row = query(checkpoint).fetch_one(&self.pool).await?;
            if row.try_get::<i64, _>(0)? == 0 {
                return Ok(());
            }
            tokio::time::sleep(std::time::Duration::from_millis(50)).await;
        }
        Ok(())
    }
}

/// What to look for: the text, and what a lesson says after the task that it begins with, because the model's reply and the prompts
/// quote that alone. Of a long sentence the beginning is enough: quotations are cut.
fn needles(text: &str, is_lesson: bool) -> Vec<Vec<u8>> {
    let said = text
        .split_once(": ")
        .filter(|_| is_lesson)
        .map(|(_, said)| &said[..said.floor_char_boundary(MAX_NEEDLE_BYTES)]);
    let mut needles: Vec<Vec<u8>> = [Some(text), said].into_iter().flatten().flat_map(spellings).collect();
    needles.dedup();
    needles
}

/// The spellings in which the text can occur in files: plain, JSON, and JSON within JSON.
fn spellings(text: &str) -> Vec<Vec<u8>> {
    let text = text.trim();
    if text.len() < MIN_NEEDLE_BYTES {
        return Vec::new();
    }
    let mut needles = vec![text.to_owned()];
    for depth in 0..2 {
        let quoted = Value::from(needles[depth].as_str()).to_string();
        needles.push(quoted[1..quoted.len() - 1].to_owned());
    }
    needles.dedup();
    needles.into_iter().map(String::into_bytes).collect()
}

fn holds(haystack: &[u8], needles: &[Vec<u8>]) -> bool {
    needles.iter().any(|needle| find_bytes(haystack, needle))
}

/// Whether a text in stored content holds one of the needles. Of JSON the texts are searched as they read, never the notation: a
/// memory that reads like a part of a record must not empty every record. Names of fields count where the needle has a space,
/// which no name of the log's own has.
fn quotes(content: &[u8], needles: &[Vec<u8>]) -> bool {
    if !holds(content, needles) {
        return false;
    }
    let Ok(value) = serde_json::from_slice::<Value>(content) else { return true };
    let spaced: Vec<Vec<u8>> = needles.iter().filter(|needle| needle.contains(&b' ')).cloned().collect();
    let mut open = vec![&value];
    while let Some(value) = open.pop() {
        match value {
            Value::String(text) if holds(text.as_bytes(), needles) => return true,
            Value::Array(items) => open.extend(items),
            Value::Object(fields) => {
                if fields.keys().any(|name| holds(name.as_bytes(), &spaced)) {
                    return true;
                }
                open.extend(fields.values());
            }
            _ => {}
        }
    }
    false
}

fn find_bytes(haystack: &[u8], needle: &[u8]) -> bool {
    let Some((first, rest)) = needle.split_first() else { return false };
    let mut from = 0;
    while let Some(at) = haystack.get(from..).and_then(|left| memchr(*first, left)) {
        let after = from + at + 1;
        if haystack.get(after..after + rest.len()) == Some(rest) {
            return true;
        }
        from = after;
    }
    false
}

fn memchr(byte: u8, haystack: &[u8]) -> Option<usize> {
    haystack.iter().position(|other| *other == byte)
}

/// Decompresses stored content. Content that cannot be decompressed cannot be read by anybody, so it counts
/// as empty.
fn decompressed(stored: &[u8], packed: bool) -> Vec<u8> {
    if packed { compression::decompress(stored).unwrap_or_default() } else { stored.to_owned() }
}

/// What became of the log's records.
#[derive(Default)]
struct Records {
    forgotten: u64,
    /// Pictures and sounds of those that were forgotten.
    media: BTreeSet<[u8; 32]>,
    /// First records of runs, which keep the text.
    kept: Vec<String>,
}

async fn forget_records(
    connection: &mut Connection<'_>,
    memory: &Memory,
    needles: &[Vec<u8>],
) -> Result<Records, Error> {
    let mut found = Records::default();
    let mut after = 0_i64;
    loop {
        let rows = page(
            connection,
            "SELECT place, records.run, seq, runs.id, payload, blobs, records.kind FROM records \
             JOIN runs ON runs.no = records.run WHERE place > ? ORDER BY place LIMIT ?",
            after,
        )
        .await?;
        let Some(last) = rows.last() else { return Ok(found) };
        after = last.try_get(0)?;
        for row in &rows {
            let place: i64 = row.try_get(0)?;
            let (run, seq): (i64, i64) = (row.try_get(1)?, row.try_get(2)?);
            let stored: &[u8] = row.try_get(4)?;
            let payload =
                decompressed(stored, stored.first().copied().is_some_and(compression::is_compressed));
            let id: &str = row.try_get(3)?;
            let own = memory.run.as_ref().is_some_and(|run| id == run.as_str())
                && memory.seq.0 == seq as u64
                && holds(&payload, &[memory.text.trim().as_bytes().to_vec()]);
            if !own && !quotes(&payload, needles) {
                continue;
            }
            // Without its first record a run can be neither replayed nor resumed.
            if !own && row.try_get::<&str, _>(6)? == STARTED {
                found.kept.push(format!("the first record of run `{id}`"));
                continue;
            }
            let (own_blobs, _) = row.try_get::<Option<&[u8]>, _>(5)?.unwrap_or_default().as_chunks::<32>();
            found.media.extend(own_blobs.iter().filter(|id| is_media(&payload, id)));
            query("UPDATE records SET payload = ? WHERE place = ?")
                .bind(Stored(TOMBSTONE))
                .bind(place)
                .execute(&mut *connection)
                .await?;
            query("INSERT INTO forgotten_records VALUES (?, ?) ON CONFLICT DO NOTHING")
                .bind(run)
                .bind(seq)
                .execute(&mut *connection)
                .await?;
            found.forgotten += 1;
        }
    }
}

/// Whether a blob of a record is a picture or a sound: its payload puts other blobs back as texts, by `{"$blob": "…"}`.
fn is_media(payload: &[u8], id: &[u8; 32]) -> bool {
    let reference = format!("\"$blob\":\"{}\"", hex::encode(id));
    !find_bytes(payload, reference.as_bytes())
}

/// Deletes a picture or a sound. Returns what its bytes are recognised by wherever they are stored, or `None` if they are not
/// there.
async fn forget_media(
    connection: &mut Connection<'_>,
    id: &[u8; 32],
) -> Result<Option<Option<Vec<u8>>>, Error> {
    let sql = "SELECT body FROM blobs WHERE id = ?";
    let Some(row) = query(sql).bind(id.as_slice()).fetch_optional(&mut *connection).await? else {
        return Ok(None);
    };
    let body: &[u8] = row.try_get(0)?;
    // The end of the content as it is stored; a monotonous one, such as padding, stands in other files too.
    let end = &body[body.len().saturating_sub(MEDIA_NEEDLE_BYTES)..];
    let distinct = end.iter().collect::<BTreeSet<_>>().len();
    let needle = (distinct >= MIN_NEEDLE_BYTES).then(|| end.to_owned());
    forget_blob(connection, id).await?;
    Ok(Some(needle))
}

/// The rows of `sql` after the number `after`, at most [`PAGE`] of them.
async fn page(connection: &mut Connection<'_>, sql: &'static str, after: i64) -> Result<Vec<Row>, Error> {
    Ok(query(sql).bind(after).bind(PAGE).fetch_all(connection).await?)
}

/// The blobs that first records of runs refer to: see [`forget_records`].
async fn blobs_of_first_records(connection: &mut Connection<'_>) -> Result<BTreeSet<Vec<u8>>, Error> {
    let rows = query("SELECT blobs FROM records WHERE kind = ? AND blobs IS NOT NULL").bind(STARTED);
    let mut found = BTreeSet::new();
    for row in &rows.fetch_all(connection).await? {
        let (ids, _) = row.try_get::<&[u8], _>(0)?.as_chunks::<32>();
        found.extend(ids.iter().map(|id| id.to_vec()));
    }
    Ok(found)
}

/// Returns the number of deleted blobs, and whether one of a first record holds the text and was kept.
async fn forget_blobs(connection: &mut Connection<'_>, needles: &[Vec<u8>]) -> Result<(u64, bool), Error> {
    let begins = blobs_of_first_records(connection).await?;
    let (mut forgotten, mut kept) = (0, false);
    let mut after = 0_i64;
    loop {
        let sql = "SELECT no, id, packed, body FROM blobs WHERE no > ? ORDER BY no LIMIT ?";
        let rows = page(connection, sql, after).await?;
        let Some(last) = rows.last() else { return Ok((forgotten, kept)) };
        after = last.try_get(0)?;
        for row in &rows {
            let id: &[u8] = row.try_get(1)?;
            if !quotes(&decompressed(row.try_get(3)?, row.try_get::<i64, _>(2)? == 1), needles) {
                continue;
            }
            if begins.contains(id) {
                kept = true;
            } else {
                forget_blob(connection, id).await?;
                forgotten += 1;
            }
        }
    }
}

/// Deletes the attachment unless another memory uses the same blob; as [`forget_media`].
async fn forget_attachment(
    connection: &mut Connection<'_>,
    memory: &Memory,
) -> Result<Option<Option<Vec<u8>>>, Error> {
    let Some(attachment) = &memory.attachment else { return Ok(None) };
    let id = attachment.blob.0.as_bytes();
    let other = query("SELECT 1 FROM memories WHERE blob = ?").bind(id.as_slice());
    if other.fetch_optional(&mut *connection).await?.is_some() {
        return Ok(None);
    }
    forget_media(connection, id).await
}

async fn forget_blob(connection: &mut Connection<'_>, id: &[u8]) -> Result<(), Error> {
    query("DELETE FROM blobs WHERE id = ?").bind(id).execute(&mut *connection).await?;
    query("INSERT INTO forgotten_blobs VALUES (?) ON CONFLICT DO NOTHING")
        .bind(id)
        .execute(connection)
        .await?;
    Ok(())
}

/// Counts the files below a directory and returns those that contain a needle.
fn search(directory: &Path, needles: &[Vec<u8>]) -> Result<(u64, Vec<PathBuf>), Error> {
    let io = |path: &Path| {
        let path = path.to_owned();
        move |source| Error::Io { path, source }
    };
    let (mut files, mut found) = (0, Vec::new());
    let mut directories = vec![directory.to_owned()];
    while let Some(directory) = directories.pop() {
        for entry in std::fs::read_dir(&directory).map_err(io(&directory))? {
            let entry = entry.map_err(io(&directory))?;
            let (path, kind) = (entry.path(), entry.file_type().map_err(io(&directory))?);
            if kind.is_dir() {
                directories.push(path);
            } else if kind.is_file() {
                files += 1;
                if file_holds(&path, needles).map_err(io(&path))? {
                    found.push(path);
                }
            }
        }
    }
    Ok((files, found))
}

fn file_holds(path: &Path, needles: &[Vec<u8>]) -> std::io::Result<bool> {
    let longest = needles.iter().map(Vec::len).max().unwrap_or(0);
    let mut file = match File::open(path) {
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => return Ok(false),
        file => file?,
    };
    let mut buffer = Vec::new();
    loop {
        // The end of a chunk is searched again with the next chunk, for needles that span both.
        let kept = buffer.len().min(longest);
        buffer.drain(..buffer.len() - kept);
        if file.by_ref().take(1 << 20).read_to_end(&mut buffer)? == 0 {
            return Ok(false);
        }
        if holds(&buffer, needles) {
            return Ok(true);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_memory_that_reads_like_the_notation_is_found_in_texts_only() {
        let needles = needles("Go east when you see water: \"log_version\":", true);
        let record = serde_json::json!({"log_version": 1, "about": "a survival game"}).to_string();
        assert!(holds(record.as_bytes(), &needles) && !quotes(record.as_bytes(), &needles));
        let quoting = serde_json::json!({"lesson": "it said \"log_version\": 1"}).to_string();
        assert!(quotes(quoting.as_bytes(), &needles));
        let within = serde_json::json!({"reply": quoting}).to_string();
        assert!(quotes(within.as_bytes(), &needles), "JSON within JSON");
        let named = super::needles("the door code", false);
        assert!(quotes(serde_json::json!({"the door code": 1}).to_string().as_bytes(), &named));
        assert!(!quotes(br#"{"deterministic": true}"#, &super::needles("deterministic", false)));
    }

    #[test]
    fn text_is_found_in_every_spelling_and_across_chunks() {
        let text = "say \"open\" \\ sésame\nnow";
        let needles = needles(text, true);
        let once = serde_json::json!({"text": text}).to_string();
        let twice = serde_json::json!({"reply": once}).to_string();
        for haystack in [text, &once, &twice] {
            assert!(holds(haystack.as_bytes(), &needles), "{haystack}");
        }
        assert!(!holds(b"say nothing", &needles));
        let file = tempfile::NamedTempFile::new().unwrap();
        let mut content = vec![b's'; (1 << 20) - 5];
        content.extend(text.as_bytes());
        std::fs::write(file.path(), content).unwrap();
        assert!(file_holds(file.path(), &needles).unwrap());
    }
}
