//! One request over HTTP as a tool, declared in the agent file.

mod template;

use crate::content::plain;
use crate::schema::identifier;
use crate::web::{Hosts, body, told};
use crate::{CallContext, Content, Effects, FixedSource, Tool, ToolError, ToolOutcome, ToolSpec};
use async_trait::async_trait;
use reqwest::{Client, Method};
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};
use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

/// A request: what is asked, of whom, with what.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, schemars::JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct HttpSettings {
    /// What the agent is told that it does.
    pub description: String,
    /// `GET`, `POST`, …
    #[serde(default = "get")]
    pub method: String,
    /// The address, with `{name}` where an argument goes; the argument is percent-encoded.
    pub url: String,
    /// The hosts that may be spoken to, also by a redirect; with `secrets` a redirect is followed only to where it came from.
    pub hosts: Vec<String>,
    /// The JSON Schema of the arguments. Those that are not in the address are the query of a GET, and the JSON body of
    /// anything else.
    #[serde(default = "no_arguments")]
    pub input: Value,
    /// Headers, with `${NAME}` for the value of an environment variable that `secrets` lists.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub headers: BTreeMap<String, String>,
    /// Environment variables that headers may use.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub secrets: Vec<String>,
    /// What it may do besides using the network; of anything but GET the worst is assumed without a word.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub effects: Option<Effects>,
    /// Bytes that an answer may have.
    #[serde(default = "most_bytes")]
    pub most_bytes: usize,
    /// Milliseconds that it may take.
    #[serde(default = "timeout_ms")]
    pub timeout_ms: u64,
}

fn get() -> String {
    "GET".to_owned()
}

fn no_arguments() -> Value {
    serde_json::json!({"type": "object", "properties": {}, "additionalProperties": false})
}

fn most_bytes() -> usize {
    1 << 20
}

fn timeout_ms() -> u64 {
    30_000
}

struct HttpTool {
    spec: ToolSpec,
    settings: HttpSettings,
    method: Method,
    hosts: Hosts,
    client: Client,
}

impl HttpSettings {
    /// The tool `NAME`.
    ///
    /// # Errors
    /// When no host is listed, the method is none, or a header wants a variable that is not listed.
    pub fn open(self, name: &str) -> Result<FixedSource, String> {
        let hosts = Hosts::new(&self.hosts)?;
        let client = hosts.client(Duration::from_millis(self.timeout_ms), !self.secrets.is_empty())?;
        let method = Method::from_bytes(self.method.to_uppercase().as_bytes())
            .map_err(|_| format!("`{}` is no method", self.method))?;
        for (header, text) in &self.headers {
            for variable in template::variables(text) {
                if !self.secrets.iter().any(|secret| secret == variable) {
                    return Err(format!(
                        "the header `{header}` uses `{variable}`, which `secrets` does not list"
                    ));
                }
            }
        }
        let worst = Effects { network: true, write: true, irreversible: true, idempotent: false };
        let reads = Effects { network: true, idempotent: true, ..Effects::default() };
        let assumed = if method == Method::GET || method == Method::HEAD { reads } else { worst };
        let spec = ToolSpec {
            effects: self.effects.map_or(assumed, |effects| Effects { network: true, ..effects }),
            timeout_ms: Some(self.timeout_ms + 1000),
            ..ToolSpec::new(identifier("", name), self.description.clone()).with_input(self.input.clone())
        };
        let tool = HttpTool { spec, settings: self, method, hosts, client };
        Ok(FixedSource::new(name, vec![Arc::new(tool)]))
    }
}

#[async_trait]
impl Tool for HttpTool {
    fn spec(&self) -> &ToolSpec {
        &self.spec
    }

    async fn call(
        &self,
        args: &Map<String, Value>,
        _context: &CallContext,
    ) -> Result<ToolOutcome, ToolError> {
        Ok(match self.ask(args).await {
            Ok(outcome) => outcome,
            Err(reason) => ToolOutcome::failed(reason),
        })
    }
}

impl HttpTool {
    async fn ask(&self, args: &Map<String, Value>) -> Result<ToolOutcome, String> {
        let (mut url, rest) = template::address(&self.settings.url, args)?;
        self.hosts.check(&url)?;
        let reads = self.method == Method::GET || self.method == Method::HEAD;
        if reads && !rest.is_empty() {
            let mut query = url.query_pairs_mut();
            for (name, value) in &rest {
                query.append_pair(name, &plain(value));
            }
        }
        let mut request = self.client.request(self.method.clone(), url);
        if !reads {
            request = request.json(&rest);
        }
        for (header, text) in &self.settings.headers {
            request = request.header(header, template::filled(text)?);
        }
        let response = request.send().await.map_err(|error| told(&error))?;
        let status = response.status();
        let bytes = body(response, self.settings.most_bytes).await?;
        let text = String::from_utf8_lossy(&bytes).into_owned();
        if !status.is_success() {
            let beginning: String = text.chars().take(300).collect();
            return Err(format!("the server says {status}: {beginning}"));
        }
        Ok(match serde_json::from_str(&text) {
            Ok(value) => ToolOutcome { value: Some(value), ..ToolOutcome::done("") },
            Err(_) => ToolOutcome { content: vec![Content::text(text)], ..ToolOutcome::done("") },
        })
    }
}
