use super::{Served, command_line, router};
use crate::args::Serve;
use async_trait::async_trait;
use clap::{Args as _, FromArgMatches as _};
use futures_util::StreamExt as _;
use serde_json::{Value, json};
use sojourn_controller::openai::{Dialect, OpenAiOptions};
use sojourn_controller::{
    Cancel, Completion, Constraint, Controller, ControllerError, Embedder, EmbedderInfo, Embeddings, Finish,
    Message, ModelInfo, OpenAiController, Piece, Pieces, Reply, Request, Timing, Usage,
};
use sojourn_tools::http_server;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use tokio::net::TcpListener;

/// A variable that every process has; its value is the token.
const TOKEN_VARIABLE: &str = "PATH";

fn token() -> String {
    std::env::var(TOKEN_VARIABLE).unwrap().trim().to_owned()
}

/// A model that says the same to everything, in pieces, and remembers what it was asked.
struct Scripted {
    model: ModelInfo,
    pieces: Vec<&'static str>,
    asked: Mutex<Vec<Request>>,
    /// Whether it never ends.
    hangs: bool,
    /// Requests that it is working on.
    busy: Arc<AtomicUsize>,
}

impl Scripted {
    fn new(pieces: &[&'static str]) -> Self {
        let model = ModelInfo {
            name: "Scripted 1B".into(),
            source: "here".into(),
            quantisation: None,
            parameters: None,
            context_tokens: Some(4096),
            sha256: None,
            sees: false,
        };
        let (asked, busy) = (Mutex::default(), Arc::default());
        Self { model, pieces: pieces.to_vec(), asked, hangs: false, busy }
    }
}

/// Counts down when a request ends, also when it is dropped.
struct Busy(Arc<AtomicUsize>);

impl Drop for Busy {
    fn drop(&mut self) {
        self.0.fetch_sub(1, Ordering::SeqCst);
    }
}

#[async_trait]
impl Controller for Scripted {
    fn model(&self) -> &ModelInfo {
        &self.model
    }

    async fn complete(&self, request: &Request, _: &Cancel) -> Result<Reply, ControllerError> {
        self.busy.fetch_add(1, Ordering::SeqCst);
        let _busy = Busy(Arc::clone(&self.busy));
        self.asked.lock().unwrap().push(request.clone());
        if request.max_tokens > 4000 {
            return Err(ControllerError::ContextOverflow {
                prompt_tokens: 500,
                candidates: 1,
                max_tokens: request.max_tokens,
                context_tokens: 4096,
            });
        }
        if self.hangs {
            std::future::pending::<()>().await;
        }
        let one = Completion::new(self.pieces.concat(), 2, Finish::Complete);
        let usage = Usage { prompt_tokens: 9, cached_tokens: 4, completion_tokens: 2, ..Usage::default() };
        Ok(Reply::new(vec![one; request.candidates as usize], usage, Timing::default()))
    }

    async fn complete_in_pieces(
        &self,
        request: &Request,
        cancel: &Cancel,
        pieces: Pieces,
    ) -> Result<Reply, ControllerError> {
        let reply = self.complete(request, cancel).await?;
        for candidate in 0..request.candidates {
            for text in &self.pieces {
                pieces.send(Piece { candidate, text: (*text).into() }).unwrap();
            }
        }
        Ok(reply)
    }
}

/// Vectors that say how long the texts are.
struct Lengths(EmbedderInfo);

#[async_trait]
impl Embedder for Lengths {
    fn model(&self) -> &EmbedderInfo {
        &self.0
    }

    async fn embed(&self, texts: &[String]) -> Result<Vec<Vec<f32>>, ControllerError> {
        Ok(texts.iter().map(|text| vec![text.len() as f32]).collect())
    }

    async fn embed_counted(&self, texts: &[String]) -> Result<Embeddings, ControllerError> {
        let tokens = Some(texts.iter().map(|text| text.len() as u32).collect());
        Ok(Embeddings { vectors: self.embed(texts).await?, tokens })
    }
}

/// Serves a model until the test ends; returns the address.
async fn served(controller: Arc<dyn Controller>) -> String {
    let embedder = Lengths(EmbedderInfo { name: "Lengths".into(), dimensions: 1, max_tokens: 5 });
    let embedder: Arc<dyn Embedder> = Arc::new(embedder);
    let embedder = Some(("lengths".to_owned(), embedder));
    let served = Served { id: "scripted".into(), controller, embedder, most_answers: 4, since: 17 };
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = format!("http://{}", listener.local_addr().unwrap());
    tokio::spawn(http_server::serve(listener, router(served, token()), std::future::pending()));
    address
}

async fn post(url: &str, path: &str, body: &Value) -> (u16, Value) {
    let posted =
        reqwest::Client::new().post(format!("{url}{path}")).bearer_auth(token()).body(body.to_string());
    let answer = posted.send().await.unwrap();
    let (status, text) = (answer.status().as_u16(), answer.text().await.unwrap());
    (status, serde_json::from_str(&text).unwrap_or(Value::String(text)))
}

fn hello() -> Value {
    json!({"model": "scripted", "messages": [{"role": "user", "content": "hello"}]})
}

fn with(name: &str, value: impl Into<Value>) -> Value {
    let mut body = hello();
    body[name] = value.into();
    body
}

#[tokio::test]
async fn our_own_client_asks_our_own_server() {
    let scripted = Arc::new(Scripted::new(&["\"e", "at\""]));
    let url = served(Arc::clone(&scripted) as Arc<dyn Controller>).await;
    let messages = vec![Message::system("Be quick."), Message::user("Eat or sleep?")];
    let mut request = Request::new(messages, Constraint::choice(["eat", "sleep"]), 16);
    request.candidates = 3;
    request.stop = vec!["\n".into()];
    request.sampling = sojourn_controller::Sampling { temperature: 0.5, top_p: 0.75, min_p: 0.0, seed: 12 };
    for (stream, dialect) in [
        (true, Dialect::OpenAi),
        (false, Dialect::OpenAi),
        (true, Dialect::LlamaCpp),
        (false, Dialect::LlamaCpp),
    ] {
        let options = OpenAiOptions {
            stream,
            dialect,
            api_key_env: Some(TOKEN_VARIABLE.into()),
            ..OpenAiOptions::new(format!("{url}/v1"), "scripted")
        };
        let client = OpenAiController::new(options).unwrap();
        let reply = client.complete(&request, &Cancel::new()).await.unwrap();
        assert_eq!(reply.complete().collect::<Vec<_>>(), ["\"eat\""; 3], "{stream} {dialect:?}");
        assert_eq!((reply.usage.prompt_tokens, reply.usage.cached_tokens), (9, 4));
        let asked = scripted.asked.lock().unwrap().pop().unwrap();
        assert_eq!(asked, request, "{stream} {dialect:?}");
        // A server that samples by grammars gets them, and continues what was begun.
        if dialect == Dialect::LlamaCpp {
            let mut continued = request.clone();
            continued.constraint = Constraint::Lark("start: /.+/".into());
            continued.prefill = "I choose ".into();
            client.complete(&continued, &Cancel::new()).await.unwrap();
            assert_eq!(scripted.asked.lock().unwrap().pop().unwrap(), continued);
        }
    }
    assert!(scripted.asked.lock().unwrap().is_empty(), "nothing was asked twice");
}

#[tokio::test]
async fn a_scripted_endpoint_is_served_through_both_sides() {
    let behind = OpenAiController::new(OpenAiOptions::new(sojourn_testkit::endpoint(), "scripted")).unwrap();
    let url = served(Arc::new(behind)).await;
    let format = json!({"type": "json_schema", "json_schema": {"name": "x", "schema":
        {"type": "object", "properties": {"go": {"enum": ["north", "south"]}}, "required": ["go"]}}});
    let (status, answer) = post(&url, "/v1/chat/completions", &with("response_format", format)).await;
    assert_eq!(status, 200, "{answer}");
    assert_eq!(answer["choices"][0]["message"]["content"], "{\"go\":\"north\"}");
    assert_eq!(answer["usage"]["prompt_tokens"], 100);
}

#[tokio::test]
async fn pictures_are_shown_to_a_model_that_sees_and_refused_by_one_that_does_not() {
    let gif = "R0lGODlhAQABAIAAAP///wAAACwAAAAAAQABAAACAkQBADs=";
    let showing = |base64: &str| {
        let url = format!("data:image/gif;base64,{base64}");
        let parts = json!([{"type": "text", "text": "What is it?"}, {"type": "image_url", "image_url": {"url": url}}]);
        with("messages", json!([{"role": "user", "content": parts}]))
    };
    let mut seeing = Scripted::new(&["white"]);
    seeing.model.sees = true;
    let seeing = Arc::new(seeing);
    let url = served(Arc::clone(&seeing) as Arc<dyn Controller>).await;
    let chat = "/v1/chat/completions";
    let (status, answer) = post(&url, chat, &showing(gif)).await;
    assert_eq!((status, &answer["choices"][0]["message"]["content"]), (200, &json!("white")), "{answer}");
    let asked = seeing.asked.lock().unwrap().pop().unwrap();
    let blob = &asked.messages[0].parts[1].picture.as_ref().unwrap().blob;
    assert!(asked.pictures[blob].starts_with(b"GIF89a"));
    #[cfg(feature = "perception")]
    {
        let (status, answer) = post(&url, chat, &showing("R0lGODlhAQAB")).await;
        assert_eq!((status, &answer["error"]["code"]), (400, &json!("invalid_image")), "{answer}");
        assert!(seeing.asked.lock().unwrap().is_empty(), "it was not asked without the picture");
    }
    let blind = served(Arc::new(Scripted::new(&["white"]))).await;
    let (status, answer) = post(&blind, chat, &showing(gif)).await;
    assert_eq!((status, &answer["error"]["param"]), (400, &json!("messages[0].content[1].type")), "{answer}");
    assert!(answer["error"]["message"].as_str().unwrap().contains("the model cannot see"), "{answer}");
}

#[tokio::test]
async fn a_stream_is_events_that_end_with_done() {
    let url = served(Arc::new(Scripted::new(&["Hel", "lo"]))).await;
    let mut body = with("stream", true);
    body["stream_options"] = json!({"include_usage": true});
    let posted = reqwest::Client::new().post(format!("{url}/v1/chat/completions")).bearer_auth(token());
    let answer = posted.body(body.to_string()).send().await.unwrap();
    assert_eq!(answer.headers()["content-type"], "text/event-stream");
    let text = answer.text().await.unwrap();
    let events: Vec<&str> = text.split("\n\n").filter_map(|event| event.strip_prefix("data: ")).collect();
    assert_eq!(events.last(), Some(&"[DONE]"));
    let chunks: Vec<Value> =
        events[..events.len() - 1].iter().map(|event| serde_json::from_str(event).unwrap()).collect();
    let contents: Vec<&str> =
        chunks.iter().filter_map(|chunk| chunk["choices"][0]["delta"]["content"].as_str()).collect();
    assert_eq!(contents, ["", "Hel", "lo"]);
    assert!(
        chunks
            .iter()
            .all(|chunk| chunk["object"] == "chat.completion.chunk" && chunk["id"] == chunks[0]["id"])
    );
    assert_eq!(chunks.last().unwrap()["usage"]["total_tokens"], 11);
}

#[tokio::test]
async fn errors_have_the_form_of_the_protocol() {
    let url = served(Arc::new(Scripted::new(&["a"]))).await;
    let client = reqwest::Client::new();
    let chat = "/v1/chat/completions";
    for path in ["/v1/models", "/v1/nowhere", "/v1/model"] {
        let refused = client.get(format!("{url}{path}")).bearer_auth("wrong").send().await.unwrap();
        assert_eq!(
            (refused.status().as_u16(), &refused.headers()["www-authenticate"]),
            (401, &"Bearer".parse().unwrap())
        );
        let body: Value = serde_json::from_str(&refused.text().await.unwrap()).unwrap();
        assert_eq!(body["error"]["code"], "invalid_api_key");
    }
    let long = json!({"model": "scripted", "messages": "a".repeat(super::LONGEST)});
    // A request that does not fit is refused before its stream begins.
    let mut overflowing = with("max_tokens", 4001);
    overflowing["stream"] = true.into();
    for (path, body, status, param, code) in [
        (chat, json!([]), 400, Value::Null, Value::Null),
        (chat, with("logit_bias", json!({"1": 2})), 400, json!("logit_bias"), json!("unsupported_parameter")),
        (chat, with("n", 5), 400, json!("n"), json!("invalid_value")),
        (chat, with("model", "gpt-5"), 404, json!("model"), json!("model_not_found")),
        (chat, with("max_tokens", 4001), 400, json!("messages"), json!("context_length_exceeded")),
        (chat, overflowing, 400, json!("messages"), json!("context_length_exceeded")),
        (chat, long, 413, Value::Null, Value::Null),
        (
            "/v1/embeddings",
            json!({"model": "scripted", "input": "a"}),
            404,
            json!("model"),
            json!("model_not_found"),
        ),
        (
            "/v1/embeddings",
            json!({"model": "lengths", "input": "longer"}),
            400,
            json!("input[0]"),
            json!("context_length_exceeded"),
        ),
        ("/v1/nowhere", json!({}), 404, Value::Null, Value::Null),
        ("/v1/models", json!({}), 405, Value::Null, Value::Null),
    ] {
        let (got, answer) = post(&url, path, &body).await;
        let error = &answer["error"];
        assert_eq!((got, &error["param"], &error["code"]), (status, &param, &code), "{path}: {answer}");
        assert!(error["message"].as_str().is_some_and(|message| !message.is_empty()), "{answer}");
    }
}

#[tokio::test]
async fn models_are_listed_and_embed() {
    let url = served(Arc::new(Scripted::new(&["a"]))).await;
    let get = |path: &str| reqwest::Client::new().get(format!("{url}{path}")).bearer_auth(token()).send();
    let read = async |path: &str| -> Value {
        serde_json::from_str(&get(path).await.unwrap().text().await.unwrap()).unwrap()
    };
    let listed = read("/v1/models").await;
    let ids: Vec<&Value> = listed["data"].as_array().unwrap().iter().map(|model| &model["id"]).collect();
    assert_eq!(ids, ["scripted", "lengths"]);
    assert_eq!(read("/v1/models/lengths").await["created"], 17);
    assert_eq!(read("/v1/models/other").await["error"]["code"], "model_not_found");
    let (status, answer) =
        post(&url, "/v1/embeddings", &json!({"model": "Lengths", "input": ["a", "bcd"]})).await;
    assert_eq!((status, &answer["data"][1]["embedding"]), (200, &json!([3.0])), "{answer}");
    assert_eq!(answer["usage"], json!({"prompt_tokens": 4, "total_tokens": 4}));
}

#[tokio::test]
async fn a_client_that_goes_away_cancels_its_request() {
    let scripted = Scripted { hangs: true, ..Scripted::new(&["a"]) };
    let busy = Arc::clone(&scripted.busy);
    let url = served(Arc::new(scripted)).await;
    for stream in [true, false] {
        let posted = reqwest::Client::new().post(format!("{url}/v1/chat/completions")).bearer_auth(token());
        let asking = tokio::spawn(async move {
            let answer = posted.body(with("stream", stream).to_string()).send().await.unwrap();
            answer.bytes_stream().for_each(async |_| {}).await;
        });
        let reaches = async |wanted: usize| {
            let reached = async || (busy.load(Ordering::SeqCst) == wanted).then_some(());
            sojourn_testkit::eventually(&format!("{wanted} requests are under way"), reached).await;
        };
        reaches(1).await;
        asking.abort();
        reaches(0).await;
    }
}

#[test]
fn the_worker_gets_every_option() {
    let read = |words: &[String]| {
        let matches = Serve::augment_args(clap::Command::new("serve")).get_matches_from(words);
        Serve::from_arg_matches(&matches).unwrap()
    };
    let words = "serve qwen --http 127.0.0.1:9000 --token-env KEY --context-tokens 7 --answers 3 --host-cache-mib 5 \
                 --draft-model small --mmproj eyes.gguf --embedding-model none --threads 2";
    let words: Vec<String> = words.split_whitespace().map(str::to_owned).collect();
    let asked = read(&words);
    let line = command_line(&asked, asked.http);
    assert_eq!(line[..2], ["models", "serve"]);
    assert_eq!(format!("{:?}", read(&line[1..])), format!("{asked:?}"));
}
