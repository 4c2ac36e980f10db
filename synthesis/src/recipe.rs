//! Programs printed from a documented way to do a task, without a model.
//!
//! A recipe says what is collected and which call completes the task. It leaves open how a thing is found, what is done where
//! there is none, and how one waits. The programs try each call that could do so, and trials decide among them.

use crate::javascript::{observed, quote};
use sojourn_primitives::JsonPointer;
use sojourn_tools::{Amount, Condition, Parameter, ParameterKind, TaskSpec, ToolSpec, function_head};
use std::fmt::Write;

/// Programs for one task, at most.
const PROGRAMS: usize = 8;
/// The same where some of them turn to the sides.
const TURNING_PROGRAMS: usize = 10;
/// Values of an argument that may be sides to turn to, at most.
const WAYS: usize = 4;
/// Times that the last call is tried.
const TRIES: u32 = 5;
/// Rounds of a loop, at most.
const ROUNDS: u32 = 40;

/// A documented way to do a task, with the skills that provide what it needs.
#[derive(Debug, Clone)]
pub struct RecipePlan<'a> {
    /// The task.
    pub task: &'a TaskSpec,
    /// The call that completes it, as JavaScript.
    pub call: &'a str,
    /// The kind of thing that the call acts on.
    pub target: Option<&'a str>,
    /// The skill that brings about a target, where one does.
    pub target_provider: Option<String>,
    /// The items that must be held, with their providers.
    pub items: Vec<PlannedItem>,
    /// The things that must be nearby, with the skills that bring them about.
    pub nearby: Vec<(String, String)>,
    /// Where the state says which things are nearby, if it does.
    pub surroundings: Option<Surroundings>,
    /// Whether the calls that may find the target take turns in the list of programs, without the call that the recipe makes itself.
    /// Otherwise all programs with the first of them come first.
    pub finders_in_turn: bool,
    /// Whether the agent may turn to its sides where the call cannot be made, and looks again at what is nearby before each try.
    pub turning: bool,
}

/// Where a state says which things are nearby.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Surroundings {
    /// A list of their names.
    List(JsonPointer),
    /// An object with a boolean for each name.
    Flags(JsonPointer),
}

/// How often a call that takes the number asked for uses its ingredients.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Batches {
    /// The task's parameter that says how many.
    pub parameter: String,
    /// How many come of the ingredients once.
    pub made: u32,
}

/// A number of an item that must be held.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PlannedItem {
    /// Where the state shows how many are held.
    pub held: JsonPointer,
    /// How many are needed, whatever the number asked for.
    pub count: u32,
    /// How many more are needed for each batch.
    pub batches: Option<(u32, Batches)>,
    /// The skill that provides it.
    pub provider: String,
    /// Whether the skill takes a number of items.
    pub counted: bool,
}

impl PlannedItem {
    /// How many are needed, as JavaScript.
    fn needed(&self) -> String {
        let Some((each, Batches { parameter, made })) = &self.batches else { return self.count.to_string() };
        let batches = match made {
            1 => parameter.clone(),
            made => format!("Math.ceil({parameter} / {made})"),
        };
        let many = if *each == 1 { batches } else { format!("{each} * {batches}") };
        if self.count == 0 { many } else { format!("{many} + {}", self.count) }
    }
}

impl RecipePlan<'_> {
    /// Sources of programs that follow the plan with the world's tools, those first that are to be preferred where trials tell no
    /// difference; none where no tool leads to the target.
    pub fn programs(&self, tools: &[ToolSpec]) -> Vec<String> {
        let mut programs = Vec::new();
        for ending in self.endings(tools) {
            let head = function_head(&self.task.name, &self.task.parameters);
            let nearby = if self.looks_again() { String::new() } else { self.nearby("  ") };
            let source = format!("{head}{}{nearby}{ending}}}", self.beginning());
            if !programs.contains(&source) {
                programs.push(source);
            }
        }
        programs.truncate(if self.turning { TURNING_PROGRAMS } else { PROGRAMS });
        programs
    }

    /// Whether each try begins with a look at what is nearby.
    fn looks_again(&self) -> bool {
        self.turning && self.target.is_none() && !self.nearby.is_empty() && self.surroundings.is_some()
    }

    /// Collects the items.
    fn beginning(&self) -> String {
        let mut text = String::new();
        for item in &self.items {
            let (held, needed, provider) = (observed(&item.held), item.needed(), &item.provider);
            let line = if item.counted {
                format!("  if ({held} < {needed}) {provider}({needed} - {held});\n")
            } else {
                format!("  for (let i = 0; i < {ROUNDS} && {held} < {needed}; i++) {provider}();\n")
            };
            text.push_str(&line);
        }
        text
    }

    /// Brings about what must be nearby.
    fn nearby(&self, indent: &str) -> String {
        let mut text = String::new();
        for (thing, provider) in &self.nearby {
            let _ = match &self.surroundings {
                Some(Surroundings::List(list)) => {
                    writeln!(
                        text,
                        "{indent}if (!{}.includes({})) {provider}();",
                        observed(list),
                        quote(thing)
                    )
                }
                Some(Surroundings::Flags(flags)) => {
                    writeln!(text, "{indent}if (!{}) {provider}();", observed(&flags.join(thing)))
                }
                None => writeln!(text, "{indent}{provider}();"),
            };
        }
        text
    }

    /// The last part of a program, in each way that the tools allow.
    fn endings(&self, tools: &[ToolSpec]) -> Vec<String> {
        let call = self.call;
        let pauses: Vec<String> = pauses(tools).into_iter().filter(|pause| pause != call).collect();
        // Where a trial needed no pause, nothing tells the pauses apart: taking turns relies on none of them.
        let turns = turns(&pauses);
        let pausing: Vec<String> =
            turns.into_iter().chain(pauses.iter().map(|pause| format!("{pause};"))).collect();
        let Some(target) = self.target else {
            if !self.items.is_empty() || !self.nearby.is_empty() {
                let nearby = if self.looks_again() { self.nearby("    ") } else { String::new() };
                let sides = if self.turning { sides(tools, call) } else { Vec::new() };
                let again = sides.iter().chain(&pausing).map(|pause| {
                    format!("  for (let i = 0; i < {TRIES}; i++) {{\n{nearby}    if ({call}) return true;\n    {pause}\n  }}\n  return false;\n")
                });
                let plain = if self.looks_again() { self.nearby("  ") } else { String::new() };
                return again.chain([format!("{plain}  return {call};\n")]).collect();
            }
            let waiting = pausing.iter().map(|pause| format!("if (!{call}) {{ {pause} }}"));
            let plain = std::iter::once(format!("{call};"));
            return waiting.chain(plain).map(|round| self.repeat(&round)).collect();
        };
        let mut endings = Vec::new();
        let mut finders = finders(tools, target);
        if self.finders_in_turn && finders.iter().any(|find| find != call) {
            finders.retain(|find| find != call);
        }
        for find in finders {
            let rounds: Vec<String> = match &self.target_provider {
                Some(provider) => {
                    let waiting = pausing.iter().map(|pause| format!("{{ if (!{call}) {{ {pause} }} }}"));
                    let plain = std::iter::once(format!("{call};"));
                    waiting
                        .chain(plain)
                        .map(|round| format!("if ({find}) {round}\n    else {provider}();"))
                        .collect()
                }
                None => pausing
                    .iter()
                    .map(|pause| format!("if ({find}) {call};\n    else {{ {pause} }}"))
                    .collect(),
            };
            endings.push(rounds.iter().map(|round| self.repeat(round)).collect::<Vec<_>>());
        }
        if self.finders_in_turn { in_turn(&endings) } else { endings.concat() }
    }

    /// Rounds until the goal is reached, where a comparison of numbers shows that it is.
    fn repeat(&self, round: &str) -> String {
        let Condition::Increased { path, by, cap } = &self.task.goal else {
            return format!("  for (let i = 0; i < {ROUNDS}; i++) {{\n    {round}\n  }}\n");
        };
        let shown = observed(path);
        let by = match by {
            Amount::Literal(number) => number.to_string(),
            Amount::Param(name) => name.clone(),
        };
        let wanted = match cap {
            Some(cap) => format!("Math.min({shown} + {by}, {cap})"),
            None => format!("{shown} + {by}"),
        };
        format!(
            "  const wanted = {wanted};\n  for (let i = 0; i < {ROUNDS} && {shown} < wanted; i++) {{\n    {round}\n  }}\n"
        )
    }
}

/// The first of each list, then the second of each, and so on.
fn in_turn(lists: &[Vec<String>]) -> Vec<String> {
    let longest = lists.iter().map(Vec::len).max().unwrap_or(0);
    (0..longest).flat_map(|at| lists.iter().filter_map(move |list| list.get(at).cloned())).collect()
}

/// Calls that may lead to a thing of the kind: tools that can be told its name and need nothing else.
fn finders(tools: &[ToolSpec], target: &str) -> Vec<String> {
    let names = |parameter: &Parameter| match &parameter.kind {
        ParameterKind::Choice(choices) => choices.iter().any(|choice| choice == target),
        _ => false,
    };
    let acting = tools.iter().filter(|tool| tool.effects.write);
    let finding = acting.filter(|tool| match tool.parameters.split_first() {
        Some((first, rest)) => names(first) && rest.iter().all(|parameter| parameter.default.is_some()),
        None => false,
    });
    finding.map(|tool| format!("{}({})", tool.name, quote(target))).collect()
}

/// The short pauses in turn, by the loop's counter `i`; `None` where there is one or none.
fn turns(pauses: &[String]) -> Option<String> {
    let short: Vec<&String> = pauses.iter().filter(|pause| pause.ends_with("()")).collect();
    if short.len() < 2 {
        return None;
    }
    let parts = short.iter().enumerate().map(|(turn, pause)| match turn + 1 {
        last if last == short.len() => format!("{pause};"),
        _ => format!("if (i % {} === {turn}) {pause};", short.len()),
    });
    Some(parts.collect::<Vec<_>>().join(" else "))
}

/// Turns to the sides in turn, by the loop's counter `i`: tools whose one needed argument has a few values, in two orders.
fn sides(tools: &[ToolSpec], call: &str) -> Vec<String> {
    let mut sides = Vec::new();
    for (tool, ways) in turning_tools(tools, call) {
        let (even, odd): (Vec<_>, Vec<_>) = ways.iter().enumerate().partition(|(at, _)| at % 2 == 0);
        // Opposites often stand side by side in a list.
        let across: Vec<&String> = even.into_iter().chain(odd).map(|(_, way)| way).collect();
        for order in [across, ways.iter().collect()] {
            let list = order.iter().map(|way| quote(way)).collect::<Vec<_>>().join(", ");
            sides.push(format!("{tool}([{list}][i % {}]);", order.len()));
        }
    }
    sides
}

/// Tools that may turn an agent to its sides: they take one argument, which has a few values. With each its values. The tool of the call
/// that is to be made, as JavaScript, is none of them.
pub(crate) fn turning_tools<'a>(tools: &'a [ToolSpec], call: &str) -> Vec<(&'a str, &'a [String])> {
    let called = call.split('(').next().unwrap_or_default();
    let acting = tools.iter().filter(|tool| tool.effects.write && tool.name != called);
    let turning = acting.filter_map(|tool| match tool.parameters.as_slice() {
        [Parameter { kind: ParameterKind::Choice(ways), default: None, .. }]
            if (2..=WAYS).contains(&ways.len()) =>
        {
            Some((tool.name.as_str(), ways.as_slice()))
        }
        _ => None,
    });
    turning.collect()
}

/// Calls that may help where nothing can be done now: tools that need no argument, also with the largest number that they take.
fn pauses(tools: &[ToolSpec]) -> Vec<String> {
    let mut pauses = Vec::new();
    let acting = tools.iter().filter(|tool| tool.effects.write);
    for tool in acting.filter(|tool| tool.parameters.iter().all(|parameter| parameter.default.is_some())) {
        pauses.push(format!("{}()", tool.name));
        if let [Parameter { kind: ParameterKind::Integer { max, .. }, .. }] = tool.parameters.as_slice() {
            pauses.push(format!("{}({max})", tool.name));
        }
    }
    pauses
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;
    use sojourn_tools::Effects;

    fn tools() -> Vec<ToolSpec> {
        let tool = |name: &str, parameters: Vec<Parameter>| ToolSpec {
            parameters,
            effects: Effects { write: true, ..Effects::default() },
            ..ToolSpec::new(name, "")
        };
        let kind = ParameterKind::Choice(vec!["bush".to_owned(), "well".to_owned()]);
        let number = ParameterKind::Integer { min: 1, max: 60 };
        vec![
            ToolSpec::new("observe", ""),
            tool("reach", vec![Parameter { name: "kind".to_owned(), kind, default: None }]),
            tool("roam", vec![Parameter { name: "n".to_owned(), kind: number, default: Some(json!(10)) }]),
            tool("pick", vec![]),
        ]
    }

    fn task(name: &str, parameters: Vec<Parameter>, goal: Condition) -> TaskSpec {
        TaskSpec {
            name: name.to_owned(),
            description: String::new(),
            parameters,
            goal,
            achievement: true,
            episodes: None,
        }
    }

    #[test]
    fn a_thing_is_found_acted_on_and_looked_for_with_each_call_that_could() {
        let kind = ParameterKind::Integer { min: 1, max: 9 };
        let n = Parameter { name: "n".to_owned(), kind, default: Some(json!(1)) };
        let path = JsonPointer::of(["inventory", "berry"]);
        let goal = Condition::Increased { path, by: Amount::Param("n".to_owned()), cap: Some(9.0) };
        let task = task("collect_berry", vec![n], goal);
        let plan = RecipePlan {
            task: &task,
            call: "pick()",
            target: Some("bush"),
            target_provider: None,
            items: vec![],
            nearby: vec![],
            surroundings: None,
            finders_in_turn: true,
            turning: false,
        };
        insta::assert_snapshot!(plan.programs(&tools()).join("\n\n"), @r#"
        function collect_berry(n = 1) {
          const wanted = Math.min(observe().inventory.berry + n, 9);
          for (let i = 0; i < 40 && observe().inventory.berry < wanted; i++) {
            if (reach("bush")) pick();
            else { roam(); }
          }
        }

        function collect_berry(n = 1) {
          const wanted = Math.min(observe().inventory.berry + n, 9);
          for (let i = 0; i < 40 && observe().inventory.berry < wanted; i++) {
            if (reach("bush")) pick();
            else { roam(60); }
          }
        }
        "#);
        let unknown = RecipePlan { target: Some("moon"), ..plan };
        assert!(unknown.programs(&tools()).is_empty());
    }

    #[test]
    fn each_call_that_may_find_a_thing_is_in_one_of_the_first_programs() {
        let bush = || Parameter {
            name: "kind".to_owned(),
            kind: ParameterKind::Choice(vec!["bush".to_owned()]),
            default: None,
        };
        let tool = |name: &str, parameters: Vec<Parameter>| ToolSpec {
            parameters,
            effects: Effects { write: true, ..Effects::default() },
            ..ToolSpec::new(name, "")
        };
        let mut tools: Vec<ToolSpec> = ["strip", "reach", "seek"].map(|name| tool(name, vec![bush()])).into();
        tools.extend((0..=PROGRAMS).map(|pause| tool(&format!("rest_{pause}"), vec![])));
        let goal =
            Condition::Increased { path: JsonPointer::of(["berries"]), by: Amount::Literal(1.0), cap: None };
        let task = task("pick_berry", vec![], goal);
        let plan = RecipePlan {
            task: &task,
            call: "strip(\"bush\")",
            target: Some("bush"),
            target_provider: None,
            items: vec![],
            nearby: vec![],
            surroundings: None,
            finders_in_turn: true,
            turning: false,
        };
        let programs = plan.programs(&tools);
        assert!(programs[0].contains("if (reach(\"bush\")) strip(\"bush\");"), "{}", programs[0]);
        assert!(programs[1].contains("if (seek(\"bush\")) strip(\"bush\");"), "{}", programs[1]);
        let by_rules_before_8 = RecipePlan { finders_in_turn: false, ..plan }.programs(&tools);
        assert!(by_rules_before_8.iter().all(|program| program.contains("if (strip(")));
    }

    #[test]
    fn each_try_looks_again_at_what_is_nearby_and_turns_to_another_side() {
        let goal = Condition::Increased {
            path: JsonPointer::of(["achievements", "tie_rope"]),
            by: Amount::Literal(1.0),
            cap: None,
        };
        let task = task("tie_rope", vec![], goal);
        let plan = RecipePlan {
            task: &task,
            call: "make(\"rope\")",
            target: None,
            target_provider: None,
            items: vec![],
            nearby: vec![("loom".to_owned(), "place_loom".to_owned())],
            surroundings: Some(Surroundings::List(JsonPointer::of(["near"]))),
            finders_in_turn: true,
            turning: true,
        };
        let ways = ["left", "right", "ahead", "back"].map(str::to_owned).to_vec();
        let turn = ToolSpec {
            parameters: vec![Parameter {
                name: "way".to_owned(),
                kind: ParameterKind::Choice(ways),
                default: None,
            }],
            effects: Effects { write: true, ..Effects::default() },
            ..ToolSpec::new("turn", "")
        };
        let others = tools().into_iter().filter(|tool| tool.name != "reach");
        let tools: Vec<ToolSpec> = others.chain([turn]).collect();
        insta::assert_snapshot!(plan.programs(&tools)[0], @r#"
        function tie_rope() {
          for (let i = 0; i < 5; i++) {
            if (!observe().near.includes("loom")) place_loom();
            if (make("rope")) return true;
            turn(["left", "ahead", "right", "back"][i % 4]);
          }
          return false;
        }
        "#);
        // By earlier rules nothing turns.
        let before = RecipePlan { turning: false, ..plan }.programs(&tools);
        assert!(before.iter().all(|program| !program.contains("turn(")));
    }

    #[test]
    fn items_are_collected_by_their_providers_before_the_call() {
        let goal = Condition::Increased {
            path: JsonPointer::of(["achievements", "tie_rope"]),
            by: Amount::Literal(1.0),
            cap: None,
        };
        let task = task("tie_rope", vec![], goal);
        let item = |name: &str, count: u32, counted: bool| PlannedItem {
            held: JsonPointer::of(["inventory", name]),
            count,
            batches: None,
            provider: format!("collect_{name}"),
            counted,
        };
        let plan = RecipePlan {
            task: &task,
            call: "make(\"rope\")",
            target: None,
            target_provider: None,
            items: vec![item("reed", 4, true), item("wax", 1, false)],
            nearby: vec![("loom".to_owned(), "place_loom".to_owned())],
            surroundings: None,
            finders_in_turn: true,
            turning: false,
        };
        insta::assert_snapshot!(plan.programs(&tools()).last().unwrap(), @r#"
        function tie_rope() {
          if (observe().inventory.reed < 4) collect_reed(4 - observe().inventory.reed);
          for (let i = 0; i < 40 && observe().inventory.wax < 1; i++) collect_wax();
          place_loom();
          return make("rope");
        }
        "#);
        let surroundings = Some(Surroundings::List(JsonPointer::of(["near"])));
        let guarded = RecipePlan { surroundings, items: vec![], ..plan.clone() };
        insta::assert_snapshot!(guarded.programs(&tools())[0], @r#"
        function tie_rope() {
          if (!observe().near.includes("loom")) place_loom();
          for (let i = 0; i < 5; i++) {
            if (make("rope")) return true;
            if (i % 2 === 0) roam(); else pick();
          }
          return false;
        }
        "#);
        let surroundings = Some(Surroundings::Flags(JsonPointer::of(["near"])));
        let batches = Some((2, Batches { parameter: "n".to_owned(), made: 4 }));
        let many = PlannedItem { batches, ..item("reed", 1, true) };
        let flagged = RecipePlan { surroundings, items: vec![many], ..plan.clone() };
        insta::assert_snapshot!(flagged.programs(&tools()).last().unwrap(), @r#"
        function tie_rope() {
          if (observe().inventory.reed < 2 * Math.ceil(n / 4) + 1) collect_reed(2 * Math.ceil(n / 4) + 1 - observe().inventory.reed);
          if (!observe().near.loom) place_loom();
          return make("rope");
        }
        "#);
        let bare = RecipePlan { items: vec![], nearby: vec![], call: "pick()", ..plan.clone() };
        insta::assert_snapshot!(bare.programs(&tools())[0], @r"
        function tie_rope() {
          const wanted = observe().achievements.tie_rope + 1;
          for (let i = 0; i < 40 && observe().achievements.tie_rope < wanted; i++) {
            if (!pick()) { roam(); }
          }
        }
        ");
        let grown = RecipePlan { target: Some("bush"), target_provider: Some("plant".to_owned()), ..bare };
        insta::assert_snapshot!(grown.programs(&tools())[0], @r#"
        function tie_rope() {
          const wanted = observe().achievements.tie_rope + 1;
          for (let i = 0; i < 40 && observe().achievements.tie_rope < wanted; i++) {
            if (reach("bush")) { if (!pick()) { roam(); } }
            else plant();
          }
        }
        "#);
    }
}
