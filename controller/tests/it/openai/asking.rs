//! Requests, and answers without streaming.

use super::server::{
    JSON, ReceivedRequest, Server, answer, choose, event, finish, hang, piece, refused, say, stream,
    stream_of, texts,
};
use serde_json::{Value, json};
use sojourn_controller::openai::{Dialect, OpenAiOptions, Price};
use sojourn_controller::{Cancel, Constraint, Controller, ControllerError, Finish, OpenAiController, Reply};

#[tokio::test]
async fn schema_is_sent_and_answer_is_read() {
    let server = Server::start(vec![say(&["\"eat\""])]);
    let reply = server.ask(&choose()).await.unwrap();
    assert_eq!(reply.candidates[0].text, "\"eat\"");
    assert_eq!(reply.candidates[0].finish, Finish::Complete);
    assert_eq!((reply.usage.prompt_tokens, reply.usage.cached_tokens), (11, 8));
    let ReceivedRequest { head, body } = server.seen();
    assert!(head.starts_with("POST /v1/chat/completions "), "{head}");
    assert!(!head.to_lowercase().contains("authorization"), "{head}");
    assert_eq!(body["model"], "test-model");
    assert_eq!(body["response_format"]["json_schema"]["schema"]["enum"], json!(["eat", "sleep"]));
    assert_eq!((&body["seed"], &body["max_tokens"], &body["n"]), (&json!(9), &json!(16), &json!(1)));
    assert_eq!(body.get("min_p"), None);
}

#[tokio::test(flavor = "multi_thread")]
async fn deadline_and_cancellation_yield_a_reply() {
    let server = Server::start(vec![hang()]);
    let mut request = choose();
    request.candidates = 2;
    request.deadline_ms = Some(50);
    let reply = server.ask(&request).await.unwrap();
    assert_eq!(reply.candidates.len(), 2);
    assert_eq!(reply.candidates[1].finish, Finish::Deadline);

    let server = Server::start(vec![hang()]);
    let controller = server.controller();
    let cancel = Cancel::new();
    let (request, switch) = (choose(), cancel.clone());
    let answer = tokio::spawn(async move { controller.complete(&request, &cancel).await });
    server.seen();
    switch.cancel();
    assert_eq!(answer.await.unwrap().unwrap().candidates[0].finish, Finish::Cancelled);
}

#[tokio::test]
async fn violating_and_missing_answers_are_requested_again() {
    let server = Server::start(vec![say(&["\"run\"", "\"eat\""]), say(&["\"sleep\""]), say(&["\"eat\""])]);
    let mut request = choose();
    request.candidates = 3;
    let reply = server.ask(&request).await.unwrap();
    let texts: Vec<&str> = reply.complete().collect();
    assert_eq!(texts, ["\"eat\"", "\"sleep\"", "\"eat\""]);
    let asked: Vec<(Value, Value)> =
        (0..3).map(|_| server.seen().body).map(|body| (body["n"].clone(), body["seed"].clone())).collect();
    assert_eq!(asked, [(json!(3), json!(9)), (json!(2), json!(10)), (json!(1), json!(11))]);
}

#[tokio::test]
async fn a_server_that_always_violates_has_no_answer() {
    let server = Server::start(vec![say(&["run"]), say(&["\"jump\""]), say(&["\"fly\""])]);
    let reason = refused(&server).await;
    assert!(reason.contains("fly"), "{reason}");
    assert_eq!(server.asked(), 3);
}

#[tokio::test]
async fn grammar_and_prefill_reach_every_dialect() {
    let mut request = choose();
    request.constraint = Constraint::Lark("start: \"a\"+".into());
    request.prefill = "say: ".into();
    for (dialect, field) in [
        (Dialect::LlamaCpp, Some("grammar")),
        (Dialect::Vllm, Some("structured_outputs")),
        (Dialect::OpenAi, None),
    ] {
        let mut server = Server::start(vec![say(&["say: aaa"])]);
        server.options.dialect = dialect;
        assert_eq!(server.ask(&request).await.unwrap().candidates[0].text, "aaa");
        let body = server.seen().body;
        let last = body["messages"].as_array().unwrap().last().unwrap();
        if let Some(field) = field {
            assert!(body[field].to_string().contains("start: "), "{body}");
            assert_eq!((&last["role"], &last["content"]), (&json!("assistant"), &json!("say: ")));
        } else {
            let words = last["content"].as_str().unwrap();
            assert!(words.contains("the whole text") && words.ends_with("say:"), "{words}");
            assert!(!body.to_string().contains("start: "), "a grammar was sent: {body}");
        }
    }
}

#[tokio::test]
async fn a_whole_function_is_taken_fenced_or_plain() {
    let mut request = choose();
    request.constraint = Constraint::Lark("start: /[^}]*\\}/".into());
    request.prefill = "function walk(n) {\n".into();
    for text in [
        "function walk(n) {\n  go(n);\n}",
        "```js\nfunction walk(n) {\n  go(n);\n}\n```",
        "Sure:\n\n```javascript\nfunction walk (n)\n{\n  go(n);\n}\n```\n\nIt walks.",
        "  go(n);\n}",
    ] {
        for act in [say(&[text]), stream_of(&[&text[..1], &text[1..9], &text[9..]])] {
            let server = Server::start(vec![act]);
            let reply = server.ask(&request).await.unwrap();
            assert_eq!(texts(&reply)[0].trim(), "go(n);\n}", "{text}");
        }
    }
}

#[tokio::test]
async fn a_server_without_response_format_gets_the_schema_in_words() {
    let unavailable =
        json!({"error": {"message": "This response_format type is unavailable now"}}).to_string();
    let server = Server::start(vec![
        answer(400, JSON, &unavailable),
        say(&["```json\n\"eat\"\n```"]),
        say(&["\"sleep\""]),
    ]);
    let controller = server.controller();
    for expected in ["\"eat\"", "\"sleep\""] {
        let reply = controller.complete(&choose(), &Cancel::new()).await.unwrap();
        assert_eq!(texts(&reply), [expected]);
    }
    server.seen();
    for _ in 0..2 {
        let body = server.seen().body;
        let words = body["messages"][0]["content"].as_str().unwrap();
        assert!(words.contains("JSON Schema") && words.contains("\"sleep\""), "{words}");
        assert_eq!(body.get("response_format"), None);
    }
}

#[tokio::test]
async fn a_server_that_ignores_the_schema_gets_it_in_words_too() {
    let server = Server::start(vec![say(&["I eat."]), say(&["\"eat\""])]);
    assert_eq!(texts(&server.ask(&choose()).await.unwrap()), ["\"eat\""]);
    assert!(!server.seen().body["messages"].to_string().contains("JSON Schema"));
    let body = server.seen().body;
    assert!(body["messages"].to_string().contains("JSON Schema") && body.get("response_format").is_some());
}

#[test]
fn invalid_configuration_is_reported_before_the_first_request() {
    let open = |base: &str, variable: Option<&str>| {
        let mut options = OpenAiOptions::new(base, "m");
        options.api_key_env = variable.map(str::to_owned);
        OpenAiController::new(options).unwrap_err()
    };
    for base in
        ["not an address", "ftp://host/v1", "http://user:password@host/v1", "http://host/v1?key=password@"]
    {
        let error = open(base, None);
        assert!(matches!(error, ControllerError::BadEndpoint { .. }), "{error}");
        assert!(!error.to_string().contains("password@"), "{error}");
    }
    let error = open("http://localhost/v1", Some("SOJOURN_TEST_NO_SUCH_KEY"));
    assert!(error.to_string().contains("set the environment variable `SOJOURN_TEST_NO_SUCH_KEY`"), "{error}");
}

#[test]
fn invalid_limits_and_prices_are_reported() {
    let open = |change: fn(&mut OpenAiOptions)| {
        let mut options = OpenAiOptions::new("http://localhost/v1", "m");
        change(&mut options);
        OpenAiController::new(options).unwrap_err().to_string()
    };
    assert!(open(|options| options.timeout_ms = 0).contains("`timeout_ms` cannot be 0"));
    assert!(
        open(|options| options.requests_per_minute = Some(0)).contains("`requests_per_minute` cannot be 0")
    );
    assert!(open(|options| options.max_concurrent = Some(0)).contains("`max_concurrent` cannot be 0"));
    for error in [
        open(|options| options.price = Some(Price { prompt: -1.0, cached: None, completion: 1.0 })),
        open(|options| options.price = Some(Price { prompt: 1.0, cached: Some(f64::NAN), completion: 1.0 })),
    ] {
        assert!(error.contains("at least 0"), "{error}");
    }
}

#[tokio::test]
async fn single_answers_are_requested_until_enough() {
    let server = Server::start((0..5).map(|_| say(&["\"eat\""])).collect());
    let mut request = choose();
    request.candidates = 5;
    let reply = server.ask(&request).await.unwrap();
    assert_eq!(texts(&reply), ["\"eat\""; 5]);
    let seeds: Vec<Value> = (0..5).map(|_| server.seen().body["seed"].clone()).collect();
    assert_eq!(seeds, [9, 10, 11, 12, 13].map(Value::from));
}

#[tokio::test]
async fn cost_is_reported_if_prices_and_tokens_are_known() {
    let price = Price { prompt: 1000.0, cached: Some(100.0), completion: 2000.0 };
    let once = (3.0 * 1000.0 + 8.0 * 100.0 + 3.0 * 2000.0) / 1e6;

    let server = Server::start(vec![say(&["\"eat\""])]);
    assert_eq!(server.ask(&choose()).await.unwrap().cost_usd, None);

    // Rejected answers count towards the cost.
    let mut server = Server::start(vec![say(&["\"run\""]), stream_of(&["\"eat\""])]);
    server.options.price = Some(price);
    let reply = server.ask(&choose()).await.unwrap();
    assert!((reply.cost_usd.unwrap() - 2.0 * once).abs() < 1e-9, "{:?}", reply.cost_usd);
    // The cost round-trips through the log.
    let text = serde_json::to_string(&reply).unwrap();
    assert_eq!(serde_json::from_str::<Reply>(&text).unwrap(), reply);

    let mut server = Server::start(vec![stream([piece("\"eat\""), finish(0, "stop"), event("[DONE]")])]);
    server.options.price = Some(price);
    let reply = server.ask(&choose()).await.unwrap();
    // The server reports no usage, so the single chunk is counted.
    assert_eq!((reply.usage.completion_tokens, reply.cost_usd), (1, None));
}
