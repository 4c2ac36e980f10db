//! A component's tools, for as long as its file stays the same.

use super::WasmSettings;
use super::host::{Host, Request};
use crate::process::{Description, Offer, outcome_of};
use crate::revival::Standing;
use crate::{CallContext, Tool, ToolError, ToolOutcome, ToolSource, ToolSpec};
use async_trait::async_trait;
use serde_json::{Map, Value};
use std::path::{Path, PathBuf};
use std::sync::{Arc, Weak};
use std::time::{Duration, SystemTime};
use tokio_util::sync::DropGuard;

/// How long a component may take to say what it offers.
const DESCRIBE: Duration = Duration::from_secs(30);
/// How often its file is looked at.
const LOOK: Duration = Duration::from_secs(1);

/// A component's tools. It is compiled in the background, and again when its file changes.
pub struct WasmSource {
    held: Arc<Held>,
    _lease: DropGuard,
}

struct Held {
    standing: Standing,
    settings: WasmSettings,
    directory: PathBuf,
}

impl WasmSource {
    /// Begins to compile the component; paths are relative to `directory`.
    pub fn open(name: &str, settings: WasmSettings, directory: &Path) -> Self {
        let held =
            Arc::new(Held { standing: Standing::new(name), settings, directory: directory.to_owned() });
        let kept = Arc::clone(&held);
        tokio::spawn(async move { kept.standing.keep_up(|| kept.live()).await });
        Self { _lease: held.standing.lease(), held }
    }
}

impl Held {
    /// From when it is compiled until its file changes; says how it ended.
    async fn live(&self) -> String {
        let changed = self.changed();
        let host = match self.start().await {
            Ok(host) => host,
            Err(reason) => return reason,
        };
        loop {
            tokio::time::sleep(LOOK).await;
            if self.changed() != changed {
                drop(host);
                return "the component has changed".to_owned();
            }
        }
    }

    async fn start(&self) -> Result<Arc<Host>, String> {
        let (settings, directory) = (self.settings.clone(), self.directory.clone());
        let host = tokio::task::spawn_blocking(move || Host::new(&settings, &directory)).await;
        let host = Arc::new(host.map_err(|error| error.to_string())??);
        let described = tokio::time::timeout(DESCRIBE, host.describe()).await;
        let described = described
            .map_err(|_| format!("it did not say what it offers within {} s", DESCRIBE.as_secs()))??;
        let description: Description = serde_json::from_str(&described)
            .map_err(|error| format!("what it offers cannot be read: {error}"))?;
        let tool = |offer| -> Arc<dyn Tool> { Arc::new(self.tool(offer, &host)) };
        self.standing.offers(description.offers(&self.standing).into_iter().map(tool).collect());
        Ok(host)
    }

    fn tool(&self, offer: Offer, host: &Arc<Host>) -> WasmTool {
        let name = offer.name.clone();
        let effects = self.settings.effects_of(&name, offer.effects);
        let spec = offer.spec(self.standing.name(), effects, self.settings.timeout_ms);
        WasmTool { spec, name, host: Arc::downgrade(host) }
    }

    fn changed(&self) -> Option<SystemTime> {
        std::fs::metadata(self.directory.join(&self.settings.component)).ok()?.modified().ok()
    }
}

#[async_trait]
impl ToolSource for WasmSource {
    fn name(&self) -> &str {
        self.held.standing.name()
    }

    fn tools(&self) -> Vec<Arc<dyn Tool>> {
        self.held.standing.tools()
    }

    fn notices(&self) -> Vec<String> {
        self.held.standing.take_notices()
    }

    async fn ready(&self, within: Duration) -> bool {
        self.held.standing.ready(within).await
    }

    async fn close(&self) {
        self.held.standing.close().await;
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
        let host = self.host.upgrade().ok_or_else(|| failed("its component is not there".to_owned()))?;
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
                Err(error) => ToolOutcome::failed(format!("the result is no JSON: {error}")),
            }),
            Err(reason) => Ok(ToolOutcome::failed(reason)),
        }
    }
}
