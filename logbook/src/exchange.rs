//! A request to the controller with its answer.

use crate::{ReadError, Reading};
use serde::Serialize;
use serde_json::Value;
use sojourn_controller::{Reply, Request};
use sojourn_core::{Effect, Event, LogRecord, Recalled, RecordKind};
use sojourn_memory::{EventSeq, RecordQuery, RunInfo, Store};

/// The largest number of records between a request and what belongs to it.
const NEAR: u64 = 32;

/// A request to the controller with its answer and the memories recalled for it.
#[derive(Debug, Clone)]
pub struct Exchange {
    /// The record of the request.
    pub asked: EventSeq,
    /// The request.
    pub request: Request,
    /// The record of the answer, and the answer or the failure.
    pub answered: Option<(EventSeq, Result<Reply, String>)>,
    /// The record of the recall, and what was recalled.
    pub recalled: Option<(EventSeq, Vec<Recalled>)>,
}

/// The length of one part of a prompt.
#[derive(Debug, Clone, Serialize)]
pub struct PartTokens {
    /// `system`, `user`, `assistant`, or what the controller adds.
    pub role: &'static str,
    /// Its length.
    pub characters: usize,
    /// Number of the prompt's tokens that begin in it; `None` before an answer.
    pub tokens: Option<u64>,
    /// Whether the tokens are only its share of the characters, because the controller did not count them.
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    pub estimated: bool,
    /// Whether it was left out of a prompt that was too long.
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    pub left_out: bool,
}

impl PartTokens {
    fn new(role: &'static str, text: &str, tokens: Option<u32>, left_out: bool) -> Self {
        let characters = text.chars().count();
        Self { role, characters, tokens: tokens.map(u64::from), estimated: false, left_out }
    }
}

impl Exchange {
    /// The request that stands at `seq` or was answered there, with its answer and the memories recalled for it.
    ///
    /// # Errors
    /// When the records around it cannot be read.
    pub async fn at(store: &Store, info: &RunInfo, seq: EventSeq) -> Result<Option<Self>, ReadError> {
        let from = EventSeq(seq.0.saturating_sub(NEAR).max(1));
        let kinds = [
            RecordKind::AskController,
            RecordKind::ControllerAnswered,
            RecordKind::ControllerFailed,
            RecordKind::Recalled,
        ];
        let query = RecordQuery::from(from).to(seq.next()).kinds(kinds.map(RecordKind::as_str));
        let mut reading = Reading::new(store, info, query).await?;
        let mut recalled = None;
        let mut found: Option<Exchange> = None;
        while let Some((record, content)) = reading.next().await? {
            match content {
                Some(LogRecord::Effect(effect)) => {
                    let Effect::AskController { request, .. } = *effect else { continue };
                    if record.seq > seq {
                        break;
                    }
                    found = Some(Exchange {
                        asked: record.seq,
                        request,
                        answered: None,
                        recalled: recalled.clone(),
                    });
                }
                Some(LogRecord::Event(event)) => {
                    let answer = match *event {
                        Event::Recalled { memories, .. } => {
                            recalled = Some((record.seq, memories));
                            continue;
                        }
                        Event::ControllerAnswered { reply } => Ok(reply),
                        Event::ControllerFailed { error } => Err(error),
                        _ => continue,
                    };
                    if let Some(exchange) = &mut found {
                        exchange.answered = Some((record.seq, answer));
                        if record.seq >= seq {
                            break;
                        }
                    }
                }
                _ => {}
            }
        }
        Ok(found)
    }

    /// The parts of the prompt with their lengths, as the controller counted them or by their share of the characters.
    pub fn parts(&self) -> Vec<(&str, PartTokens)> {
        let reply = self.answered.as_ref().and_then(|(_, answer)| answer.as_ref().ok());
        let total = reply.map(|reply| reply.usage.prompt_tokens).filter(|&tokens| tokens > 0);
        let counted = reply.map(|reply| &reply.part_tokens).filter(|counted| !counted.is_empty());
        let mut parts = Vec::new();
        for (number, message) in self.request.messages.iter().enumerate() {
            for (place, part) in message.parts.iter().enumerate() {
                let tokens = counted.and_then(|counted| counted.get(number)?.get(place).copied());
                let left_out =
                    reply.is_some_and(|reply| reply.dropped_parts.contains(&(number as u32, place as u32)));
                parts.push((
                    part.text.as_str(),
                    PartTokens::new(message.role.name(), &part.text, tokens, left_out),
                ));
            }
        }
        let prefill = self.request.prefill.as_str();
        match (counted, total) {
            (Some(_), Some(total)) => {
                let known: u64 = parts.iter().filter_map(|(_, part)| part.tokens).sum();
                let rest = u64::from(total).saturating_sub(known) as u32;
                parts.push((prefill, PartTokens::new("template and prefill", prefill, Some(rest), false)));
            }
            _ if !prefill.is_empty() => {
                parts.push((prefill, PartTokens::new("prefill", prefill, None, false)));
            }
            _ => {}
        }
        if let (None, Some(total)) = (counted, total) {
            let all: usize = parts.iter().map(|(_, part)| part.characters).sum();
            for (_, part) in &mut parts {
                let share = part.characters as f64 / all.max(1) as f64;
                part.tokens = Some((share * f64::from(total)).round() as u64);
                part.estimated = true;
            }
        }
        parts
    }

    /// As one JSON document.
    ///
    /// # Errors
    /// When it cannot be written as JSON.
    pub fn as_json(&self) -> serde_json::Result<Value> {
        let parts: Vec<PartTokens> = self.parts().into_iter().map(|(_, tokens)| tokens).collect();
        let mut fields = serde_json::Map::new();
        fields.insert("asked".to_owned(), serde_json::to_value(self.asked)?);
        fields.insert("request".to_owned(), serde_json::to_value(&self.request)?);
        fields.insert("tokens_by_part".to_owned(), serde_json::to_value(parts)?);
        match &self.answered {
            Some((seq, Ok(reply))) => {
                fields.insert("answered".to_owned(), serde_json::to_value(seq)?);
                fields.insert("reply".to_owned(), serde_json::to_value(reply)?);
            }
            Some((seq, Err(error))) => {
                fields.insert("answered".to_owned(), serde_json::to_value(seq)?);
                fields.insert("error".to_owned(), Value::String(error.clone()));
            }
            None => {}
        }
        if let Some((seq, memories)) = &self.recalled {
            fields.insert("recalled_at".to_owned(), serde_json::to_value(seq)?);
            fields.insert("recalled".to_owned(), serde_json::to_value(memories)?);
        }
        Ok(Value::Object(fields))
    }
}
