//! What a run does as spans of `tracing`, named by OpenTelemetry's conventions for generative AI, so that any collector can
//! follow it live. What is only replayed has none, and secrets get into none.

use super::Redactor;
use crate::model::Purpose;
use sojourn_controller::{ControllerError, Reply, Request};
use sojourn_tools::{ToolCall, ToolOutcome};
use tracing::field::Empty;
use tracing::{Span, info_span};

/// The whole run, or the part of it that this process lives.
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

/// A question to the controller.
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

/// Adds what the controller answered.
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

/// A call of a skill or a tool.
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

/// Adds what became of a call, of which the secrets were taken out before.
pub fn returned(span: &Span, outcome: &ToolOutcome) {
    if outcome.ok {
        span.record("otel.status_code", "OK");
    } else {
        failed(span, &outcome.message);
    }
}

/// Adds why something failed, in words without secrets.
pub fn failed(span: &Span, error: &str) {
    span.record("otel.status_code", "ERROR");
    span.record("error.type", error);
}
