//! The primitives `sleep` and `noop`.

use super::{Effect, Next};
use crate::game::{Achievement, Item, MAX_ITEM, Move};
use crate::sight::Scene;
use sojourn_tools::Need;

/// Actions after which `sleep` ends without success.
const LONGEST_SLEEP: u32 = 400;

pub(super) fn sleep(woken: &mut Option<u32>, scene: Scene<'_>, actions: u32) -> Next {
    let player = scene.game.player();
    let count = player.count(Achievement::WakeUp);
    let before = *woken.get_or_insert(count);
    if count > before {
        return Next::done(format!("slept {actions} steps and woke up rested"));
    }
    if actions == 0 && !player.sleeping() {
        let energy = scene.has(Item::Energy);
        if energy >= MAX_ITEM {
            let until = "energy is below 9".to_owned();
            return Next::lacking(
                format!("not tired: energy is {energy}; sleeping needs energy below {MAX_ITEM}"),
                vec![Need::Later { until }],
            );
        }
        return Next::Act(Move::Sleep);
    }
    if !player.sleeping() {
        let health = scene.has(Item::Health);
        return Next::failed(format!("woken up by harm after {actions} steps, health {health}"));
    }
    if actions >= LONGEST_SLEEP {
        return Next::failed(format!("still asleep after {actions} steps"));
    }
    Next::Act(Move::Noop)
}

/// Waits, and stops when the player is hurt.
pub(super) fn wait(steps: u32, scene: Scene<'_>, actions: u32, effect: Option<&Effect>) -> Next {
    if effect.is_some_and(|effect| effect.hurt) && actions < steps {
        let health = scene.has(Item::Health);
        return Next::failed(format!("hurt after waiting {actions} of {steps} steps, health {health}"));
    }
    if actions >= steps {
        return Next::done(format!("waited {actions} steps"));
    }
    Next::Act(Move::Noop)
}
