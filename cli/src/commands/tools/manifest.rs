//! `tool.toml`, a plugin's manifest: how the plugin is started, and examples of calls.

use crate::error::{Failure, Kind};
use crate::{approver, waiting};
use anyhow::Result;
use serde::Deserialize;
use serde_json::{Map, Value};
use sojourn_tools::{CallLimits, SourceSettings, Toolbox};
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

/// The manifest's file name.
pub const FILE: &str = "tool.toml";
/// The prefix of a plugin's tools while it is checked.
pub const NAME: &str = "plugin";
/// The time limit of a plugin's list of tools.
const READY: Duration = Duration::from_secs(20);
/// The same of a server of the Model Context Protocol: longer than its handshake.
const SERVER_READY: Duration = Duration::from_secs(70);

/// A plugin's manifest.
pub struct Manifest {
    source: SourceSettings,
    /// Examples of calls.
    pub examples: Vec<Example>,
}

/// A call and its expected result.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Example {
    /// The tool's name in the plugin; `None` where the source is a single tool.
    pub tool: Option<String>,
    /// The arguments of the call.
    #[serde(default)]
    pub args: Map<String, Value>,
    /// The expected result.
    pub result: Option<Value>,
    /// A JSON Schema of the result.
    pub schema: Option<Value>,
    /// Whether the call is expected to fail.
    #[serde(default)]
    pub fails: bool,
}

impl Manifest {
    /// Reads `tool.toml` of a plugin's directory.
    ///
    /// # Errors
    /// When the file is missing or invalid.
    pub fn read(directory: &Path) -> Result<Self> {
        let path = directory.join(FILE);
        let bad = |reason: String| Failure::new(Kind::Usage, format!("{}: {reason}", path.display()));
        let text = std::fs::read_to_string(&path).map_err(|error| match error.kind() {
            std::io::ErrorKind::NotFound => {
                Failure::new(Kind::NotFound, format!("no file `{}`", path.display())).hint(
                    "a plugin's directory has one; `sojourn tools new NAME --lang python` creates a plugin",
                )
            }
            _ => bad(error.to_string()),
        })?;
        let mut table: toml::Table = toml::from_str(&text).map_err(|error| bad(error.to_string()))?;
        let examples = table.remove("example").unwrap_or_else(|| toml::Value::Array(Vec::new()));
        let examples = examples.try_into().map_err(|error| bad(format!("example: {}", error.message())))?;
        let source = table.try_into().map_err(|error| bad(error.message().to_owned()))?;
        Ok(Self { source, examples })
    }

    /// Starts the plugin.
    ///
    /// # Errors
    /// When the plugin does not list its tools in time.
    pub async fn start(&self, directory: &Path) -> Result<(Arc<dyn sojourn_tools::ToolSource>, Toolbox)> {
        let directory = directory.canonicalize()?;
        // A check stores no OAuth tokens.
        let source = self.source.open(NAME, &directory, approver::person(), None).map_err(|error| {
            Failure::new(Kind::Usage, format!("{}: {}", directory.join(FILE).display(), error.reason))
        })?;
        let within = if matches!(self.source, SourceSettings::Mcp(_)) { SERVER_READY } else { READY };
        let name = directory.file_name().map_or(NAME.into(), |name| name.to_string_lossy());
        if !waiting::for_tools(source.as_ref(), &name, within).await {
            let why = source.notices().into_iter().next().unwrap_or_else(|| "it prints nothing".to_owned());
            // Nobody waits here for the next attempt.
            let why = why.split("; they are unavailable, ").next().unwrap_or(&why).to_owned();
            source.close().await;
            return Err(Failure::new(Kind::Failure, format!("the plugin does not start: {why}"))
                .hint(format!(
                    "`{}` names the program; build it first if it is compiled",
                    directory.join(FILE).display()
                ))
                .into());
        }
        let toolbox = Toolbox::new(vec![Arc::clone(&source)], CallLimits::default());
        Ok((source, toolbox))
    }
}
