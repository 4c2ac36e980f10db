//! The files of the program that is the world. They belong to this crate and are written beside the installed packages.

use std::io::Result;
use std::path::{Path, PathBuf};

/// The names of the files below `world/`, with their texts.
const FILES: [(&str, &str); 27] = [
    ("main.js", include_str!("../world/main.js")),
    ("world.js", include_str!("../world/world.js")),
    ("describe.js", include_str!("../world/describe.js")),
    ("documents.js", include_str!("../world/documents.js")),
    ("observe.js", include_str!("../world/observe.js")),
    ("picture.js", include_str!("../world/picture.js")),
    ("player.js", include_str!("../world/player.js")),
    ("paths.js", include_str!("../world/paths.js")),
    ("sight.js", include_str!("../world/sight.js")),
    ("serve.js", include_str!("../world/serve.js")),
    ("clock.js", include_str!("../world/clock.js")),
    ("pipe.js", include_str!("../world/pipe.js")),
    ("server.js", include_str!("../world/server.js")),
    ("land.js", include_str!("../world/land.js")),
    ("noise.js", include_str!("../world/noise.js")),
    ("actions/index.js", include_str!("../world/actions/index.js")),
    ("actions/gather.js", include_str!("../world/actions/gather.js")),
    ("actions/make.js", include_str!("../world/actions/make.js")),
    ("actions/move.js", include_str!("../world/actions/move.js")),
    ("rules/knowledge.js", include_str!("../world/rules/knowledge.js")),
    ("rules/crafting.js", include_str!("../world/rules/crafting.js")),
    ("rules/windows.js", include_str!("../world/rules/windows.js")),
    ("rules/furnaces.js", include_str!("../world/rules/furnaces.js")),
    ("rules/body.js", include_str!("../world/rules/body.js")),
    ("rules/ground.js", include_str!("../world/rules/ground.js")),
    ("rules/hands.js", include_str!("../world/rules/hands.js")),
    ("rules/mobs.js", include_str!("../world/rules/mobs.js")),
];
/// The packages that the program needs.
pub(crate) const PACKAGE: &str = include_str!("../world/package.json");
/// The exact versions of all packages, with their digests.
pub(crate) const LOCK: &str = include_str!("../world/package-lock.json");

/// Writes the files that differ into `directory`, and returns the path of the program.
pub(crate) fn write(directory: &Path) -> Result<PathBuf> {
    let world = directory.join("world");
    for (name, text) in FILES {
        let path = world.join(name);
        // Another version of the program may have written it.
        if std::fs::read_to_string(&path).ok().as_deref() != Some(text) {
            replace(&path, text)?;
        }
    }
    Ok(world.join("main.js"))
}

/// Replaces a file atomically, because another process may read it.
pub(crate) fn replace(path: &Path, text: &str) -> Result<()> {
    if let Some(directory) = path.parent() {
        std::fs::create_dir_all(directory)?;
    }
    let mut new = path.as_os_str().to_owned();
    new.push(format!(".{}", std::process::id()));
    std::fs::write(&new, text)?;
    std::fs::rename(&new, path)
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::collections::BTreeSet;

    fn scripts(directory: &Path, below: &Path, found: &mut BTreeSet<String>) {
        for entry in std::fs::read_dir(directory).unwrap() {
            let path = entry.unwrap().path();
            if path.is_dir() && !path.ends_with("test") && !path.ends_with("node_modules") {
                scripts(&path, below, found);
            } else if path.extension().is_some_and(|extension| extension == "js") {
                found.insert(path.strip_prefix(below).unwrap().display().to_string());
            }
        }
    }

    #[test]
    fn every_script_of_the_world_is_written_where_it_runs() {
        let world = Path::new(env!("CARGO_MANIFEST_DIR")).join("world");
        let mut found = BTreeSet::new();
        scripts(&world, &world, &mut found);
        assert_eq!(found, FILES.iter().map(|(name, _)| (*name).to_owned()).collect());

        let place = tempfile::tempdir().unwrap();
        let program = write(place.path()).unwrap();
        std::fs::write(&program, "changed").unwrap();
        assert_eq!(write(place.path()).unwrap(), program);
        assert_eq!(std::fs::read_to_string(&program).unwrap(), FILES[0].1);
    }

    #[test]
    fn the_lock_names_a_digest_of_every_package_and_no_address() {
        let packages = LOCK.matches("\"node_modules/").count();
        assert_eq!(LOCK.matches("\"integrity\": \"sha512-").count(), packages);
        assert!(!LOCK.contains("\"resolved\""));
    }
}
