//! Chromium: found, started with few capabilities, and driven over its DevTools.

use crate::browser_process::BrowserProcess;
use crate::host_pattern::HostPattern;
use crate::interceptor::RequestInterceptor;
use crate::launch::{Launched, launch};
use crate::memory_limit;
use crate::network_proxy::{NetworkProxy, ProxyRules};
use crate::page::Page;
use crate::{BrowserError, GoneCause, Settings};
use chromiumoxide::browser::Browser;
use chromiumoxide::cdp::browser_protocol::browser::{SetDownloadBehaviorBehavior, SetDownloadBehaviorParams};
use chromiumoxide::cdp::browser_protocol::target::{
    CreateBrowserContextParams, CreateTargetParams, DisposeBrowserContextParams,
};
use chromiumoxide::handler::HandlerConfig;
use futures_util::StreamExt as _;
use sojourn_tools::EnvironmentUnavailable;
use sojourn_tools::outside::address::AddressGrants;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;
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

/// Path of the installed browser, if there is one.
pub fn find_chromium() -> Option<PathBuf> {
    if let Some(said) = std::env::var_os(PROGRAM_VARIABLE) {
        return Some(PathBuf::from(said)).filter(|program| program.is_file());
    }
    let named = NAMES.iter().find_map(|name| sojourn_subprocess::find(name.as_ref(), Path::new("")).ok());
    named.or_else(|| PATHS.iter().map(PathBuf::from).find(|program| program.is_file()))
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

/// A running browser with a temporary profile. Dropping it kills its processes and deletes the profile.
pub struct Chromium {
    browser: Arc<Browser>,
    /// Set when the DevTools connection has closed.
    gone: Arc<AtomicBool>,
    handler: JoinHandle<()>,
    network_proxy: NetworkProxy,
    interceptor: Option<RequestInterceptor>,
    /// Time limit of one DevTools command.
    command_timeout: Duration,
    /// Time limit of a navigation.
    pub(crate) load_timeout: Duration,
    window: (u32, u32),
    /// Whether a person sees its window.
    visible: bool,
    /// Carries messages between the driver and the browser's pipes.
    bridge: JoinHandle<()>,
    /// Ends the browser when it takes too much memory, and says so.
    memory_watch: Option<JoinHandle<()>>,
    too_large: Arc<AtomicBool>,
    own_network: bool,
    process: BrowserProcess,
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
        let rules = ProxyRules {
            hosts: settings.hosts.iter().map(|host| HostPattern::new(host)).collect(),
            ranges: AddressGrants::new(&settings.private_ranges).map_err(|e| broken(&e))?,
            grants: settings.grants.clone(),
        };
        let Launched { process, proxy: network_proxy, devtools, bridge, own_network } =
            launch(settings, &program, rules).await?;
        let config = HandlerConfig {
            ignore_https_errors: false,
            viewport: None,
            request_timeout: settings.command_timeout,
            ..HandlerConfig::default()
        };
        let (browser, mut handler) = Browser::connect_with_config(devtools, config)
            .await
            .map_err(|error| BrowserError::Start(first_line(&error.to_string())))?;
        let gone = Arc::new(AtomicBool::new(false));
        let flag = Arc::clone(&gone);
        let handler = tokio::spawn(async move {
            while let Some(Ok(())) = handler.next().await {}
            flag.store(true, Ordering::Release);
        });
        // Downloads are refused.
        let deny = SetDownloadBehaviorParams::builder()
            .behavior(SetDownloadBehaviorBehavior::Deny)
            .events_enabled(true)
            .build()
            .map_err(BrowserError::Refused)?;
        browser.execute(deny).await?;
        let browser = Arc::new(browser);
        let interceptor = match &settings.grants {
            Some(grants) => Some(RequestInterceptor::open(&browser, grants.clone()).await?),
            None => None,
        };
        let too_large = Arc::new(AtomicBool::new(false));
        let watch = |leader| memory_limit::watch(leader, settings.memory_mib, Arc::clone(&too_large));
        let memory_watch = process.id().map(|leader| tokio::spawn(watch(leader)));
        Ok(Self {
            browser,
            memory_watch,
            too_large,
            gone,
            handler,
            network_proxy,
            interceptor,
            command_timeout: settings.command_timeout,
            load_timeout: settings.load_timeout,
            window: settings.window,
            visible: settings.visible,
            bridge,
            own_network,
            process,
        })
    }

    /// Whether a person sees its window, and shares the clipboard with it.
    pub(crate) fn is_visible(&self) -> bool {
        self.visible
    }

    /// Opens a tab with its own browser context, which shares no cookies or storage with other tabs.
    ///
    /// # Errors
    /// The browser has died.
    pub async fn page(self: &Arc<Self>) -> Result<Page, BrowserError> {
        let opened = async {
            let context =
                self.browser.execute(CreateBrowserContextParams::default()).await?.result.browser_context_id;
            let mut target = CreateTargetParams::new("about:blank");
            target.browser_context_id = Some(context.clone());
            target.width = Some(i64::from(self.window.0));
            target.height = Some(i64::from(self.window.1));
            Ok::<_, BrowserError>((self.browser.new_page(target).await?, context))
        };
        let (page, context) = self.timed(opened).await?;
        if self.has_own_network() {
            // A browser whose network holds the proxy alone tells pages that it is offline.
            let online = "Object.defineProperty(Navigator.prototype, 'onLine', { get: () => true, configurable: true });";
            self.timed(async { Ok(page.evaluate_on_new_document(online).await?) }).await?;
        }
        Page::new(page, context, Arc::clone(self)).await
    }

    /// Disposes of a tab's browser context.
    pub(crate) async fn forget(
        &self,
        context: chromiumoxide::cdp::browser_protocol::browser::BrowserContextId,
    ) {
        // The browser may have died already, and the context with it.
        let _ = self.browser.execute(DisposeBrowserContextParams::new(context)).await;
    }

    /// Executes a command that concerns the browser and not one page.
    pub(crate) async fn execute<C: chromiumoxide::types::Command>(
        &self,
        command: C,
    ) -> Result<C::Response, BrowserError> {
        self.timed(async { Ok(self.browser.execute(command).await?.result) }).await
    }

    pub(crate) async fn listen<E: chromiumoxide::cdp::IntoEventKind + Unpin>(
        &self,
    ) -> Result<chromiumoxide::listeners::EventStream<E>, BrowserError> {
        Ok(self.browser.event_listener::<E>().await?)
    }

    /// Runs `work` with the time limit, and reports the browser's death as such.
    pub(crate) async fn timed<T>(
        &self,
        work: impl Future<Output = Result<T, BrowserError>>,
    ) -> Result<T, BrowserError> {
        if self.is_gone() {
            return Err(BrowserError::Gone(self.cause()));
        }
        match tokio::time::timeout(self.command_timeout, work).await {
            Ok(Err(_)) if self.is_gone() => Err(BrowserError::Gone(self.cause())),
            Ok(result) => result,
            Err(_) => Err(BrowserError::Gone(GoneCause::Unresponsive)),
        }
    }

    /// Why the browser is gone.
    fn cause(&self) -> GoneCause {
        if self.too_large.load(Ordering::Acquire) { GoneCause::TooLarge } else { GoneCause::Died }
    }

    /// Why a page is gone whose process has ended.
    pub(crate) fn page_lost(&self) -> GoneCause {
        if self.too_large.load(Ordering::Acquire) { GoneCause::TooLarge } else { GoneCause::PageLost }
    }

    /// Whether the browser has died.
    pub fn is_gone(&self) -> bool {
        self.gone.load(Ordering::Acquire)
    }

    /// Process id of the browser.
    pub fn process(&self) -> Option<u32> {
        self.process.id()
    }

    /// Whether the browser is in a network of its own, which holds nothing but the proxy.
    pub fn has_own_network(&self) -> bool {
        self.own_network
    }

    /// Kills the browser's processes.
    pub(crate) fn kill(&self) {
        self.process.kill();
    }

    /// The request filter; `None` if all requests are allowed.
    pub(crate) fn interceptor(&self) -> Option<&RequestInterceptor> {
        self.interceptor.as_ref()
    }

    /// Why the proxy refused the last connection to this `host:port`. The browser itself also attempts some.
    pub(crate) fn connection_refusal(&self, host: &str) -> Option<String> {
        self.network_proxy.refusal(host)
    }

    /// Takes the messages about requests that only the proxy refused.
    pub(crate) fn take_refusals(&self) -> Vec<String> {
        self.network_proxy.take_messages()
    }
}

impl Drop for Chromium {
    fn drop(&mut self) {
        // The event loop must not outlive the browser, which ends when its process is dropped.
        self.handler.abort();
        self.bridge.abort();
        if let Some(watch) = &self.memory_watch {
            watch.abort();
        }
    }
}

fn first_line(text: &str) -> String {
    text.lines().next().unwrap_or_default().chars().take(300).collect()
}
