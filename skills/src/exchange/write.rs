use super::front_matter::{FrontMatter, describe};
use super::{
    CASES, Code, ExchangeError, ExchangeManifest, FORMAT, MANIFEST, MODULE, SCHEMA, SCRIPT, SCRIPTS, SKILL_MD,
};
use crate::{Case, Entry};
use serde::Serialize;
use sojourn_tools::{arguments_schema, signature};
use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};

/// Limit on a folder name in the specification, in characters.
const MAX_NAME: usize = 64;

/// Folder name of a skill: lower-case with hyphens. Different skills may get the same name.
pub fn folder_name(name: &str) -> String {
    let parts: Vec<String> =
        name.split('_').filter(|part| !part.is_empty()).map(str::to_ascii_lowercase).collect();
    let joined: String = parts.join("-").chars().take(MAX_NAME).collect();
    let trimmed = joined.trim_end_matches('-');
    if trimmed.is_empty() { "skill".to_owned() } else { trimmed.to_owned() }
}

/// Writes a version as the folder `name` in `dir`, atomically. Returns its path.
///
/// # Errors
/// The folder already exists, or cannot be written.
pub fn write(dir: &Path, name: &str, entry: &Entry, license: Option<&str>) -> Result<PathBuf, ExchangeError> {
    let folder = dir.join(name);
    if fs::symlink_metadata(&folder).is_ok() {
        return Err(ExchangeError::Exists { path: folder });
    }
    let temporary = dir.join(format!(".{name}-{}", std::process::id()));
    let result = fill(&temporary, name, entry, license)
        .and_then(|()| fs::rename(&temporary, &folder).map_err(|source| ExchangeError::io(&folder, source)));
    if result.is_err() {
        // An unfinished folder is useless.
        let _ = fs::remove_dir_all(&temporary);
    }
    result.map(|()| folder)
}

fn fill(dir: &Path, name: &str, entry: &Entry, license: Option<&str>) -> Result<(), ExchangeError> {
    let manifest = &entry.skill.manifest;
    let prebuilt = manifest.code == Code::Wasm;
    let exchanged = ExchangeManifest {
        format: FORMAT,
        name: manifest.name.clone(),
        description: manifest.description.clone(),
        parameters: manifest.parameters.clone(),
        precondition: manifest.precondition.clone(),
        postcondition: manifest.postcondition.clone(),
        calls: manifest.calls.clone(),
        kind: manifest.kind.clone(),
        environment: manifest.environment.clone(),
        code: manifest.code,
        engine: prebuilt.then(|| manifest.engine.clone()),
    };
    let scripts = dir.join(SCRIPTS);
    fs::create_dir_all(&scripts).map_err(|source| ExchangeError::io(&scripts, source))?;
    file(&dir.join(SKILL_MD), skill_md(name, entry, license).as_bytes())?;
    file(&dir.join(MANIFEST), &document(&dir.join(MANIFEST), &exchanged)?)?;
    file(&dir.join(SCHEMA), &document(&dir.join(SCHEMA), &arguments_schema(&manifest.parameters))?)?;
    let cases: Vec<Case> = entry.cases();
    file(&dir.join(CASES), &document(&dir.join(CASES), &cases)?)?;
    if prebuilt {
        file(&scripts.join(MODULE), &entry.skill.wasm.0)?;
    }
    if !prebuilt || !entry.skill.source.is_empty() {
        file(&scripts.join(SCRIPT), entry.skill.source.as_bytes())?;
    }
    Ok(())
}

fn skill_md(name: &str, entry: &Entry, license: Option<&str>) -> String {
    let manifest = &entry.skill.manifest;
    let about = format!(
        "{}. A skill for the environment {}, written and verified by a Sojourn agent.",
        manifest.description.trim_end_matches('.'),
        manifest.environment
    );
    let metadata = BTreeMap::from([
        ("environment".to_owned(), manifest.environment.clone()),
        ("sojourn-id".to_owned(), manifest.id.to_string()),
        ("sojourn-name".to_owned(), manifest.name.clone()),
        ("version".to_owned(), manifest.version.to_string()),
    ]);
    let head = FrontMatter {
        name: name.to_owned(),
        description: describe(&about),
        license: license.map(str::to_owned),
        metadata,
    };
    let call = signature(&manifest.name, &manifest.parameters);
    let calls = match manifest.calls.as_slice() {
        [] => "nothing".to_owned(),
        calls => calls.iter().map(|name| format!("`{name}`")).collect::<Vec<_>>().join(", "),
    };
    let file = if manifest.code == Code::Wasm { MODULE } else { SCRIPT };
    format!(
        "{}\n# {}\n\n`{call}`: {}\n\nThe code is in `{SCRIPTS}/{file}`; it calls {calls}. `{SCHEMA}` describes its \
         arguments, `{MANIFEST}` what it promises, and `{CASES}` the worlds in which it kept that promise.\n\n\
         `sojourn skills import` takes it over as a draft; `sojourn skills test {} --admit` tries it.\n",
        head.render(),
        manifest.name.replace('_', " "),
        manifest.description,
        manifest.name
    )
}

fn document(path: &Path, value: &impl Serialize) -> Result<Vec<u8>, ExchangeError> {
    let mut text = serde_json::to_vec_pretty(value)
        .map_err(|error| ExchangeError::malformed(path, error.to_string()))?;
    text.push(b'\n');
    Ok(text)
}

fn file(path: &Path, content: &[u8]) -> Result<(), ExchangeError> {
    fs::write(path, content).map_err(|source| ExchangeError::io(path, source))
}
