//! Reads the header of a GGUF file.
//!
//! llama.cpp may abort the process on a malformed file, so every file is checked here first: its format, its
//! completeness and its metadata. The layout follows the GGUF specification, versions 2 and 3 (`docs/gguf.md`
//! in the ggml repository).

use crate::ControllerError;
use std::collections::BTreeMap;
use std::fs::File;
use std::io::{BufReader, ErrorKind, Read};
use std::path::Path;

/// Longest accepted string, in bytes. Chat templates have some thousand bytes.
const MAX_STRING: u64 = 16 << 20;
/// Largest accepted number of items. Vocabularies have some hundred thousand.
const MAX_COUNT: u64 = 16 << 20;
/// Alignment of tensor data in bytes, unless the file specifies another.
const DEFAULT_ALIGNMENT: u64 = 32;

/// The header of a GGUF file.
#[derive(Debug, Clone, PartialEq)]
pub struct Header {
    /// Scalar and string entries by key. Arrays are skipped.
    pub entries: BTreeMap<String, Entry>,
    /// Dimensions of each tensor by its name, the innermost first.
    pub tensors: BTreeMap<String, Vec<u64>>,
    /// Number of weights in all tensors.
    pub parameters: u64,
    /// Length that the file must have, in bytes.
    pub file_bytes: u64,
}

/// Value of an entry.
#[derive(Debug, Clone, PartialEq)]
pub enum Entry {
    /// A string.
    Text(String),
    /// An unsigned or non-negative integer.
    Integer(u64),
    /// A negative integer or a floating-point number.
    Real(f64),
    /// A boolean.
    Flag(bool),
}

impl Header {
    /// Reads the header and checks that the file holds all tensors.
    ///
    /// # Errors
    /// [`ControllerError::Unreadable`], [`ControllerError::NotGguf`], [`ControllerError::Truncated`].
    pub fn read(path: &Path) -> Result<Self, ControllerError> {
        let unreadable = |source| ControllerError::Unreadable { path: path.to_path_buf(), source };
        let file = File::open(path).map_err(unreadable)?;
        let metadata = file.metadata().map_err(unreadable)?;
        if !metadata.is_file() {
            return Err(not_gguf(path, "it is not a regular file"));
        }
        let actual = metadata.len();
        let mut reader = Reader { bytes: BufReader::new(file), position: 0 };
        let header = reader.header().map_err(|fault| match fault {
            Fault::Io(error) if error.kind() == ErrorKind::UnexpectedEof => {
                ControllerError::Truncated { path: path.to_path_buf(), expected: actual + 1, actual }
            }
            Fault::Io(error) => unreadable(error),
            Fault::Bad(reason) => not_gguf(path, reason),
        })?;
        if actual < header.file_bytes {
            let expected = header.file_bytes;
            return Err(ControllerError::Truncated { path: path.to_path_buf(), expected, actual });
        }
        Ok(header)
    }

    /// The string at `key`.
    pub fn text(&self, key: &str) -> Option<&str> {
        match self.entries.get(key) {
            Some(Entry::Text(text)) => Some(text),
            _ => None,
        }
    }

    /// The non-negative integer at `key`.
    pub fn integer(&self, key: &str) -> Option<u64> {
        match self.entries.get(key) {
            Some(Entry::Integer(number)) => Some(*number),
            _ => None,
        }
    }

    /// Name of the model, as its publisher wrote it.
    pub fn name(&self) -> Option<&str> {
        self.text("general.name").filter(|name| !name.is_empty())
    }

    /// The integer at `key` in the namespace of the model's architecture: `bert.context_length` for
    /// "`context_length`".
    pub fn architecture_integer(&self, key: &str) -> Option<u64> {
        self.integer(&format!("{}.{key}", self.text("general.architecture")?))
    }

    /// Quantisation of most weights, such as "`Q4_K_M`".
    pub fn quantisation(&self) -> Option<&'static str> {
        // The numbers of `llama_ftype` in llama.h.
        let name = match self.integer("general.file_type")? {
            0 => "F32",
            1 => "F16",
            2 => "Q4_0",
            3 => "Q4_1",
            7 => "Q8_0",
            8 => "Q5_0",
            9 => "Q5_1",
            10 => "Q2_K",
            11 => "Q3_K_S",
            12 => "Q3_K_M",
            13 => "Q3_K_L",
            14 => "Q4_K_S",
            15 => "Q4_K_M",
            16 => "Q5_K_S",
            17 => "Q5_K_M",
            18 => "Q6_K",
            25 => "IQ4_NL",
            30 => "IQ4_XS",
            32 => "BF16",
            _ => return None,
        };
        Some(name)
    }
}

fn not_gguf(path: &Path, reason: impl Into<String>) -> ControllerError {
    ControllerError::NotGguf { path: path.to_path_buf(), reason: reason.into() }
}

enum Fault {
    Io(std::io::Error),
    Bad(String),
}

impl From<std::io::Error> for Fault {
    fn from(error: std::io::Error) -> Self {
        Self::Io(error)
    }
}

fn bad<T>(reason: impl Into<String>) -> Result<T, Fault> {
    Err(Fault::Bad(reason.into()))
}

/// Reads little-endian values and tracks the position.
struct Reader<R> {
    bytes: R,
    /// Number of bytes read so far.
    position: u64,
}

impl<R: Read> Reader<R> {
    fn header(&mut self) -> Result<Header, Fault> {
        if &self.take::<4>()? != b"GGUF" {
            return bad("it does not start with `GGUF`");
        }
        let version = u32::from_le_bytes(self.take()?);
        if !(2..=3).contains(&version) {
            return bad(format!("its version is {version}; versions 2 and 3 are supported"));
        }
        let tensors = self.count("tensors")?;
        let entry_count = self.count("entries")?;
        let mut entries = BTreeMap::new();
        for _ in 0..entry_count {
            let key = self.string()?;
            let kind = u32::from_le_bytes(self.take()?);
            if let Some(entry) = self.value(kind, 0)? {
                entries.insert(key, entry);
            }
        }
        let mut header = Header { entries, tensors: BTreeMap::new(), parameters: 0, file_bytes: 0 };
        let mut data_bytes = 0;
        for _ in 0..tensors {
            let (name, shape, end) = self.tensor()?;
            let weights = shape.iter().fold(1_u64, |weights, side| weights.saturating_mul(*side));
            header.parameters = header.parameters.saturating_add(weights);
            header.tensors.insert(name, shape);
            data_bytes = data_bytes.max(end);
        }
        let alignment = header.integer("general.alignment").unwrap_or(DEFAULT_ALIGNMENT);
        if !alignment.is_power_of_two() {
            return bad(format!("its alignment {alignment} is not a power of two"));
        }
        header.file_bytes = match data_bytes {
            0 => self.position,
            _ => self.position.next_multiple_of(alignment).saturating_add(data_bytes),
        };
        Ok(header)
    }

    /// Returns a tensor's name, its dimensions, and the end of its data in the data section.
    fn tensor(&mut self) -> Result<(String, Vec<u64>, u64), Fault> {
        let name = self.string()?;
        let dimensions = u32::from_le_bytes(self.take()?);
        if dimensions > 8 {
            return bad(format!("the tensor `{name}` has {dimensions} dimensions"));
        }
        let mut shape = Vec::new();
        for _ in 0..dimensions {
            shape.push(u64::from_le_bytes(self.take()?));
        }
        let weights = shape.iter().fold(1_u64, |weights, side| weights.saturating_mul(*side));
        let kind = u32::from_le_bytes(self.take()?);
        let offset = u64::from_le_bytes(self.take()?);
        // The size of unknown tensor types is left to llama.cpp to check.
        let bytes = block(kind).map_or(0, |(weights_a_block, bytes_a_block)| {
            weights.div_ceil(weights_a_block).saturating_mul(bytes_a_block)
        });
        Ok((name, shape, offset.saturating_add(bytes)))
    }

    /// Reads a value of `kind`; `None` for an array, which is skipped.
    fn value(&mut self, kind: u32, depth: u32) -> Result<Option<Entry>, Fault> {
        let signed = |number: i64| match u64::try_from(number) {
            Ok(number) => Entry::Integer(number),
            Err(_) => Entry::Real(number as f64),
        };
        Ok(Some(match kind {
            0 => Entry::Integer(u64::from(u8::from_le_bytes(self.take()?))),
            1 => signed(i64::from(i8::from_le_bytes(self.take()?))),
            2 => Entry::Integer(u64::from(u16::from_le_bytes(self.take()?))),
            3 => signed(i64::from(i16::from_le_bytes(self.take()?))),
            4 => Entry::Integer(u64::from(u32::from_le_bytes(self.take()?))),
            5 => signed(i64::from(i32::from_le_bytes(self.take()?))),
            6 => Entry::Real(f64::from(f32::from_le_bytes(self.take()?))),
            7 => Entry::Flag(self.take::<1>()? != [0]),
            8 => Entry::Text(self.string()?),
            9 if depth < 4 => {
                let kind = u32::from_le_bytes(self.take()?);
                for _ in 0..self.count("items of an array")? {
                    self.value(kind, depth + 1)?;
                }
                return Ok(None);
            }
            10 => Entry::Integer(u64::from_le_bytes(self.take()?)),
            11 => signed(i64::from_le_bytes(self.take()?)),
            12 => Entry::Real(f64::from_le_bytes(self.take()?)),
            _ => return bad(format!("an entry has the unknown type {kind}")),
        }))
    }

    fn count(&mut self, what: &str) -> Result<u64, Fault> {
        let count = u64::from_le_bytes(self.take()?);
        if count > MAX_COUNT {
            return bad(format!("it declares {count} {what}"));
        }
        Ok(count)
    }

    fn string(&mut self) -> Result<String, Fault> {
        let length = u64::from_le_bytes(self.take()?);
        if length > MAX_STRING {
            return bad(format!("it declares a string of {length} bytes"));
        }
        let mut text = Vec::new();
        let read = self.bytes.by_ref().take(length).read_to_end(&mut text)? as u64;
        if read < length {
            return Err(Fault::Io(ErrorKind::UnexpectedEof.into()));
        }
        self.position += length;
        // Vocabularies hold incomplete UTF-8, but arrays are skipped anyway.
        Ok(String::from_utf8_lossy(&text).into_owned())
    }

    fn take<const N: usize>(&mut self) -> Result<[u8; N], Fault> {
        let mut bytes = [0; N];
        self.bytes.read_exact(&mut bytes)?;
        self.position += N as u64;
        Ok(bytes)
    }
}

/// Weights and bytes per block of a tensor type (`ggml_type` in ggml.h).
fn block(kind: u32) -> Option<(u64, u64)> {
    Some(match kind {
        0 | 26 => (1, 4),
        1 | 25 | 30 => (1, 2),
        2 | 20 => (32, 18),
        3 => (32, 20),
        6 => (32, 22),
        7 => (32, 24),
        8 => (32, 34),
        9 => (32, 36),
        10 => (256, 84),
        11 => (256, 110),
        12 => (256, 144),
        13 => (256, 176),
        14 => (256, 210),
        15 => (256, 292),
        23 => (256, 136),
        24 => (1, 1),
        27 | 28 => (1, 8),
        _ => return None,
    })
}
