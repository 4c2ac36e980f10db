use crate::args::Memory as Command;
use crate::home::Home;
use crate::{duration, models, output, table};
use anyhow::Result;
use serde_json::json;
use sojourn_core::now_ms;
use sojourn_memory::{Hit, Memories, Query, Store, Tenant};

/// Searches and counts memories.
pub async fn memory(home: &Home, command: Command) -> Result<()> {
    let store = home.store().await?;
    let tenant = Home::tenant()?;
    match command {
        Command::Search { text, k, json } => search(store, &tenant, &text, k, json).await,
        Command::Stats(args) => stats(store, &tenant, args.json).await,
    }
}

async fn search(store: Store, tenant: &Tenant, text: &str, k: usize, json: bool) -> Result<()> {
    let embedding = embed(text).await?;
    let vectors = embedding.iter().map(|(model, vector)| (model.as_str(), vector.as_slice())).collect();
    let query = Query { vectors, k, now_ms: now_ms(), ..Query::new(tenant, text) };
    let hits = Memories::new(store).recall(&query).await?;
    if json {
        let how = if embedding.is_some() { "words and meaning" } else { "words" };
        return Ok(output::json(&json!({"query": text, "searched_by": how, "memories": hits}))?);
    }
    if embedding.is_none() {
        output::note("note: searching by words only, because the embedding model is not on this machine");
    }
    if hits.is_empty() {
        output::note("nothing like that is remembered");
        return Ok(());
    }
    let mut table = table::new(["score", "kind", "when (UTC)", "where from", "memory"]);
    table::numbers(&mut table, [0]);
    for Hit { memory, score, .. } in &hits {
        let source = memory.run.as_ref().map_or("outside".to_owned(), |run| format!("{run} {}", memory.seq));
        table.add_row([
            format!("{score:.2}"),
            memory.kind.as_str().to_owned(),
            duration::date(memory.event_time_ms),
            source,
            memory.text.clone(),
        ]);
    }
    Ok(table::print(&table)?)
}

/// The text's vector with its model's name; `None` where the model is not here.
async fn embed(text: &str) -> Result<Option<(String, Vec<f32>)>> {
    let Some(embedder) = models::embedder_if_present(&models::open()?).await else { return Ok(None) };
    let vector = embedder.embed(&[text.to_owned()]).await?.pop();
    Ok(vector.map(|vector| (embedder.model().name.clone(), vector)))
}

async fn stats(store: Store, tenant: &Tenant, json: bool) -> Result<()> {
    let stats = Memories::new(store.clone()).stats(tenant).await?;
    let blobs = store.blob_stats().await?;
    if json {
        return Ok(output::json(&json!({"memories": stats, "blobs": blobs}))?);
    }
    let mut table = table::new(["what", "count"]);
    table::numbers(&mut table, [1]);
    for (kind, count) in &stats.kinds {
        table.add_row([kind.as_str().to_owned(), count.to_string()]);
    }
    for space in &stats.vectors {
        table.add_row([format!("vectors of {}", space.model), space.count.to_string()]);
    }
    table.add_row(["blobs".to_owned(), blobs.count.to_string()]);
    table::print(&table)?;
    let (size, stored) = (output::bytes(blobs.bytes), output::bytes(blobs.stored_bytes));
    output::note(format!("blobs hold {size}, kept in {stored}"));
    Ok(())
}
