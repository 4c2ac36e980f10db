use std::sync::Arc;
use tokio::sync::watch;

/// A switch that ends work under way; all clones are the same switch.
///
/// Cancelling is final and may be done from any thread, any number of times.
#[derive(Debug, Clone)]
pub struct Cancel {
    switch: Arc<watch::Sender<bool>>,
}

impl Cancel {
    /// A switch nobody has thrown.
    pub fn new() -> Self {
        Self { switch: Arc::new(watch::Sender::new(false)) }
    }

    /// Throws it.
    pub fn cancel(&self) {
        self.switch.send_replace(true);
    }

    /// Whether it was thrown.
    pub fn is_cancelled(&self) -> bool {
        *self.switch.borrow()
    }

    /// Returns once it is thrown.
    pub async fn cancelled(&self) {
        // An error would mean that the sender is gone, but this value holds it.
        let _ = self.switch.subscribe().wait_for(|thrown| *thrown).await;
    }
}

impl Default for Cancel {
    fn default() -> Self {
        Self::new()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn a_clone_throws_the_same_switch_before_and_after_waiting() {
        let cancel = Cancel::new();
        assert!(!cancel.is_cancelled());
        let other = cancel.clone();
        let waiting = tokio::spawn(async move { other.cancelled().await });
        cancel.cancel();
        waiting.await.unwrap();
        assert!(cancel.is_cancelled());
        cancel.cancelled().await;
    }
}
