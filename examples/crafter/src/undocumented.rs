//! Crafter with everything that is written down about it removed.
//!
//! What remains: the tools with their parameters, and the observation without the list of achievements. There are no tasks,
//! recipes, controls, worked examples or descriptions; no reward, because it is paid for achievements; no names of achievements;
//! no reasons why a call failed or an episode ended, because they name what was lacking. Names remain, such as
//! `make("wood_pickaxe")` and the fields of the state.

use crate::CrafterEnvironment;
use crate::provider::UNDOCUMENTED;
use async_trait::async_trait;
use serde_json::Value;
use sojourn_tools::{
    Action, Ending, EndingKind, Environment, EnvironmentError, EnvironmentSpec, Frame, Observation, Progress,
    Snapshot, StepOutcome, ToolCall, ToolOutcome, ToolSpec, Wording,
};
use std::collections::BTreeSet;
use std::sync::{Arc, Mutex, PoisonError};

/// The achievements of episodes, which the agent does not see.
#[derive(Debug, Clone, Default)]
pub struct Scoreboard(Arc<Mutex<Vec<BTreeSet<String>>>>);

impl Scoreboard {
    /// The achievements of each episode so far, in order.
    pub fn episodes(&self) -> Vec<BTreeSet<String>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    fn begin(&self) {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).push(BTreeSet::new());
    }

    fn unlock(&self, achievements: Vec<String>) {
        if let Some(episode) = self.0.lock().unwrap_or_else(PoisonError::into_inner).last_mut() {
            episode.extend(achievements);
        }
    }
}

/// [`CrafterEnvironment`] without its documentation.
#[derive(Debug, Clone)]
pub struct UndocumentedCrafter {
    inner: CrafterEnvironment,
    spec: Arc<EnvironmentSpec>,
    /// Where the achievements are noted. Practice worlds have none.
    scoreboard: Option<Scoreboard>,
}

impl Default for UndocumentedCrafter {
    fn default() -> Self {
        Self::new()
    }
}

impl UndocumentedCrafter {
    /// An environment with episodes of [`EPISODE_LENGTH`](crate::EPISODE_LENGTH) steps.
    pub fn new() -> Self {
        let inner = CrafterEnvironment::new();
        let spec = Arc::new(spec(inner.spec()));
        Self { inner, spec, scoreboard: None }
    }

    /// An environment that notes the achievements of its episodes on `scoreboard`.
    pub fn scored(scoreboard: Scoreboard) -> Self {
        Self { scoreboard: Some(scoreboard), ..Self::new() }
    }
}

fn spec(documented: &EnvironmentSpec) -> EnvironmentSpec {
    let tool = |tool: &ToolSpec| ToolSpec { description: String::new(), ..tool.clone() };
    EnvironmentSpec {
        name: UNDOCUMENTED.to_owned(),
        about: String::new(),
        tools: documented.tools.iter().map(tool).collect(),
        controls: String::new(),
        tasks: Vec::new(),
        recipes: Vec::new(),
        examples: Vec::new(),
        vitals: Vec::new(),
        wording: Wording::default(),
        ..documented.clone()
    }
}

fn plain_state(mut state: Value) -> Value {
    if let Some(fields) = state.as_object_mut() {
        fields.remove("achievements");
    }
    state
}

fn plain_text(text: &str) -> String {
    let lines = text.lines().filter(|line| !line.starts_with("achievements ("));
    lines.collect::<Vec<_>>().join("\n")
}

/// Whether the call did what it was asked for, and nothing of why.
fn plain_outcome(outcome: ToolOutcome) -> ToolOutcome {
    let plain =
        if outcome.ok { ToolOutcome::done("done") } else { ToolOutcome::failed("nothing came of it") };
    ToolOutcome { value: outcome.value.map(plain_state), ..plain }
}

fn plain_cause(kind: EndingKind) -> String {
    let cause = match kind {
        EndingKind::Died => "died",
        EndingKind::Succeeded | EndingKind::TimeUp | EndingKind::Lost => "the episode is over",
    };
    cause.to_owned()
}

#[async_trait]
impl Environment for UndocumentedCrafter {
    fn spec(&self) -> &EnvironmentSpec {
        &self.spec
    }

    async fn reset(&mut self, seed: u64) -> Result<(), EnvironmentError> {
        if let Some(scoreboard) = &self.scoreboard {
            scoreboard.begin();
        }
        self.inner.reset(seed).await
    }

    fn observe(&self) -> Result<Observation, EnvironmentError> {
        let Observation { text, state, .. } = self.inner.observe()?;
        Ok(Observation::new(plain_text(&text), plain_state(state)))
    }

    fn begin(&mut self, call: &ToolCall) -> Result<(), EnvironmentError> {
        self.inner.begin(call)
    }

    fn advance(&mut self) -> Result<Progress, EnvironmentError> {
        Ok(match self.inner.advance()? {
            Progress::Done(outcome) => Progress::Done(plain_outcome(outcome)),
            Progress::Act(action) => Progress::Act(action),
        })
    }

    async fn step(&mut self, action: &Action) -> Result<StepOutcome, EnvironmentError> {
        let outcome = self.inner.step(action).await?;
        if let Some(scoreboard) = &self.scoreboard {
            scoreboard.unlock(outcome.unlocked);
        }
        Ok(StepOutcome {
            state: plain_state(outcome.state),
            reward: 0.0,
            unlocked: Vec::new(),
            ended: outcome.ended.map(|ending| Ending { cause: plain_cause(ending.kind), ..ending }),
        })
    }

    async fn frame(&mut self) -> Option<Frame> {
        self.inner.frame().await
    }

    fn snapshot(&self) -> Option<Snapshot> {
        self.inner.snapshot()
    }

    fn restore(&mut self, snapshot: &Snapshot) -> Result<(), EnvironmentError> {
        self.inner.restore(snapshot)
    }

    fn practice(&self) -> Option<Box<dyn Environment>> {
        Some(Box::new(Self { scoreboard: None, ..self.clone() }))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    /// Carries out a call and returns its outcome.
    async fn call(world: &mut UndocumentedCrafter, name: &str, args: Value) -> ToolOutcome {
        let args = args.as_object().unwrap().clone();
        world.begin(&ToolCall { name: name.to_owned(), args }).unwrap();
        loop {
            match world.advance().unwrap() {
                Progress::Act(action) => drop(world.step(&action).await.unwrap()),
                Progress::Done(outcome) => return outcome,
            }
        }
    }

    #[tokio::test(flavor = "current_thread")]
    async fn what_is_written_down_does_not_reach_the_agent_and_scores_do_not_either() {
        let scoreboard = Scoreboard::default();
        let mut world = UndocumentedCrafter::scored(scoreboard.clone());
        world.reset(1).await.unwrap();
        let shown = |world: &UndocumentedCrafter| {
            let seen = world.observe().unwrap();
            format!("{} {} {}", json!(world.spec()), seen.text, seen.state)
        };
        let mut all = shown(&world);
        for round in 0..30 {
            let found = call(&mut world, "go_to", json!({"kind": "tree"})).await;
            let outcome = if found.ok {
                call(&mut world, "interact", json!({})).await
            } else {
                call(&mut world, "explore", json!({"n": 20})).await
            };
            all = format!("{all} {}", json!(outcome));
            if round % 5 == 0 {
                let made = call(&mut world, "make", json!({"x": "wood_pickaxe"})).await;
                all = format!(
                    "{all} {} {}",
                    json!(made),
                    call(&mut world, "observe", json!({})).await.value.unwrap()
                );
            }
        }
        all += &shown(&world);
        for word in ["achievement", "collect_", "needs", "a player", "gain"] {
            assert!(!all.contains(word), "{word}");
        }
        let episodes = scoreboard.episodes();
        assert!(episodes[0].contains("collect_wood"), "{episodes:?}");
        let mut practice = world.practice().unwrap();
        practice.reset(2).await.unwrap();
        assert_eq!(scoreboard.episodes().len(), 1);
    }
}
