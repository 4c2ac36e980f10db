//! One attempt: a world is brought to the start of a skill, and the skill is called there. Trials of candidates, regression
//! cases and trials on a person's command are made of attempts.

use super::super::executor::{ExecutorError, LoadedSkill, SkillExecutor, SkillRun};
use super::super::observer::LongWork;
use super::TrialRunner;
use crate::core::planner::Planner;
use crate::model::as_javascript;
use serde_json::{Map, Value};
use sojourn_primitives::JsonPointer;
use sojourn_skills::{Case, CaseResult, Setup, WorldResult, behaviour};
use sojourn_tools::{Condition, EndingKind, Environment, ToolCall, with_defaults};

/// The largest number of environment steps of a call where a case has no limit of its own.
pub(super) const MAX_STEPS: u32 = 400;

/// The skill of an attempt, and the conditions under which the attempt counts.
#[derive(Clone, Copy)]
pub(super) struct Subject<'a> {
    /// The skill.
    pub skill: &'a LoadedSkill,
    /// The pre-condition. A world in which it does not hold before the first call does not count.
    pub precondition: Option<&'a Condition>,
    /// Whether a world in which the goal holds before the first call does not count either.
    pub fresh: bool,
    /// Counters that the skill should not change, as JSON pointers.
    pub unrelated: &'a [JsonPointer],
}

/// The result of an attempt, with its world.
pub(super) struct Attempted {
    pub environment: Box<dyn Environment>,
    /// The result and the behaviour; or the reason why the world does not count.
    pub outcome: Result<(WorldResult, String), String>,
}

impl TrialRunner {
    /// Makes one attempt.
    ///
    /// # Errors
    /// When the environment fails.
    pub(super) async fn attempt(
        &self,
        subject: Subject<'_>,
        setup: &Setup,
        mut environment: Box<dyn Environment>,
    ) -> Result<Attempted, ExecutorError> {
        self.watch.within(environment.reset(setup.seed)).await?;
        let prelude = match &setup.prelude {
            Some(calls) => calls.clone(),
            None => prelude(&Planner::new(environment.spec()), &subject.skill.name),
        };
        let max_steps = setup.max_steps.unwrap_or(MAX_STEPS);
        let mut executor = self.executor(environment)?;
        let mut obstacle = self.start(&mut executor, &prelude, max_steps).await?;
        executor.watch(subject.unrelated).await;
        let mut tally = Tally::new(setup.seed, &setup.calls);
        for args in setup.calls.iter().take(if obstacle.is_none() { usize::MAX } else { 0 }) {
            let call = ToolCall { name: subject.skill.name.clone(), args: args.clone() };
            let done = executor.run_loaded_skill(subject.skill, &call, max_steps, setup.seed).await?;
            if tally.is_new() {
                obstacle = unfit(subject, &done.before, args);
            }
            tally.add(&done);
            if obstacle.is_some() || !tally.result.passed() || done.ended.is_some() {
                break;
            }
        }
        let environment = executor.into_environment()?;
        Ok(Attempted { environment, outcome: obstacle.map_or_else(|| Ok(tally.conclude()), Err) })
    }

    /// Runs a skill in a case of its own or of another skill.
    ///
    /// # Errors
    /// When the environment fails.
    pub(super) async fn case(
        &self,
        subject: Subject<'_>,
        case: &Case,
        environment: Box<dyn Environment>,
    ) -> Result<(Box<dyn Environment>, CaseResult), ExecutorError> {
        let done = self.attempt(subject, &case.setup, environment).await?;
        let case = case.id();
        let result = match done.outcome {
            Ok((world, behaviour)) => CaseResult {
                case,
                reached: true,
                passed: world.passed(),
                steps: world.steps,
                error: world.error,
                behaviour: Some(behaviour),
            },
            Err(reason) => CaseResult {
                case,
                reached: false,
                passed: false,
                steps: 0,
                error: Some(reason),
                behaviour: None,
            },
        };
        Ok((done.environment, result))
    }

    /// Runs a skill in several cases of one environment.
    ///
    /// # Errors
    /// When the environment fails.
    pub(super) async fn cases(
        &self,
        subject: Subject<'_>,
        cases: &[Case],
        mut environment: Box<dyn Environment>,
    ) -> Result<(Box<dyn Environment>, Vec<CaseResult>), ExecutorError> {
        let mut results = Vec::with_capacity(cases.len());
        for (index, case) in cases.iter().enumerate() {
            self.watch.check()?;
            self.watch.begin(LongWork::Cases, index + 1, cases.len());
            let (back, result) = self.case(subject, case, environment).await?;
            environment = back;
            results.push(result);
        }
        Ok((environment, results))
    }

    /// Runs the prelude. Returns the reason if the start was not reached.
    pub(super) async fn start(
        &self,
        executor: &mut SkillExecutor,
        prelude: &[ToolCall],
        max_steps: u32,
    ) -> Result<Option<String>, ExecutorError> {
        for call in prelude {
            if !self.library.contains_key(&call.name) && executor.is_tool(&call.name).await {
                // A call of the world only passes time.
                if executor.call_tool(call, max_steps).await?.ended.is_some() {
                    return Ok(Some("the episode ended before it was prepared".to_owned()));
                }
                continue;
            }
            if !self.library.contains_key(&call.name) {
                return Ok(Some(format!("no skill `{}` is in use to prepare it", call.name)));
            }
            let done = executor.run_skill(call, max_steps, 0).await?;
            if !done.verified || done.ended.is_some() {
                return Ok(Some(format!("`{}`, which prepares it, failed", as_javascript(call))));
            }
        }
        Ok(None)
    }
}

/// The calls that bring about the prerequisites of a skill of this name.
pub(super) fn prelude(planner: &Planner, name: &str) -> Vec<ToolCall> {
    let call = |name: String| {
        let args =
            planner.task(&name).map(|task| with_defaults(&task.parameters, Map::new())).unwrap_or_default();
        ToolCall { name, args }
    };
    planner.missing_tools(name, &Value::Null).into_iter().map(call).collect()
}

/// The reason why a world does not count for a skill that starts in the state `before`; `None` where it counts.
fn unfit(subject: Subject<'_>, before: &Value, args: &Map<String, Value>) -> Option<String> {
    let args = with_defaults(&subject.skill.parameters, args.clone());
    let holds = |condition: &Condition| condition.holds(before, before, &args).unwrap_or(false);
    if subject.precondition.is_some_and(|condition| !holds(condition)) {
        return Some("its pre-condition does not hold there".to_owned());
    }
    let idle = subject.fresh && subject.skill.goal.as_ref().is_some_and(holds);
    idle.then(|| "its post-condition holds there before it is called".to_owned())
}

/// Adds up the calls in one world.
pub(super) struct Tally {
    pub result: WorldResult,
    calls: Vec<(String, bool)>,
    after: Value,
}

impl Tally {
    /// The tally before the first of `calls`.
    pub fn new(seed: u64, calls: &[Map<String, Value>]) -> Self {
        let result = WorldResult {
            seed,
            args: calls.first().cloned().unwrap_or_default(),
            verified: true,
            returned: true,
            steps: 0,
            harm: 0.0,
            died: false,
            unrelated: Vec::new(),
            error: None,
        };
        Self { result, calls: Vec::new(), after: Value::Null }
    }

    /// Whether no call was added yet.
    fn is_new(&self) -> bool {
        self.after.is_null()
    }

    /// Adds a call.
    pub fn add(&mut self, done: &SkillRun) {
        let result = &mut self.result;
        result.verified &= done.verified;
        result.returned &= done.finished();
        result.steps += done.steps;
        result.harm += done.harm;
        result.died |= done.ended.as_ref().is_some_and(|ending| ending.kind == EndingKind::Died);
        result.unrelated.extend(done.touched.iter().cloned());
        result.unrelated.sort();
        result.unrelated.dedup();
        if result.error.is_none() && !done.finished() {
            result.error = done.error.as_ref().map(ToString::to_string);
        }
        self.calls.extend(done.trace.iter().map(|call| (call.call.clone(), call.ok)));
        self.after.clone_from(&done.after);
    }

    /// The result, and the digest of the behaviour that [`behaviour`] computes.
    pub fn conclude(self) -> (WorldResult, String) {
        let calls = self.calls.iter().map(|(call, ok)| (call.as_str(), *ok));
        let behaviour = behaviour(calls, self.result.steps, &self.after);
        (self.result, behaviour)
    }
}
