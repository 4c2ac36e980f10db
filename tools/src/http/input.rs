//! Which arguments of a tool its `input` declares. Only those are sent.

use serde_json::{Map, Value, json};
use std::collections::BTreeSet;

/// Keywords by which a schema says what else an object may hold, in itself or elsewhere.
const OPENERS: [&str; 12] = [
    "additionalProperties",
    "unevaluatedProperties",
    "patternProperties",
    "propertyNames",
    "$ref",
    "$dynamicRef",
    "allOf",
    "anyOf",
    "oneOf",
    "if",
    "not",
    "dependentSchemas",
];

/// Limit on the depth of a schema that is looked into.
const MAX_DEPTH: usize = 64;

/// `input` with each object closed that lists its properties and does not say itself what else it may hold, and with the
/// `placeholders` of the URL that it leaves out as required strings.
pub fn closed<'a>(input: &Value, placeholders: impl Iterator<Item = &'a str>) -> Value {
    let mut input = if input == &Value::Bool(true) { json!({}) } else { input.clone() };
    let declared = declared(&input);
    if let Value::Object(schema) = &mut input {
        let states_nothing = !OPENERS.iter().any(|keyword| schema.contains_key(*keyword));
        if states_nothing && !schema.contains_key("properties") {
            schema.insert("properties".to_owned(), json!({}));
        }
        for name in placeholders.filter(|name| !declared.as_ref().is_some_and(|names| names.contains(*name)))
        {
            declare(schema, name);
        }
    }
    close(&mut input, 0);
    input
}

fn declare(schema: &mut Map<String, Value>, name: &str) {
    if let Some(properties) = schema.entry("properties").or_insert_with(|| json!({})).as_object_mut() {
        properties.entry(name).or_insert_with(|| json!({"type": "string"}));
    }
    if let Some(required) = schema.entry("required").or_insert_with(|| json!([])).as_array_mut()
        && !required.iter().any(|other| other == name)
    {
        required.push(json!(name));
    }
}

fn close(schema: &mut Value, depth: usize) {
    let Value::Object(fields) = schema else { return };
    if depth > MAX_DEPTH {
        return;
    }
    if fields.contains_key("properties") && !OPENERS.iter().any(|keyword| fields.contains_key(*keyword)) {
        fields.insert("additionalProperties".to_owned(), Value::Bool(false));
    }
    if let Some(Value::Object(properties)) = fields.get_mut("properties") {
        properties.values_mut().for_each(|property| close(property, depth + 1));
    }
    for keyword in ["items", "prefixItems", "additionalItems", "additionalProperties"] {
        match fields.get_mut(keyword) {
            Some(Value::Array(items)) => items.iter_mut().for_each(|item| close(item, depth + 1)),
            Some(item) => close(item, depth + 1),
            None => {}
        }
    }
}

/// Names of the arguments that `input` declares anywhere; `None` if it says that there may be others.
pub fn declared(input: &Value) -> Option<BTreeSet<String>> {
    let mut names = BTreeSet::new();
    let mut open = vec![(input, 0)];
    let mut references = BTreeSet::new();
    while let Some((schema, depth)) = open.pop() {
        let Value::Object(fields) = schema else { continue };
        if depth > MAX_DEPTH {
            continue;
        }
        let others = ["additionalProperties", "unevaluatedProperties", "patternProperties"];
        if others.iter().any(|keyword| fields.get(*keyword).is_some_and(|says| says != false)) {
            return None;
        }
        names.extend(
            fields.get("properties").and_then(Value::as_object).into_iter().flat_map(Map::keys).cloned(),
        );
        for keyword in ["allOf", "anyOf", "oneOf"] {
            let parts = fields.get(keyword).and_then(Value::as_array).into_iter().flatten();
            open.extend(parts.map(|part| (part, depth + 1)));
        }
        let parts = ["if", "then", "else"].iter().filter_map(|keyword| fields.get(*keyword));
        open.extend(parts.map(|part| (part, depth + 1)));
        let dependent =
            fields.get("dependentSchemas").and_then(Value::as_object).into_iter().flat_map(Map::values);
        open.extend(dependent.map(|part| (part, depth + 1)));
        if let Some(pointer) = fields.get("$ref").and_then(Value::as_str).and_then(|to| to.strip_prefix('#'))
            && references.insert(pointer)
            && let Some(definition) = input.pointer(pointer)
        {
            open.push((definition, depth + 1));
        }
    }
    Some(names)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn names(input: &Value) -> Option<Vec<String>> {
        declared(input).map(|names| names.into_iter().collect())
    }

    #[test]
    fn an_input_that_lists_its_arguments_takes_no_others() {
        let open = json!({"properties": {
            "user": {"type": "object", "properties": {"name": {}}},
            "list": {"type": "array", "items": {"properties": {"x": {"enum": [{"properties": 1}]}}}},
            "free": {"type": "object"},
            "said": {"properties": {"x": {}}, "additionalProperties": true},
        }});
        let closed = closed(&open, ["user", "place"].into_iter());
        assert_eq!(closed["additionalProperties"], json!(false));
        assert_eq!(closed["properties"]["user"]["additionalProperties"], json!(false));
        assert_eq!(closed["properties"]["list"]["items"]["additionalProperties"], json!(false));
        assert_eq!(closed["properties"]["free"], json!({"type": "object"}));
        assert_eq!(closed["properties"]["said"]["additionalProperties"], json!(true));
        assert_eq!(closed["properties"]["place"], json!({"type": "string"}));
        assert_eq!(closed["required"], json!(["place"]), "what is declared stays as it was");
        for nothing in [json!({}), json!(true), json!({"type": "object"})] {
            let closed = super::closed(&nothing, std::iter::empty());
            assert_eq!(closed["additionalProperties"], json!(false), "{nothing}");
        }
    }

    #[test]
    fn what_an_input_declares_is_found_in_its_parts() {
        let parts = json!({
            "allOf": [{"$ref": "#/$defs/a"}, {"anyOf": [{"properties": {"b": {}}}]}],
            "then": {"properties": {"c": {}}},
            "$defs": {"a": {"properties": {"a": {}}, "allOf": [{"$ref": "#/$defs/a"}]}, "z": {"properties": {"z": {}}}},
        });
        assert_eq!(names(&parts).unwrap(), ["a", "b", "c"]);
        assert_eq!(
            names(&json!({"properties": {"a": {}}, "additionalProperties": {"type": "string"}})),
            None
        );
        assert_eq!(names(&json!({"allOf": [{"patternProperties": {"^x-": {}}}]})), None);
        assert_eq!(names(&json!(true)).unwrap(), Vec::<String>::new());
    }
}
