//! One skill in one fresh world, outside of any run: for people who want to see what it does.

use super::DriveError;
use super::programs::programs_of;
use super::stage::{LiveReflex, Performance, Runnable, Stage, StageError, Unrecorded};
use crate::event::{CallTrace, Unlocked};
use serde::Serialize;
use serde_json::Value;
use sojourn_sandbox::{Limits, Sandbox};
use sojourn_skills::LibraryState;
use sojourn_tools::{Ending, Environment, ToolCall};
use std::collections::BTreeMap;
use std::sync::Arc;

/// What came of it.
#[derive(Debug, Clone, Serialize)]
pub struct Rehearsal {
    /// Whether its post-condition held.
    pub verified: bool,
    /// What stopped it, if it did not return by itself.
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
pub async fn rehearse(
    sandbox: &Sandbox,
    library: &LibraryState,
    mut environment: Box<dyn Environment>,
    seed: u64,
    call: &ToolCall,
    max_steps: u32,
) -> Result<Rehearsal, DriveError> {
    environment.reset(seed).await.map_err(StageError::from)?;
    let mut programs = BTreeMap::new();
    let runnables: Arc<BTreeMap<String, Runnable>> = Arc::new(programs_of(sandbox, library, &mut programs)?);
    let reflexes: Vec<LiveReflex> = Vec::new();
    let mut stage = Stage::new(
        sandbox.clone(),
        environment,
        runnables,
        reflexes,
        Box::new(Unrecorded),
        Limits::default(),
    )?;
    let Performance { error, verified, before, after, steps, unlocked, trace, ended, .. } =
        stage.perform(call, max_steps, seed).await?;
    let error = error.map(|error| error.to_string());
    Ok(Rehearsal { verified, error, steps, unlocked, trace, before, after, ended })
}
