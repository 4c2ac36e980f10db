//! The server that the suite looks at, while it looks.

use anyhow::{Context as _, Result, bail};
use std::hash::{BuildHasher as _, RandomState};
use std::io::{BufRead as _, BufReader};
use std::path::Path;
use std::process::{Child, Command, Stdio};

/// Where the server reads its token, and what is loaded before the suite reads the same.
const TOKEN: &str = "CONFORMANCE_TOKEN";
/// The suite knows servers without a token only; this shows it with every request, so that our door is as it is for others.
const SHOWS: &str = include_str!("token.mjs");

/// A server that runs until this is dropped.
pub struct Server {
    child: Child,
    url: String,
    token: String,
}

impl Server {
    /// Starts `program`.
    pub fn start(program: &Path) -> Result<Self> {
        // Others on this machine must not guess it for the half minute that it is good for.
        let token = format!("{:016x}{:016x}", RandomState::new().hash_one(0), RandomState::new().hash_one(1));
        let mut child = Command::new(program)
            .env(TOKEN, &token)
            .stdout(Stdio::piped())
            .spawn()
            .context("the server cannot be started")?;
        let mut url = String::new();
        if let Some(stdout) = child.stdout.take() {
            BufReader::new(stdout).read_line(&mut url)?;
        }
        let server = Self { child, url: url.trim().to_owned(), token };
        if server.url.is_empty() {
            bail!("the server does not say where it is");
        }
        Ok(server)
    }

    /// Where it is.
    pub fn url(&self) -> &str {
        &self.url
    }

    /// Has Node.js show the token; `place` is a directory for what does that.
    pub fn introduce(&self, node: &mut Command, place: &Path) -> Result<()> {
        let shows = place.join("token.mjs");
        std::fs::write(&shows, SHOWS)?;
        node.arg("--import").arg(shows).env(TOKEN, &self.token);
        Ok(())
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}
