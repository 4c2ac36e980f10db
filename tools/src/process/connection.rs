//! A program from its start to its end: asked what it offers, again whenever it says that this has changed.

use super::ProcessSettings;
use super::conversation::Conversation;
use super::tool::ProcessTool;
use super::wire::Description;
use crate::Tool;
use crate::revival::Standing;
use serde_json::Value;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

/// How long a program may take to say what it offers.
const DESCRIBE: Duration = Duration::from_secs(30);

/// What is known of a program.
pub struct Connection {
    /// What it offers, and what happened to it.
    pub standing: Standing,
    settings: ProcessSettings,
    directory: PathBuf,
}

impl Connection {
    pub fn begin(name: &str, settings: ProcessSettings, directory: &Path) -> Arc<Self> {
        let connection =
            Arc::new(Self { standing: Standing::new(name), settings, directory: directory.to_owned() });
        let kept = Arc::clone(&connection);
        tokio::spawn(async move { kept.standing.keep_up(|| kept.live()).await });
        connection
    }

    /// One process from its start to its end; says how it ended.
    async fn live(&self) -> String {
        let conversation =
            match Conversation::begin(&self.settings.command, &self.settings.env, &self.directory) {
                Ok(conversation) => conversation,
                Err(error) => return error,
            };
        loop {
            if let Err(error) = self.describe(&conversation).await {
                return error;
            }
            tokio::select! {
                () = conversation.changed.notified() => {}
                () = conversation.ended.cancelled() => return conversation.why("the program ended"),
            }
        }
    }

    async fn describe(&self, conversation: &Arc<Conversation>) -> Result<(), String> {
        let asked = conversation.ask("describe", Value::Null, None);
        let answer = tokio::time::timeout(DESCRIBE, asked).await.map_err(|_| {
            conversation.why(&format!("it did not say what it offers within {} s", DESCRIBE.as_secs()))
        })?;
        let answer = answer.map_err(|fault| fault.to_string())?;
        let description: Description = serde_json::from_value(answer)
            .map_err(|error| conversation.why(&format!("what it offers cannot be read: {error}")))?;
        let name = self.standing.name();
        let tool = |offer| -> Arc<dyn Tool> {
            Arc::new(ProcessTool::new(name, offer, &self.settings, conversation))
        };
        self.standing.offers(description.offers(&self.standing).into_iter().map(tool).collect());
        Ok(())
    }
}
