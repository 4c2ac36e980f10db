use crate::Sampling;
use sojourn_primitives::SplitMix64;

/// Lower bound of `min_p`. All less likely tokens of a large vocabulary together weigh less than a thousandth
/// of the most likely token.
const NEGLIGIBLE: f32 = 1e-9;

/// Samples tokens from logits, deterministically by seed.
#[derive(Debug)]
pub(super) struct Sampler {
    sampling: Sampling,
    random: SplitMix64,
    /// Tokens that may be sampled, with their weights; a buffer that is reused.
    kept: Vec<(u32, f32)>,
}

impl Sampler {
    /// The sampler of candidate `index`.
    pub(super) fn new(sampling: Sampling, index: u32) -> Self {
        // Mixing twice keeps (seed 1, candidate 0) and (seed 0, candidate 1) apart.
        let mut seeds = SplitMix64::new(sampling.seed);
        let random = SplitMix64::new(seeds.bits() ^ u64::from(index).wrapping_mul(0xd6e8_feb8_6659_fd93));
        Self { sampling, random, kept: Vec::new() }
    }

    /// Samples one of the allowed tokens; `logits[t]` belongs to token `t`. Returns `None` if no token is
    /// allowed or the logits are NaN.
    pub(super) fn draw(&mut self, logits: &[f32], allowed: impl Fn(u32) -> bool) -> Option<u32> {
        let (mut best, mut highest) = (None, f32::NEG_INFINITY);
        for (token, &logit) in (0..).zip(logits) {
            if logit > highest && allowed(token) {
                (best, highest) = (Some(token), logit);
            }
        }
        let Sampling { temperature, top_p, min_p, .. } = self.sampling;
        if temperature <= 0.0 || best.is_none() || !highest.is_finite() {
            return best;
        }
        let least = highest + temperature * min_p.clamp(NEGLIGIBLE, 1.0).ln();
        self.kept.clear();
        for (token, &logit) in (0..).zip(logits) {
            if logit >= least && allowed(token) {
                self.kept.push((token, ((logit - highest) / temperature).exp()));
            }
        }
        if top_p < 1.0 {
            self.keep_most_likely(top_p);
        }
        let total: f64 = self.kept.iter().map(|&(_, weight)| f64::from(weight)).sum();
        let mut point = self.random.unit() * total;
        for &(token, weight) in &self.kept {
            point -= f64::from(weight);
            if point < 0.0 {
                return Some(token);
            }
        }
        // Rounding may leave a remainder after the last token.
        self.kept.last().map(|&(token, _)| token).or(best)
    }

    /// Keeps the fewest most likely tokens whose share reaches `top_p`, at least one.
    fn keep_most_likely(&mut self, top_p: f32) {
        self.kept.sort_by(|a, b| b.1.total_cmp(&a.1).then(a.0.cmp(&b.0)));
        let total: f64 = self.kept.iter().map(|&(_, weight)| f64::from(weight)).sum();
        let mut missing = total * f64::from(top_p);
        let mut count = 0;
        for &(_, weight) in &self.kept {
            count += 1;
            missing -= f64::from(weight);
            if missing <= 0.0 {
                break;
            }
        }
        self.kept.truncate(count);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn shares(sampling: Sampling, logits: &[f32], allowed: impl Fn(u32) -> bool + Copy) -> Vec<f64> {
        let mut counts = vec![0.0; logits.len()];
        let mut sampler = Sampler::new(sampling, 0);
        for _ in 0..20_000 {
            counts[sampler.draw(logits, allowed).unwrap() as usize] += 1.0 / 20_000.0;
        }
        counts
    }

    fn close(got: &[f64], expected: &[f64]) {
        for (got_one, expected_one) in got.iter().zip(expected) {
            assert!((got_one - expected_one).abs() < 0.02, "{got:?} is not {expected:?}");
        }
    }

    fn plain(temperature: f32) -> Sampling {
        Sampling { temperature, top_p: 1.0, min_p: 0.0, seed: 7 }
    }

    /// Logits of the probabilities 1/2, 1/4, 1/8, 1/8.
    fn logits() -> [f32; 4] {
        [8.0f32.ln(), 4.0f32.ln(), 2.0f32.ln(), 2.0f32.ln()]
    }

    #[test]
    fn tokens_are_sampled_by_probability() {
        close(&shares(plain(1.0), &logits(), |_| true), &[0.5, 0.25, 0.125, 0.125]);
        // A temperature of 0.5 squares the odds: 64, 16, 4, 4.
        close(&shares(plain(0.5), &logits(), |_| true), &[0.727, 0.182, 0.045, 0.045]);
    }

    #[test]
    fn disallowed_tokens_leave_their_share_to_the_rest() {
        close(&shares(plain(1.0), &logits(), |token| token != 0), &[0.0, 0.5, 0.25, 0.25]);
    }

    #[test]
    fn min_p_and_top_p_exclude_unlikely_tokens() {
        let min_p = Sampling { min_p: 0.3, ..plain(1.0) };
        close(&shares(min_p, &logits(), |_| true), &[0.667, 0.333, 0.0, 0.0]);
        let top_p = Sampling { top_p: 0.6, ..plain(1.0) };
        close(&shares(top_p, &logits(), |_| true), &[0.667, 0.333, 0.0, 0.0]);
        let none = Sampling { top_p: 0.0, ..plain(1.0) };
        close(&shares(none, &logits(), |_| true), &[1.0, 0.0, 0.0, 0.0]);
    }

    #[test]
    fn masking_after_a_rejection_keeps_the_masked_distribution() {
        let mut sampler = Sampler::new(plain(1.0), 0);
        let allowed = |token: u32| token == 1 || token == 2;
        let mut counts = [0.0; 4];
        for _ in 0..20_000 {
            let mut token = sampler.draw(&logits(), |_| true).unwrap();
            if !allowed(token) {
                token = sampler.draw(&logits(), allowed).unwrap();
            }
            counts[token as usize] += 1.0 / 20_000.0;
        }
        close(&counts, &[0.0, 0.667, 0.333, 0.0]);
    }

    #[test]
    fn greedy_takes_the_most_likely_allowed_token() {
        let mut sampler = Sampler::new(Sampling::greedy(), 0);
        assert_eq!(sampler.draw(&logits(), |_| true), Some(0));
        assert_eq!(sampler.draw(&logits(), |token| token > 1), Some(2));
        assert_eq!(sampler.draw(&logits(), |_| false), None);
        assert_eq!(sampler.draw(&[f32::NAN, f32::NAN], |_| true), None);
    }

    #[test]
    fn equal_seeds_repeat_and_candidates_differ() {
        let draws = |seed, index| {
            let mut sampler = Sampler::new(Sampling { seed, ..plain(1.0) }, index);
            (0..50).map(|_| sampler.draw(&logits(), |_| true).unwrap()).collect::<Vec<_>>()
        };
        assert_eq!(draws(1, 0), draws(1, 0));
        assert_ne!(draws(1, 0), draws(1, 1));
        assert_ne!(draws(1, 0), draws(2, 0));
        assert_ne!(draws(0, 1), draws(1, 0));
    }
}
