//! Pictures as a network takes them, by its `preprocessor_config.json`.

use super::{WordsError, failed, json};
use crate::Picture;
use image::imageops::{FilterType, crop_imm, resize};
use rten::Value;
use serde::Deserialize;
use std::path::Path;

/// Largest side of a network's input, in pixels.
const MAX_SIDE: u32 = 2048;

#[derive(Deserialize)]
struct File {
    size: Size,
    #[serde(default)]
    crop_size: Option<Size>,
    #[serde(default)]
    do_center_crop: Option<bool>,
    #[serde(default)]
    do_normalize: Option<bool>,
    #[serde(default)]
    image_mean: Option<[f32; 3]>,
    #[serde(default)]
    image_std: Option<[f32; 3]>,
    #[serde(default)]
    resample: Option<u32>,
}

/// A number in older files.
#[derive(Clone, Copy, Deserialize)]
#[serde(untagged)]
enum Size {
    Side(u32),
    Shortest { shortest_edge: u32 },
    Both { height: u32, width: u32 },
}

/// How a picture is scaled, cut and normalised.
pub(super) struct Preparation {
    size: Size,
    /// Width and height of the middle that is cut out.
    cut: Option<(u32, u32)>,
    mean: [f32; 3],
    deviation: [f32; 3],
    filter: FilterType,
}

impl Preparation {
    pub(super) fn read(folder: &Path) -> Result<Self, WordsError> {
        let path = folder.join("preprocessor_config.json");
        let file: File = json(&path)?;
        let unusable = |reason: &str| WordsError::Unusable { path: path.clone(), reason: reason.to_owned() };
        let cut = match (file.do_center_crop, file.crop_size) {
            (Some(false), _) | (None, None) => None,
            (_, Some(size)) => Some(size.both()),
            (Some(true), None) => return Err(unusable("it has no `crop_size`")),
        };
        let size = file.size;
        let sides =
            [Some(size.both()), cut].into_iter().flatten().flat_map(|(width, height)| [width, height]);
        if sides.clone().any(|side| side == 0 || side > MAX_SIDE) {
            return Err(unusable("its size is out of range"));
        }
        if let (Some((width, height)), Size::Shortest { shortest_edge }) = (cut, size)
            && width.max(height) > shortest_edge
        {
            return Err(unusable("it cuts out more than it scales to"));
        }
        let normal = file.do_normalize != Some(false);
        let mean = file.image_mean.filter(|_| normal).unwrap_or([0.0; 3]);
        let deviation = file.image_std.filter(|_| normal).unwrap_or([1.0; 3]);
        if deviation.iter().any(|value| !value.is_finite() || *value <= 0.0) {
            return Err(unusable("its `image_std` is out of range"));
        }
        // Pillow's numbers.
        let filter = match file.resample {
            Some(0) => FilterType::Nearest,
            Some(1) => FilterType::Lanczos3,
            Some(2) => FilterType::Triangle,
            Some(3) | None => FilterType::CatmullRom,
            Some(_) => return Err(unusable("its `resample` is none of 0 to 3")),
        };
        Ok(Self { size, cut, mean, deviation, filter })
    }

    /// The picture as planes of red, green and blue: `[1, 3, height, width]`.
    pub(super) fn planes(&self, picture: &Picture) -> Result<Value, WordsError> {
        let (width, height) = self.size.of(picture.width(), picture.height());
        let mut scaled = if (width, height) == (picture.width(), picture.height()) {
            picture.rgb.clone()
        } else {
            resize(&picture.rgb, width, height, self.filter)
        };
        if let Some((wide, high)) = self.cut {
            let (x, y) = (width.saturating_sub(wide) / 2, height.saturating_sub(high) / 2);
            scaled = crop_imm(&scaled, x, y, wide.min(width), high.min(height)).to_image();
        }
        let mut planes = Vec::with_capacity(scaled.len());
        for channel in 0..3 {
            let (mean, deviation) = (self.mean[channel], self.deviation[channel]);
            planes.extend(
                scaled.pixels().map(|pixel| (f32::from(pixel.0[channel]) / 255.0 - mean) / deviation),
            );
        }
        let shape = [1, 3, scaled.height() as usize, scaled.width() as usize];
        Value::from_shape(shape, planes).map_err(failed)
    }
}

impl Size {
    /// Width and height, where they are given.
    fn both(self) -> (u32, u32) {
        match self {
            Self::Side(side) | Self::Shortest { shortest_edge: side } => (side, side),
            Self::Both { height, width } => (width, height),
        }
    }

    /// Width and height that a picture is scaled to.
    fn of(self, width: u32, height: u32) -> (u32, u32) {
        match self {
            Self::Both { .. } | Self::Side(_) => self.both(),
            Self::Shortest { shortest_edge } => {
                let (short, long) = (width.min(height).max(1), width.max(height));
                let longer = u64::from(shortest_edge) * u64::from(long) / u64::from(short);
                // A strip is squeezed: only its middle is seen, and its length would not be bounded.
                let longer = u32::try_from(longer)
                    .unwrap_or(u32::MAX)
                    .clamp(shortest_edge, shortest_edge.saturating_mul(16));
                if width <= height { (shortest_edge, longer) } else { (longer, shortest_edge) }
            }
        }
    }
}
