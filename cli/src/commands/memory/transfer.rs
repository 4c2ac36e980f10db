use crate::error::{Failure, Kind};
use crate::{embedding, input, output};
use anyhow::{Context as _, Result};
use sojourn_memory::{ExportedMemory, Memories, MemoryImportError, Tenant, Tick};
use sojourn_tools::outside::json::Lines;
use std::fs::File;
use std::io::{BufWriter, Write};
use std::path::Path;

/// Memories of one page.
const PAGE: usize = 500;
/// The longest line of an import, in bytes: a memory with the vectors of several models.
const LONGEST_LINE: usize = 4 << 20;
/// The largest import, in bytes. All of it is held in memory, because all memories are imported or none.
const LARGEST_IMPORT: usize = 1 << 30;

/// Exports all memories as lines of JSON.
pub async fn export(memories: &Memories, tenant: &Tenant, file: Option<&Path>, vectors: bool) -> Result<()> {
    // Written to a temporary file first, so that an existing file is never half overwritten.
    let temporary = file.map(|path| path.with_extension("part"));
    let mut out: Box<dyn Write> = match &temporary {
        Some(path) => {
            let file = File::create(path).with_context(|| format!("cannot write `{}`", path.display()))?;
            Box::new(BufWriter::new(file))
        }
        None => Box::new(std::io::stdout()),
    };
    let mut after = Tick(0);
    let mut count = 0;
    loop {
        let page = memories.export(tenant, after, PAGE, vectors).await?;
        let Some(last) = page.last() else { break };
        after = last.memory.made;
        count += page.len();
        for exported in &page {
            writeln!(out, "{}", output::to_json_line(exported)?)?;
        }
    }
    out.flush()?;
    drop(out);
    if let (Some(path), Some(temporary)) = (file, &temporary) {
        std::fs::rename(temporary, path).with_context(|| format!("cannot write `{}`", path.display()))?;
        output::note(format!("exported {count} memories to `{}`", path.display()));
    }
    Ok(())
}

/// Imports lines of JSON that an export wrote.
pub async fn import(memories: &Memories, tenant: &Tenant, file: &Path, json: bool) -> Result<()> {
    let name = file.display();
    let mut input = Lines::new(input::open(file)?, LONGEST_LINE);
    let mut lines = Vec::new();
    let mut exported: Vec<ExportedMemory> = Vec::new();
    let mut bytes = 0;
    while let Some(line) = input.next().map_err(|error| input::unreadable(file, &error))? {
        if line.trim().is_empty() {
            continue;
        }
        bytes += line.len();
        let read: Result<ExportedMemory, String> = if bytes > LARGEST_IMPORT {
            Err(format!("the import is larger than {}", output::bytes(LARGEST_IMPORT as u64)))
        } else {
            serde_json::from_str(line).map_err(|error| format!("not an exported memory: {error}"))
        };
        let number = input.number();
        exported.push(read.map_err(|what| {
            Failure::new(Kind::Usage, format!("{name}:{number}: {what}")).hint("nothing was imported")
        })?);
        lines.push(number);
    }
    let imported = memories.import(tenant, &exported).await.map_err(|error| {
        let reason = match &error {
            MemoryImportError::Memory { index, source } => match lines.get(*index) {
                Some(line) => format!("{name}:{line}: {source}"),
                None => format!("{name}: {source}"),
            },
            MemoryImportError::Store(error) => format!("{name}: {error}"),
        };
        Failure::new(Kind::Usage, reason).hint("nothing was imported")
    })?;
    embedding::embed_missing(memories, tenant).await?;
    if json {
        return Ok(output::json(&imported)?);
    }
    Ok(output::line(format!("imported {} memories; {} were known", imported.added, imported.known))?)
}
