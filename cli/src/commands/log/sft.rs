//! Verified tasks and admitted skills as conversations, one a line, to fine-tune a model.
//!
//! A *task* has the request before a choice, the choice, and the calls that reached a goal checked by program. A *skill* has
//! the request before it was written, and the admitted source. A conversation stays within one episode, and all
//! conversations of an episode are in the same split, so that training never sees test data.

use crate::logbook::Reading;
use crate::output;
use anyhow::Result;
use serde::Serialize;
use serde_json::{Value, json};
use sojourn_controller::{Message, Request};
use sojourn_core::{Effect, Event, LogRecord, Milestone, Purpose, SkillEvent, Started};
use sojourn_memory::{BlobId, EventSeq, Hash, Record, RecordQuery, RunInfo, Store};
use sojourn_skills::{LibraryEvent, SkillId};
use sojourn_tools::{Parameter, ToolCall};
use std::collections::BTreeMap;
use std::io::Write;

/// One episode in this many is for validation.
const VALIDATION: u8 = 10;

/// One conversation.
#[derive(Serialize)]
struct Conversation<'a> {
    kind: &'static str,
    split: &'static str,
    task: &'a str,
    messages: Vec<Value>,
    tools: Vec<&'a Value>,
    /// The observation at the end of a task.
    #[serde(skip_serializing_if = "Option::is_none")]
    outcome: Option<String>,
    /// Blobs of the images in messages.
    images: Vec<BlobId>,
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
    from: (EventSeq, Hash),
    to: (EventSeq, Hash),
    verified_by: &'static str,
}

/// The open parts of conversations.
#[derive(Default)]
struct Reader {
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
    at: (EventSeq, Hash),
    request: Request,
    answer: Option<String>,
}

struct Act {
    at: (EventSeq, Hash),
    /// The sequence number of the act.
    seq: EventSeq,
    call: ToolCall,
    messages: Vec<Value>,
    /// The controller's decision, which belongs to the first call.
    decision: Option<String>,
    outcome: Option<String>,
    /// The id of the open call.
    open: Option<String>,
    images: Vec<BlobId>,
}

/// Writes the conversations of a run. Returns their number.
pub async fn write(store: &Store, info: &RunInfo, to: Option<EventSeq>, out: &mut impl Write) -> Result<u64> {
    let query = RecordQuery { to, ..RecordQuery::all() };
    let mut reading = Reading::new(store, info, query).await?;
    let mut reader = Reader::default();
    let mut count = 0;
    while let Some((record, content)) = reading.next().await? {
        let Some(content) = content else {
            // A conversation without this record would not be whole.
            (reader.choice, reader.writing) = (None, None);
            continue;
        };
        if let Some(conversation) = reader.read(info, &record, &content) {
            writeln!(out, "{}", output::to_json_line(&conversation)?)?;
            count += 1;
        }
    }
    Ok(count)
}

impl Reader {
    fn read<'a>(
        &'a mut self,
        info: &RunInfo,
        record: &Record,
        content: &'a LogRecord,
    ) -> Option<Conversation<'a>> {
        let at = (record.seq, record.hash);
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
                    let (at, messages, decision) = match self.choice.take() {
                        Some(Asked { at, request, answer }) => (at, said(&request.messages), answer),
                        None => (at, Vec::new(), None),
                    };
                    let (open, outcome, images) = (None, None, Vec::new());
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
                    let mut messages = said(&asked.request.messages);
                    messages.push(json!({"role": "assistant", "content": source}));
                    let provenance = self.provenance(info, asked.at, at, "trials in practice worlds");
                    let split = split(info, self.episode);
                    return Some(Conversation {
                        kind: "skill",
                        split,
                        task: name,
                        messages,
                        tools: self.tools.values().collect(),
                        outcome: None,
                        images: Vec::new(),
                        provenance,
                    });
                }
                Effect::ReportMilestone { milestone: Milestone::TaskDone { task, verified, .. } } => {
                    let act = self.act.take().filter(|_| *verified)?;
                    let provenance = self.provenance(info, act.at, at, "the task's condition on the state");
                    let split = split(info, self.episode);
                    return Some(Conversation {
                        kind: "task",
                        split,
                        task,
                        messages: act.messages,
                        tools: self.tools.values().collect(),
                        outcome: act.outcome,
                        images: act.images,
                        provenance,
                    });
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
                let Some(act) = &mut self.act else { return };
                let message = report.error.as_ref().map(ToString::to_string);
                if act.decision.is_some() || act.messages.is_empty() {
                    // A tool by itself, or a skill that called none.
                    let (seq, call) = (act.seq, act.call.clone());
                    act.call(seq, &call);
                }
                act.answer(message.is_none(), message.as_deref().unwrap_or("done"));
                act.outcome = Some(report.observation.text.clone());
            }
            _ => {}
        }
    }

    /// Only the calls of the skill that the core runs are part of a conversation, not those of its callees.
    fn skill_event(&mut self, event: &SkillEvent, record: &Record) {
        let Some(act) = &mut self.act else { return };
        act.images.extend(record.blobs.iter().filter(|_| record.payload.get("image").is_some()));
        match event {
            SkillEvent::Called { depth: 0, call } => act.call(record.seq, call),
            SkillEvent::Returned { depth: 0, outcome } => act.answer(outcome.ok, &outcome.message),
            SkillEvent::Called { .. } | SkillEvent::Returned { .. } | SkillEvent::Stepped(_) => {}
        }
    }

    fn provenance(
        &self,
        info: &RunInfo,
        from: (EventSeq, Hash),
        to: (EventSeq, Hash),
        verified_by: &'static str,
    ) -> Provenance {
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

fn said(messages: &[Message]) -> Vec<Value> {
    messages.iter().map(|message| json!({"role": message.role.name(), "content": message.text()})).collect()
}

impl Act {
    fn call(&mut self, seq: EventSeq, call: &ToolCall) {
        let id = format!("call_{seq}");
        let arguments = Value::Object(call.args.clone()).to_string();
        self.messages.push(json!({
            "role": "assistant",
            "content": self.decision.take().unwrap_or_default(),
            "tool_calls": [{
                "id": id,
                "type": "function",
                "function": {"name": call.name, "arguments": arguments},
            }],
        }));
        self.open = Some(id);
    }

    /// Answers the open call, if there is one.
    fn answer(&mut self, ok: bool, message: &str) {
        let Some(id) = self.open.take() else { return };
        let content = json!({"ok": ok, "message": message}).to_string();
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
