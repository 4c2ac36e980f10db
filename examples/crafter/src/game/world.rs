use super::place::{AREA, Direction, Pos};
use super::rng::Rng;
use super::rules::Material;
use serde::{Deserialize, Serialize};

/// Creatures are balanced in squares of this side.
const CHUNK: i32 = 12;

/// Names an object for as long as it exists.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct ObjectId(pub(crate) u32);

/// The player is always the first object.
pub(crate) const PLAYER: ObjectId = ObjectId(1);

/// Something that stands on a cell.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
pub struct Object {
    /// Where.
    pub pos: Pos,
    /// Hits it can still take; the player's own are in its inventory.
    pub health: i32,
    /// What it is.
    pub kind: Kind,
}

/// The kinds of objects, with what each remembers.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub enum Kind {
    /// The one who is played.
    Player,
    /// Wanders; is eaten after enough hits.
    Cow,
    /// Hunts the player.
    Zombie {
        /// Steps until it can hit again.
        cooldown: i32,
    },
    /// Shoots from a distance.
    Skeleton {
        /// Steps until it can shoot again.
        reload: i32,
    },
    /// Flies straight on.
    Arrow {
        /// Where to.
        facing: Direction,
    },
    /// A planted sapling.
    Plant {
        /// Steps since it was planted or eaten.
        grown: i32,
    },
}

/// A square of the map with the objects in it, in the order in which they came.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Chunk {
    pub(crate) corner: (i32, i32),
    pub(crate) members: Vec<ObjectId>,
}

/// The map and everything on it.
#[derive(Debug, Clone)]
pub struct World {
    pub(crate) rng: Rng,
    /// 0 at night, 1 at noon.
    pub(crate) daylight: f64,
    materials: Vec<Material>,
    /// The object on each cell; 0 where there is none.
    occupants: Vec<u32>,
    /// By id; index 0 is never used, and a removed object leaves a gap.
    objects: Vec<Option<Object>>,
    /// In the order in which they were first entered.
    chunks: Vec<Chunk>,
}

impl Kind {
    /// "cow", "zombie", ….
    pub const fn name(&self) -> &'static str {
        match self {
            Self::Player => "player",
            Self::Cow => "cow",
            Self::Zombie { .. } => "zombie",
            Self::Skeleton { .. } => "skeleton",
            Self::Arrow { .. } => "arrow",
            Self::Plant { .. } => "plant",
        }
    }

    /// A plant that can be eaten.
    pub const fn is_ripe(&self) -> bool {
        matches!(self, Self::Plant { grown } if *grown > 300)
    }

    /// One of the animals and monsters, which trample plants.
    pub const fn is_creature(&self) -> bool {
        matches!(self, Self::Cow | Self::Zombie { .. } | Self::Skeleton { .. })
    }
}

impl Object {
    /// Whether its numbers can have come from play: what is read from outside has to be checked.
    fn is_sound(&self) -> bool {
        let counter = match self.kind {
            Kind::Zombie { cooldown: counter }
            | Kind::Skeleton { reload: counter }
            | Kind::Plant { grown: counter } => counter,
            Kind::Player | Kind::Cow | Kind::Arrow { .. } => 0,
        };
        (0..=5).contains(&self.health) && (0..1 << 30).contains(&counter)
    }
}

impl Chunk {
    pub(crate) fn corner_of(pos: Pos) -> (i32, i32) {
        (pos.x / CHUNK * CHUNK, pos.y / CHUNK * CHUNK)
    }

    /// Its cells, column by column; those at the far edges are narrower.
    pub(crate) fn cells(&self) -> impl Iterator<Item = Pos> + use<> {
        let (left, top) = self.corner;
        let (right, bottom) = ((left + CHUNK).min(AREA), (top + CHUNK).min(AREA));
        (left..right).flat_map(move |x| (top..bottom).map(move |y| Pos::new(x, y)))
    }
}

impl World {
    /// An empty world of water with a seeded generator.
    pub(crate) fn new(seed: u32) -> Self {
        let cells = (AREA * AREA) as usize;
        Self {
            rng: Rng::new(seed),
            daylight: 0.0,
            materials: vec![Material::Water; cells],
            occupants: vec![0; cells],
            objects: vec![None],
            chunks: Vec::new(),
        }
    }

    /// How light it is, from 0 to 1.
    pub fn daylight(&self) -> f64 {
        self.daylight
    }

    /// The random generator, as far as it has been drawn.
    pub fn rng(&self) -> &Rng {
        &self.rng
    }

    /// What the cell is made of; `None` outside the map.
    pub fn material(&self, pos: Pos) -> Option<Material> {
        pos.index().map(|i| self.materials[i])
    }

    /// What stands on the cell.
    pub fn object_at(&self, pos: Pos) -> Option<&Object> {
        self.id_at(pos).and_then(|id| self.object(id))
    }

    /// Every object, in the order in which they came into the world.
    pub fn objects(&self) -> impl Iterator<Item = &Object> {
        self.objects.iter().flatten()
    }

    /// Every cell's material, column by column.
    pub fn materials(&self) -> &[Material] {
        &self.materials
    }

    pub(crate) fn id_at(&self, pos: Pos) -> Option<ObjectId> {
        pos.index().map(|i| self.occupants[i]).filter(|&id| id != 0).map(ObjectId)
    }

    pub(crate) fn object(&self, id: ObjectId) -> Option<&Object> {
        self.objects.get(id.0 as usize).and_then(Option::as_ref)
    }

    pub(crate) fn object_mut(&mut self, id: ObjectId) -> Option<&mut Object> {
        self.objects.get_mut(id.0 as usize).and_then(Option::as_mut)
    }

    /// The ids given out so far, those of removed objects included.
    pub(crate) fn ids(&self) -> impl Iterator<Item = ObjectId> + use<> {
        (1..self.objects.len() as u32).map(ObjectId)
    }

    pub(crate) fn chunks(&self) -> &[Chunk] {
        &self.chunks
    }

    pub(crate) fn set_material(&mut self, pos: Pos, material: Material) {
        if let Some(i) = pos.index() {
            self.materials[i] = material;
        }
    }

    /// Whether something that goes on `ground` could step there.
    pub(crate) fn is_free(&self, pos: Pos, ground: &[Material]) -> bool {
        self.material(pos).is_some_and(|m| ground.contains(&m)) && self.id_at(pos).is_none()
    }

    /// Puts an object on a cell, which must be on the map and empty; otherwise nothing happens.
    pub(crate) fn add(&mut self, object: Object) {
        let Some(cell) = object.pos.index().filter(|&i| self.occupants[i] == 0) else { return };
        let id = ObjectId(self.objects.len() as u32);
        self.occupants[cell] = id.0;
        self.enter_chunk(id, object.pos);
        self.objects.push(Some(object));
    }

    pub(crate) fn remove(&mut self, id: ObjectId) {
        let Some(object) = self.objects.get_mut(id.0 as usize).and_then(Option::take) else { return };
        if let Some(i) = object.pos.index() {
            self.occupants[i] = 0;
        }
        self.leave_chunk(id, object.pos);
    }

    /// Moves an object to an empty cell of the map.
    pub(crate) fn relocate(&mut self, id: ObjectId, to: Pos) {
        let Some(cell) = to.index().filter(|&i| self.occupants[i] == 0) else { return };
        let Some(object) = self.object_mut(id) else { return };
        let from = std::mem::replace(&mut object.pos, to);
        if let Some(i) = from.index() {
            self.occupants[i] = 0;
        }
        self.occupants[cell] = id.0;
        if Chunk::corner_of(from) != Chunk::corner_of(to) {
            self.leave_chunk(id, from);
            self.enter_chunk(id, to);
        }
    }

    /// The materials in the square of cells around `pos`, up to `reach` away.
    ///
    /// Nothing at all where the square would stick out over the map's west or north edge: the original
    /// slices an array with a negative index there.
    pub fn nearby(&self, pos: Pos, reach: i32) -> impl Iterator<Item = Material> + use<'_> {
        let (left, top) = (pos.x - reach, pos.y - reach);
        let size = if left < 0 || top < 0 { 0 } else { 2 * reach + 1 };
        (left..left + size)
            .flat_map(move |x| (top..top + size).filter_map(move |y| self.material(Pos::new(x, y))))
    }

    fn enter_chunk(&mut self, id: ObjectId, pos: Pos) {
        let corner = Chunk::corner_of(pos);
        match self.chunks.iter_mut().find(|chunk| chunk.corner == corner) {
            Some(chunk) => chunk.members.push(id),
            None => self.chunks.push(Chunk { corner, members: vec![id] }),
        }
    }

    fn leave_chunk(&mut self, id: ObjectId, pos: Pos) {
        let corner = Chunk::corner_of(pos);
        if let Some(chunk) = self.chunks.iter_mut().find(|chunk| chunk.corner == corner) {
            chunk.members.retain(|&member| member != id);
        }
    }
}

/// A world as it is stored: without gaps, and without what follows from the rest.
#[derive(Debug, Serialize, Deserialize)]
pub(crate) struct StoredWorld {
    rng: Rng,
    daylight: f64,
    materials: Vec<Material>,
    objects: Vec<Object>,
    chunks: Vec<Chunk>,
}

impl From<&World> for StoredWorld {
    /// Numbers the objects anew; nothing in the game depends on more than their order.
    fn from(world: &World) -> Self {
        let mut renumbered = vec![ObjectId(0); world.objects.len()];
        let mut objects = Vec::new();
        for (id, object) in world.objects.iter().enumerate() {
            if let Some(object) = object {
                objects.push(*object);
                renumbered[id] = ObjectId(objects.len() as u32);
            }
        }
        let chunks = world.chunks.iter().map(|chunk| Chunk {
            corner: chunk.corner,
            members: chunk.members.iter().map(|id| renumbered[id.0 as usize]).collect(),
        });
        Self {
            rng: world.rng.clone(),
            daylight: world.daylight,
            materials: world.materials.clone(),
            chunks: chunks.collect(),
            objects,
        }
    }
}

impl TryFrom<StoredWorld> for World {
    type Error = &'static str;

    fn try_from(stored: StoredWorld) -> Result<Self, Self::Error> {
        let mut world = Self::new(0);
        if stored.materials.len() != world.materials.len() {
            return Err("the map has the wrong size");
        }
        if !stored.rng.is_sound() || !stored.daylight.is_finite() {
            return Err("the clock or the random generator is damaged");
        }
        let is_player = |object: &Object| object.kind == Kind::Player;
        if !stored.objects.first().is_some_and(is_player) || stored.objects.iter().skip(1).any(is_player) {
            return Err("there must be one player, and it comes first");
        }
        if !stored.objects.iter().all(Object::is_sound) {
            return Err("an object's counter is out of range");
        }
        let count = stored.objects.len();
        for object in stored.objects {
            world.add(object);
        }
        if world.objects.len() != count + 1 {
            return Err("an object stands outside the map or on top of another");
        }
        // What `add` has rebuilt holds every object once, in its place; the stored chunks may differ from it
        // only in order, and by chunks that have been left.
        for found in &mut world.chunks {
            let mut listed = stored.chunks.iter().filter(|chunk| chunk.corner == found.corner);
            let mut members = listed.next().map_or_else(Vec::new, |chunk| chunk.members.clone());
            members.sort_unstable_by_key(|id| id.0);
            if members != found.members || listed.next().is_some() {
                return Err("the chunks do not match the objects");
            }
        }
        let occupied = stored.chunks.iter().filter(|chunk| !chunk.members.is_empty()).count();
        if occupied != world.chunks.len() {
            return Err("the chunks do not match the objects");
        }
        if stored.chunks.iter().any(|chunk| {
            Pos::new(chunk.corner.0, chunk.corner.1).index().is_none()
                || Chunk::corner_of(Pos::new(chunk.corner.0, chunk.corner.1)) != chunk.corner
        }) {
            return Err("a chunk lies outside the map");
        }
        Ok(Self {
            rng: stored.rng,
            daylight: stored.daylight,
            materials: stored.materials,
            chunks: stored.chunks,
            ..world
        })
    }
}
