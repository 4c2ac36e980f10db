//! A run told in words, for files, pipes and screens without keys.

use crate::logbook::{self, Body, Reading};
use crate::{duration, output};
use anyhow::Result;
use serde_json::json;
use sojourn_core::{Effect, Event, Purpose, StageEvent};
use sojourn_memory::{RecordQuery, RunInfo, Store};
use std::time::Duration;

/// Everything that a reader of the story wants to know, in order, from the record `at` on; with a speed, at that.
pub async fn tell(store: &Store, info: &RunInfo, at: u64, speed: Option<f64>, as_json: bool) -> Result<()> {
    let mut reading = Reading::new(store, info, RecordQuery::all()).await?;
    let mut episode = 0;
    let mut told_ms = None;
    while let Some((record, body)) = reading.next().await? {
        let Some(text) = passage(&body, &mut episode).filter(|_| record.seq.0 >= at) else { continue };
        let waited = record.at_ms - told_ms.replace(record.at_ms).unwrap_or(record.at_ms);
        if let Some(speed) = speed {
            tokio::time::sleep(Duration::from_secs_f64(waited.max(0) as f64 / 1000.0 / speed)).await;
        }
        if as_json {
            output::json_line(
                &json!({"seq": record.seq, "at_ms": record.at_ms, "kind": record.kind, "text": text}),
            )?;
        } else {
            let clock = duration::clock(record.at_ms - info.created_ms);
            output::line(format!("{clock}  {}", text.replace('\n', "\n          ")))?;
        }
    }
    Ok(())
}

/// A record as a passage of the story; `None` where it adds nothing.
fn passage(body: &Body, episode: &mut u32) -> Option<String> {
    Some(match body {
        Body::Started(_) | Body::Granted(_) | Body::Interjection(_) | Body::Forgotten => {
            logbook::summary(body)
        }
        Body::Event(event) => match &**event {
            Event::EpisodeStarted { seed, observation } => {
                *episode += 1;
                format!("— episode {episode}, world {seed} —\n{}", observation.text.trim_end())
            }
            Event::Thought { reply } => {
                let texts: Vec<&str> =
                    reply.candidates.iter().map(|candidate| candidate.text.trim_end()).collect();
                format!("the controller: {}", texts.join("\n--- or ---\n"))
            }
            Event::ThoughtFailed { .. }
            | Event::ToolAnswered { .. }
            | Event::Surveyed { .. }
            | Event::Played { .. }
            | Event::Tried { .. }
            | Event::Retested { .. }
            | Event::ReflexesTried { .. } => logbook::summary(body),
            Event::Acted { report } => {
                format!("{}\n{}", logbook::acted_line(report), report.observation.text.trim_end())
            }
            Event::Recalled { memories, .. } if memories.is_empty() => return None,
            Event::Recalled { memories, .. } => {
                let texts: Vec<&str> = memories.iter().map(|memory| memory.text.as_str()).collect();
                format!("remembers: {}", texts.join("\n           "))
            }
        },
        Body::Effect(effect) => match &**effect {
            Effect::Think { purpose: Purpose::Choose, .. } => return None,
            Effect::Think { .. }
            | Effect::Act { .. }
            | Effect::UseTool { .. }
            | Effect::Remember { .. }
            | Effect::Consolidate { .. }
            | Effect::Tell { .. }
            | Effect::Finish { .. } => logbook::summary(body),
            Effect::Reset { .. }
            | Effect::Recall { .. }
            | Effect::Survey { .. }
            | Effect::Play { .. }
            | Effect::Try { .. }
            | Effect::Retest { .. }
            | Effect::TryReflexes { .. }
            | Effect::Credit { .. }
            | Effect::Library { .. } => {
                return None;
            }
        },
        Body::Stage(event) => match &**event {
            StageEvent::Returned { depth: 0, outcome } if !outcome.ok => {
                format!("  failed: {}", outcome.message)
            }
            StageEvent::Called { depth: 0, .. } => format!("  {}", logbook::summary(body)),
            _ => return None,
        },
    })
}
