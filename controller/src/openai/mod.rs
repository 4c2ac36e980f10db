//! A controller for any server with an OpenAI-compatible endpoint (`POST …/chat/completions`).
//!
//! Servers enforce constraints to different degrees ([`Dialect`]). Every answer is therefore checked here;
//! violating and refused answers are requested again with another seed, and end as [`Finish::Refused`]. Reasoning before
//! an answer and a code fence around it are taken off; the reasoning is kept beside the answer, for the log.
//!
//! Answers are streamed if the server supports it. Streaming cuts answers at stop strings early and keeps
//! partial answers at a deadline.

mod accept;
mod control_tokens;
mod endpoint;
mod failure;
mod lenient;
mod options;
mod pictures;
mod rate_limit;
mod reasoning;
mod response;
mod stream;
mod wire;

pub use options::{Dialect, OpenAiOptions, Price};

use crate::{
    Cancel, CheckError, Completion, Controller, ControllerError, Finish, Lens, ModelInfo, PictureTokens,
    Reply, Request, Timing, Usage,
};
use accept::accept;
use async_trait::async_trait;
use endpoint::Endpoint;
use pictures::Urls;
use response::{Outcome, PendingResponse};
use std::sync::Arc;
use std::time::Duration;

/// Number of consecutive responses without a valid answer before the missing answers count as refused.
const ATTEMPTS: u32 = 3;

/// A model behind a chat endpoint.
#[derive(Debug)]
pub struct OpenAiController {
    endpoint: Endpoint,
    options: OpenAiOptions,
    model: ModelInfo,
    /// Scales pictures.
    lens: Option<Arc<dyn Lens>>,
}

/// Results of a request so far.
struct Gathered<'r> {
    good: Vec<Completion>,
    /// The response that is being received.
    pending: Option<PendingResponse<'r>>,
    usage: Usage,
    /// Whether the request shows pictures.
    shows: bool,
    timing: Timing,
    /// Cost in US dollars; `None` once a token count is unknown.
    cost: Option<f64>,
}

impl OpenAiController {
    /// Prepares the endpoint. The first request connects to it.
    ///
    /// # Errors
    /// [`ControllerError::NoKey`] if the environment variable for the API key is not set;
    /// [`ControllerError::BadEndpoint`] if an option is invalid.
    pub fn new(options: OpenAiOptions) -> Result<Self, ControllerError> {
        let endpoint = Endpoint::new(&options)?;
        let model = ModelInfo {
            name: options.model.clone(),
            source: options.base_url.clone(),
            quantisation: None,
            parameters: None,
            context_tokens: options.context_tokens,
            sha256: None,
            sees: options.picture_side.is_some(),
        };
        Ok(Self { endpoint, options, model, lens: None })
    }

    /// Has pictures scaled down by `lens`. Without one, only pictures are shown that need not be.
    #[must_use]
    pub fn with_lens(mut self, lens: Option<Arc<dyn Lens>>) -> Self {
        self.lens = lens;
        self
    }

    /// Requests answers until enough are valid.
    ///
    /// Many servers return one answer however many are requested, so a short response is not a failure.
    async fn gather<'r>(
        &self,
        request: &'r Request,
        urls: &Urls,
        gathered: &mut Gathered<'r>,
    ) -> Result<(), ControllerError> {
        let wanted = request.candidates as usize;
        let (mut attempt, mut failed_attempts) = (0, 0);
        let mut broken = String::new();
        while gathered.good.len() < wanted && failed_attempts < ATTEMPTS {
            let missing = (wanted - gathered.good.len()) as u32;
            let pending = gathered.pending.insert(PendingResponse::new(request, missing));
            let body = |manners| wire::body(request, urls, &self.options, manners, missing, attempt);
            let had = gathered.good.len();
            match self.endpoint.ask(body, pending).await {
                Ok(()) => {}
                Err(error) => broken = filtered(error)?,
            }
            let reasons = self.endpoint.manners().reasons;
            for outcome in gathered.settle(self.options.price) {
                match outcome {
                    Outcome::Answer(one) if !reasons && is_cut_in_reasoning(&one) => {
                        self.endpoint.reasoning_was_cut();
                        "the length limit cut the reasoning before an answer".clone_into(&mut broken);
                    }
                    // An incomplete answer is returned as it is; its `finish` tells the caller.
                    Outcome::Answer(one) if one.finish != Finish::Complete => gathered.good.push(one),
                    Outcome::Answer(mut one) => match accept(request, &mut one) {
                        Ok(()) => gathered.good.push(one),
                        Err(CheckError::Violation { reason }) => {
                            self.endpoint.schema_was_broken();
                            broken = reason;
                        }
                        Err(CheckError::Constraint(error)) => return Err(error),
                    },
                    Outcome::Broken(reason) => broken = reason,
                }
            }
            failed_attempts = if gathered.good.len() > had { 0 } else { failed_attempts + 1 };
            attempt += 1;
        }
        if gathered.good.len() < wanted {
            let reason = self.endpoint.errors().quote(&broken);
            tracing::warn!(attempts = ATTEMPTS, %reason, "no usable answer from the endpoint");
            let refused = Completion::new(String::new(), 0, Finish::Refused(reason));
            gathered.good.resize(wanted, refused);
        }
        Ok(())
    }
}

/// Whether the length limit ended an answer before it began.
fn is_cut_in_reasoning(one: &Completion) -> bool {
    one.finish == Finish::Length && one.text.trim().is_empty() && one.reasoning.is_some()
}

/// The reason of an error that says that a content filter stopped this one request.
fn filtered(error: ControllerError) -> Result<String, ControllerError> {
    match error {
        ControllerError::Refused { status: 400, reason, .. }
            if ["content_filter", "content filter", "content management policy", "content policy"]
                .iter()
                .any(|word| reason.to_lowercase().contains(word)) =>
        {
            Ok(reason)
        }
        error => Err(error),
    }
}

/// Adds what to do where a server refuses a request because of its pictures.
fn with_hint(error: ControllerError, shows: bool) -> ControllerError {
    match error {
        ControllerError::Refused { url, status, reason }
            if shows
                && ["image", "vision", "multimodal", "picture"].iter().any(|word| reason.contains(word)) =>
        {
            let reason =
                format!("{reason}; a model that cannot see needs `controller.vision = false`, or none");
            ControllerError::Refused { url, status, reason }
        }
        error => error,
    }
}

impl<'r> Gathered<'r> {
    fn new(shows: bool) -> Self {
        Self {
            good: Vec::new(),
            pending: None,
            usage: Usage::default(),
            shows,
            timing: Timing::default(),
            cost: Some(0.0),
        }
    }

    /// Accounts for the pending response, and returns its outcomes.
    fn settle(&mut self, price: Option<Price>) -> Vec<Outcome> {
        match self.pending.take() {
            Some(pending) => {
                self.count(&pending, price);
                pending.outcomes()
            }
            None => Vec::new(),
        }
    }

    fn count(&mut self, pending: &PendingResponse<'r>, price: Option<Price>) {
        let (usage, reported) = pending.usage();
        self.usage.prompt_tokens = self.usage.prompt_tokens.max(usage.prompt_tokens);
        self.usage.cached_tokens = self.usage.cached_tokens.max(usage.cached_tokens);
        self.usage.completion_tokens = self.usage.completion_tokens.saturating_add(usage.completion_tokens);
        if self.shows {
            self.usage.pictures = Some(match usage.pictures {
                _ if !reported => PictureTokens::Unknown,
                counted => counted.unwrap_or(PictureTokens::Included),
            });
        }
        let known = price.filter(|_| reported).zip(self.cost);
        self.cost = known.map(|(price, cost)| cost + price.of(&usage));
        let timing = pending.timing();
        self.timing.queue_ms += timing.queue_ms;
        self.timing.prefill_ms += timing.prefill_ms;
        self.timing.decode_ms += timing.decode_ms;
    }

    /// Ends the pending response. Unfinished answers end with `finish`.
    fn cut(&mut self, request: &Request, finish: &Finish, price: Option<Price>) {
        if let Some(pending) = self.pending.take() {
            self.count(&pending, price);
            for mut one in pending.unfinished(finish) {
                if one.finish == Finish::Complete && accept(request, &mut one).is_err() {
                    one.finish = finish.clone();
                }
                self.good.push(one);
            }
        }
        // No response is pending before the first request was sent.
        let empty = Completion::new(String::new(), 0, finish.clone());
        self.good.resize(request.candidates as usize, empty);
    }

    fn reply(self, price: Option<Price>) -> Reply {
        // Rounded to 1e-9 dollars, so that the value round-trips through the log's JSON.
        let rounded = |cost: f64| (cost * 1e9).round() / 1e9;
        let cost_usd = price.and(self.cost).map(rounded).filter(|cost| cost.is_finite());
        Reply { cost_usd, ..Reply::new(self.good, self.usage, self.timing) }
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
        if !request.scored.is_empty() {
            let reason = "a chat endpoint gives no probabilities of texts".to_owned();
            return Err(ControllerError::BadRequest { reason });
        }
        let late = async {
            match request.deadline_ms {
                Some(limit) => tokio::time::sleep(Duration::from_millis(limit)).await,
                None => std::future::pending().await,
            }
        };
        let urls = pictures::urls(request, self.options.picture_side, self.lens.as_ref()).await;
        let mut gathered = Gathered::new(!urls.is_empty());
        // Dropping the losing future closes its connection, so the server stops decoding.
        let cut = tokio::select! {
            biased;
            () = cancel.cancelled() => Some(Finish::Cancelled),
            () = late => Some(Finish::Deadline),
            outcome = self.gather(request, &urls, &mut gathered) => {
                outcome.map(|()| None).map_err(|error| with_hint(error, !urls.is_empty()))?
            }
        };
        if let Some(finish) = cut {
            gathered.cut(request, &finish, self.options.price);
        }
        Ok(gathered.reply(self.options.price))
    }
}
