//! The help texts, as people read them.

use super::Args;
use clap::Parser as _;

#[test]
fn help_of_every_command() {
    for command in [
        &[][..],
        &["run"],
        &["up"],
        &["schedule"],
        &["schedule", "add"],
        &["schedule", "history"],
        &["approvals"],
        &["bench"],
        &["runs"],
        &["log"],
        &["log", "show"],
        &["log", "verify"],
        &["log", "recover"],
        &["log", "export"],
        &["log", "import"],
        &["log", "gc"],
        &["replay"],
        &["diff"],
        &["memory"],
        &["memory", "search"],
        &["memory", "forget"],
        &["knowledge", "add"],
        &["skills", "list"],
        &["skills", "show"],
        &["skills", "run"],
        &["tools", "list"],
        &["tools", "new"],
        &["environments", "install"],
        &["environments", "check"],
        &["mcp"],
        &["models"],
        &["doctor"],
    ] {
        let words = ["sojourn"].iter().chain(command).chain(&["--help"]);
        let Err(help) = Args::try_parse_from(words) else { panic!("{command:?} has no help") };
        insta::assert_snapshot!(format!("help_{}", command.join("_")), help);
    }
}

#[test]
fn the_command_line_is_consistent() {
    <Args as clap::CommandFactory>::command().debug_assert();
}
