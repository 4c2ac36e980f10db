//! The `sojourn` program with a home of its own.

use crate::{command, endpoint};
use serde_json::Value;
use std::path::{Path, PathBuf};
use std::process::{Command, Output};
use tempfile::TempDir;

/// A directory in which the program runs and keeps its home, without the user's settings.
pub struct Place {
    directory: TempDir,
    program: PathBuf,
}

/// Exit code and output of the program. `[PLACE]` replaces the path of its [`Place`].
#[derive(Debug)]
pub struct Answer {
    /// Exit code; -1 if a signal ended the program.
    pub code: i32,
    /// Standard output.
    pub stdout: String,
    /// Standard error.
    pub stderr: String,
}

impl Place {
    /// An empty place for a program: `Place::new(env!("CARGO_BIN_EXE_sojourn"))`.
    pub fn new(program: impl Into<PathBuf>) -> Self {
        Self { directory: tempfile::tempdir().unwrap(), program: program.into() }
    }

    /// The directory itself.
    pub fn path(&self) -> &Path {
        self.directory.path()
    }

    /// Writes a file, and the directories that it is in.
    pub fn write(&self, name: &str, contents: impl AsRef<[u8]>) {
        let path = self.path().join(name);
        std::fs::create_dir_all(path.parent().unwrap()).unwrap();
        std::fs::write(path, contents).unwrap();
    }

    /// Writes `agent.toml`: an agent whose model is a script, see [`endpoint`]. `keys` come first, as
    /// `environment = "crafter"`; `tables` come last.
    pub fn write_agent(&self, keys: &str, tables: &str) {
        let text = format!(
            "{keys}\nmodel = \"scripted\"\nembedding = \"none\"\n\
             [controller]\nkind = \"openai\"\nbase_url = \"{}\"\n{tables}",
            endpoint()
        );
        self.write("agent.toml", text);
    }

    /// The program with these arguments, here. It dies with the test.
    pub fn command(&self, args: &[&str]) -> Command {
        command_in(self.path(), &self.program, args)
    }

    /// Runs the program to its end.
    pub fn run(&self, args: &[&str]) -> Answer {
        self.answer(&self.command(args).output().unwrap())
    }

    /// The answer of a process that [`command`](Self::command) started.
    pub fn answer(&self, output: &Output) -> Answer {
        let place = self.path().display().to_string();
        let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).replace(&place, "[PLACE]");
        Answer {
            code: output.status.code().unwrap_or(-1),
            stdout: text(&output.stdout),
            stderr: text(&output.stderr),
        }
    }

    /// The output of a command that must succeed.
    pub fn text(&self, args: &[&str]) -> String {
        let answer = self.run(args);
        assert!(answer.is_ok(), "{args:?}: {answer}");
        answer.stdout
    }

    /// The JSON document of a command with `--json`, which must succeed.
    pub fn json(&self, args: &[&str]) -> Value {
        serde_json::from_str(&self.text(&[args, &["--json"]].concat())).unwrap()
    }

    /// The JSON documents of a command with `--json` that prints one a line.
    pub fn json_lines(&self, args: &[&str]) -> Vec<Value> {
        let text = self.text(&[args, &["--json"]].concat());
        text.lines().map(|line| serde_json::from_str(line).unwrap()).collect()
    }

    /// Exit code and standard error of a command that must print nothing on standard output, as one text.
    pub fn complaint(&self, args: &[&str]) -> String {
        let answer = self.run(args);
        assert_eq!(answer.stdout, "", "an error leaves stdout alone");
        format!("exit code {}\n{}", answer.code, answer.stderr)
    }
}

/// A program with these arguments that runs in `place` and keeps its home there. It dies with the test.
pub fn command_in(place: &Path, program: &Path, args: &[&str]) -> Command {
    let mut command = command(program);
    command
        .args(args)
        .current_dir(place)
        .env("SOJOURN_HOME", place.join("home"))
        .env("SOJOURN_MODELS", place.join("models"))
        .env("XDG_CACHE_HOME", cache().unwrap_or_else(|| place.join("cache")));
    for variable in ["RUST_LOG", "SOJOURN_VECTORS", "SOJOURN_KNOWLEDGE_HOSTS"] {
        command.env_remove(variable);
    }
    command
}

/// A cache, as of the compiled engine, that all tests share and that outlives them. It is below the target directory, which has
/// this program in `debug/deps`.
fn cache() -> Option<PathBuf> {
    Some(std::env::current_exe().ok()?.ancestors().nth(3)?.join("tmp/cache"))
}

impl Answer {
    /// Whether the program succeeded.
    pub fn is_ok(&self) -> bool {
        self.code == 0
    }

    /// The document that it printed.
    pub fn json(&self) -> Value {
        serde_json::from_str(&self.stdout).unwrap_or_else(|error| panic!("{error}: {self}"))
    }
}

impl std::fmt::Display for Answer {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "exit code {}\n{}\n{}", self.code, self.stdout, self.stderr)
    }
}
