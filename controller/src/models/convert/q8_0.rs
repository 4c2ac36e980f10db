//! ggml's quantisation `Q8_0`: blocks of 32 weights with one byte per weight and one scale per block.

use half::f16;

/// Number of weights per block.
pub const BLOCK: usize = 32;
/// Size of a block in bytes: a 16-bit scale, and a signed byte per weight.
pub const BLOCK_BYTES: usize = 2 + BLOCK;

/// Quantises weights to blocks of `Q8_0`. An incomplete last block is dropped.
///
/// The scale is the largest magnitude divided by 127. A weight is rounded to the nearest multiple of the
/// scale, halves away from zero, as in ggml's `quantize_row_q8_0_ref`. The scale is rounded to 16 bits only
/// for storage.
pub fn quantise(weights: &[f32]) -> Vec<u8> {
    let mut bytes = Vec::with_capacity(weights.len() / BLOCK * BLOCK_BYTES);
    for block in weights.chunks_exact(BLOCK) {
        let largest = block.iter().fold(0.0_f32, |largest, weight| largest.max(weight.abs()));
        let scale = largest / 127.0;
        let inverse = if scale == 0.0 { 0.0 } else { scale.recip() };
        bytes.extend(f16::from_f32(scale).to_le_bytes());
        bytes.extend(block.iter().map(|weight| ((weight * inverse).round() as i8).cast_unsigned()));
    }
    bytes
}

/// Restores the weights of `Q8_0` blocks. An incomplete last block is dropped.
pub fn dequantise(bytes: &[u8]) -> Vec<f32> {
    let mut weights = Vec::with_capacity(bytes.len() / BLOCK_BYTES * BLOCK);
    for block in bytes.chunks_exact(BLOCK_BYTES) {
        let scale = f16::from_le_bytes([block[0], block[1]]).to_f32();
        weights.extend(block[2..].iter().map(|&byte| f32::from(byte.cast_signed()) * scale));
    }
    weights
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn halves_are_rounded_away_from_zero() {
        let mut block = [0.0; BLOCK];
        block[..5].copy_from_slice(&[127.0, 2.5, -2.5, 0.5, -0.5]);
        let bytes = quantise(&block);
        assert_eq!(bytes[..2], f16::ONE.to_le_bytes());
        assert_eq!(
            bytes[2..8].iter().map(|byte| byte.cast_signed()).collect::<Vec<_>>(),
            [127, 3, -3, 1, -1, 0]
        );
    }

    #[test]
    fn zero_block_stays_zero() {
        let bytes = quantise(&[0.0; BLOCK]);
        assert_eq!(bytes, [0; BLOCK_BYTES]);
        assert_eq!(dequantise(&bytes), [0.0; BLOCK]);
    }

    proptest! {
        #[test]
        fn quantisation_error_is_at_most_half_a_scale_and_its_rounding(
            weights in prop::collection::vec(-100.0_f32..100.0, BLOCK * 3),
            magnitude in prop::sample::select(vec![1e-3_f32, 1.0, 50.0]),
        ) {
            let weights: Vec<f32> = weights.into_iter().map(|weight| weight * magnitude).collect();
            let back = dequantise(&quantise(&weights));
            prop_assert_eq!(back.len(), weights.len());
            for (block, back) in weights.chunks(BLOCK).zip(back.chunks(BLOCK)) {
                let largest = block.iter().fold(0.0_f32, |largest, weight| largest.max(weight.abs()));
                // Half a step, and the relative error of a 16-bit scale (2^-11), or 2^-25 below its normal
                // range.
                let bound = largest / 127.0 * 0.5 + largest / 2048.0 + 127.0 * 2.0_f32.powi(-25);
                for (weight, back) in block.iter().zip(back) {
                    prop_assert!((weight - back).abs() <= bound * 1.001, "{weight} became {back}");
                }
            }
        }

        #[test]
        fn quantisation_is_idempotent(
            weights in prop::collection::vec(-1.0_f32..1.0, BLOCK),
        ) {
            let once = quantise(&weights);
            let again = quantise(&dequantise(&once));
            prop_assert_eq!(&once[2..], &again[2..]);
        }
    }
}
