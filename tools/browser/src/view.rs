//! What is seen on a page, as a state for programs and as lines for the controller.

use serde_json::{Map, Value};
use std::fmt::Write as _;

/// The longest view in words, in characters: about 1500 tokens.
const WORDS: usize = 4800;
/// The longest name shown in it, in characters.
const NAME: usize = 140;
/// Options of a list shown in it.
const OPTIONS: usize = 12;

/// What is seen now.
#[derive(Debug, Clone, PartialEq)]
pub struct View {
    /// `url`, `title`, `focus` (an element's id, or empty), `elements`, `more` (elements that were left out) and `scroll`.
    pub state: Map<String, Value>,
    /// What happened unasked since the last look.
    pub told: Vec<String>,
}

impl View {
    pub(crate) fn read(seen: Value, told: Vec<String>) -> Option<Self> {
        match seen {
            Value::Object(state) if state.get("elements").is_some_and(Value::is_array) => {
                Some(Self { state, told })
            }
            _ => None,
        }
    }

    /// The address.
    pub fn url(&self) -> &str {
        self.state.get("url").and_then(Value::as_str).unwrap_or_default()
    }
}

/// The lines that a controller reads: one for each element that is seen, cut with a note where there are too many.
pub fn words(state: &Map<String, Value>) -> String {
    let mut lines = String::new();
    let text = |name: &str| state.get(name).and_then(Value::as_str).unwrap_or_default();
    if !text("title").is_empty() {
        // Writing to a string cannot fail.
        let _ = writeln!(lines, "page: {}", cut(text("title")));
    }
    let elements = state.get("elements").and_then(Value::as_array).map_or(&[][..], Vec::as_slice);
    let shown: Vec<&Map<String, Value>> = elements.iter().filter_map(Value::as_object).collect();
    let (seen, hidden): (Vec<_>, Vec<_>) =
        shown.into_iter().partition(|element| element.get("hidden") != Some(&Value::Bool(true)));
    let mut left = 0;
    for element in seen {
        if lines.len() > WORDS {
            left += 1;
            continue;
        }
        line(&mut lines, element);
    }
    let more = state.get("more").and_then(Value::as_u64).unwrap_or(0) + left;
    if more > 0 {
        let _ = writeln!(lines, "… and {more} more elements; read() tells all of the text");
    }
    if !hidden.is_empty() {
        let _ = writeln!(lines, "… {} more out of view: scroll() shows them", hidden.len());
    }
    lines
}

fn line(lines: &mut String, element: &Map<String, Value>) {
    let text = |name: &str| element.get(name).and_then(Value::as_str).unwrap_or_default();
    let number = |name: &str| element.get(name).and_then(Value::as_i64);
    let _ = write!(lines, "{} {}", text("id"), text("role"));
    if !text("name").is_empty() {
        let _ = write!(lines, " {}", Value::from(cut(text("name"))));
    }
    if !text("color").is_empty() {
        let _ = write!(lines, " {}", text("color"));
    }
    let shape = matches!(
        text("role"),
        "circle" | "rect" | "polygon" | "ellipse" | "path" | "line" | "text" | "canvas"
    );
    if let (true, Some(x), Some(y), Some(w), Some(h)) =
        (shape && text("role") != "text", number("x"), number("y"), number("w"), number("h"))
    {
        let _ = write!(lines, " at {x},{y} size {w}x{h}");
    }
    if let Some(value) = element.get("value").and_then(Value::as_str).filter(|value| !value.is_empty()) {
        let _ = write!(lines, " value={}", Value::from(cut(value)));
    }
    if let Some(options) =
        element.get("options").and_then(Value::as_array).filter(|options| !options.is_empty())
    {
        let named: Vec<&str> = options.iter().take(OPTIONS).filter_map(Value::as_str).collect();
        let rest = if options.len() > OPTIONS { ", …" } else { "" };
        let _ = write!(lines, " options=[{}{rest}]", named.join(", "));
    }
    let place = |name: &str| number(name).filter(|place| *place >= 0);
    if let (Some(row), Some(col)) = (place("row"), place("col")) {
        let _ = write!(lines, " row={row} col={col}");
    } else if let Some(item) = place("item") {
        let _ = write!(lines, " item={item}");
    }
    for flag in ["checked", "selected", "expanded", "collapsed", "pressed", "disabled", "readonly", "focused"]
    {
        if element.get(flag) == Some(&Value::Bool(true)) {
            let _ = write!(lines, " {flag}");
        }
    }
    lines.push('\n');
}

fn cut(text: &str) -> String {
    if text.chars().count() <= NAME {
        return text.to_owned();
    }
    text.chars().take(NAME).chain(['…']).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn a_long_page_is_cut_and_says_so() {
        let elements: Vec<Value> = (0..400)
            .map(|n| json!({"id": format!("e{n}"), "role": "link", "name": "x".repeat(90)}))
            .collect();
        let state = json!({"title": "Long", "elements": elements, "more": 3});
        let words = words(state.as_object().unwrap());
        assert!(words.len() < WORDS + 300, "{}", words.len());
        assert!(words.contains("more elements; read() tells all of the text"));
    }

    #[test]
    fn what_is_out_of_view_is_only_counted() {
        let state = json!({"title": "", "more": 0, "elements": [
            {"id": "e1", "role": "button", "name": "Go on"},
            {"id": "e2", "role": "button", "name": "Hidden below", "hidden": true},
            {"id": "e3", "role": "checkbox", "name": "I agree", "checked": true, "item": 2},
        ]});
        assert_eq!(
            words(state.as_object().unwrap()),
            "e1 button \"Go on\"\ne3 checkbox \"I agree\" item=2 checked\n… 1 more out of view: scroll() shows them\n"
        );
    }
}
