//! Why nobody is signed in.

use rmcp::transport::AuthError;
use rmcp::transport::auth::enterprise::EmaError;

/// Why nobody is signed in.
#[derive(Debug, thiserror::Error)]
pub enum SignInError {
    /// A variable that the settings name is missing.
    #[error("the variable `{name}` is not set")]
    Variable {
        /// Its name.
        name: String,
    },
    /// There is no terminal.
    #[error(
        "somebody must sign in in a browser, and nobody is there: do it once from a terminal with `sojourn tools list`, or use \
         `grant = \"client_credentials\"`"
    )]
    Nobody,
    /// The person took too long.
    #[error("nobody came back from signing in within {minutes} minutes")]
    Slow {
        /// How long it was waited.
        minutes: u64,
    },
    /// The person, or the authorization server, said no.
    #[error("signing in was refused: {reason}")]
    Refused {
        /// What the authorization server says of it.
        reason: String,
    },
    /// An earlier attempt failed that a person took part in.
    #[error("nobody is asked to sign in again: {reason}")]
    Before {
        /// Why it failed.
        reason: String,
    },
    /// The credentials belong to another authorization server.
    #[error("the client is known to `{expected}`, but the server sends it to `{found}`")]
    Issuer {
        /// What the settings say.
        expected: String,
        /// What the server says.
        found: String,
    },
    /// The server wants what it was given.
    #[error("the server still wants the scopes `{scopes}` after they were granted")]
    Futile {
        /// The scopes.
        scopes: String,
    },
    /// The server wants no scope in particular.
    #[error("the server forbids it and says no scope that would allow it")]
    Forbidden,
    /// A token that was just got is refused.
    #[error("the server does not accept the token that its authorization server has just given")]
    NotAccepted,
    /// The port for the browser's return cannot be had.
    #[error("the port on this machine for the return from the browser cannot be had: {0}")]
    Listen(#[from] std::io::Error),
    /// OAuth went wrong.
    #[error(transparent)]
    OAuth(#[from] AuthError),
    /// The identity provider's part of it went wrong.
    #[error(transparent)]
    Enterprise(#[from] EmaError),
}

impl From<SignInError> for AuthError {
    fn from(error: SignInError) -> Self {
        match error {
            SignInError::OAuth(error) => error,
            error => Self::AuthorizationFailed(error.to_string()),
        }
    }
}
