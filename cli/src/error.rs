//! Errors for people: what failed, why, what to do; and exit codes for scripts.

use crate::output;
use sojourn_controller::ControllerError;
use sojourn_controller::models::ModelError;
use sojourn_skills::LibraryError;
use sojourn_skills::exchange::ExchangeError;
use sojourn_tools::EnvironmentUnavailable;
use std::fmt;
use std::process::ExitCode;

/// The kind of a failure; its number is the exit code.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kind {
    /// An operation failed, or a check did not pass.
    Failure = 1,
    /// The command line or an agent file is invalid.
    Usage = 2,
    /// A named thing does not exist.
    NotFound = 3,
    /// The store cannot be used at the moment: its server is not there, its disk is full, or others keep it busy.
    Unavailable = 69,
    /// A run is paused until a person answers.
    Waiting = 75,
    /// The user stopped the command.
    Interrupted = 130,
}

/// A failure with a hint.
#[derive(Debug)]
pub struct Failure {
    kind: Kind,
    message: String,
    hint: Option<String>,
}

impl Failure {
    /// A failure without a hint.
    pub fn new(kind: Kind, message: impl Into<String>) -> Self {
        Self { kind, message: message.into(), hint: None }
    }

    /// The failure for a name that does not exist, with the nearest of `names`.
    pub fn unknown<'a>(what: &str, name: &str, names: impl Iterator<Item = &'a str>) -> Self {
        let nearest = sojourn_tools::nearest(name, names);
        let meant = nearest.map(|name| format!("; did you mean `{name}`?")).unwrap_or_default();
        Self::new(Kind::NotFound, format!("no {what} named `{name}`{meant}"))
    }

    /// The hint, or nothing.
    pub fn advice(&self) -> &str {
        self.hint.as_deref().unwrap_or_default()
    }

    /// Adds a hint: what the user can do.
    #[must_use]
    pub fn hint(self, hint: impl Into<String>) -> Self {
        Self { hint: Some(hint.into()), ..self }
    }
}

impl fmt::Display for Failure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.message)
    }
}

impl std::error::Error for Failure {}

/// What the user can do about an error.
pub fn hint(error: &anyhow::Error) -> Option<String> {
    explain(error).1
}

/// Prints an error and its hint; returns the exit code.
pub fn report(error: &anyhow::Error) -> ExitCode {
    if is_broken_pipe(error) {
        return ExitCode::SUCCESS;
    }
    let (kind, hint) = explain(error);
    output::note(format!("error: {}", chain(error)));
    if let Some(hint) = hint {
        output::note(format!("hint: {hint}"));
    }
    ExitCode::from(kind as u8)
}

/// Whether the reader of stdout has gone: the error then has no reader either.
fn is_broken_pipe(error: &anyhow::Error) -> bool {
    error.chain().any(|cause| {
        cause.downcast_ref::<std::io::Error>().is_some_and(|io| io.kind() == std::io::ErrorKind::BrokenPipe)
    })
}

/// All causes in one line, without those that another one contains.
pub fn chain(error: &anyhow::Error) -> String {
    let mut text = String::new();
    for cause in error.chain().map(ToString::to_string) {
        if text.contains(&cause) {
            continue;
        }
        if !text.is_empty() {
            text.push_str(": ");
        }
        text.push_str(&cause);
    }
    text
}

/// The kind of the failure of a run, by its causes.
pub fn kind_of(error: &(dyn std::error::Error + 'static)) -> Kind {
    let mut cause = Some(error);
    while let Some(error) = cause {
        if let Some(error) = error.downcast_ref::<sojourn_memory::Error>() {
            return explain_memory(error).0;
        }
        if let Some(error) = error.downcast_ref::<LibraryError>() {
            return explain_library(error).0;
        }
        cause = error.source();
    }
    Kind::Failure
}

fn explain(error: &anyhow::Error) -> (Kind, Option<String>) {
    // `downcast_ref` also finds a failure that is the context of another error.
    if let Some(failure) = error.downcast_ref::<Failure>() {
        return (failure.kind, failure.hint.clone());
    }
    for cause in error.chain() {
        if let Some(error) = cause.downcast_ref::<sojourn_memory::Error>() {
            return explain_memory(error);
        }
        if let Some(error) = cause.downcast_ref::<EnvironmentUnavailable>() {
            return explain_environment(error);
        }
        if let Some(error) = cause.downcast_ref::<ModelError>() {
            return explain_model(error);
        }
        if let Some(error) = cause.downcast_ref::<LibraryError>() {
            return explain_library(error);
        }
        if let Some(error) = cause.downcast_ref::<ExchangeError>() {
            return explain_exchange(error);
        }
        if let Some(error) = cause.downcast_ref::<ControllerError>() {
            return explain_controller(error);
        }
    }
    (Kind::Failure, None)
}

fn explain_memory(error: &sojourn_memory::Error) -> (Kind, Option<String>) {
    use sojourn_memory::Error as E;
    let (kind, hint) = match error {
        E::NoSuchRun { .. } | E::AmbiguousRun { .. } => (Kind::NotFound, "`sojourn runs` lists all runs"),
        E::NoSuchRecord { run, .. } => {
            return (Kind::NotFound, Some(format!("`sojourn log {run}` lists its records")));
        }
        E::NoSuchSchedule { .. } => (Kind::NotFound, "`sojourn schedule list` lists the schedules"),
        E::ScheduleExists { .. } => (Kind::Usage, "name this one with `--name`, or remove the other"),
        E::NoSuchApproval { .. } => (Kind::NotFound, "`sojourn approvals list --all` lists them"),
        E::BadRunId { .. } => (Kind::Usage, "`sojourn runs` lists all runs"),
        E::Locked { run } => {
            return (
                Kind::Failure,
                Some(format!("wait for the other process, or watch it with `sojourn log {run}`")),
            );
        }
        E::Cut { run, .. } => {
            return (
                Kind::Failure,
                Some(format!(
                    "`sojourn log recover {run}` makes a new run of the records that are left; if an older copy of the home was put back on purpose, remove `heads/{run}` in it"
                )),
            );
        }
        E::PathTooLong { .. } => {
            (Kind::Usage, "choose a directory with a shorter path with `--home` or SOJOURN_HOME")
        }
        E::NewerSchema { .. } => {
            (Kind::Failure, "use the program that wrote it, or another directory with `--home`")
        }
        E::NotAStore { .. } => (Kind::Usage, "choose another directory with `--home`"),
        E::NoSuchMemory { .. } => (Kind::NotFound, "`sojourn memory search` finds memories"),
        E::ForgottenBlob { .. } => (
            Kind::Failure,
            "a memory that the record quoted was forgotten: the run cannot be shown or replayed past it",
        ),
        E::Damaged { .. } => (
            Kind::Failure,
            "`sojourn log verify` says what is intact, and `sojourn log recover RUN` makes a new run of a run's intact beginning",
        ),
        E::DiskFull => (Kind::Unavailable, "free some space and resume; nothing recorded is lost"),
        E::Busy => return (Kind::Unavailable, None),
        E::Unreachable(_) => {
            (Kind::Unavailable, "nothing recorded is lost; resume the run when the server is there again")
        }
        E::Fenced { .. } => (Kind::Failure, "it goes on there: `sojourn ps` shows where runs are under way"),
        E::Encoding { .. } => (Kind::Usage, "use another database with `--store`"),
        E::NoServer => (Kind::Usage, "give `--store postgres://USER@HOST/DATABASE`, or set SOJOURN_STORE"),
        E::ReadOnly => {
            (Kind::Failure, "check the permissions of the home directory, or choose another with `--home`")
        }
        _ => return (Kind::Failure, None),
    };
    (kind, Some(hint.to_owned()))
}

fn explain_environment(error: &EnvironmentUnavailable) -> (Kind, Option<String>) {
    use EnvironmentUnavailable as E;
    let kind = match error {
        E::Unknown { .. } | E::NotInstalled { .. } => Kind::NotFound,
        E::Invalid { .. } => Kind::Usage,
        E::Failed { .. } => Kind::Failure,
    };
    (kind, Some(error.remedy()))
}

fn explain_model(error: &ModelError) -> (Kind, Option<String>) {
    match error {
        ModelError::NoFile { .. } => (Kind::NotFound, None),
        ModelError::Cancelled => (Kind::Interrupted, None),
        _ => (Kind::Failure, None),
    }
}

fn explain_library(error: &LibraryError) -> (Kind, Option<String>) {
    match error {
        LibraryError::Missing { .. } => (
            Kind::NotFound,
            Some("skills are learned by `sojourn run`; choose the home with `--home`".to_owned()),
        ),
        LibraryError::Unreachable(_) => (Kind::Unavailable, None),
        LibraryError::Illegal(_) => {
            (Kind::Usage, Some("`sojourn skills history NAME` shows the state of a skill".to_owned()))
        }
        _ => (Kind::Failure, None),
    }
}

fn explain_exchange(error: &ExchangeError) -> (Kind, Option<String>) {
    match error {
        ExchangeError::NoSkill { .. } => (
            Kind::NotFound,
            Some("a skill's folder has a SKILL.md; `sojourn skills export` writes one".to_owned()),
        ),
        ExchangeError::Exists { .. } => {
            (Kind::Usage, Some("remove it, or export to another directory".to_owned()))
        }
        ExchangeError::Io { .. } => (Kind::Failure, None),
        _ => (Kind::Usage, Some("nothing was imported".to_owned())),
    }
}

fn explain_controller(error: &ControllerError) -> (Kind, Option<String>) {
    match error {
        ControllerError::NoKey { variable } => (
            Kind::Usage,
            Some(format!("export {variable}=…, or remove `controller.api_key_env` from the agent file")),
        ),
        ControllerError::BadEndpoint { .. } => (Kind::Usage, None),
        ControllerError::Unreachable { .. } => (
            Kind::Failure,
            Some("check that the server runs and that `controller.base_url` is its address".to_owned()),
        ),
        _ => (Kind::Failure, None),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_cause_that_its_context_contains_is_not_repeated() {
        let error = anyhow::anyhow!("the disk is full").context("cannot write: the disk is full");
        assert_eq!(chain(&error), "cannot write: the disk is full");
        let error = anyhow::anyhow!("no such file").context("cannot read `a`");
        assert_eq!(chain(&error), "cannot read `a`: no such file");
    }

    #[test]
    fn an_unknown_name_gets_the_nearest_one() {
        let failure = Failure::unknown("skill", "collectwood", ["eat_cow", "collect_wood"].into_iter());
        assert_eq!(failure.to_string(), "no skill named `collectwood`; did you mean `collect_wood`?");
    }

    #[test]
    fn the_kind_is_found_behind_contexts() {
        let error =
            anyhow::Error::new(Failure::new(Kind::Usage, "bad").hint("do better")).context("while reading");
        assert_eq!(explain(&error), (Kind::Usage, Some("do better".to_owned())));
        let error =
            anyhow::anyhow!("cause").context(Failure::new(Kind::NotFound, "bad")).context("while reading");
        assert_eq!(explain(&error), (Kind::NotFound, None));
    }

    #[test]
    fn the_hint_of_an_error_survives_the_errors_that_wrap_it() {
        let full = sojourn_core::JournalError::Log(sojourn_memory::Error::DiskFull);
        let error = anyhow::Error::new(sojourn_core::DriveError::Journal(full)).context("the run stopped");
        let (kind, hint) = explain(&error);
        assert_eq!(
            (kind, hint.as_deref()),
            (Kind::Unavailable, Some("free some space and resume; nothing recorded is lost"))
        );
        let once = chain(&error).matches(&sojourn_memory::Error::DiskFull.to_string()).count();
        assert_eq!(once, 1, "{}", chain(&error));
    }
}
