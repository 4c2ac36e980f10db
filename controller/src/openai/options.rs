use crate::{ControllerError, Usage};
use serde::{Deserialize, Serialize};

/// Where a chat endpoint is, what it understands, and how it may be used.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct OpenAiOptions {
    /// Up to and including the version: `http://localhost:8080/v1`.
    pub base_url: String,
    /// The model to ask for.
    pub model: String,
    /// Name of the environment variable that holds the key; without one no key is sent.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub api_key_env: Option<String>,
    /// What the server understands beyond the common part.
    #[serde(default)]
    pub dialect: Dialect,
    /// Whether answers are read while they are written. A server that cannot send them so is noticed and asked
    /// for whole ones.
    #[serde(default = "OpenAiOptions::default_stream")]
    pub stream: bool,
    /// Milliseconds of silence, before an answer or within it, after which a request has failed.
    ///
    /// An answer that comes in pieces may take as long as it takes; one that comes whole must begin in this time.
    /// Signs of life without any part of an answer, such as comments, are taken for one five times as long.
    #[serde(default = "OpenAiOptions::default_timeout_ms")]
    pub timeout_ms: u64,
    /// How often a request that met a busy or failing server is sent, the first time included.
    #[serde(default = "OpenAiOptions::default_max_attempts")]
    pub max_attempts: u32,
    /// Milliseconds before the second try; doubled before each further one. A server's `Retry-After` overrules it.
    #[serde(default = "OpenAiOptions::default_backoff_ms")]
    pub backoff_ms: u64,
    /// How many requests a minute are sent at most, evenly spaced; repeated ones count too.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub requests_per_minute: Option<u32>,
    /// How many requests are under way at once at most.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub max_concurrent: Option<u32>,
    /// What tokens cost, for [`Reply::cost_usd`](crate::Reply::cost_usd).
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub price: Option<Price>,
    /// How many tokens the model's context holds, if known.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub context_tokens: Option<u32>,
}

impl OpenAiOptions {
    /// `model` at `base_url` with the common dialect, no key, no limits, and patient defaults.
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
        }
    }

    /// Finds numbers with which nothing could ever be asked.
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
        let sensible = |price: f64| price.is_finite() && price >= 0.0;
        match self.price {
            Some(Price { prompt, cached, completion })
                if ![prompt, cached.unwrap_or(prompt), completion].into_iter().all(sensible) =>
            {
                bad("a `price` must be a number that is not negative")
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

/// What tokens cost, in US dollars per million.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize, schemars::JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Price {
    /// Of the prompt, read anew.
    pub prompt: f64,
    /// Of the prompt, read before; the same as `prompt` without a number.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub cached: Option<f64>,
    /// Of the answers.
    pub completion: f64,
}

impl Price {
    /// What `usage` costs, in US dollars.
    pub fn of(&self, usage: &Usage) -> f64 {
        let read = f64::from(usage.prompt_tokens.saturating_sub(usage.cached_tokens));
        let millionths = read * self.prompt
            + f64::from(usage.cached_tokens) * self.cached.unwrap_or(self.prompt)
            + f64::from(usage.completion_tokens) * self.completion;
        millionths / 1e6
    }
}

/// What a server understands beyond the chat endpoint that all have in common.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize, schemars::JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum Dialect {
    /// `response_format` with a JSON schema. Grammars and prefills are asked for in words.
    #[default]
    OpenAi,
    /// Like [`OpenAi`](Self::OpenAi), for models that take `max_completion_tokens` and no sampling parameters.
    OpenAiReasoning,
    /// `min_p`, prefills as a last assistant message, and `grammar` (a server built with llguidance).
    LlamaCpp,
    /// `min_p`, prefills, and `structured_outputs` with a grammar (its `guidance` backend reads Lark).
    Vllm,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_price_counts_what_was_read_before_apart() {
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
    fn options_of_before_are_still_options() {
        let old = r#"{"base_url": "http://localhost/v1", "model": "m"}"#;
        let options: OpenAiOptions = serde_json::from_str(old).unwrap();
        assert_eq!(options, OpenAiOptions::new("http://localhost/v1", "m"));
    }
}
