use crate::{ControllerError, Usage};
use serde::{Deserialize, Serialize};

/// Configuration of a chat endpoint.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct OpenAiOptions {
    /// Base URL with the API version, such as `http://localhost:8080/v1`.
    pub base_url: String,
    /// Name of the model to request.
    pub model: String,
    /// Environment variable with the API key. `None`: no key is sent.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub api_key_env: Option<String>,
    /// Extensions that the server supports.
    #[serde(default)]
    pub dialect: Dialect,
    /// Whether to stream answers. If the server rejects streaming, requests fall back to whole answers.
    #[serde(default = "OpenAiOptions::default_stream")]
    pub stream: bool,
    /// Longest pause without data before a request fails, in milliseconds.
    ///
    /// A streamed answer may take a hundred times as long in total. A whole answer must start within this time. Data that is
    /// not part of an answer, such as keep-alive comments, is accepted for five times as long.
    #[serde(default = "OpenAiOptions::default_timeout_ms")]
    pub timeout_ms: u64,
    /// Number of attempts for a request to a busy or failing server, including the first one.
    #[serde(default = "OpenAiOptions::default_max_attempts")]
    pub max_attempts: u32,
    /// Delay before the second attempt in milliseconds; doubled before each further one. `Retry-After`
    /// overrides it.
    #[serde(default = "OpenAiOptions::default_backoff_ms")]
    pub backoff_ms: u64,
    /// Rate limit, evenly spaced. Retries count too. `None`: no limit.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub requests_per_minute: Option<u32>,
    /// Largest number of concurrent requests. `None`: no limit.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub max_concurrent: Option<u32>,
    /// Prices for computing [`Reply::cost_usd`](crate::Reply::cost_usd).
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub price: Option<Price>,
    /// Size of the model's context in tokens, if known.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub context_tokens: Option<u32>,
    /// Longest side, in pixels, of the pictures that the model is shown; larger ones are scaled down. `None`: it cannot see.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub picture_side: Option<u32>,
}

impl OpenAiOptions {
    /// Default options for `model` at `base_url`: no key, no limits, four attempts.
    pub fn new(base_url: impl Into<String>, model: impl Into<String>) -> Self {
        Self {
            base_url: base_url.into(),
            model: model.into(),
            api_key_env: None,
            dialect: Dialect::default(),
            stream: Self::default_stream(),
            timeout_ms: Self::default_timeout_ms(),
            max_attempts: Self::default_max_attempts(),
            backoff_ms: Self::default_backoff_ms(),
            requests_per_minute: None,
            max_concurrent: None,
            price: None,
            context_tokens: None,
            picture_side: None,
        }
    }

    /// Checks that limits and prices are usable.
    pub(super) fn check(&self) -> Result<(), ControllerError> {
        let bad = |reason: &str| Err(ControllerError::BadEndpoint { reason: reason.to_owned() });
        if self.timeout_ms == 0 {
            return bad("`timeout_ms` cannot be 0");
        }
        if self.requests_per_minute == Some(0) {
            return bad("`requests_per_minute` cannot be 0; leave it out for no limit");
        }
        if self.max_concurrent == Some(0) {
            return bad("`max_concurrent` cannot be 0; leave it out for no limit");
        }
        if self.picture_side == Some(0) {
            return bad("`picture_side` cannot be 0");
        }
        let sensible = |price: f64| price.is_finite() && price >= 0.0;
        match self.price {
            Some(Price { prompt, cached, completion })
                if ![prompt, cached.unwrap_or(prompt), completion].into_iter().all(sensible) =>
            {
                bad("a `price` must be a finite number, at least 0")
            }
            _ => Ok(()),
        }
    }

    fn default_stream() -> bool {
        true
    }

    fn default_timeout_ms() -> u64 {
        120_000
    }

    fn default_max_attempts() -> u32 {
        4
    }

    fn default_backoff_ms() -> u64 {
        500
    }
}

/// Token prices, in US dollars per million.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize, schemars::JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Price {
    /// Price of prompt tokens that are not cached.
    pub prompt: f64,
    /// Price of cached prompt tokens. `None`: as `prompt`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub cached: Option<f64>,
    /// Price of answer tokens.
    pub completion: f64,
}

impl Price {
    /// Cost of `usage`, in US dollars.
    pub fn of(&self, usage: &Usage) -> f64 {
        let read = f64::from(usage.prompt_tokens.saturating_sub(usage.cached_tokens));
        let millionths = read * self.prompt
            + f64::from(usage.cached_tokens) * self.cached.unwrap_or(self.prompt)
            + f64::from(usage.completion_tokens) * self.completion;
        millionths / 1e6
    }
}

/// Extensions of the common chat endpoint that a server supports. Without them, a grammar is not sent: the answer is
/// checked against it afterwards.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize, schemars::JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum Dialect {
    /// `response_format` with a JSON schema. A server without it gets the schema in the prompt. A prefill becomes the
    /// request for a whole text that begins with it.
    #[default]
    OpenAi,
    /// Like [`OpenAi`](Self::OpenAi), for models with `max_completion_tokens` and without sampling
    /// parameters.
    OpenAiReasoning,
    /// `min_p`, prefill as a final assistant message, and `grammar` (server built with llguidance).
    LlamaCpp,
    /// `min_p`, prefill, and `structured_outputs` with a grammar (backend `guidance`).
    Vllm,
}

impl Dialect {
    /// Whether the server samples by a grammar and continues a prefill.
    pub fn enforces_grammars(self) -> bool {
        matches!(self, Self::LlamaCpp | Self::Vllm)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn price_distinguishes_cached_tokens() {
        let usage = Usage {
            prompt_tokens: 1_000_000,
            cached_tokens: 400_000,
            completion_tokens: 500_000,
            ..Usage::default()
        };
        let close = |price: Price, cost: f64| assert!((price.of(&usage) - cost).abs() < 1e-9, "{price:?}");
        close(Price { prompt: 2.0, cached: Some(0.5), completion: 8.0 }, 1.2 + 0.2 + 4.0);
        close(Price { prompt: 2.0, cached: None, completion: 8.0 }, 2.0 + 4.0);
    }

    #[test]
    fn missing_options_get_their_defaults() {
        let old = r#"{"base_url": "http://localhost/v1", "model": "m"}"#;
        let options: OpenAiOptions = serde_json::from_str(old).unwrap();
        assert_eq!(options, OpenAiOptions::new("http://localhost/v1", "m"));
    }
}
