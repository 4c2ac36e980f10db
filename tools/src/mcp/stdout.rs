//! Filters a server's standard output before rmcp reads it: bounds message size, and turns an invalid
//! response into an error response.

use super::lenient::Waiting;
use crate::framing::{self, Frame, FrameDecoder, MAX_MESSAGE_BYTES, NoiseBudget};
use crate::subprocess::StderrLog;
use rmcp::model::ErrorCode;
use serde_json::{Value, json};
use std::io;
use std::pin::Pin;
use std::task::{Context, Poll, ready};
use tokio::io::{AsyncBufRead as _, AsyncRead, BufReader, ReadBuf};

/// Size of one read, in bytes.
const PIECE: usize = 1 << 16;

/// A byte stream of JSON-RPC lines. An oversized or invalid response is replaced by a JSON-RPC error for its
/// request, so that the caller need not wait until its timeout. The stream ends when messages can no longer
/// be recognised; the reason is then in the [`StderrLog`].
pub struct StdoutReader<R> {
    reader: BufReader<R>,
    lines: FrameDecoder,
    noise: NoiseBudget,
    /// The line being delivered, and how much of it has been.
    line: Vec<u8>,
    given: usize,
    ended: bool,
    stderr_log: StderrLog,
    waiting: Waiting,
}

impl<R: AsyncRead> StdoutReader<R> {
    /// Wraps `reader`. `waiting` knows the requests whose answers are repaired.
    pub fn new(reader: R, stderr_log: StderrLog, waiting: Waiting) -> Self {
        Self {
            reader: BufReader::with_capacity(PIECE, reader),
            lines: FrameDecoder::new(MAX_MESSAGE_BYTES),
            noise: NoiseBudget::default(),
            line: Vec::new(),
            given: 0,
            ended: false,
            stderr_log,
            waiting,
        }
    }
}

impl<R> StdoutReader<R> {
    /// Processes one frame. An error is the reason to disconnect.
    fn process(&mut self, line: Frame) -> Result<(), String> {
        match line {
            Frame::Complete(line) if framing::has_too_many_values(&line) => {
                match framing::answered_id(&line) {
                    Some(id) => self.refuse(&id, framing::TOO_MANY_VALUES),
                    None => self.noise.add(line.len() as u64 + 1)?,
                }
            }
            Frame::Complete(line) if framing::is_message(&line) => {
                self.noise.message();
                let repaired = self.waiting.repaired(&line);
                self.queue(repaired.unwrap_or(line));
            }
            Frame::Complete(line) => {
                if let Some(id) = framing::answered_id(&line) {
                    self.refuse(&id, "its response is not valid JSON");
                } else {
                    self.noise.add(line.len() as u64 + 1)?;
                    self.queue(line);
                }
            }
            Frame::Oversized { bytes, answered: Some(id) } => self.refuse(&id, &framing::oversized(bytes)),
            Frame::Oversized { bytes, answered: None } => {
                self.stderr_log.add(&format!("an oversized line of {bytes} bytes was skipped\n"));
                self.noise.add(bytes)?;
            }
            Frame::Unterminated { bytes } => return Err(framing::unterminated(bytes)),
        }
        Ok(())
    }

    fn refuse(&mut self, id: &Value, reason: &str) {
        self.noise.message();
        let others = self.waiting.forget(id);
        let error = json!({"code": ErrorCode::INTERNAL_ERROR.0, "message": reason});
        let answer = json!({"jsonrpc": "2.0", "id": id, "error": error});
        let mut lines = vec![answer.to_string().into_bytes()];
        lines.extend(others);
        self.queue(lines.join(&b'\n'));
    }

    fn queue(&mut self, line: Vec<u8>) {
        self.line = line;
        self.line.push(b'\n');
        self.given = 0;
    }
}

impl<R: AsyncRead + Unpin> AsyncRead for StdoutReader<R> {
    fn poll_read(
        self: Pin<&mut Self>,
        context: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        let this = self.get_mut();
        while this.given == this.line.len() && !this.ended {
            let available = ready!(Pin::new(&mut this.reader).poll_fill_buf(context))?;
            if available.is_empty() {
                this.ended = true;
                break;
            }
            let (taken, line) = this.lines.take(available);
            Pin::new(&mut this.reader).consume(taken);
            if let Some(Err(reason)) = line.map(|line| this.process(line)) {
                this.stderr_log.abandon(reason);
                this.ended = true;
            }
        }
        let left = &this.line[this.given..];
        let piece = &left[..left.len().min(buffer.remaining())];
        buffer.put_slice(piece);
        this.given += piece.len();
        Ok(()).into()
    }
}
