//! The player's body: effects of actions and of time.

use super::Game;
use super::position::{Direction, Pos};
use super::rules::{
    Achievement, Item, MAX_ITEM, Material, Move, Placed, WALKABLE, collecting, making, placing,
};
use super::world::{Kind, Object, PLAYER};
use serde::{Deserialize, Serialize};

/// What the player has and has done. The world knows its position.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Player {
    pub(crate) inventory: [i32; Item::ALL.len()],
    pub(crate) achievements: [u32; Achievement::ALL.len()],
    pub(crate) facing: Direction,
    pub(crate) sleeping: bool,
    pub(crate) needs: Needs,
    /// Health at the end of the last turn.
    pub(crate) last_health: i32,
    /// Cause of the last loss of health.
    pub(crate) harm: Option<Harm>,
}

/// Hidden counters behind food, drink, energy and health. Each counts to a threshold and restarts.
#[derive(Debug, Clone, Copy, Default, PartialEq, Serialize, Deserialize)]
pub struct Needs {
    /// Above 25, food decreases.
    pub hunger: f64,
    /// Above 20, drink decreases.
    pub thirst: f64,
    /// Above 30, energy decreases; below −10, it increases.
    pub fatigue: f64,
    /// Above 25, health increases; below −15, it decreases.
    pub recover: f64,
}

/// Causes of lost health.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub enum Harm {
    /// A zombie's attack.
    Zombie {
        /// Whether the player was asleep, which makes it worse.
        asleep: bool,
    },
    /// A skeleton's arrow.
    Arrow,
    /// A step onto lava.
    Lava,
    /// Lack of food.
    Hunger,
    /// Lack of drink.
    Thirst,
    /// Lack of energy.
    Fatigue,
}

impl Player {
    pub(super) fn new() -> Self {
        let vital = |item: &Item| matches!(item, Item::Health | Item::Food | Item::Drink | Item::Energy);
        Self {
            inventory: std::array::from_fn(|i| if vital(&Item::ALL[i]) { MAX_ITEM } else { 0 }),
            achievements: [0; Achievement::ALL.len()],
            facing: Direction::Down,
            sleeping: false,
            needs: Needs::default(),
            last_health: MAX_ITEM,
            harm: None,
        }
    }

    /// Number of an item.
    pub fn has(&self, item: Item) -> i32 {
        self.inventory[item as usize]
    }

    /// Number of times the player earned an achievement in this episode.
    pub fn count(&self, achievement: Achievement) -> u32 {
        self.achievements[achievement as usize]
    }

    /// Direction that the player faces.
    pub fn facing(&self) -> Direction {
        self.facing
    }

    /// Whether the player sleeps. It then does nothing until its energy is full or it is hurt.
    pub fn sleeping(&self) -> bool {
        self.sleeping
    }

    /// The hidden counters.
    pub fn needs(&self) -> Needs {
        self.needs
    }

    /// Cause of the last loss of health.
    pub fn harm(&self) -> Option<Harm> {
        self.harm
    }

    /// Damage of a hit.
    pub(crate) fn damage(&self) -> i32 {
        [(Item::IronSword, 5), (Item::StoneSword, 3), (Item::WoodSword, 2)]
            .into_iter()
            .find_map(|(sword, damage)| (self.has(sword) > 0).then_some(damage))
            .unwrap_or(1)
    }

    pub(super) fn hurt(&mut self, damage: i32, harm: Harm) {
        let health = &mut self.inventory[Item::Health as usize];
        *health = (*health - damage).max(0);
        self.harm = Some(harm);
    }

    fn gain(&mut self, item: Item, count: i32) {
        self.inventory[item as usize] += count;
    }

    fn achieve(&mut self, achievement: Achievement) {
        self.achievements[achievement as usize] += 1;
    }

    /// Consumes `cost` completely, or nothing if an item is lacking.
    fn pay(&mut self, cost: &[(Item, i32)]) -> bool {
        let affordable = cost.iter().all(|&(item, count)| self.has(item) >= count);
        if affordable {
            for &(item, count) in cost {
                self.gain(item, -count);
            }
        }
        affordable
    }

    fn pace(&self, awake: f64, asleep: f64) -> f64 {
        if self.sleeping { asleep } else { awake }
    }

    fn feel_needs(&mut self) {
        self.needs.hunger += self.pace(1.0, 0.5);
        if self.needs.hunger > 25.0 {
            self.needs.hunger = 0.0;
            self.gain(Item::Food, -1);
        }
        self.needs.thirst += self.pace(1.0, 0.5);
        if self.needs.thirst > 20.0 {
            self.needs.thirst = 0.0;
            self.gain(Item::Drink, -1);
        }
        let fatigue = self.needs.fatigue;
        self.needs.fatigue = if self.sleeping { (fatigue - 1.0).min(0.0) } else { fatigue + 1.0 };
        if self.needs.fatigue < -10.0 {
            self.needs.fatigue = 0.0;
            self.gain(Item::Energy, 1);
        }
        if self.needs.fatigue > 30.0 {
            self.needs.fatigue = 0.0;
            self.gain(Item::Energy, -1);
        }
    }

    fn heal_or_weaken(&mut self) {
        let lack = if self.has(Item::Drink) <= 0 {
            Some(Harm::Thirst)
        } else if self.has(Item::Food) <= 0 {
            Some(Harm::Hunger)
        } else if self.has(Item::Energy) <= 0 && !self.sleeping {
            Some(Harm::Fatigue)
        } else {
            None
        };
        self.needs.recover += match lack {
            None => self.pace(1.0, 2.0),
            Some(_) => -self.pace(1.0, 0.5),
        };
        if self.needs.recover > 25.0 {
            self.needs.recover = 0.0;
            self.gain(Item::Health, 1);
        }
        if self.needs.recover < -15.0 {
            self.needs.recover = 0.0;
            // The counter can expire just after the lack has ended; the last cause then remains.
            self.hurt(1, lack.or(self.harm).unwrap_or(Harm::Fatigue));
        }
    }
}

impl Game {
    /// The player's turn.
    pub(super) fn update_player(&mut self, action: Move) {
        let ahead = self.ahead();
        let mut action = action;
        if self.player.sleeping {
            if self.player.has(Item::Energy) < MAX_ITEM {
                action = Move::Sleep;
            } else {
                self.player.sleeping = false;
                self.player.achieve(Achievement::WakeUp);
            }
        }
        match action {
            Move::Noop => {}
            Move::Left => self.walk(Direction::Left),
            Move::Right => self.walk(Direction::Right),
            Move::Up => self.walk(Direction::Up),
            Move::Down => self.walk(Direction::Down),
            Move::Do => self.hit(ahead),
            Move::Sleep => self.player.sleeping |= self.player.has(Item::Energy) < MAX_ITEM,
            _ => {
                self.place(action, ahead);
                self.make(action);
            }
        }
        self.player.feel_needs();
        self.player.heal_or_weaken();
        for count in &mut self.player.inventory {
            *count = (*count).clamp(0, MAX_ITEM);
        }
        let health = self.player.has(Item::Health);
        if health < self.player.last_health {
            self.player.sleeping = false;
        }
        self.player.last_health = health;
    }

    fn walk(&mut self, way: Direction) {
        self.player.facing = way;
        let target = self.position().step(way);
        if self.world.is_free(target, WALKABLE) || self.world.is_free(target, &[Material::Lava]) {
            self.world.relocate(PLAYER, target);
        }
        if self.world.material(self.position()) == Some(Material::Lava) {
            self.player.hurt(MAX_ITEM, Harm::Lava);
        }
    }

    fn hit(&mut self, target: Pos) {
        match self.world.id_at(target) {
            Some(id) => {
                let damage = self.player.damage();
                if let Some(object) = self.world.object_mut(id) {
                    self.player.hit_object(object, damage);
                }
            }
            None => self.hit_material(target),
        }
    }

    fn hit_material(&mut self, target: Pos) {
        let Some(material) = self.world.material(target) else { return };
        if material == Material::Water {
            self.player.needs.thirst = 0.0;
        }
        let Some(rule) = collecting(material) else { return };
        if rule.requires.is_some_and(|tool| self.player.has(tool) < 1) {
            return;
        }
        self.world.set_material(target, rule.leaves);
        // The original draws a number even if success is certain.
        if self.world.rng.uniform() <= rule.probability {
            self.player.gain(rule.gives, 1);
            self.player.achieve(rule.achievement);
        }
    }

    fn place(&mut self, action: Move, target: Pos) {
        let Some(rule) = placing(action) else { return };
        if !self.world.is_free(target, rule.onto) || !self.player.pay(&[(rule.uses, rule.count)]) {
            return;
        }
        match rule.puts {
            Placed::Material(material) => self.world.set_material(target, material),
            Placed::Plant => {
                self.world.add(Object { pos: target, health: 1, kind: Kind::Plant { grown: 0 } });
            }
        }
        self.player.achieve(rule.achievement);
    }

    fn make(&mut self, action: Move) {
        let Some(rule) = making(action) else { return };
        let here = self.position();
        let stands = |wanted: &Material| self.world.nearby(here, 1).any(|m| m == *wanted);
        if rule.nearby.iter().all(stands) && self.player.pay(rule.uses) {
            self.player.gain(rule.gives, 1);
            self.player.achieve(rule.achievement);
        }
    }
}

impl Player {
    fn hit_object(&mut self, object: &mut Object, damage: i32) {
        match &mut object.kind {
            Kind::Plant { grown } => {
                if *grown > 300 {
                    *grown = 0;
                    self.gain(Item::Food, 4);
                    self.achieve(Achievement::EatPlant);
                }
            }
            Kind::Zombie { .. } | Kind::Skeleton { .. } | Kind::Cow => {
                object.health = (object.health - damage).max(0);
                if object.health == 0 {
                    self.finish_off(object.kind);
                }
            }
            Kind::Player | Kind::Arrow { .. } => {}
        }
    }

    fn finish_off(&mut self, kind: Kind) {
        match kind {
            Kind::Zombie { .. } => self.achieve(Achievement::DefeatZombie),
            Kind::Skeleton { .. } => self.achieve(Achievement::DefeatSkeleton),
            Kind::Cow => {
                self.gain(Item::Food, 6);
                self.achieve(Achievement::EatCow);
                self.needs.hunger = 0.0;
            }
            Kind::Player | Kind::Arrow { .. } | Kind::Plant { .. } => {}
        }
    }
}
