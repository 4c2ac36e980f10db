//! Fuzzes every reader of outside data: `cargo run -p sojourn-fuzz -- [TARGET…] [--executions N] [--minutes N] [--seed N]`.
//!
//! Each execution mutates an entry of the target's corpus and hands it to the reader. The input depends on the seed, the target
//! and the number of the execution alone, so that every failure can be repeated. A failure is a panic, an execution that lasts
//! longer than 20 seconds, or a process that needs more than 2 GiB. The input of a panic or a hang is written to `target/fuzz/`,
//! and `--input FILE` runs a target on it. Memory is measured at the end, for the whole process: no input is known to be the cause.

#![forbid(unsafe_code)]
#![allow(clippy::print_stdout, clippy::print_stderr, reason = "a chore that a person watches")]

mod mutate;
mod targets;

use anyhow::{Context as _, Result, bail, ensure};
use clap::Parser;
use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread::ScopedJoinHandle;
use std::time::{Duration, Instant};
use targets::{TARGETS, Target};

/// The longest time of one execution.
const LONGEST: Duration = Duration::from_secs(20);
/// The most memory that this process may ever need, in KiB.
const MOST_MEMORY_KIB: u64 = 2 << 20;

/// The command line.
#[derive(Debug, Parser)]
struct Args {
    /// The targets [default: all].
    targets: Vec<String>,
    /// Executions of all targets together. Slow targets get a smaller share.
    #[arg(long, default_value_t = 1_000_000)]
    executions: u64,
    /// Minutes after which no further execution begins; each target has its share of them.
    #[arg(long)]
    minutes: Option<u64>,
    /// The seed of the mutations.
    #[arg(long, default_value_t = 1)]
    seed: u64,
    /// Run the target once, on this file.
    #[arg(long)]
    input: Option<PathBuf>,
}

fn main() -> ExitCode {
    match run(&Args::parse()) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("error: {error:#}");
            ExitCode::FAILURE
        }
    }
}

fn run(args: &Args) -> Result<()> {
    let chosen: Vec<&Target> = match args.targets.as_slice() {
        [] => TARGETS.iter().collect(),
        names => names.iter().map(|name| named(name)).collect::<Result<_>>()?,
    };
    if let Some(path) = &args.input {
        let [target] = chosen[..] else { bail!("name the one target that the input is for") };
        let input = std::fs::read(path).with_context(|| format!("cannot read `{}`", path.display()))?;
        (target.run)(&input);
        return Ok(());
    }
    // `execute` catches panics and reports them with their inputs.
    std::panic::set_hook(Box::new(|_| ()));
    let shares: f64 = chosen.iter().map(|target| target.share).sum();
    let mut all = 0;
    for target in chosen {
        let count = (args.executions as f64 * target.share / shares).ceil() as u64;
        let begun = Instant::now();
        let time = args.minutes.map(|minutes| Duration::from_mins(minutes).mul_f64(target.share / shares));
        let count = fuzz(target, count, args.seed, time.map(|time| begun + time))?;
        all += count;
        let seconds = begun.elapsed().as_secs_f64();
        println!("{:<16} {count:>10} executions in {seconds:>6.1} s", target.name);
    }
    let memory = most_memory_kib();
    println!("{all} executions without a failure; at most {} MiB of memory", memory >> 10);
    if memory > MOST_MEMORY_KIB {
        bail!("a reader needed more than {} MiB", MOST_MEMORY_KIB >> 10);
    }
    Ok(())
}

fn named(name: &str) -> Result<&'static Target> {
    TARGETS.iter().find(|target| target.name == name).with_context(|| {
        let names: Vec<&str> = TARGETS.iter().map(|target| target.name).collect();
        format!("no target named `{name}`: {}", names.join(", "))
    })
}

/// The current execution of a worker thread, for [`watch`].
#[derive(Default)]
struct Running {
    /// Number of finished executions.
    done: AtomicU64,
    input: Mutex<Vec<u8>>,
}

/// Executes a target on every processor, `count` times or until the time is over. Returns how often.
fn fuzz(target: &Target, count: u64, seed: u64, until: Option<Instant>) -> Result<u64> {
    let threads = std::thread::available_parallelism().map_or(1, usize::from) as u64;
    let corpus = (target.corpus)();
    ensure!(!corpus.is_empty(), "`{}` has no corpus", target.name);
    let running: Vec<Arc<Running>> = (0..threads).map(|_| Arc::default()).collect();
    std::thread::scope(|scope| {
        let workers: Vec<_> = (0..threads)
            .zip(&running)
            .map(|(first, running)| {
                let corpus = &corpus;
                scope.spawn(move || {
                    (first..count)
                        .step_by(threads as usize)
                        .take_while(|_| until.is_none_or(|until| Instant::now() < until))
                        .try_for_each(|number| execute(target, corpus, seed, number, running))
                })
            })
            .collect();
        watch(target, &running, &workers);
        workers.into_iter().try_for_each(|worker| match worker.join() {
            Ok(result) => result,
            Err(_) => bail!("a thread of the fuzzer ended"),
        })
    })?;
    Ok(running.iter().map(|one| one.done.load(Ordering::SeqCst)).sum())
}

fn execute(target: &Target, corpus: &[Vec<u8>], seed: u64, number: u64, running: &Running) -> Result<()> {
    let mut random = mutate::random(seed, target.name, number);
    let input = mutate::mutated(corpus, &mut random);
    running.input.lock().unwrap_or_else(PoisonError::into_inner).clone_from(&input);
    let outcome = std::panic::catch_unwind(|| (target.run)(&input));
    running.done.fetch_add(1, Ordering::SeqCst);
    if let Err(panic) = outcome {
        let why = panic
            .downcast_ref::<String>()
            .map(String::as_str)
            .or_else(|| panic.downcast_ref::<&str>().copied())
            .unwrap_or("no message");
        bail!("`{}` panicked: {why}\nits input is in `{}`", target.name, kept(target, &input)?.display());
    }
    Ok(())
}

/// Waits for the workers. Ends the process when one execution takes too long.
fn watch<T>(target: &Target, running: &[Arc<Running>], workers: &[ScopedJoinHandle<'_, T>]) {
    let mut seen: Vec<(u64, Instant)> = running.iter().map(|_| (u64::MAX, Instant::now())).collect();
    while !workers.iter().all(ScopedJoinHandle::is_finished) {
        std::thread::sleep(Duration::from_millis(50));
        for ((one, worker), (done, since)) in running.iter().zip(workers).zip(&mut seen) {
            let now = one.done.load(Ordering::SeqCst);
            if now != *done {
                (*done, *since) = (now, Instant::now());
            } else if since.elapsed() > LONGEST && !worker.is_finished() {
                let input = one.input.lock().unwrap_or_else(PoisonError::into_inner).clone();
                let place = kept(target, &input).unwrap_or_default();
                eprintln!("error: `{}` hangs; its input is in `{}`", target.name, place.display());
                std::process::abort();
            }
        }
    }
}

/// Writes the input of a failure.
fn kept(target: &Target, input: &[u8]) -> Result<PathBuf> {
    let directory = Path::new(env!("CARGO_MANIFEST_DIR")).join("../target/fuzz");
    std::fs::create_dir_all(&directory)?;
    let name = sojourn_memory::Hash::of(input).to_string();
    let path = directory.join(format!("{}-{}", target.name, &name[..12]));
    std::fs::write(&path, input)?;
    Ok(path)
}

/// The most memory that this process ever had, where the system says so.
fn most_memory_kib() -> u64 {
    let status = std::fs::read_to_string("/proc/self/status").unwrap_or_default();
    let line = status.lines().find_map(|line| line.strip_prefix("VmHWM:"));
    line.and_then(|line| line.trim().trim_end_matches(" kB").parse().ok()).unwrap_or(0)
}
