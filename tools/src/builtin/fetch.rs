use super::truncate;
use crate::allowed_hosts::{AllowedHosts, body, error_chain};
use crate::outside::html;
use crate::outside::offload::{GiveUp, offload};
use crate::outside::text::{charset, declared_in_markup, decode_lossy};
use crate::schema::identifier;
use crate::{Effects, FixedSource, FunctionTool, ToolSpec};
use reqwest::{Client, Url};
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};
use std::sync::Arc;
use std::time::Duration;

/// Width, in columns, at which HTML is laid out as text.
const COLUMNS: usize = 100;

/// `[tools.NAME]` with `kind = "fetch"`: reads web pages of the listed hosts as text.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, schemars::JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct FetchSettings {
    /// Allowed hosts, with `*` as a wildcard. A host with a port other than the scheme's default names it:
    /// `localhost:8080`.
    pub hosts: Vec<String>,
    /// Ranges of addresses that are not public and that names in `hosts` may resolve to: `10.0.0.0/8`. `localhost` and
    /// addresses that `hosts` lists literally need none.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub private_ranges: Vec<String>,
    /// Limit on the size of a response body, in bytes. Default 4 MiB.
    #[serde(default = "most_bytes")]
    pub most_bytes: usize,
    /// Limit on the text that is returned, in characters; longer text is cut. Default 20,000.
    #[serde(default = "most_chars")]
    pub most_chars: usize,
    /// Time limit of one request, in milliseconds. Default 30,000.
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
    settings: FetchSettings,
    hosts: AllowedHosts,
    client: Client,
}

impl FetchSettings {
    /// Builds a source with one tool, `NAME_get`.
    ///
    /// # Errors
    /// `hosts` is empty, a host is not a valid pattern, or the HTTP client cannot be built.
    pub fn open(self, name: &str) -> Result<FixedSource, String> {
        let hosts = AllowedHosts::new(&self.hosts, &self.private_ranges)?;
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
            timeout_ms: Some(self.timeout_ms.saturating_add(1000)),
            ..ToolSpec::new(identifier(name, "get"), about).with_input(input)
        };
        let fetch = Arc::new(Fetch { settings: self, hosts, client });
        let tool = FunctionTool::with_spec(spec, move |args, _| {
            let fetch = Arc::clone(&fetch);
            async move { fetch.read(args.get("url").and_then(Value::as_str).unwrap_or_default()).await }
        });
        Ok(FixedSource::new(name, vec![Arc::new(tool)]))
    }
}

impl Fetch {
    async fn read(&self, address: &str) -> Result<String, String> {
        let url = Url::parse(address).map_err(|error| format!("`{address}` is not a URL: {error}"))?;
        self.hosts.check(&url)?;
        let response = self.client.get(url).send().await.map_err(|error| error_chain(&error))?;
        let status = response.status();
        let kind =
            response.headers().get("content-type").and_then(|kind| kind.to_str().ok()).map(str::to_owned);
        let bytes = body(response, self.settings.most_bytes).await?;
        if !status.is_success() {
            return Err(format!("the server answered {status}"));
        }
        let kind = kind.unwrap_or_default().to_ascii_lowercase();
        let is_text =
            kind.starts_with("text/") || kind.contains("json") || kind.contains("xml") || kind.is_empty();
        if !is_text && !kind.contains("html") {
            return Err(format!("the content type `{kind}` is not text"));
        }
        let most_chars = self.settings.most_chars;
        let within = Duration::from_millis(self.settings.timeout_ms);
        let read = offload("the page", within, move |wanted| {
            let is_html = kind.contains("html");
            let in_markup = if is_html { declared_in_markup(&bytes) } else { None };
            let text = decode_lossy(&bytes, charset(&kind).or(in_markup.as_deref()));
            if is_html { html_text(&text, most_chars, wanted) } else { Ok(truncate(text.trim(), most_chars)) }
        });
        read.await.map_err(|error| error.to_string())?
    }
}

/// The text of a page, at most about `most_chars` characters of it.
fn html_text(html: &str, most_chars: usize, wanted: &GiveUp) -> Result<String, String> {
    let page = html::bounded(html, most_chars, wanted);
    let text = html2text::config::plain()
        .allow_width_overflow()
        .string_from_read(page.html.as_bytes(), COLUMNS)
        .map_err(|error| error.to_string())?;
    let text = text.trim();
    let shown = truncate(text, most_chars);
    // A text that was truncated says so already.
    let says_so = shown != text;
    Ok(if page.is_cut && !says_so { format!("{shown}\n[cut: the page goes on]") } else { shown })
}
