use super::watched::{Seen, Watched, locked};
use crate::args::{SkillRun, Target};
use crate::error::{Failure, Kind};
use crate::home::Home;
use crate::worlds::Worlds;
use crate::{output, session};
use anyhow::Result;
use serde_json::{Map, Value, json};
use sojourn_core::{SingleRun, as_javascript, diff, run_once};
use sojourn_skills::LibraryState;
use sojourn_studio::Tried;
use sojourn_tools::{Environment, Parameter, ToolCall, with_defaults};
use std::path::PathBuf;
use std::process::ExitCode;
use std::sync::{Arc, Mutex};
use std::time::Duration;

/// How long a skill may run for the studio.
const LONGEST: Duration = Duration::from_mins(1);

/// Runs one skill in a fresh world, and prints its calls and the result.
pub async fn run(home: &Home, library: &LibraryState, args: SkillRun) -> Result<ExitCode> {
    let wanted = Wanted {
        args: object(&args.args)?,
        environment: args.environment,
        agent: args.agent,
        seed: args.seed,
        steps: args.steps,
        name: args.name,
    };
    let (call, outcome) = carry_out(home, library, &wanted, None).await?;
    if args.json {
        output::json(&json!({"call": call, "seed": wanted.seed, "result": outcome}))?;
    } else {
        print(&call, &outcome)?;
    }
    Ok(if outcome.verified { ExitCode::SUCCESS } else { ExitCode::from(Kind::Failure as u8) })
}

/// Runs one skill in a fresh world for the studio, and returns what the world showed. Only worlds that this program computes, and
/// practice worlds of others: nothing outside notices.
///
/// # Errors
/// When there is no such skill or world, the arguments do not fit, or it takes longer than [`LONGEST`].
pub async fn tried(home: &Home, library: &LibraryState, wanted: &Wanted) -> Result<Tried> {
    let seen = Arc::new(Mutex::new(Seen::default()));
    let running = carry_out(home, library, wanted, Some(&seen));
    let (call, outcome) = tokio::time::timeout(LONGEST, running).await.map_err(|_| {
        Failure::new(Kind::Failure, format!("it was not over after {} s", LONGEST.as_secs()))
            .hint("let it take fewer steps")
    })??;
    let verdict = verdict(&outcome);
    let Seen { moments, left_out, .. } = std::mem::take(&mut *locked(&seen));
    let outcome = json!({"call": call, "seed": wanted.seed, "result": outcome, "verdict": verdict});
    Ok(Tried { outcome, moments, left_out })
}

/// A skill that is to be run in a fresh world.
pub struct Wanted {
    /// Its name; the version in use runs.
    pub name: String,
    /// Its arguments by name.
    pub args: Map<String, Value>,
    /// The environment; `None` for the one that it was learned in.
    pub environment: Option<String>,
    /// The agent file that describes the environment.
    pub agent: Option<PathBuf>,
    /// The world's seed.
    pub seed: u64,
    /// The largest number of environment steps.
    pub steps: u32,
}

/// Runs a skill; with `seen` in a world that nothing outside notices, and remembers there what it shows.
async fn carry_out(
    home: &Home,
    library: &LibraryState,
    asked: &Wanted,
    seen: Option<&Arc<Mutex<Seen>>>,
) -> Result<(ToolCall, SingleRun)> {
    let target = Target { name: asked.name.clone(), version: None };
    super::find(library, &target)?;
    check_active(library, &asked.name)?;
    let worlds = Worlds::of(home, asked.agent.as_deref()).await?;
    let wanted = asked.environment.as_deref().or(worlds.own_name());
    let entry = super::in_use(library, &asked.name, wanted)?;
    if let Some(wanted) = wanted.filter(|wanted| *wanted != entry.environment()) {
        output::note(format!("`{}` was learned in `{}`, not in `{wanted}`", asked.name, entry.environment()));
    }
    let (library, manifest) = (&library.of_environment(entry.environment()), &entry.skill.manifest);
    let args = arguments(&manifest.parameters, asked.args.clone())?;
    let call = ToolCall { name: manifest.name.clone(), args };
    let name = wanted.unwrap_or(&manifest.environment);
    let environment = match seen {
        None => worlds.open(name).await?,
        Some(seen) => Box::new(Watched::new(harmless(&worlds, name).await?, Arc::clone(seen))),
    };

    // Where episodes are about different tasks, only those of the skill's own task show anything.
    let own = environment.spec().tasks.iter().find(|task| task.name == manifest.name);
    let seed = own.and_then(|task| task.episodes).map_or(asked.seed, |class| class.at_or_before(asked.seed));
    let sandbox = session::sandbox().await?;
    let outcome = run_once(&sandbox, library, environment, seed, &call, asked.steps).await?;
    Ok((call, outcome))
}

/// A world that this program computes, or a practice world of the one that the agent file describes. A skill's manifest may name any
/// world: it chooses no program here.
async fn harmless(worlds: &Worlds, name: &str) -> Result<Box<dyn Environment>> {
    if worlds.is_simulated(name) {
        return worlds.open(name).await;
    }
    if worlds.own_name() != Some(name) {
        return Err(Failure::new(Kind::Usage, format!("this program does not compute the world `{name}`"))
            .hint("choose an agent whose file describes it")
            .into());
    }
    worlds.open(name).await?.practice().ok_or_else(|| {
        Failure::new(
            Kind::Usage,
            format!("there is no practice world of `{name}`: what is done in it counts"),
        )
        .hint("`sojourn skills run` runs a skill there all the same")
        .into()
    })
}

fn check_active(state: &LibraryState, name: &str) -> Result<()> {
    if state.active(name).is_some() {
        return Ok(());
    }
    Err(Failure::new(Kind::NotFound, format!("no version of `{name}` is active"))
        .hint(format!("`sojourn skills show {name}` shows its status"))
        .into())
}

/// Reads the arguments.
fn object(text: &str) -> Result<Map<String, Value>> {
    serde_json::from_str(text).map_err(|error| {
        Failure::new(Kind::Usage, format!("--args: not a JSON object: {error}"))
            .hint("write it like '{\"n\": 3}'")
            .into()
    })
}

/// Checks the names of the arguments, and adds defaults.
fn arguments(parameters: &[Parameter], args: Map<String, Value>) -> Result<Map<String, Value>> {
    if let Some(unknown) = args.keys().find(|key| parameters.iter().all(|parameter| parameter.name != **key))
    {
        let names = parameters.iter().map(|parameter| parameter.name.as_str());
        return Err(Failure::unknown("parameter", unknown, names)
            .hint("`sojourn skills list` shows the parameters")
            .into());
    }
    let args = with_defaults(parameters, args);
    match parameters.iter().find(|parameter| !args.contains_key(&parameter.name)) {
        Some(missing) => {
            Err(Failure::new(Kind::Usage, format!("the argument `{}` is missing", missing.name)).into())
        }
        None => Ok(args),
    }
}

/// `reached its goal in 12 steps`
fn verdict(outcome: &SingleRun) -> String {
    let verdict = if outcome.verified { "reached its goal" } else { "did not reach its goal" };
    format!("{verdict} in {}", output::counted(outcome.steps, "step"))
}

fn print(call: &ToolCall, outcome: &SingleRun) -> Result<()> {
    output::line(as_javascript(call))?;
    for made in &outcome.trace {
        output::line(format!("  {:<32} {}", made.call, made.message))?;
    }
    output::line(verdict(outcome))?;
    if let Some(error) = &outcome.error {
        output::line(format!("stopped by: {error}"))?;
    }
    for unlocked in &outcome.unlocked {
        output::line(format!("unlocked {} at step {}", unlocked.task, unlocked.step))?;
    }
    if let Some(ending) = &outcome.ended {
        output::line(format!("the episode is over: {}", ending.cause))?;
    }
    if let Some(change) = diff(&outcome.before, &outcome.after) {
        output::line(format!("changed {change}"))?;
    }
    Ok(())
}
