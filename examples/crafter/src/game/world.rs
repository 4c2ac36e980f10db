use super::position::{AREA, Direction, Pos};
use super::rng::Rng;
use super::rules::Material;
use serde::{Deserialize, Serialize};

/// Side of the squares in which creatures are balanced, in cells.
const CHUNK: i32 = 12;

/// Identifies an object for its lifetime.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct ObjectId(pub(crate) u32);

/// The player is always the first object.
pub(crate) const PLAYER: ObjectId = ObjectId(1);

/// Something on a cell.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
pub struct Object {
    /// Position.
    pub pos: Pos,
    /// Hits it can still take. The player's health is in its inventory instead.
    pub health: i32,
    /// Kind of the object.
    pub kind: Kind,
}

/// Kinds of objects, with their state.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub enum Kind {
    /// The player.
    Player,
    /// Wanders; can be eaten after several hits.
    Cow,
    /// Hunts the player.
    Zombie {
        /// Steps until its next attack.
        cooldown: i32,
    },
    /// Shoots from a distance.
    Skeleton {
        /// Steps until its next shot.
        reload: i32,
    },
    /// Flies straight.
    Arrow {
        /// Direction of flight.
        facing: Direction,
    },
    /// A planted sapling.
    Plant {
        /// Steps since it was planted or eaten.
        grown: i32,
    },
}

/// A square of the map with its objects, in order of arrival.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Chunk {
    pub(crate) corner: (i32, i32),
    pub(crate) members: Vec<ObjectId>,
}

/// The map and all objects on it.
#[derive(Debug, Clone)]
pub struct World {
    pub(crate) rng: Rng,
    /// 0 at night, 1 at noon.
    pub(crate) daylight: f64,
    materials: Vec<Material>,
    /// Object id on each cell; 0 if there is none.
    occupants: Vec<u32>,
    /// Objects by id. Index 0 is unused, and a removed object leaves a gap.
    objects: Vec<Option<Object>>,
    /// Chunks in the order in which objects first entered them.
    chunks: Vec<Chunk>,
}

impl Kind {
    /// Name of the kind: "cow", "zombie", ….
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

    /// Whether it is a plant that can be eaten.
    pub const fn is_ripe(&self) -> bool {
        matches!(self, Self::Plant { grown } if *grown > 300)
    }

    /// Whether it is an animal or monster, which damages plants.
    pub const fn is_creature(&self) -> bool {
        matches!(self, Self::Cow | Self::Zombie { .. } | Self::Skeleton { .. })
    }
}

impl Object {
    /// Validates an object that was loaded from a snapshot.
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

    /// Cells of the chunk, column by column. Chunks at the far edges are smaller.
    pub(crate) fn cells(&self) -> impl Iterator<Item = Pos> + use<> {
        let (left, top) = self.corner;
        let (right, bottom) = ((left + CHUNK).min(AREA), (top + CHUNK).min(AREA));
        (left..right).flat_map(move |x| (top..bottom).map(move |y| Pos::new(x, y)))
    }
}

impl World {
    /// A world of water without objects.
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

    /// Daylight, from 0 to 1.
    pub fn daylight(&self) -> f64 {
        self.daylight
    }

    /// The random generator in its present state.
    pub fn rng(&self) -> &Rng {
        &self.rng
    }

    /// Material of a cell; `None` outside the map.
    pub fn material(&self, pos: Pos) -> Option<Material> {
        pos.index().map(|i| self.materials[i])
    }

    /// Object on a cell.
    pub fn object_at(&self, pos: Pos) -> Option<&Object> {
        self.id_at(pos).and_then(|id| self.object(id))
    }

    /// All objects, in order of creation.
    pub fn objects(&self) -> impl Iterator<Item = &Object> {
        self.objects.iter().flatten()
    }

    /// Materials of all cells, column by column.
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

    /// All ids assigned so far, including those of removed objects.
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

    /// Whether an object that moves on `ground` could enter the cell.
    pub(crate) fn is_free(&self, pos: Pos, ground: &[Material]) -> bool {
        self.material(pos).is_some_and(|m| ground.contains(&m)) && self.id_at(pos).is_none()
    }

    /// Adds an object to an empty cell of the map; otherwise does nothing.
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

    /// Materials in the square of cells around `pos`, up to `reach` away.
    ///
    /// Nothing if the square extends beyond the map's west or north edge, because the original slices an
    /// array with a negative index there.
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

/// Serialised form of a world, without gaps and derived data.
#[derive(Debug, Serialize, Deserialize)]
pub(crate) struct StoredWorld {
    rng: Rng,
    daylight: f64,
    materials: Vec<Material>,
    objects: Vec<Object>,
    chunks: Vec<Chunk>,
}

impl From<&World> for StoredWorld {
    /// Renumbers the objects; the game depends only on their order.
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
        // `add` has rebuilt the chunks with every object once. The stored chunks may differ only in their
        // order, and by chunks without objects.
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
