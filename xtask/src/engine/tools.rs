//! The tools that the engine is built with.

use anyhow::{Context, Result, bail};
use std::ffi::OsStr;
use std::path::{Path, PathBuf};
use std::process::Command;

/// The compiler's major version: other versions produce other bytes.
const LLVM: u32 = 19;
pub const COMPILER: &str = "clang-19";
pub const LINKER: &str = "wasm-ld-19";
pub const INSTALL: &str = "install LLVM 19 with its linker and its runtime for wasm32 \
    (on Debian: apt install clang-19 lld-19 libclang-rt-19-dev-wasm32)";

/// The output of a program.
///
/// # Errors
/// When the program cannot be started, or fails.
pub fn output(program: &str, arguments: &[&OsStr]) -> Result<String> {
    let output = Command::new(program)
        .args(arguments)
        .output()
        .with_context(|| format!("`{program}` was not found; {INSTALL}"))?;
    if !output.status.success() {
        bail!("`{program}` failed: {}", String::from_utf8_lossy(&output.stderr));
    }
    Ok(String::from_utf8(output.stdout)?)
}

/// The path of the compiler's support library for wasm32, after compiler and linker were found.
pub fn runtime_library() -> Result<PathBuf> {
    let version = output(COMPILER, &["-dumpversion".as_ref()])?;
    if version.split('.').next() != Some(&LLVM.to_string()) {
        bail!("`{COMPILER}` is version {}; {INSTALL}", version.trim());
    }
    output(LINKER, &["--version".as_ref()])?;
    let resources = output(COMPILER, &["-print-resource-dir".as_ref()])?;
    let library = Path::new(resources.trim()).join("lib/wasi/libclang_rt.builtins-wasm32.a");
    if !library.is_file() {
        bail!("{} is missing; {INSTALL}", library.display());
    }
    Ok(library)
}
