//! Rebuilds the skills and memories of a run from its log alone, and compares them with those of the home.

use crate::error::Kind;
use crate::home::Home;
use crate::logbook::Reading;
use crate::output;
use crate::scratch::Scratch;
use anyhow::{Context as _, Result};
use serde_json::json;
use sojourn_core::{ControlRecord, Effect, LogRecord, Noted, Provenance, attachment};
use sojourn_memory::{EventSeq, Memories, Memory, RecordQuery, RunInfo, Store, Tenant, Tick};
use sojourn_skills::LibraryState;
use sojourn_tools::Media;
use std::collections::BTreeMap;
use std::process::ExitCode;

/// The result of the comparison.
#[derive(Default)]
struct Comparison {
    skills: usize,
    memories: usize,
    differences: Vec<String>,
    /// The last record that another run or another home wrote.
    copied: Option<EventSeq>,
}

/// Rebuilds the skills and the memories of a run in a temporary store.
pub async fn rebuild(home: &Home, store: &Store, info: &RunInfo, as_json: bool) -> Result<ExitCode> {
    let place = Scratch::create().context("there is no room for temporary files")?;
    let rebuilt = Store::open(place.path()).await?;
    let memories = Memories::new(rebuilt.clone());
    let tenant = Home::tenant()?;
    let mut library = None;
    let mut reading = Reading::new(store, info, RecordQuery::all()).await?;
    let environment = info.environment.clone();
    let provenance = Provenance { tenant: tenant.clone(), environment, run: info.id.clone() };
    // The latest picture of what came of the last act.
    let mut picture: Option<Media> = None;
    while let Some((record, content)) = reading.next().await? {
        let noted = Noted { seq: record.seq, at_ms: record.at_ms, replayed: true, foreign: false };
        match content {
            Some(LogRecord::Started(started)) => library = Some(started.library),
            Some(LogRecord::Effect(effect)) => match *effect {
                Effect::ChangeLibrary { change } => {
                    let library = library.as_mut().context("the run has no first record")?;
                    library
                        .apply(&change)
                        .with_context(|| format!("record {} does not apply", record.seq))?;
                }
                Effect::Act { .. } => picture = None,
                Effect::Remember { memory } => {
                    let mut new = provenance.memory(&memory, noted);
                    new.attachment = picture.as_ref().and_then(|picture| attachment(&memory, picture));
                    if let Some(attached) = &new.attachment {
                        match store.blob(&attached.blob).await {
                            Ok(bytes) => drop(rebuilt.put_blob(&bytes).await?),
                            Err(_) => new.attachment = None,
                        }
                    }
                    memories.remember(&new, &[]).await?;
                }
                Effect::Consolidate { edits } => {
                    provenance.consolidate(&memories, &edits, noted).await?;
                }
                Effect::CreditMemories { memories: ids, helped } => {
                    provenance.credit(&memories, &ids, helped, noted).await?;
                }
                _ => {}
            },
            Some(LogRecord::ControlRecord(control)) => {
                if let ControlRecord::FrameTaken { frame } = *control {
                    picture = Some(frame);
                }
            }
            _ => {}
        }
    }
    // What another run or another home recorded is not this run's: of it, nothing is in this home under this run's name.
    let copied = info.parent.as_ref().map(|(_, seq)| *seq).max(store.imported_until(&info.id).await?);
    let mut comparison = Comparison { copied, ..Comparison::default() };
    let mut again = of_run(&memories, &tenant, info).await?;
    again.retain(|_, memory| copied.is_none_or(|last| memory.seq > last));
    let kept = of_run(&Memories::new(store.clone()), &tenant, info).await?;
    comparison.compare_memories(&again, &kept);
    if let Some(library) = library.as_ref().filter(|_| copied.is_none()) {
        let own = home.read_library().await?;
        let empty = LibraryState::default();
        let kept = own.as_ref().map_or(&empty, |own| own.state());
        comparison.compare_skills(library, kept, &info.environment);
    }
    rebuilt.close().await;
    comparison.tell(info, as_json)
}

/// The memories made in a run, by their ids.
async fn of_run(memories: &Memories, tenant: &Tenant, info: &RunInfo) -> Result<BTreeMap<String, Memory>> {
    const PAGE: usize = 1000;
    let mut found = BTreeMap::new();
    let mut after = Tick(0);
    loop {
        let page = memories.list(tenant, after, PAGE).await?;
        let Some(last) = page.last() else { return Ok(found) };
        after = last.made;
        let own = page.into_iter().filter(|memory| memory.run.as_ref() == Some(&info.id));
        found.extend(own.map(|memory| (memory.id.to_string(), memory)));
    }
}

impl Comparison {
    fn compare_memories(&mut self, again: &BTreeMap<String, Memory>, kept: &BTreeMap<String, Memory>) {
        self.memories = again.len();
        for (id, memory) in again {
            match kept.get(id) {
                None => self.differ(format!("memory {id} is not in the home: {}", memory.text)),
                Some(other) => {
                    let same = memory.content_hash == other.content_hash
                        && memory.text == other.text
                        && memory.kind == other.kind
                        && memory.importance.to_bits() == other.importance.to_bits()
                        && memory.event_time_ms == other.event_time_ms
                        && memory.environment == other.environment
                        && memory.seq == other.seq
                        // Older versions remembered no pictures, and one may be forgotten.
                        && (memory.attachment.is_none()
                            || other.attachment.is_none()
                            || memory.attachment == other.attachment)
                        // Other runs may have added sources and counts.
                        && memory.sources.iter().all(|source| other.sources.contains(source))
                        && memory.helpful <= other.helpful
                        && memory.harmful <= other.harmful;
                    if !same {
                        self.differ(format!(
                            "memory {id} is another: the log says \"{}\", the home \"{}\"",
                            memory.text, other.text
                        ));
                    }
                }
            }
        }
        for (id, memory) in kept.iter().filter(|(id, _)| !again.contains_key(*id)) {
            self.differ(format!("memory {id} is not in the log: {}", memory.text));
        }
    }

    /// Compares the skills of a run's environment: those of others are out of use in its log.
    fn compare_skills(&mut self, again: &LibraryState, kept: &LibraryState, environment: &str) {
        for (name, history) in again.histories() {
            for (index, entry) in history.versions.iter().enumerate() {
                if entry.environment() != environment {
                    continue;
                }
                self.skills += 1;
                let version = index + 1;
                match kept.history(name).and_then(|kept| kept.versions.get(index)) {
                    None => self.differ(format!("skill {name} version {version} is not in the home")),
                    Some(other) if entry.skill != other.skill => {
                        self.differ(format!(
                            "skill {name} version {version} has another source, module or manifest"
                        ));
                    }
                    Some(other) if entry != other => {
                        self.differ(format!(
                            "skill {name} version {version} stands elsewhere or was used since"
                        ));
                    }
                    Some(_) => {}
                }
            }
        }
    }

    fn differ(&mut self, what: String) {
        self.differences.push(what);
    }

    fn tell(&self, info: &RunInfo, as_json: bool) -> Result<ExitCode> {
        let Self { skills, memories, differences, copied } = self;
        if as_json {
            output::json(&json!({
                "run": info.id,
                "equal": differences.is_empty(),
                "skills": skills,
                "memories": memories,
                "differences": differences,
                "copied_until": copied,
            }))?;
        } else {
            if let Some(last) = copied {
                output::line(format!(
                    "records 1 to {last} are another run's or another home's: only memories of the records after them are compared. The \
                     skills of such a run stay in its log."
                ))?;
            }
            differences.iter().try_for_each(output::line)?;
            let verdict = match differences.len() {
                0 => "all are as the home has them".to_owned(),
                count => format!("{count} differ"),
            };
            output::line(format!(
                "{} and {} made again from the log: {verdict}",
                output::counted(*skills, "skill"),
                output::counted(*memories, "memory")
            ))?;
        }
        Ok(if differences.is_empty() { ExitCode::SUCCESS } else { ExitCode::from(Kind::Failure as u8) })
    }
}
