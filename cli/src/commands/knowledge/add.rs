//! `sojourn knowledge add`: one batch of documents, of which each is read whatever becomes of the others.

use super::passages;
use super::read::{self, Text};
use super::sources::{Found, Source, is_url, uri};
use crate::error::{Failure, Kind};
use crate::{embedding, output};
use anyhow::Result;
use serde_json::{Value, json};
use sojourn_core::now_ms;
use sojourn_memory::{DocumentChange, Error, Memories, NewDocument, Tenant};
use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::os::unix::fs::MetadataExt as _;
use std::path::Path;

/// The options of the command.
pub struct Options<'a> {
    pub sources: &'a [String],
    pub hosts: &'a [String],
    pub environment: Option<&'a str>,
    pub json: bool,
}

/// Adds documents, updates those that changed, and removes those that are gone.
///
/// # Errors
/// When a document cannot be read, at the end; when the store fails, at once.
pub async fn add(memories: &Memories, tenant: &Tenant, options: &Options<'_>) -> Result<()> {
    let mut found = Found::default();
    for source in options.sources {
        found.add(source);
    }
    let known = Known::of(memories, tenant).await?;
    let mut batch = Batch { memories, tenant, options, known, done: Vec::new(), gone: Vec::new() };
    let sources = std::mem::take(&mut found.sources);
    for source in &sources {
        let name = name(source);
        match batch.take(source, &mut found).await {
            Ok(()) => {}
            Err(error) if ends_the_batch(&error) => {
                return Err(error.context(format!("stopped after {} documents", batch.done.len())));
            }
            Err(error) => found.failed.push((name, error)),
        }
    }
    for directory in &found.directories {
        batch.remove_gone(directory, &sources).await?;
    }
    let embedded = embedding::embed_missing(memories, tenant).await?;
    batch.report(found, embedded.is_none(), &serde_json::to_value(embedded)?)
}

/// One batch under way.
struct Batch<'a> {
    memories: &'a Memories,
    tenant: &'a Tenant,
    options: &'a Options<'a>,
    known: Known,
    done: Vec<Done>,
    /// Documents whose file no longer exists or has no text any more, with the number of their passages.
    gone: Vec<(String, u64)>,
}

/// A document that was added or updated.
struct Done {
    uri: String,
    change: DocumentChange,
    notes: Vec<String>,
}

/// The documents of the store, by all names that lead to them.
struct Known {
    uris: BTreeSet<String>,
    /// Stored names that are not canonical, by the canonical name.
    aliases: BTreeMap<String, Vec<String>>,
    /// Canonical names of files with several links, by device and inode.
    files: HashMap<(u64, u64), String>,
}

impl Known {
    async fn of(memories: &Memories, tenant: &Tenant) -> Result<Self> {
        let mut known = Self { uris: BTreeSet::new(), aliases: BTreeMap::new(), files: HashMap::new() };
        for document in memories.documents(tenant).await? {
            let canonical = uri(&document.uri);
            if canonical != document.uri {
                known.aliases.entry(canonical.clone()).or_default().push(document.uri.clone());
            }
            if let Some(file) = linked_file(&canonical) {
                known.files.insert(file, canonical);
            }
            known.uris.insert(document.uri);
        }
        Ok(known)
    }
}

/// Device and inode of a file with several names.
fn linked_file(uri: &str) -> Option<(u64, u64)> {
    if is_url(uri) {
        return None;
    }
    let metadata = std::fs::metadata(uri).ok()?;
    (metadata.nlink() > 1).then(|| (metadata.dev(), metadata.ino()))
}

fn name(source: &Source) -> String {
    match source {
        Source::File(path) => path.display().to_string(),
        Source::Page(url) => url.clone(),
    }
}

/// Whether the store failed, or the reader of the output has gone, and not a document.
fn ends_the_batch(error: &anyhow::Error) -> bool {
    let has_no_reader = |cause: &(dyn std::error::Error + 'static)| {
        cause.downcast_ref::<std::io::Error>().is_some_and(|io| io.kind() == std::io::ErrorKind::BrokenPipe)
    };
    error.chain().any(has_no_reader)
        || error.downcast_ref::<Error>().is_some_and(|error| !matches!(error, Error::BadMemory { .. }))
}

impl Batch<'_> {
    /// Reads a document and stores its passages.
    async fn take(&mut self, source: &Source, found: &mut Found) -> Result<()> {
        let uri = name(source);
        if let Some(file) = linked_file(&uri) {
            let other = self.known.files.entry(file).or_insert_with(|| uri.clone());
            if *other != uri {
                found.leave_out(&format!("another name of `{other}`"), Path::new(&uri));
                return Ok(());
            }
        }
        self.adopt_aliases(&uri).await?;
        let Text { title, content, markup, notes } = read::read(source, self.options.hosts).await?;
        let passages = passages::split(&content, markup);
        if passages.is_empty() {
            found.leave_out("documents without text", Path::new(&uri));
            return self.remove(&uri).await;
        }
        let new = NewDocument {
            uri: &uri,
            title: title.as_deref(),
            passages: &passages,
            environment: self.options.environment,
            at_ms: now_ms(),
        };
        let change = self.memories.add_document(self.tenant, &new).await?;
        self.known.uris.insert(uri.clone());
        if !self.options.json {
            output::line(change_line(&uri, change))?;
            for note in &notes {
                output::note(format!("note: `{uri}`: {note}"));
            }
        }
        self.done.push(Done { uri, change, notes });
        Ok(())
    }

    /// Renames documents that were stored under other names of the same file, as older versions did.
    async fn adopt_aliases(&mut self, uri: &str) -> Result<()> {
        for alias in self.known.aliases.remove(uri).unwrap_or_default() {
            if !self.memories.rename_document(self.tenant, &alias, uri).await? {
                self.memories.remove_document(self.tenant, &alias).await?;
            }
            self.known.uris.remove(&alias);
            self.known.uris.insert(uri.to_owned());
        }
        Ok(())
    }

    async fn remove(&mut self, uri: &str) -> Result<()> {
        if let Some(passages) = self.memories.remove_document(self.tenant, uri).await? {
            self.known.uris.remove(uri);
            self.gone.push((uri.to_owned(), passages));
        }
        Ok(())
    }

    /// Removes the documents of a directory whose files no longer exist.
    async fn remove_gone(&mut self, directory: &Path, found: &BTreeSet<Source>) -> Result<()> {
        let below: Vec<String> = self
            .known
            .uris
            .iter()
            .filter(|uri| !is_url(uri) && Path::new(uri).starts_with(directory))
            .filter(|uri| !found.contains(&Source::File(uri.into())))
            .cloned()
            .collect();
        for uri in below {
            let missing = std::fs::symlink_metadata(&uri).is_err_and(|error| {
                matches!(error.kind(), std::io::ErrorKind::NotFound | std::io::ErrorKind::NotADirectory)
            });
            if missing {
                self.remove(&uri).await?;
            } else {
                output::note(format!("note: `{uri}` is known from before, and was left out this time"));
            }
        }
        Ok(())
    }

    /// Prints the results of the whole batch.
    fn report(self, found: Found, words_only: bool, embedded: &Value) -> Result<()> {
        let Self { options, known, done, gone, .. } = self;
        let failures: Vec<Value> = found
            .failed
            .iter()
            .map(|(uri, error)| json!({"uri": uri, "error": format!("{error:#}")}))
            .collect();
        if options.json && (failures.is_empty() || !done.is_empty() || !gone.is_empty()) {
            let documents: Vec<Value> = done
                .iter()
                .map(|Done { uri, change, notes }| {
                    let DocumentChange { added, kept, removed } = change;
                    json!({"uri": uri, "added": added, "kept": kept, "removed": removed, "notes": notes})
                })
                .collect();
            let gone: Vec<Value> =
                gone.iter().map(|(uri, removed)| json!({"uri": uri, "removed": removed})).collect();
            output::json(&json!({
                "documents": documents, "gone": gone, "left_out": found.left_out, "failed": failures, "embedded": embedded,
            }))?;
        }
        if !options.json {
            for (uri, passages) in &gone {
                output::line(format!("{uri}: gone, {} removed", output::counted(*passages, "passage")))?;
            }
        }
        found.left_out_lines().into_iter().for_each(output::note);
        let alone = done.is_empty() && gone.is_empty() && found.failed.len() == 1;
        if !alone {
            for (_, error) in &found.failed {
                output::note(format!("error: {error:#}"));
            }
        }
        let nothing = done.is_empty() && gone.is_empty() && found.failed.is_empty();
        if words_only && !done.is_empty() && !options.json {
            output::note("note: recalled by words only, because the embedding model is not on this machine");
        }
        let all = done.len() + gone.len() + found.left_out.len() + found.failed.len();
        if !options.json && !nothing && !alone && all > 1 {
            output::line(summary(&done, gone.len(), &found))?;
        }
        if nothing {
            let places: Vec<String> = options.sources.iter().map(|source| format!("`{source}`")).collect();
            return Err(Failure::new(Kind::NotFound, format!("no document in {}", places.join(", ")))
                .hint(super::extract::FORMATS)
                .into());
        }
        let read_or_failed = done.len() + found.failed.len();
        failure(found.failed, alone, read_or_failed, &known)
    }
}

/// The error for the documents that could not be read.
fn failure(mut failed: Vec<(String, anyhow::Error)>, alone: bool, of: usize, known: &Known) -> Result<()> {
    let count = failed.len();
    let Some((uri, error)) = failed.pop() else { return Ok(()) };
    if !alone {
        return Err(Failure::new(Kind::Failure, format!("{count} of {of} could not be read")).into());
    }
    let below = known.uris.iter().filter(|known| Path::new(known).starts_with(&uri)).count();
    if below == 0 || Path::new(&uri).exists() {
        return Err(error);
    }
    let below = output::counted(below as u64, "document");
    let hint = format!("{below} of it still known: `sojourn knowledge remove {uri}` removes what is known");
    Err(Failure::new(Kind::NotFound, format!("{error:#}")).hint(hint).into())
}

fn summary(done: &[Done], gone: usize, found: &Found) -> String {
    let unchanged = done.iter().filter(|done| done.change.added == 0 && done.change.removed == 0).count();
    let left_out: usize = found.left_out.values().map(Vec::len).sum();
    let mut parts =
        vec![format!("{} added or changed", done.len() - unchanged), format!("{unchanged} unchanged")];
    for (count, what) in [(gone, "gone"), (left_out, "left out"), (found.failed.len(), "could not be read")] {
        if count > 0 {
            parts.push(format!("{count} {what}"));
        }
    }
    let all = done.len() + gone + left_out + found.failed.len();
    format!("{}: {}", output::counted(all as u64, "document"), parts.join(", "))
}

fn change_line(uri: &str, change: DocumentChange) -> String {
    match change {
        DocumentChange { added: 0, removed: 0, kept } => {
            format!("{uri}: unchanged, {}", output::counted(kept, "passage"))
        }
        DocumentChange { added, kept, removed } => {
            let added =
                if added == 1 { "1 passage added".to_owned() } else { format!("{added} passages added") };
            format!("{uri}: {added}, {kept} kept, {removed} removed")
        }
    }
}
