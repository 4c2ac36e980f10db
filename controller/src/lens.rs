/// Makes a picture fit for a model. It is given to a controller, because decoding pictures is no business of this crate.
pub trait Lens: Send + Sync + std::fmt::Debug {
    /// The picture as PNG, its longest side at most `most` pixels. It may take long, so it is called off the runtime's threads.
    ///
    /// # Errors
    /// Why the bytes are no usable picture, in lower case.
    fn fit(&self, bytes: &[u8], most: u32) -> Result<Vec<u8>, String>;
}
