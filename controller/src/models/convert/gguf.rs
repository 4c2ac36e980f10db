//! Writes GGUF files, version 3: entries, tensor descriptions, then tensor data.
//!
//! The layout follows the GGUF specification (`docs/gguf.md` in the ggml repository).

use std::io::{self, Write};

/// Alignment of tensor data, in bytes.
const ALIGNMENT: usize = 32;

/// Value of an entry.
#[derive(Debug, Clone, PartialEq)]
pub enum Value {
    /// An unsigned integer.
    U32(u32),
    /// A floating-point number.
    F32(f32),
    /// A boolean.
    Bool(bool),
    /// A string.
    Text(String),
    /// An array of integers.
    Integers(Vec<i32>),
    /// An array of strings.
    Texts(Vec<String>),
}

/// Storage type of a tensor.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum TensorKind {
    /// 32-bit floating point, little-endian.
    F32,
    /// Blocks of eight-bit weights; see [`quantise`](super::quantise).
    Q8_0,
}

impl TensorKind {
    /// Number of the type (`ggml_type` in ggml.h).
    const fn number(self) -> u32 {
        match self {
            Self::F32 => 0,
            Self::Q8_0 => 8,
        }
    }
}

struct Tensor {
    name: String,
    /// Outermost dimension first, as in safetensors. The file stores the reverse order.
    shape: Vec<usize>,
    kind: TensorKind,
    data: Vec<u8>,
}

/// Builds a GGUF file. Entries and tensors are written in the order they were added.
#[derive(Default)]
pub struct GgufWriter {
    entries: Vec<(String, Value)>,
    tensors: Vec<Tensor>,
}

impl GgufWriter {
    /// Starts a file for this architecture, in llama.cpp's naming: "bert".
    pub fn new(architecture: &str) -> Self {
        let mut writer = Self::default();
        writer.entry("general.architecture", Value::Text(architecture.to_owned()));
        writer
    }

    /// Adds an entry.
    pub fn entry(&mut self, key: &str, value: Value) {
        self.entries.push((key.to_owned(), value));
    }

    /// Adds a tensor. `shape` has the outermost dimension first; `data` is encoded as `kind`.
    pub fn tensor(&mut self, name: &str, shape: &[usize], kind: TensorKind, data: Vec<u8>) {
        self.tensors.push(Tensor { name: name.to_owned(), shape: shape.to_vec(), kind, data });
    }

    /// Writes the file.
    ///
    /// # Errors
    /// Any error of `out`.
    pub fn write_to(&self, out: &mut impl Write) -> io::Result<()> {
        let header = self.header();
        out.write_all(&header)?;
        out.write_all(padding(header.len()))?;
        for tensor in &self.tensors {
            out.write_all(&tensor.data)?;
            out.write_all(padding(tensor.data.len()))?;
        }
        Ok(())
    }

    fn header(&self) -> Vec<u8> {
        let mut header = Vec::new();
        header.extend(b"GGUF");
        header.extend(3_u32.to_le_bytes());
        header.extend((self.tensors.len() as u64).to_le_bytes());
        header.extend((self.entries.len() as u64).to_le_bytes());
        for (key, value) in &self.entries {
            put_text(&mut header, key);
            put_value(&mut header, value);
        }
        let mut offset = 0;
        for tensor in &self.tensors {
            put_text(&mut header, &tensor.name);
            header.extend((tensor.shape.len() as u32).to_le_bytes());
            for &length in tensor.shape.iter().rev() {
                header.extend((length as u64).to_le_bytes());
            }
            header.extend(tensor.kind.number().to_le_bytes());
            header.extend((offset as u64).to_le_bytes());
            offset += tensor.data.len().next_multiple_of(ALIGNMENT);
        }
        header
    }
}

/// The zero bytes that pad `length` to the alignment.
fn padding(length: usize) -> &'static [u8] {
    &[0; ALIGNMENT][..length.next_multiple_of(ALIGNMENT) - length]
}

fn put_text(out: &mut Vec<u8>, text: &str) {
    out.extend((text.len() as u64).to_le_bytes());
    out.extend(text.as_bytes());
}

/// Writes the type number (`gguf_metadata_value_type`) and the value.
fn put_value(out: &mut Vec<u8>, value: &Value) {
    let kind = |out: &mut Vec<u8>, number: u32| out.extend(number.to_le_bytes());
    let list = |out: &mut Vec<u8>, number: u32, length: usize| {
        kind(out, 9);
        kind(out, number);
        out.extend((length as u64).to_le_bytes());
    };
    match value {
        Value::U32(number) => {
            kind(out, 4);
            out.extend(number.to_le_bytes());
        }
        Value::F32(number) => {
            kind(out, 6);
            out.extend(number.to_le_bytes());
        }
        Value::Bool(flag) => {
            kind(out, 7);
            out.push(u8::from(*flag));
        }
        Value::Text(text) => {
            kind(out, 8);
            put_text(out, text);
        }
        Value::Integers(numbers) => {
            list(out, 5, numbers.len());
            for number in numbers {
                out.extend(number.to_le_bytes());
            }
        }
        Value::Texts(texts) => {
            list(out, 8, texts.len());
            for text in texts {
                put_text(out, text);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::gguf::{Entry, Header};
    use std::io::Read;

    fn sample() -> GgufWriter {
        let mut writer = GgufWriter::new("bert");
        writer.entry("bert.block_count", Value::U32(6));
        writer.entry("bert.attention.causal", Value::Bool(false));
        writer.entry("bert.epsilon", Value::F32(0.5));
        writer.entry("tokenizer.ggml.tokens", Value::Texts(vec!["a".to_owned(), "\u{2581}bc".to_owned()]));
        writer.entry("tokenizer.ggml.token_type", Value::Integers(vec![1, 3]));
        writer.tensor("first", &[2, 3], TensorKind::F32, vec![1; 24]);
        writer.tensor("second", &[1, 32], TensorKind::Q8_0, vec![2; 34]);
        writer
    }

    #[test]
    fn written_file_is_read_by_the_header_reader() {
        let mut file = tempfile::NamedTempFile::new().unwrap();
        sample().write_to(&mut file).unwrap();
        let header = Header::read(file.path()).unwrap();
        assert_eq!(header.text("general.architecture"), Some("bert"));
        assert_eq!(header.architecture_integer("block_count"), Some(6));
        assert_eq!(header.entries["bert.attention.causal"], Entry::Flag(false));
        assert_eq!(header.entries["bert.epsilon"], Entry::Real(0.5));
        assert_eq!(header.parameters, 6 + 32);
        // Padding after the last tensor is optional for readers.
        let length = file.path().metadata().unwrap().len();
        assert!((header.file_bytes..header.file_bytes + 32).contains(&length));
    }

    #[test]
    fn tensor_data_is_aligned() {
        let mut bytes = Vec::new();
        sample().write_to(&mut bytes).unwrap();
        assert_eq!(bytes.len() % ALIGNMENT, 0);
        let data = &bytes[bytes.len() - 96..];
        assert_eq!(data[..24], [1; 24]);
        assert_eq!(data[24..32], [0; 8]);
        assert_eq!(data[32..66], [2; 34]);
    }

    #[test]
    fn truncated_file_is_detected() {
        let mut file = tempfile::NamedTempFile::new().unwrap();
        let mut bytes = Vec::new();
        sample().write_to(&mut bytes).unwrap();
        file.write_all(&bytes[..bytes.len() - 40]).unwrap();
        assert!(Header::read(file.path()).is_err());
        let mut kept = Vec::new();
        std::fs::File::open(file.path()).unwrap().read_to_end(&mut kept).unwrap();
        assert_eq!(kept.len(), bytes.len() - 40);
    }
}
