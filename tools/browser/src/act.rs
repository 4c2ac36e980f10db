//! Actions on a page: the tools that request them, and their names in the log.

use serde::{Serialize, Serializer};
use serde_json::{Map, Value, json};
use sojourn_primitives::JsonPointer;
use sojourn_tools::{
    ActionTemplate, ArgumentSource, Effects, ExplorationSpec, Parameter, ParameterKind, ToolCall, ToolSpec,
    with_defaults,
};

/// Limit on the duration of one `wait`, in milliseconds.
const MAX_WAIT_MS: i64 = 5000;
/// Limit on the distance of one `scroll`, in pixels.
const MAX_SCROLL_PX: i64 = 5000;

/// One action on a page.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum PageAction {
    /// Navigates to a URL.
    Open {
        /// An `http` or `https` URL, or a `file` URL if files are granted.
        url: String,
    },
    /// Presses and releases the left mouse button.
    Click {
        /// Element or point to click.
        target: Target,
    },
    /// Moves the pointer.
    Hover {
        /// Element or point to move to.
        target: Target,
    },
    /// Presses the left mouse button at one target and releases it at another.
    Drag {
        /// Where the drag starts.
        from: Target,
        /// Where the drag ends.
        to: Target,
    },
    /// Replaces the content of a text field.
    Type {
        /// The field.
        target: String,
        /// The new content.
        text: String,
    },
    /// Presses a key or a combination: `Enter`, `Control+A`.
    Press {
        /// The key's name.
        key: String,
    },
    /// Selects an option of a list.
    Select {
        /// The list.
        target: String,
        /// Label of the option.
        option: String,
    },
    /// Selects text, as by dragging the pointer over it.
    Mark {
        /// The element that contains the text.
        target: String,
        /// The text; empty for all text of the element.
        text: String,
    },
    /// Scrolls the page or a scrollable ancestor of an element.
    Scroll {
        /// The element; empty for the page.
        target: String,
        /// Distance in pixels; negative is up.
        down: i64,
    },
    /// Reads all text of the page.
    Read,
    /// Goes back in the tab's history.
    Back,
    /// Waits.
    Wait {
        /// Duration in milliseconds.
        ms: u32,
    },
    /// Decides how the next dialog of the page is answered.
    Answer {
        /// Whether to accept it.
        accept: bool,
        /// Input for a prompt dialog.
        text: String,
    },
}

/// An element of the page, or a point on it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Target {
    /// Id or name of an element.
    Named(String),
    /// Offset from the left and top of the viewport, in pixels.
    Point(i64, i64),
}

impl Serialize for Target {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        match self {
            Self::Named(name) => serializer.serialize_str(name),
            Self::Point(x, y) => json!({"x": x, "y": y}).serialize(serializer),
        }
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

impl PageAction {
    /// Parses a call. Returns `None` for a tool that is not an action.
    ///
    /// # Errors
    /// The defect of the arguments.
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

/// Roles of the elements that pages are mostly operated with.
const ACTIVE: [&str; 12] = [
    "button",
    "link",
    "clickable",
    "checkbox",
    "radio",
    "tab",
    "menuitem",
    "option",
    "switch",
    "image",
    "listitem",
    "slider",
];

/// Random actions that an explorer may take, on pages whose owner permits exploration.
pub fn exploration() -> ExplorationSpec {
    let kinds = |kinds: &[&str]| ArgumentSource::Element(kinds.iter().map(|&kind| kind.to_owned()).collect());
    let action = |weight: u32, tool: &str, args: Vec<ArgumentSource>| ActionTemplate {
        tool: tool.to_owned(),
        args,
        weight,
    };
    let texts = || kinds(&["textbox", "date", "time", "spinbutton", "number", "searchbox"]);
    let keys = ["Enter", "Tab", "ArrowDown", "ArrowUp", "ArrowRight", "ArrowLeft"];
    ExplorationSpec {
        elements: JsonPointer::of(["elements"]),
        kind: "role".to_owned(),
        label: "name".to_owned(),
        groups: vec!["row".to_owned(), "item".to_owned()],
        actions: vec![
            action(8, "click", vec![kinds(&ACTIVE)]),
            action(6, "click", vec![kinds(&[])]),
            action(16, "type", vec![texts(), ArgumentSource::GoalText]),
            action(4, "type", vec![texts(), ArgumentSource::ElementText("name".to_owned())]),
            action(2, "type", vec![texts(), ArgumentSource::ElementText("value".to_owned())]),
            action(
                6,
                "select",
                vec![kinds(&["combobox", "listbox"]), ArgumentSource::OptionOf("options".to_owned())],
            ),
            action(1, "press", vec![ArgumentSource::OneOf(keys.map(Value::from).to_vec())]),
            action(1, "hover", vec![kinds(&[])]),
            action(2, "drag", vec![kinds(&[]), kinds(&[])]),
            action(2, "mark", vec![kinds(&[])]),
            action(
                1,
                "scroll",
                vec![ArgumentSource::OneOf(vec![MAX_SCROLL_PX.into(), (-MAX_SCROLL_PX).into()]), kinds(&[])],
            ),
        ],
    }
}

/// The tools of a page, as the controller and the skills see them.
pub fn tools() -> Vec<ToolSpec> {
    let text = |name: &str, default: Option<&str>| Parameter {
        name: name.to_owned(),
        kind: ParameterKind::Text,
        default: default.map(Value::from),
    };
    let whole = |name: &str, (min, max): (i64, i64), default: i64| Parameter {
        name: name.to_owned(),
        kind: ParameterKind::Integer { min, max },
        default: Some(default.into()),
    };
    let look = Effects::default();
    let acts = Effects { write: true, network: true, ..Effects::default() };
    let tool = |name: &str, about: &str, parameters: Vec<Parameter>, effects: Effects| ToolSpec {
        parameters,
        effects,
        ..ToolSpec::new(name, about)
    };
    vec![
        tool(
            "observe",
            "the page as it is now: observe().goal is what to do, in words; observe().elements is an array of what is \
             seen, each with id, role, name (its words), value, options, color (\"\" or [] where it has none), row, col, item \
             (-1 where it has none), checked, selected, expanded, collapsed, disabled, x, y, w, h. Elements are plain data, not \
             nodes of a document: they have no innerText, no children and no methods, and there is no document; act on one by \
             click(e.id). After an action, observe() again",
            Vec::new(),
            look,
        ),
        tool("click", "clicks an element, given by its id or its words", vec![text("target", None)], acts),
        tool(
            "type",
            "puts text into a field, in place of what stands there",
            vec![text("target", None), text("text", None)],
            acts,
        ),
        tool(
            "select",
            "chooses an option of a combobox or listbox; of a listbox one more",
            vec![text("target", None), text("option", None)],
            acts,
        ),
        tool(
            "press",
            "presses a key: \"Enter\", \"Tab\", \"ArrowDown\", \"Control+A\"",
            vec![text("key", None)],
            acts,
        ),
        tool(
            "scroll",
            "scrolls by so many pixels, up if negative: the page, or what is around an element",
            vec![whole("down", (-MAX_SCROLL_PX, MAX_SCROLL_PX), 300), text("target", Some(""))],
            acts,
        ),
        tool("hover", "moves the pointer over an element", vec![text("target", None)], acts),
        tool(
            "drag",
            "drags one element onto another, or to a point given as \"x,y\"",
            vec![text("from", None), text("to", None)],
            acts,
        ),
        tool(
            "mark",
            "selects words within an element, or all of its text",
            vec![text("target", None), text("text", Some(""))],
            acts,
        ),
        tool("read", "the whole text of the page, also what is not seen", Vec::new(), look),
        tool("back", "goes back to the page before", Vec::new(), acts),
        tool("wait", "lets so many milliseconds pass", vec![whole("ms", (0, MAX_WAIT_MS), 500)], look),
        tool(
            "answer_dialog",
            "says how the next question that the page asks in a dialog is answered",
            vec![
                Parameter {
                    name: "accept".to_owned(),
                    kind: ParameterKind::Boolean,
                    default: Some(true.into()),
                },
                text("text", Some("")),
            ],
            look,
        ),
        tool("open", "goes to an address", vec![text("url", None)], acts),
    ]
}

#[cfg(test)]
mod tests {
    use super::*;

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
        assert!(wrong("wait", json!({"ms": "long"})).contains("a number"));
        assert!(wrong("open", json!({"url": "file:///etc/passwd"})).contains("not granted"));
        assert!(wrong("open", json!({"url": "javascript:alert(1)"})).contains("http"));
        assert!(wrong("open", json!({"url": "chrome://settings"})).contains("http"));
        assert!(PageAction::read(&call("open", json!({"url": "file:///tmp/x.html"})), true).is_ok());
    }
}
