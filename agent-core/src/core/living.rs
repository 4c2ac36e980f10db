//! What an agent does in an episode in which no task is left: it tries again what failed, and lets time pass in between.

use super::Core;
use super::state::Pastimes;
use crate::model::Effect;
use serde_json::{Map, Value};
use sojourn_tools::{Parameter, ParameterKind, ToolCall};

/// Steps after which tasks that failed are tried again.
const TRY_AGAIN: u64 = 100;
/// Calls in a row without a step after which the episode is left.
const IDLE: u32 = 16;

impl Core {
    /// Whether an episode without open tasks goes on.
    pub(super) fn may_live_on(&self) -> bool {
        self.config.live_on
            && self.config.library
            && self.spec.question.is_none()
            && !self.acts_step_by_step()
    }

    /// The next call of an episode without open tasks.
    pub(super) fn live_on(&mut self) -> Vec<Effect> {
        if self.episode.steps >= self.episode.tried_again_at + TRY_AGAIN {
            self.episode.tried_again_at = self.episode.steps;
            self.curriculum.episode_started();
            self.curriculum.decided();
            if let Some(first) = self.proposals().into_iter().next() {
                return self.settle(&first, Map::new());
            }
        }
        let pastimes = self.pastimes();
        let Pastimes { turn, at, .. } = self.episode.pastimes;
        let idle = if self.episode.steps > at { 0 } else { self.episode.pastimes.idle };
        let Some(call) = pastimes.get(turn % pastimes.len().max(1)).filter(|_| idle < IDLE) else {
            return self.next_episode("nothing was left to do".to_owned());
        };
        self.episode.pastimes = Pastimes { turn: turn + 1, idle: idle + 1, at: self.episode.steps };
        self.act(call.clone())
    }

    /// Calls that let time pass: tools that need no argument. One that takes a number is called with the largest.
    fn pastimes(&self) -> Vec<ToolCall> {
        let idle = self.spec.tools.iter().filter(|tool| tool.effects.write);
        let idle = idle.filter(|tool| tool.parameters.iter().all(|parameter| parameter.default.is_some()));
        idle.map(|tool| {
            let largest = |parameter: &Parameter| match parameter.kind {
                ParameterKind::Integer { max, .. } => Some((parameter.name.clone(), Value::from(max))),
                _ => Some((parameter.name.clone(), parameter.default.clone()?)),
            };
            let args = tool.parameters.iter().filter_map(largest).collect();
            ToolCall { name: tool.name.clone(), args }
        })
        .collect()
    }
}
