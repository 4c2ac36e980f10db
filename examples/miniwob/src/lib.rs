//! MiniWoB++ as an environment: small web pages, each with a task that the page's own script judges.
//!
//! The pages belong to the Python package `miniwob` (Liu et al. 2018, arXiv 1802.08802; MIT), which is installed
//! separately. The seed of an episode selects a task (remainder by the number of tasks) and an instance of it
//! (quotient); equal seeds give equal instances.

mod provider;
mod tasks;

pub use provider::MiniWobProvider;
pub use tasks::{MiniWobTask, list_tasks};

use async_trait::async_trait;
use serde_json::{Map, Value};
use sojourn_browser::{
    BrowserError, EpisodeGoal, EpisodeStatus, Launcher, Page, Settings, Site, WebEnvironment, WebSettings,
};
use sojourn_primitives::JsonPointer;
use sojourn_tools::{
    Amount, Condition, Ending, EndingKind, EnvironmentSpec, ResidueClass, TaskSpec, Wording,
};
use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;

/// Name of the environment.
pub const NAME: &str = "miniwob";
/// Requirement of the supported package version.
pub const PACKAGE: &str = "miniwob==1.1.0";
/// Size of the pages in pixels, including the package's own controls.
const SIZE: (u32, u32) = (500, 400);
/// CSS selector of the package's controls, which are not part of the task.
const CONTROLS: &str = "#query, #reward-display, #click-canvas, #sync-task-cover";

/// The environment for the pages in `html`, the package's folder of that name.
///
/// # Errors
/// The folder does not exist or contains no tasks.
pub fn open(html: &Path) -> io::Result<WebEnvironment> {
    let tasks = list_tasks(html)?;
    if tasks.is_empty() {
        return Err(io::Error::new(io::ErrorKind::NotFound, "the folder contains no tasks"));
    }
    let count = tasks.len() as u64;
    let specs = (0..).zip(&tasks).map(|(position, task)| TaskSpec {
        name: task.identifier(),
        description: task.identifier(),
        parameters: Vec::new(),
        goal: Condition::AtLeast { path: JsonPointer::of(["success"]), value: Amount::Literal(1.0) },
        achievement: true,
        episodes: Some(ResidueClass { modulus: count, remainder: position }),
    });
    let spec = EnvironmentSpec {
        name: NAME.to_owned(),
        // Version of the package, and of this description.
        version: "1.1.0/3".to_owned(),
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
        play: false,
        practice: true,
        episode_steps: None,
        wording: Wording::default(),
        // The files of a package of a fixed version, without the network. Their goals stand for the user's words.
        untrusted: false,
    };
    let settings = Settings { files: true, window: SIZE, ..Settings::default() };
    let site = MiniWob { html: html.to_owned(), tasks: tasks.into(), at: None };
    Ok(WebEnvironment::new(spec, Box::new(site), Launcher::new(settings)))
}

/// Seed of instance `instance` of the task at index `position`, for `tasks` tasks.
pub fn seed(tasks: u64, position: u64, instance: u64) -> u64 {
    instance * tasks + position
}

/// The package's pages in one tab.
struct MiniWob {
    html: PathBuf,
    tasks: Arc<[MiniWobTask]>,
    /// Index of the task whose page is open.
    at: Option<usize>,
}

#[async_trait]
impl Site for MiniWob {
    async fn begin(&mut self, page: &mut Page, seed: u64) -> Result<EpisodeGoal, BrowserError> {
        let count = self.tasks.len() as u64;
        let position = usize::try_from(seed % count).unwrap_or_default();
        let task = &self.tasks[position];
        if self.at != Some(position) || !is_at(page, &task.name).await {
            self.at = None;
            let file = self.html.join("miniwob").join(format!("{}.html", task.name));
            page.open(&format!("file://{}", file.display())).await?;
            self.at = Some(position);
        }
        // Follows the package's own driver, without its time limit, which is meant for people.
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
        Ok(EpisodeGoal { goal: told.as_str().unwrap_or_default().to_owned(), state })
    }

    async fn judge(&mut self, page: &mut Page) -> Result<EpisodeStatus, BrowserError> {
        let judged = page.evaluate("[WOB_DONE_GLOBAL, WOB_RAW_REWARD_GLOBAL, WOB_REWARD_REASON]").await?;
        let reward = judged.get(1).and_then(Value::as_f64).unwrap_or(0.0);
        if judged.get(0) != Some(&Value::Bool(true)) {
            return Ok(EpisodeStatus::default());
        }
        // A partial reward is not a success.
        let reached = reward >= 1.0;
        let (kind, cause) = if reached {
            (EndingKind::Succeeded, "the goal was reached".to_owned())
        } else {
            let why = judged.get(2).and_then(Value::as_str).map(|why| format!(": {why}")).unwrap_or_default();
            (EndingKind::Died, format!("that was wrong{why}"))
        };
        let done = self.at.filter(|_| reached).map(|position| self.tasks[position].identifier());
        Ok(EpisodeStatus {
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
        CONTROLS
    }

    fn is_deterministic(&self) -> bool {
        true
    }

    fn fork(&self) -> Option<Box<dyn Site>> {
        Some(Box::new(Self { html: self.html.clone(), tasks: Arc::clone(&self.tasks), at: None }))
    }
}

/// Whether the tab still shows a task's page. It may be a new tab, or have navigated away.
async fn is_at(page: &Page, task: &str) -> bool {
    let question = format!("location.pathname.endsWith('/{task}.html') && typeof core !== 'undefined'");
    page.evaluate(&question).await.is_ok_and(|there| there == Value::Bool(true))
}
