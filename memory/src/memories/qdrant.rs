use super::vectors::{IndexProgress, check_dimension, normalised};
use super::{MemoryId, Point, ScoredMemory, Tenant, Tick, VectorQuery, VectorSpace, VectorStore};
use crate::{Error, Store};
use async_trait::async_trait;
use qdrant_client::qdrant::point_id::PointIdOptions;
use qdrant_client::qdrant::vectors_config::Config;
use qdrant_client::qdrant::{
    Condition, CountPointsBuilder, CreateCollectionBuilder, CreateFieldIndexCollectionBuilder,
    DeletePointsBuilder, Distance, FieldType, Filter, GetPointsBuilder, PointId, PointStruct, PointsIdsList,
    QueryPointsBuilder, Range, SearchParamsBuilder, UpsertPointsBuilder, VectorParamsBuilder,
};
use qdrant_client::{Payload, Qdrant, QdrantError};
use std::collections::{BTreeMap, HashMap};
use std::time::Duration;
use tokio::sync::RwLock;

/// Time limit for connecting and for each request.
const TIMEOUT: Duration = Duration::from_secs(10);
/// Number of points per request.
const BATCH: usize = 256;
/// Name suffix of the collection whose only point holds the applied tick.
const CLOCK: &str = "clock";

/// A vector index in a Qdrant server or cluster.
///
/// Each model has a collection `sojourn-<store>-m-<model>`. A point has the memory's id; its payload is the
/// tenant and the creation tick. The collection `sojourn-<store>-clock` holds the tick up to which the
/// vectors are complete. A server that was unreachable or lost its data gets the missing vectors from that
/// tick on.
pub struct QdrantVectors {
    client: Qdrant,
    prefix: String,
    /// Cache of the models' dimensions.
    dimensions: RwLock<BTreeMap<String, usize>>,
}

impl QdrantVectors {
    /// Connects to the vectors of a store at `http://host:6334` or, equivalently, `qdrant://host:6334`.
    ///
    /// `api_key` is sent if the server requires one. The server may be unreachable at this point.
    ///
    /// # Errors
    /// [`Error::IndexUnavailable`] if the address is invalid.
    pub async fn open(store: &Store, address: &str, api_key: Option<&str>) -> Result<Self, Error> {
        Self::at(address, api_key, &hex::encode(store.id().await?))
    }

    /// Like [`open`](Self::open), with an explicit name in place of the store's id.
    ///
    /// # Errors
    /// [`Error::IndexUnavailable`] if the address is invalid.
    pub fn at(address: &str, api_key: Option<&str>, name: &str) -> Result<Self, Error> {
        let url = address.replacen("qdrant://", "http://", 1);
        let mut config =
            Qdrant::from_url(&url).timeout(TIMEOUT).connect_timeout(TIMEOUT).skip_compatibility_check();
        if let Some(key) = api_key {
            config = config.api_key(key);
        }
        let client = config.build().map_err(failed)?;
        Ok(Self { client, prefix: format!("sojourn-{name}-"), dimensions: RwLock::default() })
    }

    fn collection(&self, model: &str) -> String {
        format!("{}m-{}", self.prefix, escaped(model))
    }

    /// The model's dimension; `None` if the server has no collection for it.
    async fn dimension(&self, model: &str) -> Result<Option<usize>, Error> {
        if let Some(dimension) = self.dimensions.read().await.get(model) {
            return Ok(Some(*dimension));
        }
        let name = self.collection(model);
        if !self.client.collection_exists(&name).await.map_err(failed)? {
            return Ok(None);
        }
        let info = self.client.collection_info(&name).await.map_err(failed)?;
        let config = info
            .result
            .and_then(|info| info.config?.params?.vectors_config?.config)
            .ok_or_else(|| unusable("the server does not report the vector size of a collection"))?;
        let Config::Params(params) = config else {
            return Err(unusable("a collection has named vectors, which are not supported"));
        };
        let dimension = params.size as usize;
        self.dimensions.write().await.insert(model.to_owned(), dimension);
        Ok(Some(dimension))
    }

    async fn create(&self, model: &str, dimension: usize) -> Result<(), Error> {
        let name = self.collection(model);
        let vectors = VectorParamsBuilder::new(dimension as u64, Distance::Cosine);
        let new = CreateCollectionBuilder::new(&name).vectors_config(vectors);
        let created = self.client.create_collection(new).await;
        if let Err(error) = created
            && !self.client.collection_exists(&name).await.map_err(failed)?
        {
            return Err(failed(error));
        }
        for (field, kind) in [("tenant", FieldType::Keyword), ("made", FieldType::Integer)] {
            let index = CreateFieldIndexCollectionBuilder::new(&name, field, kind).wait(true);
            self.client.create_field_index(index).await.map_err(failed)?;
        }
        self.dimensions.write().await.insert(model.to_owned(), dimension);
        Ok(())
    }

    /// Names of this store's models and of their collections.
    async fn models(&self) -> Result<Vec<(String, String)>, Error> {
        let all = self.client.list_collections().await.map_err(failed)?;
        let prefix = format!("{}m-", self.prefix);
        let mut models: Vec<(String, String)> = all
            .collections
            .into_iter()
            .filter_map(|it| Some((unescaped(it.name.strip_prefix(&prefix)?)?, it.name)))
            .collect();
        models.sort();
        Ok(models)
    }

    async fn nearest(
        &self,
        model: &str,
        unit: &[f32],
        (filter, exact): (Filter, bool),
        limit: usize,
    ) -> Result<Vec<ScoredMemory>, Error> {
        let query = QueryPointsBuilder::new(self.collection(model))
            .query(unit.to_vec())
            .filter(filter)
            .params(SearchParamsBuilder::default().exact(exact))
            .limit(limit as u64);
        let found = self.client.query(query).await.map_err(failed)?;
        let scored = |point: qdrant_client::qdrant::ScoredPoint| {
            Ok(ScoredMemory { id: memory(point.id.as_ref())?, cosine: point.score.clamp(-1.0, 1.0) })
        };
        found.result.into_iter().map(scored).collect()
    }
}

#[async_trait]
impl VectorStore for QdrantVectors {
    async fn applied(&self) -> Result<Tick, Error> {
        let name = format!("{}{CLOCK}", self.prefix);
        if !self.client.collection_exists(&name).await.map_err(failed)? {
            return Ok(Tick(0));
        }
        let get = GetPointsBuilder::new(name, vec![PointId::from(1)]).with_payload(true);
        let found = self.client.get_points(get).await.map_err(failed)?;
        let applied = found.result.first().and_then(|point| point.payload.get("applied")?.as_integer());
        Ok(Tick(applied.map_or(0, |tick| tick.max(0) as u64)))
    }

    async fn upsert(&self, model: &str, points: Vec<Point>) -> Result<(), Error> {
        let Some(first) = points.first() else { return Ok(()) };
        let known = self.dimension(model).await?;
        let dimension = known.unwrap_or(first.vector.len());
        let mut structs = Vec::with_capacity(points.len());
        for point in &points {
            check_dimension(model, dimension, &point.vector)?;
            let mut payload = Payload::new();
            payload.insert("tenant", point.tenant.as_str());
            payload.insert("made", point.made.0 as i64);
            structs.push(PointStruct::new(point.id.to_string(), normalised(&point.vector)?, payload));
        }
        if known.is_none() {
            self.create(model, dimension).await?;
        }
        for batch in structs.chunks(BATCH) {
            let upsert = UpsertPointsBuilder::new(self.collection(model), batch.to_vec()).wait(true);
            self.client.upsert_points(upsert).await.map_err(failed)?;
        }
        Ok(())
    }

    async fn remove(&self, ids: &[MemoryId]) -> Result<(), Error> {
        if ids.is_empty() {
            return Ok(());
        }
        for (_, collection) in self.models().await? {
            for batch in ids.chunks(BATCH) {
                let list = PointsIdsList { ids: batch.iter().map(point_id).collect() };
                let delete = DeletePointsBuilder::new(&collection).points(list).wait(true);
                self.client.delete_points(delete).await.map_err(failed)?;
            }
        }
        Ok(())
    }

    async fn advance(&self, to: Tick) -> Result<(), Error> {
        let name = format!("{}{CLOCK}", self.prefix);
        if !self.client.collection_exists(&name).await.map_err(failed)? {
            let new = CreateCollectionBuilder::new(&name)
                .vectors_config(VectorParamsBuilder::new(1, Distance::Cosine));
            self.client.create_collection(new).await.map_err(failed)?;
        }
        let mut payload = Payload::new();
        payload.insert("applied", to.0 as i64);
        let point = PointStruct::new(1, vec![1.0_f32], payload);
        let upsert = UpsertPointsBuilder::new(name, vec![point]).wait(true);
        self.client.upsert_points(upsert).await.map_err(failed)?;
        Ok(())
    }

    async fn search(&self, query: &VectorQuery<'_>) -> Result<Vec<ScoredMemory>, Error> {
        let unit = normalised(query.vector)?;
        let Some(dimension) = self.dimension(query.model).await? else { return Ok(Vec::new()) };
        check_dimension(query.model, dimension, &unit)?;
        let mut conditions = vec![Condition::matches("tenant", query.tenant.as_str().to_owned())];
        if let Some(as_of) = query.as_of {
            let until = Range { lte: Some(as_of.0 as f64), ..Range::default() };
            conditions.push(Condition::range("made", until));
        }
        let filter = (Filter::must(conditions), query.as_of.is_some());
        self.nearest(query.model, &unit, filter, query.k).await
    }

    async fn similarities(
        &self,
        model: &str,
        tenant: &Tenant,
        vector: &[f32],
        ids: &[MemoryId],
    ) -> Result<Vec<Option<f32>>, Error> {
        let unit = normalised(vector)?;
        let Some(dimension) = self.dimension(model).await? else { return Ok(vec![None; ids.len()]) };
        check_dimension(model, dimension, &unit)?;
        let mut scores = HashMap::new();
        for batch in ids.chunks(BATCH * 4) {
            let filter = Filter::must([
                Condition::matches("tenant", tenant.as_str().to_owned()),
                Condition::has_id(batch.iter().map(point_id)),
            ]);
            for scored in self.nearest(model, &unit, (filter, true), batch.len()).await? {
                scores.insert(scored.id, scored.cosine);
            }
        }
        Ok(ids.iter().map(|id| scores.get(id).copied()).collect())
    }

    async fn spaces(&self) -> Result<Vec<VectorSpace>, Error> {
        let mut spaces = Vec::new();
        for (model, collection) in self.models().await? {
            let count = CountPointsBuilder::new(collection).exact(true);
            let count = self.client.count(count).await.map_err(failed)?.result.map_or(0, |it| it.count);
            let dimension = self.dimension(&model).await?.unwrap_or(0);
            spaces.push(VectorSpace { model, dimension, count });
        }
        Ok(spaces)
    }

    async fn clear(&self) -> Result<(), Error> {
        // The clock is deleted first, so that an interrupted call leads to a full upload.
        let clock = format!("{}{CLOCK}", self.prefix);
        let models = self.models().await?.into_iter().map(|(_, collection)| collection);
        for collection in std::iter::once(clock).chain(models) {
            if self.client.collection_exists(&collection).await.map_err(failed)? {
                self.client.delete_collection(&collection).await.map_err(failed)?;
            }
        }
        self.dimensions.write().await.clear();
        Ok(())
    }

    /// Nothing to do: the server drops deleted vectors from its files when it optimises a segment.
    async fn purge(&self) -> Result<(), Error> {
        Ok(())
    }

    async fn flush(&self, _progress: &(dyn Fn(IndexProgress) + Send + Sync)) -> Result<(), Error> {
        Ok(())
    }
}

impl std::fmt::Debug for QdrantVectors {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("QdrantVectors").field("prefix", &self.prefix).finish_non_exhaustive()
    }
}

fn point_id(id: &MemoryId) -> PointId {
    PointId::from(id.to_string())
}

fn memory(id: Option<&PointId>) -> Result<MemoryId, Error> {
    match id.and_then(|id| id.point_id_options.as_ref()) {
        Some(PointIdOptions::Uuid(text)) => text.parse(),
        _ => Err(unusable("a point has an id that is not a UUID")),
    }
}

/// Encodes a model's name for a collection name: letters, digits and `-` stay, other bytes become `_` and two
/// hexadecimal digits.
fn escaped(model: &str) -> String {
    let byte = |byte: u8| match byte {
        b'a'..=b'z' | b'A'..=b'Z' | b'0'..=b'9' | b'-' => char::from(byte).to_string(),
        other => format!("_{other:02x}"),
    };
    model.bytes().map(byte).collect()
}

fn unescaped(name: &str) -> Option<String> {
    let mut parts = name.split('_');
    let mut bytes = parts.next()?.as_bytes().to_vec();
    for part in parts {
        let (code, rest) = part.split_at_checked(2)?;
        bytes.push(u8::from_str_radix(code, 16).ok()?);
        bytes.extend(rest.as_bytes());
    }
    String::from_utf8(bytes).ok()
}

fn unusable(what: &str) -> Error {
    Error::IndexUnavailable { what: what.to_owned() }
}

#[allow(clippy::needless_pass_by_value, reason = "the form that `map_err` takes")]
fn failed(error: QdrantError) -> Error {
    Error::IndexUnavailable { what: error.to_string() }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn model_name_survives_encoding() {
        for model in ["all-minilm-l6-v2", "text_embedding.3/large", "模型", "_", ""] {
            let name = escaped(model);
            assert!(name.bytes().all(|byte| byte.is_ascii_alphanumeric() || byte == b'-' || byte == b'_'));
            assert_eq!(unescaped(&name).as_deref(), Some(model));
        }
    }
}
