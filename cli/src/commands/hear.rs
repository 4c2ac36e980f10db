use crate::args::Hear;
use crate::error::{Failure, Kind};
use crate::{ears, output};
use anyhow::Result;
use serde_json::json;
use sojourn_perception::{EarError, Ears, Segment, SoundError, SoundReader};
use std::io::{self, Read as _};
use std::path::Path;
use std::process::ExitCode;

/// Limit on a sound from standard input, in bytes. A file has none, because it is read piece by piece.
const MAX_STDIN_BYTES: u64 = 1 << 30;

/// Listens to a sound. What is heard is printed as it is heard.
pub async fn hear(args: &Hear) -> Result<ExitCode> {
    let files = ears::files(args.model.as_deref(), !args.speech)?;
    let (path, writes, json) = (args.file.clone(), !args.speech, args.json);
    let heard = tokio::task::spawn_blocking(move || -> Result<(Vec<Segment>, u64)> {
        let failed = |error: EarError| match error {
            EarError::Sound(SoundError::Unreadable { .. }) => {
                let kind =
                    if path.exists() || path == Path::new("-") { Kind::Failure } else { Kind::NotFound };
                Failure::new(kind, error.to_string())
            }
            error => Failure::new(Kind::Failure, format!("cannot hear `{}`: {error}", path.display())),
        };
        let mut sound = open(&path).map_err(|error| failed(error.into()))?;
        let ears = Ears::open(&files, writes).map_err(failed)?;
        let mut segments = Vec::new();
        let mut printed = Ok(());
        let each = &mut |segment: Segment| {
            if !json && printed.is_ok() {
                printed = output::line(segment.to_string());
            }
            segments.push(segment);
        };
        let length = ears.listen(&mut sound, writes, &|| false, each).map_err(failed)?;
        printed?;
        Ok((segments, length))
    });
    let (segments, duration_ms) = heard.await??;
    if args.json {
        output::json(&json!({"segments": segments, "duration_ms": duration_ms}))?;
    } else if segments.is_empty() {
        output::note("no speech was heard");
    }
    Ok(if segments.is_empty() { ExitCode::FAILURE } else { ExitCode::SUCCESS })
}

fn open(path: &Path) -> Result<SoundReader, SoundError> {
    if path != Path::new("-") {
        return SoundReader::open(path);
    }
    let mut bytes = Vec::new();
    io::stdin()
        .take(MAX_STDIN_BYTES)
        .read_to_end(&mut bytes)
        .map_err(|error| SoundError::Unreadable { path: "-".to_owned(), reason: error.to_string() })?;
    SoundReader::of(bytes.into())
}
