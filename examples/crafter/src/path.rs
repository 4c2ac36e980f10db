//! Shortest paths over known land.

use crate::game::{AREA, Direction, Item, Material, Move, Pos};
use crate::sight::Scene;
use std::cmp::Reverse;
use std::collections::BinaryHeap;

/// Cost of a step onto free land, in tenths of a step.
const WALK: u32 = 10;
/// Cost of a step through stone: digging takes a step, and sometimes another to turn.
const DIG: u32 = 22;

/// What a path may lead through.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Terms {
    /// Stone, by digging.
    pub(crate) dig: bool,
    /// Cells occupied by a creature.
    pub(crate) creatures: bool,
}

impl Terms {
    /// The terms that the player's tools allow now.
    pub(crate) fn now(scene: Scene<'_>) -> Self {
        Self { dig: scene.has(Item::WoodPickaxe) > 0, creatures: false }
    }
}

/// Shortest paths from the player's position (Dijkstra).
pub(crate) struct Ways {
    start: Pos,
    cost: Vec<Option<u32>>,
    from: Vec<Option<Pos>>,
}

fn entry_cost(scene: Scene<'_>, pos: Pos, terms: Terms) -> Option<u32> {
    let cost = match scene.sight.material(pos)? {
        Material::Grass | Material::Sand | Material::Path => WALK,
        Material::Stone if terms.dig => DIG,
        _ => return None,
    };
    (terms.creatures || !scene.is_occupied(pos)).then_some(cost)
}

impl Ways {
    /// Searches until the nearest cell that satisfies `goal`, which is returned as well, or else everywhere.
    pub(crate) fn search(scene: Scene<'_>, terms: Terms, goal: impl Fn(Pos) -> bool) -> (Self, Option<Pos>) {
        let start = scene.here();
        let cells = (AREA * AREA) as usize;
        let mut ways = Self { start, cost: vec![None; cells], from: vec![None; cells] };
        let mut queue = BinaryHeap::from([Reverse((0, start))]);
        if let Some(i) = start.index() {
            ways.cost[i] = Some(0);
        }
        while let Some(Reverse((cost, pos))) = queue.pop() {
            if ways.cost(pos).is_some_and(|known| cost > known) {
                continue;
            }
            if goal(pos) {
                return (ways, Some(pos));
            }
            for way in Direction::ALL {
                let next = pos.step(way);
                let (Some(i), Some(entry)) = (next.index(), entry_cost(scene, next, terms)) else { continue };
                if ways.cost[i].is_none_or(|known| cost + entry < known) {
                    ways.cost[i] = Some(cost + entry);
                    ways.from[i] = Some(pos);
                    queue.push(Reverse((cost + entry, next)));
                }
            }
        }
        (ways, None)
    }

    /// Cost of reaching a cell, in tenths of a step; `None` if it is unreachable.
    pub(crate) fn cost(&self, pos: Pos) -> Option<u32> {
        pos.index().and_then(|i| self.cost[i])
    }

    /// Direction of the first step to `goal`; `None` if the player is there or it is unreachable.
    pub(crate) fn first_step(&self, goal: Pos) -> Option<Direction> {
        let mut pos = goal;
        loop {
            let before = pos.index().and_then(|i| self.from[i])?;
            if before == self.start {
                return Direction::from_delta(pos.x - before.x, pos.y - before.y);
            }
            pos = before;
        }
    }
}

/// The action that moves into the adjacent cell, or digs away stone in it.
pub(crate) fn approach(scene: Scene<'_>, way: Direction) -> Move {
    let stone = scene.sight.material(scene.here().step(way)) == Some(Material::Stone);
    if stone && scene.game.player().facing() == way { Move::Do } else { turn(way) }
}

/// The action that turns, and also steps if the cell is free.
pub(crate) fn turn(way: Direction) -> Move {
    match way {
        Direction::Left => Move::Left,
        Direction::Right => Move::Right,
        Direction::Up => Move::Up,
        Direction::Down => Move::Down,
    }
}
