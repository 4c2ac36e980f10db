use crate::args::See;
use crate::error::{Failure, Kind};
use crate::eyes::{describer, encoder_file, reader_files};
use crate::output;
use anyhow::Result;
use serde_json::json;
use sojourn_perception::{
    DualEncoder, Encoder, Labelled, MAX_FILE_BYTES, Matcher, Picture, Reader, compare, find, similarity,
};
use sojourn_tools::builtin::DescriberSettings;
use sojourn_tools::media::described;
use sojourn_tools::outside::offload::offload;
use std::fs::File;
use std::io::{self, Read};
use std::path::Path;
use std::process::ExitCode;
use std::time::Duration;

/// The model that compares what pictures show.
const ENCODER: &str = "dinov2-small";
/// How long decoding and the networks may take.
const WITHIN: Duration = Duration::from_mins(2);

/// Looks at a picture.
pub async fn see(args: &See) -> Result<ExitCode> {
    let bytes = read(&args.file)?;
    if let Some(other) = &args.compare {
        return differences(args, bytes, other).await;
    }
    if let Some(other) = &args.similar {
        return similarity_to(args, bytes, other).await;
    }
    if let (Some(labels), Some(dual)) = (&args.labels, &args.dual) {
        return labelled(args, bytes, labels, dual).await;
    }
    if let (Some(text), Some(matcher)) = (&args.r#match, &args.matcher) {
        return matching(args, bytes, text, matcher).await;
    }
    if args.describe || args.ask.is_some() {
        return in_words(args, bytes).await;
    }
    if !args.read && args.find.is_none() {
        let picture = working(&args.file, move || Ok(Picture::decode(&bytes)?)).await?;
        let (width, height) = (picture.width(), picture.height());
        if args.json {
            output::json(&json!({"width": width, "height": height}))?;
        } else {
            output::line(format!("{width}x{height} pixels"))?;
        }
        return Ok(ExitCode::SUCCESS);
    }
    let files = reader_files(None)?;
    let lines =
        working(&args.file, move || Ok(Reader::open(&files)?.read(&Picture::decode(&bytes)?, &|| false)?))
            .await?;
    let Some(words) = &args.find else {
        if args.json {
            output::json(&json!({"lines": lines}))?;
        } else {
            for line in lines {
                output::line(format!("{}\t{:.2}\t{}", line.area, line.confidence, line.text))?;
            }
        }
        return Ok(ExitCode::SUCCESS);
    };
    let found = find(&lines, words);
    if args.json {
        output::json(&json!({"found": found}))?;
    } else {
        for found in &found {
            output::line(format!("{}\t{:.2}\t{}", found.area, found.confidence, found.line))?;
        }
    }
    Ok(if found.is_empty() { ExitCode::FAILURE } else { ExitCode::SUCCESS })
}

async fn in_words(args: &See, bytes: Vec<u8>) -> Result<ExitCode> {
    let (Some(model), Some(mmproj)) = (args.model.clone(), args.mmproj.clone()) else {
        return Err(Failure::new(Kind::Usage, "describing a picture needs `--model` and `--mmproj`").into());
    };
    let describer = describer(&DescriberSettings { model, mmproj, context_tokens: None })?;
    let media = described(&bytes, "", "file");
    // What cannot be decoded is never shown, and the model would answer without it.
    let bytes =
        working(&args.file, move || Picture::decode(&bytes).map(|_| bytes).map_err(Into::into)).await?;
    let question = args.ask.as_deref().unwrap_or(sojourn_perception::DESCRIBE);
    let answer = describer.ask(&media, bytes.into(), question, &args.choices).await;
    let answer = answer.map_err(|reason| {
        Failure::new(Kind::Failure, format!("cannot look at `{}`: {reason}", args.file.display()))
    })?;
    if args.json {
        output::json(&json!({"answer": answer}))?;
    } else {
        output::line(answer)?;
    }
    Ok(ExitCode::SUCCESS)
}

async fn similarity_to(args: &See, bytes: Vec<u8>, other: &Path) -> Result<ExitCode> {
    let encoder = encoder_file(ENCODER)?;
    let other_bytes = read(other)?;
    let other = working(other, move || Ok(Picture::decode(&other_bytes)?)).await?;
    let similar = working(&args.file, move || {
        let (encoder, one) = (Encoder::open(&encoder)?, Picture::decode(&bytes)?);
        Ok(similarity(&encoder.features(&one)?, &encoder.features(&other)?))
    });
    let similar = similar.await?;
    if args.json {
        output::json(&json!({"similarity": similar}))?;
    } else {
        output::line(format!("{similar:.3}"))?;
    }
    Ok(ExitCode::SUCCESS)
}

async fn labelled(args: &See, bytes: Vec<u8>, labels: &[String], dual: &Path) -> Result<ExitCode> {
    let (labels, dual) = (labels.to_vec(), dual.to_owned());
    let found = working(&args.file, move || {
        let (dual, picture) = (DualEncoder::open(&dual)?, Picture::decode(&bytes)?);
        let found = dual.classify(&dual.picture(&picture)?, &labels)?;
        let plain = |it: &Labelled<'_>| (it.label.to_owned(), it.probability, it.similarity);
        Ok(found.iter().map(plain).collect::<Vec<_>>())
    });
    let found = found.await?;
    if args.json {
        let labels = found.iter().map(|(label, probability, similarity)| {
            json!({"label": label, "probability": probability, "similarity": similarity})
        });
        output::json(&json!({"label": found[0].0, "labels": labels.collect::<Vec<_>>()}))?;
    } else {
        for (label, probability, _) in found {
            output::line(format!("{probability:.3}\t{label}"))?;
        }
    }
    Ok(ExitCode::SUCCESS)
}

async fn matching(args: &See, bytes: Vec<u8>, text: &str, matcher: &Path) -> Result<ExitCode> {
    let (text, matcher) = (text.to_owned(), matcher.to_owned());
    let probability = working(&args.file, move || {
        let (matcher, picture) = (Matcher::open(&matcher)?, Picture::decode(&bytes)?);
        Ok(matcher.matches(&picture, &text)?)
    });
    let probability = probability.await?;
    if args.json {
        output::json(&json!({"probability": probability}))?;
    } else {
        output::line(format!("{probability:.3}"))?;
    }
    Ok(ExitCode::SUCCESS)
}

async fn differences(args: &See, bytes: Vec<u8>, other: &Path) -> Result<ExitCode> {
    let other_bytes = read(other)?;
    let one = working(&args.file, move || Ok(Picture::decode(&bytes)?)).await?;
    let other = working(other, move || Ok(Picture::decode(&other_bytes)?)).await?;
    let comparison = working(&args.file, move || Ok(compare(&one, &other)?)).await?;
    if args.json {
        output::json(&comparison)?;
    } else {
        for area in &comparison.boxes {
            output::line(area.to_string())?;
        }
        output::note(format!("{:.2} % of the pixels differ", comparison.changed * 100.0));
        if comparison.left_out > 0 {
            output::note(format!("{} smaller boxes are not shown", comparison.left_out));
        }
    }
    Ok(if comparison.boxes.is_empty() { ExitCode::SUCCESS } else { ExitCode::FAILURE })
}

/// The bytes of a file, of standard input for `-`; one more than the limit where there are more.
fn read(path: &Path) -> Result<Vec<u8>> {
    let mut bytes = Vec::new();
    let limit = MAX_FILE_BYTES + 1;
    let read = if path == Path::new("-") {
        io::stdin().take(limit).read_to_end(&mut bytes)
    } else {
        File::open(path).and_then(|file| file.take(limit).read_to_end(&mut bytes))
    };
    read.map_err(|error| {
        let kind = if error.kind() == io::ErrorKind::NotFound { Kind::NotFound } else { Kind::Failure };
        Failure::new(kind, format!("cannot read `{}`: {error}", path.display()))
    })?;
    Ok(bytes)
}

/// Runs work on a picture on a thread of its own.
async fn working<T: Send + 'static>(
    path: &Path,
    work: impl FnOnce() -> Result<T> + Send + 'static,
) -> Result<T> {
    let what = format!("the picture `{}`", path.display());
    let done = offload(&what, WITHIN, move |_| work()).await;
    let done = done.map_err(|error| Failure::new(Kind::Failure, error.to_string()))?;
    done.map_err(|error| {
        Failure::new(Kind::Failure, format!("cannot look at `{}`: {error}", path.display())).into()
    })
}
