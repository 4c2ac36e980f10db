use crate::args::Lang;
use crate::error::{Failure, Kind};
use crate::output;
use anyhow::Result;
use std::path::Path;

type File = (&'static str, &'static str);

const PYTHON: &[File] = &[
    ("tool.toml", include_str!("../../../templates/python/tool.toml")),
    ("plugin.py", include_str!("../../../templates/python/plugin.py")),
    ("test_plugin.py", include_str!("../../../templates/python/test_plugin.py")),
];
const NODE: &[File] = &[
    ("tool.toml", include_str!("../../../templates/node/tool.toml")),
    ("plugin.mjs", include_str!("../../../templates/node/plugin.mjs")),
    ("plugin.test.mjs", include_str!("../../../templates/node/plugin.test.mjs")),
];
const RUST: &[File] = &[
    ("tool.toml", include_str!("../../../templates/rust/tool.toml")),
    ("Cargo.toml", include_str!("../../../templates/rust/manifest.toml")),
    ("src/main.rs", include_str!("../../../templates/rust/src/main.rs")),
];

const WASM: &[File] = &[
    ("tool.toml", include_str!("../../../templates/wasm/tool.toml")),
    ("Cargo.toml", include_str!("../../../templates/wasm/manifest.toml")),
    ("src/lib.rs", include_str!("../../../templates/wasm/src/lib.rs")),
    ("wit/plugin.wit", include_str!("../../../../tools/wit/plugin.wit")),
];

/// Writes a plugin to start from.
pub fn new(name: &str, lang: Lang, into: &Path) -> Result<()> {
    let fits = |c: char| c.is_ascii_lowercase() || c.is_ascii_digit() || c == '_' || c == '-';
    if !name.starts_with(|c: char| c.is_ascii_lowercase()) || !name.chars().all(fits) {
        return Err(Failure::new(Kind::Usage, format!("`{name}` is no name for a plugin"))
            .hint("use lowercase letters, digits, `-` and `_`, a letter first")
            .into());
    }
    let directory = into.join(name);
    if directory.exists() {
        return Err(Failure::new(Kind::Usage, format!("`{}` is there already", directory.display()))
            .hint("choose another name, or another place with `--into`")
            .into());
    }
    let (files, test) = match lang {
        Lang::Python => (PYTHON, "python3 -m unittest"),
        Lang::Node => (NODE, "node --test"),
        Lang::Rust => (RUST, "cargo test"),
        Lang::Wasm => (WASM, "cargo test && cargo build --release --target wasm32-wasip2"),
    };
    for (file, text) in files {
        let path = directory.join(file);
        if let Some(parent) = path.parent() {
            std::fs::create_dir_all(parent)?;
        }
        std::fs::write(path, text.replace("PLUGIN_NAME", name))?;
    }
    let place = directory.display();
    let table = name.replace('-', "_");
    output::line(format!(
        "{place} is a plugin with one tool.\n\n  cd {place} && {test}\n  sojourn tools check {place}\n\n\
         To give it to an agent, add to its file:\n\n  [tools.{table}]\n{}",
        files[0]
            .1
            .lines()
            .filter(|line| ["kind", "command", "component"].iter().any(|key| line.starts_with(key)))
            .fold(String::new(), |text, line| format!("{text}  {line}\n"))
            .replace("PLUGIN_NAME", name)
    ))?;
    Ok(output::line("  (paths are relative to the agent file)")?)
}
