//! `sojourn store`: copies a home into a server, and back.

use crate::args::Store as Command;
use crate::error::{Failure, Kind};
use crate::home::Home;
use crate::output;
use crate::session::stop_server_on_ctrl_c;
use anyhow::{Context as _, Result};
use indicatif::{ProgressBar, ProgressStyle};
use serde_json::json;
use sojourn_controller::Cancel;
use sojourn_memory::{CopyError, CopyProgress, CopyReport, CopyStep, Error, Owner, Server, Store};
use sojourn_skills::{CopiedLibrary, Library, LibraryError};
use std::ops::ControlFlow;
use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::time::{Duration, Instant};

/// How often a line says how far the copy is where there is no terminal.
const SAY: Duration = Duration::from_secs(10);

/// Runs a command on whole stores.
///
/// # Errors
/// When the store cannot be copied; the message says whether the copy can go on.
pub async fn store(home: &Home, command: Command) -> Result<ExitCode> {
    let Command::Copy { from, to, json } = command;
    copy(home, &Place::of(&from)?, &Place::of(&to)?, json).await
}

/// Where a store is.
enum Place {
    Home(PathBuf),
    Server(Server),
}

impl Place {
    fn of(text: &str) -> Result<Self> {
        if text.contains("://") {
            let server = text
                .parse()
                .map_err(|error: sojourn_memory::BadUrl| Failure::new(Kind::Usage, error.to_string()))?;
            return Ok(Self::Server(server));
        }
        let path = std::path::absolute(text).with_context(|| format!("cannot use `{text}`"))?;
        Ok(Self::Home(path))
    }

    fn shown(&self) -> String {
        match self {
            Self::Home(path) => path.display().to_string(),
            Self::Server(server) => server.to_string(),
        }
    }

    fn is_same(&self, other: &Self) -> bool {
        match (self, other) {
            (Self::Home(one), Self::Home(other)) => {
                let real = |path: &Path| std::fs::canonicalize(path).unwrap_or_else(|_| path.to_owned());
                real(one) == real(other)
            }
            (Self::Server(one), Self::Server(other)) => one == other,
            _ => false,
        }
    }

    /// Opens the store. `home` holds the local files that belong to a store on a server.
    async fn open(&self, home: &Home, is_target: bool) -> Result<Store> {
        Ok(match self {
            Self::Home(path) if is_target => Store::open_target(path).await?,
            Self::Home(path) => Store::open(path).await?,
            Self::Server(server) if is_target => {
                Store::connect_target(home.path(), server, Owner::alone()).await?
            }
            Self::Server(server) => Store::connect(home.path(), server, Owner::alone()).await?,
        })
    }

    async fn library(&self, store: &Store) -> Result<Library, LibraryError> {
        match self {
            Self::Home(path) => Library::open(&path.join("library")).await,
            Self::Server(server) => {
                let derived = store.derived().await.map_err(std::io::Error::other);
                let derived =
                    derived.map_err(|source| LibraryError::Io { path: store.home().to_owned(), source })?;
                Library::connect(&derived.join("library"), server).await
            }
        }
    }
}

async fn copy(home: &Home, from: &Place, to: &Place, json: bool) -> Result<ExitCode> {
    if from.is_same(to) {
        return Err(Failure::new(Kind::Usage, "both are the same store").into());
    }
    if let Place::Home(path) = from
        && !path.join("sojourn.db").exists()
    {
        let text = format!("there is no store in `{}`", path.display());
        return Err(Failure::new(Kind::NotFound, text)
            .hint("FROM is a home directory, as of `--home`, or `postgres://USER@HOST/DATABASE`")
            .into());
    }
    let cancel = Cancel::new();
    stop_server_on_ctrl_c(cancel.clone());
    let source = from.open(home, false).await?;
    let target = to.open(home, true).await?;
    let mut shown = Shown::new();
    let mut watch = |progress: CopyProgress| {
        shown.show(progress);
        if cancel.is_cancelled() { ControlFlow::Break(()) } else { ControlFlow::Continue(()) }
    };
    let copied = Box::pin(source.copy_to(&target, &mut watch)).await;
    shown.bar.finish_and_clear();
    let report = match copied {
        Ok(report) => report,
        Err(CopyError::Stopped) => {
            output::note("stopped; the same command goes on where it was");
            return Ok(ExitCode::from(Kind::Interrupted as u8));
        }
        Err(error) => return Err(failure(error, to)),
    };
    let library = copy_library((from, &source), (to, &target)).await?;
    target.finish_copy().await?;
    say(from, to, &report, library.as_ref(), json)?;
    source.close().await;
    target.close().await;
    Ok(if report.faults.is_empty() { ExitCode::SUCCESS } else { ExitCode::from(Kind::Failure as u8) })
}

/// Copies the skills; `None` where the source has no library.
async fn copy_library(
    (from, source): (&Place, &Store),
    (to, target): (&Place, &Store),
) -> Result<Option<CopiedLibrary>> {
    if let Place::Home(path) = from
        && !path.join("library").join("library.db").exists()
    {
        return Ok(None);
    }
    let from = from.library(source).await?;
    let mut library = to.library(target).await?;
    match from.copy_to(&mut library).await {
        Err(error @ LibraryError::OtherContent) => {
            let hint = format!("the skills of the target were not changed; {}", fresh(to));
            Err(Failure::new(Kind::Failure, error.to_string()).hint(hint).into())
        }
        copied => Ok(Some(copied?)),
    }
}

/// Which target a copy can have.
fn fresh(to: &Place) -> &'static str {
    match to {
        Place::Home(_) => "copy into a new directory",
        Place::Server(_) => "copy into a new database (`createdb --encoding UTF8 --template template0 NAME`)",
    }
}

fn failure(error: CopyError, to: &Place) -> anyhow::Error {
    let text = error.to_string();
    let (kind, hint) = match error {
        CopyError::OtherContent { .. } => (Kind::Failure, format!("nothing was changed; {}", fresh(to))),
        CopyError::Live { .. } => {
            (Kind::Failure, "stop it, and the daemon and workers that would resume it, then copy".to_owned())
        }
        CopyError::Queue { .. } => {
            let hint = "let workers finish them, or take them out with `sojourn queue cancel RUN`; `pg_dump` copies a queue too";
            (Kind::Failure, hint.to_owned())
        }
        CopyError::Store(error @ (Error::Unreachable(_) | Error::DiskFull | Error::Busy)) => {
            return anyhow::Error::from(error)
                .context("the copy is unfinished; the same command goes on where it was");
        }
        CopyError::Store(error) => return error.into(),
        CopyError::Stopped => (Kind::Interrupted, String::new()),
    };
    Failure::new(kind, text).hint(hint).into()
}

fn say(
    from: &Place,
    to: &Place,
    report: &CopyReport,
    library: Option<&CopiedLibrary>,
    json: bool,
) -> Result<()> {
    if json {
        let faults: Vec<_> =
            report.faults.iter().map(|(run, fault)| json!({"run": run, "fault": fault})).collect();
        return Ok(output::json(&json!({
            "from": from.shown(),
            "to": to.shown(),
            "already": report.already,
            "copied_rows": report.copied,
            "restarted": report.restarted,
            "tables": report.tables,
            "library": library,
            "verified_runs": report.verified,
            "faults": faults,
        }))?);
    }
    let rows: u64 = report.tables.iter().map(|table| table.rows).sum();
    let skills = library.map_or(0, |library| library.events);
    output::line(format!(
        "{}: {rows} rows and {skills} events of skills, the same on both sides by SHA-256; {} of {} runs verify",
        if report.already { "nothing to copy" } else { "copied" },
        report.verified,
        report.verified + report.faults.len() as u64
    ))?;
    for (run, fault) in &report.faults {
        output::note(format!("run `{run}` has a fault, in the source too: {fault}"));
    }
    Ok(())
}

/// How far the copy is: a bar on a terminal, else a line now and then.
struct Shown {
    bar: ProgressBar,
    said: Instant,
}

impl Shown {
    fn new() -> Self {
        let bar = ProgressBar::new(0);
        if let Ok(style) = ProgressStyle::with_template("{msg} {bar:30} {human_pos} of {human_len}") {
            bar.set_style(style);
        }
        Self { bar, said: Instant::now() }
    }

    fn show(&mut self, CopyProgress { step, done, of }: CopyProgress) {
        let what = match step {
            CopyStep::Copying(table) => format!("copying {table}"),
            CopyStep::Comparing(table) => format!("comparing {table}"),
            CopyStep::Verifying => "verifying runs".to_owned(),
        };
        if self.bar.is_hidden() {
            if self.said.elapsed() >= SAY {
                self.said = Instant::now();
                output::note(format!("{what}: {done} of {of}"));
            }
            return;
        }
        self.bar.set_length(of);
        self.bar.set_position(done);
        self.bar.set_message(what);
    }
}
