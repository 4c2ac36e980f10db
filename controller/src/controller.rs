use crate::{Cancel, ControllerError, Reply, Request};
use async_trait::async_trait;
use serde::{Deserialize, Serialize};

/// The language model that steers an agent.
#[async_trait]
pub trait Controller: Send + Sync {
    /// Which model this is. The same for the whole life of the value.
    fn model(&self) -> &ModelInfo;

    /// Answers `request`.
    ///
    /// A request cut short by `cancel`, by its deadline or by its length is still answered, with what was
    /// written until then and a [`Finish`](crate::Finish) that says so. Dropping the future ends the work too.
    async fn complete(&self, request: &Request, cancel: &Cancel) -> Result<Reply, ControllerError>;
}

/// A model that turns texts into vectors whose cosine tells how alike they are.
#[async_trait]
pub trait Embedder: Send + Sync {
    /// Which model this is. The same for the whole life of the value.
    fn model(&self) -> &EmbedderInfo;

    /// One vector of [`EmbedderInfo::dimensions`] numbers and length 1 for each text, in order.
    async fn embed(&self, texts: &[String]) -> Result<Vec<Vec<f32>>, ControllerError>;
}

/// Which model answers: what a log needs to tell one controller from another.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct ModelInfo {
    /// As its maker or its server calls it: "Qwen2.5 Coder 1.5B Instruct".
    pub name: String,
    /// The file it was read from, or the address of the server that runs it.
    pub source: String,
    /// "`Q4_K_M`"; unknown for a server.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub quantisation: Option<String>,
    /// How many weights it has; unknown for a server.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub parameters: Option<u64>,
    /// How many tokens prompt and answers may have together; unknown for most servers.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub context_tokens: Option<u32>,
    /// Of the file, in hexadecimal, where somebody computed it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub sha256: Option<String>,
}

/// Which model embeds. Vectors of different models cannot be compared.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct EmbedderInfo {
    /// As its maker calls it: "all-MiniLM-L6-v2".
    pub name: String,
    /// Length of its vectors.
    pub dimensions: u32,
    /// How many tokens of a text it reads; the rest is cut.
    pub max_tokens: u32,
}
