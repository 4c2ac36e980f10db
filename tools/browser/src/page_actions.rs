//! Carries out actions on a page with mouse and keyboard events.

use crate::act::{PageAction, Target};
use crate::page::Page;
use crate::secret_text::Field;
use crate::{BrowserError, keys};
use chromiumoxide::cdp::browser_protocol::input::{
    DispatchMouseEventParams, DispatchMouseEventType, InsertTextParams, MouseButton,
};
use chromiumoxide::cdp::browser_protocol::page::{GetNavigationHistoryParams, NavigateToHistoryEntryParams};
use serde_json::{Value, json};
use std::time::Duration;

/// Limit on the text read from a page, in characters.
const MAX_TEXT_CHARS: usize = 12_000;
/// Number of pointer movements in a drag.
const DRAG_STEPS: u32 = 8;

/// Result of an action.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ActionOutcome {
    /// Whether the action could be carried out.
    pub ok: bool,
    /// Message for the trace.
    pub message: String,
    /// Text that the action read.
    pub text: Option<String>,
}

/// Why an action was not carried out.
enum ActionError {
    /// The action is impossible on this page, for a reason that the agent should read.
    Impossible(String),
    /// The browser failed.
    Browser(BrowserError),
}

/// A point in the viewport, and what is there.
struct Location {
    x: f64,
    y: f64,
    what: String,
}

impl From<BrowserError> for ActionError {
    fn from(error: BrowserError) -> Self {
        match error {
            BrowserError::Refused(reason) | BrowserError::Program(reason) => Self::Impossible(reason),
            error @ BrowserError::Open { .. } => Self::Impossible(error.to_string()),
            error => Self::Browser(error),
        }
    }
}

impl ActionOutcome {
    fn done(message: String) -> Self {
        Self { ok: true, message, text: None }
    }

    pub(crate) fn failed(message: String) -> Self {
        Self { ok: false, message, text: None }
    }
}

impl Page {
    /// Carries out an action. An impossible action is a failed outcome, not an error. Does not wait for the
    /// consequences; see [`settle`](Self::settle).
    ///
    /// # Errors
    /// The browser has died.
    pub async fn act(&mut self, action: &PageAction) -> Result<ActionOutcome, BrowserError> {
        match self.attempt(action).await {
            Ok(outcome) => Ok(outcome),
            Err(ActionError::Impossible(reason)) => Ok(ActionOutcome::failed(reason)),
            Err(ActionError::Browser(error)) => Err(error),
        }
    }

    async fn attempt(&mut self, action: &PageAction) -> Result<ActionOutcome, ActionError> {
        Ok(ActionOutcome::done(match action {
            PageAction::Open { url } => {
                self.open(url).await?;
                format!("opened {url}")
            }
            PageAction::Click { target } => {
                let place = self.locate(target, "click").await?;
                self.pointer(DispatchMouseEventType::MouseMoved, &place, false).await?;
                self.pointer(DispatchMouseEventType::MousePressed, &place, true).await?;
                self.pointer(DispatchMouseEventType::MouseReleased, &place, true).await?;
                format!("clicked {}", place.what)
            }
            PageAction::Hover { target } => {
                let place = self.locate(target, "hover").await?;
                self.pointer(DispatchMouseEventType::MouseMoved, &place, false).await?;
                format!("the pointer is over {}", place.what)
            }
            PageAction::Drag { from, to } => self.drag(from, to).await?,
            PageAction::Type { target, text } => self.fill(target, text).await?,
            PageAction::Press { key } => {
                if let Some(reason) = self.run_script("sojourn.ownPage()").await?.as_str() {
                    return Err(ActionError::Impossible(reason.to_owned()));
                }
                let strokes = keys::chord(key).map_err(ActionError::Impossible)?;
                if self.browser.is_visible() && strokes.iter().any(keys::uses_clipboard) {
                    let reason = "in a window the clipboard is that of the person at this computer";
                    return Err(ActionError::Impossible(reason.to_owned()));
                }
                for stroke in strokes {
                    self.execute(stroke).await?;
                }
                format!("pressed {key}")
            }
            PageAction::Select { target, option } => {
                let call = format!("sojourn.choose({}, {})", json!(target), json!(option));
                format!("selected \"{option}\" in {}", self.act_by_script(&call).await?)
            }
            PageAction::Mark { target, text } => {
                let call = format!("sojourn.mark({}, {})", json!(target), json!(text));
                format!("selected {}", self.act_by_script(&call).await?)
            }
            PageAction::Scroll { target, down } => {
                self.act_by_script(&format!("sojourn.scroll({}, {down})", json!(target))).await?;
                format!("scrolled by {down}")
            }
            PageAction::Read => {
                return self.read().await;
            }
            PageAction::Back => self.back().await?,
            PageAction::Wait { ms } => {
                tokio::time::sleep(Duration::from_millis(u64::from(*ms))).await;
                format!("waited {ms} ms")
            }
            PageAction::Answer { accept, text } => {
                self.events().answer_next(*accept, text);
                let how = if *accept { "accepted" } else { "dismissed" };
                format!("the next question of the page will be {how}")
            }
        }))
    }

    /// Reads the text of the page, and says how much of it was cut.
    async fn read(&mut self) -> Result<ActionOutcome, ActionError> {
        let read = succeeded(self.run_script(&format!("sojourn.text({MAX_TEXT_CHARS})")).await?)?;
        let (text, whole) = (text(&read, "text"), read.get("length").and_then(Value::as_u64));
        let count = text.chars().count();
        let message = match whole {
            Some(length) if length > MAX_TEXT_CHARS as u64 => {
                format!("read the first {count} of {length} characters")
            }
            _ => format!("read {count} characters"),
        };
        Ok(ActionOutcome { ok: true, message, text: Some(text) })
    }

    /// Runs a function of the page script that acts. Returns its description of the element.
    async fn act_by_script(&mut self, call: &str) -> Result<String, ActionError> {
        let done = succeeded(self.run_script(call).await?)?;
        Ok(text(&done, "what"))
    }

    /// Finds a target, scrolls it into view, and checks that `action` is possible there.
    async fn locate(&mut self, target: &Target, action: &str) -> Result<Location, ActionError> {
        let call = format!("sojourn.locate({}, {})", json!(target), json!(action));
        let found = succeeded(self.run_script(&call).await?)?;
        let number = |name: &str| found.get(name).and_then(Value::as_f64).unwrap_or(0.0);
        Ok(Location { x: number("x"), y: number("y"), what: text(&found, "what") })
    }

    async fn pointer(
        &self,
        kind: DispatchMouseEventType,
        place: &Location,
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

    async fn drag(&mut self, from: &Target, to: &Target) -> Result<String, ActionError> {
        let start = self.locate(from, "drag").await?;
        let end = self.locate(to, "drop").await?;
        self.pointer(DispatchMouseEventType::MouseMoved, &start, false).await?;
        self.pointer(DispatchMouseEventType::MousePressed, &start, true).await?;
        for step in 1..=DRAG_STEPS {
            let part = f64::from(step) / f64::from(DRAG_STEPS);
            let between = |a: f64, b: f64| a + (b - a) * part;
            let place =
                Location { x: between(start.x, end.x), y: between(start.y, end.y), what: String::new() };
            self.pointer(DispatchMouseEventType::MouseMoved, &place, true).await?;
        }
        self.pointer(DispatchMouseEventType::MouseReleased, &end, true).await?;
        Ok(format!("dragged {} to {}", start.what, end.what))
    }

    /// Focuses a field and types `typed` in place of its content.
    async fn fill(&mut self, target: &str, typed: &str) -> Result<String, ActionError> {
        let call = format!("sojourn.prepare({}, {})", json!(target), json!(typed));
        let ready = succeeded(self.run_script(&call).await?)?;
        let is = |name: &str| ready.get(name) == Some(&Value::Bool(true));
        let (name, url) = (text(&ready, "name"), text(&ready, "url"));
        let field = Field { name: &name, is_password: is("password"), is_top: is("top"), url: &url };
        let secret = self.secrets.value(typed, field).map_err(ActionError::Impossible)?;
        let given = secret.as_deref().unwrap_or(typed);
        // The script sets the value of fields that cannot be typed into, such as a date.
        if ready.get("set") != Some(&Value::Bool(true)) {
            if given.is_empty() {
                for stroke in keys::chord("Delete").unwrap_or_default() {
                    self.execute(stroke).await?;
                }
            } else {
                self.execute(InsertTextParams::new(given)).await?;
            }
        }
        Ok(format!("typed {} into {}", json!(typed), text(&ready, "what")))
    }

    async fn back(&mut self) -> Result<String, ActionError> {
        let history = self.execute(GetNavigationHistoryParams::default()).await?;
        let before =
            usize::try_from(history.current_index - 1).ok().and_then(|index| history.entries.get(index));
        // Every tab starts with an empty page, which does not count.
        let Some(entry) = before.filter(|entry| entry.url != "about:blank") else {
            return Err(ActionError::Impossible("there is no page before this one".to_owned()));
        };
        self.begin_navigation();
        self.execute(NavigateToHistoryEntryParams::new(entry.id)).await?;
        self.forget_world();
        Ok(format!("went back to {}", entry.url))
    }
}

/// The result of a script function, or the reason that it gives for a failure.
fn succeeded(result: Value) -> Result<Value, ActionError> {
    match result.get("error").and_then(Value::as_str) {
        Some(reason) => Err(ActionError::Impossible(reason.to_owned())),
        None => Ok(result),
    }
}

fn text(result: &Value, field: &str) -> String {
    result.get(field).and_then(Value::as_str).unwrap_or_default().to_owned()
}
