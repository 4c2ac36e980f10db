//! The server under test, while the suite runs.

use anyhow::{Context as _, Result, bail};
use std::hash::{BuildHasher as _, RandomState};
use std::io::{BufRead as _, BufReader};
use std::path::Path;
use std::process::{Child, Command, Stdio};

/// Environment variable with the token. The server reads it, and so does the script that Node.js loads before the suite.
const TOKEN: &str = "CONFORMANCE_TOKEN";
/// The suite knows servers without a token only. This script adds the token to every request, so that the server stays protected.
const SHOWS: &str = include_str!("token.mjs");

/// A running server; dropping it ends the process.
pub struct Server {
    child: Child,
    url: String,
    token: String,
}

impl Server {
    /// Starts `program`.
    pub fn start(program: &Path) -> Result<Self> {
        // Other users of this machine must not guess the token while the suite runs.
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
            bail!("the server printed no address");
        }
        Ok(server)
    }

    /// The server's URL.
    pub fn url(&self) -> &str {
        &self.url
    }

    /// Makes Node.js send the token; the script for that is written to the directory `place`.
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
