//! Any questions to the host, in any order and with any numbers.
#![no_main]

#[path = "../../tests/it/common/driver.rs"]
mod driver;
mod shared;

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| {
    let program = shared::SANDBOX.load(&driver::module_of_bytes(bytes)).expect("a valid module");
    shared::call(&program);
});
