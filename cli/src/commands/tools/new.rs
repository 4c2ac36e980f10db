use crate::args::Lang;
use crate::error::{Failure, Kind};
use crate::output;
use anyhow::Result;
use std::path::Path;

/// A template of a plugin.
struct Template {
    files: &'static [(&'static str, &'static str)],
    /// The program that its `tool.toml` starts, relative to the plugin's directory.
    start: &'static str,
    /// The shell command that tests it, and builds it if it is compiled.
    test: &'static str,
}

const PYTHON: Template = Template {
    files: &[
        ("tool.toml", include_str!("../../../templates/python/tool.toml")),
        ("plugin.py", include_str!("../../../templates/python/plugin.py")),
        ("test_plugin.py", include_str!("../../../templates/python/test_plugin.py")),
        (".gitignore", "__pycache__/\n"),
    ],
    start: "plugin.py",
    test: "python3 -m unittest",
};
const NODE: Template = Template {
    files: &[
        ("tool.toml", include_str!("../../../templates/node/tool.toml")),
        ("plugin.mjs", include_str!("../../../templates/node/plugin.mjs")),
        ("plugin.test.mjs", include_str!("../../../templates/node/plugin.test.mjs")),
    ],
    start: "plugin.mjs",
    test: "node --test",
};
const RUST: Template = Template {
    files: &[
        ("tool.toml", include_str!("../../../templates/rust/tool.toml")),
        ("Cargo.toml", include_str!("../../../templates/rust/manifest.toml")),
        ("src/main.rs", include_str!("../../../templates/rust/src/main.rs")),
        (".gitignore", "target/\n"),
    ],
    start: "target/release/PLUGIN_NAME",
    test: "cargo test && cargo build --release",
};
const WASM: Template = Template {
    files: &[
        ("tool.toml", include_str!("../../../templates/wasm/tool.toml")),
        ("Cargo.toml", include_str!("../../../templates/wasm/manifest.toml")),
        ("src/lib.rs", include_str!("../../../templates/wasm/src/lib.rs")),
        ("wit/plugin.wit", include_str!("../../../../tools/wit/plugin.wit")),
        (".gitignore", "target/\n"),
    ],
    start: "target/wasm32-wasip2/release/plugin.wasm",
    test: "rustup target add wasm32-wasip2 && cargo test && cargo build --release --target wasm32-wasip2",
};

/// Creates a plugin from a template.
pub fn new(name: &str, lang: Lang, into: &Path) -> Result<()> {
    let fits = |c: char| c.is_ascii_lowercase() || c.is_ascii_digit() || c == '_' || c == '-';
    if !name.starts_with(|c: char| c.is_ascii_lowercase()) || !name.chars().all(fits) {
        return Err(Failure::new(Kind::Usage, format!("`{name}` is not a valid name of a plugin"))
            .hint("use lowercase letters, digits, `-` and `_`, a letter first")
            .into());
    }
    let directory = into.join(name);
    if directory.exists() {
        return Err(Failure::new(Kind::Usage, format!("`{}` already exists", directory.display()))
            .hint("choose another name, or another directory with `--into`")
            .into());
    }
    let template = match lang {
        Lang::Python => PYTHON,
        Lang::Node => NODE,
        Lang::Rust => RUST,
        Lang::Wasm => WASM,
    };
    for (file, text) in template.files {
        let path = directory.join(file);
        if let Some(parent) = path.parent() {
            std::fs::create_dir_all(parent)?;
        }
        std::fs::write(path, text.replace("PLUGIN_NAME", name))?;
    }
    // Relative to the current directory.
    let place = directory.strip_prefix(".").unwrap_or(&directory).display();
    let table = name.replace('-', "_");
    // As in its own `tool.toml`, but relative to the agent file.
    let source = template.files[0].1.lines().filter(|line| !line.starts_with('#'));
    let source = source.take_while(|line| !line.is_empty()).fold(String::new(), |text, line| {
        let line = line.replace(template.start, &format!("{place}/{}", template.start));
        format!("{text}  {line}\n")
    });
    Ok(output::line(format!(
        "{place} is a plugin with one tool, `greet`. To test it:\n\n  (cd {place} && {})\n  sojourn tools check {place}\n\n\
         To give it to an agent, add to an agent file in this directory (paths are relative to that file):\n\n  \
         [tools.{table}]\n{}\nand call it there:\n\n  sojourn tools call agent.toml {table}_greet '{{\"name\": \"Ada\"}}'",
        template.test,
        source.replace("PLUGIN_NAME", name)
    ))?)
}
