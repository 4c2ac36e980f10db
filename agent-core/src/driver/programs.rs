//! What was compiled, ready to run.

use super::DriveError;
use super::stage::Runnable;
use sojourn_sandbox::{Program, Sandbox};
use sojourn_skills::{Entry, LibraryState, SkillId};
use std::collections::BTreeMap;

/// The active skills of `library`, ready to run; `programs` keeps what was compiled before.
pub(super) fn programs_of(
    sandbox: &Sandbox,
    library: &LibraryState,
    programs: &mut BTreeMap<SkillId, Program>,
) -> Result<BTreeMap<String, Runnable>, DriveError> {
    let mut runnables = BTreeMap::new();
    for (name, entry) in library.callables() {
        let manifest = &entry.skill.manifest;
        let program = program_of(sandbox, entry, programs)?;
        let runnable = Runnable {
            name: name.to_owned(),
            parameters: manifest.parameters.clone(),
            goal: manifest.postcondition.clone(),
            program,
            grants: manifest.calls.iter().cloned().collect(),
        };
        runnables.insert(name.to_owned(), runnable);
    }
    Ok(runnables)
}

/// A version's program, loaded once.
pub(super) fn program_of(
    sandbox: &Sandbox,
    entry: &Entry,
    programs: &mut BTreeMap<SkillId, Program>,
) -> Result<Program, DriveError> {
    let manifest = &entry.skill.manifest;
    if let Some(program) = programs.get(&manifest.id) {
        return Ok(program.clone());
    }
    let program = sandbox
        .load(&entry.skill.wasm.0)
        .map_err(|error| DriveError::Sandbox(format!("`{}`: {error}", manifest.name)))?;
    programs.insert(manifest.id.clone(), program.clone());
    Ok(program)
}
