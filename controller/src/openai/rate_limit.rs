//! How fast and how many at once a server is asked.

use super::OpenAiOptions;
use std::time::Duration;
use tokio::sync::{Mutex, Semaphore, SemaphorePermit};
use tokio::time::{Instant, sleep_until};

/// Lets requests go one after the other, with the distance that a limit asks for.
///
/// A bucket that holds one token: servers count in windows of their own, some of a second, so that a burst
/// could break a limit that holds over the minute.
#[derive(Debug)]
pub(super) struct RateLimiter {
    distance: Option<Duration>,
    /// When the next may go. Whoever waits for that holds the lock, which is given in the order of asking; who
    /// stops waiting leaves the time to the next one.
    next: Mutex<Option<Instant>>,
    seats: Option<Semaphore>,
}

/// The right to have a request under way; given back when dropped.
#[derive(Debug)]
pub(super) struct Permit<'p> {
    _seat: Option<SemaphorePermit<'p>>,
}

impl RateLimiter {
    pub(super) fn new(options: &OpenAiOptions) -> Self {
        let seats = |count: u32| Semaphore::new((count as usize).min(Semaphore::MAX_PERMITS));
        Self {
            distance: options.requests_per_minute.map(|limit| Duration::from_mins(1) / limit.max(1)),
            next: Mutex::new(None),
            seats: options.max_concurrent.map(seats),
        }
    }

    /// Returns when the caller may send a request.
    pub(super) async fn acquire(&self) -> Permit<'_> {
        let seat = match &self.seats {
            // It is never closed, so there is no error.
            Some(seats) => seats.acquire().await.ok(),
            None => None,
        };
        if let Some(distance) = self.distance {
            let mut next = self.next.lock().await;
            if let Some(next) = *next {
                sleep_until(next).await;
            }
            *next = Some(Instant::now() + distance);
        }
        Permit { _seat: seat }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::sync::Arc;
    use tokio::sync::mpsc;

    fn rate_limiter(requests_per_minute: Option<u32>, max_concurrent: Option<u32>) -> Arc<RateLimiter> {
        let options = OpenAiOptions::new("http://localhost", "m");
        Arc::new(RateLimiter::new(&OpenAiOptions { requests_per_minute, max_concurrent, ..options }))
    }

    #[tokio::test]
    async fn requests_go_in_order_and_never_faster_than_the_limit() {
        let rate_limiter = rate_limiter(Some(3_000), None);
        let start = Instant::now();
        let (tell, mut told) = mpsc::unbounded_channel();
        for number in 0..5 {
            let (rate_limiter, tell) = (Arc::clone(&rate_limiter), tell.clone());
            tokio::spawn(async move {
                let _permit = rate_limiter.acquire().await;
                let _ = tell.send(number);
            });
        }
        drop(tell);
        let mut order = Vec::new();
        while let Some(number) = told.recv().await {
            order.push(number);
        }
        assert_eq!(order, [0, 1, 2, 3, 4]);
        // Four distances of 20 ms: a lower bound, which no slow machine breaks.
        assert!(start.elapsed() >= Duration::from_millis(80));
    }

    #[tokio::test]
    async fn who_stops_waiting_takes_nobodys_permit() {
        let rate_limiter = rate_limiter(Some(1), None);
        let _first = rate_limiter.acquire().await;
        let mut waiting = Box::pin(rate_limiter.acquire());
        assert!(futures_util::poll!(&mut waiting).is_pending());
        assert!(rate_limiter.next.try_lock().is_err(), "it waits for its time");
        let due = {
            drop(waiting);
            *rate_limiter.next.try_lock().unwrap()
        };
        // The next one waits for the same moment as the one that left.
        let mut waiting = Box::pin(rate_limiter.acquire());
        assert!(futures_util::poll!(&mut waiting).is_pending());
        drop(waiting);
        assert_eq!(*rate_limiter.next.try_lock().unwrap(), due);
    }

    #[tokio::test]
    async fn a_seat_is_free_again_when_its_turn_is_dropped() {
        let rate_limiter = rate_limiter(None, Some(1));
        let first = rate_limiter.acquire().await;
        let mut second = Box::pin(rate_limiter.acquire());
        assert!(futures_util::poll!(&mut second).is_pending());
        drop(first);
        let _second = second.await;
    }
}
