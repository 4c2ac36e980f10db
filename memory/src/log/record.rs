use super::{EventSeq, RunId};
use crate::{BlobId, Error, Hash, canonical_json};
use serde::{Deserialize, Serialize};
use serde_json::Value;
use sha2::{Digest, Sha256};

/// The version of the encoding under the hash, kept with every record.
pub(super) const VERSION: i64 = 1;

/// One event, as it is in the log.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Record {
    /// The run it happened in.
    pub run: RunId,
    /// Its place in that run.
    pub seq: EventSeq,
    /// What sort of event: "step", "prompt". The reader of the payload knows its shape from this.
    pub kind: String,
    /// When, in milliseconds since 1970, by the writer's clock.
    pub at_ms: i64,
    /// What happened. The order of an object's members is kept, but does not count for the hash.
    pub payload: Value,
    /// Blobs that belong to it.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub blobs: Vec<BlobId>,
    /// The hash of the record before it; the first record's is the hash of the run's own particulars.
    pub prev_hash: Hash,
    /// The hash of this record.
    pub hash: Hash,
}

impl Record {
    /// The hash that a record with these fields has.
    ///
    /// The SHA-256 of, end to end: `"sojourn-record-v1\0"`; the run's id; `seq` and `at_ms` as 8 bytes each;
    /// the kind; the payload as [`canonical_json`]; the count of blobs as 8 bytes and their 32-byte addresses;
    /// the 32 bytes of `prev_hash`. Integers are big-endian, and a text is preceded by its length in bytes as
    /// 8 bytes.
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

/// All that a record's hash is taken over.
pub(super) struct Envelope<'a, B> {
    pub(super) run: &'a str,
    pub(super) seq: EventSeq,
    pub(super) at_ms: i64,
    pub(super) kind: &'a str,
    /// In its canonical text.
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

/// Feeds a hash unambiguously: every field has a fixed length or says its own.
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
    fn the_encoding_never_changes() {
        let golden = "3f2ff1dbb23d7e8e52817873db07f321705f66e8374bee1bcdedc93325043bcf";
        assert_eq!(record().expected_hash().unwrap().to_string(), golden);
    }

    #[test]
    fn every_field_counts_but_not_the_order_of_members() {
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
