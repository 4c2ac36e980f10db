//! Opens an MCP session with a child process or over HTTP.

use super::McpSettings;
use super::handler::Client;
use super::http::{self, HttpClient};
use super::lenient::Waiting;
use super::oauth::{Authorized, SIGN_IN_TIMEOUT, TokenManager};
use super::progress::ProgressTransport;
use super::stdout::StdoutReader;
use crate::framing::MAX_MESSAGE_BYTES;
use crate::subprocess::{ProcessTree, StderrLog, command};
use rmcp::model::ProtocolVersion;
use rmcp::service::{ClientInitializeError, RunningService, ServiceError};
use rmcp::transport::async_rw::AsyncRwTransport;
use rmcp::transport::streamable_http_client::AuthRequiredError;
use rmcp::transport::{AuthError, StreamableHttpClientTransport, Transport};
use rmcp::{ClientLifecycleMode, ClientServiceExt as _, RoleClient};
use std::path::Path;
use std::process::Stdio;
use std::sync::Arc;
use std::time::Duration;
use tokio::process::{Child, ChildStdin, ChildStdout};

/// Time limit of the protocol handshake.
const HANDSHAKE: Duration = Duration::from_mins(1);

/// An established MCP session. Dropping it ends the session and ends the server's process and everything that it started.
pub struct Session {
    /// The session's request interface.
    pub service: Arc<RunningService<RoleClient, Client>>,
    /// Captured standard error of the server's process; empty over HTTP.
    pub stderr_log: StderrLog,
    /// The server's process and everything that it started; the tree is dropped first.
    _program: Option<(ProcessTree, Child)>,
}

impl Session {
    /// Starts the process or connects to the URL, then negotiates a protocol version.
    pub async fn open(
        settings: &McpSettings,
        tokens: Option<&Arc<TokenManager>>,
        directory: &Path,
        client: Client,
    ) -> Result<Self, String> {
        let newest = ClientLifecycleMode::Auto {
            preferred_versions: vec![ProtocolVersion::V_2026_07_28],
            legacy_version: Some(ProtocolVersion::V_2025_11_25),
        };
        match Self::negotiate(settings, tokens, directory, client.clone(), newest).await {
            // An older server that answers an unknown method with something other than an error.
            Err(Failure::UnknownHandshake(_)) => {
                Self::negotiate(settings, tokens, directory, client, ClientLifecycleMode::Initialize).await
            }
            // A server of the newest protocol alone that took so long to start that the older handshake was tried.
            Err(Failure::OnlyNewest(_)) => {
                let preferred_versions = vec![ProtocolVersion::V_2026_07_28];
                let only = ClientLifecycleMode::Discover { preferred_versions };
                Self::negotiate(settings, tokens, directory, client, only).await
            }
            outcome => outcome,
        }
        .map_err(Failure::into_reason)
    }

    async fn negotiate(
        settings: &McpSettings,
        tokens: Option<&Arc<TokenManager>>,
        directory: &Path,
        client: Client,
        lifecycle: ClientLifecycleMode,
    ) -> Result<Self, Failure> {
        let stderr_log = StderrLog::default();
        let progress = client.progress.clone();
        let waiting = Waiting::default();
        let mut program = None;
        let served = if let Some(url) = &settings.url {
            let mut config = http::bounded(url);
            if let Some(name) = &settings.token_env {
                let token = std::env::var(name)
                    .map_err(|_| Failure::Other(format!("the environment variable `{name}` is not set")))?;
                config = config.auth_header(token);
            }
            let http = HttpClient::new(url, &settings.private_ranges).map_err(Failure::Other)?;
            if let Some(tokens) = tokens {
                let http = Authorized::new(http, Arc::clone(tokens));
                let transport = StreamableHttpClientTransport::with_client(http, config);
                let transport = ProgressTransport::new(transport, progress, waiting);
                serve(client, transport, lifecycle, HANDSHAKE + SIGN_IN_TIMEOUT).await
            } else {
                let transport = StreamableHttpClientTransport::with_client(http, config);
                serve(client, ProgressTransport::new(transport, progress, waiting), lifecycle, HANDSHAKE)
                    .await
            }
        } else {
            let (started, stdin, stdout) = start(settings, directory, &stderr_log)?;
            program = Some(started);
            let stdout = StdoutReader::new(stdout, stderr_log.clone(), waiting.clone());
            // A repaired line may be longer than the limit of what the server may write.
            let transport = AsyncRwTransport::new(stdout, stdin).with_max_line_length(2 * MAX_MESSAGE_BYTES);
            serve(client, ProgressTransport::new(transport, progress, waiting), lifecycle, HANDSHAKE).await
        };
        match served {
            Ok(Ok(service)) => Ok(Self { service: Arc::new(service), stderr_log, _program: program }),
            Ok(Err(error)) => {
                // The last lines of standard error may still be in the pipe.
                tokio::time::sleep(Duration::from_millis(50)).await;
                let mut reason = stderr_log.explain(&short_message(&error));
                if settings.oauth.is_none() && error.auth_challenge().is_some() {
                    reason.push_str("; set `oauth = {}` or `token_env`");
                }
                Err(Failure::of(&error, reason))
            }
            Err(_) => Err(Failure::Other(
                stderr_log
                    .explain(&format!("it did not complete the handshake within {} s", HANDSHAKE.as_secs())),
            )),
        }
    }
}

type Served = Result<RunningService<RoleClient, Client>, ClientInitializeError>;

/// Negotiates the protocol within the time limit.
async fn serve<T: Transport<RoleClient> + 'static>(
    client: Client,
    transport: T,
    lifecycle: ClientLifecycleMode,
    within: Duration,
) -> Result<Served, tokio::time::error::Elapsed> {
    tokio::time::timeout(within, client.serve_with_lifecycle(transport, lifecycle)).await
}

type Started = ((ProcessTree, Child), ChildStdin, ChildStdout);

/// Starts the server's process.
fn start(settings: &McpSettings, directory: &Path, stderr_log: &StderrLog) -> Result<Started, Failure> {
    let name = settings.command.first().map_or("", String::as_str);
    let mut child = command(&settings.command, &settings.env, directory)
        .and_then(|mut command| {
            command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped()).spawn()
        })
        .map_err(|error| Failure::Other(format!("cannot start `{name}`: {error}")))?;
    let tree = ProcessTree::of(child.id());
    let (Some(stdin), Some(stdout), Some(stderr)) =
        (child.stdin.take(), child.stdout.take(), child.stderr.take())
    else {
        return Err(Failure::Other("the process has no standard streams".to_owned()));
    };
    stderr_log.listen(stderr);
    Ok(((tree, child), stdin, stdout))
}

/// Why the handshake failed, without the names of types.
fn short_message(error: &ClientInitializeError) -> String {
    match error {
        ClientInitializeError::LegacyFallbackFailed { fallback, .. } => short_message(fallback),
        ClientInitializeError::TransportError { error, .. } => causes(error.error.as_ref()),
        ClientInitializeError::JsonRpcError(error) => error.message.to_string(),
        ClientInitializeError::ExpectedInitResponse(_) | ClientInitializeError::ExpectedInitResult(_) => {
            "its answer to the handshake is not one of the protocol".to_owned()
        }
        other => causes(other),
    }
}

/// Why a request failed, without the names of types.
pub fn service_error(error: &ServiceError) -> String {
    match error {
        ServiceError::McpError(error) => error.message.to_string(),
        ServiceError::TransportSend(error) => causes(error.error.as_ref()),
        ServiceError::UnexpectedResponse => "its response is not one to this request".to_owned(),
        other => other.to_string(),
    }
}

/// An error and its causes. A failed sign-in says all that is of use itself.
fn causes(error: &(dyn std::error::Error + 'static)) -> String {
    let mut text = String::new();
    let mut cause = Some(error);
    while let Some(error) = cause {
        match error.downcast_ref::<AuthError>() {
            Some(AuthError::AuthorizationFailed(reason)) => return reason.clone(),
            Some(error) => return error.to_string(),
            None => {}
        }
        if error.is::<AuthRequiredError>() {
            return "it demands a sign-in (HTTP 401)".to_owned();
        }
        let words = error.to_string();
        if !text.contains(&words) {
            text = if text.is_empty() { words } else { format!("{text}: {words}") };
        }
        cause = error.source();
    }
    text
}

/// Why no session was established.
enum Failure {
    /// The server did not understand the newest handshake, so an older one may work.
    UnknownHandshake(String),
    /// The server did not answer the newest handshake in time and refused the older one.
    OnlyNewest(String),
    Other(String),
}

impl Failure {
    fn of(error: &ClientInitializeError, reason: String) -> Self {
        match error {
            ClientInitializeError::ExpectedInitResult(_) => Self::UnknownHandshake(reason),
            // A server that refuses both handshakes fails with `LegacyFallbackFailed`.
            ClientInitializeError::JsonRpcError(_) => Self::OnlyNewest(reason),
            _ => Self::Other(reason),
        }
    }

    fn into_reason(self) -> String {
        match self {
            Self::UnknownHandshake(reason) | Self::OnlyNewest(reason) | Self::Other(reason) => reason,
        }
    }
}

impl Drop for Session {
    fn drop(&mut self) {
        self.service.cancellation_token().cancel();
    }
}
