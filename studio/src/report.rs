//! A run as one file that needs nothing else: the timeline, the scrubber and the plots, made of the page's own modules.

use crate::api::detail;
use crate::assets::{MODULES, STYLE};
use crate::{Studio, StudioError};
use base64::Engine as _;
use serde_json::{Value, json};
use sha2::{Digest as _, Sha256};
use sojourn_core::{LogRecord, RecordKind};
use sojourn_logbook::{Camera, Entry, Frame, Group, Outline, Reading};
use sojourn_memory::{RecordQuery, RunInfo};
use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::io::Write;

/// The size that a report does not exceed, in bytes.
pub const LARGEST: usize = 10 << 20;
/// The most records that a report has.
const MOST_RECORDS: usize = 20_000;
/// The most groups that a report has.
const MOST_GROUPS: usize = 8_000;
/// Shares of the size: rows and frames together, and what requests and trials say in full.
const FRAME_BYTES: usize = 5 << 20;
const DETAIL_BYTES: usize = 3 << 20;
/// Kinds of records that say what the world and the controller said last, also where a report leaves them out.
const SEEN: [RecordKind; 3] = [RecordKind::EpisodeStarted, RecordKind::Acted, RecordKind::ControllerAnswered];
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
        // In JSON a line feed or a quotation mark takes two bytes.
        self.bytes += text.len() + text.len() / 8 + 4;
        self.all.push(text.to_owned());
        self.known.insert(text.to_owned(), number);
        number
    }
}

/// Writes the report of a run; returns what it left out.
///
/// # Errors
/// When the run cannot be read or `out` cannot be written.
pub async fn write(studio: &Studio, info: &RunInfo, mut out: impl Write) -> Result<Sampled, StudioError> {
    let store = &studio.store;
    let mut outline = Outline::default();
    while outline.read_on(store, info, 4096).await? {}
    let groups = groups(&outline);
    let kept = kept(&outline);
    let world = outline.environment().and_then(|name| studio.environments.in_process(name));
    let mut camera = Camera::before_episode(outline.teller(), 0, world);
    let (mut rows, mut frames) = (Vec::new(), BTreeMap::new());
    let (mut texts, mut bytes) = (Texts::default(), 0);
    let mut full: Vec<u64> = Vec::new();
    let mut reading =
        Reading::new(store, info, RecordQuery::all()).await?.without_texts_except(kept.clone(), &SEEN);
    while let Some(entry) = reading.next_intact().await? {
        match entry {
            Entry::Damaged { seq, reason } => {
                rows.push(json!([seq, 0, "damaged", reason, outline.flags(seq.0)]));
            }
            Entry::Record(record, content) => {
                let seq = record.seq.0;
                let reason = content.as_ref().err().map(ToString::to_string);
                let content = content.ok().flatten();
                let frame = camera.take(&record, content.as_ref()).await;
                if !kept.contains(&seq) {
                    continue;
                }
                let line = reason.unwrap_or_else(|| line(&frame, &record.kind));
                rows.push(json!([seq, record.at_ms, record.kind, line, outline.flags(seq)]));
                if bytes + texts.bytes < FRAME_BYTES {
                    let frame = packed(&frame, &mut texts);
                    bytes += frame.to_string().len() + 8;
                    frames.insert(seq, frame);
                }
                if content.as_ref().is_some_and(is_told_in_full) {
                    full.push(seq);
                }
            }
        }
    }
    let before = texts.bytes;
    let (mut details, mut detail_bytes) = (BTreeMap::new(), 0);
    for seq in &full {
        if detail_bytes + texts.bytes - before > DETAIL_BYTES {
            break;
        }
        let mut value = detail(store, info, *seq).await?;
        if value.to_string().len() > DETAIL_BYTES {
            continue;
        }
        pack_exchange(&mut value, &mut texts);
        detail_bytes += value.to_string().len();
        details.insert(*seq, value);
    }
    let sampled = Sampled {
        records: rows.len(),
        of: outline.len(),
        frames: frames.len(),
        details: details.len(),
        lines_only: full.len() - details.len(),
    };
    let (damage, damaged) = outline.damage();
    let data = json!({
        "run": {
            "run": info.id, "title": info.title, "status": info.status.as_str(), "live": false,
            "environment": info.environment, "model": info.model, "created_ms": info.created_ms,
            "last_at_ms": info.last_at_ms, "records": outline.len(),
        },
        "started": outline.title(),
        "points": outline.series(),
        "achievements": outline.firsts(),
        "skills": outline.admitted(),
        "tasks": outline.tasks(),
        "damage": damage,
        "damaged": damaged,
        "groups": groups,
        "rows": rows,
        "frames": frames,
        "details": details,
        "texts": texts.all,
        "sampled": sampled,
    });
    out.write_all(page(&info.id.to_string(), &data).as_bytes())?;
    out.flush()?;
    Ok(sampled)
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

/// The records of a report: all; where there are too many, first what stands out, then what is no step of a skill, then every so
/// many steps.
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
    let mut kept = BTreeSet::new();
    let classes: [&dyn Fn(u64) -> bool; 3] =
        [&|seq| outline.flags(seq) & !sojourn_logbook::flag::REFLEX != 0, &|seq| !is_step(seq), &|_| true];
    for class in classes {
        let wanted: Vec<u64> = (1..=all).filter(|seq| !kept.contains(seq) && class(*seq)).collect();
        let room = MOST_RECORDS.saturating_sub(kept.len());
        let apart = wanted.len().div_ceil(room.max(1)).max(1);
        if room == 0 {
            break;
        }
        kept.extend(wanted.into_iter().step_by(apart));
    }
    kept
}

/// Requests, answers and trials are shown in full.
fn is_told_in_full(record: &LogRecord) -> bool {
    matches!(
        record.kind(),
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
    fn data_cannot_end_its_script() {
        let data = json!({"title": "</script><script>alert(1)</script><!--"});
        let page = page("<b>", &data);
        assert_eq!(page.matches("</script").count(), 2);
        assert!(page.contains("Run &lt;b&gt;") && !page.contains("alert(1)</"));
    }
}
