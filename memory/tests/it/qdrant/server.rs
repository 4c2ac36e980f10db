//! The subset of a Qdrant server that the back end uses: exact search over points in memory, behind gRPC.

use ::qdrant_client::qdrant::collections_server::{Collections, CollectionsServer};
use ::qdrant_client::qdrant::condition::ConditionOneOf;
use ::qdrant_client::qdrant::r#match::MatchValue;
use ::qdrant_client::qdrant::points_selector::PointsSelectorOneOf;
use ::qdrant_client::qdrant::points_server::{Points, PointsServer};
use ::qdrant_client::qdrant::vectors::VectorsOptions;
use ::qdrant_client::qdrant::vectors_config::Config;
use ::qdrant_client::qdrant::*;
use std::collections::{BTreeMap, HashMap};
use std::future::Future;
use std::net::SocketAddr;
use std::pin::Pin;
use std::sync::{Arc, Mutex};
use tokio::net::TcpListener;
use tokio::runtime::Runtime;
use tonic::transport::server::TcpIncoming;
use tonic::{Request, Response, Status};

/// A point's id, its vector and its payload.
type Point = (PointId, Vec<f32>, HashMap<String, Value>);

#[derive(Default)]
struct Collection {
    vectors: Option<VectorsConfig>,
    points: BTreeMap<String, Point>,
}

type State = Arc<Mutex<BTreeMap<String, Collection>>>;

#[derive(Clone)]
struct Service(State);

/// A server that can be stopped and restarted on the same port.
pub struct Server {
    at: SocketAddr,
    state: State,
    /// A runtime of its own, so that stopping it closes all connections.
    running: Option<Runtime>,
}

impl Server {
    pub fn start() -> Self {
        let at = "127.0.0.1:0".parse().unwrap();
        let mut server = Self { at, state: State::default(), running: None };
        server.restart();
        server
    }

    pub fn restart(&mut self) {
        let listener = std::net::TcpListener::bind(self.at).unwrap();
        listener.set_nonblocking(true).unwrap();
        self.at = listener.local_addr().unwrap();
        let service = Service(Arc::clone(&self.state));
        let runtime =
            tokio::runtime::Builder::new_multi_thread().worker_threads(1).enable_all().build().unwrap();
        runtime.spawn(async move {
            let listener = TcpListener::from_std(listener).unwrap();
            tonic::transport::Server::builder()
                .add_service(PointsServer::new(service.clone()))
                .add_service(CollectionsServer::new(service))
                .serve_with_incoming(TcpIncoming::from(listener))
                .await
                .unwrap();
        });
        self.running = Some(runtime);
    }

    /// Closes every connection, as a crash does.
    pub fn stop(&mut self) {
        if let Some(runtime) = self.running.take() {
            runtime.shutdown_background();
        }
    }

    pub fn lose_everything(&self) {
        self.state.lock().unwrap().clear();
    }

    /// Number of memory vectors in all collections.
    pub fn points(&self) -> usize {
        let state = self.state.lock().unwrap();
        state.iter().filter(|(name, _)| name.contains("-m-")).map(|(_, it)| it.points.len()).sum()
    }

    pub fn address(&self) -> String {
        format!("qdrant://{}", self.at)
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        self.stop();
    }
}

fn key(id: &PointId) -> String {
    format!("{:?}", id.point_id_options)
}

fn dense(vectors: Option<Vectors>) -> Option<Vec<f32>> {
    let Some(VectorsOptions::Vector(vector)) = vectors?.vectors_options else { return None };
    match vector.vector? {
        vector::Vector::Dense(dense) => Some(dense.data),
        _ => None,
    }
}

/// Whether a point passes the filter; `None` if a condition is not supported.
fn passes(filter: &Filter, id: &PointId, payload: &HashMap<String, Value>) -> Option<bool> {
    let mut all = true;
    for condition in &filter.must {
        all &= match condition.condition_one_of.as_ref()? {
            ConditionOneOf::HasId(has) => has.has_id.contains(id),
            ConditionOneOf::Field(field) => {
                let value = payload.get(&field.key);
                match (&field.r#match, &field.range) {
                    (Some(wanted), None) => match wanted.match_value.as_ref()? {
                        MatchValue::Keyword(word) => value.and_then(|it| it.as_str()) == Some(word),
                        _ => return None,
                    },
                    (None, Some(Range { lte: Some(most), .. })) => {
                        value.and_then(Value::as_integer).is_some_and(|it| it as f64 <= *most)
                    }
                    _ => return None,
                }
            }
            _ => return None,
        };
    }
    Some(all)
}

fn cosine(a: &[f32], b: &[f32]) -> f32 {
    let dot = |a: &[f32], b: &[f32]| a.iter().zip(b).map(|(x, y)| x * y).sum::<f32>();
    dot(a, b) / (dot(a, a) * dot(b, b)).sqrt()
}

impl Service {
    fn with<T>(&self, name: &str, act: impl FnOnce(&mut Collection) -> T) -> Result<T, Status> {
        let mut state = self.0.lock().unwrap();
        let collection = state.get_mut(name);
        Ok(act(collection.ok_or_else(|| Status::not_found(format!("no collection `{name}`")))?))
    }
}

fn done() -> Response<PointsOperationResponse> {
    let result = UpdateResult { operation_id: Some(1), status: UpdateStatus::Completed.into() };
    Response::new(PointsOperationResponse { result: Some(result), ..Default::default() })
}

fn yes() -> Response<CollectionOperationResponse> {
    Response::new(CollectionOperationResponse { result: true, ..Default::default() })
}

/// Declares methods that the back end never calls.
macro_rules! never {
    ($($name:ident: $asked:ty => $answer:ty,)*) => {$(
        fn $name<'life0, 'async_trait>(
            &'life0 self,
            _: Request<$asked>,
        ) -> Pin<Box<dyn Future<Output = Result<Response<$answer>, Status>> + Send + 'async_trait>>
        where
            'life0: 'async_trait,
            Self: 'async_trait,
        {
            Box::pin(async { Err(Status::unimplemented(stringify!($name))) })
        }
    )*};
}

#[tonic::async_trait]
impl Points for Service {
    async fn upsert(
        &self,
        request: Request<UpsertPoints>,
    ) -> Result<Response<PointsOperationResponse>, Status> {
        let request = request.into_inner();
        self.with(&request.collection_name, |collection| {
            for point in request.points {
                let id = point.id.ok_or_else(|| Status::invalid_argument("a point without an id"))?;
                let vector =
                    dense(point.vectors).ok_or_else(|| Status::invalid_argument("not one dense vector"))?;
                collection.points.insert(key(&id), (id, vector, point.payload));
            }
            Ok(done())
        })?
    }

    async fn delete(
        &self,
        request: Request<DeletePoints>,
    ) -> Result<Response<PointsOperationResponse>, Status> {
        let request = request.into_inner();
        let Some(PointsSelectorOneOf::Points(list)) = request.points.and_then(|it| it.points_selector_one_of)
        else {
            return Err(Status::unimplemented("deleting by filter"));
        };
        self.with(&request.collection_name, |collection| {
            for id in &list.ids {
                collection.points.remove(&key(id));
            }
            done()
        })
    }

    async fn get(&self, request: Request<GetPoints>) -> Result<Response<GetResponse>, Status> {
        let request = request.into_inner();
        self.with(&request.collection_name, |collection| {
            let found = request.ids.iter().filter_map(|id| collection.points.get(&key(id)));
            let result = found
                .map(|(id, _, payload)| RetrievedPoint {
                    id: Some(id.clone()),
                    payload: payload.clone(),
                    ..Default::default()
                })
                .collect();
            Response::new(GetResponse { result, ..Default::default() })
        })
    }

    async fn count(&self, request: Request<CountPoints>) -> Result<Response<CountResponse>, Status> {
        self.with(&request.into_inner().collection_name, |collection| {
            let count = collection.points.len() as u64;
            Response::new(CountResponse { result: Some(CountResult { count }), ..Default::default() })
        })
    }

    async fn query(&self, request: Request<QueryPoints>) -> Result<Response<QueryResponse>, Status> {
        let request = request.into_inner();
        let Some(query::Variant::Nearest(VectorInput {
            variant: Some(vector_input::Variant::Dense(wanted)),
        })) = request.query.and_then(|query| query.variant)
        else {
            return Err(Status::unimplemented("queries other than nearest neighbours of a dense vector"));
        };
        let filter = request.filter.unwrap_or_default();
        self.with(&request.collection_name, |collection| {
            let mut result = Vec::new();
            for (id, vector, payload) in collection.points.values() {
                let passed = passes(&filter, id, payload);
                if passed.ok_or_else(|| Status::unimplemented("this kind of condition"))? {
                    let score = cosine(&wanted.data, vector);
                    result.push(ScoredPoint { id: Some(id.clone()), score, ..Default::default() });
                }
            }
            result.sort_by(|a, b| b.score.total_cmp(&a.score));
            result.truncate(request.limit.unwrap_or(10) as usize);
            Ok(Response::new(QueryResponse { result, ..Default::default() }))
        })?
    }

    async fn create_field_index(
        &self,
        request: Request<CreateFieldIndexCollection>,
    ) -> Result<Response<PointsOperationResponse>, Status> {
        self.with(&request.into_inner().collection_name, |_| done())
    }

    never! {
        update_vectors: UpdatePointVectors => PointsOperationResponse,
        delete_vectors: DeletePointVectors => PointsOperationResponse,
        set_payload: SetPayloadPoints => PointsOperationResponse,
        overwrite_payload: SetPayloadPoints => PointsOperationResponse,
        delete_payload: DeletePayloadPoints => PointsOperationResponse,
        clear_payload: ClearPayloadPoints => PointsOperationResponse,
        delete_field_index: DeleteFieldIndexCollection => PointsOperationResponse,
        create_vector_name: CreateVectorNameRequest => PointsOperationResponse,
        delete_vector_name: DeleteVectorNameRequest => PointsOperationResponse,
        search: SearchPoints => SearchResponse,
        search_batch: SearchBatchPoints => SearchBatchResponse,
        search_groups: SearchPointGroups => SearchGroupsResponse,
        scroll: ScrollPoints => ScrollResponse,
        recommend: RecommendPoints => RecommendResponse,
        recommend_batch: RecommendBatchPoints => RecommendBatchResponse,
        recommend_groups: RecommendPointGroups => RecommendGroupsResponse,
        discover: DiscoverPoints => DiscoverResponse,
        discover_batch: DiscoverBatchPoints => DiscoverBatchResponse,
        update_batch: UpdateBatchPoints => UpdateBatchResponse,
        query_batch: QueryBatchPoints => QueryBatchResponse,
        query_groups: QueryPointGroups => QueryGroupsResponse,
        facet: FacetCounts => FacetResponse,
        search_matrix_pairs: SearchMatrixPoints => SearchMatrixPairsResponse,
        search_matrix_offsets: SearchMatrixPoints => SearchMatrixOffsetsResponse,
    }
}

#[tonic::async_trait]
impl Collections for Service {
    async fn get(
        &self,
        request: Request<GetCollectionInfoRequest>,
    ) -> Result<Response<GetCollectionInfoResponse>, Status> {
        self.with(&request.into_inner().collection_name, |collection| {
            let params =
                CollectionParams { vectors_config: collection.vectors.clone(), ..Default::default() };
            let config = CollectionConfig { params: Some(params), ..Default::default() };
            let info = CollectionInfo { config: Some(config), ..Default::default() };
            Response::new(GetCollectionInfoResponse { result: Some(info), ..Default::default() })
        })
    }

    async fn list(
        &self,
        _: Request<ListCollectionsRequest>,
    ) -> Result<Response<ListCollectionsResponse>, Status> {
        let state = self.0.lock().unwrap();
        let collections = state.keys().map(|name| CollectionDescription { name: name.clone() }).collect();
        Ok(Response::new(ListCollectionsResponse { collections, ..Default::default() }))
    }

    async fn create(
        &self,
        request: Request<CreateCollection>,
    ) -> Result<Response<CollectionOperationResponse>, Status> {
        let request = request.into_inner();
        let one = request.vectors_config.as_ref().and_then(|it| it.config.as_ref());
        if !matches!(one, Some(Config::Params(_))) {
            return Err(Status::unimplemented("named vectors"));
        }
        let mut state = self.0.lock().unwrap();
        if state.contains_key(&request.collection_name) {
            return Err(Status::already_exists(request.collection_name));
        }
        let new = Collection { vectors: request.vectors_config, points: BTreeMap::new() };
        state.insert(request.collection_name, new);
        Ok(yes())
    }

    async fn delete(
        &self,
        request: Request<DeleteCollection>,
    ) -> Result<Response<CollectionOperationResponse>, Status> {
        self.0.lock().unwrap().remove(&request.into_inner().collection_name);
        Ok(yes())
    }

    async fn collection_exists(
        &self,
        request: Request<CollectionExistsRequest>,
    ) -> Result<Response<CollectionExistsResponse>, Status> {
        let exists = self.0.lock().unwrap().contains_key(&request.into_inner().collection_name);
        let result = Some(CollectionExists { exists });
        Ok(Response::new(CollectionExistsResponse { result, ..Default::default() }))
    }

    never! {
        update: UpdateCollection => CollectionOperationResponse,
        update_aliases: ChangeAliases => CollectionOperationResponse,
        list_collection_aliases: ListCollectionAliasesRequest => ListAliasesResponse,
        list_aliases: ListAliasesRequest => ListAliasesResponse,
        collection_cluster_info: CollectionClusterInfoRequest => CollectionClusterInfoResponse,
        update_collection_cluster_setup: UpdateCollectionClusterSetupRequest => UpdateCollectionClusterSetupResponse,
        create_shard_key: CreateShardKeyRequest => CreateShardKeyResponse,
        delete_shard_key: DeleteShardKeyRequest => DeleteShardKeyResponse,
        list_shard_keys: ListShardKeysRequest => ListShardKeysResponse,
    }
}
