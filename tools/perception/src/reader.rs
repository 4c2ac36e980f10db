use crate::detect::detect;
use crate::recognise::recognise;
use crate::{Picture, PixelBox};
use rten::Model;
use serde::{Deserialize, Serialize};
use std::path::{Path, PathBuf};

/// Least confidence of a line that is reported.
const MIN_CONFIDENCE: f32 = 0.5;

/// The files of a reader, as `sojourn models pull` installs them.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ReaderFiles {
    /// The network that finds lines: PP-OCR detector, ONNX or `RTen`.
    pub detector: PathBuf,
    /// The network that reads a line: PP-OCR recogniser, ONNX or `RTen`.
    pub recogniser: PathBuf,
    /// The recogniser's characters, one a line.
    pub dictionary: PathBuf,
}

/// Reads text in pictures. Loading takes about a second and 120 MB.
pub struct Reader {
    detector: Model,
    recogniser: Model,
    dictionary: Vec<String>,
}

/// A line of text in a picture.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Line {
    /// The text, with single spaces.
    pub text: String,
    /// Where it stands.
    #[serde(rename = "box")]
    pub area: PixelBox,
    /// Mean probability of its characters, 0.5 to 1.
    pub confidence: f32,
    /// Where each character stands, as a share of the box's longer side.
    #[serde(skip)]
    pub(crate) positions: Vec<f32>,
}

/// Why text cannot be read.
#[derive(Debug, thiserror::Error)]
pub enum ReaderError {
    /// A file of the reader cannot be read.
    #[error("cannot read `{path}`: {reason}")]
    Unreadable {
        /// The file.
        path: PathBuf,
        /// What the system said.
        reason: String,
    },
    /// A file is no network of the kind that is needed.
    #[error("`{path}` is no network that can be run: {reason}")]
    NotANetwork {
        /// The file.
        path: PathBuf,
        /// What the loader of networks said.
        reason: String,
    },
    /// A network failed on a picture, or is of another kind.
    #[error("the {which} failed: {reason}")]
    Failed {
        /// "detector" or "recogniser".
        which: &'static str,
        /// What the engine said.
        reason: String,
    },
}

impl Reader {
    /// Loads the networks.
    ///
    /// # Errors
    /// A file is missing, or is not what it should be.
    pub fn open(files: &ReaderFiles) -> Result<Self, ReaderError> {
        let dictionary = std::fs::read_to_string(&files.dictionary).map_err(|error| {
            ReaderError::Unreadable { path: files.dictionary.clone(), reason: error.to_string() }
        })?;
        Ok(Self {
            detector: network(&files.detector)?,
            recogniser: network(&files.recogniser)?,
            dictionary: dictionary.lines().map(str::to_owned).collect(),
        })
    }

    /// The lines of text in a picture, in reading order. At most 1000 boxes are read; `stop` is asked before each, and the
    /// lines so far are returned once it says yes.
    ///
    /// # Errors
    /// A network fails: it is of another kind.
    pub fn read(&self, picture: &Picture, stop: &dyn Fn() -> bool) -> Result<Vec<Line>, ReaderError> {
        let failed = |which| move |reason: String| ReaderError::Failed { which, reason };
        let (boxes, _) = detect(&self.detector, picture).map_err(failed("detector"))?;
        let mut lines = Vec::with_capacity(boxes.len());
        for area in boxes {
            if stop() {
                break;
            }
            let read =
                recognise(&self.recogniser, &self.dictionary, picture, area).map_err(failed("recogniser"))?;
            if read.confidence >= MIN_CONFIDENCE && !read.text.trim().is_empty() {
                let (text, positions) = squeezed(&read.text, &read.positions);
                lines.push(Line { text, area, confidence: read.confidence, positions });
            }
        }
        Ok(lines)
    }
}

/// The text with single spaces and none at its ends, and the positions of the characters that are left.
fn squeezed(text: &str, positions: &[f32]) -> (String, Vec<f32>) {
    let mut kept: Vec<(char, f32)> = Vec::new();
    for (character, position) in text.chars().zip(positions.iter().copied()) {
        let character = if character.is_whitespace() { ' ' } else { character };
        if character != ' ' || kept.last().is_some_and(|(last, _)| *last != ' ') {
            kept.push((character, position));
        }
    }
    if kept.last().is_some_and(|(last, _)| *last == ' ') {
        kept.pop();
    }
    kept.into_iter().unzip()
}

fn network(path: &Path) -> Result<Model, ReaderError> {
    let data = std::fs::read(path)
        .map_err(|error| ReaderError::Unreadable { path: path.to_owned(), reason: error.to_string() })?;
    Model::load(data)
        .map_err(|error| ReaderError::NotANetwork { path: path.to_owned(), reason: error.to_string() })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn spaces_are_single_and_keep_the_places_of_the_others() {
        assert_eq!(
            squeezed(" a\u{3000} b ", &[0., 1., 2., 3., 4., 5.]),
            ("a b".to_owned(), vec![1., 2., 4.])
        );
    }

    #[test]
    fn a_file_that_is_no_network_is_an_error_that_names_it() {
        let path = std::env::temp_dir().join(format!("sojourn-no-network-{}", std::process::id()));
        std::fs::write(&path, "these are not the weights").unwrap();
        let files =
            ReaderFiles { detector: path.clone(), recogniser: path.clone(), dictionary: path.clone() };
        let error = Reader::open(&files).err().unwrap().to_string();
        std::fs::remove_file(&path).unwrap();
        assert!(error.contains("sojourn-no-network") && error.contains("is no network"), "{error}");
        let error = Reader::open(&files).err().unwrap().to_string();
        assert!(error.starts_with("cannot read `"), "{error}");
    }
}
