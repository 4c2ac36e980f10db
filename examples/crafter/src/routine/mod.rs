//! Primitives, carried out one action at a time.
//!
//! Each step decides only from the present scene and the effect of the primitive's last action, so that a
//! reflex may act in between.

mod arguments;
mod craft;
mod go;
mod hands;
mod rest;

use crate::game::{Achievement, Direction, Item, Move, Pos};
use crate::sight::{Scene, Thing};
use serde::{Deserialize, Serialize};
use sojourn_tools::{Need, ToolOutcome};

/// The current call.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub(crate) struct Call {
    routine: Routine,
    /// The requested action, until it is carried out.
    wanted: Option<Move>,
    /// Number of its actions carried out.
    actions: u32,
    /// Effect of the last of them.
    effect: Option<Effect>,
}

/// Effect of one action.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub(crate) struct Effect {
    /// Items gained, with their numbers.
    pub(crate) gains: Vec<(Item, i32)>,
    /// Achievements earned.
    pub(crate) achieved: Vec<Achievement>,
    /// Whether health decreased.
    pub(crate) hurt: bool,
    /// Whether the player moved.
    pub(crate) moved: bool,
}

/// The primitives with their arguments and state.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
enum Routine {
    /// Invalid arguments.
    Refuse {
        message: String,
    },
    Observe,
    GoTo {
        thing: Thing,
    },
    Explore {
        steps: u32,
        goal: Option<Pos>,
        known: Option<Vec<Thing>>,
    },
    Walk {
        way: Direction,
        steps: u32,
    },
    Face {
        way: Direction,
    },
    /// `target` is what the last hit was aimed at.
    Interact {
        target: Option<String>,
    },
    Place {
        action: Move,
    },
    Make {
        action: Move,
    },
    /// `woken` is how often the player had woken up before.
    Sleep {
        woken: Option<u32>,
    },
    Wait {
        steps: u32,
    },
}

/// Next action, or the outcome.
pub(crate) enum Next {
    Act(Move),
    Done(ToolOutcome),
}

impl Next {
    fn done(message: impl Into<String>) -> Self {
        Self::Done(ToolOutcome::done(message))
    }

    fn failed(message: impl Into<String>) -> Self {
        Self::Done(ToolOutcome::failed(message))
    }

    fn lacking(message: impl Into<String>, missing: Vec<Need>) -> Self {
        Self::Done(ToolOutcome::lacking(message, missing))
    }
}

impl Call {
    fn new(routine: Routine) -> Self {
        Self { routine, wanted: None, actions: 0, effect: None }
    }

    /// The next action, or the outcome. `heading` is the direction of the last exploration.
    pub(crate) fn next(&mut self, scene: Scene<'_>, heading: &mut (f64, f64)) -> Next {
        let (actions, effect) = (self.actions, self.effect.as_ref());
        let next = match &mut self.routine {
            Routine::Refuse { message } => Next::failed(message.as_str()),
            Routine::Observe => {
                let value = Some(crate::observe::state(scene));
                Next::Done(ToolOutcome { value, ..ToolOutcome::done("observed") })
            }
            Routine::GoTo { thing } => go::go_to(*thing, scene, actions),
            Routine::Explore { steps, goal, known } => {
                go::explore(&mut go::Exploring { steps: *steps, goal, known, heading }, scene, actions)
            }
            Routine::Walk { way, steps } => go::walk(*way, *steps, scene, actions, effect),
            Routine::Face { way } => go::face(*way, scene, actions),
            Routine::Interact { target } => hands::interact(target, scene, effect),
            Routine::Place { action } => craft::place(*action, scene, actions, effect),
            Routine::Make { action } => craft::make(*action, scene, effect),
            Routine::Sleep { woken } => rest::sleep(woken, scene, actions),
            Routine::Wait { steps } => rest::wait(*steps, scene, actions, effect),
        };
        self.wanted = match next {
            Next::Act(action) => Some(action),
            Next::Done(_) => None,
        };
        next
    }

    /// Records an action. Only the requested one counts as the call's own.
    pub(crate) fn record_action(&mut self, action: Move, effect: Effect) {
        if self.wanted == Some(action) {
            self.wanted = None;
            self.actions = self.actions.saturating_add(1);
            self.effect = Some(effect);
        }
    }
}

/// The items of `cost` that are lacking.
fn unmet(scene: Scene<'_>, cost: &[(Item, i32)]) -> Vec<Need> {
    cost.iter()
        .filter(|&&(item, count)| scene.has(item) < count)
        .map(|&(item, count)| Need::Item {
            item: item.name().to_owned(),
            count: count.unsigned_abs(),
            have: scene.has(item).unsigned_abs(),
        })
        .collect()
}

/// Needs in words: "needs 2 wood, have 0; needs a table next to you".
fn explain(needs: &[Need]) -> String {
    let explain = |need: &Need| match need {
        Need::Item { item, count, have } => format!("needs {count} {item}, have {have}"),
        Need::Nearby { kind } => format!("needs a {kind} next to you"),
        Need::Seen { kind } => format!("no {kind} has been seen"),
        Need::Facing { kind } => format!("not facing {kind}"),
        Need::Later { until } => format!("wait until {until}"),
    };
    needs.iter().map(explain).collect::<Vec<_>>().join("; ")
}
