//! `sojourn approvals`: the calls that wait for a person.

use crate::approver::shown_lines;
use crate::args::Approvals;
use crate::error::{Failure, Kind};
use crate::home::Home;
use crate::logbook::{Reading, Teller};
use crate::{duration, output, table};
use anyhow::Result;
use serde_json::{Value, json};
use sojourn_core::call_hash;
use sojourn_memory::{ApprovalId, ApprovalState, EventSeq, PendingApproval, RecordQuery, Store};
use sojourn_service::{DaemonLock, now_ms};
use sojourn_tools::outside::terminal::one_line;
use sojourn_tools::{Effects, ToolSpec};
use std::time::Duration;

/// Limit on the answered questions that are listed.
const MOST: u32 = 1000;
/// Records that are shown of what led to a call.
const LED_TO_IT: u64 = 12;

/// Carries out `sojourn approvals`.
///
/// # Errors
/// The approval is unknown or was answered before.
pub async fn approvals(home: &Home, command: Approvals) -> Result<()> {
    let store = home.store().await?;
    match command {
        Approvals::List { all, json } => list(&store, all, json).await,
        Approvals::Show { approval, json } => show(&store, &find(&store, &approval).await?, json).await,
        Approvals::Allow { approval, json } => answer(home, &store, &approval, true, json).await,
        Approvals::Deny { approval, json } => answer(home, &store, &approval, false, json).await,
    }
}

/// The question of that name.
///
/// # Errors
/// There is none.
pub async fn find(store: &Store, name: &str) -> Result<PendingApproval> {
    let id: ApprovalId = name.parse()?;
    Ok(store.approval(&id).await?)
}

/// A question as `sojourn approvals --json` prints it.
pub fn as_json(approval: &PendingApproval) -> Value {
    let asked = &approval.asked;
    json!({
        "approval": approval.id,
        "state": approval.state,
        "run": asked.run,
        "record": asked.seq,
        "tool": asked.call.tool,
        "description": asked.call.description,
        "effects": asked.call.effects,
        "args": asked.call.args,
        "reason": asked.reason,
        "shown": asked.hash,
        "asked_ms": asked.asked_ms,
        "expires_ms": asked.expires_ms,
        "on_timeout": asked.on_timeout,
        "answered_ms": approval.answered_ms,
        "answered_by": approval.answered_by,
    })
}

async fn list(store: &Store, all: bool, json: bool) -> Result<()> {
    let approvals = store.approvals(None, all, MOST).await?;
    if json {
        return Ok(output::json(&approvals.iter().map(as_json).collect::<Vec<_>>())?);
    }
    if approvals.is_empty() {
        output::note("no call waits for an approval");
        return Ok(());
    }
    let now_ms = now_ms();
    let mut table = table::new(["approval", "run", "tool", "asked", "answer"]);
    for approval in &approvals {
        let asked = &approval.asked;
        let answer = match (approval.state, asked.expires_ms) {
            (ApprovalState::Pending, Some(expires)) => {
                format!("{} in {}", asked.on_timeout.as_str(), apart(now_ms, expires))
            }
            (ApprovalState::Pending, None) => "waits".to_owned(),
            (state, _) => {
                format!("{} by {}", state.as_str(), approval.answered_by.as_deref().unwrap_or_default())
            }
        };
        table.add_row([
            approval.id.to_string(),
            asked.run.to_string(),
            asked.call.tool.clone(),
            format!("{} ago", apart(asked.asked_ms, now_ms)),
            answer,
        ]);
    }
    Ok(table::print(&table)?)
}

/// The time from one moment to a later one, in words.
fn apart(earlier_ms: i64, later_ms: i64) -> String {
    let ms = u64::try_from(later_ms.saturating_sub(earlier_ms)).unwrap_or(0);
    duration::show(Duration::from_millis(ms))
}

async fn show(store: &Store, approval: &PendingApproval, json: bool) -> Result<()> {
    let led_to_it = led_to_it(store, approval).await;
    if json {
        let mut document = as_json(approval);
        document["led_to_it"] = led_to_it.unwrap_or_default().into();
        return Ok(output::json(&document)?);
    }
    let asked = &approval.asked;
    let cannot = if effects(approval)?.irreversible { ", which cannot be undone" } else { "" };
    output::line(format!(
        "{}: run {} wants to call `{}`{cannot}, with",
        approval.id,
        asked.run,
        one_line(&asked.call.tool)
    ))?;
    for line in shown_lines(&asked.call.args).map_err(anyhow::Error::msg)? {
        output::line(format!("  {line}"))?;
    }
    let mut rows = vec![("the tool", asked.call.description.clone()), ("asked by", asked.reason.clone())];
    rows.push(("asked at", duration::date(asked.asked_ms) + " UTC"));
    if let Some(expires) = asked.expires_ms {
        let answer = asked.on_timeout.as_str();
        rows.push(("time-out", format!("{answer} at {} UTC", duration::date(expires))));
    }
    if let Some(by) = &approval.answered_by {
        rows.push(("answer", format!("{} by {by}", approval.state.as_str())));
    }
    for (name, text) in rows {
        // No line of a tool's description looks like one of these.
        output::line(format!("{name:>9}: {}", one_line(&text)))?;
    }
    match led_to_it {
        Ok(lines) => {
            output::line("what led to it:")?;
            for line in lines {
                output::line(format!("  {}", one_line(&line)))?;
            }
        }
        Err(error) => output::note(format!("what led to it cannot be read: {error}")),
    }
    if approval.state == ApprovalState::Pending {
        output::note(format!("answer with `sojourn approvals allow {}` or `deny`", approval.id));
    }
    Ok(())
}

/// The last records before the question, one line each.
///
/// # Errors
/// The run cannot be read.
pub async fn led_to_it(store: &Store, approval: &PendingApproval) -> Result<Vec<String>> {
    let asked = &approval.asked;
    let info = store.run(asked.run.as_str()).await?;
    let from = EventSeq(asked.seq.0.saturating_sub(LED_TO_IT - 1).max(1));
    let query = RecordQuery { from, to: Some(asked.seq), ..RecordQuery::all() };
    let mut reading = Reading::new(store, &info, query).await?;
    let mut teller = Teller::default();
    let mut lines = Vec::new();
    while let Some((record, content)) = reading.next().await? {
        teller.enter(content.as_ref());
        lines.push(format!("{} {}", record.seq, teller.line(content.as_ref())));
    }
    Ok(lines)
}

fn effects(approval: &PendingApproval) -> Result<Effects> {
    Ok(serde_json::from_value(approval.asked.call.effects.clone())?)
}

/// Answers a question; returns it as it is now, and what becomes of the run where no process runs it.
///
/// # Errors
/// The approval is unknown, damaged, or was answered before.
pub async fn answered(
    home: &Home,
    store: &Store,
    name: &str,
    granted: bool,
    by: &str,
) -> Result<(PendingApproval, Option<String>)> {
    let approval = find(store, name).await?;
    let asked = &approval.asked;
    // What is approved is what is shown: the hash that the run compares with its call is that of the row as it is now.
    let spec = ToolSpec { effects: effects(&approval)?, ..ToolSpec::new(&asked.call.tool, "") };
    if call_hash(&spec, &asked.call.args) != asked.hash {
        return Err(Failure::new(
            Kind::Failure,
            format!("approval `{}` is damaged: its call is not the one that was asked about", approval.id),
        )
        .into());
    }
    if !store.answer_approval(&approval.id, granted, by, now_ms()).await? {
        let now = store.approval(&approval.id).await?;
        return Err(Failure::new(
            Kind::Failure,
            format!(
                "approval `{}` was {} before, by {}",
                approval.id,
                now.state.as_str(),
                now.answered_by.as_deref().unwrap_or("somebody")
            ),
        )
        .hint("an answer counts once; the agent asks again for another call")
        .into());
    }
    let now = store.approval(&approval.id).await?;
    if store.is_live(&asked.run).await? {
        return Ok((now, None));
    }
    if store.server().is_some()
        && let Some(queued) = store.queued_run(&asked.run).await?
        && queued.ended_ms.is_none()
    {
        return Ok((now, Some("a worker goes on with the run".to_owned())));
    }
    let is_scheduled = store.open_jobs().await?.iter().any(|job| job.run == asked.run);
    let next = match (is_scheduled, DaemonLock::holder(home.path())) {
        (true, Some(_)) => "the daemon resumes the run".to_owned(),
        (true, None) => "the run goes on with the next `sojourn up`".to_owned(),
        (false, _) => format!("the run is paused: `sojourn run AGENT.TOML --resume {}`", asked.run),
    };
    Ok((now, Some(next)))
}

async fn answer(home: &Home, store: &Store, name: &str, granted: bool, json: bool) -> Result<()> {
    let (now, next) = answered(home, store, name, granted, "a person").await?;
    if json {
        return Ok(output::json(&as_json(&now))?);
    }
    let asked = &now.asked;
    output::line(format!("{} the call of `{}` in run {}", now.state.as_str(), asked.call.tool, asked.run))?;
    if let Some(next) = next {
        output::note(next);
    }
    Ok(())
}
