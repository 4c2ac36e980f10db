//! `sojourn environments check`: random steps in an environment.

use crate::agent_file::AgentFile;
use crate::home::Home;
use crate::output;
use crate::waiting::Waiting;
use anyhow::Result;
use serde_json::{Value, json};
use sojourn_core::seeds;
use sojourn_tools::outside::quote;
use sojourn_tools::{Action, Environment};
use std::fmt::Write as _;
use std::path::Path;
use std::process::ExitCode;
use std::time::Instant;

/// Default number of steps.
const STEPS: u64 = 200;

/// The results of one random walk.
#[derive(Default)]
struct Walk {
    /// The texts and states of the observations, in order.
    seen: Vec<(String, Value)>,
    steps: u64,
    episodes: u64,
    reward: f64,
    unlocked: Vec<String>,
    seconds: f64,
}

/// The column at which the actions and the tasks begin.
const LISTS: usize = 9;

/// Prints what the environment offers, the results of a random walk, and whether repeating the walk gives the same.
pub async fn check(home: &Home, name: &str, seed: u64, steps: Option<u64>, json: bool) -> Result<ExitCode> {
    let path = Path::new(name);
    let mut world = if path.is_file() {
        let agent = AgentFile::read(home.environments(), path, &[])?;
        agent.environment.check_reachable().await?;
        agent.open_environment(home.environments()).await?
    } else {
        home.environments().open(name).await?
    };
    let spec = world.spec().clone();
    // Where trials need the user's word, so do random steps.
    let steps = steps.unwrap_or(if spec.practice { STEPS } else { 0 });
    if steps == 0 && !spec.practice {
        output::note(
            "no random steps are taken in a world without `practice = true`; `--steps N` takes some",
        );
    }
    let waiting = Waiting::on(&format!("taking {steps} random steps, twice"));
    let first = walk(world.as_mut(), seed, steps, ("first", &waiting)).await?;
    let second = walk(world.as_mut(), seed, steps, ("second", &waiting)).await?;
    drop(waiting);
    let diverged = first.seen.iter().zip(&second.seen).position(|(one, other)| one != other);
    let longest = first.seen.iter().map(|(text, _)| text.chars().count()).max().unwrap_or_default();
    let rate = if first.steps == 0 { 0.0 } else { first.steps as f64 / first.seconds };
    if json {
        output::json(&json!({
            "name": spec.name, "version": spec.version, "about": spec.about,
            "actions": spec.actions, "tools": spec.tools, "tasks": spec.tasks,
            "repeats": diverged.is_none(), "diverged_after": diverged,
            "steps": first.steps, "episodes": first.episodes, "reward": first.reward, "unlocked": first.unlocked,
            "longest_text": longest, "steps_per_second": rate,
            "first": {"text": first.seen[0].0, "state": first.seen[0].1},
        }))?;
        return Ok(ExitCode::SUCCESS);
    }
    let tasks: Vec<&str> = spec.tasks.iter().map(|task| task.name.as_str()).collect();
    let mut text = format!(
        "{}{}\n{}\n\nactions  {}\ntasks    {}\n\nfirst observation:\n",
        spec.name,
        if spec.version.is_empty() { String::new() } else { format!(" ({})", spec.version) },
        spec.about,
        spec.actions.join(", "),
        if tasks.is_empty() {
            "none: an agent has nothing to do in this environment".to_owned()
        } else {
            tasks.join(", ")
        },
    );
    for line in first.seen[0].0.lines() {
        text.push_str("  ");
        text.push_str(line);
        text.push('\n');
    }
    text.push('\n');
    match diverged {
        None => text.push_str("Repeating the seed and the steps gave the same observations.\n"),
        Some(0) => {
            text.push_str(
                "Repeating the seed began another episode: the environment is not deterministic.\n",
            );
        }
        // Writing to a string cannot fail.
        Some(step) => {
            let _ = writeln!(
                text,
                "Repeating the seed and the steps gave other observations after {step} steps: the environment is not deterministic."
            );
        }
    }
    let _ = writeln!(
        text,
        "{} random steps, {rate:.0} a second: {}, reward {:.2}, achievements: {}. The longest observation has {longest} characters.",
        first.steps,
        output::counted(first.episodes, "episode"),
        first.reward,
        if first.unlocked.is_empty() {
            "none".to_owned()
        } else {
            quote::one_line(&first.unlocked.join(", "))
        },
    );
    for line in text.trim_end().lines() {
        let is_list = ["actions  ", "tasks    "].iter().any(|head| line.starts_with(head));
        output::folding_line(line, if is_list { LISTS } else { 2 })?;
    }
    Ok(ExitCode::SUCCESS)
}

/// Takes random steps; `turn` is the name of the walk, and the line that shows how far it is.
async fn walk(world: &mut dyn Environment, seed: u64, steps: u64, turn: (&str, &Waiting)) -> Result<Walk> {
    let (which, waiting) = turn;
    let mut actions = world.spec().actions.clone();
    actions.retain(|action| world.permits(&Action(action.clone())));
    let mut walk = Walk::default();
    world.reset(seed).await?;
    walk.episodes = 1;
    let observation = world.observe()?;
    walk.seen.push((observation.text, observation.state));
    for step in 0..steps {
        let drawn = seeds::draw(seed, "check", step) % actions.len().max(1) as u64;
        let Some(action) = actions.get(drawn as usize) else { break };
        waiting.show(|| format!("{which} random walk, step {} of {steps}", step + 1));
        let begun = Instant::now();
        let outcome = world.step(&Action(action.clone())).await?;
        walk.seconds += begun.elapsed().as_secs_f64();
        walk.steps += 1;
        walk.reward += outcome.reward;
        walk.unlocked.extend(outcome.unlocked);
        let observation = world.observe()?;
        walk.seen.push((observation.text, observation.state));
        if outcome.ended.is_some() && step + 1 < steps {
            world.reset(seed.wrapping_add(walk.episodes)).await?;
            walk.episodes += 1;
        }
    }
    Ok(walk)
}
