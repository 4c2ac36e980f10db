//! The host functions of a running skill: the tools of the environment, and the skills and tools that it was granted.

use super::super::toolkit::Toolkit;
use super::state::ExecutorState;
use super::{LoadedSkill, ToolReach};
use crate::model::{SkillEvent, SkillUse};
use async_trait::async_trait;
use serde_json::{Map, Value};
use sojourn_sandbox::{Binding, BindingKind, CallError, Host, HostError, Invocation, Limits, Sandbox};
use sojourn_tools::{Grants, ToolCall, ToolOutcome, with_defaults};
use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
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
}

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
        let (before, steps_before, mut bindings) = {
            let mut shared = self.shared.lock().await;
            shared.tainted |= skill.untrusted;
            (shared.state.clone(), shared.tally.steps, shared.bindings.clone())
        };
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
        let steps = shared.tally.steps - steps_before;
        shared.tally.skills.push(SkillUse { name: skill.name.clone(), verified: reached, steps });
        (report.result.err(), reached)
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
