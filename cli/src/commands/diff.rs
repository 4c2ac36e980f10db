use crate::args::Diff;
use crate::home::Home;
use crate::logbook::{self, Reading, sides};
use crate::session::EffectiveConfig;
use crate::{duration, output, table};
use anyhow::Result;
use serde::Serialize;
use serde_json::{Value, json};
use sojourn_core::{Effect, Event, LogRecord, Milestone, RecordKind, SkillEvent};
use sojourn_memory::{EventSeq, Record, RecordPages, RecordQuery, RunInfo, Store};
use std::collections::BTreeSet;
use std::time::Duration;

/// The results of a run, in numbers.
#[derive(Debug, Default, Serialize)]
struct Outcome {
    records: u64,
    seconds: f64,
    episodes: u64,
    steps: u64,
    tasks_done: u64,
    tasks_failed: u64,
    achievements: BTreeSet<String>,
    skills: BTreeSet<String>,
    tokens_read: u64,
    tokens_written: u64,
}

/// The first records of two runs that differ; `None` where a run has ended.
struct Divergence {
    seq: EventSeq,
    left: Option<Record>,
    right: Option<Record>,
}

/// How the first records of two runs differ.
struct Beginnings {
    /// Whether they are equal but for the runs' ids.
    same: bool,
    /// The differences apart from the settings.
    lines: Vec<String>,
}

/// Compares two runs.
pub async fn diff(home: &Home, args: &Diff) -> Result<()> {
    let store = home.store().await?;
    let left = logbook::find_run(&store, &args.left).await?;
    let right = logbook::find_run(&store, &args.right).await?;
    let settings = [settings(&store, &left).await?, settings(&store, &right).await?];
    let changed = sides::between(&settings[0], &settings[1]);
    let start = beginnings(&store, &left, &right).await?;
    let divergence = divergence(&store, &left, &right).await?;
    let outcomes = [outcome(&store, &left).await?, outcome(&store, &right).await?];
    if args.json {
        return as_json(&store, [&left, &right], &settings, &start, divergence.as_ref(), &outcomes).await;
    }
    output::line(format!("- {}", named(&left)))?;
    output::line(format!("+ {}", named(&right)))?;
    if !changed.is_empty() {
        output::line("\ntheir settings differ:")?;
        changed.iter().map(|line| shortened(line)).try_for_each(output::line)?;
    }
    if !start.lines.is_empty() {
        output::line("\nthey start from different things:")?;
        start.lines.iter().try_for_each(output::line)?;
    }
    match &divergence {
        None => output::line(
            "\nevery record after the first is the same, but for those of forks, pauses and resumes",
        )?,
        Some(divergence) => {
            output::line(format!("\nthe first record that differs is {}:", divergence.seq))?;
            divergence.lines(&store).await?.iter().try_for_each(output::line)?;
        }
    }
    output::line("")?;
    summary(&left, &right, &outcomes)
}

fn named(run: &RunInfo) -> String {
    let fork = run.parent.as_ref().map(|(parent, seq)| format!(", a fork of {parent} after record {seq}"));
    format!("{} ({}, {}{})", run.id, run.environment, run.model, fork.unwrap_or_default())
}

/// The settings of a run at the end of its log, and its model. A fork shares the first record with its parent, so that its
/// own settings are in a later one.
async fn settings(store: &Store, run: &RunInfo) -> Result<Value> {
    let query = RecordQuery::from(EventSeq(1)).to(EventSeq(1));
    let Some(first) = store.records(&run.id, &query).await?.pop() else { return Ok(Value::Null) };
    let Some(LogRecord::Started(started)) = LogRecord::read(store, &first).await? else {
        return Ok(Value::Null);
    };
    let changing = [RecordKind::Forked, RecordKind::Resumed].map(RecordKind::as_str);
    let records = store.records(&run.id, &RecordQuery::all().kinds(changing)).await?;
    let effective = EffectiveConfig::of(store, &started, &records).await?;
    let granted: Vec<Value> = records
        .iter()
        .filter_map(|record| {
            let changes = record.payload.get("changes").unwrap_or(&record.payload);
            changes.get("budgets").filter(|budgets| !budgets.is_null()).cloned()
        })
        .collect();
    let mut settings = json!({"config": effective.config, "model": effective.model});
    if let Some(fields) = settings.as_object_mut().filter(|_| !granted.is_empty()) {
        fields.insert("budgets_added".to_owned(), granted.into());
    }
    Ok(settings)
}

/// Differences between the first records: environment, library, reflexes. The runs' ids are ignored, and so are the settings
/// and the model, which may have changed since: see [`settings`].
async fn beginnings(store: &Store, left: &RunInfo, right: &RunInfo) -> Result<Beginnings> {
    let mut payloads = Vec::new();
    for run in [left, right] {
        let query = RecordQuery::from(EventSeq(1)).to(EventSeq(1));
        let Some(first) = store.records(&run.id, &query).await?.pop() else {
            return Ok(Beginnings { same: true, lines: Vec::new() });
        };
        let mut payload = first.payload;
        if let Some(origin) = payload.get_mut("origin").and_then(Value::as_object_mut) {
            origin.remove("run");
        }
        if let Some(fields) = payload.as_object_mut() {
            fields.remove("by");
        }
        payloads.push(payload);
    }
    let same = payloads[0] == payloads[1];
    for payload in payloads.iter_mut().filter_map(Value::as_object_mut) {
        payload.remove("config");
        payload.remove("model");
    }
    let lines = sides::between(&payloads[0], &payloads[1]);
    Ok(Beginnings { same, lines: lines.iter().map(|line| shortened(line)).collect() })
}

fn shortened(line: &str) -> String {
    const LONGEST: usize = 160;
    match line.char_indices().nth(LONGEST) {
        Some((end, _)) => format!("{}…", &line[..end]),
        None => line.to_owned(),
    }
}

/// The first difference after the first record. Times are ignored, and so are [`MARKERS`].
async fn divergence(store: &Store, left: &RunInfo, right: &RunInfo) -> Result<Option<Divergence>> {
    let (mut left, mut right) = (Side::of(store, left).await?, Side::of(store, right).await?);
    loop {
        match (left.next().await?, right.next().await?) {
            (None, None) => return Ok(None),
            (Some(left), Some(right)) if same(&left, &right) => {}
            (left, right) => {
                let seq = left.as_ref().or(right.as_ref()).map_or(EventSeq(2), |record| record.seq);
                return Ok(Some(Divergence { seq, left, right }));
            }
        }
    }
}

/// Records that say that a run was forked, paused or resumed: runs that do the same may have them at different places.
const MARKERS: [RecordKind; 3] = [RecordKind::Forked, RecordKind::Resumed, RecordKind::Paused];

/// The records of one run after the first, without [`MARKERS`].
struct Side {
    pages: RecordPages,
    page: std::vec::IntoIter<Record>,
}

impl Side {
    async fn of(store: &Store, run: &RunInfo) -> Result<Self> {
        let pages = store.record_pages(&run.id, RecordQuery::from(EventSeq(2)), 512).await?;
        Ok(Self { pages, page: Vec::new().into_iter() })
    }

    async fn next(&mut self) -> Result<Option<Record>> {
        loop {
            for record in self.page.by_ref() {
                if !MARKERS.iter().any(|kind| kind.is(&record)) {
                    return Ok(Some(record));
                }
            }
            match self.pages.next().await? {
                Some(page) => self.page = page.into_iter(),
                None => return Ok(None),
            }
        }
    }
}

/// Whether two records are equal apart from times and token counts.
fn same(left: &Record, right: &Record) -> bool {
    let timeless = |record: &Record| {
        let mut payload = record.payload.clone();
        if let Some(reply) = payload.get_mut("reply").and_then(Value::as_object_mut) {
            reply.remove("timing");
            reply.remove("usage");
        }
        payload
    };
    left.kind == right.kind
        && (left.payload == right.payload
            || (RecordKind::ControllerAnswered.is(left) && timeless(left) == timeless(right)))
}

impl Divergence {
    async fn lines(&self, store: &Store) -> Result<Vec<String>> {
        let mut lines = Vec::new();
        for (sign, record) in [("-", &self.left), ("+", &self.right)] {
            lines.push(match record {
                None => format!("{sign} the run has ended"),
                Some(record) => {
                    let summary = logbook::line(store, record).await?;
                    format!("{sign} {:<19}  {summary}", record.kind)
                }
            });
        }
        if let (Some(left), Some(right)) = (&self.left, &self.right)
            && left.kind == right.kind
        {
            let (left, right) = (logbook::whole(store, left).await?, logbook::whole(store, right).await?);
            lines.extend(sides::between(&left, &right).iter().map(|line| shortened(line)));
        }
        Ok(lines)
    }
}

async fn outcome(store: &Store, run: &RunInfo) -> Result<Outcome> {
    let mut reading = Reading::new(store, run, RecordQuery::all()).await?;
    let mut outcome = Outcome {
        records: run.last_seq.0,
        seconds: logbook::ran(store, run).await?.as_secs_f64(),
        ..Outcome::default()
    };
    while let Some((_, content)) = reading.next().await? {
        if let Some(content) = content {
            outcome.count(content);
        }
    }
    Ok(outcome)
}

impl Outcome {
    fn count(&mut self, record: LogRecord) {
        match record {
            LogRecord::Event(event) => match *event {
                Event::EpisodeStarted { .. } => self.episodes += 1,
                Event::ControllerAnswered { reply } => {
                    // An imported log may name more cached tokens than tokens.
                    let read = reply.usage.prompt_tokens.saturating_sub(reply.usage.cached_tokens);
                    self.tokens_read = self.tokens_read.saturating_add(read.into());
                    self.tokens_written =
                        self.tokens_written.saturating_add(reply.usage.completion_tokens.into());
                }
                _ => {}
            },
            LogRecord::SkillEvent(event) => {
                if let SkillEvent::Stepped(step) = *event {
                    self.steps += 1;
                    self.achievements.extend(step.unlocked);
                }
            }
            LogRecord::Effect(effect) => {
                let Effect::ReportMilestone { milestone } = *effect else { return };
                match milestone {
                    Milestone::TaskDone { verified: true, .. } => self.tasks_done += 1,
                    Milestone::TaskDone { verified: false, .. } => self.tasks_failed += 1,
                    Milestone::SkillAdmitted { skill, .. } => {
                        self.skills.insert(skill);
                    }
                    _ => {}
                }
            }
            LogRecord::Started(_) | LogRecord::ToolDecision(_) | LogRecord::ControlRecord(_) => {}
        }
    }
}

fn summary(left: &RunInfo, right: &RunInfo, [here, there]: &[Outcome; 2]) -> Result<()> {
    let mut table = table::new(["", left.id.as_str(), right.id.as_str()]);
    table::numbers(&mut table, [1, 2]);
    let seconds = |outcome: &Outcome| duration::show(Duration::from_secs_f64(outcome.seconds));
    table.add_row(["ran".to_owned(), seconds(here), seconds(there)]);
    #[allow(clippy::type_complexity, reason = "a table of names and what they count")]
    let counts: [(&str, fn(&Outcome) -> u64); 9] = [
        ("records", |o| o.records),
        ("episodes", |o| o.episodes),
        ("steps", |o| o.steps),
        ("achievements", |o| o.achievements.len() as u64),
        ("tasks done", |o| o.tasks_done),
        ("tasks failed", |o| o.tasks_failed),
        ("skills learned", |o| o.skills.len() as u64),
        ("tokens read", |o| o.tokens_read),
        ("tokens written", |o| o.tokens_written),
    ];
    for (name, count) in counts {
        table.add_row([name.to_owned(), count(here).to_string(), count(there).to_string()]);
    }
    table::print(&table)?;
    for (what, here, there) in
        [("achievements", &here.achievements, &there.achievements), ("skills", &here.skills, &there.skills)]
    {
        for (sign, only) in [("-", here.difference(there)), ("+", there.difference(here))] {
            let names: Vec<&str> = only.map(String::as_str).collect();
            if !names.is_empty() {
                output::line(format!("{sign} {what} only here: {}", names.join(", ")))?;
            }
        }
    }
    Ok(())
}

async fn as_json(
    store: &Store,
    runs: [&RunInfo; 2],
    settings: &[Value; 2],
    start: &Beginnings,
    divergence: Option<&Divergence>,
    outcomes: &[Outcome; 2],
) -> Result<()> {
    let mut records = Vec::new();
    if let Some(divergence) = divergence {
        for record in [&divergence.left, &divergence.right] {
            records.push(match record {
                Some(record) => json!({"kind": record.kind, "payload": logbook::whole(store, record).await?}),
                None => Value::Null,
            });
        }
    }
    let patch = |from, to| sojourn_core::diff(from, to).unwrap_or(Value::Null);
    let [left, right] = settings;
    Ok(output::json(&json!({
        "runs": runs.map(|run| &run.id),
        "changed_settings": [patch(right, left), patch(left, right)],
        "same_start": start.same,
        "first_difference": divergence.map(|divergence| json!({"seq": divergence.seq, "records": records})),
        "outcomes": outcomes,
    }))?)
}
