//! `sojourn knowledge`: documents that agents recall passages from.

mod add;
mod extract;
mod html;
mod lines;
mod parser_process;
mod passages;
mod pdf;
mod read;
mod sources;
mod title;

use crate::args::Knowledge as Command;
use crate::commands::memory::find;
use crate::error::Failure;
use crate::home::Home;
use crate::vectors::Vectors;
use crate::{duration, output, table};
use anyhow::Result;
use serde_json::json;
use sojourn_memory::{Memories, MemoryKind, Query, Tenant};
use std::path::Path;

/// Carries out a command on documents.
///
/// # Errors
/// When a document cannot be read, or the store fails.
pub async fn knowledge(home: &Home, command: Command) -> Result<()> {
    if let Command::ReadDocument { format, encoding } = &command {
        return parser_process::serve(format, encoding.as_deref());
    }
    let memories = Vectors::default().open(home.store().await?).await?;
    let tenant = Home::tenant()?;
    match command {
        Command::Add { sources, environment, hosts, json } => {
            let environment = environment.as_deref();
            let options = add::Options { sources: &sources, hosts: &hosts, environment, json };
            add::add(&memories, &tenant, &options).await
        }
        Command::List(args) => list(&memories, &tenant, args.json).await,
        Command::Remove { source, json } => remove(&memories, &tenant, &source, json).await,
        Command::Search { text, k, json } => {
            let query = Query { k, kinds: &[MemoryKind::Knowledge], ..Query::new(&tenant, &text) };
            find(&memories, query, false, json).await
        }
        Command::ReadDocument { .. } => Ok(()),
    }
}

async fn list(memories: &Memories, tenant: &Tenant, json: bool) -> Result<()> {
    let documents = memories.documents(tenant).await?;
    if json {
        return Ok(output::json(&documents)?);
    }
    if documents.is_empty() {
        output::note("no documents yet: `sojourn knowledge add FILE`");
        return Ok(());
    }
    let mut table = table::new(["passages", "added (UTC)", "title", "document"]);
    table::numbers(&mut table, [0]);
    for document in documents {
        table.add_row([
            document.passages.to_string(),
            duration::date(document.added_ms),
            document.title.unwrap_or_default(),
            document.uri,
        ]);
    }
    Ok(table::print(&table)?)
}

async fn remove(memories: &Memories, tenant: &Tenant, source: &str, json: bool) -> Result<()> {
    let uri = sources::uri(source);
    let known = memories.documents(tenant).await?;
    let is_meant = |name: &str| name == source || name == uri || sources::uri(name) == uri;
    let mut meant: Vec<&str> =
        known.iter().map(|document| document.uri.as_str()).filter(|name| is_meant(name)).collect();
    if meant.is_empty() {
        // A directory stands for its documents.
        let below = |name: &&str| !sources::is_url(name) && Path::new(name).starts_with(&uri);
        meant = known.iter().map(|document| document.uri.as_str()).filter(below).collect();
    }
    if meant.is_empty() {
        let names = known.iter().map(|document| document.uri.as_str());
        return Err(Failure::unknown("document", &uri, names)
            .hint("`sojourn knowledge list` shows all documents")
            .into());
    }
    let mut all = 0;
    for name in &meant {
        let passages = memories.remove_document(tenant, name).await?.unwrap_or(0);
        all += passages;
        if !json {
            output::line(format!("{name}: {} removed", output::counted(passages, "passage")))?;
        }
    }
    if json {
        output::json(&json!({"uri": uri, "removed": all, "documents": meant}))?;
    }
    Ok(())
}
