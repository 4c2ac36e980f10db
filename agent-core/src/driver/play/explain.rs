//! Programs that do again what was seen to work.
//!
//! Somebody reached the goal by a few calls, in a few worlds. What differs from world to world is put down to what was to
//! be done there: an argument becomes an expression that gives the argument in each of the worlds. Which expressions to try
//! is common sense about things with words on them (said in quotation marks, named in the question, the third button) and
//! knows nothing of any task; whether a program is worth anything is found by running it elsewhere. This is programming by
//! demonstration, after Gulwani, "Automating string processing in spreadsheets using input-output examples" (POPL 2011),
//! with a much smaller language.

use super::pick::Pick;
use super::program::{Among, Arg, Order, Step, That, Which, option};
use super::scene::{Scene, number};
use super::text::Text;
use crate::model::{Demonstration, Shown};
use serde_json::Value;
use sojourn_tools::{EnvironmentSpec, Play, Stuff};
use std::collections::{BTreeMap, BTreeSet};

/// Expressions tried for one argument.
const EXPRESSIONS: usize = 8;
/// Ways in which one step is explained.
const EXPLANATIONS: usize = 12;
/// Combinations of them that are looked at before the best are taken.
const COMBINATIONS: usize = 512;

/// How a demonstration is taken apart.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Reading {
    /// Call by call.
    Plain,
    /// Calls that do the same to several things belong together.
    Loops,
    /// Calls after which something is there that was not are a search for it.
    Search,
}

/// What a segment is to become.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
enum Form<'a> {
    Call,
    /// For things of this kind.
    Each(&'a str),
    EachOption,
    /// Among things of this kind.
    Seek(&'a str),
}

/// Calls of a demonstration that belong together.
struct Segment<'a> {
    form: Form<'a>,
    steps: &'a [Shown],
    /// What was done after them.
    then: Option<&'a Shown>,
}

/// The tools of segments, and what each is to become.
type Shape<'a> = Vec<(&'a str, Form<'a>)>;

/// At most `most` programs, those first that explain best what was shown.
pub(super) fn ideas(
    spec: &EnvironmentSpec,
    play: &Play,
    shown: &[Demonstration],
    most: usize,
) -> Vec<Vec<Step>> {
    let readings = [Reading::Plain, Reading::Loops, Reading::Search];
    let each: Vec<Vec<Vec<Step>>> =
        readings.iter().map(|reading| read(spec, play, shown, *reading)).collect();
    // The best of every reading, then the second best of every one.
    let longest = each.iter().map(Vec::len).max().unwrap_or(0);
    let mut found: Vec<Vec<Step>> = Vec::new();
    for rank in 0..longest {
        for idea in each.iter().filter_map(|ideas| ideas.get(rank)) {
            if found.len() < most && !found.contains(idea) {
                found.push(idea.clone());
            }
        }
    }
    found
}

/// Programs for what was shown, taken apart in one way; only those that this way and not the plain one gives.
fn read(spec: &EnvironmentSpec, play: &Play, shown: &[Demonstration], reading: Reading) -> Vec<Vec<Step>> {
    // What was done in the same way is explained together, the commonest first.
    let mut alike: BTreeMap<Shape<'_>, Vec<Vec<Segment<'_>>>> = BTreeMap::new();
    for demonstration in shown {
        let segments = segments(play, &demonstration.steps, reading);
        let shape: Shape<'_> =
            segments.iter().map(|part| (part.steps[0].call.name.as_str(), part.form)).collect();
        let plain = shape.iter().all(|(_, form)| *form == Form::Call);
        if !shape.is_empty() && plain == (reading == Reading::Plain) {
            alike.entry(shape).or_default().push(segments);
        }
    }
    let mut groups: Vec<Vec<Vec<Segment<'_>>>> = alike.into_values().collect();
    groups.sort_by_key(|group| (std::cmp::Reverse(group.len()), group[0].len()));
    let (mut together, mut alone) = (Vec::new(), Vec::new());
    for group in groups {
        let all: Vec<&[Segment<'_>]> = group.iter().map(Vec::as_slice).collect();
        let found = explain(play, spec, &all);
        // One of them may have been luck: then each is explained by itself.
        if found.is_empty() && all.len() > 1 {
            alone.extend(all.iter().flat_map(|one| explain(play, spec, &[one])));
        }
        together.extend(found);
    }
    together.append(&mut alone);
    together
}

fn segments<'a>(play: &'a Play, steps: &'a [Shown], reading: Reading) -> Vec<Segment<'a>> {
    let mut parts = Vec::new();
    let mut rest = steps;
    while !rest.is_empty() {
        let (form, length) = match reading {
            Reading::Plain => (Form::Call, 1),
            Reading::Loops => looped(play, rest),
            Reading::Search => sought(play, rest),
        };
        parts.push(Segment { form, steps: &rest[..length], then: rest.get(length) });
        rest = &rest[length..];
    }
    parts
}

/// How many calls from the first on do the same to several things, and what they become.
fn looped<'a>(play: &'a Play, steps: &'a [Shown]) -> (Form<'a>, usize) {
    if let Some(kind) = kind_of(play, &steps[0]) {
        let run = run(play, steps, kind);
        if !whichs(play, &steps[..run], kind).is_empty() {
            return (Form::Each(kind), run);
        }
    }
    let thing = steps[0].call.args.values().next();
    let same =
        |step: &&Shown| step.call.name == steps[0].call.name && step.call.args.values().next() == thing;
    let run = steps.iter().take_while(same).count();
    if options(play, &steps[..run]).is_empty() { (Form::Call, 1) } else { (Form::EachOption, run) }
}

/// How many calls from the first on were a search for what the next call is about, and what they become.
fn sought<'a>(play: &'a Play, steps: &'a [Shown]) -> (Form<'a>, usize) {
    let Some(kind) = kind_of(play, &steps[0]) else { return (Form::Call, 1) };
    for run in (1..=run(play, steps, kind)).rev() {
        let next = steps.get(run).and_then(|next| next.call.args.values().next());
        let there = |id: &Value| Scene::new(play, &steps[0]).thing(id).is_some();
        let many = |step: &Shown| {
            let scene = Scene::new(play, step);
            step.things.iter().filter(|thing| scene.kind(thing) == kind).count() > 1
        };
        if next.is_some_and(|id| !there(id)) && (run > 1 || many(&steps[0])) {
            return (Form::Seek(kind), run);
        }
    }
    (Form::Call, 1)
}

/// How many calls from the first on are of the same tool, about one thing of this kind each.
fn run(play: &Play, steps: &[Shown], kind: &str) -> usize {
    let alike = |step: &&Shown| step.call.name == steps[0].call.name && kind_of(play, step) == Some(kind);
    steps.iter().take_while(alike).count()
}

/// The thing that a call is about which is about nothing else.
fn only_thing(step: &Shown) -> Option<&Value> {
    let mut given = step.call.args.values();
    let id = given.next().filter(|_| given.next().is_none())?;
    step.things.iter().find(|thing| thing["id"] == *id)
}

fn kind_of<'a>(play: &'a Play, step: &'a Shown) -> Option<&'a str> {
    only_thing(step).map(|thing| Scene::new(play, step).kind(thing))
}

/// What the things of these calls, and no others of the kind, have in common, and what came first.
fn whichs(play: &Play, steps: &[Shown], kind: &str) -> Vec<(That, Order)> {
    let scene = Scene::new(play, &steps[0]);
    let done: Vec<&Value> = steps.iter().filter_map(only_thing).collect();
    let ids = |things: &[&Value]| things.iter().map(|thing| thing["id"].to_string()).collect::<BTreeSet<_>>();
    let wanted = ids(&done);
    let Some(first) = done.first() else { return Vec::new() };
    let mut all: Vec<That> = scene.said_fields(first).map(|field| That::Said(field.to_owned())).collect();
    let label = scene.label(first).to_owned();
    for group in &play.groups {
        all.push(That::Beside { group: group.clone(), label: label.clone() });
    }
    if done.len() > 1 {
        if !label.is_empty() {
            all.push(That::Like(label));
        }
        all.push(That::All);
    }
    let mut found = Vec::new();
    for that in all {
        let which = Which { kind: kind.to_owned(), that };
        let selected = which.select(&scene);
        if ids(&selected) != wanted {
            continue;
        }
        let numbers = done.len() > 1 && done.iter().all(|thing| number(scene.label(thing)).is_some());
        for order in [Order::AsSeen, Order::Ascending, Order::Descending] {
            let mut sorted = selected.clone();
            order.sort(&scene, &mut sorted);
            // What was done in any order may be done as it is seen, unless the order was that of numbers.
            let fits = if order == Order::AsSeen {
                true
            } else {
                numbers && sorted.iter().zip(&done).all(|(a, b)| a["id"] == b["id"])
            };
            if fits {
                found.push((which.that.clone(), order));
            }
        }
    }
    // The order of numbers says more.
    found.sort_by_key(|(_, order)| *order == Order::AsSeen);
    found
}

/// The fields of the thing of these calls of which all texts that the question has were given.
fn options(play: &Play, steps: &[Shown]) -> Vec<String> {
    let scene = Scene::new(play, &steps[0]);
    let mut args = steps[0].call.args.values();
    let (Some(thing), 2) = (args.next().and_then(|id| scene.thing(id)), steps[0].call.args.len()) else {
        return Vec::new();
    };
    let given: BTreeSet<&str> =
        steps.iter().filter_map(|step| step.call.args.values().nth(1)?.as_str()).collect();
    let fields = thing.as_object().into_iter().flatten();
    let fits = |texts: &Vec<Value>| {
        let said = texts.iter().filter_map(Value::as_str).filter(|text| scene.says(text));
        said.collect::<BTreeSet<_>>() == given
    };
    fields.filter(|(_, value)| value.as_array().is_some_and(fits)).map(|(field, _)| field.clone()).collect()
}

/// Programs that do what was done in every one of `group`, the best first.
fn explain(play: &Play, spec: &EnvironmentSpec, group: &[&[Segment<'_>]]) -> Vec<Vec<Step>> {
    let mut parts: Vec<Vec<Step>> = Vec::new();
    for at in 0..group[0].len() {
        let same: Vec<&Segment<'_>> = group.iter().map(|parts| &parts[at]).collect();
        let ways = match same[0].form {
            Form::Call => calls(play, spec, &same),
            Form::Each(kind) => eachs(play, &same, kind),
            Form::EachOption => each_options(play, &same),
            Form::Seek(kind) => seeks(play, &same, kind),
        };
        if ways.is_empty() {
            return Vec::new();
        }
        parts.push(ways);
    }
    let choices: Vec<usize> = parts.iter().map(Vec::len).collect();
    let take = |taken: Vec<usize>| parts.iter().zip(taken).map(|(ways, one)| ways[one].clone()).collect();
    combinations(&choices).into_iter().map(take).collect()
}

/// Ways in which one call is explained.
fn calls(play: &Play, spec: &EnvironmentSpec, same: &[&Segment<'_>]) -> Vec<Step> {
    let shown: Vec<&Shown> = same.iter().map(|part| &part.steps[0]).collect();
    let Some(arguments) = arguments(play, spec, &shown) else { return Vec::new() };
    let choices: Vec<usize> = arguments.iter().map(Vec::len).collect();
    let take = |taken: Vec<usize>| Step::Call {
        tool: shown[0].call.name.clone(),
        args: arguments.iter().zip(taken).map(|(ways, one)| ways[one].clone()).collect(),
    };
    combinations(&choices).into_iter().take(EXPLANATIONS).map(take).collect()
}

fn eachs(play: &Play, same: &[&Segment<'_>], kind: &str) -> Vec<Step> {
    let mut common = whichs(play, same[0].steps, kind);
    for part in &same[1..] {
        let here = whichs(play, part.steps, kind);
        common.retain(|one| here.contains(one));
    }
    let step = |(that, order)| Step::Each {
        tool: same[0].steps[0].call.name.clone(),
        which: Which { kind: kind.to_owned(), that },
        order,
    };
    common.into_iter().map(step).collect()
}

fn each_options(play: &Play, same: &[&Segment<'_>]) -> Vec<Step> {
    let mut fields = options(play, same[0].steps);
    for part in &same[1..] {
        let here = options(play, part.steps);
        fields.retain(|field| here.contains(field));
    }
    let first: Vec<&Shown> = same.iter().map(|part| &part.steps[0]).collect();
    let ids: Vec<&Value> = first.iter().filter_map(|step| step.call.args.values().next()).collect();
    let mut steps = Vec::new();
    for thing in picks(play, &first, &ids).into_iter().take(2) {
        for field in &fields {
            let tool = first[0].call.name.clone();
            steps.push(Step::EachOption { tool, thing: thing.clone(), field: field.clone() });
        }
    }
    steps
}

fn seeks(play: &Play, same: &[&Segment<'_>], kind: &str) -> Vec<Step> {
    let Some(then) = same.iter().map(|part| part.then).collect::<Option<Vec<_>>>() else { return Vec::new() };
    // What the question speaks of and was not there before, what was done next first.
    let new = |before: &Shown, after: &Shown| -> Vec<Value> {
        let (before, after) = (Scene::new(play, before), Scene::new(play, after));
        let mut new: Vec<&Value> =
            after.things.iter().filter(|thing| before.thing(&thing["id"]).is_none()).collect();
        new.sort_by_key(|thing| !after.says(after.label(thing)));
        new.into_iter().map(|thing| thing["id"].clone()).collect()
    };
    let next: Vec<&Value> = then.iter().filter_map(|step| step.call.args.values().next()).collect();
    let mut until: Vec<Pick> = if next.len() == then.len() { picks(play, &then, &next) } else { Vec::new() };
    until.retain(Pick::depends);
    for id in new(&same[0].steps[0], then[0]).iter().take(2) {
        let others = picks(play, &then[..1], &[id]).into_iter().filter(Pick::depends);
        until.extend(others.take(2));
    }
    // It must have been missing all the while, and be there then.
    until.retain(|pick| {
        same.iter().zip(&then).all(|(part, then)| {
            let missing = |step: &Shown| pick.find(&Scene::new(play, step)).is_none();
            part.steps.iter().all(missing) && pick.find(&Scene::new(play, then)).is_some()
        })
    });
    let tool = &same[0].steps[0].call.name;
    let mut again = Vec::new();
    let first: Vec<&Shown> = same.iter().map(|part| &part.steps[0]).collect();
    let ids: Vec<&Value> = first.iter().filter_map(|step| step.call.args.values().next()).collect();
    for pick in picks(play, &first, &ids).into_iter().take(4) {
        let found = |step: &Shown| {
            let id = step.call.args.values().next();
            pick.find(&Scene::new(play, step)).is_some_and(|thing| Some(&thing["id"]) == id)
        };
        if same.iter().all(|part| part.steps.iter().all(found)) {
            again.push(Among::Again(pick.clone()));
        }
    }
    let all = std::iter::once(Among::Kind(kind.to_owned())).chain(again.into_iter().take(1));
    let mut steps = Vec::new();
    for among in all {
        for until in until.iter().take(4) {
            steps.push(Step::Seek { tool: tool.clone(), among: among.clone(), until: until.clone() });
        }
    }
    steps
}

/// Ways to find the things with these ids, one in what was shown each time, the best first.
fn picks(play: &Play, shown: &[&Shown], ids: &[&Value]) -> Vec<Pick> {
    let scenes: Vec<Scene<'_>> = shown.iter().map(|step| Scene::new(play, step)).collect();
    let Some(place) = scenes[0].things.iter().position(|thing| thing["id"] == *ids[0]) else {
        return Vec::new();
    };
    let fits = |pick: &Pick| {
        let mut all = scenes.iter().zip(ids);
        all.all(|(scene, id)| pick.find(scene).is_some_and(|found| found["id"] == **id))
    };
    let mut ways: Vec<Pick> = Pick::all(&scenes[0], place, true).into_iter().filter(fits).collect();
    let with_kind = ways.len();
    ways.truncate(EXPRESSIONS - 2);
    let others = Pick::all(&scenes[0], place, false).into_iter().filter(fits);
    // Where the kind differs there are no others.
    ways.extend(others.take(if with_kind == 0 { EXPRESSIONS } else { 2 }));
    ways
}

/// For each argument of a call the expressions that give it in all that was shown, the best first; nothing where there is
/// an argument that none gives.
fn arguments(play: &Play, spec: &EnvironmentSpec, shown: &[&Shown]) -> Option<Vec<Vec<Arg>>> {
    let tool = spec.tools.iter().find(|tool| tool.name == shown[0].call.name)?;
    let scenes: Vec<Scene<'_>> = shown.iter().map(|step| Scene::new(play, step)).collect();
    let mut all = Vec::new();
    let mut thing = String::new();
    for (position, parameter) in tool.parameters.iter().enumerate() {
        let given: Vec<Option<&Value>> =
            shown.iter().map(|step| step.call.args.get(&parameter.name)).collect();
        if given.iter().all(Option::is_none) {
            break;
        }
        let given = given.into_iter().collect::<Option<Vec<_>>>()?;
        // The same tool may be used in several ways: what was given tells which.
        let stuffs = play.moves.iter().filter(|chance| chance.tool == tool.name);
        let stuffs: Vec<&Stuff> = stuffs.filter_map(|chance| chance.args.get(position)).collect();
        let is_thing = stuffs.iter().any(|stuff| matches!(stuff, Stuff::Thing(_)))
            && scenes.iter().zip(&given).all(|(scene, id)| scene.thing(id).is_some());
        let words = given.iter().map(|word| word.as_str()).collect::<Option<Vec<_>>>();
        let mut options: Vec<Arg> = match words {
            _ if is_thing => {
                thing.clone_from(&parameter.name);
                picks(play, shown, &given).into_iter().map(Arg::Thing).collect()
            }
            Some(words) if stuffs.iter().any(|stuff| !matches!(stuff, Stuff::OneOf(_))) => {
                let fits = |text: &Text| {
                    scenes.iter().zip(&words).all(|(scene, word)| text.find(scene).as_deref() == Some(*word))
                };
                let texts = Text::all(&scenes[0], words[0]).into_iter().filter(fits);
                let mut options: Vec<Arg> = texts.map(Arg::Text).collect();
                for stuff in &stuffs {
                    if let Stuff::Option(field) = stuff
                        && scenes.iter().zip(&words).zip(shown).all(|((scene, word), step)| {
                            let thing = step.call.args.get(&thing).and_then(|id| scene.thing(id));
                            thing.and_then(|thing| option(scene, thing, field)) == Some(*word)
                        })
                    {
                        options.insert(0, Arg::Option(field.clone()));
                    }
                }
                options
            }
            _ if given.iter().all(|one| *one == given[0]) => vec![Arg::Fixed(given[0].clone())],
            _ => return None,
        };
        options.truncate(EXPRESSIONS);
        if options.is_empty() {
            return None;
        }
        all.push(options);
    }
    Some(all)
}

/// Which of its options each part takes: the best of all first, then what is worst by the least.
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_best_of_every_argument_comes_first() {
        assert_eq!(combinations(&[2, 2]), [[0, 0], [0, 1], [1, 0], [1, 1]]);
        assert!(combinations(&[3; 12]).len() <= COMBINATIONS);
        assert_eq!(combinations(&[]), [Vec::<usize>::new()]);
    }
}
