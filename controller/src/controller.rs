use crate::{Cancel, ControllerError, Reply, Request};
use async_trait::async_trait;
use serde::{Deserialize, Serialize};
use tokio::sync::mpsc::UnboundedSender;

/// A language model that answers constrained requests.
#[async_trait]
pub trait Controller: Send + Sync {
    /// Identifies the model. The result is constant for the lifetime of the value.
    fn model(&self) -> &ModelInfo;

    /// Whether the model can be shown pictures. A controller that cannot reads the text of their parts.
    fn sees(&self) -> bool {
        self.model().sees
    }

    /// The model that answers requests for a teacher; `None` where there is none. Such a controller must not be sent any.
    fn teacher(&self) -> Option<&ModelInfo> {
        None
    }

    /// Answers `request`.
    ///
    /// A request that is cut by `cancel`, its deadline or its length still gets a reply. The reply has the text so
    /// far and the [`Finish`](crate::Finish) reason. Dropping the future cancels the work.
    ///
    /// # Errors
    /// [`ControllerError`] with the reason; see its variants for which controller returns which.
    async fn complete(&self, request: &Request, cancel: &Cancel) -> Result<Reply, ControllerError>;

    /// As [`complete`](Self::complete), and sends the answers to `pieces` while they are written.
    ///
    /// The pieces of a candidate, one after the other, are a beginning of its text: the reply has every text whole. A
    /// controller that does not stream sends none, which is the default.
    ///
    /// # Errors
    /// As [`complete`](Self::complete).
    async fn complete_in_pieces(
        &self,
        request: &Request,
        cancel: &Cancel,
        pieces: Pieces,
    ) -> Result<Reply, ControllerError> {
        drop(pieces);
        self.complete(request, cancel).await
    }
}

/// Where the pieces of answers go. Unbounded, because the thread of the model never waits for a reader; the length of the
/// answers bounds it.
pub type Pieces = UnboundedSender<Piece>;

/// The next piece of an answer that is being written.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Piece {
    /// Index of the answer in [`Reply::candidates`].
    pub candidate: u32,
    /// Its text, whole characters, not empty.
    pub text: String,
}

/// An embedding model: texts with similar meaning get vectors with a high cosine similarity.
#[async_trait]
pub trait Embedder: Send + Sync {
    /// Identifies the model. The result is constant for the lifetime of the value.
    fn model(&self) -> &EmbedderInfo;

    /// Embeds each text and returns the vectors in order. A vector has [`EmbedderInfo::dimensions`] numbers
    /// and length 1.
    async fn embed(&self, texts: &[String]) -> Result<Vec<Vec<f32>>, ControllerError>;

    /// As [`embed`](Self::embed), with the length of each text in tokens. The default knows no lengths.
    async fn embed_counted(&self, texts: &[String]) -> Result<Embeddings, ControllerError> {
        Ok(Embeddings { vectors: self.embed(texts).await?, tokens: None })
    }
}

/// Vectors of texts, in the order of the texts.
#[derive(Debug, Clone, PartialEq)]
pub struct Embeddings {
    /// One vector per text, as of [`Embedder::embed`].
    pub vectors: Vec<Vec<f32>>,
    /// The length of each text in tokens, also past [`EmbedderInfo::max_tokens`]; `None` if it is not known.
    pub tokens: Option<Vec<u32>>,
}

/// Identifies a model in the log.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct ModelInfo {
    /// Name given by its publisher or server: "Qwen2.5 Coder 1.5B Instruct".
    pub name: String,
    /// Path of its file, or URL of its server.
    pub source: String,
    /// Quantisation, such as "`Q4_K_M`"; unknown for a server.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub quantisation: Option<String>,
    /// Number of weights; unknown for a server.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub parameters: Option<u64>,
    /// Context size in tokens, shared by prompt and answers; unknown for most servers.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub context_tokens: Option<u32>,
    /// SHA-256 of the file in hexadecimal, if it was computed.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub sha256: Option<String>,
    /// Whether it can be shown pictures.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub sees: bool,
}

/// Identifies an embedding model. Vectors of different models cannot be compared.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct EmbedderInfo {
    /// Name given by its publisher: "all-MiniLM-L6-v2".
    pub name: String,
    /// Number of dimensions of its vectors.
    pub dimensions: u32,
    /// Largest number of tokens per text; longer texts are truncated.
    pub max_tokens: u32,
}
