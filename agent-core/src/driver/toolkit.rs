//! Calls of tools that are not the environment's: what the policy says of each, and what came of it.
//!
//! The decision is a record before the call, the outcome one after it. In a replay both come from the log. What was under way
//! when a process died is repeated only if that does no harm; otherwise the agent is told that nobody knows.

use super::journal::{Journal, JournalError};
use super::{Cancel, DriveError, Interjection, Redactor, spans};
use async_trait::async_trait;
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};
use sojourn_controller::Constraint;
use sojourn_memory::Durability;
use sojourn_tools::{
    CallContext, Policy, PolicyFile, ReadyCall, ToolCall, ToolOutcome, ToolSpec, Toolbox, Verdict,
};
use std::collections::{BTreeMap, BTreeSet};
use std::sync::{Arc, PoisonError, RwLock};
use tokio::sync::Mutex;
use tokio_util::sync::CancellationToken;
use tracing::Instrument as _;

/// The record of a decision.
const GRANTED: &str = "granted";
/// What the agent is told of a call that was under way when a process died, and that may not be made again.
pub(super) const UNKNOWN: &str =
    "the program was stopped while this was under way: nobody knows whether it was done";

/// Says yes or no where a policy asks.
#[async_trait]
pub trait Approver: Send + Sync {
    /// Whether `spec` may be called with `args`.
    async fn approve(&self, spec: &ToolSpec, args: &Map<String, Value>) -> Approval;
}

/// What somebody who was asked said.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Approval {
    /// Whether the call may be made.
    pub granted: bool,
    /// Who says so: "the user".
    pub by: String,
}

/// Nobody is there: what would have to be asked is denied.
#[derive(Debug, Clone, Copy, Default)]
pub struct Unattended;

#[async_trait]
impl Approver for Unattended {
    async fn approve(&self, _spec: &ToolSpec, _args: &Map<String, Value>) -> Approval {
        Approval { granted: false, by: "nobody was there to ask".to_owned() }
    }
}

/// The tools of a run that are not the environment's.
#[derive(Clone)]
pub struct Tools {
    /// They themselves.
    pub toolbox: Arc<Toolbox>,
    /// Who is asked.
    pub approver: Arc<dyn Approver>,
}

/// What was decided about one call.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Grant {
    /// The tool.
    pub tool: String,
    /// Whether it may be called.
    pub granted: bool,
    /// Who says so: "rule 2", "the user".
    pub by: String,
}

/// Makes calls for the controller and for skills.
#[derive(Clone)]
pub(super) struct Toolkit {
    tools: Option<Tools>,
    policy: Arc<Policy>,
    /// What the core knows of the tools: in a replay nothing else does.
    specs: Arc<RwLock<BTreeMap<String, ToolSpec>>>,
    run: String,
    place: Place,
}

/// Where calls are made.
#[derive(Clone)]
enum Place {
    /// In the run, which is logged.
    Run { journal: Arc<Mutex<Journal>>, cancel: Cancel, redactor: Redactor },
    /// In practice: only what changes nothing, and nobody is asked.
    Practice,
}

/// What was called, and how it is told from other calls.
pub(super) struct Use<'a> {
    pub call: &'a ToolCall,
    /// Whether something that a tool showed may stand behind it.
    pub untrusted: bool,
    /// The kind of record that tells the outcome.
    pub recorded_as: &'a str,
    /// Takes the outcome out of such a record.
    pub outcome_of: fn(Value) -> Option<ToolOutcome>,
}

impl Toolkit {
    pub fn new(
        tools: Option<Tools>,
        policy: &PolicyFile,
        run: String,
        journal: Arc<Mutex<Journal>>,
        cancel: Cancel,
        redactor: Redactor,
    ) -> Result<Self, DriveError> {
        let policy =
            Policy::new(policy.clone()).map_err(|error| DriveError::Unusable(format!("policy: {error}")))?;
        let place = Place::Run { journal, cancel, redactor };
        Ok(Self { tools, policy: Arc::new(policy), specs: Arc::default(), run, place })
    }

    /// The same for practice.
    pub fn in_practice(&self) -> Self {
        Self { place: Place::Practice, ..self.clone() }
    }

    /// Takes over what the core knows.
    pub fn knows(&self, specs: &BTreeMap<String, ToolSpec>) {
        let mut known = self.specs.write().unwrap_or_else(PoisonError::into_inner);
        known.clone_from(specs);
    }

    /// The tool of that name, if there is one.
    pub fn spec(&self, name: &str) -> Option<ToolSpec> {
        self.specs.read().unwrap_or_else(PoisonError::into_inner).get(name).cloned()
    }

    /// Whether what a tool says counts as the user's own words.
    pub fn trusts(&self, name: &str) -> bool {
        self.policy.trusts(name)
    }

    /// The tools as they are now.
    pub fn toolbox(&self) -> Option<&Toolbox> {
        self.tools.as_ref().map(|tools| &*tools.toolbox)
    }

    /// What a call comes to: from the log while there is one to go by, else from the tool, if the policy allows it.
    pub async fn answer(&self, wanted: &Use<'_>) -> Result<ToolOutcome, DriveError> {
        match &self.place {
            Place::Practice => Ok(self.practise(wanted.call).await),
            Place::Run { journal, cancel, redactor } => self.live(wanted, journal, cancel, redactor).await,
        }
    }

    async fn live(
        &self,
        wanted: &Use<'_>,
        journal: &Mutex<Journal>,
        cancel: &Cancel,
        redactor: &Redactor,
    ) -> Result<ToolOutcome, DriveError> {
        let call = wanted.call;
        let key = format!("{}/{}", self.run, journal.lock().await.seq());
        let recorded = journal.lock().await.recall(&[GRANTED]).await?;
        let repeated = recorded.is_some();
        let (grant, now_ms, ready) = match recorded {
            Some((noted, payload)) => {
                let grant: Grant = serde_json::from_value(payload)?;
                (grant, noted.at_ms, self.ready(call).ok())
            }
            None if !journal.lock().await.writes() => return Err(JournalError::End.into()),
            None => {
                let (grant, ready) = self.decide(call, wanted.untrusted).await;
                let mut journal = journal.lock().await;
                let mut payload = serde_json::to_value(&grant)?;
                redactor.value(&mut payload);
                let noted = journal.note(GRANTED, &payload).await?;
                journal.commit(Durability::Effect).await?;
                (grant, noted.at_ms, ready)
            }
        };
        if !grant.granted {
            return Ok(ToolOutcome::failed(format!("not called: {}", grant.by)));
        }
        if let Some(payload) = journal.lock().await.foresee(wanted.recorded_as).await? {
            return (wanted.outcome_of)(payload).ok_or_else(|| {
                DriveError::Unusable(format!("the answer of `{}` cannot be read", call.name))
            });
        }
        if !journal.lock().await.writes() {
            return Err(JournalError::End.into());
        }
        let harmless = self.spec(&call.name).is_some_and(|spec| spec.effects.repeatable());
        if repeated && !harmless {
            return Ok(ToolOutcome::failed(UNKNOWN));
        }
        let Some(ready) = ready else {
            return Ok(ToolOutcome::failed(format!("there is no tool `{}` any more", call.name)));
        };
        let token = CancellationToken::new();
        let context = CallContext { now_ms, idempotency_key: key, cancel: token.clone(), progress: None };
        let span = spans::tool(call, "function");
        let running = ready.run(context).instrument(span.clone());
        tokio::pin!(running);
        tokio::select! {
            outcome = &mut running => {
                let outcome = redactor.any(outcome);
                spans::returned(&span, &outcome);
                Ok(outcome)
            }
            () = cancel.cancelled() => {
                token.cancel();
                // The tool is told, and given the little time that the toolbox gives it.
                let _ = running.await;
                Err(DriveError::Interrupted)
            }
        }
    }

    fn ready(&self, call: &ToolCall) -> Result<ReadyCall, String> {
        match self.toolbox() {
            Some(toolbox) => toolbox.ready(call).map_err(|refusal| refusal.to_string()),
            None => Err(format!("there is no tool `{}`", call.name)),
        }
    }

    /// What the policy, or whoever it has asked, says of a call.
    async fn decide(&self, call: &ToolCall, untrusted: bool) -> (Grant, Option<ReadyCall>) {
        let grant = |granted, by| Grant { tool: call.name.clone(), granted, by };
        let ready = match self.ready(call) {
            Ok(ready) => ready,
            Err(refusal) => return (grant(false, refusal), None),
        };
        let decision = self.policy.decide(ready.spec(), ready.args(), untrusted);
        let (granted, by) = match (decision.verdict, &self.tools) {
            (Verdict::Allow, _) => (true, decision.by),
            (Verdict::Ask, Some(tools)) => {
                let Approval { granted, by } = tools.approver.approve(ready.spec(), ready.args()).await;
                (granted, by)
            }
            (Verdict::Deny | Verdict::Ask, _) => (false, decision.by),
        };
        (grant(granted, by), Some(ready))
    }

    async fn practise(&self, call: &ToolCall) -> ToolOutcome {
        let ready = match self.ready(call) {
            Ok(ready) => ready,
            Err(refusal) => return ToolOutcome::failed(refusal),
        };
        let effects = ready.spec().effects;
        let decision = self.policy.decide(ready.spec(), ready.args(), true);
        if effects.write || effects.irreversible || decision.verdict != Verdict::Allow {
            return ToolOutcome::failed(format!("`{}` is not called in practice", call.name));
        }
        ready.run(CallContext::default()).await
    }
}

/// How the toolbox differs from what the core knows of it, if it does.
pub(super) async fn change(known: &BTreeMap<String, ToolSpec>, toolbox: &Toolbox) -> Option<Interjection> {
    let notices = toolbox.look().notices;
    let now: BTreeMap<String, ToolSpec> =
        toolbox.specs().into_iter().map(|spec| (spec.name.clone(), spec)).collect();
    let vanished: Vec<String> = known.keys().filter(|name| !now.contains_key(*name)).cloned().collect();
    let appeared: Vec<ToolSpec> =
        now.into_values().filter(|spec| known.get(&spec.name) != Some(spec)).collect();
    if notices.is_empty() && vanished.is_empty() && appeared.is_empty() {
        return None;
    }
    let mut loose = BTreeMap::new();
    for spec in &appeared {
        if let Err(reason) = Constraint::expressible(spec.input_schema()).await {
            loose.insert(spec.name.clone(), reason);
        }
    }
    Some(Interjection::Tools { appeared, loose, vanished, notices })
}

/// The places of `texts`, those with more of the query's words first; of equals the earlier.
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
