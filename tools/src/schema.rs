//! Conversion between JSON Schemas and parameter lists that a small model can fill in.

pub use sojourn_primitives::RESERVED;

use crate::outside::schema::{DATA, NAMED_SCHEMAS};
use crate::{Parameter, ParameterKind};
use serde_json::{Map, Value};
use std::collections::BTreeSet;

/// Parameters of the argument object that `schema` describes: required ones first, in the order of
/// `required`, then the others in the order of `properties`.
///
/// Constraints beyond name and type stay in the schema, which validates the calls. An optional property gets
/// its declared default, or else may be omitted.
pub fn parameters_of(schema: &Value) -> Vec<Parameter> {
    let empty = Map::new();
    let properties = schema.get("properties").and_then(Value::as_object).unwrap_or(&empty);
    let required: Vec<&str> = schema
        .get("required")
        .and_then(Value::as_array)
        .map(|names| names.iter().filter_map(Value::as_str).collect())
        .unwrap_or_default();
    let first = required.iter().filter_map(|name| properties.get_key_value(*name));
    let rest = properties.iter().filter(|(name, _)| !required.contains(&name.as_str()));
    first
        .map(|(name, schema)| (name, schema, true))
        .chain(rest.map(|(name, schema)| (name, schema, false)))
        .map(|(name, schema, required)| Parameter {
            name: name.clone(),
            kind: kind_of(schema),
            default: if required {
                None
            } else {
                Some(schema.get("default").cloned().unwrap_or(Value::Null))
            },
        })
        .collect()
}

fn kind_of(schema: &Value) -> ParameterKind {
    let keys = schema.as_object().map(Map::len).unwrap_or_default();
    let described = usize::from(schema.get("description").is_some())
        + usize::from(schema.get("title").is_some())
        + usize::from(schema.get("default").is_some());
    let plain = |known: usize| keys == known + described;
    match schema.get("type").and_then(Value::as_str) {
        Some("string") if plain(1) => ParameterKind::Text,
        Some("boolean") if plain(1) => ParameterKind::Boolean,
        Some("string") if plain(2) => match choices(schema) {
            Some(choices) => ParameterKind::Choice(choices),
            None => ParameterKind::Schema(schema.clone()),
        },
        Some("integer") if plain(3) => {
            let bound = |name: &str| schema.get(name).and_then(Value::as_i64);
            match (bound("minimum"), bound("maximum")) {
                (Some(min), Some(max)) => ParameterKind::Integer { min, max },
                _ => ParameterKind::Schema(schema.clone()),
            }
        }
        _ => ParameterKind::Schema(schema.clone()),
    }
}

fn choices(schema: &Value) -> Option<Vec<String>> {
    let list = schema.get("enum")?.as_array()?;
    list.iter().map(|choice| choice.as_str().map(str::to_owned)).collect()
}

/// Embeds `schema` in another schema as the definition `name`. Returns the reference to it and the definition
/// for `$defs`, with internal references rewritten.
pub fn embedded(name: &str, schema: &Value) -> (Value, Value) {
    let root = format!("#/$defs/{name}");
    let mut definition = schema.clone();
    rebase(&mut definition, &root, Place::Schema);
    if let Value::Object(fields) = &mut definition {
        fields.remove("$schema");
        fields.remove("$id");
    }
    (serde_json::json!({"$ref": root}), definition)
}

fn rebase(value: &mut Value, root: &str, place: Place) {
    match (value, place) {
        (Value::Object(fields), Place::Schema) => {
            let reference =
                fields.get("$ref").and_then(Value::as_str).and_then(|target| target.strip_prefix('#'));
            match reference
                .map(|pointer| (pointer.is_empty() || pointer.starts_with('/'), format!("{root}{pointer}")))
            {
                Some((true, moved)) => drop(fields.insert("$ref".to_owned(), moved.into())),
                // The name of an anchor, which another part of the schema around could have too.
                Some((false, _)) => drop(fields.shift_remove("$ref")),
                None => {}
            }
            for (key, value) in fields.iter_mut().filter(|(key, _)| !DATA.contains(&key.as_str())) {
                let names = NAMED_SCHEMAS.contains(&key.as_str());
                rebase(value, root, if names { Place::Names } else { Place::Schema });
            }
        }
        (Value::Object(fields), Place::Names) => {
            fields.values_mut().for_each(|value| rebase(value, root, Place::Schema));
        }
        (Value::Array(items), _) => items.iter_mut().for_each(|item| rebase(item, root, Place::Schema)),
        _ => {}
    }
}

/// The schema without texts for people (`title`, `description`, `examples`, `$comment`), at any depth.
pub fn without_texts(mut schema: Value) -> Value {
    strip(&mut schema, Place::Schema);
    schema
}

/// What a value inside a schema is.
#[derive(Clone, Copy)]
enum Place {
    Schema,
    /// An object of schemas by name, whose keys are no keywords.
    Names,
}

fn strip(value: &mut Value, place: Place) {
    match (value, place) {
        (Value::Object(fields), Place::Schema) => {
            for text in ["title", "description", "examples", "example", "$comment"] {
                fields.remove(text);
            }
            for (key, value) in fields.iter_mut() {
                match key.as_str() {
                    key if DATA.contains(&key) => {}
                    key if NAMED_SCHEMAS.contains(&key) => strip(value, Place::Names),
                    _ => strip(value, Place::Schema),
                }
            }
        }
        (Value::Object(fields), Place::Names) => {
            fields.values_mut().for_each(|value| strip(value, Place::Schema));
        }
        (Value::Array(items), _) => items.iter_mut().for_each(|item| strip(item, Place::Schema)),
        _ => {}
    }
}

/// Schema of an argument object without properties.
pub(crate) fn no_arguments() -> Value {
    serde_json::json!({"type": "object", "properties": {}, "additionalProperties": false})
}

/// Whether a name can stand in a program as it is: an ASCII identifier of JavaScript that is not reserved.
pub fn is_identifier(name: &str) -> bool {
    identifier("", name) == name && !RESERVED.contains(&name)
}

/// A peer's name as a JavaScript identifier: `get-sum` of `everything` becomes `everything_get_sum`.
pub fn identifier(source: &str, name: &str) -> String {
    let joined = if source.is_empty() { name.to_owned() } else { format!("{source}_{name}") };
    let mut identifier: String = joined
        .chars()
        .map(|c| if c.is_ascii_alphanumeric() || c == '_' || c == '$' { c } else { '_' })
        .collect();
    if identifier.is_empty() || identifier.starts_with(|c: char| c.is_ascii_digit()) {
        identifier.insert(0, '_');
    }
    identifier
}

/// An identifier of its own for each of a peer's names; `None` for a name that comes a second time.
///
/// A name that is an identifier already keeps it. Others that would become the same one get a suffix, which depends on the
/// name alone, so that no call reaches another tool when the peer offers its tools in another order.
pub fn identifiers(source: &str, names: &[String]) -> Vec<Option<String>> {
    let plain: Vec<String> = names.iter().map(|name| identifier(source, name)).collect();
    let is_exact = |at: usize| plain[at].ends_with(&names[at]);
    let mut taken: BTreeSet<String> =
        (0..names.len()).filter(|at| is_exact(*at)).map(|at| plain[at].clone()).collect();
    let mut given = Vec::with_capacity(names.len());
    for (at, name) in names.iter().enumerate() {
        let comes_again = names[..at].contains(name);
        let rivals = plain.iter().zip(names).any(|(other, own)| *other == plain[at] && own != name);
        given.push(if comes_again {
            None
        } else if is_exact(at) || !rivals {
            taken.insert(plain[at].clone());
            Some(plain[at].clone())
        } else {
            let digest = uuid::Uuid::new_v5(&uuid::Uuid::NAMESPACE_OID, name.as_bytes()).simple().to_string();
            let free = (4..=digest.len()).map(|length| format!("{}_{}", plain[at], &digest[..length]));
            free.into_iter().find(|free| taken.insert(free.clone()))
        });
    }
    given
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn required_parameters_come_first_and_simple_types_are_recognised() {
        let schema = json!({
            "type": "object",
            "properties": {
                "limit": {"type": "integer", "minimum": 1, "maximum": 9, "default": 3},
                "mode": {"type": "string", "enum": ["a", "b"], "description": "how"},
                "query": {"type": "string"},
                "tags": {"type": "array", "items": {"type": "string"}},
            },
            "required": ["query"],
        });
        let parameters = parameters_of(&schema);
        let listed: Vec<(&str, &ParameterKind, Option<&Value>)> =
            parameters.iter().map(|p| (p.name.as_str(), &p.kind, p.default.as_ref())).collect();
        assert_eq!(
            listed,
            [
                ("query", &ParameterKind::Text, None),
                ("limit", &ParameterKind::Integer { min: 1, max: 9 }, Some(&json!(3))),
                ("mode", &ParameterKind::Choice(vec!["a".into(), "b".into()]), Some(&Value::Null)),
                (
                    "tags",
                    &ParameterKind::Schema(json!({"type": "array", "items": {"type": "string"}})),
                    Some(&Value::Null)
                ),
            ]
        );
    }

    #[test]
    fn references_are_moved_wherever_a_schema_stands() {
        let schema = json!({
            "properties": {"default": {"$ref": "#/$defs/enum"}, "const": {"items": {"$ref": "#"}}, "a": {"$ref": "#anchor"}},
            "default": {"$ref": "#/kept"},
            "$defs": {"enum": {"allOf": [{"$ref": "#/$defs/x"}]}, "x": {"enum": [{"$ref": "#/kept"}]}},
        });
        let (reference, definition) = embedded("tool", &schema);
        assert_eq!(reference, json!({"$ref": "#/$defs/tool"}));
        assert_eq!(
            definition,
            json!({
                "properties": {
                    "default": {"$ref": "#/$defs/tool/$defs/enum"}, "const": {"items": {"$ref": "#/$defs/tool"}}, "a": {}
                },
                "default": {"$ref": "#/kept"},
                "$defs": {"enum": {"allOf": [{"$ref": "#/$defs/tool/$defs/x"}]}, "x": {"enum": [{"$ref": "#/kept"}]}},
            })
        );
    }

    #[test]
    fn names_that_would_become_one_identifier_stay_apart_in_any_order() {
        let given = |names: &[&str]| {
            identifiers("x", &names.iter().map(|name| (*name).to_owned()).collect::<Vec<_>>())
        };
        let all = ["file.read", "file-read", "file_read", "other", "other"];
        let found = given(&all);
        assert_eq!(found[2..], [Some("x_file_read".to_owned()), Some("x_other".to_owned()), None]);
        let distinct: BTreeSet<_> = found.iter().flatten().collect();
        assert_eq!(distinct.len(), 4);
        let reversed = given(&["file_read", "file-read", "file.read"]);
        assert_eq!([&reversed[2], &reversed[1], &reversed[0]], [&found[0], &found[1], &found[2]]);
        assert_eq!(given(&["file.read"]), [Some("x_file_read".to_owned())]);
    }

    #[test]
    fn any_name_becomes_an_identifier() {
        for (source, name, expected) in [
            ("everything", "get-sum", "everything_get_sum"),
            ("", "2nd", "_2nd"),
            ("", "", "_"),
            ("fs", "lire/écrire", "fs_lire__crire"),
        ] {
            assert_eq!(identifier(source, name), expected);
        }
    }
}
