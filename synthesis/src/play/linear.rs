//! Policies over numbers, for worlds whose states hardly ever repeat: the call with the highest weighted sum.
//!
//! The search begins with one number that decides between two calls, goes on with two numbers, and then changes all weights at
//! random and keeps what is no worse (Mania, Guy and Recht, "Simple random search", 2018, has how far that goes).

use super::features::{Features, Path, Paths, Scalar};
use crate::exploration::Random;
use std::collections::VecDeque;
use std::fmt::Write as _;

/// Numbers of a state that are weighed, at most.
const NUMBERS: usize = 16;
/// Calls that are chosen from, at most.
const CALLS: usize = 8;
/// Policies over one number, at most.
const SIMPLE: usize = 48;
/// Score of a call that no policy chose so far.
const UNUSED: f64 = -4.0;

/// Weights for each call: one for each number, and a constant.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Linear {
    /// Number of the call, its weights, its constant.
    calls: Vec<(usize, Vec<f64>, f64)>,
    paths: Vec<usize>,
}

impl Linear {
    /// The number of the call for a state.
    pub(super) fn call(&self, features: &Features) -> usize {
        let number = |path: &usize| features.get(*path).and_then(Scalar::number).unwrap_or(0.0);
        let numbers: Vec<f64> = self.paths.iter().map(number).collect();
        let score = |(_, weights, constant): &(usize, Vec<f64>, f64)| {
            // In the order in which the program adds.
            weights.iter().zip(&numbers).fold(*constant, |sum, (weight, number)| sum + weight * number)
        };
        let mut best: Option<(f64, usize)> = None;
        for each in &self.calls {
            if best.is_none_or(|(most, _)| score(each) > most) {
                best = Some((score(each), each.0));
            }
        }
        best.map_or(0, |(_, call)| call)
    }

    /// The choice as statements; `call` writes a call.
    pub(super) fn javascript(&self, paths: &Paths, call: &dyn Fn(usize) -> String) -> String {
        let mut text = String::new();
        for (at, (_, weights, constant)) in self.calls.iter().enumerate() {
            let mut sum = format!("{constant}");
            for (path, weight) in self.paths.iter().zip(weights).filter(|(_, weight)| **weight != 0.0) {
                if let Some(value) = paths.path(*path).map(Path::number) {
                    let _ = write!(sum, " + {weight} * ({value} || 0)");
                }
            }
            let _ = writeln!(text, "    const score{at} = {sum};");
        }
        for (at, (number, ..)) in self.calls.iter().enumerate() {
            let later = (at + 1..self.calls.len()).map(|other| format!("score{at} >= score{other}"));
            let condition: Vec<String> = later.collect();
            let start = if at == 0 { "    " } else { " else " };
            let head = if condition.is_empty() {
                String::new()
            } else {
                format!("if ({}) ", condition.join(" && "))
            };
            let _ = write!(text, "{start}{head}{{ {} }}", call(*number));
        }
        text.push('\n');
        text
    }
}

/// A search for a policy: it proposes one after the other and is told how each did.
pub(super) struct Search {
    paths: Vec<usize>,
    calls: Vec<usize>,
    /// Spread and middle of each number.
    scales: Vec<(f64, f64)>,
    waiting: VecDeque<Linear>,
    /// Whether policies over two numbers were proposed.
    paired: bool,
    best: Option<(f64, Linear)>,
}

impl Search {
    /// A search over the numbers of these states, `None` where there are no numbers or less than two calls.
    pub(super) fn new(
        states: &[&Features],
        paths: &Paths,
        calls: usize,
        random: &mut Random,
    ) -> Option<Self> {
        let mut numbers = Vec::new();
        let mut scales = Vec::new();
        for path in paths.telling() {
            let values: Vec<f64> =
                states.iter().filter_map(|state| state.get(path).and_then(Scalar::number)).collect();
            let count = values.len() as f64;
            let mean = values.iter().sum::<f64>() / count;
            let spread = (values.iter().map(|value| (value - mean).powi(2)).sum::<f64>() / count).sqrt();
            if values.len() * 2 < states.len()
                || !spread.is_finite()
                || spread < 1e-9
                || numbers.len() >= NUMBERS
            {
                continue;
            }
            let straddles =
                values.iter().any(|value| *value < 0.0) && values.iter().any(|value| *value > 0.0);
            numbers.push(path);
            scales.push((spread, if straddles { 0.0 } else { mean }));
        }
        if numbers.is_empty() || calls < 2 {
            return None;
        }
        let calls: Vec<usize> = (0..calls.min(CALLS)).collect();
        let mut search =
            Self { paths: numbers, calls, scales, waiting: VecDeque::new(), paired: false, best: None };
        let mut simple = Vec::new();
        for a in &search.calls {
            for b in search.calls.iter().filter(|b| *b != a) {
                simple.extend((0..search.paths.len()).map(|at| search.between(*a, *b, &[(at, 1.0)])));
            }
        }
        while !simple.is_empty() && search.waiting.len() < SIMPLE {
            let at = random.below(simple.len());
            search.waiting.push_back(simple.swap_remove(at));
        }
        Some(search)
    }

    /// The policy that makes call `a` where the weighted numbers are above their middles, and `b` elsewhere.
    fn between(&self, a: usize, b: usize, weighed: &[(usize, f64)]) -> Linear {
        let (mut weights, mut constant) = (vec![0.0; self.paths.len()], 0.0);
        for (at, sign) in weighed {
            let (spread, middle) = self.scales[*at];
            weights[*at] = sign / spread;
            constant -= sign * middle / spread;
        }
        let zero = vec![0.0; self.paths.len()];
        Linear { calls: vec![(a, weights, constant), (b, zero, 0.0)], paths: self.paths.clone() }
    }

    /// The next policy to try.
    pub(super) fn next(&mut self, random: &mut Random) -> Option<Linear> {
        if self.waiting.is_empty() && !self.paired {
            self.paired = true;
            let best = self.best.as_ref().map(|(_, best)| best.clone())?;
            let (a, b) = (best.calls[0].0, best.calls[1].0);
            let first = best.calls[0].1.iter().position(|weight| *weight != 0.0)?;
            for second in (0..self.paths.len()).filter(|second| *second != first) {
                for sign in [1.0, -1.0] {
                    self.waiting.push_back(self.between(a, b, &[(first, 1.0), (second, sign)]));
                }
            }
        }
        if let Some(next) = self.waiting.pop_front() {
            return Some(next);
        }
        let mut changed = self.best.as_ref().map(|(_, best)| best.clone())?;
        for call in &self.calls {
            if changed.calls.len() < self.calls.len() && changed.calls.iter().all(|(known, ..)| known != call)
            {
                changed.calls.push((*call, vec![0.0; self.paths.len()], UNUSED));
            }
        }
        for (_, weights, constant) in &mut changed.calls {
            for (weight, (spread, _)) in weights.iter_mut().zip(&self.scales) {
                *weight += 0.5 * noise(random) / spread;
            }
            *constant += 0.5 * noise(random);
        }
        Some(changed)
    }

    /// Tells how a policy did; more is better.
    pub(super) fn scored(&mut self, policy: &Linear, score: f64) {
        if self.best.as_ref().is_none_or(|(best, _)| score >= *best) {
            self.best = Some((score, policy.clone()));
        }
    }
}

/// A number near 0: nearly normal, with a spread of 1.
fn noise(random: &mut Random) -> f64 {
    (0..12).map(|_| random.below(1 << 20) as f64 / f64::from(1 << 20)).sum::<f64>() - 6.0
}
