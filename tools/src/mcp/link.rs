//! How a server is reached: a program's standard input and output, or HTTP.

use super::McpSettings;
use super::handler::Client;
use super::oauth::{Authorized, Desk, SIGNING_IN};
use crate::child::{Complaints, Group, command};
use rmcp::model::ProtocolVersion;
use rmcp::service::{ClientInitializeError, RunningService};
use rmcp::transport::streamable_http_client::StreamableHttpClientTransportConfig;
use rmcp::transport::{AuthError, StreamableHttpClientTransport, TokioChildProcess};
use rmcp::{ClientLifecycleMode, ClientServiceExt as _, RoleClient};
use std::path::Path;
use std::process::Stdio;
use std::sync::Arc;
use std::time::Duration;

/// How long a server may take to say what it is.
const HANDSHAKE: Duration = Duration::from_mins(1);

/// A server that said what it is. The conversation ends when this is dropped, and with it the server's program.
pub struct Link {
    /// The conversation with it.
    pub service: Arc<RunningService<RoleClient, Client>>,
    /// What its program wrote on its standard error last.
    pub complaints: Complaints,
    /// Its program.
    _group: Group,
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
        let mut group = Group::of(None);
        let served = if let Some(url) = &settings.url {
            let mut config = StreamableHttpClientTransportConfig::with_uri(url.as_str());
            if let Some(name) = &settings.token_env {
                let token = std::env::var(name)
                    .map_err(|_| Failure::Other(format!("the variable `{name}` is not set")))?;
                config = config.auth_header(token);
            }
            if let Some(desk) = desk {
                let http = Authorized::new(reqwest::Client::default(), Arc::clone(desk));
                let transport = StreamableHttpClientTransport::with_client(http, config);
                let within = HANDSHAKE + SIGNING_IN;
                tokio::time::timeout(within, client.serve_with_lifecycle(transport, lifecycle)).await
            } else {
                let transport = StreamableHttpClientTransport::from_config(config);
                tokio::time::timeout(HANDSHAKE, client.serve_with_lifecycle(transport, lifecycle)).await
            }
        } else {
            let (process, stderr) =
                TokioChildProcess::builder(command(&settings.command, &settings.env, directory))
                    .stderr(Stdio::piped())
                    .spawn()
                    .map_err(|error| {
                        Failure::Other(format!("`{}` cannot be started: {error}", settings.command[0]))
                    })?;
            group = Group::of(process.id());
            if let Some(stderr) = stderr {
                complaints.listen(stderr);
            }
            tokio::time::timeout(HANDSHAKE, client.serve_with_lifecycle(process, lifecycle)).await
        };
        match served {
            Ok(Ok(service)) => Ok(Self { service: Arc::new(service), complaints, _group: group }),
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
