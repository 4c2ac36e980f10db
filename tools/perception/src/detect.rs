//! The text detector: a network that gives each pixel's probability of being text (differentiable binarisation, Liao et al. 2020).

use crate::components::components;
use crate::{Picture, PixelBox};
use image::imageops::{FilterType, overlay, resize};
use image::{Rgb, RgbImage};
use rten::{Model, Value};

/// The longest side that the network sees, in pixels; a larger picture is scaled down.
const MAX_SIDE: f32 = 1600.0;
/// A picture with a shorter side than this is scaled up, at most twice: small letters are found badly.
const MIN_SIDE: f32 = 400.0;
/// The network's sides are multiples of this.
const MULTIPLE: u32 = 32;
/// Empty pixels around the picture: the network misses text that touches an edge.
const MARGIN: u32 = 16;
/// Probability from which a pixel is text.
const TEXT: f32 = 0.3;
/// Mean probability from which a component is a line.
const LINE: f32 = 0.5;
/// The network is trained on shrunk lines; a box grows by this factor of its area through its circumference.
const UNCLIP: f32 = 1.5;
/// Least side of a box in the network's pixels.
const MIN_BOX: usize = 3;
/// Limit on the lines of a picture.
const MAX_LINES: usize = 1000;

/// Mean and deviation of `ImageNet`, in the order blue, green, red, as the detector was trained.
const NORMAL: [(f32, f32); 3] = [(0.485, 0.229), (0.456, 0.224), (0.406, 0.225)];

/// The boxes of lines of text, in reading order, and the number of lines beyond the limit.
pub(crate) fn detect(model: &Model, picture: &Picture) -> Result<(Vec<PixelBox>, usize), String> {
    let (width, height) = (picture.width() as f32, picture.height() as f32);
    let scale = (MIN_SIDE / width.min(height)).clamp(1.0, 2.0).min(MAX_SIDE / width.max(height));
    let scaled_width = ((width * scale).round() as u32).max(1);
    let scaled_height = ((height * scale).round() as u32).max(1);
    let scaled = resize(&picture.rgb, scaled_width, scaled_height, FilterType::Triangle);
    let padded = |side: u32| (side + 2 * MARGIN).next_multiple_of(MULTIPLE);
    let background = *picture.rgb.get_pixel(0, 0);
    let mut canvas = RgbImage::from_pixel(padded(scaled_width), padded(scaled_height), background);
    overlay(&mut canvas, &scaled, i64::from(MARGIN), i64::from(MARGIN));

    let (columns, rows) = (canvas.width() as usize, canvas.height() as usize);
    let input = Value::from_shape([1, 3, rows, columns], planes(&canvas, NORMAL)).map_err(text)?;
    let (_, map) =
        model.run_one(input.into(), None).map_err(text)?.into_shape_vec::<f32, 4>().map_err(text)?;
    if map.len() != columns * rows {
        return Err("the probabilities have another size than the picture".to_owned());
    }
    let mut mask: Vec<bool> = map.iter().map(|probability| *probability > TEXT).collect();
    let mut boxes = Vec::new();
    for found in components(&mut mask, columns) {
        let (across, down) = (found.right - found.left + 1, found.bottom - found.top + 1);
        if across.min(down) < MIN_BOX {
            continue;
        }
        let inside = (found.top..=found.bottom).flat_map(|row| {
            map[row * columns + found.left..=row * columns + found.right].iter().filter(|p| **p > TEXT)
        });
        let mean = inside.sum::<f32>() / found.pixels as f32;
        if mean < LINE {
            continue;
        }
        let (across, down) = (across as f32, down as f32);
        let grow = across * down * UNCLIP / (2.0 * (across + down));
        let to_picture = |edge: f32, side: f32| ((edge - MARGIN as f32) / scale).clamp(0.0, side);
        let left = to_picture(found.left as f32 - grow, width).floor();
        let top = to_picture(found.top as f32 - grow, height).floor();
        let right = to_picture(found.right as f32 + 1.0 + grow, width).ceil();
        let bottom = to_picture(found.bottom as f32 + 1.0 + grow, height).ceil();
        if right > left && bottom > top {
            boxes.push(PixelBox {
                x: left as u32,
                y: top as u32,
                width: (right - left) as u32,
                height: (bottom - top) as u32,
            });
        }
    }
    let left_out = boxes.len().saturating_sub(MAX_LINES);
    in_reading_order(&mut boxes);
    boxes.truncate(MAX_LINES);
    Ok((boxes, left_out))
}

/// Sorts boxes from top to bottom, and those that stand beside each other from left to right.
fn in_reading_order(boxes: &mut [PixelBox]) {
    boxes.sort_by_key(|area| (area.y + area.height / 2, area.x));
    let mut start = 0;
    while start < boxes.len() {
        let first = boxes[start];
        let reach = first.y + first.height / 2 + first.height / 2;
        let beside = boxes[start..].iter().take_while(|area| area.y + area.height / 2 < reach.max(1)).count();
        let end = start + beside.max(1);
        boxes[start..end].sort_by_key(|area| area.x);
        start = end;
    }
}

/// The picture as planes of blue, green and red, normalised by mean and deviation.
pub(crate) fn planes(picture: &RgbImage, normal: [(f32, f32); 3]) -> Vec<f32> {
    let plane = |channel: usize, (mean, deviation): (f32, f32)| {
        picture.pixels().map(move |Rgb(pixel)| (f32::from(pixel[2 - channel]) / 255.0 - mean) / deviation)
    };
    normal.into_iter().enumerate().flat_map(|(channel, normal)| plane(channel, normal)).collect()
}

/// An error of the engine as text.
pub(crate) fn text(error: impl std::fmt::Display) -> String {
    error.to_string()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn boxes_in_one_row_are_read_from_left_to_right() {
        let area = |x, y| PixelBox { x, y, width: 30, height: 20 };
        let mut boxes = [area(100, 2), area(0, 5), area(0, 40), area(100, 38)];
        in_reading_order(&mut boxes);
        assert_eq!(boxes, [area(0, 5), area(100, 2), area(0, 40), area(100, 38)]);
    }
}
