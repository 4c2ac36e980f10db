//! `sojourn hear`.

use clap::{Args as ClapArgs, ValueHint};
use std::path::PathBuf;

/// `sojourn hear`.
#[derive(Debug, Clone, ClapArgs)]
pub struct Hear {
    /// The sound: WAV, FLAC, MP3 or Ogg Vorbis; `-` for standard input.
    #[arg(value_name = "FILE", value_hint = ValueHint::FilePath)]
    pub file: PathBuf,

    /// Print only when somebody speaks, without the words.
    #[arg(long, conflicts_with = "model")]
    pub speech: bool,

    /// The model that writes down: a name of `sojourn models list --kind speech`, or a folder with a Whisper model as `CTranslate2`
    /// stores it [default: whisper-tiny.en].
    #[arg(long, value_name = "MODEL", value_hint = ValueHint::DirPath)]
    pub model: Option<String>,

    /// Print one JSON document.
    #[arg(long)]
    pub json: bool,
}
