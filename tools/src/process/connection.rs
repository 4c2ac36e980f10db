//! The life of one child process: start it, list its tools, and list them again after each change.

use super::ProcessSettings;
use super::client::ProcessClient;
use super::tool::ProcessTool;
use super::wire::Description;
use crate::Tool;
use crate::supervision::Supervisor;
use serde_json::Value;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

/// Time limit of the `describe` request.
const DESCRIBE_TIMEOUT: Duration = Duration::from_secs(30);

/// A configured program and its supervisor.
pub struct Connection {
    /// The published tools and notices, and the restart loop.
    pub supervisor: Supervisor,
    settings: ProcessSettings,
    directory: PathBuf,
}

impl Connection {
    pub fn begin(name: &str, settings: ProcessSettings, directory: &Path) -> Arc<Self> {
        let connection =
            Arc::new(Self { supervisor: Supervisor::new(name), settings, directory: directory.to_owned() });
        let kept = Arc::clone(&connection);
        tokio::spawn(async move { kept.supervisor.supervise(|| kept.run_process()).await });
        connection
    }

    /// Runs one process from start to end. Returns the reason why it ended.
    async fn run_process(&self) -> String {
        let client = match ProcessClient::begin(&self.settings.command, &self.settings.env, &self.directory) {
            Ok(client) => client,
            Err(error) => return error,
        };
        loop {
            if let Err(error) = self.describe(&client).await {
                return error;
            }
            tokio::select! {
                () = client.changed.notified() => {}
                () = client.ended.cancelled() => return client.explain("the process ended"),
            }
        }
    }

    async fn describe(&self, client: &Arc<ProcessClient>) -> Result<(), String> {
        let request = client.request("describe", Value::Null, None);
        let answer = tokio::time::timeout(DESCRIBE_TIMEOUT, request).await.map_err(|_| {
            client.explain(&format!("it did not answer `describe` within {} s", DESCRIBE_TIMEOUT.as_secs()))
        })?;
        let answer = answer.map_err(|error| error.to_string())?;
        let description: Description = serde_json::from_value(answer)
            .map_err(|error| client.explain(&format!("its `describe` response is not valid: {error}")))?;
        let tool = |(identifier, offer)| -> Arc<dyn Tool> {
            Arc::new(ProcessTool::new(identifier, offer, &self.settings, client))
        };
        self.supervisor.publish(description.offers(&self.supervisor).into_iter().map(tool).collect());
        Ok(())
    }
}
