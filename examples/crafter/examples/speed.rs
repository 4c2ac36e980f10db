//! Measures the speed of the raw game and of the environment: `cargo run --release --example speed`.

use sojourn_crafter::CrafterEnvironment;
use sojourn_crafter::game::{Game, Move, Rng};
use sojourn_tools::{Action, Environment};
use std::time::Instant;

const STEPS: u32 = 100_000;

#[allow(clippy::print_stdout, reason = "printing is what this example is for")]
fn main() {
    let mut choose = Rng::new(0);
    let mut any = || Move::ALL[choose.below(Move::ALL.len() as u32) as usize];

    let start = Instant::now();
    let (mut game, mut resets) = (Game::new(0, 10_000), 1);
    for _ in 0..STEPS {
        if game.step(any()).over {
            game.reset();
            resets += 1;
        }
    }
    let seconds = start.elapsed().as_secs_f64();
    println!("raw game, with {resets} resets: {:.0} steps/s", f64::from(STEPS) / seconds);

    let start = Instant::now();
    for seed in 0..100 {
        Game::new(seed, 10_000);
    }
    println!("reset: {:.2} ms", start.elapsed().as_secs_f64() * 1000.0 / 100.0);

    // Restores health, so that only steps are timed.
    let mut game = Game::new(0, 0);
    let start = Instant::now();
    for _ in 0..STEPS {
        game.step(any());
    }
    println!("raw game: {:.0} steps/s", f64::from(STEPS) / start.elapsed().as_secs_f64());

    let runtime = tokio::runtime::Builder::new_current_thread().build();
    let Ok(runtime) = runtime else { return };
    let seconds = runtime.block_on(async {
        let mut crafter = CrafterEnvironment::new();
        let start = Instant::now();
        let mut seed = 0;
        for step in 0..STEPS / 10 {
            if step == 0 || crafter.step(&Action(any().name().to_owned())).await.is_err() {
                seed += 1;
                if crafter.reset(seed).await.is_err() {
                    return f64::NAN;
                }
            }
        }
        start.elapsed().as_secs_f64()
    });
    println!("environment, with resets and states: {:.0} steps/s", f64::from(STEPS / 10) / seconds);
}
