//! Filters the browser's requests by method and URL. Every request of any page, frame, worker or new tab is
//! paused here before it is sent. The [network proxy](crate::network_proxy) decides which hosts are
//! reachable; this module decides what may be done there.

use crate::BrowserError;
use crate::request_grants::RequestGrants;
use chromiumoxide::browser::Browser;
use chromiumoxide::cdp::browser_protocol::fetch::{
    ContinueRequestParams, EnableParams, EventRequestPaused, FailRequestParams, FulfillRequestParams,
    RequestId, RequestPattern,
};
use chromiumoxide::cdp::browser_protocol::network::{ErrorReason, ResourceType};
use chromiumoxide::cdp::browser_protocol::page::FrameId;
use chromiumoxide::cdp::browser_protocol::target::GetTargetInfoParams;
use futures_util::StreamExt as _;
use std::collections::{HashSet, VecDeque};
use std::sync::{Arc, Mutex, PoisonError};
use tokio::sync::mpsc;
use tokio::task::JoinSet;

/// Limit on the recorded refusals.
const MAX_REFUSALS: usize = 100;
/// Limit on the decisions that wait to be sent to the browser.
const MAX_PENDING: usize = 256;

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
    Go(RequestId),
    Fail(RequestId),
    /// The frame keeps its document.
    Stay(RequestId),
    /// A tab keeps its document; in a frame inside a page the request fails.
    StayInTab(RequestId, FrameId),
}

impl RequestInterceptor {
    /// Installs the filter. From then on the browser sends only allowed requests.
    pub async fn open(browser: &Arc<Browser>, grants: RequestGrants) -> Result<Self, BrowserError> {
        let state = Arc::new(Mutex::new(State::default()));
        let (answers, mut waiting) = mpsc::channel(MAX_PENDING);
        let mut tasks = JoinSet::new();
        let mut paused = browser.event_listener::<EventRequestPaused>().await?;
        let everything = RequestPattern::builder().url_pattern("*").build();
        browser.execute(EnableParams::builder().pattern(everything).build()).await?;
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
                let stays = match &answer {
                    Decision::Stay(_) => true,
                    Decision::StayInTab(_, frame) => is_tab(&browser, frame).await,
                    Decision::Go(_) | Decision::Fail(_) => false,
                };
                // A request that was cancelled meanwhile needs no answer.
                let _ = match answer {
                    Decision::Go(id) => browser.execute(ContinueRequestParams::new(id)).await.map(|_| ()),
                    Decision::Stay(id) | Decision::StayInTab(id, _) if stays => {
                        browser.execute(FulfillRequestParams::new(id, 204)).await.map(|_| ())
                    }
                    Decision::Fail(id) | Decision::Stay(id) | Decision::StayInTab(id, _) => {
                        let fail = FailRequestParams::new(id, ErrorReason::AccessDenied);
                        browser.execute(fail).await.map(|_| ())
                    }
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
        return Decision::Go(id);
    };
    let mut state = state.lock().unwrap_or_else(PoisonError::into_inner);
    if state.refused.len() < MAX_REFUSALS {
        state.refused.push_back((event.frame_id.clone(), why));
    }
    // Status 204 keeps the present page. While the agent opens a page, documents of that page must fail instead: the
    // navigation waits until each of its frames has loaded a document, and after status 204 a frame never does.
    if event.resource_type != ResourceType::Document || state.opening.contains(&event.frame_id) {
        Decision::Fail(id)
    } else if state.opening.is_empty() {
        Decision::Stay(id)
    } else {
        Decision::StayInTab(id, event.frame_id.clone())
    }
}

/// Whether a frame is the main frame of a tab, whose target has the same id.
async fn is_tab(browser: &Browser, frame: &FrameId) -> bool {
    let target = GetTargetInfoParams { target_id: Some(frame.inner().clone().into()) };
    // A frame inside a page has no target, or one of another type.
    browser.execute(target).await.is_ok_and(|found| found.result.target_info.r#type == "page")
}
