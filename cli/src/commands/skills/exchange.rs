//! Exports and imports skills as Agent Skills folders.

use crate::args::{Import, Target};
use crate::error::{Failure, Kind};
use crate::home::Home;
use crate::{environments, output, session};
use anyhow::{Context as _, Result};
use serde_json::json;
use sojourn_core::now_ms;
use sojourn_sandbox::{Sandbox, engine_sha256};
use sojourn_skills::exchange::{self, ImportedSkill};
use sojourn_skills::{Code, Compiled, Draft, Entry, LibraryEvent, LibraryState, Origin, Skill};
use std::collections::BTreeSet;
use std::path::Path;

/// Exports one skill, or every active skill.
pub fn export(
    state: &LibraryState,
    name: Option<&str>,
    dir: &Path,
    license: Option<&str>,
    json: bool,
) -> Result<()> {
    let entries: Vec<&Entry> = match name {
        Some(name) => vec![super::find(state, &Target { name: name.to_owned(), version: None })?],
        None => state.all_active().collect(),
    };
    std::fs::create_dir_all(dir).with_context(|| format!("cannot make `{}`", dir.display()))?;
    let mut taken = BTreeSet::new();
    let mut written = Vec::new();
    for entry in entries {
        let base = exchange::folder_name(entry.name());
        let numbered = (2..).map(|number| format!("{base}-{number}"));
        let name = std::iter::once(base.clone()).chain(numbered).find(|name| taken.insert(name.clone()));
        let folder = exchange::write(dir, &name.unwrap_or(base), entry, license)?;
        if !json {
            output::line(folder.display().to_string())?;
        }
        written
            .push(json!({"name": entry.name(), "version": entry.skill.manifest.version, "folder": folder}));
    }
    if json {
        output::json(&written)?;
    }
    Ok(())
}

/// Imports skills as drafts: all of them, or none if one is invalid. Names that the library has are left out.
pub async fn import(home: &Home, args: &Import) -> Result<()> {
    let imported_skills = exchange::folders(&args.dir)?
        .iter()
        .map(|folder| exchange::read(folder, args.environment.as_deref()))
        .collect::<Result<Vec<ImportedSkill>, _>>()?;
    let mut state = super::state(home).await?;
    let (known, imported_skills): (Vec<_>, Vec<_>) =
        imported_skills.into_iter().partition(|imported| state.history(&imported.manifest.name).is_some());
    let known: Vec<String> = known.into_iter().map(|imported| imported.manifest.name).collect();
    if let ([name, ..], true) = (known.as_slice(), imported_skills.is_empty()) {
        let text = match known.len() {
            1 => format!("a skill named `{name}` already exists"),
            _ => format!("nothing was imported: skills named `{}` already exist", known.join("`, `")),
        };
        return Err(Failure::new(Kind::Usage, text)
            .hint(format!("`sojourn skills show {name}` shows it; rename the imported skill"))
            .into());
    }
    let sandbox = session::sandbox().await?;
    let names: BTreeSet<String> =
        imported_skills.iter().map(|imported| imported.manifest.name.clone()).collect();
    let mut events = Vec::new();
    for imported in imported_skills {
        let event = LibraryEvent::Drafted {
            skill: Box::new(
                drafted(home, &state, &sandbox, imported, &names, args.environment.as_deref()).await?,
            ),
        };
        state.apply(&event)?;
        events.push(event);
    }
    // Everything was checked above, before anything is written.
    let mut library = home.library().await?;
    library.apply_all(&events, u64::try_from(now_ms()).unwrap_or(0)).await?;
    let drafts: Vec<String> = names.into_iter().collect();
    let (missing, unopened) = missing(home, &state, &events, args.environment.as_deref()).await?;
    if args.json {
        return Ok(output::json(
            &json!({"drafts": drafts, "known": known, "missing": missing, "not_opened": unopened}),
        )?);
    }
    for name in &known {
        output::note(format!(
            "not imported: a skill named `{name}` already exists; rename the imported one to have both"
        ));
    }
    for environment in &unopened {
        output::note(format!(
            "the environment `{environment}` was not opened, because it runs a program that the imported skills chose: their calls \
             were not checked; `--environment {environment}` says that you trust it"
        ));
    }
    if !missing.is_empty() {
        output::note(format!(
            "they call unknown tools or skills: {}; tools of agent files are never granted to imported skills",
            missing.join(", ")
        ));
    }
    for name in &drafts {
        output::line(format!("{name} is a draft; `sojourn skills test {name} --admit` tries it"))?;
    }
    Ok(())
}

/// Names that the new skills call and that are neither tools nor skills of this library; and the environments that were not
/// opened, whose tools are unknown.
async fn missing(
    home: &Home,
    state: &LibraryState,
    events: &[LibraryEvent],
    trusted: Option<&str>,
) -> Result<(Vec<String>, Vec<String>)> {
    let (mut missing, mut unopened) = (BTreeSet::new(), BTreeSet::new());
    for event in events {
        let LibraryEvent::Drafted { skill } = event else { continue };
        let manifest = &skill.manifest;
        let Some(tools) = tools_of(home, &manifest.environment, trusted).await? else {
            unopened.insert(manifest.environment.clone());
            continue;
        };
        let unknown = |name: &&String| state.history(name).is_none() && !tools.contains(*name);
        missing.extend(manifest.calls.iter().filter(unknown).cloned());
    }
    Ok((missing.into_iter().collect(), unopened.into_iter().collect()))
}

/// The names of the environment's tools; `None` if opening it would execute untrusted code.
async fn tools_of(home: &Home, environment: &str, trusted: Option<&str>) -> Result<Option<Vec<String>>> {
    if !environments::is_trusted(home.environments(), environment, trusted)? {
        return Ok(None);
    }
    let opened = home.environments().open(environment).await?;
    Ok(Some(opened.spec().tools.iter().map(|tool| tool.name.clone()).collect()))
}

/// The first version of a new skill, made from an imported one.
async fn drafted(
    home: &Home,
    state: &LibraryState,
    sandbox: &Sandbox,
    imported: ImportedSkill,
    together: &BTreeSet<String>,
    trusted: Option<&str>,
) -> Result<Skill> {
    let ImportedSkill { manifest, source, module, .. } = imported;
    let name = manifest.name.clone();
    let tools = tools_of(home, &manifest.environment, trusted).await?.unwrap_or_default();
    if tools.contains(&name) {
        return Err(Failure::new(
            Kind::Usage,
            format!("`{name}` is the name of a tool of {}", manifest.environment),
        )
        .hint("rename the imported skill")
        .into());
    }
    if state.history(&name).is_some() {
        return Err(Failure::new(Kind::Usage, format!("two of the folders hold a skill named `{name}`"))
            .hint("import them one by one, with another name for one of them")
            .into());
    }
    let compiled = match module {
        None => Compiled::from_source(sandbox, &name, &source).await.map_err(|error| {
            Failure::new(Kind::Usage, format!("the source of `{name}` does not compile: {error}"))
        })?,
        Some(wasm) => {
            let program = sandbox.load(&wasm).map_err(|error| {
                Failure::new(Kind::Usage, format!("the module of `{name}` cannot be loaded: {error}"))
            })?;
            // Nothing verifies the bytecode of a compiled script: scripts are imported as sources.
            if !program.is_prebuilt() {
                let message = format!("the module of `{name}` is a compiled script, not a prebuilt module");
                return Err(Failure::new(Kind::Usage, message)
                    .hint("export the script's source; the import compiles it")
                    .into());
            }
            Compiled { engine: engine_sha256().to_owned(), wasm }
        }
    };
    let code = manifest.code;
    let declared = manifest.calls;
    let draft = Draft {
        name,
        description: manifest.description,
        parameters: manifest.parameters,
        precondition: manifest.precondition,
        postcondition: manifest.postcondition,
        origin: Origin::Imported,
        kind: manifest.kind,
        environment: manifest.environment,
        created_ms: u64::try_from(now_ms()).unwrap_or(0),
        source,
    };
    // A callee may be imported later: until then that name grants nothing.
    let named = declared.iter().map(String::as_str);
    let known: Vec<&str> =
        tools.iter().map(String::as_str).chain(together.iter().map(String::as_str)).chain(named).collect();
    let skill = match code {
        Code::JavaScript => state.prepare(draft, compiled, known),
        Code::Wasm => state.prepare_prebuilt(draft, compiled, declared.clone(), known),
    };
    Ok(state.with_own_address(skill))
}
