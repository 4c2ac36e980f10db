use super::MAX_MESSAGE_BYTES;

/// Limit on the bytes between two messages that are not messages. Beyond it the peer is disconnected.
const NOISE: u64 = 4 * MAX_MESSAGE_BYTES as u64;

/// Bytes received since the last message.
#[derive(Debug, Default)]
pub struct NoiseBudget(u64);

impl NoiseBudget {
    /// Records a message and resets the count.
    pub fn message(&mut self) {
        self.0 = 0;
    }

    /// Counts bytes that are not a message.
    ///
    /// # Errors
    /// The limit is exceeded.
    pub fn add(&mut self, bytes: u64) -> Result<(), String> {
        self.0 = self.0.saturating_add(bytes);
        if self.0 > NOISE {
            return Err(format!("it wrote {} bytes without a message; the limit is {NOISE}", self.0));
        }
        Ok(())
    }
}
