//! The actions of an episode of a run on web pages, from its log.

use crate::error::{Failure, Kind};
use crate::home::Home;
use crate::logbook::{Reading, find_run};
use anyhow::Result;
use serde_json::Value;
use sojourn_browser::{MAX_RECORDED_STEPS, PageAction, RecordedAction};
use sojourn_core::{Event, LogRecord, SkillEvent};
use sojourn_memory::RecordQuery;

/// The actions of an episode that changed something, and the run's id.
pub struct PastEpisode {
    pub run: String,
    pub environment: String,
    pub actions: Vec<RecordedAction>,
}

/// One episode of the log.
#[derive(Default)]
struct Episode {
    actions: Vec<RecordedAction>,
    reached: bool,
}

/// Reads an episode: the one with this number, or the last that reached its goal.
///
/// # Errors
/// When there is no such run or episode, or it acted on no page.
pub async fn episode(home: &Home, run: &str, number: Option<u64>) -> Result<PastEpisode> {
    let store = home.store().await?;
    let info = find_run(&store, run).await?;
    let mut reading = Reading::new(&store, &info, RecordQuery::all()).await?;
    let mut episodes: Vec<Episode> = Vec::new();
    let mut state = Value::Null;
    while let Some((_, content)) = reading.next().await? {
        match content {
            Some(LogRecord::Event(event)) => match *event {
                Event::EpisodeStarted { observation, .. } => {
                    state = observation.state;
                    episodes.push(Episode::default());
                }
                Event::Acted { report } => state = report.observation.state,
                _ => {}
            },
            Some(LogRecord::SkillEvent(event)) => {
                let (SkillEvent::Stepped(step), Some(episode)) = (&*event, episodes.last_mut()) else {
                    continue;
                };
                let before = state.clone();
                step.apply(&mut state);
                // What happened after the goal was reached is no part of the way to it.
                if !episode.reached
                    && (changed(&before, &state) || step.ended.is_some() || !step.unlocked.is_empty())
                {
                    episode.add(&step.action.0, before);
                }
                episode.reached |= !step.unlocked.is_empty();
            }
            _ => {}
        }
    }
    let count = episodes.len();
    let found = match number {
        Some(number) => {
            usize::try_from(number).ok().and_then(|at| episodes.into_iter().nth(at.checked_sub(1)?))
        }
        None => episodes.into_iter().rfind(|episode| episode.reached),
    };
    let run = info.id.to_string();
    let Some(Episode { actions, .. }) = found else {
        let what = match number {
            Some(number) => format!("run {run} has no episode {number}; it has {count}"),
            None => format!("no episode of run {run} reached its goal"),
        };
        return Err(Failure::new(Kind::NotFound, what)
            .hint(format!("`sojourn log {run}` shows its episodes; `--episode N` names one"))
            .into());
    };
    if actions.is_empty() {
        return Err(Failure::new(
            Kind::Usage,
            format!("nothing was done on pages in that episode of run {run}"),
        )
        .hint("only episodes on web pages can be taken")
        .into());
    }
    Ok(PastEpisode { run, environment: info.environment.clone(), actions })
}

impl Episode {
    fn add(&mut self, action: &str, state: Value) {
        let Some(call) = PageAction::call(action).filter(|_| self.actions.len() < MAX_RECORDED_STEPS) else {
            return;
        };
        if matches!(call.name.as_str(), "wait" | "read" | "observe") {
            return;
        }
        self.actions.push(RecordedAction {
            call: with_ids(call, &state),
            state,
            secret: false,
            covered: true,
        });
    }
}

/// A call whose elements have their ids, where it names them by their words.
fn with_ids(mut call: sojourn_tools::ToolCall, state: &Value) -> sojourn_tools::ToolCall {
    let elements = state.get("elements").and_then(Value::as_array).map_or(&[][..], Vec::as_slice);
    for name in ["target", "from", "to"] {
        let Some(given) = call.args.get(name) else { continue };
        let id = given.get("id").cloned().or_else(|| {
            let found = elements.iter().find(|one| one.get("id") == Some(given));
            let found = found.or_else(|| elements.iter().find(|one| one.get("name") == Some(given)));
            found.and_then(|one| one.get("id").cloned())
        });
        if let Some(id) = id {
            call.args.insert(name.to_owned(), id);
        }
    }
    call
}

/// Whether something of a page changed besides what is said of the last action.
fn changed(before: &Value, after: &Value) -> bool {
    let rest = |state: &Value| {
        let mut members = state.as_object().cloned().unwrap_or_default();
        members.remove("last");
        members
    };
    rest(before) != rest(after)
}
