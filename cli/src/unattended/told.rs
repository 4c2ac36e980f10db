//! Tells people what a run does, while it does it.

use super::{AgentChannels, AgentKey};
use crate::agent_file::AgentFile;
use crate::home::Home;
use crate::logbook;
use crate::progress::Progress;
use serde_json::{Value, json};
use sojourn_core::{FinishReason, Milestone, Notice, Observer, Outcome, Redactor, SkillEvent};
use sojourn_memory::{RunId, Store};
use sojourn_service::notify::{self, Courier, EventKind, News, NotifySettings};
use sojourn_service::now_ms;
use sojourn_tools::EndingKind;
use sojourn_tools::outside::text::cut;
use std::collections::BTreeSet;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;
use tokio::sync::{mpsc, oneshot};
use tokio::task::JoinHandle;

/// Limit on the messages that are not kept yet. More are dropped: nothing waits for them.
const QUEUE: usize = 64;
/// How long the end of a run may wait until its messages are kept, and until they are delivered. The rest is the daemon's.
const KEEP_WITHIN: Duration = Duration::from_secs(5);
const DELIVER_WITHIN: Duration = Duration::from_secs(5);

/// Limit on a text of a message, in characters: a world or a tool wrote parts of it.
const MOST_CHARACTERS: usize = 2000;

/// Cuts the texts of a message's data.
fn shorten(data: &mut Value) {
    match data {
        Value::String(text) if text.len() > MOST_CHARACTERS => *text = cut(text, MOST_CHARACTERS),
        Value::Array(items) => items.iter_mut().for_each(shorten),
        Value::Object(fields) => fields.values_mut().for_each(shorten),
        _ => {}
    }
}

enum Order {
    Keep(News),
    Finish(oneshot::Sender<()>),
}

/// Tells people about one run. Never waits.
#[derive(Clone)]
pub struct Teller {
    orders: mpsc::Sender<Order>,
    run: RunId,
    agent: String,
    redactor: Redactor,
}

impl Teller {
    /// Tells that something happened.
    pub fn tell(&self, event: EventKind, text: &str, mut data: Value) {
        self.redactor.value(&mut data);
        shorten(&mut data);
        let news = News {
            event,
            run: self.run.clone(),
            agent: self.redactor.text(&self.agent),
            at_ms: now_ms(),
            text: cut(&self.redactor.text(text), MOST_CHARACTERS),
            data,
        };
        if self.orders.try_send(Order::Keep(news)).is_err() {
            tracing::warn!("a message to people was dropped: too many at once");
        }
    }

    /// Tells how the run ended; nothing where it was only interrupted.
    pub fn tell_end(&self, outcome: &Outcome) {
        let Outcome::Finished(reason) = outcome else { return };
        let event = match reason {
            FinishReason::Stuck { .. } | FinishReason::Repetition { .. } => EventKind::Stuck,
            FinishReason::Controller { .. } => EventKind::Failed,
            _ => EventKind::Finished,
        };
        self.tell(event, &logbook::reason_line(reason), json!({"reason": reason}));
    }
}

/// Keeps the messages of a run and delivers them, in the background.
pub struct Telling {
    teller: Teller,
    keeping: JoinHandle<()>,
    delivering: JoinHandle<()>,
    courier: Courier,
}

impl Telling {
    /// Begins; `None` where the agent file names no recipient.
    pub fn begin(
        home: &Home,
        store: &Store,
        agent: &AgentFile,
        key: &AgentKey,
        run: &RunId,
        redactor: &Redactor,
    ) -> Option<Self> {
        agent.notify.channels().next()?;
        let (orders, received) = mpsc::channel(QUEUE);
        let keeping = tokio::spawn(keep(store.clone(), agent.notify.clone(), key.text(), received));
        let channels = Arc::new(AgentChannels(home.environments().clone()));
        let courier = Courier::new(store.clone(), Some(key.text()), channels);
        let delivering = tokio::spawn(courier.clone().run());
        let teller =
            Teller { orders, run: run.clone(), agent: key.agent.clone(), redactor: redactor.clone() };
        Some(Self { teller, keeping, delivering, courier })
    }

    /// Tells people about this run.
    pub fn teller(&self) -> &Teller {
        &self.teller
    }

    /// An observer that tells people what it sees, and passes everything on to `inner`.
    pub fn observer(&self, inner: Arc<Progress>) -> Arc<dyn Observer> {
        Arc::new(Told { inner, teller: self.teller.clone(), seen: Mutex::default() })
    }

    /// Waits a few seconds until what was told is kept and delivered.
    pub async fn finish(self) {
        let (done, kept) = oneshot::channel();
        let all = async { self.teller.orders.send(Order::Finish(done)).await.is_ok() && kept.await.is_ok() };
        if !tokio::time::timeout(KEEP_WITHIN, all).await.unwrap_or(false) {
            tracing::warn!("the last messages of the run were not kept in time");
        }
        self.delivering.abort();
        self.keeping.abort();
        self.courier.drain(DELIVER_WITHIN).await;
    }
}

async fn keep(store: Store, settings: NotifySettings, key: String, mut orders: mpsc::Receiver<Order>) {
    while let Some(order) = orders.recv().await {
        match order {
            Order::Keep(news) => match notify::post(&store, &settings, &key, &news).await {
                Ok(true) => {}
                Ok(false) => tracing::warn!("a message to people was dropped: too many are not delivered"),
                Err(error) => tracing::warn!(%error, "a message to people could not be kept"),
            },
            Order::Finish(done) => {
                // The end of the run may have stopped waiting.
                let _ = done.send(());
            }
        }
    }
}

/// What was told already.
#[derive(Default)]
struct Seen {
    goals: BTreeSet<String>,
    episodes: u64,
}

struct Told {
    inner: Arc<Progress>,
    teller: Teller,
    seen: Mutex<Seen>,
}

impl Observer for Told {
    fn notice(&self, notice: &Notice<'_>) {
        self.inner.notice(notice);
        let mut seen = self.seen.lock().unwrap_or_else(PoisonError::into_inner);
        match notice {
            Notice::Episode { .. } => seen.episodes += 1,
            Notice::Milestone {
                milestone: Milestone::TaskDone { task, verified: true, steps },
                replayed,
            } if seen.goals.insert(task.clone()) && !replayed => {
                let text = format!("{task} was done for the first time");
                self.teller.tell(EventKind::Goal, &text, json!({"task": task, "steps": steps}));
            }
            Notice::BudgetNearlyUsed { budget, share } => {
                let text = format!("{:.0} % of the budget are used up: {budget}", share * 100.0);
                self.teller.tell(EventKind::Budget, &text, json!({"budget": budget, "share": share}));
            }
            Notice::Skill { event: SkillEvent::Stepped(step), replayed: false } => {
                if let Some(ended) = step.ended.as_ref().filter(|ended| ended.kind == EndingKind::Died) {
                    let text = format!("died in episode {}: {}", seen.episodes, ended.cause);
                    let data = json!({"cause": ended.cause, "episode": seen.episodes});
                    self.teller.tell(EventKind::Died, &text, data);
                }
            }
            _ => {}
        }
    }
}
