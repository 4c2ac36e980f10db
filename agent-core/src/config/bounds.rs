//! Bounds of settings. An imported log brings its own settings, and a replay practises by them.

use super::{
    ActorConfig, ConsolidationConfig, DiscoveryConfig, ExplorationConfig, ReflexConfig, RunConfig,
    TeacherConfig,
};
use sojourn_sandbox::Limits;
use std::time::Duration;

/// A setting is larger than this program carries out.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("`{name}` is {value}; the largest value is {most}")]
pub struct SettingOutOfRange {
    /// The key, as an agent file has it.
    pub name: &'static str,
    /// The value.
    pub value: u64,
    /// The largest accepted value.
    pub most: u64,
}

impl RunConfig {
    /// Checks the settings that decide how much is computed at once: a replay of a log with unbounded ones would not end.
    ///
    /// # Errors
    /// The first setting that is out of range.
    pub fn check_bounds(&self) -> Result<(), SettingOutOfRange> {
        at_most("run.episodes", self.episodes.len(), 1_000_000)?;
        self.actor.check_bounds()?;
        if let Some(ExplorationConfig { episodes, actions, successes }) = self.explore {
            at_most("run.explore.episodes", episodes, 100_000)?;
            at_most("run.explore.actions", actions, 10_000)?;
            at_most("run.explore.successes", successes, 10_000)?;
        }
        if let Some(DiscoveryConfig { stages, calls, episode_calls, tasks }) = self.discovery {
            at_most("run.discovery.stages", stages, 1000)?;
            at_most("run.discovery.calls", calls, 10_000_000)?;
            at_most("run.discovery.episode_calls", episode_calls, 100_000)?;
            at_most("run.discovery.tasks", tasks, 1000)?;
        }
        if let Some(ReflexConfig {
            candidates, rounds, screening, confirming, steps, attempts, most, ..
        }) = self.reflexes
        {
            at_most("run.reflexes.candidates", candidates, 1000)?;
            at_most("run.reflexes.rounds", rounds, 1000)?;
            at_most("run.reflexes.screening", screening, 10_000)?;
            at_most("run.reflexes.confirming", confirming, 10_000)?;
            at_most("run.reflexes.steps", steps, 1_000_000)?;
            at_most("run.reflexes.attempts", attempts, 1000)?;
            at_most("run.reflexes.most", most, 10_000)?;
        }
        if let Some(ConsolidationConfig { lessons, events, .. }) = self.consolidation {
            at_most("run.consolidation.lessons", lessons, 10_000)?;
            at_most("run.consolidation.events", events, 100_000)?;
        }
        if let Some(TeacherConfig { rounds, candidates, .. }) = self.teacher {
            at_most("run.teacher.rounds", rounds, 1000)?;
            at_most("run.teacher.candidates", candidates, 1000)?;
        }
        if let Some(tools) = &self.tools {
            at_most("run.tools.shown", tools.shown, 100_000)?;
        }
        Ok(())
    }
}

impl ActorConfig {
    fn check_bounds(&self) -> Result<(), SettingOutOfRange> {
        at_most("run.actor.candidates", self.candidates, 1000)?;
        at_most("run.actor.rounds", self.rounds, 1000)?;
        at_most("run.actor.admission.worlds", self.admission.worlds, 1000)?;
        at_most("run.actor.admission.needed", self.admission.needed, 1000)?;
        at_most("run.actor.trial_steps", self.trial_steps, 1_000_000)?;
        at_most("run.actor.act_steps", self.act_steps, 10_000_000)?;
        limits(&self.limits)?;
        self.reflex_limits.as_ref().map_or(Ok(()), limits)
    }
}

/// Limits of one call that still end it.
fn limits(limits: &Limits) -> Result<(), SettingOutOfRange> {
    const WALL: Duration = Duration::from_hours(1);
    if limits.wall > WALL {
        let (value, most) = (limits.wall.as_secs(), WALL.as_secs());
        return Err(SettingOutOfRange { name: "limits.wall", value, most });
    }
    at_most("limits.fuel", limits.fuel, 100_000_000_000)?;
    at_most("limits.host_calls", limits.host_calls, 10_000_000)?;
    at_most("limits.output_bytes", limits.output_bytes, 16 << 20)?;
    at_most("limits.log_lines", limits.log_lines, 1_000_000)?;
    at_most("limits.args_bytes", limits.args_bytes, 64 << 20)?;
    at_most("limits.depth", limits.depth, 64)
}

fn at_most(name: &'static str, value: impl TryInto<u64>, most: u64) -> Result<(), SettingOutOfRange> {
    let value = value.try_into().unwrap_or(u64::MAX);
    if value <= most { Ok(()) } else { Err(SettingOutOfRange { name, value, most }) }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn settings_of_a_log_that_would_practise_without_end_are_refused() {
        assert_eq!(RunConfig::default().check_bounds(), Ok(()));
        let mut config = RunConfig { reflexes: Some(ReflexConfig::default()), ..RunConfig::default() };
        assert_eq!(config.check_bounds(), Ok(()));
        config.reflexes = Some(ReflexConfig { confirming: u32::MAX, ..ReflexConfig::default() });
        assert_eq!(
            config.check_bounds().unwrap_err().to_string(),
            "`run.reflexes.confirming` is 4294967295; the largest value is 10000"
        );
        let mut config = RunConfig::default();
        config.actor.admission.worlds = usize::MAX;
        assert!(config.check_bounds().is_err());
        let mut config = RunConfig::default();
        config.actor.limits.wall = Duration::MAX;
        assert!(config.check_bounds().is_err());
    }
}
