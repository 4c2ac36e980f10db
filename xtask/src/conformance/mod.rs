//! Runs the Model Context Protocol's own conformance suite against our client and our server, in both generations of the protocol.
//!
//! The client is `tools/examples/mcp_conformance_client`, the server `tools/examples/mcp_conformance_server`; each documents which of its
//! parts are the product's. Every failure of a required scenario fails the chore. Scenarios that a revision of the protocol does not
//! require (its extensions) run too, and the table marks them.
//!
//! Of the extensions, `auth/dpop` and `auth/dpop-nonce` fail because rmcp 3.11 shows tokens as `Bearer` only and makes no proofs for them, and
//! `auth/wif-jwt-bearer` because it has no grant for an assertion that was made elsewhere. `tasks-status-notifications` skips all
//! its checks in this version of the suite, which is not counted as passing.

mod server;
mod suite;
mod verdict;

use crate::cargo;
use anyhow::{Result, bail};
use server::Server;
use std::path::{Path, PathBuf};
use suite::Suite;

/// Versions of the suite, with their requirements: the first tests the protocols with a handshake, the second the one without.
const SUITES: [(&str, &[&str]); 2] =
    [("0.1.16", &["--suite", "all"]), ("0.2.0-alpha.12", &["--requirements", "2026-07-28"])];

/// Runs the suite and prints the verdicts of all scenarios, or of the named ones.
///
/// # Errors
/// When a suite cannot be installed, or a required scenario fails.
pub fn run(named: &[String]) -> Result<()> {
    let examples = build()?;
    let server = Server::start(&examples.join("mcp_conformance_server"))?;
    let client = examples.join("mcp_conformance_client");
    let mut verdicts = Vec::new();
    for (version, asked) in SUITES {
        let suite = Suite::installed(version)?;
        verdicts.extend(suite.client(&client, asked)?);
        verdicts.extend(suite.server(&server, asked)?);
    }
    if !named.is_empty() {
        verdicts.retain(|verdict| named.contains(&verdict.scenario));
    }
    if verdicts.is_empty() {
        bail!("no scenario has that name");
    }
    verdict::print(&verdicts);
    let failed = verdicts.iter().filter(|verdict| verdict.fails()).count();
    if failed > 0 {
        bail!(
            "{failed} of {} scenarios failed; {} holds what was seen",
            verdicts.len(),
            suite::cache()?.display()
        );
    }
    Ok(())
}

/// Builds the client and the server; returns their paths.
fn build() -> Result<PathBuf> {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("..");
    let status = cargo::command()
        .args(["build", "--workspace", "--example", "mcp_conformance_client"])
        .args(["--example", "mcp_conformance_server"])
        .current_dir(&root)
        .status()?;
    if !status.success() {
        bail!("the client and the server could not be built");
    }
    let target = std::env::var_os("CARGO_TARGET_DIR").map_or_else(|| root.join("target"), PathBuf::from);
    Ok(target.join("debug/examples").canonicalize()?)
}
