//! One call of a skill in one fresh world, outside of any run, on a person's command.

use super::super::DriveError;
use super::super::executor::{ExecutorError, LiveReflex, LoadedSkill, SkillExecutor, SkillRun, Unrecorded};
use super::super::loaded_skills::load_skills;
use super::super::time_limit::WorkWatch;
use crate::config::CORE_RULES;
use crate::model::{CallTrace, Unlocked};
use serde::Serialize;
use serde_json::Value;
use sojourn_sandbox::{Limits, Sandbox};
use sojourn_skills::LibraryState;
use sojourn_tools::{Ending, Environment, ToolCall};
use std::collections::BTreeMap;
use std::sync::Arc;

/// The result of one call.
#[derive(Debug, Clone, Serialize)]
pub struct SingleRun {
    /// Whether its post-condition held.
    pub verified: bool,
    /// The error that ended the skill; `None` where it returned by itself.
    pub error: Option<String>,
    /// Environment steps taken.
    pub steps: u32,
    /// Achievements unlocked.
    pub unlocked: Vec<Unlocked>,
    /// The calls it made: the first few and the last ones.
    pub trace: Vec<CallTrace>,
    /// The state before.
    pub before: Value,
    /// The state after.
    pub after: Value,
    /// Set if the episode ended.
    pub ended: Option<Ending>,
}

/// Runs an active skill of `library` in a world reset with `seed`.
///
/// # Errors
/// When there is no such skill, it cannot be loaded, or the environment broke.
pub async fn run_once(
    sandbox: &Sandbox,
    library: &LibraryState,
    mut environment: Box<dyn Environment>,
    seed: u64,
    call: &ToolCall,
    max_steps: u32,
) -> Result<SingleRun, DriveError> {
    environment.reset(seed).await.map_err(ExecutorError::from)?;
    let mut programs = BTreeMap::new();
    let skills: Arc<BTreeMap<String, LoadedSkill>> =
        Arc::new(load_skills(sandbox, library, CORE_RULES, false, &mut programs)?);
    let reflexes: Vec<LiveReflex> = Vec::new();
    let mut executor = SkillExecutor::new(
        sandbox.clone(),
        environment,
        skills,
        reflexes,
        Box::new(Unrecorded(WorkWatch::idle())),
        Limits::default(),
    )?;
    let SkillRun { error, verified, before, after, steps, unlocked, trace, ended, .. } =
        executor.run_skill(call, max_steps, seed).await?;
    let error = error.map(|error| error.to_string());
    Ok(SingleRun { verified, error, steps, unlocked, trace, before, after, ended })
}
