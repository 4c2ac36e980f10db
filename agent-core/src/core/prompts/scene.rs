//! What the controller is shown of the world before a choice: text, picture, or both.

use super::{WorldText, prompt, push_line};
use crate::core::looking::Look;
use sojourn_controller::{Part, PictureRef};
use sojourn_tools::Media;
use sojourn_tools::outside::quote;

/// The present observation.
#[derive(Debug, Clone, Copy)]
pub(in crate::core) struct Scene<'a> {
    /// The text of the observation; `None` where the controller is not shown it.
    pub text: Option<&'a str>,
    /// The picture; `None` where the controller is not shown any.
    pub look: Option<&'a Look>,
}

impl Scene<'_> {
    /// The text, quoted where the world is not trusted.
    pub fn observation(&self, world: WorldText) -> Option<String> {
        self.text.map(|text| world.block(text))
    }

    /// The parts of a message that show the picture, or say what there is of it. The first one is text.
    pub fn picture(&self) -> Vec<Part> {
        let Some(look) = self.look else { return Vec::new() };
        let mut line = String::new();
        let Some(media) = &look.picture else {
            push_line(&mut line, &prompt!("look", "missing"));
            return vec![Part::new(line)];
        };
        let picture = format!("[{media}]");
        if look.shown {
            push_line(&mut line, &prompt!("look", "shown", picture = picture));
            let hidden = prompt!("look", "hidden") + "\n";
            return vec![Part::new(line), Part::picture(reference(media), hidden)];
        }
        match &look.text {
            Some(text) => {
                let text = quote::block(text);
                push_line(&mut line, &prompt!("look", "read", picture = picture, text = text));
            }
            None => push_line(&mut line, &prompt!("look", "unseen", picture = picture)),
        }
        vec![Part::new(line)]
    }
}

fn reference(media: &Media) -> PictureRef {
    let Media { blob, mime, width, height, .. } = media;
    PictureRef { blob: blob.clone(), mime: mime.clone(), width: *width, height: *height }
}
