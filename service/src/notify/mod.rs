//! Messages to the people whom an agent file names: by a webhook, a command, or on the desktop.
//!
//! A message is a row of the home's outbox, one for each channel, before anybody tries to deliver it. The process of the run
//! delivers what it can; what is left when it ends, and what failed, the daemon or the next run delivers. So a message is
//! delivered at least once, or given up after twelve attempts within about 70 minutes, and nothing waits for it. News of a record of
//! the run's log are kept with a mark of that record, so that a process that resumes the run tells what an earlier one could not, and
//! nothing twice.

mod command;
mod courier;
mod desktop;
mod settings;
mod webhook;

pub use courier::{Channels, Courier};
pub use settings::{EventKind, NotifySettings, WebhookSettings};
pub use webhook::signature;

use serde::Serialize;
use serde_json::Value;
use sojourn_memory::{Error, EventSeq, NewMessage, Posted, RunId, Store};
use std::path::PathBuf;

/// The settings of an agent file, and the directory that paths in it are relative to.
#[derive(Debug, Clone, PartialEq)]
pub struct Addressees {
    /// The table `[notify]`.
    pub settings: NotifySettings,
    /// Absolute; relative paths of `command` start here.
    pub directory: PathBuf,
}

/// The text for people. It must hold no secret.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct News {
    /// What happened.
    pub event: EventKind,
    /// The run.
    pub run: RunId,
    /// The agent file.
    pub agent: String,
    /// When, in milliseconds since 1970.
    pub at_ms: i64,
    /// One sentence for people.
    pub text: String,
    /// The same for programs.
    pub data: Value,
}

/// Why a message was not delivered.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Undelivered {
    /// Another attempt may succeed.
    ForNow(String),
    /// No attempt can.
    ForEver(String),
}

/// Keeps a message for every channel that wants to know of the event; `agent` is what [`Channels::of`] finds the settings by. Returns false where too many messages wait already.
///
/// # Errors
/// The home cannot be written.
pub async fn post(store: &Store, settings: &NotifySettings, agent: &str, news: &News) -> Result<bool, Error> {
    let mut kept = true;
    for message in messages(settings, agent, news)? {
        kept &= store.post(&message).await?;
    }
    Ok(kept)
}

/// As [`post`], for news of this record of the run, which are kept once. The run's news must have been
/// [begun](Store::begin_telling).
///
/// # Errors
/// The home cannot be written; nothing is kept then.
pub async fn post_of_record(
    store: &Store,
    settings: &NotifySettings,
    agent: &str,
    news: &News,
    record: EventSeq,
) -> Result<Posted, Error> {
    let messages = messages(settings, agent, news)?;
    store.post_of_record(&news.run, (news.event.as_str(), record), &messages).await
}

/// The message for every channel that wants to know of the event.
fn messages(settings: &NotifySettings, agent: &str, news: &News) -> Result<Vec<NewMessage>, Error> {
    if !settings.on.contains(&news.event) {
        return Ok(Vec::new());
    }
    let body = serde_json::to_string(news)
        .map_err(|error| Error::Damaged { place: "a message".to_owned(), what: error.to_string() })?;
    let message = |channel: &str| NewMessage {
        run: news.run.clone(),
        agent: agent.to_owned(),
        channel: channel.to_owned(),
        event: news.event.as_str().to_owned(),
        body: body.clone(),
        at_ms: news.at_ms,
    };
    Ok(settings.channels().map(message).collect())
}
