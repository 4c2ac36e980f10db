//! `sojourn-bench controller`: the cost of the runtime on top of llama.cpp, and the gain of reuse.

mod ours;
mod peers;
mod report;

use crate::args::ControllerSpeed;
use anyhow::Result;
use indicatif::{ProgressBar, ProgressStyle};
use ours::{Ours, Prompts};
use peers::Peers;
use report::{Machine, Measure, Report};
use sojourn_cli::error::{Failure, Kind};
use sojourn_cli::{models, output};
use sojourn_controller::models::ModelKind;
use std::path::PathBuf;
use std::time::Duration;

/// Generated tokens where the speed of generation is measured.
const WRITTEN: u32 = 64;

/// The setting of a measurement.
struct Setting {
    model: PathBuf,
    threads: u32,
    runs: u32,
}

/// Measures the speed of the controller, as ratios of two figures taken one after the other.
pub async fn measure(args: ControllerSpeed) -> Result<()> {
    let models = models::open()?;
    let name = match &args.model {
        Some(name) => name.clone(),
        None => models::default_name(&models, ModelKind::Chat)?,
    };
    let cores = std::thread::available_parallelism().map_or(1, |cores| cores.get() as u32);
    let setting = Setting {
        model: models::path(&models, &name)?,
        threads: args.threads.unwrap_or(cores),
        runs: args.runs,
    };
    if args.load_only {
        ours::load(&setting).await?;
        return Ok(());
    }
    if !(2..=16).contains(&args.runs) {
        return Err(Failure::new(Kind::Usage, "`--runs` must be between 2 and 16").into());
    }
    let peers = args.peers.as_deref().map(Peers::find).transpose()?;
    let report = compare(&setting, &args, peers.as_ref(), &name).await?;
    if args.json { Ok(output::json(&report)?) } else { report.print() }
}

async fn compare(
    setting: &Setting,
    args: &ControllerSpeed,
    peers: Option<&Peers>,
    name: &str,
) -> Result<Report> {
    let bar = ProgressBar::new(u64::from(args.repeat) * if peers.is_some() { 13 } else { 9 });
    if let Ok(style) = ProgressStyle::with_template("{spinner} {wide_bar} {pos}/{len} {msg}") {
        bar.set_style(style);
    }
    bar.enable_steady_tick(Duration::from_millis(200));
    let step = |what: &'static str| {
        bar.inc(1);
        bar.set_message(what);
    };
    let mut read = Measure::at_least("reading a prompt", "tokens/s", "llama-bench", 0.98);
    let mut write = Measure::at_least("writing one answer", "tokens/s", "llama-bench", 0.98);
    let mut firsts = Measure::at_least("first steps of several runs", "tokens/s", "llama-server", 1.0);
    let mut firsts_in_turn =
        Measure::at_least("first steps of several runs", "tokens/s", "the same in turn", 2.5);
    let mut nexts = Measure::at_least("next steps of several runs", "tokens/s", "llama-server", 1.0);
    let mut nexts_in_turn =
        Measure::at_least("next steps of several runs", "tokens/s", "the same in turn", 2.5);
    let mut next = Measure::at_most("first token, 2k tokens known", "ms", "nothing known", 0.15);
    let mut bound = Measure::at_least("writing under a schema", "tokens/s", "any text", 0.95);
    let mut guessed = Measure::at_least("writing a program, guessing", "tokens/s", "token by token", 1.0);
    let mut resumed = Measure::at_most("first token, 2k tokens on disk", "ms", "nothing known", 0.1);
    let mut load = Measure::at_most("load to first token", "ms", "llama-cli", 1.1);

    let mut ours = Ours::open(setting).await?;
    // The first use of everything is not measured.
    ours.speed(64, 8).await?;
    for _ in 0..args.repeat {
        step("one run");
        let before = ours.speed(512, WRITTEN).await?;
        if let Some(peers) = peers {
            step("llama-bench");
            let theirs = peers.bench(setting, before.tokens, WRITTEN).await?;
            // Before and after: the speed of a shared machine varies.
            let after = ours.speed(512, WRITTEN).await?;
            read.add(f64::midpoint(before.read, after.read), theirs.read);
            write.add(f64::midpoint(before.write, after.write), theirs.write);
        } else {
            read.add_alone(before.read);
            write.add_alone(before.write);
        }
        for (prompts, against_server, against_turns) in [
            (Prompts::New, &mut firsts, &mut firsts_in_turn),
            (Prompts::Known, &mut nexts, &mut nexts_in_turn),
        ] {
            step("several runs");
            let at_once = ours.together(setting.runs, WRITTEN, prompts).await?;
            step("in turn");
            against_turns.add(at_once, ours.in_turn(setting.runs, WRITTEN, prompts).await?);
            if let Some(peers) = peers {
                step("llama-server");
                against_server.add(at_once, peers.server(setting, WRITTEN, prompts).await?);
            }
        }
        step("shared beginnings");
        let (cold, warm) = ours.next_step().await?;
        next.add(warm, cold);
        step("a schema");
        let (free, strict) = ours.constrained(WRITTEN * 2).await?;
        bound.add(strict, free);
        step("guessing");
        let (guesses, without) = ours::guessing(setting).await?;
        guessed.add(guesses, without);
        step("resuming");
        let (cold, disk) = ours::resume(setting).await?;
        resumed.add(disk, cold);
        if let Some(peers) = peers {
            step("loading");
            load.add(ours::load_in_a_process(setting, name).await?, peers.load(setting).await?);
        }
    }
    bar.finish_and_clear();
    Ok(Report {
        machine: Machine::this(),
        model: name.to_owned(),
        threads: setting.threads,
        runs: setting.runs,
        repeated: args.repeat,
        peers: peers.map(|peers| peers.version.clone()),
        measures: vec![
            read,
            write,
            firsts,
            firsts_in_turn,
            nexts,
            nexts_in_turn,
            next,
            bound,
            guessed,
            resumed,
            load,
        ]
        .into_iter()
        .filter(|measure| !measure.is_empty())
        .collect(),
    })
}
