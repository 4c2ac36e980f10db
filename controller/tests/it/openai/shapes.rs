//! Answers in the many shapes that servers send.

use super::server::{
    Act, JSON, Server, Step, answer, choose, event, finish, goodbye, piece, refused, stream, stream_of,
    texts, usage,
};
use serde_json::{Value, json};
use sojourn_controller::{Constraint, Finish, Reply};

/// The reply to a request for `"eat"` or `"sleep"`.
async fn ask(act: Act) -> Reply {
    let mut server = Server::start(vec![act]);
    server.options.max_attempts = 1;
    server.ask(&choose()).await.unwrap()
}

fn chunk(delta: &Value, finish_reason: &Value) -> Step {
    event(&json!({"choices": [{"index": 0, "delta": delta, "finish_reason": finish_reason}]}).to_string())
}

fn whole(message: &Value) -> Act {
    let choices = json!([{"message": message, "finish_reason": "stop"}]);
    answer(200, JSON, &json!({"choices": choices, "usage": usage()}).to_string())
}

#[tokio::test]
async fn an_empty_finish_reason_does_not_end_an_answer() {
    for none in [json!(""), json!("null"), json!(null), json!({}), json!(" ")] {
        let steps = [
            chunk(&json!({"role": "assistant", "content": ""}), &none),
            chunk(&json!({"content": "\"ea"}), &none),
            chunk(&json!({"content": "t\""}), &none),
            chunk(&json!({}), &json!("stop")),
        ];
        let reply = ask(stream(steps.into_iter().chain(goodbye()))).await;
        assert_eq!(
            (texts(&reply), &reply.candidates[0].finish),
            (vec!["\"eat\""], &Finish::Complete),
            "{none}"
        );
    }
}

#[tokio::test]
async fn content_in_parts_is_read() {
    let text = |text: &str| json!({"content": [{"type": "text", "text": text}]});
    let thought =
        json!({"content": [{"type": "thinking", "thinking": [{"type": "text", "text": "hungry"}]}]});
    let none = Value::Null;
    let steps = [
        chunk(&json!({"role": "assistant", "content": []}), &none),
        chunk(&thought, &none),
        chunk(&text("\"ea"), &none),
        chunk(&text("t\""), &json!("stop")),
    ];
    for act in [
        stream(steps.into_iter().chain(goodbye())),
        whole(&json!({"content": [thought["content"][0].clone(), {"type": "text", "text": "\"eat\""}]})),
    ] {
        let reply = ask(act).await;
        assert_eq!(texts(&reply), ["\"eat\""]);
        assert_eq!(reply.candidates[0].reasoning.as_deref(), Some("hungry"));
    }
}

#[tokio::test]
async fn a_field_of_an_odd_type_does_not_cost_the_answer() {
    let body = json!({
        "choices": [
            {"index": "0", "message": {"content": "\"eat\"", "refusal": 0, "tool_calls": {}}, "finish_reason": 1},
            "noise"
        ],
        "usage": "many",
        "error": null,
    });
    assert_eq!(texts(&ask(answer(200, JSON, &body.to_string())).await), ["\"eat\""]);
    // Some gateways wrap the answer in a list.
    assert_eq!(texts(&ask(answer(200, JSON, &json!([body]).to_string())).await), ["\"eat\""]);
}

#[tokio::test]
async fn a_stream_under_another_content_type_is_read() {
    let events = "data: {\"choices\": [{\"delta\": {\"content\": \"\\\"eat\\\"\"}, \"finish_reason\": \"stop\"}]}\n\n\
                  data: [DONE]\n\n";
    let body = json!({"choices": [{"message": {"content": "\"eat\""}, "finish_reason": "stop"}]}).to_string();
    for (kind, body) in [
        ("content-type: application/json; charset=utf-8\r\n", events.to_owned()),
        ("content-type: text/plain\r\n", format!("\u{feff}: waiting\n\n{events}")),
        ("", format!("\n\nevent: message\n{events}")),
        ("content-type: application/octet-stream\r\n", body.clone()),
        ("content-type: text/event-stream\r\n", format!("\u{feff} {body}")),
    ] {
        assert_eq!(texts(&ask(answer(200, kind, &body)).await), ["\"eat\""], "{kind}{body}");
    }
}

#[tokio::test]
async fn an_answer_after_thinking_aloud_is_taken() {
    let thinking = "<think>\nThe first {one} will do; not \"sleep\".\n</think>\n\n\"eat\"";
    let pieces: Vec<String> = thinking.chars().map(String::from).collect();
    let pieces: Vec<&str> = pieces.iter().map(String::as_str).collect();
    for act in [whole(&json!({"content": thinking})), stream_of(&pieces)] {
        let reply = ask(act).await;
        assert_eq!(texts(&reply), ["\"eat\""]);
        let reasoning = reply.candidates[0].reasoning.as_deref();
        assert_eq!(reasoning, Some("The first {one} will do; not \"sleep\"."));
    }
    for message in [
        json!({"content": "\"eat\"", "reasoning_content": "hungry"}),
        json!({"content": "\"eat\"", "reasoning": "hungry", "reasoning_details": [{"type": "reasoning.text", "text": "hungry"}]}),
        json!({"content": "hungry\n</think>\n```json\n\"eat\"\n```"}),
    ] {
        let reply = ask(whole(&message)).await;
        assert_eq!(texts(&reply), ["\"eat\""], "{message}");
        assert_eq!(reply.candidates[0].reasoning.as_deref(), Some("hungry"), "{message}");
    }
}

#[tokio::test]
async fn an_answer_in_a_code_fence_is_taken() {
    let reply = ask(stream_of(&["```json\n", "\"eat\"", "\n```"])).await;
    assert_eq!((texts(&reply), &reply.candidates[0].reasoning), (vec!["\"eat\""], &None));
}

#[tokio::test]
async fn a_stop_string_in_the_reasoning_does_not_cut_the_answer() {
    let mut request = choose();
    request.constraint = Constraint::line(200);
    request.stop = vec![";".into()];
    request.prefill = "say: ".into();
    let server = Server::start(vec![stream([
        piece("<think>one; two; say: </thi"),
        piece("nk>\nsay: "),
        piece("hello; and"),
        finish(0, "stop"),
    ])]);
    let reply = server.ask(&request).await.unwrap();
    assert_eq!((texts(&reply), &reply.candidates[0].finish), (vec!["hello"], &Finish::Stopped(";".into())));
    assert_eq!(reply.candidates[0].reasoning.as_deref(), Some("one; two; say:"));
}

#[tokio::test]
async fn reasoning_without_an_answer_says_so() {
    let act = || stream_of(&["<think>hungry, so I "]);
    let server = Server::start(vec![act(), act(), act()]);
    let reason = refused(&server).await;
    assert!(reason.contains("no answer after it"), "{reason}");
    // An answer that is cut while the model still thinks gets room for its reasoning, and is then taken as it is.
    let cut = || stream([piece("<think>hungry, so"), finish(0, "length")]);
    let server = Server::start(vec![cut(), cut()]);
    let reply = server.ask(&choose()).await.unwrap();
    let limits: Vec<Value> = (0..2).map(|_| server.seen().body["max_tokens"].clone()).collect();
    assert_eq!(limits, [json!(16), json!(16 + 4096)]);
    assert_eq!((texts(&reply), &reply.candidates[0].finish), (vec![""], &Finish::Length));
    assert_eq!(reply.candidates[0].reasoning.as_deref(), Some("hungry, so"));
}

#[tokio::test]
async fn an_error_event_is_an_error() {
    let error = Step::Send(b"event: error\ndata: {\"message\": \"out of memory\"}\n\n".to_vec());
    let mut server = Server::start(vec![stream([piece("\"ea"), error])]);
    server.options.max_attempts = 1;
    let error = server.ask(&choose()).await.unwrap_err();
    assert!(error.to_string().contains("out of memory"), "{error}");
}
