//! Verified tasks and admitted skills as conversations, one a line, to fine-tune a model.
//!
//! A *task* has the request before a choice, the choice, and the calls that reached a goal checked by program. A *skill* has
//! the request before it was written, and the admitted source. A conversation stays within one episode, and all
//! conversations of an episode are in the same split, so that training never sees test data.
//!
//! With pictures, a conversation is in the form of multimodal trainers: the content of every message is a list of parts, a part
//! `{"type": "image"}` stands for the next file of `images`, and `tools` is JSON in a text, because tables of data have one type a column.

use super::export::beside;
use crate::logbook::Reading;
use crate::output;
use anyhow::{Context as _, Result};
use serde::Serialize;
use serde_json::{Value, json};
use sojourn_controller::{Message, PictureRef, Request};
use sojourn_core::{Effect, Event, LogRecord, Milestone, Purpose, SkillEvent, Started};
use sojourn_memory::{BlobId, EventSeq, Hash, Record, RecordQuery, RunInfo, Store};
use sojourn_skills::{LibraryEvent, SkillId};
use sojourn_tools::media::recognised;
use sojourn_tools::{Parameter, ToolCall};
use std::collections::BTreeMap;
use std::io::Write;
use std::path::Path;

/// One episode in this many is for validation.
const VALIDATION: u8 = 10;

/// One conversation.
#[derive(Serialize)]
struct Conversation<'a> {
    kind: &'static str,
    split: &'static str,
    task: &'a str,
    messages: Vec<Value>,
    tools: Value,
    /// The observation at the end of a task.
    #[serde(skip_serializing_if = "Option::is_none")]
    outcome: Option<String>,
    /// The pictures in messages, in order: files, or blobs where no files are written.
    images: Vec<String>,
    provenance: Provenance,
}

/// The records of a conversation.
#[derive(Serialize)]
struct Provenance {
    run: String,
    environment: String,
    model: String,
    episode: u64,
    world: Option<u64>,
    /// The first record and the last, with their hashes.
    from: Place,
    to: Place,
    verified_by: &'static str,
}

/// A record of a run.
#[derive(Clone, Copy, Serialize)]
struct Place {
    seq: EventSeq,
    hash: Hash,
}

/// The open parts of conversations.
#[derive(Default)]
struct Reader {
    /// Whether messages show their pictures.
    shows: bool,
    /// Tools and skills by name, in the format of chat endpoints.
    tools: BTreeMap<String, Value>,
    episode: u64,
    world: Option<u64>,
    /// The last request for a choice and for a skill.
    choice: Option<Asked>,
    writing: Option<Asked>,
    /// The current act in the episode.
    act: Option<Act>,
    drafts: BTreeMap<SkillId, (String, String)>,
}

struct Asked {
    at: Place,
    request: Request,
    answer: Option<String>,
}

struct Act {
    at: Place,
    /// The sequence number of the act.
    seq: EventSeq,
    call: ToolCall,
    messages: Vec<Value>,
    /// The controller's decision, which belongs to the first call.
    decision: Option<String>,
    outcome: Option<String>,
    /// The id of the open call.
    open: Option<String>,
    images: Vec<PictureRef>,
}

/// Where the pictures of conversations go.
pub struct Images<'a> {
    /// The directory of their files.
    pub directory: &'a Path,
    /// The directory that files are named from: that of the conversations.
    pub from: &'a Path,
}

/// Writes the conversations of a run, and their pictures where `images` says. Returns their number.
pub async fn write(
    store: &Store,
    info: &RunInfo,
    to: Option<EventSeq>,
    images: Option<Images<'_>>,
    out: &mut impl Write,
) -> Result<u64> {
    let query = RecordQuery { to, ..RecordQuery::all() };
    let mut reading = Reading::new(store, info, query).await?;
    let mut reader = Reader { shows: images.is_some(), ..Reader::default() };
    let mut count = 0;
    while let Some((record, content)) = reading.next().await? {
        let Some(content) = content else {
            // A conversation without this record would not be whole.
            (reader.choice, reader.writing) = (None, None);
            continue;
        };
        if let Some((mut conversation, pictures)) = reader.read(info, &record, &content) {
            conversation.images = match &images {
                Some(images) => match images.write(store, &pictures).await? {
                    Some(files) => files,
                    // A conversation without a picture that was forgotten would not be whole.
                    None => continue,
                },
                None => pictures.into_iter().map(|picture| picture.blob).collect(),
            };
            writeln!(out, "{}", output::to_json_line(&conversation)?)?;
            count += 1;
        }
    }
    Ok(count)
}

impl Images<'_> {
    /// Writes pictures, equal ones once. Returns their files; `None` where the bytes of one are gone.
    async fn write(&self, store: &Store, pictures: &[PictureRef]) -> Result<Option<Vec<String>>> {
        let mut files = Vec::with_capacity(pictures.len());
        for picture in pictures {
            let bytes = match picture.blob.parse::<BlobId>() {
                Ok(blob) => store.blob(&blob).await.ok(),
                Err(_) => None,
            };
            let Some(bytes) = bytes else { return Ok(None) };
            // The kind is decided by the content: the type that a log from elsewhere claims is no name of a file.
            let kind = recognised(&bytes).and_then(|mime| mime.strip_prefix("image/")).unwrap_or("bin");
            let path = self.directory.join(format!("{}.{kind}", BlobId::of(&bytes)));
            if !path.exists() {
                let unwritable = || format!("cannot write `{}`", path.display());
                let mut file = beside(&path).with_context(unwritable)?;
                file.write_all(&bytes).with_context(unwritable)?;
                file.persist(&path).with_context(unwritable)?;
            }
            let named = path.strip_prefix(self.from).unwrap_or(&path);
            files.push(named.to_string_lossy().into_owned());
        }
        Ok(Some(files))
    }
}

impl Reader {
    fn read<'a>(
        &'a mut self,
        info: &RunInfo,
        record: &Record,
        content: &'a LogRecord,
    ) -> Option<(Conversation<'a>, Vec<PictureRef>)> {
        let at = Place { seq: record.seq, hash: record.hash };
        match content {
            LogRecord::Started(started) => self.tools = tools(started),
            LogRecord::Event(event) => self.event(event),
            LogRecord::SkillEvent(event) => self.skill_event(event, record),
            LogRecord::Effect(effect) => match &**effect {
                Effect::AskController { purpose, request } => {
                    let asked = Some(Asked { at, request: request.clone(), answer: None });
                    match purpose {
                        Purpose::Choose => (self.choice, self.writing) = (asked, None),
                        Purpose::Write => self.writing = asked,
                        Purpose::Reflect | Purpose::WriteReflex | Purpose::Consolidate | Purpose::Compare => {
                        }
                    }
                }
                Effect::Act { call, .. } => {
                    let (at, (messages, images), decision) = match self.choice.take() {
                        Some(Asked { at, request, answer }) => (at, self.said(&request.messages), answer),
                        None => (at, Default::default(), None),
                    };
                    let (open, outcome) = (None, None);
                    let (seq, call) = (record.seq, call.clone());
                    self.act = Some(Act { at, seq, call, messages, decision, outcome, open, images });
                }
                Effect::ChangeLibrary { change: LibraryEvent::Drafted { skill } } => {
                    let manifest = &skill.manifest;
                    let description =
                        description(&manifest.name, &manifest.description, &manifest.parameters);
                    self.tools.insert(manifest.name.clone(), description);
                    self.drafts.insert(manifest.id.clone(), (manifest.name.clone(), skill.source.clone()));
                }
                Effect::ChangeLibrary { change: LibraryEvent::Admitted { id, .. } } => {
                    let asked = self.writing.take()?;
                    let (name, source) = self.drafts.get(id)?;
                    let (mut messages, images) = self.said(&asked.request.messages);
                    messages.push(json!({"role": "assistant", "content": self.content(source)}));
                    let provenance = self.provenance(info, asked.at, at, "trials in practice worlds");
                    let split = split(info, self.episode);
                    let (tools, outcome) = (self.tools(), None);
                    let (kind, task) = ("skill", name.as_str());
                    let files = Vec::new();
                    let told = Conversation {
                        kind,
                        split,
                        task,
                        messages,
                        tools,
                        outcome,
                        images: files,
                        provenance,
                    };
                    return Some((told, images));
                }
                Effect::ReportMilestone { milestone: Milestone::TaskDone { task, verified, .. } } => {
                    let act = self.act.take().filter(|_| *verified)?;
                    let provenance = self.provenance(info, act.at, at, "the task's condition on the state");
                    let split = split(info, self.episode);
                    let Act { messages, outcome, images, .. } = act;
                    let (tools, kind, files) = (self.tools(), "task", Vec::new());
                    let told = Conversation {
                        kind,
                        split,
                        task,
                        messages,
                        tools,
                        outcome,
                        images: files,
                        provenance,
                    };
                    return Some((told, images));
                }
                _ => {}
            },
            LogRecord::ToolDecision(_) | LogRecord::ControlRecord(_) => {}
        }
        None
    }

    fn event(&mut self, event: &Event) {
        match event {
            Event::EpisodeStarted { seed, .. } => {
                self.episode += 1;
                self.world = Some(*seed);
                (self.choice, self.writing, self.act) = (None, None, None);
            }
            Event::ControllerAnswered { reply } => {
                let answer = reply.complete().next().map(str::to_owned);
                let open = |asked: &&mut Asked| asked.answer.is_none();
                if let Some(asked) = self.writing.as_mut().filter(open).or(self.choice.as_mut().filter(open))
                {
                    asked.answer = answer;
                }
            }
            Event::Acted { report } => {
                let shows = self.shows;
                let Some(act) = &mut self.act else { return };
                let message = report.error.as_ref().map(ToString::to_string);
                if act.decision.is_some() || act.messages.is_empty() {
                    // A tool by itself, or a skill that called none.
                    let (seq, call) = (act.seq, act.call.clone());
                    act.call(seq, &call, shows);
                }
                act.answer(message.is_none(), message.as_deref().unwrap_or("done"), shows);
                act.outcome = Some(report.observation.text.clone());
            }
            _ => {}
        }
    }

    /// Only the calls of the skill that the core runs are part of a conversation, not those of its callees.
    fn skill_event(&mut self, event: &SkillEvent, record: &Record) {
        let shows = self.shows;
        let Some(act) = &mut self.act else { return };
        match event {
            SkillEvent::Called { depth: 0, call } => act.call(record.seq, call, shows),
            SkillEvent::Returned { depth: 0, outcome } => act.answer(outcome.ok, &outcome.message, shows),
            SkillEvent::Called { .. } | SkillEvent::Returned { .. } | SkillEvent::Stepped(_) => {}
        }
    }

    /// The tools of a conversation.
    fn tools(&self) -> Value {
        let tools = Value::Array(self.tools.values().cloned().collect());
        if self.shows { Value::String(tools.to_string()) } else { tools }
    }

    fn content(&self, text: &str) -> Value {
        content(text, self.shows)
    }

    /// Messages of a request, and the pictures in them.
    fn said(&self, messages: &[Message]) -> (Vec<Value>, Vec<PictureRef>) {
        let mut shown = Vec::new();
        let mut said = Vec::with_capacity(messages.len());
        for message in messages {
            let pictures = message.parts.iter().filter_map(|part| part.picture.as_ref());
            if !self.shows || pictures.clone().next().is_none() {
                said.push(json!({"role": message.role.name(), "content": self.content(&message.text())}));
                continue;
            }
            shown.extend(pictures.cloned());
            let mut parts: Vec<Value> = Vec::new();
            let mut text = String::new();
            for part in &message.parts {
                if part.picture.is_none() {
                    text.push_str(&part.text);
                    continue;
                }
                if !text.is_empty() {
                    parts.push(json!({"type": "text", "text": std::mem::take(&mut text)}));
                }
                parts.push(json!({"type": "image"}));
            }
            if !text.is_empty() {
                parts.push(json!({"type": "text", "text": text}));
            }
            said.push(json!({"role": message.role.name(), "content": parts}));
        }
        (said, shown)
    }

    fn provenance(&self, info: &RunInfo, from: Place, to: Place, verified_by: &'static str) -> Provenance {
        Provenance {
            run: info.id.to_string(),
            environment: info.environment.clone(),
            model: info.model.clone(),
            episode: self.episode,
            world: self.world,
            from,
            to,
            verified_by,
        }
    }
}

/// The split of an episode, always the same one.
fn split(info: &RunInfo, episode: u64) -> &'static str {
    let draw = Hash::of(format!("{}/{episode}", info.id).as_bytes()).as_bytes()[0];
    if draw.is_multiple_of(VALIDATION) { "validation" } else { "train" }
}

/// The content of a message; as a list of one part where messages show pictures.
fn content(text: &str, shows: bool) -> Value {
    if shows { json!([{"type": "text", "text": text}]) } else { text.into() }
}

impl Act {
    fn call(&mut self, seq: EventSeq, call: &ToolCall, shows: bool) {
        let id = format!("call_{seq}");
        let arguments = Value::Object(call.args.clone()).to_string();
        self.messages.push(json!({
            "role": "assistant",
            "content": content(&self.decision.take().unwrap_or_default(), shows),
            "tool_calls": [{
                "id": id,
                "type": "function",
                "function": {"name": call.name, "arguments": arguments},
            }],
        }));
        self.open = Some(id);
    }

    /// Answers the open call, if there is one.
    fn answer(&mut self, ok: bool, message: &str, shows: bool) {
        let Some(id) = self.open.take() else { return };
        let content = content(&json!({"ok": ok, "message": message}).to_string(), shows);
        self.messages.push(json!({"role": "tool", "tool_call_id": id, "content": content}));
    }
}

fn tools(started: &Started) -> BTreeMap<String, Value> {
    let own = started
        .environment
        .tools
        .iter()
        .map(|tool| (tool.name.clone(), description(&tool.name, &tool.description, &tool.parameters)));
    let learned = started.library.all_active().map(|entry| {
        let manifest = &entry.skill.manifest;
        (manifest.name.clone(), description(&manifest.name, &manifest.description, &manifest.parameters))
    });
    own.chain(learned).collect()
}

fn description(name: &str, description: &str, parameters: &[Parameter]) -> Value {
    let parameters = sojourn_tools::arguments_schema(parameters);
    json!({
        "type": "function",
        "function": {"name": name, "description": description, "parameters": parameters},
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use sojourn_controller::Part;
    use sojourn_testkit::has;
    use std::process::Command;

    const PNG: [u8; 8] = *b"\x89PNG\r\n\x1a\n";

    fn picture(store_of: &BlobId) -> PictureRef {
        PictureRef { blob: store_of.to_string(), mime: "../../x".into(), width: None, height: None }
    }

    #[tokio::test]
    async fn pictures_are_files_beside_the_conversations_and_one_that_is_gone_takes_its_conversation_along() {
        let place = tempfile::tempdir().unwrap();
        let store = Store::open(&place.path().join("home")).await.unwrap();
        let known = store.put_blob(&PNG).await.unwrap();
        let directory = place.path().join("pictures");
        std::fs::create_dir(&directory).unwrap();
        let images = Images { directory: &directory, from: place.path() };
        let files = images.write(&store, &[picture(&known), picture(&known)]).await.unwrap().unwrap();
        assert_eq!(files, [format!("pictures/{known}.png"), format!("pictures/{known}.png")]);
        assert_eq!(std::fs::read(place.path().join(&files[0])).unwrap(), PNG);
        assert_eq!(images.write(&store, &[picture(&BlobId::of(b"gone"))]).await.unwrap(), None);
    }

    #[test]
    fn a_message_shows_its_pictures_in_order_among_its_words() {
        let shown = picture(&BlobId::of(&PNG));
        let mut message = Message::user("before ").and("it: ");
        message.parts.extend([Part::picture(shown.clone(), "(a picture)"), Part::new(" after")]);
        let messages = [Message::system("rules"), message];
        let reader = Reader { shows: true, ..Reader::default() };
        let (said, pictures) = reader.said(&messages);
        assert_eq!(pictures, [shown]);
        assert_eq!(said[0]["content"], json!([{"type": "text", "text": "rules"}]));
        let parts = json!([{"type": "text", "text": "before it: "}, {"type": "image"}, {"type": "text", "text": " after"}]);
        assert_eq!(said[1]["content"], parts);
        let (said, pictures) = Reader::default().said(&messages);
        assert!(pictures.is_empty());
        assert_eq!(said[1]["content"], "before it: (a picture) after");
    }

    /// The loader that trainers use, where it is installed (`SOJOURN_TEST_PYTHON` names a Python that has `datasets`).
    #[test]
    fn the_loader_of_trainers_reads_conversations_with_pictures() {
        let python = std::env::var("SOJOURN_TEST_PYTHON").unwrap_or_else(|_| "python3".to_owned());
        let imports = ["-c", "import datasets"];
        if !has(&python) || !Command::new(&python).args(imports).output().unwrap().status.success() {
            return;
        }
        let place = tempfile::tempdir().unwrap();
        let pixel = b"\x89PNG\r\n\x1a\n\0\0\0\rIHDR\0\0\0\x01\0\0\0\x01\x08\x02\0\0\0\x90wS\xde\0\0\0\x0cIDATx\x9cc\xf8\xcf\xc0\0\0\x03\x01\x01\0\xc9\xfe\x92\xef\0\0\0\0IEND\xaeB`\x82";
        std::fs::write(place.path().join("one.png"), pixel).unwrap();
        let shown = picture(&BlobId::of(pixel));
        let mut lines = String::new();
        for (number, has_picture) in [(1_u64, true), (2, false)] {
            let mut reader = Reader { shows: true, ..Reader::default() };
            // Schemas of different types, which one column of a table could not hold.
            for (name, kind) in [("a", json!({"default": 1})), ("b", json!({"default": ["x"]}))] {
                reader.tools.insert(name.to_owned(), kind);
            }
            let mut message = Message::user("look");
            message.parts.extend(has_picture.then(|| Part::picture(shown.clone(), "(a picture)")));
            let (messages, pictures) = reader.said(&[message]);
            let place = Place { seq: EventSeq(number), hash: Hash::of(b"x") };
            let images = pictures.iter().map(|_| "one.png".to_owned()).collect();
            let mut act = Act {
                at: place,
                seq: EventSeq(number),
                call: ToolCall { name: "a".into(), args: serde_json::Map::new() },
                messages,
                decision: None,
                outcome: None,
                open: None,
                images: pictures,
            };
            let call = act.call.clone();
            act.call(act.seq, &call, true);
            act.answer(true, "done", true);
            let provenance = Provenance {
                run: "r".into(),
                environment: "e".into(),
                model: "m".into(),
                episode: 1,
                world: None,
                from: act.at,
                to: place,
                verified_by: "a test",
            };
            let told = Conversation {
                kind: "task",
                split: "train",
                task: "a",
                messages: act.messages,
                tools: reader.tools(),
                outcome: None,
                images,
                provenance,
            };
            lines.push_str(&output::to_json_line(&told).unwrap());
            lines.push('\n');
        }
        std::fs::write(place.path().join("sft.jsonl"), lines).unwrap();
        let program = "import datasets, json\n\
            data = datasets.load_dataset('json', data_files='sft.jsonl', split='train', cache_dir='cache')\n\
            data = data.cast_column('images', datasets.Sequence(datasets.Image()))\n\
            one, other = data[0], data[1]\n\
            assert one['images'][0].size == (1, 1) and other['images'] == [], data\n\
            parts = [part['type'] for part in one['messages'][0]['content']]\n\
            assert parts == ['text', 'image'], parts\n\
            assert one['messages'][1]['tool_calls'][0]['function']['name'] == 'a'\n\
            assert json.loads(one['tools'])[1] == {'default': ['x']}\n";
        let loaded = Command::new(&python)
            .args(["-c", program])
            .current_dir(place.path())
            .env("HF_HUB_OFFLINE", "1")
            .output()
            .unwrap();
        assert!(loaded.status.success(), "{}", String::from_utf8_lossy(&loaded.stderr));
    }
}
