//! Random play comes to what is published for it: 10.4 % of the 22 achievements an episode, 2.28 of them.

use sojourn_crafter::game::{Game, Move, Rng};

#[test]
fn random_play_scores_as_published() {
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
