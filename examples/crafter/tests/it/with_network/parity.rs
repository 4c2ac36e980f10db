//! The game equals the Python original, state for state.
//!
//! `tests/parity.py` plays the original and prints its complete state after every step. The test plays the
//! same actions in Rust and compares every field. The first run installs the original from the package index.

#![allow(clippy::unwrap_used, clippy::expect_used, reason = "a test may")]

use sojourn_crafter::game::{Game, Move};
use std::io::{BufRead, BufReader};
use std::path::Path;
use std::process::{Command, Stdio};

/// Episode length that `tests/parity.py` passes to the original.
const LENGTH: u32 = 10_000;

fn compare_with_original(mode: &str, first_seed: u64, seeds: u64, steps: u64) {
    let script = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/parity.py");
    let mut python = Command::new("python3")
        .arg(script)
        .args([
            "states".to_owned(),
            mode.to_owned(),
            first_seed.to_string(),
            seeds.to_string(),
            steps.to_string(),
        ])
        .stdout(Stdio::piped())
        .spawn()
        .expect("this test plays the original game: install Python 3.11 or later with `venv` as `python3`");
    let output = BufReader::new(python.stdout.take().unwrap());

    let mut game = None::<Game>;
    let (mut seed, mut played) = (first_seed, 0);
    for line in output.lines() {
        let line = line.unwrap();
        let expected: Vec<(&str, &str)> =
            line.split('\t').map(|field| field.split_once('=').expect("name=value")).collect();
        let action = expected[0].1;
        let turn = match (action, &mut game) {
            ("reset", Some(game)) if played % steps != 0 => {
                game.reset();
                None
            }
            ("reset", _) => {
                seed = first_seed + played / steps;
                game = Some(Game::new(seed, LENGTH));
                None
            }
            (action, Some(game)) => {
                let name = action.trim_start_matches('+');
                if name != action {
                    crate::common::stock(game);
                }
                played += 1;
                Some(game.step(Move::named(name).expect("an action")))
            }
            (_, None) => panic!("the script must begin with a reset"),
        };
        let game = game.as_ref().unwrap();
        for (ours, theirs) in crate::common::fields(game, action, turn.as_ref()).iter().zip(&expected) {
            assert_eq!(
                (ours.0, ours.1.as_str()),
                *theirs,
                "seed {seed}, step {} ({action}): `{}` differs (left: Rust, right: original)",
                game.steps(),
                ours.0,
            );
        }
    }
    assert!(python.wait().unwrap().success(), "`tests/parity.py` failed; see its message above");
    assert_eq!(played, seeds * steps, "the script ended early");
}

#[test]
fn random_play_equals_the_original() {
    compare_with_original("random", 0, 20, 1000);
}

#[test]
fn stocked_play_equals_the_original() {
    compare_with_original("stocked", 100, 10, 1000);
}
