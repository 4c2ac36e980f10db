//! The WebAssembly module that stores a skill.
//!
//! It imports the engine's memory and two functions, contains the skill's bytecode as data, and exports
//! `load`, which passes the bytecode to the engine. Custom sections hold the source, the entry's name and the
//! engine's hash.

use crate::CompileError;
use wasm_encoder::{
    CodeSection, CustomSection, DataCountSection, DataSection, EntityType, ExportKind, ExportSection,
    Function, FunctionSection, ImportSection, MemoryType, Module, TypeSection, ValType,
};
use wasmparser::{ExternalKind, Parser, Payload, TypeRef, Validator, WasmFeatures};

/// Size limit of a skill module, in bytes.
const MAX_MODULE_BYTES: usize = 4 << 20;
const SOURCE: &str = "sojourn.source";
const ENTRY: &str = "sojourn.entry";
const ENGINE: &str = "sojourn.engine";

/// The imports, in order, all from module `engine`.
const IMPORTS: [&str; 3] = ["memory", "sk_alloc", "sk_load_bc"];
/// Indices of the imported functions, which equal those of their types.
const ALLOC: u32 = 0;
const LOAD_BYTECODE: u32 = 1;
const LOAD: u32 = 2;

/// Why a module cannot be loaded as a skill.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum LoadError {
    /// The bytes are not valid WebAssembly.
    #[error("not a valid WebAssembly module: {reason}")]
    Invalid {
        /// The defect, in the words of the WebAssembly parser.
        reason: String,
    },
    /// The module has a part that skill modules must not have.
    #[error("not a skill: it has {what}, which a skill must not have")]
    Forbidden {
        /// The part: "a start function".
        what: String,
    },
    /// The module lacks a part that every skill module has.
    #[error("not a skill: it has no {what}")]
    Missing {
        /// The part: "source".
        what: &'static str,
    },
    /// The module names this engine as its compiler, but compiling its source gives different code.
    #[error("the skill's code does not belong to its source: it was altered after it was compiled")]
    Altered,
    /// The source does not compile.
    #[error("the skill's source does not compile: {0}")]
    Source(#[from] CompileError),
    /// The engine rejected the module.
    #[error("the skill could not be prepared: {reason}")]
    Engine {
        /// What happened.
        reason: String,
    },
}

/// Metadata of a skill module.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Parts {
    pub entry: String,
    pub source: String,
    pub engine: String,
}

/// Encodes a skill module with `bytecode`.
pub(crate) fn encode(parts: &Parts, bytecode: &[u8]) -> Vec<u8> {
    let mut types = TypeSection::new();
    types.ty().function([ValType::I32], [ValType::I32]);
    types.ty().function([ValType::I32, ValType::I32], [ValType::I32]);
    types.ty().function([], [ValType::I32]);

    let memory =
        MemoryType { minimum: 1, maximum: None, memory64: false, shared: false, page_size_log2: None };
    let mut imports = ImportSection::new();
    imports.import("engine", IMPORTS[0], EntityType::Memory(memory));
    imports.import("engine", IMPORTS[1], EntityType::Function(ALLOC));
    imports.import("engine", IMPORTS[2], EntityType::Function(LOAD_BYTECODE));

    let mut functions = FunctionSection::new();
    functions.function(LOAD);
    let mut exports = ExportSection::new();
    exports.export("load", ExportKind::Func, LOAD);

    let size = bytecode.len() as i32;
    let mut load = Function::new([(1, ValType::I32)]);
    load.instructions().i32_const(size).call(ALLOC).local_set(0);
    load.instructions().local_get(0).i32_const(0).i32_const(size).memory_init(0, 0);
    load.instructions().local_get(0).i32_const(size).call(LOAD_BYTECODE).end();
    let mut code = CodeSection::new();
    code.function(&load);

    let mut data = DataSection::new();
    data.passive(bytecode.iter().copied());

    let mut module = Module::new();
    module.section(&types).section(&imports).section(&functions).section(&exports);
    module.section(&DataCountSection { count: 1 }).section(&code).section(&data);
    for (name, text) in [(SOURCE, &parts.source), (ENTRY, &parts.entry), (ENGINE, &parts.engine)] {
        module.section(&CustomSection { name: name.into(), data: text.as_bytes().into() });
    }
    module.finish()
}

/// Decodes an untrusted module. It must be valid, have the shape that [`encode`] produces, and contain its
/// source.
pub(crate) fn decode(wasm: &[u8]) -> Result<Parts, LoadError> {
    if wasm.len() > MAX_MODULE_BYTES {
        let reason = format!("it is {} bytes long; at most {MAX_MODULE_BYTES} are allowed", wasm.len());
        return Err(LoadError::Invalid { reason });
    }
    Validator::new_with_features(WasmFeatures::WASM2).validate_all(wasm).map_err(invalid)?;

    let (mut source, mut entry, mut engine) = (None, None, None);
    let (mut imported, mut loads) = (0, false);
    for payload in Parser::new(0).parse_all(wasm) {
        match payload.map_err(invalid)? {
            Payload::ImportSection(imports) => {
                for import in imports.into_imports() {
                    check_import(imported, &import.map_err(invalid)?)?;
                    imported += 1;
                }
            }
            Payload::ExportSection(exports) => {
                for export in exports {
                    let export = export.map_err(invalid)?;
                    if export.name != "load" || export.kind != ExternalKind::Func || export.index != LOAD {
                        return Err(forbidden(format!("an export `{}`", export.name)));
                    }
                    loads = true;
                }
            }
            Payload::FunctionSection(functions) if functions.count() != 1 => {
                return Err(forbidden("more than one function"));
            }
            Payload::DataSection(data) if data.count() != 1 => {
                return Err(forbidden("more than one data segment"));
            }
            Payload::StartSection { .. } => return Err(forbidden("a start function")),
            Payload::MemorySection(_) => return Err(forbidden("a memory of its own")),
            Payload::TableSection(_) => return Err(forbidden("a table")),
            Payload::GlobalSection(_) => return Err(forbidden("a global")),
            Payload::ElementSection(_) => return Err(forbidden("table elements")),
            Payload::TagSection(_) => return Err(forbidden("an exception tag")),
            Payload::CustomSection(section) => {
                let slot = match section.name() {
                    SOURCE => &mut source,
                    ENTRY => &mut entry,
                    ENGINE => &mut engine,
                    _ => continue,
                };
                let text = std::str::from_utf8(section.data()).map_err(|_| LoadError::Invalid {
                    reason: format!("`{}` is not text", section.name()),
                })?;
                if slot.replace(text.to_owned()).is_some() {
                    return Err(forbidden(format!("more than one section `{}`", section.name())));
                }
            }
            _ => {}
        }
    }
    if imported != IMPORTS.len() {
        return Err(LoadError::Missing { what: "import of the engine" });
    }
    if !loads {
        return Err(LoadError::Missing { what: "function `load`" });
    }
    Ok(Parts {
        source: source.ok_or(LoadError::Missing { what: "source" })?,
        entry: entry.ok_or(LoadError::Missing { what: "entry" })?,
        engine: engine.ok_or(LoadError::Missing { what: "engine hash" })?,
    })
}

#[allow(clippy::needless_pass_by_value, reason = "for `map_err`")]
pub(crate) fn invalid(error: wasmparser::BinaryReaderError) -> LoadError {
    LoadError::Invalid { reason: error.message().to_owned() }
}

pub(crate) fn forbidden(what: impl Into<String>) -> LoadError {
    LoadError::Forbidden { what: what.into() }
}

fn check_import(index: usize, import: &wasmparser::Import<'_>) -> Result<(), LoadError> {
    let expected = IMPORTS.get(index).is_some_and(|name| import.module == "engine" && import.name == *name);
    let kind = match import.ty {
        TypeRef::Memory(memory) => {
            index == 0 && memory.initial <= 1 && memory.maximum.is_none() && !memory.shared
        }
        TypeRef::Func(_) => index > 0,
        _ => false,
    };
    if expected && kind {
        return Ok(());
    }
    Err(forbidden(format!("an import `{}.{}`", import.module, import.name)))
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn parts(entry: &str, source: &str) -> Parts {
        Parts { entry: entry.to_owned(), source: source.to_owned(), engine: "0".repeat(64) }
    }

    proptest! {
        #[test]
        fn encoding_round_trips(entry in "[a-z_]{1,20}", source in ".{0,200}", bytecode: Vec<u8>) {
            let parts = parts(&entry, &source);
            prop_assert_eq!(decode(&encode(&parts, &bytecode)), Ok(parts));
        }

        #[test]
        fn random_bytes_are_rejected(bytes: Vec<u8>) {
            prop_assert!(decode(&bytes).is_err());
        }

        #[test]
        fn a_damaged_module_does_not_panic(at: prop::sample::Index, byte: u8) {
            let mut wasm = encode(&parts("f", "function f() {}"), b"bytecode");
            let at = at.index(wasm.len());
            wasm[at] = byte;
            let _ = decode(&wasm);
        }
    }
}
