//! Searching all text files below a directory, in bounded memory and time.

use super::files::{LISTED, read};
use cap_std::fs::Dir;
use std::io;
use std::path::{Path, PathBuf};

/// Limit on what is shown of one line, in characters, and of that what stands before the text.
const LINE: usize = 300;
const BEFORE: usize = 100;
/// Limit on the whole result, in bytes.
const RESULT: usize = 64 << 10;
/// Limits on what one search reads: directories and files, and bytes of files.
const ENTRIES: usize = 100_000;
const BYTES: usize = 1 << 30;

/// What bounds a search besides its size.
pub(super) struct Limits<'a> {
    /// Whether somebody still waits for the result.
    pub wanted: &'a dyn Fn() -> bool,
    /// Whether a file may be read. A policy that denies reading it denies searching it.
    pub may_read: &'a dyn Fn(&str) -> bool,
}

/// The lines that hold `text` in the files below `path`, as `FILE:LINE: TEXT`. Ends early, with what was found, when a limit is
/// reached, and without a result when the caller has stopped waiting.
pub(super) fn search(root: &Dir, path: &str, text: &str, limits: &Limits<'_>) -> io::Result<String> {
    let mut found = Found::default();
    let mut open = vec![PathBuf::from(path)];
    let (mut entries_left, mut bytes_left) = (ENTRIES, BYTES);
    while let Some(directory) = open.pop() {
        let entries = match root.read_dir(&directory) {
            Ok(entries) => entries,
            // An unreadable subdirectory does not end the search of the others.
            Err(_) if directory != Path::new(path) => continue,
            Err(error) => return Err(error),
        };
        for entry in entries {
            if !(limits.wanted)() {
                return Err(io::Error::other("the search was given up"));
            }
            let entry = entry?;
            let Some(left) = entries_left.checked_sub(1) else {
                return Ok(found.ended(&format!("only {ENTRIES} files and directories were searched")));
            };
            entries_left = left;
            let path = directory.join(entry.file_name());
            let kind = entry.file_type()?;
            if kind.is_dir() {
                open.push(path);
            } else if kind.is_file()
                && let Some(name) = path.to_str()
                && (limits.may_read)(name)
                // Binary and oversized files are skipped.
                && let Ok(content) = read(root, name)
            {
                for (number, line) in content.lines().enumerate() {
                    if let Some(at) = line.find(text)
                        && !found.add(name, number + 1, &excerpt(line, at))
                    {
                        return Ok(found.ended(&format!("only the first {} are shown", found.lines)));
                    }
                }
                let Some(left) = bytes_left.checked_sub(content.len()) else {
                    return Ok(found.ended(&format!("only the first {} MiB were searched", BYTES >> 20)));
                };
                bytes_left = left;
            }
        }
    }
    Ok(if found.lines == 0 { "nothing found".to_owned() } else { found.text })
}

/// The lines found so far.
#[derive(Default)]
struct Found {
    text: String,
    lines: usize,
}

impl Found {
    /// Adds a line. Returns false if there is no room for it.
    fn add(&mut self, file: &str, number: usize, line: &str) -> bool {
        let line = format!("{file}:{number}: {line}");
        if self.lines == LISTED || self.text.len() + line.len() > RESULT {
            return false;
        }
        if self.lines > 0 {
            self.text.push('\n');
        }
        self.text.push_str(&line);
        self.lines += 1;
        true
    }

    /// The result of a search that ended early.
    fn ended(&self, why: &str) -> String {
        let separator = if self.text.is_empty() { "" } else { "\n" };
        format!("{}{separator}[{why}]", self.text)
    }
}

/// The line, or of a long one the part around the byte `at`.
fn excerpt(line: &str, at: usize) -> String {
    if line.len() <= LINE {
        return line.trim().to_owned();
    }
    let start = line[..at].char_indices().rev().nth(BEFORE - 1).map_or(0, |(start, _)| start);
    let end = line[start..].char_indices().nth(LINE).map_or(line.len(), |(end, _)| start + end);
    let (before, after) = (if start > 0 { "…" } else { "" }, if end < line.len() { "…" } else { "" });
    format!("{before}{}{after}", line[start..end].trim())
}

#[cfg(test)]
mod tests {
    use super::*;

    const ANY: Limits<'_> = Limits { wanted: &|| true, may_read: &|_| true };

    fn place() -> (tempfile::TempDir, Dir) {
        let place = tempfile::tempdir().unwrap();
        let root = Dir::open_ambient_dir(place.path(), cap_std::ambient_authority()).unwrap();
        (place, root)
    }

    #[test]
    fn long_lines_do_not_fill_the_memory() {
        let (place, root) = place();
        let line = format!("{}needle{}", "é".repeat(1 << 20), "x".repeat(1 << 20));
        for number in 0..20 {
            std::fs::write(place.path().join(format!("{number}.txt")), format!("needle\n{line}\n")).unwrap();
        }
        let found = search(&root, ".", "needle", &ANY).unwrap();
        assert_eq!(found.lines().count(), 40);
        assert!(found.len() < 20 << 10, "{}", found.len());
        assert!(found.lines().all(|line| line.contains("needle")));
    }

    #[test]
    fn a_search_reads_no_file_that_may_not_be_read() {
        let (place, root) = place();
        for name in ["public", "secret"] {
            std::fs::create_dir(place.path().join(name)).unwrap();
            std::fs::write(place.path().join(name).join("a"), "needle").unwrap();
        }
        let limits = Limits { may_read: &|file| !file.contains("secret"), ..ANY };
        assert_eq!(search(&root, ".", "needle", &limits).unwrap(), "./public/a:1: needle");
    }

    #[test]
    fn a_search_that_nobody_waits_for_ends() {
        let (place, root) = place();
        std::fs::write(place.path().join("a"), "needle").unwrap();
        assert!(search(&root, ".", "needle", &Limits { wanted: &|| false, ..ANY }).is_err());
    }

    #[test]
    fn the_first_matches_are_shown_and_the_rest_is_announced() {
        let (place, root) = place();
        std::fs::write(place.path().join("a"), "needle\n".repeat(LISTED + 1)).unwrap();
        let found = search(&root, ".", "needle", &ANY).unwrap();
        assert!(found.ends_with("\n[only the first 500 are shown]"), "{found}");
        assert_eq!(search(&root, ".", "nowhere", &ANY).unwrap(), "nothing found");
    }
}
