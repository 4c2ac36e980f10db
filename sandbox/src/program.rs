use crate::abi::Guest;
use crate::engine::engine_sha256;
use crate::prebuilt;
use crate::warm::Pool;
use sha2::{Digest, Sha256};
use std::fmt;
use std::sync::{Arc, OnceLock};
use wasmtime::{InstancePre, Module};

/// A skill that is ready to be called. Cheap to clone.
#[derive(Clone)]
pub struct Program(Arc<Inner>);

struct Inner {
    id: String,
    entry: String,
    source: String,
    code: Code,
    /// The module that a warm reflex loads; none when it could not be made.
    reflex: OnceLock<Option<Module>>,
    warm: Pool,
}

/// What runs.
pub(crate) enum Code {
    /// The module that hands its bytecode to the JavaScript engine.
    Script(Module),
    /// A skill that is WebAssembly to begin with, linked with the host's functions.
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

    /// SHA-256, in hex, of the source, the entry's name and the engine; of a prebuilt skill's module.
    pub fn id(&self) -> &str {
        &self.0.id
    }

    /// The name of the function that a call calls.
    pub fn entry(&self) -> &str {
        &self.0.entry
    }

    /// Whether it is WebAssembly to begin with, not JavaScript.
    pub fn is_prebuilt(&self) -> bool {
        matches!(self.0.code, Code::Prebuilt(_))
    }

    /// The JavaScript it was compiled from; empty for a prebuilt skill.
    pub fn source(&self) -> &str {
        &self.0.source
    }

    pub(crate) fn code(&self) -> &Code {
        &self.0.code
    }

    /// The module of this program as a warm reflex, made by `make` when it is first needed.
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

/// Each part is preceded by its length, so that no two skills share a hash by shifting text between parts.
fn id(entry: &str, source: &str) -> String {
    let mut hash = Sha256::new();
    for part in [source, entry, engine_sha256()] {
        hash.update((part.len() as u64).to_le_bytes());
        hash.update(part);
    }
    hex::encode(hash.finalize())
}
