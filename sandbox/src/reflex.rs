use crate::run::{self, Job};
use crate::warm::{Tick, Warm};
use crate::{CallError, CallReport, Limits, Program, Sandbox, compile};
use serde_json::Value;
use wasmtime::Module;

/// A program that looks at every observation and says what to do, if anything.
///
/// It is a pure function of the state: it has no bindings, `Date` and `Math.random` are the same at every tick, and
/// every tick starts from the same memory, that of the reflex just loaded. A tick can therefore be replayed by
/// itself. Its argument is a view like that of a `Live` binding, in which reading an unknown name is an error.
///
/// Ticks are served by warm instances, which all reflexes of one program share. What a warm instance cannot answer
/// (an error, a limit, a state that is no record, a prebuilt program) is answered by a fresh one.
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

    /// What the program returns for `state`; `null` when it returns nothing.
    ///
    /// # Errors
    /// When it throws, or runs into one of its limits.
    pub async fn tick(&mut self, state: &Value) -> Result<Value, CallError> {
        match self.tick_warm(state).await {
            Some(value) => Ok(value),
            None => self.tick_fresh(state).await.result,
        }
    }

    /// What a warm instance returns; none when it does not return, or there is none.
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
        if !matches!(tick, Tick::Spent) {
            self.program.warm().put(warm);
        }
        match tick {
            Tick::Returned(value) => Some(value),
            Tick::Failed | Tick::Spent => None,
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

    /// One tick in an instance of its own.
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
        run::run_at_any_depth(self.sandbox.runtime(), &self.program, job).await
    }
}
