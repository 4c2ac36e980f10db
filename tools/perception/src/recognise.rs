//! The text recogniser: a network that gives the characters along a line, decoded greedily (connectionist temporal
//! classification, Graves et al. 2006).

use crate::detect::{planes, text};
use crate::{Picture, PixelBox};
use image::imageops::{FilterType, crop_imm, resize, rotate270};
use rten::{Model, Value};

/// Height of a line that the network sees, in pixels.
const HEIGHT: u32 = 48;
/// Limit on its width; a longer line is squeezed.
const MAX_WIDTH: f32 = 3200.0;
/// A box this many times higher than wide is a line that runs down; it is turned to the left.
const DOWN: f32 = 1.5;
/// Least width, in pixels: short words are read badly without room beside them.
const MIN_WIDTH: u32 = 16;

/// The characters of one line.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Recognised {
    pub(crate) text: String,
    /// Mean probability of the characters, 0 to 1.
    pub(crate) confidence: f32,
    /// Where each character of `text` stands, as a share of the line's length.
    pub(crate) positions: Vec<f32>,
}

/// Reads the line in `area`. `dictionary` has the characters of the network's classes from 1 on.
pub(crate) fn recognise(
    model: &Model,
    dictionary: &[String],
    picture: &Picture,
    area: PixelBox,
) -> Result<Recognised, String> {
    let mut line = crop_imm(&picture.rgb, area.x, area.y, area.width, area.height).to_image();
    if line.height() as f32 >= line.width() as f32 * DOWN {
        line = rotate270(&line);
    }
    let width = (line.width() as f32 * HEIGHT as f32 / line.height().max(1) as f32).min(MAX_WIDTH);
    let width = (width.round() as u32).max(MIN_WIDTH);
    let line = resize(&line, width, HEIGHT, FilterType::Triangle);
    let input = planes(&line, [(0.5, 0.5); 3]);
    let input = Value::from_shape([1, 3, HEIGHT as usize, width as usize], input).map_err(text)?;
    let ([_, steps, classes], scores) =
        model.run_one(input.into(), None).map_err(text)?.into_shape_vec::<f32, 3>().map_err(text)?;
    // Class 0 is the blank, and the one after the dictionary is a space.
    if classes != dictionary.len() + 2 {
        return Err(format!(
            "it tells {classes} characters apart, and the dictionary has {}",
            dictionary.len()
        ));
    }
    Ok(decode(&scores, steps, classes, dictionary))
}

fn decode(scores: &[f32], steps: usize, classes: usize, dictionary: &[String]) -> Recognised {
    let (mut text, mut positions, mut sum, mut count, mut last) = (String::new(), Vec::new(), 0.0, 0, 0);
    for (step, scores) in scores.chunks_exact(classes).enumerate() {
        let best = scores.iter().copied().enumerate().max_by(|(_, a), (_, b)| a.total_cmp(b));
        let (class, probability) = best.unwrap_or((0, 0.0));
        if class != 0 && class != last {
            let character = dictionary.get(class - 1).map_or(" ", String::as_str);
            positions.extend(character.chars().map(|_| (step as f32 + 0.5) / steps as f32));
            text.push_str(character);
            sum += probability;
            count += 1;
        }
        last = class;
    }
    let confidence = if count == 0 { 0.0 } else { sum / count as f32 };
    Recognised { text, confidence, positions }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn repeated_classes_are_one_character_unless_a_blank_is_between_them() {
        let dictionary = ["a".to_owned(), "b".to_owned()];
        let steps = [1, 1, 0, 1, 2, 3, 0, 2];
        let scores: Vec<f32> = steps
            .iter()
            .flat_map(|best| (0..4).map(move |class| f32::from(u8::from(class == *best))))
            .collect();
        let read = decode(&scores, steps.len(), 4, &dictionary);
        assert_eq!((read.text.as_str(), read.confidence), ("aab b", 1.0));
        assert_eq!(read.positions, [0.5, 3.5, 4.5, 5.5, 7.5].map(|step| step / 8.0));
        assert_eq!(decode(&[], 0, 4, &dictionary).text, "");
    }
}
