//! The reference of the command line, from clap.

use super::cell;
use clap::{Arg, Command};
use std::fmt::Write as _;

const HEAD: &str = "\
# Command line

This page is generated from the program (`cargo xtask docs`). `--help` after a command prints the same.
[Operations](operations.md#scripts) has the exit codes, and [environment variables](operations.md#environment-variables).

";

/// The page.
pub fn page() -> String {
    let mut root = sojourn_cli::command();
    root.build();
    let mut page = HEAD.to_owned();
    let _ = writeln!(page, "## Options of every command\n");
    arguments(&mut page, root.get_arguments().filter(|argument| argument.is_global_set()));
    for command in shown(&root) {
        write_command(&mut page, command, "sojourn", 2);
    }
    page.truncate(page.trim_end().len());
    page.push('\n');
    page
}

fn shown(command: &Command) -> impl Iterator<Item = &Command> {
    command.get_subcommands().filter(|command| !command.is_hide_set() && command.get_name() != "help")
}

fn write_command(page: &mut String, command: &Command, parent: &str, level: usize) {
    let name = format!("{parent} {}", command.get_name());
    let about = command.get_long_about().or_else(|| command.get_about()).map(ToString::to_string);
    let usage = command.clone().render_usage().to_string();
    let usage =
        usage.trim_start_matches("Usage:").trim().lines().map(str::trim).collect::<Vec<_>>().join("\n");
    let _ = writeln!(page, "{} {name}\n\n{}\n", "#".repeat(level), about.unwrap_or_default().trim());
    let _ = writeln!(page, "```text\n{usage}\n```\n");
    arguments(page, command.get_arguments().filter(|argument| !argument.is_global_set()));
    for command in shown(command) {
        write_command(page, command, &name, (level + 1).min(4));
    }
}

fn arguments<'a>(page: &mut String, arguments: impl Iterator<Item = &'a Arg>) {
    let names = ["help", "version"];
    let shown: Vec<&Arg> = arguments
        .filter(|argument| !argument.is_hide_set() && !names.contains(&argument.get_id().as_str()))
        .collect();
    if shown.is_empty() {
        return;
    }
    let _ = writeln!(page, "| argument | meaning |\n|---|---|");
    for argument in shown {
        let _ = writeln!(page, "| `{}` | {} |", cell(&name(argument)), cell(&meaning(argument)));
    }
    page.push('\n');
}

/// `-k, --number <N>`.
fn name(argument: &Arg) -> String {
    let values = argument.get_value_names().unwrap_or_default();
    let value = match values.first() {
        Some(value) if argument.get_action().takes_values() => value.as_str(),
        _ => "",
    };
    if argument.is_positional() {
        return value.to_owned();
    }
    let short = argument.get_short().map(|short| format!("-{short}"));
    let long = argument.get_long().map(|long| format!("--{long}"));
    let names = short.into_iter().chain(long).collect::<Vec<_>>().join(", ");
    if value.is_empty() { names } else { format!("{names} {value}") }
}

fn meaning(argument: &Arg) -> String {
    let help = argument.get_long_help().or_else(|| argument.get_help()).map(ToString::to_string);
    let mut meaning = help.unwrap_or_default().trim().to_owned();
    if !meaning.is_empty() && !meaning.ends_with(['.', ':']) {
        meaning.push('.');
    }
    let values: Vec<String> = argument
        .get_possible_values()
        .iter()
        .filter(|value| !value.is_hide_set() && argument.get_action().takes_values())
        .map(|value| format!("`{}`", value.get_name()))
        .collect();
    if !values.is_empty() {
        let _ = write!(meaning, " One of {}.", values.join(", "));
    }
    let defaults: Vec<_> =
        argument.get_default_values().iter().map(|value| value.to_string_lossy()).collect();
    if !defaults.is_empty() && argument.get_action().takes_values() {
        let _ = write!(meaning, " Default: `{}`.", defaults.join(" "));
    }
    if let Some(variable) = argument.get_env() {
        let _ = write!(meaning, " Variable: `{}`.", variable.to_string_lossy());
    }
    meaning
}
