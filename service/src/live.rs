//! The runs that are under way on this computer, as their processes report them.

use crate::now_ms;
use serde::{Deserialize, Serialize};
use sojourn_memory::{Error, Heartbeat, RunId, Store};

/// What the process of a run reports every few seconds.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub struct Report {
    /// The agent file as an absolute path, or the name of an environment; secrets are replaced.
    pub agent: String,
    /// The environment's name.
    pub environment: String,
    /// The controller's model.
    pub model: String,
    /// When the process started or resumed the run, in milliseconds since 1970.
    pub since_ms: i64,
    /// Environment steps of the run.
    pub steps: u64,
    /// Environment steps per second, over the last minute.
    pub steps_per_second: f64,
    /// Tokens that the controller generated since then.
    pub tokens: u64,
    /// Tokens per second of generating.
    pub tokens_per_second: f64,
    /// Episodes of the run, the one under way included.
    pub episodes: usize,
    /// What the run is busy with: "learning `collect_wood` (thinking)".
    pub task: String,
}

/// A run whose process is alive.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct LiveRun {
    /// The id of the run, which holds its lock.
    pub run: RunId,
    /// Its process.
    pub process: u32,
    /// Memory of the process that is in use, in bytes; `None` where the system does not say.
    pub memory_bytes: Option<u64>,
    /// When it reported last, in milliseconds since 1970.
    pub reported_ms: i64,
    /// Its report.
    #[serde(flatten)]
    pub report: Report,
}

/// How long a process that reported and does not write yet counts as alive: it reports more often.
const FRESH_MS: i64 = 20_000;

/// The runs that are under way, by their ids; also those whose process is still loading its model, which do not write yet.
///
/// # Errors
/// The home cannot be read.
pub async fn live_runs(store: &Store) -> Result<Vec<LiveRun>, Error> {
    let mut live = Vec::new();
    let is_here = store.server().is_none();
    for Heartbeat { run, process, at_ms, report } in store.heartbeats().await? {
        let loads = || is_here && now_ms().saturating_sub(at_ms) < FRESH_MS && memory(process).is_some();
        if store.is_live(&run).await? || loads() {
            let report = serde_json::from_value(report).unwrap_or_default();
            // A process of another machine may have the number of one here.
            let memory_bytes = if is_here { memory(process) } else { None };
            live.push(LiveRun { memory_bytes, run, process, reported_ms: at_ms, report });
        }
    }
    Ok(live)
}

/// The memory of a process that is in use (resident set), in bytes.
fn memory(process: u32) -> Option<u64> {
    let status = std::fs::read_to_string(format!("/proc/{process}/status")).ok()?;
    let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:"))?;
    Some(line.trim().strip_suffix("kB")?.trim().parse::<u64>().ok()?.saturating_mul(1024))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[cfg(target_os = "linux")]
    #[test]
    fn the_memory_of_this_process_is_known() {
        assert!(memory(std::process::id()).is_some_and(|bytes| bytes > 100_000));
    }
}
