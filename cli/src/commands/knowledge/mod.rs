//! `sojourn knowledge`: documents that agents recall passages from.

mod passages;
mod read;

use crate::args::Knowledge as Command;
use crate::commands::memory::find;
use crate::error::Failure;
use crate::home::Home;
use crate::vectors::Vectors;
use crate::{duration, embedding, output, table};
use anyhow::Result;
use read::Source;
use serde_json::json;
use sojourn_core::now_ms;
use sojourn_memory::{DocumentChange, Memories, MemoryKind, NewDocument, Query, Tenant};

/// Carries out a command on documents.
///
/// # Errors
/// When a document cannot be read, or the store fails.
pub async fn knowledge(home: &Home, command: Command) -> Result<()> {
    let memories = Vectors::default().open(home.store().await?).await?;
    let tenant = Home::tenant()?;
    match command {
        Command::Add { sources, environment, hosts, json } => {
            add(&memories, &tenant, (&sources, &hosts), environment.as_deref(), json).await
        }
        Command::List(args) => list(&memories, &tenant, args.json).await,
        Command::Remove { source, json } => remove(&memories, &tenant, &source, json).await,
        Command::Search { text, k, json } => {
            let query = Query { k, kinds: &[MemoryKind::Knowledge], ..Query::new(&tenant, &text) };
            find(&memories, query, false, json).await
        }
    }
}

async fn add(
    memories: &Memories,
    tenant: &Tenant,
    (sources, hosts): (&[String], &[String]),
    environment: Option<&str>,
    json: bool,
) -> Result<()> {
    let mut found = Vec::new();
    for source in sources {
        found.extend(read::sources(source)?);
    }
    let mut changes: Vec<(String, DocumentChange)> = Vec::new();
    for source in found {
        let document = source.read(hosts).await?;
        let passages = passages::split(&document.content, document.markup);
        if passages.is_empty() {
            output::note(format!("note: `{}` has no text", document.uri));
            continue;
        }
        let new = NewDocument {
            uri: &document.uri,
            title: document.title.as_deref(),
            passages: &passages,
            environment,
            at_ms: now_ms(),
        };
        let change = memories.add_document(tenant, &new).await?;
        if !json {
            output::line(change_line(&document.uri, change))?;
        }
        changes.push((document.uri, change));
    }
    let embedded = embedding::embed_missing(memories, tenant).await?;
    if json {
        let documents: Vec<_> = changes
            .iter()
            .map(|(uri, it)| json!({"uri": uri, "added": it.added, "kept": it.kept, "removed": it.removed}))
            .collect();
        return Ok(output::json(&json!({"documents": documents, "embedded": embedded}))?);
    }
    if embedded.is_none() {
        output::note("note: recalled by words only, because the embedding model is not on this machine");
    }
    Ok(())
}

fn change_line(uri: &str, change: DocumentChange) -> String {
    match change {
        DocumentChange { added: 0, removed: 0, kept } => format!("{uri}: unchanged, {kept} passages"),
        DocumentChange { added, kept, removed } => {
            format!("{uri}: {}, {kept} kept, {removed} removed", passages(added))
        }
    }
}

fn passages(count: u64) -> String {
    if count == 1 { "1 passage added".to_owned() } else { format!("{count} passages added") }
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
    let uri = read::uri(source);
    let Some(passages) = memories.remove_document(tenant, &uri).await? else {
        let known = memories.documents(tenant).await?;
        let names = known.iter().map(|document| document.uri.as_str());
        return Err(Failure::unknown("document", &uri, names)
            .hint("`sojourn knowledge list` shows all documents")
            .into());
    };
    if json {
        return Ok(output::json(&json!({"uri": uri, "removed": passages}))?);
    }
    Ok(output::line(format!("{uri}: {passages} passages removed"))?)
}

impl Source {
    /// The document's text.
    async fn read(self, hosts: &[String]) -> Result<read::Text> {
        match self {
            Self::File(path) => read::file(path).await,
            Self::Page(url) => read::page(&url, hosts).await,
        }
    }
}
