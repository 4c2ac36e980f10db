use crate::args::Reading;
use crate::home::Home;
use crate::logbook::{self, Came, standing};
use crate::{duration, output, table};
use anyhow::Result;
use serde_json::json;
use sojourn_memory::{RunInfo, Store};

/// Lists the runs of a home.
pub async fn runs(home: &Home, args: Reading) -> Result<()> {
    let store = home.store().await?;
    let runs = store.runs().await?;
    if args.json {
        let mut documents = Vec::new();
        for run in &runs {
            documents.push(as_json(&store, run).await?);
        }
        return Ok(output::json(&documents)?);
    }
    if runs.is_empty() {
        output::note(format!(
            "there are no runs in `{}`; start one with `sojourn run AGENT.TOML`",
            home.place()
        ));
        return Ok(());
    }
    let mut rows = Vec::new();
    for run in &runs {
        rows.push([
            run.id.to_string(),
            duration::show(logbook::ran(&store, run).await?),
            standing(&store, run).await.to_owned(),
            run.environment.clone(),
            run.model.clone(),
            Came::of(&store, run).await?.words(),
        ]);
    }
    Ok(output::line(listed(rows, table::terminal_width()))?)
}

/// The runs as a table. In a narrow window the models make room for what came of the runs.
fn listed(rows: Vec<[String; 6]>, width: Option<usize>) -> String {
    const WITH_MODELS: usize = 110;
    let heads = ["run (its start, UTC)", "ran", "status", "environment", "model", "what came of it"];
    if width.is_none_or(|width| width >= WITH_MODELS) {
        return table::with_texts(heads, &[1], rows, width);
    }
    let [run, ran, status, environment, _, came] = heads;
    let rows = rows
        .into_iter()
        .map(|[run, ran, status, environment, _, came]| [run, ran, status, environment, came]);
    table::with_texts([run, ran, status, environment, came], &[1], rows.collect(), width)
}

async fn as_json(store: &Store, run: &RunInfo) -> Result<serde_json::Value> {
    let came = Came::of(store, run).await?;
    Ok(json!({
        "run": run.id,
        "started_ms": run.created_ms,
        "seconds": logbook::ran(store, run).await?.as_secs_f64(),
        "status": standing(store, run).await,
        "environment": run.environment,
        "model": run.model,
        "title": run.title,
        "records": run.last_seq,
        "achievements": came.achievements,
        "skills": came.skills,
        "reason": came.reason,
    }))
}

#[cfg(test)]
mod tests {
    use super::listed;

    #[test]
    fn ids_stay_whole_at_80_columns() {
        let row = |id: &str, came: &str| {
            [id, "11 min 33 s", "finished", "crafter", "Qwen2.5-Coder-1.5B-Instruct-Q4_K_M", came]
                .map(str::to_owned)
        };
        let rows = vec![
            row("20261123-175900-1a2b", "12 achievements, 3 skills; the time budget is used up"),
            row("20261124-080000-4d5e", ""),
        ];
        insta::assert_snapshot!(listed(rows, Some(80)));
    }
}
