//! Compiles a skill's source into a module.

use crate::Limits;
use crate::abi::{Guest, Outcome, Termination};
use crate::diagnosis::{self, Thrown};
use crate::engine::{Runtime, engine_sha256};
use crate::module::{self, Parts};
use crate::warm::{NEXT, STATE};
use futures_util::FutureExt;
use serde::{Deserialize, Serialize};
use sojourn_primitives::RESERVED;
use std::fmt;
use wasmtime::{Store, format_err};

const MAX_SOURCE_BYTES: usize = 256 << 10;
const MAX_ENTRY_BYTES: usize = 64;
/// Sufficient for any source up to the size limit.
const COMPILE_FUEL: u64 = 10_000_000_000;

/// A compilation error. Its `Display` text is for the author of the skill.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, thiserror::Error)]
pub struct CompileError {
    /// The defect of the source, as a sentence.
    pub message: String,
    /// Line of the source, from 1; 0 if the error concerns the whole source.
    pub line: u32,
    /// Column of that line, from 1; 0 if the error concerns the whole source.
    pub column: u32,
    /// Text of that line.
    pub source_line: String,
}

impl fmt::Display for CompileError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.message)?;
        match self.line {
            0 => Ok(()),
            line => write!(f, "\n  at line {line}:{}: {}", self.column, self.source_line.trim()),
        }
    }
}

impl CompileError {
    pub(crate) fn whole(message: impl Into<String>) -> Self {
        Self { message: message.into(), line: 0, column: 0, source_line: String::new() }
    }
}

/// Compiles `source` into a skill module whose function `entry` is called. Deterministic: equal input gives
/// equal bytes.
pub(crate) fn compile(runtime: &Runtime, entry: &str, source: &str) -> Result<Vec<u8>, CompileError> {
    check_entry(entry, source)?;
    // On its own line, in case the source ends with a line comment.
    let text = format!("{source}\n;export default {entry};");
    let bytecode = bytecode(runtime, text).map_err(|thrown| locate(thrown, source))?;
    let parts =
        Parts { entry: entry.to_owned(), source: source.to_owned(), engine: engine_sha256().to_owned() };
    Ok(module::encode(&parts, &bytecode))
}

/// Compiles a reflex into a module that requests its argument from the host on every tick.
pub(crate) fn compile_reflex(runtime: &Runtime, entry: &str, source: &str) -> Option<Vec<u8>> {
    // Requesting the state once at load time, and letting that answer expire, leaves less work for every
    // tick.
    let text = format!(
        "{source}\n;globalThis['{STATE}'](), globalThis['{NEXT}']();\n\
         export default () => {entry}(globalThis['{STATE}']());"
    );
    let bytecode = bytecode(runtime, text).ok()?;
    let parts = Parts { entry: entry.to_owned(), source: String::new(), engine: String::new() };
    Some(module::encode(&parts, &bytecode))
}

fn check_entry(entry: &str, source: &str) -> Result<(), CompileError> {
    if source.len() > MAX_SOURCE_BYTES {
        let size = source.len();
        return Err(CompileError::whole(format!(
            "the source is {size} bytes; at most {MAX_SOURCE_BYTES} are allowed"
        )));
    }
    if !is_identifier(entry) || entry.len() > MAX_ENTRY_BYTES || RESERVED.contains(&entry) {
        return Err(CompileError::whole(format!("`{entry}` cannot be the name of a function")));
    }
    let declared = declared_names(source);
    if declared.contains(&entry) {
        return Ok(());
    }
    let mut message = format!("there is no function named `{entry}`");
    if let Some(found) = diagnosis::nearest(entry, declared.iter().copied()).or(declared.first().copied()) {
        message = format!("{message}; `{found}` is declared instead");
    }
    Err(CompileError::whole(message))
}

fn is_identifier(name: &str) -> bool {
    let mut bytes = name.bytes();
    bytes.next().is_some_and(|first| first.is_ascii_alphabetic() || b"_$".contains(&first))
        && bytes.all(|byte| byte.is_ascii_alphanumeric() || b"_$".contains(&byte))
}

/// Identifiers that follow a declaring keyword. This ignores comments and strings, so there may be false
/// positives but no false negatives.
fn declared_names(source: &str) -> Vec<&str> {
    let mut words =
        source.split(|c: char| !c.is_alphanumeric() && c != '_' && c != '$').filter(|word| !word.is_empty());
    let mut names = Vec::new();
    while let Some(word) = words.next() {
        if matches!(word, "function" | "const" | "let" | "var" | "class")
            && let Some(name) = words.next()
        {
            names.push(name);
        }
    }
    names
}

fn bytecode(runtime: &Runtime, text: String) -> Result<Vec<u8>, Thrown> {
    let limits = Limits { output_bytes: 16 << 20, log_lines: 0, host_calls: 0, ..Limits::default() };
    let mut store = Store::new(&runtime.engine, Guest::alone(limits, text.into_bytes()));
    store.limiter(|guest| &mut guest.memory_limits);
    let ran = store.set_fuel(COMPILE_FUEL).and_then(|()| {
        // Runs on a stack of its own, because the thread's may be smaller than wasm allows. Compilation never
        // waits, so one poll completes it.
        let compiling = async {
            let instance = runtime.compiling.instantiate_async(&mut store).await?;
            instance.get_typed_func::<(), i32>(&mut store, "sk_compile")?.call_async(&mut store, ()).await
        };
        compiling.now_or_never().ok_or_else(|| format_err!("compilation blocked"))?
    });
    match (ran, store.into_data().outcome) {
        (Ok(_), Some(Outcome::Done(bytecode))) => Ok(bytecode),
        (Ok(_), Some(Outcome::Failed(description))) => Err(Thrown::parse(&description)),
        (Ok(_), None) => Err(Thrown::plain("the engine gave no result")),
        (Err(error), _) => Err(Thrown::plain(match error.downcast_ref::<Termination>() {
            Some(ended) => ended.to_string(),
            None => "the source is too long or too deeply nested".to_owned(),
        })),
    }
}

/// An error in the appended line means that the source is incomplete.
fn locate(thrown: Thrown, source: &str) -> CompileError {
    let lines = source.lines().count().max(1) as u32;
    let Thrown { message, line, column, .. } = thrown;
    if line <= lines {
        let source_line = diagnosis::line_of(source, line).to_owned();
        return CompileError { message: format!("SyntaxError: {message}"), line, column, source_line };
    }
    let last = diagnosis::line_of(source, lines);
    CompileError {
        message: "SyntaxError: the source breaks off: a bracket, a quote or a comment is not closed"
            .to_owned(),
        line: lines,
        column: last.chars().count() as u32 + 1,
        source_line: last.to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_entry_must_be_declared() {
        for source in
            ["function go() {}", "async  function\n go(n) {}", "const go = () => 1", "function* go() {}"]
        {
            assert_eq!(check_entry("go", source), Ok(()), "{source}");
        }
        let error = check_entry("collect_wood", "function colect_wood() {}").unwrap_err();
        assert_eq!(
            error.message,
            "there is no function named `collect_wood`; `colect_wood` is declared instead"
        );
    }

    #[test]
    fn an_entry_that_is_not_an_identifier_is_rejected() {
        for entry in ["", "a b", "1a", "x; evil()", "if", "wörd", &"a".repeat(65)] {
            assert!(check_entry(entry, &format!("function {entry}() {{}}")).is_err(), "{entry}");
        }
    }
}
