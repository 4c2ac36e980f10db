//! Loading the skills of a library.

use super::DriveError;
use super::executor::{LoadedSkill, ToolReach};
use sojourn_sandbox::{Program, Sandbox};
use sojourn_skills::{Entry, LibraryState, Origin, SkillId};
use std::collections::BTreeMap;

/// The active skills of `library`, ready to run under the `rules` of a run, which is `confined` where somebody else may have written
/// its log; `programs` caches what was loaded before.
pub(super) fn load_skills(
    sandbox: &Sandbox,
    library: &LibraryState,
    rules: u32,
    confined: bool,
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
            tools: tool_reach(&manifest.origin, rules, confined),
            untrusted: manifest.is_untrusted(),
        };
        skills.insert(name.to_owned(), skill);
    }
    Ok(skills)
}

/// Which tools of the agent file a skill gets. The origin and the rules are what the log says.
pub(super) fn tool_reach(origin: &Origin, rules: u32, confined: bool) -> ToolReach {
    match origin {
        _ if confined => ToolReach::Nothing,
        _ if rules < 8 => ToolReach::Granted,
        Origin::Imported => ToolReach::Nothing,
        _ => ToolReach::Reading,
    }
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

#[cfg(test)]
mod tests {
    use super::*;
    use sojourn_tools::{Effects, ToolSpec};

    #[test]
    fn which_tools_of_an_agent_file_a_skill_gets() {
        let own = Origin::Recipe { run: "r".to_owned() };
        let tool = |name: &str, effects| ToolSpec { effects, ..ToolSpec::new(name, "") };
        let tools = [tool("notes_read", Effects::default()), tool("notes_write", Effects::WORST)];
        for (origin, rules, confined, expected) in [
            (&Origin::Imported, 8, false, [false, false]),
            (&own, 8, false, [true, false]),
            (&Origin::Imported, 7, false, [true, true]),
            // Whoever wrote the log chose both.
            (&own, 8, true, [false, false]),
            (&own, 7, true, [false, false]),
        ] {
            let reach = tool_reach(origin, rules, confined);
            assert_eq!(
                [reach.has(&tools[0]), reach.has(&tools[1])],
                expected,
                "{origin:?} {rules} {confined}"
            );
        }
    }
}
