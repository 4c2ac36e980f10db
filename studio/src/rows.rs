//! Records as rows of the timeline, and as frames of the scrubber.

use crate::StudioError;
use crate::outlines::Watched;
use serde::Serialize;
use sojourn_core::{LogRecord, RecordKind};
use sojourn_logbook::{Camera, Entry, Frame, Outline, Reading, Teller, flag};
use sojourn_memory::{EventSeq, RecordQuery, RunInfo, Store};
use sojourn_tools::EnvironmentRegistry;

/// A record in one line.
#[derive(Debug, Clone, Serialize)]
pub struct Row {
    /// Number of the record.
    pub seq: u64,
    /// Milliseconds since 1970.
    pub at_ms: i64,
    /// The kind of the record.
    pub kind: String,
    /// The record in words.
    pub line: String,
    /// What it is: the bits of [`flag`].
    pub flags: u8,
}

/// The rows of these records, in order. `seqs` grows.
///
/// # Errors
/// When the run cannot be read. A damaged record has a row that says so.
pub async fn rows(
    store: &Store,
    info: &RunInfo,
    watched: &Watched,
    seqs: &[u64],
) -> Result<Vec<Row>, StudioError> {
    let kept = watched.take_teller();
    let (mut position, mut teller) = kept.unwrap_or_else(|| (0, watched.outline().teller()));
    let mut rows = Vec::with_capacity(seqs.len());
    let mut rest = seqs;
    while let Some(&first) = rest.first() {
        let together = (1..).zip(rest).take_while(|(distance, seq)| **seq == first + distance - 1).count();
        let (run, after) = rest.split_at(together);
        rest = after;
        if position != first {
            let anchor = watched.outline().anchor(first.saturating_sub(1));
            if position < anchor || position > first {
                teller = watched.outline().teller();
                position = anchor;
            }
            tell(store, info, &mut teller, position, first - 1).await?;
        }
        let last = run.last().copied().unwrap_or(first);
        let query = RecordQuery::from(EventSeq(first)).to(EventSeq(last));
        let mut reading = Reading::new(store, info, query).await?;
        position = first;
        while let Some(entry) = reading.next_intact().await? {
            let row = match entry {
                Entry::Damaged { seq, reason } => Row::damaged(seq.0, reason),
                Entry::Record(record, content) => {
                    let (content, unreadable) = match content {
                        Ok(content) => (content, None),
                        Err(error) => (None, Some(error.to_string())),
                    };
                    teller.enter(content.as_ref());
                    let line = unreadable.unwrap_or_else(|| teller.line(content.as_ref()));
                    let flags = watched.outline().flags(record.seq.0);
                    Row { seq: record.seq.0, at_ms: record.at_ms, kind: record.kind, line, flags }
                }
            };
            // Missing records have rows too.
            while position < row.seq {
                rows.push(Row::damaged(position, "the record is missing".to_owned()));
                position += 1;
            }
            position = row.seq + 1;
            rows.push(row);
        }
        while position <= last {
            rows.push(Row::damaged(position, "the record is missing".to_owned()));
            position += 1;
        }
    }
    watched.keep_teller(position, teller);
    Ok(rows)
}

impl Row {
    /// The row of a record that cannot be read.
    pub fn damaged(seq: u64, reason: String) -> Self {
        Self { seq, at_ms: 0, kind: "damaged".to_owned(), line: reason, flags: flag::DAMAGED }
    }
}

/// Enters the records from `from` to `to` that tell something about later ones.
async fn tell(
    store: &Store,
    info: &RunInfo,
    teller: &mut Teller,
    from: u64,
    to: u64,
) -> Result<(), StudioError> {
    if to < from {
        return Ok(());
    }
    let query = RecordQuery::from(EventSeq(from)).to(EventSeq(to));
    let mut reading = Reading::new(store, info, query.kinds(Teller::TELLING.map(RecordKind::as_str))).await?;
    while let Some(entry) = reading.next_intact().await? {
        if let Entry::Record(_, Ok(content)) = entry {
            teller.enter(content.as_ref());
        }
    }
    Ok(())
}

/// The frames of `from..=to`, with the state of the world after the last one.
///
/// # Errors
/// When the run cannot be read.
pub async fn frames(
    store: &Store,
    info: &RunInfo,
    environments: &EnvironmentRegistry,
    watched: &Watched,
    (from, to): (u64, u64),
) -> Result<(Vec<Frame>, serde_json::Value), StudioError> {
    let first = watched.outline().episode_at(from).map_or(1, |episode| episode.first);
    let (mut position, mut camera) = match watched.take_camera(first, from) {
        Some(kept) => kept,
        None => before_episode(store, info, environments, watched, from).await?,
    };
    let query = RecordQuery::from(EventSeq(position)).to(EventSeq(to));
    let mut reading = Reading::new(store, info, query).await?;
    let mut frames = Vec::new();
    while let Some(entry) = reading.next_intact().await? {
        let Entry::Record(record, content) = entry else { continue };
        let frame = camera.take(&record, content.ok().flatten().as_ref()).await;
        position = record.seq.0 + 1;
        if record.seq.0 >= from {
            frames.push(frame);
        }
    }
    let state = camera.state().clone();
    watched.keep_camera(position, camera);
    Ok((frames, state))
}

/// A camera at the beginning of the episode that holds `seq`, and the record that it takes next.
///
/// # Errors
/// When the run cannot be read.
pub async fn before_episode(
    store: &Store,
    info: &RunInfo,
    environments: &EnvironmentRegistry,
    watched: &Watched,
    seq: u64,
) -> Result<(u64, Camera), StudioError> {
    let (first, mut camera, earlier) = start_of_episode(&watched.outline(), environments, seq);
    for seq in earlier {
        let query = RecordQuery::from(EventSeq(seq)).to(EventSeq(seq));
        for record in store.records(&info.id, &query).await.unwrap_or_default() {
            if let Ok(Some(content)) = LogRecord::read(store, &record).await {
                camera.recollect(&content).await;
            }
        }
    }
    Ok((first, camera))
}

/// The first record of the episode that holds `seq`, a camera before it, and the records that say what was decided before.
fn start_of_episode(
    outline: &Outline,
    environments: &EnvironmentRegistry,
    seq: u64,
) -> (u64, Camera, Vec<u64>) {
    let world = || outline.environment().and_then(|name| environments.in_process(name));
    let Some(episode) = outline.episode_at(seq) else {
        return (1, Camera::before_episode(outline.teller(), 0, world()), Vec::new());
    };
    let before = episode.episode.saturating_sub(1);
    let camera = Camera::before_episode(outline.teller(), before, world());
    let kinds = [RecordKind::Recalled, RecordKind::AskController, RecordKind::ControllerAnswered];
    let mut earlier: Vec<u64> =
        kinds.into_iter().filter_map(|kind| outline.last_before(episode.first, kind)).collect();
    earlier.sort_unstable();
    (episode.first, camera, earlier)
}
