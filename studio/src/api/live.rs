//! A run as it grows: server-sent events.

use super::Shared;
use crate::StudioError;
use axum::extract::Path;
use axum::response::sse::{Event, KeepAlive, Sse};
use futures_util::stream::{self, Stream};
use serde_json::json;
use sojourn_logbook::standing;
use sojourn_memory::RunId;
use std::convert::Infallible;
use std::sync::Arc;
use std::time::Duration;

/// The interval at which the log is looked at.
const LOOK: Duration = Duration::from_millis(50);

/// `GET /runs/{run}/events`: an event when the run has more records or another status. The first one says how it is now.
pub async fn events(
    state: Shared,
    Path(run): Path<String>,
) -> Result<Sse<impl Stream<Item = Result<Event, Infallible>>>, StudioError> {
    let app = Arc::clone(&state);
    let run: RunId = app.studio.store.run(&run).await?.id;
    let events = stream::unfold((app, run, None), |(app, run, told)| async move {
        let mut stopping = app.stopping.clone();
        loop {
            if *stopping.borrow() {
                return None;
            }
            // A fast run has more at every look: looking without a pause would take the computer from it.
            if told.is_some() {
                tokio::select! {
                    () = tokio::time::sleep(LOOK) => {}
                    _ = stopping.changed() => return None,
                }
            }
            let info = app.studio.store.run(run.as_str()).await.ok()?;
            let now = (info.last_seq.0, standing(&app.studio.store, &info).await);
            if told != Some(now) {
                let live = app.studio.store.is_live(&run).await.unwrap_or(false);
                let data =
                    json!({"records": now.0, "status": now.1, "live": live, "last_at_ms": info.last_at_ms});
                return Some((Ok(Event::default().data(data.to_string())), (app, run, Some(now))));
            }
        }
    });
    Ok(Sse::new(events).keep_alive(KeepAlive::default()))
}
