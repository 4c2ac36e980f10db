//! Any bytes as a skill's module: refused, or contained when called.
#![no_main]

mod shared;

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| {
    if let Ok(program) = shared::SANDBOX.load(bytes) {
        shared::call(&program);
    }
});
