//! The engine without its prepared memory: each call initialises the engine and evaluates the source.

use crate::table::{Sample, sample};
use std::path::Path;
use wasmtime::{
    Caller, Config, Engine, Instance, InstanceAllocationStrategy, Linker, Module, PoolingAllocationConfig,
    Store, TypedFunc,
};

/// State of the host functions.
#[derive(Default)]
struct Guest {
    announced: Vec<u8>,
    finished: Vec<u8>,
}

/// The linked engine, as `cargo xtask engine` leaves it behind; measured with the skill `source`, whose entry is `main`.
pub fn calls(source: &str) -> Option<Sample> {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("../target/engine/engine.linked.wasm");
    let wasm = std::fs::read(path).ok()?;
    let mut pool = PoolingAllocationConfig::new();
    pool.linear_memory_keep_resident(4 << 20).total_core_instances(8).total_memories(8);
    pool.max_memory_size(64 << 20).table_elements(10_000);
    let mut config = Config::new();
    config.consume_fuel(true).memory_init_cow(true);
    config.allocation_strategy(InstanceAllocationStrategy::Pooling(pool));
    let engine = Engine::new(&config).ok()?;
    let module = Module::new(&engine, wasm).ok()?;
    let linker = linker(&engine).expect("host functions");
    let instance = linker.instantiate_pre(&module).ok()?;
    let text = format!("{source}\n;export default main;");
    let invocation = serde_json::json!({"args": ["tree"], "checked": false,
        "bindings": [{"name": "go_to", "parameters": ["kind"], "kind": "call"}]});
    let invocation = invocation.to_string();
    Some(sample(300, || {
        let mut store = Store::new(&engine, Guest::default());
        store.set_fuel(u64::MAX / 2).expect("fuel");
        let instance = instance.instantiate(&mut store).expect("an instance");
        run(&mut store, instance, &text, &invocation).expect("a result");
    }))
}

fn run(store: &mut Store<Guest>, instance: Instance, text: &str, invocation: &str) -> wasmtime::Result<()> {
    let init: TypedFunc<(), i32> = instance.get_typed_func(&mut *store, "sk_init")?;
    assert_eq!(init.call(&mut *store, ())?, 0);
    store.data_mut().announced = text.as_bytes().to_vec();
    let compile: TypedFunc<(), i32> = instance.get_typed_func(&mut *store, "sk_compile")?;
    assert_eq!(compile.call(&mut *store, ())?, 0);
    let bytecode = std::mem::take(&mut store.data_mut().finished);
    let size = bytecode.len() as u32;
    let alloc: TypedFunc<u32, u32> = instance.get_typed_func(&mut *store, "sk_alloc")?;
    let at = alloc.call(&mut *store, size)?;
    let memory = instance.get_memory(&mut *store, "memory").expect("a memory");
    memory.write(&mut *store, at as usize, &bytecode)?;
    store.data_mut().announced = invocation.as_bytes().to_vec();
    let load: TypedFunc<(u32, u32), i32> = instance.get_typed_func(&mut *store, "sk_load_bc")?;
    assert_eq!(load.call(&mut *store, (at, size))?, 0);
    let call: TypedFunc<(), i32> = instance.get_typed_func(&mut *store, "sk_call")?;
    assert_eq!(call.call(&mut *store, ())?, 0);
    assert_eq!(store.data().finished, b"{\"there\":true}");
    Ok(())
}

fn linker(engine: &Engine) -> wasmtime::Result<Linker<Guest>> {
    let mut linker = Linker::new(engine);
    linker.func_wrap("host", "invocation", |mut caller: Caller<'_, Guest>, settings: u32| {
        let mut bytes = [0; 24];
        bytes[16..20].copy_from_slice(&(48_u32 << 20).to_le_bytes());
        write(&mut caller, settings, &bytes);
        caller.data().announced.len() as u32
    })?;
    linker.func_wrap("host", "take", |mut caller: Caller<'_, Guest>, to: u32| {
        let bytes = std::mem::take(&mut caller.data_mut().announced);
        write(&mut caller, to, &bytes);
    })?;
    linker.func_wrap("host", "call", |mut caller: Caller<'_, Guest>, _: u32, _: u32, _: u32, _: u32| {
        caller.data_mut().announced = b"true".to_vec();
        4_u64
    })?;
    linker.func_wrap("host", "finish", |mut caller: Caller<'_, Guest>, _: u32, at: u32, length: u32| {
        let memory = caller.get_export("memory").and_then(wasmtime::Extern::into_memory).expect("a memory");
        let bytes = memory.data(&caller)[at as usize..][..length as usize].to_vec();
        caller.data_mut().finished = bytes;
    })?;
    linker.func_wrap("host", "should_stop", || 0_i32)?;
    linker.func_wrap("host", "start", |_: u32, _: u32, _: u32, _: u32| 0_u32)?;
    linker.func_wrap("host", "wait", || 0_u64)?;
    linker.func_wrap("host", "log", |_: u32, _: u32, _: u32| {})?;
    Ok(linker)
}

fn write(caller: &mut Caller<'_, Guest>, at: u32, bytes: &[u8]) {
    let memory = caller.get_export("memory").and_then(wasmtime::Extern::into_memory).expect("a memory");
    memory.write(caller, at as usize, bytes).expect("an address of the engine");
}
