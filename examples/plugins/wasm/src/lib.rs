//! A plugin as a WebAssembly component: notes in a granted directory.
//!
//! Build: `cargo build --release --target wasm32-wasip2`

use serde_json::{Value, json};
use std::fs;

wit_bindgen::generate!({ path: "../../../tools/wit", world: "plugin" });

/// Path of the granted directory, as the component sees it.
const NOTES: &str = "/notes";

struct Notes;
export!(Notes);

impl Guest for Notes {
    fn describe() -> String {
        let name = json!({"type": "string", "pattern": "^[a-z]{1,20}$"});
        json!({"tools": [
            {
                "name": "list",
                "description": "lists the notes with their length in words",
                "effects": {"idempotent": true},
            },
            {
                "name": "add",
                "description": "adds a line to a note",
                "input": {
                    "type": "object",
                    "properties": {"name": name, "line": {"type": "string", "maxLength": 200}},
                    "required": ["name", "line"],
                    "additionalProperties": false,
                },
                "effects": {"write": true},
            },
        ]})
        .to_string()
    }

    fn call(request: Request) -> Result<String, String> {
        let args: Value = serde_json::from_str(&request.args).map_err(|error| error.to_string())?;
        let text = |name: &str| args[name].as_str().unwrap_or_default().to_owned();
        match request.tool.as_str() {
            "list" => list(),
            "add" => add(&text("name"), &text("line")),
            other => Err(format!("no tool `{other}`")),
        }
        .map(|value| value.to_string())
    }
}

fn list() -> Result<Value, String> {
    let mut lengths = serde_json::Map::new();
    for entry in fs::read_dir(NOTES).map_err(|error| error.to_string())?.flatten() {
        let words = fs::read_to_string(entry.path()).unwrap_or_default().split_whitespace().count();
        lengths.insert(entry.file_name().to_string_lossy().into_owned(), words.into());
    }
    Ok(lengths.into())
}

fn add(name: &str, line: &str) -> Result<Value, String> {
    let path = format!("{NOTES}/{name}.txt");
    let before = fs::read_to_string(&path).unwrap_or_default();
    fs::write(&path, format!("{before}{line}\n")).map_err(|error| format!("cannot write the note: {error}"))?;
    Ok(json!(format!("{name} has {} lines", before.lines().count() + 1)))
}
