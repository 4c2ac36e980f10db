//! What the default model says that goals in words mean.
#![allow(clippy::unwrap_used, reason = "a test that cannot go on fails")]

use serde_json::Value;
use sojourn_testkit::skipped;
use std::path::Path;

#[test]
fn the_default_model_finds_the_field_that_shows_a_goal() {
    let place = tempfile::tempdir().unwrap();
    let world = Path::new(env!("CARGO_MANIFEST_DIR")).join("../examples/worlds/cellar.py");
    let text = format!(
        "embedding = \"none\"\n[environment]\nkind = \"process\"\ncommand = [\"python3\", {world:?}]\n"
    );
    std::fs::write(place.path().join("agent.toml"), text).unwrap();
    let output = sojourn_testkit::command(env!("CARGO_BIN_EXE_sojourn"))
        .current_dir(place.path())
        .args(["--home", "home", "goal", "check", "agent.toml", "--json", "--goal", "be in the kitchen"])
        .output()
        .unwrap();
    let complained = String::from_utf8_lossy(&output.stderr);
    if complained.contains("is not on this machine") {
        skipped("the default model was not pulled");
        return;
    }
    let told: Value = serde_json::from_slice(&output.stdout).unwrap_or_else(|_| panic!("{complained}"));
    assert_eq!(told["goals"][0]["when"], "/room is \"kitchen\"", "{told}");
}
