//! Serves HTTP to many clients, of which some are slow or hold connections open without a request.
//!
//! A connection is trusted once a request on it has carried the token. When all places are taken, the oldest connection that is
//! not trusted gives up its place, so that a client without the token cannot keep others out.

use axum::body::Body;
use axum::{Extension, Router};
use futures_util::StreamExt as _;
use futures_util::stream;
use hyper::server::conn::http1;
use hyper_util::rt::{TokioIo, TokioTimer};
use hyper_util::service::TowerToHyperService;
use std::collections::BTreeMap;
use std::io;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;
use tokio::net::{TcpListener, TcpStream};
use tokio::task::JoinSet;
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;

/// Limit on the open connections.
const MAX_CONNECTIONS: usize = 256;
/// Time limit for a request's head, also while a connection is idle between two requests.
const HEAD_TIMEOUT: Duration = Duration::from_secs(20);
/// Time limit for the next piece of a request's body, and for all of it.
const PIECE_TIMEOUT: Duration = Duration::from_secs(20);
const BODY_TIMEOUT: Duration = Duration::from_mins(2);
/// Limit on the size of a request's head, in bytes.
const MAX_HEAD_BYTES: usize = 64 << 10;
/// How long requests in progress may take to end when the server stops.
const SHUTDOWN: Duration = Duration::from_secs(5);
/// Pause after a failure to accept a connection, such as too many open files.
const ACCEPT_PAUSE: Duration = Duration::from_millis(50);

/// Serves `router` until `stopped` completes.
///
/// # Errors
/// None at present; the type leaves room for a listener that fails.
pub async fn serve(
    listener: TcpListener,
    router: Router,
    stopped: impl Future<Output = ()> + Send,
) -> io::Result<()> {
    let places = Arc::new(Places::default());
    let mut connections = JoinSet::new();
    let stopping = CancellationToken::new();
    tokio::pin!(stopped);
    loop {
        let accepted = tokio::select! {
            accepted = listener.accept() => accepted,
            () = &mut stopped => break,
            Some(_) = connections.join_next(), if !connections.is_empty() => continue,
        };
        let Ok((stream, _)) = accepted else {
            places.evict_oldest();
            tokio::time::sleep(ACCEPT_PAUSE).await;
            continue;
        };
        // Without a place the connection is closed.
        if let Some(place) = places.admit() {
            connections.spawn(serve_connection(stream, router.clone(), place, stopping.clone()));
        }
    }
    drop(listener);
    stopping.cancel();
    // Those that take longer are cut off.
    let _ = tokio::time::timeout(SHUTDOWN, async { while connections.join_next().await.is_some() {} }).await;
    Ok(())
}

async fn serve_connection(stream: TcpStream, router: Router, place: Place, stopping: CancellationToken) {
    let service = TowerToHyperService::new(router.layer(Extension(Arc::clone(&place.connection))));
    let http = http1::Builder::new()
        .timer(TokioTimer::new())
        .header_read_timeout(HEAD_TIMEOUT)
        .max_buf_size(MAX_HEAD_BYTES)
        .serve_connection(TokioIo::new(stream), service);
    tokio::pin!(http);
    let mut is_stopping = false;
    loop {
        tokio::select! {
            // A broken connection affects only its own client.
            _ = &mut http => return,
            () = place.connection.evicted.cancelled() => return,
            () = stopping.cancelled(), if !is_stopping => {
                http.as_mut().graceful_shutdown();
                is_stopping = true;
            }
        }
    }
}

/// An open connection, which requests on it find in their extensions.
#[derive(Debug, Default)]
pub struct Connection {
    trusted: AtomicBool,
    evicted: CancellationToken,
}

impl Connection {
    /// Records that a request on the connection has carried the token.
    pub fn trust(&self) {
        self.trusted.store(true, Ordering::Relaxed);
    }
}

/// The open connections, by the order of their arrival.
#[derive(Default)]
struct Places(Mutex<(u64, BTreeMap<u64, Arc<Connection>>)>);

/// A connection's place. Dropping it frees it.
struct Place {
    number: u64,
    connection: Arc<Connection>,
    places: Arc<Places>,
}

impl Places {
    /// A place for a new connection, if need be that of the oldest one that is not trusted. `None` if all are trusted.
    fn admit(self: &Arc<Self>) -> Option<Place> {
        let is_full = self.lock().1.len() >= MAX_CONNECTIONS;
        if is_full && !self.evict_oldest() {
            return None;
        }
        let mut open = self.lock();
        open.0 += 1;
        let (number, connection) = (open.0, Arc::new(Connection::default()));
        open.1.insert(number, Arc::clone(&connection));
        Some(Place { number, connection, places: Arc::clone(self) })
    }

    /// Closes the oldest connection that is not trusted. Returns false if there is none.
    fn evict_oldest(&self) -> bool {
        let mut open = self.lock();
        let oldest = open
            .1
            .iter()
            .find(|(_, connection)| !connection.trusted.load(Ordering::Relaxed))
            .map(|(number, _)| *number);
        let Some(connection) = oldest.and_then(|number| open.1.remove(&number)) else { return false };
        connection.evicted.cancel();
        true
    }

    fn lock(&self) -> MutexGuard<'_, (u64, BTreeMap<u64, Arc<Connection>>)> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        self.places.lock().1.remove(&self.number);
    }
}

/// A request's body that fails when its client stops sending.
pub fn timed(body: Body) -> Body {
    let end = Instant::now() + BODY_TIMEOUT;
    let pieces = stream::unfold(Some(body.into_data_stream()), move |pieces| async move {
        let mut pieces = pieces?;
        let until = end.min(Instant::now() + PIECE_TIMEOUT);
        match tokio::time::timeout_at(until, pieces.next()).await {
            Ok(Some(Ok(piece))) => Some((Ok(piece), Some(pieces))),
            Ok(Some(Err(error))) => Some((Err(io::Error::other(error)), None)),
            Ok(None) => None,
            Err(_) => Some((Err(io::Error::from(io::ErrorKind::TimedOut)), None)),
        }
    });
    Body::from_stream(pieces)
}
