//! Tool sources as the agent file configures them.

use crate::ToolSource;
use crate::builtin::{
    FetchSettings, FilesSettings, HearSettings, HumanSettings, Person, SeeSettings, ShellSettings,
    SpeakSettings, clock,
};
use crate::http::HttpSettings;
use crate::mcp::{Grant, McpSettings, McpSource, SignIn};
use crate::process::{ProcessSettings, ProcessSource};
use crate::wasm::WasmSettings;
use serde::{Deserialize, Serialize};
use std::path::{Path, PathBuf};
use std::sync::Arc;

/// Settings of one tool source, tagged by `kind`.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, schemars::JsonSchema)]
#[serde(tag = "kind", rename_all = "lowercase")]
#[allow(clippy::large_enum_variant, reason = "an agent has a handful of sources")]
pub enum SourceSettings {
    /// An MCP server. Its tools are named `NAME_TOOL`.
    Mcp(McpSettings),
    /// A child process that speaks JSON lines. Its tools are named `NAME_TOOL`.
    Process(ProcessSettings),
    /// A WebAssembly component. Its tools are named `NAME_TOOL`.
    Wasm(WasmSettings),
    /// One HTTP request, as the tool `NAME`.
    Http(HttpSettings),
    /// A directory, as the tools `NAME_list`, `NAME_read` and `NAME_search`. Neither `..` nor a symbolic link
    /// leaves it.
    Files(FilesSettings),
    /// Web pages as text, by the tool `NAME_get`.
    Fetch(FetchSettings),
    /// Questions to the person at the terminal, by the tool `NAME_ask`.
    Human(HumanSettings),
    /// Shell commands with the rights of the user, by the tool `NAME_run`. This is no sandbox.
    Shell(ShellSettings),
    /// Text in pictures and changes between them, as the tools `NAME_read`, `NAME_find` and `NAME_compare`; the latest picture of
    /// the world by `NAME_look`; with an `encoder` `NAME_similar` and `NAME_recognise`; with a `describer` `NAME_describe` and
    /// `NAME_ask`; with a `dual` encoder `NAME_classify`; with a `matcher` `NAME_match`.
    See(SeeSettings),
    /// Speech in sounds, as the tools `NAME_transcribe` and `NAME_speech`.
    Hear(HearSettings),
    /// A text as a sound, by the tool `NAME`. It runs `espeak-ng`.
    Speak(SpeakSettings),
    /// The time of the log, by the tool `NAME_now`.
    Clock,
}

/// The settings of a source are unusable.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("tools.{name}: {reason}")]
pub struct SourceError {
    /// Name of the source in the agent file.
    pub name: String,
    /// Why the settings are refused, in lower case, for the end of the message.
    pub reason: String,
}

impl SourceSettings {
    /// Environment variables whose values must not appear in a log.
    pub fn secrets(&self) -> Vec<&str> {
        match self {
            Self::Mcp(settings) => settings.secrets(),
            Self::Http(settings) => settings.secrets.iter().map(String::as_str).collect(),
            _ => Vec::new(),
        }
    }

    /// Environment variables that the source's programs see. Their values must not appear in a log either.
    pub fn env(&self) -> &[String] {
        match self {
            Self::Mcp(settings) => &settings.env,
            Self::Process(settings) => &settings.env,
            Self::Wasm(settings) => &settings.env,
            Self::Shell(settings) => &settings.env,
            Self::Http(_)
            | Self::Files(_)
            | Self::Fetch(_)
            | Self::Human(_)
            | Self::See(_)
            | Self::Hear(_)
            | Self::Speak(_)
            | Self::Clock => &[],
        }
    }

    /// Whether the source may need an interactive sign-in before its tools are known.
    pub fn wants_person(&self) -> bool {
        matches!(self, Self::Mcp(settings) if settings.oauth.as_ref().is_some_and(|oauth| oauth.grant == Grant::AuthorizationCode))
    }

    /// Opens the source; slow work continues in the background. Paths are relative to `directory`. `person`
    /// answers questions and signs in at servers; `tokens` is the private directory for their tokens.
    ///
    /// # Errors
    /// The settings are unusable.
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
                "a source name consists of letters, digits and `_`, because its tools are named NAME_TOOL"
                    .to_owned(),
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
            Self::Speak(settings) => Arc::new(settings.open(name).map_err(bad)?),
            Self::Clock => Arc::new(clock(name)),
            // The networks that see and hear are not in this crate: the program opens such a source itself.
            Self::See(_) => return Err(bad("sources of kind `see` cannot be opened here".to_owned())),
            Self::Hear(_) => return Err(bad("sources of kind `hear` cannot be opened here".to_owned())),
        };
        Ok(source)
    }
}
