//! Single HTTP requests as tools, declared in the agent file.

mod input;
mod place;
mod template;

use crate::allowed_hosts::{AllowedHosts, body, error_chain};
use crate::framing::has_too_many_values;
use crate::outside::offload::offload;
use crate::outside::schema::validator;
use crate::outside::text::{charset, decode_lossy};
use crate::schema::{identifier, no_arguments};
use crate::{Content, Effects, FixedSource, FunctionTool, ToolOutcome, ToolSpec};
use reqwest::{Client, Method};
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};
use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::time::Duration;
use template::UrlTemplate;

/// `[tools.NAME]` with `kind = "http"`: one HTTP request as a tool.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, schemars::JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct HttpSettings {
    /// Description of the tool for the model.
    pub description: String,
    /// HTTP method. Default `GET`.
    #[serde(default = "get")]
    pub method: String,
    /// URL with `{name}` placeholders for arguments in its host, path and query values. An argument cannot leave its place: it
    /// is percent-encoded, and a value that would make a segment `.` or `..` is refused.
    pub url: String,
    /// Allowed hosts, also for redirects. With `secrets`, redirects stay on the origin of the request.
    pub hosts: Vec<String>,
    /// Ranges of addresses that are not public and that names in `hosts` may resolve to: `10.0.0.0/8`. `localhost` and
    /// addresses that `hosts` lists literally need none.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub private_ranges: Vec<String>,
    /// JSON Schema of the arguments. Arguments that `url` does not mention form the query of a GET, or else
    /// the JSON body. Others than those that it declares are refused, in objects within arguments too, unless it says
    /// `additionalProperties = true`. A placeholder of `url` that it leaves out is a required string.
    #[serde(default = "no_arguments")]
    pub input: Value,
    /// Request headers. `${NAME}` stands for an environment variable that `secrets` lists.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub headers: BTreeMap<String, String>,
    /// Environment variables that headers may use.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub secrets: Vec<String>,
    /// Declared effects, besides network access. Default: a GET only reads; any other method is assumed to be
    /// irreversible.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub effects: Option<Effects>,
    /// Limit on the size of the response body, in bytes. Default 1 MiB.
    #[serde(default = "most_bytes")]
    pub most_bytes: usize,
    /// Time limit of the request, in milliseconds. Default 30,000.
    #[serde(default = "timeout_ms")]
    pub timeout_ms: u64,
}

fn get() -> String {
    "GET".to_owned()
}

fn most_bytes() -> usize {
    1 << 20
}

fn timeout_ms() -> u64 {
    30_000
}

struct HttpRequest {
    settings: HttpSettings,
    url: UrlTemplate,
    /// Names of the arguments that may be sent; `None` if `input` allows others than it names.
    declared: Option<BTreeSet<String>>,
    /// Checks the objects within arguments; `None` if `input` is no usable schema, which the toolbox says.
    strict: Option<jsonschema::Validator>,
    method: Method,
    hosts: AllowedHosts,
    client: Client,
}

impl HttpSettings {
    /// Builds a source with one tool, `NAME`.
    ///
    /// # Errors
    /// `hosts` is empty, `url` is not a template of an HTTP URL, the method is invalid, or a header uses a variable that
    /// `secrets` does not list.
    pub fn open(mut self, name: &str) -> Result<FixedSource, String> {
        let hosts = AllowedHosts::new(&self.hosts, &self.private_ranges)?;
        let url = UrlTemplate::new(&self.url)?;
        self.input = input::closed(&self.input, url.names());
        let declared = input::declared(&self.input);
        let strict = validator(&input::strict(&self.input)).ok();
        let client = hosts.client(Duration::from_millis(self.timeout_ms), !self.secrets.is_empty())?;
        let method = Method::from_bytes(self.method.to_uppercase().as_bytes())
            .map_err(|_| format!("`{}` is not an HTTP method", self.method))?;
        for (header, text) in &self.headers {
            for variable in template::variables(text) {
                if !self.secrets.iter().any(|secret| secret == variable) {
                    return Err(format!(
                        "the header `{header}` uses `{variable}`, which `secrets` does not list"
                    ));
                }
            }
        }
        let worst = Effects::WORST;
        let reads = Effects { network: true, idempotent: true, ..Effects::default() };
        let assumed = if method == Method::GET || method == Method::HEAD { reads } else { worst };
        let spec = ToolSpec {
            effects: self.effects.map_or(assumed, |effects| Effects { network: true, ..effects }),
            timeout_ms: Some(self.timeout_ms.saturating_add(1000)),
            ..ToolSpec::new(identifier("", name), self.description.clone()).with_input(self.input.clone())
        };
        let request = Arc::new(HttpRequest { settings: self, url, declared, strict, method, hosts, client });
        let tool = FunctionTool::with_spec(spec, move |args, _| {
            let request = Arc::clone(&request);
            async move { request.send(&args).await }
        });
        Ok(FixedSource::new(name, vec![Arc::new(tool)]))
    }
}

impl HttpRequest {
    async fn send(&self, args: &Map<String, Value>) -> Result<ToolOutcome, String> {
        let undeclared = |name: &&String| self.declared.as_ref().is_some_and(|names| !names.contains(*name));
        if let Some(name) = args.keys().find(undeclared) {
            return Err(format!("the argument `{name}` is not one that `input` declares; leave it out"));
        }
        if let Some(strict) = &self.strict {
            let all = Value::Object(args.clone());
            if let Some(error) = strict.iter_errors(&all).next() {
                let place = error.instance_path().to_string();
                return Err(format!("the argument `{place}` is not as `input` declares it: {error}"));
            }
        }
        let (mut url, rest) = self.url.expand(args)?;
        self.hosts.check(&url)?;
        let reads = self.method == Method::GET || self.method == Method::HEAD;
        if reads {
            self.url.append_query(&mut url, &rest)?;
        }
        let mut request = self.client.request(self.method.clone(), url);
        if !reads {
            request = request.json(&rest);
        }
        for (header, text) in &self.settings.headers {
            request = request.header(header, template::header_value(header, text)?);
        }
        let response = request.send().await.map_err(|error| error_chain(&error))?;
        let status = response.status();
        let kind = response.headers().get("content-type").and_then(|kind| kind.to_str().ok());
        let kind = kind.unwrap_or_default().to_owned();
        let bytes = body(response, self.settings.most_bytes).await?;
        let within = Duration::from_millis(self.settings.timeout_ms);
        let read = offload("the response", within, move |_| {
            let text = decode_lossy(&bytes, charset(&kind));
            let is_read = status.is_success() && !has_too_many_values(text.as_bytes());
            (if is_read { serde_json::from_str(&text).ok() } else { None }, text)
        });
        let (value, text) = read.await.map_err(|error| error.to_string())?;
        if !status.is_success() {
            return Err(format!(
                "the server answered {status}: {}",
                text.chars().take(300).collect::<String>()
            ));
        }
        Ok(match value {
            Some(value) => ToolOutcome { value: Some(value), ..ToolOutcome::done("") },
            None => ToolOutcome { content: vec![Content::text(text)], ..ToolOutcome::done("") },
        })
    }
}
