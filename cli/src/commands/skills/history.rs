use crate::error::Failure;
use crate::home::Home;
use crate::logbook::skills::{concerns, description, light, version};
use crate::{duration, output, table};
use anyhow::Result;
use serde_json::json;
use sojourn_skills::{LibraryEvent, LibraryState, RecordedEvent};

/// Prints every event of a skill. Uses are counted between the other events.
pub async fn history(home: &Home, name: &str, json: bool) -> Result<()> {
    let library = home.read_library().await?;
    let empty = LibraryState::default();
    let state = library.as_ref().map_or(&empty, |library| library.state());
    if state.history(name).is_none() {
        return Err(Failure::unknown("skill", name, state.histories().map(|(name, _)| name))
            .hint("`sojourn skills list --all` shows all skills")
            .into());
    }
    let records = match &library {
        Some(library) => library.records().await?,
        None => Vec::new(),
    };
    let records: Vec<&RecordedEvent> =
        records.iter().filter(|record| concerns(state, &record.event, name)).collect();
    if json {
        let records: Vec<_> = records
            .into_iter()
            .map(|record| {
                json!({"seq": record.seq, "at_ms": record.at_ms, "source": record.source, "event": light(&record.event)})
            })
            .collect();
        return Ok(output::json(&records)?);
    }
    let mut table = table::new(["when (UTC)", "version", "event", "origin"]);
    table::numbers(&mut table, [1]);
    let (mut uses, mut succeeded) = (0, 0);
    for record in records {
        if let LibraryEvent::Used { usage, .. } = &record.event {
            uses += 1;
            succeeded += u32::from(usage.success);
            continue;
        }
        used(&mut table, &mut uses, &mut succeeded);
        table.add_row([
            duration::date(record.at_ms as i64),
            version(state, &record.event).map_or_else(String::new, |version| version.to_string()),
            description(state, &record.event),
            record.source.clone().unwrap_or_default(),
        ]);
    }
    used(&mut table, &mut uses, &mut succeeded);
    Ok(table::print(&table)?)
}

/// Adds a row for the uses since the last row.
fn used(table: &mut comfy_table::Table, uses: &mut u32, succeeded: &mut u32) {
    if *uses > 0 {
        table.add_row([
            "",
            "",
            &format!("used {}, {succeeded} succeeded", output::counted(*uses, "time")),
            "",
        ]);
    }
    (*uses, *succeeded) = (0, 0);
}
