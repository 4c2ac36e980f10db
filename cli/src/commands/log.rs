use crate::args::{Log, LogOne};
use crate::error::Failure;
use crate::home::Home;
use crate::{duration, logbook, output};
use anyhow::Result;
use serde_json::{Value, json};
use sojourn_memory::{EventSeq, Record, RecordQuery, Store};
use std::fmt::Write as _;

/// The kinds of records there are.
const KINDS: [&str; 23] = [
    "started",
    "reset",
    "episode_started",
    "recall",
    "recalled",
    "think",
    "thought",
    "thought_failed",
    "try",
    "tried",
    "try_reflexes",
    "reflexes_tried",
    "act",
    "called",
    "stepped",
    "returned",
    "acted",
    "library",
    "remember",
    "milestone",
    "finish",
    "resumed",
    "forked",
];
/// Records read at once.
const PAGE: usize = 512;

/// Shows a run's log, or one record of it.
pub async fn log(home: &Home, args: Log) -> Result<()> {
    let store = home.store().await?;
    match (&args.one, &args.run) {
        (Some(LogOne::Show { run, seq, json }), _) => show(&store, run, EventSeq(*seq), *json).await,
        (None, Some(run)) => timeline(&store, run, &args).await,
        (None, None) => Ok(()),
    }
}

async fn timeline(store: &Store, run: &str, args: &Log) -> Result<()> {
    let info = store.run(run).await?;
    if let Some(unknown) = args.kinds.iter().find(|kind| !KINDS.contains(&kind.as_str())) {
        return Err(Failure::unknown("kind of record", unknown, KINDS.into_iter())
            .hint(format!("kinds are: {}", KINDS.join(", ")))
            .into());
    }
    let mut query = RecordQuery::from(EventSeq(args.from)).kinds(args.kinds.clone());
    query.to = args.to.map(EventSeq);
    let mut pages = store.record_pages(&info.id, query, PAGE).await?;
    while let Some(page) = pages.next().await? {
        for record in page {
            if args.json {
                output::json_line(&as_json(&record, &logbook::whole(store, &record).await?))?;
            } else {
                output::line(one_line(store, &record, info.created_ms).await?)?;
            }
        }
    }
    Ok(())
}

async fn one_line(store: &Store, record: &Record, begun_ms: i64) -> Result<String> {
    let clock = duration::clock(record.at_ms - begun_ms);
    let summary = logbook::summary(&logbook::read(store, record).await?);
    Ok(format!("{:>6}  {clock}  {:<15}  {summary}", record.seq.to_string(), record.kind))
}

async fn show(store: &Store, run: &str, seq: EventSeq, json: bool) -> Result<()> {
    let info = store.run(run).await?;
    let query = RecordQuery::from(seq).to(seq);
    let Some(record) = store.records(&info.id, &query).await?.pop() else {
        return Err(sojourn_memory::Error::NoSuchRecord { run: info.id, seq, last: info.last_seq }.into());
    };
    let payload = logbook::whole(store, &record).await?;
    if json {
        return Ok(output::json(&as_json(&record, &payload))?);
    }
    output::line(format!("record   {} of run {}", record.seq, record.run))?;
    output::line(format!("kind     {}", record.kind))?;
    output::line(format!(
        "at       {} UTC ({} after the start)",
        duration::date(record.at_ms),
        duration::clock(record.at_ms - info.created_ms)
    ))?;
    output::line(format!("hash     {}", record.hash))?;
    output::line(format!("follows  {}", record.prev_hash))?;
    output::line("")?;
    let mut text = String::new();
    outline(&payload, 0, &mut text);
    Ok(output::line(text.trim_end())?)
}

fn as_json(record: &Record, payload: &Value) -> Value {
    json!({
        "run": record.run,
        "seq": record.seq,
        "at_ms": record.at_ms,
        "kind": record.kind,
        "payload": payload,
        "prev_hash": record.prev_hash.to_string(),
        "hash": record.hash.to_string(),
    })
}

/// A value as an indented outline in which texts keep their lines: prompts and programs can be read.
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

    #[test]
    fn texts_keep_their_lines_in_an_outline() {
        let mut text = String::new();
        outline(
            &json!({"effect": "think", "messages": [{"role": "user", "text": "one\ntwo"}], "n": 3}),
            0,
            &mut text,
        );
        assert_eq!(
            text,
            "effect: think\nmessages:\n  -\n    role: user\n    text: |\n      one\n      two\nn: 3\n"
        );
    }
}
