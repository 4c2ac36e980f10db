//! The agent file of a recording: the site that it was made on, and the task that it does.

use super::parameters::Generalised;
use crate::error::{Failure, Kind};
use anyhow::Result;
use serde_json::{Value, json};
use sojourn_browser::WebSettings;
use sojourn_tools::Parameter;
use sojourn_tools::outside::url::CanonicalUrl;
use std::fmt::Write as _;
use std::path::Path;

/// What a new agent file says.
pub struct NewSite<'a> {
    pub task: &'a str,
    pub start: &'a str,
    pub allow: &'a [String],
    pub sent: &'a [String],
    pub goal: &'a str,
    pub success: &'a str,
}

/// The settings of a browser in which a person records on `start`.
///
/// # Errors
/// When `start` is no address of a page.
pub fn settings(task: &str, start: &str, allow: &[String], secrets: &[String]) -> Result<WebSettings> {
    let secrets: serde_json::Map<String, Value> =
        secrets.iter().map(|name| (name.clone(), json!({}))).collect();
    let described = json!({
        "name": name(start)?, "start": start, "allow": allow, "practice": true, "secrets": secrets,
        "tasks": {task: {"goal": "", "success": "false"}},
    });
    Ok(serde_json::from_value(described)?)
}

/// The name of the environment: the page's host, and its port where it is not the usual one.
fn name(start: &str) -> Result<String> {
    let url = CanonicalUrl::parse(start).ok_or_else(|| {
        Failure::new(Kind::Usage, format!("`{start}` is no address of a page"))
            .hint("write it as `https://example.org/login`")
    })?;
    let usual = if url.scheme() == "https" { 443 } else { 80 };
    Ok(if url.port() == usual { url.host().to_owned() } else { format!("{}:{}", url.host(), url.port()) })
}

impl NewSite<'_> {
    /// The text of the agent file.
    ///
    /// # Errors
    /// When the start page is no address.
    pub fn text(&self, made: &Generalised) -> Result<String> {
        let word = |text: &str| toml::Value::from(text).to_string();
        let list = |texts: &[String]| texts.iter().map(|text| word(text)).collect::<Vec<_>>().join(", ");
        let mut text = String::new();
        // Writing to a string cannot fail.
        let _ = write!(
            text,
            "# Written by `sojourn skills record {task}`. Change it as any agent file; its keys are in the book under \"Agent file\".\n\n\
             [environment]\nkind = \"web\"\nname = {name}\nstart = {start}\n",
            task = self.task,
            name = word(&name(self.start)?),
            start = word(self.start),
        );
        if !self.allow.is_empty() {
            let _ = writeln!(text, "allow = [{}]", list(self.allow));
        }
        let _ = write!(
            text,
            "# What the recording sent something to; nothing else may be sent.\nsend = [{}]\n\
             # Skills are tried on the site itself, in sessions of their own. What they do there is real.\npractice = true\n",
            list(self.sent)
        );
        if !made.secrets.is_empty() {
            text.push_str("\n# Environment variables whose values are typed where a skill types their names, as ${NAME}. They stand nowhere.\n");
        }
        for (name, secret) in &made.secrets {
            let _ = writeln!(text, "[environment.secrets.{name}]");
            if let Some(host) = &secret.host {
                let _ = writeln!(text, "host = {}", word(host));
            }
            if !secret.fields.is_empty() {
                let _ = writeln!(text, "fields = [{}]", list(&secret.fields));
            }
        }
        let _ = write!(
            text,
            "\n[environment.tasks.{}]\ngoal = {}\nsuccess = {}\n",
            self.task,
            word(self.goal),
            word(self.success)
        );
        // In a run the task means what was recorded.
        let parameters: Vec<Parameter> = made
            .recording
            .parameters
            .iter()
            .map(|parameter| Parameter {
                default: made.recording.arguments.get(&parameter.name).cloned(),
                ..parameter.clone()
            })
            .collect();
        if !parameters.is_empty() {
            let _ = writeln!(text, "parameters = {}", toml::Value::try_from(parameters)?);
        }
        Ok(text)
    }
}

/// Writes a new file.
///
/// # Errors
/// When there is a file already, or it cannot be written.
pub fn write(path: &Path, text: &str) -> Result<()> {
    use std::io::Write as _;
    let file = std::fs::OpenOptions::new().write(true).create_new(true).open(path);
    let written = file.and_then(|mut file| file.write_all(text.as_bytes()));
    written.map_err(|error| {
        Failure::new(Kind::Failure, format!("cannot write `{}`: {error}", path.display()))
            .hint("`--output FILE` names another file")
            .into()
    })
}
