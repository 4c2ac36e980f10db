//! What went wrong, where, and what to do; and the exit code that says so to scripts.

use crate::output;
use sojourn_controller::ControllerError;
use sojourn_controller::models::ModelError;
use sojourn_skills::LibraryError;
use sojourn_skills::exchange::ExchangeError;
use std::fmt;
use std::process::ExitCode;

/// What sort of failure it is: its number is the exit code.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kind {
    /// Something broke, or a check did not hold.
    Failure = 1,
    /// The command line or an agent file is not right.
    Usage = 2,
    /// Something that was named is not there.
    NotFound = 3,
    /// The user stopped it.
    Interrupted = 130,
}

/// A failure with a way out.
#[derive(Debug)]
pub struct Failure {
    kind: Kind,
    message: String,
    hint: Option<String>,
}

impl Failure {
    /// A failure of this kind.
    pub fn new(kind: Kind, message: impl Into<String>) -> Self {
        Self { kind, message: message.into(), hint: None }
    }

    /// Something that was named and is not there, with the nearest name.
    pub fn unknown<'a>(what: &str, name: &str, names: impl Iterator<Item = &'a str>) -> Self {
        let nearest = sojourn_tools::nearest(name, names);
        let meant = nearest.map(|name| format!("; did you mean `{name}`?")).unwrap_or_default();
        Self::new(Kind::NotFound, format!("no {what} named `{name}`{meant}"))
    }

    /// With what to do next.
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

/// Tells the user, and says what the process exits with.
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

/// The reader of our output went away: there is nobody to tell.
fn is_broken_pipe(error: &anyhow::Error) -> bool {
    error.chain().any(|cause| {
        cause.downcast_ref::<std::io::Error>().is_some_and(|io| io.kind() == std::io::ErrorKind::BrokenPipe)
    })
}

/// All causes in one line, each told once.
fn chain(error: &anyhow::Error) -> String {
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

fn explain(error: &anyhow::Error) -> (Kind, Option<String>) {
    // A failure may be the context of another error, where only this finds it.
    if let Some(failure) = error.downcast_ref::<Failure>() {
        return (failure.kind, failure.hint.clone());
    }
    for cause in error.chain() {
        if let Some(error) = cause.downcast_ref::<sojourn_memory::Error>() {
            return explain_memory(error);
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
        E::BadRunId { .. } => (Kind::Usage, "`sojourn runs` lists all runs"),
        E::Locked { run } => {
            return (
                Kind::Failure,
                Some(format!("wait for the other process, or watch it with `sojourn log {run}`")),
            );
        }
        E::NewerSchema { .. } => {
            (Kind::Failure, "use the program that wrote it, or another directory with `--home`")
        }
        E::NotAStore { .. } => (Kind::Usage, "choose another directory with `--home`"),
        E::NoSuchMemory { .. } => (Kind::NotFound, "`sojourn memory search` finds memories"),
        E::ForgottenBlob { .. } => (
            Kind::Failure,
            "a memory that it quoted was forgotten: what followed cannot be shown or replayed",
        ),
        E::DiskFull => (Kind::Failure, "free some space and resume; nothing that was recorded is lost"),
        E::ReadOnly => {
            (Kind::Failure, "check the permissions of the home directory, or choose another with `--home`")
        }
        _ => return (Kind::Failure, None),
    };
    (kind, Some(hint.to_owned()))
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
        LibraryError::Illegal(_) => {
            (Kind::Usage, Some("`sojourn skills history NAME` tells how a skill stands".to_owned()))
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
        _ => (Kind::Usage, Some("nothing was taken over".to_owned())),
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
    fn a_cause_that_its_context_tells_already_is_not_told_twice() {
        let error = anyhow::anyhow!("the disk is full").context("cannot write: the disk is full");
        assert_eq!(chain(&error), "cannot write: the disk is full");
        let error = anyhow::anyhow!("no such file").context("cannot read `a`");
        assert_eq!(chain(&error), "cannot read `a`: no such file");
    }

    #[test]
    fn an_unknown_name_is_told_the_nearest() {
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
}
