//! WAV files whose head gives wrong lengths: a recorder that was interrupted never writes them, and one that writes to a pipe cannot
//! know them. The samples are all there, so such a file is read to its end.

use std::io::{self, Read, Seek, SeekFrom};
use symphonia::core::io::MediaSource;

/// What a reader takes for "until the file ends", as programs that write to a pipe have it.
const UNKNOWN: [u8; 4] = [0xff; 4];
/// Limit on the chunks before the samples.
const MAX_CHUNKS: usize = 64;

/// A source whose lengths are replaced where they contradict each other or the file.
pub(super) struct Lengths {
    source: Box<dyn MediaSource>,
    at: u64,
    /// Where other bytes are read than the file has.
    replaced: Vec<u64>,
}

impl Lengths {
    /// The source from its beginning on. One that cannot be wound back, or is no WAV file, stays as it is.
    pub(super) fn new(mut source: Box<dyn MediaSource>) -> io::Result<Self> {
        let replaced = if source.is_seekable() { wrong(&mut source)? } else { Vec::new() };
        Ok(Self { source, at: 0, replaced })
    }
}

/// The places of wrong lengths.
fn wrong(source: &mut Box<dyn MediaSource>) -> io::Result<Vec<u64>> {
    let places = find(source).or_else(|error| match error.kind() {
        // It is shorter than its head.
        io::ErrorKind::UnexpectedEof => Ok(Vec::new()),
        _ => Err(error),
    });
    source.rewind()?;
    places
}

fn find(source: &mut Box<dyn MediaSource>) -> io::Result<Vec<u64>> {
    let mut head = [0; 12];
    source.read_exact(&mut head)?;
    if &head[..4] != b"RIFF" || &head[8..] != b"WAVE" {
        return Ok(Vec::new());
    }
    let length = |bytes: &[u8]| bytes.iter().rev().fold(0_u64, |sum, byte| sum << 8 | u64::from(*byte));
    let (whole, mut at) = (length(&head[4..8]) + 8, head.len() as u64);
    for _ in 0..MAX_CHUNKS {
        let mut chunk = [0; 8];
        source.read_exact(&mut chunk)?;
        let (claimed, begin) = (length(&chunk[4..]), at + chunk.len() as u64);
        if &chunk[..4] != b"data" {
            at = source.seek(SeekFrom::Start(begin + claimed + claimed % 2))?;
            continue;
        }
        let mut one = [0; 1];
        let is_more = source.read(&mut one)? > 0;
        return Ok(if claimed == 0 && is_more && whole <= begin {
            vec![4, at + 4]
        } else if begin + claimed > whole {
            vec![4]
        } else {
            Vec::new()
        });
    }
    Ok(Vec::new())
}

impl Read for Lengths {
    fn read(&mut self, out: &mut [u8]) -> io::Result<usize> {
        let count = self.source.read(out)?;
        for place in &self.replaced {
            for (byte, at) in UNKNOWN.iter().zip(*place..) {
                if let Some(here) = at.checked_sub(self.at).and_then(|here| usize::try_from(here).ok())
                    && here < count
                {
                    out[here] = *byte;
                }
            }
        }
        self.at += count as u64;
        Ok(count)
    }
}

impl Seek for Lengths {
    fn seek(&mut self, to: SeekFrom) -> io::Result<u64> {
        self.at = self.source.seek(to)?;
        Ok(self.at)
    }
}

impl MediaSource for Lengths {
    fn is_seekable(&self) -> bool {
        self.source.is_seekable()
    }

    fn byte_len(&self) -> Option<u64> {
        self.source.byte_len()
    }
}
