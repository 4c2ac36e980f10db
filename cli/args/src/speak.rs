//! `sojourn speak`.

use clap::{Args as ClapArgs, ValueHint};
use std::path::PathBuf;

/// `sojourn speak`.
#[derive(Debug, Clone, ClapArgs)]
pub struct Speak {
    /// What is to be said, at most 5000 characters; `-` for standard input.
    #[arg(value_name = "TEXT")]
    pub text: String,

    /// The WAV file to write [default: standard output, unless that is a terminal].
    #[arg(long, value_name = "FILE", value_hint = ValueHint::FilePath)]
    pub out: Option<PathBuf>,

    /// The voice, of those that `espeak-ng --voices` lists [default: English].
    #[arg(long, value_name = "VOICE")]
    pub voice: Option<String>,

    /// Words a minute, 80 to 450 [default: 175].
    #[arg(long, value_name = "N")]
    pub words_per_minute: Option<u32>,
}
