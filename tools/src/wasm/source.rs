//! A component's tools, reloaded when its file changes.

use super::WasmSettings;
use super::host::{Host, Request};
use crate::process::{Description, Offer, outcome_of};
use crate::supervision::{Supervised, Supervisor};
use crate::{CallContext, Tool, ToolError, ToolOutcome, ToolSpec};
use async_trait::async_trait;
use serde_json::{Map, Value};
use std::path::{Path, PathBuf};
use std::sync::{Arc, Weak};
use std::time::{Duration, SystemTime};
use tokio_util::sync::DropGuard;

/// Time limit of the `describe` call.
const DESCRIBE_TIMEOUT: Duration = Duration::from_secs(30);
/// How often the file's modification time is checked.
const POLL_INTERVAL: Duration = Duration::from_secs(1);

/// The tools of one component. It is compiled in the background, and again when its file changes.
pub struct WasmSource {
    shared: Arc<Shared>,
    _lease: DropGuard,
}

struct Shared {
    supervisor: Supervisor,
    settings: WasmSettings,
    directory: PathBuf,
}

impl WasmSource {
    /// Starts to compile the component. Paths are relative to `directory`.
    pub fn open(name: &str, settings: WasmSettings, directory: &Path) -> Self {
        let shared =
            Arc::new(Shared { supervisor: Supervisor::new(name), settings, directory: directory.to_owned() });
        let kept = Arc::clone(&shared);
        tokio::spawn(async move { kept.supervisor.supervise(|| kept.serve_version()).await });
        Self { _lease: shared.supervisor.lease(), shared }
    }
}

impl Shared {
    /// Compiles the component and serves it until its file changes. Returns the reason why it ended.
    async fn serve_version(&self) -> String {
        let loaded = self.modified();
        let host = match self.start().await {
            Ok(host) => host,
            Err(reason) => return reason,
        };
        loop {
            tokio::time::sleep(POLL_INTERVAL).await;
            if self.modified() != loaded {
                drop(host);
                return "the component file has changed".to_owned();
            }
        }
    }

    async fn start(&self) -> Result<Arc<Host>, String> {
        let (settings, directory) = (self.settings.clone(), self.directory.clone());
        let host = tokio::task::spawn_blocking(move || Host::new(&settings, &directory)).await;
        let host = Arc::new(host.map_err(|error| error.to_string())??);
        let described = tokio::time::timeout(DESCRIBE_TIMEOUT, host.describe()).await;
        let described = described
            .map_err(|_| format!("it did not answer `describe` within {} s", DESCRIBE_TIMEOUT.as_secs()))??;
        let description: Description = serde_json::from_str(&described)
            .map_err(|error| format!("its `describe` result is not valid: {error}"))?;
        let tool = |(identifier, offer)| -> Arc<dyn Tool> { Arc::new(self.tool(identifier, offer, &host)) };
        self.supervisor.publish(description.offers(&self.supervisor).into_iter().map(tool).collect());
        Ok(host)
    }

    fn tool(&self, identifier: String, offer: Offer, host: &Arc<Host>) -> WasmTool {
        let name = offer.name.clone();
        let effects = self.settings.effects_of(&name, offer.effects);
        let spec = offer.spec(identifier, effects, self.settings.timeout_ms);
        WasmTool { spec, name, host: Arc::downgrade(host) }
    }

    fn modified(&self) -> Option<SystemTime> {
        std::fs::metadata(self.directory.join(&self.settings.component)).ok()?.modified().ok()
    }
}

impl Supervised for WasmSource {
    fn supervisor(&self) -> &Supervisor {
        &self.shared.supervisor
    }
}

/// A tool of a component.
struct WasmTool {
    spec: ToolSpec,
    name: String,
    host: Weak<Host>,
}

#[async_trait]
impl Tool for WasmTool {
    fn spec(&self) -> &ToolSpec {
        &self.spec
    }

    async fn call(&self, args: &Map<String, Value>, context: &CallContext) -> Result<ToolOutcome, ToolError> {
        let failed = |reason: String| ToolError::Failed { name: self.spec.name.clone(), reason };
        let host = self.host.upgrade().ok_or_else(|| failed("its component is not loaded".to_owned()))?;
        let request = Request {
            tool: self.name.clone(),
            args: Value::Object(args.clone()).to_string(),
            now_ms: context.now_ms,
            idempotency_key: context.idempotency_key.clone(),
        };
        let answer = tokio::select! {
            answer = host.call(&request) => answer,
            () = context.cancel.cancelled() => {
                return Err(ToolError::Cancelled { name: self.spec.name.clone() });
            }
        };
        match answer.map_err(failed)? {
            Ok(result) => Ok(match serde_json::from_str(&result) {
                Ok(result) => outcome_of(result),
                Err(error) => ToolOutcome::failed(format!("the result is not valid JSON: {error}")),
            }),
            Err(reason) => Ok(ToolOutcome::failed(reason)),
        }
    }
}
