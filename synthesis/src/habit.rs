//! Habits found without a model: what is done for its own sake between the calls of a skill, so that the agent lives on.
//!
//! A habit looks at the state and acts where a sign of danger is there: a number that has fallen is raised again, or the agent puts
//! things between itself and the world and waits. Which number, which sign, which things and in which order is not known here. The
//! programs try what the world's tools and the known skills allow, and practice episodes with and without each decide.

use crate::javascript::{observed, quote};
use crate::recipe::turning_tools;
use sojourn_primitives::JsonPointer;
use sojourn_tools::{ParameterKind, ToolSpec};
use std::fmt::Write;

/// Shares of the first value at which a number counts as low.
const LOW: [f64; 3] = [1.0 / 3.0, 0.5, 2.0 / 3.0];
/// Rounds of waiting, at most.
const ROUNDS: u32 = 40;
/// Steps of one wait, at most.
const WAIT: i64 = 10;
/// How many of a thing are held for the time when the agent shuts itself in.
const STORE: u32 = 8;

/// The knowledge of a world from which habits are made.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct HabitPlan {
    /// Numbers that fall by themselves.
    pub needs: Vec<FallingNumber>,
    /// Fields that had this value before an episode ended badly, and not at its start.
    pub signs: Vec<(JsonPointer, bool)>,
    /// Things that can be put down.
    pub stores: Vec<Store>,
}

/// A number that is full at first and falls by itself, with the skill that raises it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct FallingNumber {
    /// Where the state shows it.
    pub shown: JsonPointer,
    /// Its value when nothing has happened yet.
    pub full: u64,
    /// The skill.
    pub skill: String,
}

/// A thing that a call puts down.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Store {
    /// Where the state shows how many are held.
    pub held: JsonPointer,
    /// The call, as JavaScript.
    pub call: String,
    /// The skill that brings it, which takes a number.
    pub provider: String,
    /// Where the state shows the tools that the skill needs.
    pub tools: Vec<JsonPointer>,
}

impl HabitPlan {
    /// Sources of habits with this name, the simplest first.
    pub fn programs(&self, name: &str, tools: &[ToolSpec]) -> Vec<String> {
        let mut bodies = self.meeting_needs();
        for (sign, value) in &self.signs {
            let sign = format!("{} === {value}", observed(sign));
            bodies.extend(self.sheltering(&sign, "", tools));
            // Neither helps much alone where one dies of the other soon.
            let early = self.needs_below(LOW[LOW.len() - 1], None);
            if !early.is_empty() {
                let before = format!("  if (!({sign})) {{\n{early}  }}\n");
                bodies.extend(self.sheltering(&sign, &before, tools));
            }
        }
        bodies.into_iter().map(|body| format!("function {name}() {{\n{body}}}")).collect()
    }

    /// Raises numbers that are low: all of them, and all but one.
    fn meeting_needs(&self) -> Vec<String> {
        let count = self.needs.len();
        let mut left_out: Vec<Option<usize>> = vec![None];
        if count > 1 {
            left_out.extend((0..count).map(Some));
        }
        let bodies = left_out.into_iter().flat_map(|out| LOW.map(|share| self.needs_below(share, out)));
        bodies.filter(|body| !body.is_empty()).collect()
    }

    /// Raises the numbers that are at this share of their first value or below it, but for one.
    fn needs_below(&self, share: f64, but: Option<usize>) -> String {
        let mut text = String::new();
        for (at, need) in self.needs.iter().enumerate().filter(|(at, _)| Some(*at) != but) {
            let low = (need.full as f64 * share).floor();
            let (shown, full, skill) = (observed(&need.shown), need.full, &need.skill);
            let counter = format!("i{at}");
            let _ = write!(
                text,
                "  if ({shown} <= {low}) {{\n    for (let {counter} = 0; {counter} < {full} && {shown} < {full}; {counter}++) {{\n      \
                 if (!{skill}()) break;\n    }}\n  }}\n"
            );
        }
        text
    }

    /// While the sign is there: waits, after it has put things on all sides or not. `before` comes first.
    fn sheltering(&self, sign: &str, before: &str, tools: &[ToolSpec]) -> Vec<String> {
        let waits = waits(tools);
        let mut bodies = Vec::new();
        for wait in waits.iter().take(2) {
            bodies.push(format!(
                "{before}  for (let i = 0; i < {ROUNDS} && {sign}; i++) {{\n    if (!({wait})) break;\n  }}\n"
            ));
        }
        let Some(wait) = waits.first() else { return bodies };
        for store in &self.stores {
            for (turn, orders) in turns(tools, &store.call) {
                for order in orders {
                    let list = order.iter().map(|way| quote(way)).collect::<Vec<_>>().join(", ");
                    let (held, call) = (observed(&store.held), &store.call);
                    let mut body = before.to_owned();
                    let equipped: Vec<String> =
                        store.tools.iter().map(|tool| format!(" && {} > 0", observed(tool))).collect();
                    let equipped = equipped.concat();
                    let provider = &store.provider;
                    // Things that are put down later are brought first.
                    let _ = write!(
                        body,
                        "  if (!({sign}){equipped} && {held} < {STORE}) {provider}({STORE} - {held});\n  for (let i = 0; i < {ROUNDS} && {sign}; i++) {{\n    if (i > 0 && ({wait})) continue;\n    \
                         for (const way of [{list}]) {{\n      {turn}(way);\n      {call};\n    }}\n  }}\n"
                    );
                    bodies.push(body);
                }
            }
        }
        bodies
    }
}

/// Ways to let time pass that return whether they did, the one with most parts first.
fn waits(tools: &[ToolSpec]) -> Vec<String> {
    let acting = tools.iter().filter(|tool| tool.effects.write);
    let (mut long, mut short) = (Vec::new(), Vec::new());
    for tool in acting {
        match tool.parameters.as_slice() {
            [] => short.push(format!("{}()", tool.name)),
            [one] if one.default.is_some() => {
                if let ParameterKind::Integer { min, max } = one.kind {
                    long.push(format!("{}({})", tool.name, WAIT.clamp(min, max)));
                }
            }
            _ => {}
        }
    }
    // What needs no number may be refused; then time has to pass otherwise.
    let pairs =
        long.iter().rev().flat_map(|long| short.iter().rev().map(move |short| format!("{short} || {long}")));
    pairs.take(1).chain(long.iter().rev().cloned()).collect()
}

/// Tools that turn an agent to its sides: their one needed argument has a few values, which are tried in turn and back. With each tool
/// the orders that could matter: where it starts is all the same, so the first value stays first.
fn turns(tools: &[ToolSpec], call: &str) -> Vec<(String, Vec<Vec<String>>)> {
    let mut found: Vec<(String, Vec<Vec<String>>)> = Vec::new();
    for (tool, ways) in turning_tools(tools, call) {
        let mut orders = Vec::new();
        for there in orders_of(&ways[1..]) {
            let there: Vec<String> = std::iter::once(ways[0].clone()).chain(there).collect();
            for start in 0..there.len() {
                let mut back: Vec<String> = there.iter().rev().cloned().collect();
                back.rotate_left(start);
                orders.push(there.iter().cloned().chain(back).collect());
            }
        }
        found.push((tool.to_owned(), orders));
    }
    found
}

/// All orders of a few values.
fn orders_of(values: &[String]) -> Vec<Vec<String>> {
    if values.is_empty() {
        return vec![Vec::new()];
    }
    let mut orders = Vec::new();
    for (at, first) in values.iter().enumerate() {
        let rest: Vec<String> =
            values.iter().enumerate().filter(|(i, _)| *i != at).map(|(_, v)| v.clone()).collect();
        for mut order in orders_of(&rest) {
            order.insert(0, first.clone());
            orders.push(order);
        }
    }
    orders
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;
    use sojourn_tools::{Effects, Parameter};

    fn tools() -> Vec<ToolSpec> {
        let tool = |name: &str, parameters: Vec<Parameter>| ToolSpec {
            parameters,
            effects: Effects { write: true, ..Effects::default() },
            ..ToolSpec::new(name, "")
        };
        let ways = ParameterKind::Choice(["left", "right", "ahead"].map(str::to_owned).to_vec());
        let number = ParameterKind::Integer { min: 1, max: 60 };
        vec![
            ToolSpec::new("observe", ""),
            tool("turn", vec![Parameter { name: "way".to_owned(), kind: ways, default: None }]),
            tool("rest", vec![]),
            tool("stay", vec![Parameter { name: "n".to_owned(), kind: number, default: Some(json!(1)) }]),
        ]
    }

    fn plan() -> HabitPlan {
        let need = |name: &str, skill: &str| FallingNumber {
            shown: JsonPointer::of([name]),
            full: 9,
            skill: skill.to_owned(),
        };
        HabitPlan {
            needs: vec![need("warmth", "light_fire"), need("salt", "lick_block")],
            signs: vec![(JsonPointer::of(["storm"]), true)],
            stores: vec![Store {
                held: JsonPointer::of(["bag", "sack"]),
                call: "drop(\"sack\")".to_owned(),
                provider: "fill_sack".to_owned(),
                tools: vec![JsonPointer::of(["bag", "spade"])],
            }],
        }
    }

    #[test]
    fn low_numbers_are_raised_until_they_are_full() {
        let plan = HabitPlan { signs: vec![], ..plan() };
        let programs = plan.programs("habit", &tools());
        // Three shares of all needs, and of all but each one.
        assert_eq!(programs.len(), 9);
        insta::assert_snapshot!(programs[1], @r"
        function habit() {
          if (observe().warmth <= 4) {
            for (let i0 = 0; i0 < 9 && observe().warmth < 9; i0++) {
              if (!light_fire()) break;
            }
          }
          if (observe().salt <= 4) {
            for (let i1 = 0; i1 < 9 && observe().salt < 9; i1++) {
              if (!lick_block()) break;
            }
          }
        }
        ");
        assert!(!programs[3].contains("light_fire") && programs[3].contains("lick_block"));
    }

    #[test]
    fn shelters_are_built_of_each_order_of_the_sides() {
        let plan = HabitPlan { needs: vec![], ..plan() };
        let programs = plan.programs("habit", &tools());
        // Two that only wait; two orders of the other sides, each with three ways back.
        assert_eq!(programs.len(), 2 + 2 * 3);
        insta::assert_snapshot!(programs[2], @r#"
        function habit() {
          if (!(observe().storm === true) && observe().bag.spade > 0 && observe().bag.sack < 8) fill_sack(8 - observe().bag.sack);
          for (let i = 0; i < 40 && observe().storm === true; i++) {
            if (i > 0 && (rest() || stay(10))) continue;
            for (const way of ["left", "right", "ahead", "ahead", "right", "left"]) {
              turn(way);
              drop("sack");
            }
          }
        }
        "#);
        assert!(plan.programs("habit", &[]).is_empty(), "nothing lets time pass");
        let unique: std::collections::BTreeSet<_> = programs.iter().collect();
        assert_eq!(unique.len(), programs.len());
    }
}
