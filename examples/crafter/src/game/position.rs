use serde::{Deserialize, Serialize};

/// Width and height of the map, in cells.
pub const AREA: i32 = 64;

/// A cell. `x` grows to the east (right) and `y` to the south (down); both are 0 to [`AREA`] − 1 on the map.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct Pos {
    /// Column.
    pub x: i32,
    /// Row.
    pub y: i32,
}

/// The four directions, in Crafter's order.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub enum Direction {
    /// West.
    Left,
    /// East.
    Right,
    /// North.
    Up,
    /// South.
    Down,
}

impl Direction {
    /// All four, in Crafter's order.
    pub const ALL: [Self; 4] = [Self::Left, Self::Right, Self::Up, Self::Down];

    /// One step as (dx, dy).
    pub const fn delta(self) -> (i32, i32) {
        match self {
            Self::Left => (-1, 0),
            Self::Right => (1, 0),
            Self::Up => (0, -1),
            Self::Down => (0, 1),
        }
    }

    /// The direction with this (dx, dy), if it is one step.
    pub fn from_delta(dx: i32, dy: i32) -> Option<Self> {
        Self::ALL.into_iter().find(|way| way.delta() == (dx, dy))
    }

    /// The opposite direction.
    #[must_use]
    pub const fn reversed(self) -> Self {
        match self {
            Self::Left => Self::Right,
            Self::Right => Self::Left,
            Self::Up => Self::Down,
            Self::Down => Self::Up,
        }
    }

    /// Compass name, such as "north".
    pub const fn compass(self) -> &'static str {
        match self {
            Self::Left => "west",
            Self::Right => "east",
            Self::Up => "north",
            Self::Down => "south",
        }
    }
}

impl Pos {
    /// The cell at (x, y).
    pub const fn new(x: i32, y: i32) -> Self {
        Self { x, y }
    }

    /// Every cell of the map, column by column.
    pub fn all() -> impl Iterator<Item = Self> {
        (0..AREA).flat_map(|x| (0..AREA).map(move |y| Self { x, y }))
    }

    /// The adjacent cell; it may lie outside the map.
    #[must_use]
    pub const fn step(self, way: Direction) -> Self {
        let (dx, dy) = way.delta();
        Self { x: self.x + dx, y: self.y + dy }
    }

    /// Index in a column-major array, or `None` outside the map.
    pub fn index(self) -> Option<usize> {
        ((0..AREA).contains(&self.x) && (0..AREA).contains(&self.y))
            .then_some((self.x * AREA + self.y) as usize)
    }

    /// Manhattan distance.
    pub const fn distance(self, other: Self) -> i32 {
        (self.x - other.x).abs() + (self.y - other.y).abs()
    }
}
