//! Generates terrain from noise, then animals and monsters.

use super::noise::Noise;
use super::position::Pos;
use super::rules::{Material, WALKABLE};
use super::world::{Kind, Object, World};
use std::collections::HashSet;

/// Wavelengths of noise, each with its weight.
type Octaves<'a> = &'a [(f64, f64)];

struct Generator<'a> {
    world: &'a mut World,
    noise: Noise,
    player: Pos,
    /// Cells where skeletons may live.
    tunnels: HashSet<Pos>,
}

/// Fills the map around the player, who is already in the world.
pub(super) fn generate(world: &mut World, player: Pos) {
    let seed = world.rng.below((1 << 31) - 1);
    let noise = Noise::new(i64::from(seed));
    let mut generator = Generator { world, noise, player, tunnels: HashSet::new() };
    for pos in Pos::all() {
        let material = generator.material(pos);
        generator.world.set_material(pos, material);
    }
    for pos in Pos::all() {
        generator.settle(pos);
    }
}

impl Generator<'_> {
    fn sum(&self, x: f64, y: f64, layer: f64, octaves: Octaves<'_>) -> f64 {
        octaves
            .iter()
            .fold(0.0, |sum, (size, weight)| sum + weight * self.noise.at([x / size, y / size, layer]))
    }

    fn normalised(&self, x: f64, y: f64, layer: f64, octaves: Octaves<'_>) -> f64 {
        self.sum(x, y, layer, octaves) / octaves.iter().map(|(_, weight)| weight).sum::<f64>()
    }

    fn chance(&mut self, above: f64) -> bool {
        self.world.rng.uniform() > above
    }

    fn distance_to_player(&self, pos: Pos) -> f64 {
        let (dx, dy) = (f64::from(pos.x - self.player.x), f64::from(pos.y - self.player.y));
        (dx * dx + dy * dy).sqrt()
    }

    /// The order of the tests matters, because each may draw a random number.
    fn material(&mut self, pos: Pos) -> Material {
        let (x, y) = (f64::from(pos.x), f64::from(pos.y));
        let near_start = 4.0 - self.distance_to_player(pos) + 2.0 * self.noise(x, y, 8.0, 3.0);
        let start = 1.0 / (1.0 + (-near_start).exp());
        let water = self.sum(x, y, 3.0, &[(15.0, 1.0), (5.0, 0.15)]) + 0.1 - 2.0 * start;
        let mountain = self.normalised(x, y, 0.0, &[(15.0, 1.0), (5.0, 0.3)]) - (4.0 * start + 0.3 * water);
        if start > 0.5 {
            Material::Grass
        } else if mountain > 0.15 {
            self.mountain(pos, mountain)
        } else if 0.25 < water && water <= 0.35 && self.noise(x, y, 4.0, 9.0) > -0.2 {
            Material::Sand
        } else if 0.3 < water {
            Material::Water
        } else if self.noise(x, y, 5.0, 7.0) > 0.0 && self.chance(0.8) {
            Material::Tree
        } else {
            Material::Grass
        }
    }

    fn mountain(&mut self, pos: Pos, height: f64) -> Material {
        let (x, y) = (f64::from(pos.x), f64::from(pos.y));
        if self.noise(x, y, 6.0, 7.0) > 0.15 && height > 0.3 {
            Material::Path
        } else if self.noise(2.0 * x, y / 5.0, 7.0, 3.0) > 0.4 || self.noise(x / 5.0, 2.0 * y, 7.0, 3.0) > 0.4
        {
            self.tunnels.insert(pos);
            Material::Path
        } else if self.noise(x, y, 1.0, 8.0) > 0.0 && self.chance(0.85) {
            Material::Coal
        } else if self.noise(x, y, 2.0, 6.0) > 0.4 && self.chance(0.75) {
            Material::Iron
        } else if height > 0.18 && self.chance(0.994) {
            Material::Diamond
        } else if height > 0.3 && self.noise(x, y, 6.0, 5.0) > 0.35 {
            Material::Lava
        } else {
            Material::Stone
        }
    }

    fn noise(&self, x: f64, y: f64, layer: f64, size: f64) -> f64 {
        self.noise.at([x / size, y / size, layer])
    }

    fn settle(&mut self, pos: Pos) {
        let Some(material) = self.world.material(pos).filter(|m| WALKABLE.contains(m)) else { return };
        let distance = self.distance_to_player(pos);
        if distance > 3.0 && material == Material::Grass && self.chance(0.985) {
            self.world.add(Object::cow(pos));
        } else if distance > 10.0 && self.chance(0.993) {
            self.world.add(Object::zombie(pos));
        } else if material == Material::Path && self.tunnels.contains(&pos) && self.chance(0.95) {
            self.world.add(Object::skeleton(pos));
        }
    }
}

impl Object {
    pub(super) const fn cow(pos: Pos) -> Self {
        Self { pos, health: 3, kind: Kind::Cow }
    }

    pub(super) const fn zombie(pos: Pos) -> Self {
        Self { pos, health: 5, kind: Kind::Zombie { cooldown: 0 } }
    }

    pub(super) const fn skeleton(pos: Pos) -> Self {
        Self { pos, health: 3, kind: Kind::Skeleton { reload: 0 } }
    }
}
