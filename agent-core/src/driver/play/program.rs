//! Programs that play makes: what they do here, step by step, and how they are written in JavaScript.

use super::pick::Pick;
use super::scene::{Scene, group as group_of, number, text};
use super::text::{Text, quote};
use serde_json::{Map, Value};
use sojourn_tools::{EnvironmentSpec, Play, ToolCall};
use std::collections::VecDeque;
use std::fmt::Write as _;

/// The same is tried again at most so often.
const TURNS: usize = 8;

/// A part of a program.
#[derive(Debug, Clone, PartialEq)]
pub(super) enum Step {
    /// A call.
    Call { tool: String, args: Vec<Arg> },
    /// The same call for several things.
    Each { tool: String, which: Which, order: Order },
    /// The same call for all texts in a field of a thing that the question has.
    EachOption { tool: String, thing: Pick, field: String },
    /// The same call for one thing after the other, until something is there.
    Seek { tool: String, among: Among, until: Pick },
}

/// An argument.
#[derive(Debug, Clone, PartialEq)]
pub(super) enum Arg {
    /// A thing's id.
    Thing(Pick),
    /// A text.
    Text(Text),
    /// The first of the texts in this field of the thing before that the question has.
    Option(String),
    /// Always the same.
    Fixed(Value),
}

/// Several things of one kind.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Which {
    pub kind: String,
    pub that: That,
}

/// What they have in common besides.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum That {
    /// Nothing.
    All,
    /// The question has what is in this field.
    Said(String),
    /// These words.
    Like(String),
    /// These words, if they have any, and something in the same group whose words the question has.
    Beside { group: String, label: String },
}

/// What comes first.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Order {
    AsSeen,
    /// The least number.
    Ascending,
    /// The greatest number.
    Descending,
}

/// Where something is looked for.
#[derive(Debug, Clone, PartialEq)]
pub(super) enum Among {
    /// All things of this kind, as they are at first.
    Kind(String),
    /// This thing, again and again.
    Again(Pick),
}

impl Which {
    /// The things, as they are seen.
    pub(super) fn select<'a>(&self, scene: &Scene<'a>) -> Vec<&'a Value> {
        let fits = |thing: &&'a Value| {
            scene.kind(thing) == self.kind
                && match &self.that {
                    That::All => true,
                    That::Said(field) => scene.says(text(thing, field)),
                    That::Like(label) => scene.label(thing) == label,
                    That::Beside { group, label } => {
                        (label.is_empty() || scene.label(thing) == label)
                            && group_of(thing, group).is_some_and(|number| {
                                let near = |other: &Value| group_of(other, group) == Some(number);
                                scene.things.iter().any(|other| near(other) && scene.says(scene.label(other)))
                            })
                    }
                }
        };
        scene.things.iter().filter(fits).collect()
    }

    fn condition(&self, play: &Play, things: &str) -> String {
        let (kind, label) = (format!("e.{} === {}", play.kind, quote(&self.kind)), &play.label);
        match &self.that {
            That::All => kind,
            That::Said(field) => format!("{kind} && said(e.{field})"),
            That::Like(words) => format!("{kind} && e.{label} === {}", quote(words)),
            That::Beside { group, label: words } => {
                let words = if words.is_empty() {
                    String::new()
                } else {
                    format!(" && e.{label} === {}", quote(words))
                };
                let near = format!("{things}.some(o => o.{group} === e.{group} && said(o.{label}))");
                format!("{kind}{words} && e.{group} >= 0 && {near}")
            }
        }
    }
}

impl Order {
    pub(super) fn sort(self, scene: &Scene<'_>, things: &mut [&Value]) {
        let value = |thing: &Value| number(text(thing, &scene.play.label));
        // What is no number comes last.
        let or = |thing: &Value, last: f64| value(thing).unwrap_or(last);
        match self {
            Self::AsSeen => {}
            Self::Ascending => things.sort_by(|a, b| or(a, f64::INFINITY).total_cmp(&or(b, f64::INFINITY))),
            Self::Descending => {
                things.sort_by(|a, b| or(b, f64::NEG_INFINITY).total_cmp(&or(a, f64::NEG_INFINITY)));
            }
        }
    }

    fn expression(self, label: &str) -> String {
        let or = |thing: &str, last: &str| format!("(isNumber({thing}.{label}) ? +{thing}.{label} : {last})");
        match self {
            Self::AsSeen => String::new(),
            Self::Ascending => format!(".sort((a, b) => {} - {})", or("a", "Infinity"), or("b", "Infinity")),
            Self::Descending => {
                format!(".sort((a, b) => {} - {})", or("b", "-Infinity"), or("a", "-Infinity"))
            }
        }
    }
}

/// A program under way.
pub(super) struct Run<'a> {
    spec: &'a EnvironmentSpec,
    rest: &'a [Step],
    /// Calls that are left of a step with several; none before it began.
    several: Option<VecDeque<Vec<Value>>>,
    turns: usize,
}

impl<'a> Run<'a> {
    pub(super) fn new(spec: &'a EnvironmentSpec, program: &'a [Step]) -> Self {
        Self { spec, rest: program, several: None, turns: 0 }
    }

    /// What is called next; nothing at the end, or where it cannot go on.
    pub(super) fn next(&mut self, scene: &Scene<'_>) -> Option<ToolCall> {
        loop {
            let (step, rest) = self.rest.split_first()?;
            let (tool, given) = match step {
                Step::Call { tool, args } => {
                    self.rest = rest;
                    (tool, Some(given(args, scene)?))
                }
                Step::Each { tool, which, order } => {
                    let several = self.several.get_or_insert_with(|| {
                        let mut things = which.select(scene);
                        order.sort(scene, &mut things);
                        things.into_iter().map(|thing| vec![thing["id"].clone()]).collect()
                    });
                    (tool, several.pop_front())
                }
                Step::EachOption { tool, thing, field } => {
                    if self.several.is_none() {
                        let thing = thing.find(scene)?;
                        let texts = thing.get(field).and_then(Value::as_array)?;
                        let said =
                            texts.iter().filter(|text| text.as_str().is_some_and(|text| scene.says(text)));
                        self.several =
                            Some(said.map(|text| vec![thing["id"].clone(), text.clone()]).collect());
                    }
                    (tool, self.several.as_mut().and_then(VecDeque::pop_front))
                }
                Step::Seek { tool, until, .. } if until.find(scene).is_some() => (tool, None),
                Step::Seek { tool, among: Among::Kind(kind), .. } => {
                    let several = self.several.get_or_insert_with(|| {
                        let of_kind = scene.things.iter().filter(|thing| scene.kind(thing) == kind);
                        of_kind.map(|thing| vec![thing["id"].clone()]).collect()
                    });
                    (tool, several.pop_front())
                }
                Step::Seek { tool, among: Among::Again(pick), .. } => {
                    self.turns += 1;
                    let again = pick.find(scene).filter(|_| self.turns <= TURNS);
                    (tool, again.map(|thing| vec![thing["id"].clone()]))
                }
            };
            if let Some(given) = given {
                let tool = self.spec.tools.iter().find(|one| one.name == *tool)?;
                let names = tool.parameters.iter().map(|parameter| parameter.name.clone());
                let args: Map<String, Value> = names.zip(given).collect();
                return Some(ToolCall { name: tool.name.clone(), args });
            }
            self.rest = rest;
            (self.several, self.turns) = (None, 0);
        }
    }
}

/// What the arguments are here.
fn given(args: &[Arg], scene: &Scene<'_>) -> Option<Vec<Value>> {
    let mut given: Vec<Value> = Vec::new();
    let mut thing = &Value::Null;
    for arg in args {
        given.push(match arg {
            Arg::Thing(pick) => {
                thing = pick.find(scene)?;
                thing["id"].clone()
            }
            Arg::Text(text) => Value::from(text.find(scene)?),
            Arg::Option(field) => option(scene, thing, field)?.into(),
            Arg::Fixed(value) => value.clone(),
        });
    }
    Some(given)
}

/// The first text in a field of a thing that the question has.
pub(super) fn option<'a>(scene: &Scene<'_>, thing: &'a Value, field: &str) -> Option<&'a str> {
    let mut texts = thing.get(field)?.as_array()?.iter().filter_map(Value::as_str);
    texts.find(|text| scene.says(text))
}

/// What programs call by a short name, where they do.
const HELPERS: [(&str, &str); 6] = [
    (
        "said",
        "const said = text => text !== \"\" && goal.toLowerCase().includes(text.replace(/:$/, \"\").toLowerCase());",
    ),
    (
        "between(",
        "const between = (before, after) => {\n    const start = goal.indexOf(before), rest = goal.slice(start + before.length);\n    \
         return start < 0 ? undefined : after === \"\" ? rest : rest.split(after)[0];\n  };",
    ),
    ("words(", "const words = text => (text || \"\").match(/[\\p{Alphabetic}\\p{N}]+/gu) || [];"),
    ("places[", "const places = (goal.match(/\\d+(?=st|nd|rd|th)/g) || []).map(Number);"),
    ("isNumber(", "const isNumber = text => /^\\s*-?[0-9]+(\\.[0-9]+)?\\s*$/.test(text);"),
    (
        "calculated(",
        "const calculated = text => {\n    const [, a, sign, b] = (text || \"\").match(/^\\s*(\\d+)\\s*([-+x*×])\\s*(\\d+)/) || [];\n    \
         return sign && String(sign === \"+\" ? +a + +b : sign === \"-\" ? a - b : a * b);\n  };",
    ),
];

/// A program as JavaScript; `head` is the line that it begins with.
pub(super) fn write(spec: &EnvironmentSpec, head: &str, steps: &[Step]) -> String {
    let (Some(play), Some(question)) = (&spec.play, &spec.question) else { return String::new() };
    let view = |pointer: &str| format!("observe(){}", pointer.replace('/', "."));
    let things = view(&play.things);
    let mut body = String::new();
    // Writing to a string cannot fail.
    for (at, step) in steps.iter().enumerate() {
        let last = if at + 1 == steps.len() { "return " } else { "" };
        let _ = match step {
            Step::Call { tool, args } => {
                let mut given = Vec::new();
                let mut thing = String::new();
                for (number, arg) in args.iter().enumerate() {
                    let mark = format!("{}{}", at + 1, if number == 0 { "" } else { "b" });
                    let mut checked = |what: &str, found: String, missing: &str| {
                        let name = format!("{what}{mark}");
                        let _ =
                            writeln!(body, "  const {name} = {found};\n  if ({missing}{name}) return false;");
                        name
                    };
                    given.push(match arg {
                        Arg::Thing(pick) => {
                            thing = checked("thing", pick.expression(play, &things), "!");
                            format!("{thing}.id")
                        }
                        Arg::Text(Text::Fixed(words)) => quote(words),
                        Arg::Text(words) => {
                            checked("text", words.expression(play, &things), "undefined === ")
                        }
                        Arg::Option(field) => {
                            checked("text", format!("{thing}.{field}.find(said)"), "undefined === ")
                        }
                        Arg::Fixed(value) => value.to_string(),
                    });
                }
                writeln!(body, "  {last}{tool}({});", given.join(", "))
            }
            Step::Each { tool, which, order } => writeln!(
                body,
                "  for (const id of {things}.filter(e => {}){}.map(e => e.id)) {tool}(id);",
                which.condition(play, &things),
                order.expression(&play.label)
            ),
            Step::EachOption { tool, thing, field } => {
                let name = format!("thing{}", at + 1);
                let found = thing.expression(play, &things);
                let _ = writeln!(body, "  const {name} = {found};\n  if (!{name}) return false;");
                let _ = writeln!(body, "  const id{} = {name}.id;", at + 1);
                writeln!(
                    body,
                    "  for (const text of {name}.{field}.filter(said)) {tool}(id{}, text);",
                    at + 1
                )
            }
            Step::Seek { tool, among, until } => {
                let until = until.expression(play, &things);
                match among {
                    Among::Kind(kind) => writeln!(
                        body,
                        "  for (const id of {things}.filter(e => e.{} === {}).map(e => e.id)) {{\n    if ({until}) break;\n    {tool}(id);\n  }}",
                        play.kind,
                        quote(kind)
                    ),
                    Among::Again(pick) => writeln!(
                        body,
                        "  for (let turn = 0; turn < {TURNS} && !({until}); turn++) {{\n    const next = {};\n    if (!next) break;\n    {tool}(next.id);\n  }}",
                        pick.expression(play, &things)
                    ),
                }
            }
        };
    }
    if !matches!(steps.last(), Some(Step::Call { .. })) {
        body.push_str("  return true;\n");
    }
    let mut text = format!("{head}  const goal = {};\n", view(&question.path));
    for (_, helper) in HELPERS.iter().filter(|(name, _)| body.contains(name)) {
        let _ = writeln!(text, "  {helper}");
    }
    text + &body + "}"
}
