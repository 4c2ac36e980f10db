//! Actions. Each is the code of a command.

use super::memories::{missing, parsed};
use super::{Answer, Shared, body};
use crate::json::answer;
use crate::{NewFork, NewStart, SkillTry, WantedMore};
use axum::body::Bytes;
use axum::extract::Path;
use axum::http::HeaderMap;
use serde::Deserialize;
use serde_json::{Map, Value, json};
use sojourn_memory::EventSeq;

/// `POST /runs/{run}/stop`
pub async fn stop(state: Shared, Path(run): Path<String>, headers: HeaderMap) -> Answer {
    let info = state.studio.store.run(&run).await?;
    state.studio.commands.stop(&info.id).await?;
    answer(&headers, &json!({"run": info.id, "asked": true}))
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Start {
    agent: String,
    #[serde(default)]
    goals: Vec<String>,
    #[serde(default)]
    settings: Vec<String>,
    seed: Option<u64>,
    steps: Option<u64>,
    minutes: Option<u64>,
}

/// `POST /runs`
pub async fn start(state: Shared, headers: HeaderMap, bytes: Bytes) -> Answer {
    let Start { agent, goals, settings, seed, steps, minutes } = body(&bytes)?;
    let wanted = NewStart { agent, goals, settings, seed, more: WantedMore { steps, minutes } };
    let run = state.studio.commands.start(wanted).await?;
    answer(&headers, &json!({"run": run}))
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Resume {
    agent: String,
    steps: Option<u64>,
    minutes: Option<u64>,
}

/// `POST /runs/{run}/resume`
pub async fn resume(state: Shared, Path(run): Path<String>, headers: HeaderMap, bytes: Bytes) -> Answer {
    let Resume { agent, steps, minutes } = body(&bytes)?;
    let info = state.studio.store.run(&run).await?;
    state.studio.commands.resume(&info.id, &agent, WantedMore { steps, minutes }).await?;
    answer(&headers, &json!({"run": info.id}))
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Fork {
    at: u64,
    #[serde(default)]
    settings: Vec<String>,
    prompt: Option<String>,
    title: Option<String>,
    agent: Option<String>,
    steps: Option<u64>,
    minutes: Option<u64>,
}

/// `POST /runs/{run}/fork`
pub async fn fork(state: Shared, Path(run): Path<String>, headers: HeaderMap, bytes: Bytes) -> Answer {
    let Fork { at, settings, prompt, title, agent, steps, minutes } = body(&bytes)?;
    let info = state.studio.store.run(&run).await?;
    let wanted = NewFork { settings, prompt, title, agent, more: WantedMore { steps, minutes } };
    let fork = state.studio.commands.fork(&info.id, EventSeq(at), wanted).await?;
    answer(&headers, &json!({"run": fork, "parent": info.id, "at": at}))
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Answered {
    allow: bool,
}

/// `POST /approvals/{id}`
pub async fn approve(state: Shared, Path(id): Path<String>, headers: HeaderMap, bytes: Bytes) -> Answer {
    let Answered { allow } = body(&bytes)?;
    answer(&headers, &state.studio.commands.answer(&id, allow).await?)
}

/// `POST /memories/{id}/forget`
pub async fn forget(state: Shared, Path(id): Path<String>, headers: HeaderMap) -> Answer {
    match state.studio.commands.forget(&parsed(&id)?).await? {
        Some(forgotten) => answer(&headers, &forgotten),
        None => Err(missing(id)),
    }
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Pin {
    pinned: bool,
}

/// `POST /memories/{id}/pin`
pub async fn pin(state: Shared, Path(id): Path<String>, headers: HeaderMap, bytes: Bytes) -> Answer {
    let Pin { pinned } = body(&bytes)?;
    if !state.studio.commands.pin(&parsed(&id)?, pinned).await? {
        return Err(missing(id));
    }
    answer(&headers, &json!({"id": id, "pinned": pinned}))
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Edit {
    text: String,
}

/// `POST /memories/{id}/edit`
pub async fn edit(state: Shared, Path(id): Path<String>, headers: HeaderMap, bytes: Bytes) -> Answer {
    let Edit { text } = body(&bytes)?;
    let memory = state.studio.commands.edit(&parsed(&id)?, &text).await?;
    answer(&headers, &memory)
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Retire {
    version: u32,
    reason: String,
}

/// `POST /skills/{name}/retire`
pub async fn retire(state: Shared, Path(name): Path<String>, headers: HeaderMap, bytes: Bytes) -> Answer {
    let Retire { version, reason } = body(&bytes)?;
    state.studio.commands.retire(&name, version, &reason).await?;
    answer(&headers, &json!({"name": name, "retired": version}))
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct RollBack {
    to: u32,
}

/// `POST /skills/{name}/rollback`
pub async fn roll_back(state: Shared, Path(name): Path<String>, headers: HeaderMap, bytes: Bytes) -> Answer {
    let RollBack { to } = body(&bytes)?;
    state.studio.commands.roll_back(&name, to).await?;
    answer(&headers, &json!({"name": name, "active": to}))
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Goal {
    goal: String,
    condition: Option<Value>,
}

/// `POST /runs/{run}/goals`
pub async fn add_goal(state: Shared, Path(run): Path<String>, headers: HeaderMap, bytes: Bytes) -> Answer {
    let Goal { goal, condition } = body(&bytes)?;
    let info = state.studio.store.run(&run).await?;
    state.studio.commands.add_goal(&info.id, &goal, condition.as_ref()).await?;
    answer(&headers, &json!({"run": info.id, "goal": goal}))
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Try {
    #[serde(default)]
    args: Map<String, Value>,
    #[serde(default = "one")]
    seed: u64,
    #[serde(default = "five_hundred")]
    steps: u32,
    agent: Option<String>,
}

fn one() -> u64 {
    1
}

fn five_hundred() -> u32 {
    500
}

/// `POST /skills/{name}/run`
pub async fn try_skill(state: Shared, Path(name): Path<String>, headers: HeaderMap, bytes: Bytes) -> Answer {
    let Try { args, seed, steps, agent } = body(&bytes)?;
    answer(&headers, &state.studio.commands.try_skill(&name, SkillTry { args, seed, steps, agent }).await?)
}
