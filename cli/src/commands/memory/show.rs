use super::{origin, place, resolve, short};
use crate::args::OneMemory;
use crate::commands::log::export::beside;
use crate::error::{Failure, Kind};
use crate::logbook::memories::{Origin, origins, successors};
use crate::{duration, embedding, output, table};
use anyhow::{Context as _, Result};
use serde_json::json;
use sojourn_memory::{Attachment, Memories, Memory, Tenant};
use sojourn_tools::media::described;
use std::io::Write as _;
use std::path::Path;

/// Prints one memory in full.
pub async fn show(memories: &Memories, tenant: &Tenant, args: &OneMemory, out: Option<&Path>) -> Result<()> {
    let memory = resolve(memories, tenant, &args.id).await?;
    let attached = match &memory.attachment {
        Some(attachment) => Some(attached(memories, &memory, attachment, out).await?),
        None if out.is_some() => {
            let text = format!("the memory {} has neither a picture nor a sound", memory.id);
            return Err(Failure::new(Kind::NotFound, text).into());
        }
        None => None,
    };
    if args.json {
        return Ok(output::json(&memory)?);
    }
    for (name, value) in lines(&memory).into_iter().chain(attached.map(|value| ("attached", value))) {
        output::line(format!("{name:<12}{value}"))?;
    }
    Ok(output::line(format!("\n{}", memory.text))?)
}

fn lines(memory: &Memory) -> Vec<(&'static str, String)> {
    let mut lines = vec![
        ("id", memory.id.to_string()),
        ("kind", memory.kind.as_str().to_owned()),
        ("importance", format!("{} of 10", memory.importance)),
        ("happened", duration::date(memory.event_time_ms)),
        ("from", origin(memory)),
        (
            "credit",
            format!(
                "{} helpful, {} harmful",
                output::counted(memory.helpful, "time"),
                output::counted(memory.harmful, "time")
            ),
        ),
    ];
    let mut add = |name, value: Option<String>| lines.extend(value.map(|value| (name, value)));
    add("environment", memory.environment.clone());
    add("pinned", memory.pinned.then(|| "yes".to_owned()));
    add("valid from", memory.valid_from_ms.map(duration::date));
    add("valid to", memory.valid_to_ms.map(duration::date));
    add("expires", memory.expires_at_ms.map(duration::date));
    add("replaced by", memory.superseded_by.map(|id| id.to_string()));
    lines
}

/// The picture or sound of a memory in words: its type and size, and its file, which is written where `out` names it.
async fn attached(
    memories: &Memories,
    memory: &Memory,
    attachment: &Attachment,
    out: Option<&Path>,
) -> Result<String> {
    let bytes = match memories.store().blob(&attachment.blob).await {
        Ok(bytes) => bytes,
        Err(error) if out.is_none() => return Ok(format!("{}, gone: {error}", attachment.media_type)),
        Err(error) => return Err(error.into()),
    };
    let media = described(&bytes, &attachment.media_type, "memory");
    let path = match out {
        Some(path) => {
            let unwritable = || format!("cannot write `{}`", path.display());
            let mut file = beside(path).with_context(unwritable)?;
            file.write_all(&bytes).with_context(unwritable)?;
            file.persist(path).with_context(unwritable)?;
            format!("in `{}`", path.display())
        }
        None => format!("`sojourn memory show {} --out FILE` writes it", short(&memory.id)),
    };
    Ok(format!("{media}, {}; {path}", output::bytes(bytes.len() as u64)))
}

/// Prints the records that a memory was made from, and its successors.
pub async fn why(memories: &Memories, tenant: &Tenant, args: &OneMemory) -> Result<()> {
    let memory = resolve(memories, tenant, &args.id).await?;
    let sources = origins(memories, &memory).await;
    let later = successors(memories, tenant, &memory).await?;
    if args.json {
        return Ok(output::json(&json!({"memory": memory, "sources": sources, "replaced_by": later}))?);
    }
    output::line(&memory.text)?;
    if sources.is_empty() {
        output::line(format!("\nfrom {}", origin(&memory)))?;
    } else {
        output::line("\nmade from")?;
        for Origin { run, seq, kind, says } in &sources {
            output::line(format!("  {kind}: {says}\n    {}", place(run, *seq)))?;
        }
    }
    for newer in &later {
        output::line(format!("\nreplaced by {}\n  {}", newer.id, newer.text))?;
    }
    Ok(())
}

/// Prints the number of memories and the state of the index.
pub async fn stats(memories: &Memories, tenant: &Tenant, json: bool) -> Result<()> {
    let stats = memories.stats(tenant).await?;
    let blobs = memories.store().blob_stats().await?;
    let coverage = match embedding::model_name() {
        Some(model) => Some((model.clone(), memories.coverage(tenant, &model).await?)),
        None => None,
    };
    if json {
        let coverage = coverage
            .map(|(model, it)| json!({"model": model, "embedded": it.embedded, "memories": it.memories}));
        return Ok(output::json(&json!({"memories": stats, "blobs": blobs, "coverage": coverage}))?);
    }
    let mut table = table::new(["what", "count"]);
    table::numbers(&mut table, [1]);
    for (kind, count) in &stats.kinds {
        table.add_row([kind.as_str().to_owned(), count.to_string()]);
    }
    for space in &stats.vectors {
        table.add_row([format!("vectors of {} ({})", space.model, space.dimension), space.count.to_string()]);
    }
    table.add_row(["changes so far".to_owned(), stats.now.0.to_string()]);
    table.add_row(["blobs".to_owned(), blobs.count.to_string()]);
    table::print(&table)?;
    let (size, stored) = (output::bytes(blobs.bytes), output::bytes(blobs.stored_bytes));
    output::note(format!("blobs hold {size}, kept in {stored}"));
    if let Some((model, it)) = coverage.filter(|(_, it)| !it.is_complete()) {
        let missing = it.memories - it.embedded;
        output::note(format!(
            "{missing} memories have no vector of {model}: `sojourn memory rebuild` embeds them"
        ));
    }
    if let Some(failure) = &stats.index_failure {
        output::note(format!("the index is behind, and catches up with the next change: {failure}"));
    }
    Ok(())
}
