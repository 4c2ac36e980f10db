//! A place with an agent and its home, the program under a fault, and the invariants.

use anyhow::{Context as _, Result, bail, ensure};
use serde_json::Value;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Output, Stdio};
use std::time::{Duration, Instant};

/// The library that makes calls fail.
const SOURCE: &str = include_str!("faults.c");
/// Time limit for a process and for every wait; a process that takes longer hangs.
pub const PATIENCE: Duration = Duration::from_mins(5);

/// The compiled library.
pub struct Shim(pub(super) PathBuf);

impl Shim {
    /// Compiles the library into a directory.
    ///
    /// # Errors
    /// When there is no C compiler.
    pub fn build(place: &Path) -> Result<Self> {
        std::fs::create_dir_all(place)?;
        let (source, library) = (place.join("faults.c"), place.join("faults.so"));
        std::fs::write(&source, SOURCE)?;
        let built = Command::new("cc")
            .args(["-shared", "-fPIC", "-O1", "-o"])
            .args([&library, &source])
            .arg("-ldl")
            .status()
            .context("cannot start the C compiler `cc`")?;
        ensure!(built.success(), "`cc` cannot compile faults.c");
        Ok(Self(library.canonicalize()?))
    }
}

/// A directory with `agent.toml` and a home, removed at the end.
pub struct Place(tempfile::TempDir);

/// The run of a place as it is recorded: its id, and its records as lines of JSON.
#[derive(Debug)]
pub struct Recorded {
    pub run: String,
    pub records: Vec<Value>,
}

impl Place {
    /// A place whose agent asks the model at `endpoint`.
    pub fn new(endpoint: &str) -> Result<Self> {
        Self::with(endpoint, "")
    }

    /// The same with further tables in the agent file.
    pub fn with(endpoint: &str, tables: &str) -> Result<Self> {
        let place = tempfile::tempdir()?;
        std::fs::write(place.path().join("agent.toml"), Self::agent(endpoint, tables))?;
        Ok(Self(place))
    }

    /// The text of such an agent file.
    pub fn agent(endpoint: &str, tables: &str) -> String {
        format!(
            "environment = \"crafter\"\nmodel = \"scripted\"\nembedding = \"none\"\n\
             [controller]\nkind = \"openai\"\nbase_url = \"{endpoint}\"\ntimeout_ms = 5000\n{tables}"
        )
    }

    /// The program with these arguments.
    pub fn command(&self, args: &[&str]) -> Command {
        let here = std::env::current_exe().unwrap_or_default();
        let mut command = sojourn_testkit::command(here.with_file_name("sojourn"));
        command.args(args).current_dir(self.0.path());
        command.env("SOJOURN_HOME", self.home()).env("SOJOURN_MODELS", self.0.path().join("models"));
        command
    }

    /// The program under faults.
    pub fn faulty(&self, shim: &Shim, args: &[&str], variables: &[(&str, &str)]) -> Command {
        let mut command = self.command(args);
        command.env("LD_PRELOAD", &shim.0).envs(variables.iter().copied());
        command
    }

    /// The directory itself.
    pub fn path(&self) -> &Path {
        self.0.path()
    }

    pub fn home(&self) -> PathBuf {
        self.0.path().join("home")
    }

    /// The newest run. `None` before there is one.
    pub fn recorded(&self) -> Result<Option<Recorded>> {
        let runs: Value = serde_json::from_str(&self.text(&["runs", "--json"])?)?;
        let Some(run) = runs[0]["run"].as_str() else { return Ok(None) };
        let records = self.text(&["log", run, "--json"])?;
        let records: Vec<Value> = records.lines().map(serde_json::from_str).collect::<Result<_, _>>()?;
        Ok(Some(Recorded { run: run.to_owned(), records }))
    }

    /// Number of records of the newest run, 0 if there is none.
    pub fn count(&self) -> u64 {
        let runs = self.text(&["runs", "--json"]).unwrap_or_default();
        let runs: Value = serde_json::from_str(&runs).unwrap_or_default();
        runs[0]["records"].as_u64().unwrap_or(0)
    }

    /// Standard output of the program, which must succeed.
    pub fn text(&self, args: &[&str]) -> Result<String> {
        let output = finish(self.command(args))?;
        let said = String::from_utf8_lossy(&output.stderr);
        ensure!(output.status.success(), "`sojourn {}` failed: {said}", args.join(" "));
        Ok(String::from_utf8(output.stdout)?)
    }

    /// Checks that the run is whole, resumes it to its end without faults, and checks that it is the same run.
    pub fn holds(&self) -> Result<()> {
        let Some(before) = self.recorded().context("after the fault")? else { return Ok(()) };
        numbered(&before)?;
        self.text(&["log", "verify", &before.run]).context("after the fault")?;
        self.text(&["run", "agent.toml", "--resume", &before.run, "--steps", "60", "--time", "4m", "--json"])
            .context("resumed")?;
        let after = self.recorded()?.context("the run is gone")?;
        ensure!(after.run == before.run, "another run is the newest");
        numbered(&after)?;
        ensure!(after.records.len() >= before.records.len(), "records were lost");
        for (old, new) in before.records.iter().zip(&after.records) {
            ensure!(old == new, "a record was changed: {old} became {new}");
        }
        self.text(&["log", "verify", &after.run])?;
        let verdict: Value =
            serde_json::from_str(&self.text(&["replay", &after.run, "--verify", "--json"])?)?;
        ensure!(verdict["matched"] == true, "the replay differs: {verdict}");
        Ok(())
    }
}

/// Checks that the records are numbered from 1 without gaps.
fn numbered(recorded: &Recorded) -> Result<()> {
    for (record, expected) in recorded.records.iter().zip(1_u64..) {
        ensure!(
            record["seq"] == expected,
            "record {expected} of `{}` has the number {}",
            recorded.run,
            record["seq"]
        );
    }
    Ok(())
}

/// Runs a command to its end.
pub fn finish(mut command: Command) -> Result<Output> {
    let child = command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped()).spawn()?;
    wait(child)
}

/// Waits for a process, and ends one that hangs.
pub fn wait(child: Child) -> Result<Output> {
    let id = child.id().to_string();
    let (sender, receiver) = std::sync::mpsc::channel();
    std::thread::spawn(move || sender.send(child.wait_with_output()));
    if let Ok(output) = receiver.recv_timeout(PATIENCE) {
        return Ok(output?);
    }
    // It leads a process group of its own.
    let _ = Command::new("kill").args(["-KILL", "--", &format!("-{id}")]).status();
    bail!("it hangs")
}

/// Waits until something holds.
pub fn until(what: &str, mut holds: impl FnMut() -> bool) -> Result<()> {
    let begun = Instant::now();
    while !holds() {
        ensure!(begun.elapsed() < PATIENCE, "waited in vain until {what}");
        std::thread::sleep(Duration::from_millis(50));
    }
    Ok(())
}

/// Checks that a run that failed says why in words, one of which is in `words`: as an error, or in the summary of a run that ended.
pub fn says(output: &Output, words: &[&str]) -> Result<()> {
    let streams =
        [&output.stderr, &output.stdout].map(|stream| String::from_utf8_lossy(stream).to_lowercase());
    let said = streams.join("\n");
    ensure!(!said.contains("panicked"), "it panicked: {said}");
    if output.status.success() || words.iter().any(|word| said.contains(word)) {
        return Ok(());
    }
    bail!("it failed ({}) without a word of {words:?}: {said}", output.status)
}
