//! Why a request has no answer.

use crate::Refused;
use axum::http::{StatusCode, header};
use axum::response::{IntoResponse, Response};
use serde_json::json;
use sojourn_logbook::ReadError;
use sojourn_memory::Error;

/// Why a request has no answer.
#[derive(Debug, thiserror::Error)]
pub enum StudioError {
    /// The log cannot be read there.
    #[error("{0}")]
    Read(#[from] ReadError),
    /// The store failed.
    #[error("{0}")]
    Store(#[from] Error),
    /// The skill library cannot be read.
    #[error("{0}")]
    Library(#[from] sojourn_skills::LibraryError),
    /// A value cannot be written as JSON.
    #[error("{0}")]
    Json(#[from] serde_json::Error),
    /// Nothing has that name.
    #[error("{0}")]
    NotFound(String),
    /// The request is not as the documentation says.
    #[error("{0}")]
    Bad(String),
    /// A command refused.
    #[error("{0}")]
    Refused(#[from] Refused),
    /// A file cannot be written.
    #[error("{0}")]
    Io(#[from] std::io::Error),
}

impl StudioError {
    fn status(&self) -> StatusCode {
        match self {
            Self::Store(error) | Self::Read(ReadError::Store(error)) => match error {
                Error::NoSuchRun { .. } | Error::NoSuchRecord { .. } => StatusCode::NOT_FOUND,
                Error::AmbiguousRun { .. } => StatusCode::BAD_REQUEST,
                _ => StatusCode::INTERNAL_SERVER_ERROR,
            },
            Self::NotFound(_) => StatusCode::NOT_FOUND,
            Self::Bad(_) => StatusCode::BAD_REQUEST,
            Self::Refused(_) => StatusCode::CONFLICT,
            Self::Read(_) | Self::Library(_) | Self::Json(_) | Self::Io(_) => {
                StatusCode::INTERNAL_SERVER_ERROR
            }
        }
    }
}

impl IntoResponse for StudioError {
    fn into_response(self) -> Response {
        let hint = match &self {
            Self::Refused(refused) => refused.hint.clone(),
            _ => None,
        };
        let body = json!({"error": self.to_string(), "hint": hint}).to_string();
        (self.status(), [(header::CONTENT_TYPE, "application/json")], body).into_response()
    }
}
