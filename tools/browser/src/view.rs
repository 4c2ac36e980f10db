//! The observation of a page: state for programs, and text for the controller.

use serde_json::{Map, Value, json};
use std::fmt::Write as _;

/// Limit on the text, in characters; about 1500 tokens.
const MAX_CHARS: usize = 4800;
/// Limit on a name in the text, in characters.
const MAX_NAME_CHARS: usize = 140;
/// Limit on the options of a list in the text.
const MAX_OPTIONS: usize = 12;

/// One observation of a page.
#[derive(Debug, Clone, PartialEq)]
pub struct View {
    /// `url`, `title`, `focus` (an element's id, or empty), `elements`, `more` (number of elements left out)
    /// and `scroll`; where it happened also `unvisited` (true: further elements were not even counted) and `unreadable`
    /// (number of elements that could not be read).
    pub state: Map<String, Value>,
    /// Page events since the last observation.
    pub events: Vec<String>,
}

impl View {
    /// Reads what the script observed. A page that cannot be read has no elements, and an event that says so.
    pub(crate) fn parse(observed: Value, mut events: Vec<String>) -> Self {
        let reason =
            observed.get("error").and_then(Value::as_str).unwrap_or("its script gave no list of elements");
        match observed {
            Value::Object(state) if state.get("elements").is_some_and(Value::is_array) => {
                Self { state, events }
            }
            _ => {
                events.push(format!("the page cannot be read: {reason}"));
                let scroll = json!({"y": 0, "most": 0});
                let empty =
                    json!({"url": "", "title": "", "focus": "", "elements": [], "more": 0, "scroll": scroll});
                Self { state: empty.as_object().cloned().unwrap_or_default(), events }
            }
        }
    }

    /// URL of the page.
    pub fn url(&self) -> &str {
        self.state.get("url").and_then(Value::as_str).unwrap_or_default()
    }
}

/// The text for the controller: one line per visible element, cut with a note if there are too many.
pub fn render(state: &Map<String, Value>) -> String {
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
        if lines.len() > MAX_CHARS {
            left += 1;
            continue;
        }
        line(&mut lines, element);
    }
    let more = state.get("more").and_then(Value::as_u64).unwrap_or(0) + left;
    if more > 0 {
        let _ = writeln!(lines, "… and {more} more elements; read() tells all of the text");
    }
    if state.get("unvisited") == Some(&Value::Bool(true)) {
        let _ = writeln!(lines, "… and the page goes on: the elements after these were not counted");
    }
    if let Some(unreadable) = state.get("unreadable").and_then(Value::as_u64) {
        let _ = writeln!(lines, "… elements that cannot be read: {unreadable}");
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
    if text("role") == "frame" && !text("value").is_empty() {
        lines.push_str(" (another site: its content cannot be read)");
    }
    options(lines, element);
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

/// The first options of a list, and how many more it has.
fn options(lines: &mut String, element: &Map<String, Value>) {
    let count = |name: &str| element.get(name).and_then(Value::as_u64).unwrap_or(0);
    let options = element.get("options").and_then(Value::as_array).map_or(&[][..], Vec::as_slice);
    let (more, disabled) = (count("more_options"), count("disabled_options"));
    if options.is_empty() && disabled == 0 {
        return;
    }
    let mut parts: Vec<String> =
        options.iter().take(MAX_OPTIONS).filter_map(Value::as_str).map(cut).collect();
    let left = more + (options.len().saturating_sub(MAX_OPTIONS)) as u64;
    if left > 0 {
        parts.push(format!("… {left} more, which select() takes too"));
    }
    if disabled > 0 {
        parts.push(format!("{disabled} disabled"));
    }
    // Writing to a string cannot fail.
    let _ = write!(lines, " options=[{}]", parts.join(", "));
}

fn cut(text: &str) -> String {
    if text.chars().count() <= MAX_NAME_CHARS {
        return text.to_owned();
    }
    text.chars().take(MAX_NAME_CHARS).chain(['…']).collect()
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
        let text = render(state.as_object().unwrap());
        assert!(text.len() < MAX_CHARS + 300, "{}", text.len());
        assert!(text.contains("more elements; read() tells all of the text"));
    }

    #[test]
    fn elements_outside_the_viewport_are_only_counted() {
        let state = json!({"title": "", "more": 0, "elements": [
            {"id": "e1", "role": "button", "name": "Go on"},
            {"id": "e2", "role": "button", "name": "Hidden below", "hidden": true},
            {"id": "e3", "role": "checkbox", "name": "I agree", "checked": true, "item": 2},
        ]});
        assert_eq!(
            render(state.as_object().unwrap()),
            "e1 button \"Go on\"\ne3 checkbox \"I agree\" item=2 checked\n… 1 more out of view: scroll() shows them\n"
        );
    }

    #[test]
    fn what_is_left_out_of_a_page_and_of_a_list_is_said() {
        let options: Vec<String> = (0..60).map(|n| format!("o{n}")).collect();
        let state = json!({"title": "", "more": 2, "unvisited": true, "unreadable": 1, "elements": [
            {"id": "e1", "role": "combobox", "name": "Land", "options": options, "more_options": 188, "disabled_options": 2},
            {"id": "e2", "role": "frame", "name": "bank", "value": "https://bank.example"},
        ]});
        assert_eq!(
            render(state.as_object().unwrap()),
            "e1 combobox \"Land\" options=[o0, o1, o2, o3, o4, o5, o6, o7, o8, o9, o10, o11, … 236 more, which select() takes too, \
             2 disabled]\n\
             e2 frame \"bank\" value=\"https://bank.example\" (another site: its content cannot be read)\n\
             … and 2 more elements; read() tells all of the text\n\
             … and the page goes on: the elements after these were not counted\n\
             … elements that cannot be read: 1\n"
        );
    }

    #[test]
    fn a_page_that_cannot_be_read_has_no_elements_and_says_why() {
        for (observed, why) in [
            (json!({"error": "TypeError: x"}), "the page cannot be read: TypeError: x"),
            (Value::Null, "the page cannot be read: its script gave no list of elements"),
        ] {
            let view = View::parse(observed, vec!["before".to_owned()]);
            assert_eq!(view.events, ["before", why]);
            assert_eq!((render(&view.state), view.state["elements"].clone()), (String::new(), json!([])));
        }
    }
}
