//! Pulling models: from faulty servers, from packages, and onto full disks.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::print_stderr)]

mod conversion;
mod download;
mod packages;
mod real;
mod room;
mod server;
mod url;

use sha2::{Digest, Sha256};
use sojourn_controller::models::{Catalogue, ModelError, Models, Progress};
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex};
use tempfile::TempDir;

/// Name and file of the only model in the tests' catalogues.
const NAME: &str = "test-model";
const FILE: &str = "test-model.gguf";

/// Bytes without repetition, so that misplaced pieces are detected.
fn content(length: usize) -> Vec<u8> {
    let mut state = 1_u32;
    let mut next = || {
        state = state.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
        (state >> 24) as u8
    };
    (0..length).map(|_| next()).collect()
}

fn sha256(bytes: &[u8]) -> String {
    hex::encode(Sha256::digest(bytes))
}

/// The start of a catalogue with one model; the caller appends its sources.
fn model_toml(bytes: u64, sha256: &str) -> String {
    format!(
        r#"
        [[model]]
        name = "{NAME}"
        kind = "chat"
        summary = "for tests"
        context = 512
        licence = {{ id = "Apache-2.0", url = "https://www.apache.org/licenses/LICENSE-2.0" }}
        file = "{FILE}"
        bytes = {bytes}
        sha256 = "{sha256}"
        "#
    )
}

fn hub_source(table: &str, file: &str) -> String {
    format!(
        "[[{table}]]\nhuggingface = {{ repo = \"owner/repo\", file = \"{file}\", revision = \"main\" }}\n"
    )
}

/// A cache directory with its models.
struct Cache {
    dir: TempDir,
    models: Models,
}

impl Cache {
    fn new(catalogue: &str, hub: &str) -> Self {
        let dir = tempfile::tempdir().unwrap();
        let models = models_in(dir.path(), catalogue, hub);
        Self { dir, models }
    }

    /// A catalogue with one model that only `hub` serves.
    fn of_hub(expected: &[u8], hub: &str) -> Self {
        let catalogue =
            model_toml(expected.len() as u64, &sha256(expected)) + &hub_source("model.sources", FILE);
        Self::new(&catalogue, hub)
    }

    fn file(&self) -> PathBuf {
        self.dir.path().join(FILE)
    }

    fn part(&self) -> PathBuf {
        self.dir.path().join(format!("{FILE}.part"))
    }

    async fn pull(&self) -> Result<PathBuf, ModelError> {
        self.models.pull(NAME, |_| ()).await
    }

    /// Asserts that the model is installed and verified, without leftover files.
    fn assert_settled(&self, expected: &[u8]) {
        assert!(std::fs::read(self.file()).unwrap() == expected, "the file has wrong content");
        assert_eq!(self.models.path(NAME).unwrap(), self.file());
        assert_eq!(self.models.verify(NAME).unwrap(), sha256(expected));
        assert!(self.models.list()[0].present);
        assert_eq!(self.leftovers(), Vec::<String>::new());
    }

    /// Asserts that no file could be mistaken for the model.
    fn assert_absent(&self) {
        assert!(!self.file().exists());
        assert!(matches!(self.models.path(NAME), Err(ModelError::NotPulled { name }) if name == NAME));
        assert!(!self.models.list()[0].present);
    }

    /// Files that a finished pull does not need.
    fn leftovers(&self) -> Vec<String> {
        let kept = [FILE.to_owned(), format!("{FILE}.lock"), format!("{FILE}.verified")];
        let names = self.dir.path().read_dir().unwrap().map(|entry| entry.unwrap().file_name());
        names.map(|name| name.into_string().unwrap()).filter(|name| !kept.contains(name)).collect()
    }
}

fn models_in(dir: &Path, catalogue: &str, hub: &str) -> Models {
    let catalogue = Catalogue::parse(catalogue).unwrap();
    Models::open(Some(dir.to_path_buf())).unwrap().with_catalogue(catalogue).with_hub(hub)
}

/// Records the progress of a pull.
#[derive(Clone, Default)]
struct Log(Arc<Mutex<Vec<Progress>>>);

impl Log {
    fn keeper(&self) -> impl Fn(Progress) + Send + Sync + 'static {
        let log = self.clone();
        move |progress| log.0.lock().unwrap().push(progress)
    }

    fn entries(&self) -> Vec<Progress> {
        self.0.lock().unwrap().clone()
    }

    fn has(&self, wanted: impl Fn(&Progress) -> bool) -> bool {
        self.entries().iter().any(wanted)
    }
}
