//! Where tools come from, as the agent file says it.

use crate::ToolSource;
use crate::builtin::{FetchSettings, FilesSettings, HumanSettings, Person, ShellSettings, clock};
use crate::http::HttpSettings;
use crate::mcp::{Grant, McpSettings, McpSource, SignIn};
use crate::process::{ProcessSettings, ProcessSource};
use crate::wasm::WasmSettings;
use serde::{Deserialize, Serialize};
use std::path::{Path, PathBuf};
use std::sync::Arc;

/// One source of tools, by its kind.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, schemars::JsonSchema)]
#[serde(tag = "kind", rename_all = "lowercase")]
#[allow(clippy::large_enum_variant, reason = "there are a handful of them")]
pub enum SourceSettings {
    /// A server of the Model Context Protocol.
    Mcp(McpSettings),
    /// A program that speaks lines of JSON.
    Process(ProcessSettings),
    /// A WebAssembly component.
    Wasm(WasmSettings),
    /// One request over HTTP.
    Http(HttpSettings),
    /// A directory.
    Files(FilesSettings),
    /// Pages of the web.
    Fetch(FetchSettings),
    /// The user.
    Human(HumanSettings),
    /// Commands.
    Shell(ShellSettings),
    /// The time of the log.
    Clock,
}

/// Why a source cannot be used as it is described.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("tools.{name}: {reason}")]
pub struct SourceError {
    /// The name that the agent file gives it.
    pub name: String,
    /// What is wrong.
    pub reason: String,
}

impl SourceSettings {
    /// Names of the environment variables whose values must not get into a log.
    pub fn secrets(&self) -> Vec<&str> {
        match self {
            Self::Mcp(settings) => settings.secrets(),
            Self::Http(settings) => settings.secrets.iter().map(String::as_str).collect(),
            _ => Vec::new(),
        }
    }

    /// Whether somebody may have to sign in before it is there, which takes them a while.
    pub fn wants_person(&self) -> bool {
        matches!(self, Self::Mcp(settings) if settings.oauth.as_ref().is_some_and(|oauth| oauth.grant == Grant::AuthorizationCode))
    }

    /// Opens it; what takes long goes on in the background. Paths are relative to `directory`; `person` is who is asked
    /// and signs in at servers, and `tokens` a directory of the user's own where that is kept.
    ///
    /// # Errors
    /// When it cannot be used as it is described.
    pub fn open(
        &self,
        name: &str,
        directory: &Path,
        person: Option<Arc<dyn Person>>,
        tokens: Option<PathBuf>,
    ) -> Result<Arc<dyn ToolSource>, SourceError> {
        let bad = |reason: String| SourceError { name: name.to_owned(), reason };
        if name.is_empty() || !name.chars().all(|c| c.is_ascii_alphanumeric() || c == '_') {
            return Err(bad(
                "a name is made of letters, digits and `_`: tools are called NAME_TOOL".to_owned()
            ));
        }
        let source: Arc<dyn ToolSource> = match self.clone() {
            Self::Mcp(settings) => {
                let source = McpSource::open_for(name, settings, directory, SignIn { person, tokens });
                Arc::new(source.map_err(|error| bad(error.to_string()))?)
            }
            Self::Process(settings) => Arc::new(
                ProcessSource::open(name, settings, directory).map_err(|error| bad(error.to_string()))?,
            ),
            #[cfg(feature = "wasm")]
            Self::Wasm(settings) => Arc::new(crate::wasm::WasmSource::open(name, settings, directory)),
            #[cfg(not(feature = "wasm"))]
            Self::Wasm(_) => {
                return Err(bad("this program was built without WebAssembly components".to_owned()));
            }
            Self::Http(settings) => Arc::new(settings.open(name).map_err(bad)?),
            Self::Files(settings) => Arc::new(settings.open(name, directory).map_err(bad)?),
            Self::Fetch(settings) => Arc::new(settings.open(name).map_err(bad)?),
            Self::Shell(settings) => Arc::new(settings.open(name, directory).map_err(bad)?),
            Self::Human(settings) => Arc::new(settings.open(name, person)),
            Self::Clock => Arc::new(clock(name)),
        };
        Ok(source)
    }
}
