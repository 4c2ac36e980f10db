//! How a server is reached: a program's standard input and output, or HTTP.

use super::McpSettings;
use super::handler::Client;
use rmcp::model::ProtocolVersion;
use rmcp::service::RunningService;
use rmcp::transport::streamable_http_client::StreamableHttpClientTransportConfig;
use rmcp::transport::{StreamableHttpClientTransport, TokioChildProcess};
use rmcp::{ClientLifecycleMode, ClientServiceExt as _, RoleClient};
use std::path::Path;
use std::process::Stdio;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;
use tokio::io::{AsyncBufReadExt as _, AsyncReadExt as _, BufReader};
use tokio::process::{ChildStderr, Command};

/// What a program may see of the environment without asking.
const VISIBLE: [&str; 4] = ["PATH", "HOME", "LANG", "TMPDIR"];
/// Bytes of a program's complaints that are kept, and of one line of them.
const COMPLAINTS: usize = 2000;
/// How long a server may take to say what it is.
const HANDSHAKE: Duration = Duration::from_secs(60);

/// A server that said what it is. The conversation ends when this is dropped, and with it the server's program.
pub struct Link {
    /// The conversation with it.
    pub service: Arc<RunningService<RoleClient, Client>>,
    /// What its program wrote on its standard error last.
    pub complaints: Complaints,
    /// The process group of its program.
    group: Option<rustix::process::Pid>,
}

/// The last of what a program wrote on its standard error.
#[derive(Clone, Default)]
pub struct Complaints(Arc<Mutex<String>>);

impl Link {
    /// Starts the program, or reaches out to the address, and agrees on a protocol.
    pub async fn open(settings: &McpSettings, directory: &Path, client: Client) -> Result<Self, String> {
        let lifecycle = ClientLifecycleMode::Auto {
            preferred_versions: vec![ProtocolVersion::V_2026_07_28],
            legacy_version: Some(ProtocolVersion::V_2025_11_25),
        };
        let complaints = Complaints::default();
        let mut group = None;
        let served = if let Some(url) = &settings.url {
            let mut config = StreamableHttpClientTransportConfig::with_uri(url.as_str());
            if let Some(name) = &settings.token_env {
                let token = std::env::var(name).map_err(|_| format!("the variable `{name}` is not set"))?;
                config = config.auth_header(token);
            }
            let transport = StreamableHttpClientTransport::from_config(config);
            tokio::time::timeout(HANDSHAKE, client.serve_with_lifecycle(transport, lifecycle)).await
        } else {
            let (process, stderr) = TokioChildProcess::builder(command(settings, directory))
                .stderr(Stdio::piped())
                .spawn()
                .map_err(|error| format!("`{}` cannot be started: {error}", settings.command[0]))?;
            group = process.id().and_then(|id| rustix::process::Pid::from_raw(id.cast_signed()));
            if let Some(stderr) = stderr {
                complaints.listen(stderr);
            }
            tokio::time::timeout(HANDSHAKE, client.serve_with_lifecycle(process, lifecycle)).await
        };
        match served {
            Ok(Ok(service)) => Ok(Self { service: Arc::new(service), complaints, group }),
            Ok(Err(error)) => {
                // What it wrote while it died may still be on its way.
                tokio::time::sleep(Duration::from_millis(50)).await;
                end(group);
                Err(complaints.after(&error.to_string()))
            }
            Err(_) => {
                end(group);
                Err(complaints.after(&format!("it did not say what it is within {} s", HANDSHAKE.as_secs())))
            }
        }
    }
}

impl Drop for Link {
    fn drop(&mut self) {
        self.service.cancellation_token().cancel();
        end(self.group);
    }
}

/// Ends what is left of a program and of all that it started.
fn end(group: Option<rustix::process::Pid>) {
    if let Some(group) = group {
        // It may be gone already.
        let _ = rustix::process::kill_process_group(group, rustix::process::Signal::KILL);
    }
}

fn command(settings: &McpSettings, directory: &Path) -> Command {
    let program = Path::new(&settings.command[0]);
    let is_path = program.components().count() > 1 && program.is_relative();
    let mut command = if is_path { Command::new(directory.join(program)) } else { Command::new(program) };
    command.args(&settings.command[1..]).env_clear().process_group(0).kill_on_drop(true);
    if directory.is_dir() {
        command.current_dir(directory);
    }
    for name in VISIBLE.into_iter().chain(settings.env.iter().map(String::as_str)) {
        if let Some(value) = std::env::var_os(name) {
            command.env(name, value);
        }
    }
    command
}

impl Complaints {
    /// Keeps the last lines until there are no more.
    fn listen(&self, stderr: ChildStderr) {
        let kept = Arc::clone(&self.0);
        tokio::spawn(async move {
            let mut reader = BufReader::new(stderr);
            let mut line = Vec::new();
            // A line without an end is taken in pieces.
            while let Ok(1..) = (&mut reader).take(COMPLAINTS as u64).read_until(b'\n', &mut line).await {
                let mut text = kept.lock().unwrap_or_else(PoisonError::into_inner);
                text.push_str(&String::from_utf8_lossy(&line));
                line.clear();
                while text.len() > COMPLAINTS {
                    let first = text.find('\n').map_or(text.len(), |end| end + 1);
                    text.drain(..first);
                }
            }
        });
    }

    /// `reason`, and what the program said before.
    pub fn after(&self, reason: &str) -> String {
        let text = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let last: Vec<&str> = text.lines().rev().take(3).collect();
        if last.is_empty() {
            return reason.to_owned();
        }
        let last: Vec<&str> = last.into_iter().rev().collect();
        format!("{reason}; it said: {}", last.join(" / "))
    }
}
