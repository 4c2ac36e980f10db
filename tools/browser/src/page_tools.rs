//! The tools of a page, and what an explorer may do with them.

use serde_json::Value;
use sojourn_primitives::JsonPointer;
use sojourn_tools::{
    ActionTemplate, ArgumentSource, Effects, ExplorationSpec, Parameter, ParameterKind, ToolSpec,
};

/// Limit on the duration of one `wait`, in milliseconds.
pub(crate) const MAX_WAIT_MS: i64 = 5000;
/// Limit on the distance of one `scroll`, in pixels.
pub(crate) const MAX_SCROLL_PX: i64 = 5000;

/// Largest coordinate of a point, in pixels.
const MAX_POINT_PX: i64 = 16_384;

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

/// The tool that clicks a point. It is offered where pictures of pages are used: elsewhere no point is known.
pub(crate) const CLICK_AT: &str = "click_at";

/// The tools of a page, as the controller and the skills see them; [`CLICK_AT`] is the last.
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
    let point = |name: &str| Parameter {
        name: name.to_owned(),
        kind: ParameterKind::Integer { min: 0, max: MAX_POINT_PX },
        default: None,
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
        tool(
            CLICK_AT,
            "clicks a point of the picture of the page, so many pixels from its left and from its top, as see_find gives \
             them in `middle`",
            vec![point("x"), point("y")],
            acts,
        ),
    ]
}
