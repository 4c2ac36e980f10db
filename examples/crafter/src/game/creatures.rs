//! The turns of all objects except the player.
//!
//! A creature without health is removed at the start of its turn but still completes the turn, including its
//! attack. The original does the same, and its random numbers depend on it.

use super::Game;
use super::player::Harm;
use super::position::{Direction, Pos};
use super::rules::{FLYABLE, Material, WALKABLE};
use super::world::{Kind, Object, ObjectId};

/// A creature during its turn.
struct Body {
    id: ObjectId,
    pos: Pos,
    /// Whether the creature is still in the world.
    present: bool,
}

impl Game {
    pub(super) fn update_object(&mut self, id: ObjectId) {
        let Some(&Object { pos, health, kind }) = self.world.object(id) else { return };
        let mut body = Body { id, pos, present: true };
        if health <= 0 && kind.is_creature() {
            self.world.remove(id);
            body.present = false;
        }
        match kind {
            Kind::Player => {}
            Kind::Cow => self.update_cow(&mut body),
            Kind::Zombie { cooldown } => self.update_zombie(&mut body, cooldown),
            Kind::Skeleton { reload } => self.update_skeleton(&mut body, reload),
            Kind::Arrow { facing } => self.update_arrow(&mut body, facing),
            Kind::Plant { grown } => self.update_plant(&body, health, grown + 1),
        }
    }

    fn update_cow(&mut self, body: &mut Body) {
        if self.chance(0.5) {
            self.wander(body);
        }
    }

    fn update_zombie(&mut self, body: &mut Body, cooldown: i32) {
        if body.pos.distance(self.position()) <= 8 && self.chance(0.9) {
            let along = self.chance(0.8);
            let way = self.toward_player(body.pos, along);
            self.go(body, way);
        } else {
            self.wander(body);
        }
        if body.pos.distance(self.position()) > 1 {
            return;
        }
        let cooldown = if cooldown > 0 {
            cooldown - 1
        } else {
            let asleep = self.player.sleeping;
            self.player.hurt(if asleep { 7 } else { 2 }, Harm::Zombie { asleep });
            5
        };
        self.remember(body.id, Kind::Zombie { cooldown });
    }

    fn update_skeleton(&mut self, body: &mut Body, reload: i32) {
        let reload = (reload - 1).max(0);
        self.remember(body.id, Kind::Skeleton { reload });
        let distance = body.pos.distance(self.position());
        if distance <= 3 {
            let along = self.chance(0.6);
            let away = self.toward_player(body.pos, along).map(Direction::reversed);
            if self.go(body, away) {
                return;
            }
        }
        if distance <= 5 && self.chance(0.5) {
            self.shoot(body, reload);
        } else if distance <= 8 && self.chance(0.3) {
            let along = self.chance(0.6);
            let way = self.toward_player(body.pos, along);
            self.go(body, way);
        } else if self.chance(0.2) {
            self.wander(body);
        }
    }

    fn shoot(&mut self, body: &Body, reload: i32) {
        let Some(facing) = self.toward_player(body.pos, true).filter(|_| reload == 0) else { return };
        let pos = body.pos.step(facing);
        if self.world.is_free(pos, FLYABLE) {
            self.world.add(Object { pos, health: 0, kind: Kind::Arrow { facing } });
            self.remember(body.id, Kind::Skeleton { reload: 4 });
        }
    }

    fn update_arrow(&mut self, body: &mut Body, facing: Direction) {
        let target = body.pos.step(facing);
        if let Some(id) = self.world.id_at(target) {
            self.wound(id, 2);
            self.world.remove(body.id);
        } else if self.world.is_free(target, FLYABLE) {
            self.world.relocate(body.id, target);
        } else {
            self.world.remove(body.id);
            if matches!(self.world.material(target), Some(Material::Table | Material::Furnace)) {
                self.world.set_material(target, Material::Path);
            }
        }
    }

    fn update_plant(&mut self, body: &Body, health: i32, grown: i32) {
        let trampled = Direction::ALL
            .into_iter()
            .any(|way| self.world.object_at(body.pos.step(way)).is_some_and(|o| o.kind.is_creature()));
        let health = if trampled { (health - 1).max(0) } else { health };
        if health == 0 {
            self.world.remove(body.id);
        } else if let Some(plant) = self.world.object_mut(body.id) {
            plant.health = health;
            plant.kind = Kind::Plant { grown };
        }
    }

    fn wound(&mut self, id: ObjectId, damage: i32) {
        let Some(object) = self.world.object_mut(id) else { return };
        if object.kind == Kind::Player {
            self.player.hurt(damage, Harm::Arrow);
        } else {
            object.health = (object.health - damage).max(0);
        }
    }

    /// Moves one cell if it is free. `None` means no movement, which succeeds only for removed creatures.
    fn go(&mut self, body: &mut Body, way: Option<Direction>) -> bool {
        let target = way.map_or(body.pos, |way| body.pos.step(way));
        let free = self.world.is_free(target, WALKABLE);
        if free && body.present {
            self.world.relocate(body.id, target);
            body.pos = target;
        }
        free
    }

    fn wander(&mut self, body: &mut Body) {
        let way = Direction::ALL[self.world.rng.below(4) as usize];
        self.go(body, Some(way));
    }

    /// Direction towards the player along the longer or the shorter axis; `None` if the distance on it is
    /// zero.
    fn toward_player(&self, from: Pos, longer_axis: bool) -> Option<Direction> {
        let to = self.position();
        let (dx, dy) = (to.x - from.x, to.y - from.y);
        if (dx.abs() > dy.abs()) == longer_axis {
            Direction::from_delta(dx.signum(), 0)
        } else {
            Direction::from_delta(0, dy.signum())
        }
    }

    fn chance(&mut self, below: f64) -> bool {
        self.world.rng.uniform() < below
    }

    fn remember(&mut self, id: ObjectId, kind: Kind) {
        if let Some(object) = self.world.object_mut(id) {
            object.kind = kind;
        }
    }
}
