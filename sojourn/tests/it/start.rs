//! What a person sees before a model is loaded: names that do not exist, a page that cannot be reached, a plugin's tools.

#![allow(clippy::unwrap_used, reason = "a test that cannot go on fails")]

use crate::support::{command, place};
use std::path::{Path, PathBuf};

fn dice() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).parent().unwrap().join("examples/plugins/python")
}

#[test]
fn an_agent_file_names_what_does_not_exist() {
    // A model is never loaded: there is none of this name.
    let model = "model = \"no-such-model\"\n";
    let site = "[environment]\nkind = \"web\"\nname = \"shop\"\nstart = \"http://127.0.0.1:1/\"\n\
                [environment.tasks.buy]\ngoal = \"Buy.\"\nsuccess = \"true\"\n";
    for (name, text) in [
        ("unknown_task", "environment = \"crafter\"\n[run]\ntasks = [\"build_wall\", \"collect_wood\"]\n"),
        ("misspelt_task", "environment = \"crafter\"\n[run]\ntasks = [\"colect_wood\"]\n"),
        ("unknown_environment_kind", "[environment]\nkind = \"crafter\"\n"),
        ("misspelt_environment_kind", "[environment]\nkind = \"proces\"\n"),
        ("unreachable_start_page", site),
    ] {
        let place = place();
        std::fs::write(place.path().join("agent.toml"), format!("{model}{text}")).unwrap();
        insta::assert_snapshot!(name, place.complaint(&["run", "agent.toml"]));
    }
}

#[test]
fn a_plugin_s_directory_is_listed_as_it_is_called() {
    if !sojourn_testkit::has("python3") {
        return;
    }
    let (place, dice) = (tempfile::tempdir().unwrap(), dice());
    let dice = dice.to_str().unwrap();
    let listed = command(place.path(), &["tools", "list", dice]).output().unwrap();
    let listed = String::from_utf8_lossy(&listed.stdout).into_owned();
    assert!(listed.contains("roll(sides, count") && listed.contains("allow"), "{listed}");

    let roll = || {
        let args = ["tools", "call", dice, "roll", r#"{"sides": 100, "count": 20}"#];
        let output = command(place.path(), &args).env("DICE_SEED", "7").output().unwrap();
        String::from_utf8_lossy(&output.stdout).into_owned()
    };
    let first = roll();
    assert!(first.contains(','), "{first}");
    assert_eq!(first, roll(), "equal seeds roll alike");
}
