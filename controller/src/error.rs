use std::path::PathBuf;

/// Why a controller or an embedder could not do what it was asked.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum ControllerError {
    /// It failed when it was recorded, and is played as it was.
    #[error("{reason}")]
    Recorded {
        /// What was said then.
        reason: String,
    },
    /// There is no such file, or it cannot be read.
    #[error("cannot read the model file `{}`: {source}", path.display())]
    Unreadable {
        /// The file.
        path: PathBuf,
        /// What the system said.
        source: std::io::Error,
    },
    /// The file is something else than a GGUF.
    #[error("`{}` is not a GGUF model ({reason}); give the path of a .gguf file", path.display())]
    NotGguf {
        /// The file.
        path: PathBuf,
        /// What gave it away.
        reason: String,
    },
    /// The file ends too early.
    #[error(
        "the model file `{}` is cut short: it has {actual} bytes and needs {expected}; fetch it again",
        path.display()
    )]
    Truncated {
        /// The file.
        path: PathBuf,
        /// Bytes its header asks for.
        expected: u64,
        /// Bytes it has.
        actual: u64,
    },
    /// llama.cpp cannot run this model.
    #[error("cannot load the model `{}`: {reason}", path.display())]
    Unloadable {
        /// The file.
        path: PathBuf,
        /// What is wrong with it.
        reason: String,
    },
    /// The model does not say how a conversation is written down for it, or in a way unknown here.
    #[error("the model `{model}` has no usable chat template ({reason}); use an instruction-tuned model")]
    NoChatTemplate {
        /// The model.
        model: String,
        /// What is wrong with the template.
        reason: String,
    },
    /// Prompt and answers are too long for the model's memory.
    #[error(
        "the prompt has {prompt_tokens} tokens without anything that could be left out, and {candidates} answers of up \
         to {max_tokens} tokens follow, but the context holds {context_tokens}; raise `controller.context_tokens`, \
         or ask for fewer candidates or shorter answers"
    )]
    ContextOverflow {
        /// Length of the prompt, in tokens.
        prompt_tokens: u32,
        /// How many answers were asked for.
        candidates: u32,
        /// The longest answer, in tokens.
        max_tokens: u32,
        /// What the context holds.
        context_tokens: u32,
    },
    /// The machine has too little memory for the context that was asked for.
    #[error("there is no memory for a context of {context_tokens} tokens; lower `controller.context_tokens`")]
    NoMemory {
        /// What was asked for.
        context_tokens: u32,
    },
    /// The request contradicts itself or asks for more than there is.
    #[error("bad request: {reason}")]
    BadRequest {
        /// What is wrong with it.
        reason: String,
    },
    /// The constraint is not a schema or a grammar.
    #[error("bad constraint: {reason}")]
    BadConstraint {
        /// What is wrong with it.
        reason: String,
    },
    /// The model failed while it worked.
    #[error("the model failed: {reason}")]
    Failed {
        /// What happened.
        reason: String,
    },
    /// The thread that owns the model has ended.
    #[error("the model was shut down")]
    Stopped,
    /// An endpoint's configuration cannot be used.
    #[error("bad endpoint configuration: {reason}")]
    BadEndpoint {
        /// What is wrong with it.
        reason: String,
    },
    /// The environment variable that should hold the key is not set.
    #[error("no key: the environment variable `{variable}` is not set")]
    NoKey {
        /// Its name.
        variable: String,
    },
    /// The server could not be reached, or did not answer in time.
    #[error("cannot reach `{url}`: {reason}")]
    Unreachable {
        /// The address.
        url: String,
        /// What happened.
        reason: String,
    },
    /// The server refused.
    #[error("`{url}` answered {status}: {reason}")]
    Refused {
        /// The address.
        url: String,
        /// HTTP status code.
        status: u16,
        /// The beginning of what it said.
        reason: String,
    },
    /// The server began an answer and did not end it.
    #[error("`{url}` broke its answer off: {reason}")]
    StreamInterrupted {
        /// The address.
        url: String,
        /// What happened.
        reason: String,
    },
    /// The server answered something that is not a chat completion.
    #[error("`{url}` gave an answer that cannot be read: {reason}")]
    InvalidResponse {
        /// The address.
        url: String,
        /// What is wrong with it.
        reason: String,
    },
    /// The server's answers kept breaking the constraint.
    #[error("after {attempts} attempts the answer still breaks its constraint: {reason}")]
    ConstraintViolated {
        /// How often it was asked.
        attempts: u32,
        /// What is wrong with the last answer.
        reason: String,
    },
    /// A recorded controller was asked something else than what was recorded.
    #[error(
        "request {position} differs from the recording: expected {}, got {got}",
        expected.as_deref().unwrap_or("no further request")
    )]
    Diverged {
        /// Number of the request, from 0.
        position: usize,
        /// Digest of the recorded request, if there is one.
        expected: Option<String>,
        /// Digest of the request made.
        got: String,
    },
}
