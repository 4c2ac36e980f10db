//! How one sees that a recorded task is done: by what the last page shows and no page before it did.

use serde_json::Value;
use sojourn_browser::RecordedAction;

/// The shortest text that says anything, and the longest that is compared, in characters.
const SHORTEST: usize = 3;
const LONGEST: usize = 60;
/// Expressions that are proposed, at most.
const MOST: usize = 12;

/// JavaScript expressions that may tell that the task is done, the most telling first. No text of them contains one of `values`, which
/// differ the next time, or a digit.
pub fn proposals(actions: &[RecordedAction], last: &Value, values: &[String]) -> Vec<String> {
    let before: String =
        actions.iter().flat_map(|action| names(&action.state)).map(|(_, name)| name + "\n").collect();
    let mut pieces: Vec<(u8, usize, String)> = Vec::new();
    for (role, name) in names(last) {
        let Some(piece) = constant_piece(&name, values).filter(|piece| !before.contains(piece.as_str()))
        else {
            continue;
        };
        let weight = match role.as_str() {
            "heading" | "alert" | "status" => 0,
            "text" | "label" | "cell" => 1,
            _ => 2,
        };
        // A piece of a text says less than a whole one, whose length does not matter.
        let cut = usize::from(piece != name);
        if !pieces.iter().any(|(_, _, known)| *known == piece) {
            pieces.push((weight, cut, piece));
        }
    }
    pieces.sort_by_key(|(weight, cut, _)| (*weight, *cut));
    let shows = |(_, _, piece): (u8, usize, String)| {
        format!("document.body.innerText.includes({})", Value::from(piece))
    };
    let mut all: Vec<String> = pieces.into_iter().take(MOST).map(shows).collect();
    let title = |state: &Value| state.get("title").and_then(Value::as_str).unwrap_or_default().to_owned();
    let is_new = |of: &dyn Fn(&Value) -> String| {
        let now = of(last);
        !now.is_empty()
            && constant_piece(&now, values) == Some(now.clone())
            && actions.iter().all(|one| of(&one.state) != now)
    };
    if is_new(&title) {
        all.push(format!("document.title === {}", Value::from(title(last))));
    }
    if is_new(&path) {
        all.push(format!("location.pathname === {}", Value::from(path(last))));
    }
    all
}

/// Roles and names of the elements of a page that are not fields.
fn names(state: &Value) -> Vec<(String, String)> {
    let elements = state.get("elements").and_then(Value::as_array).map_or(&[][..], Vec::as_slice);
    let text = |element: &Value, field: &str| {
        element.get(field).and_then(Value::as_str).unwrap_or_default().to_owned()
    };
    elements.iter().map(|element| (text(element, "role"), text(element, "name"))).collect()
}

/// The path of a page's address.
fn path(state: &Value) -> String {
    let url = state.get("url").and_then(Value::as_str).unwrap_or_default();
    let rest = url.split_once("://").map_or("", |(_, rest)| rest);
    let path = rest.find('/').map_or("", |at| &rest[at..]);
    path.split(['?', '#']).next().unwrap_or_default().to_owned()
}

/// The longest part of a text without values and digits; none where that is too short to say anything.
fn constant_piece(text: &str, values: &[String]) -> Option<String> {
    let mut marked = text.to_owned();
    for value in values.iter().filter(|value| !value.is_empty()) {
        marked = marked.replace(value.as_str(), "\n");
    }
    let pieces = marked.split(|c: char| c == '\n' || c.is_ascii_digit()).map(str::trim);
    let longest = pieces.max_by_key(|piece| piece.chars().count())?;
    let cut: String = longest.chars().take(LONGEST).collect();
    let letters = cut.chars().filter(|c| c.is_alphabetic()).count();
    (letters >= SHORTEST).then(|| cut.trim().to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;
    use sojourn_tools::ToolCall;

    fn page(url: &str, names: &[(&str, &str)]) -> Value {
        let elements: Vec<Value> =
            names.iter().map(|(role, name)| json!({"role": role, "name": name})).collect();
        json!({"url": url, "title": "Shop", "elements": elements})
    }

    fn action(state: Value) -> RecordedAction {
        let call = ToolCall { name: "click".to_owned(), args: serde_json::Map::new() };
        RecordedAction { call, state, secret: false, covered: false }
    }

    #[test]
    fn what_only_the_last_page_shows_tells_that_it_is_done() {
        let first = action(page(
            "http://a/login",
            &[("heading", "Log in"), ("link", "Fruit"), ("textbox", "User name")],
        ));
        let last = page(
            "http://a/done?x=1",
            &[("link", "Fruit"), ("text", "Welcome, ada"), ("heading", "Order 17 placed"), ("text", "12")],
        );
        let found = proposals(&[first], &last, &["ada".to_owned(), "lovelace".to_owned()]);
        assert_eq!(
            found,
            [
                "document.body.innerText.includes(\"placed\")",
                "document.body.innerText.includes(\"Welcome,\")",
                "location.pathname === \"/done\"",
            ]
        );
    }

    #[test]
    fn a_page_that_shows_nothing_new_tells_nothing() {
        let same = page("http://a/", &[("heading", "Shop"), ("text", "ada")]);
        let first = action(page("http://a/", &[("heading", "Shop")]));
        assert_eq!(proposals(&[first], &same, &["ada".to_owned()]), [""; 0]);
    }

    #[test]
    fn words_of_a_page_stay_words() {
        let first = action(page("http://a/", &[]));
        let last = page("http://a/", &[("text", "\"); steal(\"\u{2028}</script>")]);
        let found = proposals(&[first], &last, &[]);
        let inner =
            found[0].strip_prefix("document.body.innerText.includes(").unwrap().strip_suffix(')').unwrap();
        assert!(serde_json::from_str::<String>(inner).unwrap().contains("steal("), "{found:?}");
    }
}
