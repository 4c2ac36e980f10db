//! The JavaScript engine: one WebAssembly module, compiled once per machine and shared by all calls.

use crate::abi::{self, Guest};
use crate::limits::{MAX_MEMORY_BYTES, MAX_TABLE_ELEMENTS};
use crate::precompiled::Cache;
use crate::sandbox::SandboxError;
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};
use wasmtime::{
    Config, Enabled, Engine, InstanceAllocationStrategy, InstancePre, Linker, Module, PoolingAllocationConfig,
};

/// QuickJS-NG with our host interface, already initialised; built by `cargo xtask engine`.
pub(crate) const ENGINE: &[u8] = include_bytes!("../engine/engine.wasm");
const ENGINE_SHA256: &str = include_str!("../engine/engine.sha256");

/// The address of the engine's first variable, which its linker chose.
const ENGINE_WRITABLE: &str = include_str!("../engine/engine.writable");

/// What wasm frames may take of a call's stack. JavaScript's own limit (256 KiB of the engine's memory) is
/// reached earlier, so that endless recursion is an ordinary error.
const WASM_STACK_BYTES: usize = 2 << 20;
/// A call's whole stack: the rest is for the host functions it calls, in which another call may start.
const STACK_BYTES: usize = WASM_STACK_BYTES + (1 << 20);
/// A reservation of the whole address space of a 32-bit memory makes bounds checks unnecessary.
const MEMORY_RESERVATION_BYTES: u64 = 4 << 30;
const MEMORY_GUARD_BYTES: u64 = 32 << 20;
/// What a finished instance leaves mapped for the next one; clearing these pages costs less than faulting them in.
const KEEP_RESIDENT_BYTES: usize = 2 << 20;
/// For so many instances that may run, one more may be kept loaded for reflexes.
const WARM_SHARE: u32 = 4;

/// SHA-256, in hex, of the JavaScript engine that skills run in.
pub fn engine_sha256() -> &'static str {
    ENGINE_SHA256.trim_ascii()
}

/// The address of the engine's first variable. Below it lie its stack and its constants. Were it not known it
/// would be 0, which is always right.
pub(crate) fn writable_from() -> usize {
    ENGINE_WRITABLE.trim_ascii().parse().unwrap_or(0)
}

/// The compiled engine, linked with its host functions.
pub(crate) struct Runtime {
    pub(crate) engine: Engine,
    /// For calls, whose host functions may wait.
    pub(crate) calling: InstancePre<Guest>,
    /// What those are, for skills that need no engine.
    pub(crate) linker: Linker<Guest>,
    /// For compiling skills, which asks nothing of the host.
    pub(crate) compiling: InstancePre<Guest>,
    /// For reflexes that are kept loaded, which ask for the state.
    pub(crate) ticking: InstancePre<Guest>,
    /// How many more instances may be kept while nothing runs in them.
    warm_places: Arc<AtomicU32>,
}

/// The right to keep an instance.
pub(crate) struct Place(Arc<AtomicU32>);

impl Drop for Place {
    fn drop(&mut self) {
        self.0.fetch_add(1, Ordering::Relaxed);
    }
}

impl Runtime {
    pub(crate) fn new(cache_folder: Option<&Path>, instances: u32) -> Result<Self, SandboxError> {
        let engine = new_engine(instances)?;
        let module = load_module(&engine, cache_folder)?;
        let linker = abi::linker_for_calls(&engine).map_err(|error| SandboxError::engine(&error))?;
        let calling = linker.instantiate_pre(&module).map_err(|error| SandboxError::engine(&error))?;
        let compiling = abi::linker_for_compiling(&engine)
            .and_then(|linker| linker.instantiate_pre(&module))
            .map_err(|error| SandboxError::engine(&error))?;
        let ticking = abi::linker_for_ticking(&engine)
            .and_then(|linker| linker.instantiate_pre(&module))
            .map_err(|error| SandboxError::engine(&error))?;
        let warm_places = Arc::new(AtomicU32::new(instances / WARM_SHARE));
        Ok(Self { engine, calling, linker, compiling, ticking, warm_places })
    }

    /// The right to keep one more instance, if there are any left.
    pub(crate) fn keep_one_warm(&self) -> Option<Place> {
        self.warm_places
            .fetch_update(Ordering::Relaxed, Ordering::Relaxed, |left| left.checked_sub(1))
            .ok()
            .map(|_| Place(Arc::clone(&self.warm_places)))
    }
}

/// Prefers a pool of instances; where the address space for it cannot be had, makes each one when it is needed.
fn new_engine(instances: u32) -> Result<Engine, SandboxError> {
    let instances = instances.saturating_add(instances / WARM_SHARE);
    let mut pool = PoolingAllocationConfig::new();
    pool.total_core_instances(instances.saturating_mul(2))
        .total_memories(instances)
        .total_tables(instances)
        .total_stacks(instances)
        .max_memory_size(MAX_MEMORY_BYTES as usize)
        .table_elements(MAX_TABLE_ELEMENTS)
        .linear_memory_keep_resident(KEEP_RESIDENT_BYTES)
        .table_keep_resident(MAX_TABLE_ELEMENTS * 8)
        .async_stack_keep_resident(64 << 10)
        .pagemap_scan(Enabled::Auto);
    let mut pooled = config();
    pooled.allocation_strategy(InstanceAllocationStrategy::Pooling(pool));
    Engine::new(&pooled).or_else(|error| {
        tracing::warn!("no pool of {instances} instances, each call will be slower: {error:#}");
        Engine::new(&config()).map_err(|error| SandboxError::engine(&error))
    })
}

fn config() -> Config {
    let mut config = Config::new();
    config
        .consume_fuel(true)
        .max_wasm_stack(WASM_STACK_BYTES)
        .async_stack_size(STACK_BYTES)
        .memory_init_cow(true)
        .memory_may_move(false)
        .memory_reservation(MEMORY_RESERVATION_BYTES)
        .memory_guard_size(MEMORY_GUARD_BYTES);
    config
}

/// From the cache if there is an authentic copy; compiling takes seconds. The cache is a convenience: when it fails
/// that is logged, and the engine is compiled.
fn load_module(engine: &Engine, cache_folder: Option<&Path>) -> Result<Module, SandboxError> {
    let cache = cache_folder.and_then(|folder| Cache::open(folder, engine, engine_sha256()));
    if let Some(module) = cache.as_ref().and_then(|cache| cache.load(engine)) {
        return Ok(module);
    }
    let module = Module::new(engine, ENGINE).map_err(|error| SandboxError::engine(&error))?;
    if let Some(cache) = cache {
        cache.store(&module);
    }
    Ok(module)
}
