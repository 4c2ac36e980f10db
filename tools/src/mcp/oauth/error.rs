use rmcp::transport::AuthError;
use rmcp::transport::auth::enterprise::EmaError;

/// Why a sign-in failed.
#[derive(Debug, thiserror::Error)]
pub enum SignInError {
    /// An environment variable that the settings name is not set.
    #[error("the environment variable `{name}` is not set")]
    Variable {
        /// Name of the variable.
        name: String,
    },
    /// Interactive sign-in is needed, but there is no terminal.
    #[error(
        "a sign-in in a browser is needed, but there is no terminal: run `sojourn tools list` once in a terminal, or use \
         `grant = \"client_credentials\"`"
    )]
    NoTerminal,
    /// The user did not complete the sign-in in time.
    #[error("the sign-in was not completed within {minutes} minutes")]
    TimedOut {
        /// The time limit, in minutes.
        minutes: u64,
    },
    /// The user or the authorization server refused.
    #[error("signing in was refused: {reason}")]
    Refused {
        /// Reason given by the authorization server.
        reason: String,
    },
    /// An earlier interactive sign-in failed; the user is not asked again.
    #[error("the sign-in failed before and is not repeated in this run: {reason}")]
    FailedBefore {
        /// Why it failed.
        reason: String,
    },
    /// The configured issuer differs from the one that the server names.
    #[error("the client is registered with the issuer `{expected}`, but the server names `{found}`")]
    IssuerMismatch {
        /// Issuer in the settings.
        expected: String,
        /// Issuer that the server names.
        found: String,
    },
    /// The client has a secret, and the server names an authorization server elsewhere.
    #[error(
        "the server wants the client's secret to be sent to `{found}`; if that is right, say `issuer = \"{found}\"`"
    )]
    IssuerNotNamed {
        /// Issuer that the server names.
        found: String,
    },
    /// The server still demands scopes that were granted.
    #[error("the server still demands the scopes `{scopes}` after they were granted")]
    ScopesRejected {
        /// The scopes, separated by spaces.
        scopes: String,
    },
    /// The server refused the request without naming a scope that would allow it.
    #[error("the server refused the request and named no scope that would allow it")]
    Forbidden,
    /// The server rejected a token that was just issued.
    #[error("the server rejected a token that its authorization server has just issued")]
    TokenRejected,
    /// The loopback port for the browser's redirect cannot be opened.
    #[error("cannot open the loopback port for the browser's redirect: {0}")]
    Listen(#[from] std::io::Error),
    /// An OAuth step failed.
    #[error(transparent)]
    OAuth(#[from] AuthError),
    /// The token exchange with the identity provider failed.
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
