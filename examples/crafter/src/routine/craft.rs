//! The primitives `place` and `make`.

use super::{Effect, Next, explain, unmet};
use crate::game::{Direction, Material, Move, Placing, making, placing};
use crate::path::turn;
use crate::sight::Scene;
use sojourn_tools::Need;

/// Actions after which the search for a free cell ends.
const MOST_ACTIONS: u32 = 12;

pub(super) fn place(action: Move, scene: Scene<'_>, actions: u32, effect: Option<&Effect>) -> Next {
    let Some(rule) = placing(action) else { return Next::failed(format!("`{action}` places nothing")) };
    let thing = action.name().trim_start_matches("place_");
    if effect.is_some_and(|effect| effect.achieved.contains(&rule.achievement)) {
        return Next::done(format!("placed {thing}"));
    }
    let missing = unmet(scene, &[(rule.uses, rule.count)]);
    if !missing.is_empty() {
        return Next::lacking(format!("cannot place {thing}: {}", explain(&missing)), missing);
    }
    if scene.game.world().is_free(scene.game.ahead(), rule.onto) {
        return Next::Act(action);
    }
    match turn_to_place(rule, scene) {
        Some(way) if actions < MOST_ACTIONS => Next::Act(turn(way)),
        _ => {
            let ground: Vec<&str> = rule.onto.iter().map(|m| m.name()).collect();
            Next::failed(format!("cannot place {thing} here: no free {} ahead; walk on", ground.join(", ")))
        }
    }
}

/// Direction to turn or step so that the cell ahead accepts the placed thing.
fn turn_to_place(rule: Placing, scene: Scene<'_>) -> Option<Direction> {
    let here = scene.here();
    let fits =
        |pos| scene.sight.material(pos).is_some_and(|m| rule.onto.contains(&m)) && !scene.is_occupied(pos);
    let rank = |way: Direction| {
        let (next, beyond) = (here.step(way), here.step(way).step(way));
        if !scene.is_walkable(next) {
            // Facing the cell takes one turn. On lava, turning would step instead.
            (fits(next) && scene.sight.material(next) != Some(Material::Lava)).then_some(0)
        } else if fits(beyond) {
            Some(1)
        } else {
            Some(2)
        }
    };
    Direction::ALL.into_iter().filter_map(|way| Some((rank(way)?, way))).min().map(|(_, way)| way)
}

pub(super) fn make(action: Move, scene: Scene<'_>, effect: Option<&Effect>) -> Next {
    let Some(rule) = making(action) else { return Next::failed(format!("`{action}` makes nothing")) };
    let item = rule.gives;
    if effect.is_some_and(|effect| effect.achieved.contains(&rule.achievement)) {
        return Next::done(format!("made {item} (have {})", scene.has(item)));
    }
    let near = scene.nearby();
    let nearby = rule.nearby.iter().filter(|m| !near.contains(m.name()));
    let mut missing: Vec<Need> = nearby.map(|m| Need::Nearby { kind: m.name().to_owned() }).collect();
    missing.extend(unmet(scene, rule.uses));
    if !missing.is_empty() {
        return Next::lacking(format!("cannot make {item}: {}", explain(&missing)), missing);
    }
    if effect.is_some() {
        return Next::failed(format!("could not make {item} now"));
    }
    Next::Act(action)
}
