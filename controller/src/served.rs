//! Client for a model that another process serves (`sojourn models serve`). Requests and replies use the same
//! JSON as the log.

use crate::client::{api_key, root_cause};
use crate::{
    Cancel, Completion, Controller, ControllerError, Finish, ModelInfo, Priority, Reply, Request, Timing,
    Usage,
};
use async_trait::async_trait;
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use reqwest::{Client, StatusCode, Url};
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;
use std::time::Duration;

/// Path for posting a [`PostedRequest`].
pub const COMPLETE_PATH: &str = "/v1/complete";
/// Path for reading the server's [`ModelInfo`].
pub const MODEL_PATH: &str = "/v1/model";
/// How long an unreachable server is retried, as it may be restarting.
const RETRY_FOR: Duration = Duration::from_mins(2);
/// Longest delay between two attempts.
const MAX_DELAY: Duration = Duration::from_secs(5);

/// The body of a request: a [`Request`] with the fields that its JSON omits.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct PostedRequest {
    /// The request.
    pub request: Request,
    /// Scheduling priority among all clients.
    #[serde(default)]
    pub priority: Priority,
    /// The pictures in the request, in base64 by their address. Only a server whose [`ModelInfo`] says that it sees gets any.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub pictures: BTreeMap<String, String>,
}

impl PostedRequest {
    /// What is posted for `request`, to a model that `sees` or does not.
    pub fn new(request: &Request, sees: bool) -> Self {
        let pictures = request.pictures.iter().filter(|_| sees);
        Self {
            request: request.clone(),
            priority: request.priority,
            pictures: pictures.map(|(blob, bytes)| (blob.clone(), STANDARD.encode(bytes))).collect(),
        }
    }

    /// The request with everything that its JSON omits.
    ///
    /// # Errors
    /// A picture is not in base64.
    pub fn into_request(self) -> Result<Request, ControllerError> {
        let mut request = self.request;
        request.priority = self.priority;
        for (blob, text) in self.pictures {
            let bytes = STANDARD.decode(text).map_err(|error| ControllerError::BadRequest {
                reason: format!("the picture `{blob}` is not in base64: {error}"),
            })?;
            request.pictures.insert(blob, bytes.into());
        }
        Ok(request)
    }
}

/// The body of an error response.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct ErrorBody {
    /// Description for the user.
    pub error: String,
}

/// A model that another Sojourn process serves.
#[derive(Debug)]
pub struct ServedController {
    client: Client,
    complete: Url,
    key: Option<String>,
    model: ModelInfo,
}

impl ServedController {
    /// Connects to the server at `base_url` and reads its [`ModelInfo`]. `key_variable` names the environment
    /// variable that holds the server's token.
    ///
    /// # Errors
    /// [`ControllerError::NoKey`] if the variable is not set; [`ControllerError::BadEndpoint`] if the URL is
    /// invalid; [`ControllerError::Unreachable`] or [`ControllerError::Refused`] if no such server answers.
    pub async fn open(base_url: &str, key_variable: Option<&str>) -> Result<Self, ControllerError> {
        let bad = |reason: String| ControllerError::BadEndpoint { reason };
        let at = |path: &str| {
            Url::parse(&format!("{}{path}", base_url.trim_end_matches('/')))
                .map_err(|error| bad(format!("`{base_url}` is not a URL: {error}")))
        };
        let key = api_key(key_variable)?;
        let client = Client::builder()
            .connect_timeout(Duration::from_secs(10))
            // A redirect could send the token to another host.
            .redirect(reqwest::redirect::Policy::none())
            .build()
            .map_err(|error| bad(error.without_url().to_string()))?;
        let (complete, about) = (at(COMPLETE_PATH)?, at(MODEL_PATH)?);
        let mut asked = client.get(about.clone());
        if let Some(key) = &key {
            asked = asked.bearer_auth(key);
        }
        let answer = asked.send().await.map_err(|error| unreachable(&about, error))?;
        let model = read(&about, answer).await?;
        Ok(Self { client, complete, key, model })
    }

    async fn post(&self, posted: &PostedRequest) -> Result<Reply, ControllerError> {
        let mut waited = Duration::ZERO;
        let mut delay = MAX_DELAY / 20;
        loop {
            let mut post = self.client.post(self.complete.clone()).json(posted);
            if let Some(key) = &self.key {
                post = post.bearer_auth(key);
            }
            let error = match post.send().await {
                Ok(answer) => return read(&self.complete, answer).await,
                Err(error) => unreachable(&self.complete, error),
            };
            if waited >= RETRY_FOR {
                return Err(error);
            }
            tracing::warn!(%error, "the model server is unreachable; retrying");
            tokio::time::sleep(delay).await;
            waited += delay;
            delay = (delay * 2).min(MAX_DELAY);
        }
    }
}

#[async_trait]
impl Controller for ServedController {
    fn model(&self) -> &ModelInfo {
        &self.model
    }

    /// Retries an unreachable server for two minutes. Cancelling closes the connection, which ends the work
    /// there.
    async fn complete(&self, request: &Request, cancel: &Cancel) -> Result<Reply, ControllerError> {
        let posted = PostedRequest::new(request, self.sees());
        tokio::select! {
            reply = self.post(&posted) => reply,
            () = cancel.cancelled() => {
                let empty = Completion::new(String::new(), 0, Finish::Cancelled);
                let candidates = vec![empty; request.candidates as usize];
                Ok(Reply::new(candidates, Usage::default(), Timing::default()))
            }
        }
    }
}

/// Reads a response body, or turns an error response into an error.
async fn read<T: for<'a> Deserialize<'a>>(
    url: &Url,
    answer: reqwest::Response,
) -> Result<T, ControllerError> {
    let status = answer.status();
    let text = answer.text().await.map_err(|error| unreachable(url, error))?;
    let invalid = |reason: String| ControllerError::InvalidResponse { url: url.to_string(), reason };
    if status.is_success() {
        return serde_json::from_str(&text).map_err(|error| invalid(error.to_string()));
    }
    let reason = match serde_json::from_str::<ErrorBody>(&text) {
        Ok(refusal) => refusal.error,
        Err(_) if status == StatusCode::UNAUTHORIZED => {
            "the server requires its token: set `controller.api_key_env`".into()
        }
        Err(_) => text.chars().take(300).collect(),
    };
    Err(ControllerError::Refused { url: url.to_string(), status: status.as_u16(), reason })
}

fn unreachable(url: &Url, error: reqwest::Error) -> ControllerError {
    ControllerError::Unreachable { url: url.to_string(), reason: root_cause(&error.without_url()) }
}
