use crate::abi::Guest;
use crate::engine::engine_sha256;
use crate::prebuilt;
use crate::warm::Pool;
use sha2::{Digest, Sha256};
use std::fmt;
use std::sync::{Arc, OnceLock};
use wasmtime::{InstancePre, Module};

/// A loaded skill. Cheap to clone.
#[derive(Clone)]
pub struct Program(Arc<Inner>);

struct Inner {
    id: String,
    entry: String,
    source: String,
    code: Code,
    /// Module for warm reflexes; `None` if it could not be compiled.
    reflex: OnceLock<Option<Module>>,
    warm: Pool,
}

/// Executable form of a program.
pub(crate) enum Code {
    /// A module that passes its bytecode to the JavaScript engine.
    Script(Module),
    /// A prebuilt WebAssembly skill, linked with the host functions.
    Prebuilt(InstancePre<Guest>),
}

impl Program {
    pub(crate) fn script(entry: String, source: String, module: Module) -> Self {
        Self::new(id(&entry, &source), entry, source, Code::Script(module))
    }

    pub(crate) fn prebuilt(wasm: &[u8], linked: InstancePre<Guest>) -> Self {
        let id = hex::encode(Sha256::digest(wasm));
        Self::new(id, prebuilt::CALL.to_owned(), String::new(), Code::Prebuilt(linked))
    }

    fn new(id: String, entry: String, source: String, code: Code) -> Self {
        Self(Arc::new(Inner { id, entry, source, code, reflex: OnceLock::new(), warm: Pool::default() }))
    }

    /// SHA-256, in hex: of source, entry name and engine for a script, or of the module for a prebuilt skill.
    pub fn id(&self) -> &str {
        &self.0.id
    }

    /// Name of the entry function.
    pub fn entry(&self) -> &str {
        &self.0.entry
    }

    /// Whether the program is a prebuilt WebAssembly module.
    pub fn is_prebuilt(&self) -> bool {
        matches!(self.0.code, Code::Prebuilt(_))
    }

    /// JavaScript source; empty for a prebuilt skill.
    pub fn source(&self) -> &str {
        &self.0.source
    }

    pub(crate) fn code(&self) -> &Code {
        &self.0.code
    }

    /// The module for warm reflexes, built by `make` on first use.
    pub(crate) fn reflex_module(&self, make: impl FnOnce() -> Option<Module>) -> Option<&Module> {
        self.0.reflex.get_or_init(make).as_ref()
    }

    pub(crate) fn warm(&self) -> &Pool {
        &self.0.warm
    }
}

impl fmt::Debug for Program {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Program")
            .field("id", &self.id())
            .field("entry", &self.entry())
            .finish_non_exhaustive()
    }
}

/// Hashes each part with its length, so that moving text between parts changes the hash.
fn id(entry: &str, source: &str) -> String {
    let mut hash = Sha256::new();
    for part in [source, entry, engine_sha256()] {
        hash.update((part.len() as u64).to_le_bytes());
        hash.update(part);
    }
    hex::encode(hash.finalize())
}
