//! The complete state of a game as named fields, in the vocabulary of `tests/parity.py`.

use sojourn_crafter::game::{Achievement, Direction, Game, Item, Kind, Material, Object, Turn};

/// A state as the Python script prints it, one string per field.
pub fn fields(game: &Game, action: &str, turn: Option<&Turn>) -> Vec<(&'static str, String)> {
    let (world, player, needs) = (game.world(), game.player(), game.player().needs());
    let (drawn, sum) = world.rng().position();
    let list = |values: Vec<String>| values.join(",");
    vec![
        ("action", action.to_owned()),
        ("step", game.steps().to_string()),
        ("rng", format!("{drawn},{sum}")),
        ("daylight", bits(world.daylight())),
        ("materials", world.materials().iter().map(|&m| letter(m)).collect()),
        ("objects", world.objects().map(describe).collect::<Vec<_>>().join(";")),
        ("inventory", list(Item::ALL.iter().map(|&item| player.has(item).to_string()).collect())),
        ("achievements", list(Achievement::ALL.iter().map(|&a| player.count(a).to_string()).collect())),
        ("facing", way(player.facing()).to_owned()),
        ("sleeping", u8::from(player.sleeping()).to_string()),
        ("needs", list([needs.hunger, needs.thirst, needs.fatigue, needs.recover].map(bits).to_vec())),
        ("reward", bits(turn.map_or(0.0, |turn| turn.reward))),
        ("done", u8::from(turn.is_some_and(|turn| turn.over)).to_string()),
    ]
}

/// Gives the player the items of the script's `stock`.
pub fn stock(game: &mut Game) {
    for &item in Item::ALL {
        game.give(item, 9);
    }
    game.give(Item::Energy, 8);
}

fn bits(number: f64) -> String {
    format!("{:016x}", number.to_bits())
}

fn letter(material: Material) -> char {
    char::from(b'a' + material as u8)
}

fn way(direction: Direction) -> &'static str {
    match direction {
        Direction::Left => "left",
        Direction::Right => "right",
        Direction::Up => "up",
        Direction::Down => "down",
    }
}

fn describe(object: &Object) -> String {
    let memory = match object.kind {
        Kind::Player | Kind::Cow => String::new(),
        Kind::Zombie { cooldown } => cooldown.to_string(),
        Kind::Skeleton { reload } => reload.to_string(),
        Kind::Plant { grown } => grown.to_string(),
        Kind::Arrow { facing } => way(facing).to_owned(),
    };
    let (name, pos) = (object.kind.name(), object.pos);
    format!("{name},{},{},{},{memory}", pos.x, pos.y, object.health)
}
