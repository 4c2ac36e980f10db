//! GGUF headers, intact and damaged.

// Test helpers may use what tests may use.
#![allow(clippy::unwrap_used)]

use proptest::prelude::*;
use sojourn_controller::ControllerError;
use sojourn_controller::gguf::{Entry, Header};
use std::io::Write;

/// A file with some entries and one `Q8_0` tensor of 64 weights.
fn file() -> Vec<u8> {
    let mut bytes = b"GGUF".to_vec();
    let text = |bytes: &mut Vec<u8>, text: &str| {
        bytes.extend((text.len() as u64).to_le_bytes());
        bytes.extend(text.as_bytes());
    };
    bytes.extend(3u32.to_le_bytes());
    bytes.extend(1u64.to_le_bytes());
    bytes.extend(5u64.to_le_bytes());
    text(&mut bytes, "general.architecture");
    bytes.extend(8u32.to_le_bytes());
    text(&mut bytes, "bert");
    text(&mut bytes, "general.name");
    bytes.extend(8u32.to_le_bytes());
    text(&mut bytes, "Tiny");
    text(&mut bytes, "general.file_type");
    bytes.extend(4u32.to_le_bytes());
    bytes.extend(7u32.to_le_bytes());
    text(&mut bytes, "bert.context_length");
    bytes.extend(4u32.to_le_bytes());
    bytes.extend(512u32.to_le_bytes());
    text(&mut bytes, "tokenizer.ggml.tokens");
    bytes.extend(9u32.to_le_bytes());
    bytes.extend(8u32.to_le_bytes());
    bytes.extend(2u64.to_le_bytes());
    text(&mut bytes, "a");
    text(&mut bytes, "b");
    text(&mut bytes, "weight");
    bytes.extend(2u32.to_le_bytes());
    bytes.extend(32u64.to_le_bytes());
    bytes.extend(2u64.to_le_bytes());
    bytes.extend(8u32.to_le_bytes());
    bytes.extend(0u64.to_le_bytes());
    bytes.resize(bytes.len().next_multiple_of(32), 0);
    bytes.extend([0; 2 * 34]);
    bytes
}

fn read(bytes: &[u8]) -> Result<Header, ControllerError> {
    let mut file = tempfile::NamedTempFile::new().unwrap();
    file.write_all(bytes).unwrap();
    Header::read(file.path())
}

#[test]
fn header_describes_the_model() {
    let header = read(&file()).unwrap();
    assert_eq!((header.name(), header.quantisation()), (Some("Tiny"), Some("Q8_0")));
    assert_eq!(header.architecture_integer("context_length"), Some(512));
    assert_eq!(header.entries.get("general.architecture"), Some(&Entry::Text("bert".into())));
    assert_eq!((header.parameters, header.file_bytes), (64, file().len() as u64));
}

#[test]
fn truncated_file_is_rejected() {
    let whole = file();
    for length in 0..whole.len() {
        let error = read(&whole[..length]).unwrap_err();
        let ControllerError::Truncated { expected, actual, .. } = &error else { panic!("{length}: {error}") };
        assert!(*actual == length as u64 && expected > actual, "{error}");
    }
}

#[test]
fn other_files_are_rejected() {
    let error = read(b"PK\x03\x04 a zip, for example").unwrap_err();
    assert!(matches!(error, ControllerError::NotGguf { .. }), "{error}");
    let directory = tempfile::tempdir().unwrap();
    let error = Header::read(directory.path()).unwrap_err();
    assert!(matches!(error, ControllerError::NotGguf { .. }), "{error}");
    let error = Header::read(&directory.path().join("nothing.gguf")).unwrap_err();
    assert!(matches!(error, ControllerError::Unreadable { .. }), "{error}");
}

proptest! {
    #[test]
    fn damaged_header_never_panics_or_exhausts_memory(at in 4usize..300, byte: u8) {
        let mut bytes = file();
        let at = at % bytes.len();
        bytes[at] = byte;
        let _ = read(&bytes);
    }
}
