use super::ModelError;
use serde::{Deserialize, Serialize};
use std::collections::BTreeSet;
use std::path::Path;

/// Least similarity of a suggested name (Jaro-Winkler, 0 to 1).
const MIN_SIMILARITY: f64 = 0.7;

/// The catalogue of known models.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Catalogue {
    #[serde(rename = "model")]
    entries: Vec<Entry>,
}

/// One model of the catalogue.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Entry {
    /// Name in the catalogue.
    pub name: String,
    /// What the model is for.
    pub kind: ModelKind,
    /// Whether it is the default model of its kind.
    #[serde(default)]
    pub default: bool,
    /// Short description for the user.
    pub summary: String,
    /// Size of its context, in tokens; 0 for a model that takes no text.
    #[serde(default)]
    pub context: u32,
    /// Names of the models that this one needs, and that are fetched with it.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub with: Vec<String>,
    /// Terms of use.
    pub licence: Licence,
    /// The file: GGUF for models of text. It has sources unless there is a [`conversion`](Entry::conversion).
    #[serde(flatten)]
    pub asset: Asset,
    /// How to build the file, if nobody publishes it as GGUF.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub conversion: Option<Conversion>,
}

/// Purpose of a model.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum ModelKind {
    /// Text generation: it can be the controller.
    Chat,
    /// Embedding: memory uses it.
    Embedding,
    /// Pictures: perception uses it.
    Vision,
    /// Sounds: perception uses it.
    Speech,
}

/// Terms of use of a model.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Licence {
    /// SPDX identifier, or the usual name.
    pub id: String,
    /// URL of the text.
    pub url: String,
}

/// A file to download.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Asset {
    /// File name in the cache.
    pub file: String,
    /// Length in bytes.
    pub bytes: u64,
    /// SHA-256 in lowercase hexadecimal.
    pub sha256: String,
    /// Download sources, in order of preference.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub sources: Vec<Source>,
}

/// A download source.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Source {
    /// A file in a Hugging Face repository.
    HuggingFace(HubFile),
    /// Files inside Python packages, which are concatenated.
    Packages(Vec<PackageFile>),
}

/// A file in a Hugging Face repository.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct HubFile {
    /// Repository, as `owner/name`.
    pub repo: String,
    /// Path in the repository.
    pub file: String,
    /// Branch, tag or commit.
    pub revision: String,
}

/// A file inside the wheel of a Python package.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct PackageFile {
    /// Name of the package.
    pub package: String,
    /// Exact version of the package.
    pub version: String,
    /// Path inside the wheel.
    pub member: String,
    /// Length in bytes.
    pub bytes: u64,
    /// SHA-256 in lowercase hexadecimal.
    pub sha256: String,
}

/// How to build a model file.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Conversion {
    /// Format of the inputs.
    pub format: ConversionFormat,
    /// Files to convert.
    pub inputs: Vec<Asset>,
}

/// Formats that can be converted to GGUF.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum ConversionFormat {
    /// A BERT sentence encoder: `config.json`, `vocab.txt` and `model.safetensors`.
    SentenceBert,
}

impl ConversionFormat {
    /// Names of the required input files.
    fn inputs(self) -> &'static [&'static str] {
        match self {
            Self::SentenceBert => &["config.json", "vocab.txt", "model.safetensors"],
        }
    }
}

impl Catalogue {
    /// The catalogue that is compiled into this crate.
    pub fn built_in() -> Result<Self, ModelError> {
        Self::parse(include_str!("../../catalogue.toml"))
    }

    /// Parses a catalogue in TOML, in the format of `controller/catalogue.toml`.
    ///
    /// # Errors
    /// [`ModelError::Catalogue`] if the catalogue is inconsistent: duplicate names or files, two defaults of
    /// a kind, parts of a wrong total length, or paths in file names.
    pub fn parse(text: &str) -> Result<Self, ModelError> {
        let catalogue: Self =
            toml::from_str(text).map_err(|error| ModelError::Catalogue(error.to_string()))?;
        catalogue.check().map_err(ModelError::Catalogue)?;
        Ok(catalogue)
    }

    /// All models, in the order of the catalogue.
    pub fn entries(&self) -> &[Entry] {
        &self.entries
    }

    /// The model with this name.
    ///
    /// # Errors
    /// [`ModelError::Unknown`] with the most similar name.
    pub fn get(&self, name: &str) -> Result<&Entry, ModelError> {
        self.entries.iter().find(|entry| entry.name == name).ok_or_else(|| ModelError::Unknown {
            name: name.to_owned(),
            nearest: self.nearest(name).map(str::to_owned),
        })
    }

    /// The default model of a kind.
    pub fn default_of(&self, kind: ModelKind) -> Option<&Entry> {
        self.entries.iter().find(|entry| entry.default && entry.kind == kind)
    }

    fn nearest(&self, name: &str) -> Option<&str> {
        let wanted = name.to_lowercase();
        self.entries
            .iter()
            .map(|entry| (strsim::jaro_winkler(&wanted, &entry.name), entry.name.as_str()))
            .filter(|(likeness, _)| *likeness >= MIN_SIMILARITY)
            .max_by(|(one, _), (other, _)| one.total_cmp(other))
            .map(|(_, name)| name)
    }

    fn check(&self) -> Result<(), String> {
        let (mut names, mut files, mut defaults) = (BTreeSet::new(), BTreeSet::new(), BTreeSet::new());
        for entry in &self.entries {
            let name = &entry.name;
            if !names.insert(name) {
                return Err(format!("`{name}` is listed twice"));
            }
            if !files.insert(&entry.asset.file) {
                return Err(format!("`{}` is the file of more than one model", entry.asset.file));
            }
            if entry.default && !defaults.insert(entry.kind) {
                return Err(format!("`{name}` is a second default of its kind"));
            }
            if let Some(needed) =
                entry.with.iter().find(|needed| !self.entries.iter().any(|e| e.name == **needed))
            {
                return Err(format!("`{name}` needs `{needed}`, which is not listed"));
            }
            entry.check().map_err(|problem| format!("`{name}`: {problem}"))?;
        }
        Ok(())
    }
}

impl Entry {
    fn check(&self) -> Result<(), String> {
        self.asset.check()?;
        match (&self.conversion, self.asset.sources.is_empty()) {
            (None, true) => Err("the model has no source".to_owned()),
            (Some(_), false) => Err("the model has both sources and a conversion".to_owned()),
            (None, false) => Ok(()),
            (Some(conversion), true) => conversion.check(),
        }
    }
}

impl Conversion {
    fn check(&self) -> Result<(), String> {
        for needed in self.format.inputs() {
            if !self.inputs.iter().any(|input| input.file == *needed) {
                return Err(format!("the conversion lacks `{needed}`"));
            }
        }
        for input in &self.inputs {
            input.check()?;
            if input.sources.is_empty() {
                return Err(format!("`{}` has no source", input.file));
            }
        }
        Ok(())
    }
}

impl Asset {
    fn check(&self) -> Result<(), String> {
        let file = &self.file;
        if Path::new(file).file_name().is_none_or(|name| name != file.as_str()) || file.contains(['/', '\\'])
        {
            return Err(format!("`{file}` is not a plain file name"));
        }
        check_hash(&self.sha256)?;
        for source in &self.sources {
            if let Source::Packages(parts) = source {
                let bytes: u64 = parts.iter().map(|part| part.bytes).sum();
                if bytes != self.bytes {
                    return Err(format!(
                        "the parts of `{file}` have {bytes} bytes in total instead of {}",
                        self.bytes
                    ));
                }
                parts.iter().try_for_each(|part| check_hash(&part.sha256))?;
            }
        }
        Ok(())
    }
}

fn check_hash(sha256: &str) -> Result<(), String> {
    let good = sha256.len() == 64 && sha256.bytes().all(|byte| matches!(byte, b'0'..=b'9' | b'a'..=b'f'));
    if good { Ok(()) } else { Err(format!("`{sha256}` is not a sha256 in lowercase hexadecimal")) }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn built_in_catalogue_is_consistent_and_round_trips() {
        let catalogue = Catalogue::built_in().unwrap();
        assert!(catalogue.default_of(ModelKind::Chat).is_some());
        assert!(catalogue.default_of(ModelKind::Embedding).is_some());
        for entry in catalogue.entries() {
            assert!(entry.licence.url.starts_with("https://"), "{}", entry.name);
        }
        let again = Catalogue::parse(&toml::to_string(&catalogue).unwrap()).unwrap();
        assert_eq!(again, catalogue);
    }

    #[test]
    fn misspelt_name_suggests_the_most_similar() {
        let catalogue = Catalogue::built_in().unwrap();
        for (asked, meant) in [
            ("qwen2.5-coder-1.5b", Some("qwen2.5-coder-1.5b-instruct")),
            ("Qwen2.5-Coder-0.5B-instruct", Some("qwen2.5-coder-0.5b-instruct")),
            ("smolm2-135m-instruct", Some("smollm2-135m-instruct")),
            ("gema-3-270m", Some("gemma-3-270m")),
            ("xyzzy", None),
        ] {
            let Err(ModelError::Unknown { nearest, .. }) = catalogue.get(asked) else {
                panic!("`{asked}` is known")
            };
            assert_eq!(nearest.as_deref(), meant);
        }
    }

    #[test]
    fn inconsistent_catalogue_is_rejected() {
        let good = toml::to_string(&Catalogue::built_in().unwrap()).unwrap();
        for (from, to, problem) in [
            ("bytes = 98362432", "bytes = 98362433", "98362432 bytes in total"),
            ("sha256 = \"b179c9", "sha256 = \"B179c9", "lowercase"),
            ("file = \"gemma-3-270m-q4_k_m.gguf\"", "file = \"../gemma.gguf\"", "plain file name"),
            ("file = \"vocab.txt\"", "file = \"words.txt\"", "lacks `vocab.txt`"),
            ("name = \"gemma-3-270m\"", "name = \"smollm2-135m-instruct\"", "twice"),
            ("default = false", "default = true", "second default"),
            (
                "with = [\"pp-ocrv6-small-detector\"",
                "with = [\"pp-ocr\"",
                "needs `pp-ocr`, which is not listed",
            ),
        ] {
            assert!(good.contains(from), "{from}");
            let error = Catalogue::parse(&good.replacen(from, to, 1)).unwrap_err().to_string();
            assert!(error.contains(problem), "{error}");
        }
    }
}
