//! Skills that are prebuilt WebAssembly modules, compiled from Rust or any other language. `ABI.md` specifies
//! their interface.
//!
//! A prebuilt module calls the same host functions as the JavaScript engine, so grants, limits, log and
//! errors are the same. WebAssembly validation covers its code, so it can run as it is, unlike a script's
//! bytecode.

use crate::LoadError;
use crate::limits::{MAX_MEMORY_BYTES, MAX_TABLE_ELEMENTS};
use crate::module::{forbidden, invalid};
use wasmparser::{
    ExternalKind, FuncType, FunctionBody, Import, MemoryType, Operator, Parser, Payload, TypeRef, ValType,
    Validator, WasmFeatures,
};

/// Export that makes a module a prebuilt skill: the function to call.
pub(crate) const CALL: &str = "sojourn_call";
const MEMORY: &str = "memory";
/// Size limit in bytes. Compilation takes about two seconds per megabyte.
const MAX_BYTES: usize = 4 << 20;
const PAGE_BYTES: u64 = 64 << 10;
/// Limits on one function: the time to compile it grows faster than its size.
const MAX_FUNCTION_BYTES: usize = 256 << 10;
const MAX_LOCALS: u64 = 10_000;
/// Limit on loops within loops, squared, times local variables, over all functions: the work of following each variable through them.
/// 150 loops around 150 variables, 3.4 million, took twelve seconds to compile.
const MAX_LOOP_WORK: u64 = 1_000_000;

use ValType::{I32, I64};

/// Functions that the module may import from `host`, with their parameter and result types.
const HOST: [(&str, &[ValType], &[ValType]); 8] = [
    ("invocation", &[I32], &[I32]),
    ("take", &[I32], &[]),
    ("call", &[I32, I32, I32, I32], &[I64]),
    ("start", &[I32, I32, I32, I32], &[I32]),
    ("wait", &[], &[I64]),
    ("log", &[I32, I32, I32], &[]),
    ("should_stop", &[], &[I32]),
    ("finish", &[I32, I32, I32], &[]),
];

/// Whether a module claims to be a prebuilt skill. An invalid module does not.
pub(crate) fn is_prebuilt(wasm: &[u8]) -> bool {
    Parser::new(0).parse_all(wasm).map_while(Result::ok).any(|payload| match payload {
        Payload::ExportSection(exports) => exports.into_iter().flatten().any(|export| export.name == CALL),
        _ => false,
    })
}

/// Checks that a module is valid, imports only host functions, and has bounded memory and tables.
pub(crate) fn check(wasm: &[u8]) -> Result<(), LoadError> {
    if wasm.len() > MAX_BYTES {
        let reason = format!("it is {} bytes long; at most {MAX_BYTES} are allowed", wasm.len());
        return Err(LoadError::Invalid { reason });
    }
    let types = Validator::new_with_features(WasmFeatures::WASM2).validate_all(wasm).map_err(invalid)?;
    let types = types.as_ref();
    let (mut memory, mut loop_work) = (false, 0_u64);
    for payload in Parser::new(0).parse_all(wasm) {
        match payload.map_err(invalid)? {
            Payload::ImportSection(imports) => {
                for import in imports.into_imports() {
                    let import = import.map_err(invalid)?;
                    let TypeRef::Func(index) = import.ty else { return Err(unknown_import(&import)) };
                    check_import(&import, as_function(&types[types.core_type_at_in_module(index)]))?;
                }
            }
            Payload::MemorySection(memories) => {
                for memory in memories {
                    check_memory(&memory.map_err(invalid)?)?;
                }
            }
            Payload::TableSection(tables) => {
                if tables.count() > 1 {
                    return Err(forbidden("more than one table"));
                }
                for table in tables {
                    let elements = table.map_err(invalid)?.ty.initial;
                    if elements > MAX_TABLE_ELEMENTS as u64 {
                        return Err(forbidden(format!("a table of {elements} elements")));
                    }
                }
            }
            Payload::CodeSectionEntry(body) => {
                let size = body.range().len();
                if size > MAX_FUNCTION_BYTES {
                    return Err(forbidden(format!("a function of {size} bytes")));
                }
                let mut locals = 0_u64;
                for group in body.get_locals_reader().map_err(invalid)? {
                    locals = locals.saturating_add(u64::from(group.map_err(invalid)?.0));
                }
                if locals > MAX_LOCALS {
                    return Err(forbidden(format!("a function with {locals} local variables")));
                }
                let loops = nested_loops(&body)?;
                loop_work = loop_work.saturating_add(loops.saturating_mul(loops).saturating_mul(locals + 1));
                if loop_work > MAX_LOOP_WORK {
                    return Err(forbidden(format!(
                        "{loops} loops within each other around {locals} local variables"
                    )));
                }
            }
            Payload::StartSection { .. } => return Err(forbidden("a start function")),
            Payload::ExportSection(exports) => {
                for export in exports {
                    let export = export.map_err(invalid)?;
                    match (export.name, export.kind) {
                        (CALL, ExternalKind::Func) => {
                            let ty = as_function(&types[types.core_function_at(export.index)]);
                            if ty.is_none_or(|ty| !ty.params().is_empty() || !ty.results().is_empty()) {
                                return Err(forbidden(format!("a `{CALL}` with parameters or results")));
                            }
                        }
                        (CALL, _) => return Err(forbidden(format!("a `{CALL}` that is not a function"))),
                        (MEMORY, ExternalKind::Memory) => memory = true,
                        _ => {}
                    }
                }
            }
            _ => {}
        }
    }
    if memory { Ok(()) } else { Err(LoadError::Missing { what: "exported memory" }) }
}

/// The largest number of loops within each other in a function.
fn nested_loops(body: &FunctionBody<'_>) -> Result<u64, LoadError> {
    let (mut frames, mut loops, mut most) = (Vec::new(), 0, 0);
    for operator in body.get_operators_reader().map_err(invalid)? {
        match operator.map_err(invalid)? {
            Operator::Loop { .. } => {
                loops += 1;
                most = most.max(loops);
                frames.push(true);
            }
            Operator::Block { .. } | Operator::If { .. } => frames.push(false),
            Operator::End => loops -= u64::from(frames.pop().unwrap_or(false)),
            _ => {}
        }
    }
    Ok(most)
}

fn as_function(ty: &wasmparser::SubType) -> Option<&FuncType> {
    match &ty.composite_type.inner {
        wasmparser::CompositeInnerType::Func(ty) => Some(ty),
        _ => None,
    }
}

fn check_import(import: &Import<'_>, ty: Option<&FuncType>) -> Result<(), LoadError> {
    let known = HOST.iter().find(|(name, ..)| import.module == "host" && import.name == *name);
    match (known, ty) {
        (Some((_, params, results)), Some(ty)) if ty.params() == *params && ty.results() == *results => {
            Ok(())
        }
        (Some(_), _) => Err(forbidden(format!("an import `host.{}` of another type", import.name))),
        (None, _) => Err(unknown_import(import)),
    }
}

fn unknown_import(import: &Import<'_>) -> LoadError {
    forbidden(format!("an import `{}.{}`", import.module, import.name))
}

fn check_memory(memory: &MemoryType) -> Result<(), LoadError> {
    let bytes = memory.initial.saturating_mul(PAGE_BYTES);
    if bytes > MAX_MEMORY_BYTES {
        return Err(forbidden(format!("a memory of {bytes} bytes")));
    }
    Ok(())
}
