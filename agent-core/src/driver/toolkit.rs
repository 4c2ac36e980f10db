//! Calls of tools that do not belong to the environment: the policy's decision and the outcome.
//!
//! The decision is a record before the call, the outcome one after it. A replay takes both from the log. A call that was
//! running when a process died is repeated only if its tool declares it repeatable; otherwise its outcome is
//! [`FailureKind::EffectUnknown`].

use super::journal::{Journal, JournalError};
use super::restrictions::Restrictions;
use super::run_media::RunMedia;
use super::time_limit::TimeLimit;
use super::{DriveError, Redactor, spans};
use crate::model::{ControlRecord, RecordKind, TimedControl, ToolDecision};
use async_trait::async_trait;
use serde_json::{Map, Value};
use sha2::{Digest as _, Sha256};
use sojourn_controller::{Cancel, Constraint};
use sojourn_memory::{Durability, EventSeq, RunId};
use sojourn_tools::{
    CallContext, Decision, FailureKind, MediaInMemory, PolicyVerdict, ToolCall, ToolOutcome, ToolSpec,
    Toolbox, ValidatedCall,
};
use std::collections::{BTreeMap, BTreeSet};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, PoisonError, RwLock};
use tokio::sync::Mutex;
use tokio_util::sync::CancellationToken;
use tracing::Instrument as _;

/// Decides where a policy asks a person.
#[async_trait]
pub trait Approver: Send + Sync {
    /// Decides about a call. A person must have seen all of its arguments. `None` pauses the run before the call: nothing is
    /// decided, and a resume asks again.
    async fn approve(&self, question: &Question<'_>) -> Option<Approval>;

    /// Messages for the controller since the last call, such as an answer that came later than the call could wait.
    async fn notices(&self) -> Vec<String> {
        Vec::new()
    }
}

/// A call that a policy asks a person about.
#[derive(Debug)]
pub struct Question<'a> {
    /// The run that wants to make the call.
    pub run: RunId,
    /// The last record before the question. It is durable.
    pub seq: EventSeq,
    /// The tool.
    pub spec: &'a ToolSpec,
    /// All arguments.
    pub args: &'a Map<String, Value>,
    /// What asks: "rule 2".
    pub reason: &'a str,
}

/// The answer of an [`Approver`].
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Approval {
    /// Whether the call may be made.
    pub granted: bool,
    /// Who decided: "the user".
    pub by: String,
    /// The kept question that was answered, if it was one.
    pub approval: Option<String>,
}

impl Approval {
    /// An answer that was given at once.
    pub fn new(granted: bool, by: impl Into<String>) -> Self {
        Self { granted, by: by.into(), approval: None }
    }
}

/// Denies every call that a person would have to approve.
#[derive(Debug, Clone, Copy, Default)]
pub struct Unattended;

#[async_trait]
impl Approver for Unattended {
    async fn approve(&self, _question: &Question<'_>) -> Option<Approval> {
        Some(Approval::new(false, "nobody was there to ask"))
    }
}

/// The tools of a run that do not belong to its environment.
#[derive(Clone)]
pub struct Tools {
    /// The tools.
    pub toolbox: Arc<Toolbox>,
    /// Decides where the policy asks a person.
    pub approver: Arc<dyn Approver>,
}

/// Calls tools for the controller and for skills.
#[derive(Clone)]
pub(super) struct Toolkit {
    tools: Option<Tools>,
    restrictions: Restrictions,
    /// The tools as the core knows them. In a replay there is no other source.
    specs: Arc<RwLock<BTreeMap<String, ToolSpec>>>,
    media: Arc<RunMedia>,
    /// The run whose log has the calls. A fork is another one, whose calls are not those of its origin.
    run: Arc<RwLock<RunId>>,
    site: CallSite,
    /// The end of the run's time, for calls in the run.
    limit: Arc<TimeLimit>,
}

/// Where calls are made.
#[derive(Clone)]
enum CallSite {
    /// In the run: decisions and outcomes are logged.
    Run { journal: Arc<Mutex<Journal>>, cancel: Cancel, redactor: Redactor },
    /// In a trial: only tools that change nothing are called, and nobody is asked. Each call is a control record before it is made;
    /// answers and media that they bring in are not logged.
    Trial {
        journal: Arc<Mutex<Journal>>,
        cancel: Cancel,
        redactor: Redactor,
        media: Arc<MediaInMemory>,
        /// The calls that the run's budget still allows, shared by all worlds of the trial.
        left: Arc<AtomicU64>,
    },
}

/// A call that wants an answer.
pub(super) struct ToolRequest<'a> {
    pub call: &'a ToolCall,
    /// Whether content from outside may have caused the call.
    pub untrusted: bool,
    /// The kind of the record that will have the outcome.
    pub answered_by: RecordKind,
}

impl Toolkit {
    pub fn new(
        tools: Option<Tools>,
        restrictions: Restrictions,
        run: RunId,
        journal: Arc<Mutex<Journal>>,
        media: Arc<RunMedia>,
        cancel: Cancel,
        redactor: Redactor,
    ) -> Self {
        let site = CallSite::Run { journal, cancel, redactor };
        Self {
            tools,
            restrictions,
            specs: Arc::default(),
            media,
            run: Arc::new(RwLock::new(run)),
            site,
            limit: Arc::default(),
        }
    }

    /// Takes over what control records say about policies and the run. Doing so again changes nothing.
    pub fn heed(&self, controls: &[TimedControl]) -> Result<(), DriveError> {
        for control in controls {
            if let ControlRecord::Forked { changes, .. } = &control.record {
                self.run.write().unwrap_or_else(PoisonError::into_inner).clone_from(&changes.run);
            }
        }
        self.restrictions.heed(controls)
    }

    /// The same tools for trials, which may make at most `calls` calls; `None`: any number.
    pub fn in_trial(&self, calls: Option<u64>) -> Self {
        let (CallSite::Run { journal, cancel, redactor } | CallSite::Trial { journal, cancel, redactor, .. }) =
            &self.site;
        let site = CallSite::Trial {
            journal: Arc::clone(journal),
            cancel: cancel.clone(),
            redactor: redactor.clone(),
            media: Arc::new(MediaInMemory::over(self.media.clone())),
            left: Arc::new(AtomicU64::new(calls.unwrap_or(u64::MAX))),
        };
        Self { site, ..self.clone() }
    }

    /// The same tools, whose calls are given up at the end of `limit`.
    pub fn within(&self, limit: TimeLimit) -> Self {
        Self { limit: Arc::new(limit), ..self.clone() }
    }

    /// Takes over the tools as the core knows them.
    pub fn set_specs(&self, specs: &BTreeMap<String, ToolSpec>) {
        let mut known = self.specs.write().unwrap_or_else(PoisonError::into_inner);
        known.clone_from(specs);
    }

    /// The tool of that name, if there is one.
    pub fn spec(&self, name: &str) -> Option<ToolSpec> {
        self.specs.read().unwrap_or_else(PoisonError::into_inner).get(name).cloned()
    }

    /// Whether the policy trusts a tool's content like the user's own words.
    pub fn trusts(&self, name: &str) -> bool {
        self.restrictions.trusts(name)
    }

    /// The tools as they are now; `None` in a replay.
    pub fn toolbox(&self) -> Option<&Toolbox> {
        self.tools.as_ref().map(|tools| &*tools.toolbox)
    }

    /// The outcome of a call: from the log while it is recorded there, then from the tool, if the policy allows the call.
    pub async fn answer(&self, request: &ToolRequest<'_>) -> Result<ToolOutcome, DriveError> {
        match &self.site {
            CallSite::Trial { .. } => self.call_in_trial(request.call).await,
            CallSite::Run { journal, cancel, redactor } => {
                self.call_in_run(request, journal, cancel, redactor).await
            }
        }
    }

    async fn call_in_run(
        &self,
        request: &ToolRequest<'_>,
        journal: &Mutex<Journal>,
        cancel: &Cancel,
        redactor: &Redactor,
    ) -> Result<ToolOutcome, DriveError> {
        let call = request.call;
        let seq = journal.lock().await.seq();
        let recorded = journal.lock().await.recall(&[RecordKind::ToolDecision]).await?;
        let repeated = recorded.is_some();
        // A resume at this very place may have brought another policy.
        self.heed(journal.lock().await.read_controls().await?)?;
        let elsewhere = recorded.as_ref().is_some_and(|(noted, _)| noted.foreign);
        let (decision, now_ms, ready) = match recorded {
            Some((noted, record)) => {
                let decision = ToolDecision::try_from(record).map_err(|kind| {
                    DriveError::Unusable(format!("a `{kind}` record is no decision about a call"))
                })?;
                (decision, noted.at_ms, self.ready(call).ok())
            }
            None if !journal.lock().await.writes() => return Err(JournalError::End.into()),
            None => {
                let (decision, ready) = self.decide(call, request.untrusted, journal).await?;
                let decision = redactor.any(decision)?;
                let mut journal = journal.lock().await;
                let noted = journal.note(&decision).await?;
                journal.commit(Durability::Effect).await?;
                (decision, noted.at_ms, ready)
            }
        };
        if !decision.granted {
            return Ok(denied(&decision.by));
        }
        // Bound first: the lock of a condition would be held in the branch, which locks the journal again.
        let answered = journal.lock().await.peek(request.answered_by).await?;
        if let Some(record) = answered {
            self.heed(journal.lock().await.read_controls().await?)?;
            let outcome = record.outcome().cloned().ok_or_else(|| {
                DriveError::Unusable(format!("the answer of `{}` cannot be read", call.name))
            })?;
            self.media.learn(&outcome);
            return Ok(outcome);
        }
        if !journal.lock().await.writes() {
            return Err(JournalError::End.into());
        }
        // The log alone does not say that a call may be repeated: somebody else may have written it.
        let repeatable = self.spec(&call.name).is_some_and(|spec| spec.effects.repeatable())
            && ready.as_ref().is_some_and(|ready| ready.spec().effects.repeatable());
        if repeated && !repeatable {
            return Ok(ToolOutcome::failed_by(
                FailureKind::EffectUnknown,
                "the program was stopped during this call: nobody knows whether it took effect",
            ));
        }
        let Some(ready) = ready else {
            return Ok(ToolOutcome::failed(format!("there is no tool `{}` any more", call.name)));
        };
        if repeated {
            self.heed(journal.lock().await.read_controls().await?)?;
            if let Some(refusal) = self.refused_since(&ready, &decision, request.untrusted, elsewhere) {
                return Ok(denied(&refusal));
            }
        }
        let token = CancellationToken::new();
        let key = format!("{}/{seq}", self.run.read().unwrap_or_else(PoisonError::into_inner));
        self.media.drop_unrecorded();
        let context = CallContext {
            now_ms,
            idempotency_key: key,
            cancel: token.clone(),
            progress: None,
            media: Some(self.media.clone()),
            allows_part: Some(self.restrictions.parts_of(ready.spec(), granted_as(&decision))),
        };
        let span = spans::tool(call, "function");
        let running = ready.run(context).instrument(span.clone());
        let outcome = match self.finish(running, &token, cancel).await? {
            Some(outcome) => {
                // Only the driver states the kind of a failure; a tool's answer comes from outside.
                let outcome = redactor.any(ToolOutcome { failure: None, ..outcome });
                outcome.unwrap_or_else(|error| ToolOutcome::failed(error.to_string()))
            }
            None => ToolOutcome::failed(format!("`{}` did not answer within the time of the run", call.name)),
        };
        spans::returned(&span, &outcome);
        Ok(outcome)
    }

    /// Waits for a call; `None` where the run's time is over first. A call that is given up is cancelled.
    async fn finish(
        &self,
        running: impl Future<Output = ToolOutcome>,
        token: &CancellationToken,
        cancel: &Cancel,
    ) -> Result<Option<ToolOutcome>, DriveError> {
        tokio::pin!(running);
        let given_up = tokio::select! {
            outcome = &mut running => return Ok(Some(outcome)),
            () = cancel.cancelled() => Err(DriveError::Interrupted),
            () = self.limit.over() => Ok(None),
        };
        token.cancel();
        // The tool sees the cancellation and has the grace period of the toolbox to end.
        let _ = running.await;
        given_up
    }

    fn ready(&self, call: &ToolCall) -> Result<ValidatedCall, String> {
        match self.toolbox() {
            Some(toolbox) => toolbox.validate(call).map_err(|refusal| refusal.to_string()),
            None => Err(format!("there is no tool `{}`", call.name)),
        }
    }

    /// The decision of the policy, or of the person that the policy asks.
    async fn decide(
        &self,
        call: &ToolCall,
        untrusted: bool,
        journal: &Mutex<Journal>,
    ) -> Result<(ToolDecision, Option<ValidatedCall>), DriveError> {
        let decided = |granted, by, shown, approval| ToolDecision {
            tool: call.name.clone(),
            granted,
            by,
            shown,
            approval,
        };
        let ready = match self.ready(call) {
            Ok(ready) => ready,
            Err(refusal) => return Ok((decided(false, refusal, None, None), None)),
        };
        let decision = self.judge(&ready, untrusted);
        let decided = match (decision.verdict, &self.tools) {
            (PolicyVerdict::Allow, _) => decided(true, decision.by, None, None),
            (PolicyVerdict::Ask, Some(tools)) => {
                let seq = {
                    let mut journal = journal.lock().await;
                    // What led to the question can be read while it waits.
                    journal.commit(Durability::Effect).await?;
                    journal.seq()
                };
                let run = self.run.read().unwrap_or_else(PoisonError::into_inner).clone();
                let (spec, args) = (ready.spec(), ready.args());
                let question = Question { run, seq, spec, args, reason: &decision.by };
                let answer = tools.approver.approve(&question).await;
                let Approval { granted, by, approval } = answer.ok_or(DriveError::Interrupted)?;
                decided(granted, by, Some(call_hash(spec, args)), approval)
            }
            (PolicyVerdict::Deny | PolicyVerdict::Ask, _) => decided(false, decision.by, None, None),
        };
        Ok((decided, Some(ready)))
    }

    /// The decision of the policies.
    fn judge(&self, ready: &ValidatedCall, untrusted: bool) -> Decision {
        self.restrictions.judge(ready.spec(), ready.args(), untrusted)
    }

    /// Why a call that was granted before a crash is not made after it; `None` where it may be made. `elsewhere` says that it was
    /// granted in another home or run.
    fn refused_since(
        &self,
        ready: &ValidatedCall,
        before: &ToolDecision,
        untrusted: bool,
        elsewhere: bool,
    ) -> Option<String> {
        let Decision { verdict, by } = self.judge(ready, untrusted);
        let approved = before.shown.as_deref() == Some(call_hash(ready.spec(), ready.args()).as_str());
        match verdict {
            PolicyVerdict::Ask if elsewhere => {
                Some(format!("{by}: it was approved elsewhere, which does not count here"))
            }
            // Another call than the one that a person saw.
            _ if before.shown.is_some() && !approved => {
                Some("the call is not the one that was approved".to_owned())
            }
            PolicyVerdict::Allow => None,
            PolicyVerdict::Ask if approved => None,
            PolicyVerdict::Ask => Some(format!("{by}: it asks now, and nobody was asked")),
            PolicyVerdict::Deny => Some(by),
        }
    }

    async fn call_in_trial(&self, call: &ToolCall) -> Result<ToolOutcome, DriveError> {
        let CallSite::Trial { journal, cancel, redactor, media, left } = &self.site else {
            return Ok(ToolOutcome::failed(format!("`{}` is not called in a trial", call.name)));
        };
        let ready = match self.ready(call) {
            Ok(ready) => ready,
            Err(refusal) => return Ok(ToolOutcome::failed(refusal)),
        };
        let decision = self.judge(&ready, true);
        if !ready.spec().effects.changes_nothing() || decision.verdict != PolicyVerdict::Allow {
            return Ok(ToolOutcome::failed(format!("`{}` is not called in a trial", call.name)));
        }
        let one_less = |left: u64| left.checked_sub(1);
        if left.fetch_update(Ordering::SeqCst, Ordering::SeqCst, one_less).is_err() {
            return Ok(ToolOutcome::failed("the run's budget of tool calls is used up"));
        }
        let record = ControlRecord::TrialCall { call: redactor.any(call.clone())?, by: decision.by };
        {
            let mut journal = journal.lock().await;
            journal.append_control(record).await?;
            journal.commit(Durability::Effect).await?;
        }
        let token = CancellationToken::new();
        let context = CallContext {
            media: Some(media.clone()),
            cancel: token.clone(),
            allows_part: Some(self.restrictions.parts_of(ready.spec(), PolicyVerdict::Allow)),
            ..CallContext::default()
        };
        let outcome = self.finish(ready.run(context), &token, cancel).await?.ok_or(DriveError::OutOfTime)?;
        Ok(redactor.any(outcome).unwrap_or_else(|error| ToolOutcome::failed(error.to_string())))
    }
}

/// What the policy said of a call that is made: it asked where a person was shown the call.
fn granted_as(decision: &ToolDecision) -> PolicyVerdict {
    if decision.shown.is_some() { PolicyVerdict::Ask } else { PolicyVerdict::Allow }
}

fn denied(by: &str) -> ToolOutcome {
    ToolOutcome::failed_by(FailureKind::Denied, format!("not called: {by}"))
}

/// The SHA-256 (hex) of a call as it is shown to a person who approves it: the tool with its effects, and all arguments.
pub fn call_hash(spec: &ToolSpec, args: &Map<String, Value>) -> String {
    let shown = serde_json::json!([spec.name, spec.effects, args]);
    hex::encode(Sha256::digest(shown.to_string()))
}

/// What has to be said to the controller besides the tools, without secrets; `None` where there is nothing.
pub(super) async fn notices(
    toolkit: &Toolkit,
    redactor: &Redactor,
    own: Option<&str>,
) -> Result<Option<ControlRecord>, DriveError> {
    let mut notices: Vec<String> = own.into_iter().map(str::to_owned).collect();
    if let Some(tools) = &toolkit.tools {
        notices.extend(tools.approver.notices().await);
    }
    if notices.is_empty() {
        return Ok(None);
    }
    let (appeared, unconstrained, vanished) = (Vec::new(), BTreeMap::new(), Vec::new());
    let notices = redactor.any(notices)?;
    Ok(Some(ControlRecord::ToolsChanged { appeared, unconstrained, vanished, notices }))
}

/// The difference between the tools that the core knows and those of the toolbox, without secrets; `None` where they are equal.
pub(super) async fn change(
    known: &BTreeMap<String, ToolSpec>,
    toolbox: &Toolbox,
    toolkit: &Toolkit,
    redactor: &Redactor,
) -> Result<Option<ControlRecord>, DriveError> {
    toolbox.hold_effects(known.values());
    let mut notices = toolbox.refresh().notices;
    if let Some(tools) = &toolkit.tools {
        notices.extend(tools.approver.notices().await);
    }
    let notices = redactor.any(notices)?;
    let specs = redactor.any(toolbox.specs())?;
    // The policy that trusts a tool's answers trusts its description.
    let described =
        |spec: ToolSpec| ToolSpec { untrusted: spec.untrusted && !toolkit.trusts(&spec.name), ..spec };
    let now: BTreeMap<String, ToolSpec> =
        specs.into_iter().map(|spec| (spec.name.clone(), described(spec))).collect();
    let vanished: Vec<String> = known.keys().filter(|name| !now.contains_key(*name)).cloned().collect();
    let appeared: Vec<ToolSpec> =
        now.into_values().filter(|spec| known.get(&spec.name) != Some(spec)).collect();
    if notices.is_empty() && vanished.is_empty() && appeared.is_empty() {
        return Ok(None);
    }
    let mut unconstrained = BTreeMap::new();
    for spec in &appeared {
        if let Err(reason) = Constraint::check_supported(spec.input_schema()).await {
            unconstrained.insert(spec.name.clone(), reason.to_string());
        }
    }
    Ok(Some(ControlRecord::ToolsChanged { appeared, unconstrained, vanished, notices }))
}

/// The indices of `texts`, those that share more words with the query first; of equals the earlier.
pub(super) fn by_words(query: &str, texts: &[String]) -> Vec<usize> {
    let words = |text: &str| -> BTreeSet<String> {
        text.to_lowercase()
            .split(|c: char| !c.is_alphanumeric())
            .filter(|w| w.len() > 2)
            .map(str::to_owned)
            .collect()
    };
    let wanted = words(query);
    let mut order: Vec<(usize, usize)> =
        texts.iter().map(|text| words(text).intersection(&wanted).count()).enumerate().collect();
    order.sort_by_key(|(place, shared)| (std::cmp::Reverse(*shared), *place));
    order.into_iter().map(|(place, _)| place).collect()
}
