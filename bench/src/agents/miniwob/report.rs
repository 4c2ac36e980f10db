//! The result of the MiniWoB++ benchmark: its figures, and how they are printed.

use anyhow::Result;
use serde::Serialize;
use sojourn_cli::evaluation::{Learning, Tokens};
use sojourn_cli::{duration, output, table};
use std::collections::BTreeMap;
use std::time::Duration;

/// One measurement of an agent.
#[derive(Debug, Serialize)]
pub struct Row {
    /// "before practice", "after practice", "as it is".
    pub what: &'static str,
    /// Mean over the tasks of the share of their episodes that reached the goal, in percent.
    pub success_percent: f64,
    /// Its standard error over the tasks.
    pub success_se: f64,
    /// Of each task, in percent.
    pub per_task: BTreeMap<String, f64>,
    pub episodes: usize,
    pub mean_steps: f64,
    pub tokens: Tokens,
    pub seconds: f64,
    pub library_skills: usize,
}

/// A benchmark's result.
#[derive(Debug, Serialize)]
pub struct Report {
    pub rows: Vec<Row>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub practice: Option<Learning>,
    pub tasks: usize,
    pub seeds: u64,
    pub first_seed: u64,
    pub max_steps: u64,
    /// The controller's model.
    pub model: String,
    /// The parts of the agent that were switched off.
    pub without: Vec<&'static str>,
}

/// What others have published (125 tasks, 5 instances, 10 steps), quoted for comparison and never measured here.
const PUBLISHED: [(&str, &str); 7] = [
    ("Claude-3.5-Sonnet", "69.8"),
    ("Llama-3.1-405B", "64.6"),
    ("GPT-4o", "63.8"),
    ("Llama-3.1-70B", "57.6"),
    ("GPT-4o-mini", "55"),
    ("Llama-3.1-8B, trained on 30 of the tasks", "67.2"),
    ("Llama-3.1-8B", "29.5"),
];

impl Report {
    /// Prints tables for people, with published figures beside them.
    pub fn print(&self) -> Result<()> {
        let report = self;
        let mut per_task = table::new(["task %"].into_iter().chain(report.rows.iter().map(|row| row.what)));
        table::numbers(&mut per_task, 1..=report.rows.len());
        if let Some(first) = report.rows.first() {
            for name in first.per_task.keys() {
                let mut cells = vec![name.clone()];
                let rate = |row: &Row| format!("{:.0}", row.per_task.get(name).copied().unwrap_or_default());
                cells.extend(report.rows.iter().map(rate));
                per_task.add_row(cells);
            }
        }
        table::print(&per_task)?;
        let without = if report.without.is_empty() {
            String::new()
        } else {
            format!(", without {}", report.without.join(", "))
        };
        output::line(format!(
            "\nmeasured here: {}{without}; {} tasks, {} instances of each from {} on, at most {} steps",
            report.model, report.tasks, report.seeds, report.first_seed, report.max_steps
        ))?;
        let time = |seconds: f64| duration::show(Duration::from_secs_f64(seconds));
        for row in &report.rows {
            output::line(format!(
                "  {:<16} {:.1} ± {:.1} % (mean over tasks and standard error), {} skills; {:.1} steps, {} + {} tokens (prompt + \
             generated), {}",
                row.what,
                row.success_percent,
                row.success_se,
                row.library_skills,
                row.mean_steps,
                row.tokens.prompt,
                row.tokens.generated,
                time(row.seconds)
            ))?;
        }
        if let Some(practice) = &report.practice {
            output::line(format!(
                "  practice: {} skills in {} ({} steps in {} episodes, {} + {} tokens)",
                practice.skills.len(),
                time(practice.seconds),
                practice.steps,
                practice.episodes,
                practice.tokens.prompt,
                practice.tokens.generated
            ))?;
        }
        output::line(
            "\nPublished by others, quoted for comparison; nothing below was measured here. 125 tasks, 5 instances of each, at \
         most 10 steps, one model call a step (arXiv 2412.05467).",
        )?;
        let mut table = table::new(["agent", "success %"]);
        table::numbers(&mut table, [1]);
        for (name, success) in PUBLISHED {
            table.add_row([name, success]);
        }
        Ok(table::print(&table)?)
    }
}
