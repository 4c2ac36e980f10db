//! Tells people what a run does, while it does it.
//!
//! A message about a record is written to the outbox once the record is durable. The same transaction stores a mark: the latest record
//! that was reported, for each kind of event ([`Store::begin_telling`]). A process that resumes the run replays its records and reports those
//! after the mark, so no message is lost when a process dies, at whatever point.

use super::{AgentChannels, AgentKey};
use crate::agent_file::AgentFile;
use crate::home::Home;
use crate::logbook;
use crate::progress::Progress;
use serde_json::{Value, json};
use sojourn_core::{FinishReason, Milestone, Noted, Notice, Observer, Outcome, Redactor, SkillEvent};
use sojourn_memory::{Error, EventSeq, Posted, Record, RunId, Store};
use sojourn_service::notify::{self, Courier, EventKind, News, NotifySettings};
use sojourn_service::now_ms;
use sojourn_tools::EndingKind;
use sojourn_tools::outside::text::cut;
use std::collections::{BTreeMap, BTreeSet};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;
use tokio::sync::{mpsc, oneshot};
use tokio::task::JoinHandle;

/// Limit on the messages that are not kept yet, that of the messages that are not delivered. More are dropped: nothing waits for them.
const QUEUE: usize = 1000;
/// How long the end of a run may wait until its messages are in the outbox: as long as a busy database. A finished run is not resumed, so no
/// later process would write them.
const KEEP_WITHIN: Duration = Duration::from_secs(30);
/// How long it may wait until they are delivered. The rest is the daemon's.
const DELIVER_WITHIN: Duration = Duration::from_secs(5);
/// How often a record is looked for that is not durable yet.
const LOOK: Duration = Duration::from_millis(100);
/// Attempts to keep a message, and the pause after the first, which doubles: half a minute in all.
const ATTEMPTS: u32 = 7;
const FIRST_PAUSE: Duration = Duration::from_millis(500);

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
    Keep(News, Option<EventSeq>),
    Finish(oneshot::Sender<()>),
}

/// The record that news are about.
#[derive(Debug, Clone, Copy)]
struct About {
    seq: EventSeq,
    at_ms: i64,
}

impl From<Noted> for About {
    fn from(noted: Noted) -> Self {
        Self { seq: noted.seq, at_ms: noted.at_ms }
    }
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
    /// Tells that something happened that no record has.
    pub fn tell(&self, event: EventKind, text: &str, data: Value) {
        self.keep(event, None, text, data);
    }

    /// Tells that a call waits for an approval since this record, unless that was told before.
    pub fn tell_asked(&self, seq: EventSeq, at_ms: i64, text: &str, data: Value) {
        self.keep(EventKind::Asked, Some(About { seq, at_ms }), text, data);
    }

    fn keep(&self, event: EventKind, about: Option<About>, text: &str, mut data: Value) {
        self.redactor.value(&mut data);
        shorten(&mut data);
        let news = News {
            event,
            run: self.run.clone(),
            agent: self.redactor.text(&self.agent),
            at_ms: about.map_or_else(now_ms, |about| about.at_ms),
            text: cut(&self.redactor.text(text), MOST_CHARACTERS),
            data,
        };
        if self.orders.try_send(Order::Keep(news, about.map(|about| about.seq))).is_err() {
            tracing::warn!("a message to people was dropped: too many at once");
        }
    }

    /// Tells how the run ended, as this last record says; nothing where it was only interrupted.
    pub fn tell_end(&self, outcome: &Outcome, last: Option<&Record>) {
        let Outcome::Finished(reason) = outcome else { return };
        let event = match reason {
            FinishReason::Stuck { .. } | FinishReason::Repetition { .. } => EventKind::Stuck,
            FinishReason::Controller { .. } => EventKind::Failed,
            _ => EventKind::Finished,
        };
        let about = last.map(|record| About { seq: record.seq, at_ms: record.at_ms });
        self.keep(event, about, &logbook::reason_line(reason), json!({"reason": reason}));
    }
}

/// Keeps the messages of a run and delivers them, in the background.
pub struct Telling {
    teller: Teller,
    marks: Arc<Marks>,
    over: Arc<AtomicBool>,
    keeping: JoinHandle<()>,
    delivering: JoinHandle<()>,
    courier: Courier,
}

impl Telling {
    /// Begins; `None` where the agent file names no recipient.
    pub async fn begin(
        home: &Home,
        store: &Store,
        agent: &AgentFile,
        key: &AgentKey,
        run: &RunId,
        redactor: &Redactor,
    ) -> Option<Self> {
        let is_told = agent.notify.channels().next().is_some();
        let events: Vec<&str> =
            agent.notify.on.iter().filter(|_| is_told).map(|event| event.as_str()).collect();
        let marks = store.begin_telling(run, &events).await.unwrap_or_else(|error| {
            tracing::warn!(%error, "cannot see what was told of the run before");
            Marks::new()
        });
        if !is_told {
            return None;
        }
        let (orders, received) = mpsc::channel(QUEUE);
        let over = Arc::new(AtomicBool::new(false));
        let writer = OutboxWriter {
            store: store.clone(),
            settings: agent.notify.clone(),
            key: key.text(),
            over: Arc::clone(&over),
        };
        let keeping = tokio::spawn(writer.write_all(received));
        let channels = Arc::new(AgentChannels(home.environments().clone()));
        let courier = Courier::new(store.clone(), Some(key.text()), channels);
        let delivering = tokio::spawn(courier.clone().run());
        let teller =
            Teller { orders, run: run.clone(), agent: key.agent.clone(), redactor: redactor.clone() };
        Some(Self { teller, marks: Arc::new(marks), over, keeping, delivering, courier })
    }

    /// Tells people about this run.
    pub fn teller(&self) -> &Teller {
        &self.teller
    }

    /// An observer that tells people what it sees, and passes everything on to `inner`.
    pub fn observer(&self, inner: Arc<Progress>) -> Arc<dyn Observer> {
        let (teller, marks) = (self.teller.clone(), Arc::clone(&self.marks));
        Arc::new(Told { inner, teller, marks, seen: Mutex::default() })
    }

    /// After the run: waits until what was told is kept, and a few seconds until it is delivered.
    pub async fn finish(self) {
        self.over.store(true, Ordering::Release);
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

/// The records up to which news were told before this process, by the kind of event.
type Marks = BTreeMap<String, EventSeq>;

/// Writes messages into the outbox, one after the other.
struct OutboxWriter {
    store: Store,
    settings: NotifySettings,
    key: String,
    /// Whether the run has ended: records that are not durable by now never will be.
    over: Arc<AtomicBool>,
}

impl OutboxWriter {
    async fn write_all(self, mut orders: mpsc::Receiver<Order>) {
        while let Some(order) = orders.recv().await {
            match order {
                Order::Keep(news, record) => self.write(&news, record).await,
                Order::Finish(done) => {
                    // The end of the run may have stopped waiting.
                    let _ = done.send(());
                }
            }
        }
    }

    async fn write(&self, news: &News, record: Option<EventSeq>) {
        let mut pause = FIRST_PAUSE;
        for attempt in 1..=ATTEMPTS {
            match self.try_to_write(news, record).await {
                Ok(Posted::Kept | Posted::Known) => return,
                Ok(Posted::Full) => {
                    return tracing::warn!("a message to people was dropped: too many are not delivered");
                }
                Err(error) => {
                    tracing::warn!(%error, attempt, "a message to people could not be kept");
                }
            }
            tokio::time::sleep(pause).await;
            pause *= 2;
        }
    }

    async fn try_to_write(&self, news: &News, record: Option<EventSeq>) -> Result<Posted, Error> {
        let Some(seq) = record else {
            let kept = notify::post(&self.store, &self.settings, &self.key, news).await?;
            return Ok(if kept { Posted::Kept } else { Posted::Full });
        };
        // A process may lose a record that is not durable yet. The process that resumes the run would report the same event again.
        while self.store.run(news.run.as_str()).await?.last_seq < seq {
            if self.over.load(Ordering::Acquire) {
                return Ok(Posted::Known);
            }
            tokio::time::sleep(LOOK).await;
        }
        notify::post_of_record(&self.store, &self.settings, &self.key, news, seq).await
    }
}

/// What the run has had so far.
#[derive(Default)]
struct Seen {
    goals: BTreeSet<String>,
    episodes: u64,
}

struct Told {
    inner: Arc<Progress>,
    teller: Teller,
    marks: Arc<Marks>,
    seen: Mutex<Seen>,
}

impl Told {
    /// Whether an event of this record is to be told: an earlier process may have done so, and what happened in another run or
    /// another home is no news.
    fn is_news(&self, event: EventKind, noted: &Noted) -> bool {
        let is_missing = || self.marks.get(event.as_str()).is_some_and(|told| noted.seq > *told);
        !noted.foreign && (!noted.replayed || is_missing())
    }
}

impl Observer for Told {
    fn notice(&self, notice: &Notice<'_>) {
        self.inner.notice(notice);
        let mut seen = self.seen.lock().unwrap_or_else(PoisonError::into_inner);
        match notice {
            Notice::Episode { .. } => seen.episodes += 1,
            Notice::Milestone { milestone: Milestone::TaskDone { task, verified: true, steps }, noted }
                if seen.goals.insert(task.clone()) && self.is_news(EventKind::Goal, noted) =>
            {
                let text = format!("{task} was done for the first time");
                let data = json!({"task": task, "steps": steps});
                self.teller.keep(EventKind::Goal, Some((*noted).into()), &text, data);
            }
            Notice::BudgetNearlyUsed { budget, share, noted }
                if noted.as_ref().is_none_or(|noted| self.is_news(EventKind::Budget, noted)) =>
            {
                let text = format!("{:.0} % of the budget are used up: {budget}", share * 100.0);
                let data = json!({"budget": budget, "share": share});
                self.teller.keep(EventKind::Budget, noted.map(About::from), &text, data);
            }
            Notice::Skill { event: SkillEvent::Stepped(step), noted }
                if self.is_news(EventKind::Died, noted) =>
            {
                if let Some(ended) = step.ended.as_ref().filter(|ended| ended.kind == EndingKind::Died) {
                    let text = format!("died in episode {}: {}", seen.episodes, ended.cause);
                    let data = json!({"cause": ended.cause, "episode": seen.episodes});
                    self.teller.keep(EventKind::Died, Some((*noted).into()), &text, data);
                }
            }
            _ => {}
        }
    }
}
