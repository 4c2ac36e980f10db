//! The game itself, without anything of an agent: rules, world and one player.
//!
//! The same seed and actions give the same states as the original does when its chunks keep their objects in
//! the order of insertion (as shipped they are sets ordered by memory address, and not reproducible) and
//! nothing is rendered (at night, rendering draws from the same random generator).

mod balance;
mod creatures;
mod names;
mod noise;
mod place;
mod player;
mod rng;
mod rules;
mod world;
mod worldgen;

pub use place::{AREA, Direction, Pos};
pub use player::{Harm, Needs, Player};
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

/// Objects farther from the player than this do nothing.
const ACTIVE_DISTANCE: i32 = 18;
/// No counter of a game that was played gets beyond this.
const LONGEST: u32 = 1 << 30;
const CENTRE: Pos = Pos::new(AREA / 2, AREA / 2);

/// One game: a seed's sequence of episodes, and the episode that is being played.
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

/// What a step brought.
#[derive(Debug, Clone, PartialEq)]
pub struct Turn {
    /// A tenth of the health gained or lost, and 1 if anything was achieved for the first time.
    pub reward: f64,
    /// What was achieved for the first time in this episode.
    pub unlocked: Vec<Achievement>,
    /// Whether the episode is over: the player is dead or time is up.
    pub over: bool,
}

impl Game {
    /// Begins the first episode of a seed; an episode lasts at most `length` steps.
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

    /// Begins the next episode.
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
        // Those that come into the world during this step wait for the next.
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
        self.settle_accounts()
    }

    fn settle_accounts(&mut self) -> Turn {
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

    /// The map and what is on it.
    pub fn world(&self) -> &World {
        &self.world
    }

    /// The player's body.
    pub fn player(&self) -> &Player {
        &self.player
    }

    /// Where the player stands.
    pub fn position(&self) -> Pos {
        self.world.object(PLAYER).map_or(CENTRE, |player| player.pos)
    }

    /// The cell the player faces; it may lie outside the map.
    pub fn ahead(&self) -> Pos {
        self.position().step(self.player.facing)
    }

    /// Steps played in this episode.
    pub fn steps(&self) -> u32 {
        self.step
    }

    /// After how many steps the episode ends; 0 for never.
    pub fn length(&self) -> u32 {
        self.length
    }

    /// Sets how many of an item the player has, cut to 0..=9: for tests and practice.
    pub fn give(&mut self, item: Item, count: i32) {
        self.player.inventory[item as usize] = count.clamp(0, MAX_ITEM);
    }
}

/// Nearly 1 for most of a day of 300 steps, down to 0 in its night.
fn daylight(step: u32) -> f64 {
    let progress = (f64::from(step) / 300.0) % 1.0 + 0.3;
    1.0 - (std::f64::consts::PI * progress).cos().abs().powf(3.0)
}

/// A game as it is stored.
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
