//! Reading the header of a GGUF file.
//!
//! llama.cpp is C++ and may end the process over a file that it does not expect, so a file is looked at here
//! first: is it a GGUF, is it whole, and what does it say about itself? The layout is that of the GGUF
//! specification, versions 2 and 3, in the ggml repository (`docs/gguf.md`).

use crate::ControllerError;
use std::collections::BTreeMap;
use std::fs::File;
use std::io::{BufReader, ErrorKind, Read};
use std::path::Path;

/// The longest string in a header that is believed; a chat template has some thousand bytes.
const MAX_STRING: u64 = 16 << 20;
/// The most entries of one kind that are believed; vocabularies have some hundred thousand.
const MAX_COUNT: u64 = 16 << 20;
/// Where the file does not say, tensor data is aligned to this many bytes.
const DEFAULT_ALIGNMENT: u64 = 32;

/// What a GGUF file says about itself.
#[derive(Debug, Clone, PartialEq)]
pub struct Header {
    /// Scalar and string entries by key; arrays are left out.
    pub entries: BTreeMap<String, Entry>,
    /// Number of weights.
    pub parameters: u64,
    /// How long the file has to be, in bytes.
    pub file_bytes: u64,
}

/// The value of one entry.
#[derive(Debug, Clone, PartialEq)]
pub enum Entry {
    /// Text.
    Text(String),
    /// Any unsigned or non-negative integer.
    Integer(u64),
    /// A number that is no such integer.
    Real(f64),
    /// `true` or `false`.
    Flag(bool),
}

impl Header {
    /// Reads the header of the file at `path` and checks that all its tensors are there.
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

    /// The text at `key`.
    pub fn text(&self, key: &str) -> Option<&str> {
        match self.entries.get(key) {
            Some(Entry::Text(text)) => Some(text),
            _ => None,
        }
    }

    /// The integer at `key`.
    pub fn integer(&self, key: &str) -> Option<u64> {
        match self.entries.get(key) {
            Some(Entry::Integer(number)) => Some(*number),
            _ => None,
        }
    }

    /// The model's name, as its maker wrote it.
    pub fn name(&self) -> Option<&str> {
        self.text("general.name").filter(|name| !name.is_empty())
    }

    /// The integer that the model's architecture keeps at `key`: `bert.context_length` for "`context_length`".
    pub fn architecture_integer(&self, key: &str) -> Option<u64> {
        self.integer(&format!("{}.{key}", self.text("general.architecture")?))
    }

    /// How most of the weights are stored: "`Q4_K_M`".
    pub fn quantisation(&self) -> Option<&'static str> {
        // `llama_ftype` in llama.h.
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

/// Why a header cannot be read.
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

/// Reads little-endian values and counts where it is.
struct Reader<R> {
    bytes: R,
    /// Bytes read so far.
    position: u64,
}

impl<R: Read> Reader<R> {
    fn header(&mut self) -> Result<Header, Fault> {
        if &self.take::<4>()? != b"GGUF" {
            return bad("it does not begin with `GGUF`");
        }
        let version = u32::from_le_bytes(self.take()?);
        if !(2..=3).contains(&version) {
            return bad(format!("its version is {version}, and 2 and 3 are known"));
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
        let mut header = Header { entries, parameters: 0, file_bytes: 0 };
        let mut data_bytes = 0;
        for _ in 0..tensors {
            let (weights, end) = self.tensor()?;
            header.parameters = header.parameters.saturating_add(weights);
            data_bytes = data_bytes.max(end);
        }
        let alignment = header.integer("general.alignment").unwrap_or(DEFAULT_ALIGNMENT);
        if !alignment.is_power_of_two() {
            return bad(format!("its alignment is {alignment}"));
        }
        header.file_bytes = match data_bytes {
            0 => self.position,
            _ => self.position.next_multiple_of(alignment).saturating_add(data_bytes),
        };
        Ok(header)
    }

    /// A tensor's number of weights, and where its data ends in the data section.
    fn tensor(&mut self) -> Result<(u64, u64), Fault> {
        let name = self.string()?;
        let dimensions = u32::from_le_bytes(self.take()?);
        if dimensions > 8 {
            return bad(format!("the tensor `{name}` has {dimensions} dimensions"));
        }
        let mut weights: u64 = 1;
        for _ in 0..dimensions {
            weights = weights.saturating_mul(u64::from_le_bytes(self.take()?));
        }
        let kind = u32::from_le_bytes(self.take()?);
        let offset = u64::from_le_bytes(self.take()?);
        // The size of a kind unknown here is left to llama.cpp to check.
        let bytes = block(kind).map_or(0, |(weights_a_block, bytes_a_block)| {
            weights.div_ceil(weights_a_block).saturating_mul(bytes_a_block)
        });
        Ok((weights, offset.saturating_add(bytes)))
    }

    /// A value of `kind`, or nothing for an array, which is skipped.
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
            _ => return bad(format!("it holds an entry of the unknown kind {kind}")),
        }))
    }

    fn count(&mut self, what: &str) -> Result<u64, Fault> {
        let count = u64::from_le_bytes(self.take()?);
        if count > MAX_COUNT {
            return bad(format!("it claims to have {count} {what}"));
        }
        Ok(count)
    }

    fn string(&mut self) -> Result<String, Fault> {
        let length = u64::from_le_bytes(self.take()?);
        if length > MAX_STRING {
            return bad(format!("it claims to have a string of {length} bytes"));
        }
        let mut text = Vec::new();
        let read = self.bytes.by_ref().take(length).read_to_end(&mut text)? as u64;
        if read < length {
            return Err(Fault::Io(ErrorKind::UnexpectedEof.into()));
        }
        self.position += length;
        // Vocabularies hold pieces of characters; nothing that is kept does.
        Ok(String::from_utf8_lossy(&text).into_owned())
    }

    fn take<const N: usize>(&mut self) -> Result<[u8; N], Fault> {
        let mut bytes = [0; N];
        self.bytes.read_exact(&mut bytes)?;
        self.position += N as u64;
        Ok(bytes)
    }
}

/// Weights and bytes in a block of a tensor of this kind, as `ggml_type` in ggml.h numbers them.
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
