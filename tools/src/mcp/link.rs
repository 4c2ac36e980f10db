//! How a server is reached: a program's standard input and output, or HTTP.

use super::McpSettings;
use super::handler::Client;
use super::http::{self, Bounded};
use super::oauth::{Authorized, Desk, SIGNING_IN};
use super::output::Output;
use super::progress::Telling;
use crate::child::{Complaints, Group, command};
use crate::lines::MESSAGE;
use rmcp::model::ProtocolVersion;
use rmcp::service::{ClientInitializeError, RunningService};
use rmcp::transport::async_rw::AsyncRwTransport;
use rmcp::transport::{AuthError, StreamableHttpClientTransport, Transport};
use rmcp::{ClientLifecycleMode, ClientServiceExt as _, RoleClient};
use std::path::Path;
use std::process::Stdio;
use std::sync::Arc;
use std::time::Duration;
use tokio::process::{Child, ChildStdin, ChildStdout};

/// How long a server may take to say what it is.
const HANDSHAKE: Duration = Duration::from_mins(1);

/// A server that said what it is. The conversation ends when this is dropped, and with it the server's program.
pub struct Link {
    /// The conversation with it.
    pub service: Arc<RunningService<RoleClient, Client>>,
    /// What its program wrote on its standard error last.
    pub complaints: Complaints,
    /// Its program, and what that started.
    _program: Option<(Group, Child)>,
}

impl Link {
    /// Starts the program, or reaches out to the address, and agrees on a protocol.
    pub async fn open(
        settings: &McpSettings,
        desk: Option<&Arc<Desk>>,
        directory: &Path,
        client: Client,
    ) -> Result<Self, String> {
        let newest = ClientLifecycleMode::Auto {
            preferred_versions: vec![ProtocolVersion::V_2026_07_28],
            legacy_version: Some(ProtocolVersion::V_2025_11_25),
        };
        match Self::agree(settings, desk, directory, client.clone(), newest).await {
            // A server that answers what it does not know with anything but an error is an older one.
            Err(Failure::Misunderstood(_)) => {
                Self::agree(settings, desk, directory, client, ClientLifecycleMode::Initialize).await
            }
            outcome => outcome,
        }
        .map_err(Failure::told)
    }

    async fn agree(
        settings: &McpSettings,
        desk: Option<&Arc<Desk>>,
        directory: &Path,
        client: Client,
        lifecycle: ClientLifecycleMode,
    ) -> Result<Self, Failure> {
        let complaints = Complaints::default();
        let progress = client.progress.clone();
        let mut program = None;
        let served = if let Some(url) = &settings.url {
            let mut config = http::bounded(url);
            if let Some(name) = &settings.token_env {
                let token = std::env::var(name)
                    .map_err(|_| Failure::Other(format!("the variable `{name}` is not set")))?;
                config = config.auth_header(token);
            }
            let http = http::client().map_err(|error| Failure::Other(error.to_string()))?;
            if let Some(desk) = desk {
                let http = Bounded(Authorized::new(http, Arc::clone(desk)));
                let transport = StreamableHttpClientTransport::with_client(http, config);
                serve(client, Telling { transport, progress }, lifecycle, HANDSHAKE + SIGNING_IN).await
            } else {
                let transport = StreamableHttpClientTransport::with_client(Bounded(http), config);
                serve(client, Telling { transport, progress }, lifecycle, HANDSHAKE).await
            }
        } else {
            let (started, stdin, stdout) = start(settings, directory, &complaints)?;
            program = Some(started);
            let transport = AsyncRwTransport::new(Output::new(stdout, complaints.clone()), stdin)
                .with_max_line_length(MESSAGE + 1);
            serve(client, Telling { transport, progress }, lifecycle, HANDSHAKE).await
        };
        match served {
            Ok(Ok(service)) => Ok(Self { service: Arc::new(service), complaints, _program: program }),
            Ok(Err(error)) => {
                // What it wrote while it died may still be on its way.
                tokio::time::sleep(Duration::from_millis(50)).await;
                let mut reason = complaints.after(&told(&error));
                if settings.oauth.is_none() && error.auth_challenge().is_some() {
                    reason.push_str("; it wants somebody to sign in: give it `oauth = {}`, or `token_env`");
                }
                Err(match error {
                    ClientInitializeError::ExpectedInitResult(_) => Failure::Misunderstood(reason),
                    _ => Failure::Other(reason),
                })
            }
            Err(_) => Err(Failure::Other(
                complaints.after(&format!("it did not say what it is within {} s", HANDSHAKE.as_secs())),
            )),
        }
    }
}

type Served = Result<RunningService<RoleClient, Client>, ClientInitializeError>;

/// Agrees on a protocol, if the server does so in time.
async fn serve<T: Transport<RoleClient> + 'static>(
    client: Client,
    transport: T,
    lifecycle: ClientLifecycleMode,
    within: Duration,
) -> Result<Served, tokio::time::error::Elapsed> {
    tokio::time::timeout(within, client.serve_with_lifecycle(transport, lifecycle)).await
}

type Started = ((Group, Child), ChildStdin, ChildStdout);

/// Starts the server's program.
fn start(settings: &McpSettings, directory: &Path, complaints: &Complaints) -> Result<Started, Failure> {
    let name = settings.command.first().map_or("", String::as_str);
    let mut child = command(&settings.command, &settings.env, directory)
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .map_err(|error| Failure::Other(format!("`{name}` cannot be started: {error}")))?;
    let group = Group::of(child.id());
    let (Some(stdin), Some(stdout), Some(stderr)) =
        (child.stdin.take(), child.stdout.take(), child.stderr.take())
    else {
        return Err(Failure::Other("the program has no standard input and output".to_owned()));
    };
    complaints.listen(stderr);
    Ok(((group, child), stdin, stdout))
}

/// What went wrong in few words where somebody could not sign in, and in rmcp's where it was something else.
fn told(error: &ClientInitializeError) -> String {
    let mut cause: Option<&(dyn std::error::Error + 'static)> = Some(error);
    while let Some(error) = cause {
        match error.downcast_ref::<AuthError>() {
            Some(AuthError::AuthorizationFailed(reason)) => return reason.clone(),
            Some(error) => return error.to_string(),
            None => cause = error.source(),
        }
    }
    error.to_string()
}

/// Why there is no conversation.
enum Failure {
    /// The server answered the question what it is with something else.
    Misunderstood(String),
    Other(String),
}

impl Failure {
    fn told(self) -> String {
        match self {
            Self::Misunderstood(reason) | Self::Other(reason) => reason,
        }
    }
}

impl Drop for Link {
    fn drop(&mut self) {
        self.service.cancellation_token().cancel();
    }
}
