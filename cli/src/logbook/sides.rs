//! Two versions of a record side by side: `-` for the first, `+` for the second.

use serde_json::Value;
use std::collections::{BTreeMap, BTreeSet};

/// Where two values differ, path by path.
pub fn between(first: &Value, second: &Value) -> Vec<String> {
    let patch = |from, to| sojourn_core::diff(from, to).unwrap_or(Value::Null);
    patches(&patch(second, first), &patch(first, second))
}

/// The differences by the merge patches that lead to each side from the other.
pub fn patches(first: &Value, second: &Value) -> Vec<String> {
    let (mut before, mut after) = (BTreeMap::new(), BTreeMap::new());
    flatten("", first, &mut before);
    flatten("", second, &mut after);
    let paths: BTreeSet<&String> = before.keys().chain(after.keys()).collect();
    let side = |value: Option<&&Value>| match value {
        // A null in a patch stands for a field that the other side does not have.
        None | Some(Value::Null) => "nothing".to_owned(),
        Some(value) => value.to_string(),
    };
    paths
        .into_iter()
        .map(|path| (path, side(before.get(path)), side(after.get(path))))
        // A null and a field that is not there are shown the same.
        .filter(|(_, before, after)| before != after)
        .flat_map(|(path, before, after)| {
            [format!("  {path}"), format!("    - {before}"), format!("    + {after}")]
        })
        .collect()
}

fn flatten<'a>(path: &str, value: &'a Value, out: &mut BTreeMap<String, &'a Value>) {
    match value {
        Value::Object(fields) if !fields.is_empty() => {
            for (key, value) in fields {
                let path = if path.is_empty() { key.clone() } else { format!("{path}.{key}") };
                flatten(&path, value, out);
            }
        }
        Value::Null if path.is_empty() => {}
        leaf => {
            out.insert(path.to_owned(), leaf);
        }
    }
}
