//! `sojourn models` and `sojourn doctor`.

use clap::{Args as ClapArgs, Subcommand, ValueEnum};
use std::net::SocketAddr;

/// `sojourn models`.
#[derive(Debug, Subcommand)]
pub enum Models {
    /// List the models of the catalogue, and which of them are on this machine.
    List(ModelList),
    /// Fetch a model; continues an interrupted fetch.
    Pull {
        /// A name from `sojourn models list`.
        name: String,
        /// Print one JSON document at the end.
        #[arg(long)]
        json: bool,
    },
    /// Keep a model in memory for any number of runs.
    ///
    /// Runs whose agent file has `[controller] kind = "served"` send their requests to this process. It generates the
    /// answers of all runs in one batch, and evaluates a shared beginning of prompts once. Editors, scripts and other
    /// programs share the model by OpenAI's dialect: `/v1/models`, `/v1/chat/completions` and `/v1/embeddings`.
    Serve(Serve),
    /// Print the path of a model's file.
    Path {
        /// A name from `sojourn models list`.
        name: String,
        /// Print one JSON document.
        #[arg(long)]
        json: bool,
    },
}

/// `sojourn models list`.
#[derive(Debug, Clone, Copy, ClapArgs)]
pub struct ModelList {
    /// Only the models for this.
    #[arg(long, value_name = "KIND")]
    pub kind: Option<ModelKind>,

    /// Print one JSON document instead of a table.
    #[arg(long)]
    pub json: bool,
}

/// What a model is for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum ModelKind {
    /// The controller.
    Chat,
    /// Recall of memories by meaning.
    Embedding,
    /// Pictures.
    Vision,
    /// Sounds.
    Speech,
}

/// `sojourn models serve`.
#[derive(Debug, Clone, ClapArgs)]
pub struct Serve {
    /// A model of the catalogue, or a file [default: the default model].
    #[arg(value_name = "MODEL")]
    pub model: Option<String>,

    /// The address to listen on.
    #[arg(long, value_name = "ADDRESS", default_value = "127.0.0.1:8809")]
    pub http: SocketAddr,

    /// The environment variable that holds the access token; when it is not set, a new token is printed.
    #[arg(long, default_value = "SOJOURN_MODEL_TOKEN", value_name = "NAME")]
    pub token_env: String,

    /// Tokens of context, shared by all runs.
    #[arg(long, value_name = "N", default_value_t = 16384)]
    pub context_tokens: u32,

    /// Answers that are generated at the same time.
    #[arg(long, value_name = "N", default_value_t = 16)]
    pub answers: u32,

    /// Memory for cached prompts that no request is using, in MiB.
    #[arg(long, value_name = "MIB", default_value_t = 1024)]
    pub host_cache_mib: u32,

    /// A smaller model of the same family for speculative decoding.
    #[arg(long, value_name = "MODEL")]
    pub draft_model: Option<String>,

    /// The model's projector of pictures (`mmproj`), a `.gguf` file: with it, runs may show it pictures.
    #[arg(long, value_name = "FILE")]
    pub mmproj: Option<String>,

    /// The model of `/v1/embeddings`, or `none` [default: the default one, if it is on this machine].
    #[arg(long, value_name = "MODEL")]
    pub embedding_model: Option<String>,

    /// Threads for prompts and for generation [default: the fastest number, measured].
    #[arg(long, value_name = "N")]
    pub threads: Option<u32>,

    /// Internal: act as the worker that holds the model.
    #[arg(long, hide = true)]
    pub worker: bool,
}

/// `sojourn doctor`.
#[derive(Debug, Clone, Copy, ClapArgs)]
pub struct Doctor {
    /// Also measure the speed of the default model; takes about a minute.
    #[arg(long)]
    pub measure: bool,

    /// Print one JSON document.
    #[arg(long)]
    pub json: bool,
}
