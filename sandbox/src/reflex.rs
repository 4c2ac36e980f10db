use crate::run::{self, Job};
use crate::{CallError, Limits, Program, Sandbox};
use serde_json::Value;

/// A program that looks at every observation and says what to do, if anything.
///
/// It is a pure function of the state: it has no bindings, `Date` and `Math.random` are the same at every tick,
/// and each tick runs in a fresh instance, so that nothing it keeps in variables survives one. A tick can
/// therefore be replayed by itself. Its argument is a view like that of a `Live` binding, in which reading an unknown
/// name is an error.
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
    pub async fn tick(&mut self, state: &Value) -> Result<Value, CallError> {
        let job = Job {
            args: std::slice::from_ref(state),
            bindings: &[],
            host: None,
            limits: &self.limits,
            seed: 0,
            now_ms: 0,
            checked: true,
        };
        run::run(self.sandbox.runtime(), &self.program, job).await.result
    }
}
