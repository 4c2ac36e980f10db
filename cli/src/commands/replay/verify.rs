//! `sojourn replay --verify`: replays a run on its recorded answers and compares every record.

use crate::args::Replay;
use crate::commands::log::checked;
use crate::error::{Failure, Kind};
use crate::home::Home;
use crate::logbook::sides;
use crate::session::{RunContext, Session, Watch, stop_on_ctrl_c};
use crate::{duration, logbook, output};
use anyhow::Result;
use serde_json::{Value, json};
use sojourn_controller::Cancel;
use sojourn_core::{DriveError, JournalError, Outcome};
use sojourn_memory::{RecordQuery, RunInfo, Store, VerifyReport};
use std::process::ExitCode;
use std::sync::Arc;
use std::time::{Duration, Instant};

/// Time limit for replaying a run from elsewhere: what it practises may take any time.
const FOREIGN_LIMIT: Duration = Duration::from_mins(2);

/// Checks the hash chain, then replays the core, the skills and the environment on the recorded answers.
pub async fn verify(home: Home, args: &Replay) -> Result<ExitCode> {
    let store = home.store().await?;
    let info = logbook::find_run(&store, &args.run).await?;
    let report = checked(&store, &info.id).await?;
    if !report.is_intact() {
        return broken(&report, args.json);
    }
    let begun = Instant::now();
    let imported = store.is_imported(&info.id).await?;
    let limit = args.time.or(imported.then_some(FOREIGN_LIMIT));
    let context = RunContext::open(home, store.clone()).await?;
    let cancel = Cancel::new();
    stop_on_ctrl_c(cancel.clone());
    let watch = Watch::unguarded(Arc::new(sojourn_core::Silent), cancel);
    let verdict = match context.replay(&info, false, watch).await {
        Ok((Session { driver, started_ms, .. }, recorded)) => {
            match Box::pin(in_time(limit, driver.run(started_ms))).await? {
                Ok((Outcome::Interrupted, _)) => return Ok(ExitCode::from(Kind::Interrupted as u8)),
                Ok((Outcome::Replayed { matched }, _)) => Ok(matched),
                Ok((Outcome::Finished(_), _)) => Ok(recorded),
                Err(error) => Err(error),
            }
        }
        Err(error) => Err(error.downcast::<DriveError>()?),
    };
    match verdict {
        Ok(records) => {
            if args.json {
                output::json(&json!({
                    "run": info.id,
                    "matched": true,
                    "records": records,
                    "forgotten": report.forgotten,
                    "hash_chain": "intact",
                    "seconds": begun.elapsed().as_secs_f64(),
                    "recorded_seconds": crate::logbook::ran(&store, &info).await?.as_secs_f64(),
                }))?;
            } else {
                let forgotten = match report.forgotten {
                    0 => String::new(),
                    count => format!("; {count} forgotten, which cannot be compared"),
                };
                output::line(format!("every event matched ({records} records{forgotten})"))?;
            }
            Ok(ExitCode::SUCCESS)
        }
        Err(error) => diverged(&store, &info, &error, args.json).await,
    }
}

/// Awaits the replay, at most for `limit`.
async fn in_time<T>(limit: Option<Duration>, replay: impl Future<Output = T>) -> Result<T> {
    let Some(limit) = limit else { return Ok(replay.await) };
    let over = |_| {
        Failure::new(
            Kind::Failure,
            format!(
                "the replay was not over after {}: it is not known whether all records match",
                duration::show(limit)
            ),
        )
        .hint("give it more with `--time`; the hash chain is intact")
    };
    Ok(tokio::time::timeout(limit, replay).await.map_err(over)?)
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
    .hint(format!(
        "{} records before it are intact; `sojourn log recover {}` saves them",
        report.records, report.run
    ))
    .into())
}

/// Reports the record that differs, with both versions.
async fn diverged(store: &Store, info: &RunInfo, error: &DriveError, as_json: bool) -> Result<ExitCode> {
    let divergence = match error {
        DriveError::Journal(JournalError::Diverged { seq, recorded, now }) => Some((*seq, recorded, now)),
        _ => None,
    };
    if as_json {
        let both =
            divergence.map(|(seq, recorded, now)| json!({"seq": seq, "recorded": recorded, "now": now}));
        output::json(&json!({
            "run": info.id,
            "matched": false,
            "divergence": error.to_string(),
            "sides": both,
            "hash_chain": "intact",
        }))?;
        return Ok(ExitCode::from(Kind::Failure as u8));
    }
    let Some((seq, recorded, now)) = divergence else {
        return Err(Failure::new(
            Kind::Failure,
            format!("the replay differs from the recorded run: {error}"),
        )
        .hint("the log itself is intact: this program or its environment has changed since")
        .into());
    };
    let query = RecordQuery::from(seq).to(seq);
    if let Some(record) = store.records(&info.id, &query).await?.first() {
        let summary = logbook::line(store, record).await?;
        output::line(format!("record {seq}, {}: {summary}", record.kind))?;
    }
    for line in both(recorded, now) {
        output::line(line)?;
    }
    Err(Failure::new(
        Kind::Failure,
        format!("the replay differs from the recorded run at record {seq}"),
    )
    .hint(format!("the log itself is intact: this program or its environment has changed since; `sojourn log show {} {seq}` shows all of the record", info.id))
    .into())
}

/// Two excerpts, each a kind and a JSON patch, path by path: `-` as recorded, `+` as derived now.
fn both(recorded: &str, now: &str) -> Vec<String> {
    let (Some((old_kind, old)), Some((new_kind, new))) = (parsed(recorded), parsed(now)) else {
        return vec![format!("  - {recorded}"), format!("  + {now}")];
    };
    let mut lines = Vec::new();
    if old_kind != new_kind {
        lines.extend([format!("  - {old_kind}"), format!("  + {new_kind}")]);
    }
    lines.extend(sides::patches(&old, &new));
    lines
}

fn parsed(excerpt: &str) -> Option<(String, Value)> {
    let (kind, patch) = excerpt.strip_prefix('`')?.split_once("` ")?;
    Some((kind.to_owned(), serde_json::from_str(patch).ok()?))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn both_sides_are_listed_path_by_path() {
        let recorded = r#"`stepped` {"change":{"food":7,"near":null},"reward":1.0}"#;
        let now = r#"`stepped` {"change":{"food":8,"near":["cow"]},"reward":null}"#;
        assert_eq!(
            both(recorded, now),
            [
                "  change.food",
                "    - 7",
                "    + 8",
                "  change.near",
                "    - nothing",
                "    + [\"cow\"]",
                "  reward",
                "    - 1.0",
                "    + nothing",
            ]
        );
        assert_eq!(both("acted", "called or stepped"), ["  - acted", "  + called or stepped"]);
    }
}
