//! `sojourn memory`: searching, correcting and forgetting memories.

#[cfg(feature = "perception")]
mod by_picture;
pub mod change;
mod show;
mod transfer;

use crate::args::{Memory as Command, MemorySearch};
use crate::error::{Failure, Kind};
use crate::home::Home;
use crate::vectors::Vectors;
use crate::{args, duration, embedding, logbook, output, table};
use anyhow::Result;
use serde_json::json;
use sojourn_core::now_ms;
use sojourn_memory::{Hit, Memories, Memory, MemoryId, MemoryKind, Query, RunId, Tenant, Tick};

/// Carries out a command on memories.
///
/// # Errors
/// When there is no such memory, the input cannot be read, or the store fails.
pub async fn memory(home: &Home, command: Command) -> Result<()> {
    let memories = Vectors::default().open(home.store().await?).await?;
    let tenant = Home::tenant()?;
    match command {
        Command::Search(args) => search(&memories, &tenant, args).await,
        Command::Show { one, out } => show::show(&memories, &tenant, &one, out.as_deref()).await,
        Command::Why(args) => show::why(&memories, &tenant, &args).await,
        Command::Edit { id, text, json } => change::edit(&memories, &tenant, &id, &text, json).await,
        Command::Pin(args) => change::pin(&memories, &tenant, &args, true).await,
        Command::Unpin(args) => change::pin(&memories, &tenant, &args, false).await,
        Command::Forget { ids, yes, json } => change::forget(&memories, &tenant, &ids, yes, json).await,
        Command::Export { file, vectors } => {
            transfer::export(&memories, &tenant, file.as_deref(), vectors).await
        }
        Command::Import { file, json } => transfer::import(&memories, &tenant, &file, json).await,
        Command::Stats(args) => show::stats(&memories, &tenant, args.json).await,
        Command::Rebuild(args) => change::rebuild(&memories, &tenant, args.json).await,
        Command::Dedupe { dry_run, json } => change::dedupe(&memories, &tenant, dry_run, json).await,
    }
}

async fn search(memories: &Memories, tenant: &Tenant, args: MemorySearch) -> Result<()> {
    if let Some(file) = &args.image {
        #[cfg(feature = "perception")]
        return by_picture::search(memories, tenant, file, args.k, args.json).await;
        #[cfg(not(feature = "perception"))]
        return Err(crate::eyes::absent(format!("{}: ", file.display())).into());
    }
    let text = args.text.unwrap_or_default();
    let kinds: Vec<MemoryKind> = args.kinds.into_iter().map(memory_kind).collect();
    let run = match &args.run {
        Some(name) => Some(logbook::find_run(memories.store(), name).await?.id),
        None => None,
    };
    let query = Query {
        k: args.k,
        kinds: &kinds,
        environment: args.environment.as_deref(),
        run: run.as_ref(),
        as_of: args.as_of.map(Tick),
        ..Query::new(tenant, &text)
    };
    find(memories, query, args.explain, args.json).await
}

fn memory_kind(kind: args::MemoryKind) -> MemoryKind {
    match kind {
        args::MemoryKind::Episode => MemoryKind::Episode,
        args::MemoryKind::Fact => MemoryKind::Fact,
        args::MemoryKind::Reflection => MemoryKind::Reflection,
        args::MemoryKind::Knowledge => MemoryKind::Knowledge,
        args::MemoryKind::Skill => MemoryKind::Skill,
    }
}

/// Recalls by words and, where the embedding model is on this machine, by meaning; prints the memories.
///
/// # Errors
/// When the store or the model fails.
pub async fn find(memories: &Memories, query: Query<'_>, explain: bool, json: bool) -> Result<()> {
    let text = query.text;
    let (hits, by_meaning) = recall(memories, query).await?;
    if json {
        let how = if by_meaning { "words and meaning" } else { "words" };
        return Ok(output::json(&json!({"query": text, "searched_by": how, "memories": hits}))?);
    }
    if !by_meaning {
        output::note("note: searching by words only, because the embedding model is not on this machine");
    }
    if hits.is_empty() {
        output::note("no memory matches");
        return Ok(());
    }
    if explain {
        let columns = ["id", "score", "cosine", "bm25", "neighbours", "recency", "importance", "memory"];
        let rows = hits.iter().map(explained).collect();
        return Ok(table::print_with_texts(columns, &[1, 2, 3, 4, 5, 6], rows)?);
    }
    let columns = ["id", "score", "kind", "when (UTC)", "origin", "memory"];
    Ok(table::print_with_texts(columns, &[1], hits.iter().map(row).collect())?)
}

/// Recalls by words and, where the embedding model is on this machine, by meaning; and whether it was.
///
/// # Errors
/// When the store or the model fails.
pub async fn recall(memories: &Memories, query: Query<'_>) -> Result<(Vec<Hit>, bool)> {
    let embedding = embedding::of_question(query.text).await?;
    let vectors = embedding.iter().map(|(model, vector)| (model.as_str(), vector.as_slice())).collect();
    let query = Query { vectors, now_ms: now_ms(), ..query };
    let mut hits = memories.recall(&query).await?;
    // Without words, the newest memories are wanted.
    if !query.text.trim().is_empty() {
        hits.retain(|hit| hit.why.is_evident());
    }
    Ok((hits, embedding.is_some()))
}

fn row(Hit { memory, score, .. }: &Hit) -> [String; 6] {
    [
        short(&memory.id),
        hundredths(*score),
        memory.kind.as_str().to_owned(),
        duration::date(memory.event_time_ms),
        origin(memory),
        memory.text.clone(),
    ]
}

fn explained(Hit { memory, score, why }: &Hit) -> [String; 8] {
    [
        short(&memory.id),
        if why.exact { "exact".to_owned() } else { hundredths(*score) },
        why.cosine.map_or("-".to_owned(), |cosine| hundredths(cosine.into())),
        hundredths(why.bm25),
        hundredths(why.neighbours),
        hundredths(why.recency),
        hundredths(why.importance),
        memory.text.clone(),
    ]
}

/// A number to two digits after the point, never `-0.00`.
fn hundredths(number: f64) -> String {
    format!("{:.2}", (number * 100.0).round() / 100.0 + 0.0)
}

/// The origin of a memory: a record, a document, or a person.
fn origin(memory: &Memory) -> String {
    match (&memory.run, &memory.document) {
        (Some(run), _) => format!("{run} {}", memory.seq),
        (None, Some(document)) => document.clone(),
        (None, None) => "outside".to_owned(),
    }
}

/// A prefix of an id for lists.
fn short(id: &MemoryId) -> String {
    id.to_string().chars().take(8).collect()
}

/// The memory with this id, or with this unique prefix of its id.
///
/// # Errors
/// When there is none, or several memories have the prefix.
async fn resolve(memories: &Memories, tenant: &Tenant, name: &str) -> Result<Memory> {
    let found = memories.find_by_prefix(tenant, name, 2).await?;
    let hint = "`sojourn memory search` shows ids";
    match <[Memory; 1]>::try_from(found) {
        Ok([memory]) => Ok(memory),
        Err(none) if none.is_empty() => {
            Err(Failure::new(Kind::NotFound, format!("no memory `{name}`")).hint(hint).into())
        }
        Err(_) => {
            Err(Failure::new(Kind::NotFound, format!("several memories have ids that begin with `{name}`"))
                .hint("give more of the id")
                .into())
        }
    }
}

/// The command that shows a source's record.
fn place(run: &RunId, seq: sojourn_memory::EventSeq) -> String {
    format!("sojourn log show {run} {seq}")
}

#[cfg(test)]
mod tests {
    use super::hundredths;

    #[test]
    fn zero_has_no_sign() {
        let shown = [-0.001, -0.0, 0.0, -0.006, 1.568].map(hundredths);
        assert_eq!(shown, ["0.00", "0.00", "0.00", "-0.01", "1.57"]);
    }
}
