//! The primitive `interact`.

use super::{Effect, Next, unmet};
use crate::game::{Achievement, Item, Kind, MAX_ITEM, Material, Move, collecting};
use crate::sight::Scene;
use sojourn_tools::Need;

/// Hits what is ahead. A hit that cannot have an effect is refused and takes no step.
pub(super) fn interact(target: &mut Option<String>, scene: Scene<'_>, effect: Option<&Effect>) -> Next {
    if let (Some(effect), Some(target)) = (effect, target.as_deref()) {
        return report(target, scene, effect);
    }
    if let Some(refusal) = no_effect_reason(scene) {
        return refusal;
    }
    *target = Some(scene.facing().to_owned());
    Next::Act(Move::Do)
}

/// Why a hit would have no effect.
fn no_effect_reason(scene: Scene<'_>) -> Option<Next> {
    let (world, ahead) = (scene.game.world(), scene.game.ahead());
    let name = scene.facing();
    let useless = || {
        let missing = vec![Need::Facing { kind: String::new() }];
        Some(Next::lacking(format!("facing {name}: nothing to do; go_to(kind) first"), missing))
    };
    if let Some(object) = world.object_at(ahead) {
        return match object.kind {
            Kind::Plant { .. } if !object.kind.is_ripe() => {
                let until = "the plant is ripe".to_owned();
                Some(Next::lacking(
                    "the sapling is not ripe yet; come back later",
                    vec![Need::Later { until }],
                ))
            }
            Kind::Plant { .. } | Kind::Cow | Kind::Zombie { .. } | Kind::Skeleton { .. } => None,
            Kind::Arrow { .. } | Kind::Player => useless(),
        };
    }
    let Some(rule) = world.material(ahead).and_then(collecting) else { return useless() };
    if let Some(tool) = rule.requires.filter(|&tool| scene.has(tool) < 1) {
        let missing = unmet(scene, &[(tool, 1)]);
        return Some(Next::lacking(format!("cannot collect {name}: needs a {tool}, have none"), missing));
    }
    let full = rule.gives != Item::Drink && scene.has(rule.gives) >= MAX_ITEM;
    full.then(|| Next::failed(format!("cannot collect {name}: already have {MAX_ITEM} {}", rule.gives)))
}

fn report(target: &str, scene: Scene<'_>, effect: &Effect) -> Next {
    let struck = |achievement| effect.achieved.contains(&achievement);
    if struck(Achievement::DefeatZombie) || struck(Achievement::DefeatSkeleton) {
        return Next::done(format!("{target}: defeated"));
    }
    let gains: Vec<String> = effect
        .gains
        .iter()
        .filter(|(item, _)| !matches!(item, Item::Health | Item::Energy))
        .map(|&(item, more)| format!("{item} +{more} (have {})", scene.has(item)))
        .collect();
    if struck(Achievement::EatCow) || struck(Achievement::EatPlant) {
        return Next::done(format!("{target}: eaten, food {}", scene.has(Item::Food)));
    }
    if !gains.is_empty() {
        return Next::done(format!("{target}: {}", gains.join(", ")));
    }
    if struck(Achievement::CollectDrink) {
        return Next::done(format!("{target}: drank, drink {}", scene.has(Item::Drink)));
    }
    match target {
        "cow" | "zombie" | "skeleton" => Next::done(format!("{target}: hit, still alive; hit it again")),
        _ if target == Material::Grass.name() => {
            Next::failed("grass: nothing this time; a sapling comes 1 time in 10, try again")
        }
        _ => {
            let missing = vec![Need::Facing { kind: target.to_owned() }];
            Next::lacking(format!("{target}: nothing gained"), missing)
        }
    }
}
