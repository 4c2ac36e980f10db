//! A controller behind a chat endpoint: any server that speaks `POST …/chat/completions`.
//!
//! Servers differ in how far they can be held to a constraint ([`Dialect`]), so every answer is checked here
//! again, and answers that break their constraint are asked for again with another seed.
//!
//! Answers are read while they are written, where the server can: then they are cut at once where they must end, and
//! what came before a deadline is not lost.

mod endpoint;
mod failure;
mod options;
mod rate_limit;
mod response;
mod stream;
mod wire;

pub use options::{Dialect, OpenAiOptions, Price};

use crate::{
    Cancel, CheckError, Completion, Controller, ControllerError, Finish, ModelInfo, Reply, Request, Timing,
    Usage,
};
use async_trait::async_trait;
use endpoint::Endpoint;
use response::{Outcome, PendingResponse};
use std::time::Duration;

/// How often in a row a server may answer without a single answer that obeys its constraint.
const ATTEMPTS: u32 = 3;

/// A model that a server runs.
#[derive(Debug)]
pub struct OpenAiController {
    endpoint: Endpoint,
    options: OpenAiOptions,
    model: ModelInfo,
}

/// What a request has brought so far.
struct Gathered<'r> {
    good: Vec<Completion>,
    /// What is being answered.
    pending: Option<PendingResponse<'r>>,
    usage: Usage,
    timing: Timing,
    /// In US dollars, while all tokens are known.
    cost: Option<f64>,
}

impl OpenAiController {
    /// Prepares to talk to the server that `options` describe; the first request reaches it.
    ///
    /// Fails with [`ControllerError::NoKey`] when the key's environment variable is not set and with
    /// [`ControllerError::BadEndpoint`] when the address is none or a limit lets nothing through.
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
    ///
    /// Many servers give one answer however many are asked for, so that is no failure.
    async fn gather<'r>(
        &self,
        request: &'r Request,
        gathered: &mut Gathered<'r>,
    ) -> Result<(), ControllerError> {
        let wanted = request.candidates as usize;
        let (mut attempt, mut in_vain) = (0, 0);
        let mut broken = String::new();
        while gathered.good.len() < wanted {
            if in_vain == ATTEMPTS {
                let reason = self.endpoint.errors().quote(&broken);
                return Err(ControllerError::ConstraintViolated { attempts: ATTEMPTS, reason });
            }
            let missing = (wanted - gathered.good.len()) as u32;
            let mut body = wire::body(request, &self.options, missing, attempt);
            let pending = gathered.pending.insert(PendingResponse::new(request, missing));
            self.endpoint.ask(&mut body, pending).await?;
            let had = gathered.good.len();
            let outcomes = gathered.settle(self.options.price);
            for outcome in outcomes.map_err(|reason| self.endpoint.errors().garbled(&reason))? {
                match outcome {
                    // What was cut is a beginning, which its caller is told by `finish`.
                    Outcome::Answer(one) if one.finish != Finish::Complete => gathered.good.push(one),
                    Outcome::Answer(one) => match request.constraint.check(&one.text) {
                        Ok(()) => gathered.good.push(one),
                        Err(CheckError::Violation { reason }) => broken = reason,
                        Err(CheckError::Constraint(error)) => return Err(error),
                    },
                    Outcome::Broken(reason) => broken = reason,
                }
            }
            in_vain = if gathered.good.len() > had { 0 } else { in_vain + 1 };
            attempt += 1;
        }
        Ok(())
    }
}

impl<'r> Gathered<'r> {
    fn new() -> Self {
        Self {
            good: Vec::new(),
            pending: None,
            usage: Usage::default(),
            timing: Timing::default(),
            cost: Some(0.0),
        }
    }

    /// Counts what the pending cost, and says what its answers came to.
    fn settle(&mut self, price: Option<Price>) -> Result<Vec<Outcome>, String> {
        match self.pending.take() {
            Some(pending) => {
                self.count(&pending, price);
                pending.outcomes()
            }
            None => Ok(Vec::new()),
        }
    }

    fn count(&mut self, pending: &PendingResponse<'r>, price: Option<Price>) {
        let (usage, told) = pending.usage();
        self.usage.prompt_tokens = self.usage.prompt_tokens.max(usage.prompt_tokens);
        self.usage.cached_tokens = self.usage.cached_tokens.max(usage.cached_tokens);
        self.usage.completion_tokens = self.usage.completion_tokens.saturating_add(usage.completion_tokens);
        let known = price.filter(|_| told).zip(self.cost);
        self.cost = known.map(|(price, cost)| cost + price.of(&usage));
        let timing = pending.timing();
        self.timing.queue_ms += timing.queue_ms;
        self.timing.prefill_ms += timing.prefill_ms;
        self.timing.decode_ms += timing.decode_ms;
    }

    /// Leaves what is being answered as it is; what had not ended ends with `finish`.
    fn cut(&mut self, request: &Request, finish: &Finish, price: Option<Price>) {
        if let Some(pending) = self.pending.take() {
            self.count(&pending, price);
            for mut one in pending.unfinished(finish) {
                let breaks = |one: &Completion| request.constraint.check(&one.text).is_err();
                if one.finish == Finish::Complete && breaks(&one) {
                    one.finish = finish.clone();
                }
                self.good.push(one);
            }
        }
        // Before the first was asked for there is no pending.
        let empty = Completion { text: String::new(), tokens: 0, finish: finish.clone() };
        self.good.resize(request.candidates as usize, empty);
    }

    fn reply(self, price: Option<Price>) -> Reply {
        // In billionths, because that many decimals come back from a log as they were written.
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
        let late = async {
            match request.deadline_ms {
                Some(limit) => tokio::time::sleep(Duration::from_millis(limit)).await,
                None => std::future::pending().await,
            }
        };
        let mut gathered = Gathered::new();
        // What loses is dropped, which closes its connection: then the server stops writing.
        let cut = tokio::select! {
            biased;
            () = cancel.cancelled() => Some(Finish::Cancelled),
            () = late => Some(Finish::Deadline),
            outcome = self.gather(request, &mut gathered) => outcome.map(|()| None)?,
        };
        if let Some(finish) = cut {
            gathered.cut(request, &finish, self.options.price);
        }
        Ok(gathered.reply(self.options.price))
    }
}
