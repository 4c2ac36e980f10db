//! Waiting for conditions. A limit is there to end a hang, so it is far longer than anything takes on a busy machine.

use std::time::{Duration, Instant};

/// Limit on every wait of a test.
pub const PATIENCE: Duration = Duration::from_mins(4);

/// The pause between two checks.
const PAUSE: Duration = Duration::from_millis(20);

/// Waits until `holds`; panics with `what` was awaited after [`PATIENCE`].
pub fn until(what: &str, mut holds: impl FnMut() -> bool) {
    let begun = Instant::now();
    while !holds() {
        assert!(begun.elapsed() < PATIENCE, "waited in vain until {what}");
        std::thread::sleep(PAUSE);
    }
}

/// The same without blocking the thread; gives what `look` found.
pub async fn eventually<T>(what: &str, mut look: impl AsyncFnMut() -> Option<T>) -> T {
    let begun = Instant::now();
    loop {
        if let Some(found) = look().await {
            return found;
        }
        assert!(begun.elapsed() < PATIENCE, "waited in vain until {what}");
        tokio::time::sleep(PAUSE).await;
    }
}
