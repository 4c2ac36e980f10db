//! Runs and their logs as resources.

use crate::home::Home;
use crate::logbook;
use anyhow::{Context as _, Result, bail};
use rmcp::model::{Resource, ResourceContents};
use serde_json::json;
use sojourn_memory::{EventSeq, RecordQuery};
use std::fmt::Write as _;

const RUNS: &str = "sojourn://runs";
/// The number of records of one page of a log.
const PAGE: u64 = 200;

/// The list of runs, and the log of each run.
pub async fn listed(home: &Home) -> Result<Vec<Resource>> {
    let mut resources = vec![Resource::new(RUNS, "runs").with_description("all runs, as JSON")];
    for run in home.store().await?.runs().await? {
        let about = format!("the log of a run in {}: {} records", run.environment, run.last_seq.0);
        resources
            .push(Resource::new(format!("{RUNS}/{}", run.id), run.id.to_string()).with_description(about));
    }
    Ok(resources)
}

/// `sojourn://runs`, or a page of a log: `sojourn://runs/ID?after=SEQ`.
pub async fn read(home: &Home, uri: &str) -> Result<ResourceContents> {
    let store = home.store().await?;
    let Some(rest) = uri.strip_prefix(RUNS) else {
        bail!("there is no resource `{uri}`; `{RUNS}` lists all runs")
    };
    let Some(rest) = rest.strip_prefix('/') else {
        let runs: Vec<_> = store
            .runs()
            .await?
            .iter()
            .map(|run| json!({"run": run.id, "environment": run.environment, "model": run.model, "records": run.last_seq.0, "uri": format!("{RUNS}/{}", run.id)}))
            .collect();
        return Ok(ResourceContents::text(serde_json::to_string_pretty(&runs)?, uri));
    };
    let (id, after) = match rest.split_once("?after=") {
        Some((id, after)) => {
            (id, after.parse().with_context(|| format!("`{after}` is not the number of a record"))?)
        }
        None => (rest, 0_u64),
    };
    let info = store.run(id).await?;
    let last = after.saturating_add(PAGE);
    let query = RecordQuery::from(EventSeq(after).next()).to(EventSeq(last));
    let mut text = String::new();
    for record in store.records(&info.id, &query).await? {
        let says = logbook::line(&store, &record).await?;
        // Writing to a string cannot fail.
        let _ = writeln!(text, "{} {} {says}", record.seq, record.kind);
    }
    if info.last_seq.0 > last {
        let _ = writeln!(text, "[more: {RUNS}/{}?after={}]", info.id, last);
    }
    Ok(ResourceContents::text(text, uri))
}
