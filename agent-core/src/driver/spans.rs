//! Spans of `tracing`, named by OpenTelemetry's conventions for generative AI, so that a collector can follow a run. Replayed
//! work has no spans, and spans have no secrets.

use super::Redactor;
use crate::model::Purpose;
use sojourn_controller::{ControllerError, Reply, Request};
use sojourn_tools::{ToolCall, ToolOutcome};
use tracing::field::Empty;
use tracing::{Span, info_span};

/// The span of the run, as far as this process carries it out.
pub fn agent(environment: &str, run: &str, model: &str) -> Span {
    info_span!(
        "invoke_agent",
        otel.name = format!("invoke_agent {environment}"),
        otel.kind = "internal",
        gen_ai.operation.name = "invoke_agent",
        gen_ai.provider.name = "sojourn",
        gen_ai.agent.name = format!("sojourn/{environment}"),
        gen_ai.agent.id = run,
        gen_ai.conversation.id = run,
        gen_ai.request.model = model,
    )
}

/// The span of a request to the controller.
pub fn chat(model: &str, purpose: Purpose, request: &Request) -> Span {
    info_span!(
        "chat",
        otel.name = format!("chat {model}"),
        otel.kind = "client",
        otel.status_code = Empty,
        gen_ai.operation.name = "chat",
        gen_ai.provider.name = "sojourn",
        gen_ai.request.model = model,
        gen_ai.request.max_tokens = i64::from(request.max_tokens),
        gen_ai.request.choice.count = i64::from(request.candidates),
        gen_ai.request.temperature = f64::from(request.sampling.temperature),
        gen_ai.usage.input_tokens = Empty,
        gen_ai.usage.cache_read.input_tokens = Empty,
        gen_ai.usage.output_tokens = Empty,
        sojourn.purpose = ?purpose,
        error.type = Empty,
    )
}

/// Adds the answer of the controller.
pub fn answered(span: &Span, answer: &Result<Reply, ControllerError>, redactor: &Redactor) {
    match answer {
        Ok(reply) => {
            span.record("otel.status_code", "OK");
            span.record("gen_ai.usage.input_tokens", i64::from(reply.usage.prompt_tokens));
            span.record("gen_ai.usage.cache_read.input_tokens", i64::from(reply.usage.cached_tokens));
            span.record("gen_ai.usage.output_tokens", i64::from(reply.usage.completion_tokens));
        }
        Err(error) => failed(span, &redactor.text(&error.to_string())),
    }
}

/// The span of a call of a skill or a tool.
pub fn tool(call: &ToolCall, kind: &'static str) -> Span {
    info_span!(
        "execute_tool",
        otel.name = format!("execute_tool {}", call.name),
        otel.kind = "internal",
        otel.status_code = Empty,
        gen_ai.operation.name = "execute_tool",
        gen_ai.tool.name = call.name,
        gen_ai.tool.type = kind,
        error.type = Empty,
    )
}

/// Adds the outcome of a call, which must be redacted already.
pub fn returned(span: &Span, outcome: &ToolOutcome) {
    if outcome.ok {
        span.record("otel.status_code", "OK");
    } else {
        failed(span, &outcome.message);
    }
}

/// Adds an error, which must be redacted already.
pub fn failed(span: &Span, error: &str) {
    span.record("otel.status_code", "ERROR");
    span.record("error.type", error);
}
