//! The observation: JSON for skills and reflexes, text for the controller.

use crate::game::{Achievement, Direction, Item, Material, Object, Pos};
use crate::sight::Scene;
use serde_json::{Map, Value, json};
use sojourn_tools::Observation;

/// Daylight below which it counts as dark, and zombies multiply.
const DARK: f64 = 0.5;
/// Limit on the listed creatures, nearest first.
const MOST_CREATURES: usize = 6;

/// The present observation.
pub(crate) fn observation(scene: Scene<'_>) -> Observation {
    Observation::new(text(scene), state(scene))
}

/// The carried items, in the order of the game's inventory.
fn carried() -> impl Iterator<Item = Item> {
    Item::ALL.iter().copied().skip(4)
}

/// The state. It lists every item and achievement, also those with count 0, so that a skill can compare
/// before and after.
pub(crate) fn state(scene: Scene<'_>) -> Value {
    let (game, here) = (scene.game, scene.here());
    let offset = |pos: Pos| (pos.x - here.x, pos.y - here.y);
    let inventory: Map<String, Value> =
        carried().map(|item| (item.name().to_owned(), scene.has(item).into())).collect();
    let seen: Map<String, Value> = scene
        .nearest()
        .into_iter()
        .map(|(thing, pos)| {
            let (dx, dy) = offset(pos);
            let place = json!({"distance": here.distance(pos), "dx": dx, "dy": dy});
            (thing.name().to_owned(), place)
        })
        .collect();
    let creatures: Vec<Value> = scene
        .creatures()
        .into_iter()
        .take(MOST_CREATURES)
        .map(|creature| {
            let (dx, dy) = offset(creature.pos);
            json!({"kind": creature.kind.name(), "dx": dx, "dy": dy})
        })
        .collect();
    let achievements: Map<String, Value> = Achievement::ALL
        .iter()
        .map(|&achievement| (achievement.name().to_owned(), game.player().count(achievement).into()))
        .collect();
    let daylight = game.world().daylight();
    json!({
        "health": scene.has(Item::Health),
        "food": scene.has(Item::Food),
        "drink": scene.has(Item::Drink),
        "energy": scene.has(Item::Energy),
        "inventory": inventory,
        "facing": scene.facing(),
        "direction": game.player().facing().compass(),
        "at": material_below(scene),
        "near": scene.nearby(),
        "creatures": creatures,
        "seen": seen,
        "sleeping": game.player().sleeping(),
        "dark": daylight < DARK,
        "daylight": (daylight * 100.0).round() / 100.0,
        "position": [here.x, here.y],
        "step": game.steps(),
        "achievements": achievements,
    })
}

fn done(scene: Scene<'_>) -> impl Iterator<Item = Achievement> + '_ {
    Achievement::ALL.iter().copied().filter(move |&achievement| scene.game.player().count(achievement) > 0)
}

fn material_below(scene: Scene<'_>) -> &'static str {
    scene.game.world().material(scene.here()).map_or("", Material::name)
}

/// A position relative to `from`, in words that small models read reliably: "2 north, 3 west", or "here".
fn bearing(from: Pos, to: Pos) -> String {
    let part = |distance: i32, minus: Direction, plus: Direction| match distance {
        0 => None,
        d if d < 0 => Some(format!("{} {}", -d, minus.compass())),
        d => Some(format!("{d} {}", plus.compass())),
    };
    let parts = [
        part(to.y - from.y, Direction::Up, Direction::Down),
        part(to.x - from.x, Direction::Left, Direction::Right),
    ];
    let parts: Vec<String> = parts.into_iter().flatten().collect();
    if parts.is_empty() { "here".to_owned() } else { parts.join(", ") }
}

fn or_none(list: &[String], separator: &str, none: &str) -> String {
    if list.is_empty() { none.to_owned() } else { list.join(separator) }
}

fn text(scene: Scene<'_>) -> String {
    let (game, here) = (scene.game, scene.here());
    let player = game.player();
    let daylight = game.world().daylight();
    let light = if daylight < DARK { "night" } else { "day" };
    let pose = if player.sleeping() { "asleep" } else { "awake" };
    let items: Vec<String> = carried()
        .filter(|&item| scene.has(item) > 0)
        .map(|item| format!("{} {item}", scene.has(item)))
        .collect();
    let nearest: Vec<String> =
        scene.nearest().into_iter().map(|(thing, pos)| format!("{thing}: {}", bearing(here, pos))).collect();
    let creature = |creature: &&Object| format!("{}: {}", creature.kind.name(), bearing(here, creature.pos));
    let creatures: Vec<String> = scene.creatures().iter().take(MOST_CREATURES).map(creature).collect();
    let near: Vec<String> = scene.nearby().into_iter().map(str::to_owned).collect();
    let achieved: Vec<String> = done(scene).map(|achievement| achievement.name().to_owned()).collect();
    [
        format!(
            "health {}, food {}, drink {}, energy {} (of 9)",
            scene.has(Item::Health),
            scene.has(Item::Food),
            scene.has(Item::Drink),
            scene.has(Item::Energy)
        ),
        format!("inventory: {}", or_none(&items, ", ", "nothing")),
        format!(
            "{pose}, on {}, facing {}: {}",
            material_below(scene),
            player.facing().compass(),
            scene.facing()
        ),
        format!("{light}, daylight {daylight:.2}, step {} of {}", game.steps(), game.length()),
        format!("nearest known: {}", or_none(&nearest, "; ", "nothing")),
        format!("creatures in view: {}", or_none(&creatures, "; ", "none")),
        format!("next to you: {}", or_none(&near, ", ", "nothing")),
        format!(
            "achievements ({} of {}): {}",
            achieved.len(),
            Achievement::ALL.len(),
            or_none(&achieved, ", ", "none yet")
        ),
    ]
    .join("\n")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn bearings_name_the_rows_first() {
        let here = Pos::new(10, 10);
        for (x, y, expected) in
            [(7, 8, "2 north, 3 west"), (11, 10, "1 east"), (10, 14, "4 south"), (10, 10, "here")]
        {
            assert_eq!(bearing(here, Pos::new(x, y)), expected);
        }
    }
}
