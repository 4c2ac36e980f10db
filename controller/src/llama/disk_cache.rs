use super::load::LoadedModel;
use super::prompt_slots::common_length;
use crate::prefix_cache::{self, FILE_HASH, FINGERPRINT, INDEX, STATE, TEMPORARY};
use llama_cpp_2::context::LlamaContext;
use llama_cpp_2::token::LlamaToken;
use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};
use std::fs::{self, File};
use std::io::{self, BufReader, Read, Seek, SeekFrom};
use std::path::{Path, PathBuf};
use std::time::{Duration, SystemTime};

/// Disk budget per model, in bytes.
const BUDGET: u64 = 1 << 30;
/// Number of samples of a model file that its fingerprint covers, and their length in bytes.
const SAMPLES: u64 = 16;
const SAMPLE: u64 = 1 << 16;
/// A file without an index entry that is older than this was left by a process that died while writing.
const ABANDONED: Duration = Duration::from_hours(1);

/// The prefix cache on disk: KV states of prompt prefixes, shared by processes and restarts.
///
/// Each prefix has a state file, written by llama.cpp, and a JSON file with its tokens and the state's
/// SHA-256. A state file that fails its hash is never loaded. Several processes may share the directory.
#[derive(Debug)]
pub(super) struct DiskCache {
    root: PathBuf,
    directory: PathBuf,
    entries: Vec<Entry>,
    /// Whether a part of a saved prefix can be used; see [`super::kv_cache::KvCache::supports_truncation`].
    truncatable: bool,
}

/// The index entry of one prefix.
#[derive(Debug, Serialize, Deserialize)]
struct Entry {
    tokens: Vec<i32>,
    /// Length of the state file.
    bytes: u64,
    sha256: String,
}

impl DiskCache {
    /// Opens the cache of this model below `root`.
    pub(super) fn open(root: &Path, loaded: &LoadedModel, truncatable: bool) -> Self {
        let mut this = Self {
            root: root.to_path_buf(),
            directory: root.to_path_buf(),
            entries: Vec::new(),
            truncatable,
        };
        let lora = loaded.lora.as_ref().map(|(_, lora)| (lora.path.as_path(), lora.scale));
        match fingerprint(&loaded.path, lora) {
            Ok(model) => {
                // Another version may store states differently.
                this.directory.push(format!("{model}-{}", env!("CARGO_PKG_VERSION")));
                this.entries = read_entries(&this.directory);
                this.sweep();
                // Earlier versions left files that others may read.
                let restricted = prefix_cache::restrict_all(root);
                if let Err(error) = restricted.and_then(|()| prefix_cache::restrict_all(&this.directory)) {
                    tracing::warn!(%error, "other users of this machine may read saved prefixes");
                }
            }
            Err(error) => tracing::warn!(%error, "cannot fingerprint the model; saved prefixes are not used"),
        }
        this
    }

    /// Finds the entry of at most `room` tokens with the longest common prefix. Returns its index and the
    /// length of that prefix, in tokens.
    pub(super) fn longest_prefix(&self, prompt: &[LlamaToken], room: usize) -> Option<(usize, usize)> {
        let fitting = self.entries.iter().enumerate().filter(|(_, entry)| entry.tokens.len() <= room);
        let commons = fitting.map(|(index, entry)| {
            let common = common_length(&entry.tokens(), prompt);
            (index, if self.truncatable || common == entry.tokens.len() { common } else { 0 })
        });
        commons.max_by_key(|&(_, common)| common)
    }

    /// Length of an entry, in tokens.
    pub(super) fn length(&self, entry: usize) -> usize {
        self.entries[entry].tokens.len()
    }

    /// Loads a prefix into the empty sequence `slot`. On failure, returns false and drops the entry.
    pub(super) fn load(&mut self, entry: usize, context: &mut LlamaContext<'_>, slot: i32) -> bool {
        let known = &self.entries[entry];
        let path = self.directory.join(known.file());
        let whole = checksum(&path).is_ok_and(|found| found == (known.bytes, known.sha256.clone()));
        let loaded = whole
            && context
                .state_seq_load_file(&path, slot, known.tokens.len())
                .is_ok_and(|(tokens, _)| tokens == known.tokens());
        if loaded {
            // The modification time orders entries for eviction.
            let touched = File::options().append(true).open(&path);
            let _ = touched.and_then(|file| file.set_modified(SystemTime::now()));
            return true;
        }
        let known = self.entries.remove(entry);
        if whole {
            // The file is intact; another process may have enough context for it.
            tracing::warn!(path = %path.display(), "cannot load a saved prefix");
        } else {
            tracing::warn!(path = %path.display(), "a saved prefix is damaged or missing");
            remove(&self.directory, &known.file());
        }
        false
    }

    /// Saves the sequence `slot`, which holds exactly `tokens`. A failure is only logged, because the request
    /// can continue without the cache.
    pub(super) fn save(&mut self, context: &LlamaContext<'_>, slot: i32, tokens: &[LlamaToken]) {
        match self.try_save(context, slot, tokens) {
            Ok(entry) => {
                tracing::debug!(tokens = tokens.len(), bytes = entry.bytes, "saved a prefix");
                // Includes entries that other processes saved meanwhile.
                self.entries = read_entries(&self.directory);
                self.make_room();
            }
            Err(error) => tracing::warn!(%error, "cannot save a prefix"),
        }
    }

    fn try_save(&self, context: &LlamaContext<'_>, slot: i32, tokens: &[LlamaToken]) -> io::Result<Entry> {
        prefix_cache::create(&self.root, &self.directory)?;
        let mut entry =
            Entry { tokens: tokens.iter().map(|token| token.0).collect(), bytes: 0, sha256: String::new() };
        let file = self.directory.join(entry.file());
        let temporary = self.directory.join(format!("{}.{}.{TEMPORARY}", entry.file(), std::process::id()));
        let saved = context
            .state_seq_save_file(&temporary, slot, tokens)
            .map_err(io::Error::other)
            .and_then(|_| prefix_cache::restrict(&temporary))
            .and_then(|()| checksum(&temporary));
        let (bytes, sha256) = saved.inspect_err(|_| {
            let _ = fs::remove_file(&temporary);
        })?;
        entry.bytes = bytes;
        entry.sha256 = sha256;
        let words = serde_json::to_vec(&entry).map_err(io::Error::other)?;
        fs::rename(&temporary, &file)?;
        // The entry is written last: a state file without an entry is ignored.
        fs::write(&temporary, words)?;
        prefix_cache::restrict(&temporary)?;
        fs::rename(&temporary, file.with_extension(INDEX))?;
        Ok(entry)
    }

    /// Removes files that crashed processes left behind.
    fn sweep(&self) {
        let known: Vec<String> = self.entries.iter().map(Entry::file).collect();
        for file in fs::read_dir(&self.directory).into_iter().flatten().flatten() {
            let path = file.path();
            let abandoned = match path.extension().and_then(|extension| extension.to_str()) {
                Some(TEMPORARY) => true,
                Some(STATE) => !known.iter().any(|name| path.ends_with(name)),
                _ => false,
            };
            let written = file.metadata().and_then(|file| file.modified());
            let old = written.is_ok_and(|written| written.elapsed().is_ok_and(|age| age > ABANDONED));
            if abandoned && old {
                let _ = fs::remove_file(path);
            }
        }
    }

    /// Evicts the least recently used entries until the cache fits its budget.
    fn make_room(&mut self) {
        let used = |entry: &Entry| {
            let file = fs::metadata(self.directory.join(entry.file()));
            file.and_then(|file| file.modified()).unwrap_or(SystemTime::UNIX_EPOCH)
        };
        self.entries.sort_by_cached_key(|entry| std::cmp::Reverse(used(entry)));
        let mut sum = 0;
        let within = self.entries.iter().take_while(|entry| {
            sum += entry.bytes;
            sum <= BUDGET
        });
        let keep = within.count().max(1);
        for entry in self.entries.split_off(keep.min(self.entries.len())) {
            remove(&self.directory, &entry.file());
        }
    }
}

impl Entry {
    fn tokens(&self) -> Vec<LlamaToken> {
        self.tokens.iter().map(|&token| LlamaToken(token)).collect()
    }

    /// Name of the state file, derived from the tokens, so that equal prefixes share a file.
    fn file(&self) -> String {
        let mut hash = Sha256::new();
        for token in &self.tokens {
            hash.update(token.to_le_bytes());
        }
        format!("{}.{STATE}", &hex::encode(hash.finalize())[..FILE_HASH])
    }
}

/// Reads all entries in `directory`, skipping unreadable ones.
fn read_entries(directory: &Path) -> Vec<Entry> {
    let Ok(files) = fs::read_dir(directory) else { return Vec::new() };
    files
        .filter_map(|file| {
            let path = file.ok()?.path();
            if path.extension().is_none_or(|extension| extension != INDEX) {
                return None;
            }
            serde_json::from_slice(&fs::read(path).ok()?).ok()
        })
        .collect()
}

fn remove(directory: &Path, file: &str) {
    let state = directory.join(file);
    // Another process may have removed the files already.
    let _ = fs::remove_file(state.with_extension(INDEX));
    let _ = fs::remove_file(state);
}

/// Length and SHA-256 of a file.
fn checksum(path: &Path) -> io::Result<(u64, String)> {
    let mut hash = Sha256::new();
    let mut file = BufReader::with_capacity(1 << 20, File::open(path)?);
    let bytes = io::copy(&mut file, &mut HashWriter(&mut hash))?;
    Ok((bytes, hex::encode(hash.finalize())))
}

/// Identifies a model and its adapter without reading the whole files.
pub(super) fn fingerprint(model: &Path, lora: Option<(&Path, f32)>) -> io::Result<String> {
    let mut hash = Sha256::new();
    sample(model, &mut hash)?;
    if let Some((path, scale)) = lora {
        sample(path, &mut hash)?;
        hash.update(scale.to_le_bytes());
    }
    Ok(hex::encode(hash.finalize())[..FINGERPRINT].to_owned())
}

/// Hashes the length of a file and samples of its content.
fn sample(path: &Path, hash: &mut Sha256) -> io::Result<()> {
    let mut file = File::open(path)?;
    let length = file.metadata()?.len();
    hash.update(length.to_le_bytes());
    let last = length.saturating_sub(SAMPLE);
    for piece in 0..SAMPLES {
        file.seek(SeekFrom::Start(last / (SAMPLES - 1) * piece))?;
        io::copy(&mut file.by_ref().take(SAMPLE), &mut HashWriter(hash))?;
    }
    Ok(())
}

/// Adapts a hash to [`io::Write`].
struct HashWriter<'a>(&'a mut Sha256);

impl io::Write for HashWriter<'_> {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.0.update(bytes);
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}
