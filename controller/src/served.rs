//! A controller in another process of this machine, or of another one: `sojourn models serve` has the model, and any
//! number of runs ask it. What goes over the wire are requests and replies as a log has them.

use crate::{
    Cancel, Completion, Controller, ControllerError, Finish, ModelInfo, Priority, Reply, Request, Timing,
    Usage,
};
use async_trait::async_trait;
use reqwest::{Client, StatusCode, Url};
use serde::{Deserialize, Serialize};
use std::time::Duration;

/// Where requests are posted, below the server's address.
pub const COMPLETE_PATH: &str = "/v1/complete";
/// Where the server says which model it has.
pub const MODEL_PATH: &str = "/v1/model";
/// How long a server that is gone is waited for: it may be starting again.
const PATIENCE: Duration = Duration::from_mins(2);
/// The longest time between two tries.
const PAUSE: Duration = Duration::from_secs(5);

/// A request with what is no part of its JSON.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct PostedRequest {
    /// What is asked.
    pub request: Request,
    /// How much it matters beside what others ask.
    #[serde(default)]
    pub priority: Priority,
}

/// Why a request was not answered.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct ErrorBody {
    /// In words.
    pub error: String,
}

/// A model that another Sojourn process runs.
#[derive(Debug)]
pub struct ServedController {
    client: Client,
    complete: Url,
    key: Option<String>,
    model: ModelInfo,
}

impl ServedController {
    /// Asks the server at `base_url` which model it has. The token comes from the environment variable `key_variable`.
    ///
    /// Fails with [`ControllerError::NoKey`] where that is not set, [`ControllerError::BadEndpoint`] where the address is
    /// none, and [`ControllerError::Unreachable`] or [`ControllerError::Refused`] where there is no such server.
    pub async fn open(base_url: &str, key_variable: Option<&str>) -> Result<Self, ControllerError> {
        let bad = |reason: String| ControllerError::BadEndpoint { reason };
        let at = |path: &str| {
            Url::parse(&format!("{}{path}", base_url.trim_end_matches('/')))
                .map_err(|error| bad(format!("`{base_url}` is not an address: {error}")))
        };
        let key = match key_variable {
            None => None,
            Some(variable) => match std::env::var(variable) {
                Ok(key) if !key.trim().is_empty() => Some(key.trim().to_owned()),
                _ => return Err(ControllerError::NoKey { variable: variable.to_owned() }),
            },
        };
        let client = Client::builder()
            .connect_timeout(Duration::from_secs(10))
            // A redirect could carry the token elsewhere.
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
        let mut pause = PAUSE / 20;
        loop {
            let mut post = self.client.post(self.complete.clone()).json(posted);
            if let Some(key) = &self.key {
                post = post.bearer_auth(key);
            }
            let error = match post.send().await {
                Ok(answer) => return read(&self.complete, answer).await,
                Err(error) => unreachable(&self.complete, error),
            };
            if waited >= PATIENCE {
                return Err(error);
            }
            tracing::warn!(%error, "the model's server is gone; trying again");
            tokio::time::sleep(pause).await;
            waited += pause;
            pause = (pause * 2).min(PAUSE);
        }
    }
}

#[async_trait]
impl Controller for ServedController {
    fn model(&self) -> &ModelInfo {
        &self.model
    }

    /// Waits for a server that is gone for two minutes. Closing the connection ends the work there.
    async fn complete(&self, request: &Request, cancel: &Cancel) -> Result<Reply, ControllerError> {
        let posted = PostedRequest { request: request.clone(), priority: request.priority };
        tokio::select! {
            reply = self.post(&posted) => reply,
            () = cancel.cancelled() => {
                let empty = Completion { text: String::new(), tokens: 0, finish: Finish::Cancelled };
                let candidates = vec![empty; request.candidates as usize];
                Ok(Reply::new(candidates, Usage::default(), Timing::default()))
            }
        }
    }
}

/// What the server answered.
async fn read<T: for<'a> Deserialize<'a>>(
    url: &Url,
    answer: reqwest::Response,
) -> Result<T, ControllerError> {
    let status = answer.status();
    let text = answer.text().await.map_err(|error| unreachable(url, error))?;
    let garbled = |reason: String| ControllerError::InvalidResponse { url: url.to_string(), reason };
    if status.is_success() {
        return serde_json::from_str(&text).map_err(|error| garbled(error.to_string()));
    }
    let reason = match serde_json::from_str::<ErrorBody>(&text) {
        Ok(refusal) => refusal.error,
        Err(_) if status == StatusCode::UNAUTHORIZED => {
            "it wants its token: set `controller.api_key_env`".into()
        }
        Err(_) => text.chars().take(300).collect(),
    };
    Err(ControllerError::Refused { url: url.to_string(), status: status.as_u16(), reason })
}

fn unreachable(url: &Url, error: reqwest::Error) -> ControllerError {
    let error = error.without_url();
    // The outermost error only says that sending failed; the innermost says why.
    let mut cause: &dyn std::error::Error = &error;
    while let Some(inner) = cause.source() {
        cause = inner;
    }
    ControllerError::Unreachable { url: url.to_string(), reason: cause.to_string() }
}
