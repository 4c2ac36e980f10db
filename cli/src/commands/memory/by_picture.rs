//! `memory search --image`: memories by what their pictures show.

use super::{origin, short};
use crate::error::{Failure, Kind};
use crate::{duration, eyes, output, table};
use anyhow::Result;
use indicatif::ProgressBar;
use serde_json::json;
use sojourn_core::now_ms;
use sojourn_memory::{Embedding, Memories, Memory, Tenant};
use sojourn_perception::{Encoder, MAX_FILE_BYTES, Picture};
use sojourn_tools::outside::offload::offload;
use std::io::Read as _;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

/// The model that compares what pictures show.
const ENCODER: &str = "dinov2-small";
/// Pictures that one search looks at for the first time, at most.
const MAX_UNSEEN: usize = 500;
/// How long one picture may take.
const WITHIN: Duration = Duration::from_mins(2);

/// Prints the memories whose pictures show what is most similar to the picture in `file`.
pub async fn search(memories: &Memories, tenant: &Tenant, file: &Path, k: usize, json: bool) -> Result<()> {
    let mut bytes = Vec::new();
    let read =
        std::fs::File::open(file).and_then(|opened| opened.take(MAX_FILE_BYTES + 1).read_to_end(&mut bytes));
    read.map_err(|error| {
        let kind = if error.kind() == std::io::ErrorKind::NotFound { Kind::NotFound } else { Kind::Failure };
        Failure::new(kind, format!("cannot read `{}`: {error}", file.display()))
    })?;
    let encoder = eyes::encoder_file(ENCODER)?;
    let encoder = Arc::new(tokio::task::spawn_blocking(move || Encoder::open(&encoder)).await??);
    let wanted = features(&encoder, bytes).await.map_err(|reason| {
        Failure::new(Kind::Failure, format!("cannot look at `{}`: {reason}", file.display()))
    })?;
    look_at_unseen(memories, tenant, &encoder).await?;
    let found = memories.nearest_pictures(tenant, (ENCODER, &wanted), k, now_ms()).await?;
    if json {
        let found: Vec<_> = found
            .iter()
            .map(|(memory, similarity)| json!({"similarity": similarity, "memory": memory}))
            .collect();
        return Ok(output::json(&json!({"image": file, "memories": found}))?);
    }
    if found.is_empty() {
        output::note("no memory has a picture");
        return Ok(());
    }
    let row = |(memory, similarity): &(Memory, f32)| {
        [
            short(&memory.id),
            format!("{similarity:.2}"),
            memory.kind.as_str().to_owned(),
            duration::date(memory.event_time_ms),
            origin(memory),
            memory.text.clone(),
        ]
    };
    let columns = ["id", "similarity", "kind", "when (UTC)", "origin", "memory"];
    Ok(table::print_with_texts(columns, &[1], found.iter().map(row).collect())?)
}

/// Gives the newest pictures that the encoder has not seen their features. Those that cannot be decoded stay without.
async fn look_at_unseen(memories: &Memories, tenant: &Tenant, encoder: &Arc<Encoder>) -> Result<()> {
    let unseen = memories.unseen_pictures(tenant, ENCODER, MAX_UNSEEN).await?;
    if unseen.len() == MAX_UNSEEN {
        output::note(format!("looking at the newest {MAX_UNSEEN} pictures; search again for the rest"));
    }
    let bar = ProgressBar::new(unseen.len() as u64).with_message("looking at pictures");
    for (id, attachment) in unseen {
        bar.inc(1);
        let bytes = memories.store().blob(&attachment.blob).await?;
        if let Ok(vector) = features(encoder, bytes).await {
            let embedding = Embedding { model: ENCODER.to_owned(), vector };
            memories.add_vector(tenant, &id, &embedding).await?;
        }
    }
    bar.finish_and_clear();
    Ok(())
}

async fn features(encoder: &Arc<Encoder>, bytes: Vec<u8>) -> Result<Vec<f32>, String> {
    let encoder = Arc::clone(encoder);
    let look = move || {
        let picture = Picture::decode(&bytes).map_err(|error| error.to_string())?;
        encoder.features(&picture).map_err(|error| error.to_string())
    };
    offload("a picture", WITHIN, move |_| look()).await.map_err(|error| error.to_string())?
}
