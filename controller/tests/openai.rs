//! The endpoint controller against a real server that behaves and misbehaves on purpose.

// What helpers of tests may do is what tests may do.
#![allow(clippy::unwrap_used)]

use serde_json::{Value, json};
use sojourn_controller::openai::{Dialect, OpenAiOptions};
use sojourn_controller::{
    Cancel, Constraint, Controller, ControllerError, Finish, Message, OpenAiController, Reply, Request,
    Sampling,
};
use std::io::{BufRead, BufReader, Read, Write};
use std::net::{TcpListener, TcpStream};
use std::sync::mpsc;
use std::time::Duration;

/// What the server does with one request.
enum Act {
    /// Answers with this status, header lines and body.
    Say(u16, &'static str, String),
    /// Reads the request and then says nothing for long.
    Hang,
    /// Closes the connection without a word.
    HangUp,
}

/// A request as the server saw it.
struct Seen {
    head: String,
    body: Value,
}

/// A server that does one act a connection, in order, and tells what it saw.
struct Server {
    options: OpenAiOptions,
    seen: mpsc::Receiver<Seen>,
}

impl Server {
    fn start(acts: Vec<Act>) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let address = listener.local_addr().unwrap();
        let (tell, seen) = mpsc::channel();
        std::thread::spawn(move || {
            for act in acts {
                let (stream, _) = listener.accept().unwrap();
                serve(stream, act, &tell);
            }
        });
        let mut options = OpenAiOptions::new(format!("http://{address}/v1"), "test-model");
        options.backoff_ms = 1;
        options.timeout_ms = 2_000;
        Self { options, seen }
    }

    async fn ask(&self, request: &Request) -> Result<Reply, ControllerError> {
        let controller = OpenAiController::new(self.options.clone()).unwrap();
        controller.complete(request, &Cancel::new()).await
    }

    fn seen(&self) -> Seen {
        self.seen.recv_timeout(Duration::from_secs(5)).unwrap()
    }
}

fn serve(stream: TcpStream, act: Act, tell: &mpsc::Sender<Seen>) {
    let mut reader = BufReader::new(stream.try_clone().unwrap());
    let mut head = String::new();
    while !head.ends_with("\r\n\r\n") {
        if reader.read_line(&mut head).unwrap() == 0 {
            return;
        }
    }
    let length = head.lines().find_map(|line| {
        let (name, value) = line.split_once(':')?;
        name.eq_ignore_ascii_case("content-length").then(|| value.trim().parse::<usize>().unwrap())
    });
    let mut body = vec![0; length.unwrap_or(0)];
    reader.read_exact(&mut body).unwrap();
    let _ = tell.send(Seen { head, body: serde_json::from_slice(&body).unwrap_or_default() });
    let mut stream = stream;
    match act {
        Act::Say(status, headers, body) => {
            let length = body.len();
            let _ = write!(
                stream,
                "HTTP/1.1 {status} Test\r\n{headers}content-length: {length}\r\nconnection: close\r\n\r\n{body}"
            );
        }
        Act::Hang => std::thread::sleep(Duration::from_secs(20)),
        Act::HangUp => {}
    }
}

const JSON: &str = "content-type: application/json\r\n";

/// A well-formed answer with these texts.
fn say(texts: &[&str]) -> Act {
    let choices: Vec<Value> = texts
        .iter()
        .map(|text| json!({"message": {"role": "assistant", "content": text}, "finish_reason": "stop"}))
        .collect();
    let usage = json!({
        "prompt_tokens": 11, "completion_tokens": 3, "prompt_tokens_details": {"cached_tokens": 8}
    });
    Act::Say(200, JSON, json!({"choices": choices, "usage": usage}).to_string())
}

fn choose() -> Request {
    let mut request =
        Request::new(vec![Message::user("eat or sleep?")], Constraint::choice(["eat", "sleep"]), 16);
    request.sampling = Sampling::varied(0.5, 9);
    request
}

#[tokio::test]
async fn it_sends_the_schema_and_reads_the_answer() {
    let server = Server::start(vec![say(&["\"eat\""])]);
    let reply = server.ask(&choose()).await.unwrap();
    assert_eq!(reply.candidates[0].text, "\"eat\"");
    assert_eq!(reply.candidates[0].finish, Finish::Complete);
    assert_eq!((reply.usage.prompt_tokens, reply.usage.cached_tokens), (11, 8));
    let Seen { head, body } = server.seen();
    assert!(head.starts_with("POST /v1/chat/completions "), "{head}");
    assert!(!head.to_lowercase().contains("authorization"), "{head}");
    assert_eq!(body["model"], "test-model");
    assert_eq!(body["response_format"]["json_schema"]["schema"]["enum"], json!(["eat", "sleep"]));
    assert_eq!((&body["seed"], &body["max_tokens"], &body["n"]), (&json!(9), &json!(16), &json!(1)));
    assert_eq!(body.get("min_p"), None);
}

#[tokio::test]
async fn it_waits_out_a_busy_and_a_failing_server() {
    let server = Server::start(vec![
        Act::Say(429, "retry-after: 0\r\n", "slow down".into()),
        Act::Say(503, JSON, "{}".into()),
        Act::HangUp,
        say(&["\"sleep\""]),
    ]);
    assert_eq!(server.ask(&choose()).await.unwrap().candidates[0].text, "\"sleep\"");
}

#[tokio::test]
async fn it_gives_up_on_a_server_that_stays_busy() {
    let busy = || Act::Say(429, JSON, json!({"error": {"message": "quota spent"}}).to_string());
    let mut server = Server::start(vec![busy(), busy(), busy()]);
    server.options.tries = 2;
    let error = server.ask(&choose()).await.unwrap_err();
    let ControllerError::Refused { status: 429, reason, .. } = &error else { panic!("{error}") };
    assert_eq!(reason, "quota spent");
}

#[tokio::test]
async fn it_does_not_repeat_a_request_that_was_refused() {
    let server = Server::start(vec![Act::Say(400, JSON, "{\"error\": \"no such model\"}".into())]);
    let error = server.ask(&choose()).await.unwrap_err();
    let ControllerError::Refused { status: 400, reason, .. } = &error else { panic!("{error}") };
    assert_eq!(reason, "no such model");
}

#[tokio::test]
async fn what_is_no_chat_completion_is_an_error_that_says_so() {
    let cases = [
        (Act::Say(200, JSON, "{\"choices\": [".into()), "EOF"),
        (
            Act::Say(200, "content-type: text/html\r\n", "<html>log in</html>".into()),
            "expected JSON, got text/html",
        ),
        (Act::Say(200, JSON, "{\"choices\": []}".into()), "no choices"),
        (Act::Say(200, JSON, "[1, 2]".into()), "expected"),
        (
            Act::Say(200, JSON, json!({"choices": [{"message": {"refusal": "no."}}]}).to_string()),
            "the model refused: no.",
        ),
    ];
    for (act, part) in cases {
        let server = Server::start(vec![act]);
        let error = server.ask(&choose()).await.unwrap_err();
        assert!(matches!(error, ControllerError::Garbled { .. }), "{error}");
        assert!(error.to_string().contains(part), "{error}");
    }
}

#[tokio::test]
async fn a_server_that_hangs_is_unreachable() {
    let mut server = Server::start(vec![Act::Hang]);
    server.options.timeout_ms = 100;
    server.options.tries = 1;
    let error = server.ask(&choose()).await.unwrap_err();
    let ControllerError::Unreachable { reason, .. } = &error else { panic!("{error}") };
    assert_eq!(reason, "no answer in time");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_deadline_and_a_cancellation_end_the_wait_with_an_answer() {
    let server = Server::start(vec![Act::Hang]);
    let mut request = choose();
    request.candidates = 2;
    request.deadline_ms = Some(50);
    let reply = server.ask(&request).await.unwrap();
    assert_eq!(reply.candidates.len(), 2);
    assert_eq!(reply.candidates[1].finish, Finish::Deadline);

    let server = Server::start(vec![Act::Hang]);
    let controller = OpenAiController::new(server.options.clone()).unwrap();
    let cancel = Cancel::new();
    let (request, switch) = (choose(), cancel.clone());
    let answer = tokio::spawn(async move { controller.complete(&request, &cancel).await });
    server.seen();
    switch.cancel();
    assert_eq!(answer.await.unwrap().unwrap().candidates[0].finish, Finish::Cancelled);
}

#[tokio::test]
async fn answers_that_break_the_constraint_or_are_missing_are_asked_for_again() {
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
async fn a_server_that_never_obeys_is_an_error() {
    let server = Server::start(vec![say(&["run"]), say(&["\"jump\""]), say(&["\"fly\""])]);
    let error = server.ask(&choose()).await.unwrap_err();
    let ControllerError::Unconstrained { attempts: 3, reason } = &error else { panic!("{error}") };
    assert!(reason.contains("fly"), "{reason}");
}

#[tokio::test]
async fn a_grammar_and_a_prefill_reach_each_kind_of_server() {
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
            assert!(words.contains("start: \"a\"+") && words.contains("say: "), "{words}");
        }
    }
}

#[tokio::test]
async fn the_key_is_sent_and_never_told() {
    // A variable that is surely set: cargo gives it to every test.
    let variable = "CARGO_PKG_NAME";
    let key = std::env::var(variable).unwrap();
    let mut server = Server::start(vec![Act::Say(401, JSON, format!("{{\"error\": \"bad key {key}\"}}"))]);
    server.options.key_variable = Some(variable.into());
    let controller = OpenAiController::new(server.options.clone()).unwrap();
    assert!(!format!("{controller:?}").contains(&key));
    let error = controller.complete(&choose(), &Cancel::new()).await.unwrap_err();
    assert!(error.to_string().contains("bad key [key]"), "{error}");
    assert!(!format!("{error:?}").contains(&key));
    assert!(server.seen().head.contains(&format!("Bearer {key}")));
}

#[test]
fn a_bad_configuration_is_found_before_the_first_request() {
    let open = |base: &str, variable: Option<&str>| {
        let mut options = OpenAiOptions::new(base, "m");
        options.key_variable = variable.map(str::to_owned);
        OpenAiController::new(options).unwrap_err()
    };
    for base in ["not an address", "ftp://host/v1", "http://user:password@host/v1"] {
        let error = open(base, None);
        assert!(matches!(error, ControllerError::BadEndpoint { .. }), "{error}");
        assert!(!error.to_string().contains("password@"), "{error}");
    }
    let error = open("http://localhost/v1", Some("SOJOURN_TEST_NO_SUCH_KEY"));
    assert!(error.to_string().contains("`SOJOURN_TEST_NO_SUCH_KEY` is not set"), "{error}");
}
