//! One browser tab: navigation, scripts and observation.

use crate::chromium::Chromium;
use crate::page_events::{PageEvents, listen};
use crate::secret_text::SecretTexts;
use crate::site::host;
use crate::view::View;
use crate::{BrowserError, GoneCause};
use chromiumoxide::cdp::browser_protocol::browser::{BrowserContextId, GetVersionParams};
use chromiumoxide::cdp::browser_protocol::emulation::SetDeviceMetricsOverrideParams;
use chromiumoxide::cdp::browser_protocol::page::{
    FrameId, GetNavigationHistoryParams, NavigateParams, NavigateReturns, StopLoadingParams,
};
use chromiumoxide::cdp::browser_protocol::target::{CloseTargetParams, GetTargetInfoParams};
use chromiumoxide::cdp::js_protocol::runtime::ExecutionContextId;
use chromiumoxide::page::ScreenshotParams;
use serde_json::Value;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::{Duration, Instant};
use tokio::task::JoinSet;

/// Time limit for a page to load. After it the page is used as it is.
pub(crate) const LOAD_TIMEOUT: Duration = Duration::from_secs(30);
/// How long a page must be unchanged to count as settled, and how long to wait for that at most, in
/// milliseconds.
const SETTLE_MS: (u32, u32) = (30, 1500);

/// How often a navigation is looked at.
const POLL: Duration = Duration::from_millis(50);
/// How long a navigation waits for frames after the page itself has loaded.
const FRAMES_TIMEOUT: Duration = Duration::from_millis(500);

/// Takes all frames out of the document. Properties of the document may be named elements of the page, hence the prototypes.
const REMOVE_FRAMES: &str = "(() => { const all = (root, kind) => kind.prototype.querySelectorAll.call(root, '*'); \
    const visit = (elements) => { for (const element of elements) { \
    const root = Object.getOwnPropertyDescriptor(Element.prototype, 'shadowRoot').get.call(element); \
    if (root) visit(all(root, DocumentFragment)); \
    if (element instanceof HTMLIFrameElement || element instanceof HTMLFrameElement || \
    element instanceof HTMLObjectElement || element instanceof HTMLEmbedElement) Element.prototype.remove.call(element); \
    } }; visit(all(document, Document)); })()";

/// How a navigation went.
enum Navigation {
    /// The browser answered: every frame has loaded, or the page cannot be opened.
    Answered(NavigateReturns),
    /// The page has loaded, though not each of its frames.
    Loaded,
    /// It takes longer than the time limit, in a browser that is alive.
    TimedOut,
}

/// A browser tab with its own browser context.
pub struct Page {
    tab: chromiumoxide::Page,
    context: Option<BrowserContextId>,
    pub(crate) browser: Arc<Chromium>,
    pub(crate) frame: FrameId,
    /// Isolated JavaScript world of the script; `None` after the document changed.
    pub(crate) world: Option<ExecutionContextId>,
    /// CSS selector of elements to ignore; may be empty.
    pub(crate) ignored: String,
    /// Secrets that may be typed on the page by their names.
    pub(crate) secrets: Arc<SecretTexts>,
    /// Whether the browser has not answered the last navigation: some frame has no document yet.
    unanswered: bool,
    events: Arc<PageEvents>,
    _listeners: JoinSet<()>,
}

impl Page {
    pub(crate) async fn new(
        page: chromiumoxide::Page,
        context: BrowserContextId,
        browser: Arc<Chromium>,
    ) -> Result<Self, BrowserError> {
        let events = Arc::new(PageEvents::default());
        // The id of a tab's main frame equals the tab's target id.
        let frame = FrameId::new(page.target_id().inner().clone());
        let listeners = browser.timed(listen(&page, &browser, &events, &frame)).await?;
        Ok(Self {
            tab: page,
            context: Some(context),
            browser,
            frame,
            world: None,
            ignored: String::new(),
            secrets: Arc::default(),
            unanswered: false,
            events,
            _listeners: listeners,
        })
    }

    /// Hides elements that match `selector` from observations and searches.
    pub fn ignore(&mut self, selector: &str) {
        selector.clone_into(&mut self.ignored);
        self.world = None;
    }

    /// Lets these secrets be typed by their names.
    pub fn allow_secrets(&mut self, secrets: Arc<SecretTexts>) {
        self.secrets = secrets;
    }

    /// Sets the viewport size, in pixels.
    ///
    /// # Errors
    /// The browser has died.
    pub async fn resize(&self, width: u32, height: u32) -> Result<(), BrowserError> {
        let metrics = SetDeviceMetricsOverrideParams::new(i64::from(width), i64::from(height), 1.0, false);
        self.execute(metrics).await.map(|_| ())
    }

    /// Whether the browser has died or this tab has crashed.
    pub fn is_gone(&self) -> bool {
        self.browser.is_gone() || self.events.crashed.load(Ordering::Acquire)
    }

    /// Navigates to a URL and waits until the page has loaded, or the time limit has passed.
    ///
    /// # Errors
    /// The URL is refused or does not answer, or the browser has died.
    pub async fn open(&mut self, url: &str) -> Result<(), BrowserError> {
        let failed = |reason: String| BrowserError::Open { url: url.to_owned(), reason };
        if let Some(why) = self.browser.interceptor().and_then(|interceptor| interceptor.refusal(url)) {
            return Err(failed(why));
        }
        self.leave_frames().await;
        let before = self.history_entry().await?;
        let went = match self.browser.interceptor() {
            None => self.navigate(url).await,
            Some(interceptor) => {
                interceptor.opening(&self.frame, true);
                let went = self.navigate(url).await;
                interceptor.opening(&self.frame, false);
                went
            }
        };
        self.world = None;
        self.unanswered = matches!(went, Ok(Navigation::Loaded | Navigation::TimedOut));
        match went {
            Ok(Navigation::TimedOut) => {
                self.events.loading.store(false, Ordering::Release);
                // A page that is about to be replaced answers nothing.
                if self.history_entry().await? == before {
                    let _ = self.execute(StopLoadingParams::default()).await;
                }
                // A document that has come, but not as a whole, is used as it is.
                if self.run_script("document.readyState").await? == "complete" {
                    let _ = self.execute(StopLoadingParams::default()).await;
                    let seconds = self.browser.load_timeout.as_secs_f64();
                    return Err(failed(format!("there was no answer within {seconds} s")));
                }
                self.events.report("the page is still loading".to_owned());
            }
            Ok(Navigation::Loaded) => {}
            Ok(Navigation::Answered(done)) => {
                if let Some(reason) = done.error_text.filter(|reason| !reason.is_empty()) {
                    self.events.loading.store(false, Ordering::Release);
                    return Err(failed(self.with_refusals(reason)));
                }
            }
            Err(BrowserError::Refused(reason)) => {
                self.events.loading.store(false, Ordering::Release);
                return Err(failed(reason));
            }
            Err(error) => return Err(error),
        }
        self.settle().await?;
        match host(url).and_then(|host| self.browser.connection_refusal(&host)) {
            Some(why) => Err(failed(why)),
            None => Ok(()),
        }
    }

    /// The id of the page's entry in the tab's history. The browser knows it, whatever the page does.
    async fn history_entry(&self) -> Result<Option<i64>, BrowserError> {
        let history = self.execute(GetNavigationHistoryParams::default()).await?;
        let current = usize::try_from(history.current_index).unwrap_or_default();
        Ok(history.entries.get(current).map(|entry| entry.id))
    }

    /// Takes the frames out of the page that is left, where one of them never got a document: the client of the browser's protocol
    /// sends no navigation before the one before it has ended.
    async fn leave_frames(&mut self) {
        if std::mem::take(&mut self.unanswered) && self.run_script(REMOVE_FRAMES).await.is_ok() {
            let _ = self.execute(StopLoadingParams::default()).await;
        }
    }

    /// Navigates and waits until the document has loaded.
    ///
    /// The answer to the command comes when every frame has loaded a document. A frame that gets status 204 or a download never
    /// does, and a server may be slow: neither means that the browser is dead.
    async fn navigate(&self, url: &str) -> Result<Navigation, BrowserError> {
        self.begin_navigation();
        let begun = Instant::now();
        let mut loaded: Option<Instant> = None;
        let answer = self.execute(NavigateParams::new(url));
        tokio::pin!(answer);
        loop {
            let asked = tokio::time::timeout(POLL, &mut answer).await;
            let timed_out = match asked {
                Ok(Ok(done)) => return Ok(Navigation::Answered(done)),
                Ok(Err(BrowserError::Gone(GoneCause::Unresponsive))) => true,
                Ok(Err(error)) => return Err(error),
                Err(_) => begun.elapsed() > self.browser.load_timeout,
            };
            if timed_out {
                // It says so itself if it is dead.
                self.browser.execute(GetVersionParams::default()).await?;
                return Ok(Navigation::TimedOut);
            }
            if self.is_gone() {
                return Err(BrowserError::Gone(self.browser.page_lost()));
            }
            loaded = if self.events.loading.load(Ordering::Acquire) {
                None
            } else {
                loaded.or(Some(Instant::now()))
            };
            if loaded.is_some_and(|loaded| loaded.elapsed() > FRAMES_TIMEOUT) {
                return Ok(Navigation::Loaded);
            }
        }
    }

    fn with_refusals(&self, reason: String) -> String {
        self.refused().next().unwrap_or(reason)
    }

    /// Why the proxy refused connections that the page requested since the last call.
    fn refused(&self) -> impl Iterator<Item = String> {
        let requested = self.events.take_requested_hosts();
        requested.into_iter().filter_map(|host| self.browser.connection_refusal(&host))
    }

    /// Evaluates an expression in the page's own JavaScript world. A promise is awaited.
    ///
    /// # Errors
    /// The expression throws, or the browser has died.
    pub async fn evaluate(&self, expression: &str) -> Result<Value, BrowserError> {
        self.run(expression, None).await
    }

    /// Evaluates an expression in an isolated world, which shares the document but no variables with the
    /// page's scripts.
    ///
    /// # Errors
    /// The expression throws, or the browser has died.
    pub async fn inspect(&mut self, expression: &str) -> Result<Value, BrowserError> {
        self.run_script(expression).await
    }

    /// The id of the tab.
    pub(crate) fn target(&self) -> String {
        self.tab.target_id().inner().clone()
    }

    /// Whether the page has opened another tab.
    pub(crate) fn has_popup(&self) -> bool {
        self.events.has_popup()
    }

    /// The events of one kind that concern this tab.
    pub(crate) async fn listen<E: chromiumoxide::cdp::IntoEventKind + Unpin>(
        &self,
    ) -> Result<chromiumoxide::listeners::EventStream<E>, BrowserError> {
        Ok(self.tab.event_listener::<E>().await?)
    }

    pub(crate) fn events(&self) -> &PageEvents {
        &self.events
    }

    /// Records that a navigation has started, so that [`settle`](Self::settle) waits for it.
    pub(crate) fn begin_navigation(&self) {
        self.events.loading.store(true, Ordering::Release);
    }

    /// Drops the isolated world, which does not survive a navigation.
    pub(crate) fn forget_world(&mut self) {
        self.world = None;
    }

    pub(crate) async fn execute<C: chromiumoxide::types::Command>(
        &self,
        command: C,
    ) -> Result<C::Response, BrowserError> {
        if self.events.crashed.load(Ordering::Acquire) {
            return Err(BrowserError::Gone(self.browser.page_lost()));
        }
        let work = async { Ok(self.tab.execute(command).await?.result) };
        let done = self.browser.timed(work).await;
        if done.is_err() && self.events.crashed.load(Ordering::Acquire) {
            return Err(BrowserError::Gone(self.browser.page_lost()));
        }
        done
    }

    /// Waits until the page stops changing.
    ///
    /// # Errors
    /// The browser has died.
    pub async fn settle(&mut self) -> Result<(), BrowserError> {
        let begun = Instant::now();
        loop {
            let (quiet, most) = SETTLE_MS;
            self.run_script(&format!("sojourn.settle({quiet}, {most})")).await?;
            if let Some(url) = self.popup().await? {
                match Box::pin(self.open(&url)).await {
                    Ok(()) => self.events.report(format!(
                        "the page opened {url} in another tab; it is shown here, and back() returns"
                    )),
                    // If the new tab must not be shown, the present page stays.
                    Err(error @ BrowserError::Open { .. }) => {
                        self.events.report(format!("the page opened another tab, which was closed: {error}"));
                    }
                    Err(error) => return Err(error),
                }
                continue;
            }
            if self.events.has_pending_requests() && begun.elapsed() < Duration::from_millis(u64::from(most))
            {
                tokio::time::sleep(Duration::from_millis(5)).await;
                continue;
            }
            self.events.forget_pending_requests();
            if !self.events.loading.load(Ordering::Acquire) {
                return Ok(());
            }
            if begun.elapsed() > LOAD_TIMEOUT {
                self.events.report("the page is still loading".to_owned());
                self.events.loading.store(false, Ordering::Release);
                return Ok(());
            }
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
    }

    /// Takes the URL of a tab that the page opened, and closes that tab.
    async fn popup(&self) -> Result<Option<String>, BrowserError> {
        let Some(id) = self.events.take_popup() else { return Ok(None) };
        let info = GetTargetInfoParams { target_id: Some(id.clone().into()) };
        let mut url = String::new();
        // The URL is known shortly after the tab.
        for _ in 0..20 {
            url =
                self.browser.execute(info.clone()).await.map(|info| info.target_info.url).unwrap_or_default();
            if !url.is_empty() && url != "about:blank" {
                break;
            }
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
        // The tab may have closed itself.
        let _ = self.browser.execute(CloseTargetParams::new(id)).await;
        Ok(Some(url).filter(|url| url.starts_with("http://") || url.starts_with("https://")))
    }

    /// Restarts the numbering of element ids, for the start of an episode.
    ///
    /// # Errors
    /// The browser has died.
    pub async fn renumber(&mut self) -> Result<(), BrowserError> {
        self.run_script("sojourn.renumber()").await.map(|_| ())
    }

    /// The visible elements, and page events since the last observation.
    ///
    /// # Errors
    /// The browser has died.
    pub async fn observe(&mut self) -> Result<View, BrowserError> {
        let seen = self.see().await?;
        let mut events = self.events.take_reports();
        events.extend(self.refused());
        events.extend(
            self.browser.interceptor().into_iter().flat_map(|interceptor| interceptor.refused(&self.frame)),
        );
        events.extend(self.browser.take_refusals());
        Ok(View::parse(seen, events))
    }

    /// A screenshot of the viewport, as PNG.
    ///
    /// # Errors
    /// The browser has died.
    pub async fn screenshot(&self) -> Result<Vec<u8>, BrowserError> {
        let format = ScreenshotParams::builder().build();
        let taken = async { Ok(self.tab.screenshot(format).await?) };
        self.browser.timed(taken).await
    }
}

impl Drop for Page {
    fn drop(&mut self) {
        let Some(context) = self.context.take() else { return };
        let browser = Arc::clone(&self.browser);
        if let Ok(runtime) = tokio::runtime::Handle::try_current()
            && !browser.is_gone()
        {
            runtime.spawn(async move { browser.forget(context).await });
        }
    }
}
