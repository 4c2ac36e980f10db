//! Tools of WebAssembly components. A component sees the directories, hosts and variables that it was granted and nothing
//! else; every call is an instance of its own, so that nothing is left of one call for the next. Its wall clock stands at the
//! log's time of the call: a call that is made again, after a crash or in a test, sees the same. (Clocks that only measure how
//! long something takes go on, and what it draws by chance is drawn anew.) [Its interface](../wit/plugin.wit) is two functions
//! that speak the JSON of [the process protocol](../PROCESS.md).

#[cfg(feature = "wasm")]
mod host;
#[cfg(feature = "wasm")]
mod source;

#[cfg(feature = "wasm")]
pub use source::WasmSource;

use crate::Effects;
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;
use std::path::PathBuf;

/// A component, and what it is granted.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, schemars::JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct WasmSettings {
    /// Its file.
    pub component: PathBuf,
    /// Directories by the path that it sees them under.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub directories: BTreeMap<String, Directory>,
    /// Hosts that it may send requests to: `docs.rs`, `*.example.org`, `localhost:8080`.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub hosts: Vec<String>,
    /// Names of the environment variables that it may see.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub env: Vec<String>,
    /// What its tools may do, by its names for them. For the others what it says counts, and if it says nothing the worst; what
    /// it was not granted it cannot do in any case.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub effects: BTreeMap<String, Effects>,
    /// Milliseconds that a call may take.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub timeout_ms: Option<u64>,
    /// MiB of memory that a call may use.
    #[serde(default = "memory_mib")]
    pub memory_mib: usize,
}

fn memory_mib() -> usize {
    64
}

/// A directory of this machine.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, schemars::JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Directory {
    /// Where it is.
    pub path: PathBuf,
    /// Whether files may be changed there.
    #[serde(default)]
    pub write: bool,
}

impl WasmSettings {
    /// What no tool of it can go beyond.
    fn reach(&self) -> Effects {
        let speaks = !self.hosts.is_empty();
        let writes = speaks || self.directories.values().any(|directory| directory.write);
        Effects { write: writes, network: speaks, irreversible: writes, idempotent: false }
    }

    /// What a tool may do that says so of itself.
    fn effects_of(&self, name: &str, said: Option<Effects>) -> Effects {
        if let Some(effects) = self.effects.get(name) {
            return *effects;
        }
        let reach = self.reach();
        let said = said.unwrap_or(Effects::WORST);
        Effects {
            write: said.write && reach.write,
            network: said.network && reach.network,
            irreversible: said.irreversible && reach.irreversible,
            idempotent: said.idempotent || !reach.write,
        }
    }
}
