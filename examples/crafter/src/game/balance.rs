//! Spawning and despawning of creatures. Their number in a chunk depends on its land and on the light.

use super::Game;
use super::position::Pos;
use super::rules::Material;
use super::world::{Kind, Object, ObjectId};

/// Population rule of one kind of creature.
struct Balance {
    is_kind: fn(&Kind) -> bool,
    spawn: fn(Pos) -> Object,
    land: Material,
    /// Minimum distance of a spawn from the player.
    spawn_distance: i32,
    /// Minimum distance of a despawn from the player.
    despawn_distance: i32,
    spawn_chance: f64,
    despawn_chance: f64,
    /// Minimum and maximum population, from the number of land cells and the daylight.
    target: fn(usize, f64) -> (f64, f64),
}

const BALANCES: [Balance; 3] = [
    Balance {
        is_kind: |kind| matches!(kind, Kind::Zombie { .. }),
        spawn: Object::zombie,
        land: Material::Grass,
        spawn_distance: 6,
        despawn_distance: 0,
        spawn_chance: 0.3,
        despawn_chance: 0.4,
        target: |space, light| (if space < 50 { 0.0 } else { 3.5 - 3.0 * light }, 3.5 - 3.0 * light),
    },
    Balance {
        is_kind: |kind| matches!(kind, Kind::Skeleton { .. }),
        spawn: Object::skeleton,
        land: Material::Path,
        spawn_distance: 7,
        despawn_distance: 7,
        spawn_chance: 0.1,
        despawn_chance: 0.1,
        target: |space, _| (if space < 6 { 0.0 } else { 1.0 }, 2.0),
    },
    Balance {
        is_kind: |kind| matches!(kind, Kind::Cow),
        spawn: Object::cow,
        land: Material::Grass,
        spawn_distance: 5,
        despawn_distance: 5,
        spawn_chance: 0.01,
        despawn_chance: 0.1,
        target: |space, light| (if space < 30 { 0.0 } else { 1.0 }, 1.5 + light),
    },
];

impl Game {
    /// Balances every chunk that has ever contained an object.
    pub(super) fn balance(&mut self) {
        for chunk in 0..self.world.chunks().len() {
            for balance in &BALANCES {
                self.balance_kind(chunk, balance);
            }
        }
    }

    fn balance_kind(&mut self, chunk: usize, balance: &Balance) {
        let chunk = &self.world.chunks()[chunk];
        let is_kind = |id: &ObjectId| self.world.object(*id).is_some_and(|o| (balance.is_kind)(&o.kind));
        let creatures: Vec<ObjectId> = chunk.members.iter().copied().filter(is_kind).collect();
        let land: Vec<Pos> =
            chunk.cells().filter(|&pos| self.world.material(pos) == Some(balance.land)).collect();
        let (least, greatest) = (balance.target)(land.len(), self.world.daylight);
        // As in the original, the targets are truncated to integers, and random numbers are drawn only if
        // needed.
        if creatures.len() < least as usize && self.world.rng.uniform() < balance.spawn_chance {
            let pos = land[self.world.rng.below(land.len() as u32) as usize];
            let away = self.position().distance(pos) >= balance.spawn_distance;
            if away && self.world.id_at(pos).is_none() {
                self.world.add((balance.spawn)(pos));
            }
        } else if creatures.len() > greatest as usize && self.world.rng.uniform() < balance.despawn_chance {
            let id = creatures[self.world.rng.below(creatures.len() as u32) as usize];
            let away = self
                .world
                .object(id)
                .is_some_and(|o| self.position().distance(o.pos) >= balance.despawn_distance);
            if away {
                self.world.remove(id);
            }
        }
    }
}
