//! Heads of runs that are kept outside of the home.

use crate::error::{Failure, Kind};
use crate::{input, logbook, output};
use anyhow::Result;
use sojourn_memory::{Head, Store};
use sojourn_tools::outside::json::Lines;
use std::path::{Path, PathBuf};

/// The longest line of a file of heads, in bytes.
const LONGEST_LINE: usize = 4096;

/// `log head`: prints the head of one run, or of all.
pub async fn print(store: &Store, run: Option<&str>) -> Result<()> {
    let heads = match run {
        Some(run) => vec![store.head(&logbook::find_run(store, run).await?.id).await?],
        None => store.heads().await?,
    };
    for head in &heads {
        output::json_line(head)?;
    }
    Ok(())
}

/// The heads in these files.
///
/// # Errors
/// When a file cannot be read or holds something else.
pub fn read(files: &[PathBuf]) -> Result<Vec<Head>> {
    let mut heads = Vec::new();
    for file in files {
        read_file(file, &mut heads)?;
    }
    Ok(heads)
}

fn read_file(file: &Path, heads: &mut Vec<Head>) -> Result<()> {
    let mut lines = Lines::new(input::open(file)?, LONGEST_LINE);
    let bad = |what: String| {
        Failure::new(Kind::Usage, format!("`{}` is no file of heads: {what}", file.display()))
            .hint("`sojourn log head` writes one")
    };
    while let Some(line) = lines.next().map_err(|error| bad(error.to_string()))? {
        if line.trim().is_empty() {
            continue;
        }
        let head = serde_json::from_str(line);
        let number = lines.number();
        heads.push(head.map_err(|error| bad(format!("line {number}: {error}")))?);
    }
    if heads.is_empty() {
        return Err(bad("it is empty".to_owned()).into());
    }
    Ok(())
}
