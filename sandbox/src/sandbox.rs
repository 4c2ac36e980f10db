use crate::engine::{Runtime, engine_sha256};
use crate::run::{self, Job};
use crate::{
    CallReport, CompileError, Invocation, Limits, LoadError, Program, Reflex, compile, module, prebuilt,
};
use sha2::{Digest, Sha256};
use std::collections::HashMap;
use std::fmt;
use std::path::PathBuf;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use wasmtime::Module;

/// Number of compiled skills that are remembered; beyond it all are forgotten.
const MAX_KNOWN: usize = 4096;

/// Configuration of a [`Sandbox`].
#[derive(Debug, Clone)]
pub struct SandboxConfig {
    /// Folder that caches the compiled engine. Without it the engine is compiled at every start, which takes
    /// about two seconds. Created with mode 0700 if missing; ignored if others may enter it or its files are
    /// not authentic.
    pub cache_dir: Option<PathBuf>,
    /// Number of concurrent skills, including those that wait for a skill they called. Each reserves 4 GiB of
    /// address space and uses memory as needed. A call beyond the limit fails at once; waiting could
    /// deadlock.
    pub instances: u32,
}

impl Default for SandboxConfig {
    fn default() -> Self {
        Self { cache_dir: None, instances: 1000 }
    }
}

/// Why the sandbox could not be created.
#[derive(Debug, thiserror::Error)]
pub enum SandboxError {
    /// The WebAssembly runtime could not be set up.
    #[error("cannot set up the sandbox: {reason}")]
    Engine {
        /// What happened.
        reason: String,
    },
}

impl SandboxError {
    pub(crate) fn engine(error: &wasmtime::Error) -> Self {
        Self::Engine { reason: format!("{error:#}") }
    }
}

/// Compiles and runs skills. Cheap to clone; clones share everything.
#[derive(Clone)]
pub struct Sandbox(Arc<Inner>);

struct Inner {
    runtime: Runtime,
    /// Hashes of modules compiled here, with the program once loaded.
    known: Mutex<HashMap<[u8; 32], Option<Program>>>,
}

impl Sandbox {
    /// Creates a sandbox. Without a cached engine this occupies one core for seconds.
    #[allow(clippy::needless_pass_by_value, reason = "a configuration is made for one sandbox")]
    pub fn new(config: SandboxConfig) -> Result<Self, SandboxError> {
        let runtime = Runtime::new(config.cache_dir.as_deref(), config.instances)?;
        Ok(Self(Arc::new(Inner { runtime, known: Mutex::default() })))
    }

    /// Compiles a script into a skill module whose function `entry` is called. Equal script, entry and engine
    /// give equal bytes. Runs on tokio's blocking pool for a few milliseconds.
    pub async fn compile(&self, entry: &str, source: &str) -> Result<Vec<u8>, CompileError> {
        let (sandbox, entry, source) = (self.clone(), entry.to_owned(), source.to_owned());
        tokio::task::spawn_blocking(move || sandbox.compile_now(&entry, &source)).await.unwrap_or_else(
            |error| Err(CompileError::whole(format!("the compilation was interrupted: {error}"))),
        )
    }

    /// Compiles a script into a program that is called soon and then dropped: the sandbox does not remember it, however many there
    /// are. Takes as long as [`compile`](Self::compile) and [`load`](Self::load).
    ///
    /// # Errors
    /// When the script does not compile.
    pub async fn compile_program(&self, entry: &str, source: &str) -> Result<Program, CompileError> {
        let (sandbox, entry, source) = (self.clone(), entry.to_owned(), source.to_owned());
        let compile = move || {
            let runtime = &sandbox.0.runtime;
            let wasm = compile::compile(runtime, &entry, &source)?;
            let module = Module::new(&runtime.engine, &wasm)
                .map_err(|error| CompileError::whole(format!("{error:#}")))?;
            Ok(Program::script(entry, source, module))
        };
        tokio::task::spawn_blocking(compile)
            .await
            .unwrap_or_else(|error| Err(CompileError::whole(format!("compiling was cut short: {error}"))))
    }

    fn compile_now(&self, entry: &str, source: &str) -> Result<Vec<u8>, CompileError> {
        let wasm = compile::compile(&self.0.runtime, entry, source)?;
        let mut known = self.known();
        if known.len() >= MAX_KNOWN {
            known.clear();
        }
        known.entry(Sha256::digest(&wasm).into()).or_default();
        Ok(wasm)
    }

    /// Loads a skill module. A script module that was not compiled here is not trusted: its source is
    /// compiled again, which takes a few milliseconds. A module that exports `sojourn_call` is a prebuilt
    /// skill as specified in `ABI.md`; compiling it takes about two seconds per megabyte.
    pub fn load(&self, wasm: &[u8]) -> Result<Program, LoadError> {
        let hash: [u8; 32] = Sha256::digest(wasm).into();
        let known = self.known().get(&hash).cloned();
        if let Some(Some(program)) = known {
            return Ok(program);
        }
        if prebuilt::is_prebuilt(wasm) {
            return self.load_prebuilt(wasm, hash);
        }
        let parts = module::decode(wasm)?;
        let recompiled = match known {
            Some(_) => None,
            None => Some(self.compile_now(&parts.entry, &parts.source)?),
        };
        if recompiled.as_deref().is_some_and(|ours| parts.engine == engine_sha256() && ours != wasm) {
            return Err(LoadError::Altered);
        }
        let ours = recompiled.as_deref().unwrap_or(wasm);
        let module = Module::new(&self.0.runtime.engine, ours)
            .map_err(|error| LoadError::Engine { reason: format!("{error:#}") })?;
        let program = Program::script(parts.entry, parts.source, module);
        self.known().insert(Sha256::digest(ours).into(), Some(program.clone()));
        Ok(program)
    }

    fn load_prebuilt(&self, wasm: &[u8], hash: [u8; 32]) -> Result<Program, LoadError> {
        prebuilt::check(wasm)?;
        let runtime = &self.0.runtime;
        let linked = Module::new(&runtime.engine, wasm)
            .and_then(|module| runtime.linker.instantiate_pre(&module))
            .map_err(|error| LoadError::Engine { reason: format!("{error:#}") })?;
        let program = Program::prebuilt(wasm, linked);
        let mut known = self.known();
        if known.len() >= MAX_KNOWN {
            known.clear();
        }
        known.insert(hash, Some(program.clone()));
        Ok(program)
    }

    /// Calls a program in a fresh instance. Needs a tokio runtime with time enabled. Dropping the future ends
    /// the call. The host may call programs of the same sandbox, up to [`Limits::depth`].
    pub async fn call(&self, program: &Program, invocation: Invocation<'_>) -> CallReport {
        let Invocation { args, bindings, host, limits, seed, now_ms } = invocation;
        let job = Job { args, bindings, host: Some(host), limits, seed, now_ms, checked: false };
        run::run(&self.0.runtime, program, job).await
    }

    /// Makes a reflex of a program whose entry takes the state as its argument. Use [`Limits::reflex`] unless
    /// there is a reason not to.
    pub fn reflex(&self, program: &Program, limits: &Limits) -> Reflex {
        Reflex::new(self.clone(), program.clone(), limits.clone())
    }

    pub(crate) fn runtime(&self) -> &Runtime {
        &self.0.runtime
    }

    fn known(&self) -> MutexGuard<'_, HashMap<[u8; 32], Option<Program>>> {
        self.0.known.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl fmt::Debug for Sandbox {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Sandbox")
    }
}
