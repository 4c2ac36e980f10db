//! What traits of calls are worth, learned from what came of the calls that were made.

use crate::exploration::Random;
use std::collections::BTreeMap;

/// Samples that are learned from: the latest ones.
const SAMPLES: usize = 8000;
/// Times that a trait must have been seen.
const SEEN: u32 = 4;
/// Passes over the samples, and how far the first one moves towards each sample.
const PASSES: u32 = 2;
const RATE: f64 = 0.3;

/// Worth that a call may have of whose kind nothing is known.
const HOPE: f64 = 0.5;

/// Numbers of traits, and how often calls that have them were made.
#[derive(Debug, Default)]
pub(super) struct Names {
    numbers: BTreeMap<String, u32>,
    texts: Vec<String>,
    made: Vec<u32>,
    /// Whether the trait says what kind of call it is, and not which.
    is_kind: Vec<bool>,
}

impl Names {
    /// How many traits were seen.
    pub(super) fn count(&self) -> usize {
        self.texts.len()
    }

    /// The number of a trait.
    pub(super) fn number(&mut self, name: &str) -> u32 {
        if let Some(number) = self.numbers.get(name) {
            return *number;
        }
        let number = self.texts.len() as u32;
        self.numbers.insert(name.to_owned(), number);
        self.texts.push(name.to_owned());
        self.made.push(0);
        self.is_kind.push(name.starts_with("v:") || name.contains('|'));
        number
    }

    /// Notes that a call with these traits was made.
    pub(super) fn note(&mut self, traits: &[u32]) {
        for one in traits {
            self.made[*one as usize] += 1;
        }
    }

    /// Bonus for a call with these traits: the fewer calls of its kind were made, the larger.
    pub(super) fn hope(&self, traits: &[u32]) -> f64 {
        let kinds = traits.iter().map(|one| *one as usize).filter(|one| self.is_kind[*one]);
        let seldom = kinds.map(|one| self.made[one]).min();
        seldom.map_or(0.0, |made| HOPE / f64::from(1 + made))
    }
}

/// A call that was made.
#[derive(Debug)]
pub(super) struct Sample {
    /// Its traits.
    pub(super) traits: Vec<u32>,
    /// What it was worth: its reward, and the best of what it made possible.
    pub(super) worth: f64,
}

/// A linear model of what a call is worth.
#[derive(Debug, Default)]
pub(super) struct Weights {
    pub(super) values: Vec<f64>,
}

impl Weights {
    /// Moves the weights towards the samples by normalised least mean squares (Widrow and Hoff, 1960), in random order.
    pub(super) fn fit(&mut self, samples: &[Sample], traits: usize, random: &mut Random) {
        let samples = &samples[samples.len().saturating_sub(SAMPLES)..];
        self.values.resize(traits, 0.0);
        let mut seen = vec![0_u32; traits];
        for number in samples.iter().flat_map(|sample| &sample.traits) {
            seen[*number as usize] += 1;
        }
        let mut order: Vec<usize> = (0..samples.len()).collect();
        for pass in 0..PASSES {
            for at in (1..order.len()).rev() {
                order.swap(at, random.below(at + 1));
            }
            for sample in order.iter().map(|at| &samples[*at]) {
                let known = || sample.traits.iter().map(|one| *one as usize).filter(|one| seen[*one] >= SEEN);
                let count = known().count();
                let error = sample.worth - known().map(|one| self.values[one]).sum::<f64>();
                for one in known() {
                    self.values[one] += RATE / f64::from(1 + pass) * error / count as f64;
                }
            }
        }
    }

    /// The traits that matter, with their weights, and the model without the others.
    pub(super) fn strongest(&self, names: &Names, least: f64, most: usize) -> (Vec<(String, f64)>, Self) {
        let mut kept: Vec<usize> =
            (0..self.values.len()).filter(|at| self.values[*at].abs() >= least).collect();
        kept.sort_by(|a, b| self.values[*b].abs().total_cmp(&self.values[*a].abs()));
        kept.truncate(most);
        let mut values = vec![0.0; self.values.len()];
        let mut strongest = Vec::new();
        for at in kept {
            // As many places as a program needs to show.
            values[at] = (self.values[at] * 1e4).round() / 1e4;
            strongest.push((names.texts[at].clone(), values[at]));
        }
        (strongest, Self { values })
    }
}
