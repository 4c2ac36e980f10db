//! `sojourn-bench crafter`: BALROG's protocol, with and without the parts of an agent.

use super::statistics::Statistics;
use super::{published, random};
use crate::args::Crafter;
use anyhow::Result;
use serde::Serialize;
use sojourn_cli::agent_file::AgentFile;
use sojourn_cli::beliefs;
use sojourn_cli::error::{Failure, Kind};
use sojourn_cli::evaluation::{Learning, Subject, Tokens, fresh_seeds, interrupted};
use sojourn_cli::home::Home;
use sojourn_cli::session::{LibraryHandle, stop_on_ctrl_c};
use sojourn_cli::{duration, output, table};
use sojourn_controller::Cancel;
use sojourn_core::{Budgets, ReflexSource, RunConfig};
use sojourn_crafter::{Scoreboard, UNDOCUMENTED, UndocumentedCrafter};
use sojourn_memory::{Memories, Store, Tick};
use sojourn_skills::{LibraryEvent, LibraryState};
use std::path::Path;
use std::process::ExitCode;
use std::time::{Duration, Instant};

const ENVIRONMENT: &str = "crafter";
/// Tokens of an episode in a comparison: fewer than either agent uses without a limit, so that both use the same number.
const MATCHED_TOKENS: u64 = 2500;

/// A benchmark's result.
#[derive(Debug, Serialize)]
struct Report {
    #[serde(flatten)]
    statistics: Statistics,
    /// Environment steps of all episodes that reflexes took.
    reflex_steps: u64,
    tokens: Tokens,
    seconds: f64,
    seeds: Vec<u64>,
    episode_steps: u64,
    /// "random", or the name of the controller's model.
    policy: String,
    library_skills: usize,
    /// The parts of the agent that were switched off.
    without: Vec<&'static str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    learning: Option<Learning>,
}

/// Plays episodes of Crafter and prints how far the agent got.
pub async fn crafter(home: &Home, args: Crafter) -> Result<ExitCode> {
    let worlds = fresh_seeds(args.first_seed, args.episodes)?;
    let achievements: Vec<String> = {
        let environment = home.environments().open(ENVIRONMENT).await?;
        environment
            .spec()
            .tasks
            .iter()
            .filter(|task| task.achievement)
            .map(|task| task.name.clone())
            .collect()
    };
    let cancel = Cancel::new();
    stop_on_ctrl_c(cancel.clone());
    if args.compare_memory {
        return compare_memory(home, &args, &worlds, &achievements, &cancel).await;
    }
    let report = if args.random_policy {
        let begun = Instant::now();
        let stats = random::play(home, ENVIRONMENT, &worlds, args.steps, &cancel).await?;
        (!cancel.is_cancelled()).then(|| Report {
            reflex_steps: 0,
            tokens: Tokens::default(),
            seconds: begun.elapsed().as_secs_f64(),
            policy: "random".to_owned(),
            library_skills: 0,
            without: vec!["agent"],
            learning: None,
            statistics: Statistics::of(&stats.episodes, &achievements),
            seeds: worlds,
            episode_steps: args.steps,
        })
    } else {
        Box::pin(measure(home, &args, worlds, &achievements, cancel)).await?
    };
    let Some(report) = report else { return Ok(interrupted()) };
    if args.json {
        output::json(&report)?;
    } else {
        print(&report)?;
    }
    Ok(ExitCode::SUCCESS)
}

/// Measures the same agent in the same worlds with memories and without.
async fn compare_memory(
    home: &Home,
    args: &Crafter,
    worlds: &[u64],
    achievements: &[String],
    cancel: &Cancel,
) -> Result<ExitCode> {
    let mut reports = Vec::new();
    for no_memory in [false, true] {
        let episode_tokens = Some(args.episode_tokens.unwrap_or(MATCHED_TOKENS));
        let args = Crafter { no_memory, episode_tokens, ..args.clone() };
        match Box::pin(measure(home, &args, worlds.to_vec(), achievements, cancel.clone())).await? {
            Some(report) => reports.push(report),
            None => return Ok(interrupted()),
        }
    }
    if args.json {
        output::json(&serde_json::json!({"with": reports[0], "without": reports[1]}))?;
        return Ok(ExitCode::SUCCESS);
    }
    let mut table =
        table::new(["memory", "progress %", "score %", "steps", "prompt + generated", "tokens an episode"]);
    table::numbers(&mut table, [1, 2, 3, 4, 5]);
    for (name, Report { statistics, tokens, .. }) in ["with", "without"].into_iter().zip(&reports) {
        let all = (tokens.prompt + tokens.generated) as f64;
        table.add_row([
            name.to_owned(),
            format!("{:.1} ± {:.1}", statistics.progress_percent, statistics.progress_se),
            format!("{:.1}", statistics.score),
            format!("{:.0}", statistics.mean_steps),
            format!("{} + {}", tokens.prompt, tokens.generated),
            format!("{:.0}", all / statistics.episodes as f64),
        ]);
    }
    table::print(&table)?;
    output::line("± is the standard error of the mean; a difference below twice both is none")?;
    Ok(ExitCode::SUCCESS)
}

/// Copies the memories of `home` into the temporary home. New memories stay in the temporary home.
async fn lend_memories(home: &Home, store: &Store) -> Result<()> {
    const PAGE: usize = 500;
    let (own, lent) = (Memories::new(home.store().await?), Memories::new(store.clone()));
    let tenant = Home::tenant()?;
    let mut after = Tick(0);
    loop {
        let page = own.export(&tenant, after, PAGE, true).await?;
        let Some(last) = page.last() else { return Ok(()) };
        after = last.memory.made;
        lent.import(&tenant, &page).await?;
    }
}

/// The library with its reflexes switched off.
fn without_reflexes(mut library: LibraryState) -> Result<LibraryState> {
    let names: Vec<String> =
        library.reflexes().iter().map(|entry| entry.skill.manifest.name.clone()).collect();
    for name in names {
        library.apply(&LibraryEvent::Switched { name, enabled: false })?;
    }
    Ok(library)
}

/// Measures an agent; `None` if it was interrupted.
async fn measure(
    home: &Home,
    args: &Crafter,
    worlds: Vec<u64>,
    achievements: &[String],
    cancel: Cancel,
) -> Result<Option<Report>> {
    let (mut agent, mut reflexes) = subject_file(home, args)?;
    agent.model = args.model.clone().or(agent.model);
    agent.run.memory &= !args.no_memory;
    agent.run.library &= !args.no_library;
    agent.run.deliberate &= !args.no_deliberation;
    agent.run.episode_steps = args.steps;
    agent.run.episode_tokens = args.episode_tokens.or(agent.run.episode_tokens);
    agent.run.budgets = Budgets::default();
    // Only learning writes, and only then a subject that does not deliberate needs the model.
    agent.run.learning = args.learn_episodes.is_some() || args.learn_minutes.is_some();
    if args.no_reflex {
        reflexes.clear();
    }
    let (subject, store) = Subject::of(home, agent, reflexes, cancel, achievements.len()).await?;
    if args.compare_memory && subject.config.memory {
        lend_memories(home, &store).await?;
    }
    let mut found = None;
    let (library, learning) = if args.learn_episodes.is_some() || args.learn_minutes.is_some() {
        let episodes =
            (0..args.learn_episodes.unwrap_or(0)).map(|index| subject.learning_seed(index)).collect();
        let world = home.environments().open(world_name(args)).await?;
        match Box::pin(subject.learn(world, episodes, args.learn_minutes)).await? {
            Some((core, learning)) => {
                let spec = core.spec();
                found = Some((spec.tasks.clone(), spec.recipes.clone()));
                (core.library().clone(), Some(learning))
            }
            None => return Ok(None),
        }
    } else {
        let library = home.read_library().await?;
        let library = library.map(|library| library.state().clone()).unwrap_or_default();
        // Skills for the documented game are written down too.
        (if args.undocumented { library.of_environment(UNDOCUMENTED) } else { library }, None)
    };
    let library_skills = library.all_active().count();
    let config = RunConfig { learning: false, episodes: worlds.clone(), ..subject.config.clone() };
    let begun = Instant::now();
    let library = if args.no_reflex { without_reflexes(library)? } else { library };
    let scoreboard = Scoreboard::default();
    let environment = if args.undocumented {
        let (tasks, recipes) = match found {
            Some(found) => found,
            None => match beliefs::of_world(&home.store().await?, UNDOCUMENTED).await? {
                Some(found) => (found.tasks, found.recipes),
                None => (Vec::new(), Vec::new()),
            },
        };
        beliefs::with(Box::new(UndocumentedCrafter::scored(scoreboard.clone())), tasks, recipes)
    } else {
        home.environments().open(ENVIRONMENT).await?
    };
    let library = LibraryHandle::InMemory(library);
    let Some((core, mut stats)) =
        Box::pin(subject.run_with_progress(environment, config, library, "measuring: ")).await?
    else {
        return Ok(None);
    };
    if args.undocumented {
        // The run saw no achievements. One reset is one episode.
        for (episode, unlocked) in stats.episodes.iter_mut().zip(scoreboard.episodes()) {
            episode.unlocked = unlocked.into_iter().map(|name| (name, episode.steps)).collect();
        }
    }
    Ok(Some(Report {
        statistics: Statistics::of(&stats.episodes, achievements),
        reflex_steps: stats.episodes.iter().map(|episode| episode.reflex_steps).sum(),
        tokens: core.totals().into(),
        seconds: begun.elapsed().as_secs_f64(),
        seeds: worlds,
        episode_steps: args.steps,
        policy: subject.models.controller.model().name.clone(),
        library_skills,
        without: without(args),
        learning,
    }))
}

/// The given agent file, or the built-in example.
fn subject_file(home: &Home, args: &Crafter) -> Result<(AgentFile, Vec<ReflexSource>)> {
    let path = args.agent.as_deref().unwrap_or(Path::new(world_name(args)));
    let agent = AgentFile::read(home.environments(), path, &[])?;
    if agent.environment.name() != Some(world_name(args)) {
        return Err(Failure::new(
            Kind::Usage,
            format!("the agent file does not have the environment `{}`", world_name(args)),
        )
        .hint("this benchmark measures Crafter only")
        .into());
    }
    let reflexes = agent.reflex_sources()?;
    Ok((agent, reflexes))
}

/// The environment that is measured.
fn world_name(args: &Crafter) -> &'static str {
    if args.undocumented { UNDOCUMENTED } else { ENVIRONMENT }
}

fn without(args: &Crafter) -> Vec<&'static str> {
    let named = [
        (args.no_library, "library"),
        (args.no_memory, "memory"),
        (args.no_reflex, "reflexes"),
        (args.no_deliberation, "deliberation"),
        (args.undocumented, "documentation"),
    ];
    named.into_iter().filter(|(left_out, _)| *left_out).map(|(_, name)| name).collect()
}

fn print(report: &Report) -> Result<()> {
    let Statistics { episodes, progress_percent, progress_se, score, mean_steps, per_achievement, deaths } =
        &report.statistics;
    let mut table = table::new(["achievement", "episodes %"]);
    table::numbers(&mut table, [1]);
    let mut rates: Vec<_> = per_achievement.iter().collect();
    rates.sort_by(|one, other| other.1.total_cmp(one.1));
    for (name, rate) in rates {
        table.add_row([name.clone(), format!("{rate:.0}")]);
    }
    table::print(&table)?;
    let without = if report.without.is_empty() {
        String::new()
    } else {
        format!(", without {}", report.without.join(", "))
    };
    let time = |seconds: f64| duration::show(Duration::from_secs_f64(seconds));
    output::line(format!(
        "\nmeasured here: {}{without}; {}; {}, seeds {} to {}",
        report.policy,
        output::counted(report.library_skills, "skill"),
        output::counted(*episodes, "episode"),
        report.seeds.first().copied().unwrap_or_default(),
        report.seeds.last().copied().unwrap_or_default()
    ))?;
    if let Some(learning) = &report.learning {
        output::line(format!(
            "  learned before, from nothing: {} in {} ({} in {}, {} + {} tokens)",
            output::counted(learning.skills.len(), "skill"),
            time(learning.seconds),
            output::counted(learning.steps, "step"),
            output::counted(learning.episodes, "episode"),
            learning.tokens.prompt,
            learning.tokens.generated
        ))?;
    }
    output::line(format!(
        "  progress    {progress_percent:.1} ± {progress_se:.1} % (mean and standard error)"
    ))?;
    output::line(format!("  score       {score:.1} %"))?;
    output::line(format!(
        "  steps       {mean_steps:.0} an episode, of at most {}; {deaths} deaths",
        report.episode_steps
    ))?;
    output::line(format!(
        "  tokens      {} + {} (prompt + generated)",
        report.tokens.prompt, report.tokens.generated
    ))?;
    output::line(format!("  time        {}", time(report.seconds)))?;
    Ok(published::print()?)
}
