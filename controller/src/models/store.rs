use super::ModelError;
use super::catalogue::{Catalogue, Entry};
use super::disk::{length, sibling};
use super::marker::hash_file;
use super::progress::Progress;
use super::pull::{Job, Plan};
use super::target::{Target, as_url};
use crate::Cancel;
use directories::ProjectDirs;
use std::path::{Path, PathBuf};
use std::sync::Arc;

/// The environment variable that says where models are kept.
const DIRECTORY_VARIABLE: &str = "SOJOURN_MODELS";
/// The environment variable that says where Hugging Face is, as in their own tools.
const HUB_VARIABLE: &str = "HF_ENDPOINT";
/// Where it is when that is not set.
const HUB: &str = "https://huggingface.co";

/// The models on this machine, and those that can be fetched.
#[derive(Debug, Clone)]
pub struct Models {
    cache_dir: PathBuf,
    catalogue: Catalogue,
    /// Where Hugging Face is.
    hub: String,
}

/// Whether a model of the catalogue is on this machine.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ModelStatus {
    /// The model.
    pub entry: Entry,
    /// Whether its file is here, at its full length.
    pub present: bool,
    /// Where its file is, or would be.
    pub path: PathBuf,
    /// How much of it is here; what an unfinished pull left counts.
    pub bytes: u64,
}

impl Models {
    /// The models in `dir`; or where the variable `SOJOURN_MODELS` says; or in the user's cache directory.
    ///
    /// Nothing is created before something is pulled.
    pub fn open(dir: Option<PathBuf>) -> Result<Self, ModelError> {
        let named = || std::env::var_os(DIRECTORY_VARIABLE).filter(|dir| !dir.is_empty()).map(PathBuf::from);
        let usual = || Some(ProjectDirs::from("", "", "sojourn")?.cache_dir().join("models"));
        let cache_dir = dir.or_else(named).or_else(usual).ok_or(ModelError::NoCacheDirectory)?;
        let hub = std::env::var(HUB_VARIABLE).ok().filter(|hub| !hub.is_empty());
        Ok(Self { cache_dir, catalogue: Catalogue::built_in()?, hub: hub.unwrap_or_else(|| HUB.to_owned()) })
    }

    /// The same with another catalogue.
    #[must_use]
    pub fn with_catalogue(self, catalogue: Catalogue) -> Self {
        Self { catalogue, ..self }
    }

    /// The same with another place for Hugging Face, such as a mirror: `https://mirror.example`.
    #[must_use]
    pub fn with_hub(self, hub: impl Into<String>) -> Self {
        Self { hub: hub.into(), ..self }
    }

    /// Where models are kept.
    pub fn cache_dir(&self) -> &Path {
        &self.cache_dir
    }

    /// The models that are known by name.
    pub fn catalogue(&self) -> &Catalogue {
        &self.catalogue
    }

    /// All models of the catalogue, with what is here of each. Looks at lengths only.
    pub fn list(&self) -> Vec<ModelStatus> {
        let status = |entry: &Entry| {
            let path = self.cache_dir.join(&entry.asset.file);
            let present = length(&path) == entry.asset.bytes && path.is_file();
            let bytes = if present { entry.asset.bytes } else { length(&sibling(&path, "part")) };
            ModelStatus { entry: entry.clone(), present, path, bytes }
        };
        self.catalogue.entries().iter().map(status).collect()
    }

    /// The file of a model: of one in the catalogue, of an address that was pulled, or `what` itself if it is a path.
    ///
    /// Never goes to the network; what is not here is [`ModelError::NotPulled`]. A file in the cache that was
    /// not verified since it changed is hashed first, which takes some seconds for a large one, and is refused if
    /// it is not what the catalogue says.
    pub fn path(&self, what: &str) -> Result<PathBuf, ModelError> {
        match self.find(what)? {
            Resolved::File(path) => Ok(path),
            Resolved::Cached(target, _) if target.check(&Cancel::new(), || ())? => Ok(target.path),
            Resolved::Cached(target, _) => Err(ModelError::NotPulled { name: target.name }),
        }
    }

    /// Hashes a model's file, whatever was noted about it, and returns its SHA-256 in lowercase hexadecimal.
    ///
    /// Reads the whole file: seconds for a large one. The wrong hash is [`ModelError::Hash`].
    pub fn verify(&self, what: &str) -> Result<String, ModelError> {
        match self.find(what)? {
            Resolved::File(path) => hash_file(&path, &Cancel::new()),
            Resolved::Cached(target, _) if target.path.is_file() => {
                target.verify(&target.path, &Cancel::new())
            }
            Resolved::Cached(target, _) => Err(ModelError::NotPulled { name: target.name }),
        }
    }

    /// Fetches a model by its name in the catalogue or by its address, unless it is here, and returns its file.
    ///
    /// An address may end in `#sha256=…`, and then what it leads to must have that hash. Dropping the future calls the
    /// pull off. Whatever ends it early, a later one goes on with what has arrived.
    pub async fn pull(
        &self,
        what: &str,
        report: impl Fn(Progress) + Send + Sync + 'static,
    ) -> Result<PathBuf, ModelError> {
        self.pull_until(what, report, &Cancel::new()).await
    }

    /// The same as [`pull`](Self::pull); when `cancel` is thrown it winds up and ends in [`ModelError::Cancelled`].
    pub async fn pull_until(
        &self,
        what: &str,
        report: impl Fn(Progress) + Send + Sync + 'static,
        cancel: &Cancel,
    ) -> Result<PathBuf, ModelError> {
        let (target, plan) = match self.find(what)? {
            Resolved::File(path) => return Ok(path),
            Resolved::Cached(target, plan) => (target, plan),
        };
        // The job is a task of its own, so that it lets go of its lock only once it has really stopped writing.
        let called_off = CancelOnDrop(Cancel::new());
        let job = Job {
            dir: self.cache_dir.clone(),
            hub: self.hub.clone(),
            cancel: called_off.0.clone(),
            report: Arc::new(report),
        };
        let mut task = tokio::spawn(job.run(target, plan));
        let ended = tokio::select! {
            ended = &mut task => ended,
            () = cancel.cancelled() => {
                called_off.0.cancel();
                task.await
            }
        };
        match ended {
            Ok(result) => result,
            Err(error) => match error.try_into_panic() {
                Ok(panic) => std::panic::resume_unwind(panic),
                // The runtime is shutting down.
                Err(_) => Err(ModelError::Cancelled),
            },
        }
    }

    fn find(&self, what: &str) -> Result<Resolved, ModelError> {
        let path = Path::new(what);
        if path.is_file() {
            return Ok(Resolved::File(path.to_path_buf()));
        }
        if let Some(url) = as_url(what) {
            return Ok(Resolved::Cached(Target::of_url(&url, &self.cache_dir), Plan::Url(url)));
        }
        match self.catalogue.get(what) {
            Ok(entry) => {
                let target = Target::of_entry(entry, &self.cache_dir);
                Ok(Resolved::Cached(target, Plan::Entry(Box::new(entry.clone()))))
            }
            Err(_) if looks_like_a_path(path) => Err(ModelError::NoFile { path: path.to_path_buf() }),
            Err(unknown) => Err(unknown),
        }
    }
}

/// What a user's words for a model stand for.
enum Resolved {
    /// A file that they have.
    File(PathBuf),
    /// A file that belongs into the cache, and how it gets there.
    Cached(Target, Plan),
}

struct CancelOnDrop(Cancel);

impl Drop for CancelOnDrop {
    fn drop(&mut self) {
        self.0.cancel();
    }
}

fn looks_like_a_path(path: &Path) -> bool {
    path.components().count() > 1
        || path.is_absolute()
        || path.extension().is_some_and(|extension| extension.eq_ignore_ascii_case("gguf"))
}
