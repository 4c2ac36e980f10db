//! The chapter `[controller]` of an agent file.

use serde::Deserialize;
use sojourn_controller::Lora;
use sojourn_controller::openai::{Dialect, Price};

/// How the controller's model is run.
#[derive(Debug, Clone, PartialEq, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct ControllerSettings {
    /// In this process, or by a server.
    pub kind: ControllerKind,
    /// Tokens held at once.
    pub context_tokens: Option<u32>,
    /// Threads that write; measured without a number.
    pub threads: Option<u32>,
    /// Threads that read prompts; measured without a number.
    pub prefill_threads: Option<u32>,
    /// Whether the model checks guesses of what it will say next, instead of saying all of it token by token.
    pub speculate: bool,
    /// A smaller model of the same family that guesses too: a name of the catalogue, or a file.
    pub draft: Option<String>,
    /// Layers of the model that are put on a graphics processor, where the program was built for one.
    pub gpu_layers: Option<u32>,
    /// A low-rank adapter for the model: `{path = "…", scale = 1.0}`.
    pub lora: Option<Lora>,
    /// How much memory may hold prompts that are not at work now, in MiB, besides what `context_tokens` takes.
    pub prompt_memory_mib: Option<u32>,
    /// Whether beginnings of prompts are kept on the disk, so that a run that is resumed need not read them again.
    pub keep_prefixes: bool,
    /// The server's address, up to and including the version.
    pub base_url: Option<String>,
    /// The environment variable that holds the server's key.
    pub api_key_env: Option<String>,
    /// What the server understands.
    pub dialect: Dialect,
    /// Whether the server's answers are read while they are written; they are without a word.
    pub stream: Option<bool>,
    /// Milliseconds of the server's silence after which a request has failed.
    pub timeout_ms: Option<u64>,
    /// How often a request is sent to a busy or failing server, the first time included.
    pub tries: Option<u32>,
    /// How many requests a minute the server is sent at most.
    pub requests_per_minute: Option<u32>,
    /// How many requests the server works on at once at most.
    pub max_concurrent: Option<u32>,
    /// What the server's tokens cost, in US dollars per million. The run's prices where it has none of its own.
    pub price: Option<Price>,
}

impl Default for ControllerSettings {
    fn default() -> Self {
        Self {
            kind: ControllerKind::default(),
            context_tokens: None,
            threads: None,
            prefill_threads: None,
            speculate: true,
            draft: None,
            gpu_layers: None,
            lora: None,
            prompt_memory_mib: None,
            keep_prefixes: true,
            base_url: None,
            api_key_env: None,
            dialect: Dialect::default(),
            stream: None,
            timeout_ms: None,
            tries: None,
            requests_per_minute: None,
            max_concurrent: None,
            price: None,
        }
    }
}

/// Who runs the controller's model.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum ControllerKind {
    /// llama.cpp, in this process.
    #[default]
    Llama,
    /// A server that speaks `chat/completions`.
    OpenAi,
    /// `sojourn models serve`.
    Served,
}
