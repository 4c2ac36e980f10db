//! Newline-delimited framing with a length limit, for peers that may send anything.
//!
//! An oversized line is skipped without ending the connection. A peer that sends only noise, or a line
//! without an end, is detected and disconnected.

mod noise;
mod scan;

pub use noise::NoiseBudget;
pub use scan::{answered_id, has_too_many_values, is_message};

use crate::CallLimits;
use scan::MessageScan;
use serde_json::Value;
use tokio::io::{AsyncBufRead, AsyncBufReadExt as _};

/// Limit on one message, in bytes. A result of the largest size may appear in it twice, as text and as
/// structured data, plus JSON escapes.
pub const MAX_MESSAGE_BYTES: usize = 4 * CallLimits::RESULT_BYTES;
/// A line is treated as unterminated once it exceeds the limit by this factor.
const UNTERMINATED_FACTOR: u64 = 16;

/// One decoded line.
#[derive(Debug, PartialEq)]
pub enum Frame {
    /// A complete line, without its line break.
    Complete(Vec<u8>),
    /// A line beyond the limit; its content was dropped.
    Oversized {
        /// Length in bytes.
        bytes: u64,
        /// Id of the request that the line answered, if it was a response.
        answered: Option<Value>,
    },
    /// A line that exceeded the limit [`UNTERMINATED_FACTOR`] times without a line break. The decoder cannot
    /// resynchronise.
    Unterminated {
        /// Length read so far, in bytes.
        bytes: u64,
    },
}

/// Assembles lines from chunks. Memory use is bounded by the limit.
pub struct FrameDecoder {
    most: usize,
    /// The incomplete line.
    line: Vec<u8>,
    /// Set while an oversized line is being skipped.
    over: Option<Oversized>,
}

struct Oversized {
    bytes: u64,
    scan: MessageScan,
}

impl FrameDecoder {
    /// A decoder for lines of at most `most` bytes.
    pub fn new(most: usize) -> Self {
        Self { most, line: Vec::new(), over: None }
    }

    /// Consumes `bytes` up to and including the first line break. Returns the number of bytes consumed and
    /// the frame that they completed.
    pub fn take(&mut self, bytes: &[u8]) -> (usize, Option<Frame>) {
        let end = bytes.iter().position(|byte| *byte == b'\n');
        let piece = &bytes[..end.unwrap_or(bytes.len())];
        if self.over.is_none() && self.line.len() + piece.len() > self.most {
            let begun = std::mem::take(&mut self.line);
            let mut scan = MessageScan::default();
            scan.read(&begun);
            self.over = Some(Oversized { bytes: begun.len() as u64, scan });
        }
        match &mut self.over {
            None => self.line.extend_from_slice(piece),
            Some(over) => {
                over.bytes += piece.len() as u64;
                over.scan.read(piece);
            }
        }
        let line = if end.is_some() {
            Some(match self.over.take() {
                None => Frame::Complete(std::mem::take(&mut self.line)),
                Some(over) => Frame::Oversized { bytes: over.bytes, answered: over.scan.answered_id() },
            })
        } else {
            let bytes = self.over.as_ref().map_or(0, |over| over.bytes);
            (bytes > UNTERMINATED_FACTOR * self.most as u64).then_some(Frame::Unterminated { bytes })
        };
        (piece.len() + usize::from(end.is_some()), line)
    }
}

/// Reads the next frame; `None` at the end of the stream, where an incomplete last line is dropped.
/// Cancel-safe: dropping the future loses no data.
///
/// # Errors
/// An I/O error of `reader`.
pub async fn next<R: AsyncBufRead + Unpin>(
    reader: &mut R,
    lines: &mut FrameDecoder,
) -> std::io::Result<Option<Frame>> {
    loop {
        let available = reader.fill_buf().await?;
        if available.is_empty() {
            return Ok(None);
        }
        let (taken, line) = lines.take(available);
        reader.consume(taken);
        if line.is_some() {
            return Ok(line);
        }
    }
}

/// Error text for an oversized response.
pub fn oversized(bytes: u64) -> String {
    format!("its response has {bytes} bytes; the limit is {MAX_MESSAGE_BYTES}")
}

/// Error text for a message that [has too many values](has_too_many_values).
pub const TOO_MANY_VALUES: &str = "its response has too many values";

/// Error text for an unterminated line.
pub fn unterminated(bytes: u64) -> String {
    format!("it wrote {bytes} bytes without a line break; the limit of a line is {MAX_MESSAGE_BYTES}")
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The frames of `text`, read in chunks of seven bytes.
    async fn lines_of(text: &str, most: usize) -> Vec<Frame> {
        let mut reader = tokio::io::BufReader::with_capacity(7, text.as_bytes());
        let (mut under_way, mut read) = (FrameDecoder::new(most), Vec::new());
        while let Some(line) = next(&mut reader, &mut under_way).await.unwrap() {
            let last = matches!(line, Frame::Unterminated { .. });
            read.push(line);
            if last {
                break;
            }
        }
        read
    }

    fn whole(text: &str) -> Frame {
        Frame::Complete(text.as_bytes().to_vec())
    }

    #[tokio::test]
    async fn oversized_lines_are_skipped_and_the_next_is_read() {
        let text = format!("one\n{}\n\ntwo\nno end", "x".repeat(1000));
        let skipped = Frame::Oversized { bytes: 1000, answered: None };
        assert_eq!(lines_of(&text, 100).await, [whole("one"), skipped, whole(""), whole("two")]);
    }

    #[tokio::test]
    async fn an_oversized_response_keeps_its_request_id() {
        let long = "x".repeat(200);
        for (line, answered) in [
            (format!(r#"{{"id": 7, "result": "{long}"}}"#), Some(Value::from(7))),
            (
                format!(r#"{{"result": {{"id": 8, "text": "{long}\", \"id\": 9"}}, "id": "a"}}"#),
                Some("a".into()),
            ),
            (format!(r#"{{"id": 7, "method": "sampling", "params": "{long}"}}"#), None),
            (format!(r#"{{"id": 7, "level": "info", "message": "{long}"}}"#), None),
        ] {
            let bytes = line.len() as u64;
            assert_eq!(
                lines_of(&format!("{line}\n"), 100).await,
                [Frame::Oversized { bytes, answered }],
                "{line}"
            );
        }
    }

    #[tokio::test]
    async fn an_unterminated_line_is_detected() {
        let read = lines_of(&"x".repeat(10_000), 100).await;
        assert!(matches!(read[..], [Frame::Unterminated { bytes: 1601..1700 }]), "{read:?}");
    }
}
