//! The spectrogram that Whisper hears: the logarithm of the power in bands of the mel scale, every 10 ms (Radford et al. 2022, as
//! the reference computes it; bands by Slaney's formula).

use super::math::{Rows, product};
use super::sound::RATE;

/// Samples of a window, and from one window to the next.
const WINDOW: usize = 400;
const HOP: usize = 160;
const BINS: usize = WINDOW / 2 + 1;
/// Samples that the network hears at once: 30 seconds.
pub(super) const SAMPLES: usize = 30 * RATE as usize;
/// Windows in them.
pub(super) const FRAMES: usize = SAMPLES / HOP;

/// What does not depend on the sound.
pub(super) struct Spectrogram {
    /// The windowed cosines and sines: `WINDOW` rows of `2 * BINS`.
    waves: Vec<f32>,
    /// `bands` rows of `BINS`.
    filters: Vec<f32>,
    bands: usize,
}

impl Spectrogram {
    pub(super) fn new(bands: usize) -> Self {
        let mut waves = vec![0.0; WINDOW * 2 * BINS];
        for (at, row) in waves.chunks_exact_mut(2 * BINS).enumerate() {
            let turn = std::f64::consts::TAU / WINDOW as f64;
            let window = 0.5 - 0.5 * (turn * at as f64).cos();
            for bin in 0..BINS {
                let angle = turn * ((at * bin) % WINDOW) as f64;
                row[bin] = (window * angle.cos()) as f32;
                row[BINS + bin] = (window * angle.sin()) as f32;
            }
        }
        Self { waves, filters: filters(bands), bands }
    }

    /// `FRAMES` rows of `bands` for at most 30 seconds of sound; silence follows what is shorter.
    pub(super) fn of(&self, samples: &[f32]) -> Result<Vec<f32>, String> {
        let samples = &samples[..samples.len().min(SAMPLES)];
        let mut padded = vec![0.0; SAMPLES + WINDOW];
        let half = WINDOW / 2;
        padded[half..half + samples.len()].copy_from_slice(samples);
        // The edges are mirrored.
        for at in 0..half {
            padded[half - 1 - at] = padded[half + 1 + at];
            padded[half + SAMPLES + at] = padded[half + SAMPLES - 2 - at];
        }
        let frames = Rows { data: &padded, count: FRAMES, columns: WINDOW, stride: HOP };
        let waves = product(frames, Rows::of(&self.waves, 2 * BINS), false, None, 1.0)?;
        let power: Vec<f32> = waves
            .chunks_exact(2 * BINS)
            .flat_map(|row| (0..BINS).map(|bin| row[bin].powi(2) + row[BINS + bin].powi(2)))
            .collect();
        let mut mel = product(Rows::of(&power, BINS), Rows::of(&self.filters, BINS), true, None, 1.0)?;
        for value in &mut mel {
            *value = value.max(1e-10).log10();
        }
        let floor = mel.iter().copied().fold(f32::NEG_INFINITY, f32::max) - 8.0;
        for value in &mut mel {
            *value = (value.max(floor) + 4.0) / 4.0;
        }
        debug_assert_eq!(mel.len(), FRAMES * self.bands);
        Ok(mel)
    }
}

/// Triangles over the bins, equally wide on the mel scale, each with the same area.
fn filters(bands: usize) -> Vec<f32> {
    const LINEAR: f64 = 200.0 / 3.0;
    const BREAK: f64 = 1000.0;
    let step = 6.4_f64.ln() / 27.0;
    let to_mel = |hertz: f64| {
        if hertz < BREAK { hertz / LINEAR } else { BREAK / LINEAR + (hertz / BREAK).ln() / step }
    };
    let to_hertz = |mel: f64| {
        if mel < BREAK / LINEAR { mel * LINEAR } else { BREAK * ((mel - BREAK / LINEAR) * step).exp() }
    };
    let top = to_mel(f64::from(RATE) / 2.0);
    let edge = |index: usize| to_hertz(top * index as f64 / (bands + 1) as f64);
    let mut filters = Vec::with_capacity(bands * BINS);
    for band in 0..bands {
        let (low, middle, high) = (edge(band), edge(band + 1), edge(band + 2));
        for bin in 0..BINS {
            let hertz = f64::from(RATE) / WINDOW as f64 * bin as f64;
            let weight = ((hertz - low) / (middle - low)).min((high - hertz) / (high - middle)).max(0.0);
            filters.push((weight * 2.0 / (high - low)) as f32);
        }
    }
    filters
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_tone_is_loudest_in_its_band_and_silence_has_one_value() {
        let spectrogram = Spectrogram::new(80);
        let tone: Vec<f32> =
            (0..RATE).map(|at| (at as f32 / RATE as f32 * 1000.0 * std::f32::consts::TAU).sin()).collect();
        let mel = spectrogram.of(&tone).unwrap();
        let row = &mel[50 * 80..51 * 80];
        let loudest = (0..80).max_by(|a, b| row[*a].total_cmp(&row[*b])).unwrap();
        // The reference's band 26 goes from 964 to 1037 Hz about its middle.
        assert!((25..=27).contains(&loudest), "{loudest}");
        let silence = spectrogram.of(&[]).unwrap();
        assert!(silence.iter().all(|value| (value - silence[0]).abs() < 1e-6));
        assert!((silence[0] + 1.5).abs() < 1e-6, "{}", silence[0]);
    }
}
