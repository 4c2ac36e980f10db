//! `sojourn up`: the daemon.

use crate::agent_file::AgentFile;
use crate::args::Up;
use crate::commands::log::collect;
use crate::commands::run::finish_reason;
use crate::error::{Failure, Kind};
use crate::home::Home;
use crate::unattended::{AgentChannels, AgentKey};
use crate::{logbook, output, session};
use anyhow::{Context as _, Result};
use async_trait::async_trait;
use serde_json::json;
use sojourn_core::FinishReason;
use sojourn_memory::{Error, LogCollection, RunId, Schedule, Store, Timing, Work};
use sojourn_service::metrics::{self, Vitals};
use sojourn_service::notify::{self, Courier, EventKind, News};
use sojourn_service::timing;
use sojourn_service::{Daemon, DaemonLock, Host, LockError, Scheduler, Settings, Unit, now_ms};
use sojourn_tools::http_server;
use std::net::SocketAddr;
use std::path::Path;
use std::process::ExitCode;
use std::sync::Arc;
use std::time::Duration;
use tokio_util::sync::CancellationToken;

/// Runs the daemon until it is stopped, or writes the unit that does.
///
/// # Errors
/// Another daemon serves the home, the address is in use or not one of this computer, or the home cannot be used.
pub async fn up(home: &Home, args: Up) -> Result<ExitCode> {
    if args.http.is_some_and(|address| !address.ip().is_loopback()) {
        return Err(Failure::new(
            Kind::Usage,
            "`--http` serves this computer only, and that is no address of it",
        )
        .hint("use 127.0.0.1; a server in front of it can serve others")
        .into());
    }
    if args.install {
        install(home, &args)?;
        return Ok(ExitCode::SUCCESS);
    }
    let store = home.store().await?;
    if home.server().is_some() {
        return serve_store(home, store, args.http).await;
    }
    let _lock = DaemonLock::take(home.path()).map_err(|error| match error {
        LockError::Taken { .. } => Failure::new(Kind::Failure, error.to_string())
            .hint("`sojourn ps` shows what it does; schedules are added to it with `sojourn schedule add`"),
        LockError::Io { .. } => Failure::new(Kind::Failure, error.to_string()),
    })?;
    let vitals = Vitals::new();
    let stopped = CancellationToken::new();
    if let Some(address) = args.http {
        serve_metrics(address, &store, &vitals, &stopped).await?;
    }
    let channels = Arc::new(AgentChannels(home.environments().clone()));
    let courier = Courier::new(store.clone(), None, channels);
    let settings = Settings {
        program: std::env::current_exe().context("cannot find this program's own file")?,
        most_runs: usize::from(args.runs),
        keep_free: args.keep_free,
        stop_within: args.stop_within,
        hung_after: args.hung_after,
    };
    let host = Arc::new(CommandLine { home: home.clone() });
    let ended = Daemon::new(settings, store, host, vitals).run(courier).await;
    stopped.cancel();
    ended?;
    output::note("stopped; the next `sojourn up` resumes what is not finished");
    Ok(ExitCode::SUCCESS)
}

/// Puts due runs into the queue of a server until it is stopped.
async fn serve_store(home: &Home, store: Store, http: Option<SocketAddr>) -> Result<ExitCode> {
    let (vitals, stopped) = (Vitals::new(), CancellationToken::new());
    if let Some(address) = http {
        serve_metrics(address, &store, &vitals, &stopped).await?;
    }
    let host = Arc::new(CommandLine { home: home.clone() });
    let ended = Scheduler::new(store, host, vitals).run().await;
    stopped.cancel();
    ended?;
    output::note(
        "stopped; runs in the queue go on, and what is due meanwhile is made up for as the schedules say",
    );
    Ok(ExitCode::SUCCESS)
}

/// Serves `/metrics` and `/healthz` until `stopped`.
async fn serve_metrics(
    address: SocketAddr,
    store: &Store,
    vitals: &Vitals,
    stopped: &CancellationToken,
) -> Result<()> {
    let listener = tokio::net::TcpListener::bind(address)
        .await
        .with_context(|| format!("cannot listen on {address}"))?;
    let address = listener.local_addr()?;
    output::note(format!("metrics at http://{address}/metrics, health at http://{address}/healthz"));
    let router = metrics::router(store.clone(), vitals.clone());
    let stopped = stopped.clone();
    tokio::spawn(http_server::serve(listener, router, async move { stopped.cancelled().await }));
    Ok(())
}

/// The program around the daemon.
pub(super) struct CommandLine {
    pub(super) home: Home,
}

#[async_trait]
impl Host for CommandLine {
    fn say(&self, line: &str) {
        // The journal of systemd has times of its own.
        if std::env::var_os("JOURNAL_STREAM").is_some() {
            return output::note(line);
        }
        let now_ms = now_ms();
        output::note(format!("{} {line}", timing::show(&Timing::AtMs(now_ms), now_ms)));
    }

    fn new_run(&self) -> RunId {
        session::new_run()
    }

    async fn reason(&self, store: &Store, run: &RunId) -> Option<String> {
        let info = store.run(run.as_str()).await.ok()?;
        let reason = finish_reason(store, &info).await.ok()??;
        Some(logbook::reason_line(&reason))
    }

    async fn has_failed(&self, store: &Store, run: &RunId) -> bool {
        let Ok(info) = store.run(run.as_str()).await else { return false };
        matches!(finish_reason(store, &info).await, Ok(Some(FinishReason::Controller { .. })))
    }

    async fn collect_logs(&self, store: &Store, collection: LogCollection) -> Result<Option<String>, String> {
        let older_than = collection.older_than_ms.map(|ms| Duration::from_millis(ms.unsigned_abs()));
        let keep = collect::policy(&self.home, collection.newest, older_than).await;
        let keep = keep.map_err(|error| format!("{error:#}"))?;
        match store.collect(&keep).await {
            Ok(collected) => Ok(Some(collect::in_words(&collected))),
            Err(Error::Collecting) => Ok(None),
            Err(error) => Err(error.to_string()),
        }
    }

    async fn gave_up(&self, store: &Store, schedule: &Schedule, run: &RunId, why: &str) {
        let Some(key) = key_of(schedule) else { return };
        // An agent file that cannot be read names no recipient.
        let registry = self.home.environments();
        let Ok(agent) = AgentFile::read_quietly(registry, Path::new(&key.agent), &key.overrides) else {
            return;
        };
        let redactor = agent.redactor();
        let news = News {
            event: EventKind::Failed,
            run: run.clone(),
            agent: redactor.text(&key.agent),
            at_ms: now_ms(),
            text: redactor.text(&format!("schedule `{}`: {why}", schedule.settings.name)),
            data: json!({"schedule": schedule.settings.name}),
        };
        if let Err(error) = notify::post(store, &agent.notify, &key.text(), &news).await {
            output::note(format!("a message could not be kept: {error}"));
        }
    }
}

/// The agent file of a schedule that starts runs, with its overrides.
fn key_of(schedule: &Schedule) -> Option<AgentKey> {
    let Work::Run { agent, arguments, .. } = &schedule.settings.work else { return None };
    let words: Vec<&String> = arguments.always.iter().chain(&arguments.first).collect();
    let overrides = words.windows(2).filter(|pair| pair[0] == "--set").map(|pair| pair[1].clone()).collect();
    Some(AgentKey { agent: agent.clone(), overrides })
}

/// Writes the systemd user unit, or prints it where there is no systemd.
fn install(home: &Home, args: &Up) -> Result<()> {
    let program = std::env::current_exe().context("cannot find this program's own file")?;
    let path = std::path::absolute(home.path())?;
    let mut arguments = Vec::new();
    let mut set = |name: &str, value: String| arguments.extend([name.to_owned(), value]);
    set("--runs", args.runs.to_string());
    set("--keep-free", args.keep_free.to_string());
    set("--stop-within", format!("{}ms", args.stop_within.as_millis()));
    set("--hung-after", format!("{}ms", args.hung_after.as_millis()));
    if let Some(address) = args.http {
        set("--http", address.to_string());
    }
    let stop_seconds = args.stop_within.as_secs();
    let text = Unit { program: &program, home: &path, arguments: &arguments, stop_seconds }.text();
    let systemd = sojourn_subprocess::find("systemctl".as_ref(), Path::new("/")).is_ok();
    let directory = directories::BaseDirs::new().map(|dirs| dirs.config_dir().join("systemd/user"));
    let Some(directory) = directory.filter(|_| systemd) else {
        output::verbatim(&text)?;
        output::note("there is no systemd here; this is the unit for a computer that has it");
        return Ok(());
    };
    let file = directory.join("sojourn.service");
    if std::fs::read(&file).is_ok_and(|known| known != text.as_bytes()) {
        return Err(Failure::new(
            Kind::Failure,
            format!("`{}` exists and says something else", file.display()),
        )
        .hint("remove it, or change it by hand")
        .into());
    }
    std::fs::create_dir_all(&directory)
        .and_then(|()| std::fs::write(&file, &text))
        .with_context(|| format!("cannot write `{}`", file.display()))?;
    output::line(format!("wrote {}", file.display()))?;
    output::note(
        "start it now and at every login: systemctl --user daemon-reload && systemctl --user enable --now sojourn\n\
         without a login too: loginctl enable-linger",
    );
    Ok(())
}
