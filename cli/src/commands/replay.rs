use crate::args::Replay;
use crate::error::{Failure, Kind};
use crate::home::Home;
use crate::logbook::{self, Body};
use crate::session::{Session, Watch, Workshop, stop_on_ctrl_c};
use crate::{duration, output};
use anyhow::Result;
use serde_json::json;
use sojourn_controller::Cancel;
use sojourn_core::{DriveError, Effect, Event, Outcome, Purpose, StageEvent};
use sojourn_memory::{RecordQuery, RunInfo, Store, VerifyReport};
use std::process::ExitCode;
use std::sync::Arc;

/// Records read at once.
const PAGE: usize = 512;

/// Tells a run's story, or checks that it happens again.
pub async fn replay(home: Home, args: &Replay) -> Result<ExitCode> {
    if args.verify {
        return verify(home, args).await;
    }
    let store = home.store().await?;
    let info = store.run(&args.run).await?;
    tell(&store, &info, args.json).await?;
    Ok(ExitCode::SUCCESS)
}

/// First the hash chain, then everything again: the core, the skills and the environment on the recorded answers.
async fn verify(home: Home, args: &Replay) -> Result<ExitCode> {
    let store = home.store().await?;
    let info = store.run(&args.run).await?;
    let report = store.verify(&info.id, |_, _| ()).await?;
    if !report.is_intact() {
        return broken(&report, args.json);
    }
    let workshop = Workshop::open(home, store).await?;
    let cancel = Cancel::new();
    stop_on_ctrl_c(cancel.clone());
    let watch = Watch { observer: Arc::new(sojourn_core::Silent), cancel };
    let verdict = match workshop.replay(&info, watch).await {
        Ok((Session { driver, started_ms, .. }, recorded)) => match driver.run(started_ms).await {
            Ok((Outcome::Interrupted, _)) => return Ok(ExitCode::from(Kind::Interrupted as u8)),
            Ok((Outcome::Replayed { matched }, _)) => Ok(matched),
            Ok((Outcome::Finished(_), _)) => Ok(recorded),
            Err(error) => Err(error.to_string()),
        },
        Err(error) => match error.downcast_ref::<DriveError>() {
            Some(diverged) => Err(diverged.to_string()),
            None => return Err(error),
        },
    };
    match verdict {
        Ok(records) => {
            if args.json {
                output::json(
                    &json!({"run": info.id, "matched": true, "records": records, "hash_chain": "intact"}),
                )?;
            } else {
                output::line(format!("every event matched ({records} records)"))?;
            }
            Ok(ExitCode::SUCCESS)
        }
        Err(divergence) => {
            if args.json {
                output::json(
                    &json!({"run": info.id, "matched": false, "divergence": divergence, "hash_chain": "intact"}),
                )?;
                return Ok(ExitCode::from(Kind::Failure as u8));
            }
            Err(Failure::new(
                Kind::Failure,
                format!("the run does not happen again as it was recorded: {divergence}"),
            )
            .hint("the log itself is intact: this program or its environment has changed since")
            .into())
        }
    }
}

fn broken(report: &VerifyReport, json: bool) -> Result<ExitCode> {
    if json {
        output::json(&json!({"run": report.run, "matched": false, "hash_chain": report.first_fault}))?;
        return Ok(ExitCode::from(Kind::Failure as u8));
    }
    let fault = report.first_fault.as_ref().map(|fault| format!("record {}: {}", fault.seq, fault.detail));
    Err(Failure::new(
        Kind::Failure,
        format!("the log of run `{}` is not as it was written: {}", report.run, fault.unwrap_or_default()),
    )
    .hint(format!("{} records before it are intact", report.records))
    .into())
}

/// Everything that a reader of the story wants to know, in order.
async fn tell(store: &Store, info: &RunInfo, as_json: bool) -> Result<()> {
    let mut pages = store.record_pages(&info.id, RecordQuery::all(), PAGE).await?;
    let mut episode = 0;
    while let Some(page) = pages.next().await? {
        for record in page {
            // Steps are many and tell little; what they unlocked is in the result of the call.
            if record.kind == "stepped" {
                continue;
            }
            let body = logbook::read(store, &record).await?;
            let Some(text) = passage(&body, &mut episode) else { continue };
            if as_json {
                output::json_line(
                    &json!({"seq": record.seq, "at_ms": record.at_ms, "kind": record.kind, "text": text}),
                )?;
            } else {
                let clock = duration::clock(record.at_ms - info.created_ms);
                output::line(format!("{clock}  {}", text.replace('\n', "\n          ")))?;
            }
        }
    }
    Ok(())
}

/// A record as a passage of the story; `None` where it adds nothing.
fn passage(body: &Body, episode: &mut u32) -> Option<String> {
    Some(match body {
        Body::Started(_) | Body::Forgotten => logbook::summary(body),
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
            Event::ThoughtFailed { .. } | Event::Tried { .. } => logbook::summary(body),
            Event::Acted { report } => {
                format!("{}\n{}", logbook::acted_line(report), report.observation.text.trim_end())
            }
            Event::Recalled { memories } if memories.is_empty() => return None,
            Event::Recalled { memories } => {
                let texts: Vec<&str> = memories.iter().map(|memory| memory.text.as_str()).collect();
                format!("remembers: {}", texts.join("\n           "))
            }
        },
        Body::Effect(effect) => match &**effect {
            Effect::Think { purpose: Purpose::Choose, .. } => return None,
            Effect::Think { .. }
            | Effect::Act { .. }
            | Effect::Remember { .. }
            | Effect::Tell { .. }
            | Effect::Finish { .. } => logbook::summary(body),
            Effect::Reset { .. } | Effect::Recall { .. } | Effect::Try { .. } | Effect::Library { .. } => {
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
