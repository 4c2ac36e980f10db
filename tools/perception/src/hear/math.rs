//! The few operations that a transformer needs, over rows of numbers. Matrices are multiplied by the engine's kernels.

use rten_gemm::{BiasVector, GemmExecutor, GemmInputA, GemmInputB, GemmOptions};
use rten_tensor::NdTensorView;
use rten_tensor::prelude::*;

/// A matrix of `count` rows of `columns` numbers, which may be rows of a larger one.
#[derive(Clone, Copy)]
pub(super) struct Rows<'a> {
    pub(super) data: &'a [f32],
    pub(super) count: usize,
    pub(super) columns: usize,
    /// Numbers from the start of a row to that of the next.
    pub(super) stride: usize,
}

impl<'a> Rows<'a> {
    pub(super) fn of(data: &'a [f32], columns: usize) -> Self {
        Self { data, count: data.len() / columns, columns, stride: columns }
    }

    /// `count` of the columns, from `from` on.
    pub(super) fn columns(self, from: usize, count: usize) -> Self {
        Self { data: &self.data[from..], columns: count, ..self }
    }
}

/// `left` times `right`, or times `right` transposed, plus `bias` in each row, times `scale`.
pub(super) fn product(
    left: Rows<'_>,
    right: Rows<'_>,
    transposed: bool,
    bias: Option<&[f32]>,
    scale: f32,
) -> Result<Vec<f32>, String> {
    let (left, right) = (view(left)?, view(right)?);
    let right = if transposed { right.transposed() } else { right };
    let mut out = vec![0.0; left.size(0) * right.size(1)];
    let options = GemmOptions { alpha: scale, bias: bias.map(BiasVector::Row), ..GemmOptions::default() };
    GemmExecutor::<f32>::default()
        .gemm(&mut out, GemmInputA::Unpacked(left), GemmInputB::Unpacked(right), options)
        .map_err(|error| format!("{error:?}"))?;
    Ok(out)
}

fn view(matrix: Rows<'_>) -> Result<NdTensorView<'_, f32, 2>, String> {
    let Rows { data, count, columns, stride } = matrix;
    NdTensorView::from_slice_with_strides([count, columns], data, [stride, 1])
        .map_err(|error| format!("{error:?}"))
}

/// Adds `more` to `rows`.
pub(super) fn add(rows: &mut [f32], more: &[f32]) {
    rows.iter_mut().zip(more).for_each(|(sum, more)| *sum += more);
}

/// Makes each row sum up to 1 (softmax).
pub(super) fn softmax(rows: &mut [f32], columns: usize) {
    for row in rows.chunks_exact_mut(columns) {
        let most = row.iter().copied().fold(f32::NEG_INFINITY, f32::max);
        let mut sum = 0.0;
        for value in row.iter_mut() {
            *value = (*value - most).exp();
            sum += *value;
        }
        for value in row {
            *value /= sum;
        }
    }
}

/// Each row with mean 0 and deviation 1, then scaled and shifted (Ba et al. 2016).
pub(super) fn normalised(rows: &[f32], gamma: &[f32], beta: &[f32]) -> Vec<f32> {
    let mut out = Vec::with_capacity(rows.len());
    for row in rows.chunks_exact(gamma.len()) {
        let count = row.len() as f32;
        let mean = row.iter().sum::<f32>() / count;
        let variance = row.iter().map(|value| (value - mean).powi(2)).sum::<f32>() / count;
        let scale = (variance + 1e-5).sqrt().recip();
        out.extend(row.iter().zip(gamma.iter().zip(beta)).map(|(v, (g, b))| (v - mean) * scale * g + b));
    }
    out
}

/// Gaussian error linear units (Hendrycks and Gimpel 2016).
pub(super) fn gelu(values: &mut [f32]) {
    for value in values {
        *value *= 0.5 * (1.0 + erf(*value * std::f32::consts::FRAC_1_SQRT_2));
    }
}

/// The error function, to 1.5e-7 (Abramowitz and Stegun 7.1.26).
fn erf(x: f32) -> f32 {
    let t = (1.0 + 0.327_591_1 * x.abs()).recip();
    let sum =
        t * (0.254_829_6 + t * (-0.284_496_72 + t * (1.421_413_8 + t * (-1.453_152_1 + t * 1.061_405_4))));
    (1.0 - sum * (-x * x).exp()).copysign(x)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn products_of_parts_of_matrices_are_right() {
        let left = [1., 2., 9., 3., 4., 9.];
        let left = Rows::of(&left, 3).columns(0, 2);
        let right = [5., 6., 7., 8.];
        let plain = product(left, Rows::of(&right, 2), false, None, 1.0).unwrap();
        assert_eq!(plain, [19., 22., 43., 50.]);
        let turned = product(left, Rows::of(&right, 2), true, Some(&[1., 0.]), 2.0).unwrap();
        assert_eq!(turned, [35., 46., 79., 106.]);
        // A single row has a path of its own.
        let one = product(Rows::of(&[1., 2.], 2), Rows::of(&right, 2), true, Some(&[1., 0.]), 1.0).unwrap();
        assert_eq!(one, [18., 23.]);
    }

    #[test]
    fn activations_are_those_of_their_definitions() {
        let mut values = [-1.0, 0.0, 1.0, 3.0];
        gelu(&mut values);
        for (value, expected) in values.iter().zip([-0.158_655, 0.0, 0.841_345, 2.995_95]) {
            assert!((value - expected).abs() < 1e-5, "{value}");
        }
        let mut rows = [0.0, 0.0, f32::NEG_INFINITY, 1000.0];
        softmax(&mut rows, 2);
        assert_eq!(rows.to_vec(), [0.5, 0.5, 0.0, 1.0]);
        let rows = normalised(&[1.0, 3.0], &[1.0, 2.0], &[0.0, 1.0]);
        assert!((rows[0] + 1.0).abs() < 1e-4 && (rows[1] - 3.0).abs() < 1e-4, "{rows:?}");
    }
}
