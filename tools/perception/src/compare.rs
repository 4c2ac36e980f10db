use crate::components::components;
use crate::{Picture, PixelBox};
use serde::{Deserialize, Serialize};

/// Side of the squares that changed pixels are gathered in, in pixels: changes nearer than this are one box.
const CELL: usize = 8;
/// Least difference of a channel (0 to 255) that counts, so that noise of compression does not.
const LEAST_DIFFERENCE: u8 = 24;
/// Limit on the boxes of one comparison.
const MAX_BOXES: usize = 256;

/// What differs between two pictures of one size.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Comparison {
    /// Boxes around the changes, from top to bottom. At most 256, the largest ones.
    pub boxes: Vec<PixelBox>,
    /// Changed pixels as a share of all, 0 to 1.
    pub changed: f64,
    /// Number of boxes that were left out.
    pub left_out: usize,
}

/// The pictures cannot be compared.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("the pictures have different sizes, {}×{} and {}×{}", .one.0, .one.1, .other.0, .other.1)]
pub struct CompareError {
    /// Width and height of the first picture, in pixels.
    pub one: (u32, u32),
    /// Width and height of the second picture, in pixels.
    pub other: (u32, u32),
}

/// Boxes around what changed from `one` to `other`.
///
/// # Errors
/// The pictures have different sizes.
pub fn compare(one: &Picture, other: &Picture) -> Result<Comparison, CompareError> {
    let (one, other) = (&one.rgb, &other.rgb);
    if one.dimensions() != other.dimensions() {
        return Err(CompareError { one: one.dimensions(), other: other.dimensions() });
    }
    let (width, height) = (one.width() as usize, one.height() as usize);
    let (columns, rows) = (width.div_ceil(CELL), height.div_ceil(CELL));
    let mut cells: Vec<Option<[usize; 4]>> = vec![None; columns * rows];
    let mut count = 0_u64;
    for (index, (a, b)) in one.pixels().zip(other.pixels()).enumerate() {
        if a.0.iter().zip(b.0).all(|(a, b)| a.abs_diff(b) < LEAST_DIFFERENCE) {
            continue;
        }
        count += 1;
        let (x, y) = (index % width, index / width);
        let [left, top, right, bottom] = cells[y / CELL * columns + x / CELL].get_or_insert([x, y, x, y]);
        (*left, *top) = ((*left).min(x), (*top).min(y));
        (*right, *bottom) = ((*right).max(x), (*bottom).max(y));
    }
    let mut mask: Vec<bool> = cells.iter().map(Option::is_some).collect();
    let mut boxes: Vec<PixelBox> = components(&mut mask, columns)
        .into_iter()
        .filter_map(|component| {
            let inside = (component.top..=component.bottom).flat_map(|row| {
                cells[row * columns + component.left..=row * columns + component.right].iter().flatten()
            });
            let [left, top, right, bottom] = inside
                .copied()
                .reduce(|a, b| [a[0].min(b[0]), a[1].min(b[1]), a[2].max(b[2]), a[3].max(b[3])])?;
            Some(PixelBox {
                x: left as u32,
                y: top as u32,
                width: (right - left + 1) as u32,
                height: (bottom - top + 1) as u32,
            })
        })
        .collect();
    let left_out = boxes.len().saturating_sub(MAX_BOXES);
    if left_out > 0 {
        boxes.sort_by_key(|area| std::cmp::Reverse(u64::from(area.width) * u64::from(area.height)));
        boxes.truncate(MAX_BOXES);
        boxes.sort_by_key(|area| (area.y, area.x));
    }
    Ok(Comparison { boxes, changed: count as f64 / (width * height) as f64, left_out })
}

#[cfg(test)]
mod tests {
    use super::*;
    use image::{Rgb, RgbImage};

    fn plain(width: u32, height: u32) -> Picture {
        Picture { rgb: RgbImage::from_pixel(width, height, Rgb([200, 200, 200])) }
    }

    #[test]
    fn changed_areas_are_boxed_exactly_and_noise_is_not() {
        let (one, mut other) = (plain(100, 60), plain(100, 60));
        for (x, y) in (10..15).flat_map(|x| (20..41).map(move |y| (x, y))) {
            other.rgb.put_pixel(x, y, Rgb([0, 0, 0]));
        }
        other.rgb.put_pixel(99, 59, Rgb([0, 200, 200]));
        other.rgb.put_pixel(50, 50, Rgb([205, 200, 199]));
        let comparison = compare(&one, &other).unwrap();
        assert_eq!(
            comparison.boxes,
            [PixelBox { x: 10, y: 20, width: 5, height: 21 }, PixelBox { x: 99, y: 59, width: 1, height: 1 }]
        );
        assert!((comparison.changed - 106.0 / 6000.0).abs() < 1e-9);
        assert_eq!(compare(&one, &one).unwrap().boxes, []);
    }

    #[test]
    fn pictures_of_different_sizes_are_an_error_that_names_both() {
        let error = compare(&plain(3, 4), &plain(4, 3)).unwrap_err();
        assert_eq!(error.to_string(), "the pictures have different sizes, 3×4 and 4×3");
    }
}
