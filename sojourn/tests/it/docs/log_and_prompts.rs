//! The lists of record kinds and of prompts.

use super::cell;
use sojourn_core::log::documented_kinds;
use sojourn_testkit::markdown::{Page, pages};
use std::fmt::Write as _;

const KINDS: &str = "\
# Record kinds

This page is generated from the program (`cargo xtask docs`). Every kind is declared once, in
[agent-core/src/log/record.rs](../../agent-core/src/log/record.rs), with its payload; `sojourn log RUN --kind KIND` filters by it, and
`sojourn log show RUN SEQ --json` prints a payload. [Log and replay](log.md) explains the log.

| kind | meaning |
|---|---|
";

const PROMPTS: &str = "\
# Prompts

This page is generated from the files (`cargo xtask docs`). Every text that the controller reads is in one of them, or comes from the
world's own description. [agent-core/prompts](../../agent-core/prompts/README.md) says when each is sent.

| file | purpose | parts |
|---|---|---|
";

/// The page of record kinds.
pub fn kinds() -> String {
    let mut page = KINDS.to_owned();
    for (kind, meaning) in documented_kinds() {
        let _ = writeln!(page, "| `{kind}` | {} |", cell(meaning));
    }
    page
}

/// The page of prompts.
pub fn prompts() -> String {
    let mut text = PROMPTS.to_owned();
    let of_prompts =
        |page: &&Page| page.path.starts_with("agent-core/prompts") && !page.path.ends_with("README.md");
    for page in pages().iter().filter(of_prompts) {
        let heading = |level: &str| {
            page.text.lines().filter_map(|line| line.strip_prefix(level)).map(str::trim).collect::<Vec<_>>()
        };
        let parts: Vec<String> = heading("## ").iter().map(|part| format!("`{part}`")).collect();
        let (path, file) = (page.path.display(), page.path.file_name().unwrap_or_default().to_string_lossy());
        let purpose = heading("# ").first().copied().unwrap_or_default().to_owned();
        let _ = writeln!(text, "| [{file}](../../{path}) | {} | {} |", cell(&purpose), parts.join(", "));
    }
    text
}
