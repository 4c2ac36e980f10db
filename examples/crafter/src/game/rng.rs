//! Crafter's random numbers, equal in every bit: numpy's legacy generator and Python's tuple hash.

use serde::{Deserialize, Serialize};

const WORDS: usize = 624;
const SHIFT: usize = 397;

/// MT19937 (Matsumoto & Nishimura 1998), seeded and sampled like numpy's `RandomState`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Rng {
    words: Vec<u32>,
    next: usize,
}

impl Rng {
    /// Seeds the generator with one 32-bit number (`init_genrand`).
    pub fn new(seed: u32) -> Self {
        let mut words = Vec::with_capacity(WORDS);
        let mut word = seed;
        for i in 1..=WORDS as u32 {
            words.push(word);
            word = 1_812_433_253_u32.wrapping_mul(word ^ (word >> 30)).wrapping_add(i);
        }
        Self { words, next: WORDS }
    }

    /// Number of words drawn from the present block, and the wrapping sum of the block. Together they show
    /// whether two generators of one seed have drawn equally often.
    pub fn position(&self) -> (usize, u32) {
        (self.next, self.words.iter().fold(0, |sum, word| sum.wrapping_add(*word)))
    }

    /// Validates a generator that was loaded from a snapshot.
    pub(crate) fn is_sound(&self) -> bool {
        self.words.len() == WORDS && self.next <= WORDS
    }

    fn refill(&mut self) {
        for i in 0..WORDS {
            let high = self.words[i] & 0x8000_0000;
            let low = self.words[(i + 1) % WORDS] & 0x7fff_ffff;
            let mixed = high | low;
            let odd = if mixed & 1 == 1 { 0x9908_b0df } else { 0 };
            self.words[i] = self.words[(i + SHIFT) % WORDS] ^ (mixed >> 1) ^ odd;
        }
        self.next = 0;
    }

    /// 32 random bits.
    pub fn bits(&mut self) -> u32 {
        if self.next == WORDS {
            self.refill();
        }
        let mut word = self.words[self.next];
        self.next += 1;
        word ^= word >> 11;
        word ^= (word << 7) & 0x9d2c_5680;
        word ^= (word << 15) & 0xefc6_0000;
        word ^ (word >> 18)
    }

    /// A number in [0, 1) with 53 random bits.
    pub fn uniform(&mut self) -> f64 {
        let high = f64::from(self.bits() >> 5);
        let low = f64::from(self.bits() >> 6);
        (high * 67_108_864.0 + low) / 9_007_199_254_740_992.0
    }

    /// A number in [0, `below`), by rejection sampling with a mask. 0, without a draw, if there is no choice.
    pub fn below(&mut self, below: u32) -> u32 {
        let greatest = below.saturating_sub(1);
        if greatest == 0 {
            return 0;
        }
        let mask = u32::MAX >> greatest.leading_zeros();
        loop {
            let value = self.bits() & mask;
            if value <= greatest {
                return value;
            }
        }
    }
}

/// The seed of an episode: `hash((seed, episode)) % (2**31 - 1)` as in `CPython` 3.8 and later (xxHash rounds
/// over the items' hashes).
pub(crate) fn episode_seed(seed: u64, episode: u64) -> u32 {
    const PRIME_1: u64 = 11_400_714_785_074_694_791;
    const PRIME_2: u64 = 14_029_467_366_897_019_727;
    const PRIME_5: u64 = 2_870_177_450_012_600_261;
    const LENGTH: u64 = 2;
    const INTEGER_MODULUS: u64 = (1 << 61) - 1;

    let mut hash = PRIME_5;
    for item in [seed, episode] {
        let lane = item % INTEGER_MODULUS;
        hash = hash.wrapping_add(lane.wrapping_mul(PRIME_2)).rotate_left(31).wrapping_mul(PRIME_1);
    }
    hash = hash.wrapping_add(LENGTH ^ (PRIME_5 ^ 0x0035_d373));
    // `CPython` reserves −1 for errors.
    let signed = if hash == u64::MAX { 1_546_275_796 } else { hash as i64 };
    signed.rem_euclid((1 << 31) - 1) as u32
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Computed by numpy: `r = RandomState(5489)`, then `r.randint(0, 2**32)` and so on.
    #[test]
    fn the_generator_equals_numpy() {
        let mut rng = Rng::new(5489);
        assert_eq!([rng.bits(), rng.bits()], [3_499_211_612, 581_869_302]);
        for _ in 2..9_999 {
            rng.bits();
        }
        assert_eq!(rng.bits(), 4_123_659_995, "the 10,000th number of the reference implementation");
    }

    #[test]
    fn a_single_choice_consumes_no_random_number() {
        let mut rng = Rng::new(1);
        let before = rng.clone();
        assert_eq!(rng.below(1), 0);
        assert_eq!(rng, before);
    }
}
