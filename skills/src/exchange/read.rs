use super::front_matter::{FrontMatter, shown};
use super::{
    CASES, Case, Code, ExchangeError, ExchangeManifest, FORMAT, ImportedSkill, MANIFEST, MODULE, SCHEMA,
    SCRIPT, SCRIPTS, SKILL_MD,
};
use crate::Kind;
use crate::scan::is_identifier;
use serde::de::DeserializeOwned;
use serde_json::Value;
use sojourn_tools::{Condition, Parameter, ParameterKind, arguments_schema};
use std::collections::BTreeSet;
use std::fs::{self, File};
use std::io::{self, Read as _};
use std::path::{Path, PathBuf};

const MAX_TEXT: u64 = 256 << 10;
const MAX_MODULE: u64 = 4 << 20;
const MAX_FOLDERS: usize = 256;
const MAX_PARAMETERS: usize = 16;
/// Limits on names and on a description, in characters.
const MAX_NAME: usize = 64;
const MAX_DESCRIPTION: usize = 1024;

/// Skill folders in `dir`: itself if it is one, or else its direct subfolders, sorted.
///
/// # Errors
/// There is none, or `dir` cannot be read.
pub fn folders(dir: &Path) -> Result<Vec<PathBuf>, ExchangeError> {
    plain(dir, true)?.ok_or_else(|| ExchangeError::NoSkill { path: dir.to_owned() })?;
    if exists(&dir.join(SKILL_MD)) {
        return Ok(vec![dir.to_owned()]);
    }
    let mut found = Vec::new();
    for entry in fs::read_dir(dir).map_err(|source| ExchangeError::io(dir, source))? {
        let path = entry.map_err(|source| ExchangeError::io(dir, source))?.path();
        if exists(&path.join(SKILL_MD)) {
            found.push(path);
        }
        if found.len() > MAX_FOLDERS {
            return Err(ExchangeError::TooMany { path: dir.to_owned(), limit: MAX_FOLDERS });
        }
    }
    found.sort();
    if found.is_empty() {
        return Err(ExchangeError::NoSkill { path: dir.to_owned() });
    }
    Ok(found)
}

/// Reads one folder. Without a `manifest.json` it becomes a skill for `environment` without parameters and
/// conditions.
///
/// # Errors
/// The first invalid part, with its file.
pub fn read(folder: &Path, environment: Option<&str>) -> Result<ImportedSkill, ExchangeError> {
    plain(folder, true)?.ok_or_else(|| ExchangeError::NoSkill { path: folder.to_owned() })?;
    let skill_md = folder.join(SKILL_MD);
    let head = FrontMatter::parse(&text(&skill_md)?)
        .map_err(|reason| ExchangeError::malformed(&skill_md, reason))?;
    check_folder(folder, &skill_md, &head)?;
    let path = folder.join(MANIFEST);
    let manifest = match optional(&path)? {
        Some(text) => document::<ExchangeManifest>(&path, &text)?,
        None => foreign(&head, environment)
            .ok_or_else(|| ExchangeError::malformed(&skill_md, "it does not name its environment"))?,
    };
    check(&manifest).map_err(|reason| ExchangeError::malformed(&path, reason))?;

    let path = folder.join(SCHEMA);
    if let Some(text) = optional(&path)?
        && document::<Value>(&path, &text)? != arguments_schema(&manifest.parameters)
    {
        return Err(ExchangeError::malformed(
            &path,
            format!("it does not match the parameters in {MANIFEST}"),
        ));
    }
    let path = folder.join(CASES);
    let cases = match optional(&path)? {
        Some(text) => document::<Vec<Case>>(&path, &text)?,
        None => Vec::new(),
    };
    let scripts = folder.join(SCRIPTS);
    plain(&scripts, true)?.ok_or_else(|| ExchangeError::Missing { path: scripts.clone() })?;
    let (source, module) = match manifest.code {
        Code::JavaScript => (text(&scripts.join(SCRIPT))?, None),
        Code::Wasm => {
            let source = optional(&scripts.join(SCRIPT))?.unwrap_or_default();
            (source, Some(bytes(&scripts.join(MODULE), MAX_MODULE)?))
        }
    };
    Ok(ImportedSkill { manifest, source, module, cases })
}

/// The specification requires folder and skill to have the same name.
fn check_folder(folder: &Path, skill_md: &Path, head: &FrontMatter) -> Result<(), ExchangeError> {
    let named = folder.canonicalize().ok().and_then(|path| Some(path.file_name()?.to_owned()));
    match named {
        Some(name) if name.to_str() != Some(head.name.as_str()) => Err(ExchangeError::malformed(
            skill_md,
            format!(
                "the name `{}` is not that of its folder, `{}`",
                head.name,
                shown(&name.to_string_lossy())
            ),
        )),
        _ => Ok(()),
    }
}

/// Manifest of a folder that has none.
fn foreign(head: &FrontMatter, environment: Option<&str>) -> Option<ExchangeManifest> {
    let environment = head.metadata.get("environment").map(String::as_str).or(environment)?;
    Some(ExchangeManifest {
        format: FORMAT,
        name: head.name.replace('-', "_"),
        description: head.description.clone(),
        parameters: Vec::new(),
        precondition: None,
        postcondition: None,
        calls: Vec::new(),
        kind: Kind::Skill,
        environment: environment.to_owned(),
        code: Code::JavaScript,
        engine: None,
    })
}

fn check(manifest: &ExchangeManifest) -> Result<(), String> {
    if manifest.format != FORMAT {
        return Err(format!("its format is {}, but this program reads format {FORMAT}", manifest.format));
    }
    let named = |what: &str, name: &str| {
        if is_identifier(name) && name.len() <= MAX_NAME {
            return Ok(());
        }
        Err(format!("`{}` cannot be the name of a {what}", shown(name)))
    };
    named("skill", &manifest.name)?;
    if manifest.description.chars().count() > MAX_DESCRIPTION || manifest.description.trim().is_empty() {
        return Err(format!("the description is empty or longer than {MAX_DESCRIPTION} characters"));
    }
    if manifest.description.chars().any(char::is_control) {
        return Err("the description has control characters or line breaks".to_owned());
    }
    if manifest.parameters.len() > MAX_PARAMETERS {
        return Err(format!("it has more than {MAX_PARAMETERS} parameters"));
    }
    let mut names = BTreeSet::new();
    for parameter in &manifest.parameters {
        named("parameter", &parameter.name)?;
        if !names.insert(&parameter.name) {
            return Err(format!("the parameter `{}` is declared twice", parameter.name));
        }
        check_parameter(parameter)?;
    }
    for call in &manifest.calls {
        named("tool or skill", call)?;
    }
    let conditions = manifest.precondition.iter().chain(&manifest.postcondition);
    match conditions.flat_map(Condition::paths).find(|path| path.as_str().is_empty()) {
        Some(_) => Err("a condition needs the path of a value in the state".to_owned()),
        None => Ok(()),
    }
}

/// The type of a parameter must allow at least one value, and its default.
fn check_parameter(parameter: &Parameter) -> Result<(), String> {
    let name = &parameter.name;
    let bad = |reason: &str| Err(format!("the parameter `{name}` {reason}"));
    match &parameter.kind {
        ParameterKind::Integer { min, max } if min > max => return bad("allows no number"),
        ParameterKind::Choice(choices) if choices.is_empty() => return bad("allows no choice"),
        ParameterKind::Schema(schema) if !schema.is_object() && !schema.is_boolean() => {
            return bad("has a schema that is neither an object nor a boolean");
        }
        _ => {}
    }
    let fits = |value: &Value| match &parameter.kind {
        ParameterKind::Integer { min, max } => value.as_i64().is_some_and(|n| (*min..=*max).contains(&n)),
        ParameterKind::Choice(choices) => {
            value.as_str().is_some_and(|text| choices.iter().any(|c| c == text))
        }
        ParameterKind::Text => value.is_string(),
        ParameterKind::Boolean => value.is_boolean(),
        ParameterKind::Schema(_) => true,
    };
    match &parameter.default {
        Some(default) if !fits(default) => bad("has a default that it does not allow"),
        _ => Ok(()),
    }
}

/// Whether anything exists at `path`.
fn exists(path: &Path) -> bool {
    fs::symlink_metadata(path).is_ok()
}

/// Checks that `path` is a folder (or a file) and not a link. `None` if nothing exists there.
fn plain(path: &Path, folder: bool) -> Result<Option<()>, ExchangeError> {
    let refuse = |what| Err(ExchangeError::NotPlain { path: path.to_owned(), what });
    match fs::symlink_metadata(path) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
        Err(source) => Err(ExchangeError::io(path, source)),
        Ok(found) if found.is_symlink() => refuse("a link"),
        Ok(found) if folder && !found.is_dir() => refuse("not a folder"),
        Ok(found) if !folder && !found.is_file() => refuse("not a file"),
        Ok(_) => Ok(Some(())),
    }
}

fn bytes(path: &Path, limit: u64) -> Result<Vec<u8>, ExchangeError> {
    plain(path, false)?.ok_or_else(|| ExchangeError::Missing { path: path.to_owned() })?;
    let failed = |source| ExchangeError::io(path, source);
    let mut content = Vec::new();
    // Reading one byte beyond the limit detects an oversized file of any length.
    File::open(path).map_err(failed)?.take(limit + 1).read_to_end(&mut content).map_err(failed)?;
    if content.len() as u64 > limit {
        return Err(ExchangeError::TooLarge { path: path.to_owned(), limit });
    }
    Ok(content)
}

fn text(path: &Path) -> Result<String, ExchangeError> {
    String::from_utf8(bytes(path, MAX_TEXT)?)
        .map_err(|_| ExchangeError::malformed(path, "it is not UTF-8 text"))
}

fn optional(path: &Path) -> Result<Option<String>, ExchangeError> {
    plain(path, false)?.map(|()| text(path)).transpose()
}

fn document<T: DeserializeOwned>(path: &Path, text: &str) -> Result<T, ExchangeError> {
    serde_json::from_str(text).map_err(|error| ExchangeError::malformed(path, error.to_string()))
}
