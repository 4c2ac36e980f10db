use serde::{Deserialize, Serialize};

/// Where a chat endpoint is and what it understands.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct OpenAiOptions {
    /// Up to and including the version: `http://localhost:8080/v1`.
    pub base_url: String,
    /// The model to ask for.
    pub model: String,
    /// Name of the environment variable that holds the key; without one no key is sent.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub key_variable: Option<String>,
    /// What the server understands beyond the common part.
    #[serde(default)]
    pub dialect: Dialect,
    /// Milliseconds until a request without an answer has failed.
    #[serde(default = "OpenAiOptions::default_timeout_ms")]
    pub timeout_ms: u64,
    /// How often a request that met a busy or failing server is sent, the first time included.
    #[serde(default = "OpenAiOptions::default_tries")]
    pub tries: u32,
    /// Milliseconds before the second try; doubled before each further one. A server's `Retry-After` overrules it.
    #[serde(default = "OpenAiOptions::default_backoff_ms")]
    pub backoff_ms: u64,
    /// How many tokens the model's context holds, if known.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub context_tokens: Option<u32>,
}

impl OpenAiOptions {
    /// `model` at `base_url` with the common dialect, no key, and patient defaults.
    pub fn new(base_url: impl Into<String>, model: impl Into<String>) -> Self {
        Self {
            base_url: base_url.into(),
            model: model.into(),
            key_variable: None,
            dialect: Dialect::default(),
            timeout_ms: Self::default_timeout_ms(),
            tries: Self::default_tries(),
            backoff_ms: Self::default_backoff_ms(),
            context_tokens: None,
        }
    }

    fn default_timeout_ms() -> u64 {
        120_000
    }

    fn default_tries() -> u32 {
        4
    }

    fn default_backoff_ms() -> u64 {
        500
    }
}

/// What a server understands beyond the chat endpoint that all have in common.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
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
