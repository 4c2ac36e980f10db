use super::serve;
use crate::args::{ModelKind as Kind, Models as Command};
use crate::{models, output, table};
use anyhow::Result;
use serde_json::json;
use sojourn_controller::models::{ModelKind, ModelStatus};
use std::process::ExitCode;

/// Lists, fetches and serves models.
pub async fn models(command: Command) -> Result<ExitCode> {
    let known = models::open()?;
    match command {
        Command::List(args) => {
            let kind = args.kind.map(|kind| match kind {
                Kind::Chat => ModelKind::Chat,
                Kind::Embedding => ModelKind::Embedding,
                Kind::Vision => ModelKind::Vision,
                Kind::Speech => ModelKind::Speech,
            });
            let mut models = known.list();
            models.retain(|model| kind.is_none_or(|kind| model.entry.kind == kind));
            list(&models, args.json)?;
        }
        Command::Pull { name, json } => {
            let path = models::fetch(&known, &name).await?;
            answer(&name, &path, json)?;
        }
        Command::Serve(args) => return serve::serve(args).await,
        Command::Path { name, json } => answer(&name, &models::path(&known, &name)?, json)?,
    }
    Ok(ExitCode::SUCCESS)
}

fn answer(name: &str, path: &std::path::Path, json: bool) -> Result<()> {
    if json {
        return Ok(output::json(&json!({"name": name, "path": path}))?);
    }
    Ok(output::line(path.display().to_string())?)
}

fn list(models: &[ModelStatus], json: bool) -> Result<()> {
    if json {
        let models: Vec<_> = models.iter().map(as_json).collect();
        return Ok(output::json(&models)?);
    }
    let rows = models.iter().map(|ModelStatus { entry, present, bytes, .. }| {
        let kind = match entry.kind {
            ModelKind::Chat => "chat",
            ModelKind::Embedding => "embedding",
            ModelKind::Vision => "vision",
            ModelKind::Speech => "speech",
        };
        [
            format!("{}{}", entry.name, if entry.default { " *" } else { "" }),
            kind.to_owned(),
            output::bytes(entry.asset.bytes),
            entry.licence.id.clone(),
            here(*present, *bytes),
            entry.summary.clone(),
        ]
    });
    let columns = ["model", "for", "size", "licence", "on this machine", "use"];
    table::print_with_texts(columns, &[2], rows.collect())?;
    output::note("* the default; fetch a model with `sojourn models pull NAME`");
    Ok(())
}

fn here(present: bool, bytes: u64) -> String {
    match (present, bytes) {
        (true, _) => "yes".to_owned(),
        (false, 0) => "no".to_owned(),
        (false, _) => format!("{} of it", output::bytes(bytes)),
    }
}

fn as_json(status: &ModelStatus) -> serde_json::Value {
    let ModelStatus { entry, present, path, bytes } = status;
    json!({
        "name": entry.name,
        "kind": entry.kind,
        "default": entry.default,
        "summary": entry.summary,
        "context": entry.context,
        "with": entry.with,
        "licence": entry.licence,
        "bytes": entry.asset.bytes,
        "sha256": entry.asset.sha256,
        "present": present,
        "bytes_here": bytes,
        "path": path,
    })
}
