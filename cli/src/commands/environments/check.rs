//! An environment tried by steps that are drawn by chance.

use crate::agent_file::AgentFile;
use crate::environments;
use crate::output;
use anyhow::Result;
use serde_json::{Value, json};
use sojourn_core::seeds;
use sojourn_tools::{Action, Environment};
use std::fmt::Write as _;
use std::path::Path;
use std::process::ExitCode;
use std::time::Instant;

/// What one walk came to.
#[derive(Default)]
struct Walk {
    /// What was seen: observations' texts and states, in order.
    seen: Vec<(String, Value)>,
    steps: u64,
    episodes: u64,
    reward: f64,
    unlocked: Vec<String>,
    seconds: f64,
}

/// Tells what there is, what a walk at random came to, and whether the same walk comes to the same again.
pub async fn check(name: &str, seed: u64, steps: u64, json: bool) -> Result<ExitCode> {
    let path = Path::new(name);
    let mut world = if path.is_file() {
        let agent = AgentFile::read(path, &[])?;
        agent.environment.open(&agent.directory).await?
    } else {
        environments::open(name).await?
    };
    let spec = world.spec().clone();
    let first = walk(world.as_mut(), seed, steps).await?;
    let second = walk(world.as_mut(), seed, steps).await?;
    let parted = first.seen.iter().zip(&second.seen).position(|(one, other)| one != other);
    let longest = first.seen.iter().map(|(text, _)| text.chars().count()).max().unwrap_or_default();
    let rate = first.steps as f64 / first.seconds;
    if json {
        output::json(&json!({
            "name": spec.name, "version": spec.version, "about": spec.about,
            "actions": spec.actions, "tools": spec.tools, "tasks": spec.tasks,
            "repeats": parted.is_none(), "parted_after": parted,
            "steps": first.steps, "episodes": first.episodes, "reward": first.reward, "unlocked": first.unlocked,
            "longest_text": longest, "steps_per_second": rate,
            "first": {"text": first.seen[0].0, "state": first.seen[0].1},
        }))?;
        return Ok(ExitCode::SUCCESS);
    }
    let tasks: Vec<&str> = spec.tasks.iter().map(|task| task.name.as_str()).collect();
    let mut text = format!(
        "{} ({})\n{}\n\nactions  {}\ntasks    {}\n\nwhat is seen first:\n",
        spec.name,
        spec.version,
        spec.about,
        spec.actions.join(", "),
        if tasks.is_empty() { "none: an agent has nothing to do here".to_owned() } else { tasks.join(", ") },
    );
    for line in first.seen[0].0.lines() {
        text.push_str("  ");
        text.push_str(line);
        text.push('\n');
    }
    text.push('\n');
    match parted {
        None => text.push_str("The same seed and steps gave the same again.\n"),
        Some(0) => text.push_str("The same seed began another episode: it does not do the same twice.\n"),
        // Writing to a string cannot fail.
        Some(step) => {
            let _ = writeln!(text, "The same seed and steps gave something else after {step} of them.");
        }
    }
    let _ = writeln!(
        text,
        "{} steps at random, {rate:.0} a second: {} episodes, reward {:.2}, achievements: {}. The longest text has {longest} characters.",
        first.steps,
        first.episodes,
        first.reward,
        if first.unlocked.is_empty() { "none".to_owned() } else { first.unlocked.join(", ") },
    );
    output::line(text.trim_end())?;
    Ok(ExitCode::SUCCESS)
}

async fn walk(world: &mut dyn Environment, seed: u64, steps: u64) -> Result<Walk> {
    let actions = world.spec().actions.clone();
    let mut walk = Walk::default();
    world.reset(seed).await?;
    walk.episodes = 1;
    let observation = world.observe()?;
    walk.seen.push((observation.text, observation.state));
    for step in 0..steps {
        let drawn = seeds::draw(seed, "check", step) % actions.len().max(1) as u64;
        let Some(action) = actions.get(drawn as usize) else { break };
        let begun = Instant::now();
        let outcome = world.step(&Action(action.clone())).await?;
        walk.seconds += begun.elapsed().as_secs_f64();
        walk.steps += 1;
        walk.reward += outcome.reward;
        walk.unlocked.extend(outcome.unlocked);
        let observation = world.observe()?;
        walk.seen.push((observation.text, observation.state));
        if outcome.ended.is_some() && step + 1 < steps {
            walk.episodes += 1;
            world.reset(seed + walk.episodes - 1).await?;
        }
    }
    Ok(walk)
}
