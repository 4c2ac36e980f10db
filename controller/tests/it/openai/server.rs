//! A scripted HTTP server.

use serde_json::{Value, json};
use sojourn_controller::openai::OpenAiOptions;
use sojourn_controller::{
    Cancel, Constraint, Controller, ControllerError, Message, OpenAiController, Reply, Request, Sampling,
};
use std::io::{BufRead, BufReader, Read, Write};
use std::net::{TcpListener, TcpStream};
use std::sync::mpsc;
use std::time::Duration;

/// The steps of the server for one connection, which it closes afterwards.
pub type Act = Vec<Step>;

pub enum Step {
    /// Sends these bytes.
    Send(Vec<u8>),
    /// Sends these bytes repeatedly, with a pause in between, until the client disconnects.
    Repeat(Vec<u8>, Duration),
    Pause(Duration),
    /// Waits for the next request on the same connection, or for its end.
    Next,
    /// Reports to the test that this step was reached.
    Mark(&'static str),
    /// Waits until the client closes the connection, and reports it to the test.
    Hold,
}

/// A request as the server received it.
pub struct ReceivedRequest {
    pub head: String,
    pub body: Value,
}

/// An event that the server reports to the test.
pub enum News {
    Connected,
    Asked(ReceivedRequest),
    Mark(&'static str),
    /// The client closed the connection.
    Left,
}

/// A server that runs one script per connection, in order, and reports events.
pub struct Server {
    pub options: OpenAiOptions,
    news: mpsc::Receiver<News>,
}

impl Server {
    pub fn start(acts: Vec<Act>) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let address = listener.local_addr().unwrap();
        let (tell, news) = mpsc::channel();
        std::thread::spawn(move || {
            for act in acts {
                let (stream, _) = listener.accept().unwrap();
                let tell = tell.clone();
                std::thread::spawn(move || serve(stream, act, &tell));
            }
        });
        let mut options = OpenAiOptions::new(format!("http://{address}/v1"), "test-model");
        options.backoff_ms = 1;
        options.timeout_ms = 120_000;
        Self { options, news }
    }

    pub fn controller(&self) -> OpenAiController {
        OpenAiController::new(self.options.clone()).unwrap()
    }

    pub async fn ask(&self, request: &Request) -> Result<Reply, ControllerError> {
        self.controller().complete(request, &Cancel::new()).await
    }

    pub fn news(&self) -> News {
        self.news.recv_timeout(sojourn_testkit::PATIENCE).unwrap()
    }

    /// Waits for the next request.
    pub fn seen(&self) -> ReceivedRequest {
        loop {
            if let News::Asked(seen) = self.news() {
                return seen;
            }
        }
    }

    /// Waits until the server reaches this mark. It blocks its thread, so the client must run on another one.
    pub fn reaches(&self, mark: &str) {
        while !matches!(self.news(), News::Mark(told) if told == mark) {}
    }

    /// Waits until the client has closed a connection that the server would have kept.
    pub fn is_left(&self) {
        while !matches!(self.news(), News::Left) {}
    }

    /// Number of further requests.
    pub fn asked(&self) -> usize {
        self.news.try_iter().filter(|news| matches!(news, News::Asked(_))).count()
    }

    /// Number of connections, if no other event was consumed before.
    pub fn connected(&self) -> usize {
        self.news.try_iter().filter(|news| matches!(news, News::Connected)).count()
    }
}

fn serve(mut stream: TcpStream, act: Act, tell: &mpsc::Sender<News>) {
    let mut reader = BufReader::new(stream.try_clone().unwrap());
    let _ = tell.send(News::Connected);
    if hear(&mut reader, tell).is_none() {
        return;
    }
    for step in act {
        match step {
            Step::Send(bytes) => {
                if stream.write_all(&bytes).is_err() {
                    break;
                }
            }
            Step::Repeat(bytes, pause) => {
                while stream.write_all(&bytes).is_ok() {
                    std::thread::sleep(pause);
                }
                let _ = tell.send(News::Left);
            }
            Step::Next => {
                if hear(&mut reader, tell).is_none() {
                    break;
                }
            }
            Step::Pause(time) => std::thread::sleep(time),
            Step::Mark(mark) => {
                let _ = tell.send(News::Mark(mark));
            }
            Step::Hold => {
                // Both an end and an error mean that the client is gone.
                while reader.read(&mut [0; 64]).is_ok_and(|read| read > 0) {}
                let _ = tell.send(News::Left);
            }
        }
    }
}

/// Reads one request; `None` at the end of the connection.
fn hear(reader: &mut BufReader<TcpStream>, tell: &mpsc::Sender<News>) -> Option<()> {
    let mut head = String::new();
    while !head.ends_with("\r\n\r\n") {
        if reader.read_line(&mut head).ok()? == 0 {
            return None;
        }
    }
    let length = head.lines().find_map(|line| {
        let (name, value) = line.split_once(':')?;
        name.eq_ignore_ascii_case("content-length").then(|| value.trim().parse::<usize>().unwrap())
    });
    let mut body = vec![0; length.unwrap_or(0)];
    reader.read_exact(&mut body).ok()?;
    let body = serde_json::from_slice(&body).unwrap_or_default();
    tell.send(News::Asked(ReceivedRequest { head, body })).ok()
}

pub const JSON: &str = "content-type: application/json\r\n";
const EVENTS: &str = "content-type: text/event-stream\r\n";

/// Answers with this status, header lines and body.
pub fn answer(status: u16, headers: &str, body: &str) -> Act {
    let length = body.len();
    let head = format!(
        "HTTP/1.1 {status} Test\r\n{headers}content-length: {length}\r\nconnection: close\r\n\r\n{body}"
    );
    vec![Step::Send(head.into_bytes())]
}

/// Reads the request and never answers.
pub fn hang() -> Act {
    vec![Step::Hold]
}

/// A well-formed response with these texts.
pub fn say(texts: &[&str]) -> Act {
    let choices: Vec<Value> = texts
        .iter()
        .map(|text| json!({"message": {"role": "assistant", "content": text}, "finish_reason": "stop"}))
        .collect();
    answer(200, JSON, &json!({"choices": choices, "usage": usage()}).to_string())
}

pub fn usage() -> Value {
    json!({"prompt_tokens": 11, "completion_tokens": 3, "prompt_tokens_details": {"cached_tokens": 8}})
}

/// The header of an event stream that ends with the connection, followed by these steps.
pub fn stream(steps: impl IntoIterator<Item = Step>) -> Act {
    let head = format!("HTTP/1.1 200 OK\r\n{EVENTS}connection: close\r\n\r\n");
    std::iter::once(Step::Send(head.into_bytes())).chain(steps).collect()
}

/// An event.
pub fn event(data: &str) -> Step {
    Step::Send(format!("data: {data}\n\n").into_bytes())
}

/// A chunk of the answer with this index.
pub fn piece_of(index: u32, text: &str) -> Step {
    event(&json!({"choices": [{"index": index, "delta": {"content": text}}]}).to_string())
}

pub fn piece(text: &str) -> Step {
    piece_of(0, text)
}

/// The end of the answer with this index.
pub fn finish(index: u32, reason: &str) -> Step {
    event(&json!({"choices": [{"index": index, "delta": {}, "finish_reason": reason}]}).to_string())
}

/// The usage, and the end of the stream.
pub fn goodbye() -> [Step; 2] {
    [event(&json!({"choices": [], "usage": usage()}).to_string()), event("[DONE]")]
}

/// A well-formed stream with this answer.
pub fn stream_of(pieces: &[&str]) -> Act {
    let pieces = pieces.iter().map(|text| piece(text));
    stream(pieces.chain([finish(0, "stop")]).chain(goodbye()))
}

/// Enough comments to fill all buffers: once they are sent, the client has read everything before them.
pub fn until_read() -> Step {
    Step::Send(format!(": {}\n", "~".repeat(1020)).repeat(12 << 10).into_bytes())
}

pub fn choose() -> Request {
    let mut request =
        Request::new(vec![Message::user("eat or sleep?")], Constraint::choice(["eat", "sleep"]), 16);
    request.sampling = Sampling::varied(0.5, 9);
    request
}

pub fn texts(reply: &Reply) -> Vec<&str> {
    reply.candidates.iter().map(|one| one.text.as_str()).collect()
}

/// Why the server has no answer to [`choose`]. The reply's text is empty.
pub async fn refused(server: &Server) -> String {
    let reply = server.ask(&choose()).await.unwrap();
    assert_eq!(texts(&reply), [""]);
    reply.refusal().unwrap().to_owned()
}
