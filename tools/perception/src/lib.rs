//! Seeing: pictures from outside as bounded pixels, their text with boxes, and what changed between two of them. Hearing: sounds
//! piece by piece, when somebody speaks in them, and the words.
//!
//! - [`Picture::decode`] reads PNG, JPEG, WebP, GIF and BMP within limits.
//! - [`Reader`] finds and recognises lines of text with two PP-OCR networks, which run in pure Rust.
//! - [`see`] offers all of this as tools of an agent, which take pictures by their handles.
//! - [`find`] locates words among the lines; [`compare`] gives the boxes that differ between two pictures.
//! - [`Encoder`] turns pictures into vectors, by which similar ones are [`recognised`].
//! - A [`DualEncoder`] gives pictures and texts vectors of one space; a [`Matcher`] says whether a sentence belongs to a picture.
//! - A [`Describer`] answers questions about pictures: a language model that sees, which this crate does not have.
//! - An [`ImageMemory`] keeps pictures as examples of labels, longer than a run.
//! - [`SoundReader`] decodes WAV, FLAC, MP3 and Ogg Vorbis; [`Ears`] find speech in it with one network and write it down with
//!   another. [`hear`](hear()) offers both as tools.
//!
//! Everything here computes on the calling thread and may take seconds. A caller on a runtime moves it to a thread of its own.
//! A picture is known by its bytes, so it can be a blob of a log; boxes are pixels of the upright picture, from the top left.
//!
//! ```
//! use sojourn_perception::{Picture, PictureError};
//!
//! assert_eq!(Picture::decode(b"no picture").unwrap_err(), PictureError::UnknownFormat);
//! ```

#![forbid(unsafe_code)]

mod compare;
mod components;
mod detect;
mod features;
mod find;
mod hear;
mod kept;
mod networks;
mod picture;
mod reader;
mod recognise;
mod see;
mod words;

pub use compare::{CompareError, Comparison, compare};
pub use features::{Encoder, EncoderError, recognised, similarity};
pub use find::{Found, find};
pub use hear::{EarError, EarFiles, Ears, Hearing, MAX_SECONDS, Segment, SoundError, SoundReader, hear};
pub use picture::{MAX_FILE_BYTES, MAX_PIXELS, Picture, PictureError};
pub use reader::{Line, Reader, ReaderError, ReaderFiles};
pub use see::{DESCRIBE, Describer, Eyes, ImageMemory, picture_reader, see};
pub use words::{DualEncoder, Labelled, MAX_TEXT, Matcher, WordsError};

use serde::{Deserialize, Serialize};
use std::fmt;

/// A rectangle of pixels, from the top left of the upright picture.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct PixelBox {
    /// Left edge.
    pub x: u32,
    /// Top edge.
    pub y: u32,
    /// Width, at least 1.
    pub width: u32,
    /// Height, at least 1.
    pub height: u32,
}

impl PixelBox {
    /// The pixel in the middle: where to click.
    pub fn middle(self) -> (u32, u32) {
        (self.x + self.width / 2, self.y + self.height / 2)
    }
}

/// `X,Y WIDTHxHEIGHT`
impl fmt::Display for PixelBox {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { x, y, width, height } = self;
        write!(formatter, "{x},{y} {width}x{height}")
    }
}
