//! What a server's program writes, before rmcp reads it: held to a bound, and answered for where an answer breaks it.

use crate::child::Complaints;
use crate::lines::{self, Line, Lines, MESSAGE, Noise};
use rmcp::model::ErrorCode;
use serde_json::{Value, json};
use std::io;
use std::pin::Pin;
use std::task::{Context, Poll, ready};
use tokio::io::{AsyncBufRead as _, AsyncRead, BufReader, ReadBuf};

/// Bytes that are read at once.
const PIECE: usize = 1 << 16;

/// Lines of messages. In the place of an answer that is too long, or no JSON, comes an error for whoever asked, so that they
/// need not wait until their time is over. Where nobody can tell any more what is a message it ends, and the program's
/// complaints say why.
pub struct Output<R> {
    reader: BufReader<R>,
    lines: Lines,
    noise: Noise,
    /// The line that is handed on, and how much of it was.
    line: Vec<u8>,
    given: usize,
    ended: bool,
    complaints: Complaints,
}

impl<R: AsyncRead> Output<R> {
    /// What `reader` has.
    pub fn new(reader: R, complaints: Complaints) -> Self {
        Self {
            reader: BufReader::with_capacity(PIECE, reader),
            lines: Lines::new(MESSAGE),
            noise: Noise::default(),
            line: Vec::new(),
            given: 0,
            ended: false,
            complaints,
        }
    }
}

impl<R> Output<R> {
    /// Takes a line in; says why the program is given up, if it is.
    fn hear(&mut self, line: Line) -> Result<(), String> {
        match line {
            Line::Whole(line) if lines::is_message(&line) => {
                self.noise.message();
                self.hand_on(line);
            }
            Line::Whole(line) => {
                if let Some(id) = lines::answered(&line) {
                    self.refuse(&id, "its answer cannot be read: it is no JSON");
                } else {
                    self.noise.add(line.len() as u64 + 1)?;
                    self.hand_on(line);
                }
            }
            Line::TooLong { bytes, answered: Some(id) } => self.refuse(&id, &lines::too_long(bytes)),
            Line::TooLong { bytes, answered: None } => {
                self.complaints.add(&format!("a line of {bytes} bytes was left out\n"));
                self.noise.add(bytes)?;
            }
            Line::Endless { bytes } => return Err(lines::endless(bytes)),
        }
        Ok(())
    }

    fn refuse(&mut self, id: &Value, reason: &str) {
        self.noise.message();
        let error = json!({"code": ErrorCode::INTERNAL_ERROR.0, "message": reason});
        let answer = json!({"jsonrpc": "2.0", "id": id, "error": error});
        self.hand_on(answer.to_string().into_bytes());
    }

    fn hand_on(&mut self, line: Vec<u8>) {
        self.line = line;
        self.line.push(b'\n');
        self.given = 0;
    }
}

impl<R: AsyncRead + Unpin> AsyncRead for Output<R> {
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
            if let Some(Err(verdict)) = line.map(|line| this.hear(line)) {
                this.complaints.give_up(verdict);
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
