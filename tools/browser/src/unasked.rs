//! What a page does that nobody asked it for: dialogs, navigations, crashes, requests, downloads, new tabs.

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
    EventJavascriptDialogOpening, FrameId, HandleJavaScriptDialogParams,
};
use chromiumoxide::cdp::browser_protocol::target::EventTargetCreated;
use futures_util::StreamExt as _;
use std::collections::{BTreeSet, HashSet};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use tokio::task::JoinSet;

/// Hosts, and requests under way, that are remembered of a page.
const MOST: usize = 100;

/// What happened on a page that nobody asked for.
#[derive(Default)]
pub(crate) struct Notes {
    /// Until it is told.
    told: Mutex<Vec<String>>,
    /// Whether another document is on its way.
    pub loading: AtomicBool,
    /// Whether the page's process is gone.
    pub crashed: AtomicBool,
    /// Tabs that it opened.
    popups: Mutex<Vec<String>>,
    /// Requests of its scripts that are under way.
    under_way: Mutex<HashSet<RequestId>>,
    /// Hosts that it asked for, with their ports.
    asked: Mutex<BTreeSet<String>>,
    /// How the next question of the page is answered.
    answer: Mutex<Option<(bool, String)>>,
}

impl Notes {
    /// Has something told when the page is seen next.
    pub fn tell(&self, what: String) {
        self.told.lock().unwrap_or_else(PoisonError::into_inner).push(what);
    }

    /// What is to be told.
    pub fn take_told(&self) -> Vec<String> {
        std::mem::take(&mut *self.told.lock().unwrap_or_else(PoisonError::into_inner))
    }

    /// Whether scripts wait for an answer, which will change the page.
    pub fn is_asking(&self) -> bool {
        !self.under_way.lock().unwrap_or_else(PoisonError::into_inner).is_empty()
    }

    /// Does not wait for what is under way: it may be meant to stay so.
    pub fn give_up_asking(&self) {
        self.under_way.lock().unwrap_or_else(PoisonError::into_inner).clear();
    }

    /// The hosts that the page asked for since this was last asked.
    pub fn take_asked(&self) -> BTreeSet<String> {
        std::mem::take(&mut *self.asked.lock().unwrap_or_else(PoisonError::into_inner))
    }

    /// A tab that the page opened.
    pub fn take_popup(&self) -> Option<String> {
        self.popups.lock().unwrap_or_else(PoisonError::into_inner).pop()
    }

    /// Decides how the next question of the page is answered.
    pub fn answer_next(&self, accept: bool, text: &str) {
        *self.answer.lock().unwrap_or_else(PoisonError::into_inner) = Some((accept, text.to_owned()));
    }
}

/// Listens to what a page does by itself, and notes it. What it returns ends with the page.
pub(crate) async fn listen(
    tab: &chromiumoxide::Page,
    browser: &Chromium,
    notes: &Arc<Notes>,
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
    notes: Arc<Notes>,
    tasks: JoinSet<()>,
}

impl Listeners {
    /// Questions are answered at once: nothing on the page goes on before.
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
                // If the page is gone, so is its question.
                let _ = own.execute(answer).await;
                let how = match (harmless, accept) {
                    (true, _) => "it was closed",
                    (false, true) => "it was accepted",
                    (false, false) => "it was dismissed; answer_dialog(true) before the action accepts it",
                };
                let asked: String = dialog.message.chars().take(300).collect();
                kept.tell(format!("the page showed a dialog \"{asked}\": {how}"));
            }
        });
        Ok(())
    }

    /// Whether another document is on its way, or the page has crashed.
    async fn loading(&mut self) -> Result<(), BrowserError> {
        let mut starts = self.tab.event_listener::<EventFrameStartedLoading>().await?;
        let mut stops = self.tab.event_listener::<EventFrameStoppedLoading>().await?;
        let mut wishes = self.tab.event_listener::<EventFrameRequestedNavigation>().await?;
        let mut crashes = self.tab.event_listener::<EventTargetCrashed>().await?;
        let (kept, main) = (Arc::clone(&self.notes), self.frame.clone());
        self.tasks.spawn(async move {
            loop {
                tokio::select! {
                    // What began before it ended is told before it.
                    biased;
                    Some(event) = wishes.next() => if event.frame_id == main { kept.loading.store(true, Ordering::Release) },
                    Some(event) = starts.next() => if event.frame_id == main { kept.loading.store(true, Ordering::Release) },
                    Some(event) = stops.next() => if event.frame_id == main { kept.loading.store(false, Ordering::Release) },
                    Some(_) = crashes.next() => kept.crashed.store(true, Ordering::Release),
                    else => return,
                }
            }
        });
        self.tab.execute(EnableParams::default()).await?;
        Ok(())
    }

    /// What it asks for, and of whom.
    async fn requests(&mut self) -> Result<(), BrowserError> {
        let mut requests = self.tab.event_listener::<EventRequestWillBeSent>().await?;
        let mut sockets = self.tab.event_listener::<EventWebSocketCreated>().await?;
        let mut finished = self.tab.event_listener::<EventLoadingFinished>().await?;
        let mut failed = self.tab.event_listener::<EventLoadingFailed>().await?;
        let kept = Arc::clone(&self.notes);
        self.tasks.spawn(async move {
            let under_way = || kept.under_way.lock().unwrap_or_else(PoisonError::into_inner);
            loop {
                let url = tokio::select! {
                    // What began before it ended is told before it.
                    biased;
                    Some(event) = requests.next() => {
                        let mut under_way = under_way();
                        if matches!(event.r#type, Some(ResourceType::Xhr | ResourceType::Fetch)) && under_way.len() < MOST {
                            under_way.insert(event.request_id.clone());
                        }
                        event.request.url.clone()
                    }
                    Some(event) = finished.next() => {
                        under_way().remove(&event.request_id);
                        continue;
                    }
                    Some(event) = failed.next() => {
                        under_way().remove(&event.request_id);
                        continue;
                    }
                    Some(event) = sockets.next() => event.url.replacen("ws", "http", 1),
                    else => return,
                };
                let Some(host) = host(&url) else { continue };
                let mut asked = kept.asked.lock().unwrap_or_else(PoisonError::into_inner);
                if asked.len() < MOST {
                    asked.insert(host);
                }
            }
        });
        Ok(())
    }

    /// What it wants to save.
    async fn downloads(&mut self, browser: &Chromium) -> Result<(), BrowserError> {
        let mut downloads = browser.listen::<EventDownloadWillBegin>().await?;
        let (kept, main) = (Arc::clone(&self.notes), self.frame.clone());
        self.tasks.spawn(async move {
            while let Some(download) = downloads.next().await {
                if download.frame_id == main {
                    let name: String = download.suggested_filename.chars().take(80).collect();
                    kept.loading.store(false, Ordering::Release);
                    kept.tell(format!("the page offered the download {name}; nothing was saved"));
                }
            }
        });
        Ok(())
    }

    /// Tabs that it opens.
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
