//! Faulty servers.

use super::server::{
    Act, JSON, Server, Step, answer, choose, event, finish, goodbye, hang, piece, refused, say, stream,
    stream_of, texts,
};
use serde_json::json;
use sojourn_controller::{Cancel, Controller, ControllerError, Finish};
use std::time::Duration;

/// The error for one request with one attempt.
async fn error(act: Act) -> ControllerError {
    let mut server = Server::start(vec![act]);
    server.options.max_attempts = 1;
    server.ask(&choose()).await.unwrap_err()
}

#[tokio::test]
async fn invalid_responses_are_errors_with_a_reason() {
    let cases = [
        (answer(200, JSON, "{\"choices\": ["), "EOF"),
        (answer(200, "content-type: text/html\r\n", "<html>log in</html>"), "expected JSON, got text/html"),
        (answer(200, JSON, "{\"choices\": []}"), "no choices"),
        (answer(200, JSON, "{\"detail\": \"no such route\"}"), "no choices: {\"detail\": \"no such route\"}"),
        (answer(200, JSON, "[1, 2]"), "expected"),
    ];
    for (act, part) in cases {
        let server = Server::start(vec![act]);
        let error = server.ask(&choose()).await.unwrap_err();
        assert!(matches!(error, ControllerError::InvalidResponse { .. }), "{error}");
        assert!(error.to_string().contains(part), "{error}");
    }
}

#[tokio::test]
async fn hanging_server_is_unreachable() {
    let mut server = Server::start(vec![hang()]);
    server.options.timeout_ms = 100;
    server.options.max_attempts = 1;
    let error = server.ask(&choose()).await.unwrap_err();
    let ControllerError::Unreachable { reason, .. } = &error else { panic!("{error}") };
    assert_eq!(reason, "the server did not answer in time");
}

#[tokio::test]
async fn busy_and_failing_servers_are_retried() {
    let server = Server::start(vec![
        answer(429, "retry-after: 0\r\n", "slow down"),
        answer(503, JSON, "{}"),
        Vec::new(),
        say(&["\"sleep\""]),
    ]);
    assert_eq!(server.ask(&choose()).await.unwrap().candidates[0].text, "\"sleep\"");
}

#[tokio::test]
async fn retries_are_limited() {
    let busy = || answer(429, JSON, "{\"error\": {\"message\": \"quota spent\"}}");
    let mut server = Server::start(vec![busy(), busy(), busy()]);
    server.options.max_attempts = 2;
    let error = server.ask(&choose()).await.unwrap_err();
    let ControllerError::Refused { status: 429, reason, .. } = &error else { panic!("{error}") };
    assert_eq!(reason, "quota spent");
}

#[tokio::test]
async fn client_errors_are_not_retried() {
    let server = Server::start(vec![answer(400, JSON, "{\"error\": \"no such model\"}")]);
    let error = server.ask(&choose()).await.unwrap_err();
    let ControllerError::Refused { status: 400, reason, .. } = &error else { panic!("{error}") };
    assert_eq!(reason, "no such model");
}

#[tokio::test]
async fn error_quotes_a_page_title_and_may_be_truncated() {
    let html = "<html><head><title>502 Bad Gateway</title></head><body>nginx</body></html>";
    let error_of_page = error(answer(502, "content-type: text/html\r\n", html)).await;
    let ControllerError::Refused { status: 502, reason, .. } = &error_of_page else {
        panic!("{error_of_page}")
    };
    assert_eq!(reason, "an HTML page: 502 Bad Gateway");

    let short = "HTTP/1.1 500 Test\r\ncontent-length: 99\r\n\r\nout of mem";
    let error = error(vec![Step::Send(short.into())]).await;
    let ControllerError::Refused { status: 500, reason, .. } = &error else { panic!("{error}") };
    assert_eq!(reason, "out of mem");
}

#[tokio::test]
async fn retry_after_date_is_honoured_and_can_be_cancelled() {
    let past = "retry-after: Wed, 21 Oct 2015 07:28:00 GMT\r\n";
    let mut server = Server::start(vec![answer(429, past, "slow down"), stream_of(&["\"eat\""])]);
    // If the date were not parsed, the delay would exceed the test's time limit.
    server.options.backoff_ms = u64::MAX;
    let request = choose();
    let reply = tokio::time::timeout(sojourn_testkit::PATIENCE, server.ask(&request)).await;
    assert_eq!(texts(&reply.unwrap().unwrap()), ["\"eat\""]);

    let server = Server::start(vec![answer(429, "retry-after: 999999\r\n", "slow down")]);
    let mut request = choose();
    request.deadline_ms = Some(500);
    let reply = tokio::time::timeout(sojourn_testkit::PATIENCE, server.ask(&request)).await;
    assert_eq!(reply.unwrap().unwrap().candidates[0].finish, Finish::Deadline);
}

#[tokio::test]
async fn invalid_streams_are_errors_with_a_reason() {
    let bytes = |bytes: &[u8]| Step::Send(bytes.to_vec());
    for (steps, part) in [
        (vec![piece("\"ea"), bytes(b"Segmentation fault\n")], "not an event stream"),
        (vec![piece("\"ea"), event("{\"choices\": [{")], "EOF"),
        (vec![event("[1, 2]")], "expected"),
        (vec![event("null")], "null"),
        (vec![bytes(b"data: {\"choices\": [{\"delta\": {\"content\": \"\xff\xfe\"}}]}\n\n")], "utf8"),
        (vec![event("{}"), event("[DONE]")], "no choices"),
    ] {
        let error = error(stream(steps)).await;
        assert!(matches!(error, ControllerError::InvalidResponse { .. }), "{error}");
        assert!(error.to_string().contains(part), "{error}");
    }
}

#[tokio::test]
async fn interrupted_stream_is_retried() {
    let middle = || stream([piece("\"sle")]);
    // With chunked encoding, the early end is a connection error.
    let chunked = "HTTP/1.1 200 OK\r\ncontent-type: text/event-stream\r\ntransfer-encoding: chunked\r\n\r\n\
                   ff\r\ndata: {\"choi";
    let cut = || vec![Step::Send(chunked.into())];
    let server = Server::start(vec![middle(), cut(), stream_of(&["\"e", "at\""])]);
    assert_eq!(texts(&server.ask(&choose()).await.unwrap()), ["\"eat\""]);

    for acts in [vec![middle(), middle()], vec![cut(), cut()], vec![stream([]), stream([])]] {
        let mut server = Server::start(acts);
        server.options.max_attempts = 2;
        let error = server.ask(&choose()).await.unwrap_err();
        assert!(matches!(error, ControllerError::StreamInterrupted { .. }), "{error}");
        assert_eq!(server.asked(), 2);
    }
}

#[tokio::test]
async fn error_objects_are_reported_and_retried_by_code() {
    let busy = json!({"error": {"message": "overloaded", "code": 503}}).to_string();
    let broken = json!({"error": {"message": "the worker died", "type": "server_error"}}).to_string();
    let server = Server::start(vec![
        stream([piece("\"ea"), event(&busy)]),
        stream([event(&broken)]),
        answer(200, JSON, &busy),
        stream_of(&["\"eat\""]),
    ]);
    assert_eq!(texts(&server.ask(&choose()).await.unwrap()), ["\"eat\""]);

    let lasting = json!({"error": {"message": "the context is too small", "code": 400}}).to_string();
    let server = Server::start(vec![stream([event(&lasting)]), stream_of(&["\"eat\""])]);
    let refused = server.ask(&choose()).await.unwrap_err();
    assert!(matches!(refused, ControllerError::Refused { status: 400, .. }), "{refused}");
    assert!(refused.to_string().contains("the context is too small"), "{refused}");

    let error = error(stream([event(&broken)])).await;
    assert!(error.to_string().contains("interrupted its answer: the worker died"), "{error}");
}

#[tokio::test(flavor = "multi_thread")]
async fn silence_and_endless_keep_alives_time_out() {
    let pause = Duration::from_millis(10);
    let nothing = "data: {\"choices\": [{\"delta\": {\"role\": \"assistant\", \"content\": \"\"}}]}\n\n";
    let plain = format!("HTTP/1.1 200 OK\r\n{JSON}\r\n");
    for act in [
        stream([piece("\"ea"), Step::Hold]),
        stream([piece("\"ea"), Step::Repeat(b": still here\n\n".to_vec(), pause)]),
        stream([Step::Repeat(nothing.into(), pause)]),
        vec![Step::Send(plain.into()), Step::Repeat(b" ".to_vec(), pause)],
    ] {
        let mut server = Server::start(vec![act]);
        server.options.max_attempts = 1;
        // Longer than a busy machine needs for the first piece.
        server.options.timeout_ms = 2000;
        let error = server.ask(&choose()).await.unwrap_err();
        assert!(matches!(error, ControllerError::StreamInterrupted { .. }), "{error}");
        let message = error.to_string();
        assert!(message.contains("sent nothing for") || message.contains("arrived for"), "{message}");
        server.is_left();
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn endless_response_is_cut_at_a_limit() {
    let now = Duration::ZERO;
    let line = vec![b'~'; 64 << 10];
    let talk = "data: {\"choices\": [{\"delta\": {\"content\": \"and so on \"}}]}\n\n".repeat(1000);
    let plain = format!("HTTP/1.1 200 OK\r\n{JSON}\r\n\"");
    for act in [
        stream([Step::Repeat(line.clone(), now)]),
        stream([Step::Repeat(talk.into(), now)]),
        vec![Step::Send(plain.into()), Step::Repeat(line, now)],
    ] {
        let server = Server::start(vec![act]);
        let error = server.ask(&choose()).await.unwrap_err();
        assert!(matches!(error, ControllerError::InvalidResponse { .. }), "{error}");
        assert!(error.to_string().contains("the response is longer than"), "{error}");
        server.is_left();
    }
}

#[tokio::test]
async fn a_refused_answer_is_no_failure_of_the_server() {
    let refusing =
        json!({"choices": [{"message": {"content": null, "refusal": "no."}, "finish_reason": "stop"}]});
    let whole = || answer(200, JSON, &refusing.to_string());
    let streamed = || {
        stream([event("{\"choices\": [{\"delta\": {\"refusal\": \"no.\"}, \"finish_reason\": \"stop\"}]}")])
    };
    let policy = json!({"error": {"message": "The prompt was filtered by our content management policy."}});
    let filtered = || answer(400, JSON, &policy.to_string());
    for (acts, part) in [
        ([whole(), streamed(), whole()], "the model refused to answer: no."),
        ([streamed(), whole(), filtered()], "content management policy"),
        ([filtered(), filtered(), streamed()], "the model refused to answer: no."),
    ] {
        let reason = refused(&Server::start(acts.into())).await;
        assert!(reason.contains(part), "{reason}");
    }
    // The model is asked again before its refusal counts.
    let server = Server::start(vec![whole(), say(&["\"eat\""])]);
    assert_eq!(texts(&server.ask(&choose()).await.unwrap()), ["\"eat\""]);
}

#[tokio::test]
async fn answers_without_text_are_requested_again() {
    let call = json!({"choices": [{"delta": {"tool_calls": [{"index": 0, "function": {"name": "eat"}}]}}]});
    let called = || stream([event(&call.to_string()), finish(0, "tool_calls")].into_iter().chain(goodbye()));
    let empty = || stream([finish(0, "stop")].into_iter().chain(goodbye()));
    let filtered = || stream([piece("\"eat\""), finish(0, "content_filter")].into_iter().chain(goodbye()));
    let whole = json!({"choices": [{"message": {"content": null, "tool_calls": [{}]}, "finish_reason": "tool_calls"}]});
    let whole = || answer(200, JSON, &whole.to_string());
    let server = Server::start(vec![called(), filtered(), stream_of(&["\"eat\""])]);
    assert_eq!(texts(&server.ask(&choose()).await.unwrap()), ["\"eat\""]);
    for (acts, part) in [
        ([empty(), filtered(), called()], "a tool call"),
        ([empty(), called(), whole()], "a tool call"),
        ([called(), empty(), filtered()], "content filter"),
        ([called(), whole(), empty()], "the answer is empty"),
    ] {
        let reason = refused(&Server::start(acts.into())).await;
        assert!(reason.contains(part), "{reason}");
    }
}

#[tokio::test]
async fn api_key_is_sent_but_never_printed() {
    // A variable that cargo sets for every test.
    let variable = "CARGO_PKG_NAME";
    let key = std::env::var(variable).unwrap();
    let object = json!({"error": {"message": format!("bad key {key}")}}).to_string();
    let refusal = json!({"choices": [{"message": {"refusal": format!("I saw {key}")}}]}).to_string();
    let acts = || {
        vec![
            vec![answer(401, JSON, &object)],
            vec![answer(502, "", &format!("<title>{key}</title>"))],
            vec![answer(200, "content-type: text/plain\r\n", &key)],
            vec![answer(200, JSON, &format!("{{{key}"))],
            vec![answer(200, JSON, &refusal), answer(200, JSON, &refusal), answer(200, JSON, &refusal)],
            vec![stream([event(&format!("{{{key}"))])],
            vec![stream([event(&object)])],
            vec![say(&[&key]), say(&[&key]), say(&[&key])],
        ]
    };
    for acts in acts() {
        let mut server = Server::start(acts);
        server.options.api_key_env = Some(variable.into());
        server.options.max_attempts = 1;
        let controller = server.controller();
        assert!(!format!("{controller:?}").contains(&key));
        let outcome = controller.complete(&choose(), &Cancel::new()).await;
        assert!(outcome.as_ref().map_or(true, |reply| reply.refusal().is_some()), "{outcome:?}");
        assert!(!format!("{outcome:?}").contains(&key), "{outcome:?}");
        assert!(server.seen().head.contains(&format!("Bearer {key}")));
    }
}
