//! Runs one call, from a fresh instance to its report.

use crate::abi::{Guest, Outcome, RESERVE_FUEL, Termination, WALL_GRACE, limit_message};
use crate::budget::Budget;
use crate::diagnosis::Thrown;
use crate::engine::Runtime;
use crate::program::Code;
use crate::{Binding, CallError, CallReport, Host, LimitKind, Limits, Program, prebuilt};
use serde::Serialize;
use serde_json::Value;
use std::sync::Arc;
use tokio::time::Instant;
use wasmtime::{Extern, Instance, Module, PoolConcurrencyLimitError, Result, Store, Trap, format_err};

/// Fuel between two yields to other tasks of the thread; about one millisecond.
const YIELD_FUEL: u64 = 1_000_000;
/// Largest time value of `Date` (ECMA-262, section 21.4.1.1).
const MAX_TIME_MS: i64 = 8_640_000_000_000_000;

/// Everything that one call needs.
pub(crate) struct Job<'a> {
    pub args: &'a [Value],
    pub bindings: &'a [Binding],
    pub host: Option<Arc<dyn Host>>,
    pub limits: &'a Limits,
    pub seed: u64,
    pub now_ms: i64,
    /// Whether arguments are views in which reading an unknown name throws.
    pub checked: bool,
}

/// Input of the prelude's `install`.
#[derive(Serialize)]
struct Installation<'a> {
    bindings: &'a [Binding],
    args: &'a [Value],
    checked: bool,
}

/// The calls around a call.
#[derive(Clone)]
struct Enclosing {
    /// Their number.
    depth: u32,
    /// The budget of the outermost one.
    budget: Arc<Budget>,
}

tokio::task_local! {
    static ENCLOSING: Enclosing;
}

/// Runs a call. If the host of another call makes it, in the same task, the two share a budget.
pub(crate) async fn run(runtime: &Runtime, program: &Program, job: Job<'_>) -> CallReport {
    let deadline = job.limits.deadline();
    let enclosing = ENCLOSING.try_with(Clone::clone);
    let Enclosing { depth, budget } =
        enclosing.unwrap_or_else(|_| Enclosing { depth: 0, budget: Budget::new(job.limits, deadline) });
    if depth >= job.limits.depth {
        return failed(limit(LimitKind::Depth, limit_message(LimitKind::Depth, job.limits)));
    }
    if depth > 0
        && let Some(kind) = budget.exhausted()
    {
        return failed(limit(kind, limit_message(kind, job.limits)));
    }
    let Some(_entered) = budget.enter() else { return failed(too_many_instances()) };
    let inside = Enclosing { depth: depth + 1, budget: Arc::clone(&budget) };
    ENCLOSING.scope(inside, run_within(runtime, program, job, budget, deadline)).await
}

/// As [`run`], for calls that cannot call the sandbox again and share their budget with no other call.
pub(crate) async fn run_alone(runtime: &Runtime, program: &Program, job: Job<'_>) -> CallReport {
    let deadline = job.limits.deadline();
    let budget = Budget::new(job.limits, deadline);
    run_within(runtime, program, job, budget, deadline).await
}

async fn run_within(
    runtime: &Runtime,
    program: &Program,
    job: Job<'_>,
    budget: Arc<Budget>,
    deadline: Option<Instant>,
) -> CallReport {
    let mut store = match prepare(runtime, program, &job, Arc::clone(&budget), deadline) {
        Ok(store) => store,
        Err(error) => return failed(error),
    };
    let called = call(runtime, program, &mut store);
    let ended = match budget.deadline(deadline) {
        Some(deadline) => {
            let last = deadline.checked_add(WALL_GRACE).unwrap_or(deadline);
            tokio::time::timeout_at(last, called).await
        }
        None => Ok(called.await),
    };
    let left = store.get_fuel().unwrap_or_default();
    let mut guest = store.into_data();
    let fuel_used = guest.fuel_used(left);
    guest.settle(left);
    let result = match ended {
        Ok(Ok(())) => conclude(&guest, program, &job),
        Ok(Err(error)) => Err(classify_failure(&error, &guest, program.is_prebuilt())),
        Err(_elapsed) => Err(limit(LimitKind::Wall, limit_message(LimitKind::Wall, job.limits))),
    };
    CallReport {
        result,
        logs: guest.logs,
        logs_dropped: guest.logs_dropped,
        host_calls: guest.host_calls,
        fuel_used,
    }
}

fn prepare(
    runtime: &Runtime,
    program: &Program,
    job: &Job<'_>,
    budget: Arc<Budget>,
    deadline: Option<Instant>,
) -> Result<Store<Guest>, CallError> {
    let internal = |error: &dyn std::fmt::Display| CallError::Trap {
        message: format!("the call could not be prepared: {error}"),
    };
    let installation = Installation { bindings: job.bindings, args: job.args, checked: job.checked };
    let invocation = serde_json::to_vec(&installation).map_err(|error| internal(&error))?;
    let most = job.limits.args_bytes;
    if invocation.len() as u64 > most {
        let size = invocation.len();
        let message =
            format!("the arguments and bindings are {size} bytes of JSON; at most {most} are allowed");
        return Err(limit(LimitKind::Args, message));
    }
    let mut guest = Guest::new(job.limits.clone(), invocation, budget);
    // A prebuilt skill does not watch its fuel, so it gets no reserve for stopping in order.
    guest.reserve = if program.is_prebuilt() { 0 } else { RESERVE_FUEL };
    guest.seed = job.seed;
    guest.now_ms = job.now_ms.clamp(-MAX_TIME_MS, MAX_TIME_MS);
    guest.set_deadline(deadline);
    guest.host.clone_from(&job.host);
    guest.granted = job.bindings.iter().map(|binding| binding.name.clone()).collect();

    new_store(runtime, guest).map_err(|error| internal(&error))
}

/// Creates a store with the fuel that the guest's limits allow.
pub(crate) fn new_store(runtime: &Runtime, guest: Guest) -> Result<Store<Guest>> {
    let mut store = Store::new(&runtime.engine, guest);
    store.limiter(|guest| &mut guest.memory_limits);
    let fuel = store.data().limits.fuel.min(store.data().budget.fuel());
    refuel(&mut store, fuel)?;
    store.fuel_async_yield_interval(Some(YIELD_FUEL))?;
    Ok(store)
}

/// Gives the store this fuel, and its reserve.
pub(crate) fn refuel(store: &mut Store<Guest>, fuel: u64) -> Result<()> {
    let fuel = fuel.saturating_add(store.data().reserve);
    store.data_mut().fuelled(fuel);
    store.set_fuel(fuel)
}

/// Instantiates the engine, loads the skill into it and calls it; a prebuilt skill runs without the engine.
async fn call(runtime: &Runtime, program: &Program, store: &mut Store<Guest>) -> Result<()> {
    match program.code() {
        Code::Script(module) => {
            let engine = runtime.calling.instantiate_async(&mut *store).await?;
            if load_skill(store, &engine, module).await? {
                engine.get_typed_func::<(), i32>(&mut *store, "sk_call")?.call_async(&mut *store, ()).await?;
            }
            Ok(())
        }
        Code::Prebuilt(linked) => {
            let skill = linked.instantiate_async(&mut *store).await?;
            skill.get_typed_func::<(), ()>(&mut *store, prebuilt::CALL)?.call_async(&mut *store, ()).await
        }
    }
}

/// Loads a skill module into an engine instance. Returns false if the skill threw.
pub(crate) async fn load_skill(store: &mut Store<Guest>, engine: &Instance, module: &Module) -> Result<bool> {
    let mut imports: [Option<Extern>; 3] = Default::default();
    for (slot, import) in imports.iter_mut().zip(module.imports()) {
        *slot = engine.get_export(&mut *store, import.name());
    }
    let [Some(memory), Some(alloc), Some(load)] = imports else {
        return Err(format_err!("the engine lacks what a skill imports"));
    };
    let skill = Instance::new_async(&mut *store, module, &[memory, alloc, load]).await?;
    let failed = skill.get_typed_func::<(), i32>(&mut *store, "load")?.call_async(&mut *store, ()).await?;
    Ok(failed == 0)
}

/// Result of an instance that ended by itself.
fn conclude(guest: &Guest, program: &Program, job: &Job<'_>) -> Result<Value, CallError> {
    if let Some(kind) = guest.interrupted {
        let place = match &guest.outcome {
            Some(Outcome::Failed(description)) => Thrown::parse(description),
            _ => Thrown::plain(""),
        };
        return Err(place.into_limit(kind, limit_message(kind, job.limits)));
    }
    match &guest.outcome {
        Some(Outcome::Done(json)) => serde_json::from_slice(json)
            .map_err(|error| limit(LimitKind::Output, format!("the skill's result cannot be read: {error}"))),
        Some(Outcome::Failed(description)) => {
            let thrown = Thrown::parse(description);
            Err(if thrown.is_out_of_memory() {
                thrown.into_limit(LimitKind::Memory, limit_message(LimitKind::Memory, job.limits))
            } else {
                thrown.into_exception(program.source(), job.bindings)
            })
        }
        None => Err(CallError::Trap { message: "the engine ended without a result".to_owned() }),
    }
}

/// Error of an instance that was terminated.
fn classify_failure(error: &wasmtime::Error, guest: &Guest, prebuilt: bool) -> CallError {
    if let Some(ended) = error.downcast_ref::<Termination>() {
        return match ended {
            Termination::Stopped(cause, reason) => {
                CallError::Stopped { cause: *cause, reason: reason.clone() }
            }
            Termination::Limit(which, message) => limit(*which, message.clone()),
        };
    }
    if error.is::<PoolConcurrencyLimitError>() {
        return too_many_instances();
    }
    if guest.memory_limits.exhausted {
        let message = "the skill and the skills that it called used up their memory".to_owned();
        return limit(LimitKind::Memory, message);
    }
    match error.downcast_ref::<Trap>() {
        Some(Trap::OutOfFuel) => limit(LimitKind::Fuel, limit_message(LimitKind::Fuel, &guest.limits)),
        Some(Trap::MemoryOutOfBounds) if prebuilt => {
            CallError::Trap { message: "the skill used an address outside its memory".to_owned() }
        }
        Some(Trap::StackOverflow | Trap::MemoryOutOfBounds) => {
            CallError::Trap { message: "the skill nested values or calls too deeply".to_owned() }
        }
        Some(trap) => CallError::Trap { message: describe_trap(*trap) },
        None => {
            let reason = error.root_cause();
            CallError::Trap { message: format!("the skill asked the host for what cannot be: {reason}") }
        }
    }
}

/// Explanation of a trap.
fn describe_trap(trap: Trap) -> String {
    match trap {
        Trap::UnreachableCodeReached => {
            "the skill gave up: it panicked, or met what it thought impossible".to_owned()
        }
        Trap::IntegerDivisionByZero => "the skill divided a whole number by zero".to_owned(),
        Trap::IntegerOverflow => "a whole number became too large".to_owned(),
        Trap::BadConversionToInteger => "a number that is no whole number was taken for one".to_owned(),
        Trap::TableOutOfBounds | Trap::IndirectCallToNull | Trap::BadSignature => {
            "the skill called a function that does not exist".to_owned()
        }
        other => format!("the skill gave up: {other}"),
    }
}

fn too_many_instances() -> CallError {
    limit(LimitKind::Instances, "too many skills are running at once".to_owned())
}

fn limit(which: LimitKind, message: String) -> CallError {
    CallError::Limit { which, message, line: 0 }
}

fn failed(error: CallError) -> CallReport {
    CallReport { result: Err(error), logs: Vec::new(), logs_dropped: 0, host_calls: 0, fuel_used: 0 }
}
