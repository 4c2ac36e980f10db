//! A version of the suite: fetched once into the user's cache, and run.

use super::server::Server;
use super::verdict::{self, Side, Verdict};
use anyhow::{Context as _, Result, bail};
use std::fs::File;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

/// The suite crashes on older ones.
const NODE: &str = "node@22";
/// Milliseconds that a scenario of a client may take.
const PATIENCE: &str = "30000";
/// How long all scenarios of one side may take.
const ALL: Duration = Duration::from_mins(5);

/// A version of the suite.
pub struct Suite {
    version: &'static str,
    /// Where it is installed, and what it has seen.
    place: PathBuf,
}

/// Where the versions are.
pub fn cache() -> Result<PathBuf> {
    let cache = std::env::var_os("XDG_CACHE_HOME")
        .map(PathBuf::from)
        .or_else(|| Some(PathBuf::from(std::env::var_os("HOME")?).join(".cache")))
        .context("there is no cache directory: set HOME or XDG_CACHE_HOME")?;
    Ok(cache.join("sojourn/npm/conformance"))
}

impl Suite {
    /// It, installed if it is not.
    pub fn installed(version: &'static str) -> Result<Self> {
        let suite = Self { version, place: cache()?.join(version) };
        let there = |name: &str| suite.binaries().join(name).exists();
        if there("conformance") && there("node") {
            return Ok(suite);
        }
        std::fs::create_dir_all(&suite.place)?;
        let status = Command::new("npm")
            .args(["install", "--silent", "--no-audit", "--no-fund", "--prefix"])
            .arg(&suite.place)
            .arg(NODE)
            .arg(format!("@modelcontextprotocol/conformance@{version}"))
            .status()
            .context("npm cannot be started: it comes with Node.js")?;
        if !status.success() || !there("node") {
            bail!("npm could not install the suite {version}");
        }
        Ok(suite)
    }

    /// What it says of the client.
    pub fn client(&self, program: &Path, asked: &[&str]) -> Result<Vec<Verdict>> {
        let mut node = self.node();
        node.arg(self.binaries().join("conformance")).args(["client", "--timeout", PATIENCE, "--command"]);
        self.judge(node.arg(program).args(asked), Side::Client)
    }

    /// What it says of the server.
    pub fn server(&self, server: &Server, asked: &[&str]) -> Result<Vec<Verdict>> {
        let mut node = self.node();
        server.introduce(&mut node, &self.place)?;
        node.arg(self.binaries().join("conformance")).args(["server", "--url", server.url()]);
        self.judge(node.args(asked), Side::Server)
    }

    fn binaries(&self) -> PathBuf {
        self.place.join("node_modules/.bin")
    }

    fn node(&self) -> Command {
        Command::new(self.binaries().join("node"))
    }

    /// Runs it, keeps what it says in a file, and reads the verdicts from there.
    fn judge(&self, node: &mut Command, side: Side) -> Result<Vec<Verdict>> {
        let seen = self.place.join("seen").join(side.name());
        if seen.exists() {
            std::fs::remove_dir_all(&seen)?;
        }
        std::fs::create_dir_all(&seen)?;
        let told = seen.join("output.txt");
        let output = File::create(&told)?;
        node.arg("--output-dir").arg(&seen).stdin(Stdio::null()).stderr(output.try_clone()?).stdout(output);
        let mut child = node.spawn().context("the suite cannot be started")?;
        let begun = Instant::now();
        let status = loop {
            if let Some(status) = child.try_wait()? {
                break status;
            }
            if begun.elapsed() > ALL {
                let _ = child.kill();
                let _ = child.wait();
                bail!("the suite {} did not end within {} s", self.version, ALL.as_secs());
            }
            std::thread::sleep(Duration::from_millis(100));
        };
        let verdicts = verdict::read(&std::fs::read_to_string(&told)?, self.version, side);
        // What the suite calls a failure is one, even where no line says of what.
        if verdicts.is_empty() || (!status.success() && !verdicts.iter().any(Verdict::fails)) {
            bail!("the suite {} ended with {status}: {}", self.version, told.display());
        }
        Ok(verdicts)
    }
}
