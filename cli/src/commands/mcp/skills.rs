//! Active skills as tools: each call runs in a fresh world.

use super::{acting, read_only, schema};
use crate::home::Home;
use crate::worlds::Worlds;
use anyhow::{Context as _, Result};
use rmcp::model::Tool;
use serde_json::{Map, Value, json};
use sojourn_core::{SingleRun, diff, run_once};
use sojourn_sandbox::Sandbox;
use sojourn_skills::LibraryState;
use sojourn_tools::{ToolCall, arguments_schema, with_defaults};

/// The maximum number of environment steps of a call.
const STEPS: u32 = 1000;
/// The seed of a call without one.
const SEED: u64 = 0;

async fn library(home: &Home) -> Result<LibraryState> {
    Ok(home.read_library().await?.map(|library| library.state().clone()).unwrap_or_default())
}

/// The active skills whose world can be opened here, as tools.
pub async fn offered(home: &Home, worlds: &Worlds) -> Result<Vec<Tool>> {
    let library = library(home).await?;
    let tool = |(name, entry): (&str, &sojourn_skills::Entry)| {
        let manifest = &entry.skill.manifest;
        let mut input = arguments_schema(&manifest.parameters);
        if let Some(properties) = input.get_mut("properties").and_then(Value::as_object_mut) {
            let seed =
                json!({"type": "integer", "minimum": 0, "default": SEED, "description": "the world's seed"});
            properties.entry("seed").or_insert(seed);
        }
        let about = format!(
            "{} (a learned skill, in a fresh world of {})",
            manifest.description, manifest.environment
        );
        let tool = Tool::new(name.to_owned(), about, schema(input));
        if worlds.is_simulated(&manifest.environment) { read_only(tool) } else { acting(tool) }
    };
    let names = library.callables().map(|(name, _)| name);
    Ok(names.filter_map(|name| Some((name, callable(&library, worlds, name)?))).map(tool).collect())
}

/// The version of a skill that can be called here: that of the agent file's environment, or the latest whose world can be opened.
fn callable<'a>(library: &'a LibraryState, worlds: &Worlds, name: &str) -> Option<&'a sojourn_skills::Entry> {
    let environments = library.environments_of(name);
    let own = worlds.own_name().filter(|own| environments.contains(own));
    let environment =
        own.or_else(|| environments.iter().copied().find(|environment| worlds.has(environment)))?;
    library.active_in(name, environment)
}

/// Runs a skill in a fresh world, and returns its calls and the result.
pub async fn call(
    home: &Home,
    sandbox: &Sandbox,
    worlds: &Worlds,
    name: &str,
    mut args: Map<String, Value>,
) -> Result<Value> {
    let library = library(home).await?;
    let entry = callable(&library, worlds, name).with_context(|| format!("there is no tool `{name}`"))?;
    let manifest = &entry.skill.manifest;
    let library = library.of_environment(&manifest.environment);
    let own = manifest.parameters.iter().any(|parameter| parameter.name == "seed");
    let seed = if own { SEED } else { args.remove("seed").and_then(|seed| seed.as_u64()).unwrap_or(SEED) };
    let args = with_defaults(&manifest.parameters, args);
    let validator = jsonschema::validator_for(&arguments_schema(&manifest.parameters))?;
    if let Err(error) = validator.validate(&Value::Object(args.clone())) {
        anyhow::bail!("bad arguments for `{name}`: {error}");
    }
    let environment = worlds.open(&manifest.environment).await?;
    let call = ToolCall { name: name.to_owned(), args };
    let done = Box::pin(run_once(sandbox, &library, environment, seed, &call, STEPS)).await?;
    let SingleRun { verified, error, steps, unlocked, trace, before, after, ended } = done;
    // One state, with what changed, and not two states that a model would have to compare.
    let changed = diff(&before, &after);
    Ok(json!({
        "seed": seed,
        "result": {
            "verified": verified, "error": error, "steps": steps, "unlocked": unlocked, "trace": trace,
            "state": after, "changed": changed, "ended": ended,
        },
    }))
}
