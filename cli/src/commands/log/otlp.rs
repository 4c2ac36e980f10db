//! A run as spans: the agent, its requests to the model, and the tools and skills it called, named by
//! OpenTelemetry's conventions for generative AI, in one OTLP/JSON document (an `ExportTraceServiceRequest`).

use crate::logbook::{Reading, purpose_name};
use crate::output;
use anyhow::Result;
use serde::Serialize;
use serde_json::{Value, json};
use sojourn_controller::Finish;
use sojourn_core::{Effect, Event, LogRecord, SkillEvent};
use sojourn_memory::{EventSeq, Hash, Record, RecordQuery, RunInfo, Store};
use std::io::Write;

/// `SPAN_KIND_INTERNAL` and `SPAN_KIND_CLIENT`.
const INTERNAL: u8 = 1;
const CLIENT: u8 = 3;
/// `STATUS_CODE_OK` and `STATUS_CODE_ERROR`.
const OK: u8 = 1;
const ERROR: u8 = 2;

/// A span in OTLP's JSON: ids in hexadecimal, 64-bit numbers as texts.
#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
#[allow(clippy::struct_field_names, reason = "the names are the format's")]
struct Span {
    trace_id: String,
    span_id: String,
    #[serde(skip_serializing_if = "String::is_empty")]
    parent_span_id: String,
    name: String,
    kind: u8,
    start_time_unix_nano: String,
    end_time_unix_nano: String,
    attributes: Vec<Value>,
    status: Value,
}

/// The spans of a run.
struct Trace {
    id: String,
    open: Vec<Span>,
    closed: Vec<Span>,
    model: String,
}

/// Writes the spans of a run. Returns their number.
pub async fn write(store: &Store, info: &RunInfo, to: Option<EventSeq>, out: &mut impl Write) -> Result<u64> {
    let mut reading = Reading::new(store, info, RecordQuery { to, ..RecordQuery::all() }).await?;
    let id = hex(Hash::of(info.id.as_str().as_bytes()), 16);
    let mut trace = Trace { id, open: Vec::new(), closed: Vec::new(), model: info.model.clone() };
    let mut last_ms = info.created_ms;
    while let Some((record, content)) = reading.next().await? {
        last_ms = record.at_ms;
        if trace.open.is_empty() {
            let attributes = vec![
                text("gen_ai.operation.name", "invoke_agent"),
                text("gen_ai.agent.name", &format!("sojourn/{}", info.environment)),
                text("gen_ai.agent.id", info.id.as_str()),
                text("gen_ai.conversation.id", info.id.as_str()),
                text("gen_ai.request.model", &info.model),
            ];
            trace.begin(&record, &format!("invoke_agent {}", info.environment), INTERNAL, attributes);
        }
        if let Some(content) = &content {
            trace.read(&record, content);
        }
    }
    trace.end_down_to(0, last_ms);
    let count = trace.closed.len() as u64;
    let resource = json!({"attributes": [
        text("service.name", "sojourn"),
        text("service.version", env!("CARGO_PKG_VERSION")),
    ]});
    let scope = json!({"name": "sojourn", "version": env!("CARGO_PKG_VERSION")});
    let document = json!({"resourceSpans": [{
        "resource": resource,
        "scopeSpans": [{"scope": scope, "spans": trace.closed}],
    }]});
    writeln!(out, "{}", output::to_json_line(&document)?)?;
    Ok(count)
}

impl Trace {
    fn read(&mut self, record: &Record, content: &LogRecord) {
        match content {
            LogRecord::Effect(effect) => match &**effect {
                Effect::AskController { purpose, request } => {
                    let attributes = vec![
                        text("gen_ai.operation.name", "chat"),
                        text("gen_ai.provider.name", "sojourn"),
                        text("gen_ai.request.model", &self.model),
                        number("gen_ai.request.max_tokens", request.max_tokens.into()),
                        number("gen_ai.request.choice.count", request.candidates.into()),
                        double("gen_ai.request.temperature", f64::from(request.sampling.temperature)),
                        text("sojourn.purpose", purpose_name(*purpose)),
                    ];
                    let name = format!("chat {}", self.model);
                    self.begin(record, &name, CLIENT, attributes);
                }
                Effect::Act { call, .. } | Effect::CallTool { call, .. } => {
                    self.begin_call(record, &call.name, &call.args);
                }
                _ => {}
            },
            LogRecord::Event(event) => match &**event {
                Event::ControllerAnswered { reply } => {
                    let reasons: Vec<Value> = reply
                        .candidates
                        .iter()
                        .map(|candidate| {
                            let reason = match candidate.finish {
                                Finish::Complete | Finish::Stopped(_) => "stop",
                                Finish::Refused(_) => "content_filter",
                                Finish::Length | Finish::Cancelled | Finish::Deadline => "length",
                            };
                            json!({"stringValue": reason})
                        })
                        .collect();
                    self.end(record, OK, vec![
                        text("gen_ai.response.model", &self.model.clone()),
                        number("gen_ai.usage.input_tokens", reply.usage.prompt_tokens.into()),
                        number("gen_ai.usage.cache_read.input_tokens", reply.usage.cached_tokens.into()),
                        number("gen_ai.usage.output_tokens", reply.usage.completion_tokens.into()),
                        json!({"key": "gen_ai.response.finish_reasons", "value": {"arrayValue": {"values": reasons}}}),
                    ]);
                }
                Event::ToolAnswered { outcome, .. } => {
                    let result = text("gen_ai.tool.call.result", &outcome.to_text());
                    self.end(record, if outcome.ok { OK } else { ERROR }, vec![result]);
                }
                Event::ControllerFailed { error } => self.end(record, ERROR, vec![text("error.type", error)]),
                Event::Acted { report } => {
                    // A skill that was stopped leaves its calls open.
                    self.end_down_to(2, record.at_ms);
                    let status = if report.error.is_none() { OK } else { ERROR };
                    self.end(record, status, vec![number("sojourn.steps", report.steps.into())]);
                }
                _ => {}
            },
            LogRecord::SkillEvent(event) => match &**event {
                SkillEvent::Called { call, .. } => self.begin_call(record, &call.name, &call.args),
                SkillEvent::Returned { outcome, .. } => {
                    let result = text("gen_ai.tool.call.result", &outcome.message);
                    self.end(record, if outcome.ok { OK } else { ERROR }, vec![result]);
                }
                SkillEvent::Stepped(_) => {}
            },
            LogRecord::Started(_) | LogRecord::ToolDecision(_) | LogRecord::ControlRecord(_) => {}
        }
    }

    fn begin_call(&mut self, record: &Record, name: &str, args: &serde_json::Map<String, Value>) {
        let attributes = vec![
            text("gen_ai.operation.name", "execute_tool"),
            text("gen_ai.tool.name", name),
            text("gen_ai.tool.type", "function"),
            text("gen_ai.tool.call.id", &record.seq.to_string()),
            text("gen_ai.tool.call.arguments", &Value::Object(args.clone()).to_string()),
        ];
        self.begin(record, &format!("execute_tool {name}"), INTERNAL, attributes);
    }

    fn begin(&mut self, record: &Record, name: &str, kind: u8, mut attributes: Vec<Value>) {
        attributes.push(number("sojourn.seq", record.seq.0));
        let span_id = hex(record.hash, 8);
        // The agent and its first act may begin with the same record.
        let span_id = if self.open.iter().any(|span| span.span_id == span_id) {
            hex(Hash::of(span_id.as_bytes()), 8)
        } else {
            span_id
        };
        self.open.push(Span {
            trace_id: self.id.clone(),
            span_id,
            parent_span_id: self.open.last().map(|span| span.span_id.clone()).unwrap_or_default(),
            name: name.to_owned(),
            kind,
            start_time_unix_nano: nanoseconds(record.at_ms),
            end_time_unix_nano: String::new(),
            attributes,
            status: json!({}),
        });
    }

    /// Ends the innermost open span, except the agent's.
    fn end(&mut self, record: &Record, status: u8, attributes: Vec<Value>) {
        if self.open.len() < 2 {
            return;
        }
        let Some(mut span) = self.open.pop() else { return };
        span.end_time_unix_nano = nanoseconds(record.at_ms);
        span.attributes.extend(attributes);
        span.status = json!({"code": status});
        self.closed.push(span);
    }

    fn end_down_to(&mut self, left: usize, at_ms: i64) {
        while self.open.len() > left {
            let Some(mut span) = self.open.pop() else { return };
            span.end_time_unix_nano = nanoseconds(at_ms);
            self.closed.push(span);
        }
    }
}

fn hex(hash: Hash, bytes: usize) -> String {
    hash.to_string().chars().take(bytes * 2).collect()
}

fn nanoseconds(at_ms: i64) -> String {
    (i128::from(at_ms) * 1_000_000).to_string()
}

fn text(key: &str, value: &str) -> Value {
    json!({"key": key, "value": {"stringValue": value}})
}

fn number(key: &str, value: u64) -> Value {
    json!({"key": key, "value": {"intValue": value.to_string()}})
}

fn double(key: &str, value: f64) -> Value {
    json!({"key": key, "value": {"doubleValue": value}})
}
