use crate::run::{self, Job};
use crate::warm::{Tick, Warm};
use crate::{CallError, CallReport, Limits, Program, Sandbox, compile};
use serde_json::Value;
use wasmtime::Module;

/// A program that decides on every observation whether to act.
///
/// A reflex is a pure function of the state: it has no bindings, `Date` and `Math.random` are constant, and
/// every tick starts from the memory of the freshly loaded program. A tick can therefore be replayed by
/// itself. Its argument is a view as for a `Live` binding, where reading an unknown name throws.
///
/// Warm instances, shared by all reflexes of a program, serve the ticks. If a warm instance cannot answer (an
/// error, a limit, a state that is not an object, a prebuilt program), a fresh instance does.
#[derive(Debug, Clone)]
pub struct Reflex {
    sandbox: Sandbox,
    program: Program,
    limits: Limits,
}

impl Reflex {
    pub(crate) fn new(sandbox: Sandbox, program: Program, limits: Limits) -> Self {
        Self { sandbox, program, limits }
    }

    /// The program that decides.
    pub fn program(&self) -> &Program {
        &self.program
    }

    /// Returns the program's result for `state`; `null` if it returns nothing.
    ///
    /// # Errors
    /// The program throws or reaches a limit.
    pub async fn tick(&mut self, state: &Value) -> Result<Value, CallError> {
        match self.tick_warm(state).await {
            Some(value) => Ok(value),
            None => self.tick_fresh(state).await.result,
        }
    }

    /// Result from a warm instance, or `None` if it has none.
    async fn tick_warm(&self, state: &Value) -> Option<Value> {
        if !state.is_object() || self.program.is_prebuilt() {
            return None;
        }
        let json = serde_json::to_vec(state).ok()?;
        if json.len() as u64 > self.limits.args_bytes {
            return None;
        }
        let mut warm = match self.program.warm().take(&self.limits) {
            Some(warm) => warm,
            None => self.warm_up().await?,
        };
        let tick = warm.tick(json).await;
        if !matches!(tick, Tick::Discard) {
            self.program.warm().put(warm);
        }
        match tick {
            Tick::Returned(value) => Some(value),
            Tick::Failed | Tick::Discard => None,
        }
    }

    async fn warm_up(&self) -> Option<Warm> {
        let runtime = self.sandbox.runtime();
        let module = self.program.reflex_module(|| {
            let wasm = compile::compile_reflex(runtime, self.program.entry(), self.program.source())?;
            Module::new(&runtime.engine, wasm).ok()
        })?;
        Warm::start(runtime, module, &self.limits).await
    }

    /// Runs one tick in a fresh instance.
    async fn tick_fresh(&self, state: &Value) -> CallReport {
        let job = Job {
            args: std::slice::from_ref(state),
            bindings: &[],
            host: None,
            limits: &self.limits,
            seed: 0,
            now_ms: 0,
            checked: true,
        };
        run::run_alone(self.sandbox.runtime(), &self.program, job).await
    }
}
