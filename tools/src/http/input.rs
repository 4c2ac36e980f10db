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

/// `input` with each object closed too that is declared in parts (`anyOf`, `$ref`, …), for a check before arguments are sent.
/// Grammars do not know the keyword that this needs.
pub fn strict(input: &Value) -> Value {
    let mut strict = input.clone();
    if let Value::Object(fields) = &mut strict {
        // The top level is compared with the declared names.
        close_children(fields, input, 0);
    }
    strict
}

/// Closes the schema of one value, unless it says itself what else it may hold.
fn close_parts(schema: &mut Value, root: &Value, depth: usize) {
    if depth > MAX_DEPTH {
        return;
    }
    let is_closed = schema.get("additionalProperties").is_none()
        && !is_free(schema, root, 0)
        && declared_in(schema, root).is_some_and(|names| !names.is_empty());
    let Value::Object(fields) = schema else { return };
    if is_closed {
        fields.insert("unevaluatedProperties".to_owned(), Value::Bool(false));
    }
    close_children(fields, root, depth);
}

/// Closes what stands inside of a value, in whatever part of its schema it is declared.
fn close_children(fields: &mut Map<String, Value>, root: &Value, depth: usize) {
    if depth > MAX_DEPTH {
        return;
    }
    for (keyword, part) in fields.iter_mut() {
        match (keyword.as_str(), part) {
            ("properties", Value::Object(properties)) => {
                properties.values_mut().for_each(|property| close_parts(property, root, depth + 1));
            }
            ("items" | "additionalProperties", item @ Value::Object(_)) => close_parts(item, root, depth + 1),
            ("items" | "prefixItems", Value::Array(items)) => {
                for item in items.iter_mut() {
                    close_parts(item, root, depth + 1);
                }
            }
            ("allOf" | "anyOf" | "oneOf", Value::Array(parts)) => {
                let parts = parts.iter_mut().filter_map(Value::as_object_mut);
                parts.for_each(|part| close_children(part, root, depth + 1));
            }
            ("if" | "then" | "else", Value::Object(part)) => close_children(part, root, depth + 1),
            ("$defs" | "definitions" | "dependentSchemas", Value::Object(parts)) => {
                let parts = parts.values_mut().filter_map(Value::as_object_mut);
                parts.for_each(|part| close_children(part, root, depth + 1));
            }
            _ => {}
        }
    }
}

/// Whether one of the alternatives is an object that lists no properties.
fn is_free(schema: &Value, root: &Value, depth: usize) -> bool {
    if depth > MAX_DEPTH {
        return true;
    }
    let alternatives =
        ["anyOf", "oneOf"].iter().filter_map(|keyword| schema.get(*keyword)?.as_array()).flatten();
    let referred = referred(schema, root);
    alternatives.chain(referred).any(|part| {
        let lists =
            OPENERS.iter().any(|keyword| part.get(*keyword).is_some()) || part.get("properties").is_some();
        if lists {
            is_free(part, root, depth + 1)
        } else {
            part.get("type").is_some_and(|kind| kind == "object")
        }
    })
}

/// The schema in the same document that `$ref` names.
fn referred<'s>(schema: &'s Value, root: &'s Value) -> Option<&'s Value> {
    root.pointer(schema.get("$ref")?.as_str()?.strip_prefix('#')?)
}

/// Names of the arguments that `input` declares anywhere; `None` if it says that there may be others.
pub fn declared(input: &Value) -> Option<BTreeSet<String>> {
    declared_in(input, input)
}

/// As [`declared`], for a part of the schema `root`.
fn declared_in(part: &Value, root: &Value) -> Option<BTreeSet<String>> {
    let mut names = BTreeSet::new();
    let mut open = vec![(part, 0)];
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
            && let Some(definition) = root.pointer(pointer)
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
    fn an_argument_that_no_part_declares_is_refused_at_any_depth() {
        let input = json!({
            "type": "object",
            "properties": {
                "user": {"$ref": "#/$defs/user"},
                "to": {"anyOf": [{"type": "string"}, {"properties": {"mail": {}}, "required": ["mail"]}]},
                "list": {"items": {"allOf": [{"$ref": "#/$defs/user"}, {"properties": {"age": {}}}]}},
                "free": {"anyOf": [{"type": "object"}, {"properties": {"x": {}}}]},
                "said": {"anyOf": [{"properties": {"x": {}}, "additionalProperties": true}]},
            },
            "$defs": {"user": {"type": "object", "properties": {"name": {}, "of": {"$ref": "#/$defs/user"}}}},
        });
        let validator = jsonschema::validator_for(&strict(&input)).unwrap();
        for (good, value) in [
            (true, json!({"user": {"name": "a", "of": {"name": "b"}}})),
            (false, json!({"user": {"name": "a", "admin": true}})),
            (false, json!({"user": {"of": {"of": {"admin": true}}}})),
            (true, json!({"to": {"mail": "m"}})),
            (true, json!({"to": "m"})),
            (false, json!({"to": {"mail": "m", "bcc": "n"}})),
            (true, json!({"list": [{"name": "a", "age": 1}]})),
            (false, json!({"list": [{"name": "a", "age": 1, "admin": true}]})),
            (true, json!({"free": {"y": 1}, "said": {"y": 1}})),
        ] {
            assert_eq!(validator.is_valid(&value), good, "{value}");
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
