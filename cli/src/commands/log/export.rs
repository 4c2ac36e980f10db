use super::{otlp, sft};
use crate::args::{Export, LogFormat as Format, LogImport as Import};
use crate::error::{Failure, Kind};
use crate::{input, logbook, output};
use anyhow::{Context as _, Result};
use serde_json::json;
use sojourn_memory::{EventSeq, ImportError, ImportLimits, RunInfo, Store};
use sojourn_tools::outside::json::Lines;
use std::io::{self, BufWriter, Write};
use std::path::Path;

/// The longest line of an export that is read into memory.
const LONGEST_LINE: usize = 64 << 20;

/// `log export`: writes a run to a file or to stdout.
pub async fn export(store: &Store, args: &Export) -> Result<()> {
    let info = logbook::find_run(store, &args.run).await?;
    let to = args.to.map(EventSeq);
    if let Some(seq) = to.filter(|seq| *seq > info.last_seq) {
        return Err(sojourn_memory::Error::NoSuchRecord { run: info.id, seq, last: info.last_seq }.into());
    }
    let Some(path) = &args.out else {
        let mut out = BufWriter::new(io::stdout().lock());
        written(store, &info, args.format, to, None, &mut out).await?;
        return Ok(out.flush()?);
    };
    let from = path.parent().filter(|parent| !parent.as_os_str().is_empty()).unwrap_or(Path::new("."));
    let images = match &args.images {
        Some(_) if args.format != Format::Sft => {
            return Err(Failure::new(Kind::Usage, "pictures are exported beside conversations only")
                .hint("add `--format sft`")
                .into());
        }
        Some(directory) => {
            std::fs::create_dir_all(directory)
                .with_context(|| format!("cannot create `{}`", directory.display()))?;
            Some(sft::Images { directory, from })
        }
        None => None,
    };
    let unwritable = || format!("cannot write `{}`", path.display());
    let mut file = beside(path).with_context(unwritable)?;
    let mut out = BufWriter::new(file.as_file_mut());
    let count = written(store, &info, args.format, to, images, &mut out).await?;
    out.flush().with_context(unwritable)?;
    drop(out);
    file.as_file().sync_all().with_context(unwritable)?;
    file.persist(path).with_context(unwritable)?;
    let what = match args.format {
        Format::Jsonl => "lines",
        Format::Sft => "conversations",
        Format::Otlp => "spans",
    };
    output::note(format!("wrote {count} {what} of run {} to `{}`", info.id, path.display()));
    Ok(())
}

/// A temporary file in the directory of `path`, to be renamed to it.
pub fn beside(path: &Path) -> io::Result<tempfile::NamedTempFile> {
    let directory = path.parent().filter(|parent| !parent.as_os_str().is_empty()).unwrap_or(Path::new("."));
    tempfile::NamedTempFile::new_in(directory)
}

async fn written(
    store: &Store,
    info: &RunInfo,
    format: Format,
    to: Option<EventSeq>,
    images: Option<sft::Images<'_>>,
    out: &mut impl Write,
) -> Result<u64> {
    match format {
        Format::Sft => sft::write(store, info, to, images, out).await,
        Format::Otlp => otlp::write(store, info, to, out).await,
        Format::Jsonl => {
            let mut lines = store.export(&info.id, to).await?;
            let mut count = 0;
            while let Some(line) = lines.next().await? {
                writeln!(out, "{}", output::to_json_line(&line)?)?;
                count += 1;
            }
            Ok(count)
        }
    }
}

/// `log import`: adds a run to the home, all or nothing.
pub async fn import(store: &Store, args: &Import) -> Result<()> {
    let path = args.file.as_path();
    let limits = ImportLimits {
        bytes: args.max_gib.saturating_mul(1 << 30),
        lines: args.max_lines,
        blobs: args.max_blobs,
    };
    let mut lines = Lines::new(input::open(path)?, LONGEST_LINE);
    let mut importer = store.import(limits)?;
    while let Some(line) = lines.next().map_err(|error| input::unreadable(path, &error))? {
        importer.line(line).await.map_err(|error| refused(path, error))?;
    }
    let run = importer.finish().await.map_err(|error| refused(path, error))?;
    let info = store.run(run.as_str()).await?;
    if args.json {
        return Ok(output::json(&json!({"run": run, "records": info.last_seq}))?);
    }
    Ok(output::line(format!("took in run {run}: {} records", info.last_seq))?)
}

fn refused(path: &Path, error: ImportError) -> anyhow::Error {
    match error {
        ImportError::Store(error) => anyhow::Error::new(error),
        error @ ImportError::Large { .. } => Failure::new(
            Kind::Usage,
            format!("`{}` was not taken in: {error}", path.display()),
        )
        .hint("nothing was changed; if you know the file, raise `--max-gib`, `--max-lines` or `--max-blobs`")
        .into(),
        error => Failure::new(Kind::Failure, format!("`{}` was not taken in: {error}", path.display()))
            .hint("nothing was changed; export the run again where it is intact")
            .into(),
    }
}
