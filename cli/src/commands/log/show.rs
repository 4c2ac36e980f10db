use super::timeline::as_json;
use super::tried;
use crate::logbook::{self, Reading};
use crate::{duration, output};
use anyhow::Result;
use serde::Serialize;
use serde_json::Value;
use sojourn_controller::{Reply, Request};
use sojourn_core::{Effect, Event, LogRecord, Recalled, RecordKind};
use sojourn_memory::{EventSeq, Record, RecordQuery, RunInfo, Store};
use std::fmt::Write as _;

/// The largest number of records between a request and what belongs to it.
const NEAR: u64 = 32;

/// A request to the controller with its answer and the memories recalled for it.
struct Exchange {
    asked: EventSeq,
    request: Request,
    answered: Option<(EventSeq, Result<Reply, String>)>,
    recalled: Option<(EventSeq, Vec<Recalled>)>,
}

/// The length of one part of a prompt.
#[derive(Serialize)]
struct PartTokens {
    role: &'static str,
    characters: usize,
    /// Number of the prompt's tokens that begin in it; `None` before an answer.
    tokens: Option<u64>,
    /// Whether the tokens are only its share of the characters, because the controller did not count them.
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    estimated: bool,
    /// Whether it was left out of a prompt that was too long.
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    left_out: bool,
}

impl PartTokens {
    fn new(role: &'static str, text: &str, tokens: Option<u32>, left_out: bool) -> Self {
        let characters = text.chars().count();
        Self { role, characters, tokens: tokens.map(u64::from), estimated: false, left_out }
    }

    /// ", 12 tokens"
    fn words(&self) -> String {
        match self.tokens {
            _ if self.left_out => ", left out".to_owned(),
            Some(tokens) if self.estimated => format!(", about {tokens} tokens"),
            Some(tokens) => format!(", {tokens} tokens"),
            None => String::new(),
        }
    }
}

/// `log show`: prints one record; a request with its answer. Unless `full`, what no person reads is folded.
pub async fn show(store: &Store, run: &str, seq: EventSeq, full: bool, json: bool) -> Result<()> {
    let info = logbook::find_run(store, run).await?;
    let Some(record) = store.records(&info.id, &RecordQuery::from(seq).to(seq)).await?.pop() else {
        return Err(sojourn_memory::Error::NoSuchRecord { run: info.id, seq, last: info.last_seq }.into());
    };
    let payload = logbook::whole(store, &record).await?;
    let exchange = match record.kind.parse() {
        Ok(RecordKind::AskController | RecordKind::ControllerAnswered | RecordKind::ControllerFailed) => {
            exchange(store, &info, seq).await?
        }
        _ => None,
    };
    if json {
        let mut whole = as_json(&record, &payload);
        if let (Value::Object(fields), Some(exchange)) = (&mut whole, &exchange) {
            fields.insert("exchange".to_owned(), exchange.as_json()?);
        }
        return Ok(output::json(&whole)?);
    }
    head(&record, &info)?;
    let mut text = String::new();
    match exchange {
        Some(exchange) => exchange.tell(full, &mut text),
        None => match LogRecord::read(store, &record).await {
            Ok(Some(LogRecord::Event(event))) if !full => match *event {
                Event::CandidatesTried { trials } => tried::tell(&trials, &mut text),
                _ => outline(&tried::folded(payload), 0, &mut text),
            },
            _ if full => outline(&payload, 0, &mut text),
            _ => outline(&tried::folded(payload), 0, &mut text),
        },
    }
    Ok(output::line(text.trim_end())?)
}

fn head(record: &Record, info: &RunInfo) -> Result<()> {
    output::line(format!("record   {} of run {}", record.seq, record.run))?;
    output::line(format!("kind     {}", record.kind))?;
    output::line(format!(
        "at       {} UTC ({} after the start)",
        duration::date(record.at_ms),
        duration::clock(record.at_ms.saturating_sub(info.created_ms))
    ))?;
    output::line(format!("hash     {}", record.hash))?;
    output::line(format!("follows  {}", record.prev_hash))?;
    for blob in &record.blobs {
        output::line(format!("blob     {blob}"))?;
    }
    Ok(output::line("")?)
}

/// The request that stands at `seq` or was answered there, with its answer and the memories recalled for it.
async fn exchange(store: &Store, info: &RunInfo, seq: EventSeq) -> Result<Option<Exchange>> {
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
                found =
                    Some(Exchange { asked: record.seq, request, answered: None, recalled: recalled.clone() });
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

impl Exchange {
    /// The parts of the prompt with their lengths, as the controller counted them or by their share of the characters.
    fn parts(&self) -> Vec<(&str, PartTokens)> {
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

    fn as_json(&self) -> Result<Value> {
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

    /// Writing to a string cannot fail.
    fn tell(&self, full: bool, text: &mut String) {
        let request = &self.request;
        let _ = writeln!(
            text,
            "asked in record {}: {} answers of at most {} tokens at temperature {}",
            self.asked, request.candidates, request.max_tokens, request.sampling.temperature
        );
        match &self.answered {
            Some((seq, Ok(reply))) => {
                let (usage, timing) = (&reply.usage, &reply.timing);
                let cost = reply.cost_usd.map(|cost| format!(", for {cost} US dollars")).unwrap_or_default();
                let guessed = match usage.accepted_draft_tokens {
                    0 => String::new(),
                    guessed => format!(", {guessed} of them accepted from speculation"),
                };
                let _ = writeln!(
                    text,
                    "answered in record {seq}: {} tokens read, {} of them from the cache, {} written{guessed}{cost}\n\
                     time: {} ms waiting, {} ms reading, {} ms writing",
                    usage.prompt_tokens,
                    usage.cached_tokens,
                    usage.completion_tokens,
                    timing.queue_ms,
                    timing.prefill_ms,
                    timing.decode_ms
                );
            }
            Some((seq, Err(_))) => {
                let _ = writeln!(text, "failed in record {seq}");
            }
            None => text.push_str("not answered\n"),
        }
        if let Some((seq, memories)) = &self.recalled {
            let _ = writeln!(text, "\nmemories looked up before (record {seq}): {}", memories.len());
            for memory in memories {
                let _ =
                    writeln!(text, "  {} ({}, {})\n    {}", memory.text, memory.kind, memory.why, memory.id);
            }
        }
        for (content, part) in self.parts() {
            let _ = writeln!(text, "\n── {}: {} characters{}", part.role, part.characters, part.words());
            let _ = writeln!(text, "{}", content.trim_end_matches('\n'));
        }
        match &self.answered {
            Some((_, Ok(reply))) => {
                for (index, candidate) in reply.candidates.iter().enumerate() {
                    let finish = serde_json::to_string(&candidate.finish).unwrap_or_default();
                    let _ = writeln!(
                        text,
                        "\n── answer {} of {}: {} tokens, {}",
                        index + 1,
                        reply.candidates.len(),
                        candidate.tokens,
                        finish.trim_matches('"')
                    );
                    if let Some(reasoning) = &candidate.reasoning {
                        let _ = writeln!(text, "(reasoning)\n{}\n(answer)", reasoning.trim_end_matches('\n'));
                    }
                    let _ = writeln!(text, "{}", candidate.text.trim_end_matches('\n'));
                }
            }
            Some((_, Err(error))) => {
                let _ = writeln!(text, "\n── no answer\n{error}");
            }
            None => {}
        }
        let constraint = serde_json::to_value(&request.constraint).unwrap_or_default();
        let constraint = if full { constraint } else { tried::folded(constraint) };
        text.push_str("\n── constraint\n");
        outline(&constraint, 0, text);
    }
}

/// A value as an indented outline in which texts keep their lines.
fn outline(value: &Value, depth: usize, text: &mut String) {
    let indent = "  ".repeat(depth);
    match value {
        Value::Object(fields) => {
            for (key, value) in fields {
                entry(&format!("{indent}{key}:"), value, depth, text);
            }
        }
        Value::Array(items) => {
            for item in items {
                entry(&format!("{indent}-"), item, depth, text);
            }
        }
        leaf => entry(&indent, leaf, depth, text),
    }
}

fn entry(head: &str, value: &Value, depth: usize, text: &mut String) {
    text.push_str(head);
    match value {
        Value::Object(_) | Value::Array(_) => {
            text.push('\n');
            outline(value, depth + 1, text);
        }
        Value::String(string) if string.contains('\n') => {
            text.push_str(" |\n");
            for line in string.lines() {
                text.push_str(&"  ".repeat(depth + 1));
                text.push_str(line);
                text.push('\n');
            }
        }
        Value::String(string) => {
            let _ = writeln!(text, " {string}");
        }
        other => {
            let _ = writeln!(text, " {other}");
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn texts_keep_their_lines_in_an_outline() {
        let mut text = String::new();
        outline(
            &json!({"purpose": "choose", "messages": [{"role": "user", "text": "one\ntwo"}], "n": 3}),
            0,
            &mut text,
        );
        assert_eq!(
            text,
            "purpose: choose\nmessages:\n  -\n    role: user\n    text: |\n      one\n      two\nn: 3\n"
        );
    }
}
