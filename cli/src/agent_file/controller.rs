//! The table `[controller]` of an agent file.

use schemars::JsonSchema;
use serde::Deserialize;
use sojourn_controller::Lora;
use sojourn_controller::openai::{Dialect, Price};

/// The table `[controller]`: how the controller's model is run.
#[derive(Debug, Clone, PartialEq, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct ControllerSettings {
    /// Who runs the model: `"llama"`, this process; `"served"`, a `sojourn models serve` at `base_url`; `"openai"`, any server
    /// with a chat endpoint at `base_url`.
    ///
    /// Default: `"llama"`. Example: `kind = "openai"`.
    pub kind: ControllerKind,
    /// The context in tokens. For the kind `"llama"`: room for prompt and answers of all requests that are processed at the
    /// same time. For the kind `"openai"`: the context of the server's model, by which long prompts are shortened.
    ///
    /// Default: 8192 for `"llama"`; unknown for `"openai"`. Example: `context_tokens = 16384`.
    pub context_tokens: Option<u32>,
    /// Threads for generation, for the kind `"llama"`.
    ///
    /// Default: the fastest number, measured when the model is loaded. Example: `threads = 2`.
    pub threads: Option<u32>,
    /// Threads for prompts, for the kind `"llama"`.
    ///
    /// Default: the fastest number, measured when the model is loaded. Example: `prefill_threads = 4`.
    pub prefill_threads: Option<u32>,
    /// Whether the next tokens are guessed from the text of the prompt, and verified by the model in one batch (prompt
    /// lookup), for the kind `"llama"`. The answers are the same with and without.
    ///
    /// Default: true. Example: `speculate = false`.
    pub speculate: bool,
    /// A smaller model of the same family for speculative decoding, for the kind `"llama"`: a name of the catalogue, or a
    /// `.gguf` file. It is used while it is faster.
    ///
    /// Default: none. Example: `draft_model = "qwen2.5-coder-0.5b-instruct"`.
    pub draft_model: Option<String>,
    /// Layers of the model on a graphics processor, for the kind `"llama"` in programs built with the feature `cuda`, `metal`
    /// or `vulkan`.
    ///
    /// Default: all layers, where the program was built for a graphics processor. Example: `gpu_layers = 20`.
    pub gpu_layers: Option<u32>,
    /// A low-rank adapter of the model, for the kind `"llama"`: its file, and the `scale` of its weights, 1 unless
    /// stated.
    ///
    /// Default: none. Example: `lora = { path = "adapter.gguf", scale = 1.0 }`.
    pub lora: Option<Lora>,
    /// Memory for cached prompts that no request is using, in MiB, besides the memory for `context_tokens`; for the kind
    /// `"llama"`.
    ///
    /// Default: 1024. Example: `host_cache_mib = 256`.
    pub host_cache_mib: Option<u32>,
    /// Whether evaluated prompt prefixes are cached on disk, at most 1 GiB a model, so that a resumed run need not evaluate
    /// them again; for the kind `"llama"`.
    ///
    /// Default: true. Example: `prefix_cache = false`.
    pub prefix_cache: bool,
    /// The server's address, up to and including the version. Required for the kinds `"openai"` and `"served"`.
    ///
    /// Default: none. Example: `base_url = "http://localhost:8080/v1"`.
    pub base_url: Option<String>,
    /// The environment variable that holds the server's key. Its value never gets into the log.
    ///
    /// Default: none, requests carry no key. Example: `api_key_env = "OPENAI_API_KEY"`.
    pub api_key_env: Option<String>,
    /// The extensions that the server understands, for the kind `"openai"`.
    ///
    /// Default: `"open_ai"`. Example: `dialect = "llama_cpp"`.
    pub dialect: Dialect,
    /// Whether answers are streamed, for the kind `"openai"`.
    ///
    /// Default: true. Example: `stream = false`.
    pub stream: Option<bool>,
    /// Milliseconds of silence after which a request has failed, for the kind `"openai"`.
    ///
    /// Default: 120000. Example: `timeout_ms = 30000`.
    pub timeout_ms: Option<u64>,
    /// How often a request is sent while the server is busy or failing, including the first time; for the kind `"openai"`.
    ///
    /// Default: 4. Example: `max_attempts = 2`.
    #[serde(alias = "tries")]
    pub max_attempts: Option<u32>,
    /// The maximum number of requests per minute, for the kind `"openai"`.
    ///
    /// Default: without a limit. Example: `requests_per_minute = 60`.
    pub requests_per_minute: Option<u32>,
    /// The maximum number of requests at the same time, for the kind `"openai"`.
    ///
    /// Default: without a limit. Example: `max_concurrent = 4`.
    pub max_concurrent: Option<u32>,
    /// The server's prices in US dollars per million tokens; `cached` is `prompt` unless stated. They are the run's
    /// `prices`, unless `run.prices` is set.
    ///
    /// Default: none. Example: `price = { prompt = 0.5, cached = 0.05, completion = 2.0 }`.
    pub price: Option<Price>,
    /// Whether the server's model can be shown pictures, as `image_url`; for the kind `"openai"`. `run.observe` says whether it is.
    ///
    /// Default: false. Example: `vision = true`.
    pub vision: bool,
    /// The model's projector of pictures (`mmproj`), a `.gguf` file that is published with the model: with it, the model is shown
    /// pictures; for the kind `"llama"`. `run.observe` says whether it is.
    ///
    /// Default: none, the model cannot see. Example: `mmproj = "mmproj-smolvlm2-500m.gguf"`.
    pub mmproj: Option<String>,
    /// Longest side, in pixels, of the pictures that the model is shown. Larger ones are scaled down.
    ///
    /// Default: 1024. Example: `picture_side = 768`.
    pub picture_side: Option<u32>,
}

impl Default for ControllerSettings {
    fn default() -> Self {
        Self {
            kind: ControllerKind::default(),
            context_tokens: None,
            threads: None,
            prefill_threads: None,
            speculate: true,
            draft_model: None,
            gpu_layers: None,
            lora: None,
            host_cache_mib: None,
            prefix_cache: true,
            base_url: None,
            api_key_env: None,
            dialect: Dialect::default(),
            stream: None,
            timeout_ms: None,
            max_attempts: None,
            requests_per_minute: None,
            max_concurrent: None,
            price: None,
            vision: false,
            mmproj: None,
            picture_side: None,
        }
    }
}

/// Who runs the controller's model.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum ControllerKind {
    /// llama.cpp, in this process.
    #[default]
    Llama,
    /// A server with the `OpenAI` endpoint `chat/completions`.
    OpenAi,
    /// A `sojourn models serve`.
    Served,
}
