//! Compression of what is stored, with a checksum over the compressed bytes.
//!
//! Some bits of a zstd frame can change without changing what it decompresses to. The checksum covers them,
//! so that not one stored byte can rot unnoticed, and a damaged frame is never handed to the decompressor.
//!
//! Most of what is stored is a few hundred bytes of JSON, too short to have much in common with itself. It is
//! compressed with a dictionary of what records have in common, made from the payloads of the recorded run that the
//! tests replay. What was compressed with a dictionary needs that dictionary for ever: another one needs a mark of its own.

use crate::Hash;
use std::cell::RefCell;
use std::sync::LazyLock;
use zstd::bulk::{Compressor, Decompressor};
use zstd::dict::{DecoderDictionary, EncoderDictionary};

const LEVEL: i32 = 3;
const CHECKSUM_BYTES: usize = 8;
/// Below this a frame's header and the checksum eat the gain.
const MIN_BYTES: usize = 64;
/// Above this, contents have enough in common with themselves.
const MAX_DICTIONARY_BYTES: usize = 16 << 10;
/// The first byte of a zstd frame.
const ZSTD_FIRST_BYTE: u8 = 0x28;
/// The first byte of a package whose frame needs the dictionary.
const DICTIONARY_FIRST_BYTE: u8 = 0x01;

static DICTIONARY: &[u8] = include_bytes!("compression/payloads.zdict");
static ENCODER: LazyLock<EncoderDictionary<'static>> =
    LazyLock::new(|| EncoderDictionary::copy(DICTIONARY, LEVEL));
static DECODER: LazyLock<DecoderDictionary<'static>> = LazyLock::new(|| DecoderDictionary::copy(DICTIONARY));

thread_local! {
    static COMPRESSOR: RefCell<Option<Compressor<'static>>> = const { RefCell::new(None) };
    static DECOMPRESSOR: RefCell<Option<Decompressor<'static>>> = const { RefCell::new(None) };
}

/// Whether a package may begin with this byte. No JSON text does.
pub(crate) fn is_compressed(first: u8) -> bool {
    matches!(first, ZSTD_FIRST_BYTE | DICTIONARY_FIRST_BYTE)
}

/// The bytes as a zstd frame followed by its checksum, or `None` if that is not smaller.
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

/// The bytes that were compressed, or what is wrong with the package.
pub(crate) fn decompress(compressed: &[u8]) -> Result<Vec<u8>, &'static str> {
    let (frame, checksum) =
        compressed.split_last_chunk::<CHECKSUM_BYTES>().ok_or("the compressed bytes are cut short")?;
    if &Hash::of(frame).as_bytes()[..CHECKSUM_BYTES] != checksum {
        return Err("the compressed bytes do not match their checksum");
    }
    let bytes = match frame.split_first() {
        Some((&DICTIONARY_FIRST_BYTE, frame)) => decompress_with_dictionary(frame),
        _ => zstd::stream::decode_all(frame).ok(),
    };
    bytes.ok_or("the compressed bytes cannot be decompressed")
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
        // Nothing longer was ever compressed so.
        kept.as_mut()?.decompress(frame, MAX_DICTIONARY_BYTES).ok()
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn packing_is_undone_and_no_flipped_bit_passes() {
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
    fn what_does_not_shrink_is_left_alone() {
        assert!(compress(b"short").is_none());
        let noise: Vec<u8> = (0..64_u8).flat_map(|i| *Hash::of(&[i]).as_bytes()).collect();
        assert!(compress(&noise).is_none());
    }

    #[test]
    fn a_step_shrinks_to_a_third() {
        let step = br#"{"on":"stepped","action":"move_left","change":{"facing":"grass","direction":"west","seen":{"tree":{"distance":7,"dx":-4,"dy":3},"stone":{"distance":2,"dx":-2},"coal":{"distance":3,"dx":-3}},"position":[29,38],"step":46}}"#;
        assert!(compress(step).unwrap().len() * 3 < step.len());
    }

    /// Logs are full of packages made with it.
    #[test]
    fn the_dictionary_never_changes() {
        let golden = "2a18f70749dce5709549700f995d5ef97f1ab2da691a63927ba1b0b5a3eb84eb";
        assert_eq!(Hash::of(DICTIONARY).to_string(), golden);
    }
}
