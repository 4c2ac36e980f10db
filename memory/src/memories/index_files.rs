//! The files of the embedded index: a manifest, and one file per graph.
//!
//! The files are a cache. If one is missing, damaged or of another version, the index is rebuilt from the
//! tables.

use super::flat_vectors::{FlatVectors, Label};
use super::hnsw::Graph;
use super::shard::Shard;
use super::{MemoryId, Tenant, Tick};
use crate::{Error, Hash};
use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};
use sojourn_primitives::create_private_dir;
use std::fs::{self, File};
use std::io::{Read, Write};
use std::path::{Path, PathBuf};

const VERSION: u32 = 1;
const MANIFEST: &str = "manifest";

/// Content of the manifest file.
#[derive(Serialize, Deserialize)]
struct Manifest {
    version: u32,
    /// Id of the database, so that an index is never used with another database.
    store: [u8; 16],
    /// Memory clock up to which the index is complete.
    applied: u64,
    shards: Vec<Saved>,
}

#[derive(Serialize, Deserialize)]
struct Saved {
    model: String,
    tenant: String,
    dimension: usize,
    /// Name of the graph file, and its SHA-256.
    graph: Option<(String, [u8; 32])>,
    labels: Vec<Option<SavedLabel>>,
    tail: Vec<(SavedLabel, Vec<f32>)>,
}

type SavedLabel = ([u8; 16], u64, u64);

/// A loaded index: its memory clock and its shards, each with model and tenant.
pub(super) type Loaded = (Tick, Vec<(String, Tenant, Shard)>);

fn pack(label: Label) -> SavedLabel {
    (*label.id.as_bytes(), label.made.0, label.tick.0)
}

fn unpack((id, made, tick): SavedLabel) -> Label {
    Label { id: MemoryId::from_bytes(id), made: Tick(made), tick: Tick(tick) }
}

/// Reads the index of a store; `None` if no usable index exists.
pub(super) fn load(directory: &Path, store: [u8; 16]) -> Option<Loaded> {
    let bytes = fs::read(directory.join(MANIFEST)).ok()?;
    let (hash, body) = bytes.split_first_chunk::<32>()?;
    if Hash::of(body).as_bytes() != hash {
        return None;
    }
    let manifest: Manifest = postcard::from_bytes(body).ok()?;
    if manifest.version != VERSION || manifest.store != store {
        return None;
    }
    let mut shards = Vec::new();
    for saved in manifest.shards {
        let tenant = Tenant::new(saved.tenant).ok()?;
        let mut tail = FlatVectors::new(saved.dimension);
        for (label, vector) in saved.tail {
            tail.put(unpack(label), &vector);
        }
        let graph = match saved.graph {
            None => None,
            Some((name, hash)) => {
                let path = directory.join(name);
                // The reader trusts the file, so a damaged one must not reach it.
                if sha256(&path).ok()? != hash {
                    return None;
                }
                let labels = saved.labels.into_iter().map(|label| label.map(unpack)).collect();
                Some(Graph::load(saved.dimension, &path, labels).ok()?)
            }
        };
        shards.push((saved.model, tenant, Shard::with(saved.dimension, graph, tail)));
    }
    Some((Tick(manifest.applied), shards))
}

/// Writes the index, then deletes the files of earlier ones.
pub(super) fn save<'a>(
    directory: &Path,
    store: [u8; 16],
    applied: Tick,
    shards: impl Iterator<Item = (&'a str, &'a Tenant, &'a Shard)>,
) -> Result<(), Error> {
    let io = |path: &Path| {
        let path = path.to_owned();
        move |source| Error::Io { path, source }
    };
    create_private_dir(directory).map_err(io(directory))?;
    let mut saved = Vec::new();
    let mut kept = vec![MANIFEST.to_owned()];
    for (model, tenant, shard) in shards {
        let tail_then = |tail: &FlatVectors| {
            tail.last(tail.len()).into_iter().map(|(label, vector)| (pack(label), vector)).collect()
        };
        // Saving the tail first means that a vector that moves meanwhile is in both parts and never lost.
        let tail = tail_then(&shard.tail());
        let (graph, labels) = match shard.graph() {
            None => (None, Vec::new()),
            Some(graph) => {
                let (path, name) = unused(directory, model, tenant);
                let labels = graph.save(&path)?;
                File::open(&path).and_then(|file| file.sync_all()).map_err(io(&path))?;
                let hash = sha256(&path).map_err(io(&path))?;
                kept.push(name.clone());
                (Some((name, hash)), labels)
            }
        };
        saved.push(Saved {
            model: model.to_owned(),
            tenant: tenant.as_str().to_owned(),
            dimension: shard.dimension(),
            graph,
            labels: labels.into_iter().map(|label| label.map(pack)).collect(),
            tail,
        });
    }
    let manifest = Manifest { version: VERSION, store, applied: applied.0, shards: saved };
    let body = postcard::to_allocvec(&manifest)
        .map_err(|error| Error::IndexUnavailable { what: error.to_string() })?;
    let temporary = directory.join("manifest.new");
    let write = || {
        let mut file = File::create(&temporary)?;
        file.write_all(Hash::of(&body).as_bytes())?;
        file.write_all(&body)?;
        file.sync_all()?;
        fs::rename(&temporary, directory.join(MANIFEST))
    };
    write().map_err(io(&temporary))?;
    for entry in fs::read_dir(directory).map_err(io(directory))?.flatten() {
        if !kept.iter().any(|name| *name == *entry.file_name().to_string_lossy()) {
            // Another process may have deleted the file already.
            let _ = fs::remove_file(entry.path());
        }
    }
    Ok(())
}

/// Deletes all index files.
pub(super) fn clear(directory: &Path) -> Result<(), Error> {
    match fs::remove_dir_all(directory) {
        Err(source) if source.kind() != std::io::ErrorKind::NotFound => {
            Err(Error::Io { path: directory.to_owned(), source })
        }
        _ => Ok(()),
    }
}

/// A file name that is not in use, so that readers of the previous manifest keep their files.
fn unused(directory: &Path, model: &str, tenant: &Tenant) -> (PathBuf, String) {
    let name = Hash::of(format!("{model}\0{}", tenant.as_str()).as_bytes()).to_string();
    let mut number = 0_u32;
    loop {
        let file = format!("{}-{}-{number}.graph", &name[..16], std::process::id());
        let path = directory.join(&file);
        if !path.exists() {
            return (path, file);
        }
        number += 1;
    }
}

fn sha256(path: &Path) -> std::io::Result<[u8; 32]> {
    let mut file = File::open(path)?;
    let mut hasher = Sha256::new();
    let mut buffer = vec![0; 1 << 20];
    loop {
        let read = file.read(&mut buffer)?;
        if read == 0 {
            return Ok(hasher.finalize().into());
        }
        hasher.update(&buffer[..read]);
    }
}
