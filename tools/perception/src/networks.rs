//! The networks of a source, loaded at their first use. Those that were not used for longest make room for others.

use std::any::Any;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError};

/// Loaded networks, as many as fit into a limit.
pub(crate) struct Networks {
    /// Limit on the size of the files of all that are loaded, in bytes. A single network may exceed it.
    most: u64,
    /// The one that was used last stands last.
    loaded: Mutex<Vec<Loaded>>,
}

struct Loaded {
    name: &'static str,
    bytes: u64,
    network: Arc<dyn Any + Send + Sync>,
}

impl Networks {
    /// None so far, and at most `memory_mib` MiB of them.
    pub fn new(memory_mib: u64) -> Self {
        Self { most: memory_mib.saturating_mul(1 << 20), loaded: Mutex::default() }
    }

    /// The network `name` of `files`, loaded by `open` where it is not. Others are dropped for it, which ends them when the work
    /// that they do is done. A failure is tried again at the next call.
    ///
    /// # Errors
    /// What `open` returns.
    pub fn get<T: Any + Send + Sync>(
        &self,
        name: &'static str,
        files: &[&Path],
        open: impl FnOnce() -> Result<T, String>,
    ) -> Result<Arc<T>, String> {
        if let Some(network) = self.known(name) {
            return Ok(network);
        }
        // One after the other: two threads would load the same one.
        let mut loaded = self.loaded.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(network) = used(&mut loaded, name) {
            return Ok(network);
        }
        let bytes = files.iter().map(|path| size(path)).fold(0, u64::saturating_add);
        while !loaded.is_empty() && total(&loaded).saturating_add(bytes) > self.most {
            loaded.remove(0);
        }
        let network = Arc::new(open()?);
        loaded.push(Loaded { name, bytes, network: Arc::clone(&network) as Arc<dyn Any + Send + Sync> });
        Ok(network)
    }

    /// The network `name`, if it is loaded.
    pub fn known<T: Any + Send + Sync>(&self, name: &'static str) -> Option<Arc<T>> {
        used(&mut self.loaded.lock().unwrap_or_else(PoisonError::into_inner), name)
    }
}

/// The network `name`, which becomes the one that was used last.
fn used<T: Any + Send + Sync>(loaded: &mut Vec<Loaded>, name: &'static str) -> Option<Arc<T>> {
    let at = loaded.iter().position(|one| one.name == name)?;
    let one = loaded.remove(at);
    let network = Arc::clone(&one.network).downcast().ok();
    loaded.push(one);
    network
}

fn total(loaded: &[Loaded]) -> u64 {
    loaded.iter().map(|one| one.bytes).fold(0, u64::saturating_add)
}

/// Size of a file, or of the files in a folder, in bytes; 0 for a missing file, which loading reports.
fn size(path: &Path) -> u64 {
    let Ok(about) = std::fs::metadata(path) else { return 0 };
    if about.is_file() {
        return about.len();
    }
    let Ok(entries) = std::fs::read_dir(path) else { return 0 };
    let files: Vec<PathBuf> = entries.flatten().map(|entry| entry.path()).collect();
    files
        .iter()
        .filter_map(|file| std::fs::metadata(file).ok())
        .filter(std::fs::Metadata::is_file)
        .map(|file| file.len())
        .sum()
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::sync::atomic::{AtomicU32, Ordering};

    #[test]
    fn the_network_that_was_not_used_for_longest_makes_room() {
        let place = tempfile::tempdir().unwrap();
        let file = |name: &str, mib: usize| {
            let path = place.path().join(name);
            std::fs::write(&path, vec![0; mib << 20]).unwrap();
            path
        };
        let (small, folder, large) = (file("small", 1), place.path().join("folder"), file("large", 9));
        std::fs::create_dir(&folder).unwrap();
        std::fs::write(folder.join("model"), vec![0; 2 << 20]).unwrap();
        let networks = Networks::new(4);
        let opened = AtomicU32::new(0);
        let get = |name: &'static str, path: &Path| {
            let open = || Ok(opened.fetch_add(1, Ordering::Relaxed));
            networks.get(name, &[path], open).unwrap()
        };
        let loaded = || networks.loaded.lock().unwrap().iter().map(|one| one.name).collect::<Vec<_>>();
        get("a", &small);
        get("b", &folder);
        get("a", &small);
        assert_eq!((loaded(), opened.load(Ordering::Relaxed)), (vec!["b", "a"], 2));
        let held = get("b", &folder);
        get("c", &folder);
        assert_eq!(loaded(), ["b", "c"], "`a` was not used for longest");
        get("large", &large);
        assert_eq!(loaded(), ["large"], "one may exceed the limit, alone");
        assert_eq!(*held, 1, "what is in use lives on");
        let failed = networks.get::<u32>("d", &[&small], || Err("no".into()));
        assert_eq!(failed.unwrap_err(), "no");
        assert_eq!(*networks.get("d", &[&small], || Ok(7_u32)).unwrap(), 7, "it is tried again");
        assert_eq!(networks.known::<String>("d"), None, "of another kind");
    }
}
