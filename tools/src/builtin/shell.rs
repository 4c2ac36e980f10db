use super::truncate;
use crate::schema::identifier;
use crate::subprocess::{ProcessTree, command};
use crate::{CallContext, Content, Effects, FixedSource, Tool, ToolError, ToolOutcome, ToolSpec};
use async_trait::async_trait;
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value, json};
use std::path::{Path, PathBuf};
use std::process::Stdio;
use std::sync::Arc;
use std::time::Duration;
use tokio::io::{AsyncRead, AsyncReadExt as _};

/// Limit on the bytes kept of standard output and of standard error, each.
const OUTPUT: usize = 64 << 10;
/// How long output is still read after the command has exited, in case a background process holds the pipe
/// open.
const DRAIN_TIMEOUT: Duration = Duration::from_millis(100);

/// `[tools.NAME]` with `kind = "shell"`: runs commands of `sh`. This is not a sandbox: commands have the
/// user's rights, except that they see only the listed environment variables.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, schemars::JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct ShellSettings {
    /// Must be true. A shell is never enabled by default.
    #[serde(default)]
    pub enabled: bool,
    /// Working directory of the commands.
    #[serde(default = "here")]
    pub directory: PathBuf,
    /// Environment variables that commands see, besides PATH, HOME, LANG and TMPDIR.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub env: Vec<String>,
    /// Time limit of one command, in milliseconds. Default 60,000.
    #[serde(default = "timeout_ms")]
    pub timeout_ms: u64,
}

fn here() -> PathBuf {
    PathBuf::from(".")
}

fn timeout_ms() -> u64 {
    60_000
}

struct Shell {
    spec: ToolSpec,
    settings: ShellSettings,
    directory: PathBuf,
}

impl ShellSettings {
    /// Builds a source with one tool, `NAME_run`.
    ///
    /// # Errors
    /// `enabled` is false, or `directory` is not a directory.
    pub fn open(self, name: &str, directory: &Path) -> Result<FixedSource, String> {
        if !self.enabled {
            return Err("a shell needs `enabled = true`: its commands run with your rights".to_owned());
        }
        let directory = directory.join(&self.directory);
        if !directory.is_dir() {
            return Err(format!("`{}` is not a directory", directory.display()));
        }
        let input = json!({
            "type": "object",
            "properties": {"command": {"type": "string", "minLength": 1}},
            "required": ["command"],
            "additionalProperties": false,
        });
        let spec = ToolSpec {
            effects: Effects { write: true, network: true, irreversible: true, idempotent: false },
            timeout_ms: Some(self.timeout_ms),
            ..ToolSpec::new(identifier(name, "run"), "runs a command of sh").with_input(input)
        };
        Ok(FixedSource::new(name, vec![Arc::new(Shell { spec, settings: self, directory })]))
    }
}

#[async_trait]
impl Tool for Shell {
    fn spec(&self) -> &ToolSpec {
        &self.spec
    }

    async fn call(&self, args: &Map<String, Value>, context: &CallContext) -> Result<ToolOutcome, ToolError> {
        let failed = |reason: String| ToolError::Failed { name: self.spec.name.clone(), reason };
        let line = args.get("command").and_then(Value::as_str).unwrap_or_default().to_owned();
        let line = ["sh".to_owned(), "-c".to_owned(), line];
        let mut child = command(&line, &self.settings.env, &self.directory)
            .and_then(|mut command| {
                command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped()).spawn()
            })
            .map_err(|error| failed(error.to_string()))?;
        // Dropping the tree ends every process that the command started.
        let _tree = ProcessTree::of(child.id());
        let (Some(mut stdout), Some(mut stderr)) = (child.stdout.take(), child.stderr.take()) else {
            return Err(failed("its output is not captured".to_owned()));
        };
        let (mut out, mut err) = (Vec::new(), Vec::new());
        let run = async {
            let reading = async { tokio::join!(keep(&mut stdout, &mut out), keep(&mut stderr, &mut err)) };
            tokio::pin!(reading);
            tokio::select! {
                (one, other) = &mut reading => {
                    one.and(other)?;
                    child.wait().await
                }
                status = child.wait() => {
                    // A background process may hold the pipes open; do not wait for it.
                    let _ = tokio::time::timeout(DRAIN_TIMEOUT, &mut reading).await;
                    status
                }
            }
        };
        let status = tokio::select! {
            status = run => status.map_err(|error| failed(error.to_string()))?,
            () = context.cancel.cancelled() => {
                return Err(ToolError::Cancelled { name: self.spec.name.clone() });
            }
        };
        let words = format!("{}{}", String::from_utf8_lossy(&out), String::from_utf8_lossy(&err));
        let shown = vec![Content::text(truncate(words.trim_end(), 20_000))];
        let invalid: usize = [&out, &err]
            .iter()
            .flat_map(|bytes| bytes.utf8_chunks())
            .map(|chunk| chunk.invalid().len())
            .sum();
        let mut notes = Vec::new();
        if !status.success() {
            notes.push(status.to_string());
        }
        if invalid > 0 {
            notes.push(format!("bytes of the output that are no UTF-8, shown as U+FFFD: {invalid}"));
        }
        let message = notes.join("; ");
        Ok(ToolOutcome { ok: status.success(), message, content: shown, ..ToolOutcome::default() })
    }
}

/// Reads to the end of the stream and keeps the first [`OUTPUT`] bytes, so that a writer never blocks on a
/// full pipe.
async fn keep(reader: &mut (impl AsyncRead + Unpin), kept: &mut Vec<u8>) -> std::io::Result<()> {
    let mut piece = [0; 8192];
    loop {
        let count = reader.read(&mut piece).await?;
        if count == 0 {
            return Ok(());
        }
        let room = OUTPUT - kept.len();
        kept.extend_from_slice(&piece[..count.min(room)]);
    }
}
