//! A run as one file that needs nothing else: the timeline, the scrubber and the plots, made of the page's own modules.

use crate::api::{detail, fall};
use crate::assets::{MODULES, STYLE};
use crate::outlines::Watched;
use crate::rows::{Row, before_episode, rows};
use crate::{Studio, StudioError};
use base64::Engine as _;
use serde_json::{Value, json};
use sha2::{Digest as _, Sha256};
use sojourn_core::RecordKind;
use sojourn_logbook::{Entry, Filter, Frame, Group, Outline, Reading, flag};
use sojourn_memory::{EventSeq, RecordQuery, RunInfo};
use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::io::Write;

/// The size that a report does not exceed, in bytes.
pub const LARGEST: usize = 10 << 20;
/// The most records that a report has.
const MOST_RECORDS: usize = 20_000;
/// The most groups that a report has.
const MOST_GROUPS: usize = 8_000;
/// The most records that the camera takes: the world of a built-in environment is stepped along with each of them.
const MOST_FILMED: u64 = 100_000;
/// The most deaths, the last ones, of which a report says what fell before.
const MOST_DECLINES: usize = 20;
/// Records before a death or an achievement that are kept too: what led to it.
const LED_TO_IT: u64 = 8;
/// The longest line of a record, in characters: more than a window shows.
const LONGEST_LINE: usize = 400;
/// Shares, in percent, of the bytes that the rest of the file leaves: rows, and frames with their texts. Requests and trials in
/// full get what is left.
const ROW_SHARE: usize = 35;
const FRAME_SHARE: usize = 35;
/// Kinds of records that say what the world and the controller said last, also where a report leaves them out.
const SEEN: [RecordKind; 3] = [RecordKind::EpisodeStarted, RecordKind::Acted, RecordKind::ControllerAnswered];
/// Rows outside of the film that are read at once.
const ROWS_AT_ONCE: usize = 1000;
/// The script that shows a report, after the modules.
const SCRIPT: &str = include_str!("../web/report.js");

/// What a report left out.
#[derive(Debug, Clone, Copy, PartialEq, Eq, serde::Serialize)]
pub struct Sampled {
    /// Records in the report.
    pub records: usize,
    /// Records in the run.
    pub of: u64,
    /// Records of the report for which the world is shown.
    pub frames: usize,
    /// Requests and trials that are shown in full.
    pub details: usize,
    /// Requests and trials of the report that are shown in one line only.
    pub lines_only: usize,
}

/// Texts that stand once, however often they are shown.
#[derive(Default)]
struct Texts {
    all: Vec<String>,
    known: HashMap<String, usize>,
    bytes: usize,
}

impl Texts {
    fn number(&mut self, text: &str) -> usize {
        if let Some(number) = self.known.get(text) {
            return *number;
        }
        let number = self.all.len();
        self.bytes += weight(&json!(text));
        self.all.push(text.to_owned());
        self.known.insert(text.to_owned(), number);
        number
    }
}

/// The bytes that a value takes in the file, with the comma after it.
fn weight(value: &Value) -> usize {
    let text = value.to_string();
    // `<` becomes `\u003c`.
    text.len() + 5 * text.bytes().filter(|byte| *byte == b'<').count() + 1
}

/// The part of a report that grows with its run.
#[derive(Default)]
struct Content {
    rows: BTreeMap<u64, Value>,
    frames: BTreeMap<u64, Value>,
    details: BTreeMap<u64, Value>,
    texts: Texts,
    row_bytes: usize,
    frame_bytes: usize,
    /// Records that are shown in full, where there is room.
    full: Vec<u64>,
}

impl Content {
    fn add_row(&mut self, row: &Row, room: usize) {
        let line: String = row.line.chars().take(LONGEST_LINE).collect();
        let value = json!([row.seq, row.at_ms, row.kind, line, row.flags]);
        let bytes = weight(&value);
        if self.row_bytes + bytes <= room {
            self.row_bytes += bytes;
            self.rows.insert(row.seq, value);
        }
    }

    fn add_frame(&mut self, frame: &Frame, room: usize) {
        if self.frame_bytes + self.texts.bytes < room {
            let value = packed(frame, &mut self.texts);
            // The key is a number in quotation marks.
            self.frame_bytes += weight(&value) + 12;
            self.frames.insert(frame.seq, value);
        }
    }

    async fn add_details(&mut self, studio: &Studio, info: &RunInfo, room: usize) -> Result<(), StudioError> {
        let before = self.texts.bytes;
        let mut bytes = 0;
        for seq in self.full.iter().filter(|seq| self.rows.contains_key(seq)) {
            if bytes + self.texts.bytes - before >= room {
                break;
            }
            let mut value = detail(&studio.store, info, *seq).await?;
            // Its texts may be new ones, so that all of it must fit.
            if bytes + self.texts.bytes - before + weight(&value) > room {
                continue;
            }
            pack_exchange(&mut value, &mut self.texts);
            bytes += weight(&value) + 12;
            self.details.insert(*seq, value);
        }
        Ok(())
    }
}

/// Writes the report of a run; returns what it left out. Time and memory are bounded: of a long run, the camera takes only the
/// episodes in which most happened, and other records are read by their numbers.
///
/// # Errors
/// When the run cannot be read or `out` cannot be written.
pub async fn write(studio: &Studio, info: &RunInfo, mut out: impl Write) -> Result<Sampled, StudioError> {
    let store = &studio.store;
    let mut outline = Outline::default();
    while outline.read_on(store, info, 4096).await? {}
    let kept = kept(&outline);
    let stretches = filmed(&outline, MOST_FILMED);
    let (damage, damaged) = outline.damage();
    let mut data = json!({
        "run": {
            "run": info.id, "title": info.title, "status": info.status.as_str(), "live": false,
            "environment": info.environment, "model": info.model, "created_ms": info.created_ms,
            "last_at_ms": info.last_at_ms, "records": outline.len(),
        },
        "started": outline.title(),
        "points": outline.series(),
        "clock": outline.clock(),
        "achievements": outline.firsts(),
        "skills": outline.admitted(),
        "tasks": outline.tasks(),
        "damage": damage,
        "damaged": damaged,
        "groups": groups(&outline),
    });
    let deaths: Vec<u64> = outline.matching(Filter::default().flags(flag::DEATH)).collect();
    let watched = Watched::of(outline);
    let mut declines = BTreeMap::new();
    for death in deaths.iter().rev().take(MOST_DECLINES) {
        declines.insert(*death, fall(store, info, &watched, *death).await?);
    }
    data["declines"] = serde_json::to_value(declines)?;
    let fixed = page(&info.id.to_string(), &data).len() + (16 << 10);
    let room = LARGEST.saturating_sub(fixed);
    let (row_room, frame_room) = (room / 100 * ROW_SHARE, room / 100 * FRAME_SHARE);

    let mut content = Content::default();
    for &(first, last) in &stretches {
        film(studio, info, &watched, (first, last), &kept, |row, frame, is_full| {
            content.add_row(row, row_room);
            if let Some(frame) = frame {
                content.add_frame(frame, frame_room);
            }
            if is_full {
                content.full.push(row.seq);
            }
        })
        .await?;
    }
    let is_filmed = |seq: u64| stretches.iter().any(|(first, last)| (*first..=*last).contains(&seq));
    let others: Vec<u64> = kept.iter().copied().filter(|seq| !is_filmed(*seq)).collect();
    for part in others.chunks(ROWS_AT_ONCE) {
        for row in rows(store, info, &watched, part).await? {
            if row.kind.parse().is_ok_and(is_told_in_full) {
                content.full.push(row.seq);
            }
            content.add_row(&row, row_room);
        }
    }
    let used = content.row_bytes + content.frame_bytes + content.texts.bytes;
    content.full.sort_unstable();
    content.full.dedup();
    content.add_details(studio, info, room.saturating_sub(used)).await?;

    let Content { rows, frames, details, texts, full, .. } = content;
    let sampled = Sampled {
        records: rows.len(),
        of: watched.outline().len(),
        frames: frames.len(),
        details: details.len(),
        lines_only: full.len() - details.len(),
    };
    data["rows"] = rows.into_values().collect();
    data["frames"] = serde_json::to_value(frames)?;
    data["details"] = serde_json::to_value(details)?;
    data["texts"] = json!(texts.all);
    data["sampled"] = serde_json::to_value(sampled)?;
    out.write_all(page(&info.id.to_string(), &data).as_bytes())?;
    out.flush()?;
    Ok(sampled)
}

/// Takes the records `first..=last` with the camera; `add` gets the row and the frame of those that are kept, and whether the
/// record is shown in full.
async fn film(
    studio: &Studio,
    info: &RunInfo,
    watched: &Watched,
    (first, last): (u64, u64),
    kept: &BTreeSet<u64>,
    mut add: impl FnMut(&Row, Option<&Frame>, bool),
) -> Result<(), StudioError> {
    let (_, mut camera) = before_episode(&studio.store, info, &studio.environments, watched, first).await?;
    let query = RecordQuery::from(EventSeq(first)).to(EventSeq(last));
    let texts_of = kept.range(first..=last).copied().collect();
    let reading = Reading::new(&studio.store, info, query).await?;
    let mut reading = reading.without_texts_except(texts_of, &SEEN);
    while let Some(entry) = reading.next_intact().await? {
        match entry {
            Entry::Damaged { seq, reason } => add(&Row::damaged(seq.0, reason), None, false),
            Entry::Record(record, content) => {
                let seq = record.seq.0;
                let reason = content.as_ref().err().map(ToString::to_string);
                let content = content.ok().flatten();
                let frame = camera.take(&record, content.as_ref()).await;
                if kept.contains(&seq) {
                    let line = reason.unwrap_or_else(|| line(&frame, &record.kind));
                    let is_full = content.as_ref().is_some_and(|content| is_told_in_full(content.kind()));
                    let flags = watched.outline().flags(seq);
                    let row = Row { seq, at_ms: record.at_ms, kind: record.kind, line, flags };
                    add(&row, Some(&frame), is_full);
                }
            }
        }
    }
    Ok(())
}

/// The stretches of a run that the camera takes, in order, with at most `most` records together: all of a short run. Of a long one
/// the end, then the episodes in which most was gained, learned and lost.
fn filmed(outline: &Outline, most: u64) -> Vec<(u64, u64)> {
    let all = outline.len();
    if all <= most {
        return if all == 0 { Vec::new() } else { vec![(1, all)] };
    }
    let mut beginnings: Vec<u64> =
        outline.groups(1, u64::MAX, 0..=0).into_iter().map(|episode| episode.first).collect();
    beginnings.retain(|first| *first > 1);
    beginnings.insert(0, 1);
    let mut episodes: Vec<(u64, (u64, u64))> = Vec::with_capacity(beginnings.len());
    for (index, first) in beginnings.iter().enumerate() {
        let last = beginnings.get(index + 1).map_or(all, |next| next - 1);
        let worth = |flags: u8| {
            let has = |bit: u8, worth: u64| if flags & bit == 0 { 0 } else { worth };
            has(flag::ACHIEVEMENT, 100) + has(flag::SKILL, 50) + has(flag::DEATH, 10) + has(flag::LESSON, 2)
        };
        let worth: u64 = (*first..=last).map(|seq| worth(outline.flags(seq))).sum();
        episodes.push((if last == all { u64::MAX } else { worth }, (*first, last)));
    }
    episodes.sort_by_key(|(worth, (first, _))| (std::cmp::Reverse(*worth), *first));
    let mut room = most;
    let mut chosen = Vec::new();
    for (_, (first, last)) in episodes {
        if room == 0 {
            break;
        }
        let records = (last - first + 1).min(room);
        room -= records;
        chosen.push((first, first + records - 1));
    }
    chosen.sort_unstable();
    // One camera goes on from an episode to the next.
    let mut stretches: Vec<(u64, u64)> = Vec::new();
    for (first, last) in chosen {
        match stretches.last_mut() {
            Some(before) if before.1 + 1 == first => before.1 = last,
            _ => stretches.push((first, last)),
        }
    }
    stretches
}

/// The groups of a report: all, or where there are too many, only those of the upper levels.
fn groups(outline: &Outline) -> Vec<Group> {
    let down_to = |level: u8| outline.groups(1, u64::MAX, 0..=level);
    [2, 1].into_iter().map(down_to).find(|groups| groups.len() <= MOST_GROUPS).unwrap_or_else(|| {
        let mut episodes = down_to(0);
        episodes.truncate(MOST_GROUPS);
        episodes
    })
}

/// The records of a report: all; where there are too many, first what stands out, then what led to a death or an achievement,
/// then what is no step of a skill, then every so many steps.
fn kept(outline: &Outline) -> BTreeSet<u64> {
    let all = outline.len();
    if all <= MOST_RECORDS as u64 {
        return (1..=all).collect();
    }
    let is_step = |seq: u64| {
        matches!(
            outline.kind(seq),
            Some(RecordKind::Stepped | RecordKind::Called | RecordKind::Returned | RecordKind::ChangeLibrary)
        )
    };
    let turning = flag::DEATH | flag::ACHIEVEMENT;
    let led_to_it: BTreeSet<u64> = (1..=all)
        .filter(|seq| outline.flags(*seq) & turning != 0)
        .take(MOST_RECORDS)
        .flat_map(|seq| seq.saturating_sub(LED_TO_IT).max(1)..seq)
        .collect();
    let mut kept = BTreeSet::new();
    let classes: [&dyn Fn(u64) -> bool; 5] = [
        &|seq| outline.flags(seq) & (turning | flag::SKILL | flag::DAMAGED) != 0,
        &|seq| led_to_it.contains(&seq),
        &|seq| outline.flags(seq) & !flag::REFLEX != 0,
        &|seq| !is_step(seq),
        &|_| true,
    ];
    for class in classes {
        let room = MOST_RECORDS.saturating_sub(kept.len());
        if room == 0 {
            break;
        }
        let wanted: Vec<u64> = (1..=all).filter(|seq| !kept.contains(seq) && class(*seq)).collect();
        let apart = wanted.len().div_ceil(room).max(1);
        kept.extend(wanted.into_iter().step_by(apart));
    }
    kept
}

/// Requests, answers and trials are shown in full.
fn is_told_in_full(kind: RecordKind) -> bool {
    matches!(
        kind,
        RecordKind::ControllerAnswered
            | RecordKind::ControllerFailed
            | RecordKind::CandidatesTried
            | RecordKind::Recalled
            | RecordKind::Remember
            | RecordKind::Started
    )
}

/// The line of a frame without the kind before it.
fn line(frame: &Frame, kind: &str) -> String {
    frame.line.strip_prefix(kind).unwrap_or(&frame.line).trim_start_matches(' ').to_owned()
}

/// A frame whose long texts are numbers.
fn packed(frame: &Frame, texts: &mut Texts) -> Value {
    let list =
        |lines: &[String], texts: &mut Texts| lines.iter().map(|line| texts.number(line)).collect::<Vec<_>>();
    json!({
        "episode": frame.episode,
        "step": frame.step,
        "view": texts.number(&frame.view),
        "task": texts.number(&frame.task),
        "decision": texts.number(&frame.decision),
        "calls": list(&frame.calls, texts),
        "memories": list(&frame.memories, texts),
        "ending": list(&frame.ending, texts),
    })
}

/// The parts of a prompt become numbers: most of a prompt is the same in all requests.
fn pack_exchange(detail: &mut Value, texts: &mut Texts) {
    // The payload says the same as the exchange.
    if detail["exchange"].is_object() {
        detail["payload"] = Value::Null;
    }
    if let Some(request) = detail.pointer_mut("/exchange/request").and_then(Value::as_object_mut) {
        request.retain(|name, _| name != "constraint");
        let messages = request.get_mut("messages").and_then(Value::as_array_mut);
        let parts =
            messages.into_iter().flatten().filter_map(|message| message.get_mut("parts")?.as_array_mut());
        for part in parts.flatten() {
            if let Some(text) = part.get("text").and_then(Value::as_str) {
                part["text"] = json!(texts.number(text));
            }
        }
    }
}

/// The file. Its policy allows the one script and the one style in it, and no request.
fn page(title: &str, data: &Value) -> String {
    let script = script();
    // In a script, `<` may begin the end of it.
    let data = data.to_string().replace('<', "\\u003c");
    let hash = |text: &str| base64::engine::general_purpose::STANDARD.encode(Sha256::digest(text));
    let (script_hash, style_hash) = (hash(&script), hash(STYLE.text));
    let title = sojourn_tools::outside::html::escaped(title);
    format!(
        "<!doctype html>\n<html lang=\"en\">\n<head>\n<meta charset=\"utf-8\">\n\
         <meta http-equiv=\"Content-Security-Policy\" content=\"default-src 'none'; \
         script-src 'sha256-{script_hash}'; style-src 'sha256-{style_hash}'; base-uri 'none'; form-action 'none'\">\n\
         <meta name=\"referrer\" content=\"no-referrer\">\n\
         <meta name=\"viewport\" content=\"width=device-width, initial-scale=1\">\n\
         <title>Run {title} · Sojourn</title>\n<style>{style}</style>\n</head>\n<body class=\"report\">\n\
         <noscript>This report needs JavaScript.</noscript>\n<div id=\"app\"></div>\n\
         <script type=\"application/json\" id=\"data\">{data}</script>\n\
         <script type=\"module\">{script}</script>\n</body>\n</html>\n",
        style = STYLE.text,
    )
}

/// The modules and the report's own script as one: their imports name each other, and go; so do the words `export`.
fn script() -> String {
    let mut script = String::new();
    for text in MODULES.iter().map(|module| module.text).chain([SCRIPT]) {
        for line in text.lines().filter(|line| !line.starts_with("import ")) {
            script.push_str(line.strip_prefix("export ").unwrap_or(line));
            script.push('\n');
        }
    }
    script
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_report_has_no_import_and_no_name_twice() {
        let script = script();
        assert!(
            !script.contains("\nimport ") && !script.contains("\nexport ") && !script.contains("</script")
        );
        let mut names = BTreeSet::new();
        for line in script.lines() {
            let words: Vec<&str> =
                line.split(|c: char| !c.is_alphanumeric() && c != '_' && c != '$').collect();
            let (["async", "function", name, ..] | ["function" | "const" | "let" | "class", name, ..]) =
                words[..]
            else {
                continue;
            };
            assert!(names.insert(name.to_owned()), "`{name}` is declared twice: {line}");
        }
        assert!(names.len() > 50, "{names:?}");
    }

    #[test]
    fn a_value_weighs_what_it_takes_in_the_file() {
        let value = json!({"line": "a <b> \"c\"\n", "seq": 7});
        let written = value.to_string().replace('<', "\\u003c");
        assert_eq!(weight(&value), written.len() + 1);
    }

    #[tokio::test]
    async fn the_camera_takes_all_of_a_short_run_and_of_a_long_one_its_end_and_where_most_was_gained() {
        let home = tempfile::tempdir().unwrap();
        let store = sojourn_memory::Store::open(home.path()).await.unwrap();
        let new = sojourn_memory::NewRun::new(sojourn_memory::RunId::new(1, 1), "crafter", "none");
        let mut writer = store.create_run(new).await.unwrap();
        // Four episodes of ten records each; in the second one wood is collected.
        for episode in 1..=4 {
            writer.append("start_episode", 1, json!({"seed": episode}), Vec::new()).await.unwrap();
            let begun = json!({"seed": episode, "observation": {"text": "", "state": {}}});
            writer.append("episode_started", 1, begun, Vec::new()).await.unwrap();
            for step in 1..=8 {
                let unlocked = if (episode, step) == (2, 5) { json!(["collect_wood"]) } else { json!([]) };
                let step = json!({"action": "noop", "change": {}, "unlocked": unlocked});
                writer.append("stepped", 1, step, Vec::new()).await.unwrap();
            }
        }
        writer.close(sojourn_memory::RunStatus::Finished).await.unwrap();
        let info = store.runs().await.unwrap().remove(0);
        let mut outline = Outline::default();
        while outline.read_on(&store, &info, 7).await.unwrap() {}
        assert_eq!(outline.damage().1, 0, "{:?}", outline.damage().0);
        assert_eq!(filmed(&outline, 40), [(1, 40)]);
        assert_eq!(filmed(&outline, 20), [(11, 20), (31, 40)]);
        assert_eq!(filmed(&outline, 14), [(11, 14), (31, 40)]);
        assert_eq!(filmed(&outline, 30), [(1, 20), (31, 40)]);
    }

    #[test]
    fn data_cannot_end_its_script() {
        let data = json!({"title": "</script><script>alert(1)</script><!--"});
        let page = page("<b>", &data);
        assert_eq!(page.matches("</script").count(), 2);
        assert!(page.contains("Run &lt;b&gt;") && !page.contains("alert(1)</"));
    }
}
