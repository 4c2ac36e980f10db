//! Tools from WebAssembly components.
//!
//! A component can use the granted directories, hosts and environment variables, and nothing else. Each call
//! runs in a new instance, so no state passes from one call to the next. The wall clock is fixed at the log's
//! time of the call, so that a repeated call sees the same time; monotonic clocks and random numbers are not
//! reproducible. [plugin.wit](../wit/plugin.wit) defines the interface: two functions that exchange the JSON
//! of [the process protocol](../PROCESS.md).

#[cfg(feature = "wasm")]
mod host;
#[cfg(feature = "wasm")]
mod http;
#[cfg(feature = "wasm")]
mod limits;
#[cfg(feature = "wasm")]
mod source;

#[cfg(feature = "wasm")]
pub use source::WasmSource;

use crate::Effects;
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;
use std::path::PathBuf;

/// `[tools.NAME]` with `kind = "wasm"`: a component and its granted capabilities.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, schemars::JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct WasmSettings {
    /// Path of the component file.
    pub component: PathBuf,
    /// Granted directories, by the path that the component sees.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub directories: BTreeMap<String, Directory>,
    /// Granted hosts for HTTP requests: `docs.rs`, `*.example.org`, `localhost:8080`.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub hosts: Vec<String>,
    /// Ranges of addresses that are not public and that names in `hosts` may resolve to: `10.0.0.0/8`. `localhost` and
    /// addresses that `hosts` lists literally need none.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub private_ranges: Vec<String>,
    /// Environment variables that the component sees.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub env: Vec<String>,
    /// Effects of the component's tools, by its names. Other tools use the declared effects, or else the
    /// worst, limited to what the grants make possible.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub effects: BTreeMap<String, Effects>,
    /// Time limit of one call of a tool that declares none, in milliseconds. Default: one minute.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub timeout_ms: Option<u64>,
    /// Memory limit of one call, in MiB, over all memories and tables of the component. Default 64.
    #[serde(default = "memory_mib")]
    pub memory_mib: usize,
}

fn memory_mib() -> usize {
    64
}

/// A granted directory of the host.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, schemars::JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Directory {
    /// Path on the host.
    pub path: PathBuf,
    /// Grants writing as well.
    #[serde(default)]
    pub write: bool,
}

impl WasmSettings {
    /// The effects that the grants make possible.
    fn possible_effects(&self) -> Effects {
        let speaks = !self.hosts.is_empty();
        let writes = speaks || self.directories.values().any(|directory| directory.write);
        Effects { write: writes, network: speaks, irreversible: writes, idempotent: false }
    }

    /// Effects of a tool: configured, or else declared and limited to what is possible.
    fn effects_of(&self, name: &str, declared: Option<Effects>) -> Effects {
        if let Some(effects) = self.effects.get(name) {
            return *effects;
        }
        let possible = self.possible_effects();
        let declared = declared.unwrap_or(Effects::WORST);
        Effects {
            write: declared.write && possible.write,
            network: declared.network && possible.network,
            irreversible: declared.irreversible && possible.irreversible,
            idempotent: declared.idempotent || !possible.write,
        }
    }
}
