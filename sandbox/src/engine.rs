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

/// QuickJS-NG with the host interface, already initialised. Built by `cargo xtask engine`.
pub(crate) const ENGINE: &[u8] = include_bytes!("../engine/engine.wasm");
const ENGINE_SHA256: &str = include_str!("../engine/engine.sha256");

/// Address of the engine's first variable, as chosen by its linker.
const ENGINE_WRITABLE: &str = include_str!("../engine/engine.writable");

/// Stack limit of wasm frames. JavaScript's own limit (256 KiB of the engine's memory) is reached first, so
/// endless recursion is an ordinary error.
const WASM_STACK_BYTES: usize = 2 << 20;
/// Size of a call's stack. The part beyond the wasm limit is for host functions, in which another call may
/// start.
const STACK_BYTES: usize = WASM_STACK_BYTES + (1 << 20);
/// Reserving the whole address space of a 32-bit memory makes bounds checks unnecessary.
const MEMORY_RESERVATION_BYTES: u64 = 4 << 30;
const MEMORY_GUARD_BYTES: u64 = 32 << 20;
/// Memory that a finished instance leaves mapped for the next one. Clearing it costs less than page faults.
const KEEP_RESIDENT_BYTES: usize = 2 << 20;
/// One warm reflex instance may be kept per this many instances.
const WARM_SHARE: u32 = 4;

/// SHA-256, in hex, of the JavaScript engine.
pub fn engine_sha256() -> &'static str {
    ENGINE_SHA256.trim_ascii()
}

/// Address of the engine's first variable; its stack and constants lie below. 0 is always a safe value.
pub(crate) fn writable_from() -> usize {
    ENGINE_WRITABLE.trim_ascii().parse().unwrap_or(0)
}

/// The compiled engine, linked with host functions.
pub(crate) struct Runtime {
    pub(crate) engine: Engine,
    /// For calls; its host functions may wait.
    pub(crate) calling: InstancePre<Guest>,
    /// Host functions for calls, to link prebuilt skills.
    pub(crate) linker: Linker<Guest>,
    /// For compilation, which calls no host functions that act.
    pub(crate) compiling: InstancePre<Guest>,
    /// For warm reflexes, which only request the state.
    pub(crate) ticking: InstancePre<Guest>,
    /// Number of warm instances that may still be created.
    warm_permits: Arc<AtomicU32>,
}

/// Permission to keep one warm instance; returned on drop.
pub(crate) struct WarmPermit(Arc<AtomicU32>);

impl Drop for WarmPermit {
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
        let warm_permits = Arc::new(AtomicU32::new(instances / WARM_SHARE));
        Ok(Self { engine, calling, linker, compiling, ticking, warm_permits })
    }

    /// Takes a permit for one more warm instance, if any is left.
    pub(crate) fn acquire_warm_permit(&self) -> Option<WarmPermit> {
        self.warm_permits
            .fetch_update(Ordering::Relaxed, Ordering::Relaxed, |left| left.checked_sub(1))
            .ok()
            .map(|_| WarmPermit(Arc::clone(&self.warm_permits)))
    }
}

/// Creates a pooling engine, or an on-demand one if the address space for the pool is not available.
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
        tracing::warn!("cannot reserve a pool of {instances} instances, calls will be slower: {error:#}");
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

/// Loads the compiled engine from the cache, or compiles it, which takes seconds. A cache failure is logged
/// and otherwise ignored.
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
