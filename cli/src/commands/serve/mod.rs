//! `sojourn models serve`: one model in memory for any number of runs, and for programs that speak OpenAI's dialect.

mod openai;
mod stream;
#[cfg(test)]
mod tests;

use crate::args::Serve;
use crate::commands::mcp::http::{self, Endpoint};
use crate::supervisor::{self, Task, Work};
use crate::{models, output, session};
use anyhow::{Context as _, Result};
use axum::Router;
use axum::body::Bytes;
use axum::extract::{DefaultBodyLimit, State};
use axum::http::{StatusCode, header};
use axum::middleware::map_response;
use axum::response::{IntoResponse as _, Response};
use axum::routing::{get, post};
use serde::Serialize;
use sojourn_controller::models::{ModelKind, Models};
use sojourn_controller::served::{COMPLETE_PATH, ErrorBody, MODEL_PATH, PostedRequest};
use sojourn_controller::{Cancel, Controller, ControllerError, Embedder};
use sojourn_tools::http_server;
use sojourn_tools::mcp::serve::guarded;
use std::net::SocketAddr;
use std::path::Path;
use std::process::ExitCode;
use std::sync::Arc;
use std::time::{Instant, SystemTime, UNIX_EPOCH};

/// The longest request, in bytes: far more than any context holds.
const LONGEST: usize = 16 << 20;

/// Serves a model until it is interrupted, in a worker process that a supervisor restarts when it dies.
///
/// # Errors
/// When the model is not on this machine or cannot be loaded, or the address is in use.
pub async fn serve(args: Serve) -> Result<ExitCode> {
    let place = Endpoint { address: args.http, token_env: args.token_env.clone(), hosts: Vec::new() };
    let token = http::token(&place)?;
    if args.worker {
        supervisor::follow_supervisor();
        work(args, token).await?;
        return Ok(ExitCode::SUCCESS);
    }
    // A restarted worker must have the address of the first one.
    let address = std::net::TcpListener::bind(args.http).and_then(|listener| listener.local_addr());
    let address = address.with_context(|| format!("cannot listen on {}", args.http))?;
    let variables = vec![(args.token_env.clone(), token)];
    let task = Task::Service(Instant::now());
    supervisor::supervise(Work { args: command_line(&args, address), once: Vec::new(), variables, task })
        .await
}

/// The worker's arguments.
fn command_line(args: &Serve, address: SocketAddr) -> Vec<String> {
    // Every field by its name, so that no option is left out.
    let Serve {
        model,
        http: _,
        token_env,
        context_tokens,
        answers,
        host_cache_mib,
        draft_model,
        mmproj,
        embedding_model,
        threads,
        worker: _,
    } = args;
    let mut line = vec!["models".to_owned(), "serve".to_owned()];
    line.extend(model.clone());
    let mut set = |name: &str, value: Option<String>| {
        line.extend(value.into_iter().flat_map(|value| [name.to_owned(), value]));
    };
    set("--http", Some(address.to_string()));
    set("--token-env", Some(token_env.clone()));
    set("--context-tokens", Some(context_tokens.to_string()));
    set("--answers", Some(answers.to_string()));
    set("--host-cache-mib", Some(host_cache_mib.to_string()));
    set("--draft-model", draft_model.clone());
    set("--mmproj", mmproj.clone());
    set("--embedding-model", embedding_model.clone());
    set("--threads", threads.map(|threads| threads.to_string()));
    line
}

/// Loads the model, and answers requests.
async fn work(args: Serve, token: String) -> Result<()> {
    let catalogue = models::open()?;
    let name = match &args.model {
        Some(name) => name.clone(),
        None => models::default_name(&catalogue, ModelKind::Chat)?,
    };
    // The address first: an error comes before the model is loaded.
    let listener = tokio::net::TcpListener::bind(args.http)
        .await
        .with_context(|| format!("cannot listen on {}", args.http))?;
    output::note(format!("loading the model `{name}`"));
    let draft = args.draft_model.as_deref().map(|draft| models::path(&catalogue, draft)).transpose()?;
    let embedder = embedder(&catalogue, args.embedding_model.as_deref()).await?;
    let controller = models::served(&models::path(&catalogue, &name)?, draft, &args).await?;
    let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default().as_secs();
    let served = Served { id: id_of(&name), controller, embedder, most_answers: args.answers, since };
    let address = listener.local_addr()?;
    let embeds =
        served.embedder.as_ref().map(|(id, _)| format!("; embeddings by `{id}`")).unwrap_or_default();
    output::note(format!(
        "for programs that speak OpenAI's dialect: base URL http://{address}/v1, the token as API key, model `{}`{embeds}",
        served.id
    ));
    let router = router(served, token);
    output::note(format!(
        "serving at http://{address}; in an agent file: [controller] kind = \"served\", base_url = \
         \"http://{address}\", api_key_env = \"{}\"",
        args.token_env
    ));
    let cancel = Cancel::new();
    session::stop_server_on_ctrl_c(cancel.clone());
    let stopped = async move { cancel.cancelled().await };
    Ok(http_server::serve(listener, router, stopped).await?)
}

/// What is served.
struct Served {
    /// The name of the chat model for clients that ask for one by name.
    id: String,
    controller: Arc<dyn Controller>,
    /// The embedding model with its name, if there is one.
    embedder: Option<(String, Arc<dyn Embedder>)>,
    /// Limit on the answers to one request.
    most_answers: u32,
    /// When the server started, in seconds since 1970.
    since: u64,
}

impl Served {
    /// The names of all models.
    fn ids(&self) -> impl Iterator<Item = &str> {
        std::iter::once(self.id.as_str()).chain(self.embedder.as_ref().map(|(id, _)| id.as_str()))
    }
}

/// The name of a model for clients: that of the catalogue, or that of its file.
fn id_of(name: &str) -> String {
    let path = Path::new(name);
    let stem = path
        .file_stem()
        .filter(|_| path.components().count() > 1 || path.extension() == Some("gguf".as_ref()));
    stem.map_or_else(|| name.to_owned(), |stem| stem.to_string_lossy().into_owned())
}

/// The embedding model with this name: by default the catalogue's, if it is on this machine.
async fn embedder(catalogue: &Models, name: Option<&str>) -> Result<Option<(String, Arc<dyn Embedder>)>> {
    match name {
        Some("none") => Ok(None),
        Some(name) => Ok(Some((id_of(name), models::embedder_named(catalogue, name).await?))),
        None => {
            let name = models::default_name(catalogue, ModelKind::Embedding)?;
            Ok(models::embedder_if_present(catalogue).await.map(|embedder| (name, embedder)))
        }
    }
}

/// All endpoints. Each needs the token.
fn router(served: Served, token: String) -> Router {
    let router = openai::router()
        .route(MODEL_PATH, get(model))
        .route(COMPLETE_PATH, post(complete))
        .layer(DefaultBodyLimit::max(LONGEST))
        .with_state(Arc::new(served));
    guarded(router, token).layer(map_response(openai::in_form))
}

async fn model(State(served): State<Arc<Served>>) -> Response {
    answer(StatusCode::OK, served.controller.model())
}

/// A client that disconnects drops this future, which cancels the request.
async fn complete(State(served): State<Arc<Served>>, body: Bytes) -> Response {
    let posted: PostedRequest = match serde_json::from_slice(&body) {
        Ok(posted) => posted,
        Err(error) => return refuse(StatusCode::BAD_REQUEST, &format!("not a valid request: {error}")),
    };
    if !posted.pictures.is_empty() && !served.controller.sees() {
        let error =
            format!("`{}` cannot see: the request must not carry pictures", served.controller.model().name);
        return refuse(StatusCode::BAD_REQUEST, &error);
    }
    let request = match posted.into_request() {
        Ok(request) => request,
        Err(error) => return refuse(StatusCode::BAD_REQUEST, &error.to_string()),
    };
    match served.controller.complete(&request, &Cancel::new()).await {
        Ok(reply) => answer(StatusCode::OK, &reply),
        Err(error) => {
            let status = match error {
                ControllerError::ContextOverflow { .. }
                | ControllerError::BadRequest { .. }
                | ControllerError::BadConstraint { .. } => StatusCode::BAD_REQUEST,
                _ => StatusCode::INTERNAL_SERVER_ERROR,
            };
            refuse(status, &error.to_string())
        }
    }
}

fn refuse(status: StatusCode, error: &str) -> Response {
    answer(status, &ErrorBody { error: error.to_owned() })
}

fn answer(status: StatusCode, value: &impl Serialize) -> Response {
    match serde_json::to_vec(value) {
        Ok(json) => (status, [(header::CONTENT_TYPE, "application/json")], json).into_response(),
        Err(error) => (StatusCode::INTERNAL_SERVER_ERROR, error.to_string()).into_response(),
    }
}
