//! Which documents the arguments of `sojourn knowledge add` name, and by which name each is known.

use super::extract::{FORMATS, Format};
use crate::error::{Failure, Kind};
use std::collections::{BTreeMap, BTreeSet};
use std::fs::{self, FileType};
use std::os::unix::fs::FileTypeExt as _;
use std::path::{Component, Path, PathBuf};

/// At most this many names are shown of each kind that is left out.
const SHOWN: usize = 3;

/// The place of a document.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub enum Source {
    /// A file on this machine, by its canonical path.
    File(PathBuf),
    /// A web page.
    Page(String),
}

/// The documents and directories that the arguments name.
#[derive(Debug, Default)]
pub struct Found {
    /// The documents, each once.
    pub sources: BTreeSet<Source>,
    /// The canonical paths of the directories that were searched.
    pub directories: Vec<PathBuf>,
    /// Paths that were left out, by the reason.
    pub left_out: BTreeMap<String, Vec<String>>,
    /// Paths and addresses that cannot be read, with the reason.
    pub failed: Vec<(String, anyhow::Error)>,
}

/// Whether a source is the address of a web page.
pub fn is_url(source: &str) -> bool {
    source.starts_with("https://") || source.starts_with("http://")
}

/// The name under which a document is stored: the canonical path of a file, the address of a page without a fragment.
pub fn uri(source: &str) -> String {
    if is_url(source) {
        return match source.parse::<reqwest::Url>() {
            Ok(mut url) => {
                url.set_fragment(None);
                url.to_string()
            }
            Err(_) => source.to_owned(),
        };
    }
    canonical(Path::new(source)).display().to_string()
}

/// The canonical path of a file. Of a file that does not exist, the part that exists is made canonical.
fn canonical(path: &Path) -> PathBuf {
    if let Ok(path) = fs::canonicalize(path) {
        return path;
    }
    let absolute = std::path::absolute(path).unwrap_or_else(|_| path.to_owned());
    let mut resolved = PathBuf::new();
    for part in absolute.components() {
        if part == Component::ParentDir {
            resolved.pop();
        } else {
            resolved.push(part);
        }
        if let Ok(path) = fs::canonicalize(&resolved) {
            resolved = path;
        }
    }
    resolved
}

impl Found {
    /// Adds the documents of one argument: a file, a directory or an address.
    pub fn add(&mut self, argument: &str) {
        if is_url(argument) {
            self.sources.insert(Source::Page(uri(argument)));
            return;
        }
        let path = Path::new(argument);
        let kind = match fs::metadata(path) {
            Ok(metadata) => metadata.file_type(),
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => {
                let error = Failure::new(Kind::NotFound, format!("no file `{argument}`"));
                self.failed.push((uri(argument), error.into()));
                return;
            }
            Err(error) => {
                self.fail(path, error);
                return;
            }
        };
        let path = canonical(path);
        if kind.is_dir() {
            self.search(&path);
            self.directories.push(path);
        } else if special(kind).is_some() {
            let error = Failure::new(Kind::Usage, format!("`{argument}` is not a regular file"));
            self.failed.push((path.display().to_string(), error.into()));
        } else if Format::of(&path).is_none() && Format::of(Path::new(argument)).is_none() {
            let error = Failure::new(Kind::Usage, format!("`{argument}` has no known format")).hint(FORMATS);
            self.failed.push((path.display().to_string(), error.into()));
        } else {
            self.sources.insert(Source::File(path));
        }
    }

    /// Finds the documents of a directory and its subdirectories. Hidden files are left out without a word; links are not
    /// followed, since they may lead anywhere.
    fn search(&mut self, root: &Path) {
        let mut waiting = vec![root.to_owned()];
        while let Some(directory) = waiting.pop() {
            let entries = match fs::read_dir(&directory) {
                Ok(entries) => entries,
                Err(error) => {
                    self.fail(&directory, error);
                    continue;
                }
            };
            for entry in entries {
                let (path, kind) = match entry.and_then(|entry| Ok((entry.path(), entry.file_type()?))) {
                    Ok(found) => found,
                    Err(error) => {
                        self.fail(&directory, error);
                        continue;
                    }
                };
                if path.file_name().is_some_and(|name| name.to_string_lossy().starts_with('.')) {
                    continue;
                }
                if kind.is_dir() {
                    waiting.push(path);
                } else if kind.is_symlink() {
                    self.leave_out("links", &path);
                } else if let Some(special) = special(kind) {
                    self.leave_out(special, &path);
                } else if Format::of(&path).is_some() {
                    self.sources.insert(Source::File(path));
                } else {
                    let extension = path.extension().map(|it| it.to_string_lossy().to_lowercase());
                    let reason = extension
                        .map_or("files without an extension".to_owned(), |it| format!(".{it} files"));
                    self.leave_out(&reason, &path);
                }
            }
        }
    }

    fn fail(&mut self, path: &Path, error: std::io::Error) {
        let error = anyhow::Error::new(error).context(format!("cannot read `{}`", path.display()));
        self.failed.push((path.display().to_string(), error));
    }

    /// Notes that a path is left out.
    pub fn leave_out(&mut self, reason: &str, path: &Path) {
        self.left_out.entry(reason.to_owned()).or_default().push(path.display().to_string());
    }

    /// The paths that are left out, a line for each reason.
    pub fn left_out_lines(&self) -> Vec<String> {
        let line = |(reason, paths): (&String, &Vec<String>)| {
            let mut paths: Vec<&String> = paths.iter().collect();
            paths.sort();
            let names: Vec<String> = paths.iter().take(SHOWN).map(|path| format!("`{path}`")).collect();
            let more = if paths.len() > SHOWN {
                format!(" and {} more", paths.len() - SHOWN)
            } else {
                String::new()
            };
            format!("left out: {reason}: {}{more}", names.join(", "))
        };
        self.left_out.iter().map(line).collect()
    }
}

/// The plural name of a kind of file without content of its own; `None` for other kinds.
fn special(kind: FileType) -> Option<&'static str> {
    if kind.is_fifo() {
        Some("pipes")
    } else if kind.is_socket() {
        Some("sockets")
    } else if kind.is_block_device() || kind.is_char_device() {
        Some("devices")
    } else {
        None
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_path_has_one_name_whether_or_not_it_exists() {
        let place = tempfile::tempdir().unwrap();
        let root = place.path().canonicalize().unwrap();
        fs::create_dir(root.join("notes")).unwrap();
        fs::write(root.join("notes/keys.md"), "x").unwrap();
        std::os::unix::fs::symlink(root.join("notes"), root.join("linked")).unwrap();
        for (name, expected) in [
            ("notes/../notes/./keys.md", "notes/keys.md"),
            ("linked/keys.md", "notes/keys.md"),
            ("linked/../gone/x.md", "gone/x.md"),
            ("linked/gone.md", "notes/gone.md"),
            ("gone/../../gone.md", "../gone.md"),
        ] {
            let expected = canonical(&root.join(expected));
            assert_eq!(uri(&root.join(name).display().to_string()), expected.display().to_string(), "{name}");
        }
        assert_eq!(uri("https://docs.example.org/a#part"), "https://docs.example.org/a");
        assert_eq!(uri("https://DOCS.example.org"), "https://docs.example.org/");
    }
}
