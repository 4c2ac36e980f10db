//! The Chromium process: found, started with few capabilities, and ended with its owner.

use crate::interceptor::RequestInterceptor;
use crate::network_proxy::{HostPattern, NetworkProxy};
use crate::page::Page;
use crate::{BrowserError, GoneCause, Settings};
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

/// Environment variable with the path of the browser.
pub const PROGRAM_VARIABLE: &str = "SOJOURN_CHROMIUM";
/// Program names searched in `PATH`.
const NAMES: [&str; 5] = ["chromium", "chromium-browser", "google-chrome", "google-chrome-stable", "chrome"];
/// Paths searched on systems that install programs elsewhere.
const PATHS: [&str; 2] = [
    "/Applications/Chromium.app/Contents/MacOS/Chromium",
    "/Applications/Google Chrome.app/Contents/MacOS/Google Chrome",
];
/// Time limit for the browser to start, also on a busy machine.
const START_TIMEOUT: Duration = Duration::from_mins(2);
/// Kills the browser (process `$2`) once the process that started it (`$1`) has ended in any way. It reads the parent from
/// `/proc` where that exists, because a dead parent keeps its id until it is reaped.
const WATCHER: &str = r#"
followed() {
    if [ -r "/proc/$2/status" ]; then grep -q "^PPid:.$1\$" "/proc/$2/status"; else kill -0 "$1" && kill -0 "$2"; fi
}
while followed "$1" "$2"; do sleep 1; done
kill -s KILL "$2""#;

/// Path of the installed browser, if there is one.
pub fn find_chromium() -> Option<PathBuf> {
    if let Some(said) = std::env::var_os(PROGRAM_VARIABLE) {
        return Some(PathBuf::from(said)).filter(|program| program.is_file());
    }
    let path = std::env::var_os("PATH").unwrap_or_default();
    let directories: Vec<PathBuf> = std::env::split_paths(&path).collect();
    let named = NAMES.iter().flat_map(|name| directories.iter().map(move |directory| directory.join(name)));
    named.chain(PATHS.iter().map(PathBuf::from)).find(|program| program.is_file())
}

/// Checks that a browser is installed: at `program`, or where [`find_chromium`] looks.
///
/// # Errors
/// No browser is installed; the error says how to install one.
pub fn require(program: Option<&Path>) -> Result<(), EnvironmentUnavailable> {
    if program.map_or_else(|| find_chromium().is_some(), Path::is_file) {
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

/// A running browser with a temporary profile. Dropping it kills the process and deletes the profile.
pub struct Chromium {
    browser: Arc<Mutex<Browser>>,
    /// Set when the DevTools connection has closed.
    gone: Arc<AtomicBool>,
    handler: JoinHandle<()>,
    network_proxy: NetworkProxy,
    interceptor: Option<RequestInterceptor>,
    process: Option<u32>,
    /// Time limit of one DevTools command.
    command_timeout: Duration,
    window: (u32, u32),
    /// Kills the browser if this process is killed.
    _watcher: Option<Child>,
    _profile: TempDir,
}

impl Chromium {
    /// Starts a browser.
    ///
    /// # Errors
    /// No browser is installed, or it does not start.
    pub async fn start(settings: &Settings) -> Result<Self, BrowserError> {
        let program = match &settings.program {
            Some(program) if program.is_file() => program.clone(),
            Some(program) => return Err(BrowserError::Missing { at: Some(program.display().to_string()) }),
            None => find_chromium().ok_or(BrowserError::Missing { at: None })?,
        };
        let broken = |what: &dyn std::fmt::Display| BrowserError::Start(what.to_string());
        let profile =
            tempfile::Builder::new().prefix("sojourn-browser-").tempdir().map_err(|e| broken(&e))?;
        let network_proxy =
            NetworkProxy::open(settings.hosts.iter().map(|host| HostPattern::new(host)).collect())
                .await
                .map_err(|e| broken(&e))?;
        let (width, height) = settings.window;
        let mut config = BrowserConfig::builder()
            .chrome_executable(program)
            .user_data_dir(profile.path())
            .window_size(width, height)
            .viewport(None)
            .launch_timeout(START_TIMEOUT)
            .request_timeout(settings.command_timeout)
            .respect_https_errors()
            // All traffic of the browser goes through the proxy, loopback included.
            .arg(("proxy-server", format!("http://{}", network_proxy.address()).as_str()))
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
        // Chromium's sandbox does not work for the superuser.
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
        // Downloads are refused.
        let deny = SetDownloadBehaviorParams::builder()
            .behavior(SetDownloadBehaviorBehavior::Deny)
            .events_enabled(true)
            .build()
            .map_err(BrowserError::Refused)?;
        browser.execute(deny).await?;
        let browser = Arc::new(Mutex::new(browser));
        let interceptor = match &settings.grants {
            Some(grants) => Some(RequestInterceptor::open(&browser, grants.clone()).await?),
            None => None,
        };
        Ok(Self {
            browser,
            gone,
            handler,
            network_proxy,
            interceptor,
            process,
            command_timeout: settings.command_timeout,
            window: settings.window,
            _watcher: watcher,
            _profile: profile,
        })
    }

    /// Opens a tab with its own browser context, which shares no cookies or storage with other tabs.
    ///
    /// # Errors
    /// The browser has died.
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

    /// Disposes of a tab's browser context.
    pub(crate) async fn forget(
        &self,
        context: chromiumoxide::cdp::browser_protocol::browser::BrowserContextId,
    ) {
        let browser = self.browser.lock().await;
        // The browser may have died already, and the context with it.
        let _ = browser.execute(DisposeBrowserContextParams::new(context)).await;
    }

    /// Executes a command that concerns the browser and not one page.
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

    /// Runs `work` with the time limit, and reports the browser's death as such.
    pub(crate) async fn timed<T>(
        &self,
        work: impl Future<Output = Result<T, BrowserError>>,
    ) -> Result<T, BrowserError> {
        if self.is_gone() {
            return Err(BrowserError::Gone(GoneCause::Died));
        }
        match tokio::time::timeout(self.command_timeout, work).await {
            Ok(Err(_)) if self.is_gone() => Err(BrowserError::Gone(GoneCause::Died)),
            Ok(result) => result,
            Err(_) => Err(BrowserError::Gone(GoneCause::Unresponsive)),
        }
    }

    /// Whether the browser has died.
    pub fn is_gone(&self) -> bool {
        self.gone.load(Ordering::Acquire)
    }

    /// Process id of the browser.
    pub fn process(&self) -> Option<u32> {
        self.process
    }

    /// The request filter; `None` if all requests are allowed.
    pub(crate) fn interceptor(&self) -> Option<&RequestInterceptor> {
        self.interceptor.as_ref()
    }

    /// Whether the proxy refused a connection to this `host:port`. The browser itself also attempts some.
    pub(crate) fn has_refused(&self, host: &str) -> bool {
        self.network_proxy.has_refused(host)
    }
}

impl Drop for Chromium {
    fn drop(&mut self) {
        // The browser kills its process when dropped; the event loop must not outlive it.
        self.handler.abort();
    }
}

/// Starts the watcher of a browser. Without a shell, the browser outlives a killed owner.
fn watch(browser: u32) -> Option<Child> {
    let mut command = Command::new("sh");
    command.args(["-c", WATCHER, "watcher", &std::process::id().to_string(), &browser.to_string()]);
    // The watcher has its own process group, so that a signal from the terminal does not end it first.
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
