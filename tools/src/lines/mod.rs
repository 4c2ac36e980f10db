//! Lines of limited length, from peers that may write anything: a line that is too long costs itself only, and a peer that
//! writes nothing but noise is noticed.

mod gist;
mod noise;

pub use gist::{answered, is_message};
pub use noise::Noise;

use crate::CallLimits;
use gist::Gist;
use serde_json::Value;
use tokio::io::{AsyncBufRead, AsyncBufReadExt as _};

/// Bytes of a message: a result of the largest size, said as a text and again as a structure, with what JSON adds to both.
pub const MESSAGE: usize = 4 * CallLimits::RESULT_BYTES;
/// Times the largest message that a line may go on before it counts as one that has no end.
const ENDLESS: u64 = 16;

/// What was read.
#[derive(Debug, PartialEq)]
pub enum Line {
    /// A line, without its end.
    Whole(Vec<u8>),
    /// A line that was longer than allowed; it is gone.
    TooLong {
        /// Its length.
        bytes: u64,
        /// The number of the question that it answered, if that is what it was.
        answered: Option<Value>,
    },
    /// A line that goes on and on. Where the next one begins nobody knows.
    Endless {
        /// Its length so far.
        bytes: u64,
    },
}

/// Puts lines of at most so many bytes together from pieces.
pub struct Lines {
    most: usize,
    /// The line that is under way.
    line: Vec<u8>,
    /// What is known of it once it is too long.
    over: Option<Over>,
}

struct Over {
    bytes: u64,
    gist: Gist,
}

impl Lines {
    /// Lines of at most `most` bytes.
    pub fn new(most: usize) -> Self {
        Self { most, line: Vec::new(), over: None }
    }

    /// Takes the beginning of `bytes`, at most to the end of a line: how many were taken, and the line that they completed.
    pub fn take(&mut self, bytes: &[u8]) -> (usize, Option<Line>) {
        let end = bytes.iter().position(|byte| *byte == b'\n');
        let piece = &bytes[..end.unwrap_or(bytes.len())];
        if self.over.is_none() && self.line.len() + piece.len() > self.most {
            let begun = std::mem::take(&mut self.line);
            let mut gist = Gist::default();
            gist.read(&begun);
            self.over = Some(Over { bytes: begun.len() as u64, gist });
        }
        match &mut self.over {
            None => self.line.extend_from_slice(piece),
            Some(over) => {
                over.bytes += piece.len() as u64;
                over.gist.read(piece);
            }
        }
        let line = if end.is_some() {
            Some(match self.over.take() {
                None => Line::Whole(std::mem::take(&mut self.line)),
                Some(over) => Line::TooLong { bytes: over.bytes, answered: over.gist.answered() },
            })
        } else {
            let bytes = self.over.as_ref().map_or(0, |over| over.bytes);
            (bytes > ENDLESS * self.most as u64).then_some(Line::Endless { bytes })
        };
        (piece.len() + usize::from(end.is_some()), line)
    }
}

/// The next line; `None` at the end, also where the last line has no end. Nothing is lost when it is dropped before.
///
/// # Errors
/// What kept it from being read.
pub async fn next<R: AsyncBufRead + Unpin>(
    reader: &mut R,
    lines: &mut Lines,
) -> std::io::Result<Option<Line>> {
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

/// What is said of an answer that was too long.
pub fn too_long(bytes: u64) -> String {
    format!("its answer has {bytes} bytes, of at most {MESSAGE}")
}

/// What is said of a peer whose line has no end.
pub fn endless(bytes: u64) -> String {
    format!("it wrote a line that does not end: {bytes} bytes, of at most {MESSAGE}")
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The lines of `text`, read in pieces of seven bytes.
    async fn lines_of(text: &str, most: usize) -> Vec<Line> {
        let mut reader = tokio::io::BufReader::with_capacity(7, text.as_bytes());
        let (mut under_way, mut read) = (Lines::new(most), Vec::new());
        while let Some(line) = next(&mut reader, &mut under_way).await.unwrap() {
            let last = matches!(line, Line::Endless { .. });
            read.push(line);
            if last {
                break;
            }
        }
        read
    }

    fn whole(text: &str) -> Line {
        Line::Whole(text.as_bytes().to_vec())
    }

    #[tokio::test]
    async fn long_lines_are_skipped_and_the_next_is_read() {
        let text = format!("one\n{}\n\ntwo\nno end", "x".repeat(1000));
        let skipped = Line::TooLong { bytes: 1000, answered: None };
        assert_eq!(lines_of(&text, 100).await, [whole("one"), skipped, whole(""), whole("two")]);
    }

    #[tokio::test]
    async fn of_a_long_answer_it_is_known_what_it_answered() {
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
                [Line::TooLong { bytes, answered }],
                "{line}"
            );
        }
    }

    #[tokio::test]
    async fn a_line_without_an_end_is_noticed() {
        let read = lines_of(&"x".repeat(10_000), 100).await;
        assert!(matches!(read[..], [Line::Endless { bytes: 1601..1700 }]), "{read:?}");
    }
}
