//! Randomness: every draw is a hash of the run's seed, a purpose and a number.

use sha2::{Digest, Sha256};

/// Seeds below this are reserved for evaluation; learning never draws them.
pub const FIRST_LEARNING_SEED: u64 = 1_000_000_000;

/// The `index`-th draw for `purpose` in a run with this seed.
pub fn draw(run_seed: u64, purpose: &str, index: u64) -> u64 {
    let mut hasher = Sha256::new();
    hasher.update(run_seed.to_le_bytes());
    hasher.update(index.to_le_bytes());
    hasher.update(purpose.as_bytes());
    let digest = hasher.finalize();
    digest.iter().take(8).fold(0, |number, byte| (number << 8) | u64::from(*byte))
}

/// The seed of a world for learning: in `[FIRST_LEARNING_SEED, 2 * FIRST_LEARNING_SEED)`, so that it fits 31 bits.
pub fn world(run_seed: u64, purpose: &str, index: u64) -> u64 {
    FIRST_LEARNING_SEED + draw(run_seed, purpose, index) % FIRST_LEARNING_SEED
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    proptest! {
        #[test]
        fn learning_never_draws_an_evaluation_world(run in any::<u64>(), index in any::<u64>()) {
            let seed = world(run, "episode", index);
            prop_assert!((FIRST_LEARNING_SEED..1 << 31).contains(&seed));
            prop_assert_eq!(seed, world(run, "episode", index));
        }
    }

    #[test]
    fn purposes_and_indices_draw_apart() {
        let draws = [draw(1, "a", 0), draw(1, "a", 1), draw(1, "b", 0), draw(2, "a", 0)];
        let distinct: std::collections::BTreeSet<_> = draws.iter().collect();
        assert_eq!(distinct.len(), draws.len());
    }
}
