//! Generates prebuilt skills that make arbitrary host calls with arbitrary numbers, in any order.

use wasm_encoder::{
    CodeSection, EntityType, ExportKind, ExportSection, Function, FunctionSection, ImportSection,
    MemorySection, MemoryType, Module, TypeSection, ValType,
};

/// The host functions with their number of parameters and their result type.
const HOST: [(&str, usize, Option<ValType>); 8] = [
    ("invocation", 1, Some(ValType::I32)),
    ("take", 1, None),
    ("call", 4, Some(ValType::I64)),
    ("start", 4, Some(ValType::I32)),
    ("wait", 0, Some(ValType::I64)),
    ("log", 3, None),
    ("should_stop", 0, Some(ValType::I32)),
    ("finish", 3, None),
];
/// Size of the skill's memory, in bytes.
pub const MEMORY_BYTES: u32 = 64 << 10;

/// A module that makes these host calls, with `data` in its memory.
pub fn module(data: &[u8], asks: impl IntoIterator<Item = (u8, [u32; 4])>) -> Vec<u8> {
    let (mut types, mut imports) = (TypeSection::new(), ImportSection::new());
    for (index, (name, count, result)) in (0..).zip(HOST) {
        types.ty().function(vec![ValType::I32; count], result);
        imports.import("host", name, EntityType::Function(index));
    }
    let call = HOST.len() as u32;
    types.ty().function([], []);
    let mut functions = FunctionSection::new();
    functions.function(call);
    let mut memories = MemorySection::new();
    memories.memory(MemoryType {
        minimum: u64::from(MEMORY_BYTES >> 16),
        maximum: None,
        memory64: false,
        shared: false,
        page_size_log2: None,
    });
    let mut exports = ExportSection::new();
    exports.export("memory", ExportKind::Memory, 0).export("sojourn_call", ExportKind::Func, call);

    let mut body = Function::new([]);
    for (at, byte) in (0..MEMORY_BYTES as i32).zip(data) {
        let memarg = wasm_encoder::MemArg { offset: 0, align: 0, memory_index: 0 };
        body.instructions().i32_const(at).i32_const(i32::from(*byte)).i32_store8(memarg);
    }
    for (which, numbers) in asks {
        let which = usize::from(which) % HOST.len();
        let (_, count, result) = HOST[which];
        for number in &numbers[..count] {
            body.instructions().i32_const(number.cast_signed());
        }
        body.instructions().call(which as u32);
        if result.is_some() {
            body.instructions().drop();
        }
    }
    body.instructions().end();
    let mut code = CodeSection::new();
    code.function(&body);

    let mut module = Module::new();
    module.section(&types).section(&imports).section(&functions).section(&memories);
    module.section(&exports).section(&code);
    module.finish()
}

/// A module from fuzzer input: the memory's content first, then 17 bytes per host call.
#[allow(dead_code, reason = "for the fuzzer")]
pub fn module_of_bytes(bytes: &[u8]) -> Vec<u8> {
    let (data, asks) = bytes.split_at(bytes.len().min(64));
    module(
        data,
        asks.chunks_exact(17).map(|ask| {
            let number = |at: usize| u32::from_le_bytes([ask[at], ask[at + 1], ask[at + 2], ask[at + 3]]);
            (ask[0], [number(1), number(5), number(9), number(13)])
        }),
    )
}
