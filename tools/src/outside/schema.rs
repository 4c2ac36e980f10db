//! JSON Schemas from outside, as the rest of the program can use them: of known drafts, with references that lead somewhere,
//! and of bounded size. What only narrows the arguments and cannot be read is dropped, because the peer checks them itself.

use super::url::decode_once;
use jsonschema::{PatternOptions, ValidationError, Validator};
use serde_json::{Map, Value, json};
use std::collections::HashMap;

/// Limit on the values in a schema when every reference is replaced by what it names.
const MAX_EXPANDED: u64 = 100_000;
/// Limit on its depth when every reference is replaced by what it names. A reference to a schema around it counts once.
const MAX_DEPTH: usize = 150;
/// Limit on the keywords that are dropped because their values are not valid.
const MAX_DROPPED: usize = 50;
/// Limit on the patterns of one schema; those beyond are dropped.
const MAX_PATTERNS: usize = 32;
/// Limit on a compiled pattern, in bytes.
const PATTERN_BYTES: usize = 1 << 18;
/// Limit on the steps of one comparison with a pattern.
const PATTERN_STEPS: usize = 100_000;
/// Limit on the arguments of a tool, and on the name of one, in characters: they stand in every prompt.
const MAX_ARGUMENTS: usize = 200;
const MAX_ARGUMENT_NAME: usize = 200;

/// The schema, if it can be used: a copy without what belongs to other drafts or cannot be read.
///
/// # Errors
/// The schema is too large, or remains invalid. The reason names the keyword.
pub fn readable(schema: &Value) -> Result<Value, String> {
    if schema.get("type").is_some_and(|kind| !allows_object(kind)) {
        return Err("its JSON Schema is not of the `type` `object`".to_owned());
    }
    check_arguments(schema)?;
    let mut schema = schema.clone();
    let base = schema.get("$id").or(schema.get("id")).and_then(Value::as_str).map(str::to_owned);
    if let Value::Object(fields) = &mut schema {
        let draft = fields.get("$schema").and_then(Value::as_str).and_then(known_draft);
        match draft {
            Some(draft) => drop(fields.insert("$schema".to_owned(), draft.into())),
            None => drop(fields.shift_remove("$schema")),
        }
    }
    let root = schema.clone();
    mend(&mut schema, &Root { schema: &root, base: base.as_deref() });
    let mut counted = HashMap::new();
    if expanded(&schema, &schema, 0, &mut counted) > MAX_EXPANDED {
        return Err(format!(
            "its schema is too large or too deep: with its references replaced it has more than {MAX_EXPANDED} values or \
             {MAX_DEPTH} levels"
        ));
    }
    let mut patterns = MAX_PATTERNS;
    keep_patterns(&mut schema, &mut patterns);
    for _ in 0..MAX_DROPPED {
        let (reason, path) = match validator(&schema) {
            Ok(_) => return Ok(schema),
            Err(error) => (error.to_string(), error.instance_path().to_string()),
        };
        if !remove(&mut schema, &path) {
            return Err(format!("its JSON Schema is not valid: {reason}"));
        }
    }
    Err("its JSON Schema has too many keywords that are not valid".to_owned())
}

/// Checks the number of arguments that a schema describes, and the length of their names.
///
/// # Errors
/// Which bound is passed.
pub fn check_arguments(schema: &Value) -> Result<(), String> {
    let arguments = || schema.get("properties").and_then(Value::as_object).into_iter().flatten();
    if arguments().count() > MAX_ARGUMENTS {
        return Err(format!("it has more than {MAX_ARGUMENTS} arguments"));
    }
    if arguments().any(|(name, _)| name.chars().nth(MAX_ARGUMENT_NAME).is_some()) {
        return Err(format!("an argument has a name of more than {MAX_ARGUMENT_NAME} characters"));
    }
    Ok(())
}

/// Compiles a schema, with bounds on its patterns.
///
/// # Errors
/// It is not valid, or a pattern is too large.
pub fn validator(schema: &Value) -> Result<Validator, ValidationError<'static>> {
    let patterns = PatternOptions::fancy_regex()
        .size_limit(PATTERN_BYTES)
        .dfa_size_limit(PATTERN_BYTES)
        .backtrack_limit(PATTERN_STEPS);
    jsonschema::options().with_pattern_options(patterns).build(schema)
}

/// Drops the patterns beyond the first `left`, and counts the others off it.
pub fn keep_patterns(schema: &mut Value, left: &mut usize) {
    match schema {
        Value::Object(fields) => {
            if fields.get("pattern").is_some_and(Value::is_string) {
                match left.checked_sub(1) {
                    Some(fewer) => *left = fewer,
                    None => drop(fields.shift_remove("pattern")),
                }
            }
            if let Some(Value::Object(named)) = fields.get_mut("patternProperties") {
                let fitting = named.len().min(*left);
                let mut kept = 0;
                named.retain(|_, _| {
                    kept += 1;
                    kept <= fitting
                });
                *left -= fitting;
            }
            for (key, value) in fields.iter_mut() {
                match value {
                    Value::Object(schemas) if NAMED_SCHEMAS.contains(&key.as_str()) => {
                        schemas.values_mut().for_each(|schema| keep_patterns(schema, left));
                    }
                    _ if DATA.contains(&key.as_str()) => {}
                    inner => keep_patterns(inner, left),
                }
            }
        }
        Value::Array(items) => items.iter_mut().for_each(|item| keep_patterns(item, left)),
        _ => {}
    }
}

/// Whether the `type` of a schema allows an object; `any` and `null` stand for every type.
pub fn allows_object(kind: &Value) -> bool {
    let is_object = |kind: &Value| kind == "object" || kind == "any" || kind.is_null();
    kind.as_array().map_or_else(|| is_object(kind), |kinds| kinds.iter().any(is_object))
}

/// The draft that a `$schema` names in one of its usual spellings. Draft 4 is mended to draft 7.
fn known_draft(uri: &str) -> Option<&'static str> {
    let name = uri.trim_end_matches('#').trim_start_matches("http://").trim_start_matches("https://");
    match name {
        "json-schema.org/draft/2020-12/schema" => Some("https://json-schema.org/draft/2020-12/schema"),
        "json-schema.org/draft/2019-09/schema" => Some("https://json-schema.org/draft/2019-09/schema"),
        "json-schema.org/draft-07/schema" | "json-schema.org/draft-04/schema" => {
            Some("http://json-schema.org/draft-07/schema#")
        }
        "json-schema.org/draft-06/schema" => Some("http://json-schema.org/draft-06/schema#"),
        _ => None,
    }
}

struct Root<'a> {
    schema: &'a Value,
    /// The `$id` that references may repeat.
    base: Option<&'a str>,
}

const TYPES: [&str; 7] = ["array", "boolean", "integer", "null", "number", "object", "string"];

/// Keywords whose value is a schema or a list of schemas.
const SCHEMAS: [&str; 16] = [
    "items",
    "prefixItems",
    "additionalItems",
    "contains",
    "additionalProperties",
    "propertyNames",
    "allOf",
    "anyOf",
    "oneOf",
    "not",
    "if",
    "then",
    "else",
    "unevaluatedItems",
    "unevaluatedProperties",
    "contentSchema",
];
/// Keywords whose value is data.
pub const DATA: [&str; 4] = ["enum", "const", "default", "examples"];
/// Keywords whose value has schemas by name.
pub const NAMED_SCHEMAS: [&str; 5] =
    ["properties", "patternProperties", "$defs", "definitions", "dependentSchemas"];

/// Reads the keywords of other drafts and dialects as those of the current ones, in `schema` and everything below it.
fn mend(schema: &mut Value, root: &Root<'_>) {
    let Value::Object(fields) = schema else { return };
    fields.shift_remove("$id");
    if fields.get("id").is_some_and(Value::is_string) {
        fields.shift_remove("id");
    }
    for name in ["$anchor", "$dynamicAnchor", "$dynamicRef"] {
        if fields.get(name).is_some_and(Value::is_string) {
            fields.shift_remove(name);
        }
    }
    mend_reference(fields, root);
    for (exclusive, bound) in [("exclusiveMinimum", "minimum"), ("exclusiveMaximum", "maximum")] {
        // Draft 4: a flag beside the bound.
        match fields.get(exclusive).and_then(Value::as_bool) {
            Some(true) => {
                fields.shift_remove(exclusive);
                if let Some(value) = fields.shift_remove(bound) {
                    fields.insert(exclusive.to_owned(), value);
                }
            }
            Some(false) => drop(fields.shift_remove(exclusive)),
            None => {}
        }
    }
    mend_type(fields);
    mend_required(fields);
    for name in SCHEMAS {
        match fields.get_mut(name) {
            Some(Value::Array(list)) => list.iter_mut().for_each(|schema| mend(schema, root)),
            Some(schema) => mend(schema, root),
            None => {}
        }
    }
    for name in NAMED_SCHEMAS {
        if let Some(Value::Object(schemas)) = fields.get_mut(name) {
            for schema in schemas.values_mut() {
                if schema.is_object() {
                    mend(schema, root);
                } else if !schema.is_boolean() {
                    *schema = json!({});
                }
            }
        }
    }
}

/// Makes a reference local, or drops one that leads nowhere or elsewhere.
fn mend_reference(fields: &mut Map<String, Value>, root: &Root<'_>) {
    let Some(reference) = fields.get("$ref").and_then(Value::as_str).map(str::to_owned) else { return };
    let base = root.base.map(|base| base.trim_end_matches('#'));
    let local = match base.and_then(|base| reference.strip_prefix(base)) {
        Some(fragment) if fragment.is_empty() || fragment.starts_with('#') => fragment.to_owned(),
        _ => reference.clone(),
    };
    let local = if local.is_empty() { "#".to_owned() } else { local };
    match local.strip_prefix('#') {
        // A pointer; anything else is the name of an anchor.
        Some(pointer) if pointer.is_empty() || pointer.starts_with('/') => {
            let found = root
                .schema
                .pointer(&decoded(pointer))
                .is_some_and(|found| found.is_object() || found.is_boolean());
            if found {
                fields.insert("$ref".to_owned(), local.into());
            } else {
                fields.shift_remove("$ref");
            }
        }
        Some(anchor) => match anchored(root.schema, anchor) {
            Some(pointer) => drop(fields.insert("$ref".to_owned(), format!("#{pointer}").into())),
            None => drop(fields.shift_remove("$ref")),
        },
        None => drop(fields.shift_remove("$ref")),
    }
}

/// The pointer to the schema with an anchor, as a fragment.
fn anchored(root: &Value, anchor: &str) -> Option<String> {
    let mut open = vec![(String::new(), root)];
    while let Some((pointer, value)) = open.pop() {
        match value {
            Value::Object(fields) => {
                if fields.get("$anchor").and_then(Value::as_str) == Some(anchor) {
                    return Some(pointer);
                }
                for (name, inner) in fields {
                    let name = name.replace('~', "~0").replace('/', "~1").replace('%', "%25");
                    open.push((format!("{pointer}/{name}"), inner));
                }
            }
            Value::Array(items) => {
                open.extend(items.iter().enumerate().map(|(at, item)| (format!("{pointer}/{at}"), item)));
            }
            _ => {}
        }
    }
    None
}

/// A pointer of a URI's fragment without percent-encoding.
fn decoded(pointer: &str) -> String {
    String::from_utf8_lossy(&decode_once(pointer.as_bytes())).into_owned()
}

/// Drops types that JSON does not have, and reads `OpenAPI`'s `nullable`.
fn mend_type(fields: &mut Map<String, Value>) {
    let known = |kind: &Value| kind.as_str().is_some_and(|kind| TYPES.contains(&kind));
    let kinds: Option<Vec<Value>> = match fields.get("type") {
        Some(Value::Array(kinds)) => Some(kinds.iter().filter(|kind| known(kind)).cloned().collect()),
        Some(kind) if known(kind) => Some(vec![kind.clone()]),
        Some(_) => Some(Vec::new()),
        None => None,
    };
    let nullable = fields.get("nullable").and_then(Value::as_bool);
    if nullable.is_some() {
        fields.shift_remove("nullable");
    }
    let Some(mut kinds) = kinds else { return };
    if nullable == Some(true) && !kinds.is_empty() {
        let null = Value::from("null");
        if !kinds.contains(&null) {
            kinds.push(null);
        }
        if let Some(Value::Array(choices)) = fields.get_mut("enum")
            && !choices.contains(&Value::Null)
        {
            choices.push(Value::Null);
        }
    }
    match kinds.len() {
        0 => drop(fields.shift_remove("type")),
        1 => drop(fields.insert("type".to_owned(), kinds.remove(0))),
        _ => drop(fields.insert("type".to_owned(), kinds.into())),
    }
}

/// Reads draft 3's flag `required` of a property as an entry in the list around it.
fn mend_required(fields: &mut Map<String, Value>) {
    let mut flagged = Vec::new();
    if let Some(Value::Object(properties)) = fields.get_mut("properties") {
        for (name, property) in properties.iter_mut() {
            let Value::Object(property) = property else { continue };
            if let Some(required) = property.get("required").and_then(Value::as_bool) {
                property.shift_remove("required");
                flagged.extend(required.then(|| Value::from(name.clone())));
            }
        }
    }
    let mut list = match fields.get("required") {
        Some(Value::Array(list)) => list.clone(),
        Some(_) => {
            fields.shift_remove("required");
            Vec::new()
        }
        None => Vec::new(),
    };
    if flagged.is_empty() {
        return;
    }
    flagged.retain(|name| !list.contains(name));
    list.append(&mut flagged);
    fields.insert("required".to_owned(), list.into());
}

/// The number of values in `value` with every local reference replaced by what it names; more than [`MAX_EXPANDED`] beyond
/// [`MAX_DEPTH`].
fn expanded(value: &Value, root: &Value, depth: usize, counted: &mut HashMap<String, Option<u64>>) -> u64 {
    if depth > MAX_DEPTH {
        return MAX_EXPANDED + 1;
    }
    let sum = |sum: u64, part: u64| sum.saturating_add(part);
    match value {
        Value::Array(items) => items.iter().map(|item| expanded(item, root, depth + 1, counted)).fold(1, sum),
        Value::Object(fields) => {
            let own = fields.values().map(|field| expanded(field, root, depth + 1, counted)).fold(1, sum);
            let reference =
                fields.get("$ref").and_then(Value::as_str).and_then(|name| name.strip_prefix('#'));
            let Some(reference) = reference else { return own };
            let named = match counted.get(reference) {
                Some(Some(count)) => *count,
                // The reference is inside of what it names.
                Some(None) => 1,
                None => {
                    counted.insert(reference.to_owned(), None);
                    let named = root.pointer(&decoded(reference));
                    let count = named.map_or(1, |named| expanded(named, root, depth + 1, counted));
                    counted.insert(reference.to_owned(), Some(count));
                    count
                }
            };
            own.saturating_add(named)
        }
        _ => 1,
    }
}

/// Removes the value at a pointer. Returns false if there is none.
fn remove(schema: &mut Value, path: &str) -> bool {
    let Some((parent, name)) = path.rsplit_once('/') else { return false };
    let name = name.replace("~1", "/").replace("~0", "~");
    match schema.pointer_mut(parent) {
        Some(Value::Object(fields)) => fields.shift_remove(&name).is_some(),
        Some(Value::Array(items)) => match name.parse::<usize>() {
            Ok(at) if at < items.len() => {
                items.remove(at);
                true
            }
            _ => false,
        },
        _ => false,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn schemas_of_other_drafts_are_read_as_those_of_the_current_ones() {
        let of = |property: Value| json!({"type": "object", "properties": {"a": property}});
        for (given, expected) in [
            (of(json!({"minimum": 0, "exclusiveMinimum": true})), of(json!({"exclusiveMinimum": 0}))),
            (of(json!({"maximum": 9, "exclusiveMaximum": false})), of(json!({"maximum": 9}))),
            (of(json!({"type": "any"})), of(json!({}))),
            (of(json!({"type": "string", "nullable": true})), of(json!({"type": ["string", "null"]}))),
            (of(json!({"$ref": "#/$defs/nowhere"})), of(json!({}))),
            (of(json!({"$ref": "http://127.0.0.1:9/x.json"})), of(json!({}))),
            (of(json!({"type": "string", "minLength": "1"})), of(json!({"type": "string"}))),
            (of(json!(null)), of(json!({}))),
            (json!({"$schema": "https://tools.example/v3"}), json!({})),
            (
                json!({"$schema": "https://json-schema.org/draft-07/schema"}),
                json!({"$schema": "http://json-schema.org/draft-07/schema#"}),
            ),
            (json!({"$schema": ""}), json!({})),
        ] {
            assert_eq!(readable(&given).as_ref(), Ok(&expected), "{given}");
        }
        let required = of(json!({"type": "string", "required": true}));
        assert_eq!(readable(&required).unwrap()["required"], json!(["a"]));
        let by_id = json!({"$id": "https://t.example/s", "properties": {"x": {"$ref": "https://t.example/s#/definitions/x"}}, "definitions": {"x": {"type": "integer"}}});
        assert_eq!(readable(&by_id).unwrap()["properties"]["x"], json!({"$ref": "#/definitions/x"}));
    }

    #[test]
    fn a_valid_schema_stays_as_it_is() {
        for schema in [
            json!({"type": "object", "properties": {"tree": {"$ref": "#/$defs/n"}}, "$defs": {"n": {"type": "object", "properties": {"c": {"items": {"$ref": "#/$defs/n"}}}}}}),
            json!({"properties": {"default": {"$ref": "#/$defs/n"}}, "$defs": {"n": {"type": "integer"}}, "required": ["default"]}),
            json!({"properties": {"id": {"type": "string", "pattern": "^(?=.*[0-9])[a-z0-9-]+$"}, "type": {"type": "string"}}}),
            json!({"properties": {"a": {"$ref": "#/properties/b"}, "b": {"enum": [1, null]}}, "additionalProperties": false}),
            json!({}),
        ] {
            assert_eq!(readable(&schema).as_ref(), Ok(&schema));
        }
    }

    #[test]
    fn patterns_are_bounded_in_number_and_size() {
        let heavy = json!({"type": "string", "pattern": r"(?:\p{L}\p{N}){400}"});
        let light = json!({"type": "string", "pattern": "^[a-z]+$"});
        let schema = json!({"properties": {"heavy": heavy, "light": light, "pattern": {"type": "string"}}});
        let read = readable(&schema).unwrap();
        assert_eq!(read["properties"]["heavy"], json!({"type": "string"}));
        assert_eq!(
            (&read["properties"]["light"], &read["properties"]["pattern"]),
            (&light, &json!({"type": "string"}))
        );

        let properties: Map<String, Value> = (0..100).map(|at| (format!("a{at}"), light.clone())).collect();
        let many = json!({"properties": properties, "patternProperties": {"^x": {}}});
        let read = readable(&many).unwrap();
        assert_eq!(
            read.to_string().matches("\"pattern\"").count()
                + read["patternProperties"].as_object().unwrap().len(),
            MAX_PATTERNS
        );
    }

    #[test]
    fn names_and_numbers_of_arguments_are_bounded() {
        let named = |names: Vec<String>| {
            let properties: Map<String, Value> = names.into_iter().map(|name| (name, json!({}))).collect();
            readable(&json!({"properties": properties}))
        };
        assert!(named(vec!["a".repeat(200)]).is_ok());
        assert!(named(vec!["a".repeat(201)]).unwrap_err().contains("more than 200 characters"));
        assert!(
            named((0..201).map(|at| format!("a{at}")).collect())
                .unwrap_err()
                .contains("more than 200 arguments")
        );
    }

    #[test]
    fn anchors_become_pointers() {
        let schema = json!({"properties": {"a": {"$ref": "#q"}, "b": {"$ref": "#nowhere"}}, "$defs": {"x/y": {"$anchor": "q", "type": "integer"}}});
        let read = readable(&schema).unwrap();
        assert_eq!(read["properties"], json!({"a": {"$ref": "#/$defs/x~1y"}, "b": {}}));
        assert_eq!(read["$defs"]["x/y"], json!({"type": "integer"}));
    }

    #[test]
    fn references_that_multiply_or_go_too_deep_are_refused() {
        let mut defs = json!({});
        for level in 0..40 {
            let next = format!("#/$defs/d{}", level + 1);
            defs[format!("d{level}")] = json!({"allOf": [{"$ref": next}, {"$ref": next}]});
        }
        defs["d40"] = json!({});
        let bomb = json!({"type": "object", "properties": {"a": {"$ref": "#/$defs/d0"}}, "$defs": defs});
        assert!(readable(&bomb).unwrap_err().contains("too large or too deep"));
        let mut chain = json!({"end": {}});
        for level in 0..5000 {
            let next =
                if level == 4999 { "#/$defs/end".to_owned() } else { format!("#/$defs/c{}", level + 1) };
            chain[format!("c{level}")] = json!({"$ref": next});
        }
        let deep = json!({"properties": {"a": {"$ref": "#/$defs/c0"}}, "$defs": chain});
        assert!(readable(&deep).unwrap_err().contains("too large or too deep"));
    }
}
