//! Limits the rate and the concurrency of requests.

use super::OpenAiOptions;
use std::time::Duration;
use tokio::sync::{Mutex, Semaphore, SemaphorePermit};
use tokio::time::{Instant, sleep_until};

/// Limits requests to an even rate, and their concurrency.
///
/// The bucket holds one token: servers count in windows of their own, some of one second, so that bursts
/// could exceed a limit that holds per minute.
#[derive(Debug)]
pub(super) struct RateLimiter {
    distance: Option<Duration>,
    /// Time of the next request. The waiting caller holds the lock, which is granted in order of arrival. A
    /// caller that gives up leaves the time to the next one.
    next: Mutex<Option<Instant>>,
    slots: Option<Semaphore>,
}

/// Permission to send a request; returned on drop.
#[derive(Debug)]
pub(super) struct Permit<'p> {
    _slot: Option<SemaphorePermit<'p>>,
}

impl RateLimiter {
    pub(super) fn new(options: &OpenAiOptions) -> Self {
        let slots = |count: u32| Semaphore::new((count as usize).min(Semaphore::MAX_PERMITS));
        Self {
            distance: options.requests_per_minute.map(|limit| Duration::from_mins(1) / limit.max(1)),
            next: Mutex::new(None),
            slots: options.max_concurrent.map(slots),
        }
    }

    /// Waits until the caller may send a request.
    pub(super) async fn acquire(&self) -> Permit<'_> {
        let slot = match &self.slots {
            // The semaphore is never closed, so there is no error.
            Some(slots) => slots.acquire().await.ok(),
            None => None,
        };
        if let Some(distance) = self.distance {
            let mut next = self.next.lock().await;
            if let Some(next) = *next {
                sleep_until(next).await;
            }
            *next = Some(Instant::now() + distance);
        }
        Permit { _slot: slot }
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
    async fn requests_are_sent_in_order_within_the_rate_limit() {
        let rate_limiter = rate_limiter(Some(3_000), None);
        let start = Instant::now();
        let (tell, mut reported) = mpsc::unbounded_channel();
        for number in 0..5 {
            let (rate_limiter, tell) = (Arc::clone(&rate_limiter), tell.clone());
            tokio::spawn(async move {
                let _permit = rate_limiter.acquire().await;
                let _ = tell.send(number);
            });
        }
        drop(tell);
        let mut order = Vec::new();
        while let Some(number) = reported.recv().await {
            order.push(number);
        }
        assert_eq!(order, [0, 1, 2, 3, 4]);
        // Four intervals of 20 ms: a lower bound on any machine.
        assert!(start.elapsed() >= Duration::from_millis(80));
    }

    #[tokio::test]
    async fn cancelled_wait_consumes_no_permit() {
        let rate_limiter = rate_limiter(Some(1), None);
        let _first = rate_limiter.acquire().await;
        let mut waiting = Box::pin(rate_limiter.acquire());
        assert!(futures_util::poll!(&mut waiting).is_pending());
        assert!(rate_limiter.next.try_lock().is_err(), "the waiting caller must hold the lock");
        let due = {
            drop(waiting);
            *rate_limiter.next.try_lock().unwrap()
        };
        // The next caller waits for the same time as the one that gave up.
        let mut waiting = Box::pin(rate_limiter.acquire());
        assert!(futures_util::poll!(&mut waiting).is_pending());
        drop(waiting);
        assert_eq!(*rate_limiter.next.try_lock().unwrap(), due);
    }

    #[tokio::test]
    async fn dropped_permit_frees_its_slot() {
        let rate_limiter = rate_limiter(None, Some(1));
        let first = rate_limiter.acquire().await;
        let mut second = Box::pin(rate_limiter.acquire());
        assert!(futures_util::poll!(&mut second).is_pending());
        drop(first);
        let _second = second.await;
    }
}
