//! An environment made of pages.

use crate::act::{Act, tools};
use crate::chromium::Chromium;
use crate::page::{Acted, Page};
use crate::view::{View, words};
use crate::{BrowserError, Settings};
use async_trait::async_trait;
use rustix::process::{Pid, Signal, kill_process};
use serde_json::{Map, Value};
use sojourn_tools::{
    Action, Ending, Environment, EnvironmentError, EnvironmentSpec, Observation, Past, Progress, Question,
    StepOutcome, ToolCall, ToolOutcome,
};
use std::fmt::Write as _;
use std::sync::Arc;
use std::time::Duration;
use tokio::sync::Mutex;

/// Times that a browser is started again for one episode, or one step, before that is given up. On a busy machine a start
/// takes seconds, in which the browser can be killed once more.
const STARTS: u32 = 10;
/// The pauses before these starts double from the first to the last of these.
const FIRST_PAUSE: Duration = Duration::from_millis(100);
const LONGEST_PAUSE: Duration = Duration::from_secs(5);
/// What reflexes may do: what needs no knowledge of the page's ids.
const ACTIONS: [&str; 6] = [
    "back()",
    "press(\"Escape\")",
    "press(\"Enter\")",
    "scroll(300, \"\")",
    "wait(500)",
    "answer_dialog(true, \"\")",
];

/// What an episode is about.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Errand {
    /// What is to be done, in words.
    pub goal: String,
    /// What else stands in the state for the whole episode.
    pub state: Map<String, Value>,
}

/// How far an episode is.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Verdict {
    /// Of the last action.
    pub reward: f64,
    /// 1 once the goal is reached; it stands in the state as `success`.
    pub success: f64,
    /// Tasks done by the last action.
    pub unlocked: Vec<String>,
    /// Set when the episode is over.
    pub ended: Option<Ending>,
}

/// How episodes begin on a site, and when they are over.
#[async_trait]
pub trait Site: Send + Sync {
    /// Brings a page to the beginning of the episode with this seed.
    async fn begin(&mut self, page: &mut Page, seed: u64) -> Result<Errand, BrowserError>;

    /// Looks how far it is.
    async fn judge(&mut self, page: &mut Page) -> Result<Verdict, BrowserError>;

    /// The size of the page, in pixels, where it is not the window's.
    fn size(&self) -> Option<(u32, u32)> {
        None
    }

    /// A selector of what is not part of the task.
    fn ignored(&self) -> &'static str {
        ""
    }

    /// Whether the same seed and actions lead to the same page.
    fn repeats(&self) -> bool {
        false
    }

    /// Whether every episode begins in a browsing context of its own, without cookies and storage from the one before.
    fn fresh(&self) -> bool {
        false
    }

    /// Whether an episode goes on at the same address when the browser had to be started again.
    fn reopens(&self) -> bool {
        false
    }

    /// The same site for another tab, in which to practise; none where practice would do harm.
    fn another(&self) -> Option<Box<dyn Site>>;
}

/// Starts a browser when one is needed, and again when it is gone. Worlds that share it share the process, not the tabs.
pub struct Launcher {
    settings: Settings,
    running: Mutex<Option<Arc<Chromium>>>,
}

impl Launcher {
    /// Nothing is started yet.
    pub fn new(settings: Settings) -> Arc<Self> {
        Arc::new(Self { settings, running: Mutex::new(None) })
    }

    /// The browser.
    ///
    /// # Errors
    /// When there is none, or it does not start.
    pub async fn browser(&self) -> Result<Arc<Chromium>, BrowserError> {
        let mut running = self.running.lock().await;
        if let Some(browser) = running.as_ref().filter(|browser| !browser.is_gone()) {
            return Ok(Arc::clone(browser));
        }
        let browser = Arc::new(Chromium::start(&self.settings).await?);
        *running = Some(Arc::clone(&browser));
        Ok(browser)
    }

    /// Ends a browser that does not answer; others that use it will find it dead.
    async fn give_up(&self, browser: &Arc<Chromium>) {
        let mut running = self.running.lock().await;
        if running.as_ref().is_some_and(|own| Arc::ptr_eq(own, browser)) {
            *running = None;
        }
        let process = browser.process().and_then(|id| Pid::from_raw(i32::try_from(id).ok()?));
        if let (Some(process), false) = (process, browser.is_gone()) {
            // It may have died by itself.
            let _ = kill_process(process, Signal::KILL);
        }
    }
}

/// An environment whose episodes happen on pages of a [`Site`].
pub struct WebWorld {
    spec: EnvironmentSpec,
    site: Box<dyn Site>,
    launcher: Arc<Launcher>,
    tab: Option<Tab>,
    errand: Errand,
    state: Map<String, Value>,
    over: bool,
    call: Option<Call>,
    files: bool,
}

/// A tab and the browser that it is in.
struct Tab {
    page: Page,
    browser: Arc<Chromium>,
}

/// A call under way.
enum Call {
    Look,
    Bad(String),
    Wanted(String),
    Done(Acted),
}

impl WebWorld {
    /// A world on a site. `spec` says what it is; its tools, its actions and where it asks are those of pages.
    pub fn new(mut spec: EnvironmentSpec, site: Box<dyn Site>, launcher: Arc<Launcher>) -> Self {
        spec.tools = tools();
        spec.actions = ACTIONS.map(str::to_owned).to_vec();
        // A log answers for it in a replay: no page is opened there.
        spec.deterministic = false;
        spec.question = Some(Question {
            path: "/goal".to_owned(),
            differs: "The words of the goal and the page differ each time.".to_owned(),
        });
        let files = launcher.settings.files;
        Self {
            spec,
            site,
            launcher,
            tab: None,
            errand: Errand::default(),
            state: Map::new(),
            over: true,
            call: None,
            files,
        }
    }

    /// A tab that is ready for an episode: the one there is, or another.
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
        self.tab.as_mut().ok_or(BrowserError::Gone("lost the page"))
    }

    /// The tab is of no use any more, nor is a browser that does not answer.
    async fn put_away(&mut self) {
        if let Some(tab) = self.tab.take()
            && (!tab.page.is_gone() || tab.browser.is_gone())
        {
            self.launcher.give_up(&tab.browser).await;
        }
    }

    async fn begin_episode(&mut self, seed: u64) -> Result<(), BrowserError> {
        if self.site.fresh() {
            self.tab = None;
        }
        self.tab().await?;
        let Some(tab) = self.tab.as_mut() else { return Err(BrowserError::Gone("lost the page")) };
        self.errand = self.site.begin(&mut tab.page, seed).await?;
        tab.page.renumber().await?;
        let view = tab.page.see().await?;
        self.state = state(&self.errand, view, 0.0, None);
        Ok(())
    }

    async fn carry_out(&mut self, act: &Act) -> Result<(Acted, Verdict), BrowserError> {
        let Some(tab) = self.tab.as_mut() else { return Err(BrowserError::Gone("lost the page")) };
        let acted = tab.page.act(act).await?;
        // Where the action ended the episode, what follows is of no interest.
        let mut verdict = self.site.judge(&mut tab.page).await?;
        if verdict.ended.is_none() {
            tab.page.settle().await?;
            verdict = self.site.judge(&mut tab.page).await?;
        }
        if verdict.ended.is_none() {
            let view = tab.page.see().await?;
            self.state = state(&self.errand, view, verdict.success, Some(&acted));
        } else {
            // What is shown after the end says nothing about the task.
            self.state.insert("success".to_owned(), verdict.success.into());
            self.state.insert("last".to_owned(), acted.message.clone().into());
        }
        Ok((acted, verdict))
    }

    /// The page is opened anew in a new browser, which may need several.
    async fn come_back(&mut self, cause: &str) -> Result<(), BrowserError> {
        let url = self.state.get("url").and_then(Value::as_str).unwrap_or_default().to_owned();
        let mut tries = 0;
        let view = loop {
            tries += 1;
            self.put_away().await;
            tokio::time::sleep(pause(tries)).await;
            match self.reopen(&url).await {
                Ok(view) => break view,
                Err(error) if error.may_pass() && tries < STARTS => {}
                Err(error) => return Err(error),
            }
        };
        let told = format!("Chromium {cause}; it was started again and the page opened anew");
        self.state = state(&self.errand, view, 0.0, Some(&Acted { ok: false, message: told, text: None }));
        Ok(())
    }

    async fn reopen(&mut self, url: &str) -> Result<View, BrowserError> {
        let page = &mut self.tab().await?.page;
        page.open(url).await?;
        page.see().await
    }

    fn running(&self) -> Result<(), EnvironmentError> {
        if self.over { Err(EnvironmentError::NotRunning) } else { Ok(()) }
    }
}

/// The pause before the start with this number, from 1.
fn pause(number: u32) -> Duration {
    FIRST_PAUSE.saturating_mul(1 << (number - 1).min(16)).min(LONGEST_PAUSE)
}

/// What programs and conditions read.
fn state(errand: &Errand, view: View, success: f64, acted: Option<&Acted>) -> Map<String, Value> {
    let mut state = Map::new();
    state.insert("goal".to_owned(), errand.goal.clone().into());
    state.extend(errand.state.clone());
    state.insert("success".to_owned(), success.into());
    let mut last = acted.map(|acted| acted.message.clone()).unwrap_or_default();
    for told in view.told {
        last.push_str(if last.is_empty() { "" } else { "; " });
        last.push_str(&told);
    }
    state.insert("last".to_owned(), last.into());
    state.extend(view.state);
    state
}

#[async_trait]
impl Environment for WebWorld {
    fn spec(&self) -> &EnvironmentSpec {
        &self.spec
    }

    async fn reset(&mut self, seed: u64) -> Result<(), EnvironmentError> {
        (self.over, self.call) = (true, None);
        let mut tries = 0;
        while let Err(error) = self.begin_episode(seed).await {
            tries += 1;
            if !error.may_pass() || tries > STARTS {
                return Err(EnvironmentError::Failed { reason: error.to_string() });
            }
            self.put_away().await;
            tokio::time::sleep(pause(tries)).await;
        }
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
        told.push_str(&words(&self.state));
        Ok(Observation { text: told, state: Value::Object(self.state.clone()) })
    }

    fn begin(&mut self, call: &ToolCall) -> Result<(), EnvironmentError> {
        self.running()?;
        self.call = Some(match Act::read(call, self.files) {
            Ok(Some(_)) => Call::Wanted(Act::name(call)),
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
            Call::Done(Acted { ok: false, message, .. }) => ToolOutcome::failed(message),
            Call::Done(Acted { message, text, .. }) => {
                ToolOutcome { value: text.clone().map(Value::from), ..ToolOutcome::done(message) }
            }
        };
        self.call = None;
        Ok(Progress::Done(outcome))
    }

    async fn step(&mut self, action: &Action) -> Result<StepOutcome, EnvironmentError> {
        self.running()?;
        let unknown = || EnvironmentError::UnknownAction { name: action.0.clone() };
        let call = Act::call(&action.0).ok_or_else(unknown)?;
        let act = Act::read(&call, self.files).ok().flatten().ok_or_else(unknown)?;
        let (acted, verdict) = match self.carry_out(&act).await {
            Ok(done) => done,
            Err(error) if error.is_gone() => {
                let cause = match &error {
                    BrowserError::Gone(how) => *how,
                    _ => "is gone",
                };
                let back = if self.site.reopens() { self.come_back(cause).await.is_ok() } else { false };
                if !back {
                    self.put_away().await;
                    (self.over, self.call) = (true, None);
                    return Err(EnvironmentError::Lost { cause: error.to_string() });
                }
                let message = self.state.get("last").and_then(Value::as_str).unwrap_or_default().to_owned();
                (Acted { ok: false, message, text: None }, Verdict::default())
            }
            Err(error) => return Err(EnvironmentError::Failed { reason: error.to_string() }),
        };
        if matches!(&self.call, Some(Call::Wanted(wanted)) if *wanted == action.0) {
            self.call = Some(Call::Done(acted));
        }
        if verdict.ended.is_some() {
            (self.over, self.call) = (true, None);
        }
        Ok(StepOutcome {
            state: Value::Object(self.state.clone()),
            reward: verdict.reward,
            unlocked: verdict.unlocked,
            ended: verdict.ended,
        })
    }

    async fn rejoin(&mut self, past: &Past) -> Result<bool, EnvironmentError> {
        if !self.site.repeats() {
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
        let site = self.site.another()?;
        Some(Box::new(Self {
            spec: self.spec.clone(),
            site,
            launcher: Arc::clone(&self.launcher),
            tab: None,
            errand: Errand::default(),
            state: Map::new(),
            over: true,
            call: None,
            files: self.files,
        }))
    }
}
