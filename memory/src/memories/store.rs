use super::corpus::Corpus;
use super::fold::{self, folded};
use super::snippet::snippet;
use super::sync::IndexFeed;
use super::tables::{COLUMNS, add_vectors, decode, find, tick};
use super::{
    Attachment, EmbeddedVectors, Embedding, Memory, MemoryId, MemoryKind, NewMemory, Source, Tenant, Tick,
    VectorSpace, VectorStore, tokenize,
};
use crate::{Error, Hash, Store};
use serde::Serialize;
use sojourn_database::{Access, Connection, query};
use sqlx::AssertSqlSafe;
use std::collections::BTreeMap;
use std::sync::Arc;
use tokio::sync::{Mutex, OnceCell, RwLock};

/// Longest text of a memory, in bytes. Longer content belongs into a blob that the memory describes.
const MAX_TEXT_BYTES: usize = 64 << 10;

/// The memories in a [`Store`]. The tables are the source of truth; the in-memory corpus and the vector index
/// follow them. Cheap to clone.
#[derive(Clone)]
pub struct Memories {
    pub(super) store: Store,
    /// Opened at first use.
    index: Arc<OnceCell<Arc<dyn VectorStore>>>,
    pub(super) corpus: Arc<RwLock<Corpus>>,
    pub(super) feed: Arc<Mutex<IndexFeed>>,
}

/// A result of [`Memories::search`].
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct SearchMatch {
    /// The memory.
    pub memory: Memory,
    /// An excerpt of the text with each found word between `[` and `]`.
    pub snippet: String,
}

/// Size of a tenant's memory.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct MemoryStats {
    /// Number of memories of each kind.
    pub kinds: BTreeMap<MemoryKind, u64>,
    /// Vectors of all tenants, by model.
    pub vectors: Vec<VectorSpace>,
    /// The present tick.
    pub now: Tick,
    /// Why the index is unavailable, if it is. It catches up when it is available again.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub index_failure: Option<String>,
}

impl Memories {
    /// Uses the embedded index in the directory `index` of the store's home.
    pub fn new(store: Store) -> Self {
        Self { store, index: Arc::default(), corpus: Arc::default(), feed: Arc::default() }
    }

    /// Uses `index`, which is filled from the tables at first use.
    pub fn with_index(store: Store, index: Arc<dyn VectorStore>) -> Self {
        Self { index: Arc::new(OnceCell::new_with(Some(index))), ..Self::new(store) }
    }

    /// The underlying store.
    pub fn store(&self) -> &Store {
        &self.store
    }

    pub(super) async fn index(&self) -> Result<&Arc<dyn VectorStore>, Error> {
        let open = async || {
            let mark = self.store.id().await?;
            let directory = self.store.derived().await?.join("index");
            let open = tokio::task::spawn_blocking(move || EmbeddedVectors::open(&directory, mark)).await;
            let index = open.map_err(|error| Error::IndexUnavailable { what: error.to_string() })?;
            Ok::<Arc<dyn VectorStore>, Error>(Arc::new(index))
        };
        self.index.get_or_try_init(open).await
    }

    /// Adds a memory and its vectors. Adding the same memory again changes nothing and succeeds.
    ///
    /// # Errors
    /// [`Error::BadMemory`], [`Error::MemoryExists`], [`Error::UnknownBlob`], [`Error::BadVector`],
    /// [`Error::Dimension`]. Nothing is added then.
    pub async fn remember(&self, new: &NewMemory, vectors: &[Embedding]) -> Result<Memory, Error> {
        let mut transaction = self.store.pool.begin(Access::Write).await?;
        let id = insert(&mut transaction, new, new.id(), None).await?;
        add_vectors(&mut transaction, &id, vectors).await?;
        let memory = find(&mut transaction, &new.tenant, &id).await?;
        transaction.commit().await?;
        memory.ok_or(Error::MemoryExists { id })
    }

    /// Reads a memory by its id.
    pub async fn get(&self, tenant: &Tenant, id: &MemoryId) -> Result<Option<Memory>, Error> {
        find(&mut self.store.pool.acquire().await?, tenant, id).await
    }

    /// Finds at most `limit` memories whose ids start with `beginning`, a prefix in hexadecimal.
    pub async fn find_by_prefix(
        &self,
        tenant: &Tenant,
        beginning: &str,
        limit: usize,
    ) -> Result<Vec<Memory>, Error> {
        let digits: String = beginning.chars().filter(|c| *c != '-').collect();
        if digits.is_empty() || digits.len() > 32 || !digits.bytes().all(|byte| byte.is_ascii_hexdigit()) {
            return Ok(Vec::new());
        }
        let bound = |filler: &str| hex::decode(format!("{digits}{}", filler.repeat(32 - digits.len())));
        let (Ok(first), Ok(last)) = (bound("0"), bound("f")) else { return Ok(Vec::new()) };
        let sql = format!(
            "SELECT {COLUMNS} FROM memories WHERE memories.tenant = ? AND id BETWEEN ? AND ? ORDER BY id LIMIT ?"
        );
        let rows = query(AssertSqlSafe(sql))
            .bind(tenant.as_str())
            .bind(first)
            .bind(last)
            .bind(i64::try_from(limit).unwrap_or(i64::MAX))
            .fetch_all(&self.store.pool)
            .await?;
        rows.iter().map(decode).collect()
    }

    /// Lists at most `limit` memories created after the tick `after`, in the order of creation.
    pub async fn list(&self, tenant: &Tenant, after: Tick, limit: usize) -> Result<Vec<Memory>, Error> {
        let sql =
            format!("SELECT {COLUMNS} FROM memories WHERE tenant = ? AND made > ? ORDER BY made LIMIT ?");
        let rows = query(AssertSqlSafe(sql))
            .bind(tenant.as_str())
            .bind(after.0 as i64)
            .bind(i64::try_from(limit).unwrap_or(i64::MAX))
            .fetch_all(&self.store.pool)
            .await?;
        rows.iter().map(decode).collect()
    }

    /// Finds memories that contain all words of a text, best match first. No character in the text is an
    /// operator.
    pub async fn search(&self, tenant: &Tenant, text: &str, limit: usize) -> Result<Vec<SearchMatch>, Error> {
        let words = tokenize::wanted(text);
        if words.is_empty() {
            return Ok(Vec::new());
        }
        let dialect = self.store.dialect();
        let sql = format!("SELECT {COLUMNS}, {}", dialect.search);
        let rows = query(AssertSqlSafe(sql))
            .bind((dialect.search_terms)(&words))
            .bind(tenant.as_str())
            .bind(i64::try_from(limit).unwrap_or(i64::MAX))
            .fetch_all(&self.store.pool)
            .await?;
        rows.iter()
            .map(|row| {
                let memory = decode(row)?;
                let cut: Option<String> = row.try_get("snippet")?;
                let snippet = cut.unwrap_or_else(|| snippet(&memory.text, &words));
                Ok(SearchMatch { memory, snippet })
            })
            .collect()
    }

    /// Counts a tenant's memories and all tenants' vectors.
    pub async fn stats(&self, tenant: &Tenant) -> Result<MemoryStats, Error> {
        self.sync().await?;
        let rows = query("SELECT kind, count(*) FROM memories WHERE tenant = ? GROUP BY kind")
            .bind(tenant.as_str())
            .fetch_all(&self.store.pool)
            .await?;
        let mut kinds = BTreeMap::new();
        for row in rows {
            if let Some(kind) = MemoryKind::parse(row.try_get(0)?) {
                kinds.insert(kind, row.try_get::<i64, _>(1)? as u64);
            }
        }
        let index_failure = self.feed.lock().await.failure.clone();
        let vectors = self.index().await?.spaces().await.unwrap_or_default();
        Ok(MemoryStats { kinds, vectors, now: self.now().await?, index_failure })
    }

    /// Returns the present tick. Log it with a recall, and pass it as [`Query::as_of`](super::Query::as_of)
    /// to repeat the recall.
    pub async fn now(&self) -> Result<Tick, Error> {
        let row = query("SELECT tick FROM memory_clock").fetch_one(&self.store.pool).await?;
        Ok(Tick(row.try_get::<i64, _>(0)? as u64))
    }
}

impl Store {
    /// Random id of the database. It ties a vector index to its database.
    pub(crate) async fn id(&self) -> Result<[u8; 16], Error> {
        let row = query("SELECT mark FROM memory_store").fetch_one(&self.pool).await?;
        let mark: &[u8] = row.try_get(0)?;
        mark.try_into().map_err(|_| Error::Damaged {
            place: "the id of the store".to_owned(),
            what: "it is not 16 bytes".to_owned(),
        })
    }
}

impl std::fmt::Debug for Memories {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Memories").field("store", &self.store).finish_non_exhaustive()
    }
}

/// Hash of a text without regard to case and white space.
pub(super) fn content_hash(text: &str) -> Hash {
    let words: Vec<_> = text.split_whitespace().map(str::to_lowercase).collect();
    Hash::of(words.join(" ").as_bytes())
}

/// Inserts a memory under this id, unless it exists, and returns the id. `document` is the row number of a
/// document and the position of this passage in it.
pub(super) async fn insert(
    connection: &mut Connection<'_>,
    new: &NewMemory,
    id: MemoryId,
    document: Option<(i64, i64)>,
) -> Result<MemoryId, Error> {
    check(new)?;
    let content_hash = content_hash(&new.text);
    if let Some(known) = find(connection, &new.tenant, &id).await? {
        return if known.content_hash == content_hash { Ok(id) } else { Err(Error::MemoryExists { id }) };
    }
    if let Some(Attachment { blob, .. }) = &new.attachment {
        let known = query("SELECT 1 FROM blobs WHERE id = ?").bind(blob.0.as_bytes().as_slice());
        known.fetch_optional(&mut *connection).await?.ok_or(Error::UnknownBlob { blob: *blob })?;
    }
    let made = tick(connection).await?;
    let row = query(
        "INSERT INTO memories (id, tenant, kind, text, importance, event_time_ms, environment, run, seq, \
         ordinal, expires_at_ms, valid_from_ms, pinned, content_hash, made, document, position, blob, media_type, folded, \
         untrusted) VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?) RETURNING no",
    )
    .bind(id.as_bytes().as_slice())
    .bind(new.tenant.as_str())
    .bind(new.kind.as_str())
    .bind(&new.text)
    .bind(f64::from(new.importance))
    .bind(new.event_time_ms)
    .bind(&new.environment)
    .bind(new.run.as_ref().map(crate::RunId::as_str))
    .bind(new.seq.0 as i64)
    .bind(i64::from(new.ordinal))
    .bind(new.expires_at_ms)
    .bind(new.valid_from_ms)
    .bind(new.pinned)
    .bind(content_hash.as_bytes().as_slice())
    .bind(made.0 as i64)
    .bind(document.map(|(no, _)| no))
    .bind(document.map(|(_, position)| position))
    .bind(new.attachment.as_ref().map(|attachment| attachment.blob.0.as_bytes().as_slice()))
    .bind(new.attachment.as_ref().map(|attachment| attachment.media_type.as_str()))
    .bind(folded(&new.text))
    .bind(new.untrusted)
    .fetch_one(&mut *connection)
    .await?;
    let no: i64 = row.try_get(0)?;
    let own = new.run.clone().map(|run| Source { run, seq: new.seq });
    fold::index(connection, no, &new.text).await?;
    add_sources(connection, no, own.iter().chain(&new.sources)).await?;
    Ok(id)
}

pub(super) async fn add_sources(
    connection: &mut Connection<'_>,
    no: i64,
    sources: impl Iterator<Item = &Source>,
) -> Result<(), Error> {
    for source in sources {
        query("INSERT INTO memory_sources VALUES (?, ?, ?) ON CONFLICT DO NOTHING")
            .bind(no)
            .bind(source.run.as_str())
            .bind(source.seq.0 as i64)
            .execute(&mut *connection)
            .await?;
    }
    Ok(())
}

fn check(new: &NewMemory) -> Result<(), Error> {
    let bad = |what| Err(Error::BadMemory { what });
    if new.text.trim().is_empty() || new.text.len() > MAX_TEXT_BYTES {
        return bad("the text must have 1 to 65536 bytes that are not all white space");
    }
    if !(1.0..=10.0).contains(&new.importance) {
        return bad("the importance must be from 1 to 10");
    }
    if i64::try_from(new.seq.0).is_err() {
        return bad("the record number must be below 2^63");
    }
    let named = |attachment: &Attachment| {
        (3..=100).contains(&attachment.media_type.len()) && attachment.media_type.contains('/')
    };
    if !new.attachment.as_ref().is_none_or(named) {
        return bad("the attachment must have a media type such as `image/png`");
    }
    Ok(())
}
