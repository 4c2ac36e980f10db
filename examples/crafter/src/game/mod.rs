//! The game itself, independent of agents: rules, world and one player.
//!
//! Equal seeds and actions give the same states as the original, under two conditions. The original's chunks
//! must keep their objects in insertion order; as shipped, they are sets ordered by memory address, which is
//! not reproducible. And it must not render, because rendering at night draws from the same random generator.

mod balance;
mod creatures;
mod names;
mod noise;
mod player;
mod position;
mod rng;
mod rules;
mod world;
mod worldgen;

pub use player::{Harm, Needs, Player};
pub use position::{AREA, Direction, Pos};
pub use rng::Rng;
pub use rules::{
    Achievement, Collecting, Item, MAX_ITEM, Making, Material, Move, Placed, Placing, WALKABLE, collecting,
    making, placing,
};
pub use world::{Kind, Object, ObjectId, World};

pub(crate) use names::named_enum;
pub(crate) use world::StoredWorld;

use serde::{Deserialize, Serialize};
use world::PLAYER;

/// Objects farther from the player than this are inactive.
const ACTIVE_DISTANCE: i32 = 18;
/// Upper bound of every counter in a valid game.
const LONGEST: u32 = 1 << 30;
const CENTRE: Pos = Pos::new(AREA / 2, AREA / 2);

/// A game: the sequence of episodes of a seed, and the present episode.
#[derive(Debug, Clone)]
pub struct Game {
    seed: u64,
    episode: u64,
    step: u32,
    length: u32,
    pub(crate) world: World,
    pub(crate) player: Player,
    last_health: i32,
    unlocked: [bool; Achievement::ALL.len()],
}

/// Result of a step.
#[derive(Debug, Clone, PartialEq)]
pub struct Turn {
    /// A tenth of the change in health, plus 1 if any achievement is new.
    pub reward: f64,
    /// New achievements of this episode.
    pub unlocked: Vec<Achievement>,
    /// Whether the episode is over: the player has died or the time limit was reached.
    pub over: bool,
}

impl Game {
    /// Starts the first episode of a seed. An episode has at most `length` steps; 0 means no limit.
    pub fn new(seed: u64, length: u32) -> Self {
        let mut game = Self {
            seed,
            episode: 0,
            step: 0,
            length,
            world: World::new(0),
            player: Player::new(),
            last_health: MAX_ITEM,
            unlocked: [false; Achievement::ALL.len()],
        };
        game.reset();
        game
    }

    /// Starts the next episode.
    pub fn reset(&mut self) {
        self.episode += 1;
        self.step = 0;
        self.world = World::new(rng::episode_seed(self.seed, self.episode));
        self.world.daylight = daylight(0);
        self.player = Player::new();
        self.world.add(Object { pos: CENTRE, health: 0, kind: Kind::Player });
        self.last_health = MAX_ITEM;
        self.unlocked = [false; Achievement::ALL.len()];
        worldgen::generate(&mut self.world, CENTRE);
    }

    /// Plays one step.
    pub fn step(&mut self, action: Move) -> Turn {
        self.step += 1;
        self.world.daylight = daylight(self.step);
        // Objects created in this step have their first turn in the next.
        for id in self.world.ids() {
            if id == PLAYER {
                self.update_player(action);
            } else if self.world.object(id).is_some_and(|o| self.position().distance(o.pos) < ACTIVE_DISTANCE)
            {
                self.update_object(id);
            }
        }
        if self.step.is_multiple_of(10) {
            self.balance();
        }
        self.score_step()
    }

    fn score_step(&mut self) -> Turn {
        let health = self.player.has(Item::Health);
        let mut reward = f64::from(health - self.last_health) / 10.0;
        self.last_health = health;
        let mut unlocked = Vec::new();
        for &achievement in Achievement::ALL {
            let known = &mut self.unlocked[achievement as usize];
            if !*known && self.player.count(achievement) > 0 {
                *known = true;
                unlocked.push(achievement);
            }
        }
        if !unlocked.is_empty() {
            reward += 1.0;
        }
        let over = health <= 0 || (self.length > 0 && self.step >= self.length);
        Turn { reward, unlocked, over }
    }

    /// The map and the objects on it.
    pub fn world(&self) -> &World {
        &self.world
    }

    /// The player's body.
    pub fn player(&self) -> &Player {
        &self.player
    }

    /// Position of the player.
    pub fn position(&self) -> Pos {
        self.world.object(PLAYER).map_or(CENTRE, |player| player.pos)
    }

    /// The cell that the player faces; it may lie outside the map.
    pub fn ahead(&self) -> Pos {
        self.position().step(self.player.facing)
    }

    /// Steps played in this episode.
    pub fn steps(&self) -> u32 {
        self.step
    }

    /// Length of an episode in steps; 0 means no limit.
    pub fn length(&self) -> u32 {
        self.length
    }

    /// Sets the number of an item that the player has, clamped to 0..=9.
    pub fn give(&mut self, item: Item, count: i32) {
        self.player.inventory[item as usize] = count.clamp(0, MAX_ITEM);
    }
}

/// Daylight: close to 1 for most of a day of 300 steps, 0 in the middle of the night.
fn daylight(step: u32) -> f64 {
    let progress = (f64::from(step) / 300.0) % 1.0 + 0.3;
    1.0 - (std::f64::consts::PI * progress).cos().abs().powf(3.0)
}

/// Serialised form of a game.
#[derive(Debug, Serialize, Deserialize)]
pub(crate) struct StoredGame {
    seed: u64,
    episode: u64,
    step: u32,
    length: u32,
    world: StoredWorld,
    player: Player,
    last_health: i32,
    unlocked: [bool; Achievement::ALL.len()],
}

impl From<&Game> for StoredGame {
    fn from(game: &Game) -> Self {
        Self {
            seed: game.seed,
            episode: game.episode,
            step: game.step,
            length: game.length,
            world: (&game.world).into(),
            player: game.player.clone(),
            last_health: game.last_health,
            unlocked: game.unlocked,
        }
    }
}

impl TryFrom<StoredGame> for Game {
    type Error = &'static str;

    fn try_from(stored: StoredGame) -> Result<Self, Self::Error> {
        let player = stored.player;
        let sound = player.inventory.iter().all(|count| (0..=MAX_ITEM).contains(count));
        let needs = [player.needs.hunger, player.needs.thirst, player.needs.fatigue, player.needs.recover];
        if !sound || needs.iter().any(|need| !need.is_finite()) {
            return Err("the player's inventory is out of range");
        }
        let healths = [player.last_health, stored.last_health];
        if healths.iter().any(|health| !(0..=MAX_ITEM).contains(health))
            || player.achievements.iter().any(|&count| count > LONGEST)
            || stored.step > LONGEST
            || stored.episode > LONGEST.into()
        {
            return Err("a counter is out of range");
        }
        Ok(Self {
            seed: stored.seed,
            episode: stored.episode,
            step: stored.step,
            length: stored.length,
            world: stored.world.try_into()?,
            player,
            last_health: stored.last_health,
            unlocked: stored.unlocked,
        })
    }
}
