//! The agent's knowledge of the world: remembered land, and the present view.

use crate::game::{AREA, Game, Item, Kind, Material, Object, Pos, WALKABLE, named_enum};
use serde::{Deserialize, Serialize};
use std::collections::BTreeSet;
use std::sync::LazyLock;

/// The view has 9 × 7 cells: this many to the west and to the east …
const REACH_X: i32 = 4;
/// … and this many to the north and to the south.
const REACH_Y: i32 = 3;

named_enum! {
    /// Kinds of things that `go_to` can find.
    pub enum Thing {
        Tree = "tree",
        Stone = "stone",
        Water = "water",
        Grass = "grass",
        Coal = "coal",
        Iron = "iron",
        Diamond = "diamond",
        Table = "table",
        Furnace = "furnace",
        Cow = "cow",
        Zombie = "zombie",
        Skeleton = "skeleton",
        Plant = "plant",
        RipePlant = "ripe_plant",
    }
}

/// Remembered land and plants.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub(crate) struct Sight {
    land: Vec<Option<Material>>,
    plants: BTreeSet<Pos>,
    /// Direction of the last exploration, which the next one continues.
    pub(crate) heading: (f64, f64),
}

/// The game, restricted to what the agent may know.
#[derive(Clone, Copy)]
pub(crate) struct Scene<'a> {
    pub(crate) game: &'a Game,
    pub(crate) sight: &'a Sight,
}

/// The cells in view from `here`; some may lie outside the map.
pub(crate) fn view(here: Pos) -> impl Iterator<Item = Pos> {
    (here.x - REACH_X..=here.x + REACH_X)
        .flat_map(move |x| (here.y - REACH_Y..=here.y + REACH_Y).map(move |y| Pos::new(x, y)))
}

impl Thing {
    /// The thing that a cell of `material` is, if there is a reason to go there.
    fn of_material(material: Material) -> Option<Self> {
        // Asked for every cell in every step.
        static THINGS: LazyLock<Vec<Option<Thing>>> =
            LazyLock::new(|| Material::ALL.iter().map(|material| Thing::named(material.name())).collect());
        THINGS.get(material as usize).copied().flatten()
    }

    /// Whether an object is one of these. A ripe plant is also a plant.
    pub(crate) fn is(self, kind: Kind) -> bool {
        match self {
            Self::RipePlant => kind.is_ripe(),
            _ => self.name() == kind.name(),
        }
    }

    /// Whether the thing moves, so that its position is known only while it is in view.
    pub(crate) fn is_creature(self) -> bool {
        matches!(self, Self::Cow | Self::Zombie | Self::Skeleton)
    }
}

impl Sight {
    /// No knowledge.
    pub(crate) fn new() -> Self {
        Self { land: vec![None; (AREA * AREA) as usize], plants: BTreeSet::new(), heading: (0.0, 0.0) }
    }

    /// Records what is in view.
    pub(crate) fn look(&mut self, game: &Game) {
        for pos in view(game.position()) {
            let Some(i) = pos.index() else { continue };
            self.land[i] = game.world().material(pos);
            if matches!(game.world().object_at(pos), Some(Object { kind: Kind::Plant { .. }, .. })) {
                self.plants.insert(pos);
            } else {
                self.plants.remove(&pos);
            }
        }
    }

    pub(crate) fn material(&self, pos: Pos) -> Option<Material> {
        pos.index().and_then(|i| self.land[i])
    }

    pub(crate) fn is_unseen(&self, pos: Pos) -> bool {
        pos.index().is_some_and(|i| self.land[i].is_none())
    }

    /// Validates knowledge that was loaded from a snapshot.
    pub(crate) fn is_sound(&self) -> bool {
        self.land.len() == (AREA * AREA) as usize
            && self.plants.iter().all(|pos| pos.index().is_some())
            && self.heading.0.is_finite()
            && self.heading.1.is_finite()
    }
}

impl<'a> Scene<'a> {
    pub(crate) fn here(&self) -> Pos {
        self.game.position()
    }

    pub(crate) fn has(&self, item: Item) -> i32 {
        self.game.player().has(item)
    }

    /// The object on a cell in view, except the player.
    pub(crate) fn visible_object(&self, pos: Pos) -> Option<&'a Object> {
        let here = self.here();
        let in_view = (pos.x - here.x).abs() <= REACH_X && (pos.y - here.y).abs() <= REACH_Y;
        self.game.world().object_at(pos).filter(|_| in_view && pos != here)
    }

    /// Whether a known object occupies the cell: one in view, or a remembered plant.
    pub(crate) fn is_occupied(&self, pos: Pos) -> bool {
        self.visible_object(pos).is_some() || self.sight.plants.contains(&pos)
    }

    /// The thing that the land of a cell is, unless an object stands on it.
    fn land(&self, pos: Pos) -> Option<Thing> {
        let thing = self.sight.material(pos).and_then(Thing::of_material)?;
        (pos != self.here() && !self.is_occupied(pos)).then_some(thing)
    }

    /// Moving objects in view, nearest first.
    pub(crate) fn creatures(&self) -> Vec<&'a Object> {
        let here = self.here();
        let mut found: Vec<&Object> = view(here)
            .filter_map(|pos| self.visible_object(pos))
            .filter(|object| !matches!(object.kind, Kind::Plant { .. }))
            .collect();
        found.sort_by_key(|object| (object.pos.distance(here), object.pos));
        found
    }

    /// Known positions of a kind of thing.
    pub(crate) fn places(&self, thing: Thing) -> BTreeSet<Pos> {
        if thing.is_creature() || thing == Thing::RipePlant {
            let in_view =
                view(self.here()).filter(|&p| self.visible_object(p).is_some_and(|o| thing.is(o.kind)));
            return in_view.collect();
        }
        if thing == Thing::Plant {
            return self.sight.plants.clone();
        }
        Pos::all().filter(|&pos| self.land(pos) == Some(thing)).collect()
    }

    /// The nearest known position of each known kind.
    pub(crate) fn nearest(&self) -> Vec<(Thing, Pos)> {
        let here = self.here();
        let mut best: [Option<(i32, Pos)>; Thing::ALL.len()] = [None; Thing::ALL.len()];
        let mut offer = |thing: Thing, pos: Pos| {
            let candidate = (here.distance(pos), pos);
            let slot = &mut best[thing as usize];
            if slot.is_none_or(|known| candidate < known) {
                *slot = Some(candidate);
            }
        };
        for pos in Pos::all() {
            if let Some(thing) = self.land(pos) {
                offer(thing, pos);
            }
        }
        for thing in [Thing::Cow, Thing::Zombie, Thing::Skeleton, Thing::Plant, Thing::RipePlant] {
            for pos in self.places(thing) {
                offer(thing, pos);
            }
        }
        Thing::ALL.iter().filter_map(|&thing| best[thing as usize].map(|(_, pos)| (thing, pos))).collect()
    }

    /// Name of what the player faces: an object or a material, or "edge" at the end of the map.
    pub(crate) fn facing(&self) -> &'static str {
        let ahead = self.game.ahead();
        match self.game.world().object_at(ahead) {
            Some(object) if object.kind.is_ripe() => Thing::RipePlant.name(),
            Some(object) => object.kind.name(),
            None => self.game.world().material(ahead).map_or("edge", Material::name),
        }
    }

    /// Whether the player can walk onto a cell, as far as known.
    pub(crate) fn is_walkable(&self, pos: Pos) -> bool {
        self.sight.material(pos).is_some_and(|m| WALKABLE.contains(&m)) && !self.is_occupied(pos)
    }

    /// Materials close enough for crafting, by the game's rule.
    pub(crate) fn nearby(&self) -> BTreeSet<&'static str> {
        let materials = self.game.world().nearby(self.here(), 1);
        materials.filter(|m| !WALKABLE.contains(m)).map(Material::name).collect()
    }
}
