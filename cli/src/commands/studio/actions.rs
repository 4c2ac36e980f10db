//! What the page may do, each by the code of a command.

use super::agents::Agents;
use super::settings;
use crate::approver::shown_lines;
use crate::args::{Fork, Run, Target};
use crate::commands::run::launch::{error_in, launch, messages_of};
use crate::commands::{approvals, fork, memory, skills};
use crate::error::{self, Failure, Kind};
use crate::home::Home;
use crate::models;
use crate::session;
use crate::unattended::asked;
use anyhow::Result;
use async_trait::async_trait;
use serde::Deserialize as _;
use serde_json::Value;
use sojourn_memory::{
    EventSeq, Forgotten, Memories, Memory, MemoryId, MemoryKind, PendingApproval, Query, RunId, Tenant,
};
use sojourn_service::live::live_runs;
use sojourn_service::now_ms;
use sojourn_studio::{
    Agent, Approval, ApprovalQuery, Approvals, Commands, Found, GoalRequest, MemoryQuery, NewFork, NewStart,
    Refused, Setting, SkillTry, Starting, Tried, WantedMore,
};
use sojourn_tools::Condition;
use std::path::PathBuf;
use std::time::Duration;

/// Who acts, as the log names it.
const BY: &str = "a person in the studio";
/// The longest text of a memory and of instructions, in bytes.
const LONGEST: usize = 64 << 10;

/// How long a new run is waited for: long enough for most mistakes. Then the page follows what its process does.
const SHORT: Duration = Duration::from_secs(4);
/// How long a run that is resumed is waited for.
const LONG: Duration = Duration::from_secs(20);

/// Limit on the steps of a skill that is tried from the page.
const MOST_STEPS: u32 = 10_000;

/// The commands of a home.
pub struct OfHome {
    pub home: Home,
    pub memories: Memories,
    pub tenant: Tenant,
    pub agents: Agents,
}

/// An error as the studio tells it.
#[allow(clippy::needless_pass_by_value, reason = "it is given to `map_err`")]
fn refused(error: anyhow::Error) -> Refused {
    Refused { message: error::chain(&error), hint: error::hint(&error) }
}

/// Refuses settings that are not about the run: others choose programs and servers, which only a file on this machine may.
fn of_run(settings: &[String]) -> Result<()> {
    match settings.iter().find(|setting| !setting.trim_start().starts_with("run.")) {
        None => Ok(()),
        Some(other) => Err(Failure::new(
            Kind::Usage,
            format!(
                "`{other}` is no setting of a run: on the page, only keys that begin with `run.` are set"
            ),
        )
        .hint("write other keys into the agent file")
        .into()),
    }
}

fn short_enough(text: &str, what: &str) -> Result<()> {
    if text.len() <= LONGEST {
        return Ok(());
    }
    Err(Failure::new(Kind::Usage, format!("{what} has {} bytes; {LONGEST} are the most", text.len())).into())
}

impl OfHome {
    /// The arguments of `sojourn run`.
    fn run(agent: PathBuf, more: &WantedMore) -> Run {
        Run {
            agent,
            steps: more.steps,
            time: more.minutes.map(|minutes| Duration::from_secs(minutes.saturating_mul(60))),
            seed: None,
            goals: Vec::new(),
            overrides: Vec::new(),
            resume: None,
            pull: false,
            json: false,
            otlp: None,
            unsupervised: false,
            unattended: true,
            queue: false,
            labels: Vec::new(),
            scheduled: None,
            release_after: Duration::ZERO,
            worker: None,
            id: None,
            by: Some(BY.to_owned()),
        }
    }

    async fn start_run(&self, wanted: NewStart) -> Result<RunId> {
        let NewStart { agent, goals, settings, seed, more } = wanted;
        of_run(&settings)?;
        let agent = self.agents.find(&agent)?;
        let run = Run { goals, overrides: settings, seed, ..Self::run(agent, &more) };
        Box::pin(launch(&self.home, run, SHORT)).await
    }

    async fn resume_run(&self, run: &RunId, agent: &str, more: &WantedMore) -> Result<()> {
        let agent = self.agents.find(agent)?;
        let resume = Run { resume: Some(Some(run.to_string())), ..Self::run(agent, more) };
        Box::pin(launch(&self.home, resume, LONG)).await?;
        Ok(())
    }

    async fn fork_run(&self, run: &RunId, at: EventSeq, wanted: NewFork) -> Result<RunId> {
        let NewFork { settings, prompt, title, agent, more } = wanted;
        of_run(&settings)?;
        short_enough(prompt.as_deref().unwrap_or_default(), "the text")?;
        let args = Fork {
            run: run.to_string(),
            at: at.0,
            agent: agent.as_deref().map(|agent| self.agents.find(agent)).transpose()?,
            overrides: settings,
            model: None,
            prompt_file: None,
            steps: more.steps,
            time: more.minutes.map(|minutes| Duration::from_secs(minutes.saturating_mul(60))),
            title,
            no_run: true,
            json: false,
        };
        Ok(fork::make(self.home.clone(), &args, prompt, Some(BY)).await?.run)
    }

    async fn shown(&self, approval: &PendingApproval, in_full: bool) -> Approval {
        let lines = if in_full { shown_lines(&approval.asked.call.args) } else { Ok(Vec::new()) };
        let (lines, unreadable) = match lines {
            Ok(lines) => (lines, None),
            Err(reason) => (Vec::new(), Some(reason)),
        };
        let led_to_it = if in_full {
            approvals::led_to_it(self.memories.store(), approval).await.unwrap_or_default()
        } else {
            Vec::new()
        };
        let mut asked = approvals::as_json(approval);
        if let Some(fields) = asked.as_object_mut().filter(|_| !in_full) {
            fields.remove("args");
        }
        Approval { asked, lines, unreadable, led_to_it, next: None }
    }
}

#[async_trait]
impl Commands for OfHome {
    async fn find_memories(&self, query: &MemoryQuery) -> Result<Found, Refused> {
        let is_known = |kind: &&str| MemoryKind::ALL.iter().any(|one| one.as_str() == *kind);
        if let Some(kind) = query.kind.as_deref().filter(|kind| !is_known(kind)) {
            return Err(Refused { message: format!("no kind of memory is called `{kind}`"), hint: None });
        }
        let kinds: Vec<MemoryKind> =
            MemoryKind::ALL.into_iter().filter(|kind| Some(kind.as_str()) == query.kind.as_deref()).collect();
        let wanted = Query {
            k: query.limit,
            kinds: &kinds,
            run: query.run.as_ref(),
            token_budget: usize::MAX,
            ..Query::new(&self.tenant, &query.text)
        };
        let (memories, by_meaning) = memory::recall(&self.memories, wanted).await.map_err(refused)?;
        let searched_by = if by_meaning { "words and meaning" } else { "words" };
        Ok(Found { searched_by, memories })
    }

    async fn forget(&self, id: &MemoryId) -> Result<Option<Forgotten>, Refused> {
        let forgotten =
            self.memories.forget(&self.tenant, id).await.map_err(|error| refused(error.into()))?;
        if forgotten.is_some() {
            models::clear_prefixes().map_err(refused)?;
        }
        Ok(forgotten)
    }

    async fn pin(&self, id: &MemoryId, pinned: bool) -> Result<bool, Refused> {
        self.memories.pin(&self.tenant, id, pinned).await.map_err(|error| refused(error.into()))
    }

    async fn edit(&self, id: &MemoryId, text: &str) -> Result<Memory, Refused> {
        let edited = async {
            short_enough(text, "the text")?;
            if text.trim().is_empty() {
                return Err(Failure::new(Kind::Usage, "a memory without a text says nothing")
                    .hint("forget it instead")
                    .into());
            }
            memory::change::edited(&self.memories, &self.tenant, id, text.trim()).await
        };
        edited.await.map_err(refused)
    }

    async fn fork(&self, run: &RunId, at: EventSeq, wanted: NewFork) -> Result<RunId, Refused> {
        self.fork_run(run, at, wanted).await.map_err(refused)
    }

    async fn agents(&self) -> Result<Vec<Agent>, Refused> {
        Ok(self.agents.all())
    }

    async fn start(&self, wanted: NewStart) -> Result<RunId, Refused> {
        self.start_run(wanted).await.map_err(refused)
    }

    async fn resume(&self, run: &RunId, agent: &str, more: WantedMore) -> Result<(), Refused> {
        self.resume_run(run, agent, &more).await.map_err(refused)
    }

    async fn stop(&self, run: &RunId) -> Result<(), Refused> {
        let store = self.memories.store();
        // The log of a run says who paused it, which a signal does not.
        let request = asked::ask_for_pause(store, run, BY).await.map_err(refused)?;
        let signalled = session::ask_to_stop(store, run);
        if signalled.is_err() {
            let settled = store.settle_request(request, "no process ran it", now_ms(), |_| {}).await;
            settled.map_err(|error| refused(error.into()))?;
        }
        signalled.map_err(refused)
    }

    async fn settings(&self, run: &RunId, at: Option<EventSeq>) -> Result<Vec<Setting>, Refused> {
        settings::of_run(self.memories.store(), run, at).await.map_err(refused)
    }

    async fn settings_of_agent(&self, agent: &str) -> Result<Vec<Setting>, Refused> {
        let listed = self.agents.find(agent).and_then(|path| settings::of_agent(&self.home, &path));
        listed.map_err(refused)
    }

    async fn starting(&self, run: &RunId) -> Result<Starting, Refused> {
        let live = live_runs(self.memories.store()).await.map_err(|error| refused(error.into()))?;
        let doing = live.into_iter().find(|one| one.run == *run).map(|one| one.report.task);
        let error = error_in(&messages_of(&self.home, run)).filter(|_| doing.is_none());
        Ok(Starting { doing, error })
    }

    async fn add_goal(&self, run: &RunId, text: &str, condition: Option<&Value>) -> Result<(), Refused> {
        let added = async {
            let condition: Option<Condition> = match condition {
                None => None,
                Some(value) => Some(Condition::deserialize(value).map_err(|error| {
                    Failure::new(Kind::Usage, format!("the condition cannot be read: {error}"))
                        .hint("`sojourn goal check` prints one")
                })?),
            };
            asked::ask_for_goal(self.memories.store(), run, text, condition.as_ref(), BY).await
        };
        added.await.map(drop).map_err(refused)
    }

    async fn goals(&self, run: &RunId) -> Result<Vec<GoalRequest>, Refused> {
        asked::goals(self.memories.store(), run).await.map_err(refused)
    }

    async fn try_skill(&self, name: &str, wanted: SkillTry) -> Result<Tried, Refused> {
        let tried = async {
            let SkillTry { args, seed, steps, agent } = wanted;
            let agent = agent.as_deref().map(|agent| self.agents.find(agent)).transpose()?;
            let library = skills::state(&self.home).await?;
            let wanted = skills::run::Wanted {
                name: name.to_owned(),
                args,
                environment: None,
                agent,
                seed,
                steps: steps.min(MOST_STEPS),
            };
            Box::pin(skills::run::tried(&self.home, &library, &wanted)).await
        };
        tried.await.map_err(refused)
    }

    async fn approvals(&self, query: &ApprovalQuery) -> Result<Approvals, Refused> {
        let ApprovalQuery { run, answered, offset, limit } = query;
        let (store, run) = (self.memories.store(), run.as_ref());
        let failed = |error: sojourn_memory::Error| refused(error.into());
        let total = store.count_approvals(run, *answered).await.map_err(failed)?;
        let mut page = Vec::new();
        for approval in store.approvals_page(run, *answered, *offset, *limit).await.map_err(failed)? {
            page.push(self.shown(&approval, false).await);
        }
        Ok(Approvals { total, offset: *offset, approvals: page })
    }

    async fn approval(&self, id: &str) -> Result<Approval, Refused> {
        let found = approvals::find(self.memories.store(), id).await.map_err(refused)?;
        Ok(self.shown(&found, true).await)
    }

    async fn answer(&self, id: &str, granted: bool) -> Result<Approval, Refused> {
        let answered = approvals::answered(&self.home, self.memories.store(), id, granted, BY);
        let (now, next) = answered.await.map_err(refused)?;
        Ok(Approval { next, ..self.shown(&now, true).await })
    }

    async fn retire(&self, name: &str, version: u32, reason: &str) -> Result<(), Refused> {
        let target = Target { name: name.to_owned(), version: Some(version) };
        skills::change::retired(&self.home, &target, reason.to_owned()).await.map_err(refused)?;
        Ok(())
    }

    async fn roll_back(&self, name: &str, to: u32) -> Result<(), Refused> {
        skills::change::rolled_back(&self.home, name, Some(to)).await.map_err(refused)?;
        Ok(())
    }
}
