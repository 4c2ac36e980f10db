//! MiniWoB++ as an environment: small pages, each with a task that its own script judges.
//!
//! The pages are those of the Python package `miniwob` (Liu et al. 2018, arXiv 1802.08802; MIT), which is installed beside
//! and never part of this repository. An episode's seed says which task it is about (the remainder by the number of tasks)
//! and which of that task's instances (the quotient); the same seed is the same instance.

mod provider;
mod tasks;

pub use provider::MiniWobProvider;
pub use tasks::{Documented, documented};

use async_trait::async_trait;
use serde_json::{Map, Value};
use sojourn_browser::{BrowserError, Errand, Launcher, Page, Settings, Site, Verdict, WebSettings, WebWorld};
use sojourn_tools::{Amount, Condition, Ending, EndingKind, EnvironmentSpec, Residue, TaskSpec};
use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;

/// What the environment is called.
pub const NAME: &str = "miniwob";
/// The package's version that this environment is of.
pub const PACKAGE: &str = "miniwob==1.1.0";
/// The size of the pages, in pixels, with what the package shows beside them.
const SIZE: (u32, u32) = (500, 400);
/// What the package puts on its pages besides the task.
const FURNITURE: &str = "#query, #reward-display, #click-canvas, #sync-task-cover";

/// The environment with the pages in `html`: the package's folder of that name.
///
/// # Errors
/// When the pages are not there.
pub fn open(html: &Path) -> io::Result<WebWorld> {
    let tasks = documented(html)?;
    if tasks.is_empty() {
        return Err(io::Error::new(io::ErrorKind::NotFound, "there are no tasks in it"));
    }
    let count = tasks.len() as u64;
    let specs = (0..).zip(&tasks).map(|(position, task)| TaskSpec {
        name: task.identifier(),
        description: task.identifier(),
        parameters: Vec::new(),
        goal: Condition::AtLeast { path: "/success".to_owned(), value: Amount::Literal(1.0) },
        achievement: true,
        episodes: Some(Residue { modulus: count, remainder: position }),
    });
    let spec = EnvironmentSpec {
        name: NAME.to_owned(),
        // The package's, and how it is described here.
        version: "1.1.0/2".to_owned(),
        deterministic: false,
        about: "The skills act on a small web page like a person with mouse and keyboard; the goal says what to do, once, \
                and the page judges it at once."
            .to_owned(),
        tools: Vec::new(),
        actions: Vec::new(),
        controls: String::new(),
        tasks: specs.collect(),
        recipes: Vec::new(),
        examples: WebSettings::examples(),
        vitals: Vec::new(),
        question: None,
        exploration: Some(sojourn_browser::exploration()),
    };
    let settings = Settings { files: true, window: SIZE, ..Settings::default() };
    let site = MiniWob { html: html.to_owned(), tasks: tasks.into(), at: None };
    Ok(WebWorld::new(spec, Box::new(site), Launcher::new(settings)))
}

/// The seed of a task's instance, by the task's position.
pub fn seed(tasks: u64, position: u64, instance: u64) -> u64 {
    instance * tasks + position
}

/// The pages in one tab.
struct MiniWob {
    html: PathBuf,
    tasks: Arc<[Documented]>,
    /// The task whose page is open.
    at: Option<usize>,
}

#[async_trait]
impl Site for MiniWob {
    async fn begin(&mut self, page: &mut Page, seed: u64) -> Result<Errand, BrowserError> {
        let count = self.tasks.len() as u64;
        let position = usize::try_from(seed % count).unwrap_or_default();
        let task = &self.tasks[position];
        if self.at != Some(position) || !is_at(page, &task.name).await {
            self.at = None;
            let file = self.html.join("miniwob").join(format!("{}.html", task.name));
            page.open(&format!("file://{}", file.display())).await?;
            self.at = Some(position);
        }
        // As the package's own driver does it; the time that it allows is for people.
        let instance = seed / count;
        let told = page
            .evaluate(&format!(
                "new Promise((done, fail) => {{
                    const until = Date.now() + 10000;
                    const wait = (ready, then) => ready() ? then() : Date.now() > until
                        ? fail(new Error('the task does not begin')) : setTimeout(() => wait(ready, then), 5);
                    wait(() => typeof core !== 'undefined' && core.cover_div, () => {{
                        core.EPISODE_MAX_TIME = 86400000;
                        core.endEpisode(0);
                        Math.seedrandom({instance});
                        core.setDataMode('train');
                        core.startEpisodeReal();
                        wait(() => WOB_TASK_READY, () => {{
                            const told = core.getUtterance();
                            done(typeof told === 'string' ? told : told.utterance);
                        }});
                    }});
                }})"
            ))
            .await?;
        let mut state = Map::new();
        state.insert("task".to_owned(), task.name.clone().into());
        Ok(Errand { goal: told.as_str().unwrap_or_default().to_owned(), state })
    }

    async fn judge(&mut self, page: &mut Page) -> Result<Verdict, BrowserError> {
        let judged = page.evaluate("[WOB_DONE_GLOBAL, WOB_RAW_REWARD_GLOBAL, WOB_REWARD_REASON]").await?;
        let reward = judged.get(1).and_then(Value::as_f64).unwrap_or(0.0);
        if judged.get(0) != Some(&Value::Bool(true)) {
            return Ok(Verdict::default());
        }
        // A part of the reward is no success.
        let reached = reward >= 1.0;
        let (kind, cause) = if reached {
            (EndingKind::Succeeded, "the goal was reached".to_owned())
        } else {
            let why = judged.get(2).and_then(Value::as_str).map(|why| format!(": {why}")).unwrap_or_default();
            (EndingKind::Died, format!("that was wrong{why}"))
        };
        let done = self.at.filter(|_| reached).map(|position| self.tasks[position].identifier());
        Ok(Verdict {
            reward,
            success: if reached { 1.0 } else { 0.0 },
            unlocked: done.into_iter().collect(),
            ended: Some(Ending { kind, cause }),
        })
    }

    fn size(&self) -> Option<(u32, u32)> {
        Some(SIZE)
    }

    fn ignored(&self) -> &'static str {
        FURNITURE
    }

    fn repeats(&self) -> bool {
        true
    }

    fn another(&self) -> Option<Box<dyn Site>> {
        Some(Box::new(Self { html: self.html.clone(), tasks: Arc::clone(&self.tasks), at: None }))
    }
}

/// Whether a tab still shows a task's page: it may be another tab, or have been led elsewhere.
async fn is_at(page: &Page, task: &str) -> bool {
    let question = format!("location.pathname.endsWith('/{task}.html') && typeof core !== 'undefined'");
    page.evaluate(&question).await.is_ok_and(|there| there == Value::Bool(true))
}
