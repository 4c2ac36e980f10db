//! What fell before a death, and where another future can begin.

use super::{Answer, Shared};
use crate::StudioError;
use crate::json::answer;
use crate::outlines::Watched;
use crate::query::Query;
use axum::extract::Path;
use axum::http::{HeaderMap, Uri};
use serde::Serialize;
use sojourn_core::RecordKind;
use sojourn_logbook::{Decline, Filter, Outline};
use sojourn_memory::{RunInfo, Store};

/// Records before the death within which its beginning is looked for.
const NEAR: u64 = 2000;

/// What fell before a record, and where another future can begin.
#[derive(Debug, Clone, Serialize)]
pub(crate) struct Fall {
    #[serde(flatten)]
    decline: Decline,
    /// The record after which a fork begins: before the last decision from which another future was possible. `None` where there is
    /// no record before it.
    fork: Option<ForkPlace>,
    /// Whether memories were kept and recalled; `None` where the log does not say.
    remembers: Option<bool>,
}

/// A place to fork a run.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
struct ForkPlace {
    /// The last record that both runs share.
    at: u64,
    /// The decision that comes after it.
    before: u64,
    /// Steps until what happened had happened, from those on that count as taken there: a fork is compared to its end if it takes more.
    steps: usize,
}

/// `GET /runs/{run}/decline`
pub async fn decline(state: Shared, Path(run): Path<String>, headers: HeaderMap, uri: Uri) -> Answer {
    let query = Query::of(&uri);
    let store = &state.studio.store;
    let info = store.run(&run).await?;
    let until = query.number("until", info.last_seq.0)?.clamp(1, info.last_seq.0.max(1));
    let watched = state.outlines.current(store, &info).await?;
    answer(&headers, &fall(store, &info, &watched, until).await?)
}

/// What fell before record `until`.
///
/// # Errors
/// When the run cannot be read.
pub(crate) async fn fall(
    store: &Store,
    info: &RunInfo,
    watched: &Watched,
    until: u64,
) -> Result<Fall, StudioError> {
    let (vitals, from, first) = {
        let outline = watched.outline();
        let first = outline.episode_at(until).map_or(1, |episode| episode.first);
        (outline.vitals().to_vec(), outline.anchor(until.saturating_sub(NEAR)).max(first), first)
    };
    let decline = Decline::read(store, info, &vitals, (from, until)).await?;
    // Before what is shown first began to fall; else before what came last.
    let fell = decline.fallen.first().map_or(until, |fallen| fallen.from_seq);
    let outline = watched.outline();
    let fork = fork_before(&outline, first, fell).map(|(at, before)| {
        let steps = |seq| outline.count(Filter::default().kinds([RecordKind::Stepped.as_str()]), seq);
        // The steps of a call that is under way count when it ends.
        let counted = outline.last_before(at + 1, RecordKind::Acted).map_or(0, steps);
        ForkPlace { at, before, steps: steps(until).saturating_sub(counted) }
    });
    Ok(Fall { fork, remembers: outline.remembers(), decline })
}

/// The kinds of records by which the core learns what happened, and upon which it decides.
const EVENTS: [RecordKind; 14] = [
    RecordKind::EpisodeStarted,
    RecordKind::Recalled,
    RecordKind::Looked,
    RecordKind::ToolAnswered,
    RecordKind::ControllerAnswered,
    RecordKind::ControllerFailed,
    RecordKind::StartsObserved,
    RecordKind::Explored,
    RecordKind::Discovered,
    RecordKind::CandidatesTried,
    RecordKind::SkillsRetested,
    RecordKind::ReflexesTried,
    RecordKind::Acted,
    RecordKind::OutOfTime,
];

/// The place before the last decision until record `until` from which on new settings count, in the episode that begins with record
/// `first`: before a request to the controller, or before the choice of the task, where none was made since. The last record that both
/// runs share, and the decision.
fn fork_before(outline: &Outline, first: u64, until: u64) -> Option<(u64, u64)> {
    let last = |kind, before: u64| outline.last_before(before, kind).filter(|seq| *seq >= first);
    let task = outline.groups(first, until, 1..=1).pop().map(|task| task.first);
    let asked = last(RecordKind::AskController, until + 1)
        // The choice of the task begins with its request, if it has one.
        .filter(|asked| task.is_none_or(|task| *asked > task + 2))
        .map(|asked| {
            let is = |back: u64, kind| asked > back && outline.kind(asked - back) == Some(kind);
            if is(1, RecordKind::Recalled) && is(2, RecordKind::Recall) {
                // What was recalled for it is recalled again.
                asked - 2
            } else {
                // The request itself was settled by the record before it: the one before that leaves this one open.
                last(RecordKind::AskController, asked).unwrap_or(asked)
            }
        });
    if let (None, Some(before)) = (asked, task) {
        // A decision is settled by the event before it: the choice of the task stays open until that event.
        let event = EVENTS.into_iter().filter_map(|kind| last(kind, before)).max();
        return Some((event?.checked_sub(1).filter(|at| *at > 0)?, before));
    }
    let before = asked.or_else(|| last(RecordKind::Act, until + 1)).unwrap_or(first);
    Some((before.checked_sub(1).filter(|at| *at > 0)?, before))
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[tokio::test]
    async fn a_fork_begins_before_a_decision_that_is_still_open() {
        let home = tempfile::tempdir().unwrap();
        let file = std::path::Path::new(env!("CARGO_MANIFEST_DIR"))
            .join("../sojourn/tests/fixtures/golden_v1.db.zst");
        let log = zstd::decode_all(std::fs::read(file).unwrap().as_slice()).unwrap();
        std::fs::write(home.path().join("sojourn.db"), log).unwrap();
        let store = Store::open(home.path()).await.unwrap();
        let info = store.runs().await.unwrap().remove(0);
        let mut outline = Outline::default();
        while outline.read_on(&store, &info, 1000).await.unwrap() {}
        for until in (10..info.last_seq.0).step_by(7) {
            let first = outline.episode_at(until).map_or(1, |episode| episode.first);
            let Some((at, before)) = fork_before(&outline, first, until) else {
                panic!("no place before {until}")
            };
            assert!(
                at < before && before <= until && before >= first && at >= first.max(2) - 1,
                "{until}: {at}"
            );
            // The choice of the task is open: it was made upon an event after the fork.
            let task = outline.groups(first, until, 1..=1).pop();
            if task.is_some_and(|task| task.first == before) {
                assert!(EVENTS.into_iter().any(|kind| outline.kind(at + 1) == Some(kind)), "{until}: {at}");
            }
        }
        let watched = Watched::of(outline);
        let fall = serde_json::to_value(fall(&store, &info, &watched, 66).await.unwrap()).unwrap();
        assert_eq!((&fall["until"], &fall["remembers"]), (&json!(66), &json!(true)), "{fall}");
        assert!(fall["steps"].as_array().unwrap().len() > 1, "{fall}");
        assert!((1..100).contains(&fall["fork"]["steps"].as_u64().unwrap()), "{fall}");
    }
}
