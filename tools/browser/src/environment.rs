//! An environment whose episodes happen on web pages.

use crate::act::PageAction;
use crate::chromium::Chromium;
use crate::episode::{EpisodeGoal, EpisodeStatus, Site};
use crate::launcher::Launcher;
use crate::page::Page;
use crate::page_actions::ActionOutcome;
use crate::page_tools::{CLICK_AT, tools};
use crate::view::{View, render};
use crate::{BrowserError, GoneCause};
use async_trait::async_trait;
use serde_json::{Map, Value};
use sojourn_primitives::JsonPointer;
use sojourn_tools::{
    Action, Environment, EnvironmentError, EnvironmentSpec, EpisodePrefix, Frame, Observation, Progress,
    Question, StepOutcome, ToolCall, ToolOutcome, Wording,
};
use std::fmt::Write as _;
use std::sync::Arc;
use std::time::Duration;

/// Limit on browser restarts during one reset or step. On a busy machine a start takes seconds, in which the browser
/// can be killed again.
const MAX_RESTARTS: u32 = 10;
/// Time limit of a reset over all its attempts.
const RESET_TIMEOUT: Duration = Duration::from_mins(3);
/// Backoff before a restart: doubles from the first to the longest pause.
const MIN_BACKOFF: Duration = Duration::from_millis(100);
const MAX_BACKOFF: Duration = Duration::from_secs(5);
/// Actions for reflexes: those that need no element id.
const ACTIONS: [&str; 6] = [
    "back()",
    "press(\"Escape\")",
    "press(\"Enter\")",
    "scroll(300, \"\")",
    "wait(500)",
    "answer_dialog(true, \"\")",
];

/// An environment whose episodes happen on the pages of a [`Site`].
pub struct WebEnvironment {
    spec: EnvironmentSpec,
    site: Box<dyn Site>,
    launcher: Arc<Launcher>,
    tab: Option<Tab>,
    goal: EpisodeGoal,
    state: Map<String, Value>,
    over: bool,
    call: Option<Call>,
    files: bool,
}

/// A tab and its browser.
struct Tab {
    page: Page,
    browser: Arc<Chromium>,
}

/// The current call.
enum Call {
    Look,
    Bad(String),
    Wanted(String),
    Done(ActionOutcome),
}

impl WebEnvironment {
    /// An environment on `site`. The tools, actions and words of `spec` are replaced by those of web pages. A `spec` without
    /// a question gets that of pages whose goal differs from episode to episode.
    pub fn new(mut spec: EnvironmentSpec, site: Box<dyn Site>, launcher: Arc<Launcher>) -> Self {
        spec.tools = tools().into_iter().filter(|tool| tool.name != CLICK_AT).collect();
        spec.actions = ACTIONS.map(str::to_owned).to_vec();
        // A replay takes the observations from the log and opens no page.
        spec.deterministic = false;
        spec.question.get_or_insert_with(|| Question {
            path: JsonPointer::of(["goal"]),
            differs: "The words of the goal and the page differ each time.".to_owned(),
            fixed: false,
        });
        spec.wording = wording();
        let files = launcher.settings.files;
        Self {
            spec,
            site,
            launcher,
            tab: None,
            goal: EpisodeGoal::default(),
            state: Map::new(),
            over: true,
            call: None,
            files,
        }
    }

    /// The environment with the tool that clicks a point of the page's picture, for agents that look at it.
    #[must_use]
    pub fn with_points(mut self) -> Self {
        self.spec.tools = tools();
        self
    }

    /// A usable tab: the present one, or a new one.
    async fn tab(&mut self) -> Result<&mut Tab, BrowserError> {
        if self.tab.as_ref().is_none_or(|tab| tab.page.is_gone()) {
            self.tab = None;
            let browser = self.launcher.browser().await?;
            let mut page = browser.page().await?;
            let (width, height) = self.site.size().unwrap_or(self.launcher.settings.window);
            page.resize(width, height).await?;
            page.ignore(self.site.ignored());
            self.tab = Some(Tab { page, browser });
        }
        self.tab.as_mut().ok_or(BrowserError::Gone(GoneCause::PageLost))
    }

    /// Drops the tab, and kills the browser if it does not answer.
    async fn discard_tab(&mut self) {
        if let Some(tab) = self.tab.take()
            && (!tab.page.is_gone() || tab.browser.is_gone())
        {
            self.launcher.kill(&tab.browser).await;
        }
    }

    async fn begin_episode(&mut self, seed: u64) -> Result<(), BrowserError> {
        if self.site.isolates_episodes() {
            self.tab = None;
        }
        self.tab().await?;
        let Some(tab) = self.tab.as_mut() else { return Err(BrowserError::Gone(GoneCause::PageLost)) };
        self.goal = self.site.begin(&mut tab.page, seed).await?;
        tab.page.renumber().await?;
        let view = tab.page.observe().await?;
        self.state = state(&self.goal, view, 0.0, None);
        Ok(())
    }

    async fn carry_out(&mut self, act: &PageAction) -> Result<(ActionOutcome, EpisodeStatus), BrowserError> {
        let Some(tab) = self.tab.as_mut() else { return Err(BrowserError::Gone(GoneCause::PageLost)) };
        let acted = tab.page.act(act).await?;
        // No need to wait for the page if the action ended the episode.
        let mut status = self.site.judge(&mut tab.page).await?;
        if status.ended.is_none() {
            tab.page.settle().await?;
            status = self.site.judge(&mut tab.page).await?;
        }
        if status.ended.is_none() {
            let view = tab.page.observe().await?;
            self.state = state(&self.goal, view, status.success, Some(&acted));
        } else {
            // The page after the end of the episode says nothing about the task.
            self.state.insert("success".to_owned(), status.success.into());
            self.state.insert("last".to_owned(), acted.message.clone().into());
        }
        Ok((acted, status))
    }

    /// Restarts the browser and reopens the page, with several attempts.
    async fn recover(&mut self, cause: GoneCause) -> Result<(), BrowserError> {
        let url = self.state.get("url").and_then(Value::as_str).unwrap_or_default().to_owned();
        let mut tries = 0;
        let view = loop {
            tries += 1;
            self.discard_tab().await;
            tokio::time::sleep(backoff(tries)).await;
            match self.reopen(&url).await {
                Ok(view) => break view,
                Err(error) if error.is_transient() && tries < MAX_RESTARTS => {}
                Err(error) => return Err(error),
            }
        };
        let told = format!("Chromium {cause}; it was restarted and the page was opened again");
        self.state =
            state(&self.goal, view, 0.0, Some(&ActionOutcome { ok: false, message: told, text: None }));
        Ok(())
    }

    async fn reopen(&mut self, url: &str) -> Result<View, BrowserError> {
        let page = &mut self.tab().await?.page;
        page.open(url).await?;
        page.observe().await
    }

    fn running(&self) -> Result<(), EnvironmentError> {
        if self.over { Err(EnvironmentError::NotRunning) } else { Ok(()) }
    }
}

/// Pause before restart number `attempt`, from 1.
fn backoff(attempt: u32) -> Duration {
    MIN_BACKOFF.saturating_mul(1 << (attempt - 1).min(16)).min(MAX_BACKOFF)
}

/// The state for programs and conditions.
fn state(goal: &EpisodeGoal, view: View, success: f64, acted: Option<&ActionOutcome>) -> Map<String, Value> {
    let mut state = Map::new();
    state.insert("goal".to_owned(), goal.goal.clone().into());
    state.extend(goal.state.clone());
    state.insert("success".to_owned(), success.into());
    let mut last = acted.map(|acted| acted.message.clone()).unwrap_or_default();
    for event in view.events {
        last.push_str(if last.is_empty() { "" } else { "; " });
        last.push_str(&event);
    }
    state.insert("last".to_owned(), last.into());
    state.extend(view.state);
    state
}

#[async_trait]
impl Environment for WebEnvironment {
    fn spec(&self) -> &EnvironmentSpec {
        &self.spec
    }

    async fn reset(&mut self, seed: u64) -> Result<(), EnvironmentError> {
        (self.over, self.call) = (true, None);
        let begun = tokio::time::timeout(RESET_TIMEOUT, async {
            let mut tries = 0;
            while let Err(error) = self.begin_episode(seed).await {
                tries += 1;
                if !error.is_transient() || tries > MAX_RESTARTS {
                    return Err(EnvironmentError::Failed { reason: error.to_string() });
                }
                self.discard_tab().await;
                tokio::time::sleep(backoff(tries)).await;
            }
            Ok(())
        });
        let Ok(begun) = begun.await else {
            self.discard_tab().await;
            let reason = format!("the page did not begin within {} s", RESET_TIMEOUT.as_secs());
            return Err(EnvironmentError::Failed { reason });
        };
        begun?;
        self.over = false;
        Ok(())
    }

    fn observe(&self) -> Result<Observation, EnvironmentError> {
        if self.state.is_empty() {
            return Err(EnvironmentError::NotRunning);
        }
        let text = |name: &str| self.state.get(name).and_then(Value::as_str).unwrap_or_default();
        let mut told = format!("goal: {}\n", text("goal"));
        if !text("last").is_empty() {
            // Writing to a string cannot fail.
            let _ = writeln!(told, "last: {}", text("last"));
        }
        told.push_str(&render(&self.state));
        Ok(Observation::new(told, Value::Object(self.state.clone())))
    }

    fn begin(&mut self, call: &ToolCall) -> Result<(), EnvironmentError> {
        self.running()?;
        self.call = Some(match PageAction::read(call, self.files) {
            Ok(Some(_)) => Call::Wanted(PageAction::name(call)),
            Ok(None) => Call::Look,
            Err(reason) => Call::Bad(reason),
        });
        Ok(())
    }

    fn advance(&mut self) -> Result<Progress, EnvironmentError> {
        let outcome = match self.call.as_ref().ok_or(EnvironmentError::NoCall)? {
            Call::Wanted(action) => return Ok(Progress::Act(Action(action.clone()))),
            Call::Bad(reason) => ToolOutcome::failed(reason),
            Call::Look => {
                ToolOutcome { value: Some(Value::Object(self.state.clone())), ..ToolOutcome::done("looked") }
            }
            Call::Done(ActionOutcome { ok: false, message, .. }) => ToolOutcome::failed(message),
            Call::Done(ActionOutcome { message, text, .. }) => {
                ToolOutcome { value: text.clone().map(Value::from), ..ToolOutcome::done(message) }
            }
        };
        self.call = None;
        Ok(Progress::Done(outcome))
    }

    async fn step(&mut self, action: &Action) -> Result<StepOutcome, EnvironmentError> {
        self.running()?;
        let unknown = || EnvironmentError::UnknownAction { name: action.0.clone() };
        let call = PageAction::call(&action.0).ok_or_else(unknown)?;
        let act = PageAction::read(&call, self.files).ok().flatten().ok_or_else(unknown)?;
        let (acted, status) = match self.carry_out(&act).await {
            Ok(done) => done,
            Err(error) if error.is_gone() => {
                let cause = match &error {
                    BrowserError::Gone(cause) => *cause,
                    _ => GoneCause::Died,
                };
                let back =
                    if self.site.reopens_after_restart() { self.recover(cause).await.is_ok() } else { false };
                if !back {
                    self.discard_tab().await;
                    (self.over, self.call) = (true, None);
                    return Err(EnvironmentError::Lost { cause: error.to_string() });
                }
                let message = self.state.get("last").and_then(Value::as_str).unwrap_or_default().to_owned();
                (ActionOutcome { ok: false, message, text: None }, EpisodeStatus::default())
            }
            Err(error) => return Err(EnvironmentError::Failed { reason: error.to_string() }),
        };
        if matches!(&self.call, Some(Call::Wanted(wanted)) if *wanted == action.0) {
            self.call = Some(Call::Done(acted));
        }
        if status.ended.is_some() {
            (self.over, self.call) = (true, None);
        }
        Ok(StepOutcome {
            state: Value::Object(self.state.clone()),
            reward: status.reward,
            unlocked: status.unlocked,
            ended: status.ended,
        })
    }

    async fn frame(&mut self) -> Option<Frame> {
        let page = &self.tab.as_ref()?.page;
        Some(Frame { bytes: page.screenshot().await.ok()?, mime: "image/png".to_owned() })
    }

    async fn rejoin(&mut self, past: &EpisodePrefix) -> Result<bool, EnvironmentError> {
        if !self.site.is_deterministic() {
            return Ok(false);
        }
        self.reset(past.seed).await?;
        for action in &past.actions {
            if self.over {
                return Ok(false);
            }
            self.step(action).await?;
        }
        Ok(!self.over && Some(&self.state) == past.state.as_object())
    }

    fn practice(&self) -> Option<Box<dyn Environment>> {
        let site = self.site.fork()?;
        Some(Box::new(Self {
            spec: self.spec.clone(),
            site,
            launcher: Arc::clone(&self.launcher),
            tab: None,
            goal: EpisodeGoal::default(),
            state: Map::new(),
            over: true,
            call: None,
            files: self.files,
        }))
    }
}

/// The words of pages in the prompts for the controller; the worked examples of skills on pages use the same lines.
fn wording() -> Wording {
    let word = |word: &str| Some(word.to_owned());
    Wording {
        seen: word("seen"),
        first_observation: word("An example of what is seen when it starts:"),
        other_observation: word("Another time it starts with:"),
        ..Wording::default()
    }
}
