//! Compresses stored content and protects it with a checksum.
//!
//! Some bits of a zstd frame can flip without changing what it decompresses to. The checksum covers the
//! frame, so every flipped bit is detected, and a damaged frame never reaches the decompressor.
//!
//! Most payloads are a few hundred bytes of JSON, too short to compress well alone. They are compressed with
//! a dictionary, trained on the payloads of the recorded run that the tests replay. Existing stores need this
//! dictionary, so another dictionary must get its own first byte.

use crate::Hash;
use std::cell::RefCell;
use std::sync::LazyLock;
use zstd::bulk::{Compressor, Decompressor};
use zstd::dict::{DecoderDictionary, EncoderDictionary};

const LEVEL: i32 = 3;
const CHECKSUM_BYTES: usize = 8;
/// Shorter content does not shrink by more than the header and the checksum add.
const MIN_BYTES: usize = 64;
/// Longer content compresses well without the dictionary.
const MAX_DICTIONARY_BYTES: usize = 16 << 10;
/// First byte of every zstd frame.
const ZSTD_FIRST_BYTE: u8 = 0x28;
/// First byte of content that was compressed with the dictionary.
const DICTIONARY_FIRST_BYTE: u8 = 0x01;

static DICTIONARY: &[u8] = include_bytes!("compression/payloads.zdict");
static ENCODER: LazyLock<EncoderDictionary<'static>> =
    LazyLock::new(|| EncoderDictionary::copy(DICTIONARY, LEVEL));
static DECODER: LazyLock<DecoderDictionary<'static>> = LazyLock::new(|| DecoderDictionary::copy(DICTIONARY));

thread_local! {
    static COMPRESSOR: RefCell<Option<Compressor<'static>>> = const { RefCell::new(None) };
    static DECOMPRESSOR: RefCell<Option<Decompressor<'static>>> = const { RefCell::new(None) };
}

/// Whether this is the first byte of compressed content. No JSON text starts with one of these bytes.
pub(crate) fn is_compressed(first: u8) -> bool {
    matches!(first, ZSTD_FIRST_BYTE | DICTIONARY_FIRST_BYTE)
}

/// Compresses the bytes to a zstd frame followed by a checksum; `None` if that is not smaller.
pub(crate) fn compress(bytes: &[u8]) -> Option<Vec<u8>> {
    if bytes.len() <= MIN_BYTES {
        return None;
    }
    let mut compressed = if bytes.len() > MAX_DICTIONARY_BYTES {
        zstd::bulk::compress(bytes, LEVEL).ok()?
    } else {
        let mut compressed = vec![DICTIONARY_FIRST_BYTE];
        compressed.append(&mut compress_with_dictionary(bytes)?);
        compressed
    };
    let checksum = Hash::of(&compressed);
    compressed.extend_from_slice(&checksum.as_bytes()[..CHECKSUM_BYTES]);
    (compressed.len() < bytes.len()).then_some(compressed)
}

/// Decompresses the output of [`compress`], or says what is wrong with it.
pub(crate) fn decompress(compressed: &[u8]) -> Result<Vec<u8>, &'static str> {
    let (frame, checksum) =
        compressed.split_last_chunk::<CHECKSUM_BYTES>().ok_or("the compressed content is truncated")?;
    if &Hash::of(frame).as_bytes()[..CHECKSUM_BYTES] != checksum {
        return Err("the compressed content does not match its checksum");
    }
    let bytes = match frame.split_first() {
        Some((&DICTIONARY_FIRST_BYTE, frame)) => decompress_with_dictionary(frame),
        _ => zstd::stream::decode_all(frame).ok(),
    };
    bytes.ok_or("the content cannot be decompressed")
}

fn compress_with_dictionary(bytes: &[u8]) -> Option<Vec<u8>> {
    COMPRESSOR.with_borrow_mut(|kept| {
        if kept.is_none() {
            *kept = Some(Compressor::with_prepared_dictionary(&ENCODER).ok()?);
        }
        kept.as_mut()?.compress(bytes).ok()
    })
}

fn decompress_with_dictionary(frame: &[u8]) -> Option<Vec<u8>> {
    DECOMPRESSOR.with_borrow_mut(|kept| {
        if kept.is_none() {
            *kept = Some(Decompressor::with_prepared_dictionary(&DECODER).ok()?);
        }
        // Longer content is never compressed with the dictionary.
        kept.as_mut()?.decompress(frame, MAX_DICTIONARY_BYTES).ok()
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn decompression_restores_content_and_detects_every_flipped_bit() {
        for length in [100_u32, 2000, 40_000] {
            let bytes: Vec<u8> = (0..length).map(|i| (i / 7 % 31) as u8).collect();
            let compressed = compress(&bytes).unwrap();
            assert_eq!(decompress(&compressed).unwrap(), bytes);
            assert!(is_compressed(compressed[0]));
            for bit in 0..compressed.len() * 8 {
                let mut damaged = compressed.clone();
                damaged[bit / 8] ^= 1 << (bit % 8);
                assert!(decompress(&damaged).is_err(), "bit {bit} of {length} bytes");
            }
        }
        assert!(decompress(&[]).is_err());
    }

    #[test]
    fn content_that_does_not_shrink_stays_uncompressed() {
        assert!(compress(b"short").is_none());
        let noise: Vec<u8> = (0..64_u8).flat_map(|i| *Hash::of(&[i]).as_bytes()).collect();
        assert!(compress(&noise).is_none());
    }

    #[test]
    fn a_step_record_shrinks_to_a_third() {
        let step = br#"{"on":"stepped","action":"move_left","change":{"facing":"grass","direction":"west","seen":{"tree":{"distance":7,"dx":-4,"dy":3},"stone":{"distance":2,"dx":-2},"coal":{"distance":3,"dx":-3}},"position":[29,38],"step":46}}"#;
        assert!(compress(step).unwrap().len() * 3 < step.len());
    }

    /// Stored logs need this very dictionary.
    #[test]
    fn dictionary_matches_its_golden_hash() {
        let golden = "2a18f70749dce5709549700f995d5ef97f1ab2da691a63927ba1b0b5a3eb84eb";
        assert_eq!(Hash::of(DICTIONARY).to_string(), golden);
    }
}
