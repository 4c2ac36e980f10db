//! The long tests: a real run of at least 500 records is killed after every record, each time resumed by another process; the
//! log's properties are tested with many more cases than in CI; every reader of outside data is fuzzed; and faults of the machine
//! are injected.

use anyhow::{Context as _, Result, bail};
use std::path::{Path, PathBuf};
use std::process::Command;

/// The smallest number of records: a shorter run proves little.
const RECORDS: u64 = 500;
/// Default number of cases for each property.
const CASES: &str = "2000";
const PROPERTIES: [&str; 6] = ["machine::", "log::", "damage::", "carry::", "arbitrary::", "core_laws::"];
/// Number of records at which a bounded soak kills its run, about.
const KILLS: u64 = 50;
/// Default number of executions of all readers of outside data together.
const EXECUTIONS: &str = "10000000";

/// Runs the soak test; `words` are `--home HOME`, `--run RUN`, `--cases N`, `--executions N`, `--minutes N`.
///
/// With `--minutes` it is bounded: the readers are fuzzed for that long, the run is killed at about 50 of its records, and
/// without `--cases` the properties have as many cases as in CI.
///
/// # Errors
/// When a word is unknown, or a resumed run differs from the recorded one.
pub fn run(words: &[String]) -> Result<()> {
    let (mut home, mut run, mut cases) = (None, "latest".to_owned(), None);
    let mut executions = EXECUTIONS.to_owned();
    let mut minutes = None;
    let mut words = words.iter();
    while let Some(word) = words.next() {
        let value = words.next().with_context(|| format!("`{word}` needs a value"))?.clone();
        match word.as_str() {
            "--home" => home = Some(PathBuf::from(value)),
            "--run" => run = value,
            "--cases" => cases = Some(value),
            "--executions" => executions = value,
            "--minutes" => minutes = Some(value),
            other => bail!("unknown option `{other}`: --home, --run, --cases, --executions or --minutes"),
        }
    }
    // First, because it needs no model.
    let mut fuzz = vec!["run", "--package", "sojourn-fuzz", "--", "--executions", &executions];
    fuzz.extend(minutes.iter().flat_map(|minutes: &String| ["--minutes", minutes.as_str()]));
    cargo(&fuzz, &[])?;
    cargo(&["build", "--workspace", "--bin", "sojourn"], &[])?;
    let place = Path::new(env!("CARGO_MANIFEST_DIR")).join("../target/soak");
    let home = match home {
        Some(home) => home,
        None => learn(&place)?,
    };
    let (run, records) = find(&home, &run)?;
    if records < RECORDS {
        bail!(
            "run `{run}` has {records} records: give one with at least {RECORDS} (`--home HOME --run RUN`)"
        );
    }
    let every = if minutes.is_some() { (records / KILLS).max(1) } else { 1 };
    sojourn(&home, &["simulate-crash", &run, "--every", &every.to_string()])?;
    let mut test = vec!["test", "--workspace", "--test", "it", "--"];
    test.extend(PROPERTIES);
    let cases = cases.or_else(|| minutes.is_none().then(|| CASES.to_owned()));
    let cases: Vec<(&str, &str)> = cases.iter().map(|cases| ("PROPTEST_CASES", cases.as_str())).collect();
    cargo(&test, &cases)?;
    crate::faults::run(&[])
}

/// Lets the default model learn in a home of its own until there is a run to kill.
fn learn(home: &Path) -> Result<PathBuf> {
    if home.exists() {
        std::fs::remove_dir_all(home)?;
    }
    sojourn(home, &["run", "examples/crafter/agent.toml", "--pull", "--seed", "3", "--time", "5m"])?;
    Ok(home.to_owned())
}

/// The id of the run with that name, and the number of its records.
fn find(home: &Path, run: &str) -> Result<(String, u64)> {
    let output = program(home, &["runs", "--json"]).output().context("cannot start sojourn")?;
    let runs: serde_json::Value = serde_json::from_slice(&output.stdout).context("there are no runs")?;
    let runs = runs.as_array().context("there are no runs")?;
    let name = |one: &serde_json::Value| one["run"].as_str().unwrap_or_default().to_owned();
    let found = runs.iter().find(|one| run == "latest" || name(one).starts_with(run));
    let found = found.with_context(|| format!("no run `{run}` in {}", home.display()))?;
    Ok((name(found), found["records"].as_u64().unwrap_or(0)))
}

fn program(home: &Path, words: &[&str]) -> Command {
    // Cargo puts the program beside this one, in any target directory.
    let here = std::env::current_exe().unwrap_or_default();
    let mut command = Command::new(here.with_file_name("sojourn"));
    command.current_dir(Path::new(env!("CARGO_MANIFEST_DIR")).join("..")).arg("--home").arg(home).args(words);
    command
}

fn sojourn(home: &Path, words: &[&str]) -> Result<()> {
    let status = program(home, words).status().context("cannot start sojourn")?;
    if status.success() { Ok(()) } else { bail!("`sojourn {}` failed: {status}", words.join(" ")) }
}

fn cargo(words: &[&str], variables: &[(&str, &str)]) -> Result<()> {
    let mut command = crate::cargo::command();
    command.args(words).envs(variables.iter().copied());
    let status = command.status().context("cannot start cargo")?;
    if status.success() { Ok(()) } else { bail!("`cargo {}` failed: {status}", words.join(" ")) }
}
