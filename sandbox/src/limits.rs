use serde::{Deserialize, Serialize};
use std::time::Duration;

/// What one call may use. Everything but `wall` is counted the same way on every machine.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Limits {
    /// Time from start to end, including the host's answers. The backstop: when it strikes, a replay may differ.
    pub wall: Duration,
    /// WebAssembly instructions, roughly; a second of computing is a few 10⁹, a turn of a small loop 400. The budget to
    /// rely on. An orderly end may take 10⁸ more.
    pub fuel: u64,
    /// Bytes of the instance's memory; at most 64 MiB, of which the engine takes 1.3.
    pub memory_bytes: u64,
    /// Bytes that JavaScript values may take; beyond it the skill gets an out-of-memory error.
    pub js_heap_bytes: u64,
    /// Answers asked of the host, including those that live views need.
    pub host_calls: u32,
    /// Bytes of the result as JSON.
    pub output_bytes: u64,
    /// Lines that are kept of what it logs; each is cut after 2000 bytes. Further ones are only counted.
    pub log_lines: u32,
    /// Bytes of JSON that go in or out at once: the call's arguments, those of one host call, one answer.
    pub args_bytes: u64,
}

/// The largest memory an instance can have.
pub(crate) const MAX_MEMORY_BYTES: u64 = 64 << 20;
/// A logged line is cut after so many bytes.
pub(crate) const MAX_LINE_BYTES: usize = 2000;

impl Default for Limits {
    fn default() -> Self {
        Self {
            wall: Duration::from_mins(1),
            fuel: 2_000_000_000,
            memory_bytes: MAX_MEMORY_BYTES,
            js_heap_bytes: 48 << 20,
            host_calls: 10_000,
            output_bytes: 256 << 10,
            log_lines: 1000,
            args_bytes: 1 << 20,
        }
    }
}

impl Limits {
    /// What suits a reflex, which decides on every observation.
    pub fn reflex() -> Self {
        Self {
            wall: Duration::from_millis(200),
            fuel: 20_000_000,
            memory_bytes: 16 << 20,
            js_heap_bytes: 8 << 20,
            host_calls: 0,
            output_bytes: 4 << 10,
            log_lines: 0,
            args_bytes: 1 << 20,
        }
    }
}

/// Which limit a call ran into.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum LimitKind {
    /// [`Limits::wall`].
    Wall,
    /// [`Limits::fuel`].
    Fuel,
    /// [`Limits::js_heap_bytes`] or [`Limits::memory_bytes`].
    Memory,
    /// [`Limits::host_calls`].
    HostCalls,
    /// [`Limits::output_bytes`].
    Output,
    /// [`Limits::args_bytes`], by the arguments of the call itself.
    Args,
    /// [`SandboxConfig::instances`](crate::SandboxConfig::instances): too many skills at once.
    Instances,
}
