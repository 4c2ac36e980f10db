//! `sojourn see`.

use clap::{ArgGroup, Args as ClapArgs, ValueHint};
use std::path::PathBuf;

/// `sojourn see`.
#[derive(Debug, Clone, ClapArgs)]
#[command(group = ArgGroup::new("what").args(["read", "find", "compare", "similar", "describe", "ask", "labels", "match"]))]
pub struct See {
    /// The picture: PNG, JPEG, WebP, GIF or BMP; `-` for standard input.
    #[arg(value_name = "FILE", value_hint = ValueHint::FilePath)]
    pub file: PathBuf,

    /// Print the lines of text in the picture, with their boxes.
    #[arg(long)]
    pub read: bool,

    /// Print where words stand in the picture, in any case.
    #[arg(long, value_name = "TEXT")]
    pub find: Option<String>,

    /// Print boxes around what differs in another picture of the same size.
    #[arg(long, value_name = "OTHER", value_hint = ValueHint::FilePath)]
    pub compare: Option<PathBuf>,

    /// Print how similar another picture is in what it shows, from -1 to 1.
    #[arg(long, value_name = "OTHER", value_hint = ValueHint::FilePath)]
    pub similar: Option<PathBuf>,

    /// Print how well each of these labels fits the picture, the best first, by a dual encoder.
    #[arg(long, value_name = "A,B,…", value_delimiter = ',', requires = "dual")]
    pub labels: Option<Vec<String>>,

    /// Print how probable it is that a sentence belongs to the picture, by a fusion encoder.
    #[arg(long, value_name = "TEXT", requires = "matcher")]
    pub r#match: Option<String>,

    /// Describe the picture in words, by a model that sees.
    #[arg(long, requires = "model", requires = "mmproj")]
    pub describe: bool,

    /// Answer a question about the picture, by a model that sees.
    #[arg(long, value_name = "QUESTION", requires = "model", requires = "mmproj")]
    pub ask: Option<String>,

    /// Choose the answer among these; for `--ask`.
    #[arg(long, value_name = "A,B,…", value_delimiter = ',', requires = "ask")]
    pub choices: Vec<String>,

    /// The model that sees: a name of `sojourn models list`, or a `.gguf` file; for `--describe` and `--ask`.
    #[arg(long, value_name = "MODEL", value_hint = ValueHint::FilePath)]
    pub model: Option<String>,

    /// The projector of pictures that was published with the model: a `.gguf` file; for `--describe` and `--ask`.
    #[arg(long, value_name = "FILE", value_hint = ValueHint::FilePath)]
    pub mmproj: Option<String>,

    /// The folder of CLIP or `SigLIP`, as ONNX Runtime uses it; for `--labels`.
    #[arg(long, value_name = "FOLDER", value_hint = ValueHint::DirPath)]
    pub dual: Option<PathBuf>,

    /// The folder of BLIP for image–text matching, as ONNX Runtime uses it; for `--match`.
    #[arg(long, value_name = "FOLDER", value_hint = ValueHint::DirPath)]
    pub matcher: Option<PathBuf>,

    /// Print one JSON document.
    #[arg(long)]
    pub json: bool,
}
