//! The core depends on nothing in the driver, and shared data on neither.

use std::path::{Path, PathBuf};

/// Folders, each with the modules that it must not name.
const ABOVE: [(&str, &[&str]); 3] =
    [("core", &["driver::"]), ("model", &["core::", "driver::"]), ("log", &["core::", "driver::"])];

fn sources(directory: &Path) -> Vec<PathBuf> {
    let mut found = Vec::new();
    for entry in std::fs::read_dir(directory).unwrap().map(Result::unwrap) {
        if entry.file_type().unwrap().is_dir() {
            found.extend(sources(&entry.path()));
        } else if entry.path().extension().is_some_and(|extension| extension == "rs") {
            found.push(entry.path());
        }
    }
    found
}

#[test]
fn the_core_and_its_data_do_not_know_the_driver() {
    let src = Path::new(env!("CARGO_MANIFEST_DIR")).join("src");
    for (folder, above) in ABOVE {
        let files = sources(&src.join(folder));
        assert!(!files.is_empty(), "no sources in `{folder}`");
        for file in files {
            let text = std::fs::read_to_string(&file).unwrap();
            for module in above {
                let line = text.lines().position(|line| line.contains(*module));
                assert_eq!(line.map(|line| line + 1), None, "{} names `{module}`", file.display());
            }
        }
    }
}
