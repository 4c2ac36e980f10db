//! Initialises the linked engine and saves its memory.

use std::pin::pin;
use std::task::{Context, Poll, Waker};
use wasmparser::ValType;
use wasmtime::{Engine, Instance, Linker, Module, Result, Store, Val, bail};
use wasmtime_wizer::{InstanceState, SnapshotVal, Wizer};

const INITIALISE: &str = "sk_init";

/// The initialised module, which no longer exports its initialisation.
pub fn pre_initialise(linked: &[u8]) -> Result<Vec<u8>> {
    let mut wizer = Wizer::new();
    wizer.init_func(INITIALISE).keep_init_func(false);
    let (context, instrumented) = wizer.instrument(linked)?;

    let engine = Engine::default();
    let module = Module::new(&engine, &instrumented)?;
    let mut linker = Linker::new(&engine);
    linker.func_wrap("host", "should_stop", || 0_i32)?;
    linker.define_unknown_imports_as_traps(&module)?;
    let mut store = Store::new(&engine, ());
    let instance = linker.instantiate(&mut store, &module)?;
    let status = instance.get_typed_func::<(), i32>(&mut store, INITIALISE)?.call(&mut store, ())?;
    if status != 0 {
        bail!("the engine could not be initialised: status {status}");
    }
    ready(wizer.snapshot(&context, &mut Initialised { store, instance }))?
}

/// The outcome of a future that never has to wait.
fn ready<T>(future: impl Future<Output = T>) -> Result<T> {
    match pin!(future).poll(&mut Context::from_waker(Waker::noop())) {
        Poll::Ready(value) => Ok(value),
        Poll::Pending => bail!("taking a snapshot does not wait for anything"),
    }
}

struct Initialised {
    store: Store<()>,
    instance: Instance,
}

impl InstanceState for Initialised {
    async fn global_get(&mut self, name: &str, _: ValType) -> SnapshotVal {
        let value = self.instance.get_global(&mut self.store, name).map(|global| global.get(&mut self.store));
        match value {
            Some(Val::I32(value)) => SnapshotVal::I32(value),
            Some(Val::I64(value)) => SnapshotVal::I64(value),
            Some(Val::F32(value)) => SnapshotVal::F32(value),
            Some(Val::F64(value)) => SnapshotVal::F64(value),
            other => unreachable!("the engine has numbers only for globals, not {name}: {other:?}"),
        }
    }

    async fn memory_contents(&mut self, name: &str, contents: impl FnOnce(&[u8]) + Send) {
        if let Some(memory) = self.instance.get_memory(&mut self.store, name) {
            contents(memory.data(&self.store));
        }
    }
}
