//! The primitives `go_to`, `explore`, `move` and `face`.

use super::{Effect, Next};
use crate::game::{Direction, Item, Material, Pos};
use crate::path::{Terms, Ways, approach, turn};
use crate::sight::{Scene, Thing, view};
use sojourn_tools::Need;

/// Actions after which `go_to` ends without success.
const MOST_ACTIONS: u32 = 90;
/// Actions to wait for creatures that block the way.
const MAX_WAIT_ACTIONS: u32 = 60;
/// Minimum number of unseen cells that make a view worth visiting.
const WORTH_SEEING: usize = 5;

pub(super) fn go_to(thing: Thing, scene: Scene<'_>, actions: u32) -> Next {
    let places = scene.places(thing);
    if places.is_empty() {
        let missing = vec![Need::Seen { kind: thing.name().to_owned() }];
        let word = if thing.is_creature() { "in view" } else { "seen yet" };
        return Next::lacking(format!("no {thing} {word}; explore first"), missing);
    }
    if places.contains(&scene.game.ahead()) {
        return Next::done(format!("facing {thing}"));
    }
    if actions >= MOST_ACTIONS {
        return Next::failed(format!("could not reach {thing} in {MOST_ACTIONS} steps"));
    }
    let beside = |pos: Pos| Direction::ALL.into_iter().find(|&way| places.contains(&pos.step(way)));
    if let Some(way) = beside(scene.here()) {
        return Next::Act(turn(way));
    }
    let now = Terms::now(scene);
    let reach = |terms| {
        let (ways, goal) = Ways::search(scene, terms, |pos| beside(pos).is_some());
        goal.and_then(|goal| ways.first_step(goal))
    };
    if let Some(way) = reach(now) {
        return Next::Act(approach(scene, way));
    }
    if reach(Terms { creatures: true, ..now }).is_some() {
        return if actions < MAX_WAIT_ACTIONS {
            Next::Act(crate::game::Move::Noop)
        } else {
            let until = "the way is free".to_owned();
            Next::lacking(format!("creatures block the way to {thing}"), vec![Need::Later { until }])
        };
    }
    if !now.dig && reach(Terms { dig: true, creatures: true }).is_some() {
        let missing = super::unmet(scene, &[(Item::WoodPickaxe, 1)]);
        return Next::lacking(
            format!("no way to {thing}: with a wood_pickaxe you could dig through the stone"),
            missing,
        );
    }
    Next::failed(format!("no way leads to any {thing} seen so far; explore"))
}

/// State of an `explore` call.
pub(super) struct Exploring<'a> {
    pub(super) steps: u32,
    pub(super) goal: &'a mut Option<Pos>,
    pub(super) known: &'a mut Option<Vec<Thing>>,
    pub(super) heading: &'a mut (f64, f64),
}

pub(super) fn explore(call: &mut Exploring<'_>, scene: Scene<'_>, actions: u32) -> Next {
    let kinds = || scene.nearest().into_iter().map(|(thing, _)| thing).collect::<Vec<_>>();
    let known = call.known.get_or_insert_with(kinds);
    if actions >= call.steps {
        let new: Vec<&str> =
            kinds().into_iter().filter(|thing| !known.contains(thing)).map(Thing::name).collect();
        let found =
            if new.is_empty() { "nothing new".to_owned() } else { format!("now seen: {}", new.join(", ")) };
        return Next::done(format!("walked {actions} steps; {found}"));
    }
    let (ways, _) = Ways::search(scene, Terms::now(scene), |_| false);
    let here = scene.here();
    let still_good = |goal: &Pos| *goal != here && unseen_from(scene, *goal) >= WORTH_SEEING;
    let goal = call
        .goal
        .filter(still_good)
        .filter(|goal| ways.cost(*goal).is_some())
        .or_else(|| most_promising(scene, &ways, *call.heading));
    *call.goal = goal;
    let Some((goal, way)) = goal.and_then(|goal| Some((goal, ways.first_step(goal)?))) else {
        return Next::failed(format!("walked {actions} steps; nothing new can be reached from here"));
    };
    let (dx, dy) = (f64::from(goal.x - here.x), f64::from(goal.y - here.y));
    let length = dx.abs().max(dy.abs()).max(1.0);
    *call.heading = (dx / length, dy / length);
    Next::Act(approach(scene, way))
}

fn unseen_from(scene: Scene<'_>, pos: Pos) -> usize {
    view(pos).filter(|&cell| scene.sight.is_unseen(cell)).count()
}

/// The best position to explore from: near, with many unseen cells around it, and rather ahead than back.
fn most_promising(scene: Scene<'_>, ways: &Ways, heading: (f64, f64)) -> Option<Pos> {
    let here = scene.here();
    let score = |pos: Pos| {
        let steps = f64::from(ways.cost(pos)?) / 10.0;
        let unseen = unseen_from(scene, pos);
        let onward = f64::from(pos.x - here.x) * heading.0 + f64::from(pos.y - here.y) * heading.1;
        (pos != here && unseen >= WORTH_SEEING).then_some((steps - 0.35 * unseen as f64 - 0.25 * onward, pos))
    };
    Pos::all().filter_map(score).min_by(|a, b| a.0.total_cmp(&b.0)).map(|(_, pos)| pos)
}

pub(super) fn walk(
    way: Direction,
    steps: u32,
    scene: Scene<'_>,
    actions: u32,
    effect: Option<&Effect>,
) -> Next {
    let compass = way.compass();
    if effect.is_some_and(|effect| !effect.moved) {
        let walked = actions.saturating_sub(1);
        return Next::failed(format!("walked {walked} steps {compass}; {} is in the way", scene.facing()));
    }
    if actions >= steps {
        return Next::done(format!("walked {actions} steps {compass}"));
    }
    if scene.sight.material(scene.here().step(way)) == Some(Material::Lava) {
        return Next::failed(format!("walked {actions} steps {compass}; lava is ahead, which kills"));
    }
    Next::Act(turn(way))
}

pub(super) fn face(way: Direction, scene: Scene<'_>, actions: u32) -> Next {
    if scene.game.player().facing() == way {
        return Next::done(format!("facing {}: {}", way.compass(), scene.facing()));
    }
    if actions > 0 || scene.sight.material(scene.here().step(way)) == Some(Material::Lava) {
        return Next::failed(format!("cannot turn {} now", way.compass()));
    }
    Next::Act(turn(way))
}
