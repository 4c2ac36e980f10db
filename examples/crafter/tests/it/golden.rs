//! Games recorded from the original: the check of `parity.rs` without Python.

#![allow(clippy::unwrap_used, clippy::expect_used, reason = "a test may")]

use sha2::{Digest, Sha256};
use sojourn_crafter::game::{Game, Move};

#[test]
fn recorded_games_are_reproduced() {
    for line in include_str!("../golden.tsv").lines() {
        let fields: Vec<&str> = line.split('\t').collect();
        let [mode, seed, actions, expected] = fields[..] else { panic!("malformed line") };
        let mut game = None::<Game>;
        let mut digest = Sha256::new();
        for action in actions.split(',') {
            let turn = match (&mut game, action) {
                (None, _) => {
                    game = Some(Game::new(seed.parse().unwrap(), 10_000));
                    None
                }
                (Some(game), "reset") => {
                    game.reset();
                    None
                }
                (Some(game), action) => {
                    let name = action.trim_start_matches('+');
                    if name != action {
                        crate::common::stock(game);
                    }
                    Some(game.step(Move::named(name).unwrap()))
                }
            };
            let fields = crate::common::fields(game.as_ref().unwrap(), action, turn.as_ref());
            let state: Vec<String> = fields.iter().map(|(name, value)| format!("{name}={value}")).collect();
            digest.update(state.join("\t") + "\n");
        }
        assert_eq!(hex::encode(digest.finalize()), expected, "{mode} play of seed {seed}");
    }
}
