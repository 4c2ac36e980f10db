//! Programs that do again what was seen to work.
//!
//! Somebody reached the goal by a few calls, in a few worlds. What differs from world to world is put down to what was to
//! be done there: an argument becomes an expression that gives the argument in each of the worlds. Which expressions to try
//! is common sense about things with words on them (said in quotation marks, named in the question, the third button) and
//! knows nothing of any task; whether a program is worth anything is decided by its trials. This is programming by
//! demonstration, after Gulwani, "Automating string processing in spreadsheets using input-output examples" (POPL 2011),
//! with a much smaller language.

use super::locate::{Pick, Scene, Text};
use super::prompts;
use crate::event::{Demonstration, Shown};
use serde_json::Value;
use sojourn_tools::{EnvironmentSpec, Play, Stuff, TaskSpec};
use std::collections::{BTreeMap, BTreeSet};
use std::fmt::Write as _;

/// Expressions tried for one argument.
const EXPRESSIONS: usize = 3;
/// Combinations of them that are looked at before the best are taken.
const COMBINATIONS: usize = 256;

/// An argument as an expression.
enum Argument {
    /// A thing's id.
    Thing(Pick),
    /// A text.
    Text(Text),
    /// One of the texts in this field of the thing before: the one that the question has.
    Mentioned(String),
}

/// Calls of a demonstration that belong together.
struct Segment<'a> {
    steps: &'a [Shown],
    /// The kind of the things, where the same was done to all of them that the question speaks of.
    each: Option<&'a str>,
}

/// The tools of segments, and whether each was used for all things of a kind.
type Shape<'a> = Vec<(&'a str, Option<&'a str>)>;

/// At most `most` programs for `task`, those first that explain best what was shown.
pub(super) fn programs(
    spec: &EnvironmentSpec,
    task: &TaskSpec,
    shown: &[Demonstration],
    most: usize,
) -> Vec<String> {
    let Some(play) = &spec.play else { return Vec::new() };
    let by_calls = imitate(play, spec, task, shown, false);
    let by_loops = imitate(play, spec, task, shown, true);
    // Some of both: where as many things are meant each time, both explain it.
    let loops = by_loops.len().min((most / 2).max(most.saturating_sub(by_calls.len())));
    let mut sources: Vec<String> = by_calls.into_iter().take(most - loops).collect();
    sources.extend(by_loops.into_iter().take(loops));
    sources
}

/// Programs for what was shown; with `loops` only such as do the same to all things that the question speaks of.
fn imitate(
    play: &Play,
    spec: &EnvironmentSpec,
    task: &TaskSpec,
    shown: &[Demonstration],
    loops: bool,
) -> Vec<String> {
    // What was done in the same way is explained together, the commonest first.
    let mut alike: BTreeMap<Shape<'_>, Vec<Vec<Segment<'_>>>> = BTreeMap::new();
    for demonstration in shown {
        let segments = segments(play, &demonstration.steps, loops);
        let shape: Shape<'_> =
            segments.iter().map(|part| (part.steps[0].call.name.as_str(), part.each)).collect();
        if !shape.is_empty() && loops == shape.iter().any(|(_, each)| each.is_some()) {
            alike.entry(shape).or_default().push(segments);
        }
    }
    let mut groups: Vec<Vec<Vec<Segment<'_>>>> = alike.into_values().collect();
    groups.sort_by_key(|group| (std::cmp::Reverse(group.len()), group[0].len()));
    let mut sources = Vec::new();
    for group in groups {
        let all: Vec<&[Segment<'_>]> = group.iter().map(Vec::as_slice).collect();
        let mut found = explain(play, spec, task, &all);
        // One of them may have been luck: then each is explained by itself.
        if found.is_empty() && all.len() > 1 {
            found = all.iter().flat_map(|one| explain(play, spec, task, &[one])).collect();
        }
        for source in found {
            if !sources.contains(&source) {
                sources.push(source);
            }
        }
    }
    sources
}

/// The calls one by one; with `loops` those together that do the same to all things of a kind that the question speaks of.
fn segments<'a>(play: &Play, steps: &'a [Shown], loops: bool) -> Vec<Segment<'a>> {
    let mut parts = Vec::new();
    let mut rest = steps;
    while !rest.is_empty() {
        let (kind, run) = if loops { alike_from_start(play, rest) } else { (None, 1) };
        let each = kind.filter(|kind| does_all(play, &rest[..run], kind));
        let length = if each.is_some() { run } else { 1 };
        parts.push(Segment { steps: &rest[..length], each });
        rest = &rest[length..];
    }
    parts
}

/// The kind of the first thing, and how many calls from the first on do the same to things of that kind.
fn alike_from_start<'a>(play: &Play, steps: &'a [Shown]) -> (Option<&'a str>, usize) {
    let of = |step: &'a Shown| {
        let thing = only_thing(step)?;
        Some((step.call.name.as_str(), thing.get(&play.kind)?.as_str()?))
    };
    let Some(first) = of(&steps[0]) else { return (None, 1) };
    (Some(first.1), steps.iter().take_while(|step| of(step) == Some(first)).count())
}

/// The thing that a call is about which is about nothing else.
fn only_thing(step: &Shown) -> Option<&Value> {
    let mut given = step.call.args.values();
    let id = given.next().filter(|_| given.next().is_none())?;
    step.things.iter().find(|thing| thing["id"] == *id)
}

/// Whether `steps` are about all things of this kind that the question speaks of, and no others.
fn does_all(play: &Play, steps: &[Shown], kind: &str) -> bool {
    let text =
        |thing: &Value, field: &str| thing.get(field).and_then(Value::as_str).unwrap_or_default().to_owned();
    let meant = |thing: &&Value| {
        let label = text(thing, &play.label);
        text(thing, &play.kind) == kind && !label.is_empty() && steps[0].question.contains(&label)
    };
    let wanted: BTreeSet<String> =
        steps[0].things.iter().filter(meant).map(|thing| thing["id"].to_string()).collect();
    let done: BTreeSet<String> =
        steps.iter().filter_map(only_thing).map(|thing| thing["id"].to_string()).collect();
    !wanted.is_empty() && wanted == done
}

/// Programs that do what was done in every one of `group`, the best first.
fn explain(play: &Play, spec: &EnvironmentSpec, task: &TaskSpec, group: &[&[Segment<'_>]]) -> Vec<String> {
    let mut parts = Vec::new();
    for (at, part) in group[0].iter().enumerate() {
        let arguments = if part.each.is_some() {
            Vec::new()
        } else {
            let shown: Vec<&Shown> = group.iter().map(|parts| &parts[at].steps[0]).collect();
            let Some(arguments) = arguments(play, spec, &shown) else { return Vec::new() };
            arguments
        };
        parts.push((part.steps[0].call.name.as_str(), part.each, arguments));
    }
    let choices: Vec<usize> =
        parts.iter().flat_map(|(_, _, arguments)| arguments.iter().map(Vec::len)).collect();
    combinations(&choices)
        .into_iter()
        .map(|combination| {
            let mut chosen = combination.into_iter();
            let calls: Vec<Call<'_>> = (parts.iter())
                .map(|(tool, each, arguments)| {
                    let one = |options: &Vec<Argument>| chosen.next().unwrap_or(0).min(options.len() - 1);
                    let places: Vec<usize> = arguments.iter().map(one).collect();
                    let arguments =
                        arguments.iter().zip(places).map(|(options, place)| &options[place]).collect();
                    Call { tool, each: *each, arguments }
                })
                .collect();
            program(play, task, &calls)
        })
        .collect()
}

/// A call of a program.
struct Call<'a> {
    tool: &'a str,
    /// It is made for all things of this kind that the question speaks of.
    each: Option<&'a str>,
    arguments: Vec<&'a Argument>,
}

/// For each argument of a call the expressions that give it in all that was shown, the best first; nothing where there is
/// an argument that none gives.
fn arguments(play: &Play, spec: &EnvironmentSpec, shown: &[&Shown]) -> Option<Vec<Vec<Argument>>> {
    let tool = spec.tools.iter().find(|tool| tool.name == shown[0].call.name)?;
    let chance = play.moves.iter().find(|chance| chance.tool == tool.name)?;
    let mut all = Vec::new();
    let mut thing = String::new();
    for (parameter, stuff) in tool.parameters.iter().zip(&chance.args) {
        let given: Vec<&Value> =
            shown.iter().map(|step| step.call.args.get(&parameter.name)).collect::<Option<_>>()?;
        let scenes: Vec<Scene<'_>> = shown.iter().map(|step| Scene::new(play, step)).collect();
        let options: Vec<Argument> = match stuff {
            Stuff::Thing(_) => {
                thing.clone_from(&parameter.name);
                let fits = |pick: &Pick| {
                    scenes
                        .iter()
                        .zip(&given)
                        .all(|(scene, id)| pick.find(scene).is_some_and(|found| found["id"] == **id))
                };
                let picks = Pick::all(&scenes, &given).into_iter().filter(fits);
                picks.map(Argument::Thing).take(EXPRESSIONS).collect()
            }
            Stuff::Said | Stuff::Option(_) => {
                let words = given.iter().map(|word| word.as_str()).collect::<Option<Vec<_>>>()?;
                let fits = |text: &Text| {
                    scenes.iter().zip(&words).all(|(scene, word)| text.find(scene.question) == Some(*word))
                };
                let mut options: Vec<Argument> = Text::all(scenes[0].question, words[0])
                    .into_iter()
                    .filter(fits)
                    .map(Argument::Text)
                    .collect();
                if let Stuff::Option(field) = stuff
                    && scenes.iter().zip(&words).zip(shown).all(|((scene, word), step)| {
                        mentioned(scene, step.call.args.get(&thing), field) == Some(*word)
                    })
                {
                    options.insert(0, Argument::Mentioned(field.clone()));
                }
                options.truncate(EXPRESSIONS);
                options
            }
        };
        if options.is_empty() {
            return None;
        }
        all.push(options);
    }
    Some(all)
}

/// The first text in `field` of the thing with this id that the question has.
fn mentioned<'a>(scene: &Scene<'a>, id: Option<&Value>, field: &str) -> Option<&'a str> {
    let thing = scene.things.iter().find(|thing| Some(&thing["id"]) == id)?;
    let texts = thing.get(field)?.as_array()?.iter().filter_map(Value::as_str);
    texts.filter(|text| !text.is_empty()).find(|text| scene.question.contains(text))
}

/// Which of its options each argument takes: the best of all first, then what is worst by the least.
fn combinations(choices: &[usize]) -> Vec<Vec<usize>> {
    let mut all: Vec<Vec<usize>> = vec![Vec::new()];
    for &options in choices {
        let longer = |taken: &Vec<usize>| {
            let taken = taken.clone();
            (0..options).map(move |option| taken.iter().copied().chain([option]).collect())
        };
        all = all.iter().flat_map(longer).collect();
        all.sort_by_key(|taken: &Vec<usize>| taken.iter().sum::<usize>());
        all.truncate(COMBINATIONS);
    }
    all
}

fn program(play: &Play, task: &TaskSpec, calls: &[Call<'_>]) -> String {
    let mut text = prompts::head(task);
    let view = |pointer: &str| format!("observe(){}", pointer.replace('/', "."));
    // Writing to a string cannot fail.
    let _ = writeln!(text, "  const goal = {};", view(&play.question));
    for (at, call) in calls.iter().enumerate() {
        if let Some(kind) = call.each {
            let meant = format!(
                "e.{0} === {1} && e.{2} && goal.includes(e.{2})",
                play.kind,
                Value::from(kind),
                play.label
            );
            let _ = writeln!(text, "  for (const e of {}) {{", view(&play.things));
            let _ = writeln!(text, "    if ({meant}) {}(e.id);\n  }}", call.tool);
            continue;
        }
        let mut given = Vec::new();
        let mut thing = String::new();
        for (number, argument) in call.arguments.iter().enumerate() {
            given.push(match argument {
                Argument::Thing(pick) => {
                    thing = format!("thing{}{}", at + 1, if number == 0 { "" } else { "b" });
                    let found = pick.expression(play, &view(&play.things), "goal");
                    let _ = writeln!(text, "  const {thing} = {found};\n  if (!{thing}) return false;");
                    format!("{thing}.id")
                }
                Argument::Text(words) => words.expression("goal"),
                Argument::Mentioned(field) => {
                    format!("{thing}.{field}.find(text => text && goal.includes(text))")
                }
            });
        }
        let last = if at + 1 == calls.len() { "return " } else { "" };
        let _ = writeln!(text, "  {last}{}({});", call.tool, given.join(", "));
    }
    text.push('}');
    text
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;
    use sojourn_skills::{Callable, static_check};
    use sojourn_tools::{Amount, Condition, Effects, Move, Parameter, ParameterKind, ToolCall, ToolSpec};

    fn spec() -> EnvironmentSpec {
        let text = |name: &str| Parameter { name: name.into(), kind: ParameterKind::Text, default: None };
        let tool = |name: &str, parameters: Vec<Parameter>| ToolSpec {
            parameters,
            effects: Effects { write: true, ..Effects::default() },
            ..ToolSpec::new(name, name)
        };
        let chance = |tool: &str, args: Vec<Stuff>| Move { tool: tool.into(), args };
        EnvironmentSpec {
            name: "desk".into(),
            version: "1".into(),
            deterministic: true,
            about: String::new(),
            tools: vec![
                tool("observe", vec![]),
                tool("push", vec![text("what")]),
                tool("fill", vec![text("what"), text("words")]),
                tool("turn", vec![text("what"), text("to")]),
            ],
            actions: vec![],
            controls: String::new(),
            tasks: vec![],
            recipes: vec![],
            examples: vec![],
            vitals: vec![],
            in_view: true,
            play: Some(Play {
                question: "/wish".into(),
                things: "/desk/things".into(),
                kind: "kind".into(),
                label: "words".into(),
                moves: vec![
                    chance("push", vec![Stuff::Thing(vec![])]),
                    chance("fill", vec![Stuff::Thing(vec!["field".into()]), Stuff::Said]),
                    chance("turn", vec![Stuff::Thing(vec!["knob".into()]), Stuff::Option("to".into())]),
                ],
            }),
        }
    }

    fn task() -> TaskSpec {
        TaskSpec {
            name: "work".into(),
            description: "work".into(),
            parameters: vec![],
            goal: Condition::AtLeast { path: "/done".into(), value: Amount::Literal(1.0) },
            achievement: true,
            episodes: None,
        }
    }

    fn shown(question: &str, things: &Value, calls: &[(&str, Value)]) -> Demonstration {
        let step = |(tool, args): &(&str, Value)| Shown {
            question: question.into(),
            things: things.as_array().unwrap().clone(),
            call: ToolCall { name: (*tool).into(), args: args.as_object().unwrap().clone() },
        };
        Demonstration { seed: 1, steps: calls.iter().map(step).collect() }
    }

    fn found(shown: &[Demonstration]) -> Vec<String> {
        let (spec, task) = (spec(), task());
        let callables: Vec<Callable> = spec.tools.iter().map(Callable::from).collect();
        let sources = programs(&spec, &task, shown, 6);
        for source in &sources {
            static_check(source, "work", &[""; 0], &callables).unwrap();
        }
        sources
    }

    #[test]
    fn what_is_said_in_quotation_marks_is_looked_for() {
        let things = json!([
            {"id": "a", "kind": "button", "words": "Go"},
            {"id": "b", "kind": "button", "words": "Stop"},
            {"id": "c", "kind": "label", "words": "Stop"},
        ]);
        let sources = found(&[
            shown("Push the \"Stop\" button.", &things, &[("push", json!({"what": "b"}))]),
            shown("Push the \"Go\" button.", &things, &[("push", json!({"what": "a"}))]),
        ]);
        insta::assert_snapshot!(sources[0]);
        // A word that always stood there, or a place, does not explain both.
        assert!(
            sources.iter().all(|source| !source.contains("\"Stop\"") && !source.contains(")[1];")),
            "{sources:#?}"
        );
    }

    #[test]
    fn words_are_taken_from_between_others_and_what_is_always_the_same_is_named() {
        let things = json!([
            {"id": "a", "kind": "field", "words": ""},
            {"id": "b", "kind": "button", "words": "Send"},
        ]);
        let calls =
            |words: &str| [("fill", json!({"what": "a", "words": words})), ("push", json!({"what": "b"}))];
        let sources = found(&[
            shown("Write the word apple into the field.", &things, &calls("apple")),
            shown("Write the word pear into the field.", &things, &calls("pear")),
        ]);
        insta::assert_snapshot!(sources[0]);
    }

    #[test]
    fn the_option_that_the_question_has_is_chosen() {
        let things = json!([{"id": "a", "kind": "knob", "words": "mode", "to": ["low", "high"]}]);
        let sources = found(&[
            shown("Set it to high.", &things, &[("turn", json!({"what": "a", "to": "high"}))]),
            shown("Set it to low.", &things, &[("turn", json!({"what": "a", "to": "low"}))]),
        ]);
        insta::assert_snapshot!(sources[0]);
    }

    #[test]
    fn as_many_as_the_question_speaks_of_are_done() {
        let things = json!([
            {"id": "a", "kind": "box", "words": "fern"},
            {"id": "b", "kind": "box", "words": "ivy"},
            {"id": "c", "kind": "box", "words": "rose"},
            {"id": "d", "kind": "button", "words": "Done"},
        ]);
        let calls = |ids: &[&str]| ids.iter().map(|id| ("push", json!({"what": id}))).collect::<Vec<_>>();
        let sources = found(&[
            shown("Water fern and rose, then press the button.", &things, &calls(&["c", "a", "d"])),
            shown("Water ivy, then press the button.", &things, &calls(&["b", "d"])),
        ]);
        let looped = sources.iter().find(|source| source.contains("for (")).unwrap();
        insta::assert_snapshot!(looped);
        // Who left one out did not do them all.
        let partly = found(&[shown("Water fern and rose.", &things, &calls(&["c"]))]);
        assert!(partly.iter().all(|source| !source.contains("for (")), "{partly:#?}");
    }

    #[test]
    fn luck_that_fits_nothing_else_is_left_out() {
        let things = json!([{"id": "a", "kind": "x", "words": "1"}, {"id": "b", "kind": "x", "words": "2"}]);
        let sources = found(&[
            shown("Push one.", &things, &[("push", json!({"what": "a"}))]),
            shown("Push one.", &things, &[("push", json!({"what": "b"}))]),
        ]);
        assert!(!sources.is_empty());
        assert!(found(&[]).is_empty());
        assert!(found(&[Demonstration { seed: 1, steps: vec![] }]).is_empty());
    }

    #[test]
    fn the_best_of_every_argument_comes_first() {
        assert_eq!(combinations(&[2, 2]), [[0, 0], [0, 1], [1, 0], [1, 1]]);
        assert!(combinations(&[3; 12]).len() <= COMBINATIONS);
        assert_eq!(combinations(&[]), [Vec::<usize>::new()]);
    }
}
