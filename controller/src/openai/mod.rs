//! A controller behind a chat endpoint: any server that speaks `POST …/chat/completions`.
//!
//! Servers differ in how far they can be held to a constraint ([`Dialect`]), so every answer is checked here
//! again, and answers that break their constraint are asked for again with another seed.

mod endpoint;
mod options;
mod wire;

pub use options::{Dialect, OpenAiOptions};

use crate::{
    Cancel, Completion, Controller, ControllerError, Finish, ModelInfo, Reply, Request, Timing, Usage,
};
use async_trait::async_trait;
use endpoint::Endpoint;
use std::time::{Duration, Instant};

/// How often answers that break their constraint are asked for, the first time included.
const ATTEMPTS: u32 = 3;

/// A model that a server runs.
#[derive(Debug)]
pub struct OpenAiController {
    endpoint: Endpoint,
    options: OpenAiOptions,
    model: ModelInfo,
}

impl OpenAiController {
    /// Prepares to talk to the server that `options` describe; the first request reaches it.
    ///
    /// Fails with [`ControllerError::NoKey`] when the key's environment variable is not set and with
    /// [`ControllerError::BadEndpoint`] when the address is none.
    pub fn new(options: OpenAiOptions) -> Result<Self, ControllerError> {
        let endpoint = Endpoint::new(&options)?;
        let model = ModelInfo {
            name: options.model.clone(),
            source: options.base_url.clone(),
            quantisation: None,
            parameters: None,
            context_tokens: options.context_tokens,
            sha256: None,
        };
        Ok(Self { endpoint, options, model })
    }

    /// Asks until there are as many good answers as wanted.
    async fn gather(&self, request: &Request) -> Result<(Vec<Completion>, Usage), ControllerError> {
        let wanted = request.candidates as usize;
        let mut good = Vec::with_capacity(wanted);
        let mut usage = Usage::default();
        let mut attempt = 0;
        let mut broken = String::new();
        while good.len() < wanted {
            if attempt == ATTEMPTS {
                return Err(ControllerError::Unconstrained { attempts: ATTEMPTS, reason: broken });
            }
            let missing = (wanted - good.len()) as u32;
            let body = wire::body(request, &self.options, missing, attempt);
            let answer = self.endpoint.post(&body).await?;
            let (completions, cost) = wire::answer(&answer, request)
                .map_err(|reason| ControllerError::Garbled { url: self.endpoint.url().to_owned(), reason })?;
            usage.prompt_tokens = usage.prompt_tokens.max(cost.prompt_tokens);
            usage.cached_tokens = usage.cached_tokens.max(cost.cached_tokens);
            usage.completion_tokens += cost.completion_tokens;
            for completion in completions.into_iter().take(missing as usize) {
                // What was cut is a beginning, which its caller is told by `finish`.
                match (&completion.finish, request.constraint.check(&completion.text)?) {
                    (Finish::Complete, Err(reason)) => broken = reason,
                    _ => good.push(completion),
                }
            }
            attempt += 1;
        }
        Ok((good, usage))
    }
}

#[async_trait]
impl Controller for OpenAiController {
    fn model(&self) -> &ModelInfo {
        &self.model
    }

    async fn complete(&self, request: &Request, cancel: &Cancel) -> Result<Reply, ControllerError> {
        if request.candidates == 0 || request.messages.is_empty() {
            let reason = "a request needs a message and at least one candidate".to_owned();
            return Err(ControllerError::BadRequest { reason });
        }
        let start = Instant::now();
        let cut = async {
            match request.deadline_ms {
                Some(limit) => tokio::time::sleep(Duration::from_millis(limit)).await,
                None => std::future::pending().await,
            }
        };
        let (candidates, usage) = tokio::select! {
            gathered = self.gather(request) => gathered?,
            () = cancel.cancelled() => (unfinished(request, &Finish::Cancelled), Usage::default()),
            () = cut => (unfinished(request, &Finish::Deadline), Usage::default()),
        };
        // A server does not tell reading from writing.
        let decode_ms = start.elapsed().as_millis() as u64;
        Ok(Reply { candidates, usage, timing: Timing { decode_ms, ..Timing::default() }, cost_usd: None })
    }
}

/// As many empty answers as were asked for.
fn unfinished(request: &Request, finish: &Finish) -> Vec<Completion> {
    let empty = Completion { text: String::new(), tokens: 0, finish: finish.clone() };
    vec![empty; request.candidates as usize]
}
