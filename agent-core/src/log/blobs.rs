//! How a payload is stored: long strings stand in blobs, so that equal ones are stored once.
//!
//! A string in a blob is written as `{"$blob": "<address>"}`, and a forgotten payload as `{"$forgotten": true}`. A payload also
//! holds values from outside. Where one of them looks like this notation, its name gets another `$`, so it is never taken for it
//! ([`outside::json`]).

use super::ReadError;
use serde_json::{Map, Value, json};
use sojourn_memory::{BlobId, EventSeq, Record, Store};
use sojourn_tools::outside::json as outside;
use std::collections::BTreeMap;

/// The longest string, in bytes, that stays in the payload.
const INLINE_BYTES: usize = 240;
const BLOB_KEY: &str = "$blob";
const FORGOTTEN_KEY: &str = "$forgotten";
/// Nesting of a payload with its blobs: below the 120 levels of the log, because a reference is an object.
const MAX_DEPTH: usize = 116;
/// Size of a payload with its blobs put back, in bytes. Each reference to a blob counts, so that a small record cannot become a
/// large one.
const MAX_BYTES: usize = 64 << 20;

/// A payload as it is stored.
#[derive(Debug, Default)]
pub(crate) struct Externalised {
    /// The payload with references instead of long strings.
    pub(crate) payload: Value,
    /// The contents of the blobs, in the order of the references. Equal ones are repeated.
    pub(crate) contents: Vec<String>,
}

/// A payload is too large to be stored, in bytes.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("a record would have {} MiB; the limit is {} MiB", .0 >> 20, MAX_BYTES >> 20)]
pub struct TooLarge(usize);

/// The payload of a record with its blobs put back.
///
/// # Errors
/// When a blob is missing, is not text or is not one of the record's own, and when the payload would exceed 64 MiB.
pub async fn inflate(store: &Store, record: &Record) -> Result<Value, ReadError> {
    let seq = record.seq;
    let unreadable = |reason| ReadError::Unreadable { seq, reason };
    let mut references = BTreeMap::new();
    count_references(&record.payload, &mut references);
    let mut texts = BTreeMap::new();
    let mut left = MAX_BYTES;
    for (address, count) in references {
        let id: BlobId = address.parse().map_err(|_| unreadable(format!("`{address}` is no blob")))?;
        if !record.blobs.contains(&id) {
            return Err(unreadable(format!("blob `{id}` is not one of its own")));
        }
        let text = String::from_utf8(store.blob(&id).await?)
            .map_err(|_| unreadable(format!("blob `{id}` is not text")))?;
        left =
            text.len().checked_mul(count).and_then(|bytes| left.checked_sub(bytes)).ok_or_else(|| {
                unreadable(format!("with its blobs it would exceed {} MiB", MAX_BYTES >> 20))
            })?;
        texts.insert(address.to_owned(), text);
    }
    put_back(record.payload.clone(), &texts).map_err(|address| missing(seq, &address))
}

/// The payload of a record without its blobs: the texts in them are empty. Nothing is read for it.
pub(crate) fn without_blobs(record: &Record) -> Value {
    let mut references = BTreeMap::new();
    count_references(&record.payload, &mut references);
    let texts = references.into_keys().map(|address| (address.to_owned(), String::new())).collect();
    // Every reference has a text, so none is missing.
    put_back(record.payload.clone(), &texts).unwrap_or_default()
}

/// Whether a record was emptied because it quoted a forgotten memory.
pub fn is_forgotten(payload: &Value) -> bool {
    let Value::Object(fields) = payload else { return false };
    fields.len() == 1 && fields.get(FORGOTTEN_KEY) == Some(&Value::Bool(true))
}

/// The payload as it is stored.
///
/// # Errors
/// [`TooLarge`] for a payload that [`inflate`] would not read.
pub(crate) fn externalise(payload: &Value) -> Result<Externalised, TooLarge> {
    let mut contents = Vec::new();
    let mut stored = compact(payload, &mut contents);
    let bytes = contents.iter().map(String::len).sum();
    if bytes > MAX_BYTES {
        return Err(TooLarge(bytes));
    }
    outside::limit_depth(&mut stored, MAX_DEPTH);
    Ok(Externalised { payload: stored, contents })
}

/// The payload after it was stored and read again; `None` if it is too large or nests too deep. For the fuzzer.
#[doc(hidden)]
pub fn stored_and_read(payload: &Value) -> Option<Value> {
    let mut shallow = payload.clone();
    if outside::limit_depth(&mut shallow, MAX_DEPTH - 1) {
        return None;
    }
    let Externalised { payload, contents } = externalise(payload).ok()?;
    let texts = contents.into_iter().map(|text| (BlobId::of(text.as_bytes()).to_string(), text)).collect();
    put_back(payload, &texts).ok()
}

fn compact(value: &Value, contents: &mut Vec<String>) -> Value {
    match value {
        Value::String(text) if text.len() > INLINE_BYTES => {
            contents.push(text.clone());
            json!({BLOB_KEY: BlobId::of(text.as_bytes()).to_string()})
        }
        Value::Array(items) => Value::Array(items.iter().map(|item| compact(item, contents)).collect()),
        Value::Object(fields) => {
            let alone = fields.len() == 1;
            let name = |name: &String| {
                if alone { outside::escaped_name(name).into_owned() } else { name.clone() }
            };
            let fields = fields.iter().map(|(key, value)| (name(key), compact(value, contents)));
            Value::Object(fields.collect())
        }
        other => other.clone(),
    }
}

fn count_references<'a>(value: &'a Value, counts: &mut BTreeMap<&'a str, usize>) {
    match value {
        Value::Object(fields) => match blob_reference(fields) {
            Some(address) => *counts.entry(address).or_default() += 1,
            None => fields.values().for_each(|value| count_references(value, counts)),
        },
        Value::Array(items) => items.iter().for_each(|value| count_references(value, counts)),
        _ => {}
    }
}

/// The value with its texts; an address without a text is the error.
fn put_back(value: Value, texts: &BTreeMap<String, String>) -> Result<Value, String> {
    Ok(match value {
        Value::Object(fields) => {
            if let Some(address) = blob_reference(&fields) {
                let text = texts.get(address).ok_or_else(|| address.to_owned())?;
                return Ok(Value::String(text.clone()));
            }
            let alone = fields.len() == 1;
            let mut whole = Map::with_capacity(fields.len());
            for (name, value) in fields {
                let name = match outside::unescaped_name(&name).filter(|_| alone) {
                    Some(original) => original.to_owned(),
                    None => name,
                };
                whole.insert(name, put_back(value, texts)?);
            }
            Value::Object(whole)
        }
        Value::Array(items) => {
            Value::Array(items.into_iter().map(|item| put_back(item, texts)).collect::<Result<_, _>>()?)
        }
        other => other,
    })
}

fn missing(seq: EventSeq, address: &str) -> ReadError {
    ReadError::Unreadable { seq, reason: format!("blob `{address}` is missing") }
}

fn blob_reference(fields: &Map<String, Value>) -> Option<&str> {
    if fields.len() == 1 { fields.get(BLOB_KEY).and_then(Value::as_str) } else { None }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    /// JSON in which names and texts of the log's notation are frequent.
    fn hostile() -> impl Strategy<Value = Value> {
        let name = prop_oneof![
            4 => "\\${0,3}(blob|forgotten|ref)",
            1 => any::<String>(),
        ];
        let leaf = prop_oneof![
            Just(Value::Null),
            any::<bool>().prop_map(Value::from),
            any::<i64>().prop_map(Value::from),
            "[0-9a-f]{64}".prop_map(Value::from),
            Just(Value::from(BlobId::of(b"stored").to_string())),
            Just(Value::from("long ".repeat(60))),
            any::<String>().prop_map(Value::from),
        ];
        leaf.prop_recursive(6, 40, 4, move |inner| {
            prop_oneof![
                1 => prop::collection::vec(inner.clone(), 0..4).prop_map(Value::from),
                3 => prop::collection::vec((name.clone(), inner), 0..3)
                    .prop_map(|fields| Value::Object(fields.into_iter().collect())),
            ]
        })
    }

    fn texts(contents: &[String]) -> BTreeMap<String, String> {
        contents.iter().map(|text| (BlobId::of(text.as_bytes()).to_string(), text.clone())).collect()
    }

    proptest! {
        /// `{"$blob": "zz"}` from a tool made the whole log unreadable.
        #[test]
        fn no_value_from_outside_is_taken_for_the_logs_notation(value in hostile()) {
            let Externalised { payload, contents } = externalise(&value).unwrap();
            let mut references = BTreeMap::new();
            count_references(&payload, &mut references);
            prop_assert_eq!(references.values().sum::<usize>(), contents.len());
            prop_assert!(!is_forgotten(&payload), "{}", payload);
            prop_assert_eq!(put_back(payload, &texts(&contents)).unwrap(), value);
        }
    }

    #[test]
    fn forged_references_are_stored_as_data() {
        for (value, stored) in [
            (json!({"$blob": "zz"}), json!({"$$blob": "zz"})),
            (json!({"$$blob": {"$blob": 7}}), json!({"$$$blob": {"$$blob": 7}})),
            (json!({"$blob": "zz", "other": 1}), json!({"$blob": "zz", "other": 1})),
            (json!([{"$forgotten": true}]), json!([{"$$forgotten": true}])),
            (json!({"$ref": "#/x"}), json!({"$ref": "#/x"})),
        ] {
            assert_eq!(externalise(&value).unwrap().payload, stored);
        }
    }

    #[test]
    fn a_record_that_would_be_too_large_to_read_is_not_written() {
        let text = "x".repeat(1 << 20);
        let value = |count| Value::from(vec![text.as_str(); count]);
        assert!(externalise(&value(64)).is_ok());
        assert_eq!(
            externalise(&value(65)).unwrap_err().to_string(),
            "a record would have 65 MiB; the limit is 64 MiB"
        );
    }

    #[test]
    fn a_payload_that_nests_too_deep_is_cut_instead_of_ending_the_run() {
        let deep = (0..127).fold(json!(0), |inner, _| json!([inner]));
        let stored = externalise(&deep).unwrap().payload;
        assert!(sojourn_memory::canonical_json(&stored).is_ok());
    }
}
