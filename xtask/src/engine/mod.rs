//! Builds the JavaScript engine that skills run in: `sandbox/engine/engine.wasm`.
//!
//! QuickJS-NG and a C library come with the pinned `rquickjs-sys` sources; our own C and the JavaScript prelude lie in
//! `sandbox/engine/src`. The linked module is then initialised once and its memory kept ([`snapshot`]),
//! so that an instance starts initialised. The same sources and tools give the same bytes in any folder.

#[cfg(feature = "engine")]
mod build;
#[cfg(feature = "engine")]
mod snapshot;
mod tools;

use anyhow::{Result, bail};
use std::path::PathBuf;

/// The use of the built engine.
#[derive(Clone, Copy, PartialEq, Eq)]
pub enum Mode {
    /// Put it into the repository.
    Write,
    /// Only compare it with the one in the repository.
    Check,
}

fn repository() -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("..")
}

/// Runs this chore again in an xtask that has a WebAssembly runtime built in.
#[cfg(not(feature = "engine"))]
pub fn run(mode: Mode) -> Result<()> {
    tools::runtime_library()?;
    let mut command = std::process::Command::new(env!("CARGO"));
    // Without the features of the other chores, whose native code would be compiled a second time.
    command.args(["run", "--quiet", "--package", "xtask", "--no-default-features", "--features", "engine"]);
    command.args(["--", "engine"]);
    if mode == Mode::Check {
        command.arg("--check");
    }
    if !command.current_dir(repository()).status()?.success() {
        bail!("the engine was not built");
    }
    Ok(())
}

/// Builds the engine, then writes or compares it.
#[cfg(feature = "engine")]
pub fn run(mode: Mode) -> Result<()> {
    use anyhow::Context;
    use sha2::{Digest, Sha256};

    let folder = repository().join("sandbox/engine");
    let linked = build::link(&folder.join("src"))?;
    let engine = snapshot::pre_initialise(&linked)
        .map_err(|error| anyhow::anyhow!("the linked engine could not be initialised: {error:#}"))?;
    let sha256 = hex::encode(Sha256::digest(&engine));
    let writable = build::writable_from(&linked)?.to_string();
    let (wasm, sum) = (folder.join("engine.wasm"), folder.join("engine.sha256"));
    let layout = folder.join("engine.writable");
    match mode {
        Mode::Write => {
            std::fs::write(&wasm, &engine).with_context(|| format!("cannot write {}", wasm.display()))?;
            std::fs::write(&sum, format!("{sha256}\n"))?;
            std::fs::write(&layout, format!("{writable}\n"))?;
        }
        Mode::Check => {
            let committed =
                std::fs::read(&wasm).with_context(|| format!("cannot read {}", wasm.display()))?;
            if std::fs::read_to_string(&layout)?.trim() != writable {
                bail!("engine.writable is not what the sources give: {writable}; run `cargo xtask engine`");
            }
            if committed != engine || std::fs::read_to_string(&sum)?.trim() != sha256 {
                bail!(
                    "engine.wasm is not what its sources give: built {sha256}, committed {}; \
                     run `cargo xtask engine` and commit the result",
                    hex::encode(Sha256::digest(&committed))
                );
            }
        }
    }
    report(&format!("engine.wasm: {} bytes, sha256 {sha256}", engine.len()));
    Ok(())
}

#[cfg(feature = "engine")]
#[allow(clippy::print_stdout, reason = "a chore speaks to the person who runs it")]
fn report(line: &str) {
    println!("{line}");
}
