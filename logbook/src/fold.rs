//! Payloads for display: long modules, states and grammars become their lengths.

use serde_json::Value;

/// The longest module, state or grammar that is shown as it is, in bytes.
pub(crate) const LONGEST: usize = 400;
/// The members that hold modules, states and grammars.
const FOLDED: [&str; 7] = ["wasm", "state", "before", "after", "lark", "json_schema", "schema"];

/// The value with long modules, states and grammars replaced by their lengths; `hint` says how they are shown.
pub fn folded(value: Value, hint: &str) -> Value {
    match value {
        Value::Object(fields) => Value::Object(
            fields
                .into_iter()
                .map(|(key, value)| {
                    let bytes = if FOLDED.contains(&key.as_str()) { size(&value) } else { 0 };
                    let value = if bytes > LONGEST {
                        Value::String(format!("… ({bytes} bytes{hint})"))
                    } else {
                        folded(value, hint)
                    };
                    (key, value)
                })
                .collect(),
        ),
        Value::Array(items) => Value::Array(items.into_iter().map(|item| folded(item, hint)).collect()),
        leaf => leaf,
    }
}

/// The length of a value in bytes: of a text as it is, of anything else as JSON.
pub fn size(value: &Value) -> usize {
    match value {
        Value::String(text) => text.len(),
        other => other.to_string().len(),
    }
}
