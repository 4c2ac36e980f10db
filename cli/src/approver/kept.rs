//! Keeps the calls that a policy asks about until a person answers in another process: `sojourn approvals allow`.
//!
//! A question belongs to a run and to one call with all its arguments, by the hash of what is shown. It is answered once, and its
//! answer is used once: the decision in the log names the question. A process that dies between the answer and that record finds
//! the answer again.

use super::shown_lines;
use crate::output;
use crate::unattended::told::Teller;
use async_trait::async_trait;
use serde_json::json;
use sojourn_controller::Cancel;
use sojourn_core::{Approval, Approver, LogRecord, Question, RecordKind, Redactor, call_hash};
use sojourn_memory::{
    ApprovalId, ApprovalState, AskedCall, BY_TIMEOUT, NewApproval, OnTimeout, PendingApproval, RecordQuery,
    RunId, Store,
};
use sojourn_service::now_ms;
use sojourn_tools::outside::text::cut;
use sojourn_tools::{PolicyFile, TimeoutAnswer, ToolSpec, Unanswered};
use std::collections::BTreeSet;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant};

/// How often an answer is looked for.
const LOOK: Duration = Duration::from_millis(500);
/// Limit on a tool's description that is kept with a question, in characters.
const MAX_DESCRIPTION: usize = 2000;
/// Limit on the answers of a run that are read at once.
const MOST: u32 = 1000;

/// An approver that keeps its questions.
pub struct Kept {
    store: Store,
    cancel: Cancel,
    redactor: Redactor,
    settings: Settings,
    teller: Option<Teller>,
    /// How long this process waits before it pauses the run; `None`: until there is an answer.
    release_after: Option<Duration>,
    /// Whether this process has paused the run to wait.
    released: AtomicBool,
    run: RunId,
    later: Mutex<Later>,
}

/// What the policy says about unanswered questions.
struct Settings {
    unanswered: Unanswered,
    timeout_ms: Option<i64>,
    on_timeout: TimeoutAnswer,
}

/// Questions that the run did not wait for.
#[derive(Default)]
struct Later {
    /// Answers that the controller knows.
    announced: BTreeSet<ApprovalId>,
    looked: Option<Instant>,
}

impl Kept {
    /// An approver for one run, whose answers are in `store`.
    pub fn new(store: Store, run: RunId, policy: &PolicyFile, redactor: Redactor, cancel: Cancel) -> Self {
        let timeout_ms = policy.timeout_ms.map(|ms| i64::try_from(ms).unwrap_or(i64::MAX));
        let settings = Settings { unanswered: policy.unanswered, timeout_ms, on_timeout: policy.on_timeout };
        Self {
            store,
            cancel,
            redactor,
            settings,
            teller: None,
            release_after: None,
            released: AtomicBool::new(false),
            run,
            later: Mutex::default(),
        }
    }

    /// Bounds it by the policies that the run's log has: where one of them denies after its time-out, no call is allowed by one.
    #[must_use]
    pub fn bounded_by(mut self, policies: &[PolicyFile]) -> Self {
        if policies.iter().any(|policy| policy.on_timeout != TimeoutAnswer::Allow) {
            self.settings.on_timeout = TimeoutAnswer::Deny;
        }
        self
    }

    /// Tells people of each question.
    #[must_use]
    pub fn telling(self, teller: Option<Teller>) -> Self {
        Self { teller, ..self }
    }

    /// Pauses the run when a question has no answer for this long, so that no process waits for days.
    #[must_use]
    pub fn releasing_after(self, release_after: Option<Duration>) -> Self {
        Self { release_after, ..self }
    }

    /// Whether the run was paused because it waits for an answer.
    pub fn has_released(&self) -> bool {
        self.released.load(Ordering::Relaxed)
    }

    /// Whether a call of this tool may be made because nobody answered in time.
    fn allows_by_timeout(&self, spec: &ToolSpec) -> bool {
        self.settings.on_timeout == TimeoutAnswer::Allow && !spec.effects.irreversible
    }

    /// The latest question about this call whose answer was not used; a new one where there is none.
    async fn kept_question(
        &self,
        question: &Question<'_>,
        hash: &str,
    ) -> Result<PendingApproval, anyhow::Error> {
        let known = self.store.approvals_of_call(&question.run, hash).await?;
        let used = self.used(&question.run, &known).await?;
        let unused = known.into_iter().rfind(|known| !used.contains(known.id.as_str()));
        if let Some(unused) = unused {
            // The process that kept it may have died before it told anybody.
            if unused.state == ApprovalState::Pending {
                self.tell(&unused);
            }
            return Ok(unused);
        }
        let spec = question.spec;
        let now_ms = now_ms();
        let asked = self
            .store
            .ask(NewApproval {
                run: question.run.clone(),
                seq: question.seq,
                hash: hash.to_owned(),
                call: AskedCall {
                    tool: spec.name.clone(),
                    description: cut(&self.redactor.text(&spec.description), MAX_DESCRIPTION),
                    effects: serde_json::to_value(spec.effects)?,
                    args: question.args.clone(),
                },
                reason: question.reason.to_owned(),
                asked_ms: now_ms,
                expires_ms: self.settings.timeout_ms.map(|after| now_ms.saturating_add(after)),
                on_timeout: if self.allows_by_timeout(spec) { OnTimeout::Allow } else { OnTimeout::Deny },
            })
            .await?;
        output::note(waits(&asked));
        self.tell(&asked);
        Ok(asked)
    }

    fn tell(&self, known: &PendingApproval) {
        if let Some(teller) = &self.teller {
            let (asked, data) = (&known.asked, json!({"approval": known.id, "tool": known.asked.call.tool}));
            teller.tell_asked(asked.seq, asked.asked_ms, &waits(known), data);
        }
    }

    /// The questions whose answers decisions of the run have used; of `known`, which a decision follows and does not precede.
    async fn used(&self, run: &RunId, known: &[PendingApproval]) -> Result<BTreeSet<String>, anyhow::Error> {
        let mut used = BTreeSet::new();
        let Some(first) = known.iter().map(|known| known.asked.seq).min() else { return Ok(used) };
        let query = RecordQuery::from(first).kinds([RecordKind::ToolDecision.as_str()]);
        for record in self.store.records(run, &query).await? {
            if let Some(LogRecord::ToolDecision(decision)) = LogRecord::read(&self.store, &record).await? {
                used.extend(decision.approval);
            }
        }
        Ok(used)
    }

    /// The question again, answered by its time-out where that is over.
    async fn look_again(&self, known: &PendingApproval) -> Result<PendingApproval, anyhow::Error> {
        if known.state == ApprovalState::Pending && known.asked.expires_ms.is_some_and(|at| at <= now_ms()) {
            let granted = known.asked.on_timeout == OnTimeout::Allow;
            self.store.answer_approval(&known.id, granted, BY_TIMEOUT, now_ms()).await?;
        }
        Ok(self.store.approval(&known.id).await?)
    }

    async fn answer(&self, question: &Question<'_>) -> Result<Option<Approval>, anyhow::Error> {
        if let Err(refusal) = shown_lines(question.args) {
            return Ok(Some(Approval::new(false, refusal)));
        }
        if self.redactor.any(question.args.clone()).is_ok_and(|redacted| redacted != *question.args) {
            return Ok(Some(Approval::new(
                false,
                "its arguments hold a secret, which is not kept for an approval",
            )));
        }
        let hash = call_hash(question.spec, question.args);
        let mut known = self.kept_question(question, &hash).await?;
        let since = Instant::now();
        loop {
            known = self.look_again(&known).await?;
            let by = known.answered_by.as_deref().unwrap_or("nobody");
            let granted = match known.state {
                // The question was kept under an earlier policy; the stricter of both decides.
                ApprovalState::Allowed if by == BY_TIMEOUT && !self.allows_by_timeout(question.spec) => {
                    return Ok(Some(Approval {
                        granted: false,
                        by: format!(
                            "{by} allowed it ({}), and the policy does not allow that any more",
                            known.id
                        ),
                        approval: Some(known.id.to_string()),
                    }));
                }
                ApprovalState::Allowed => true,
                ApprovalState::Denied => false,
                ApprovalState::Pending if self.settings.unanswered == Unanswered::Continue => {
                    let why = format!("it waits for an approval ({}); go on with other things", known.id);
                    return Ok(Some(Approval::new(false, why)));
                }
                ApprovalState::Pending => {
                    if self.release_after.is_some_and(|after| since.elapsed() >= after) {
                        self.released.store(true, Ordering::Relaxed);
                        self.cancel.cancel();
                        return Ok(None);
                    }
                    tokio::select! {
                        () = tokio::time::sleep(LOOK) => continue,
                        () = self.cancel.cancelled() => return Ok(None),
                    }
                }
            };
            self.later.lock().unwrap_or_else(PoisonError::into_inner).announced.insert(known.id.clone());
            let answer = if granted { "allowed" } else { "denied" };
            return Ok(Some(Approval {
                granted,
                by: format!("{by}, who {answer} it ({})", known.id),
                approval: Some(known.id.to_string()),
            }));
        }
    }

    async fn news(&self) -> Result<Vec<String>, anyhow::Error> {
        {
            let mut later = self.later.lock().unwrap_or_else(PoisonError::into_inner);
            if self.settings.unanswered != Unanswered::Continue
                || later.looked.is_some_and(|looked| looked.elapsed() < LOOK)
            {
                return Ok(Vec::new());
            }
            later.looked = Some(Instant::now());
        }
        let all = self.store.approvals(Some(&self.run), true, MOST).await?;
        let is_new = |known: &&PendingApproval| {
            let later = self.later.lock().unwrap_or_else(PoisonError::into_inner);
            known.state != ApprovalState::Pending && !later.announced.contains(&known.id)
        };
        let answered: Vec<&PendingApproval> = all.iter().filter(is_new).collect();
        if answered.is_empty() {
            return Ok(Vec::new());
        }
        let used = self.used(&self.run, &all).await?;
        let mut later = self.later.lock().unwrap_or_else(PoisonError::into_inner);
        let mut news = Vec::new();
        for known in answered {
            if later.announced.insert(known.id.clone()) && !used.contains(known.id.as_str()) {
                let tool = &known.asked.call.tool;
                news.push(match known.state {
                    ApprovalState::Allowed => format!("the call of {tool} that waited for an approval is allowed now: make it again if it still helps"),
                    _ => format!("the call of {tool} that waited for an approval was denied"),
                });
            }
        }
        Ok(news)
    }
}

/// A question in one sentence.
fn waits(known: &PendingApproval) -> String {
    let (tool, id) = (&known.asked.call.tool, &known.id);
    format!("`{tool}` waits for an approval: `sojourn approvals show {id}`, then `allow` or `deny`")
}

#[async_trait]
impl Approver for Kept {
    async fn approve(&self, question: &Question<'_>) -> Option<Approval> {
        self.answer(question).await.unwrap_or_else(|error| {
            // Without the home no answer can arrive, and a call without an answer is not made.
            Some(Approval::new(false, format!("the question could not be kept: {error}")))
        })
    }

    async fn notices(&self) -> Vec<String> {
        self.news().await.unwrap_or_else(|error| {
            tracing::warn!(%error, "cannot look for answers");
            Vec::new()
        })
    }
}
