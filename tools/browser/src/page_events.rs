//! Events that a page causes by itself: dialogs, navigations, crashes, requests, downloads, new tabs.

use crate::BrowserError;
use crate::chromium::Chromium;
use crate::site::host;
use chromiumoxide::cdp::browser_protocol::browser::EventDownloadWillBegin;
use chromiumoxide::cdp::browser_protocol::inspector::{EnableParams, EventTargetCrashed};
use chromiumoxide::cdp::browser_protocol::network::{
    EventLoadingFailed, EventLoadingFinished, EventRequestWillBeSent, EventWebSocketCreated, RequestId,
    ResourceType,
};
use chromiumoxide::cdp::browser_protocol::page::{
    DialogType, EventFrameRequestedNavigation, EventFrameStartedLoading, EventFrameStoppedLoading,
    EventJavascriptDialogOpening, EventLoadEventFired, FrameId, HandleJavaScriptDialogParams,
};
use chromiumoxide::cdp::browser_protocol::target::EventTargetCreated;
use futures_util::StreamExt as _;
use std::collections::{BTreeSet, HashSet};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use tokio::task::JoinSet;

/// Limit on the requested hosts and on the pending requests that are recorded.
const MAX_RECORDED: usize = 100;

/// Events since the last observation, shared between a page and its listeners.
#[derive(Default)]
pub(crate) struct PageEvents {
    /// Messages for the next observation.
    reports: Mutex<Vec<String>>,
    /// Whether a navigation is in progress.
    pub loading: AtomicBool,
    /// Whether the page's process has crashed.
    pub crashed: AtomicBool,
    /// Target ids of tabs that the page opened.
    popups: Mutex<Vec<String>>,
    /// Pending requests of the page's scripts (XHR and fetch) and of its frames.
    pending: Mutex<HashSet<RequestId>>,
    /// Hosts that the page requested, as `host:port`.
    requested_hosts: Mutex<BTreeSet<String>>,
    /// Answer to the next dialog: whether to accept it, and the input for a prompt.
    answer: Mutex<Option<(bool, String)>>,
}

impl PageEvents {
    /// Adds a message for the next observation.
    pub fn report(&self, what: String) {
        self.reports.lock().unwrap_or_else(PoisonError::into_inner).push(what);
    }

    /// Takes the messages.
    pub fn take_reports(&self) -> Vec<String> {
        std::mem::take(&mut *self.reports.lock().unwrap_or_else(PoisonError::into_inner))
    }

    /// Whether scripts wait for a response, which will probably change the page.
    pub fn has_pending_requests(&self) -> bool {
        !self.pending.lock().unwrap_or_else(PoisonError::into_inner).is_empty()
    }

    /// Stops waiting for pending requests; some, such as long polls, never end.
    pub fn forget_pending_requests(&self) {
        self.pending.lock().unwrap_or_else(PoisonError::into_inner).clear();
    }

    /// Takes the hosts that the page requested.
    pub fn take_requested_hosts(&self) -> BTreeSet<String> {
        std::mem::take(&mut *self.requested_hosts.lock().unwrap_or_else(PoisonError::into_inner))
    }

    /// Whether there is a tab that the page opened.
    pub fn has_popup(&self) -> bool {
        !self.popups.lock().unwrap_or_else(PoisonError::into_inner).is_empty()
    }

    /// Takes a tab that the page opened.
    pub fn take_popup(&self) -> Option<String> {
        self.popups.lock().unwrap_or_else(PoisonError::into_inner).pop()
    }

    /// Sets the answer to the next dialog.
    pub fn answer_next(&self, accept: bool, text: &str) {
        *self.answer.lock().unwrap_or_else(PoisonError::into_inner) = Some((accept, text.to_owned()));
    }
}

/// Subscribes to the page's events. The listeners end when the returned set is dropped.
pub(crate) async fn listen(
    tab: &chromiumoxide::Page,
    browser: &Chromium,
    notes: &Arc<PageEvents>,
    frame: &FrameId,
) -> Result<JoinSet<()>, BrowserError> {
    let tasks = JoinSet::new();
    let mut listeners = Listeners { tab: tab.clone(), frame: frame.clone(), notes: Arc::clone(notes), tasks };
    listeners.dialogs().await?;
    listeners.loading().await?;
    listeners.requests().await?;
    listeners.downloads(browser).await?;
    listeners.tabs(browser).await?;
    Ok(listeners.tasks)
}

struct Listeners {
    tab: chromiumoxide::Page,
    frame: FrameId,
    notes: Arc<PageEvents>,
    tasks: JoinSet<()>,
}

impl Listeners {
    /// Answers dialogs at once, because a dialog blocks the page.
    async fn dialogs(&mut self) -> Result<(), BrowserError> {
        let mut dialogs = self.tab.event_listener::<EventJavascriptDialogOpening>().await?;
        let (own, kept) = (self.tab.clone(), Arc::clone(&self.notes));
        self.tasks.spawn(async move {
            while let Some(dialog) = dialogs.next().await {
                let said = kept.answer.lock().unwrap_or_else(PoisonError::into_inner).take();
                let harmless = matches!(dialog.r#type, DialogType::Alert | DialogType::Beforeunload);
                let (accept, text) = said.unwrap_or((harmless, String::new()));
                let mut answer = HandleJavaScriptDialogParams::new(accept);
                if accept && dialog.r#type == DialogType::Prompt {
                    answer.prompt_text = Some(text);
                }
                // The page may have gone, and its dialog with it.
                let _ = own.execute(answer).await;
                let how = match (harmless, accept) {
                    (true, _) => "it was closed",
                    (false, true) => "it was accepted",
                    (false, false) => "it was dismissed; answer_dialog(true) before the action accepts it",
                };
                let message = in_one_line(&dialog.message, 300);
                kept.report(format!("the page showed a dialog \"{message}\": {how}"));
            }
        });
        Ok(())
    }

    /// Tracks navigations and crashes.
    async fn loading(&mut self) -> Result<(), BrowserError> {
        let mut starts = self.tab.event_listener::<EventFrameStartedLoading>().await?;
        let mut stops = self.tab.event_listener::<EventFrameStoppedLoading>().await?;
        let mut navigations = self.tab.event_listener::<EventFrameRequestedNavigation>().await?;
        let mut loads = self.tab.event_listener::<EventLoadEventFired>().await?;
        let mut crashes = self.tab.event_listener::<EventTargetCrashed>().await?;
        let (kept, main) = (Arc::clone(&self.notes), self.frame.clone());
        self.tasks.spawn(async move {
            loop {
                tokio::select! {
                    // Starts are handled before ends, in the order in which they happen.
                    biased;
                    Some(event) = navigations.next() => if event.frame_id == main { kept.loading.store(true, Ordering::Release) },
                    Some(event) = starts.next() => if event.frame_id == main { kept.loading.store(true, Ordering::Release) },
                    Some(event) = stops.next() => if event.frame_id == main { kept.loading.store(false, Ordering::Release) },
                    // Where a frame never gets a document, the page never stops loading, but it has loaded.
                    Some(_) = loads.next() => kept.loading.store(false, Ordering::Release),
                    Some(_) = crashes.next() => kept.crashed.store(true, Ordering::Release),
                    else => return,
                }
            }
        });
        self.tab.execute(EnableParams::default()).await?;
        Ok(())
    }

    /// Tracks requests and their hosts.
    async fn requests(&mut self) -> Result<(), BrowserError> {
        let mut requests = self.tab.event_listener::<EventRequestWillBeSent>().await?;
        let mut sockets = self.tab.event_listener::<EventWebSocketCreated>().await?;
        let mut finished = self.tab.event_listener::<EventLoadingFinished>().await?;
        let mut failed = self.tab.event_listener::<EventLoadingFailed>().await?;
        let (kept, main) = (Arc::clone(&self.notes), self.frame.clone());
        self.tasks.spawn(async move {
            let pending = || kept.pending.lock().unwrap_or_else(PoisonError::into_inner);
            loop {
                let url = tokio::select! {
                    // Starts are handled before ends, in the order in which they happen.
                    biased;
                    Some(event) = requests.next() => {
                        let mut pending = pending();
                        let awaited = match event.r#type {
                            Some(ResourceType::Xhr | ResourceType::Fetch) => true,
                            // The navigation of a frame; that of the page itself is tracked by its own events.
                            Some(ResourceType::Document) => event.frame_id.as_ref() != Some(&main),
                            _ => false,
                        };
                        if awaited && pending.len() < MAX_RECORDED {
                            pending.insert(event.request_id.clone());
                        }
                        event.request.url.clone()
                    }
                    Some(event) = finished.next() => {
                        pending().remove(&event.request_id);
                        continue;
                    }
                    Some(event) = failed.next() => {
                        pending().remove(&event.request_id);
                        continue;
                    }
                    Some(event) = sockets.next() => event.url.replacen("ws", "http", 1),
                    else => return,
                };
                let Some(host) = host(&url) else { continue };
                let mut requested = kept.requested_hosts.lock().unwrap_or_else(PoisonError::into_inner);
                if requested.len() < MAX_RECORDED {
                    requested.insert(host);
                }
            }
        });
        Ok(())
    }

    /// Reports downloads, which the browser refuses.
    async fn downloads(&mut self, browser: &Chromium) -> Result<(), BrowserError> {
        let mut downloads = browser.listen::<EventDownloadWillBegin>().await?;
        let (kept, main) = (Arc::clone(&self.notes), self.frame.clone());
        self.tasks.spawn(async move {
            while let Some(download) = downloads.next().await {
                if download.frame_id == main {
                    let name = in_one_line(&download.suggested_filename, 80);
                    kept.loading.store(false, Ordering::Release);
                    kept.report(format!("the page offered the download {name}; nothing was saved"));
                }
            }
        });
        Ok(())
    }

    /// Records tabs that the page opens.
    async fn tabs(&mut self, browser: &Chromium) -> Result<(), BrowserError> {
        let mut tabs = browser.listen::<EventTargetCreated>().await?;
        let (kept, own) = (Arc::clone(&self.notes), self.tab.target_id().clone());
        self.tasks.spawn(async move {
            while let Some(tab) = tabs.next().await {
                if tab.target_info.opener_id.as_ref() == Some(&own) {
                    let id = tab.target_info.target_id.inner().clone();
                    kept.popups.lock().unwrap_or_else(PoisonError::into_inner).push(id);
                }
            }
        });
        Ok(())
    }
}

/// A text of the page in one line, so that it cannot pass for lines of the observation; cut to `most` characters.
fn in_one_line(text: &str, most: usize) -> String {
    let start: String = text.chars().take(4 * most).collect();
    let words = start.split(|character: char| character.is_whitespace() || character.is_control());
    words.filter(|word| !word.is_empty()).collect::<Vec<_>>().join(" ").chars().take(most).collect()
}
