//! Runs: the list, what came of one, and how it grew.

use super::{Answer, Shared};
use crate::json::answer;
use crate::query::Query;
use crate::{App, StudioError};
use axum::extract::Path;
use axum::http::{HeaderMap, Uri};
use serde::Serialize;
use serde_json::{Value, json};
use sojourn_core::RecordKind;
use sojourn_logbook::{Filter, ran, standing};
use sojourn_memory::{EventSeq, RecordQuery, RunId, RunInfo};

/// The largest number of a world's tasks that are offered as goals.
const MOST_TASKS: usize = 200;

/// A run as the list has it.
#[derive(Serialize)]
struct Listed<'a> {
    run: &'a str,
    title: Option<&'a str>,
    status: &'static str,
    live: bool,
    environment: &'a str,
    model: &'a str,
    created_ms: i64,
    last_at_ms: i64,
    records: u64,
    parent: Option<(&'a str, u64)>,
}

async fn listed<'a>(app: &App, info: &'a RunInfo) -> Listed<'a> {
    let store = &app.studio.store;
    Listed {
        run: info.id.as_str(),
        title: info.title.as_deref(),
        status: standing(store, info).await,
        live: store.is_live(&info.id).await.unwrap_or(false),
        environment: &info.environment,
        model: &info.model,
        created_ms: info.created_ms,
        last_at_ms: info.last_at_ms,
        records: info.last_seq.0,
        parent: info.parent.as_ref().map(|(run, seq)| (run.as_str(), seq.0)),
    }
}

/// `GET /home`
pub async fn home(state: Shared, headers: HeaderMap) -> Answer {
    let store = &state.studio.store;
    let kinds: Vec<&str> = RecordKind::ALL.iter().map(|kind| kind.as_str()).collect();
    answer(
        &headers,
        &json!({
            "version": env!("CARGO_PKG_VERSION"),
            "home": store.home().display().to_string(),
            "kinds": kinds,
        }),
    )
}

/// `GET /runs`
pub async fn list(state: Shared, headers: HeaderMap, uri: Uri) -> Answer {
    let query = Query::of(&uri);
    let (offset, limit) = (query.number("offset", 0)?, query.limit(200, 1000)?);
    let runs = state.studio.store.runs().await?;
    let offset = usize::try_from(offset).unwrap_or(usize::MAX);
    let mut page = Vec::new();
    for info in runs.iter().skip(offset).take(limit) {
        page.push(listed(&state, info).await);
    }
    answer(&headers, &json!({"total": runs.len(), "offset": offset, "runs": page}))
}

/// `GET /runs/{run}/summary`
pub async fn summary(state: Shared, Path(run): Path<String>, headers: HeaderMap) -> Answer {
    let store = &state.studio.store;
    let info = store.run(&run).await?;
    let mut came = state.outlines.came(&info.id);
    let failure = came.read_on(store, &info).await.err().map(|error| error.to_string());
    state.outlines.keep_came(&info.id, &came);
    let seconds = ran(store, &info).await.map_or(0.0, |time| time.as_secs_f64());
    let first = RecordQuery::from(EventSeq(1)).to(EventSeq(1));
    let started = store.records(&info.id, &first).await.unwrap_or_default();
    let budgets = started.first().and_then(|record| record.payload.pointer("/config/budgets"));
    answer(
        &headers,
        &json!({
            "run": listed(&state, &info).await,
            "came": came,
            "seconds": seconds,
            "budgets": budgets,
            "failure": failure,
        }),
    )
}

/// `GET /runs/{run}`
pub async fn one(state: Shared, Path(run): Path<String>, headers: HeaderMap) -> Answer {
    let info = state.studio.store.run(&run).await?;
    let run = listed(&state, &info).await;
    let watched = state.outlines.current(&state.studio.store, &info).await?;
    let outline = watched.outline();
    let (damage, damaged) = outline.damage();
    answer(
        &headers,
        &json!({
            "run": run,
            "read": outline.len(),
            "started": outline.title(),
            "groups": outline.group_count(),
            "totals": outline.series().last(),
            "clock": outline.clock(),
            "achievements": outline.firsts(),
            "skills": outline.admitted(),
            "tasks": outline.tasks(),
            "damage": damage,
            "damaged": damaged,
        }),
    )
}

/// `GET /runs/{run}/series`
pub async fn series(state: Shared, Path(run): Path<String>, headers: HeaderMap) -> Answer {
    let info = state.studio.store.run(&run).await?;
    let run = listed(&state, &info).await;
    let watched = state.outlines.current(&state.studio.store, &info).await?;
    let outline = watched.outline();
    answer(
        &headers,
        &json!({
            "run": run,
            "read": outline.len(),
            "points": outline.series(),
            "clock": outline.clock(),
            "achievements": outline.firsts(),
            "skills": outline.admitted(),
            "tasks": outline.tasks(),
        }),
    )
}

/// `GET /runs/{run}/settings`
pub async fn settings(state: Shared, Path(run): Path<String>, headers: HeaderMap, uri: Uri) -> Answer {
    let query = Query::of(&uri);
    let info = state.studio.store.run(&run).await?;
    let at = query.number("at", 0)?;
    let at = (at > 0).then_some(EventSeq(at));
    let settings = state.studio.commands.settings(&info.id, at).await?;
    let used = used(&state, &info, at.unwrap_or(info.last_seq)).await?;
    answer(&headers, &json!({"settings": settings, "used": used}))
}

/// What a run had used of its budgets after record `at`; `None` while its log is read, and where the record cannot be read.
async fn used(app: &App, info: &RunInfo, at: EventSeq) -> Result<Option<Value>, StudioError> {
    let store = &app.studio.store;
    let watched = app.outlines.current(store, info).await?;
    let query = RecordQuery::from(at).to(at);
    let record = store.records(&info.id, &query).await.ok().and_then(|mut records| records.pop());
    let outline = watched.outline();
    let Some(record) = record.filter(|_| outline.len() >= at.0) else { return Ok(None) };
    let known = outline.series().partition_point(|point| point.seq <= at.0);
    let totals = known.checked_sub(1).map(|index| outline.series()[index]).unwrap_or_default();
    Ok(Some(json!({
        "steps": outline.count(Filter::default().kinds([RecordKind::Stepped.as_str()]), at.0),
        "time_ms": outline.clock().at(at.0, record.at_ms),
        "tokens": totals.written_tokens,
        "cost_usd": totals.cost_usd,
    })))
}

/// `GET /settings`
pub async fn settings_of_agent(state: Shared, headers: HeaderMap, uri: Uri) -> Answer {
    let query = Query::of(&uri);
    let agent = query.text("agent").unwrap_or_default();
    answer(&headers, &json!({"settings": state.studio.commands.settings_of_agent(agent).await?}))
}

/// `GET /runs/{run}/starting`: of a run that may have no record yet, so that its whole id is asked for.
pub async fn starting(state: Shared, Path(run): Path<String>, headers: HeaderMap) -> Answer {
    let id: RunId = run.parse().map_err(|_| StudioError::NotFound(format!("`{run}` is no id of a run")))?;
    answer(&headers, &state.studio.commands.starting(&id).await?)
}

/// `GET /runs/{run}/goals`: the goals that the run was asked for, and the tasks of its world.
pub async fn goals(state: Shared, Path(run): Path<String>, headers: HeaderMap) -> Answer {
    let store = &state.studio.store;
    let info = store.run(&run).await?;
    let asked = state.studio.commands.goals(&info.id).await?;
    let first = RecordQuery::from(EventSeq(1)).to(EventSeq(1));
    let started = store.records(&info.id, &first).await.unwrap_or_default();
    let tasks = started.first().and_then(|record| record.payload.pointer("/environment/tasks")?.as_array());
    let tasks: Vec<_> = tasks
        .into_iter()
        .flatten()
        .take(MOST_TASKS)
        .map(|task| json!({"name": task.get("name"), "description": task.get("description")}))
        .collect();
    answer(&headers, &json!({"goals": asked, "tasks": tasks}))
}
