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

/// Environment variable with the directory for models.
const DIRECTORY_VARIABLE: &str = "SOJOURN_MODELS";
/// Environment variable with the base URL of Hugging Face, as in Hugging Face's own tools.
const HUB_VARIABLE: &str = "HF_ENDPOINT";
/// Default base URL of Hugging Face.
const HUB: &str = "https://huggingface.co";

/// The cache of models on this machine. Cheap to clone.
#[derive(Debug, Clone)]
pub struct Models {
    cache_dir: PathBuf,
    catalogue: Catalogue,
    /// Base URL of Hugging Face.
    hub: String,
}

/// State of a catalogue model on this machine.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ModelStatus {
    /// The model.
    pub entry: Entry,
    /// Whether its file is present with its full length.
    pub present: bool,
    /// Path of its file, present or not.
    pub path: PathBuf,
    /// Number of bytes present, including a partial download.
    pub bytes: u64,
}

impl Models {
    /// Opens the cache in `dir`, else in `$SOJOURN_MODELS`, else in the user's cache directory. Nothing is
    /// created before the first pull.
    ///
    /// # Errors
    /// [`ModelError::NoCacheDirectory`].
    pub fn open(dir: Option<PathBuf>) -> Result<Self, ModelError> {
        let named = || std::env::var_os(DIRECTORY_VARIABLE).filter(|dir| !dir.is_empty()).map(PathBuf::from);
        let usual = || Some(ProjectDirs::from("", "", "sojourn")?.cache_dir().join("models"));
        let cache_dir = dir.or_else(named).or_else(usual).ok_or(ModelError::NoCacheDirectory)?;
        let hub = std::env::var(HUB_VARIABLE).ok().filter(|hub| !hub.is_empty());
        Ok(Self { cache_dir, catalogue: Catalogue::built_in()?, hub: hub.unwrap_or_else(|| HUB.to_owned()) })
    }

    /// Uses another catalogue.
    #[must_use]
    pub fn with_catalogue(self, catalogue: Catalogue) -> Self {
        Self { catalogue, ..self }
    }

    /// Uses another base URL for Hugging Face, such as a mirror: `https://mirror.example`.
    #[must_use]
    pub fn with_hub(self, hub: impl Into<String>) -> Self {
        Self { hub: hub.into(), ..self }
    }

    /// The cache directory.
    pub fn cache_dir(&self) -> &Path {
        &self.cache_dir
    }

    /// The catalogue in use.
    pub fn catalogue(&self) -> &Catalogue {
        &self.catalogue
    }

    /// Lists the state of all catalogue models. Only lengths are checked.
    pub fn list(&self) -> Vec<ModelStatus> {
        let status = |entry: &Entry| {
            let path = self.cache_dir.join(&entry.asset.file);
            let present = length(&path) == entry.asset.bytes && path.is_file();
            let bytes = if present { entry.asset.bytes } else { length(&sibling(&path, "part")) };
            ModelStatus { entry: entry.clone(), present, path, bytes }
        };
        self.catalogue.entries().iter().map(status).collect()
    }

    /// Finds the file of a model. `what` is a name in the catalogue, a URL that was pulled, or the path of a
    /// file.
    ///
    /// This never accesses the network. A cached file that changed since its verification is hashed first,
    /// which takes seconds for a large file.
    ///
    /// # Errors
    /// [`ModelError::NotPulled`], [`ModelError::Unknown`], [`ModelError::NoFile`]; [`ModelError::Hash`] or
    /// [`ModelError::Size`] for a wrong file.
    pub fn path(&self, what: &str) -> Result<PathBuf, ModelError> {
        match self.find(what)? {
            Resolved::File(path) => Ok(path),
            Resolved::Cached(target, _) if target.check(&Cancel::new(), || ())? => Ok(target.path),
            Resolved::Cached(target, _) => Err(ModelError::NotPulled { name: target.name }),
        }
    }

    /// Hashes a model's file, ignoring any marker, and returns its SHA-256 in lowercase hexadecimal. This
    /// takes seconds for a large file.
    ///
    /// # Errors
    /// [`ModelError::Hash`] if the hash is wrong, and the errors of [`path`](Self::path).
    pub fn verify(&self, what: &str) -> Result<String, ModelError> {
        match self.find(what)? {
            Resolved::File(path) => hash_file(&path, &Cancel::new()),
            Resolved::Cached(target, _) if target.path.is_file() => {
                target.verify(&target.path, &Cancel::new())
            }
            Resolved::Cached(target, _) => Err(ModelError::NotPulled { name: target.name }),
        }
    }

    /// Downloads a model unless it is present, and returns the path of its file. `what` is a name in the
    /// catalogue or a URL.
    ///
    /// A URL may end in `#sha256=…`; the file must have that hash then. Dropping the future cancels the pull.
    /// A later pull resumes the partial download.
    ///
    /// # Errors
    /// [`ModelError`] with the reason.
    pub async fn pull(
        &self,
        what: &str,
        report: impl Fn(Progress) + Send + Sync + 'static,
    ) -> Result<PathBuf, ModelError> {
        self.pull_until(what, report, &Cancel::new()).await
    }

    /// Like [`pull`](Self::pull), but ends with [`ModelError::Cancelled`] when `cancel` is triggered.
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
        // A separate task holds the lock until it has really stopped writing.
        let cancel_on_drop = CancelOnDrop(Cancel::new());
        let job = Job {
            dir: self.cache_dir.clone(),
            hub: self.hub.clone(),
            cancel: cancel_on_drop.0.clone(),
            report: Arc::new(report),
        };
        let mut task = tokio::spawn(job.run(target, plan));
        let ended = tokio::select! {
            ended = &mut task => ended,
            () = cancel.cancelled() => {
                cancel_on_drop.0.cancel();
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

/// What a model argument refers to.
enum Resolved {
    /// A file outside the cache.
    File(PathBuf),
    /// A file in the cache, and where to get it from.
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
