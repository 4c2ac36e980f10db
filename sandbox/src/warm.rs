//! Instances that are kept loaded between the ticks of a reflex.
//!
//! Most of a small call is loading the skill and tearing the instance down. A warm instance does that once: its memory
//! is noted right after the reflex was loaded, and before every further tick it is put back to exactly that. So
//! every tick starts from the same state, whether the instance is new or was used a million times, and nothing that
//! a tick leaves in variables, objects or prototypes can be seen by the next.
//!
//! What is put back are the engine's variables and its heap ([`writable_from`]). Below them lie its stack, which is
//! empty between ticks, and its constants. An instance that cannot be put back (its memory grew) or was ended in the
//! middle of something (a trap, a limit) is not used again.

use crate::abi::{Guest, Outcome};
use crate::engine::{Place, Runtime, writable_from};
use crate::run::{self, load_skill};
use crate::{Binding, Limits};
use serde_json::{Value, json};
use std::sync::{Mutex, PoisonError};
use wasmtime::{Memory, Module, Store, TypedFunc};

const PAGE_BYTES: usize = 4096;
/// What most pages look like. One copy for all of them stays in the processor's nearest cache.
static BLANK: [u8; PAGE_BYTES] = [0; PAGE_BYTES];

/// Warm instances of one reflex that are kept while idle.
const MAX_IDLE: usize = 8;

/// The function by which a warm reflex asks for the state. No identifier has a space in it, so that nothing in
/// the reflex's source can mean this.
pub(crate) const STATE: &str = "the state";
/// The function after which the state is asked for anew.
pub(crate) const NEXT: &str = "the next state";

/// The idle warm instances of one program.
#[derive(Default)]
pub(crate) struct Pool(Mutex<Vec<Warm>>);

impl Pool {
    /// An instance with these limits, if one is idle.
    pub(crate) fn take(&self, limits: &Limits) -> Option<Warm> {
        let mut idle = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let at = idle.iter().position(|warm| warm.store.data().limits == *limits)?;
        Some(idle.swap_remove(at))
    }

    /// Keeps an instance for the next tick.
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
    /// The memory from [`writable_from`] on as it was when the reflex had been loaded.
    image: Box<[u8]>,
    /// Where the image begins.
    from: usize,
    /// Which of its pages are all zeros.
    blank: Vec<bool>,
    used: bool,
    _place: Place,
}

/// How a tick in a warm instance went.
pub(crate) enum Tick {
    /// The reflex returned this.
    Returned(Value),
    /// It did not return. The instance can go on.
    Failed,
    /// The instance is of no use any more.
    Spent,
}

impl Warm {
    /// Loads a reflex; none when it does not load, or no more instances may be kept.
    pub(crate) async fn start(runtime: &Runtime, reflex: &Module, limits: &Limits) -> Option<Self> {
        let place = runtime.keep_one_warm()?;
        let bindings = [Binding::live(STATE), Binding::call(NEXT, Vec::<String>::new())];
        let invocation = json!({"bindings": bindings, "args": [], "checked": false});
        let mut guest = Guest::new(limits.clone(), invocation.to_string().into_bytes());
        guest.set_deadline();
        let mut store = run::new_store(runtime, guest).ok()?;
        let engine = runtime.ticking.instantiate_async(&mut store).await.ok()?;
        if !load_skill(&mut store, &engine, reflex).await.ok()? {
            return None;
        }
        let call = engine.get_typed_func::<(), i32>(&mut store, "sk_call").ok()?;
        let memory = engine.get_memory(&mut store, "memory")?;
        // The start of the page with the first variable.
        let from = writable_from() / PAGE_BYTES * PAGE_BYTES;
        let image: Box<[u8]> = memory.data(&store).get(from..)?.into();
        let blank = image.chunks(PAGE_BYTES).map(|page| *page == BLANK).collect();
        Some(Self { store, memory, call, image, from, blank, used: false, _place: place })
    }

    /// What the reflex makes of a state, given as JSON.
    pub(crate) async fn tick(&mut self, state: Vec<u8>) -> Tick {
        if std::mem::replace(&mut self.used, true) && !self.put_back() {
            return Tick::Spent;
        }
        self.store.data_mut().begin_tick(state);
        if run::refuel(&mut self.store).is_err() {
            return Tick::Spent;
        }
        // Nothing in a tick waits, so that fuel, and the clock that the engine is shown, always end it.
        match self.call.call_async(&mut self.store, ()).await {
            Ok(_) if self.store.data().interrupted.is_none() => {}
            _ => return Tick::Spent,
        }
        match &self.store.data().outcome {
            Some(Outcome::Done(json)) => serde_json::from_slice(json).map_or(Tick::Failed, Tick::Returned),
            _ => Tick::Failed,
        }
    }

    /// Makes the memory what it was after loading; whether that can be.
    fn put_back(&mut self) -> bool {
        let Some(memory) = self.memory.data_mut(&mut self.store).get_mut(self.from..) else { return false };
        if memory.len() != self.image.len() {
            return false;
        }
        let images = self.image.chunks(PAGE_BYTES).zip(&self.blank);
        for (page, (image, blank)) in memory.chunks_mut(PAGE_BYTES).zip(images) {
            let image = if *blank { &BLANK[..] } else { image };
            // Few pages change; comparing one moves less memory than writing it.
            if page != image {
                page.copy_from_slice(image);
            }
        }
        true
    }
}
