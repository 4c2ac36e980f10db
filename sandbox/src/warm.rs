//! Engine instances that stay loaded between the ticks of a reflex.
//!
//! Most of a small call's cost is loading the skill and dropping the instance. A warm instance does that
//! once. It saves its memory right after loading the reflex and restores exactly that image before every
//! further tick. Every tick therefore starts from the same state, and no variable, object or prototype
//! carries over.
//!
//! The image covers the engine's variables and heap ([`writable_from`]). Below them lie its constants and its
//! stack, which is empty between ticks. An instance that cannot be restored (its memory grew) or was
//! terminated (a trap, a limit) is discarded.

use crate::abi::{Guest, Outcome};
use crate::engine::{Runtime, WarmPermit, writable_from};
use crate::run::{self, load_skill};
use crate::{Binding, Limits};
use serde_json::{Value, json};
use std::sync::{Mutex, PoisonError};
use wasmtime::{Memory, Module, Store, TypedFunc};

const PAGE_BYTES: usize = 4096;
/// The content of most pages. One shared copy stays in the processor's cache.
static ZERO_PAGE: [u8; PAGE_BYTES] = [0; PAGE_BYTES];

/// Limit on idle warm instances per reflex.
const MAX_IDLE: usize = 8;

/// Name of the function by which a warm reflex requests the state. It contains a space, so no identifier in
/// the reflex's source can equal it.
pub(crate) const STATE: &str = "the state";
/// Name of the function that expires the state, so that the next request gets a new one.
pub(crate) const NEXT: &str = "the next state";

/// Idle warm instances of one program.
#[derive(Default)]
pub(crate) struct Pool(Mutex<Vec<Warm>>);

impl Pool {
    /// Takes an idle instance with these limits.
    pub(crate) fn take(&self, limits: &Limits) -> Option<Warm> {
        let mut idle = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let at = idle.iter().position(|warm| warm.store.data().limits == *limits)?;
        Some(idle.swap_remove(at))
    }

    /// Returns an instance for the next tick.
    pub(crate) fn put(&self, warm: Warm) {
        let mut idle = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if idle.len() < MAX_IDLE {
            idle.push(warm);
        }
    }
}

/// One loaded instance.
pub(crate) struct Warm {
    store: Store<Guest>,
    memory: Memory,
    call: TypedFunc<(), i32>,
    /// The memory from [`writable_from`] on, as it was after loading.
    image: Box<[u8]>,
    /// Address where the image starts.
    from: usize,
    /// Whether each page of the image is all zeros.
    is_zero: Vec<bool>,
    used: bool,
    _permit: WarmPermit,
}

/// Result of a tick in a warm instance.
pub(crate) enum Tick {
    /// Return value of the reflex.
    Returned(Value),
    /// The reflex did not return. The instance remains usable.
    Failed,
    /// The instance must be discarded.
    Discard,
}

impl Warm {
    /// Loads a reflex. `None` if it does not load, or no permit is left.
    pub(crate) async fn start(runtime: &Runtime, reflex: &Module, limits: &Limits) -> Option<Self> {
        let permit = runtime.acquire_warm_permit()?;
        let bindings = [Binding::live(STATE), Binding::call(NEXT, Vec::<String>::new())];
        let invocation = json!({"bindings": bindings, "args": [], "checked": false});
        let mut guest = Guest::alone(limits.clone(), invocation.to_string().into_bytes());
        guest.set_deadline(limits.deadline());
        let mut store = run::new_store(runtime, guest).ok()?;
        let engine = runtime.ticking.instantiate_async(&mut store).await.ok()?;
        if !load_skill(&mut store, &engine, reflex).await.ok()? {
            return None;
        }
        let call = engine.get_typed_func::<(), i32>(&mut store, "sk_call").ok()?;
        let memory = engine.get_memory(&mut store, "memory")?;
        // Start of the page with the first variable.
        let from = writable_from() / PAGE_BYTES * PAGE_BYTES;
        let image: Box<[u8]> = memory.data(&store).get(from..)?.into();
        let is_zero = image.chunks(PAGE_BYTES).map(|page| *page == ZERO_PAGE).collect();
        Some(Self { store, memory, call, image, from, is_zero, used: false, _permit: permit })
    }

    /// Runs the reflex with a state as JSON.
    pub(crate) async fn tick(&mut self, state: Vec<u8>) -> Tick {
        if std::mem::replace(&mut self.used, true) && !self.restore_memory() {
            return Tick::Discard;
        }
        self.store.data_mut().begin_tick(state);
        let fuel = self.store.data().limits.fuel;
        if run::refuel(&mut self.store, fuel).is_err() {
            return Tick::Discard;
        }
        // A tick never waits, so fuel and the engine's clock checks always end it.
        match self.call.call_async(&mut self.store, ()).await {
            Ok(_) if self.store.data().interrupted.is_none() => {}
            _ => return Tick::Discard,
        }
        match &self.store.data().outcome {
            Some(Outcome::Done(json)) => serde_json::from_slice(json).map_or(Tick::Failed, Tick::Returned),
            _ => Tick::Failed,
        }
    }

    /// Restores the memory image. Returns false if the memory has grown.
    fn restore_memory(&mut self) -> bool {
        let Some(memory) = self.memory.data_mut(&mut self.store).get_mut(self.from..) else { return false };
        if memory.len() != self.image.len() {
            return false;
        }
        let images = self.image.chunks(PAGE_BYTES).zip(&self.is_zero);
        for (page, (image, is_zero)) in memory.chunks_mut(PAGE_BYTES).zip(images) {
            let image = if *is_zero { &ZERO_PAGE[..] } else { image };
            // Few pages change, and comparing moves less memory than writing.
            if page != image {
                page.copy_from_slice(image);
            }
        }
        true
    }
}
