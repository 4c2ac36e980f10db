use super::{EventSeq, RunId};
use crate::{BlobId, Error, Hash, canonical_json};
use serde::{Deserialize, Serialize};
use serde_json::Value;
use sha2::{Digest, Sha256};

/// Version of the hashed encoding, stored with every record.
pub(super) const VERSION: i64 = 1;

/// One event of the log.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Record {
    /// The run that the event belongs to.
    pub run: RunId,
    /// Sequence number within the run.
    pub seq: EventSeq,
    /// Kind of the event, such as "step". It determines the shape of `payload`.
    pub kind: String,
    /// Time of the event by the writer's clock, in milliseconds since 1970.
    pub at_ms: i64,
    /// Content of the event. The order of object members is stored but not hashed.
    pub payload: Value,
    /// Blobs that the payload refers to.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub blobs: Vec<BlobId>,
    /// Hash of the previous record. The first record has the genesis hash: a hash of the run's immutable
    /// fields.
    pub prev_hash: Hash,
    /// Hash of this record, as [`expected_hash`](Self::expected_hash) computes it.
    pub hash: Hash,
}

impl Record {
    /// Computes the hash of a record with these fields.
    ///
    /// The hash is the SHA-256 of these fields, concatenated: `"sojourn-record-v1\0"`; the run id; `seq` and
    /// `at_ms`; the kind; the payload as [`canonical_json`]; the number of blobs and their 32-byte addresses;
    /// the 32 bytes of `prev_hash`. Integers are 8 bytes, big-endian. A text is preceded by its length in
    /// bytes, as an integer.
    ///
    /// # Errors
    /// [`Error::TooDeep`].
    pub fn expected_hash(&self) -> Result<Hash, Error> {
        let payload = canonical_json(&self.payload)?;
        let envelope = Envelope {
            run: self.run.as_str(),
            seq: self.seq,
            at_ms: self.at_ms,
            kind: &self.kind,
            payload: payload.as_bytes(),
            blobs: self.blobs.iter().map(|blob| blob.0.as_bytes()),
            prev_hash: self.prev_hash,
        };
        Ok(envelope.hash())
    }
}

/// All fields that a record's hash covers.
pub(super) struct Envelope<'a, B> {
    pub(super) run: &'a str,
    pub(super) seq: EventSeq,
    pub(super) at_ms: i64,
    pub(super) kind: &'a str,
    /// The canonical JSON text.
    pub(super) payload: &'a [u8],
    pub(super) blobs: B,
    pub(super) prev_hash: Hash,
}

impl<'a, B: ExactSizeIterator<Item = &'a [u8; 32]>> Envelope<'a, B> {
    pub(super) fn hash(self) -> Hash {
        let mut hasher = Encoder::new("sojourn-record-v1\0");
        hasher.text(self.run);
        hasher.integer(self.seq.0);
        hasher.signed(self.at_ms);
        hasher.text(self.kind);
        hasher.bytes(self.payload);
        hasher.integer(self.blobs.len() as u64);
        for blob in self.blobs {
            hasher.0.update(blob);
        }
        hasher.hash(&self.prev_hash);
        hasher.finish()
    }
}

/// Encodes fields for a hash. Every field has a fixed length or a length prefix, so the encoding is
/// unambiguous.
pub(super) struct Encoder(Sha256);

impl Encoder {
    pub(super) fn new(domain: &str) -> Self {
        Self(Sha256::new_with_prefix(domain))
    }

    pub(super) fn text(&mut self, text: &str) {
        self.bytes(text.as_bytes());
    }

    fn bytes(&mut self, bytes: &[u8]) {
        self.integer(bytes.len() as u64);
        self.0.update(bytes);
    }

    pub(super) fn integer(&mut self, value: u64) {
        self.0.update(value.to_be_bytes());
    }

    pub(super) fn signed(&mut self, value: i64) {
        self.0.update(value.to_be_bytes());
    }

    pub(super) fn hash(&mut self, hash: &Hash) {
        self.0.update(hash.as_bytes());
    }

    pub(super) fn finish(self) -> Hash {
        Hash::from_digest(self.0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn record() -> Record {
        Record {
            run: "20261123-175900-ab3f".parse().unwrap(),
            seq: EventSeq(7),
            kind: "step".to_owned(),
            at_ms: 1_795_456_740_123,
            payload: json!({"b": 1, "a": [0.1, null]}),
            blobs: vec![BlobId::of(b"frame")],
            prev_hash: Hash::of(b"before"),
            hash: Hash::of(b""),
        }
    }

    #[test]
    fn hash_encoding_matches_the_golden_value() {
        let golden = "3f2ff1dbb23d7e8e52817873db07f321705f66e8374bee1bcdedc93325043bcf";
        assert_eq!(record().expected_hash().unwrap().to_string(), golden);
    }

    #[test]
    fn hash_covers_every_field_but_not_member_order() {
        let original = record().expected_hash().unwrap();
        let reordered = Record { payload: json!({"a": [0.1, null], "b": 1}), ..record() };
        assert_eq!(reordered.expected_hash().unwrap(), original);
        for other in [
            Record { run: "other".parse().unwrap(), ..record() },
            Record { seq: EventSeq(8), ..record() },
            Record { kind: "stop".to_owned(), ..record() },
            Record { at_ms: -1, ..record() },
            Record { payload: json!({"b": 1.0, "a": [0.1, null]}), ..record() },
            Record { blobs: vec![], ..record() },
            Record { prev_hash: Hash::of(b""), ..record() },
        ] {
            assert_ne!(other.expected_hash().unwrap(), original, "{other:?}");
        }
    }
}
