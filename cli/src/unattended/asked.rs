//! What people ask of a run under way from other processes: `sojourn goal add`, and the studio.

use crate::agent_file::Goal;
use crate::error::{self, Failure, Kind};
use crate::goals::{Asking, meaningless, way_to};
use crate::progress::Progress;
use anyhow::Result;
use async_trait::async_trait;
use serde_json::{Value, json};
use sojourn_controller::{Cancel, Controller};
use sojourn_core::{AskedGoal, GoalSituation, Redactor, Requests};
use sojourn_memory::{NewRequest, RequestKind, RunId, RunRequest, Store};
use sojourn_service::now_ms;
use sojourn_studio::GoalRequest;
use sojourn_synthesis::Survey;
use sojourn_tools::Condition;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

/// How often goals are looked for at most.
const LOOK: Duration = Duration::from_millis(250);
/// The longest goal in words, in bytes.
const LONGEST: usize = 2000;
/// The longest condition, in bytes of JSON.
const LONGEST_CONDITION: usize = 16 << 10;
/// The largest number of goals that are listed.
const MOST_LISTED: u32 = 100;

/// Asks a run for a goal. Its process takes it up before the next episode; without a process it waits for the next one.
///
/// # Errors
/// When the goal says nothing or is too long, or too many wait.
pub async fn ask_for_goal(
    store: &Store,
    run: &RunId,
    text: &str,
    condition: Option<&Condition>,
    by: &str,
) -> Result<i64> {
    let text = text.trim();
    let size = condition.map(serde_json::to_string).transpose()?.map_or(0, |json| json.len());
    if text.is_empty() {
        return Err(Failure::new(Kind::Usage, "a goal has no words").into());
    }
    if text.len() > LONGEST || size > LONGEST_CONDITION {
        let most = format!("a goal has at most {LONGEST} bytes, and its condition {LONGEST_CONDITION}");
        return Err(Failure::new(Kind::Usage, most).into());
    }
    let body = match condition {
        None => json!(text),
        Some(condition) => json!({"text": text, "condition": condition}),
    };
    ask(store, run, RequestKind::Goal, body, by).await
}

/// The latest goals that a run was asked for, the newest first.
///
/// # Errors
/// When the home cannot be read.
pub async fn goals(store: &Store, run: &RunId) -> Result<Vec<GoalRequest>> {
    let requests = store.requests(run, RequestKind::Goal, MOST_LISTED).await?;
    let listed = requests.into_iter().map(|request| {
        let (body, asked) = (&request.asked.body, &request.asked);
        let text = body.as_str().or_else(|| body.get("text")?.as_str()).unwrap_or_default().to_owned();
        GoalRequest { text, by: asked.by.clone(), asked_ms: asked.asked_ms, outcome: request.outcome }
    });
    Ok(listed.collect())
}

/// Says who asks a run to pause, before its process is signalled. Returns the number of the request.
///
/// # Errors
/// When too many requests wait.
pub async fn ask_for_pause(store: &Store, run: &RunId, by: &str) -> Result<i64> {
    ask(store, run, RequestKind::Pause, Value::Null, by).await
}

async fn ask(store: &Store, run: &RunId, what: RequestKind, body: Value, by: &str) -> Result<i64> {
    let new = NewRequest { run: run.clone(), what, body, by: by.to_owned(), asked_ms: now_ms() };
    store.request(&new).await?.ok_or_else(|| {
        Failure::new(Kind::Failure, format!("too many requests to run `{run}` wait already"))
            .hint("they are taken up before its next episode")
            .into()
    })
}

/// The requests to a run, for the process that carries it out.
pub struct Asked {
    /// Where they are kept.
    pub store: Store,
    /// The run.
    pub run: RunId,
    /// Says what a goal in words means.
    pub controller: Arc<dyn Controller>,
    /// Keeps secrets out of requests to it.
    pub redactor: Redactor,
    /// Stops it.
    pub cancel: Cancel,
    /// The run's seed.
    pub seed: u64,
    /// Tells the person at the terminal.
    pub progress: Arc<Progress>,
    /// When this process began, in milliseconds since 1970: what was asked of an earlier one about pausing is over.
    pub since_ms: i64,
    /// The latest time at which no goal was waiting. Episodes may be short.
    pub nothing: Mutex<Option<Instant>>,
}

impl Asked {
    /// The goal of a request with what it means.
    async fn read(&self, request: &RunRequest, situation: &GoalSituation<'_>) -> Result<AskedGoal> {
        let GoalSituation { world, tasks, state } = situation;
        let goal: Goal = serde_json::from_value(request.asked.body.clone())
            .map_err(|error| Failure::new(Kind::Usage, format!("the goal cannot be read: {error}")))?;
        // The run is not left to look around: what the state shows now is what can be measured.
        let survey = Survey::of_starts((!state.is_null()).then(|| (*state).clone()));
        let asking = Asking { redactor: &self.redactor, cancel: &self.cancel, seed: self.seed };
        let understood = asking.understand(&goal, world, &survey, self.controller.as_ref()).await?;
        let Some(task) = understood.task else { return Err(meaningless(&goal, world, &survey).into()) };
        let known = world.tasks.iter().find(|known| known.name == task.name);
        let only = match known {
            Some(known) if *known == task => way_to(world, task.name.clone()),
            Some(_) => {
                let text = format!("the world has another task that is called `{}`", task.name);
                return Err(Failure::new(Kind::Usage, text).hint("say the goal in other words").into());
            }
            None if tasks.is_empty() => Vec::new(),
            None => vec![task.name.clone()],
        };
        Ok(AskedGoal { request: request.no, text: goal.text, task, only, by: request.asked.by.clone() })
    }

    async fn settle(&self, request: i64, outcome: &str) {
        let outcome = self.redactor.text(outcome);
        let redact = |body: &mut Value| self.redactor.value(body);
        if let Err(error) = self.store.settle_request(request, &outcome, now_ms(), redact).await {
            tracing::warn!(%error, "a request to the run cannot be settled");
        }
    }

    async fn open(&self, what: RequestKind) -> Vec<RunRequest> {
        self.store.open_requests(&self.run, what).await.unwrap_or_else(|error| {
            tracing::warn!(%error, "cannot look for requests to the run");
            Vec::new()
        })
    }
}

#[async_trait]
impl Requests for Asked {
    async fn goal(&self, situation: &GoalSituation<'_>) -> Option<AskedGoal> {
        let nothing = || self.nothing.lock().unwrap_or_else(PoisonError::into_inner);
        if nothing().is_some_and(|at| at.elapsed() < LOOK) {
            return None;
        }
        for request in self.open(RequestKind::Goal).await {
            match self.read(&request, situation).await {
                Ok(goal) => return Some(goal),
                // It waits for the process that resumes the run.
                Err(_) if self.cancel.is_cancelled() => return None,
                Err(error) => {
                    let hint = error::hint(&error).map(|hint| format!("; {hint}")).unwrap_or_default();
                    self.settle(request.no, &format!("refused: {}{hint}", error::chain(&error))).await;
                }
            }
        }
        *nothing() = Some(Instant::now());
        None
    }

    async fn taken_up(&self, goal: &AskedGoal) {
        let meaning = format!("reached when {}", goal.task.goal);
        self.settle(goal.request, &format!("taken up as `{}`: {meaning}", goal.task.name)).await;
        self.progress
            .say(&self.redactor.text(&format!("{} adds the goal `{}`: {meaning}", goal.by, goal.text)));
    }

    async fn paused_by(&self) -> Option<String> {
        let mut by = None;
        for request in self.open(RequestKind::Pause).await {
            let is_ours = request.asked.asked_ms >= self.since_ms;
            self.settle(request.no, if is_ours { "paused" } else { "the process had ended before" }).await;
            by = by.or_else(|| is_ours.then_some(request.asked.by));
        }
        by
    }
}
