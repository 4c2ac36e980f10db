//! A random policy reaches the published score: 10.4 % of the 22 achievements, that is 2.28 per episode.

use sojourn_crafter::game::{Game, Move, Rng};

#[test]
fn a_random_policy_reaches_the_published_score() {
    const EPISODES: u64 = 200;
    let mut choose = Rng::new(7);
    let mut achieved = 0;
    for seed in 0..EPISODES {
        let mut game = Game::new(seed, 10_000);
        loop {
            let action = Move::ALL[choose.below(Move::ALL.len() as u32) as usize];
            let turn = game.step(action);
            achieved += turn.unlocked.len();
            if turn.over {
                break;
            }
        }
    }
    let mean = achieved as f64 / EPISODES as f64;
    assert!((mean - 2.28).abs() < 0.35, "mean distinct achievements: {mean}");
}
