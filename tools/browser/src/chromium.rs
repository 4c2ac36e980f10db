//! The browser's process: found, started with few powers, ended with its owner.

use crate::gate::{Gate, Host};
use crate::page::Page;
use crate::requests::Checkpoint;
use crate::{BrowserError, Settings};
use chromiumoxide::browser::{Browser, BrowserConfig};
use chromiumoxide::cdp::browser_protocol::browser::{SetDownloadBehaviorBehavior, SetDownloadBehaviorParams};
use chromiumoxide::cdp::browser_protocol::target::{
    CreateBrowserContextParams, CreateTargetParams, DisposeBrowserContextParams,
};
use futures_util::StreamExt as _;
use sojourn_tools::EnvironmentUnavailable;
use std::path::{Path, PathBuf};
use std::process::Stdio;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;
use tempfile::TempDir;
use tokio::process::{Child, Command};
use tokio::sync::Mutex;
use tokio::task::JoinHandle;

/// The variable that says where the browser is.
pub const PROGRAM_VARIABLE: &str = "SOJOURN_CHROMIUM";
/// The names it goes by.
const NAMES: [&str; 5] = ["chromium", "chromium-browser", "google-chrome", "google-chrome-stable", "chrome"];
/// Where it is on systems that keep programs elsewhere.
const PLACES: [&str; 2] = [
    "/Applications/Chromium.app/Contents/MacOS/Chromium",
    "/Applications/Google Chrome.app/Contents/MacOS/Google Chrome",
];
/// How long a start may take, on a machine that is busy with other work.
const START: Duration = Duration::from_mins(2);
/// Kills a browser (process `$2`) once the process that started it (`$1`) is gone, however it ended. It reads the parent
/// from `/proc` where there is one: a dead parent that nobody collects still has its number.
const WATCHER: &str = r#"
followed() {
    if [ -r "/proc/$2/status" ]; then grep -q "^PPid:.$1\$" "/proc/$2/status"; else kill -0 "$1" && kill -0 "$2"; fi
}
while followed "$1" "$2"; do sleep 1; done
kill -s KILL "$2""#;

/// Where the browser is, if there is one.
pub fn find() -> Option<PathBuf> {
    if let Some(said) = std::env::var_os(PROGRAM_VARIABLE) {
        return Some(PathBuf::from(said)).filter(|program| program.is_file());
    }
    let path = std::env::var_os("PATH").unwrap_or_default();
    let directories: Vec<PathBuf> = std::env::split_paths(&path).collect();
    let named = NAMES.iter().flat_map(|name| directories.iter().map(move |directory| directory.join(name)));
    named.chain(PLACES.iter().map(PathBuf::from)).find(|program| program.is_file())
}

/// Checks that there is a browser: at `program`, or where [`find`] looks.
///
/// # Errors
/// When there is none, with how to install one.
pub fn require(program: Option<&Path>) -> Result<(), EnvironmentUnavailable> {
    if program.map_or_else(|| find().is_some(), Path::is_file) {
        return Ok(());
    }
    let at = program.map(|program| format!(" at {}", program.display())).unwrap_or_default();
    Err(EnvironmentUnavailable::NotInstalled {
        missing: format!("no Chromium was found{at}"),
        remedy: format!(
            "install it (on Debian and Ubuntu: `apt-get install chromium`), or set {PROGRAM_VARIABLE} to its path"
        ),
    })
}

/// A running browser with a profile of its own. Dropping it ends it and forgets the profile.
pub struct Chromium {
    browser: Arc<Mutex<Browser>>,
    /// Set when the connection to it has ended.
    gone: Arc<AtomicBool>,
    handler: JoinHandle<()>,
    gate: Gate,
    checkpoint: Option<Checkpoint>,
    process: Option<u32>,
    /// How long one command may take.
    patience: Duration,
    window: (u32, u32),
    /// Ends the browser where this process is killed; it ends with this.
    _watcher: Option<Child>,
    _profile: TempDir,
}

impl Chromium {
    /// Starts one.
    ///
    /// # Errors
    /// When there is none, or it does not start.
    pub async fn start(settings: &Settings) -> Result<Self, BrowserError> {
        let program = match &settings.program {
            Some(program) if program.is_file() => program.clone(),
            Some(program) => return Err(BrowserError::Missing { at: Some(program.display().to_string()) }),
            None => find().ok_or(BrowserError::Missing { at: None })?,
        };
        let broken = |what: &dyn std::fmt::Display| BrowserError::Start(what.to_string());
        let profile =
            tempfile::Builder::new().prefix("sojourn-browser-").tempdir().map_err(|e| broken(&e))?;
        let gate = Gate::open(settings.hosts.iter().map(|host| Host::new(host)).collect())
            .await
            .map_err(|e| broken(&e))?;
        let (width, height) = settings.window;
        let mut config = BrowserConfig::builder()
            .chrome_executable(program)
            .user_data_dir(profile.path())
            .window_size(width, height)
            .viewport(None)
            .launch_timeout(START)
            .request_timeout(settings.patience)
            .respect_https_errors()
            // Everything that leaves the machine, and everything else, goes through the gate.
            .arg(("proxy-server", format!("http://{}", gate.address()).as_str()))
            .arg(("proxy-bypass-list", "<-loopback>"))
            .arg(("force-webrtc-ip-handling-policy", "disable_non_proxied_udp"))
            .arg("disable-quic")
            .arg("disable-gpu")
            .arg("disable-component-update")
            .arg("no-default-browser-check");
        config = if settings.visible { config.with_head() } else { config.new_headless_mode() };
        if settings.files {
            config = config.arg("allow-file-access-from-files");
        }
        // Chromium's own sandbox does not work for the superuser.
        if rustix::process::geteuid().is_root() {
            config = config.no_sandbox();
        }
        let config = config.build().map_err(BrowserError::Start)?;
        let (mut browser, mut handler) = Browser::launch(config)
            .await
            .map_err(|error| BrowserError::Start(first_line(&error.to_string())))?;
        let gone = Arc::new(AtomicBool::new(false));
        let flag = Arc::clone(&gone);
        let handler = tokio::spawn(async move {
            while let Some(Ok(())) = handler.next().await {}
            flag.store(true, Ordering::Release);
        });
        let process = browser.get_mut_child().and_then(|child| child.inner.id());
        let watcher = process.and_then(watch);
        // What it saves is saved nowhere.
        let deny = SetDownloadBehaviorParams::builder()
            .behavior(SetDownloadBehaviorBehavior::Deny)
            .events_enabled(true)
            .build()
            .map_err(BrowserError::Refused)?;
        browser.execute(deny).await?;
        let browser = Arc::new(Mutex::new(browser));
        let checkpoint = match &settings.grants {
            Some(grants) => Some(Checkpoint::open(&browser, grants.clone()).await?),
            None => None,
        };
        Ok(Self {
            browser,
            gone,
            handler,
            gate,
            checkpoint,
            process,
            patience: settings.patience,
            window: settings.window,
            _watcher: watcher,
            _profile: profile,
        })
    }

    /// A tab that shares nothing with others: no cookies, no storage.
    ///
    /// # Errors
    /// When the browser is gone.
    pub async fn page(self: &Arc<Self>) -> Result<Page, BrowserError> {
        let opened = async {
            let browser = self.browser.lock().await;
            let context =
                browser.execute(CreateBrowserContextParams::default()).await?.result.browser_context_id;
            let mut target = CreateTargetParams::new("about:blank");
            target.browser_context_id = Some(context.clone());
            target.width = Some(i64::from(self.window.0));
            target.height = Some(i64::from(self.window.1));
            Ok::<_, BrowserError>((browser.new_page(target).await?, context))
        };
        let (page, context) = self.timed(opened).await?;
        Page::new(page, context, Arc::clone(self)).await
    }

    /// Forgets a tab's context with everything in it.
    pub(crate) async fn forget(
        &self,
        context: chromiumoxide::cdp::browser_protocol::browser::BrowserContextId,
    ) {
        let browser = self.browser.lock().await;
        // It may be gone; then so is the context.
        let _ = browser.execute(DisposeBrowserContextParams::new(context)).await;
    }

    /// Carries out a command that is about the browser, not about one page.
    pub(crate) async fn execute<C: chromiumoxide::types::Command>(
        &self,
        command: C,
    ) -> Result<C::Response, BrowserError> {
        self.timed(async { Ok(self.browser.lock().await.execute(command).await?.result) }).await
    }

    pub(crate) async fn listen<E: chromiumoxide::cdp::IntoEventKind + Unpin>(
        &self,
    ) -> Result<chromiumoxide::listeners::EventStream<E>, BrowserError> {
        Ok(self.browser.lock().await.event_listener::<E>().await?)
    }

    /// `work`, as long as the browser lives and answers.
    pub(crate) async fn timed<T>(
        &self,
        work: impl Future<Output = Result<T, BrowserError>>,
    ) -> Result<T, BrowserError> {
        if self.is_gone() {
            return Err(BrowserError::Gone("has died"));
        }
        match tokio::time::timeout(self.patience, work).await {
            Ok(Err(_)) if self.is_gone() => Err(BrowserError::Gone("has died")),
            Ok(result) => result,
            Err(_) => Err(BrowserError::Gone("does not answer any more")),
        }
    }

    /// Whether it has died.
    pub fn is_gone(&self) -> bool {
        self.gone.load(Ordering::Acquire)
    }

    /// Its process.
    pub fn process(&self) -> Option<u32> {
        self.process
    }

    /// What stops requests, if anything does.
    pub(crate) fn checkpoint(&self) -> Option<&Checkpoint> {
        self.checkpoint.as_ref()
    }

    /// Whether a connection to this `host:port` was refused. The browser asks for some by itself.
    pub(crate) fn has_refused(&self, host: &str) -> bool {
        self.gate.has_refused(host)
    }
}

impl Drop for Chromium {
    fn drop(&mut self) {
        // The process is killed when the browser is dropped; nobody listens to it any more.
        self.handler.abort();
    }
}

/// Starts the watcher of a browser. Where there is no shell the browser lives on when this process is killed.
fn watch(browser: u32) -> Option<Child> {
    let mut command = Command::new("sh");
    command.args(["-c", WATCHER, "watcher", &std::process::id().to_string(), &browser.to_string()]);
    // It has a group of its own, so that what ends this process from a terminal does not end it first.
    command
        .stdin(Stdio::null())
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .process_group(0)
        .kill_on_drop(true);
    command.spawn().ok()
}

fn first_line(text: &str) -> String {
    text.lines().next().unwrap_or_default().chars().take(300).collect()
}
