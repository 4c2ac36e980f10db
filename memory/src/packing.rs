//! Compression of what is stored, with a checksum over the compressed bytes.
//!
//! Some bits of a zstd frame can change without changing what it decompresses to. The checksum covers them,
//! so that not one stored byte can rot unnoticed, and a damaged frame is never handed to the decompressor.

use crate::Hash;

const LEVEL: i32 = 3;
const CHECKSUM: usize = 8;
/// Below this a frame's header and the checksum eat the gain.
pub(crate) const WORTHWHILE: usize = 512;

/// The bytes as a zstd frame followed by its checksum, or `None` if that is not smaller.
pub(crate) fn pack(bytes: &[u8]) -> Option<Vec<u8>> {
    if bytes.len() <= WORTHWHILE {
        return None;
    }
    let mut packed = zstd::bulk::compress(bytes, LEVEL).ok()?;
    let checksum = Hash::of(&packed);
    packed.extend_from_slice(&checksum.as_bytes()[..CHECKSUM]);
    (packed.len() < bytes.len()).then_some(packed)
}

/// The bytes that were packed, or what is wrong with the package.
pub(crate) fn unpack(packed: &[u8]) -> Result<Vec<u8>, &'static str> {
    let (frame, checksum) =
        packed.split_last_chunk::<CHECKSUM>().ok_or("the compressed bytes are cut short")?;
    if &Hash::of(frame).as_bytes()[..CHECKSUM] != checksum {
        return Err("the compressed bytes do not match their checksum");
    }
    zstd::stream::decode_all(frame).map_err(|_| "the compressed bytes cannot be decompressed")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn packing_is_undone_and_no_flipped_bit_passes() {
        let bytes: Vec<u8> = (0..2000_u32).map(|i| (i / 7 % 31) as u8).collect();
        let packed = pack(&bytes).unwrap();
        assert_eq!(unpack(&packed).unwrap(), bytes);
        for bit in 0..packed.len() * 8 {
            let mut damaged = packed.clone();
            damaged[bit / 8] ^= 1 << (bit % 8);
            assert!(unpack(&damaged).is_err(), "bit {bit}");
        }
        assert!(unpack(&[]).is_err());
    }

    #[test]
    fn what_does_not_shrink_is_left_alone() {
        assert!(pack(b"short").is_none());
        let noise: Vec<u8> = (0..64_u8).flat_map(|i| *Hash::of(&[i]).as_bytes()).collect();
        assert!(pack(&noise).is_none());
    }
}
