//! What a person does once on a page, as actions with the page before each of them.
//!
//! A script in the reader's isolated world listens before the page's own scripts do, and names elements by the code that names them
//! to the agent. It tells this module by a binding that exists in that world only, so a page can neither call nor see it.

use crate::act::PageAction;
use crate::chromium::Chromium;
use crate::page::Page;
use crate::reader::{SCRIPT, WORLD};
use crate::view::View;
use crate::{BrowserError, Settings};
use chromiumoxide::cdp::browser_protocol::network::EventRequestWillBeSent;
use chromiumoxide::cdp::browser_protocol::page::AddScriptToEvaluateOnNewDocumentParams;
use chromiumoxide::cdp::browser_protocol::target::EventTargetDestroyed;
use chromiumoxide::cdp::js_protocol::runtime::{AddBindingParams, EventBindingCalled};
use chromiumoxide::listeners::EventStream;
use futures_util::{FutureExt as _, StreamExt as _};
use serde::Deserialize;
use serde_json::{Map, Value, json};
use sojourn_tools::ToolCall;
use sojourn_tools::outside::url::CanonicalUrl;
use std::collections::BTreeSet;
use std::sync::Arc;
use std::time::Duration;

/// The name of the binding.
const BINDING: &str = "sojournTell";
/// Limit on the bytes of one message of the script; a view of 300 elements has less than a tenth of it.
const MAX_MESSAGE: usize = 4 << 20;
/// Limit on the recorded steps.
pub const MAX_RECORDED_STEPS: usize = 200;
/// Limit on the addresses to which something was sent.
const MAX_SENT: usize = 50;
/// Limit on what a person typed into one field, in characters.
const MAX_TYPED: usize = 4000;
/// Roles of fields whose value the driver sets by a script.
const SET_BY_SCRIPT: [&str; 7] = ["date", "time", "color", "month", "week", "datetime-local", "slider"];
/// How often new tabs are looked for.
const TICK: Duration = Duration::from_millis(250);

/// One action of a person.
#[derive(Debug, Clone, PartialEq)]
pub struct RecordedAction {
    /// The action as the agent's call.
    pub call: ToolCall,
    /// The page before it, as the observation's state has it.
    pub state: Value,
    /// Whether the text that it types comes from a field for passwords and the like.
    pub secret: bool,
    /// Whether that field is one for passwords, which covers what is typed.
    pub covered: bool,
}

/// A page on which a person's actions are recorded.
pub struct Recorder {
    page: Page,
    told: EventStream<EventBindingCalled>,
    requests: EventStream<EventRequestWillBeSent>,
    closed: EventStream<EventTargetDestroyed>,
    actions: Vec<RecordedAction>,
    notes: Vec<String>,
    sent: BTreeSet<String>,
    last: Value,
    is_open: bool,
}

/// A message of the script.
#[derive(Debug, Deserialize)]
struct Told {
    tool: String,
    #[serde(default)]
    id: Option<String>,
    /// Whether the action is about an element.
    #[serde(default)]
    aimed: bool,
    #[serde(default)]
    to: Option<String>,
    #[serde(default)]
    text: Option<String>,
    #[serde(default)]
    secret: bool,
    #[serde(default)]
    covered: bool,
    #[serde(default)]
    view: Value,
    #[serde(default)]
    error: Option<String>,
}

impl Recorder {
    /// Starts a browser, opens `url`, and records from then on.
    ///
    /// # Errors
    /// The browser does not start, or the page cannot be opened.
    pub async fn start(settings: &Settings, url: &str) -> Result<Self, BrowserError> {
        let browser = Arc::new(Chromium::start(settings).await?);
        let page = browser.page().await?;
        let (width, height) = settings.window;
        page.resize(width, height).await?;
        Self::open(page, &browser, url).await
    }

    /// Opens `url` in a tab, and records from then on.
    ///
    /// # Errors
    /// The page cannot be opened.
    pub async fn open(mut page: Page, browser: &Chromium, url: &str) -> Result<Self, BrowserError> {
        let told = page.listen::<EventBindingCalled>().await?;
        let requests = page.listen::<EventRequestWillBeSent>().await?;
        let closed = browser.listen::<EventTargetDestroyed>().await?;
        let mut binding = AddBindingParams::new(BINDING);
        binding.execution_context_name = Some(WORLD.to_owned());
        page.execute(binding).await?;
        let settings = json!({"ignored": page.ignored});
        let source =
            format!("{SCRIPT}\nsojourn.configure({settings});\nif (top === window) sojourn.record();");
        let mut script = AddScriptToEvaluateOnNewDocumentParams::new(source);
        script.world_name = Some(WORLD.to_owned());
        page.execute(script).await?;
        page.open(url).await?;
        let mut recorder = Self {
            page,
            told,
            requests,
            closed,
            actions: Vec::new(),
            notes: Vec::new(),
            sent: BTreeSet::new(),
            last: Value::Null,
            is_open: true,
        };
        recorder.look().await?;
        Ok(recorder)
    }

    /// The page.
    pub fn page(&mut self) -> &mut Page {
        &mut self.page
    }

    /// The actions so far, in order.
    pub fn actions(&self) -> &[RecordedAction] {
        &self.actions
    }

    /// Takes what the person should know: clicks that cannot be repeated, connections that were refused, dialogs.
    pub fn take_notes(&mut self) -> Vec<String> {
        std::mem::take(&mut self.notes)
    }

    /// Addresses, without queries, to which the pages sent something: requests other than GET, HEAD and OPTIONS.
    pub fn sent(&self) -> &BTreeSet<String> {
        &self.sent
    }

    /// The last page, as the observation's state has it.
    pub fn last(&self) -> &Value {
        &self.last
    }

    /// Waits for the next action, and until the page has settled after it; false once the person has closed the window. Dropping
    /// the future loses no action.
    ///
    /// # Errors
    /// The browser does something unexpected.
    pub async fn wait(&mut self) -> Result<bool, BrowserError> {
        loop {
            if self.page.is_gone() || !self.is_open {
                return Ok(false);
            }
            let own = self.page.target();
            tokio::select! {
                told = self.told.next() => match told {
                    None => self.is_open = false,
                    Some(told) => {
                        self.take(&told);
                        return match self.look().await {
                            Err(error) if error.is_gone() => Ok(false),
                            other => other.map(|()| true),
                        };
                    }
                },
                Some(request) = self.requests.next() => self.note_request(&request),
                Some(closed) = self.closed.next() => if closed.target_id.inner() == &own { self.is_open = false },
                () = tokio::time::sleep(TICK) => if self.page.has_popup() { self.look().await?; },
            }
        }
    }

    /// Carries out an action in the person's place, by mouse and keyboard where a person would use them, and records it.
    ///
    /// # Errors
    /// The browser has died. An action that is impossible is the error's text within the answer.
    pub async fn perform(&mut self, call: &ToolCall) -> Result<Result<(), String>, BrowserError> {
        let action = match PageAction::read(call, false) {
            Ok(Some(action)) => action,
            Ok(None) => return Ok(Err(format!("`{}` is no action", call.name))),
            Err(reason) => return Ok(Err(reason)),
        };
        let state = state_of(self.page.observe().await?);
        let target = target_of(call, &state);
        // What the driver does by a script is no event of a person, so the listening script does not take it.
        let role = target.and_then(|one| one.get("role")).and_then(Value::as_str).unwrap_or_default();
        let is_heard = match call.name.as_str() {
            "click" | "press" | "drag" => true,
            "type" => !SET_BY_SCRIPT.contains(&role),
            _ => false,
        };
        let mut own = call.clone();
        if let Some(id) = target.and_then(|one| one.get("id")) {
            own.args.insert("target".to_owned(), id.clone());
        }
        if !is_heard {
            self.flush().await?;
        }
        let outcome = self.page.act(&action).await?;
        if !outcome.ok {
            return Ok(Err(outcome.message));
        }
        if !is_heard {
            self.actions.push(RecordedAction { call: own, state, secret: false, covered: false });
        }
        self.look().await?;
        self.catch_up();
        Ok(Ok(()))
    }

    /// Has the script tell what stands in a field that was not left.
    async fn flush(&mut self) -> Result<(), BrowserError> {
        self.page.inspect("globalThis.sojournFlush?.()").await?;
        self.catch_up();
        Ok(())
    }

    /// Ends the recording: what stands in a field that was not left counts too.
    ///
    /// # Errors
    /// The browser does something unexpected.
    pub async fn finish(&mut self) -> Result<(), BrowserError> {
        if self.is_open && !self.page.is_gone() {
            match self.flush().await {
                Ok(()) => self.look().await?,
                Err(error) if error.is_gone() => {}
                Err(error) => return Err(error),
            }
        }
        self.catch_up();
        Ok(())
    }

    /// Whether an expression is true on the last page; `None` where the page is closed.
    pub async fn holds(&mut self, expression: &str) -> Option<bool> {
        if !self.is_open || self.page.is_gone() {
            return None;
        }
        crate::site::holds(&mut self.page, expression).await.ok()
    }

    /// Takes the messages that have come.
    fn catch_up(&mut self) {
        while let Some(Some(told)) = self.told.next().now_or_never() {
            self.take(&told);
        }
        while let Some(Some(request)) = self.requests.next().now_or_never() {
            self.note_request(&request);
        }
    }

    /// Waits for the page, and looks at it.
    async fn look(&mut self) -> Result<(), BrowserError> {
        self.page.settle().await?;
        let view = self.page.observe().await?;
        self.notes.extend(view.events.iter().cloned());
        self.last = state_of(view);
        Ok(())
    }

    fn note_request(&mut self, request: &EventRequestWillBeSent) {
        let method = request.request.method.to_ascii_uppercase();
        if matches!(method.as_str(), "GET" | "HEAD" | "OPTIONS") || self.sent.len() >= MAX_SENT {
            return;
        }
        let url = request.request.url.split(['?', '#']).next().unwrap_or_default();
        if CanonicalUrl::parse(url).is_some() {
            self.sent.insert(url.to_owned());
        }
    }

    /// Turns a message of the script into an action. Its content comes from a page.
    fn take(&mut self, told: &EventBindingCalled) {
        if told.name != BINDING
            || told.payload.len() > MAX_MESSAGE
            || self.actions.len() >= MAX_RECORDED_STEPS
        {
            return;
        }
        let Ok(told) = serde_json::from_str::<Told>(&told.payload) else { return };
        if let Some(error) = told.error {
            self.notes.push(format!("an action could not be recorded: {error}"));
            return;
        }
        let state = state_of(View::parse(told.view, Vec::new()));
        if told.aimed && told.id.is_none() {
            self.notes
                .push(format!("the {} was on nothing that has a name; it cannot be repeated", told.tool));
            return;
        }
        let text = told.text.unwrap_or_default();
        if text.chars().count() > MAX_TYPED {
            self.notes.push("a text was too long to be recorded".to_owned());
            return;
        }
        let id = Value::from(told.id.unwrap_or_default());
        let args: Vec<(&str, Value)> = match told.tool.as_str() {
            "click" => vec![("target", id)],
            "type" => vec![("target", id), ("text", text.into())],
            "select" => vec![("target", id), ("option", text.into())],
            "press" => vec![("key", text.into())],
            "drag" => vec![("from", id), ("to", told.to.unwrap_or_default().into())],
            _ => return,
        };
        let args: Map<String, Value> =
            args.into_iter().map(|(name, value)| (name.to_owned(), value)).collect();
        let action = RecordedAction {
            call: ToolCall { name: told.tool, args },
            state,
            secret: told.secret,
            covered: told.covered,
        };
        // Somebody who types on in a field has typed one text.
        if let Some(before) = self.actions.last_mut()
            && before.call.name == "type"
            && action.call.name == "type"
            && before.call.args.get("target") == action.call.args.get("target")
            && before.state.get("url") == action.state.get("url")
        {
            before.call = action.call;
            before.secret |= action.secret;
            before.covered &= action.covered;
            return;
        }
        self.actions.push(action);
    }
}

/// The element that a call names by its id or its words.
fn target_of<'a>(call: &ToolCall, state: &'a Value) -> Option<&'a Value> {
    let named =
        call.args.get("target").filter(|named| named.as_str().is_some_and(|text| !text.is_empty()))?;
    let elements = state.get("elements").and_then(Value::as_array)?;
    let is_called = |field: &str| elements.iter().find(|one| one.get(field) == Some(named));
    is_called("id").or_else(|| is_called("name"))
}

/// The state of an observation of this page.
fn state_of(view: View) -> Value {
    let mut state = view.state;
    state.insert("goal".to_owned(), "".into());
    Value::Object(state)
}
