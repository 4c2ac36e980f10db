use crate::Picture;
use image::imageops::{FilterType, resize};
use rten::{Model, NodeId, Value};
use std::path::{Path, PathBuf};

/// Side of the square that the network sees, in pixels. A picture is scaled to it as a whole, so nothing at its edges is lost.
const SIDE: u32 = 224;
/// Mean and deviation of `ImageNet` in red, green, blue.
const NORMAL: [(f32, f32); 3] = [(0.485, 0.229), (0.456, 0.224), (0.406, 0.225)];
/// The network's input, and its last layer: one row for the picture and one for each patch.
const INPUT: &str = "input_image";
const OUTPUT: &str = "/backbone/layernorm/Add_1_output_0";

/// Why a picture has no features.
#[derive(Debug, thiserror::Error)]
pub enum EncoderError {
    /// The file cannot be read.
    #[error("cannot read `{path}`: {reason}")]
    Unreadable {
        /// The file.
        path: PathBuf,
        /// What the system said.
        reason: String,
    },
    /// The file is no encoder of pictures.
    #[error("`{path}` is no encoder of pictures: {reason}")]
    NotAnEncoder {
        /// The file.
        path: PathBuf,
        /// What is wrong with it.
        reason: String,
    },
    /// The network failed.
    #[error("the encoder failed: {0}")]
    Failed(String),
}

/// Turns pictures into vectors that lie near each other where the pictures show similar things: `DINOv2` (Oquab et al. 2023).
/// Loading takes a second and 200 MB.
pub struct Encoder {
    model: Model,
    input: NodeId,
    output: NodeId,
}

impl Encoder {
    /// Loads the network.
    ///
    /// # Errors
    /// The file is missing, or is no such network.
    pub fn open(path: &Path) -> Result<Self, EncoderError> {
        let data = std::fs::read(path)
            .map_err(|error| EncoderError::Unreadable { path: path.to_owned(), reason: error.to_string() })?;
        let wrong = |reason: String| EncoderError::NotAnEncoder { path: path.to_owned(), reason };
        let model = Model::load(data).map_err(|error| wrong(error.to_string()))?;
        let node = |name: &str| model.node_id(name).map_err(|error| wrong(error.to_string()));
        let (input, output) = (node(INPUT)?, node(OUTPUT)?);
        Ok(Self { model, input, output })
    }

    /// The features of a picture, of length 1: the vector of the whole beside the mean of its patches.
    ///
    /// # Errors
    /// The network fails: it is of another kind.
    pub fn features(&self, picture: &Picture) -> Result<Vec<f32>, EncoderError> {
        let failed = |error: &dyn std::fmt::Display| EncoderError::Failed(error.to_string());
        let scaled = resize(&picture.rgb, SIDE, SIDE, FilterType::CatmullRom);
        let planes: Vec<f32> = NORMAL
            .iter()
            .enumerate()
            .flat_map(|(channel, (mean, deviation))| {
                scaled.pixels().map(move |pixel| (f32::from(pixel.0[channel]) / 255.0 - mean) / deviation)
            })
            .collect();
        let side = SIDE as usize;
        let input = Value::from_shape([1, 3, side, side], planes).map_err(|error| failed(&error))?;
        let found = self.model.run(vec![(self.input, input.into())], &[self.output], None);
        let value = found.map_err(|error| failed(&error))?.into_iter().next();
        let value = value.ok_or_else(|| EncoderError::Failed("it gave nothing".to_owned()))?;
        let ([_, rows, columns], data) = value.into_shape_vec::<f32, 3>().map_err(|error| failed(&error))?;
        if rows < 2 || columns == 0 {
            return Err(EncoderError::Failed(format!("it gave {rows} × {columns} numbers")));
        }
        let mut patches = vec![0.0; columns];
        for row in data[columns..].chunks_exact(columns) {
            patches.iter_mut().zip(row).for_each(|(sum, value)| *sum += value);
        }
        let whole = unit(&data[..columns]);
        let both: Vec<f32> = whole.into_iter().chain(unit(&patches)).collect();
        Ok(unit(&both))
    }
}

/// The vector with length 1.
pub(crate) fn unit(vector: &[f32]) -> Vec<f32> {
    let length = vector.iter().map(|value| value * value).sum::<f32>().sqrt().max(f32::MIN_POSITIVE);
    vector.iter().map(|value| value / length).collect()
}

/// The cosine of the angle between two vectors of length 1: 1 for equal ones.
pub fn similarity(one: &[f32], other: &[f32]) -> f32 {
    one.iter().zip(other).map(|(one, other)| one * other).sum::<f32>().clamp(-1.0, 1.0)
}

/// The mean similarity of a picture to the examples of each label, the most similar label first.
pub fn recognised<'a>(
    picture: &[f32],
    examples: impl IntoIterator<Item = (&'a str, Vec<&'a [f32]>)>,
) -> Vec<(&'a str, f32)> {
    let mut scored: Vec<(&str, f32)> = examples
        .into_iter()
        .filter(|(_, examples)| !examples.is_empty())
        .map(|(label, examples)| {
            let count = examples.len() as f32;
            (label, examples.into_iter().map(|example| similarity(picture, example)).sum::<f32>() / count)
        })
        .collect();
    scored.sort_by(|one, other| other.1.total_cmp(&one.1));
    scored
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_label_with_the_most_similar_examples_wins_and_one_without_examples_does_not_count() {
        let (east, north, between) = (unit(&[2.0, 0.0]), unit(&[0.0, 3.0]), unit(&[3.0, 1.0]));
        assert!((similarity(&east, &east) - 1.0).abs() < 1e-6);
        let labels = [("north", vec![&north[..]]), ("east", vec![&east[..], &east[..]]), ("none", vec![])];
        let found = recognised(&between, labels);
        assert_eq!(found.iter().map(|(label, _)| *label).collect::<Vec<_>>(), ["east", "north"]);
    }

    #[test]
    fn a_file_that_is_no_encoder_is_named() {
        let here = tempfile::tempdir().unwrap();
        let path = here.path().join("weights.onnx");
        let error = Encoder::open(&path).err().unwrap().to_string();
        assert!(error.starts_with("cannot read `"), "{error}");
        std::fs::write(&path, "not these").unwrap();
        assert!(Encoder::open(&path).err().unwrap().to_string().contains("is no encoder of pictures"));
    }
}
