use serde::{Deserialize, Deserializer, Serialize};
use std::time::Duration;
use tokio::time::Instant;

/// Resource limits of one call. All except `wall` are counted identically on every machine.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, schemars::JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct Limits {
    /// Wall-clock time, including host answers. Written as `"200ms"`, `"1.5s"`, `"2m"`, or a number of
    /// seconds. A backstop only: a call that it ends may end differently in a replay. Default 60 s, for a
    /// reflex 200 ms.
    #[serde(deserialize_with = "duration")]
    #[schemars(with = "String")]
    pub wall: Duration,
    /// Approximate number of WebAssembly instructions. One second of computing is a few 10⁹; an iteration of
    /// a small loop is 400. This is the budget to rely on. Stopping in order may take 10⁸ more. Skills that
    /// a skill calls share its budget. Default 2·10⁹, for a reflex 2·10⁷.
    pub fuel: u64,
    /// Size of the instance's memory, in bytes. At most 64 MiB, of which the engine takes 1.3 MiB. Default 64
    /// MiB, for a reflex 16 MiB.
    pub memory_bytes: u64,
    /// Size of the JavaScript heap, in bytes. Beyond it the skill gets an out-of-memory error. Default 48
    /// MiB, for a reflex 8 MiB.
    pub js_heap_bytes: u64,
    /// Number of host calls, including those of live views and of callees. Default 10,000, for a reflex 0.
    pub host_calls: u32,
    /// Size of the result as JSON, in bytes. Default 256 KiB, for a reflex 4 KiB.
    pub output_bytes: u64,
    /// Number of log lines that are kept. Each is cut at 2000 bytes; further lines are only counted. Default
    /// 1000, for a reflex 0.
    pub log_lines: u32,
    /// Size of JSON that crosses the border at once, in bytes: the arguments of the call, those of one host
    /// call, or one answer. Default 1 MiB.
    pub args_bytes: u64,
    /// Nesting depth of calls, this one included, if a host answers a call by calling the sandbox in the same
    /// task. Default 8.
    #[serde(skip_serializing_if = "is_default_depth")]
    pub depth: u32,
    /// Disables the wall clock, so that only counted budgets end a call, identically on every machine. A host
    /// that never answers then blocks the call forever. Default false.
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    pub deterministic: bool,
}

/// Largest memory of an instance, in bytes.
pub(crate) const MAX_MEMORY_BYTES: u64 = 64 << 20;
/// Largest table of an instance. The engine's table of indirect functions has about 2000 elements.
pub(crate) const MAX_TABLE_ELEMENTS: usize = 10_000;
/// Limit on a log line, in bytes.
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
    /// Limits suitable for a reflex, which runs on every observation.
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

    /// The wall-clock deadline of a call that starts now, unless it is deterministic.
    pub(crate) fn deadline(&self) -> Option<Instant> {
        (!self.deterministic).then(|| Instant::now().checked_add(self.wall)).flatten()
    }
}

/// The limit that a call reached.
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
    /// [`Limits::args_bytes`], for the arguments of the call itself.
    Args,
    /// [`SandboxConfig::instances`](crate::SandboxConfig::instances): too many concurrent skills.
    Instances,
    /// [`Limits::depth`]: calls are nested too deeply.
    Depth,
}

#[allow(clippy::trivially_copy_pass_by_ref, reason = "serde passes a reference")]
fn is_default_depth(depth: &u32) -> bool {
    *depth == DEFAULT_DEPTH
}

/// Accepts serde's own format, text with a unit, or a number of seconds.
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
    fn a_duration_has_several_spellings() {
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
    fn the_serialised_form_of_limits_is_stable() {
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
