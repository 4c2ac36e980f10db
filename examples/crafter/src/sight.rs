//! What the agent knows of the world: the land it has seen, and what it sees at the moment.

use crate::game::{AREA, Game, Item, Kind, Material, Object, Pos, WALKABLE, named_enum};
use serde::{Deserialize, Serialize};
use std::collections::BTreeSet;

/// The player sees 9 × 7 cells: this far to the west and east …
const REACH_X: i32 = 4;
/// … and this far to the north and south.
const REACH_Y: i32 = 3;

named_enum! {
    /// What can be gone to.
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

/// What is remembered: the land as it was last seen, and where saplings were planted.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub(crate) struct Sight {
    land: Vec<Option<Material>>,
    plants: BTreeSet<Pos>,
    /// Which way the last exploring went, so that the next goes on.
    pub(crate) heading: (f64, f64),
}

/// The present moment: the game as far as the agent may know it.
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
    /// What `material` is to the agent, if it is worth going to.
    fn of_material(material: Material) -> Option<Self> {
        Self::named(material.name())
    }

    /// Whether an object is one of these. A ripe plant is a plant, too.
    pub(crate) fn is(self, kind: Kind) -> bool {
        match self {
            Self::RipePlant => kind.is_ripe(),
            _ => self.name() == kind.name(),
        }
    }

    /// Whether it moves about, and is therefore known only while it is in view.
    pub(crate) fn is_creature(self) -> bool {
        matches!(self, Self::Cow | Self::Zombie | Self::Skeleton)
    }
}

impl Sight {
    /// Knows nothing.
    pub(crate) fn new() -> Self {
        Self { land: vec![None; (AREA * AREA) as usize], plants: BTreeSet::new(), heading: (0.0, 0.0) }
    }

    /// Takes in what is in view.
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

    /// Whether it can have come from looking: what is read from outside has to be checked.
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

    /// What stands on a cell that is in view, the player left out.
    pub(crate) fn visible_object(&self, pos: Pos) -> Option<&'a Object> {
        let here = self.here();
        let in_view = (pos.x - here.x).abs() <= REACH_X && (pos.y - here.y).abs() <= REACH_Y;
        self.game.world().object_at(pos).filter(|_| in_view && pos != here)
    }

    /// Whether something known stands there: in view, or a plant remembered.
    pub(crate) fn is_occupied(&self, pos: Pos) -> bool {
        self.visible_object(pos).is_some() || self.sight.plants.contains(&pos)
    }

    /// What the land is to the agent, where nothing stands on it.
    fn land(&self, pos: Pos) -> Option<Thing> {
        let thing = self.sight.material(pos).and_then(Thing::of_material)?;
        (pos != self.here() && !self.is_occupied(pos)).then_some(thing)
    }

    /// What moves in view, nearest first.
    pub(crate) fn creatures(&self) -> Vec<&'a Object> {
        let here = self.here();
        let mut found: Vec<&Object> = view(here)
            .filter_map(|pos| self.visible_object(pos))
            .filter(|object| !matches!(object.kind, Kind::Plant { .. }))
            .collect();
        found.sort_by_key(|object| (object.pos.distance(here), object.pos));
        found
    }

    /// Where things of this kind are known to be.
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

    /// The nearest known place of every kind that is known at all.
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

    /// The name of what is ahead: an object's, else the material's; "edge" at the end of the map.
    pub(crate) fn facing(&self) -> &'static str {
        let ahead = self.game.ahead();
        match self.game.world().object_at(ahead) {
            Some(object) if object.kind.is_ripe() => Thing::RipePlant.name(),
            Some(object) => object.kind.name(),
            None => self.game.world().material(ahead).map_or("edge", Material::name),
        }
    }

    /// Whether the player could walk onto a cell, as far as is known.
    pub(crate) fn is_walkable(&self, pos: Pos) -> bool {
        self.sight.material(pos).is_some_and(|m| WALKABLE.contains(&m)) && !self.is_occupied(pos)
    }

    /// Materials that crafting would find next to the player, by the game's own rule.
    pub(crate) fn nearby(&self) -> BTreeSet<&'static str> {
        let materials = self.game.world().nearby(self.here(), 1);
        materials.filter(|m| !WALKABLE.contains(m)).map(Material::name).collect()
    }
}
