use std::path::PathBuf;

/// An error of a controller or an embedder.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum ControllerError {
    /// The recorded request failed, and the replay returns its error.
    #[error("{reason}")]
    Recorded {
        /// The recorded error message.
        reason: String,
    },
    /// The model file does not exist or cannot be read.
    #[error("cannot read the model file `{}`: {source}", path.display())]
    Unreadable {
        /// Path of the file.
        path: PathBuf,
        /// The operating system's error.
        source: std::io::Error,
    },
    /// The file is not a GGUF file.
    #[error("`{}` is not a GGUF model ({reason}); give the path of a .gguf file", path.display())]
    NotGguf {
        /// Path of the file.
        path: PathBuf,
        /// The check that failed.
        reason: String,
    },
    /// The file is shorter than its header says.
    #[error(
        "the model file `{}` is truncated: it has {actual} bytes and needs {expected}; download it again",
        path.display()
    )]
    Truncated {
        /// Path of the file.
        path: PathBuf,
        /// Length that the header implies, in bytes.
        expected: u64,
        /// Length of the file, in bytes.
        actual: u64,
    },
    /// llama.cpp cannot run the model.
    #[error("cannot load the model `{}`: {reason}", path.display())]
    Unloadable {
        /// Path of the file.
        path: PathBuf,
        /// Why it cannot be loaded.
        reason: String,
    },
    /// The model has no chat template, or llama.cpp cannot render it.
    #[error("the model `{model}` has no usable chat template ({reason}); use an instruction-tuned model")]
    NoChatTemplate {
        /// Name of the model.
        model: String,
        /// The error of llama.cpp, or the part of a chat that the template does not render.
        reason: String,
    },
    /// Prompt and answers do not fit into the context.
    #[error(
        "the prompt has {prompt_tokens} tokens after dropping all droppable parts, and {candidates} answers of up \
         to {max_tokens} tokens follow, but the context holds {context_tokens}; raise `controller.context_tokens`, \
         or ask for fewer candidates or shorter answers"
    )]
    ContextOverflow {
        /// Length of the prompt without droppable parts, in tokens.
        prompt_tokens: u32,
        /// Number of requested answers.
        candidates: u32,
        /// Length limit of each answer, in tokens.
        max_tokens: u32,
        /// Size of the context, in tokens.
        context_tokens: u32,
    },
    /// The machine has too little memory for the context.
    #[error("not enough memory for a context of {context_tokens} tokens; lower `controller.context_tokens`")]
    NoMemory {
        /// The requested context size, in tokens.
        context_tokens: u32,
    },
    /// A field of the request is out of range.
    #[error("bad request: {reason}")]
    BadRequest {
        /// The field, and its valid range.
        reason: String,
    },
    /// The constraint is not a valid schema or grammar.
    #[error("bad constraint: {reason}")]
    BadConstraint {
        /// What the compiler reports.
        reason: String,
    },
    /// The model failed during inference.
    #[error("the model failed: {reason}")]
    Failed {
        /// What llama.cpp or the grammar engine reports.
        reason: String,
    },
    /// The thread that owns the model has ended.
    #[error("the model was shut down")]
    Stopped,
    /// The configuration of an endpoint is invalid.
    #[error("bad endpoint configuration: {reason}")]
    BadEndpoint {
        /// The invalid option, and its fault.
        reason: String,
    },
    /// The environment variable for the API key is not set.
    #[error("no API key: set the environment variable `{variable}`")]
    NoKey {
        /// Name of the variable.
        variable: String,
    },
    /// The server is unreachable or did not answer in time.
    #[error("cannot reach `{url}`: {reason}")]
    Unreachable {
        /// URL of the endpoint.
        url: String,
        /// The cause of the failure.
        reason: String,
    },
    /// The server answered with an error status.
    #[error("`{url}` answered {status}: {reason}")]
    Refused {
        /// URL of the endpoint.
        url: String,
        /// HTTP status code.
        status: u16,
        /// The start of the server's message.
        reason: String,
    },
    /// The connection ended before the answer did.
    #[error("`{url}` interrupted its answer: {reason}")]
    StreamInterrupted {
        /// URL of the endpoint.
        url: String,
        /// The cause of the interruption.
        reason: String,
    },
    /// The response is not a chat completion.
    #[error("`{url}` sent an invalid response: {reason}")]
    InvalidResponse {
        /// URL of the endpoint.
        url: String,
        /// The error of reading the response, or the fault of its content.
        reason: String,
    },
    /// A recorded controller received another request than the recorded one.
    #[error(
        "request {position} differs from the recording: expected {}, got {got}",
        expected.as_deref().unwrap_or("no further request")
    )]
    Diverged {
        /// Index of the request, from 0.
        position: usize,
        /// Digest of the recorded request; `None` after the last one.
        expected: Option<String>,
        /// Digest of the received request.
        got: String,
    },
}
