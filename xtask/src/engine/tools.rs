//! The tools that the engine is built with.

use anyhow::{Context, Result, bail};
use std::ffi::OsStr;
use std::path::{Path, PathBuf};
use std::process::Command;

/// The compiler's major version; another one gives other bytes.
const LLVM: u32 = 19;
pub const COMPILER: &str = "clang-19";
pub const LINKER: &str = "wasm-ld-19";
pub const INSTALL: &str = "install LLVM 19 with its linker and its runtime for wasm32 \
    (on Debian: apt install clang-19 lld-19 libclang-rt-19-dev-wasm32)";

/// What a program prints, if it can be run at all.
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

/// The compiler's support library for wasm32, once compiler and linker are known to be there.
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
