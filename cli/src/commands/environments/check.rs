//! `sojourn environments check`: random steps in an environment.

use crate::agent_file::AgentFile;
use crate::home::Home;
use crate::output;
use crate::waiting::Waiting;
use anyhow::Result;
use serde_json::{Value, json};
use sojourn_core::seeds;
use sojourn_synthesis::calls_to_try;
use sojourn_tools::outside::quote;
use sojourn_tools::{Action, Environment, Progress};
use std::fmt::Write as _;
use std::path::Path;
use std::process::ExitCode;
use std::time::Instant;

/// Default number of steps.
const STEPS: u64 = 200;
/// Draws in a row that give no action, after which a walk ends.
const VAIN: u32 = 100;

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
    let mut walk = Walk::default();
    world.reset(seed).await?;
    walk.episodes = 1;
    let observation = world.observe()?;
    walk.seen.push((observation.text, observation.state));
    let mut vain = 0;
    for draw in 0.. {
        if walk.steps >= steps || vain >= VAIN {
            break;
        }
        let action = some_action(world, seeds::draw(seed, "check", draw))?;
        vain += 1;
        if let Some(action) = action {
            vain = 0;
            waiting.show(|| format!("{which} random walk, step {} of {steps}", walk.steps + 1));
            let begun = Instant::now();
            let outcome = world.step(&action).await?;
            walk.seconds += begun.elapsed().as_secs_f64();
            walk.steps += 1;
            walk.reward += outcome.reward;
            walk.unlocked.extend(outcome.unlocked);
            let observation = world.observe()?;
            walk.seen.push((observation.text, observation.state));
            if outcome.ended.is_some() && walk.steps < steps {
                world.reset(seed.wrapping_add(walk.episodes)).await?;
                walk.episodes += 1;
            }
        }
    }
    Ok(walk)
}

/// The first action of a random call, which is one of those that the world says are possible; of a world that does not say, one of its
/// actions without arguments, or a call that play would try. None where a policy forbids it.
fn some_action(world: &mut dyn Environment, drawn: u64) -> Result<Option<Action>> {
    let observation = world.observe()?;
    let plain = &world.spec().actions;
    let action = if observation.available.is_empty() && !plain.is_empty() {
        let permitted: Vec<&String> =
            plain.iter().filter(|action| world.permits(&Action((*action).clone()))).collect();
        permitted.get(drawn as usize % permitted.len().max(1)).map(|action| Action((*action).clone()))
    } else {
        let calls = calls_to_try(world.spec(), &observation.available, &observation.state, drawn);
        let Some(call) = calls.get(drawn as usize % calls.len().max(1)) else { return Ok(None) };
        world.begin(call)?;
        match world.advance()? {
            Progress::Act(action) => Some(action),
            Progress::Done(_) => None,
        }
    };
    Ok(action.filter(|action| world.permits(action)))
}
