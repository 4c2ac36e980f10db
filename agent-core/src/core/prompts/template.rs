//! The format of the prompt files, checked while this crate compiles.
//!
//! `agent-core/prompts/README.md` describes the format. [`prompt!`](super::prompt) names a file, a section and a value for
//! each placeholder; [`section`] and [`check`] run at compile time, so a program with an unfilled placeholder does not exist.

use std::fmt::{Display, Write as _};

/// What a section's heading begins with.
const HEADING: &[u8] = b"## ";

/// The text of the section `name` of a prompt file, without the blank lines around it.
///
/// Only for constants: a section that does not exist is a compile error.
pub(in crate::core) const fn section(file: &'static str, name: &str) -> &'static str {
    let bytes = file.as_bytes();
    let mut at = 0;
    while at < bytes.len() {
        let next = line_end(bytes, at) + 1;
        if is_heading(bytes, at) && is_name(bytes, at + HEADING.len(), next - 1, name.as_bytes()) {
            let mut end = next;
            while end < bytes.len() && !is_heading(bytes, end) {
                end = line_end(bytes, end) + 1;
            }
            return trimmed(file, next, if end < bytes.len() { end } else { bytes.len() });
        }
        at = next;
    }
    panic!("the prompt file has no section of this name")
}

/// Refuses a placeholder without a value and a value without a placeholder.
///
/// Only for constants: what it refuses is a compile error.
pub(in crate::core) const fn check(template: &str, names: &[&str]) {
    let bytes = template.as_bytes();
    let mut used = 0_u64;
    let mut at = 0;
    while at + 1 < bytes.len() {
        if bytes[at] != b'{' || bytes[at + 1] != b'{' {
            at += 1;
            continue;
        }
        let start = at + 2;
        let mut end = start;
        while end + 1 < bytes.len() && !(bytes[end] == b'}' && bytes[end + 1] == b'}') {
            end += 1;
        }
        assert!(end + 1 < bytes.len(), "a placeholder of the prompt has no end");
        let mut which = 0;
        while which < names.len() && !is_name(bytes, start, end, names[which].as_bytes()) {
            which += 1;
        }
        assert!(which < names.len(), "a placeholder of the prompt has no value");
        used |= 1 << which;
        at = end + 2;
    }
    assert!(used == (1 << names.len()) - 1, "a value has no placeholder in the prompt");
}

/// The template with its placeholders filled. Values are not searched for placeholders.
pub(in crate::core) fn fill(template: &str, values: &[(&str, &dyn Display)]) -> String {
    let mut filled = String::with_capacity(template.len());
    let mut rest = template;
    while let Some((before, placeholder)) = rest.split_once("{{") {
        filled.push_str(before);
        let (name, after) = placeholder.split_once("}}").unwrap_or((placeholder, ""));
        if let Some((_, value)) = values.iter().find(|(known, _)| *known == name) {
            // Writing to a string cannot fail.
            let _ = write!(filled, "{value}");
        }
        rest = after;
    }
    filled.push_str(rest);
    filled
}

/// The position of the line break that ends the line at `at`, or the length of the text.
const fn line_end(bytes: &[u8], mut at: usize) -> usize {
    while at < bytes.len() && bytes[at] != b'\n' {
        at += 1;
    }
    at
}

const fn is_heading(bytes: &[u8], at: usize) -> bool {
    is_name(bytes, at, at + HEADING.len(), HEADING)
}

/// Whether `bytes[start..end]` is `name`.
const fn is_name(bytes: &[u8], start: usize, end: usize, name: &[u8]) -> bool {
    if end > bytes.len() || end < start || end - start != name.len() {
        return false;
    }
    let mut at = 0;
    while at < name.len() {
        if bytes[start + at] != name[at] {
            return false;
        }
        at += 1;
    }
    true
}

/// `text[start..end]` without the line breaks around it.
const fn trimmed(text: &'static str, mut start: usize, mut end: usize) -> &'static str {
    let bytes = text.as_bytes();
    while start < end && bytes[start] == b'\n' {
        start += 1;
    }
    while end > start && bytes[end - 1] == b'\n' {
        end -= 1;
    }
    text.split_at(end).0.split_at(start).1
}

/// A section of a prompt file, filled: `prompt!("choose", "known_task", signature = …, description = …)`.
macro_rules! prompt {
    ($file:literal, $section:literal $(, $name:ident = $value:expr)* $(,)?) => {{
        use $crate::core::prompts::template;
        const TEMPLATE: &str = template::section(
            include_str!(concat!(env!("CARGO_MANIFEST_DIR"), "/prompts/", $file, ".md")),
            $section,
        );
        const _: () = template::check(TEMPLATE, &[$(stringify!($name)),*]);
        template::fill(TEMPLATE, &[$((stringify!($name), &$value)),*])
    }};
}
pub(in crate::core) use prompt;

#[cfg(test)]
mod tests {
    use super::*;
    use std::fs;
    use std::path::{Path, PathBuf};

    const FILE: &str = "About `{{this}}`.\n\n## first\nHello {{name}},\nand {{name}}.\n\n## second thing\n\nBye.\n\n\n## first_not\nx";

    #[test]
    fn a_section_is_the_text_below_its_heading() {
        assert_eq!(section(FILE, "first"), "Hello {{name}},\nand {{name}}.");
        assert_eq!(section(FILE, "second thing"), "Bye.");
        assert_eq!(section(FILE, "first_not"), "x");
    }

    #[test]
    fn values_are_filled_in_once() {
        let filled = fill(section(FILE, "first"), &[("name", &"{{name}}")]);
        assert_eq!(filled, "Hello {{name}},\nand {{name}}.");
    }

    #[test]
    fn names_and_placeholders_must_be_the_same() {
        let refused = |template: &'static str, names: &'static [&'static str]| {
            std::panic::catch_unwind(|| check(template, names)).is_err()
        };
        assert!(!refused("{{a}} and {{b}}", &["b", "a"]));
        assert!(!refused("{a}", &[]));
        assert!(refused("{{a}} and {{b}}", &["a"]), "a placeholder without a value");
        assert!(refused("{{a}}", &["a", "b"]), "a value without a placeholder");
        assert!(refused("{{a}} {{b", &["a"]), "a placeholder without an end");
        assert!(std::panic::catch_unwind(|| section(FILE, "third")).is_err());
    }

    fn sources(folder: &Path, found: &mut Vec<PathBuf>) {
        for entry in fs::read_dir(folder).unwrap() {
            let path = entry.unwrap().path();
            if path.is_dir() {
                sources(&path, found);
            } else if path.extension().is_some_and(|extension| extension == "rs") {
                found.push(path);
            }
        }
    }

    /// The compiler checks that each use fits its section; this finds sections and files that nothing uses.
    #[test]
    fn every_section_of_every_file_is_used() {
        let root = Path::new(env!("CARGO_MANIFEST_DIR"));
        let mut files = Vec::new();
        sources(&root.join("src/core"), &mut files);
        let words = |path: &PathBuf| fs::read_to_string(path).unwrap().split_whitespace().collect::<String>();
        let code: String = files.iter().map(words).collect();
        let mut unused = Vec::new();
        let mut sections = 0;
        for entry in fs::read_dir(root.join("prompts")).unwrap() {
            let path = entry.unwrap().path();
            let file = path.file_stem().unwrap().to_str().unwrap().to_owned();
            let text = fs::read_to_string(&path).unwrap();
            if file == "README" {
                continue;
            }
            for name in text.lines().filter_map(|line| line.strip_prefix("## ")) {
                sections += 1;
                if !code.contains(&format!("prompt!(\"{file}\",\"{name}\"")) {
                    unused.push(format!("{file}: {name}"));
                }
            }
        }
        assert!(sections > 80, "only {sections} sections were found");
        assert!(unused.is_empty(), "nothing uses {unused:?}");
    }
}
