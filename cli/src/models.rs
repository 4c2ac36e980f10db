//! Finds, fetches and opens models.

use crate::agent_file::{AgentFile, ControllerKind};
use crate::error::{Failure, Kind};
use crate::eyes;
use crate::lazy_controller::LazyController;
use crate::output;
use crate::taught_controller::TaughtController;
use crate::waiting::Waiting;
use anyhow::{Context as _, Result};
use futures_util::FutureExt as _;
use indicatif::{ProgressBar, ProgressStyle};
use sojourn_controller::models::{ModelError, ModelKind, Models, Progress};
use sojourn_controller::openai::OpenAiOptions;
use sojourn_controller::prefix_cache::{self, Cleared};
use sojourn_controller::{
    Controller, ControllerError, Embedder, ModelInfo, OpenAiController, ServedController,
};
use sojourn_tools::builtin::DescriberSettings;
use std::path::{Path, PathBuf};
use std::sync::Arc;

/// The catalogue and the models of this machine.
///
/// # Errors
/// When there is no cache directory, or it cannot be created.
pub fn open() -> Result<Models> {
    Ok(Models::open(None)?)
}

/// The name of the default model of a kind.
///
/// # Errors
/// When the catalogue has none.
pub fn default_name(models: &Models, kind: ModelKind) -> Result<String> {
    let entry = models.catalogue().default_of(kind);
    entry
        .map(|entry| entry.name.clone())
        .ok_or_else(|| Failure::new(Kind::Failure, "the catalogue has no default model").into())
}

/// Longest side of the pictures that a model is shown, in pixels, where the agent file gives none.
const PICTURE_SIDE: u32 = 1024;
/// Context of a model that describes pictures, in tokens, where the agent file gives none.
#[cfg(feature = "llama")]
const DESCRIBER_CONTEXT: u32 = 4096;

/// When a model that runs in this process is loaded.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Loading {
    /// At once.
    Now,
    /// When it is asked for the first time. Its file is looked at at once.
    WhenAsked,
    /// As [`WhenAsked`](Self::WhenAsked), where it is not expected to be asked: it may even be missing on this machine.
    IfAsked,
}

/// The controller that an agent file asks for, with its teacher.
///
/// # Errors
/// When the model is not on this machine (and `pull` is false), cannot be loaded, or the server is not configured.
pub async fn controller(
    agent: &AgentFile,
    models: &Models,
    pull: bool,
    loading: Loading,
) -> Result<Arc<dyn Controller>> {
    let own = own_controller(agent, models, pull, loading).await?;
    let Some(file) = agent.of_teacher() else { return Ok(own) };
    // It is asked last, or never.
    let loading = if loading == Loading::Now { Loading::WhenAsked } else { loading };
    let teacher = own_controller(&file, models, pull, loading).await?;
    Ok(Arc::new(TaughtController { own, teacher }))
}

async fn own_controller(
    agent: &AgentFile,
    models: &Models,
    pull: bool,
    loading: Loading,
) -> Result<Arc<dyn Controller>> {
    let settings = &agent.controller;
    match (settings.kind, &settings.base_url, &agent.model) {
        (ControllerKind::OpenAi, Some(base_url), Some(model)) => {
            let defaults = OpenAiOptions::new(base_url, model);
            let options = OpenAiOptions {
                api_key_env: settings.api_key_env.clone(),
                dialect: settings.dialect,
                stream: settings.stream.unwrap_or(defaults.stream),
                timeout_ms: settings.timeout_ms.unwrap_or(defaults.timeout_ms),
                max_attempts: settings.max_attempts.unwrap_or(defaults.max_attempts),
                requests_per_minute: settings.requests_per_minute,
                max_concurrent: settings.max_concurrent,
                price: settings.price,
                context_tokens: settings.context_tokens,
                picture_side: settings.vision.then_some(settings.picture_side.unwrap_or(PICTURE_SIDE)),
                ..defaults
            };
            Ok(Arc::new(OpenAiController::new(options)?.with_lens(eyes::lens())))
        }
        (ControllerKind::Served, Some(base_url), _) => {
            let key = settings.api_key_env.as_deref();
            Ok(Arc::new(ServedController::open(base_url, key).await?))
        }
        (_, _, model) => {
            let name = match model {
                Some(name) => agent.resolve_model(name),
                None => default_name(models, ModelKind::Chat)?,
            };
            let path = match (find(models, &name, pull).await, loading) {
                (Err(missing), Loading::IfAsked)
                    if models.path(&name).is_err_and(|error| is_missing(&error)) =>
                {
                    return Ok(Arc::new(never_loaded(&name, &missing)));
                }
                (path, _) => path?,
            };
            let draft = match &settings.draft_model {
                Some(draft) => Some(find(models, &agent.resolve_model(draft), pull).await?),
                None => None,
            };
            let mmproj = match &settings.mmproj {
                Some(mmproj) => Some(projector(models, &agent.resolve_model(mmproj))?),
                None => None,
            };
            llama(&name, path, Files { draft, mmproj }, agent, loading).await
        }
    }
}

/// Files beside that of a model.
#[derive(Debug, Default)]
#[cfg_attr(not(feature = "llama"), allow(dead_code, reason = "nothing reads them"))]
struct Files {
    /// The draft model.
    draft: Option<PathBuf>,
    /// The projector of pictures.
    mmproj: Option<PathBuf>,
}

/// The path of a projector of pictures.
///
/// # Errors
/// When there is no such file, or this program cannot decode pictures.
fn projector(models: &Models, mmproj: &str) -> Result<PathBuf> {
    #[cfg(not(feature = "perception"))]
    return Err({
        let _ = models;
        eyes::absent(format!("{mmproj}: ")).into()
    });
    #[cfg(feature = "perception")]
    path(models, mmproj)
}

/// A language model that sees, loaded when it is asked for the first time; its files are looked at at once.
///
/// # Errors
/// When the model or its projector is not on this machine, or is no such file.
pub fn seeing(settings: &DescriberSettings) -> Result<Arc<dyn Controller>> {
    let models = open()?;
    let model = path(&models, &settings.model)?;
    seeing_llama(model, projector(&models, &settings.mmproj)?, settings)
}

/// Whether a model is known but not on this machine.
fn is_missing(error: &ModelError) -> bool {
    matches!(error, ModelError::NotPulled { .. })
}

/// The controller of a run that is not expected to ask it, for a model that is not on this machine.
fn never_loaded(name: &str, missing: &anyhow::Error) -> LazyController {
    let reason = format!("{missing}: fetch it with `sojourn models pull {name}`");
    let model = ModelInfo {
        name: name.to_owned(),
        source: "not on this machine".to_owned(),
        quantisation: None,
        parameters: None,
        context_tokens: None,
        sha256: None,
        sees: false,
    };
    let load = move || {
        let reason = reason.clone();
        async move { Err(ControllerError::Failed { reason }) }.boxed()
    };
    LazyController::new(model, Box::new(load))
}

/// The embedder that an agent file asks for, or the default one; `None` where it says "none".
///
/// # Errors
/// As [`controller`].
pub async fn embedder(agent: &AgentFile, models: &Models, pull: bool) -> Result<Option<Arc<dyn Embedder>>> {
    let name = match &agent.embedding {
        Some(name) if name == "none" => return Ok(None),
        Some(name) => agent.resolve_model(name),
        None => default_name(models, ModelKind::Embedding)?,
    };
    let path = find(models, &name, pull).await?;
    Ok(Some(llama_embedder(&path).await?))
}

/// The default embedder if it is on this machine and can be opened.
pub async fn embedder_if_present(models: &Models) -> Option<Arc<dyn Embedder>> {
    let name = default_name(models, ModelKind::Embedding).ok()?;
    let path = models.path(&name).ok()?;
    llama_embedder(&path).await.ok()
}

/// The embedding model with this name, or at this path.
///
/// # Errors
/// When there is no such model, it is not on this machine, or it is no embedding model.
pub async fn embedder_named(models: &Models, name: &str) -> Result<Arc<dyn Embedder>> {
    llama_embedder(&path(models, name)?).await
}

/// The path of a model's file.
///
/// # Errors
/// When there is no such model, or it is not on this machine.
pub fn path(models: &Models, name: &str) -> Result<PathBuf> {
    models.path(name).map_err(with_hint)
}

/// The path of a model's file; with `pull`, fetches a missing one first.
async fn find(models: &Models, name: &str, pull: bool) -> Result<PathBuf> {
    if pull { fetch(models, name).await } else { path(models, name) }
}

/// Fetches a model and those that it needs, with a progress bar.
///
/// # Errors
/// When no source has it, or the disk is full.
pub async fn fetch(models: &Models, name: &str) -> Result<PathBuf> {
    if let Ok(entry) = models.catalogue().get(name) {
        for needed in &entry.with {
            fetch_one(models, needed).await?;
        }
    }
    fetch_one(models, name).await
}

async fn fetch_one(models: &Models, name: &str) -> Result<PathBuf> {
    if let Ok(path) = models.path(name) {
        return Ok(path);
    }
    output::note(format!("fetching the model `{name}`"));
    let bar = bar();
    let shown = bar.clone();
    let pulled = models.pull(name, move |progress| show(&shown, progress)).await;
    bar.finish_and_clear();
    pulled.map_err(with_hint)
}

/// Adds a hint to the errors of a wrong or missing model.
fn with_hint(error: ModelError) -> anyhow::Error {
    match error {
        ModelError::Unknown { name, nearest } => {
            let meant = nearest.map(|name| format!("; did you mean `{name}`?")).unwrap_or_default();
            Failure::new(Kind::NotFound, format!("no model named `{name}`{meant}"))
                .hint("`sojourn models list` shows all models")
                .into()
        }
        ModelError::NotPulled { name } => {
            Failure::new(Kind::NotFound, format!("the model `{name}` is not on this machine"))
                .hint(format!("fetch it with `sojourn models pull {name}`"))
                .into()
        }
        other => other.into(),
    }
}

fn bar() -> ProgressBar {
    // The bar hides itself where stderr is no terminal.
    let bar = ProgressBar::no_length();
    let template = "{spinner} {msg} {wide_bar} {bytes}/{total_bytes} {bytes_per_sec} {eta}";
    if let Ok(style) = ProgressStyle::with_template(template) {
        bar.set_style(style);
    }
    bar
}

fn show(bar: &ProgressBar, progress: Progress) {
    match progress {
        Progress::Waiting => bar.set_message("waiting for another pull"),
        Progress::Started { bytes } => {
            if let Some(bytes) = bytes {
                bar.set_length(bytes);
            }
        }
        Progress::Source { name } => bar.set_message(name),
        Progress::SourceFailed { name, reason } => bar.suspend(|| output::note(format!("{name}: {reason}"))),
        Progress::Advanced { bytes } => bar.set_position(bytes),
        Progress::Verifying => bar.set_message("verifying"),
        Progress::Converting => bar.set_message("converting"),
        Progress::Done => bar.set_message("done"),
    }
}

#[cfg(feature = "llama")]
async fn llama(
    name: &str,
    path: PathBuf,
    files: Files,
    agent: &AgentFile,
    loading: Loading,
) -> Result<Arc<dyn Controller>> {
    use sojourn_controller::llama::{LlamaController, LlamaOptions};
    let settings = &agent.controller;
    let defaults = LlamaOptions::default();
    let options = LlamaOptions {
        context_tokens: settings.context_tokens.unwrap_or(defaults.context_tokens),
        threads: settings.threads,
        prefill_threads: settings.prefill_threads,
        max_candidates: defaults.max_candidates.max(agent.run.actor.candidates),
        speculate: settings.speculate,
        draft_model: files.draft,
        gpu_layers: settings.gpu_layers,
        lora: settings.lora.clone(),
        mmproj: files.mmproj,
        picture_side: settings.picture_side.unwrap_or(PICTURE_SIDE),
        host_cache_mib: settings.host_cache_mib.unwrap_or(defaults.host_cache_mib),
        prefix_cache: settings.prefix_cache.then(prefixes_directory).flatten(),
    };
    let loads = format!("loading the model `{name}`");
    if loading == Loading::Now {
        let _waiting = Waiting::on(&loads);
        return Ok(Arc::new(LlamaController::open(path, options).await?.with_lens(eyes::lens())));
    }
    lazy_llama(path, options, loads)
}

/// A model that is loaded when it is asked for the first time, with what is `loads` said meanwhile.
#[cfg(feature = "llama")]
fn lazy_llama(
    path: PathBuf,
    options: sojourn_controller::llama::LlamaOptions,
    loads: String,
) -> Result<Arc<dyn Controller>> {
    use sojourn_controller::llama::LlamaController;
    let model = LlamaController::describe(&path, &options)?;
    let load = move || {
        let (path, options, loads) = (path.clone(), options.clone(), loads.clone());
        async move {
            let _waiting = Waiting::beside_progress(&loads);
            let opened = LlamaController::open(path, options).await?;
            let controller: Arc<dyn Controller> = Arc::new(opened.with_lens(eyes::lens()));
            Ok(controller)
        }
        .boxed()
    };
    Ok(Arc::new(LazyController::new(model, Box::new(load))))
}

#[cfg(feature = "llama")]
fn seeing_llama(
    model: PathBuf,
    mmproj: PathBuf,
    settings: &DescriberSettings,
) -> Result<Arc<dyn Controller>> {
    use sojourn_controller::llama::LlamaOptions;
    let options = LlamaOptions {
        context_tokens: settings.context_tokens.unwrap_or(DESCRIBER_CONTEXT),
        max_candidates: 1,
        mmproj: Some(mmproj),
        picture_side: PICTURE_SIDE,
        ..LlamaOptions::default()
    };
    lazy_llama(model, options, format!("loading the model `{}`", settings.model))
}

#[cfg(not(feature = "llama"))]
fn seeing_llama(_: PathBuf, _: PathBuf, _: &DescriberSettings) -> Result<Arc<dyn Controller>> {
    Err(without_llama("leave `describer` out of the agent file"))
}

/// Opens the model at `path` for several runs.
///
/// # Errors
/// When the model cannot be loaded.
#[cfg(feature = "llama")]
pub async fn served(
    path: &Path,
    draft: Option<PathBuf>,
    args: &crate::args::Serve,
) -> Result<Arc<dyn Controller>> {
    use sojourn_controller::llama::{LlamaController, LlamaOptions};
    let options = LlamaOptions {
        draft_model: draft,
        mmproj: args.mmproj.as_deref().map(|mmproj| projector(&open()?, mmproj)).transpose()?,
        context_tokens: args.context_tokens,
        threads: args.threads,
        prefill_threads: args.threads,
        max_candidates: args.answers,
        host_cache_mib: args.host_cache_mib,
        prefix_cache: prefixes_directory(),
        ..LlamaOptions::default()
    };
    Ok(Arc::new(LlamaController::open(path, options).await?.with_lens(eyes::lens())))
}

/// The directory of evaluated prompt prefixes, beside the models: both are caches.
fn prefixes_directory() -> Option<PathBuf> {
    Some(Models::open(None).ok()?.cache_dir().parent()?.join("prefixes"))
}

/// Removes the saved prompt prefixes of all models, which hold the texts of prompts.
///
/// # Errors
/// When a file cannot be removed.
pub fn clear_prefixes() -> Result<Cleared> {
    let Some(directory) = prefixes_directory() else { return Ok(Cleared::default()) };
    prefix_cache::clear(&directory).with_context(|| {
        format!(
            "saved prompts in `{}`, which may have the forgotten text, were not removed",
            directory.display()
        )
    })
}

#[cfg(feature = "llama")]
async fn llama_embedder(path: &Path) -> Result<Arc<dyn Embedder>> {
    Ok(Arc::new(sojourn_controller::llama::LlamaEmbedder::open(path).await?))
}

#[cfg(not(feature = "llama"))]
#[allow(clippy::unused_async, reason = "the same signature as with the feature")]
async fn llama(
    _name: &str,
    _path: PathBuf,
    _files: Files,
    _agent: &AgentFile,
    _loading: Loading,
) -> Result<Arc<dyn Controller>> {
    Err(without_llama("set `controller.kind = \"openai\"` in the agent file to use a server"))
}

/// Opens the model at `path` for several runs.
///
/// # Errors
/// Always: this program was built without llama.cpp.
#[cfg(not(feature = "llama"))]
#[allow(clippy::unused_async, reason = "the same signature as with the feature")]
pub async fn served(
    _path: &Path,
    _draft: Option<PathBuf>,
    _args: &crate::args::Serve,
) -> Result<Arc<dyn Controller>> {
    Err(without_llama("serve the model with another program"))
}

#[cfg(not(feature = "llama"))]
#[allow(clippy::unused_async, reason = "the same signature as with the feature")]
async fn llama_embedder(_path: &Path) -> Result<Arc<dyn Embedder>> {
    Err(without_llama("set `embedding = \"none\"` in the agent file to find memories by their words alone"))
}

/// The error of a program without llama.cpp, with what to do `instead`.
#[cfg(not(feature = "llama"))]
pub fn without_llama(instead: &str) -> anyhow::Error {
    Failure::new(Kind::Failure, "this program was built without llama.cpp and cannot run models itself")
        .hint(format!("build it with the feature `llama`, or {instead}"))
        .into()
}
