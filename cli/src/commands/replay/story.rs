//! A run as text, for files, pipes and screens without keys.

use crate::logbook::{Reading, RunClock, Teller};
use crate::{duration, output};
use anyhow::Result;
use serde_json::json;
use sojourn_core::{Effect, Event, LogRecord, Purpose, SkillEvent};
use sojourn_memory::{RecordQuery, RunInfo, Store};
use std::time::Duration;

/// The longest pause between two events. The times of an imported run may be centuries apart.
const LONGEST: Duration = Duration::from_mins(1);

/// Prints the passages of a run from the record `at` on; with a speed, as a multiple of real time.
pub async fn tell(store: &Store, info: &RunInfo, at: u64, speed: Option<f64>, as_json: bool) -> Result<()> {
    let mut reading = Reading::new(store, info, RecordQuery::all()).await?;
    let mut teller = Teller::default();
    let mut episode = 0;
    let mut last_ms = None;
    let mut times = RunClock::default();
    while let Some((record, content)) = reading.next().await? {
        teller.enter(content.as_ref());
        times.enter(record.seq.0, record.at_ms, content.as_ref());
        let text = match &content {
            Some(content) => passage(content, &teller, &mut episode),
            None => Some(teller.line(None)),
        };
        let Some(text) = text.filter(|_| record.seq.0 >= at) else { continue };
        let waited = record.at_ms.saturating_sub(last_ms.replace(record.at_ms).unwrap_or(record.at_ms));
        if let Some(speed) = speed {
            let pause = Duration::try_from_secs_f64(waited.max(0) as f64 / 1000.0 / speed);
            tokio::time::sleep(pause.unwrap_or(LONGEST).min(LONGEST)).await;
        }
        if as_json {
            output::json_line(
                &json!({"seq": record.seq, "at_ms": record.at_ms, "kind": record.kind, "text": text}),
            )?;
        } else {
            let clock = duration::clock(times.at(record.seq.0, record.at_ms));
            output::line(format!("{clock}  {}", text.replace('\n', "\n          ")))?;
        }
    }
    Ok(())
}

/// A record as a passage of text; `None` where it adds nothing.
fn passage(record: &LogRecord, teller: &Teller, episode: &mut u32) -> Option<String> {
    let line = || teller.line(Some(record));
    Some(match record {
        LogRecord::Started(_) | LogRecord::ToolDecision(_) | LogRecord::ControlRecord(_) => line(),
        LogRecord::Event(event) => match &**event {
            Event::EpisodeStarted { seed, observation } => {
                *episode += 1;
                format!("— episode {episode}, world {seed} —\n{}", observation.text.trim_end())
            }
            Event::ControllerAnswered { reply } => {
                let texts: Vec<&str> =
                    reply.candidates.iter().map(|candidate| candidate.text.trim_end()).collect();
                format!("the controller: {}", texts.join("\n--- or ---\n"))
            }
            Event::ControllerFailed { .. }
            | Event::ToolAnswered { .. }
            | Event::Looked { .. }
            | Event::OutOfTime {}
            | Event::StartsObserved { .. }
            | Event::Explored { .. }
            | Event::Discovered { .. }
            | Event::CandidatesTried { .. }
            | Event::SkillsRetested { .. }
            | Event::ReflexesTried { .. } => line(),
            Event::Acted { report } => {
                format!("{}\n{}", line(), report.observation.text.trim_end())
            }
            Event::Recalled { memories, .. } if memories.is_empty() => return None,
            Event::Recalled { memories, .. } => {
                let texts: Vec<&str> = memories.iter().map(|memory| memory.text.as_str()).collect();
                format!("remembers: {}", texts.join("\n           "))
            }
        },
        LogRecord::Effect(effect) => match &**effect {
            Effect::AskController { purpose: Purpose::Choose, .. } => return None,
            Effect::AskController { .. }
            | Effect::Act { .. }
            | Effect::CallTool { .. }
            | Effect::Remember { .. }
            | Effect::Consolidate { .. }
            | Effect::ReportMilestone { .. }
            | Effect::Finish { .. } => line(),
            Effect::StartEpisode { .. }
            | Effect::Look {}
            | Effect::Recall { .. }
            | Effect::ObserveStarts { .. }
            | Effect::Explore { .. }
            | Effect::Discover { .. }
            | Effect::TryCandidates { .. }
            | Effect::RetestSkills { .. }
            | Effect::TryReflexes { .. }
            | Effect::CreditMemories { .. }
            | Effect::ChangeLibrary { .. } => {
                return None;
            }
        },
        LogRecord::SkillEvent(event) => match &**event {
            SkillEvent::Returned { depth: 0, outcome } if teller.reached(outcome).is_some() => {
                format!("  {}", line())
            }
            SkillEvent::Returned { depth: 0, outcome } if !outcome.ok => {
                format!("  failed: {}", outcome.message)
            }
            SkillEvent::Stepped(step) if step.ended.is_some() => format!("  {}", line()),
            SkillEvent::Called { depth: 0, .. } => format!("  {}", line()),
            _ => return None,
        },
    })
}
