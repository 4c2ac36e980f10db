use crate::agent_file::{self, AgentFile};
use crate::args::{Fork, Run};
use crate::error::{Failure, Kind};
use crate::home::Home;
use crate::models::{self, Loading};
use crate::session::{EffectiveConfig, RunContext, new_run};
use crate::{logbook, output};
use anyhow::{Context as _, Result};
use serde_json::json;
use sojourn_controller::ModelInfo;
use sojourn_core::{Budgets, ForkChanges, RunConfig, now_ms};
use sojourn_memory::{EventSeq, NewRun, RecordQuery, RunId, RunInfo, RunStatus, Store};
use sojourn_tools::WithGoals;
use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::time::Duration;

/// Makes a run from the first records of another one, and continues it.
pub async fn fork(home: Home, args: Fork) -> Result<ExitCode> {
    let prompt = args.prompt_file.as_deref().map(prompt).transpose()?;
    let Forked { home, run, parent, agent } = make(home, &args, prompt, None).await?;
    if args.no_run {
        if args.json {
            output::json(&json!({"run": run, "parent": parent, "at": args.at}))?;
        } else {
            output::line(run.to_string())?;
            let agent = output::shell_word(&agent.to_string_lossy());
            output::note(format!("continue it with `sojourn run {agent} --resume {run}`"));
        }
        return Ok(ExitCode::SUCCESS);
    }
    output::note(format!("run {run}: a fork of {parent} after record {}", args.at));
    let resume = Run {
        goals: Vec::new(),
        agent,
        steps: None,
        time: None,
        seed: None,
        overrides: with_model(of_file(&args), &args),
        resume: Some(Some(run.to_string())),
        pull: false,
        json: args.json,
        unsupervised: false,
        unattended: false,
        queue: false,
        labels: Vec::new(),
        scheduled: None,
        release_after: Duration::ZERO,
        worker: None,
        otlp: None,
        id: None,
        by: None,
    };
    super::run::supervise(home, run, &resume).await
}

/// A fork that does not run yet.
pub struct Forked {
    /// The home that holds it.
    pub home: Home,
    /// Id of the new run.
    pub run: RunId,
    /// The run that it was made from.
    pub parent: RunId,
    /// The agent file that continues it, or the name of its environment.
    pub agent: PathBuf,
}

/// The text of a prompt file.
fn prompt(path: &Path) -> Result<String> {
    std::fs::read_to_string(path).with_context(|| format!("cannot read `{}`", path.display()))
}

/// Makes a run from the first records of another one. `prompt` begins every request to the controller from there on; `by` is who
/// makes the fork, where that is not a person at a terminal.
///
/// # Errors
/// When there is no such record, the settings are wrong, or the agent file is of another environment.
pub async fn make(home: Home, args: &Fork, prompt: Option<String>, by: Option<&str>) -> Result<Forked> {
    let settings: Vec<String> = args.overrides.iter().filter(|one| is_of_run(one)).cloned().collect();
    let file = of_file(args);
    let store = home.store().await?;
    let parent = logbook::find_run(&store, &args.run).await?;
    if args.at == 0 || args.at > parent.last_seq.0 {
        return Err(Failure::new(
            Kind::NotFound,
            format!(
                "run `{}` has no record {}: its records are 1 to {}",
                parent.id, args.at, parent.last_seq
            ),
        )
        .hint(format!("`sojourn log {}` lists them", parent.id))
        .into());
    }
    let path = match &args.agent {
        Some(path) => path.clone(),
        None => own_environment(&home, &store, &parent).await?,
    };
    let agent = agent(&home, &path, args, &file)?;
    if !args.no_run {
        agent.environment.check_reachable().await?;
    }
    let world = agent.open_environment(home.environments()).await?;
    let environment = world.spec().name.clone();
    if environment != parent.environment {
        return Err(Failure::new(
            Kind::Usage,
            format!(
                "run `{}` is in the environment `{}`, but the agent file names `{}`",
                parent.id, parent.environment, environment
            ),
        )
        .hint("fork it with an agent file of the same environment")
        .into());
    }
    let context = RunContext::open(home, store).await?;
    let query = RecordQuery { to: Some(EventSeq(args.at)), ..RecordQuery::all() };
    let prefix = context.store.records(&parent.id, &query).await?;
    let started = context.started(&parent, prefix.first()).await?;
    let effective = EffectiveConfig::of(&context.store, &started, &prefix).await?;
    let mut config = adjusted(&effective.config, &settings)?;
    let world = WithGoals::as_recorded(world, &started.environment);
    let world = WithGoals::wrap(world, effective.goals.clone(), Vec::new());
    AgentFile::check_task_names(&config.tasks, world.spec())?;
    drop(world);
    if let Some(prompt) = prompt {
        config.instructions = Some(prompt.trim().to_owned()).filter(|prompt| !prompt.is_empty());
    }
    let model = model(&agent, args, &effective.model).await?;
    let more = Budgets {
        steps: args.steps,
        time_ms: args.time.map(|time| time.as_millis() as u64),
        ..Budgets::default()
    };
    let run = new_run();
    let changes = ForkChanges {
        run: run.clone(),
        config: Some(Box::new(config)),
        budgets: (more != Budgets::default()).then_some(more),
        model: Some(Box::new(model.clone())),
        by: by.map(str::to_owned),
    };
    let new = NewRun {
        created_ms: now_ms(),
        title: args.title.as_deref().map(|title| agent.redactor().text(title)),
        ..NewRun::new(run.clone(), &started.environment.name, &model.name)
    };
    let changes = serde_json::to_value(&changes)?;
    let writer = context.store.fork_run(&parent.id, EventSeq(args.at), new, changes).await?;
    writer.close(RunStatus::Paused).await?;
    let RunContext { home, .. } = context;
    Ok(Forked { home, run, parent: parent.id, agent: path })
}

/// Whether `--set` is about the run, and not about the agent file.
fn is_of_run(assignment: &str) -> bool {
    assignment.trim_start().starts_with("run.")
}

/// What `--set` says about the agent file.
fn of_file(args: &Fork) -> Vec<String> {
    args.overrides.iter().filter(|one| !is_of_run(one)).cloned().collect()
}

/// The environment of the parent, where its name alone may open it. A log may say any name: it is never taken for a file, and a
/// run from elsewhere does not choose code.
async fn own_environment(home: &Home, store: &Store, parent: &RunInfo) -> Result<PathBuf> {
    let name = &parent.environment;
    let registry = home.environments();
    let known = registry.get(name).is_some() && !Path::new(name).exists();
    if known && (!registry.name_chooses_code(name)? || !store.is_imported(&parent.id).await?) {
        return Ok(PathBuf::from(name));
    }
    let why = if known {
        "which runs code that its name chooses, and was imported"
    } else {
        "which an agent file describes"
    };
    Err(Failure::new(Kind::Usage, format!("run `{}` is in the environment `{name}`, {why}", parent.id))
        .hint("give the agent file with `--agent`")
        .into())
}

fn agent(home: &Home, path: &Path, args: &Fork, file: &[String]) -> Result<AgentFile> {
    AgentFile::read(home.environments(), path, &with_model(file.to_vec(), args))
}

/// The overrides of the agent file, including the model's.
fn with_model(mut file: Vec<String>, args: &Fork) -> Vec<String> {
    if let Some(model) = &args.model {
        file.push(format!("model={}", toml::Value::String(model.clone())));
    }
    file
}

/// The settings with `--set run.…` applied.
fn adjusted(config: &RunConfig, settings: &[String]) -> Result<RunConfig> {
    let mut table = toml::Table::new();
    table.insert("run".to_owned(), toml::Value::try_from(config)?);
    for assignment in settings {
        agent_file::assign(&mut table, assignment)?;
        let run = table.get("run").cloned().unwrap_or_else(|| toml::Value::Table(toml::Table::new()));
        run.try_into::<RunConfig>()
            .map_err(|error| Failure::new(Kind::Usage, format!("--set {assignment}: {}", error.message())))?;
    }
    let run = table.remove("run").unwrap_or_else(|| toml::Value::Table(toml::Table::new()));
    Ok(run.try_into()?)
}

/// The model that continues the run: the same one, unless the arguments may name another.
async fn model(agent: &AgentFile, args: &Fork, before: &ModelInfo) -> Result<ModelInfo> {
    if args.model.is_none() && args.agent.is_none() {
        return Ok(before.clone());
    }
    let controller = models::controller(agent, &models::open()?, false, Loading::IfAsked).await?;
    let model = controller.model();
    // Of a model that is not loaded, less is known than the log says of it.
    let same = model.name == before.name && model.sha256 == before.sha256;
    Ok(if same { before.clone() } else { model.clone() })
}
