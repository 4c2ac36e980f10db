use crate::ControllerError;
use serde_json::{Value, json};

/// An error as clients of the protocol expect it: a status, a sentence, and what it is about.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{message}")]
pub struct ApiError {
    /// HTTP status code.
    pub status: u16,
    /// What is wrong, for people.
    pub message: String,
    /// The parameter that is wrong: `messages[2].content`.
    pub param: Option<String>,
    /// A word for programs: `context_length_exceeded`.
    pub code: Option<&'static str>,
}

impl ApiError {
    /// An error with this status.
    pub fn new(status: u16, code: Option<&'static str>, message: impl Into<String>) -> Self {
        Self { status, message: message.into(), param: None, code }
    }

    /// A parameter has a value that the server cannot carry out. `fault` follows the parameter's name in the sentence.
    pub(super) fn invalid(param: impl Into<String>, fault: &str) -> Self {
        let param = param.into();
        let message = format!("`{param}` {fault}");
        Self { status: 400, message, param: Some(param), code: Some("invalid_value") }
    }

    /// The server does not have a parameter.
    pub(super) fn unsupported(param: impl Into<String>, why: &str) -> Self {
        let param = param.into();
        let message = format!("`{param}` is not supported by this server: {why}");
        Self { status: 400, message, param: Some(param), code: Some("unsupported_parameter") }
    }

    /// There is no such model among those that are served.
    pub fn no_model(name: &str, served: &[&str]) -> Self {
        let served = match served {
            [] => "no model is served for this".to_owned(),
            _ => format!("served for this: {}", served.join(", ")),
        };
        let name: String = name.chars().take(100).collect();
        Self {
            param: Some("model".into()),
            ..Self::new(404, Some("model_not_found"), format!("no model `{name}`; {served}"))
        }
    }

    /// The body of the response.
    pub fn body(&self) -> Value {
        let kind = if self.status >= 500 { "server_error" } else { "invalid_request_error" };
        json!({"error": {"message": self.message, "type": kind, "param": self.param, "code": self.code}})
    }
}

impl From<ControllerError> for ApiError {
    fn from(error: ControllerError) -> Self {
        match error {
            ControllerError::ContextOverflow { prompt_tokens, candidates, max_tokens, context_tokens } => {
                Self {
                    status: 400,
                    message: format!(
                        "the prompt has {prompt_tokens} tokens, and {candidates} answers of up to {max_tokens} tokens follow, but \
                     the context holds {context_tokens}; shorten `messages`, or lower `max_tokens` or `n`"
                    ),
                    param: Some("messages".into()),
                    code: Some("context_length_exceeded"),
                }
            }
            ControllerError::BadRequest { .. } | ControllerError::BadConstraint { .. } => {
                Self::new(400, Some("invalid_value"), error.to_string())
            }
            ControllerError::Stopped => Self::new(503, None, error.to_string()),
            error => Self::new(500, None, error.to_string()),
        }
    }
}
