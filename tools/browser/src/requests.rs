//! What the browser may ask for: every request that any page, frame, worker or new tab of it makes stops here first, before it
//! leaves. Where it may go is decided by the [gate](crate::gate); here it is decided what may be *done* there.

use crate::BrowserError;
use chromiumoxide::browser::Browser;
use chromiumoxide::cdp::browser_protocol::fetch::{
    ContinueRequestParams, EnableParams, EventRequestPaused, FailRequestParams, FulfillRequestParams,
    RequestPattern,
};
use chromiumoxide::cdp::browser_protocol::network::{ErrorReason, ResourceType};
use chromiumoxide::cdp::browser_protocol::page::FrameId;
use futures_util::StreamExt as _;
use globset::{Glob, GlobSet, GlobSetBuilder};
use std::collections::{HashSet, VecDeque};
use std::sync::{Arc, Mutex, PoisonError};
use tokio::sync::mpsc;
use tokio::task::JoinSet;

/// Refusals remembered until they are told.
const MOST: usize = 100;
/// Requests that wait for an answer at once.
const WAITING: usize = 256;
/// Methods that only read, as HTTP defines them (RFC 9110, section 9.2.1).
const READING: [&str; 3] = ["GET", "HEAD", "OPTIONS"];

/// What pages may ask for, by address: `https://example.org/orders/*`. A star stands for anything.
#[derive(Debug, Clone)]
pub struct Grants {
    send: GlobSet,
    never: GlobSet,
}

impl Grants {
    /// Something may be sent (by any method that does not only read) to `send`, and nothing at all may be asked of `never`.
    ///
    /// # Errors
    /// When a pattern cannot be read.
    pub fn new(send: &[String], never: &[String]) -> Result<Self, String> {
        Ok(Self { send: set(send)?, never: set(never)? })
    }

    /// Why a request is refused; `None` where it is granted.
    pub fn refusal(&self, method: &str, url: &str) -> Option<String> {
        // What stands behind # is never sent.
        let url = url.split('#').next().unwrap_or_default();
        if !url.starts_with("http://") && !url.starts_with("https://") {
            return None;
        }
        // A page chooses what stands behind ?, so it may not make a pattern fit, nor keep one from fitting.
        let address = url.split('?').next().unwrap_or_default();
        let short: String = address.chars().take(120).collect();
        if self.never.is_match(address) || self.never.is_match(url) {
            return Some(format!("{short} may not be visited: the agent's settings forbid it"));
        }
        let reads = READING.contains(&method);
        (!reads && !self.send.is_match(address))
            .then(|| format!("nothing may be sent to {short}: the agent's settings do not grant it"))
    }
}

fn set(patterns: &[String]) -> Result<GlobSet, String> {
    let mut set = GlobSetBuilder::new();
    for pattern in patterns {
        let glob = Glob::new(pattern)
            .map_err(|error| format!("the pattern `{pattern}` cannot be read: {}", error.kind()))?;
        set.add(glob);
    }
    set.build().map_err(|error| error.to_string())
}

/// Stops requests. It ends with the browser.
pub(crate) struct Checkpoint {
    grants: Grants,
    notes: Arc<Mutex<Notes>>,
    _tasks: JoinSet<()>,
}

#[derive(Default)]
struct Notes {
    /// What was refused to whom, until it is told.
    refused: VecDeque<(FrameId, String)>,
    /// Frames that are being led to an address by the agent itself.
    opening: HashSet<FrameId>,
}

/// The answer to a request that waits.
enum Answer {
    Go(ContinueRequestParams),
    Stay(FulfillRequestParams),
    Fail(FailRequestParams),
}

impl Checkpoint {
    /// Sets it up; from then on nothing leaves the browser that is not granted.
    pub async fn open(
        browser: &Arc<tokio::sync::Mutex<Browser>>,
        grants: Grants,
    ) -> Result<Self, BrowserError> {
        let notes = Arc::new(Mutex::new(Notes::default()));
        let (answers, mut waiting) = mpsc::channel(WAITING);
        let mut tasks = JoinSet::new();
        let mut paused = {
            let browser = browser.lock().await;
            let paused = browser.event_listener::<EventRequestPaused>().await?;
            let everything = RequestPattern::builder().url_pattern("*").build();
            browser.execute(EnableParams::builder().pattern(everything).build()).await?;
            paused
        };
        let (own, kept) = (grants.clone(), Arc::clone(&notes));
        tasks.spawn(async move {
            while let Some(event) = paused.next().await {
                let answer = decide(&own, &event, &kept);
                if answers.send(answer).await.is_err() {
                    return;
                }
            }
        });
        let browser = Arc::clone(browser);
        tasks.spawn(async move {
            while let Some(answer) = waiting.recv().await {
                let browser = browser.lock().await;
                // A request that was given up meanwhile needs no answer.
                let _ = match answer {
                    Answer::Go(go) => browser.execute(go).await.map(|_| ()),
                    Answer::Stay(stay) => browser.execute(stay).await.map(|_| ()),
                    Answer::Fail(fail) => browser.execute(fail).await.map(|_| ()),
                };
            }
        });
        Ok(Self { grants, notes, _tasks: tasks })
    }

    /// Why the agent may not go to an address; `None` where it may.
    pub fn refusal(&self, url: &str) -> Option<String> {
        self.grants.refusal("GET", url)
    }

    /// Tells whether a frame is being led to an address by the agent itself.
    pub fn opening(&self, frame: &FrameId, opening: bool) {
        let mut notes = self.notes.lock().unwrap_or_else(PoisonError::into_inner);
        if opening {
            notes.opening.insert(frame.clone());
        } else {
            notes.opening.remove(frame);
        }
    }

    /// What a frame was refused since this was last asked.
    pub fn refused(&self, frame: &FrameId) -> Vec<String> {
        let mut notes = self.notes.lock().unwrap_or_else(PoisonError::into_inner);
        let (own, others): (Vec<_>, Vec<_>) = notes.refused.drain(..).partition(|(of, _)| of == frame);
        notes.refused = others.into();
        own.into_iter().map(|(_, why)| why).collect()
    }
}

fn decide(grants: &Grants, event: &EventRequestPaused, notes: &Mutex<Notes>) -> Answer {
    let id = event.request_id.clone();
    let Some(why) = grants.refusal(&event.request.method, &event.request.url) else {
        return Answer::Go(ContinueRequestParams::new(id));
    };
    let mut notes = notes.lock().unwrap_or_else(PoisonError::into_inner);
    if notes.refused.len() < MOST {
        notes.refused.push_back((event.frame_id.clone(), why));
    }
    // Without content, the page that is shown stays. Whoever leads it elsewhere waits for a page, though.
    if event.resource_type == ResourceType::Document && !notes.opening.contains(&event.frame_id) {
        Answer::Stay(FulfillRequestParams::new(id, 204))
    } else {
        Answer::Fail(FailRequestParams::new(id, ErrorReason::AccessDenied))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_sent_needs_a_grant_and_what_is_forbidden_cannot_be_read() {
        let text = |words: &[&str]| words.iter().map(|word| (*word).to_owned()).collect::<Vec<_>>();
        let grants = Grants::new(
            &text(&["http://a.example/login", "http://a.example/orders/*"]),
            &text(&["*/logout"]),
        )
        .unwrap();
        let granted = |method: &str, url: &str| grants.refusal(method, url).is_none();
        assert!(granted("GET", "http://a.example/anything?x=1"));
        assert!(granted("POST", "http://a.example/login"));
        assert!(granted("POST", "http://a.example/login?next=%2F#top"));
        assert!(granted("PUT", "http://a.example/orders/7"));
        assert!(!granted("POST", "http://a.example/account/delete"));
        assert!(!granted("DELETE", "http://a.example/"));
        assert!(!granted("POST", "http://a.example/account/delete?http://a.example/login"));
        assert!(!granted("POST", "http://a.example/account/delete#http://a.example/login"));
        assert!(!granted("POST", "https://evil.example/http://a.example/login"));
        assert!(!granted("GET", "http://a.example/logout"));
        assert!(!granted("GET", "http://a.example/logout?now"));
        // Nothing leaves the machine by these.
        assert!(granted("GET", "data:text/html,x") && granted("POST", "blob:null/1"));
        assert!(Grants::new(&text(&["[z-a]"]), &[]).unwrap_err().contains("[z-a]"));
    }
}
