//! Parses calls into routines.

use super::{Call, Routine};
use crate::game::{Direction, Item, Move, making, placing};
use crate::sight::Thing;
use crate::spec::{EXPLORE_STEPS, WAIT_STEPS, WALK_STEPS, makeable, placeable, tool_names};
use serde_json::{Map, Value};
use sojourn_tools::{ToolCall, nearest};

type Arguments = Map<String, Value>;

impl Call {
    /// Parses a call. An invalid call becomes a routine that reports the error.
    pub(crate) fn parse(call: &ToolCall) -> Self {
        let routine = parse(&call.name, &call.args).unwrap_or_else(|message| Routine::Refuse { message });
        Self::new(routine)
    }
}

fn parse(name: &str, args: &Arguments) -> Result<Routine, String> {
    Ok(match name {
        "observe" => Routine::Observe,
        "go_to" => Routine::GoTo { thing: choice(args, "kind", &things(), thing)? },
        "explore" => Routine::Explore { steps: number(args, "n", EXPLORE_STEPS)?, goal: None, known: None },
        "move" => Routine::Walk {
            way: choice(args, "direction", &directions(), direction)?,
            steps: number(args, "n", WALK_STEPS)?,
        },
        "face" => Routine::Face { way: choice(args, "direction", &directions(), direction)? },
        "interact" => Routine::Interact { target: None },
        "place" => Routine::Place { action: choice(args, "x", &placeable(), placing_action)? },
        "make" => Routine::Make { action: choice(args, "x", &makeable(), making_action)? },
        "sleep" => Routine::Sleep { woken: None },
        "noop" => Routine::Wait { steps: number(args, "n", WAIT_STEPS)? },
        _ => return Err(unknown("primitive", name, &tool_names())),
    })
}

fn things() -> Vec<&'static str> {
    Thing::ALL.iter().map(|thing| thing.name()).collect()
}

fn directions() -> Vec<&'static str> {
    Direction::ALL.map(Direction::compass).to_vec()
}

/// A planted sapling is a plant.
fn thing(name: &str) -> Option<Thing> {
    if name == Item::Sapling.name() { Some(Thing::Plant) } else { Thing::named(name) }
}

/// Accepts compass names and the names of the game's actions.
fn direction(name: &str) -> Option<Direction> {
    match name {
        "west" | "left" => Some(Direction::Left),
        "east" | "right" => Some(Direction::Right),
        "north" | "up" => Some(Direction::Up),
        "south" | "down" => Some(Direction::Down),
        _ => None,
    }
}

fn placing_action(name: &str) -> Option<Move> {
    let name = if name == Item::Sapling.name() { "plant" } else { name };
    Move::named(&format!("place_{name}")).filter(|&action| placing(action).is_some())
}

fn making_action(name: &str) -> Option<Move> {
    Move::named(&format!("make_{name}")).filter(|&action| making(action).is_some())
}

fn choice<T>(
    args: &Arguments,
    parameter: &str,
    legal: &[&'static str],
    parse: impl Fn(&str) -> Option<T>,
) -> Result<T, String> {
    match args.get(parameter) {
        Some(Value::String(name)) => parse(name).ok_or_else(|| unknown(parameter, name, legal)),
        Some(other) => Err(format!("`{parameter}` must be one of {}, not {other}", legal.join(", "))),
        None => Err(format!("`{parameter}` is missing: one of {}", legal.join(", "))),
    }
}

fn unknown(what: &str, name: &str, legal: &[&'static str]) -> String {
    let hint =
        nearest(name, legal.iter().copied()).map_or_else(String::new, |n| format!("; did you mean `{n}`?"));
    format!("unknown {what} `{name}`{hint} (one of {})", legal.join(", "))
}

/// A whole number, clamped to the range of the primitive.
fn number(args: &Arguments, parameter: &str, (default, most): (u32, u32)) -> Result<u32, String> {
    match args.get(parameter) {
        None | Some(Value::Null) => Ok(default),
        Some(value) => value
            .as_f64()
            .map(|n| n.clamp(1.0, f64::from(most)) as u32)
            .ok_or_else(|| format!("`{parameter}` must be a number from 1 to {most}, not {value}")),
    }
}
