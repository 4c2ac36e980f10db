//! Before a run: looking around in the world, what goals in words mean there, and the tasks that were discovered.

use crate::agent_file::{AgentFile, Discover, Goal};
use crate::beliefs;
use crate::error::{Failure, Kind};
use crate::output;
use crate::progress::Progress;
use crate::session::{sandbox, stop_on_ctrl_c};
use anyhow::{Context as _, Result};
use sojourn_controller::{Cancel, Controller};
use sojourn_core::{
    DriveError, GoalMeaning, GoalQuestion, Observer, Planner, Redactor, SurveyPlan, seeds, survey,
};
use sojourn_memory::Store;
use sojourn_sandbox::Sandbox;
use sojourn_skills::LibraryState;
use sojourn_synthesis::Survey;
use sojourn_tools::outside::quote;
use sojourn_tools::{Environment, EnvironmentSpec, TaskSpec, WithGoals};
use std::collections::BTreeSet;
use std::sync::Arc;
use std::time::Duration;

/// Calls in all episodes of a survey after which no further one begins.
const CALLS: usize = 6000;
/// How often the model is asked what a goal means, each time with the choices in another order, until two answers agree.
const ASKED: u64 = 3;
/// Things that can be measured in a world, which an error names.
const NAMED: usize = 6;

/// What looks around and understands.
pub struct Scout<'a> {
    /// The agent.
    pub agent: &'a AgentFile,
    /// Runs the episodes.
    pub sandbox: Sandbox,
    /// Shows how far it is.
    pub observer: Arc<dyn Observer>,
    /// Stops it.
    pub cancel: Cancel,
    /// The seed of the practice worlds.
    pub seed: u64,
}

/// A goal with what it means.
pub struct Understood {
    /// The goal.
    pub goal: Goal,
    /// Its task: one of the environment's own, or one under its own condition. `None` where nothing shows it.
    pub task: Option<TaskSpec>,
}

impl<'a> Scout<'a> {
    /// For a command of its own: with a sandbox, a line that moves, and Ctrl-C.
    ///
    /// # Errors
    /// When the sandbox's engine cannot be loaded.
    pub async fn of_command(agent: &'a AgentFile, seed: u64) -> Result<(Self, Arc<Progress>)> {
        let cancel = Cancel::new();
        stop_on_ctrl_c(cancel.clone());
        let sandbox = sandbox().await?;
        let progress = Progress::new(0, "");
        Ok((Self { agent, sandbox, observer: progress.clone(), cancel, seed }, progress))
    }

    /// Plays without a goal. Where that is not possible, the survey holds the first state of one episode.
    ///
    /// # Errors
    /// When the world fails or a person interrupts.
    pub async fn look_around(&self, world: &mut dyn Environment) -> Result<Survey> {
        let Discover { episodes, seconds, .. } = self.agent.discover;
        let time = Duration::from_secs(seconds);
        let plan = SurveyPlan { seed: self.seed, episodes, calls: CALLS, time };
        let seen = survey(world, &self.sandbox, plan, Arc::clone(&self.observer), self.cancel.clone()).await;
        match seen {
            Ok(survey) if survey.episodes > 0 => return Ok(survey),
            Ok(_) => {}
            Err(DriveError::Interrupted) => {
                return Err(Failure::new(Kind::Interrupted, "interrupted while looking around").into());
            }
            Err(error) => return Err(error).context("looking around in the world failed"),
        }
        world.reset(self.seed).await?;
        Ok(Survey::of_starts([world.observe()?.state]))
    }

    /// What a goal means in a world.
    ///
    /// # Errors
    /// When the model cannot be asked.
    pub async fn understand(
        &self,
        goal: &Goal,
        spec: &EnvironmentSpec,
        survey: &Survey,
        controller: &dyn Controller,
    ) -> Result<Understood> {
        let asking = Asking { redactor: &self.agent.redactor(), cancel: &self.cancel, seed: self.seed };
        asking.understand(goal, spec, survey, controller).await
    }
}

/// How a model is asked what a goal means.
pub struct Asking<'a> {
    /// Keeps secrets out of the request.
    pub redactor: &'a Redactor,
    /// Stops it.
    pub cancel: &'a Cancel,
    /// Orders the choices.
    pub seed: u64,
}

impl Asking<'_> {
    /// What a goal means in a world: its own condition, the task of that name, or what the model says.
    ///
    /// # Errors
    /// When the model cannot be asked.
    pub async fn understand(
        &self,
        goal: &Goal,
        spec: &EnvironmentSpec,
        survey: &Survey,
        controller: &dyn Controller,
    ) -> Result<Understood> {
        let understood = |task| Ok(Understood { goal: goal.clone(), task });
        if let Some(condition) = &goal.condition {
            return understood(Some(goal.task(condition.clone())));
        }
        if let Some(task) = spec.tasks.iter().find(|task| task.name == goal.text.trim()) {
            return understood(Some(task.clone()));
        }
        let question = GoalQuestion::new(spec, survey, &goal.text);
        if !question.has_choices() {
            return understood(None);
        }
        let enough = if question.is_a_guess() { ASKED as usize } else { 2 };
        let mut meant: Vec<(GoalMeaning, usize)> = Vec::new();
        for attempt in 0..ASKED {
            // No record has passed the redaction yet.
            let request = self.redactor.any(question.request(seeds::draw(self.seed, "goal", attempt)))?;
            let reply = controller
                .complete(&request, self.cancel)
                .await
                .with_context(|| format!("the model could not say what `{}` means", goal.text))?;
            let meaning = question.meaning(seeds::draw(self.seed, "goal", attempt), &reply);
            match meant.iter_mut().find(|(known, _)| *known == meaning) {
                Some((_, times)) => *times += 1,
                None => meant.push((meaning, 1)),
            }
            if meant.iter().any(|(_, times)| *times >= enough) {
                break;
            }
        }
        let most = meant.iter().map(|(_, times)| *times).max().unwrap_or(0);
        if most < enough && question.is_a_guess() {
            return understood(None);
        }
        match meant.into_iter().find(|(_, times)| *times == most).map(|(meaning, _)| meaning) {
            Some(GoalMeaning::Task(name)) => {
                understood(spec.tasks.iter().find(|task| task.name == name).cloned())
            }
            Some(GoalMeaning::Condition(condition)) => understood(Some(goal.task(condition))),
            Some(GoalMeaning::Nothing) | None => understood(None),
        }
    }
}

/// The error for a goal that nothing shows, with what can be measured in the world.
pub fn meaningless(goal: &Goal, spec: &EnvironmentSpec, survey: &Survey) -> Failure {
    let measurable: Vec<String> = measurable(spec, survey).take(NAMED).collect();
    let text = format!("the goal `{}`: nothing in the state of `{}` shows it", goal.text, spec.name);
    Failure::new(Kind::Failure, text).hint(if measurable.is_empty() {
        "its state has no field that changes; give the goal a `condition` in the agent file".to_owned()
    } else {
        format!(
            "what can be measured there: {}; or give the goal a `condition` in the agent file",
            measurable.join("; ")
        )
    })
}

/// What can be measured in a world, the nearest to a task first.
fn measurable<'a>(spec: &'a EnvironmentSpec, survey: &'a Survey) -> impl Iterator<Item = String> + 'a {
    let tasks = spec.tasks.iter().map(|task| format!("{} ({})", task.name, task.goal));
    let effects = survey.changes.iter().map(|change| change.effect.condition().to_string());
    tasks.chain(effects)
}

/// The world of a new run: with the user's goals before its own tasks, or with tasks that were discovered after them.
pub struct Prepared {
    /// The world.
    pub environment: Box<dyn Environment>,
    /// What a person should be told, one sentence each.
    pub notes: Vec<String>,
    /// The tasks that the run may propose, where the goals decide that.
    pub only: Vec<String>,
}

/// Looks around where that is needed, and gives the world its goals and tasks.
///
/// # Errors
/// When the world fails, the model cannot be asked, or a goal means nothing in the world.
pub async fn prepare(
    scout: &Scout<'_>,
    mut environment: Box<dyn Environment>,
    library: &LibraryState,
    store: &Store,
    controller: &dyn Controller,
) -> Result<Prepared> {
    let agent = scout.agent;
    let documented = environment.spec().documents_tasks();
    if !documented
        && agent.goals.is_empty()
        && agent.discover.tasks > 0
        && let Some(found) = beliefs::of_world(store, &environment.spec().name).await?
    {
        environment = beliefs::with(environment, found.tasks, found.recipes);
    }
    let later = agent.run.discovery.as_ref().is_some_and(|discovery| discovery.stages > 0);
    let spec = environment.spec().clone();
    let in_words = agent.goals.iter().any(|goal| goal.condition.is_none());
    // A run that finds out while it runs needs no look around before.
    let discovers = !documented && agent.goals.is_empty() && agent.discover.tasks > 0 && !later;
    let (mut notes, mut only) = (Vec::new(), Vec::new());
    let mut seen = Survey::default();
    let looks = agent.discover.episodes > 0;
    if in_words || (discovers && looks && spec.play) {
        seen = scout.look_around(environment.as_mut()).await?;
    }
    if looks && seen.episodes > 0 {
        notes.push(format!(
            "looked around: {} calls in {}, {} fields",
            seen.calls,
            output::counted(seen.episodes, "episode"),
            seen.fields.len()
        ));
    }
    notes.extend(failing(&seen)?);
    let mut goals = Vec::new();
    for goal in &agent.goals {
        let Some(task) = scout.understand(goal, &spec, &seen, controller).await?.task else {
            return Err(meaningless(goal, &spec, &seen).into());
        };
        notes.push(format!("the goal `{}` is reached when {}", goal.text, task.goal));
        if spec.tasks.contains(&task) {
            only.extend(way_to(&spec, task.name));
        } else {
            goals.push(task);
        }
    }
    if !only.is_empty() {
        only.extend(goals.iter().map(|goal| goal.name.clone()));
    }
    let mut last = Vec::new();
    if discovers {
        last = remembered(library, &spec);
        let known: BTreeSet<_> = spec.tasks.iter().chain(&last).flat_map(|task| task.goal.paths()).collect();
        let found = seen.tasks(&known, agent.discover.tasks.saturating_sub(last.len()));
        drop(known);
        last.extend(found);
        if spec.untrusted {
            for task in &mut last {
                task.description = quote::description(&task.description);
            }
        }
        if !last.is_empty() {
            let names: Vec<&str> = last.iter().map(|task| task.name.as_str()).collect();
            notes.push(format!("found out what can be done: {}", names.join(", ")));
        }
    }
    Ok(Prepared { environment: WithGoals::wrap(environment, goals, last), notes, only })
}

/// A task and all that it needs.
pub fn way_to(spec: &EnvironmentSpec, task: String) -> Vec<String> {
    let mut way = Planner::new(spec).closure(&task);
    way.push(task);
    way
}

/// What a person should be told of a world that failed while it was looked at.
///
/// # Errors
/// When it failed in every episode before the second call: no agent can do anything there.
pub fn failing(seen: &Survey) -> Result<Option<String>> {
    let Some(why) = seen.failure.as_ref().filter(|_| seen.failed > 0) else { return Ok(None) };
    if seen.failed >= seen.episodes && seen.calls <= seen.episodes {
        return Err(Failure::new(
            Kind::Failure,
            format!("the world fails at the first call of every episode: {why}"),
        )
        .hint("`sojourn environments check AGENT.TOML` plays it alone")
        .into());
    }
    Ok(Some(format!(
        "the world failed in {} of {}: {why}",
        seen.failed,
        output::counted(seen.episodes, "episode")
    )))
}

/// The tasks of skills that earlier runs learned in this world. In a trusted world, the words of a skill from outside are no task.
fn remembered(library: &LibraryState, world: &EnvironmentSpec) -> Vec<TaskSpec> {
    library
        .all_active()
        .filter(|entry| !entry.is_reflex() && entry.environment() == world.name)
        .filter(|entry| world.untrusted || !entry.skill.manifest.is_untrusted())
        .filter_map(|entry| {
            let manifest = &entry.skill.manifest;
            let goal = manifest.postcondition.clone().filter(|_| manifest.parameters.is_empty())?;
            Some(TaskSpec {
                name: manifest.name.clone(),
                description: manifest.description.clone(),
                parameters: Vec::new(),
                goal,
                achievement: true,
                episodes: None,
            })
        })
        .collect()
}
