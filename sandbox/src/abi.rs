//! The host side of the interface in `engine/src/host.h`.

use crate::budget::{Budget, Held, MAX_TRAFFIC_BYTES};
use crate::limits::MAX_LINE_BYTES;
use crate::memory_limits::MemoryLimits;
use crate::{Host, HostError, LimitKind, Limits, LogLevel, LogLine, StopCause};
use futures_util::StreamExt;
use futures_util::future::BoxFuture;
use futures_util::stream::FuturesOrdered;
use serde_json::{Map, Value};
use std::sync::Arc;
use std::time::Duration;
use tokio::time::Instant;
use wasmtime::{Caller, Engine, Error, Linker, Memory, Result, format_err};

/// Fuel reserve beyond a call's budget, in which the engine can stop in order and report a line. The engine
/// checks for a stop only at every ten-thousandth function call or loop iteration.
pub(crate) const RESERVE_FUEL: u64 = 100_000_000;
/// Limit on an error description, in bytes, independent of the limit on results.
const MAX_ERROR_BYTES: usize = 256 << 10;
/// Longest name that can be granted, in bytes. Of a longer one, only the beginning is read.
const MAX_NAME_BYTES: usize = 1024;
/// Longest quotation of a name in a message, in characters.
const MAX_QUOTED: usize = 100;
/// Time after the deadline in which the engine may report the line. Then the call ends at its next host call.
pub(crate) const WALL_GRACE: Duration = Duration::from_millis(100);

/// Host state of one engine instance.
pub(crate) struct Guest {
    pub(crate) limits: Limits,
    pub(crate) memory_limits: MemoryLimits,
    /// What this call shares with the calls around it.
    pub(crate) budget: Arc<Budget>,
    /// Fuel that this call has used, up to the last [`settle`].
    fuel_used: u64,
    /// The store's fuel at the last [`settle`].
    fuel_then: u64,
    /// Part of the store's fuel that does not count: [`RESERVE_FUEL`], or 0 for a prebuilt skill.
    pub(crate) reserve: u64,
    pub(crate) seed: u64,
    pub(crate) now_ms: i64,
    /// Wall-clock deadline; `None` if only fuel limits the call.
    deadline: Option<Instant>,
    /// The source to compile, or the call's bindings and arguments. Taken when the engine requests it.
    pub(crate) invocation: Vec<u8>,
    /// Answers host calls to the granted names.
    pub(crate) host: Option<Arc<dyn Host>>,
    pub(crate) granted: Vec<String>,
    /// Pending parallel calls, in start order.
    operations: FuturesOrdered<BoxFuture<'static, (u32, Served)>>,
    operations_started: u32,
    /// The instance's memory, looked up on first use.
    memory: Option<Memory>,
    /// Data that the engine may fetch next.
    pending_data: Vec<u8>,
    pub(crate) host_calls: u32,
    pub(crate) logs: Vec<LogLine>,
    pub(crate) logs_dropped: u32,
    /// The budget whose exhaustion made the engine stop.
    pub(crate) interrupted: Option<LimitKind>,
    pub(crate) outcome: Option<Outcome>,
}

/// Result that the engine handed over.
pub(crate) enum Outcome {
    /// Bytecode, or a result as JSON.
    Done(Vec<u8>),
    /// `{"name", "message", "stack"}` as JSON.
    Failed(Vec<u8>),
}

/// The host's answer to a call.
enum Answer {
    Value(Vec<u8>),
    Failed(String),
    Stop(StopCause, String),
}

/// Termination by the host, which code in the instance cannot catch.
#[derive(Debug, thiserror::Error)]
pub(crate) enum Termination {
    #[error("stopped: {1}")]
    Stopped(StopCause, String),
    #[error("{1}")]
    Limit(LimitKind, String),
}

/// An answer, and the budget that it occupies until the guest fetches it.
type Served = (Answer, Option<Held>);

impl Guest {
    /// The state of an outermost call that shares its budget with no other call.
    pub(crate) fn alone(limits: Limits, invocation: Vec<u8>) -> Self {
        let budget = Budget::new(&limits, None);
        Self::new(limits, invocation, budget)
    }

    pub(crate) fn new(limits: Limits, invocation: Vec<u8>, budget: Arc<Budget>) -> Self {
        Self {
            memory_limits: MemoryLimits::new(&limits, Arc::clone(&budget)),
            budget,
            fuel_used: 0,
            fuel_then: 0,
            reserve: RESERVE_FUEL,
            limits,
            seed: 0,
            now_ms: 0,
            deadline: None,
            invocation,
            host: None,
            granted: Vec::new(),
            operations: FuturesOrdered::new(),
            operations_started: 0,
            memory: None,
            pending_data: Vec::new(),
            host_calls: 0,
            logs: Vec::new(),
            logs_dropped: 0,
            interrupted: None,
            outcome: None,
        }
    }

    /// Ends the call at `deadline`, or with the calls around it.
    pub(crate) fn set_deadline(&mut self, deadline: Option<Instant>) {
        self.deadline = self.budget.deadline(deadline);
    }

    /// Whether the deadline has passed, and the time to end in order too.
    pub(crate) fn is_overdue(&self) -> bool {
        self.deadline.is_some_and(|deadline| deadline.elapsed() >= WALL_GRACE)
    }

    pub(crate) fn overdue(&self) -> Error {
        Error::new(Termination::Limit(LimitKind::Wall, limit_message(LimitKind::Wall, &self.limits)))
    }

    /// The fuel of the call when the store has `left`.
    pub(crate) fn fuel_used(&self, left: u64) -> u64 {
        self.fuel_used.saturating_add(self.fuel_then.saturating_sub(left))
    }

    /// Remembers that the store was given this fuel.
    pub(crate) fn fuelled(&mut self, fuel: u64) {
        self.fuel_then = fuel;
    }

    /// Takes what the call used since the last time from the shared budget. Returns the fuel that the store may have.
    pub(crate) fn settle(&mut self, left: u64) -> u64 {
        let used = self.fuel_then.saturating_sub(left);
        self.fuel_used = self.fuel_used.saturating_add(used);
        self.budget.spend_fuel(used);
        self.fuel_then = left.min(self.budget.fuel().saturating_add(self.reserve));
        self.fuel_then
    }

    /// Counts bytes that are about to cross the border.
    fn charge(&self, bytes: usize) -> Result<()> {
        if self.budget.take_traffic(bytes) {
            return Ok(());
        }
        let message = format!("the skill exchanged more than {} GiB with the host", MAX_TRAFFIC_BYTES >> 30);
        Err(Error::new(Termination::Limit(LimitKind::HostCalls, message)))
    }

    /// Prepares the next tick of a warm reflex with `state` as its argument.
    pub(crate) fn begin_tick(&mut self, state: Vec<u8>) {
        self.invocation = state;
        self.set_deadline(self.limits.deadline());
        self.pending_data = Vec::new();
        self.logs.clear();
        self.interrupted = None;
        self.outcome = None;
    }

    /// Counts a host call, before anything of it is read.
    fn count_call(&mut self) -> Result<()> {
        self.check_not_interrupted()?;
        if self.is_overdue() {
            return Err(self.overdue());
        }
        self.host_calls = self.host_calls.saturating_add(1);
        let limit = self.limits.host_calls;
        if self.host_calls > limit || !self.budget.take_host_call() {
            let message = format!("the skill asked the host more than {limit} times");
            return Err(Error::new(Termination::Limit(LimitKind::HostCalls, message)));
        }
        Ok(())
    }

    /// Checks a host call and returns its answer as a future.
    fn start_call(&mut self, request: Request) -> BoxFuture<'static, Served> {
        let refused = |message: String| -> BoxFuture<'static, Served> {
            Box::pin(std::future::ready((Answer::Failed(message), None)))
        };
        let name = request.name;
        let Some(host) = self.host.clone().filter(|_| self.granted.contains(&name)) else {
            return refused(format!("`{}` is not granted to this skill", quoted(&name)));
        };
        let most = self.limits.args_bytes;
        let args = match request.args {
            Ok(args) => args,
            Err(size) => {
                return refused(format!(
                    "the arguments of `{name}` are {size} bytes; at most {most} are allowed"
                ));
            }
        };
        let args: Map<String, Value> = match serde_json::from_slice(&args) {
            Ok(args) => args,
            Err(error) => return refused(format!("the arguments of `{name}` cannot be passed on: {error}")),
        };
        let Some(held) = self.budget.hold(args.iter().map(|(name, value)| name.len() + weight(value)).sum())
        else {
            return refused(format!("too many calls are under way to pass on the arguments of `{name}`"));
        };
        let budget = Arc::clone(&self.budget);
        Box::pin(async move {
            let answer = answer(host.as_ref(), &name, args, most).await;
            drop(held);
            let bytes = match &answer {
                Answer::Value(bytes) => bytes.len(),
                Answer::Failed(message) => message.len(),
                Answer::Stop(..) => 0,
            };
            match budget.hold(bytes) {
                Some(held) => (answer, Some(held)),
                None => (Answer::Failed("too many answers wait to be fetched".to_owned()), None),
            }
        })
    }

    /// Refuses host calls after a stop: `finally` blocks and pending promises still run then.
    fn check_not_interrupted(&self) -> Result<()> {
        match self.interrupted {
            Some(kind) => Err(Error::new(Termination::Limit(kind, limit_message(kind, &self.limits)))),
            None => Ok(()),
        }
    }

    /// Makes an answer available to `take`. Returns its length and status, packed as `host.h` specifies.
    fn publish(&mut self, (answer, _held): Served) -> Result<u64> {
        let (failed, bytes) = match answer {
            Answer::Value(bytes) => (0, bytes),
            Answer::Failed(message) => (1, Value::String(message).to_string().into_bytes()),
            Answer::Stop(cause, reason) => return Err(Error::new(Termination::Stopped(cause, reason))),
        };
        let length = u64::from(u32::try_from(bytes.len())?);
        self.charge(bytes.len())?;
        self.pending_data = bytes;
        Ok(failed << 32 | length)
    }
}

async fn answer(host: &dyn Host, name: &str, args: Map<String, Value>, most: u64) -> Answer {
    match host.call(name, args).await {
        Ok(value) => {
            let bytes = value.to_string().into_bytes();
            if bytes.len() as u64 > most {
                let size = bytes.len();
                return Answer::Failed(format!(
                    "the answer of `{name}` is {size} bytes; at most {most} are allowed"
                ));
            }
            Answer::Value(bytes)
        }
        Err(HostError::Failed(message)) => Answer::Failed(cut(message)),
        Err(HostError::Stop { cause, reason }) => Answer::Stop(cause, cut(reason)),
    }
}

/// The text, cut at [`MAX_ERROR_BYTES`].
fn cut(mut text: String) -> String {
    text.truncate(text.floor_char_boundary(MAX_ERROR_BYTES));
    text
}

/// The beginning of a name, for a message.
fn quoted(name: &str) -> String {
    match name.char_indices().nth(MAX_QUOTED) {
        Some((end, _)) => format!("{}…", &name[..end]),
        None => name.to_owned(),
    }
}

/// Bytes that a value occupies in the host, approximately.
fn weight(value: &Value) -> usize {
    size_of::<Value>()
        + match value {
            Value::String(text) => text.len(),
            Value::Array(items) => items.iter().map(weight).sum(),
            Value::Object(fields) => {
                fields.iter().map(|(name, value)| size_of::<String>() + name.len() + weight(value)).sum()
            }
            Value::Null | Value::Bool(_) | Value::Number(_) => 0,
        }
}

/// A host call as the guest makes it.
struct Request {
    name: String,
    /// The arguments, or their size if they are too long to be read.
    args: Result<Vec<u8>, usize>,
}

/// The message for an exhausted budget, written for the author of the skill.
pub(crate) fn limit_message(kind: LimitKind, limits: &Limits) -> String {
    match kind {
        LimitKind::Fuel => "the skill computed too long without finishing; a loop may never end".to_owned(),
        LimitKind::Wall => {
            format!("the skill took longer than {} s", limits.wall.as_secs_f64())
        }
        LimitKind::Memory => format!(
            "the skill used up its memory of {} MiB",
            limits.js_heap_bytes.min(limits.memory_bytes) >> 20
        ),
        LimitKind::Depth => format!("skills call each other more than {} deep", limits.depth),
        other => format!("the skill ran into a limit: {other:?}"),
    }
}

/// Host functions for calls.
pub(crate) fn linker_for_calls(engine: &Engine) -> Result<Linker<Guest>> {
    let mut linker = common(engine)?;
    linker.func_wrap_async("host", "call", |caller: Caller<'_, Guest>, request: (u32, u32, u32, u32)| {
        Box::new(call(caller, request))
    })?;
    linker.func_wrap(
        "host",
        "start",
        |mut caller: Caller<'_, Guest>, name: u32, name_len: u32, args: u32, args_len: u32| -> Result<u32> {
            let request = request(&mut caller, name, name_len, args, args_len)?;
            let guest = caller.data_mut();
            let answer = guest.start_call(request);
            guest.operations_started += 1;
            let number = guest.operations_started;
            guest.operations.push_back(Box::pin(async move { (number, answer.await) }));
            Ok(number)
        },
    )?;
    linker.func_wrap_async("host", "wait", |caller: Caller<'_, Guest>, (): ()| Box::new(wait(caller)))?;
    Ok(linker)
}

async fn call(
    mut caller: Caller<'_, Guest>,
    (name, name_len, args, args_len): (u32, u32, u32, u32),
) -> Result<u64> {
    let request = request(&mut caller, name, name_len, args, args_len)?;
    let answer = caller.data_mut().start_call(request).await;
    returned(&mut caller).await?;
    caller.data_mut().publish(answer)
}

async fn wait(mut caller: Caller<'_, Guest>) -> Result<u64> {
    settle(&mut caller)?;
    let guest = caller.data_mut();
    guest.check_not_interrupted()?;
    let (number, answer) = guest.operations.next().await.ok_or_else(|| format_err!("no call is pending"))?;
    returned(&mut caller).await?;
    Ok(u64::from(number) << 33 | caller.data_mut().publish(answer)?)
}

/// After an answer: skills that were called have used a part of the fuel. Answers that are always there at once must neither keep
/// other tasks waiting nor outlast the deadline.
async fn returned(caller: &mut Caller<'_, Guest>) -> Result<()> {
    tokio::task::consume_budget().await;
    if caller.data().is_overdue() {
        return Err(caller.data().overdue());
    }
    settle(caller)
}

/// Settles the fuel of the call with the calls around it.
fn settle(caller: &mut Caller<'_, Guest>) -> Result<()> {
    let left = caller.get_fuel()?;
    let allowed = caller.data_mut().settle(left);
    if allowed < left {
        caller.set_fuel(allowed)?;
    }
    Ok(())
}

/// Host functions for compilation, without any that act.
pub(crate) fn linker_for_compiling(engine: &Engine) -> Result<Linker<Guest>> {
    let mut linker = common(engine)?;
    linker.func_wrap("host", "call", |_: u32, _: u32, _: u32, _: u32| -> Result<u64> {
        Err(no_host_calls())
    })?;
    refuse_parallel_calls(&mut linker)?;
    Ok(linker)
}

/// Host functions for a warm reflex, which can only request the state, once per tick.
pub(crate) fn linker_for_ticking(engine: &Engine) -> Result<Linker<Guest>> {
    let mut linker = common(engine)?;
    linker.func_wrap(
        "host",
        "call",
        |mut caller: Caller<'_, Guest>, _: u32, _: u32, _: u32, _: u32| -> Result<u64> {
            let guest = caller.data_mut();
            let state = std::mem::take(&mut guest.invocation);
            let state = if state.is_empty() { b"{}".to_vec() } else { state };
            guest.publish((Answer::Value(state), None))
        },
    )?;
    refuse_parallel_calls(&mut linker)?;
    Ok(linker)
}

fn refuse_parallel_calls(linker: &mut Linker<Guest>) -> Result<()> {
    linker.func_wrap("host", "start", |_: u32, _: u32, _: u32, _: u32| -> Result<u32> {
        Err(no_host_calls())
    })?;
    linker.func_wrap("host", "wait", || -> Result<u64> { Err(no_host_calls()) })?;
    Ok(())
}

fn no_host_calls() -> Error {
    format_err!("host calls are not available here")
}

/// Host functions that never wait.
fn common(engine: &Engine) -> Result<Linker<Guest>> {
    let mut linker = Linker::new(engine);
    linker.func_wrap(
        "host",
        "invocation",
        |mut caller: Caller<'_, Guest>, settings: u32| -> Result<u32> {
            let guest = caller.data_mut();
            // 0 would mean no limit.
            let heap = u32::try_from(guest.limits.js_heap_bytes).unwrap_or(u32::MAX).max(1);
            // `struct settings` of host.h.
            let mut bytes = [0; 24];
            bytes[0..8].copy_from_slice(&guest.seed.to_le_bytes());
            bytes[8..16].copy_from_slice(&guest.now_ms.to_le_bytes());
            bytes[16..20].copy_from_slice(&heap.to_le_bytes());
            guest.pending_data = std::mem::take(&mut guest.invocation);
            let length = u32::try_from(guest.pending_data.len())?;
            memory(&mut caller)?.write(&mut caller, settings as usize, &bytes)?;
            Ok(length)
        },
    )?;
    linker.func_wrap("host", "take", |mut caller: Caller<'_, Guest>, to: u32| -> Result<()> {
        let bytes = std::mem::take(&mut caller.data_mut().pending_data);
        Ok(memory(&mut caller)?.write(&mut caller, to as usize, &bytes)?)
    })?;
    linker.func_wrap(
        "host",
        "log",
        |mut caller: Caller<'_, Guest>, level: u32, at: u32, len: u32| -> Result<()> {
            if caller.data().logs.len() as u64 >= u64::from(caller.data().limits.log_lines) {
                let guest = caller.data_mut();
                guest.logs_dropped = guest.logs_dropped.saturating_add(1);
                return Ok(());
            }
            // The cut may split a character, which then appears as a replacement character.
            let text = text(&mut caller, at, (len as usize).min(MAX_LINE_BYTES))?;
            caller.data_mut().logs.push(LogLine { level: LogLevel::from_engine(level), text });
            Ok(())
        },
    )?;
    linker.func_wrap("host", "should_stop", |caller: Caller<'_, Guest>| -> Result<i32> {
        should_stop(caller).map(i32::from)
    })?;
    linker.func_wrap(
        "host",
        "finish",
        |mut caller: Caller<'_, Guest>, status: u32, at: u32, len: u32| -> Result<()> {
            finish(&mut caller, status, at, len)
        },
    )?;
    Ok(linker)
}

fn should_stop(mut caller: Caller<'_, Guest>) -> Result<bool> {
    let fuel = caller.get_fuel()?;
    let guest = caller.data_mut();
    if guest.interrupted.is_none() {
        if fuel <= RESERVE_FUEL {
            guest.interrupted = Some(LimitKind::Fuel);
        } else if guest.deadline.is_some_and(|deadline| Instant::now() >= deadline) {
            guest.interrupted = Some(LimitKind::Wall);
        }
    }
    Ok(guest.interrupted.is_some())
}

fn finish(caller: &mut Caller<'_, Guest>, status: u32, at: u32, len: u32) -> Result<()> {
    let failed = status != 0;
    let size = len as usize;
    if failed && size > MAX_ERROR_BYTES {
        let message = format!("it threw an error whose description is {size} bytes long");
        let description = serde_json::json!({"name": "Error", "message": message});
        caller.data_mut().outcome = Some(Outcome::Failed(description.to_string().into_bytes()));
        return Ok(());
    }
    let most = caller.data().limits.output_bytes;
    if !failed && size as u64 > most {
        let message = format!("the skill's result is {size} bytes of JSON; at most {most} are allowed");
        return Err(Error::new(Termination::Limit(LimitKind::Output, message)));
    }
    if caller.data().is_overdue() {
        return Err(caller.data().overdue());
    }
    caller.data().charge(size)?;
    let bytes = bytes(caller, at, len)?;
    caller.data_mut().outcome = Some(if failed { Outcome::Failed(bytes) } else { Outcome::Done(bytes) });
    Ok(())
}

/// Counts and reads a host call.
fn request(
    caller: &mut Caller<'_, Guest>,
    name: u32,
    name_len: u32,
    args: u32,
    args_len: u32,
) -> Result<Request> {
    settle(caller)?;
    caller.data_mut().count_call()?;
    let (name_bytes, args_bytes) = (name_len as usize, args_len as usize);
    let most = caller.data().limits.args_bytes;
    slice(caller, name, name_bytes)?;
    slice(caller, args, args_bytes)?;
    let read = if args_bytes as u64 > most { 0 } else { args_bytes };
    caller.data().charge(name_bytes.min(MAX_NAME_BYTES) + read)?;
    let name = text(caller, name, name_bytes.min(MAX_NAME_BYTES + 1))?;
    let args = if args_bytes as u64 > most { Err(args_bytes) } else { Ok(bytes(caller, args, args_len)?) };
    Ok(Request { name, args })
}

/// The instance's memory, looked up once per instance.
fn memory(caller: &mut Caller<'_, Guest>) -> Result<Memory> {
    if let Some(memory) = caller.data().memory {
        return Ok(memory);
    }
    let memory = caller
        .get_export("memory")
        .and_then(wasmtime::Extern::into_memory)
        .ok_or_else(|| format_err!("the engine has no memory"))?;
    caller.data_mut().memory = Some(memory);
    Ok(memory)
}

/// The `len` bytes at `at`.
fn slice<'a>(caller: &'a mut Caller<'_, Guest>, at: u32, len: usize) -> Result<&'a [u8]> {
    let at = at as usize;
    memory(caller)?
        .data(&*caller)
        .get(at..at.saturating_add(len))
        .ok_or_else(|| format_err!("an address outside the engine's memory"))
}

/// Copies `len` bytes at `at`. The bounds are checked before anything is allocated.
fn bytes(caller: &mut Caller<'_, Guest>, at: u32, len: u32) -> Result<Vec<u8>> {
    slice(caller, at, len as usize).map(<[u8]>::to_vec)
}

fn text(caller: &mut Caller<'_, Guest>, at: u32, len: usize) -> Result<String> {
    slice(caller, at, len).map(|bytes| String::from_utf8_lossy(bytes).into_owned())
}
