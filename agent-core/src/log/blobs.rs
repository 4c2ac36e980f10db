//! Long strings of payloads, which are stored as blobs so that equal ones are stored once.

use super::ReadError;
use serde_json::{Map, Value, json};
use sojourn_memory::{BlobId, EventSeq, Store};
use std::collections::BTreeMap;

/// The longest string, in bytes, that stays in the payload.
const INLINE_BYTES: usize = 240;
const BLOB_KEY: &str = "$blob";

/// The payload of a record with its blobs put back.
///
/// # Errors
/// When a blob is missing or is not text.
pub async fn inflate(store: &Store, seq: EventSeq, payload: Value) -> Result<Value, ReadError> {
    let mut ids = Vec::new();
    collect_blobs(&payload, &mut ids);
    let mut texts = BTreeMap::new();
    for text_id in ids {
        let unreadable = |reason| ReadError::Unreadable { seq, reason };
        let id: BlobId = text_id.parse().map_err(|_| unreadable(format!("`{text_id}` is no blob")))?;
        let bytes = store.blob(&id).await?;
        let text =
            String::from_utf8(bytes).map_err(|_| unreadable(format!("blob `{text_id}` is not text")))?;
        texts.insert(text_id, text);
    }
    Ok(put_back(payload, &texts))
}

/// Whether a record was emptied because it quoted a forgotten memory.
pub fn is_forgotten(payload: &Value) -> bool {
    payload.get("$forgotten").is_some()
}

/// The value with long strings replaced by references; their contents are added to `contents`.
pub(crate) fn externalise(value: &Value, contents: &mut Vec<String>) -> Value {
    match value {
        Value::String(text) if text.len() > INLINE_BYTES => {
            contents.push(text.clone());
            json!({BLOB_KEY: BlobId::of(text.as_bytes()).to_string()})
        }
        Value::Array(items) => Value::Array(items.iter().map(|item| externalise(item, contents)).collect()),
        Value::Object(fields) => Value::Object(
            fields.iter().map(|(key, value)| (key.clone(), externalise(value, contents))).collect(),
        ),
        other => other.clone(),
    }
}

fn collect_blobs(value: &Value, ids: &mut Vec<String>) {
    match value {
        Value::Object(fields) => match blob_reference(fields) {
            Some(id) => ids.push(id.to_owned()),
            None => fields.values().for_each(|value| collect_blobs(value, ids)),
        },
        Value::Array(items) => items.iter().for_each(|value| collect_blobs(value, ids)),
        _ => {}
    }
}

fn put_back(value: Value, texts: &BTreeMap<String, String>) -> Value {
    match value {
        Value::Object(fields) => match blob_reference(&fields).and_then(|id| texts.get(id)) {
            Some(text) => Value::String(text.clone()),
            None => {
                Value::Object(fields.into_iter().map(|(key, value)| (key, put_back(value, texts))).collect())
            }
        },
        Value::Array(items) => Value::Array(items.into_iter().map(|value| put_back(value, texts)).collect()),
        other => other,
    }
}

fn blob_reference(fields: &Map<String, Value>) -> Option<&str> {
    if fields.len() == 1 { fields.get(BLOB_KEY).and_then(Value::as_str) } else { None }
}
