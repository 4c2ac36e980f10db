//! Programs that repeat what was found.

use super::experience::Experience;
use super::features::{LAST, Path};
use super::linear::Linear;
use super::tree::Tree;
use crate::javascript::{FIELDS, MENTIONED, indented, quote};
use serde_json::Value;
use sojourn_primitives::JsonPointer;
use sojourn_tools::{Amount, Condition, EnvironmentSpec, TaskSpec, ToolCall};
use std::collections::{BTreeMap, BTreeSet};
use std::fmt::Write as _;

/// Entries of a table, at most.
const ENTRIES: usize = 1500;
/// Calls in a tree, at most.
const LEAVES: usize = 160;

/// The policy of programs that choose among offered calls.
const OFFERED: &str = include_str!("offered/policy.js");

/// Visits of one state in one run, after which a policy does something else there.
const PATIENCE: u32 = 3;

/// Writes programs for one task of a world.
pub(super) struct Programmer<'a> {
    pub(super) environment: &'a EnvironmentSpec,
    pub(super) task: &'a TaskSpec,
    /// Rounds of a policy.
    pub(super) rounds: u32,
    /// Whether a policy that is stuck does something at random, and not the next thing.
    pub(super) chance: bool,
    /// Whether a policy over states keeps what it did last.
    pub(super) remembers: bool,
}

impl Programmer<'_> {
    /// The calls one after the other.
    pub(super) fn way(&self, way: &[ToolCall]) -> String {
        let mut source = self.head();
        for call in way {
            source.push_str(&indented(&self.call(call)));
        }
        source.push_str("  return true;\n}");
        source
    }

    /// A loop that makes the tree's call in each state.
    pub(super) fn tree(&self, experience: &Experience, tree: &Tree) -> Option<String> {
        if tree.leaves() > LEAVES {
            return None;
        }
        let acts: BTreeSet<usize> = experience.lessons().into_iter().flat_map(|lesson| lesson.best).collect();
        let acts = self.acts(experience, acts.into_iter());
        let body = tree.javascript(&experience.paths, 2, &|call| self.noted(experience.call(call)));
        Some(self.policy(&acts, &self.unless_stuck(experience, &body)))
    }

    /// A loop that looks up the call for each state that was met; the tree decides where it was not.
    pub(super) fn table(&self, experience: &Experience, tree: &Tree) -> Option<String> {
        let paths: Vec<usize> = experience.paths.telling().collect();
        let lessons = experience.lessons();
        if lessons.len() > ENTRIES {
            return None;
        }
        let (mut acts, mut entries) = (BTreeMap::new(), String::new());
        for lesson in &lessons {
            let key: Vec<Value> = paths
                .iter()
                .map(|path| match (experience.paths.path(*path), lesson.features.get(*path)) {
                    (Some(path), value) if path.is_membership() => value.is_some().into(),
                    (_, value) => value.map_or(Value::Null, super::features::Scalar::json),
                })
                .collect();
            let Some(call) = lesson.best.first() else { continue };
            let next = acts.len();
            let act = *acts.entry(*call).or_insert(next);
            let separator = if entries.is_empty() { "" } else { "," };
            let _ = write!(entries, "{separator}{}:{act}", quote(&Value::from(key).to_string()));
        }
        let mut numbered: Vec<(usize, usize)> = acts.into_iter().map(|(call, act)| (act, call)).collect();
        numbered.sort_unstable();
        let acts = self.acts(experience, numbered.into_iter().map(|(_, call)| call));
        let known = format!("{acts}{}", indented(&format!("const known = {{{entries}}};")));
        let values: Vec<String> =
            paths.iter().filter_map(|path| experience.paths.path(*path)).map(Path::javascript).collect();
        let mut body =
            indented(&format!("    const act = acts[known[JSON.stringify([{}])]];", values.join(", ")));
        body.push_str(&indented("    if (act) {"));
        body.push_str(&indented("      act();"));
        body.push_str(&indented("    } else {"));
        if tree.leaves() > LEAVES {
            body.push_str(&indented("      acts[i % acts.length]();"));
        } else {
            body.push_str(&tree.javascript(&experience.paths, 3, &|call| self.noted(experience.call(call))));
        }
        body.push_str(&indented("    }"));
        Some(self.policy(&known, &self.unless_stuck(experience, &body)))
    }

    /// The declaration of a list of functions, each of which makes one of the calls.
    fn acts(&self, experience: &Experience, calls: impl Iterator<Item = usize>) -> String {
        let acts = calls.map(|call| format!("() => {{ {} }}", self.noted(experience.call(call))));
        let acts: Vec<String> = acts.collect();
        let mut text = indented(&format!("const acts = [{}];", acts.join(", ")));
        text.push_str(&indented("const visits = {};"));
        if self.chance {
            text.push_str(&indented("let luck = 1;"));
        }
        if self.remembers {
            text.push_str(&indented(&format!("let {LAST} = \"\";")));
        }
        text
    }

    /// The body of a loop that does something else where the same state has come back again and again: what was learned of other
    /// states is wrong there.
    fn unless_stuck(&self, experience: &Experience, body: &str) -> String {
        let mut text = String::new();
        if self.chance {
            // Clocks and sums of rewards are left out, which tell every state from every other.
            let accounts = Value::from(experience.paths.accounts());
            text.push_str(&indented(&format!("  const accounts = {accounts};")));
            text.push_str(&indented(
                "  const here = JSON.stringify(observe(), (name, value) => accounts.includes(name) ? undefined : value);",
            ));
            text.push_str(&indented("  visits[here] = (visits[here] || 0) + 1;"));
            // Where little is seen, the same is seen again without going around in a circle, so only every other call is left to chance.
            // The least generator of Park and Miller (CACM 31, 1988).
            text.push_str(&indented("  luck = luck * 16807 % 2147483647;"));
            text.push_str(&indented(&format!("  if (visits[here] > {PATIENCE} && luck % 2 === 0) {{")));
            text.push_str(&indented("    acts[Math.floor(luck / 2) % acts.length]();"));
        } else {
            text.push_str(&indented("  const here = JSON.stringify(observe());"));
            text.push_str(&indented("  visits[here] = (visits[here] || 0) + 1;"));
            text.push_str(&indented(&format!("  if (visits[here] > {PATIENCE}) {{")));
            text.push_str(&indented("    acts[(i + visits[here]) % acts.length]();"));
        }
        text.push_str(&indented("  } else {"));
        text.push_str(body);
        text.push_str(&indented("  }"));
        text
    }

    /// A loop that makes the call with the highest score.
    pub(super) fn linear(&self, experience: &Experience, linear: &Linear) -> String {
        self.policy("", &linear.javascript(&experience.paths, &|call| self.call(experience.call(call))))
    }

    /// A loop that chooses among the calls that the world says are possible, by weights of their traits. `only`: a call is the text that
    /// the only action takes. `place`: the field that says where the agent is. `until_goal`: it ends at the goal, and not with the
    /// episode.
    pub(super) fn offered(
        &self,
        weights: &[(String, f64)],
        only: bool,
        place: Option<&str>,
        until_goal: bool,
    ) -> String {
        let weights: Vec<String> =
            weights.iter().map(|(name, weight)| format!("{}: {weight}", quote(name))).collect();
        let acting = self.environment.tools.iter().filter(|tool| tool.effects.write);
        let tools: Vec<String> = acting
            .map(|tool| {
                let args: Vec<String> =
                    tool.parameters.iter().map(|one| format!("args[{}]", quote(&one.name))).collect();
                format!("{}: args => {}({})", quote(&tool.name), tool.name, args.join(", "))
            })
            .collect();
        let mut source = self.head();
        source.push_str(&indented(&format!("const weights = {{{}}};", weights.join(", "))));
        source.push_str(&indented(&format!("const tools = {{{}}};", tools.join(", "))));
        let place = place.map_or_else(|| "null".to_owned(), quote);
        source.push_str(&indented(&format!("const only = {only}, place = {place};")));
        let (mut starts, mut stop) = (Vec::new(), String::new());
        if until_goal {
            for helper in FIELDS {
                source.push_str(&indented(helper));
            }
            stop = indented(&format!("  if ({}) return true;", goal(&self.task.goal, &mut starts)));
        }
        for start in &starts {
            source.push_str(&indented(start));
        }
        OFFERED.lines().for_each(|line| source.push_str(&indented(line)));
        source.push_str(&indented("see(observe(), available());"));
        // It returns before the episode ends by itself: a program that is stopped has failed.
        let last = self.environment.episode_steps.map_or(self.rounds, |steps| steps.saturating_sub(1));
        source.push_str(&indented(&format!("for (let i = 0; i < {}; i++) {{", self.rounds.min(last))));
        source.push_str(&stop);
        source.push_str(&indented("  const call = choose();"));
        source.push_str(&indented("  if (call === undefined) return false;"));
        source.push_str(&indented("  act(call);"));
        source.push_str("  }\n  return true;\n}");
        source
    }

    fn policy(&self, constants: &str, body: &str) -> String {
        let mut starts = Vec::new();
        let goal = goal(&self.task.goal, &mut starts);
        let mut source = self.head();
        for helper in FIELDS {
            source.push_str(&indented(helper));
        }
        if constants.contains("mentioned(") || body.contains("mentioned(") {
            source.push_str(&indented(MENTIONED));
        }
        for start in &starts {
            source.push_str(&indented(start));
        }
        source.push_str(constants);
        source.push_str(&indented(&format!("for (let i = 0; i < {}; i++) {{", self.rounds)));
        source.push_str(&indented(&format!("  if ({goal}) return true;")));
        source.push_str(body);
        source.push_str("  }\n  return false;\n}");
        source
    }

    fn head(&self) -> String {
        let names: Vec<&str> = self.task.parameters.iter().map(|parameter| parameter.name.as_str()).collect();
        format!("function {}({}) {{\n", self.task.name, names.join(", "))
    }

    /// A call as a statement, and a note that it was made.
    fn noted(&self, call: &ToolCall) -> String {
        if !self.remembers {
            return self.call(call);
        }
        format!("{} {LAST} = {};", self.call(call), quote(&super::said(call)))
    }

    /// A call as a statement.
    fn call(&self, call: &ToolCall) -> String {
        let tool = self.environment.tools.iter().find(|tool| tool.name == call.name);
        let parameters = tool.map_or(&[][..], |tool| tool.parameters.as_slice());
        let literal = |value: Option<&Value>| value.map_or_else(|| "null".to_owned(), Value::to_string);
        let mut args: Vec<(&Value, String)> = parameters
            .iter()
            .map(|p| (p.default.as_ref().unwrap_or(&Value::Null), literal(call.args.get(&p.name))))
            .collect();
        // Defaults at the end need not be said.
        while args.last().is_some_and(|(default, value)| value == "null" || *value == default.to_string()) {
            args.pop();
        }
        let args: Vec<String> = args.into_iter().map(|(_, value)| value).collect();
        format!("{}({});", call.name, args.join(", "))
    }
}

fn names(path: &JsonPointer) -> String {
    let names: Vec<String> = path.names().map(|name| quote(&name)).collect();
    names.join(", ")
}

/// A field as conditions count it: `true` is 1, and any other value that is no number is 0.
fn counter(path: &JsonPointer) -> String {
    let names = names(path);
    format!("(numberAt({names}) || Number(at({names}) === true))")
}

/// The condition as an expression; `starts` gets the declarations of what it compares with. Arguments of the call are parameters.
fn goal(condition: &Condition, starts: &mut Vec<String>) -> String {
    let amount = |amount: &Amount| match amount {
        Amount::Literal(number) => number.to_string(),
        Amount::Param(name) => name.clone(),
    };
    let joined = |parts: &[Condition], sign: &str, none: &str, starts: &mut Vec<String>| {
        let parts: Vec<String> = parts.iter().map(|part| goal(part, starts)).collect();
        if parts.is_empty() { none.to_owned() } else { format!("({})", parts.join(sign)) }
    };
    match condition {
        Condition::Increased { path, by, cap } => {
            let name = format!("start{}", starts.len());
            starts.push(format!("const {name} = {};", counter(path)));
            let target = format!("{name} + {}", amount(by));
            let target = cap.map_or(target.clone(), |cap| format!("Math.min({cap}, {target})"));
            let grew = cap.map_or_else(String::new, |cap| format!(" || {name} >= {cap}"));
            format!("({0} >= {target} && ({0} > {name}{grew}))", counter(path))
        }
        Condition::AtLeast { path, value } => format!("{} >= {}", counter(path), amount(value)),
        Condition::Equals { path, value } if value.is_object() || value.is_array() => {
            format!("JSON.stringify(at({})) === {}", names(path), quote(&value.to_string()))
        }
        Condition::Equals { path, value } => format!("at({}) === {value}", names(path)),
        Condition::Contains { path, value } => {
            let list = format!("(at({}) || [])", names(path));
            format!(
                "(Array.isArray{list} && {list}.some((item) => JSON.stringify(item) === {}))",
                quote(&value.to_string())
            )
        }
        Condition::All(parts) => joined(parts, " && ", "true", starts),
        Condition::Any(parts) => joined(parts, " || ", "false", starts),
        Condition::Not(inner) => format!("!({})", goal(inner, starts)),
    }
}
