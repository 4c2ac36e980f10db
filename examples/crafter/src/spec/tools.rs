use crate::game::{Direction, Move, making, placing};
use crate::sight::Thing;
use serde_json::Value;
use sojourn_tools::{Effects, Parameter, ParameterKind, ToolSpec};

/// Default and maximum number of steps of `explore`.
pub(crate) const EXPLORE_STEPS: (u32, u32) = (10, 60);
/// Default and maximum number of steps of `noop`.
pub(crate) const WAIT_STEPS: (u32, u32) = (1, 100);
/// Default and maximum number of steps of `move`.
pub(crate) const WALK_STEPS: (u32, u32) = (1, 20);

/// Things that `place` puts down. The plant has the name of the sapling that it consumes.
pub(crate) fn placeable() -> Vec<&'static str> {
    let placed = Move::ALL.iter().filter(|&&action| placing(action).is_some());
    placed.map(|action| action.name().trim_start_matches("place_")).map(item_name).collect()
}

fn item_name(placed: &'static str) -> &'static str {
    if placed == "plant" { "sapling" } else { placed }
}

/// Items that `make` crafts.
pub(crate) fn makeable() -> Vec<&'static str> {
    Move::ALL.iter().filter_map(|&action| making(action)).map(|rule| rule.gives.name()).collect()
}

/// Names of the primitives.
pub(crate) fn tool_names() -> Vec<&'static str> {
    vec!["observe", "go_to", "explore", "interact", "place", "make", "sleep", "noop", "move", "face"]
}

pub(super) fn tools() -> Vec<ToolSpec> {
    let directions = || choice("direction", Direction::ALL.map(Direction::compass).to_vec());
    let kinds = Thing::ALL.iter().map(|thing| thing.name()).collect();
    vec![
        ToolSpec {
            effects: Effects { idempotent: true, ..Effects::default() },
            ..tool(
                "observe",
                "the present state: {health, food, drink, energy, inventory: {wood, stone, coal, iron, diamond, \
                 sapling, wood_pickaxe, ...}, near, facing, seen, dark, step}.",
                vec![],
            )
        },
        tool(
            "go_to",
            "walk until you stand next to the nearest known thing of this kind and face it. false if none has been \
             seen yet.",
            vec![choice("kind", kinds)],
        ),
        tool(
            "explore",
            "walk n steps towards unseen land, so that new things are seen.",
            vec![steps("n", EXPLORE_STEPS)],
        ),
        tool("interact", "collect, hit, eat or drink what you face.", vec![]),
        tool("place", "put this into a free cell in front of you.", vec![choice("x", placeable())]),
        tool("make", "craft this. What it needs must be near.", vec![choice("x", makeable())]),
        tool("sleep", "sleep until rested. false if you are not tired or are woken by harm.", vec![]),
        tool("noop", "wait n steps.", vec![steps("n", WAIT_STEPS)]),
        tool(
            "move",
            "walk n steps in a direction. false if something is in the way.",
            vec![directions(), steps("n", WALK_STEPS)],
        ),
        tool("face", "turn to a direction; walks one step if the cell is free.", vec![directions()]),
    ]
}

fn tool(name: &str, description: &str, parameters: Vec<Parameter>) -> ToolSpec {
    ToolSpec {
        parameters,
        effects: Effects { write: true, ..Effects::default() },
        ..ToolSpec::new(name, description)
    }
}

fn choice(name: &str, choices: Vec<&str>) -> Parameter {
    let choices = choices.into_iter().map(str::to_owned).collect();
    Parameter { name: name.to_owned(), kind: ParameterKind::Choice(choices), default: None }
}

fn steps(name: &str, (default, most): (u32, u32)) -> Parameter {
    Parameter {
        name: name.to_owned(),
        kind: ParameterKind::Integer { min: 1, max: most.into() },
        default: Some(Value::from(default)),
    }
}
