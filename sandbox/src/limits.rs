use serde::{Deserialize, Deserializer, Serialize};
use std::time::Duration;

/// What one call may use. Everything but `wall` is counted the same way on every machine.
///
/// | | default | [`Limits::reflex`] |
/// |---|---|---|
/// | `wall` | 60 s | 200 ms |
/// | `fuel` | 2·10⁹ | 2·10⁷ |
/// | `memory_bytes` | 64 MiB | 16 MiB |
/// | `js_heap_bytes` | 48 MiB | 8 MiB |
/// | `host_calls` | 10,000 | 0 |
/// | `output_bytes` | 256 KiB | 4 KiB |
/// | `log_lines` | 1000 | 0 |
/// | `args_bytes` | 1 MiB | 1 MiB |
/// | `depth` | 8 | 8 |
/// | `deterministic` | false | false |
///
/// In an agent file they are written as a [`LimitSettings`](crate::LimitSettings).
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, schemars::JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct Limits {
    /// Time from start to end, including the host's answers; in text `"200ms"`, `"1.5s"`, `"2m"`, or a number of
    /// seconds. The backstop: when it strikes, a replay may differ.
    #[serde(deserialize_with = "duration")]
    #[schemars(with = "String")]
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
    /// How many calls there may be one inside the other, this one included, where a host answers a call by calling
    /// the sandbox itself, in the same task.
    #[serde(skip_serializing_if = "is_default_depth")]
    pub depth: u32,
    /// Whether no clock is looked at: `wall` is without effect, and all that ends a call is counted, so that it ends
    /// in the same way on every machine. A host that never answers is then waited for without end.
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    pub deterministic: bool,
}

/// The largest memory an instance can have.
pub(crate) const MAX_MEMORY_BYTES: u64 = 64 << 20;
/// The largest table an instance can have; the engine's, of functions it calls indirectly, has about 2000 elements.
pub(crate) const MAX_TABLE_ELEMENTS: usize = 10_000;
/// A logged line is cut after so many bytes.
pub(crate) const MAX_LINE_BYTES: usize = 2000;

const DEFAULT_DEPTH: u32 = 8;

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
            depth: DEFAULT_DEPTH,
            deterministic: false,
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
            depth: DEFAULT_DEPTH,
            deterministic: false,
        }
    }

    /// The time there is, if a clock is looked at.
    pub(crate) fn clock(&self) -> Option<Duration> {
        (!self.deterministic).then_some(self.wall)
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
    /// [`Limits::depth`]: too many calls one inside the other.
    Depth,
}

#[allow(clippy::trivially_copy_pass_by_ref, reason = "serde passes a reference")]
fn is_default_depth(depth: &u32) -> bool {
    *depth == DEFAULT_DEPTH
}

/// As serde writes it, as text with a unit, or as a number of seconds.
fn duration<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Duration, D::Error> {
    #[derive(Deserialize)]
    #[serde(untagged, expecting = "a duration like \"200ms\", \"1.5s\" or \"2m\", or a number of seconds")]
    enum Written {
        Whole(Duration),
        Text(String),
        Seconds(f64),
    }
    let seconds = match Written::deserialize(deserializer)? {
        Written::Whole(duration) => return Ok(duration),
        Written::Seconds(seconds) => Some(seconds),
        Written::Text(text) => seconds(&text),
    };
    seconds.and_then(|seconds| Duration::try_from_secs_f64(seconds).ok()).ok_or_else(|| {
        serde::de::Error::custom(
            "a duration is written like \"200ms\", \"1.5s\" or \"2m\", and is not negative",
        )
    })
}

fn seconds(text: &str) -> Option<f64> {
    let units = [("ms", 0.001), ("s", 1.0), ("m", 60.0)];
    let (number, unit) =
        units.iter().find_map(|(unit, seconds)| Some((text.trim().strip_suffix(unit)?, seconds)))?;
    Some(number.trim().parse::<f64>().ok()? * unit)
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn a_duration_is_written_in_several_ways() {
        for (written, milliseconds) in [
            (json!({"secs": 1, "nanos": 500_000_000}), 1500),
            (json!("200ms"), 200),
            (json!("1.5s"), 1500),
            (json!(" 2 m"), 120_000),
            (json!(3), 3000),
            (json!(0.25), 250),
        ] {
            let limits: Limits = serde_json::from_value(json!({ "wall": written })).unwrap();
            assert_eq!(limits.wall, Duration::from_millis(milliseconds), "{written}");
        }
        for wrong in [json!("fast"), json!("-1s"), json!(-1), json!("1e400s"), json!(null), json!("NaN s")] {
            let error = serde_json::from_value::<Limits>(json!({ "wall": wrong })).unwrap_err();
            assert!(error.to_string().contains("200ms"), "{wrong}: {error}");
        }
    }

    #[test]
    fn limits_are_written_as_they_always_were() {
        let written = serde_json::to_value(Limits::default()).unwrap();
        let names: Vec<_> = written.as_object().unwrap().keys().map(String::as_str).collect();
        let old = [
            "wall",
            "fuel",
            "memory_bytes",
            "js_heap_bytes",
            "host_calls",
            "output_bytes",
            "log_lines",
            "args_bytes",
        ];
        assert_eq!(names, old);
        assert_eq!(written["wall"], json!({"secs": 60, "nanos": 0}));
        let changed = Limits { depth: 3, deterministic: true, ..Limits::reflex() };
        let written = serde_json::to_value(&changed).unwrap();
        assert_eq!(serde_json::from_value::<Limits>(written).unwrap(), changed);
    }
}
