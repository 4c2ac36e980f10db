use crate::Compiled;
use sojourn_sandbox::{CompileError, Sandbox, engine_sha256};

impl Compiled {
    /// Compiles a source whose function `name` is the entry.
    ///
    /// # Errors
    /// What is wrong with the source, and where; the message is for its author.
    pub async fn from_source(sandbox: &Sandbox, name: &str, source: &str) -> Result<Self, CompileError> {
        let wasm = sandbox.compile(name, source).await?;
        Ok(Self { engine: engine_sha256().to_owned(), wasm })
    }
}
