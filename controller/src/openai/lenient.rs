//! Reads what servers send in several shapes: text as a string or as a list of parts, a reason as a word or nothing.

use serde::{Deserialize, Deserializer};
use serde_json::Value;

/// The deepest nesting of parts that is read.
const DEEPEST: usize = 8;

/// The texts in a `content` of any shape.
#[derive(Debug, Default, PartialEq, Eq)]
pub(super) struct Parts {
    /// The answer.
    pub(super) text: String,
    /// The model's reasoning before the answer.
    pub(super) reasoning: String,
    pub(super) refusal: String,
}

impl Parts {
    /// Reads a string, a part, or a list of either. Parts of other kinds, such as pictures, are left out.
    pub(super) fn of(content: &Value) -> Self {
        let mut parts = Self::default();
        parts.add(content, false, 0);
        parts
    }

    fn add(&mut self, content: &Value, thought: bool, depth: usize) {
        if depth > DEEPEST {
            return;
        }
        match content {
            Value::String(text) if thought => self.reasoning.push_str(text),
            Value::String(text) => self.text.push_str(text),
            Value::Array(parts) => parts.iter().for_each(|part| self.add(part, thought, depth + 1)),
            Value::Object(part) => {
                let kind = part.get("type").and_then(Value::as_str).unwrap_or("text");
                if kind == "refusal" {
                    self.refusal.push_str(part.get("refusal").and_then(Value::as_str).unwrap_or_default());
                    return;
                }
                let thought = thought || ["think", "reason"].iter().any(|word| kind.contains(word));
                if !thought && !matches!(kind, "text" | "output_text" | "input_text") {
                    return;
                }
                // `{"type": "text", "text": {"value": …}}` is the shape of assistants.
                let names = ["text", "thinking", "reasoning", "content", "summary", "value"];
                if let Some(inner) = names.iter().find_map(|name| part.get(*name)) {
                    self.add(inner, thought, depth + 1);
                }
            }
            _ => {}
        }
    }
}

/// A value that is kept whatever its type. `null` counts as absent.
pub(super) fn any<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Option<Value>, D::Error> {
    Ok(Option::<Value>::deserialize(deserializer)?.filter(|value| !value.is_null()))
}

/// A reason as a word. An empty one, and the word `null`, stand for none: some servers send them before the end.
pub(super) fn reason<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Option<String>, D::Error> {
    let value = any(deserializer)?;
    let word = match value {
        Some(Value::String(word)) => word,
        Some(Value::Number(number)) => number.to_string(),
        _ => return Ok(None),
    };
    let word = word.trim();
    Ok((!word.is_empty() && !word.eq_ignore_ascii_case("null")).then(|| word.to_owned()))
}

/// A number, also written as a string.
pub(super) fn index<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Option<u32>, D::Error> {
    let number = match any(deserializer)? {
        Some(Value::Number(number)) => number.as_u64(),
        Some(Value::String(digits)) => digits.trim().parse().ok(),
        _ => None,
    };
    Ok(number.map(|number| u32::try_from(number).unwrap_or(u32::MAX)))
}

/// The items of a list that can be read; the others are left out.
pub(super) fn items<'de, D: Deserializer<'de>, T: serde::de::DeserializeOwned>(
    deserializer: D,
) -> Result<Vec<T>, D::Error> {
    let items = match any(deserializer)? {
        Some(Value::Array(items)) => items,
        _ => Vec::new(),
    };
    Ok(items.into_iter().filter_map(|item| serde_json::from_value(item).ok()).collect())
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn content_is_read_in_every_shape() {
        for (content, text, reasoning) in [
            (json!("a"), "a", ""),
            (json!(null), "", ""),
            (json!(7), "", ""),
            (json!([{"type": "text", "text": "a"}, {"type": "text", "text": "b"}]), "ab", ""),
            (json!(["a", {"text": "b"}]), "ab", ""),
            (json!([{"type": "output_text", "text": "a", "annotations": []}]), "a", ""),
            (json!([{"type": "text", "text": {"value": "a"}}]), "a", ""),
            (
                json!([{"type": "thinking", "thinking": [{"type": "text", "text": "hm"}]}, {"type": "text", "text": "a"}]),
                "a",
                "hm",
            ),
            (
                json!([{"type": "reasoning.text", "text": "hm"}, {"type": "image_url", "image_url": {}}]),
                "",
                "hm",
            ),
            (json!({"type": "text", "text": "a"}), "a", ""),
        ] {
            let parts = Parts::of(&content);
            assert_eq!((parts.text.as_str(), parts.reasoning.as_str()), (text, reasoning), "{content}");
        }
        assert_eq!(Parts::of(&json!([{"type": "refusal", "refusal": "no"}])).refusal, "no");
    }

    #[test]
    fn deep_content_ends() {
        let mut content = json!("a");
        for _ in 0..100 {
            content = json!([content]);
        }
        assert_eq!(Parts::of(&content), Parts::default());
    }
}
