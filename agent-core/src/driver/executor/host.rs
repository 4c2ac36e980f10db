//! The host functions of a running skill: the tools of the environment, and the skills and tools that it was granted.

use super::super::toolkit::Toolkit;
use super::state::ExecutorState;
use super::{LiveReflex, LoadedSkill, ToolReach};
use crate::model::{SkillEvent, SkillUse};
use async_trait::async_trait;
use serde_json::{Map, Value};
use sojourn_sandbox::{
    Binding, BindingKind, CallError, Host, HostError, Invocation, Limits, Program, Sandbox, StopCause,
};
use sojourn_tools::{Grants, ToolCall, ToolOutcome, with_defaults};
use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use tokio::sync::Mutex;

/// Answers the calls of one running skill.
#[derive(Clone)]
pub(super) struct SkillHost {
    pub(super) sandbox: Sandbox,
    pub(super) library: Arc<BTreeMap<String, LoadedSkill>>,
    pub(super) limits: Limits,
    pub(super) shared: Arc<Mutex<ExecutorState>>,
    pub(super) grants: Grants,
    pub(super) tools: ToolReach,
    pub(super) toolkit: Option<Toolkit>,
    pub(super) depth: u32,
    pub(super) seed: u64,
    /// The habit that is acting.
    pub(super) habit: Option<Acting>,
}

/// A habit that is acting. The log names it before its first call; one that only looks leaves no record.
#[derive(Clone)]
pub(super) struct Acting {
    name: Arc<str>,
    /// Whether it has called anything.
    announced: Arc<AtomicBool>,
}

/// Steps that a habit may take before the others, and the skill, get their turn.
const HABIT_STEPS: u32 = 300;
/// Turns of habits between two calls of a skill, at most.
const HABIT_TURNS: u32 = 64;
/// Steps for which a habit pauses that called something and took no step.
const VAIN_PAUSE: u64 = 20;

impl SkillHost {
    /// Runs `skill` with this host's grants. Returns the error that ended it, and whether its goal was reached.
    pub(super) async fn run(
        &self,
        skill: &LoadedSkill,
        args: &Map<String, Value>,
    ) -> (Option<CallError>, bool) {
        let args = with_defaults(&skill.parameters, args.clone());
        let positional: Vec<Value> =
            skill.parameters.iter().map(|p| args.get(&p.name).cloned().unwrap_or(Value::Null)).collect();
        let (before, steps_before) = {
            let mut shared = self.shared.lock().await;
            shared.tainted |= skill.untrusted;
            (shared.state.clone(), shared.tally.own_steps())
        };
        let bindings = self.bindings().await;
        let invocation = Invocation {
            args: &positional,
            bindings: &bindings,
            host: Arc::new(self.clone()),
            limits: &self.limits,
            seed: self.seed,
            now_ms: 0,
        };
        let report = self.sandbox.call(&skill.program, invocation).await;
        let mut shared = self.shared.lock().await;
        let reached = match &skill.goal {
            Some(goal) => goal.holds(&before, &shared.state, &args).unwrap_or(false),
            None => report.result.is_ok(),
        };
        // What a habit calls says nothing about the skill: the habit's steps may end in the middle of it.
        if self.habit.is_none() {
            let steps = shared.tally.own_steps() - steps_before;
            shared.tally.skills.push(SkillUse { name: skill.name.clone(), verified: reached, steps });
        }
        (report.result.err(), reached)
    }

    /// The functions of a program with this host's grants.
    async fn bindings(&self) -> Vec<Binding> {
        let mut bindings = self.shared.lock().await.bindings.clone();
        bindings.extend(self.grants.names().filter_map(|name| self.library.get(name)).map(|callee| {
            Binding {
                name: callee.name.clone(),
                parameters: callee.parameters.iter().map(|p| p.name.clone()).collect(),
                kind: BindingKind::Call,
            }
        }));
        let worlds: BTreeSet<String> = bindings.iter().map(|binding| binding.name.clone()).collect();
        bindings.extend(self.grants.names().filter(|name| !worlds.contains(*name)).filter_map(|name| {
            let spec = self.toolkit.as_ref()?.spec(name).filter(|spec| self.tools.has(spec))?;
            Some(Binding::call(spec.name, spec.parameters.into_iter().map(|p| p.name)))
        }));
        bindings
    }

    /// Lets habits act in turn, until none takes a step.
    pub(super) async fn follow_habits(&self) -> Result<(), HostError> {
        for _ in 0..HABIT_TURNS {
            let habits = {
                let shared = self.shared.lock().await;
                let step = shared.episode_step;
                let ready = |(at, live): (usize, &LiveReflex)| Some((at, live.ready_habit(step)?));
                shared.reflexes.iter().enumerate().filter_map(ready).collect::<Vec<_>>()
            };
            let mut acted = false;
            for (at, (program, grants)) in habits {
                acted |= self.follow_habit(at, &program, grants).await?;
            }
            if !acted {
                return Ok(());
            }
        }
        Ok(())
    }

    /// Runs one habit. Returns whether it took a step.
    async fn follow_habit(&self, at: usize, program: &Program, grants: Grants) -> Result<bool, HostError> {
        let (name, left, before) = {
            let mut shared = self.shared.lock().await;
            let left = shared.steps_left;
            shared.steps_left = left.min(HABIT_STEPS);
            shared.in_habit = true;
            (Arc::from(shared.reflexes[at].name.as_str()), left, shared.tally.steps)
        };
        let acting = Acting { name, announced: Arc::default() };
        let host = Self { grants, depth: self.depth + 1, habit: Some(acting.clone()), ..self.clone() };
        let bindings = host.bindings().await;
        let invocation = Invocation {
            args: &[],
            bindings: &bindings,
            host: Arc::new(host),
            limits: &self.limits,
            seed: self.seed,
            now_ms: 0,
        };
        let report = self.sandbox.call(program, invocation).await;
        let mut shared = self.shared.lock().await;
        let steps = shared.tally.steps - before;
        shared.steps_left = left - steps;
        shared.in_habit = false;
        if !acting.announced.load(Ordering::Relaxed) {
            return Ok(false);
        }
        let step = shared.episode_step;
        shared.reflexes[at].pause(step, if steps == 0 { VAIN_PAUSE } else { 0 });
        let outcome = match &report.result {
            Ok(_) => ToolOutcome::done("the habit is over"),
            Err(error) => ToolOutcome::failed(error.to_string()),
        };
        let depth = self.depth;
        shared.keep(SkillEvent::Returned { depth, outcome }).await?;
        match report.result {
            // The habit's turn is over, not the skill's.
            Err(CallError::Stopped { cause: StopCause::StepBudgetExhausted, .. })
                if shared.steps_left > 0 =>
            {
                Ok(true)
            }
            Err(CallError::Stopped { cause, reason }) => Err(HostError::Stop { cause, reason }),
            _ => Ok(steps > 0),
        }
    }

    async fn call_skill(&self, skill: &LoadedSkill, call: &ToolCall) -> Result<Value, HostError> {
        if self.depth + 1 >= self.limits.depth {
            return Err(HostError::Failed(format!(
                "skills call each other more than {} deep",
                self.limits.depth
            )));
        }
        let depth = self.depth;
        self.shared.lock().await.keep(SkillEvent::Called { depth, call: call.clone() }).await?;
        let callee = Self {
            // A callee has its own grants, and never more than it was admitted with. Of the agent file's tools it gets none that its
            // caller does not get, which would otherwise use them through it.
            grants: skill.grants.clone(),
            tools: skill.tools.min(self.tools),
            depth: depth + 1,
            ..self.clone()
        };
        let (error, reached) = Box::pin(callee.run(skill, &call.args)).await;
        if let Some(CallError::Stopped { cause, reason }) = error {
            if self.habit.is_some() {
                // The skill that the habit interrupts may go on, so the log says that this one does not.
                let outcome = ToolOutcome::failed(reason.as_str());
                self.shared.lock().await.keep(SkillEvent::Returned { depth, outcome }).await?;
            }
            return Err(HostError::Stop { cause, reason });
        }
        let message = error.map_or_else(
            || if reached { "done".to_owned() } else { "not reached".to_owned() },
            |e| e.to_string(),
        );
        let outcome = ToolOutcome { ok: reached, message, ..ToolOutcome::default() };
        let mut shared = self.shared.lock().await;
        shared.trace(depth, call, &outcome);
        shared.keep(SkillEvent::Returned { depth, outcome }).await?;
        Ok(Value::Bool(reached))
    }
}

#[async_trait]
impl Host for SkillHost {
    async fn call(&self, name: &str, args: Map<String, Value>) -> Result<Value, HostError> {
        let call = ToolCall { name: name.to_owned(), args };
        if name != "observe" {
            match &self.habit {
                None => self.follow_habits().await?,
                Some(acting) if !acting.announced.swap(true, Ordering::Relaxed) => {
                    let call = ToolCall { name: acting.name.to_string(), args: Map::new() };
                    let depth = self.depth.saturating_sub(1);
                    self.shared.lock().await.keep(SkillEvent::Called { depth, call }).await?;
                }
                Some(_) => {}
            }
        }
        if self.grants.allow(name)
            && let Some(skill) = self.library.get(name)
        {
            return self.call_skill(skill, &call).await;
        }
        let mut shared = self.shared.lock().await;
        if let Some(toolkit) = &self.toolkit
            && self.grants.allow(name)
            && toolkit.spec(name).is_none_or(|spec| self.tools.has(&spec))
            && !shared.bindings.iter().any(|binding| binding.name == name)
        {
            return shared.ask_tool(toolkit, self.depth, &call).await;
        }
        if name == "observe" {
            return Ok(shared.state.clone());
        }
        shared.call_tool(self.depth, &call).await
    }
}
