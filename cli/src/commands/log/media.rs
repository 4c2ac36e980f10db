use super::export::beside;
use crate::error::{Failure, Kind};
use crate::logbook::{self, Reading};
use crate::{output, table};
use anyhow::{Context as _, Result};
use serde::Serialize;
use sojourn_core::{LogRecord, RecordKind};
use sojourn_memory::{BlobId, EventSeq, RecordQuery, Store};
use sojourn_tools::media::{Media, resolve};
use std::io::Write as _;
use std::path::Path;

/// Media of a run, where it was first shown.
#[derive(Serialize)]
struct Shown {
    handle: String,
    #[serde(flatten)]
    media: Media,
    /// The first record that shows it.
    seq: EventSeq,
    /// Whether the log still has its bytes.
    kept: bool,
}

/// `log media`: lists the pictures and sounds of a run.
pub async fn list(store: &Store, run: &str, json: bool) -> Result<()> {
    let shown = shown(store, run).await?;
    if json {
        return Ok(output::json(&shown)?);
    }
    if shown.is_empty() {
        output::note("the run has no pictures and no sounds");
        return Ok(());
    }
    let mut table = table::new(["handle", "type", "size", "bytes", "record", "from"]);
    table::numbers(&mut table, [3, 4]);
    for Shown { handle, media, seq, kept } in shown {
        let size = match (media.width, media.height, media.duration_ms) {
            (Some(width), Some(height), _) => format!("{width}×{height}"),
            (_, _, Some(ms)) => format!("{}.{} s", ms / 1000, ms % 1000 / 100),
            _ => String::new(),
        };
        let bytes = if kept { media.bytes.to_string() } else { "forgotten".to_owned() };
        table.add_row([handle, media.mime, size, bytes, seq.to_string(), media.source]);
    }
    Ok(table::print(&table)?)
}

/// `log media RUN HANDLE`: writes the bytes of one picture or sound.
pub async fn write(store: &Store, run: &str, handle: &str, out: Option<&Path>) -> Result<()> {
    let shown = shown(store, run).await?;
    let media = resolve(handle, shown.iter().map(|shown| &shown.media))
        .map_err(|error| Failure::new(Kind::NotFound, error.to_string()))?;
    let bytes = store.blob(&media.blob.parse::<BlobId>().context("its address is damaged")?).await?;
    let Some(path) = out else {
        if output::is_terminal() {
            return Err(Failure::new(Kind::Usage, "the bytes of a picture are not for a terminal")
                .hint("name a file with `--out`, or redirect stdout")
                .into());
        }
        return Ok(output::binary(&bytes)?);
    };
    let unwritable = || format!("cannot write `{}`", path.display());
    let mut file = beside(path).with_context(unwritable)?;
    file.write_all(&bytes).with_context(unwritable)?;
    file.as_file().sync_all().with_context(unwritable)?;
    file.persist(path).with_context(unwritable)?;
    output::note(format!("wrote {media} to `{}`", path.display()));
    Ok(())
}

/// The media of a run in the order of arrival.
async fn shown(store: &Store, run: &str) -> Result<Vec<Shown>> {
    let info = logbook::find_run(store, run).await?;
    let kinds = [RecordKind::ToolAnswered, RecordKind::Returned, RecordKind::FrameTaken, RecordKind::Looked];
    let kinds = kinds.map(RecordKind::as_str);
    let mut reading = Reading::new(store, &info, RecordQuery::all().kinds(kinds)).await?;
    let mut shown: Vec<Shown> = Vec::new();
    while let Some((record, content)) = reading.next().await? {
        for media in content.iter().flat_map(LogRecord::media) {
            // A reference that the record has no blob for is not the run's own.
            let id = media.blob.parse::<BlobId>().ok().filter(|id| record.blobs.contains(id));
            let Some(id) = id.filter(|_| shown.iter().all(|known| known.media.blob != media.blob)) else {
                continue;
            };
            let kept = store.has_blob(&id).await?;
            shown.push(Shown { handle: media.handle(), media: media.clone(), seq: record.seq, kept });
        }
    }
    Ok(shown)
}
