//! The runtime's code and prompts, and the synthesis of programs, name nothing that only one kind of world has.

#![allow(clippy::unwrap_used, reason = "a test that cannot go on fails")]

use std::fs;
use std::path::{Path, PathBuf};

/// Words of games on a grid and of web pages.
const WORDS: [&str; 34] = [
    "boat",
    "browser",
    "button",
    "buttons",
    "cell",
    "cells",
    "checkbox",
    "chromium",
    "click",
    "clicks",
    "cow",
    "crafter",
    "dx",
    "dy",
    "grid",
    "gull",
    "gulls",
    "html",
    "lava",
    "minecraft",
    "miniwob",
    "north",
    "page",
    "pages",
    "pickaxe",
    "player",
    "players",
    "sheep",
    "skeleton",
    "textbox",
    "tree",
    "trees",
    "wood",
    "zombie",
];
const PHRASES: [&str; 6] =
    ["in front of", "next to the", "next to you", "look around", "look further", "math.abs"];

fn files(folder: &Path, found: &mut Vec<PathBuf>) {
    for entry in fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        let name = path.file_name().unwrap().to_str().unwrap().to_owned();
        if path.is_dir() {
            // Tests and their snapshots may come from any world.
            if name != "snapshots" && name != "tests" {
                files(&path, found);
            }
        } else if name != "tests.rs" {
            found.push(path);
        }
    }
}

#[test]
fn nothing_here_names_what_only_one_kind_of_world_has() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let mut all = Vec::new();
    files(&root.join("src"), &mut all);
    files(&root.join("prompts"), &mut all);
    files(&root.join("../synthesis/src"), &mut all);
    assert!(all.len() > 40, "only {} files were found", all.len());
    let mut found = Vec::new();
    for path in all {
        let text = fs::read_to_string(&path).unwrap();
        // Where programs are made of what was found, a decision tree grows.
        let learns = path.components().any(|part| part.as_os_str() == "play");
        for (number, line) in (1..).zip(text.lines()) {
            // Types of the standard library are neither cells of a grid nor animals.
            let mut line = line.replace("std::cell", "");
            for name in ["Cow::", "Cow<", "Cow;", "Cell::", "Cell<", "Cell;"] {
                line = line.replace(name, "");
            }
            let line = line.to_lowercase();
            let mut words = line.split(|c: char| !c.is_alphanumeric());
            let word = words.find(|word| WORDS.contains(word) && !(learns && *word == "tree"));
            let phrase = PHRASES.into_iter().find(|phrase| line.contains(phrase));
            if let Some(word) = word.or(phrase) {
                let file = path.strip_prefix(root).unwrap().display();
                found.push(format!("{file}:{number}: `{word}`"));
            }
        }
    }
    assert!(
        found.is_empty(),
        "these belong into the description of a world (`sojourn_tools::Wording`):\n{}",
        found.join("\n")
    );
}
