//! The weights of a Whisper model as `CTranslate2` stores them in `model.bin`: named arrays of 16- or 32-bit floats.

use std::collections::BTreeMap;

/// Versions of the format that are read.
const VERSIONS: std::ops::RangeInclusive<u32> = 5..=6;
/// What the file says it holds.
const SPEC: &str = "WhisperSpec";
/// Limits on what a damaged file may claim.
const MAX_ARRAYS: u32 = 10_000;
const MAX_RANK: u8 = 4;

/// A named array in row-major order.
pub(super) struct Array {
    pub(super) shape: Vec<usize>,
    pub(super) data: Vec<f32>,
}

/// The arrays of a file by name.
pub(super) struct Weights(BTreeMap<String, Array>);

impl Weights {
    /// Reads a whole file.
    ///
    /// # Errors
    /// What is wrong with it, in lower case.
    pub(super) fn read(file: &[u8]) -> Result<Self, String> {
        let mut reader = Reader(file);
        let version = reader.u32()?;
        let spec = if VERSIONS.contains(&version) { reader.text()? } else { String::new() };
        if spec != SPEC {
            return Err("it is no Whisper model in the format of CTranslate2".to_owned());
        }
        reader.u32()?;
        let count = reader.u32()?;
        if count > MAX_ARRAYS {
            return Err(format!("it claims {count} arrays"));
        }
        let mut arrays = BTreeMap::new();
        for _ in 0..count {
            let name = reader.text()?;
            let array = reader.array().map_err(|reason| format!("`{name}`: {reason}"))?;
            arrays.insert(name, array);
        }
        let aliases = reader.u32().unwrap_or(0).min(MAX_ARRAYS);
        // Each alias is a copy. A model shares the numbers of a few arrays, so all copies together have fewer than it stores.
        let mut room: usize = arrays.values().map(|array: &Array| array.data.len()).sum();
        for _ in 0..aliases {
            let (alias, name) = (reader.text()?, reader.text()?);
            if let Some(array) = arrays.get(&name).filter(|_| !arrays.contains_key(&alias)) {
                room = room
                    .checked_sub(array.data.len())
                    .ok_or("its aliases repeat more numbers than it stores")?;
                let copy = Array { shape: array.shape.clone(), data: array.data.clone() };
                arrays.insert(alias, copy);
            }
        }
        Ok(Self(arrays))
    }

    /// Takes an array out.
    ///
    /// # Errors
    /// There is none, or it has another number of dimensions.
    pub(super) fn take<const RANK: usize>(
        &mut self,
        name: &str,
    ) -> Result<([usize; RANK], Vec<f32>), String> {
        let array = self.0.remove(name).ok_or_else(|| format!("it lacks `{name}`"))?;
        let shape = <[usize; RANK]>::try_from(array.shape)
            .map_err(|shape| format!("`{name}` has {} dimensions instead of {RANK}", shape.len()))?;
        Ok((shape, array.data))
    }

    /// Whether there is an array of this name.
    pub(super) fn has(&self, name: &str) -> bool {
        self.0.contains_key(name)
    }
}

struct Reader<'a>(&'a [u8]);

impl<'a> Reader<'a> {
    fn bytes(&mut self, count: usize) -> Result<&'a [u8], String> {
        let (taken, rest) = self.0.split_at_checked(count).ok_or("it is truncated")?;
        self.0 = rest;
        Ok(taken)
    }

    fn u8(&mut self) -> Result<u8, String> {
        Ok(self.bytes(1)?[0])
    }

    fn u32(&mut self) -> Result<u32, String> {
        let bytes = self.bytes(4)?;
        Ok(u32::from_le_bytes([bytes[0], bytes[1], bytes[2], bytes[3]]))
    }

    /// A text with its length before and a zero after it.
    fn text(&mut self) -> Result<String, String> {
        let length = self.bytes(2)?;
        let text = self.bytes(usize::from(u16::from_le_bytes([length[0], length[1]])))?;
        let text = text.strip_suffix(b"\0").unwrap_or(text);
        String::from_utf8(text.to_vec()).map_err(|_| "a name in it is no text".to_owned())
    }

    fn array(&mut self) -> Result<Array, String> {
        let rank = self.u8()?;
        if rank > MAX_RANK {
            return Err(format!("it has {rank} dimensions"));
        }
        let mut shape = Vec::new();
        for _ in 0..rank {
            shape.push(self.u32()? as usize);
        }
        let kind = self.u8()?;
        let bytes = self.u32()? as usize;
        let data = self.bytes(bytes)?;
        let data: Vec<f32> = match kind {
            0 => data.chunks_exact(4).map(|b| f32::from_le_bytes([b[0], b[1], b[2], b[3]])).collect(),
            4 => data.chunks_exact(2).map(|b| half::f16::from_le_bytes([b[0], b[1]]).to_f32()).collect(),
            // Settings that the network does not need are small integers.
            1..=3 if bytes <= 8 => Vec::new(),
            1..=3 | 5 => {
                return Err(
                    "its numbers are quantised; convert the model with `--quantization float16`".to_owned()
                );
            }
            kind => return Err(format!("its numbers are of the unknown kind {kind}")),
        };
        let expected: usize = shape.iter().product();
        if matches!(kind, 0 | 4) && data.len() != expected {
            return Err(format!("it has {} numbers instead of {expected}", data.len()));
        }
        Ok(Array { shape, data })
    }
}

#[cfg(test)]
pub(super) mod tests {
    use super::*;

    /// A file with these arrays of 32-bit floats.
    pub(in crate::hear) fn file(arrays: &[(String, Vec<usize>, Vec<f32>)]) -> Vec<u8> {
        let text = |text: &str| {
            let mut bytes = u16::try_from(text.len() + 1).unwrap().to_le_bytes().to_vec();
            bytes.extend(text.bytes().chain([0]));
            bytes
        };
        let number = |number: usize| u32::try_from(number).unwrap().to_le_bytes();
        let mut file = number(6).to_vec();
        file.extend(text(SPEC));
        file.extend(number(3));
        file.extend(number(arrays.len()));
        for (name, shape, data) in arrays {
            file.extend(text(name));
            file.push(u8::try_from(shape.len()).unwrap());
            for side in shape {
                file.extend(number(*side));
            }
            file.push(0);
            file.extend(number(data.len() * 4));
            for value in data {
                file.extend(value.to_le_bytes());
            }
        }
        file.extend(number(0));
        file
    }

    /// The bytes of a name.
    fn name(text: &str) -> Vec<u8> {
        let length = u16::try_from(text.len() + 1).unwrap().to_le_bytes();
        length.into_iter().chain(text.bytes()).chain([0]).collect()
    }

    #[test]
    fn aliases_repeat_no_more_than_the_file_stores() {
        let stored = file(&[("a".to_owned(), vec![2], vec![1.0, 2.0]), ("b".to_owned(), vec![1], vec![3.0])]);
        let with = |aliases: &[&str]| {
            let mut whole = stored[..stored.len() - 4].to_vec();
            whole.extend(u32::try_from(aliases.len()).unwrap().to_le_bytes());
            for alias in aliases {
                whole.extend([name(alias), name("a")].concat());
            }
            Weights::read(&whole)
        };
        let mut shared = with(&["c"]).unwrap();
        assert_eq!(shared.take::<1>("c").unwrap(), ([2], vec![1.0, 2.0]));
        assert!(shared.has("a"));
        let error = with(&["c", "d"]).err().unwrap();
        assert_eq!(error, "its aliases repeat more numbers than it stores");
    }

    #[test]
    fn a_truncated_or_foreign_file_is_refused() {
        let whole = file(&[("a".to_owned(), vec![2, 1], vec![1.0, 2.0])]);
        let mut weights = Weights::read(&whole).unwrap();
        assert!(weights.has("a") && !weights.has("b"));
        assert_eq!(weights.take::<2>("a").unwrap(), ([2, 1], vec![1.0, 2.0]));
        assert!(weights.take::<2>("a").err().unwrap().contains("lacks `a`"));
        for cut in 0..whole.len() - 4 {
            assert!(Weights::read(&whole[..cut]).is_err(), "{cut}");
        }
        assert!(Weights::read(b"GGUF\x03\0\0\0").err().unwrap().contains("no Whisper model"));
        let quantised = file(&[("a".to_owned(), vec![3], vec![1.0; 3])]);
        let kind = quantised.len() - 4 - 12 - 4 - 1;
        let error =
            Weights::read(&[&quantised[..kind], &[1][..], &quantised[kind + 1..]].concat()).err().unwrap();
        assert!(error.starts_with("`a`: its numbers are quantised"), "{error}");
    }
}
