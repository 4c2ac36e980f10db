//! Completions: the shell asks this program, which knows the runs, tasks and skills of the home, and the models.

use crate::home::Home;
use crate::models;
use clap::{Arg, Command};
use clap_complete::env::{CompleteEnv, Shells};
use clap_complete::{ArgValueCompleter, CompletionCandidate};
use sojourn_core::LogRecord;
use sojourn_memory::{EventSeq, RecordQuery, Schedule, Work};
use sojourn_tools::outside::terminal;
use sojourn_tools::{EnvironmentProvider, EnvironmentRegistry};
use std::collections::BTreeSet;
use std::ffi::OsStr;
use std::path::PathBuf;

/// The environment variable by which the script of `sojourn completions` asks for completions.
const VARIABLE: &str = "SOJOURN_COMPLETE";
/// The latest runs, whose tasks are offered.
const RUNS_WITH_TASKS: usize = 20;

/// Limit on the approvals that are offered.
const MOST_APPROVALS: u32 = 100;

/// What an argument names.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Named {
    Run,
    Task,
    Skill,
    Model,
    Environment,
    Schedule,
    Approval,
}

/// Answers the shell where it asks for completions; returns whether it did.
///
/// # Errors
/// When the shell is unknown or standard output cannot be written.
pub fn answer(environments: &EnvironmentRegistry) -> Result<bool, clap::Error> {
    if std::env::var_os(VARIABLE).is_none() {
        return Ok(false);
    }
    let command = || with_names(crate::command(), &[], environments);
    let directory = std::env::current_dir().ok();
    CompleteEnv::with_factory(command).var(VARIABLE).try_complete(std::env::args_os(), directory.as_deref())
}

/// The script that makes a shell ask this program.
///
/// # Errors
/// When there is no script for this shell.
pub fn script(shell: &str) -> std::io::Result<String> {
    let mut script = Vec::new();
    let program = std::env::args_os().next().map_or_else(|| "sojourn".into(), PathBuf::from);
    // A name without a directory is found on the PATH.
    let program = match std::env::current_dir() {
        Ok(here) if program.components().count() > 1 => here.join(program),
        _ => program,
    };
    let shells = Shells::builtins();
    let completer =
        shells.completer(shell).ok_or_else(|| std::io::Error::other(format!("no shell `{shell}`")))?;
    completer.write_registration(VARIABLE, "sojourn", "sojourn", &program.to_string_lossy(), &mut script)?;
    Ok(String::from_utf8_lossy(&script).into_owned())
}

/// The command with completers for the arguments that name something. `path` are the names of the commands above.
fn with_names(mut command: Command, path: &[String], environments: &EnvironmentRegistry) -> Command {
    let mut path = path.to_vec();
    path.push(command.get_name().to_owned());
    let arguments: Vec<(clap::Id, Named)> =
        command.get_arguments().filter_map(|arg| Some((arg.get_id().clone(), named(arg, &path)?))).collect();
    for (id, named) in arguments {
        let environments = environments.clone();
        let completer = ArgValueCompleter::new(move |typed: &OsStr| candidates(named, typed, &environments));
        command = command.mut_arg(id, |arg| arg.add(completer));
    }
    let below: Vec<String> = command.get_subcommands().map(|below| below.get_name().to_owned()).collect();
    for name in below {
        command = command.mut_subcommand(name, |below| with_names(below, &path, environments));
    }
    command
}

/// What the values of an argument name, if it is something that this program knows.
fn named(arg: &Arg, path: &[String]) -> Option<Named> {
    let group = path.get(1).map_or("", String::as_str);
    Some(match (arg.get_id().as_str(), group) {
        ("run", _) if arg.get_num_args().is_none_or(|values| values.max_values() != 0) => Named::Run,
        ("resume" | "left" | "right", _) => Named::Run,
        ("task", _) => Named::Task,
        ("skill", _) | ("name" | "into", "skills" | "reflexes") => Named::Skill,
        ("model", _) | ("name", "models") => Named::Model,
        ("environment", _) => Named::Environment,
        ("schedule", "schedule") => Named::Schedule,
        ("approval", "approvals") => Named::Approval,
        _ => return None,
    })
}

/// The values that begin with what was typed. Whatever cannot be read offers nothing.
fn candidates(named: Named, typed: &OsStr, environments: &EnvironmentRegistry) -> Vec<CompletionCandidate> {
    let typed = typed.to_string_lossy();
    let offered = match named {
        Named::Model => model_names(),
        Named::Environment => {
            let names = environments.providers().map(EnvironmentProvider::name);
            Some(names.map(|name| (name.to_owned(), String::new())).collect())
        }
        Named::Run | Named::Task | Named::Skill | Named::Schedule | Named::Approval => {
            in_home(named, environments)
        }
    };
    let fits = |(value, _): &(String, String)| value.starts_with(typed.as_ref()) && is_plain(value);
    let candidate = |(value, help): (String, String)| {
        let help = terminal::one_line(&help).into_owned();
        CompletionCandidate::new(value).help((!help.is_empty()).then(|| help.into()))
    };
    offered.unwrap_or_default().into_iter().filter(fits).map(candidate).collect()
}

/// Whether a shell takes a value for itself and nothing else. It stands on the command line as it is, and the log of a run from
/// elsewhere may call a task `$(rm -r ~)`.
fn is_plain(value: &str) -> bool {
    let plain = |c: char| c.is_alphanumeric() || "_-.:/@+,=".contains(c);
    !value.starts_with('-') && value.chars().all(plain)
}

/// Names with what helps to tell them apart.
type Offered = Vec<(String, String)>;

fn model_names() -> Option<Offered> {
    let models = models::open().ok()?.list();
    Some(models.into_iter().map(|model| (model.entry.name.clone(), model.entry.summary.clone())).collect())
}

fn in_home(named: Named, environments: &EnvironmentRegistry) -> Option<Offered> {
    let home = Home::find(home_of(std::env::args()), environments.clone()).ok()?;
    // Reading a home must not make one.
    if !home.path().exists() {
        return None;
    }
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().ok()?;
    runtime.block_on(async {
        match named {
            Named::Skill => {
                let library = home.read_library().await.ok()??;
                let names = library.state().histories().map(|(name, _)| (name.to_owned(), String::new()));
                Some(names.collect())
            }
            Named::Task => tasks(&home).await,
            Named::Schedule => {
                let schedules = home.store().await.ok()?.schedules().await.ok()?;
                let of = |one: Schedule| match one.settings.work {
                    Work::Run { agent, .. } => (one.settings.name, agent),
                    Work::CollectLogs(_) => (one.settings.name, "log gc".to_owned()),
                };
                Some(schedules.into_iter().map(of).collect())
            }
            Named::Approval => {
                let waiting = home.store().await.ok()?.approvals(None, false, MOST_APPROVALS).await.ok()?;
                Some(waiting.into_iter().map(|one| (one.id.to_string(), one.asked.call.tool)).collect())
            }
            _ => runs(&home).await,
        }
    })
}

/// The home that the command line names, which the shell passes on word by word.
fn home_of(words: impl Iterator<Item = String>) -> Option<PathBuf> {
    let mut words = words;
    while let Some(word) = words.next() {
        match word.strip_prefix("--home") {
            Some("") => return words.next().map(PathBuf::from),
            Some(value) if value.starts_with('=') => return Some(PathBuf::from(&value[1..])),
            _ => {}
        }
    }
    std::env::var_os("SOJOURN_HOME").map(PathBuf::from)
}

/// The runs, the newest first, and `latest`.
async fn runs(home: &Home) -> Option<Offered> {
    let runs = home.store().await.ok()?.runs().await.ok()?;
    let newest = runs.first().map(|run| ("latest".to_owned(), run.id.to_string()));
    let each = runs.iter().map(|run| (run.id.to_string(), format!("{}, {}", run.environment, run.model)));
    Some(newest.into_iter().chain(each).collect())
}

/// The tasks of the latest runs' environments.
async fn tasks(home: &Home) -> Option<Offered> {
    let store = home.store().await.ok()?;
    let mut tasks = BTreeSet::new();
    for run in store.runs().await.ok()?.into_iter().take(RUNS_WITH_TASKS) {
        let first = RecordQuery { to: Some(EventSeq(1)), ..RecordQuery::all() };
        let Some(first) = store.records(&run.id, &first).await.ok()?.into_iter().next() else { continue };
        let Ok(record) = LogRecord::require(&store, &first).await else { continue };
        let Ok(started) = sojourn_core::Started::try_from(record) else { continue };
        tasks.extend(started.environment.tasks.into_iter().map(|task| (task.name, task.description)));
    }
    Some(tasks.into_iter().collect())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn arguments_that_name_something_are_completed() {
        let environments = EnvironmentRegistry::default();
        let command = with_names(crate::command(), &[], &environments);
        let mut completed = Vec::new();
        collect(&command, &mut Vec::new(), &mut completed);
        insta::assert_snapshot!(completed.join("\n"));
    }

    fn collect(command: &Command, path: &mut Vec<String>, completed: &mut Vec<String>) {
        path.push(command.get_name().to_owned());
        for arg in command.get_arguments() {
            if let Some(named) = named(arg, path) {
                completed.push(format!("{} {}: {named:?}", path[1..].join(" "), arg.get_id()));
            }
        }
        command.get_subcommands().for_each(|below| collect(below, path, completed));
        path.pop();
    }

    #[test]
    fn a_name_from_outside_is_no_command_for_the_shell() {
        for plain in ["collect_wood", "gym:CartPole-v1", "20261129-100444-e23b", "木を集める", "model@2.1"]
        {
            assert!(is_plain(plain), "{plain}");
        }
        for other in
            ["t;$(touch x)", "`id`", "a b", "a\nb", "--home", "*", "~x", "a\u{1b}[2J", "'", "a|b", "\u{202e}"]
        {
            assert!(!is_plain(other), "{other}");
        }
    }

    #[test]
    fn the_home_of_the_command_line_is_read() {
        let words = |line: &str| home_of(line.split(' ').map(str::to_owned));
        assert_eq!(words("sojourn -- sojourn --home a log"), Some("a".into()));
        assert_eq!(words("sojourn -- sojourn log --home=b"), Some("b".into()));
    }
}
