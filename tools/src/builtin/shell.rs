use super::cut;
use crate::child::{Group, command};
use crate::schema::identifier;
use crate::{CallContext, Content, Effects, FixedSource, Tool, ToolError, ToolOutcome, ToolSpec};
use async_trait::async_trait;
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value, json};
use std::path::{Path, PathBuf};
use std::process::Stdio;
use std::sync::Arc;
use std::time::Duration;
use tokio::io::{AsyncRead, AsyncReadExt as _};

/// Bytes of each output that are kept.
const OUTPUT: usize = 64 << 10;
/// How long what a command left running may go on talking after the command has ended.
const LAST_WORDS: Duration = Duration::from_millis(100);

/// Commands of a shell. It is not a sandbox: what runs has the user's powers, but for the environment variables.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, schemars::JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct ShellSettings {
    /// Must be true: nobody gets a shell by mistake.
    #[serde(default)]
    pub enabled: bool,
    /// Where commands run.
    #[serde(default = "here")]
    pub directory: PathBuf,
    /// Names of the environment variables that they may see, besides PATH, HOME, LANG and TMPDIR.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub env: Vec<String>,
    /// Milliseconds that one may take.
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
    /// The tool `NAME_run`.
    ///
    /// # Errors
    /// When it is not enabled, or its directory is none.
    pub fn open(self, name: &str, directory: &Path) -> Result<FixedSource, String> {
        if !self.enabled {
            return Err("a shell needs `enabled = true`: whatever it runs has your powers".to_owned());
        }
        let directory = directory.join(&self.directory);
        if !directory.is_dir() {
            return Err(format!("`{}` is no directory", directory.display()));
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
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .map_err(|error| failed(error.to_string()))?;
        // Whatever happens, what it started ends with this call.
        let _group = Group::of(child.id());
        let (Some(mut stdout), Some(mut stderr)) = (child.stdout.take(), child.stderr.take()) else {
            return Err(failed("it has no output".to_owned()));
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
                    // Something that it left running may hold its output open; that is not waited for.
                    let _ = tokio::time::timeout(LAST_WORDS, &mut reading).await;
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
        let shown = vec![Content::text(cut(words.trim_end(), 20_000))];
        let message = if status.success() { String::new() } else { status.to_string() };
        Ok(ToolOutcome { ok: status.success(), message, content: shown, ..ToolOutcome::default() })
    }
}

/// Reads to the end and keeps the first [`OUTPUT`] bytes: whoever writes more must not be held up.
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
