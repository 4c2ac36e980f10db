//! Delivers the messages of the outbox.

use super::{Addressees, Undelivered, command, desktop, webhook};
use crate::daemon::now_ms;
use sojourn_memory::{Error, Message, Store};
use std::sync::Arc;
use std::time::Duration;
use tokio::task::JoinSet;

/// Attempts before a message is given up. The pause after the first is two seconds and doubles: 68 minutes in all.
const MOST_ATTEMPTS: u32 = 12;
const FIRST_PAUSE_MS: i64 = 2000;
/// How long a message belongs to the process that tries to deliver it: longer than any attempt takes.
const HOLD_MS: i64 = 60_000;
/// Limit on the deliveries at the same time, so that one dead receiver does not delay the others.
const AT_ONCE: usize = 4;
/// How often the outbox is looked at.
const LOOK: Duration = Duration::from_secs(1);

/// Finds the settings of an agent file.
pub trait Channels: Send + Sync {
    /// The addressees of messages that were kept for this agent.
    ///
    /// # Errors
    /// The file cannot be read at the moment.
    fn of(&self, agent: &str) -> Result<Addressees, String>;
}

/// Delivers messages: of one agent file, or of all.
#[derive(Clone)]
pub struct Courier {
    store: Store,
    agent: Option<String>,
    channels: Arc<dyn Channels>,
}

impl Courier {
    /// A courier for the outbox of `store`. With `agent` it takes only messages of that agent file.
    pub fn new(store: Store, agent: Option<String>, channels: Arc<dyn Channels>) -> Self {
        Self { store, agent, channels }
    }

    /// Delivers messages until it is dropped.
    pub async fn run(self) {
        let mut under_way = JoinSet::new();
        loop {
            while under_way.len() < AT_ONCE {
                match self.take().await {
                    Some(message) => {
                        let courier = self.clone();
                        under_way.spawn(async move { courier.deliver(message).await });
                    }
                    None => break,
                }
            }
            tokio::select! {
                Some(_) = under_way.join_next(), if !under_way.is_empty() => {}
                () = tokio::time::sleep(LOOK) => {}
            }
        }
    }

    /// Delivers the messages that are due now, for at most `within`. Messages that fail, or take longer, stay for another courier.
    pub async fn drain(self, within: Duration) {
        let work = async {
            let mut under_way = JoinSet::new();
            loop {
                let next = if under_way.len() < AT_ONCE { self.take().await } else { None };
                match next {
                    Some(message) => {
                        let courier = self.clone();
                        under_way.spawn(async move { courier.deliver(message).await });
                    }
                    None if under_way.join_next().await.is_none() => return,
                    None => {}
                }
            }
        };
        let _ = tokio::time::timeout(within, work).await;
    }

    async fn take(&self) -> Option<Message> {
        let taken = self.store.take_message(self.agent.as_deref(), now_ms(), HOLD_MS).await;
        taken.unwrap_or_else(|error| {
            tracing::warn!(%error, "cannot read the outbox");
            None
        })
    }

    async fn deliver(&self, message: Message) {
        let result = match self.channels.of(&message.new.agent) {
            Ok(addressees) => attempt(&addressees, &message).await,
            Err(error) => Err(Undelivered::ForNow(error)),
        };
        if let Err(error) = self.note(&message, result).await {
            // The message is due again when the hold is over.
            tracing::warn!(%error, "cannot write the outbox");
        }
    }

    async fn note(&self, message: &Message, result: Result<(), Undelivered>) -> Result<(), Error> {
        let now_ms = now_ms();
        let (failure, again) = match result {
            Ok(()) => return self.store.message_delivered(message.no, now_ms).await,
            Err(Undelivered::ForNow(failure)) => {
                (failure, message.attempts.saturating_add(1) < MOST_ATTEMPTS)
            }
            Err(Undelivered::ForEver(failure)) => (failure, false),
        };
        tracing::warn!(event = %message.new.event, channel = %message.new.channel, %failure, again, "a message was not delivered");
        let pause_ms = FIRST_PAUSE_MS << message.attempts.min(MOST_ATTEMPTS);
        let next_ms = again.then(|| now_ms.saturating_add(pause_ms));
        self.store.message_failed(message.no, &failure, next_ms, now_ms).await
    }
}

async fn attempt(addressees: &Addressees, message: &Message) -> Result<(), Undelivered> {
    let settings = &addressees.settings;
    let removed = || Undelivered::ForEver("the agent file does not have the channel any more".to_owned());
    match message.new.channel.as_str() {
        "webhook" => {
            let webhook = settings.webhook.as_ref().ok_or_else(removed)?;
            webhook::deliver(webhook, message, now_ms()).await
        }
        "command" if !settings.command.is_empty() => command::deliver(addressees, message).await,
        "desktop" if settings.desktop => desktop::deliver(addressees, message).await,
        _ => Err(removed()),
    }
}
