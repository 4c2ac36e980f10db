//! Compiling sources, and loading untrusted modules.
#![allow(clippy::unwrap_used, reason = "a test may panic")]

use crate::common::{SANDBOX, World};
use proptest::prelude::*;
use serde_json::json;
use sojourn_sandbox::{Invocation, Limits, LoadError, Program, engine_sha256};
use std::sync::Arc;
use wasm_encoder::{
    CodeSection, ConstExpr, CustomSection, DataCountSection, DataSection, EntityType, ExportKind,
    ExportSection, Function, FunctionSection, GlobalSection, GlobalType, ImportSection, MemorySection,
    MemoryType, Module, StartSection, TypeSection, ValType,
};

#[tokio::test]
async fn a_syntax_error_has_a_position() {
    let cases = [
        ("function main() {\n  const x = ;\n}", "unexpected token in expression: ';'", 2, "  const x = ;"),
        ("function main() {\n  let a = 1;\n  let a = 2;\n}", "redefinition", 3, "  let a = 2;"),
        ("function main() {\n  return 'abc\n}", "string", 2, "  return 'abc"),
        ("function main() {\n  if (1) {\n}", "the source breaks off", 3, "}"),
        ("function main() { return `abc", "", 1, "function main() { return `abc"),
        ("function main() {} /* never closed", "", 1, "function main() {} /* never closed"),
        ("function main() {\n  with (a) {}\n}", "", 2, "  with (a) {}"),
        ("function main() {}\nfunction main() {}", "", 2, "function main() {}"),
    ];
    for (source, message, line, source_line) in cases {
        let error = SANDBOX.compile("main", source).await.unwrap_err();
        assert!(error.message.contains(message), "{source}\n{error}");
        assert!(error.message.starts_with("SyntaxError: "), "{source}\n{error}");
        assert_eq!((error.line, error.source_line.as_str()), (line, source_line), "{source}\n{error}");
        assert!(error.column > 0, "{error}");
    }
}

#[tokio::test]
async fn sources_without_a_valid_entry_are_rejected() {
    let cases = [
        ("main", "function other() {}", "there is no function named `main`"),
        ("main", "import fs from 'fs';\nfunction main() {}", "could not load module 'fs'"),
        ("main; evil()", "function main() {}", "cannot be the name of a function"),
        ("class", "class class {}", "cannot be the name of a function"),
    ];
    for (entry, source, message) in cases {
        let error = SANDBOX.compile(entry, source).await.unwrap_err().to_string();
        assert!(error.contains(message), "{source}\n{error}");
    }
    let long = format!("function main() {{ return '{}' }}", "x".repeat(300_000));
    assert!(SANDBOX.compile("main", &long).await.unwrap_err().message.contains("at most 262144"));
    for deep in ["(".repeat(100_000), "[".repeat(100_000), "{".repeat(100_000), "a=>".repeat(50_000)] {
        let error = SANDBOX.compile("main", &format!("function main() {{ return {deep}")).await;
        assert!(error.is_err());
    }
}

#[tokio::test]
async fn code_around_the_entry_is_allowed() {
    for source in [
        "function main() { return 1 } // a comment at the end",
        "const helper = () => 1\nconst main = () => helper()",
        "\n\n  async function main() { return 1 }\n\n",
        "export function main() { return 1 }",
        "function main() { return 1 } function other() { return 2 }",
    ] {
        assert_eq!(crate::common::value(source).await, json!(1), "{source}");
    }
    let late = crate::common::error("const main = 5").await.to_string();
    assert!(late.contains("the skill's entry is not a function"), "{late}");
}

#[tokio::test]
async fn the_same_source_gives_the_same_module_and_id() {
    let source = "function main() { return 1 }";
    let one = SANDBOX.compile("main", source).await.unwrap();
    assert_eq!(one, SANDBOX.compile("main", source).await.unwrap());
    let program = SANDBOX.load(&one).unwrap();
    assert_eq!((program.entry(), program.source()), ("main", source));
    assert_eq!(program.id().len(), 64);
    let other = SANDBOX.compile("main", "function main() { return 2 }").await.unwrap();
    assert_ne!(SANDBOX.load(&other).unwrap().id(), program.id());
}

#[test]
fn the_engine_matches_its_hash() {
    use sha2::Digest;
    let engine = include_bytes!("../../engine/engine.wasm");
    assert_eq!(hex::encode(sha2::Sha256::digest(engine)), engine_sha256());
}

/// A hand-made module. Each case changes one part that must be rejected.
struct Forged {
    imports: Vec<(&'static str, &'static str, EntityType)>,
    exports: Vec<&'static str>,
    start: bool,
    memory: bool,
    global: bool,
    sections: Vec<(&'static str, Vec<u8>)>,
    data: Vec<u8>,
}

impl Default for Forged {
    fn default() -> Self {
        Self {
            imports: vec![
                ("engine", "memory", EntityType::Memory(memory())),
                ("engine", "sk_alloc", EntityType::Function(0)),
                ("engine", "sk_load_bc", EntityType::Function(1)),
            ],
            exports: vec!["load"],
            start: false,
            memory: false,
            global: false,
            sections: vec![
                ("sojourn.source", b"function main() { return 'ours' }".to_vec()),
                ("sojourn.entry", b"main".to_vec()),
                ("sojourn.engine", vec![b'0'; 64]),
            ],
            data: b"not bytecode".to_vec(),
        }
    }
}

fn memory() -> MemoryType {
    MemoryType { minimum: 1, maximum: None, memory64: false, shared: false, page_size_log2: None }
}

impl Forged {
    fn bytes(&self) -> Vec<u8> {
        let mut types = TypeSection::new();
        types.ty().function([ValType::I32], [ValType::I32]);
        types.ty().function([ValType::I32, ValType::I32], [ValType::I32]);
        types.ty().function([], [ValType::I32]);
        types.ty().function([], []);
        let mut imports = ImportSection::new();
        let mut own = 0;
        for (module, name, ty) in &self.imports {
            imports.import(module, name, *ty);
            own += u32::from(matches!(ty, EntityType::Function(_)));
        }
        let mut functions = FunctionSection::new();
        functions.function(if self.start { 3 } else { 2 });
        let mut exports = ExportSection::new();
        for name in &self.exports {
            exports.export(name, ExportKind::Func, own);
        }
        let mut load = Function::new([]);
        if !self.start {
            load.instructions().i32_const(0);
        }
        load.instructions().end();
        let mut code = CodeSection::new();
        code.function(&load);
        let mut data = DataSection::new();
        data.passive(self.data.iter().copied());
        let mut memories = MemorySection::new();
        memories.memory(memory());
        let mut globals = GlobalSection::new();
        globals.global(
            GlobalType { val_type: ValType::I32, mutable: true, shared: false },
            &ConstExpr::i32_const(0),
        );

        let mut module = Module::new();
        module.section(&types).section(&imports).section(&functions);
        if self.memory {
            module.section(&memories);
        }
        if self.global {
            module.section(&globals);
        }
        module.section(&exports);
        if self.start {
            module.section(&StartSection { function_index: own });
        }
        module.section(&DataCountSection { count: 1 }).section(&code).section(&data);
        for (name, data) in &self.sections {
            module.section(&CustomSection { name: (*name).into(), data: data.into() });
        }
        module.finish()
    }
}

async fn result(program: &Program) -> serde_json::Value {
    let invocation = Invocation {
        args: &[],
        bindings: &[],
        host: Arc::new(World::default()),
        limits: &Limits::default(),
        seed: 0,
        now_ms: 0,
    };
    SANDBOX.call(program, invocation).await.result.unwrap()
}

#[tokio::test]
async fn untrusted_bytecode_is_replaced_by_compiling_its_source() {
    let program = SANDBOX.load(&Forged::default().bytes()).unwrap();
    assert_eq!(result(&program).await, json!("ours"));
}

#[test]
fn an_altered_module_is_rejected() {
    let mut forged = Forged::default();
    forged.sections[2].1 = engine_sha256().as_bytes().to_vec();
    assert_eq!(SANDBOX.load(&forged.bytes()).unwrap_err(), LoadError::Altered);
}

#[test]
fn hostile_modules_are_rejected() {
    let ours = Forged::default;
    let function = EntityType::Function(0);
    let import = |at: usize, entry| {
        let mut forged = ours();
        forged.imports[at] = entry;
        forged
    };
    let cases = [
        ("a start function", Forged { start: true, exports: vec![], ..ours() }),
        ("a memory of its own", Forged { memory: true, imports: ours().imports[1..].to_vec(), ..ours() }),
        ("a global", Forged { global: true, ..ours() }),
        ("an import `host.call`", import(1, ("host", "call", function))),
        ("an import `engine.sk_call`", import(2, ("engine", "sk_call", function))),
        ("an import `env.memory`", import(0, ("env", "memory", EntityType::Memory(memory())))),
        ("an import `engine.sk_alloc`", import(0, ("engine", "sk_alloc", function))),
        ("an import `wasi_snapshot_preview1.fd_write`", {
            let mut forged = ours();
            forged.imports.push(("wasi_snapshot_preview1", "fd_write", function));
            forged
        }),
        ("an export `run`", Forged { exports: vec!["run"], ..ours() }),
        ("more than one section `sojourn.entry`", {
            let mut forged = ours();
            forged.sections.push(("sojourn.entry", b"other".to_vec()));
            forged
        }),
    ];
    for (what, forged) in cases {
        let error = SANDBOX.load(&forged.bytes()).unwrap_err();
        let refused = matches!(&error, LoadError::Forbidden { .. } | LoadError::Invalid { .. });
        assert!(
            refused && (error.to_string().contains(what) || what == "a memory of its own"),
            "{what}: {error}"
        );
    }
    for section in 0..3 {
        let mut forged = ours();
        forged.sections.remove(section);
        assert!(matches!(SANDBOX.load(&forged.bytes()), Err(LoadError::Missing { .. })));
    }
    let mut forged = ours();
    forged.sections[0].1 = b"function main() {".to_vec();
    assert!(matches!(SANDBOX.load(&forged.bytes()), Err(LoadError::Source(_))));
    let mut forged = ours();
    forged.sections[0].1 = vec![0xff, 0xfe];
    assert!(matches!(SANDBOX.load(&forged.bytes()), Err(LoadError::Invalid { .. })));
    assert!(matches!(SANDBOX.load(&vec![0; 5 << 20]), Err(LoadError::Invalid { .. })));
    assert!(SANDBOX.load(include_bytes!("../../engine/engine.wasm")).is_err());
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 200, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn random_bytes_are_rejected(bytes: Vec<u8>) {
        prop_assert!(SANDBOX.load(&bytes).is_err());
    }

    #[test]
    fn a_damaged_module_is_rejected_or_runs_its_source(at: prop::sample::Index, byte: u8) {
        let mut wasm = Forged::default().bytes();
        let at = at.index(wasm.len());
        wasm[at] = byte;
        if let Ok(program) = SANDBOX.load(&wasm) {
            prop_assert!(program.source().contains(program.entry()));
        }
    }

    #[test]
    fn compiling_never_panics(source in r"[\PC\n]{0,80}") {
        let runtime = tokio::runtime::Builder::new_current_thread().build().unwrap();
        let _ = runtime.block_on(SANDBOX.compile("main", &format!("function main() {{}}{source}")));
    }
}
