use crate::Error;
use serde_json::{Number, Value};
use std::fmt::Write;

/// Deepest allowed nesting of arrays and objects in a payload. JSON parsers commonly reject more than 128
/// levels.
pub const MAX_DEPTH: usize = 120;

/// The canonical text of a JSON value, over which hashes are computed.
///
/// The text has no white space. Object members are sorted by the bytes of their names. Strings escape only
/// `"`, `\` and control characters, the latter as `\u001f`. Integers are decimal. A float is the shortest
/// decimal that parses back to the same float. Floats have a `.` or an exponent, so that 1.0 differs from 1.
/// Equal values have the same text, whatever the order of their members.
///
/// # Errors
/// [`Error::TooDeep`] past [`MAX_DEPTH`].
pub fn canonical_json(value: &Value) -> Result<String, Error> {
    let mut text = String::new();
    write(value, Order::Sorted, 0, &mut text)?;
    Ok(text)
}

/// The text that is stored: like [`canonical_json`], but with members in their original order. Prompts are
/// rebuilt from that order, and the spelling does not depend on the version of a JSON library.
pub(crate) fn stored_json(value: &Value) -> Result<String, Error> {
    let mut text = String::new();
    write(value, Order::AsGiven, 0, &mut text)?;
    Ok(text)
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Order {
    Sorted,
    AsGiven,
}

fn write(value: &Value, order: Order, depth: usize, out: &mut String) -> Result<(), Error> {
    if depth > MAX_DEPTH {
        return Err(Error::TooDeep { limit: MAX_DEPTH });
    }
    match value {
        Value::Array(items) => {
            out.push('[');
            for (index, item) in items.iter().enumerate() {
                if index > 0 {
                    out.push(',');
                }
                write(item, order, depth + 1, out)?;
            }
            out.push(']');
        }
        Value::Object(members) => {
            let mut members: Vec<_> = members.iter().collect();
            if order == Order::Sorted {
                members.sort_unstable_by(|a, b| a.0.as_bytes().cmp(b.0.as_bytes()));
            }
            out.push('{');
            for (index, (name, member)) in members.into_iter().enumerate() {
                if index > 0 {
                    out.push(',');
                }
                write_string(name, out);
                out.push(':');
                write(member, order, depth + 1, out)?;
            }
            out.push('}');
        }
        Value::String(text) => write_string(text, out),
        Value::Null => out.push_str("null"),
        Value::Bool(true) => out.push_str("true"),
        Value::Bool(false) => out.push_str("false"),
        Value::Number(number) => write_number(number, out),
    }
    Ok(())
}

fn write_number(number: &Number, out: &mut String) {
    // Writing to a string cannot fail.
    let _ = match (number.as_u64(), number.as_i64(), number.as_f64()) {
        (Some(natural), _, _) => write!(out, "{natural}"),
        (_, Some(integer), _) => write!(out, "{integer}"),
        (_, _, Some(float)) => write!(out, "{float:?}"),
        _ => write!(out, "{number}"),
    };
}

fn write_string(text: &str, out: &mut String) {
    out.push('"');
    let mut rest = text;
    while let Some(at) = rest.bytes().position(|byte| byte < 0x20 || byte == b'"' || byte == b'\\') {
        out.push_str(&rest[..at]);
        match rest.as_bytes()[at] {
            quoted @ (b'"' | b'\\') => out.extend(['\\', char::from(quoted)]),
            control => {
                let _ = write!(out, "\\u{control:04x}");
            }
        }
        rest = &rest[at + 1..];
    }
    out.push_str(rest);
    out.push('"');
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;
    use serde_json::json;

    #[test]
    fn canonical_text_sorts_members_and_normalises_numbers() {
        let value = json!({"b": [1, -2, 1.0, 1e300, 0.1], "a": {"z": null, "y": "q\"\n\u{0}é"}, "B": true});
        let expected = r#"{"B":true,"a":{"y":"q\"\u000a\u0000é","z":null},"b":[1,-2,1.0,1e300,0.1]}"#;
        assert_eq!(canonical_json(&value).unwrap(), expected);
    }

    #[test]
    fn nesting_past_the_limit_is_an_error() {
        let nested = |depth| (0..depth).fold(json!(0), |inner, _| json!([inner]));
        assert!(canonical_json(&nested(MAX_DEPTH)).is_ok());
        assert!(matches!(canonical_json(&nested(MAX_DEPTH + 1)), Err(Error::TooDeep { .. })));
    }

    proptest! {
        #[test]
        fn canonical_text_parses_back_to_the_same_value(value in crate::canonical::arbitrary::value()) {
            let text = canonical_json(&value).unwrap();
            let back: Value = serde_json::from_str(&text).unwrap();
            prop_assert_eq!(&back, &value);
            prop_assert_eq!(canonical_json(&back).unwrap(), text);
            let stored = stored_json(&value).unwrap();
            let back: Value = serde_json::from_str(&stored).unwrap();
            prop_assert_eq!(stored_json(&back).unwrap(), stored);
            prop_assert_eq!(back, value);
        }
    }
}

/// Random JSON values for property tests.
#[cfg(test)]
pub(crate) mod arbitrary {
    use proptest::prelude::*;
    use serde_json::Value;

    pub(crate) fn value() -> impl Strategy<Value = Value> {
        let leaf = prop_oneof![
            Just(Value::Null),
            any::<bool>().prop_map(Value::from),
            any::<i64>().prop_map(Value::from),
            any::<u64>().prop_map(Value::from),
            any::<f64>().prop_map(Value::from),
            any::<String>().prop_map(Value::from),
        ];
        leaf.prop_recursive(4, 32, 6, |inner| {
            prop_oneof![
                prop::collection::vec(inner.clone(), 0..6).prop_map(Value::from),
                prop::collection::vec((any::<String>(), inner), 0..6)
                    .prop_map(|members| Value::Object(members.into_iter().collect())),
            ]
        })
    }
}
