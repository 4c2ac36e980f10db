use super::cut;
use crate::schema::identifier;
use crate::web::{Hosts, body, told};
use crate::{CallContext, Content, Effects, FixedSource, Tool, ToolError, ToolOutcome, ToolSpec};
use async_trait::async_trait;
use reqwest::{Client, Url};
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value, json};
use std::sync::Arc;
use std::time::Duration;

/// Columns that the text of a page is laid out in.
const COLUMNS: usize = 100;

/// Pages of hosts that are listed.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, schemars::JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct FetchSettings {
    /// The hosts, with `*` for any letters, and with their port where it is not the usual one.
    pub hosts: Vec<String>,
    /// Bytes that a page may have.
    #[serde(default = "most_bytes")]
    pub most_bytes: usize,
    /// Characters of its text that are shown.
    #[serde(default = "most_chars")]
    pub most_chars: usize,
    /// Milliseconds that it may take.
    #[serde(default = "timeout_ms")]
    pub timeout_ms: u64,
}

fn most_bytes() -> usize {
    4 << 20
}

fn most_chars() -> usize {
    20_000
}

fn timeout_ms() -> u64 {
    30_000
}

struct Fetch {
    spec: ToolSpec,
    settings: FetchSettings,
    hosts: Hosts,
    client: Client,
}

impl FetchSettings {
    /// The tool `NAME_get`.
    ///
    /// # Errors
    /// When no host is listed, or one is no pattern.
    pub fn open(self, name: &str) -> Result<FixedSource, String> {
        let hosts = Hosts::new(&self.hosts)?;
        let client = hosts.client(Duration::from_millis(self.timeout_ms), false)?;
        let about = format!("reads a page of {} as text", self.hosts.join(", "));
        let input = json!({
            "type": "object",
            "properties": {"url": {"type": "string"}},
            "required": ["url"],
            "additionalProperties": false,
        });
        let spec = ToolSpec {
            effects: Effects { network: true, idempotent: true, ..Effects::default() },
            timeout_ms: Some(self.timeout_ms + 1000),
            ..ToolSpec::new(identifier(name, "get"), about).with_input(input)
        };
        Ok(FixedSource::new(name, vec![Arc::new(Fetch { spec, settings: self, hosts, client })]))
    }
}

#[async_trait]
impl Tool for Fetch {
    fn spec(&self) -> &ToolSpec {
        &self.spec
    }

    async fn call(
        &self,
        args: &Map<String, Value>,
        _context: &CallContext,
    ) -> Result<ToolOutcome, ToolError> {
        let address = args.get("url").and_then(Value::as_str).unwrap_or_default();
        Ok(match self.read(address).await {
            Ok(text) => ToolOutcome { content: vec![Content::text(text)], ..ToolOutcome::done("") },
            Err(reason) => ToolOutcome::failed(reason),
        })
    }
}

impl Fetch {
    async fn read(&self, address: &str) -> Result<String, String> {
        let url = Url::parse(address).map_err(|error| format!("`{address}` is no address: {error}"))?;
        self.hosts.check(&url)?;
        let response = self.client.get(url).send().await.map_err(|error| told(&error))?;
        let status = response.status();
        let kind =
            response.headers().get("content-type").and_then(|kind| kind.to_str().ok()).map(str::to_owned);
        let bytes = body(response, self.settings.most_bytes).await?;
        if !status.is_success() {
            return Err(format!("the server says {status}"));
        }
        let kind = kind.unwrap_or_default();
        let text = if kind.contains("html") {
            html2text::from_read(bytes.as_slice(), COLUMNS).map_err(|error| error.to_string())?
        } else if kind.starts_with("text/")
            || kind.contains("json")
            || kind.contains("xml")
            || kind.is_empty()
        {
            String::from_utf8_lossy(&bytes).into_owned()
        } else {
            return Err(format!("`{kind}` is no text"));
        };
        Ok(cut(text.trim(), self.settings.most_chars))
    }
}
