//! Sample rates are changed by a windowed sinc filter (Smith, "Digital Audio Resampling", 2002), piece by piece.

/// Zero crossings of the filter on each side.
const CROSSINGS: f64 = 16.0;
/// The share of the lower rate's band that is kept.
const BAND: f64 = 0.95;

/// Turns one rate into another. The output has no delay.
pub(super) struct Resampler {
    /// Input samples advance by `step.0 / step.1` for each output sample.
    step: (u64, u64),
    /// Filters by the numerator of the fraction between two input samples; empty where nothing changes.
    phases: Vec<Vec<f32>>,
    /// Input samples on each side of an output sample.
    half: usize,
    /// The input that later outputs need, from the absolute index `start` on; zeros stand for what is before the first.
    buffer: Vec<f32>,
    start: i64,
    /// Samples that were put in and taken out.
    taken: u64,
    given: u64,
}

impl Resampler {
    pub(super) fn new(from: u32, to: u32) -> Self {
        let divisor = u64::from(gcd(from, to));
        let step = (u64::from(from) / divisor, u64::from(to) / divisor);
        let cutoff = (f64::from(to) / f64::from(from)).min(1.0) * BAND;
        let half = (CROSSINGS / cutoff).ceil() as usize;
        let phases = if step == (1, 1) { Vec::new() } else { phases(step.1, half, cutoff) };
        Self { step, phases, half, buffer: vec![0.0; half], start: -(half as i64), taken: 0, given: 0 }
    }

    pub(super) fn push(&mut self, input: &[f32], out: &mut Vec<f32>) {
        self.taken += input.len() as u64;
        if self.phases.is_empty() {
            self.given += input.len() as u64;
            out.extend_from_slice(input);
            return;
        }
        self.buffer.extend_from_slice(input);
        self.give(out, u64::MAX);
    }

    /// The samples that waited for what comes after them.
    pub(super) fn finish(&mut self, out: &mut Vec<f32>) {
        if self.phases.is_empty() {
            return;
        }
        let (step, rate) = self.step;
        let total = (self.taken * rate).div_ceil(step);
        self.buffer.resize(self.buffer.len() + self.half + 1, 0.0);
        self.give(out, total);
    }

    fn give(&mut self, out: &mut Vec<f32>, until: u64) {
        let (step, rate) = self.step;
        while self.given < until {
            let at = self.given * step;
            // The first sample that the filter covers.
            let first = (at / rate) as i64 - self.half as i64 + 1;
            let from = (first - self.start) as usize;
            let filter = &self.phases[(at % rate) as usize];
            let Some(covered) = self.buffer.get(from..from + filter.len()) else { break };
            out.push(covered.iter().zip(filter).map(|(sample, weight)| sample * weight).sum());
            self.given += 1;
        }
        let needed = (self.given * step / rate) as i64 - self.half as i64 + 1;
        let past = usize::try_from(needed - self.start).unwrap_or(0).min(self.buffer.len());
        self.buffer.drain(..past);
        self.start += past as i64;
    }
}

/// For each fraction of a sample the weights of the `2 * half` samples around it.
fn phases(count: u64, half: usize, cutoff: f64) -> Vec<Vec<f32>> {
    let weight = |distance: f64| {
        let window = 0.5 + 0.5 * (std::f64::consts::PI * (distance / half as f64).clamp(-1.0, 1.0)).cos();
        let angle = std::f64::consts::PI * distance * cutoff;
        let sinc = if angle.abs() < 1e-9 { 1.0 } else { angle.sin() / angle };
        sinc * cutoff * window
    };
    let filter = |phase: u64| {
        let fraction = phase as f64 / count as f64;
        let weights: Vec<f64> =
            (0..2 * half).map(|at| weight(at as f64 - (half as f64 - 1.0) - fraction)).collect();
        let sum: f64 = weights.iter().sum();
        weights.into_iter().map(|weight| (weight / sum) as f32).collect()
    };
    (0..count).map(filter).collect()
}

fn gcd(one: u32, other: u32) -> u32 {
    if other == 0 { one.max(1) } else { gcd(other, one % other) }
}
