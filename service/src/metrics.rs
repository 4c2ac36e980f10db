//! `/metrics` in the text format of Prometheus (version 0.0.4), and `/healthz`.

use crate::daemon::now_ms;
use crate::live::{LiveRun, live_runs};
use crate::timing;
use axum::Router;
use axum::extract::{Request, State};
use axum::http::uri::Authority;
use axum::http::{StatusCode, header};
use axum::middleware::{self, Next};
use axum::response::{IntoResponse as _, Response};
use axum::routing::get;
use sojourn_memory::{Error, Store};
use std::fmt::{Display, Write as _};
use std::sync::{Arc, Mutex, PoisonError};

/// A daemon that has not looked at its runs for this long is not healthy, in milliseconds.
const LONGEST_SILENCE_MS: i64 = 60_000;

/// What the daemon says of itself. Cheap to clone; all clones are one.
#[derive(Debug, Clone, Default)]
pub struct Vitals(Arc<Mutex<Now>>);

#[derive(Debug, Clone, Copy, Default)]
struct Now {
    started_ms: i64,
    looked_ms: i64,
    disk_free: u64,
    disk_is_low: bool,
}

impl Vitals {
    /// Those of a daemon that starts now.
    pub fn new() -> Self {
        let now_ms = now_ms();
        Self(Arc::new(Mutex::new(Now { started_ms: now_ms, looked_ms: now_ms, ..Now::default() })))
    }

    fn now(&self) -> Now {
        *self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub(crate) fn looked(&self, at_ms: i64) {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).looked_ms = at_ms;
    }

    pub(crate) fn disk(&self, free: u64, is_low: bool) {
        let mut state = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        (state.disk_free, state.disk_is_low) = (free, is_low);
    }

    pub(crate) fn disk_is_low(&self) -> bool {
        self.now().disk_is_low
    }

    /// Why the daemon is not healthy; `None` where it is.
    fn complaint(&self) -> Option<String> {
        let Now { looked_ms, disk_is_low, disk_free, .. } = self.now();
        let silent_ms = now_ms().saturating_sub(looked_ms);
        if silent_ms > LONGEST_SILENCE_MS {
            return Some(format!("the daemon has not looked at its runs for {} s", silent_ms / 1000));
        }
        disk_is_low.then(|| format!("runs are paused: {} MB of the disk are free", disk_free / 1_000_000))
    }
}

#[derive(Clone)]
struct Served {
    store: Store,
    vitals: Vitals,
}

/// The two pages.
pub fn router(store: Store, vitals: Vitals) -> Router {
    Router::new()
        .route("/metrics", get(metrics))
        .route("/healthz", get(healthz))
        .layer(middleware::from_fn(only_local_names))
        .with_state(Served { store, vitals })
}

/// Refuses requests that are addressed to another name: a web page may have its own name resolve to this computer.
async fn only_local_names(request: Request, next: Next) -> Response {
    let host = request.headers().get(header::HOST).and_then(|host| host.to_str().ok()).unwrap_or_default();
    let authority = host.parse::<Authority>();
    let name = authority.as_ref().map_or(host, Authority::host);
    if matches!(name, "localhost" | "127.0.0.1" | "[::1]" | "") {
        next.run(request).await
    } else {
        (StatusCode::FORBIDDEN, "this server is for this computer only\n").into_response()
    }
}

async fn healthz(State(served): State<Served>) -> Response {
    match served.vitals.complaint() {
        None => (StatusCode::OK, "ok\n").into_response(),
        Some(complaint) => (StatusCode::SERVICE_UNAVAILABLE, format!("{complaint}\n")).into_response(),
    }
}

async fn metrics(State(served): State<Served>) -> Response {
    match render(&served.store, &served.vitals).await {
        Ok(text) => ([(header::CONTENT_TYPE, "text/plain; version=0.0.4")], text).into_response(),
        Err(error) => (StatusCode::INTERNAL_SERVER_ERROR, format!("{error}\n")).into_response(),
    }
}

/// A page of metrics.
#[derive(Default)]
struct Page(String);

impl Page {
    /// Begins a metric.
    fn metric(&mut self, name: &str, kind: &str, help: &str) {
        // Writing to a string cannot fail.
        let _ = writeln!(self.0, "# HELP {name} {help}\n# TYPE {name} {kind}");
    }

    fn value(&mut self, name: &str, labels: &[(&str, &str)], value: impl Display) {
        let labels: Vec<String> =
            labels.iter().map(|(name, value)| format!("{name}=\"{}\"", label(value))).collect();
        let labels = if labels.is_empty() { String::new() } else { format!("{{{}}}", labels.join(",")) };
        let _ = writeln!(self.0, "{name}{labels} {value}");
    }

    fn single(&mut self, name: &str, kind: &str, help: &str, value: impl Display) {
        self.metric(name, kind, help);
        self.value(name, &[], value);
    }
}

/// The value of a label: backslashes, quotes and line breaks are escaped.
fn label(text: &str) -> String {
    text.replace('\\', "\\\\").replace('"', "\\\"").replace('\n', "\\n")
}

async fn render(store: &Store, vitals: &Vitals) -> Result<String, Error> {
    let mut page = Page::default();
    let state = vitals.now();
    let seconds = |ms: i64| ms as f64 / 1000.0;
    page.single(
        "sojourn_start_time_seconds",
        "gauge",
        "When the daemon started, since 1970.",
        seconds(state.started_ms),
    );
    page.single(
        "sojourn_last_look_seconds",
        "gauge",
        "When it last looked at its runs, since 1970.",
        seconds(state.looked_ms),
    );
    page.single("sojourn_disk_free_bytes", "gauge", "Free space on the disk of the home.", state.disk_free);
    page.single(
        "sojourn_disk_low",
        "gauge",
        "1 while runs are paused because the disk is nearly full.",
        u8::from(state.disk_is_low),
    );
    page.single("sojourn_store_bytes", "gauge", "Size of the home's database.", store.size().await?);

    page.metric("sojourn_schedule_next_due_seconds", "gauge", "The next due time of a schedule, since 1970.");
    let schedules = store.schedules().await?;
    for schedule in schedules.iter().filter(|schedule| !schedule.paused) {
        let settings = &schedule.settings;
        if let Ok(Some(due)) = timing::next(&settings.timing, settings.created_ms, schedule.seen_ms) {
            page.value("sojourn_schedule_next_due_seconds", &[("schedule", &settings.name)], seconds(due));
        }
    }
    page.single(
        "sojourn_schedules_paused",
        "gauge",
        "Schedules that are paused.",
        schedules.iter().filter(|schedule| schedule.paused).count(),
    );
    page.metric("sojourn_due_times", "gauge", "Recorded due times by their state.");
    for (state, count) in store.job_counts().await? {
        page.value("sojourn_due_times", &[("state", state.as_str())], count);
    }
    page.single(
        "sojourn_approvals_pending",
        "gauge",
        "Calls that wait for an approval.",
        store.count_approvals(None, false).await?,
    );
    let (open, delivered, given_up) = store.message_counts().await?;
    page.metric(
        "sojourn_messages",
        "gauge",
        "Messages to people by their state; settled ones are kept for a while.",
    );
    for (state, count) in [("open", open), ("delivered", delivered), ("given_up", given_up)] {
        page.value("sojourn_messages", &[("state", state)], count);
    }
    runs(&mut page, &live_runs(store).await?);
    Ok(page.0)
}

fn runs(page: &mut Page, live: &[LiveRun]) {
    type Figure = fn(&LiveRun) -> Option<f64>;
    page.single("sojourn_runs", "gauge", "Runs that are under way.", live.len());
    let figures: [(&str, &str, &str, Figure); 6] = [
        ("sojourn_run_steps_total", "counter", "Environment steps of a run.", |run| {
            Some(run.report.steps as f64)
        }),
        ("sojourn_run_steps_per_second", "gauge", "Steps per second over the last minute.", |run| {
            Some(run.report.steps_per_second)
        }),
        (
            "sojourn_run_tokens_total",
            "counter",
            "Tokens generated since the run was started or resumed.",
            |run| Some(run.report.tokens as f64),
        ),
        ("sojourn_run_tokens_per_second", "gauge", "Tokens per second of generating.", |run| {
            Some(run.report.tokens_per_second)
        }),
        ("sojourn_run_memory_bytes", "gauge", "Resident memory of the run's process.", |run| {
            run.memory_bytes.map(|bytes| bytes as f64)
        }),
        (
            "sojourn_run_reported_seconds",
            "gauge",
            "When the run's process last reported, since 1970.",
            |run| Some(run.reported_ms as f64 / 1000.0),
        ),
    ];
    for (name, kind, help, figure) in figures {
        page.metric(name, kind, help);
        for run in live {
            if let Some(value) = figure(run) {
                let labels = [("run", run.run.as_str()), ("environment", run.report.environment.as_str())];
                page.value(name, &labels, value);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_label_cannot_begin_another_metric() {
        let mut page = Page::default();
        page.value("m", &[("environment", "a\"} 1\nevil 2\\")], 3);
        assert_eq!(page.0, "m{environment=\"a\\\"} 1\\nevil 2\\\\\"} 3\n");
    }
}
