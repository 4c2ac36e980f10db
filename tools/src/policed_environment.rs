use crate::remote_environment::AVAILABLE_TOOL;
use crate::{
    Action, Environment, EnvironmentError, EnvironmentSpec, EpisodePrefix, FailureKind, Frame, Observation,
    Progress, Snapshot, StepOutcome, ToolCall, ToolOutcome, ToolSpec,
};
use async_trait::async_trait;
use serde_json::{Map, Value};
use std::sync::Arc;

/// The tool of every world that only shows its state.
const LOOK: &str = "observe";

/// Decides about a world's own actions.
pub trait ActionRules: Send + Sync {
    /// Why a call of the action `spec`, which the world may call by another name, is refused with `args`; `None` where it may be
    /// made.
    fn refusal(&self, spec: &ToolSpec, own_name: Option<&str>, args: &Map<String, Value>) -> Option<String>;
}

/// A world whose own actions a policy may deny: of programs, servers and pages, whose effects are real.
///
/// A call that is denied takes no action; its outcome says [`FailureKind::Denied`]. Practice worlds obey the same rules.
pub struct PolicedEnvironment {
    environment: Box<dyn Environment>,
    rules: Arc<dyn ActionRules>,
    /// Why the current call is refused.
    refused: Option<String>,
}

impl PolicedEnvironment {
    /// Wraps a world that other programs compute. A deterministic one, in which nothing real happens, is returned as it is.
    pub fn wrap(environment: Box<dyn Environment>, rules: Arc<dyn ActionRules>) -> Box<dyn Environment> {
        if environment.spec().deterministic {
            return environment;
        }
        Box::new(Self { environment, rules, refused: None })
    }

    /// Whether the action of a step is denied.
    fn denies(&self, action: &Action) -> bool {
        // `go`, `say {"text": "hello"}`, `click("Next")`. A rule about arguments matches those that are not known.
        let text = action.0.as_str();
        // The arguments of a page's action stand in parentheses and may contain braces.
        let given = text.find(" {").filter(|_| text.ends_with('}')).and_then(|at| text.split_at_checked(at));
        let (own_name, args) = match given {
            _ if self.spec().actions.iter().any(|plain| plain == text) => (text, Map::new()),
            Some((name, args)) => (name, serde_json::from_str(args).unwrap_or_default()),
            None => (text.split('(').next().unwrap_or_default(), Map::new()),
        };
        let tool = self.spec().tools.iter().find(|tool| self.own_name(&tool.name) == Some(own_name));
        let name = tool.map_or(own_name, |tool| tool.name.as_str());
        self.refusal(name, &args).is_some()
    }

    fn refusal(&self, name: &str, args: &Map<String, Value>) -> Option<String> {
        if name == LOOK {
            return None;
        }
        match self.spec().tools.iter().find(|tool| tool.name == name) {
            // It only says which calls are possible. An action of this name would write.
            Some(spec) if name == AVAILABLE_TOOL && !spec.effects.write => None,
            Some(spec) => self.rules.refusal(spec, self.own_name(name), args),
            None => self.rules.refusal(&ToolSpec::new(name, ""), None, args),
        }
    }
}

#[async_trait]
impl Environment for PolicedEnvironment {
    fn spec(&self) -> &EnvironmentSpec {
        self.environment.spec()
    }

    async fn reset(&mut self, seed: u64) -> Result<(), EnvironmentError> {
        self.refused = None;
        self.environment.reset(seed).await
    }

    fn observe(&self) -> Result<Observation, EnvironmentError> {
        self.environment.observe()
    }

    fn own_name(&self, name: &str) -> Option<&str> {
        self.environment.own_name(name)
    }

    fn begin(&mut self, call: &ToolCall) -> Result<(), EnvironmentError> {
        self.refused = self.refusal(&call.name, &call.args);
        self.environment.begin(call)
    }

    fn advance(&mut self) -> Result<Progress, EnvironmentError> {
        match &self.refused {
            Some(reason) => Ok(Progress::Done(ToolOutcome::failed_by(
                FailureKind::Denied,
                format!("not called: {reason}"),
            ))),
            None => self.environment.advance(),
        }
    }

    async fn step(&mut self, action: &Action) -> Result<StepOutcome, EnvironmentError> {
        self.environment.step(action).await
    }

    fn permits(&self, action: &Action) -> bool {
        !self.denies(action) && self.environment.permits(action)
    }

    async fn frame(&mut self) -> Option<Frame> {
        self.environment.frame().await
    }

    fn snapshot(&self) -> Option<Snapshot> {
        self.environment.snapshot()
    }

    fn restore(&mut self, snapshot: &Snapshot) -> Result<(), EnvironmentError> {
        self.environment.restore(snapshot)
    }

    async fn rejoin(&mut self, past: &EpisodePrefix) -> Result<bool, EnvironmentError> {
        // A policy that was tightened since then holds for actions that are taken again.
        if past.actions.iter().any(|action| self.denies(action)) {
            return Ok(false);
        }
        self.environment.rejoin(past).await
    }

    fn practice(&self) -> Option<Box<dyn Environment>> {
        Some(Self::wrap(self.environment.practice()?, Arc::clone(&self.rules)))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{Policies, SpecOnlyEnvironment};
    use serde_json::json;

    #[test]
    fn an_action_is_known_by_its_whole_name_whatever_is_in_it() {
        let spec = json!({
            "name": "hall", "version": "1", "deterministic": false, "about": "A hall.", "tools": [], "recipes": [],
            "actions": ["move(1)", "wait"], "tasks": [], "examples": [], "vitals": [],
        });
        let world = Box::new(SpecOnlyEnvironment::new(serde_json::from_value(spec).unwrap()));
        let mut policies = Policies::default();
        let rules = ["move(1)", "look at"].map(|tool| json!({"tool": tool, "then": "deny"}));
        policies.add(&serde_json::from_value(json!({"rule": rules})).unwrap()).unwrap();
        let world = PolicedEnvironment::wrap(world, Arc::new(policies));
        for (action, permitted) in [
            ("move(1)", false),
            (r#"look at {"x":1}"#, false),
            ("look at", false),
            ("move(2)", true),
            ("wait", true),
            (r#"look {"at":1}"#, true),
        ] {
            assert_eq!(world.permits(&Action(action.to_owned())), permitted, "{action}");
        }
    }
}
