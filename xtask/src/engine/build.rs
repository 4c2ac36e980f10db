//! Compiles the C sources and links them to a WebAssembly module.

use super::repository;
use super::tools::{COMPILER, INSTALL, LINKER, output, runtime_library};
use anyhow::{Context, Result, bail};
use std::ffi::OsStr;
use std::fmt::Write;
use std::path::{Path, PathBuf};
use std::process::Command;
use wasmparser::{Data, DataKind, Operator, Parser, Payload};

const OUR_SOURCES: [&str; 5] = ["engine.c", "calls.c", "random.c", "report.c", "system.c"];
const QUICKJS_SOURCES: [&str; 4] = ["quickjs.c", "libregexp.c", "libunicode.c", "dtoa.c"];

/// Selects the sources' WebAssembly code paths, which are written for Emscripten and need nothing else of it.
const FLAGS: [&str; 13] = [
    "--target=wasm32-unknown-unknown",
    "-O2",
    "-mbulk-memory",
    "-msign-ext",
    "-mnontrapping-fptoint",
    "-mmutable-globals",
    "-nostdlib",
    "-D_GNU_SOURCE",
    "-DNDEBUG",
    "-DEMSCRIPTEN=1",
    "-ffunction-sections",
    "-fdata-sections",
    "-fvisibility=hidden",
];
/// Names of rounding modes that the sources use; WebAssembly has one mode only.
const ROUNDING: [&str; 2] = ["-DFE_DOWNWARD=0", "-DFE_UPWARD=0"];

/// Compiles and links all sources; returns the module's bytes.
pub fn link(sources: &Path) -> Result<Vec<u8>> {
    let runtime = runtime_library()?;
    let vendored = quickjs_package()?;
    let folder = repository().join("target/engine");
    std::fs::create_dir_all(&folder).with_context(|| format!("cannot create {}", folder.display()))?;
    let folder = folder.canonicalize()?;
    let sources = sources.canonicalize()?;
    write_prelude(&sources.join("prelude.js"), &folder.join("prelude.h"))?;

    let quickjs = vendored.join("quickjs");
    let mut objects = Vec::new();
    let ours = OUR_SOURCES.iter().map(|name| (sources.join(name), true));
    let theirs = QUICKJS_SOURCES.iter().map(|name| (quickjs.join(name), false));
    for (source, strict) in ours.chain(theirs) {
        let object = source.with_extension("o");
        let object = object.file_name().context("a source has a name")?.to_owned();
        let mut compiler = Command::new(COMPILER);
        compiler.current_dir(&folder).args(FLAGS).args(ROUNDING);
        compiler.args(if strict { &["-Wall", "-Wextra", "-Werror"][..] } else { &["-w"] });
        compiler.arg("-isystem").arg(vendored.join("vendor/wasi-libc/include"));
        compiler.arg("-isystem").arg(&quickjs).arg("-I.");
        run(compiler.arg("-c").arg(&source).arg("-o").arg(&object))?;
        objects.push(object);
    }

    // Relative object paths: absolute ones would show in the result.
    let mut linker = Command::new(LINKER);
    linker.current_dir(&folder).args([
        "--no-entry",
        "--gc-sections",
        "--stack-first",
        "-z",
        "stack-size=1048576",
    ]);
    linker.args(["-O2", "--strip-debug"]).args(&objects);
    linker.arg(vendored.join("vendor/wasi-libc/lib/libc.a")).arg(runtime);
    run(linker.args(["-o", "engine.linked.wasm"]))?;
    Ok(std::fs::read(folder.join("engine.linked.wasm"))?)
}

/// The address at which the constants end and the variables begin: the linker lays out the stack, the constants and the variables
/// in this order, and gives each of the latter a data segment.
pub fn writable_from(linked: &[u8]) -> Result<u64> {
    for payload in Parser::new(0).parse_all(linked) {
        let Payload::DataSection(segments) = payload? else { continue };
        let segments = segments.into_iter().collect::<Result<Vec<_>, _>>()?;
        let [constants, variables] = &segments[..] else { break };
        let (constants_end, variables) =
            (address(constants)? + constants.data.len() as u64, address(variables)?);
        if variables >= constants_end {
            return Ok(constants_end);
        }
    }
    bail!("the linked engine does not have a segment of constants before one of variables")
}

fn address(segment: &Data<'_>) -> Result<u64> {
    let DataKind::Active { offset_expr, .. } = &segment.kind else { bail!("a segment has no address") };
    match offset_expr.get_operators_reader().read()? {
        Operator::I32Const { value } => Ok(u64::from(value.cast_unsigned())),
        _ => bail!("a segment's address is computed"),
    }
}

fn run(command: &mut Command) -> Result<()> {
    let output = command.output().with_context(|| format!("{} cannot be run; {INSTALL}", name(command)))?;
    if !output.status.success() {
        bail!("{} failed:\n{}", name(command), String::from_utf8_lossy(&output.stderr));
    }
    Ok(())
}

fn name(command: &Command) -> String {
    command.get_program().to_string_lossy().into_owned()
}

/// The directory of the pinned `rquickjs-sys` sources.
fn quickjs_package() -> Result<PathBuf> {
    let manifest = repository().join("Cargo.toml");
    let arguments = ["metadata", "--format-version", "1", "--manifest-path"]
        .map(OsStr::new)
        .into_iter()
        .chain([manifest.as_os_str()]);
    let metadata: serde_json::Value =
        serde_json::from_str(&output(env!("CARGO"), &arguments.collect::<Vec<_>>())?)?;
    let packages = metadata["packages"].as_array().context("cargo metadata lists no packages")?;
    let package = packages
        .iter()
        .find(|package| package["name"] == "rquickjs-sys")
        .context("`rquickjs-sys` is not among the dependencies of sojourn-sandbox")?;
    let manifest = package["manifest_path"].as_str().context("a package has a manifest")?;
    Ok(Path::new(manifest).parent().context("a manifest has a folder")?.to_owned())
}

/// The prelude as a C array, because C cannot include a text file yet.
fn write_prelude(script: &Path, header: &Path) -> Result<()> {
    let text = std::fs::read(script).with_context(|| format!("cannot read {}", script.display()))?;
    let mut c = String::from("static const unsigned char PRELUDE[] = {");
    for byte in &text {
        write!(c, "{byte},")?;
    }
    write!(c, "0}};\n#define PRELUDE_LENGTH {}\n", text.len())?;
    Ok(std::fs::write(header, c)?)
}
