//! The reference of the agent file, from the JSON schema of its types.

use super::cell;
use serde_json::{Map, Value};
use std::fmt::Write as _;

const HEAD: &str = "\
# Agent file

This page is generated from the program's types (`cargo xtask docs`). An agent file is TOML.
[examples/crafter/agent.toml](../../examples/crafter/agent.toml) is a commented example; `--set run.actor.candidates=8` sets one key
for one run. An unknown key is an error that names the nearest known one. Paths are relative to the agent file.

";

/// The page.
pub fn page() -> String {
    let schema = sojourn_cli::agent_file::schema();
    let mut writer = Writer { page: HEAD.to_owned(), definitions: &schema["$defs"] };
    writer.section("", &schema, 0);
    let mut page = writer.page;
    page.truncate(page.trim_end().len());
    page.push('\n');
    page
}

struct Writer<'a> {
    page: String,
    definitions: &'a Value,
}

impl<'a> Writer<'a> {
    /// The schema behind references, and without the alternative of nothing.
    fn resolve(&self, schema: &'a Value) -> &'a Value {
        if let Some(name) = schema["$ref"].as_str().and_then(|path| path.strip_prefix("#/$defs/")) {
            return self.resolve(&self.definitions[name]);
        }
        let some = |one: &&Value| one["type"] != "null";
        match schema["anyOf"].as_array().map(|all| all.iter().filter(some).collect::<Vec<_>>()).as_deref() {
            Some([one]) => self.resolve(one),
            _ => schema,
        }
    }

    /// A table of the agent file, its keys, and the tables in it.
    fn section(&mut self, name: &str, schema: &'a Value, depth: usize) {
        if !name.is_empty() {
            let _ = writeln!(self.page, "## `[{name}]`\n");
            self.paragraph(schema);
        }
        let properties: Vec<_> = schema["properties"].as_object().into_iter().flatten().collect();
        self.keys(schema, properties.iter().copied());
        for (key, property) in properties {
            let path = if name.is_empty() { key.clone() } else { format!("{}.{key}", bare(name)) };
            self.inner(&path, property, depth + 1);
        }
    }

    /// The sections of a key whose value is a table, a table of tables, or one of several kinds of tables.
    fn inner(&mut self, path: &str, property: &'a Value, depth: usize) {
        let schema = self.resolve(property);
        if depth > 6 {
            return;
        }
        if schema["properties"].is_object() && !is_small(schema) {
            self.section(path, schema, depth);
        } else if schema["additionalProperties"].is_object() {
            self.inner(&format!("{}.NAME", bare(path)), &schema["additionalProperties"], depth + 1);
        } else if schema["type"] == "array" {
            self.inner(&format!("[{}]", bare(path)), &schema["items"], depth + 1);
        } else {
            self.alternatives(path, schema, depth);
        }
    }

    fn alternatives(&mut self, path: &str, schema: &'a Value, depth: usize) {
        let all =
            schema["oneOf"].as_array().or(schema["anyOf"].as_array()).map(Vec::as_slice).unwrap_or_default();
        for one in all {
            let resolved = self.resolve(one);
            let tag = tag(one).or_else(|| tag(resolved));
            match tag {
                Some((key, value)) => {
                    let _ = writeln!(self.page, "## `[{path}]` with `{key} = {value}`\n");
                    self.paragraph(one);
                    // The keys of a variant stand beside its tag, or behind a reference.
                    let own = one["properties"].as_object();
                    let behind = one["$ref"]
                        .as_str()
                        .map(|_| resolved)
                        .and_then(|schema| schema["properties"].as_object());
                    let properties: Vec<_> =
                        own.into_iter().chain(behind).flatten().filter(|(name, _)| **name != key).collect();
                    self.keys(resolved, properties.iter().copied());
                    for (key, property) in properties {
                        self.inner(&format!("{}.{key}", bare(path)), property, depth + 1);
                    }
                }
                None if resolved["oneOf"].is_array() => self.alternatives(path, resolved, depth),
                None if resolved["properties"].is_object() && !is_small(resolved) => {
                    self.section(path, resolved, depth);
                }
                None => {}
            }
        }
    }

    fn paragraph(&mut self, schema: &Value) {
        if let Some(text) = schema["description"].as_str() {
            let _ = writeln!(self.page, "{text}\n");
        }
    }

    fn keys(&mut self, schema: &'a Value, properties: impl Iterator<Item = (&'a String, &'a Value)>) {
        let required: Vec<&str> =
            schema["required"].as_array().into_iter().flatten().filter_map(Value::as_str).collect();
        let mut rows = String::new();
        for (key, property) in properties {
            let default = match &property["default"] {
                Value::Null if required.contains(&key.as_str()) => "required".to_owned(),
                Value::Null | Value::Object(_) => String::new(),
                value => format!("`{value}`"),
            };
            let about = property["description"].as_str().or(self.resolve(property)["description"].as_str());
            let of = cell(&self.type_of(property));
            let _ = writeln!(rows, "| `{key}` | {of} | {default} | {} |", cell(about.unwrap_or_default()));
        }
        if !rows.is_empty() {
            let _ = writeln!(self.page, "| key | type | default | meaning |\n|---|---|---|---|\n{rows}");
        }
    }

    fn type_of(&self, property: &'a Value) -> String {
        let schema = self.resolve(property);
        if let Some(values) = constants(schema) {
            return values.join(", ");
        }
        if let Some(all) = schema["oneOf"].as_array().or(schema["anyOf"].as_array()) {
            let mut types: Vec<String> =
                all.iter().filter(|one| one["type"] != "null").map(|one| self.type_of(one)).collect();
            types.dedup();
            return types.join(" or ");
        }
        let name = match &schema["type"] {
            Value::Array(types) => types.iter().filter_map(Value::as_str).find(|name| *name != "null"),
            name => name.as_str(),
        };
        match name {
            Some("array") if schema["items"].is_object() => {
                format!("list of {}", self.type_of(&schema["items"]))
            }
            Some("array") => "list".to_owned(),
            Some("object") if schema["additionalProperties"].is_object() => {
                format!("table of {}", self.type_of(&schema["additionalProperties"]))
            }
            Some("object") if is_small(schema) => {
                let keys = schema["properties"].as_object().into_iter().flat_map(Map::keys);
                format!("`{{ {} }}`", keys.map(|key| format!("{key} = …")).collect::<Vec<_>>().join(", "))
            }
            Some("object") => "table".to_owned(),
            Some(name) => name.to_owned(),
            None => "any value".to_owned(),
        }
    }
}

/// Whether a table is short enough to be written in one line.
fn is_small(schema: &Value) -> bool {
    let simple = |property: &Value| property["type"].is_string() || property["type"].is_array();
    let properties = schema["properties"].as_object();
    properties.is_some_and(|properties| properties.len() <= 3 && properties.values().all(simple))
}

/// The values of a choice between texts.
fn constants(schema: &Value) -> Option<Vec<String>> {
    if let Some(values) = schema["enum"].as_array() {
        return Some(values.iter().map(|value| format!("`{value}`")).collect());
    }
    if let Some(value) = schema.get("const") {
        return Some(vec![format!("`{value}`")]);
    }
    let all = schema["oneOf"].as_array()?;
    let values: Vec<Vec<String>> = all.iter().map(constants).collect::<Option<_>>()?;
    Some(values.into_iter().flatten().collect())
}

/// The key and value that tell one kind of table from the others: `kind = "files"`.
fn tag(schema: &Value) -> Option<(String, String)> {
    let properties = schema["properties"].as_object()?;
    properties.iter().find_map(|(key, property)| Some((key.clone(), property.get("const")?.to_string())))
}

/// A table's name without the brackets of a table in a list: only the last of a heading is in such brackets.
fn bare(path: &str) -> String {
    path.replace(['[', ']'], "")
}
