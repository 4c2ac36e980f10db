//! One tab: what is seen on it, and what is done on it.

use crate::act::{Act, Target};
use crate::chromium::Chromium;
use crate::site::host;
use crate::unasked::{Notes, listen};
use crate::view::View;
use crate::{BrowserError, keys};
use chromiumoxide::cdp::browser_protocol::browser::BrowserContextId;
use chromiumoxide::cdp::browser_protocol::emulation::SetDeviceMetricsOverrideParams;
use chromiumoxide::cdp::browser_protocol::input::{
    DispatchMouseEventParams, DispatchMouseEventType, InsertTextParams, MouseButton,
};
use chromiumoxide::cdp::browser_protocol::page::{
    CreateIsolatedWorldParams, FrameId, GetNavigationHistoryParams, NavigateParams, NavigateReturns,
    NavigateToHistoryEntryParams,
};
use chromiumoxide::cdp::browser_protocol::target::{CloseTargetParams, GetTargetInfoParams};
use chromiumoxide::cdp::js_protocol::runtime::{EvaluateParams, ExecutionContextId};
use chromiumoxide::page::ScreenshotParams;
use serde_json::{Value, json};
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::{Duration, Instant};
use tokio::task::JoinSet;

/// What is seen and found on pages, in the page's language.
const SCRIPT: &str = include_str!("page.js");
/// How long a page may take to load before it is shown as it is.
const LOAD: Duration = Duration::from_secs(30);
/// Milliseconds without a change after which a page that did change has settled, and after which it is not waited for.
const QUIET: (u32, u32) = (30, 1500);
/// The longest text read from a page, in characters.
const TEXT: usize = 12_000;
/// Steps of the pointer while it drags.
const DRAG_STEPS: u32 = 8;

/// A tab of its own in a running browser.
pub struct Page {
    tab: chromiumoxide::Page,
    context: Option<BrowserContextId>,
    browser: Arc<Chromium>,
    frame: FrameId,
    /// The world that the script runs in; none after the document changed.
    world: Option<ExecutionContextId>,
    /// What is not told of: a selector, or nothing.
    ignored: String,
    notes: Arc<Notes>,
    _listeners: JoinSet<()>,
}

/// What came of an action.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Acted {
    /// Whether it could be done at all.
    pub ok: bool,
    /// In words.
    pub message: String,
    /// What was read, if something was.
    pub text: Option<String>,
}

impl Page {
    pub(crate) async fn new(
        page: chromiumoxide::Page,
        context: BrowserContextId,
        browser: Arc<Chromium>,
    ) -> Result<Self, BrowserError> {
        let notes = Arc::new(Notes::default());
        // The main frame of a tab bears the tab's own name.
        let frame = FrameId::new(page.target_id().inner().clone());
        let listeners = browser.timed(listen(&page, &browser, &notes, &frame)).await?;
        Ok(Self {
            tab: page,
            context: Some(context),
            browser,
            frame,
            world: None,
            ignored: String::new(),
            notes,
            _listeners: listeners,
        })
    }

    /// Does not tell of what the selector matches, nor finds it.
    pub fn ignore(&mut self, selector: &str) {
        selector.clone_into(&mut self.ignored);
        self.world = None;
    }

    /// The size of what is seen, in pixels.
    ///
    /// # Errors
    /// When the browser is gone.
    pub async fn resize(&self, width: u32, height: u32) -> Result<(), BrowserError> {
        let metrics = SetDeviceMetricsOverrideParams::new(i64::from(width), i64::from(height), 1.0, false);
        self.execute(metrics).await.map(|_| ())
    }

    /// Whether the browser, or this tab alone, is gone.
    pub fn is_gone(&self) -> bool {
        self.browser.is_gone() || self.notes.crashed.load(Ordering::Acquire)
    }

    /// Goes to an address and waits until it is there, or as long as pages are waited for.
    ///
    /// # Errors
    /// When the address is refused or does not answer, or the browser is gone.
    pub async fn open(&mut self, url: &str) -> Result<(), BrowserError> {
        let failed = |reason: String| BrowserError::Open { url: url.to_owned(), reason };
        let went = match self.browser.checkpoint() {
            None => self.go(url).await,
            Some(checkpoint) => {
                if let Some(why) = checkpoint.refusal(url) {
                    return Err(failed(why));
                }
                checkpoint.opening(&self.frame, true);
                let went = self.go(url).await;
                checkpoint.opening(&self.frame, false);
                went
            }
        };
        self.world = None;
        match went {
            Ok(done) => {
                if let Some(reason) = done.error_text.filter(|reason| !reason.is_empty()) {
                    self.notes.loading.store(false, Ordering::Release);
                    return Err(failed(self.with_refusals(reason)));
                }
            }
            Err(BrowserError::Refused(reason)) => {
                self.notes.loading.store(false, Ordering::Release);
                return Err(failed(reason));
            }
            Err(error) => return Err(error),
        }
        self.settle().await?;
        match host(url).filter(|host| self.browser.has_refused(host)) {
            Some(host) => Err(failed(format!("{host} is not among the hosts that the agent may visit"))),
            None => Ok(()),
        }
    }

    async fn go(&self, url: &str) -> Result<NavigateReturns, BrowserError> {
        self.notes.loading.store(true, Ordering::Release);
        self.execute(NavigateParams::new(url)).await
    }

    fn with_refusals(&self, reason: String) -> String {
        match self.refused().next() {
            Some(host) => format!("{host} is not among the hosts that the agent may visit"),
            None => reason,
        }
    }

    /// Hosts that the page asked for since this was last asked, and that it was refused.
    fn refused(&self) -> impl Iterator<Item = String> {
        let asked = self.notes.take_asked();
        asked.into_iter().filter(|host| self.browser.has_refused(host))
    }

    /// The value of an expression, as the page's own scripts see it. A promise is waited for.
    ///
    /// # Errors
    /// When it throws, or the browser is gone.
    pub async fn evaluate(&self, expression: &str) -> Result<Value, BrowserError> {
        self.run(expression, None).await
    }

    /// The value of an expression that looks at the document from outside of the page's own scripts.
    ///
    /// # Errors
    /// When it throws, or the browser is gone.
    pub async fn inspect(&mut self, expression: &str) -> Result<Value, BrowserError> {
        self.inside(expression).await
    }

    async fn run(&self, expression: &str, world: Option<ExecutionContextId>) -> Result<Value, BrowserError> {
        let mut params = EvaluateParams::new(expression);
        params.return_by_value = Some(true);
        params.await_promise = Some(true);
        params.context_id = world;
        let done = self.execute(params).await?;
        if let Some(thrown) = done.exception_details {
            let words = thrown.exception.and_then(|thrown| thrown.description).unwrap_or(thrown.text);
            return Err(BrowserError::Program(words.lines().next().unwrap_or_default().to_owned()));
        }
        Ok(done.result.value.unwrap_or(Value::Null))
    }

    /// Runs an expression where the script is; anew where the document changed meanwhile.
    async fn inside(&mut self, expression: &str) -> Result<Value, BrowserError> {
        let begun = Instant::now();
        loop {
            let tried = match self.world().await {
                Ok(world) => self.run(expression, Some(world)).await,
                Err(error) => Err(error),
            };
            match tried {
                // The document is another one, or is becoming one.
                Err(BrowserError::Refused(_)) if begun.elapsed() < LOAD && !self.is_gone() => {
                    self.world = None;
                    tokio::time::sleep(Duration::from_millis(10)).await;
                }
                Err(BrowserError::Program(words)) if words.contains("Execution context was destroyed") => {
                    self.world = None;
                }
                other => return other,
            }
        }
    }

    async fn world(&mut self) -> Result<ExecutionContextId, BrowserError> {
        if let Some(world) = self.world {
            return Ok(world);
        }
        let mut params = CreateIsolatedWorldParams::new(self.frame.clone());
        params.world_name = Some("sojourn".to_owned());
        let world = self.execute(params).await?.execution_context_id;
        self.run(SCRIPT, Some(world)).await?;
        let settings = json!({"ignored": self.ignored});
        self.run(&format!("sojourn.configure({settings})"), Some(world)).await?;
        self.world = Some(world);
        Ok(world)
    }

    async fn execute<C: chromiumoxide::types::Command>(
        &self,
        command: C,
    ) -> Result<C::Response, BrowserError> {
        if self.notes.crashed.load(Ordering::Acquire) {
            return Err(BrowserError::Gone("lost the page"));
        }
        let work = async { Ok(self.tab.execute(command).await?.result) };
        let done = self.browser.timed(work).await;
        if done.is_err() && self.notes.crashed.load(Ordering::Acquire) {
            return Err(BrowserError::Gone("lost the page"));
        }
        done
    }

    /// Waits until the page does not change any more.
    ///
    /// # Errors
    /// When the browser is gone.
    pub async fn settle(&mut self) -> Result<(), BrowserError> {
        let begun = Instant::now();
        loop {
            let (quiet, most) = QUIET;
            self.inside(&format!("sojourn.settle({quiet}, {most})")).await?;
            if let Some(url) = self.popup().await? {
                match Box::pin(self.open(&url)).await {
                    Ok(()) => self.notes.tell(format!(
                        "the page opened {url} in another tab; it is shown here, and back() returns"
                    )),
                    // Where it may not be shown, the page that opened it stays.
                    Err(error @ BrowserError::Open { .. }) => {
                        self.notes.tell(format!("the page opened another tab, which was closed: {error}"));
                    }
                    Err(error) => return Err(error),
                }
                continue;
            }
            if self.notes.is_asking() && begun.elapsed() < Duration::from_millis(u64::from(most)) {
                tokio::time::sleep(Duration::from_millis(5)).await;
                continue;
            }
            self.notes.give_up_asking();
            if !self.notes.loading.load(Ordering::Acquire) {
                return Ok(());
            }
            if begun.elapsed() > LOAD {
                self.notes.tell("the page is still loading".to_owned());
                self.notes.loading.store(false, Ordering::Release);
                return Ok(());
            }
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
    }

    /// The address of a tab that the page opened; the tab is closed.
    async fn popup(&self) -> Result<Option<String>, BrowserError> {
        let Some(id) = self.notes.take_popup() else { return Ok(None) };
        let info = GetTargetInfoParams { target_id: Some(id.clone().into()) };
        let mut url = String::new();
        // Its address is known a moment after the tab is.
        for _ in 0..20 {
            url =
                self.browser.execute(info.clone()).await.map(|info| info.target_info.url).unwrap_or_default();
            if !url.is_empty() && url != "about:blank" {
                break;
            }
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
        // It may have closed itself.
        let _ = self.browser.execute(CloseTargetParams::new(id)).await;
        Ok(Some(url).filter(|url| url.starts_with("http://") || url.starts_with("https://")))
    }

    /// Gives elements their ids from the first one on again: for the beginning of an episode.
    ///
    /// # Errors
    /// When the browser is gone.
    pub async fn renumber(&mut self) -> Result<(), BrowserError> {
        self.inside("sojourn.renumber()").await.map(|_| ())
    }

    /// What is seen now, and what happened unasked since the last look.
    ///
    /// # Errors
    /// When the browser is gone.
    pub async fn see(&mut self) -> Result<View, BrowserError> {
        let seen = self.inside("sojourn.see()").await?;
        let mut told = self.notes.take_told();
        told.extend(
            self.refused().map(|host| format!("{host} is not among the hosts that the agent may visit")),
        );
        told.extend(
            self.browser.checkpoint().into_iter().flat_map(|checkpoint| checkpoint.refused(&self.frame)),
        );
        View::read(seen, told).ok_or_else(|| BrowserError::Program("the page cannot be read".to_owned()))
    }

    /// A picture of what is seen, as PNG.
    ///
    /// # Errors
    /// When the browser is gone.
    pub async fn picture(&self) -> Result<Vec<u8>, BrowserError> {
        let format = ScreenshotParams::builder().build();
        let taken = async { Ok(self.tab.screenshot(format).await?) };
        self.browser.timed(taken).await
    }

    /// Does something. What cannot be done is no error; what follows from it is not waited for: see [`settle`](Self::settle).
    ///
    /// # Errors
    /// When the browser is gone.
    pub async fn act(&mut self, act: &Act) -> Result<Acted, BrowserError> {
        match self.attempt(act).await {
            Err(BrowserError::Refused(reason) | BrowserError::Program(reason)) => Ok(Acted::failed(reason)),
            Err(error @ BrowserError::Open { .. }) => Ok(Acted::failed(error.to_string())),
            other => other,
        }
    }

    async fn attempt(&mut self, act: &Act) -> Result<Acted, BrowserError> {
        Ok(match act {
            Act::Open { url } => {
                self.open(url).await?;
                Acted::done(format!("opened {url}"))
            }
            Act::Click { target } => match self.locate(target, "click").await? {
                Err(reason) => Acted::failed(reason),
                Ok(place) => {
                    self.pointer(DispatchMouseEventType::MouseMoved, &place, false).await?;
                    self.pointer(DispatchMouseEventType::MousePressed, &place, true).await?;
                    self.pointer(DispatchMouseEventType::MouseReleased, &place, true).await?;
                    Acted::done(format!("clicked {}", place.what))
                }
            },
            Act::Hover { target } => match self.locate(target, "hover").await? {
                Err(reason) => Acted::failed(reason),
                Ok(place) => {
                    self.pointer(DispatchMouseEventType::MouseMoved, &place, false).await?;
                    Acted::done(format!("the pointer is over {}", place.what))
                }
            },
            Act::Drag { from, to } => self.drag(from, to).await?,
            Act::Type { target, text } => self.fill(target, text).await?,
            Act::Press { key } => match keys::chord(key) {
                Err(reason) => Acted::failed(reason),
                Ok(strokes) => {
                    for stroke in strokes {
                        self.execute(stroke).await?;
                    }
                    Acted::done(format!("pressed {key}"))
                }
            },
            Act::Select { target, option } => {
                self.in_page(&format!("sojourn.choose({}, {})", json!(target), json!(option)), |what| {
                    format!("selected \"{option}\" in {what}")
                })
                .await?
            }
            Act::Mark { target, text } => {
                self.in_page(&format!("sojourn.mark({}, {})", json!(target), json!(text)), |what| {
                    format!("selected {what}")
                })
                .await?
            }
            Act::Scroll { target, down } => {
                self.in_page(&format!("sojourn.scroll({}, {down})", json!(target)), |_| {
                    format!("scrolled by {down}")
                })
                .await?
            }
            Act::Read => {
                let text = self.inside(&format!("sojourn.text({TEXT})")).await?;
                let text = text.as_str().unwrap_or_default().to_owned();
                Acted {
                    ok: true,
                    message: format!("read {} characters", text.chars().count()),
                    text: Some(text),
                }
            }
            Act::Back => self.back().await?,
            Act::Wait { ms } => {
                tokio::time::sleep(Duration::from_millis(u64::from(*ms))).await;
                Acted::done(format!("waited {ms} ms"))
            }
            Act::Answer { accept, text } => {
                self.notes.answer_next(*accept, text);
                let how = if *accept { "accepted" } else { "dismissed" };
                Acted::done(format!("the next question of the page will be {how}"))
            }
        })
    }

    /// Something that is done within the page.
    async fn in_page(
        &mut self,
        call: &str,
        tell: impl FnOnce(&str) -> String,
    ) -> Result<Acted, BrowserError> {
        let done = self.inside(call).await?;
        Ok(match done.get("error").and_then(Value::as_str) {
            Some(reason) => Acted::failed(reason.to_owned()),
            None => Acted::done(tell(done.get("what").and_then(Value::as_str).unwrap_or_default())),
        })
    }

    async fn locate(&mut self, target: &Target, action: &str) -> Result<Result<Place, String>, BrowserError> {
        let found = self.inside(&format!("sojourn.locate({}, {})", json!(target), json!(action))).await?;
        if let Some(reason) = found.get("error").and_then(Value::as_str) {
            return Ok(Err(reason.to_owned()));
        }
        let number = |name: &str| found.get(name).and_then(Value::as_f64).unwrap_or(0.0);
        let what = found.get("what").and_then(Value::as_str).unwrap_or_default().to_owned();
        Ok(Ok(Place { x: number("x"), y: number("y"), what }))
    }

    async fn pointer(
        &self,
        kind: DispatchMouseEventType,
        place: &Place,
        down: bool,
    ) -> Result<(), BrowserError> {
        let mut event = DispatchMouseEventParams::new(kind, place.x, place.y);
        if down {
            event.button = Some(MouseButton::Left);
            event.buttons = Some(1);
            event.click_count = Some(1);
        }
        self.execute(event).await.map(|_| ())
    }

    async fn drag(&mut self, from: &Target, to: &Target) -> Result<Acted, BrowserError> {
        let (start, end) = match (self.locate(from, "drag").await?, self.locate(to, "drop").await?) {
            (Ok(start), Ok(end)) => (start, end),
            (Err(reason), _) | (_, Err(reason)) => return Ok(Acted::failed(reason)),
        };
        self.pointer(DispatchMouseEventType::MouseMoved, &start, false).await?;
        self.pointer(DispatchMouseEventType::MousePressed, &start, true).await?;
        for step in 1..=DRAG_STEPS {
            let part = f64::from(step) / f64::from(DRAG_STEPS);
            let between = |a: f64, b: f64| a + (b - a) * part;
            let place = Place { x: between(start.x, end.x), y: between(start.y, end.y), what: String::new() };
            self.pointer(DispatchMouseEventType::MouseMoved, &place, true).await?;
        }
        self.pointer(DispatchMouseEventType::MouseReleased, &end, true).await?;
        Ok(Acted::done(format!("dragged {} to {}", start.what, end.what)))
    }

    async fn fill(&mut self, target: &str, text: &str) -> Result<Acted, BrowserError> {
        let (target, typed) = (json!(target), json!(text));
        let ready = self.inside(&format!("sojourn.prepare({target}, {typed})")).await?;
        if let Some(reason) = ready.get("error").and_then(Value::as_str) {
            return Ok(Acted::failed(reason.to_owned()));
        }
        let what = ready.get("what").and_then(Value::as_str).unwrap_or_default();
        if ready.get("set") != Some(&Value::Bool(true)) {
            if text.is_empty() {
                for stroke in keys::chord("Delete").unwrap_or_default() {
                    self.execute(stroke).await?;
                }
            } else {
                self.execute(InsertTextParams::new(text)).await?;
            }
        }
        Ok(Acted::done(format!("typed {typed} into {what}")))
    }

    async fn back(&mut self) -> Result<Acted, BrowserError> {
        let history = self.execute(GetNavigationHistoryParams::default()).await?;
        let before =
            usize::try_from(history.current_index - 1).ok().and_then(|index| history.entries.get(index));
        // The empty page that every tab begins with is no page.
        let Some(entry) = before.filter(|entry| entry.url != "about:blank") else {
            return Ok(Acted::failed("there is no page before this one".to_owned()));
        };
        self.notes.loading.store(true, Ordering::Release);
        self.execute(NavigateToHistoryEntryParams::new(entry.id)).await?;
        self.world = None;
        Ok(Acted::done(format!("went back to {}", entry.url)))
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

impl Acted {
    fn done(message: String) -> Self {
        Self { ok: true, message, text: None }
    }

    fn failed(message: String) -> Self {
        Self { ok: false, message, text: None }
    }
}

/// A point on the page, and what is there.
struct Place {
    x: f64,
    y: f64,
    what: String,
}
