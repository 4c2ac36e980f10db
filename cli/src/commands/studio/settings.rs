//! The settings that the page offers: those of a run, with what they are now, from the types that the reference is generated from.

use crate::agent_file::{self, AgentFile};
use crate::home::Home;
use anyhow::Result;
use serde_json::{Map, Value};
use sojourn_core::{ControlRecord, LogRecord, RecordKind, RunConfig};
use sojourn_memory::{EventSeq, RecordQuery, RunId, Store};
use sojourn_studio::Setting;
use std::path::Path;

/// How deep tables are looked into.
const DEEPEST: usize = 4;
/// The longest list of words that are offered as choices.
const MOST_CHOICES: usize = 12;

/// The settings of a run after its record `at`, or after its last one.
pub async fn of_run(store: &Store, run: &RunId, at: Option<EventSeq>) -> Result<Vec<Setting>> {
    let kinds = [RecordKind::Started, RecordKind::Forked].map(RecordKind::as_str);
    let query = RecordQuery { to: at, ..RecordQuery::all().kinds(kinds) };
    let mut config = RunConfig::default();
    for record in store.records(run, &query).await? {
        match LogRecord::read(store, &record).await? {
            Some(LogRecord::Started(started)) => config = started.config,
            Some(LogRecord::ControlRecord(control)) => {
                if let ControlRecord::Forked { changes, .. } = *control
                    && let Some(changed) = changes.config
                {
                    config = *changed;
                }
            }
            _ => {}
        }
    }
    listed(&config)
}

/// The settings that an agent begins a run with.
pub fn of_agent(home: &Home, path: &Path) -> Result<Vec<Setting>> {
    let agent = AgentFile::read_quietly(home.environments(), path, &[])?;
    listed(&agent.run)
}

fn listed(config: &RunConfig) -> Result<Vec<Setting>> {
    let schema = agent_file::schema();
    let now = serde_json::to_value(config)?;
    let mut settings = Vec::new();
    let walk = Walk { definitions: &schema["$defs"] };
    walk.table("run", walk.resolved(&schema["properties"]["run"]), &now, 0, &mut settings);
    Ok(settings)
}

struct Walk<'a> {
    definitions: &'a Value,
}

impl<'a> Walk<'a> {
    /// The schema behind references, and without the alternative of nothing.
    fn resolved(&self, schema: &'a Value) -> &'a Value {
        if let Some(name) = schema["$ref"].as_str().and_then(|path| path.strip_prefix("#/$defs/")) {
            return self.resolved(&self.definitions[name]);
        }
        let some = |one: &&Value| one["type"] != "null";
        match schema["anyOf"].as_array().map(|all| all.iter().filter(some).collect::<Vec<_>>()).as_deref() {
            Some([one]) => self.resolved(one),
            _ => schema,
        }
    }

    fn table(&self, path: &str, schema: &'a Value, now: &Value, depth: usize, settings: &mut Vec<Setting>) {
        let none = Map::new();
        let properties = schema["properties"].as_object().unwrap_or(&none);
        // Settings stand before tables.
        for is_table in [false, true] {
            for (name, property) in properties {
                let inner = self.resolved(property);
                let deeper = inner["properties"].is_object() && depth < DEEPEST;
                if deeper != is_table {
                    continue;
                }
                let (key, value) = (format!("{path}.{name}"), now.get(name).unwrap_or(&Value::Null));
                if deeper {
                    self.table(&key, inner, value, depth + 1, settings);
                } else {
                    let about = [property, inner].into_iter().find_map(|one| one["description"].as_str());
                    settings.push(Setting {
                        key,
                        value: value.clone(),
                        kind: kind(inner),
                        choices: choices(inner),
                        about: about.unwrap_or_default().split_whitespace().collect::<Vec<_>>().join(" "),
                    });
                }
            }
        }
    }
}

/// What values a setting takes, in words.
fn kind(schema: &Value) -> String {
    let name = match &schema["type"] {
        Value::Array(names) => names.iter().find_map(|name| name.as_str().filter(|name| *name != "null")),
        name => name.as_str(),
    };
    match name {
        Some("boolean") => "true or false",
        Some("integer") => "a whole number",
        Some("number") => "a number",
        Some("string") => "text",
        Some("array") => "a list",
        Some("object") => "a table",
        _ => "a value",
    }
    .to_owned()
}

/// The words of a choice.
fn choices(schema: &Value) -> Vec<String> {
    if kind(schema) == "true or false" {
        return vec!["true".to_owned(), "false".to_owned()];
    }
    let words = |list: &Value| -> Vec<String> {
        list.as_array().into_iter().flatten().filter_map(|one| Some(one.as_str()?.to_owned())).collect()
    };
    let mut found = words(&schema["enum"]);
    for one in schema["oneOf"].as_array().into_iter().flatten() {
        found.extend(one["const"].as_str().map(str::to_owned));
        found.extend(words(&one["enum"]));
    }
    if found.len() > MOST_CHOICES { Vec::new() } else { found }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_setting_has_a_key_that_is_read_and_says_what_it_does() {
        let config = RunConfig { memory: false, ..RunConfig::default() };
        let settings = listed(&config).unwrap();
        let find = |key: &str| settings.iter().find(|one| one.key == key).unwrap_or_else(|| panic!("{key}"));
        assert_eq!(
            (&find("run.memory").value, find("run.memory").kind.as_str()),
            (&Value::Bool(false), "true or false")
        );
        assert!(
            find("run.actor.candidates").value.is_u64() && find("run.budgets.steps").kind == "a whole number"
        );
        assert_eq!(find("run.frames").choices, ["off", "episode", "step"]);
        for one in &settings {
            assert!(!one.about.is_empty(), "{} says nothing of itself", one.key);
        }
        // What stands there now may be set again.
        for one in settings.iter().filter(|one| one.value.is_number() || one.value.is_boolean()) {
            let mut table = toml::Table::new();
            table.insert("run".to_owned(), toml::Value::try_from(&config).unwrap());
            agent_file::assign(&mut table, &format!("{}={}", one.key, one.value)).unwrap();
            let run = table.remove("run").unwrap();
            run.try_into::<RunConfig>().unwrap_or_else(|error| panic!("{}: {error}", one.key));
        }
    }
}
