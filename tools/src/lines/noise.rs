use super::MESSAGE;

/// Bytes between two messages that are none, after which whoever writes them is given up.
const NOISE: u64 = 4 * MESSAGE as u64;

/// How much was heard since the last message that was none.
#[derive(Debug, Default)]
pub struct Noise(u64);

impl Noise {
    /// There was a message.
    pub fn message(&mut self) {
        self.0 = 0;
    }

    /// There was something else, of so many bytes.
    ///
    /// # Errors
    /// When it is too much by now.
    pub fn add(&mut self, bytes: u64) -> Result<(), String> {
        self.0 = self.0.saturating_add(bytes);
        if self.0 > NOISE {
            return Err(format!(
                "it wrote {} bytes in which there is no message, of at most {NOISE}",
                self.0
            ));
        }
        Ok(())
    }
}
