use super::{resolve, short};
use crate::args::OneMemory;
use crate::error::{Failure, Kind};
use crate::{embedding, models, output, table};
use anyhow::Result;
use serde_json::json;
use sojourn_core::now_ms;
use sojourn_memory::{Memories, Memory, MemoryId, Tenant};
use std::collections::BTreeSet;
use std::io::{IsTerminal as _, Write as _};

/// Replaces the text of a memory.
pub async fn edit(memories: &Memories, tenant: &Tenant, id: &str, text: &str, json: bool) -> Result<()> {
    let old = resolve(memories, tenant, id).await?;
    let new = edited(memories, tenant, &old.id, text).await?;
    if json {
        return Ok(output::json(&new)?);
    }
    Ok(output::line(format!("{} replaces {}", new.id, old.id))?)
}

/// The memory that replaces another one, with another text.
///
/// # Errors
/// When there is no such memory any more, or the store fails.
pub async fn edited(memories: &Memories, tenant: &Tenant, id: &MemoryId, text: &str) -> Result<Memory> {
    let Some(new) = memories.edit(tenant, id, text, now_ms(), &[]).await? else {
        return Err(Failure::new(Kind::NotFound, format!("memory `{id}` was forgotten meanwhile")).into());
    };
    embedding::embed_missing(memories, tenant).await?;
    Ok(new)
}

/// Exempts a memory from expiry, or ends the exemption.
pub async fn pin(memories: &Memories, tenant: &Tenant, args: &OneMemory, pinned: bool) -> Result<()> {
    let memory = resolve(memories, tenant, &args.id).await?;
    memories.pin(tenant, &memory.id, pinned).await?;
    if args.json {
        return Ok(output::json(&json!({"id": memory.id, "pinned": pinned}))?);
    }
    Ok(output::line(format!("{} {}", if pinned { "pinned" } else { "unpinned" }, memory.id))?)
}

/// Erases memories permanently.
pub async fn forget(
    memories: &Memories,
    tenant: &Tenant,
    ids: &[String],
    yes: bool,
    json: bool,
) -> Result<()> {
    let mut doomed = Vec::new();
    for id in ids {
        doomed.push(resolve(memories, tenant, id).await?);
    }
    if !yes {
        if !std::io::stdin().is_terminal() {
            return Err(Failure::new(
                Kind::Usage,
                "forgetting cannot be undone, and there is no terminal to ask at",
            )
            .hint("confirm with `--yes`")
            .into());
        }
        for memory in &doomed {
            output::note(format!("{}  {}", short(&memory.id), memory.text));
        }
        let _ = write!(std::io::stderr(), "forget permanently? [y/N] ");
        let mut answer = String::new();
        std::io::stdin().read_line(&mut answer)?;
        if !answer.trim().eq_ignore_ascii_case("y") {
            output::note("nothing was forgotten");
            return Ok(());
        }
    }
    let mut forgotten = Vec::new();
    for memory in &doomed {
        forgotten.extend(memories.forget(tenant, &memory.id).await?);
    }
    // What was evaluated is a cache: it is emptied whole, because a part of a prompt cannot be taken out of its state.
    let cleared = models::clear_prefixes();
    if json {
        output::json(&json!({"forgotten": forgotten, "prefix_cache": cleared.as_ref().ok()}))?;
    } else {
        for it in &forgotten {
            output::line(format!(
                "forgot {}: {} records and {} blobs of the log lost their content; searched {} files",
                it.id, it.records, it.blobs, it.files
            ))?;
        }
        if let Ok(cleared) = &cleared {
            output::line(format!("removed {} files of saved prompts, of all models", cleared.files))?;
        }
    }
    cleared?;
    let kept: BTreeSet<&str> = forgotten.iter().flat_map(|it| &it.kept).map(String::as_str).collect();
    let files = forgotten.iter().flat_map(|it| &it.residue).map(|path| path.display().to_string());
    let places: Vec<String> = kept.iter().map(|place| (*place).to_owned()).chain(files).collect();
    if places.is_empty() {
        return Ok(());
    }
    let hint = if kept.is_empty() {
        "another process may be reading the database: stop it and run any `sojourn memory` command"
    } else {
        "what cannot lose a text without being lost itself is left to you: remove the schedule, the memory or the run \
         (`sojourn log gc`), then forget again"
    };
    Err(Failure::new(Kind::Failure, format!("the text is still in {}", places.join(", "))).hint(hint).into())
}

/// Embeds memories without a vector, and rebuilds the index.
pub async fn rebuild(memories: &Memories, tenant: &Tenant, json: bool) -> Result<()> {
    let embedded = embedding::embed_missing(memories, tenant).await?;
    let bar = embedding::Bar::new();
    memories.rebuild(&|progress| bar.show(progress)).await?;
    bar.finish();
    let stats = memories.stats(tenant).await?;
    if json {
        return Ok(output::json(&json!({"embedded": embedded, "vectors": stats.vectors}))?);
    }
    let vectors: u64 = stats.vectors.iter().map(|space| space.count).sum();
    match embedded {
        Some(count) => output::note(format!("embedded {count} memories")),
        None => output::note("note: the embedding model is not on this machine: nothing was embedded"),
    }
    Ok(output::line(format!("the index holds {vectors} vectors"))?)
}

/// Merges duplicate memories.
pub async fn dedupe(memories: &Memories, tenant: &Tenant, dry_run: bool, json: bool) -> Result<()> {
    let groups =
        if dry_run { memories.duplicates(tenant).await? } else { memories.dedupe(tenant, now_ms()).await? };
    if json {
        return Ok(output::json(&json!({"merged": !dry_run, "groups": groups}))?);
    }
    if groups.is_empty() {
        output::note("there are no duplicates");
        return Ok(());
    }
    let mut table = table::new(["kept", "merged into it", "memory"]);
    table::numbers(&mut table, [1]);
    for group in &groups {
        table.add_row([short(&group.keep.id), group.duplicates.len().to_string(), group.keep.text.clone()]);
    }
    table::print(&table)?;
    if dry_run {
        output::note("nothing was changed; without `--dry-run` they are merged");
    }
    Ok(())
}
