//! What every page of the repository has to hold to.

use super::{agent_file, command_line, log_and_prompts};
use clap::error::ErrorKind;
use sojourn_testkit::markdown::{Page, pages, root, words};
use std::collections::BTreeSet;
use std::path::{Component, Path, PathBuf};

/// The directory of the book's pages.
const BOOK: &str = "docs/src";

/// Fails with all faults at once.
fn demand_none(faults: &[String]) {
    assert!(faults.is_empty(), "\n{}\n", faults.join("\n"));
}

fn at(page: &Page, line: usize, fault: impl std::fmt::Display) -> String {
    format!("{}:{line}: {fault}", page.path.display())
}

#[test]
fn generated_pages_are_current() {
    let generated = [
        ("agent-file.md", agent_file::page()),
        ("cli.md", command_line::page()),
        ("record-kinds.md", log_and_prompts::kinds()),
        ("prompts.md", log_and_prompts::prompts()),
    ];
    let write = std::env::var("SOJOURN_DOCS").is_ok_and(|value| value == "write");
    let mut faults = Vec::new();
    for (name, text) in generated {
        let path = root().join(BOOK).join(name);
        if std::fs::read_to_string(&path).unwrap_or_default() == text {
            continue;
        }
        if write {
            std::fs::write(&path, text).unwrap();
        } else {
            faults.push(format!("{BOOK}/{name} is stale; run `cargo xtask docs`"));
        }
    }
    demand_none(&faults);
}

/// `a/b/../c` without the detour.
fn normal(path: &Path) -> PathBuf {
    let mut normal = PathBuf::new();
    for part in path.components() {
        match part {
            Component::ParentDir => {
                normal.pop();
            }
            Component::CurDir => {}
            other => normal.push(other),
        }
    }
    normal
}

#[test]
fn links_and_anchors_lead_somewhere() {
    let pages = pages();
    let mut faults = Vec::new();
    for page in &pages {
        for (line, link) in page.links() {
            if link.contains("://") || link.starts_with("mailto:") {
                continue;
            }
            let (file, anchor) =
                link.split_once('#').map_or((link.as_str(), None), |(file, anchor)| (file, Some(anchor)));
            let target = match file {
                "" => page.path.clone(),
                file => normal(&page.path.parent().unwrap().join(file)),
            };
            if !root().join(&target).exists() {
                faults.push(at(page, line, format_args!("`{link}` leads nowhere")));
            } else if let Some(anchor) = anchor {
                let there = pages.iter().find(|page| page.path == target);
                if !there.is_some_and(|page| page.anchors().iter().any(|one| one == anchor)) {
                    faults.push(at(page, line, format_args!("`{link}`: there is no such heading")));
                }
            }
        }
    }
    demand_none(&faults);
}

#[test]
fn every_page_of_the_book_is_in_its_summary() {
    let pages = pages();
    let of_book: BTreeSet<PathBuf> = pages
        .iter()
        .filter(|page| page.path.starts_with(BOOK) && !page.path.ends_with("SUMMARY.md"))
        .map(|page| page.path.strip_prefix(BOOK).unwrap().to_owned())
        .collect();
    let summary = pages.iter().find(|page| page.path.ends_with("docs/src/SUMMARY.md")).unwrap();
    let listed: BTreeSet<PathBuf> =
        summary.links().into_iter().map(|(_, link)| PathBuf::from(link)).collect();
    assert_eq!(of_book, listed);
}

/// The targets of the `Makefile`.
fn targets() -> Vec<String> {
    let makefile = std::fs::read_to_string(root().join("Makefile")).unwrap();
    let lines = makefile.lines().filter(|line| !line.starts_with(['\t', '.', '#']) && !line.contains('='));
    lines.filter_map(|line| Some(line.split_once(':')?.0.to_owned())).collect()
}

/// The chores of `cargo xtask`, as its usage text lists them.
fn chores() -> Vec<String> {
    let source = std::fs::read_to_string(root().join("xtask/src/main.rs")).unwrap();
    let lines = source.lines().filter_map(|line| line.strip_prefix("  "));
    lines
        .filter(|line| !line.starts_with(' '))
        .filter_map(|line| Some(line.split(' ').next()?.to_owned()))
        .collect()
}

/// Whether a command is a script of this repository.
fn is_script(program: &str) -> bool {
    program.starts_with("scripts/") && [".sh", ".py"].iter().any(|end| program.ends_with(end))
}

/// Why `words` are no command of this repository. A `mention` may leave out what a command needs.
fn fault(words: &[String], mention: bool) -> Option<String> {
    let words: Vec<&str> = words.iter().map(String::as_str).skip_while(|word| word.contains('=')).collect();
    match words[..] {
        ["sojourn", ..] => {
            let error = sojourn_cli::command().try_get_matches_from(&words).err()?;
            let incomplete = [
                ErrorKind::MissingRequiredArgument,
                ErrorKind::MissingSubcommand,
                ErrorKind::DisplayHelpOnMissingArgumentOrSubcommand,
                ErrorKind::InvalidValue,
                ErrorKind::ValueValidation,
            ];
            let fine = match error.kind() {
                ErrorKind::DisplayHelp | ErrorKind::DisplayVersion => true,
                kind => mention && incomplete.contains(&kind),
            };
            (!fine).then(|| error.to_string())
        }
        ["make", ref rest @ ..] => {
            let targets = targets();
            let unknown =
                rest.iter().find(|word| !word.contains('=') && !targets.iter().any(|target| target == *word));
            unknown.map(|word| format!("the Makefile has no target `{word}`"))
        }
        ["cargo", "xtask", chore, ..] if !chores().iter().any(|known| known == chore) => {
            Some(format!("`cargo xtask` has no chore `{chore}`"))
        }
        [program, ..] if is_script(program) && !root().join(program).exists() => {
            Some(format!("there is no `{program}`"))
        }
        _ => None,
    }
}

#[test]
fn commands_that_are_shown_exist() {
    let mut faults = Vec::new();
    for page in pages() {
        for (line, words) in page.commands() {
            faults.extend(fault(&words, false).map(|fault| at(&page, line, fault)));
        }
        for (line, span) in page.spans() {
            if ["sojourn ", "make ", "cargo xtask ", "scripts/"].iter().any(|start| span.starts_with(start))
                && !span.contains('…')
            {
                for words in words(&span) {
                    faults.extend(fault(&words, true).map(|fault| at(&page, line, fault)));
                }
            }
        }
    }
    demand_none(&faults);
}

#[test]
fn agent_files_that_are_shown_are_read() {
    let mut faults = Vec::new();
    for page in pages() {
        for block in page.blocks().iter().filter(|block| block.info == "toml agent") {
            let example = root().join("examples/crafter");
            let read = sojourn_cli::agent_file::AgentFile::parse(&block.text, "agent.toml", &example, &[]);
            faults.extend(read.err().map(|error| at(&page, block.line, format_args!("{error:#}"))));
        }
    }
    demand_none(&faults);
}

/// Each block runs in a directory with `examples/` and `scripts/`, and a home that holds the golden log's run.
#[test]
fn commands_marked_run_succeed() {
    if !sojourn_testkit::has("python3") {
        return;
    }
    let program = Path::new(env!("CARGO_BIN_EXE_sojourn")).parent().unwrap().to_owned();
    let path = std::env::join_paths(
        std::iter::once(program).chain(std::env::split_paths(&std::env::var_os("PATH").unwrap_or_default())),
    );
    let path = path.unwrap();
    let mut faults = Vec::new();
    for page in pages() {
        for block in page.blocks().iter().filter(|block| block.info == "sh run") {
            let directory = tempfile::tempdir().unwrap();
            let home = directory.path().join("home");
            std::fs::create_dir(&home).unwrap();
            std::fs::write(home.join("sojourn.db"), crate::golden::log()).unwrap();
            for shared in ["examples", "scripts"] {
                std::os::unix::fs::symlink(root().join(shared), directory.path().join(shared)).unwrap();
            }
            let output = sojourn_testkit::command("bash")
                .args(["-euo", "pipefail", "-c", &block.text])
                .current_dir(directory.path())
                .env("PATH", &path)
                .env("SOJOURN_HOME", &home)
                .output()
                .unwrap();
            if !output.status.success() {
                let (out, err) =
                    (String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr));
                faults.push(at(&page, block.line, format_args!("{}\n{out}{err}", output.status)));
            }
        }
    }
    demand_none(&faults);
}
