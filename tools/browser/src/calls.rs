//! Reads actions from calls, and names them for the log.

use crate::act::{PageAction, Target};
use crate::page_tools::{MAX_SCROLL_PX, MAX_WAIT_MS, tools};
use serde_json::{Map, Value};
use sojourn_tools::{ToolCall, with_defaults};

impl PageAction {
    /// Parses a call. Returns `None` for a tool that is not an action.
    ///
    /// # Errors
    /// The tool is unknown, or an argument is unknown or unsuitable; the text says which.
    pub fn read(call: &ToolCall, files: bool) -> Result<Option<Self>, String> {
        let tools = tools();
        let Some(tool) = tools.iter().find(|tool| tool.name == call.name) else {
            return Err(format!("there is no `{}` here", call.name));
        };
        let args = with_defaults(&tool.parameters, call.args.clone());
        if let Some(unknown) = args.keys().find(|name| tool.parameters.iter().all(|p| p.name != **name)) {
            return Err(format!("`{}` takes no `{unknown}`", call.name));
        }
        let args = Arguments { call: &call.name, args: &args };
        Ok(Some(match call.name.as_str() {
            "click" => Self::Click { target: args.target("target")? },
            "click_at" => Self::Click { target: Target::Point(args.number("x")?, args.number("y")?) },
            "hover" => Self::Hover { target: args.target("target")? },
            "drag" => Self::Drag { from: args.target("from")?, to: args.target("to")? },
            "type" => Self::Type { target: args.element("target")?, text: args.text("text")? },
            "press" => Self::Press { key: args.text("key")? },
            "select" => Self::Select { target: args.element("target")?, option: args.text("option")? },
            "mark" => Self::Mark { target: args.element("target")?, text: args.text("text")? },
            "scroll" => Self::Scroll {
                target: args.element("target")?,
                down: args.number("down")?.clamp(-MAX_SCROLL_PX, MAX_SCROLL_PX),
            },
            "read" => Self::Read,
            "back" => Self::Back,
            "wait" => {
                Self::Wait { ms: u32::try_from(args.number("ms")?.clamp(0, MAX_WAIT_MS)).unwrap_or_default() }
            }
            "answer_dialog" => Self::Answer { accept: args.flag("accept")?, text: args.text("text")? },
            "open" => Self::Open { url: address(&args.text("url")?, files)? },
            _ => return Ok(None),
        }))
    }

    /// The action name of a call: `click("e3")`. Inverse of [`call`](Self::call).
    pub fn name(call: &ToolCall) -> String {
        let tools = tools();
        let order = tools.iter().find(|tool| tool.name == call.name).map_or(&[][..], |tool| &tool.parameters);
        let mut given: Vec<String> = Vec::new();
        let args = with_defaults(order, call.args.clone());
        for parameter in order {
            given.push(args.get(&parameter.name).unwrap_or(&Value::Null).to_string());
        }
        format!("{}({})", call.name, given.join(", "))
    }

    /// The call that an action name stands for.
    pub fn call(action: &str) -> Option<ToolCall> {
        let (name, rest) = action.split_once('(')?;
        let given: Vec<Value> = serde_json::from_str(&format!("[{}]", rest.strip_suffix(')')?)).ok()?;
        let tool = tools().into_iter().find(|tool| tool.name == name)?;
        if given.len() > tool.parameters.len() {
            return None;
        }
        let args: Map<String, Value> = tool.parameters.into_iter().map(|p| p.name).zip(given).collect();
        Some(ToolCall { name: name.to_owned(), args })
    }
}

impl Target {
    fn read(text: String) -> Self {
        let point = text.split_once(',').and_then(|(x, y)| Some((whole(x)?, whole(y)?)));
        point.map_or(Self::Named(text), |(x, y)| Self::Point(x, y))
    }
}

/// Rounds a coordinate to whole pixels.
fn whole(text: &str) -> Option<i64> {
    let number: f64 = text.trim().parse().ok()?;
    (number.abs() < 100_000.0).then_some(number.round() as i64)
}

/// Checks the scheme of a URL. Whether its host is allowed is decided by the network proxy.
fn address(url: &str, files: bool) -> Result<String, String> {
    let kind = url.split(':').next().unwrap_or_default().to_ascii_lowercase();
    match kind.as_str() {
        "http" | "https" => Ok(url.to_owned()),
        "file" if files => Ok(url.to_owned()),
        "file" => Err("files are not granted".to_owned()),
        _ if !url.contains("://") && url.contains('.') => Ok(format!("https://{url}")),
        _ => Err(format!("`{url}` is not an address of the http or https kind")),
    }
}

struct Arguments<'a> {
    call: &'a str,
    args: &'a Map<String, Value>,
}

impl Arguments<'_> {
    fn wrong(&self, name: &str, what: &str) -> String {
        format!("`{}` needs {what} as `{name}`", self.call)
    }

    fn text(&self, name: &str) -> Result<String, String> {
        match self.args.get(name) {
            Some(Value::String(text)) => Ok(text.clone()),
            Some(Value::Number(number)) => Ok(number.to_string()),
            _ => Err(self.wrong(name, "a text")),
        }
    }

    /// Reads an element argument: an id, a name, or an element object from the state.
    fn element(&self, name: &str) -> Result<String, String> {
        match self.args.get(name) {
            Some(Value::Object(element)) => match element.get("id") {
                Some(Value::String(id)) => Ok(id.clone()),
                _ => Err(self.wrong(name, "an element, its id or its words")),
            },
            Some(Value::String(_) | Value::Number(_)) => self.text(name),
            _ => Err(self.wrong(name, "an element's id or its words (it was empty: nothing was found?)")),
        }
    }

    fn target(&self, name: &str) -> Result<Target, String> {
        if let Some(Value::Object(point)) = self.args.get(name)
            && !point.contains_key("id")
            && let (Some(x), Some(y)) = (number(point.get("x")), number(point.get("y")))
        {
            return Ok(Target::Point(x, y));
        }
        Ok(Target::read(self.element(name)?))
    }

    fn number(&self, name: &str) -> Result<i64, String> {
        number(self.args.get(name)).ok_or_else(|| self.wrong(name, "a number"))
    }

    fn flag(&self, name: &str) -> Result<bool, String> {
        self.args.get(name).and_then(Value::as_bool).ok_or_else(|| self.wrong(name, "true or false"))
    }
}

fn number(value: Option<&Value>) -> Option<i64> {
    let number = value?.as_f64()?;
    number.is_finite().then_some(number.round() as i64)
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[allow(clippy::needless_pass_by_value, reason = "calls read as they are written")]
    fn call(name: &str, args: Value) -> ToolCall {
        ToolCall { name: name.to_owned(), args: args.as_object().cloned().unwrap_or_default() }
    }

    #[test]
    fn an_action_name_round_trips() {
        for (given, name) in [
            (call("click", json!({"target": "OK \"now\""})), r#"click("OK \"now\"")"#),
            (
                call("click", json!({"target": {"id": "e7", "role": "button"}})),
                r#"click({"id":"e7","role":"button"})"#,
            ),
            (call("drag", json!({"from": "e1", "to": "10,20"})), r#"drag("e1", "10,20")"#),
            (call("click_at", json!({"x": 10, "y": 20})), "click_at(10, 20)"),
            (call("scroll", json!({})), r#"scroll(300, "")"#),
            (call("back", json!({})), "back()"),
        ] {
            assert_eq!(PageAction::name(&given), name);
            let again = PageAction::call(name).unwrap();
            assert_eq!(PageAction::read(&again, false), PageAction::read(&given, false));
            assert!(matches!(PageAction::read(&again, false), Ok(Some(_))));
        }
        for nonsense in ["", "click", "click(", "fly()", "click(1, 2, 3)", "click(x)"] {
            assert_eq!(PageAction::call(nonsense), None, "{nonsense}");
        }
    }

    #[test]
    fn errors_explain_what_is_wrong_with_a_call() {
        let wrong = |name: &str, args: Value| PageAction::read(&call(name, args), false).unwrap_err();
        assert!(wrong("click", json!({})).contains("nothing was found?"));
        assert!(wrong("click", json!({"target": null})).contains("element's id"));
        assert!(wrong("click", json!({"where": "x", "target": "x"})).contains("takes no `where`"));
        assert!(wrong("click_at", json!({"x": 1})).contains("a number as `y`"));
        assert!(wrong("wait", json!({"ms": "long"})).contains("a number"));
        assert!(wrong("open", json!({"url": "file:///etc/passwd"})).contains("not granted"));
        assert!(wrong("open", json!({"url": "javascript:alert(1)"})).contains("http"));
        assert!(wrong("open", json!({"url": "chrome://settings"})).contains("http"));
        assert!(PageAction::read(&call("open", json!({"url": "file:///tmp/x.html"})), true).is_ok());
    }
}
