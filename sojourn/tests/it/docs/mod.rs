//! The documentation is true: generated pages are those of this program, links lead somewhere, commands parse, and agent files load.
//!
//! `cargo xtask docs` runs these tests with `SOJOURN_DOCS=write`, which writes the generated pages instead of comparing them.

#![allow(clippy::unwrap_used, reason = "a test that cannot go on fails")]

mod agent_file;
mod command_line;
mod log_and_prompts;
mod pages;

/// A text in a table's cell. Links between items of Rust, which Markdown does not know, lose their brackets.
fn cell(text: &str) -> String {
    text.trim().replace('|', "\\|").replace("[`", "`").replace("`]", "`").replace('\n', " ")
}
