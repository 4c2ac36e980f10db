//! Checks that the compiler does not make: every test is reachable, and every snapshot has a test.

use anyhow::{Context as _, Result, bail};
use std::collections::BTreeSet;
use std::path::{Path, PathBuf};

/// Folders that hold no sources of this repository.
const SKIPPED: [&str; 5] = [".git", "target", "runs", ".venv", "node_modules"];

/// Checks the repository.
///
/// # Errors
/// The list of all faults.
pub fn run() -> Result<()> {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("..").canonicalize()?;
    let found = check(&root)?;
    if !found.is_empty() {
        bail!("not tidy:\n  {}", found.join("\n  "));
    }
    Ok(())
}

/// The faults below `root`, a line each.
fn check(root: &Path) -> Result<Vec<String>> {
    let mut found = Vec::new();
    for tests in test_folders(root)? {
        let name = |path: &Path| path.strip_prefix(root).unwrap_or(path).display().to_string();
        for stray in stray_targets(&tests)? {
            found.push(format!(
                "{}: a program of its own; make it a module of tests/it/main.rs",
                name(&stray)
            ));
        }
        let main = tests.join("it/main.rs");
        if !main.is_file() {
            continue;
        }
        let modules = reachable(&main)?;
        let sources = files(&tests.join("it"), "rs")?;
        for forgotten in sources.iter().filter(|file| !modules.contains(*file)) {
            found.push(format!("{}: no `mod` leads to it, so its tests never run", name(forgotten)));
        }
        for snapshot in files(&tests.join("it"), "snap")? {
            if !belongs_to_a_test(&snapshot, &tests.join("it"), &modules)? {
                found.push(format!("{}: no test has this snapshot", name(&snapshot)));
            }
        }
    }
    Ok(found)
}

/// The folder `tests` of every package below `folder`.
fn test_folders(folder: &Path) -> Result<Vec<PathBuf>> {
    let mut found = Vec::new();
    for path in entries(folder)?.into_iter().filter(|path| path.is_dir()) {
        let name = path.file_name().unwrap_or_default();
        if SKIPPED.iter().any(|skipped| name == *skipped) {
            continue;
        }
        if name == "tests" && folder.join("Cargo.toml").is_file() {
            found.push(path);
        } else {
            found.extend(test_folders(&path)?);
        }
    }
    Ok(found)
}

/// The test programs that cargo would build besides `it`. A program that the manifest names, because it needs a feature, is allowed.
fn stray_targets(tests: &Path) -> Result<Vec<PathBuf>> {
    let manifest = std::fs::read_to_string(tests.with_file_name("Cargo.toml"))?;
    let is_named = |path: &Path| {
        let below = path.strip_prefix(tests).unwrap_or(path).display();
        manifest.contains(&format!("path = \"tests/{below}\""))
    };
    let paths = entries(tests)?.into_iter().filter(|path| !path.ends_with("it"));
    let targets = paths.map(|path| if path.is_dir() { path.join("main.rs") } else { path });
    let sources = targets.filter(|path| path.is_file() && path.extension().is_some_and(|end| end == "rs"));
    Ok(sources.filter(|path| !is_named(path)).collect())
}

/// The files that `mod` lines reach from `main`, `main` included.
fn reachable(main: &Path) -> Result<BTreeSet<PathBuf>> {
    let (mut found, mut open) = (BTreeSet::new(), vec![main.to_owned()]);
    while let Some(file) = open.pop() {
        let text =
            std::fs::read_to_string(&file).with_context(|| format!("cannot read {}", file.display()))?;
        let parent = file.parent().unwrap_or(Path::new(""));
        let stem = file.file_stem().unwrap_or_default();
        let own = if stem == "main" || stem == "mod" { parent.to_owned() } else { parent.join(stem) };
        for module in modules(&text) {
            let candidates = [own.join(format!("{module}.rs")), own.join(module).join("mod.rs")];
            open.extend(candidates.into_iter().filter(|path| path.is_file()));
        }
        found.insert(file);
    }
    Ok(found)
}

/// The names of the modules that a source declares in other files.
fn modules(text: &str) -> impl Iterator<Item = &str> {
    text.lines().filter_map(|line| {
        let line = line.trim_start();
        let line = line.strip_prefix("pub(crate) ").or_else(|| line.strip_prefix("pub ")).unwrap_or(line);
        line.strip_prefix("mod ")?.strip_suffix(';')
    })
}

/// Whether the module that a snapshot's name begins with (`it__module__…`) is there and takes snapshots.
fn belongs_to_a_test(snapshot: &Path, it: &Path, modules: &BTreeSet<PathBuf>) -> Result<bool> {
    let name = snapshot.file_name().unwrap_or_default().to_string_lossy().into_owned();
    let Some(path) = name.strip_prefix("it__") else { return Ok(false) };
    for file in modules {
        let below = file.strip_prefix(it).unwrap_or(file).with_extension("");
        let below = if below.ends_with("mod") { below.parent().unwrap_or(&below).to_owned() } else { below };
        let prefix = below.iter().map(|part| part.to_string_lossy()).collect::<Vec<_>>().join("__") + "__";
        if path.starts_with(&prefix) && std::fs::read_to_string(file)?.contains("snapshot!(") {
            return Ok(true);
        }
    }
    Ok(false)
}

/// All files with this ending below a folder.
fn files(folder: &Path, ending: &str) -> Result<Vec<PathBuf>> {
    let mut found = Vec::new();
    for path in entries(folder)? {
        if path.is_dir() {
            found.extend(files(&path, ending)?);
        } else if path.extension().is_some_and(|end| end == ending) {
            found.push(path);
        }
    }
    Ok(found)
}

/// The entries of a folder, in the order of their names.
fn entries(folder: &Path) -> Result<Vec<PathBuf>> {
    let listed = std::fs::read_dir(folder).with_context(|| format!("cannot read {}", folder.display()))?;
    let mut paths = listed.map(|entry| Ok(entry?.path())).collect::<Result<Vec<_>>>()?;
    paths.sort();
    Ok(paths)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A package whose tests are these files; what is found not tidy.
    fn checked(files: &[(&str, &str)]) -> Vec<String> {
        let root = tempfile::tempdir().unwrap();
        std::fs::write(root.path().join("Cargo.toml"), "").unwrap();
        for (name, text) in files {
            let path = root.path().join("tests").join(name);
            std::fs::create_dir_all(path.parent().unwrap()).unwrap();
            std::fs::write(path, text).unwrap();
        }
        check(root.path()).unwrap()
    }

    #[test]
    fn files_reachable_from_main_are_tidy() {
        let found = checked(&[
            ("it/main.rs", "//! Tests.\n\nmod common;\nmod log;\nmod with_model;\n"),
            ("it/common/mod.rs", "pub mod toy;\n"),
            ("it/common/toy.rs", ""),
            ("it/log.rs", "insta::assert_snapshot!(\"shown\", text);\n"),
            ("it/with_model.rs", "pub(crate) mod llama;\n"),
            ("it/with_model/llama.rs", ""),
            ("it/snapshots/it__log__shown.snap", ""),
            ("servers/faulty.rs", ""),
            ("golden.tsv", ""),
        ]);
        assert_eq!(found, Vec::<String>::new());
    }

    #[test]
    fn forgotten_tests_and_snapshots_are_found() {
        let found = checked(&[
            ("it/main.rs", "mod log;\n// mod lost;\n"),
            ("it/log.rs", ""),
            ("it/lost.rs", "#[test]\nfn never_runs() {}\n"),
            ("it/deep/mod.rs", ""),
            ("it/snapshots/it__log__shown.snap", ""),
            ("it/snapshots/log__shown.snap", ""),
            ("alone.rs", ""),
            ("apart/main.rs", ""),
        ]);
        let files: Vec<&str> = found.iter().filter_map(|line| line.split(": ").next()).collect();
        assert_eq!(
            files,
            [
                "tests/alone.rs",
                "tests/apart/main.rs",
                "tests/it/deep/mod.rs",
                "tests/it/lost.rs",
                "tests/it/snapshots/it__log__shown.snap",
                "tests/it/snapshots/log__shown.snap",
            ]
        );
    }

    #[test]
    fn this_repository_is_tidy() {
        run().unwrap();
    }
}
