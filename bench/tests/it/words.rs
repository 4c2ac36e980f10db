//! Help texts and error messages.

use sojourn_testkit::Place;

fn place() -> Place {
    Place::new(env!("CARGO_BIN_EXE_sojourn-bench"))
}

#[test]
fn help_of_every_benchmark() {
    for command in ["crafter", "miniwob", "log", "controller", "locomo", "bfcl"] {
        insta::assert_snapshot!(format!("help_{command}"), place().text(&[command, "--help"]));
    }
}

#[test]
fn errors_of_command_lines() {
    for (name, args) in [
        ("learning_worlds", &["crafter", "--random-policy", "--first-seed", "1000000000"][..]),
        ("two_policies", &["crafter", "--random-policy", "--model", "x"]),
    ] {
        insta::assert_snapshot!(name, place().complaint(args));
    }
}
