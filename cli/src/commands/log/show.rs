use super::timeline::as_json;
use super::tried::{self, FOLDED};
use crate::logbook::{self, Exchange, PartTokens, RunClock, folded};
use crate::{duration, output};
use anyhow::Result;
use serde_json::Value;
use sojourn_core::{Event, LogRecord, RecordKind};
use sojourn_memory::{EventSeq, Record, RecordQuery, Store};
use sojourn_tools::outside::quote::one_line;
use std::fmt::Write as _;

/// `log show`: prints one record; a request with its answer. Unless `full`, what no person reads is folded.
pub async fn show(store: &Store, run: &str, seq: EventSeq, full: bool, json: bool) -> Result<()> {
    let info = logbook::find_run(store, run).await?;
    let Some(record) = store.records(&info.id, &RecordQuery::from(seq).to(seq)).await?.pop() else {
        return Err(sojourn_memory::Error::NoSuchRecord { run: info.id, seq, last: info.last_seq }.into());
    };
    let payload = logbook::whole(store, &record).await?;
    let exchange = match record.kind.parse() {
        Ok(RecordKind::AskController | RecordKind::ControllerAnswered | RecordKind::ControllerFailed) => {
            Exchange::at(store, &info, seq).await?
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
    head(&record, &RunClock::of_any(store, &info).await)?;
    let mut text = String::new();
    match exchange {
        Some(exchange) => tell(&exchange, full, &mut text),
        None => match LogRecord::read(store, &record).await {
            Ok(Some(LogRecord::Event(event))) if !full => match *event {
                Event::CandidatesTried { trials } => tried::tell(&trials, &mut text),
                _ => outline(&folded(payload, FOLDED), 0, &mut text),
            },
            _ if full => outline(&payload, 0, &mut text),
            _ => outline(&folded(payload, FOLDED), 0, &mut text),
        },
    }
    Ok(output::line(text.trim_end())?)
}

fn head(record: &Record, clock: &RunClock) -> Result<()> {
    output::line(format!("record   {} of run {}", record.seq, record.run))?;
    output::line(format!("kind     {}", record.kind))?;
    output::line(format!(
        "at       {} UTC ({} after the start)",
        duration::date(record.at_ms),
        duration::clock(clock.at(record.seq.0, record.at_ms))
    ))?;
    output::line(format!("hash     {}", record.hash))?;
    output::line(format!("follows  {}", record.prev_hash))?;
    for blob in &record.blobs {
        output::line(format!("blob     {blob}"))?;
    }
    Ok(output::line("")?)
}

/// Tells a request, its answer and what was recalled for it. Writing to a string cannot fail.
fn tell(exchange: &Exchange, full: bool, text: &mut String) {
    let request = &exchange.request;
    let _ = writeln!(
        text,
        "asked in record {}: {} answers of at most {} tokens at temperature {}",
        exchange.asked, request.candidates, request.max_tokens, request.sampling.temperature
    );
    match &exchange.answered {
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
    if let Some((seq, memories)) = &exchange.recalled {
        let _ = writeln!(text, "\nmemories looked up before (record {seq}): {}", memories.len());
        for memory in memories {
            let _ = writeln!(text, "  {} ({}, {})\n    {}", memory.text, memory.kind, memory.why, memory.id);
        }
    }
    for (content, part) in exchange.parts() {
        let _ = writeln!(text, "\n── {}: {} characters{}", part.role, part.characters, words(&part));
        let _ = writeln!(text, "{}", content.trim_end_matches('\n'));
    }
    match &exchange.answered {
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
    let constraint = if full { constraint } else { folded(constraint, FOLDED) };
    text.push_str("\n── constraint\n");
    outline(&constraint, 0, text);
}

/// ", 12 tokens"
fn words(part: &PartTokens) -> String {
    match part.tokens {
        _ if part.left_out => ", left out".to_owned(),
        Some(tokens) if part.estimated => format!(", about {tokens} tokens"),
        Some(tokens) => format!(", {tokens} tokens"),
        None => String::new(),
    }
}

/// A value as an indented outline in which texts keep their lines.
fn outline(value: &Value, depth: usize, text: &mut String) {
    let indent = "  ".repeat(depth);
    match value {
        Value::Object(fields) => {
            for (key, value) in fields {
                entry(&format!("{indent}{}:", one_line(key)), value, depth, text);
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
