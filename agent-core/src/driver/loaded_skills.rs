//! Loading the skills of a library.

use super::DriveError;
use super::executor::LoadedSkill;
use sojourn_sandbox::{Program, Sandbox};
use sojourn_skills::{Entry, LibraryState, SkillId};
use std::collections::BTreeMap;

/// The active skills of `library`, ready to run; `programs` caches what was loaded before.
pub(super) fn load_skills(
    sandbox: &Sandbox,
    library: &LibraryState,
    programs: &mut BTreeMap<SkillId, Program>,
) -> Result<BTreeMap<String, LoadedSkill>, DriveError> {
    let mut skills = BTreeMap::new();
    for (name, entry) in library.callables() {
        let manifest = &entry.skill.manifest;
        let program = load_program(sandbox, entry, programs)?;
        let skill = LoadedSkill {
            name: name.to_owned(),
            parameters: manifest.parameters.clone(),
            goal: manifest.postcondition.clone(),
            program,
            grants: manifest.calls.iter().cloned().collect(),
            untrusted: manifest.is_untrusted(),
        };
        skills.insert(name.to_owned(), skill);
    }
    Ok(skills)
}

/// The program of one version, loaded once.
pub(super) fn load_program(
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
