//! A plugin's `tool.toml`: how it is started, and examples of its calls.

use crate::approver;
use crate::error::{Failure, Kind};
use anyhow::Result;
use serde::Deserialize;
use serde_json::{Map, Value};
use sojourn_tools::{CallLimits, SourceSettings, Toolbox};
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

/// The file in a plugin's directory.
pub const FILE: &str = "tool.toml";
/// The name that a plugin has while it is tried.
pub const NAME: &str = "plugin";
/// How long it may take to say what it offers.
const READY: Duration = Duration::from_secs(20);

/// A plugin as its file describes it.
pub struct Manifest {
    source: SourceSettings,
    /// Calls, and what comes of them.
    pub examples: Vec<Example>,
}

/// A call, and what comes of it.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Example {
    /// The plugin's name for the tool; none where its source is one tool.
    pub tool: Option<String>,
    /// The arguments.
    #[serde(default)]
    pub args: Map<String, Value>,
    /// What it returns.
    pub result: Option<Value>,
    /// A JSON Schema that what it returns fits.
    pub schema: Option<Value>,
    /// Whether it fails, as it should.
    #[serde(default)]
    pub fails: bool,
}

impl Manifest {
    /// Reads `tool.toml` of a plugin's directory.
    ///
    /// # Errors
    /// What is wrong with it.
    pub fn read(directory: &Path) -> Result<Self> {
        let path = directory.join(FILE);
        let bad = |reason: String| Failure::new(Kind::Usage, format!("{}: {reason}", path.display()));
        let text = std::fs::read_to_string(&path).map_err(|error| match error.kind() {
            std::io::ErrorKind::NotFound => Failure::new(Kind::NotFound, format!("no file `{}`", path.display()))
                .hint("a plugin's directory has one; `sojourn tools new NAME --lang python` writes one to start from"),
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
    /// When it does not say what it offers.
    pub async fn start(&self, directory: &Path) -> Result<(Arc<dyn sojourn_tools::ToolSource>, Toolbox)> {
        let directory = directory.canonicalize()?;
        // What is only tried keeps no tokens.
        let source = self.source.open(NAME, &directory, approver::person(), None).map_err(|error| {
            Failure::new(Kind::Usage, format!("{}: {}", directory.join(FILE).display(), error.reason))
        })?;
        if !source.ready(READY).await {
            let why = source.notices().into_iter().next().unwrap_or_else(|| "it says nothing".to_owned());
            source.close().await;
            return Err(Failure::new(Kind::Failure, format!("the plugin does not start: {why}"))
                .hint(format!(
                    "`{}` says what it starts; what has to be built is built first",
                    directory.join(FILE).display()
                ))
                .into());
        }
        let toolbox = Toolbox::new(vec![Arc::clone(&source)], CallLimits::default());
        Ok((source, toolbox))
    }
}
