use crate::{Line, PixelBox};
use serde::{Deserialize, Serialize};

/// Words that were found in a picture.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Found {
    /// The whole line that holds the words.
    pub line: String,
    /// The box of the words alone; its middle is the place to click.
    #[serde(rename = "box")]
    pub area: PixelBox,
    /// Confidence of the line, 0.5 to 1.
    pub confidence: f32,
}

/// Where `text` stands among the lines of a picture, in their order. Case and spaces do not matter.
pub fn find(lines: &[Line], text: &str) -> Vec<Found> {
    let wanted: Vec<char> = plain(text).map(|(_, character)| character).collect();
    if wanted.is_empty() {
        return Vec::new();
    }
    let mut found = Vec::new();
    for line in lines {
        let held: Vec<(usize, char)> = plain(&line.text).collect();
        let mut start = 0;
        while start + wanted.len() <= held.len() {
            let window = &held[start..start + wanted.len()];
            if window.iter().map(|(_, character)| character).eq(&wanted) {
                let (first, last) = (window[0].0, window[wanted.len() - 1].0);
                let area = part(line, first, last);
                found.push(Found { line: line.text.clone(), area, confidence: line.confidence });
                start += wanted.len();
            } else {
                start += 1;
            }
        }
    }
    found
}

/// The characters without spaces in lower case, each with the number of the character that it comes from.
fn plain(text: &str) -> impl Iterator<Item = (usize, char)> + '_ {
    let characters = text.chars().enumerate().filter(|(_, character)| !character.is_whitespace());
    characters.flat_map(|(index, character)| character.to_lowercase().map(move |lower| (index, lower)))
}

/// The part of a line's box that holds the characters from `first` to `last`.
fn part(line: &Line, first: usize, last: usize) -> PixelBox {
    let PixelBox { x, y, width, height } = line.area;
    let at = |index: usize| line.positions.get(index).copied();
    let (Some(from), Some(to)) = (at(first), at(last)) else { return line.area };
    // A boundary lies halfway between two characters.
    let start = first.checked_sub(1).and_then(at).map_or(0.0, |before| f32::midpoint(before, from));
    let end = at(last + 1).map_or(1.0, |after| f32::midpoint(to, after));
    let along = |length: u32| {
        let offset = ((start * length as f32) as u32).min(length.saturating_sub(1));
        (offset, (((end - start) * length as f32).ceil() as u32).clamp(1, length - offset))
    };
    if height as f32 >= width as f32 * 1.5 {
        let (offset, height) = along(height);
        PixelBox { x, y: y + offset, width, height }
    } else {
        let (offset, width) = along(width);
        PixelBox { x: x + offset, y, width, height }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn line(text: &str) -> Line {
        let count = text.chars().count() as f32;
        let positions = (0..text.chars().count()).map(|index| (index as f32 + 0.5) / count).collect();
        let area = PixelBox { x: 100, y: 50, width: 120, height: 20 };
        Line { text: text.to_owned(), area, confidence: 0.9, positions }
    }

    #[test]
    fn words_are_found_in_any_case_and_their_own_box_is_given() {
        let found = find(&[line("Log in Cancel"), line("other")], "cancel");
        assert_eq!(found.len(), 1);
        let PixelBox { x, width, .. } = found[0].area;
        assert!((164..=166).contains(&x) && (54..=57).contains(&width), "{x} {width}");
        assert_eq!(find(&[line("LOGIN")], "log in").len(), 1);
        assert_eq!(find(&[line("aaaa")], "aa").len(), 2);
        assert_eq!(find(&[line("abc")], "  "), []);
        assert_eq!(find(&[line("abc")], "abcd"), []);
    }
}
