/// Makes a picture fit for a model. It is given to a controller, because decoding pictures is no business of this crate.
pub trait Lens: Send + Sync + std::fmt::Debug {
    /// The picture as PNG, its longest side at most `most` pixels. It may take long, so it is called off the runtime's threads.
    ///
    /// # Errors
    /// Why the bytes are no usable picture, in lower case.
    fn fit(&self, bytes: &[u8], most: u32) -> Result<Vec<u8>, String>;

    /// The pixels of the picture, its longest side at most `most` pixels. It may take long, as [`fit`](Self::fit).
    ///
    /// # Errors
    /// Why the bytes are no usable picture, in lower case.
    fn pixels(&self, bytes: &[u8], most: u32) -> Result<Pixels, String>;
}

/// A decoded picture.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Pixels {
    /// Width in pixels, at least 1.
    pub width: u32,
    /// Height in pixels, at least 1.
    pub height: u32,
    /// Red, green and blue of each pixel, row by row from the top left: `width * height * 3` bytes.
    pub rgb: Vec<u8>,
}
