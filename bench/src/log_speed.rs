//! `sojourn-bench log`: the cost of the log, measured in one invocation so that the figures can be compared.

use crate::args::LogSpeed;
use anyhow::{Context as _, Result};
use serde_json::{Map, Value, json};
use sojourn_cli::error::{Failure, Kind};
use sojourn_cli::home::Home;
use sojourn_cli::logbook;
use sojourn_cli::output;
use sojourn_cli::scratch::Scratch;
use sojourn_cli::session::{LibraryHandle, Models, Plan, RunContext, Watch};
use sojourn_cli::vectors::Vectors;
use sojourn_controller::{Cancel, ModelInfo, RecordedController};
use sojourn_core::{Budgets, RecordKind, RunConfig, Silent};
use sojourn_memory::{Durability, NewRun, RecordQuery, RunId, RunInfo, RunStatus, Store};
use sojourn_skills::LibraryState;
use sojourn_tools::Action;
use std::path::Path;
use std::sync::Arc;
use std::time::Instant;

/// Records between durable commits: the size of the writer's own groups.
const GROUP: u32 = 64;
/// Environment steps of the live run.
const LIVE_STEPS: u64 = 3000;

/// Measures, and prints the figures.
pub async fn measure(home: Home, args: &LogSpeed) -> Result<()> {
    let place = Scratch::create_in(existing(home.path())).context("cannot create a temporary directory")?;
    let mut figures = Map::new();
    figures.insert("load_before".to_owned(), load());
    // With `SOJOURN_STORE`, an empty database of a server is measured.
    let store = if home.server().is_some() { home.store().await? } else { Store::open(place.path()).await? };
    figures.insert("append".to_owned(), append(&store, args.records).await?);
    figures.insert("verify".to_owned(), verify(&store).await?);
    let (turns, each) = turns(&store, args.turns).await?;
    figures.insert("turns".to_owned(), turns);
    if let Some(run) = &args.run {
        let own = home.store().await?;
        let info = logbook::find_run(&own, run).await?;
        figures.insert("size".to_owned(), size(&own, &info).await?);
        let context = RunContext::open(home, own).await?;
        let (checked, library, model) = replay(&context, &info, false).await?;
        figures.insert("replay".to_owned(), checked);
        figures.insert("replay_without_practice".to_owned(), replay(&context, &info, true).await?.0);
        figures.insert(
            "live_steps".to_owned(),
            Box::pin(live_run(context, &info, store, library, model)).await?,
        );
    }
    let mut peers = Vec::new();
    for command in &args.peers {
        let mut told = peer(command, args.turns, place.path()).await?;
        if let Some(theirs) = told.get("us_per_turn").and_then(Value::as_f64) {
            told["ratio"] = json!(theirs / each);
        }
        peers.push(told);
    }
    figures.insert("peers".to_owned(), Value::Array(peers));
    figures.insert("load_after".to_owned(), load());
    if args.json {
        return Ok(output::json(&figures)?);
    }
    for (name, figure) in &figures {
        output::line(format!("{name:<12} {figure}"))?;
    }
    Ok(())
}

/// The nearest existing directory, on the disk of the home, which is measured.
fn existing(path: &Path) -> &Path {
    path.ancestors().find(|path| path.is_dir()).unwrap_or(Path::new("."))
}

/// The load average of the last minute.
fn load() -> Value {
    let text = std::fs::read_to_string("/proc/loadavg").unwrap_or_default();
    text.split(' ').next().and_then(|number| number.parse::<f64>().ok()).map_or(Value::Null, Value::from)
}

/// A typical record of a step of a game.
fn step(n: u32) -> Value {
    let action = ["move_left", "do", "place_stone", "noop"][(n % 4) as usize];
    json!({"action": action, "change": {
        "facing": "stone", "near": ["coal", "stone"], "position": [n % 64, n / 64 % 64], "step": n,
        "seen": {"tree": {"distance": n % 9, "dx": -3}, "coal": {"distance": 2, "dx": -2}, "table": {"dx": 5}},
    }})
}

async fn append(store: &Store, records: u32) -> Result<Value> {
    let mut figures = Map::new();
    for (name, group, count) in [("grouped", GROUP, records), ("one_by_one", 1, records / 20)] {
        let new = NewRun::new(RunId::new(0, group as u16), "speed", "none");
        let mut writer = store.create_run(new).await?;
        let begun = Instant::now();
        for n in 0..count {
            writer.append(RecordKind::Stepped.as_str(), i64::from(n), step(n), Vec::new()).await?;
            if n % group == group - 1 {
                writer.commit(Durability::Effect).await?;
            }
        }
        writer.commit(Durability::Effect).await?;
        let each = begun.elapsed().as_secs_f64() / f64::from(count.max(1));
        writer.close(RunStatus::Finished).await?;
        figures.insert(
            name.to_owned(),
            json!({"records": count, "us_per_record": each * 1e6, "records_per_s": 1.0 / each}),
        );
    }
    Ok(figures.into())
}

async fn verify(store: &Store) -> Result<Value> {
    let run = RunId::new(0, GROUP as u16);
    let mut best = f64::INFINITY;
    let mut bytes = 0;
    for _ in 0..5 {
        let begun = Instant::now();
        bytes = store.verify(&run, |_, _| ()).await?.bytes;
        best = best.min(begun.elapsed().as_secs_f64());
    }
    Ok(json!({"bytes": bytes, "best_seconds": best, "mb_per_s": bytes as f64 / best / 1e6}))
}

/// An agent's loop without a model and without a world: a durable request, a durable answer, a call, a step and its result.
/// Returns the figures, and the microseconds of a turn.
async fn turns(store: &Store, turns: u32) -> Result<(Value, f64)> {
    let mut writer = store.create_run(NewRun::new(RunId::new(0, 7777), "speed", "none")).await?;
    let prompt = "You decide what the player does next. ".repeat(30);
    let begun = Instant::now();
    for n in 0..turns {
        let at = i64::from(n);
        let blob = writer.put_blob(prompt.as_bytes()).await?;
        let question = json!({"purpose": "choose", "prompt": {"$blob": blob}, "n": n});
        writer.append(RecordKind::AskController.as_str(), at, question, vec![blob]).await?;
        writer.commit(Durability::Effect).await?;
        writer
            .append(
                RecordKind::ControllerAnswered.as_str(),
                at,
                json!({"text": "{\"task\": \"collect_wood\"}"}),
                Vec::new(),
            )
            .await?;
        writer.commit(Durability::Effect).await?;
        writer
            .append(RecordKind::Act.as_str(), at, json!({"call": {"name": "collect_wood"}}), Vec::new())
            .await?;
        writer.append(RecordKind::Stepped.as_str(), at, step(n), Vec::new()).await?;
        writer
            .append(RecordKind::Acted.as_str(), at, json!({"steps": 1, "unlocked": []}), Vec::new())
            .await?;
    }
    writer.commit(Durability::Effect).await?;
    let each = begun.elapsed().as_secs_f64() * 1e6 / f64::from(turns.max(1));
    writer.close(RunStatus::Finished).await?;
    Ok((
        json!({"turns": turns, "records_per_turn": 5, "durable_commits_per_turn": 2, "us_per_turn": each}),
        each,
    ))
}

/// The size of the run alone in a temporary home.
async fn size(store: &Store, info: &RunInfo) -> Result<Value> {
    let place = Scratch::create()?;
    let alone = Store::open(place.path()).await?;
    let empty = alone.size().await?;
    let mut lines = store.export(&info.id, None).await?;
    let mut importer = alone.import(sojourn_memory::ImportLimits::default())?;
    while let Some(line) = lines.next().await? {
        importer.line(&serde_json::to_string(&line)?).await?;
    }
    importer.finish().await?;
    let bytes = alone.size().await?.saturating_sub(empty);
    alone.close().await;
    let steps =
        store.records(&info.id, &RecordQuery::all().kinds([RecordKind::Stepped.as_str()])).await?.len();
    let each = bytes as f64 / steps.max(1) as f64;
    Ok(json!({"bytes": bytes, "records": info.last_seq, "steps": steps, "bytes_per_step": each}))
}

/// Replays the run, with practice repeated or taken from the records. Returns the figures, the final library and the model.
async fn replay(
    context: &RunContext,
    info: &RunInfo,
    trusting: bool,
) -> Result<(Value, LibraryState, ModelInfo)> {
    let watch = Watch::unguarded(Arc::new(Silent), Cancel::new());
    let begun = Instant::now();
    let (session, records) = context.replay(info, trusting, watch).await?;
    let model = session.started.model.clone();
    let (_, core) = session.driver.run(session.started_ms).await?;
    let seconds = begun.elapsed().as_secs_f64();
    let recorded = (info.last_at_ms - info.created_ms) as f64 / 1000.0;
    let figures = json!({
        "records": records,
        "seconds": seconds,
        "recorded_seconds": recorded,
        "times_real_time": recorded / seconds,
    });
    Ok((figures, core.library().clone(), model))
}

/// A live run in the same environment with the final library and without a model: a skill in the sandbox carries out every
/// step, and the log records it. The share of the environment is measured by repeating its steps alone.
async fn live_run(
    context: RunContext,
    info: &RunInfo,
    store: Store,
    library: LibraryState,
    model: ModelInfo,
) -> Result<Value> {
    let context = RunContext { store, ..context };
    let config = RunConfig {
        learning: false,
        memory: false,
        deliberate: false,
        budgets: Budgets { steps: Some(LIVE_STEPS), ..Budgets::default() },
        ..RunConfig::default()
    };
    let plan = Plan {
        config,
        reflexes: Vec::new(),
        library: LibraryHandle::InMemory(library),
        title: None,
        run: None,
    };
    let controller = RecordedController::new(model, []);
    let models =
        Models { controller: Arc::new(controller), embedder: None, vectors: Vectors::default(), tools: None };
    let watch = Watch::unguarded(Arc::new(Silent), Cancel::new());
    let world = context.home.environments().open(&info.environment).await?;
    let session = Box::pin(context.begin(world, plan, &models, watch)).await?;
    let run = session.run.clone();
    let begun = Instant::now();
    session.driver.run(session.started_ms).await?;
    let seconds = begun.elapsed().as_secs_f64();

    let records = context.store.records(&run, &RecordQuery::all()).await?;
    let mut world = context.home.environments().open(&info.environment).await?;
    let (mut steps, mut alone) = (0_u64, 0.0);
    for record in &records {
        match RecordKind::of(record)? {
            RecordKind::StartEpisode => world.reset(record.payload["seed"].as_u64().unwrap_or(0)).await?,
            RecordKind::Stepped => {
                let action = record.payload["action"].as_str().unwrap_or_default();
                let begun = Instant::now();
                world.step(&Action(action.to_owned())).await?;
                alone += begun.elapsed().as_secs_f64();
                steps += 1;
            }
            _ => {}
        }
    }
    let weight = size(&context.store, &context.store.run(run.as_str()).await?).await?;
    let each = |seconds: f64| seconds * 1e6 / steps.max(1) as f64;
    Ok(json!({
        "steps": steps, "records": records.len(), "us_per_step": each(seconds), "of_it_us_world": each(alone),
        "us_runtime": each(seconds - alone), "bytes_per_step": weight["bytes_per_step"],
    }))
}

/// Runs another runtime's program, and returns the figures that it prints.
async fn peer(command: &str, turns: u32, place: &Path) -> Result<Value> {
    let mut words = command.split_whitespace();
    let program = words.next().ok_or_else(|| Failure::new(Kind::Usage, "`--peer` needs a command"))?;
    let output = tokio::process::Command::new(program)
        .args(words)
        .arg(turns.to_string())
        .arg(place)
        .output()
        .await
        .with_context(|| format!("cannot start `{program}`"))?;
    if !output.status.success() {
        let told = String::from_utf8_lossy(&output.stderr);
        let last = told.lines().last().unwrap_or_default();
        return Err(Failure::new(Kind::Failure, format!("`{command}` failed: {last}")).into());
    }
    serde_json::from_slice(&output.stdout).with_context(|| format!("`{command}` did not print JSON"))
}
