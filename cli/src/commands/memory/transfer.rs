use crate::error::{Failure, Kind};
use crate::{embedding, output};
use anyhow::{Context as _, Result};
use sojourn_memory::{ExportedMemory, Memories, MemoryImportError, Tenant, Tick};
use std::fs::File;
use std::io::{BufRead, BufReader, BufWriter, Write};
use std::path::Path;

/// Memories of one page.
const PAGE: usize = 500;

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
            writeln!(out, "{}", serde_json::to_string(exported)?)?;
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
    let reader: Box<dyn BufRead> = if file == Path::new("-") {
        Box::new(std::io::stdin().lock())
    } else {
        let opened = File::open(file)
            .map_err(|error| Failure::new(Kind::NotFound, format!("cannot read `{name}`: {error}")))?;
        Box::new(BufReader::new(opened))
    };
    let mut lines = Vec::new();
    let mut exported: Vec<ExportedMemory> = Vec::new();
    for (number, line) in reader.lines().enumerate() {
        let line = line.with_context(|| format!("cannot read `{name}`"))?;
        if line.trim().is_empty() {
            continue;
        }
        let memory = serde_json::from_str(&line).map_err(|error| {
            Failure::new(Kind::Usage, format!("{name}:{}: not an exported memory: {error}", number + 1))
                .hint("nothing was imported")
        })?;
        exported.push(memory);
        lines.push(number + 1);
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
