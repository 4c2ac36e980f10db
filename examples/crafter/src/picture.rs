//! The picture of the game for people and for perception: what the agent may see, and what it carries.
//!
//! The tiles are drawn here, 8 × 8 dots each; the original's textures are not used. The picture shows the 9 × 7 cells in view
//! and, below, a row of vital signs and two of carried items with their numbers. At night the cells are darker.

mod tiles;

use crate::game::{Direction, Item, Kind, Object};
use crate::sight::{Scene, view};
use sojourn_tools::Frame;
use tiles::{DIGITS, PALETTE, TILE, Tile};

/// Cells of a row and of a column in view.
const COLUMNS: usize = 9;
const ROWS: usize = 7;
/// Rows of the inventory: vital signs and 12 items.
const INVENTORY_ROWS: usize = 2;
/// Pixels of a dot's side.
const DOT: usize = 4;
const WIDTH: usize = COLUMNS * TILE * DOT;
const HEIGHT: usize = (ROWS + INVENTORY_ROWS) * TILE * DOT;
/// The daylight is shown in this many steps.
const LIGHTS: f64 = 8.0;
/// The share of the colours that is left in the deepest night.
const NIGHT: f64 = 0.35;

/// The picture as a PNG of 288 × 288 pixels.
pub(crate) fn frame(scene: Scene<'_>) -> Option<Frame> {
    let mut canvas = Canvas(vec![tiles::BLACK; WIDTH * HEIGHT]);
    let (here, player) = (scene.here(), scene.game.player());
    for pos in view(here) {
        let cell = ((pos.x - here.x + 4) as usize, (pos.y - here.y + 3) as usize);
        let Some(material) = scene.game.world().material(pos) else { continue };
        canvas.draw(cell, tiles::ground(material), (pos.x * 7 + pos.y * 13) as usize);
        if let Some(object) = scene.game.world().object_at(pos) {
            canvas.draw(cell, tiles::object(object.kind, player.sleeping()), 0);
            if let Some(way) = facing(object, player.facing()) {
                canvas.mark(cell, way);
            }
        }
    }
    let lit = if player.sleeping() { 0.0 } else { (scene.game.world().daylight() * LIGHTS).round() / LIGHTS };
    for (number, &item) in Item::ALL.iter().enumerate().filter(|(_, item)| scene.has(**item) > 0).take(18) {
        let cell = (number % COLUMNS, ROWS + number / COLUMNS);
        canvas.draw(cell, tiles::item(item), 0);
        canvas.digit(cell, scene.has(item));
    }
    Some(Frame { bytes: canvas.png(NIGHT + (1.0 - NIGHT) * lit)?, mime: "image/png".to_owned() })
}

/// Where an object looks, if that can be seen.
fn facing(object: &Object, player: Direction) -> Option<Direction> {
    match object.kind {
        Kind::Player => Some(player),
        Kind::Arrow { facing } => Some(facing),
        _ => None,
    }
}

/// Pixels as indices into [`PALETTE`].
struct Canvas(Vec<u8>);

impl Canvas {
    /// Draws a tile; blanks leave what is there. `turn` mirrors the tile, so that neighbours differ.
    fn draw(&mut self, (column, row): (usize, usize), tile: Tile, turn: usize) {
        for (y, line) in tile.iter().enumerate() {
            for (x, &dot) in line.iter().enumerate() {
                let x = if turn % 2 == 1 { TILE - 1 - x } else { x };
                if let Some(colour) = tiles::colour(dot) {
                    self.dot(column * TILE + x, row * TILE + y, colour);
                }
            }
        }
    }

    fn dot(&mut self, x: usize, y: usize, colour: u8) {
        for line in y * DOT..(y + 1) * DOT {
            let start = line * WIDTH + x * DOT;
            self.0[start..start + DOT].fill(colour);
        }
    }

    /// Two white dots on the side that something looks to.
    fn mark(&mut self, (column, row): (usize, usize), way: Direction) {
        let (dx, dy) = way.delta();
        for side in [3, 4] {
            let along = |delta: i32| match delta {
                0 => side,
                d if d < 0 => 0,
                _ => TILE - 1,
            };
            self.dot(column * TILE + along(dx), row * TILE + along(dy), tiles::WHITE);
        }
    }

    /// A number from 0 to 9 in the lower right corner of a cell.
    fn digit(&mut self, (column, row): (usize, usize), number: i32) {
        let Some(rows) = usize::try_from(number).ok().and_then(|number| DIGITS.get(number)) else { return };
        for (y, bits) in rows.iter().enumerate() {
            for x in 0..3 {
                let colour = if bits >> (2 - x) & 1 == 1 { tiles::WHITE } else { tiles::BLACK };
                self.dot(column * TILE + 5 + x, row * TILE + 3 + y, colour);
            }
        }
    }

    /// The file; `light` scales the colours of the cells in view.
    fn png(self, light: f64) -> Option<Vec<u8>> {
        let dim = |channel: u8| (f64::from(channel) * light).round() as u8;
        let colours = PALETTE.len() as u8;
        let palette = PALETTE.iter().flatten().copied().map(dim);
        let palette: Vec<u8> = palette.chain(PALETTE.iter().flatten().copied()).collect();
        let mut pixels = self.0;
        pixels[ROWS * TILE * DOT * WIDTH..].iter_mut().for_each(|pixel| *pixel += colours);
        let mut bytes = Vec::new();
        let mut encoder = png::Encoder::new(&mut bytes, WIDTH as u32, HEIGHT as u32);
        encoder.set_color(png::ColorType::Indexed);
        encoder.set_depth(png::BitDepth::Eight);
        encoder.set_palette(palette);
        let mut writer = encoder.write_header().ok()?;
        writer.write_image_data(&pixels).ok()?;
        writer.finish().ok()?;
        Some(bytes)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::CrafterEnvironment;
    use crate::game::Material;
    use sojourn_tools::{Action, Environment};
    use std::collections::BTreeSet;

    #[test]
    fn every_material_object_and_item_has_a_tile_of_its_own() {
        let tiles = Material::ALL.iter().map(|&material| tiles::ground(material));
        let items = Item::ALL.iter().map(|&item| tiles::item(item));
        let all: Vec<Tile> = tiles.chain(items).collect();
        let different: BTreeSet<Tile> = all.iter().copied().collect();
        assert_eq!(different.len(), all.len());
        let drawn =
            |tile: Tile| tile.iter().flatten().all(|&dot| dot == b'.' || tiles::colour(dot).is_some());
        assert!(all.into_iter().all(drawn));
    }

    #[tokio::test]
    async fn the_picture_is_equal_for_equal_states_and_shows_a_step() {
        let mut one = CrafterEnvironment::new();
        assert_eq!(one.frame().await, None);
        one.reset(3).await.unwrap();
        let mut other = one.clone();
        let first = one.frame().await.unwrap();
        assert_eq!(Some(&first), other.frame().await.as_ref());
        let mut reader = png::Decoder::new(std::io::Cursor::new(&first.bytes)).read_info().unwrap();
        let mut pixels = vec![0; reader.output_buffer_size().unwrap()];
        let shape = reader.next_frame(&mut pixels).unwrap();
        assert_eq!((shape.width, shape.height), (288, 288));
        assert!(first.bytes.len() < 6000, "{}", first.bytes.len());
        one.step(&Action("move_left".into())).await.unwrap();
        assert_ne!(one.frame().await, Some(first));
    }
}
