//! Figures of several episodes.

use serde::Serialize;

/// How a figure differs between episodes.
#[derive(Debug, Clone, Copy, PartialEq, Serialize)]
pub struct Spread {
    /// The mean.
    pub mean: f64,
    /// Its standard error; 0 for a single episode.
    pub standard_error: f64,
    /// The smallest value.
    pub least: f64,
    /// The largest value.
    pub most: f64,
}

impl Spread {
    /// The spread of `values`; `None` for no values.
    pub fn of(values: &[f64]) -> Option<Self> {
        let least = values.iter().copied().reduce(f64::min)?;
        let most = values.iter().copied().reduce(f64::max)?;
        Some(Self { mean: mean(values), standard_error: standard_error(values), least, most })
    }
}

/// The mean; 0 for no values.
pub fn mean(values: &[f64]) -> f64 {
    if values.is_empty() { 0.0 } else { values.iter().sum::<f64>() / values.len() as f64 }
}

/// The standard error of the mean: the sample's standard deviation over √n; 0 for fewer than two values.
pub fn standard_error(values: &[f64]) -> f64 {
    if values.len() < 2 {
        return 0.0;
    }
    let (mean, count) = (mean(values), values.len() as f64);
    let variance = values.iter().map(|value| (value - mean).powi(2)).sum::<f64>() / (count - 1.0);
    (variance / count).sqrt()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_spread_is_that_computed_by_hand() {
        assert_eq!(Spread::of(&[]), None);
        // Sample variance 4, so the standard error is 2 / √4.
        let spread = Spread::of(&[1.0, 1.0, 5.0, 1.0]).unwrap();
        assert_eq!((spread.mean, spread.standard_error, spread.least, spread.most), (2.0, 1.0, 1.0, 5.0));
        let single = Spread::of(&[-3.0]).unwrap();
        assert_eq!((single.mean, single.standard_error, single.least), (-3.0, 0.0, -3.0));
    }
}
