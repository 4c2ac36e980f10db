//! Filters the browser's requests by method and URL. Every request of any page, frame, worker or new tab is
//! paused here before it is sent. The [network proxy](crate::network_proxy) decides which hosts are
//! reachable; this module decides what may be done there.

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

/// Limit on the recorded refusals.
const MAX_REFUSALS: usize = 100;
/// Limit on the decisions that wait to be sent to the browser.
const MAX_PENDING: usize = 256;
/// Safe methods (RFC 9110, section 9.2.1).
const SAFE_METHODS: [&str; 3] = ["GET", "HEAD", "OPTIONS"];

/// URL patterns that pages may request: `https://example.org/orders/*`. `*` matches anything.
#[derive(Debug, Clone)]
pub struct RequestGrants {
    send: GlobSet,
    never: GlobSet,
}

impl RequestGrants {
    /// Allows requests with side effects (any unsafe method) to `send`, and forbids all requests to `never`.
    ///
    /// # Errors
    /// A pattern is invalid.
    pub fn new(send: &[String], never: &[String]) -> Result<Self, String> {
        Ok(Self { send: set(send)?, never: set(never)? })
    }

    /// Why a request is refused, or `None` if it is allowed.
    pub fn refusal(&self, method: &str, url: &str) -> Option<String> {
        // The fragment is never sent.
        let url = url.split('#').next().unwrap_or_default();
        if !url.starts_with("http://") && !url.starts_with("https://") {
            return None;
        }
        // A page controls the query string, so it must not influence whether a pattern matches.
        let address = url.split('?').next().unwrap_or_default();
        let short: String = address.chars().take(120).collect();
        if self.never.is_match(address) || self.never.is_match(url) {
            return Some(format!("{short} may not be visited: the agent's settings forbid it"));
        }
        let is_safe = SAFE_METHODS.contains(&method);
        (!is_safe && !self.send.is_match(address))
            .then(|| format!("nothing may be sent to {short}: the agent's settings do not grant it"))
    }
}

fn set(patterns: &[String]) -> Result<GlobSet, String> {
    let mut set = GlobSetBuilder::new();
    for pattern in patterns {
        let glob = Glob::new(pattern)
            .map_err(|error| format!("the pattern `{pattern}` is not valid: {}", error.kind()))?;
        set.add(glob);
    }
    set.build().map_err(|error| error.to_string())
}

/// The running filter. It ends with the browser.
pub(crate) struct RequestInterceptor {
    grants: RequestGrants,
    state: Arc<Mutex<State>>,
    _tasks: JoinSet<()>,
}

#[derive(Default)]
struct State {
    /// Refusals by frame, until they are reported.
    refused: VecDeque<(FrameId, String)>,
    /// Frames that the agent itself is navigating.
    opening: HashSet<FrameId>,
}

/// A decision about a paused request.
enum Decision {
    Go(ContinueRequestParams),
    Stay(FulfillRequestParams),
    Fail(FailRequestParams),
}

impl RequestInterceptor {
    /// Installs the filter. From then on the browser sends only allowed requests.
    pub async fn open(
        browser: &Arc<tokio::sync::Mutex<Browser>>,
        grants: RequestGrants,
    ) -> Result<Self, BrowserError> {
        let state = Arc::new(Mutex::new(State::default()));
        let (answers, mut waiting) = mpsc::channel(MAX_PENDING);
        let mut tasks = JoinSet::new();
        let mut paused = {
            let browser = browser.lock().await;
            let paused = browser.event_listener::<EventRequestPaused>().await?;
            let everything = RequestPattern::builder().url_pattern("*").build();
            browser.execute(EnableParams::builder().pattern(everything).build()).await?;
            paused
        };
        let (own, kept) = (grants.clone(), Arc::clone(&state));
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
                // A request that was cancelled meanwhile needs no answer.
                let _ = match answer {
                    Decision::Go(go) => browser.execute(go).await.map(|_| ()),
                    Decision::Stay(stay) => browser.execute(stay).await.map(|_| ()),
                    Decision::Fail(fail) => browser.execute(fail).await.map(|_| ()),
                };
            }
        });
        Ok(Self { grants, state, _tasks: tasks })
    }

    /// Why the agent may not navigate to a URL, or `None` if it may.
    pub fn refusal(&self, url: &str) -> Option<String> {
        self.grants.refusal("GET", url)
    }

    /// Records whether the agent itself is navigating a frame.
    pub fn opening(&self, frame: &FrameId, opening: bool) {
        let mut state = self.state.lock().unwrap_or_else(PoisonError::into_inner);
        if opening {
            state.opening.insert(frame.clone());
        } else {
            state.opening.remove(frame);
        }
    }

    /// Takes the refusals of a frame.
    pub fn refused(&self, frame: &FrameId) -> Vec<String> {
        let mut state = self.state.lock().unwrap_or_else(PoisonError::into_inner);
        let (own, others): (Vec<_>, Vec<_>) = state.refused.drain(..).partition(|(of, _)| of == frame);
        state.refused = others.into();
        own.into_iter().map(|(_, why)| why).collect()
    }
}

fn decide(grants: &RequestGrants, event: &EventRequestPaused, state: &Mutex<State>) -> Decision {
    let id = event.request_id.clone();
    let Some(why) = grants.refusal(&event.request.method, &event.request.url) else {
        return Decision::Go(ContinueRequestParams::new(id));
    };
    let mut state = state.lock().unwrap_or_else(PoisonError::into_inner);
    if state.refused.len() < MAX_REFUSALS {
        state.refused.push_back((event.frame_id.clone(), why));
    }
    // Status 204 keeps the present page. A navigation by the agent must fail instead, because it waits for a
    // page.
    if event.resource_type == ResourceType::Document && !state.opening.contains(&event.frame_id) {
        Decision::Stay(FulfillRequestParams::new(id, 204))
    } else {
        Decision::Fail(FailRequestParams::new(id, ErrorReason::AccessDenied))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn unsafe_requests_need_a_grant_and_forbidden_urls_cannot_be_read() {
        let text = |words: &[&str]| words.iter().map(|word| (*word).to_owned()).collect::<Vec<_>>();
        let grants = RequestGrants::new(
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
        // These schemes send nothing to the network.
        assert!(granted("GET", "data:text/html,x") && granted("POST", "blob:null/1"));
        assert!(RequestGrants::new(&text(&["[z-a]"]), &[]).unwrap_err().contains("[z-a]"));
    }
}
