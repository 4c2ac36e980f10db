//! A version of the suite: installed once in the user's cache, and run.

use super::server::Server;
use super::verdict::{self, Side, Verdict};
use anyhow::{Context as _, Result, bail};
use std::fs::File;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

/// The Node.js that runs the suite, which crashes on older versions.
const NODE: &str = "node@22";
/// Milliseconds that a scenario of a client may take.
const PATIENCE: &str = "30000";
/// Time limit of all scenarios of one side.
const ALL: Duration = Duration::from_mins(5);

/// A version of the suite.
pub struct Suite {
    version: &'static str,
    /// The directory of the installation and of the suite's results.
    place: PathBuf,
}

/// The directory of all versions.
pub fn cache() -> Result<PathBuf> {
    let cache = std::env::var_os("XDG_CACHE_HOME")
        .map(PathBuf::from)
        .or_else(|| Some(PathBuf::from(std::env::var_os("HOME")?).join(".cache")))
        .context("there is no cache directory: set HOME or XDG_CACHE_HOME")?;
    Ok(cache.join("sojourn/npm/conformance"))
}

impl Suite {
    /// Opens the suite; installs it if it is missing.
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

    /// The verdicts on the client.
    pub fn client(&self, program: &Path, asked: &[&str]) -> Result<Vec<Verdict>> {
        let mut node = self.node();
        node.arg(self.binaries().join("conformance")).args(["client", "--timeout", PATIENCE, "--command"]);
        self.judge(node.arg(program).args(asked), Side::Client)
    }

    /// The verdicts on the server.
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

    /// Runs the suite, writes its output to a file, and reads the verdicts from there.
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
        // A failed exit status is a failure, even where no line names the scenario.
        if verdicts.is_empty() || (!status.success() && !verdicts.iter().any(Verdict::fails)) {
            bail!("the suite {} ended with {status}: {}", self.version, told.display());
        }
        Ok(verdicts)
    }
}
