//! Streamed answers.

use super::server::{
    JSON, Server, Step, answer, choose, event, finish, goodbye, piece, piece_of, say, stream, stream_of,
    texts, until_read,
};
use serde_json::{Value, json};
use sojourn_controller::openai::Dialect;
use sojourn_controller::{Cancel, Constraint, Controller, Finish, Request};
use std::time::Duration;

/// A request for one line.
fn line() -> Request {
    let mut request = choose();
    request.constraint = Constraint::line(200);
    request
}

#[tokio::test]
async fn chunks_are_assembled() {
    let role = event(&json!({"choices": [{"delta": {"role": "assistant", "content": ""}}]}).to_string());
    let pause = Duration::from_millis(100);
    let pieces = [role, Step::Pause(pause), piece("\"e"), piece("at"), piece("\""), finish(0, "stop")];
    let server = Server::start(vec![stream(pieces.into_iter().chain(goodbye()))]);
    let reply = server.ask(&choose()).await.unwrap();
    assert_eq!(texts(&reply), ["\"eat\""]);
    assert_eq!((&reply.candidates[0].finish, reply.candidates[0].tokens), (&Finish::Complete, 3));
    assert_eq!((reply.usage.prompt_tokens, reply.usage.cached_tokens), (11, 8));
    // The first token arrived after the pause; the role chunk before it does not count.
    assert!(u128::from(reply.timing.prefill_ms) >= pause.as_millis() - 1, "{:?}", reply.timing);
    let body = server.seen().body;
    assert_eq!((&body["stream"], &body["stream_options"]), (&json!(true), &json!({"include_usage": true})));
}

#[tokio::test]
async fn interleaved_answers_are_separated() {
    let pieces = [(1, "\"sl"), (0, "\"eat"), (1, "eep\""), (2, "\"eat\""), (0, "\"")];
    let pieces = pieces.map(|(index, text)| piece_of(index, text));
    let ends = [finish(2, "stop"), finish(0, "stop"), finish(1, "stop")];
    let server = Server::start(vec![stream(pieces.into_iter().chain(ends).chain(goodbye()))]);
    let mut request = choose();
    request.candidates = 3;
    let reply = server.ask(&request).await.unwrap();
    assert_eq!(texts(&reply), ["\"eat\"", "\"sleep\"", "\"eat\""]);
    assert_eq!(reply.usage.completion_tokens, 3);
}

#[tokio::test]
async fn streaming_can_be_turned_off() {
    let mut server = Server::start(vec![say(&["\"eat\""])]);
    server.options.stream = false;
    assert_eq!(texts(&server.ask(&choose()).await.unwrap()), ["\"eat\""]);
    let body = server.seen().body;
    assert_eq!((&body["stream"], body.get("stream_options")), (&json!(false), None));
}

#[tokio::test]
async fn rejected_streaming_options_are_reduced_for_good() {
    let refuse = |why: &str| answer(400, JSON, &json!({"error": {"message": why}}).to_string());
    let mut server = Server::start(vec![
        refuse("Unknown field: stream_options"),
        refuse("Streaming is not supported with response_format"),
        say(&["\"eat\""]),
        say(&["\"sleep\""]),
    ]);
    // Reducing the options does not count as an attempt.
    server.options.max_attempts = 1;
    let controller = server.controller();
    for expected in ["\"eat\"", "\"sleep\""] {
        let reply = controller.complete(&choose(), &Cancel::new()).await.unwrap();
        assert_eq!(texts(&reply), [expected]);
    }
    let asked: Vec<(Value, bool)> = (0..4)
        .map(|_| server.seen().body)
        .map(|body| (body["stream"].clone(), body.get("stream_options").is_some()))
        .collect();
    let expected = [(json!(true), true), (json!(true), false), (json!(false), false), (json!(false), false)];
    assert_eq!(asked, expected);
}

#[tokio::test]
async fn echoed_prefill_is_removed_at_any_split() {
    let mut request = line();
    request.prefill = "say: ".into();
    for (pieces, expected) in [
        (["sa", "y", ": ", "hello"], "hello"),
        (["say: h", "e", "ll", "o"], "hello"),
        (["sa", "d", " ", "day"], "sad day"),
    ] {
        let server = Server::start(vec![stream_of(&pieces)]);
        assert_eq!(texts(&server.ask(&request).await.unwrap()), [expected]);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn stop_string_closes_the_connection() {
    let mut request = line();
    request.stop = vec!["END".into(), "; ".into()];
    let and_so_on = Step::Repeat(
        format!("data: {}\n\n", json!({"choices": [{"delta": {"content": "and so on; "}}]})).into(),
        Duration::from_millis(1),
    );
    let mut server = Server::start(vec![stream([piece("one E"), piece("ND two"), and_so_on])]);
    server.options.price =
        Some(sojourn_controller::openai::Price { prompt: 1.0, cached: None, completion: 1.0 });
    let reply = server.ask(&request).await.unwrap();
    assert_eq!(texts(&reply), ["one "]);
    assert_eq!(reply.candidates[0].finish, Finish::Stopped("END".into()));
    // A client that disconnects early gets no usage.
    assert_eq!((reply.usage.completion_tokens, reply.cost_usd), (2, None));
    server.is_left();
}

#[tokio::test]
async fn continuous_usage_is_requested_where_supported() {
    let mut request = line();
    request.stop = vec!["END".into()];
    let counted = json!({
        "choices": [{"delta": {"content": "one END"}}], "usage": {"prompt_tokens": 7, "completion_tokens": 3},
    });
    let mut server = Server::start(vec![stream([event(&counted.to_string()), Step::Hold])]);
    server.options.dialect = Dialect::Vllm;
    let reply = server.ask(&request).await.unwrap();
    assert_eq!((reply.usage.prompt_tokens, reply.candidates[0].tokens), (7, 3));
    assert_eq!(server.seen().body["stream_options"]["continuous_usage_stats"], json!(true));
}

#[tokio::test(flavor = "multi_thread")]
async fn cancellation_keeps_partial_answers_and_disconnects() {
    let steps = [
        piece_of(0, "\"eat\""),
        finish(0, "stop"),
        piece_of(1, "\"run\""),
        finish(1, "stop"),
        piece_of(2, "\"sle"),
        until_read(),
        Step::Mark("read"),
        Step::Hold,
    ];
    let server = Server::start(vec![stream(steps)]);
    let controller = server.controller();
    let cancel = Cancel::new();
    let mut request = choose();
    request.candidates = 4;
    let switch = cancel.clone();
    let answer = tokio::spawn(async move { controller.complete(&request, &cancel).await });
    server.reaches("read");
    switch.cancel();
    let reply = answer.await.unwrap().unwrap();
    assert_eq!(texts(&reply), ["\"eat\"", "\"run\"", "\"sle", ""]);
    let ends: Vec<&Finish> = reply.candidates.iter().map(|one| &one.finish).collect();
    // An answer that was complete in time counts as complete, unless it violates the constraint.
    assert_eq!(ends, [&Finish::Complete, &Finish::Cancelled, &Finish::Cancelled, &Finish::Cancelled]);
    assert_eq!(reply.usage.completion_tokens, 3);
    server.is_left();
}

#[tokio::test(flavor = "multi_thread")]
async fn deadline_keeps_partial_answers() {
    let server = Server::start(vec![say(&["\"eat\""]), stream([piece("\"sl"), piece("ee"), Step::Hold])]);
    let mut request = choose();
    request.candidates = 2;
    request.deadline_ms = Some(2_000);
    let reply = server.ask(&request).await.unwrap();
    assert_eq!(texts(&reply), ["\"eat\"", "\"slee"]);
    assert_eq!(reply.candidates[0].finish, Finish::Complete);
    assert_eq!(reply.candidates[1].finish, Finish::Deadline);
    server.is_left();
}

#[tokio::test(flavor = "multi_thread")]
async fn dropped_request_closes_its_connection() {
    let server = Server::start(vec![stream([piece("\"sl"), until_read(), Step::Mark("read"), Step::Hold])]);
    let controller = server.controller();
    let (request, cancel) = (choose(), Cancel::new());
    let task = tokio::spawn(async move { controller.complete(&request, &cancel).await.is_ok() });
    server.reaches("read");
    task.abort();
    assert!(task.await.unwrap_err().is_cancelled());
    server.is_left();
}

#[tokio::test]
async fn slow_answer_may_exceed_the_silence_limit() {
    let pause = || Step::Pause(Duration::from_millis(1500));
    let pieces =
        [piece("\"e"), pause(), piece("a"), pause(), piece("t"), pause(), piece("\""), finish(0, "stop")];
    let mut server = Server::start(vec![stream(pieces.into_iter().chain(goodbye()))]);
    server.options.timeout_ms = 4_000;
    server.options.max_attempts = 1;
    assert_eq!(texts(&server.ask(&choose()).await.unwrap()), ["\"eat\""]);
}

#[tokio::test]
async fn connection_is_reused_after_a_stream() {
    let data = [
        json!({"choices": [{"delta": {"content": "\"eat\""}, "finish_reason": "stop"}]}).to_string(),
        "[DONE]".to_owned(),
    ];
    let text = data.map(|data| format!("data: {data}\n\n")).concat();
    let chunked = "content-type: text/event-stream\r\ntransfer-encoding: chunked\r\n\r\n";
    let stream = format!("HTTP/1.1 200 OK\r\n{chunked}{:x}\r\n{text}\r\n0\r\n\r\n", text.len());
    let connection = || (0..5).flat_map(|_| [Step::Send(stream.clone().into()), Step::Next]).collect();
    let server = Server::start((0..5).map(|_| connection()).collect());
    let controller = server.controller();
    for _ in 0..5 {
        let reply = controller.complete(&choose(), &Cancel::new()).await.unwrap();
        assert_eq!(texts(&reply), ["\"eat\""]);
    }
    // On a busy machine, reuse may fail occasionally.
    assert!(server.connected() < 5);
}
