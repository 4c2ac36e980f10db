//! The server's endpoints in OpenAI's dialect, for editors, scripts and other programs.

use super::Served;
use crate::eyes;
use axum::Router;
use axum::body::Bytes;
use axum::extract::rejection::BytesRejection;
use axum::extract::{Path, State};
use axum::http::{StatusCode, header};
use axum::response::{IntoResponse as _, Response};
use axum::routing::{get, post};
use serde_json::Value;
use sojourn_controller::chat_api::{
    ApiError, CHAT_PATH, ChatAnswer, ChatRequest, EMBEDDINGS_PATH, EmbeddingRequest, Head, Limits,
    MODELS_PATH, model, models,
};
use sojourn_controller::{Cancel, EmbedderInfo};
use std::sync::Arc;
use std::time::{SystemTime, UNIX_EPOCH};

/// Side to which a picture is scaled that is only checked, in pixels.
const SMALL: u32 = 32;

/// The endpoints.
pub(super) fn router() -> Router<Arc<Served>> {
    Router::new()
        .route(MODELS_PATH, get(list))
        .route(&format!("{MODELS_PATH}/{{*id}}"), get(one))
        .route(CHAT_PATH, post(chat))
        .route(EMBEDDINGS_PATH, post(embeddings))
        .fallback(async || refuse(&ApiError::new(404, None, "there is nothing at this address")))
        .method_not_allowed_fallback(async || {
            refuse(&ApiError::new(405, None, "this address does not take requests of this method"))
        })
}

/// Gives the refusal of a request without the token the form that clients expect.
pub(super) async fn in_form(response: Response) -> Response {
    if response.status() != StatusCode::UNAUTHORIZED {
        return response;
    }
    let error = ApiError::new(401, Some("invalid_api_key"), "the server requires its token as the API key");
    let mut refused = refuse(&error);
    if let Some(scheme) = response.headers().get(header::WWW_AUTHENTICATE) {
        refused.headers_mut().insert(header::WWW_AUTHENTICATE, scheme.clone());
    }
    refused
}

async fn list(State(served): State<Arc<Served>>) -> Response {
    let ids: Vec<&str> = served.ids().collect();
    send(StatusCode::OK, &models(&ids, served.since))
}

async fn one(State(served): State<Arc<Served>>, Path(id): Path<String>) -> Response {
    if served.ids().any(|served| served == id) {
        return send(StatusCode::OK, &model(&id, served.since));
    }
    refuse(&ApiError::no_model(&id, &served.ids().collect::<Vec<_>>()))
}

async fn chat(State(served): State<Arc<Served>>, body: Result<Bytes, BytesRejection>) -> Response {
    let answered = async {
        let (request, answer) = read_chat(&served, &whole(body)?).await?;
        let controller = Arc::clone(&served.controller);
        if request.stream {
            return super::stream::answer(controller, request.request, answer).await;
        }
        // A client that disconnects drops this future, which cancels the request.
        let reply = controller.complete(&request.request, &Cancel::new()).await?;
        Ok(send(StatusCode::OK, &answer.whole(&reply)))
    };
    answered.await.unwrap_or_else(|error| refuse(&error))
}

async fn read_chat(served: &Served, body: &[u8]) -> Result<(ChatRequest, ChatAnswer), ApiError> {
    let seed = u64::from_le_bytes(random()?);
    let context_tokens = served.controller.model().context_tokens;
    let limits =
        Limits { most_answers: served.most_answers, context_tokens, seed, sees: served.controller.sees() };
    let request = ChatRequest::read(body, limits).await?;
    check_pictures(&request).await?;
    if ![&served.id, &served.controller.model().name].contains(&&request.model) {
        return Err(ApiError::no_model(&request.model, &[&served.id]));
    }
    let id = format!("chatcmpl-{}", hex::encode(random::<12>()?));
    let created = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default().as_secs();
    let answer = ChatAnswer::new(&request, Head { id, created, model: served.id.clone() });
    Ok((request, answer))
}

/// Refuses a picture that cannot be decoded: the model would answer without it.
async fn check_pictures(request: &ChatRequest) -> Result<(), ApiError> {
    let Some(lens) = eyes::lens().filter(|_| !request.request.pictures.is_empty()) else { return Ok(()) };
    let pictures: Vec<Arc<[u8]>> = request.request.pictures.values().cloned().collect();
    let checking = tokio::task::spawn_blocking(move || {
        pictures.iter().try_for_each(|bytes| lens.pixels(bytes, SMALL).map(drop))
    });
    let fault = match checking.await {
        Ok(checked) => checked,
        Err(error) => Err(error.to_string()),
    };
    fault.map_err(|fault| {
        ApiError::new(400, Some("invalid_image"), format!("a picture cannot be shown: {fault}"))
    })
}

async fn embeddings(State(served): State<Arc<Served>>, body: Result<Bytes, BytesRejection>) -> Response {
    let answered = async {
        let request = EmbeddingRequest::read(&whole(body)?)?;
        let Some((id, embedder)) = &served.embedder else {
            return Err(ApiError::no_model(&request.model, &[]));
        };
        let model: &EmbedderInfo = embedder.model();
        if ![id, &model.name].contains(&&request.model) {
            return Err(ApiError::no_model(&request.model, &[id]));
        }
        request.check(model)?;
        let embedded = embedder.embed_counted(&request.texts).await?;
        Ok(send(StatusCode::OK, &request.answer(id, model, &embedded)?))
    };
    answered.await.unwrap_or_else(|error| refuse(&error))
}

/// The body, if it arrived whole.
fn whole(body: Result<Bytes, BytesRejection>) -> Result<Bytes, ApiError> {
    body.map_err(|rejection| {
        let status = rejection.status();
        let message = match status {
            StatusCode::PAYLOAD_TOO_LARGE => format!("a request has at most {} bytes", super::LONGEST),
            _ => format!("the body did not arrive: {}", rejection.body_text()),
        };
        ApiError::new(status.as_u16(), None, message)
    })
}

fn random<const N: usize>() -> Result<[u8; N], ApiError> {
    let mut bytes = [0; N];
    getrandom::fill(&mut bytes)
        .map_err(|error| ApiError::new(500, None, format!("no random numbers: {error}")))?;
    Ok(bytes)
}

fn refuse(error: &ApiError) -> Response {
    let status = StatusCode::from_u16(error.status).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR);
    send(status, &error.body())
}

fn send(status: StatusCode, value: &Value) -> Response {
    (status, [(header::CONTENT_TYPE, "application/json")], value.to_string()).into_response()
}
