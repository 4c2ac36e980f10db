//! Pages and servers that try to get out, or to take the run down.

#![allow(clippy::unwrap_used, clippy::expect_used, reason = "a test that cannot go on fails")]

use crate::common::{PATIENCE, raw_server};
use serde_json::{Value, json};
use sojourn_tools::{CallContext, CallLimits, SourceSettings, ToolCall, ToolOutcome, Toolbox};
use std::path::Path;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

fn open(settings: &Value) -> Toolbox {
    let settings: SourceSettings = serde_json::from_value(settings.clone()).unwrap();
    let source = settings.open("it", Path::new("."), None, None).unwrap();
    Toolbox::new(vec![source], CallLimits::default())
}

async fn call(toolbox: &Toolbox, name: &str, args: Value) -> ToolOutcome {
    let Value::Object(args) = args else { panic!("not an object") };
    match toolbox.validate(&ToolCall { name: name.into(), args }) {
        Ok(ready) => ready.run(CallContext::default()).await,
        Err(refusal) => ToolOutcome::failed(refusal.to_string()),
    }
}

fn page(head: &str, body: &[u8]) -> Vec<u8> {
    let head = format!("HTTP/1.1 {head}\r\ncontent-length: {}\r\nconnection: close\r\n\r\n", body.len());
    [head.as_bytes(), body].concat()
}

#[tokio::test]
async fn a_listed_name_at_a_private_address_needs_a_grant_of_its_own() {
    let asked = Arc::new(AtomicUsize::new(0));
    let count = Arc::clone(&asked);
    let inner = raw_server(move |_| {
        count.fetch_add(1, Ordering::Relaxed);
        page("200 OK\r\ncontent-type: text/plain", b"internal")
    });
    let port = inner.rsplit_once(':').unwrap().1.to_owned();
    let by_name = format!("http://localhost:{port}/");
    let target = by_name.clone();
    let outer = raw_server(move |_| page(&format!("302 Found\r\nlocation: {target}"), b""));
    // Both names are listed by a wildcard, which is not a grant of an address of this machine.
    let hosts = json!(["*", outer]);
    let fetch = open(&json!({"kind": "fetch", "hosts": hosts}));
    let spellings = [
        by_name.clone(),
        format!("http://{inner}/"),
        format!("http://0x7f.1:{port}/"),
        format!("http://[::ffff:127.0.0.1]:{port}/"),
        format!("http://{outer}/away"),
    ];
    for url in &spellings {
        let outcome = call(&fetch, "it_get", json!({"url": url})).await;
        assert!(!outcome.ok && outcome.message.contains("private_ranges"), "{url}: {outcome:?}");
    }
    let http = open(&json!({"kind": "http", "description": "", "url": by_name, "hosts": hosts}));
    let outcome = call(&http, "it", json!({})).await;
    assert!(!outcome.ok && outcome.message.contains("private_ranges"), "{outcome:?}");
    assert_eq!(asked.load(Ordering::Relaxed), 0, "nothing was sent");

    let ranges = json!(["127.0.0.0/8", "::1"]);
    let granted = open(&json!({"kind": "fetch", "hosts": hosts, "private_ranges": ranges}));
    // Not every machine can connect to an IPv4 address that is mapped into IPv6.
    for url in spellings.iter().filter(|url| !url.contains("ffff")) {
        assert_eq!(call(&granted, "it_get", json!({"url": url})).await.to_text(), "internal", "{url}");
    }
}

#[tokio::test]
async fn an_argument_that_would_leave_its_place_in_a_url_is_never_sent() {
    let seen: Arc<Mutex<Vec<String>>> = Arc::default();
    let heard = Arc::clone(&seen);
    let server = raw_server(move |head| {
        heard.lock().unwrap().push(head.lines().next().unwrap().to_owned());
        page("200 OK", b"{}")
    });
    let tool = |method: &str| {
        open(&json!({
            "kind": "http", "description": "", "method": method, "hosts": [server],
            "url": format!("http://{server}/v1/p/items/{{item}}?tenant=me"),
            "input": {"type": "object", "properties": {"item": {"type": "string"}}, "required": ["item"]},
        }))
    };
    let (delete, get) = (tool("DELETE"), tool("GET"));
    for item in ["..", ".", "%2e%2e", "%252e%252e", "..\\x", "a/../..", "", "a\r\nx: y"] {
        for toolbox in [&delete, &get] {
            let outcome = call(toolbox, "it", json!({"item": item})).await;
            assert!(!outcome.ok && outcome.message.contains("`item`"), "{item:?}: {outcome:?}");
        }
    }
    assert!(call(&delete, "it", json!({"item": "a/b?c&d"})).await.ok);
    assert_eq!(*seen.lock().unwrap(), ["DELETE /v1/p/items/a%2Fb%3Fc%26d?tenant=me HTTP/1.1"]);
}

#[tokio::test]
async fn an_argument_that_the_input_does_not_declare_is_never_sent() {
    let seen: Arc<Mutex<Vec<String>>> = Arc::default();
    let heard = Arc::clone(&seen);
    let server = raw_server(move |head| {
        heard.lock().unwrap().push(head.lines().next().unwrap().to_owned());
        page("200 OK", b"{}")
    });
    let item = json!({"properties": {"item": {"type": "string"}}});
    let inputs = [
        item.clone(),
        json!({"type": "object", "properties": {"item": {"type": "string"}}, "required": ["item"]}),
        json!({"type": "object"}),
        json!({}),
        json!({"allOf": [item]}),
        json!({"anyOf": [item, {"required": ["admin"]}]}),
        json!({"$ref": "#/$defs/item", "$defs": {"item": item, "admin": {"properties": {"admin": {}}}}}),
        json!({"properties": {"item": {}}, "propertyNames": {"maxLength": 10}}),
        json!({"properties": {"item": {}}, "not": {"required": ["other"]}}),
    ];
    let tool = |method: &str, input: &Value| {
        open(&json!({
            "kind": "http", "description": "", "method": method, "hosts": [server],
            "url": format!("http://{server}/v1/{{item}}?tenant=me"), "input": input,
        }))
    };
    for input in &inputs {
        for method in ["GET", "POST"] {
            let toolbox = tool(method, input);
            let outcome = call(&toolbox, "it", json!({"item": "a", "admin": "true"})).await;
            assert!(!outcome.ok && outcome.message.contains("admin"), "{input}: {outcome:?}");
            assert!(call(&toolbox, "it", json!({"item": "a"})).await.ok, "{input}");
        }
    }
    let nested = json!({"properties": {"item": {}, "user": {"type": "object", "properties": {"name": {}}}}});
    let user = json!({"item": "a", "user": {"name": "x", "admin": true}});
    assert!(!call(&tool("POST", &nested), "it", user).await.ok);
    let plain = |line: &String| line.contains(" /v1/a?tenant=me ");
    assert!(seen.lock().unwrap().iter().all(plain), "{:?}", seen.lock().unwrap());
    let free = json!({"properties": {"item": {}}, "additionalProperties": true});
    assert!(call(&tool("GET", &free), "it", json!({"item": "a", "n": 1})).await.ok);
    assert_eq!(seen.lock().unwrap().last().unwrap(), "GET /v1/a?tenant=me&n=1 HTTP/1.1");
    for name in ["tenant", "Tenant[]"] {
        let again = call(&tool("GET", &free), "it", json!({"item": "a", name: "other"})).await;
        assert!(!again.ok && again.message.contains("the URL sets itself"), "{again:?}");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn two_deeply_nested_pages_do_not_freeze_the_runtime() {
    let body = format!("{}the end{}", "<div>".repeat(200_000), "</div>".repeat(200_000));
    let server = raw_server(move |_| page("200 OK\r\ncontent-type: text/html", body.as_bytes()));
    let fetch = open(&json!({"kind": "fetch", "hosts": [server], "timeout_ms": 600_000}));
    let url = json!({"url": format!("http://{server}/")});
    let both =
        async { tokio::join!(call(&fetch, "it_get", url.clone()), call(&fetch, "it_get", url.clone())) };
    let (one, other) = tokio::time::timeout(PATIENCE, both).await.expect("it does not hang");
    assert_eq!((one.to_text().as_str(), other.to_text().as_str()), ("the end", "the end"));
}

#[tokio::test]
async fn a_page_that_takes_too_long_is_given_up() {
    // Tables within tables, and far too many elements: whatever it costs, the call ends.
    let body = "<table><tr><td>x".repeat(60_000);
    let server = raw_server(move |_| page("200 OK\r\ncontent-type: text/html", body.as_bytes()));
    let fetch = open(&json!({"kind": "fetch", "hosts": [server], "timeout_ms": 20_000}));
    let called = call(&fetch, "it_get", json!({"url": format!("http://{server}/")}));
    let outcome = tokio::time::timeout(PATIENCE, called).await.expect("it does not hang");
    assert!(outcome.ok || outcome.message.contains("within"), "{}", outcome.message);
}

#[tokio::test]
async fn a_compressed_response_that_nobody_asked_for_is_refused() {
    let server =
        raw_server(|_| page("200 OK\r\ncontent-type: text/html\r\ncontent-encoding: gzip", b"\x1f\x8b\x08"));
    let fetch = open(&json!({"kind": "fetch", "hosts": [server]}));
    let outcome = call(&fetch, "it_get", json!({"url": format!("http://{server}/")})).await;
    assert!(!outcome.ok && outcome.message.contains("encoded as `gzip`"), "{outcome:?}");
}

#[cfg(feature = "serve")]
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn many_half_open_requests_keep_nobody_else_out() {
    use axum::Router;
    use axum::routing::post;
    use sojourn_tools::http_server;
    use sojourn_tools::mcp::serve::guarded;
    use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
    use tokio::net::{TcpListener, TcpStream};

    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    let router =
        guarded(Router::new().route("/", post(|body: String| async { body })), "good token".to_owned());
    let (stop, stopped) = tokio::sync::oneshot::channel::<()>();
    let serving = tokio::spawn(http_server::serve(listener, router, async move {
        let _ = stopped.await;
    }));
    let good = async || {
        let mut stream = TcpStream::connect(address).await.unwrap();
        let head = "POST / HTTP/1.1\r\nhost: h\r\nauthorization: Bearer good token\r\ncontent-length: 5\r\nconnection: close\r\n\r\nhello";
        stream.write_all(head.as_bytes()).await.unwrap();
        let mut answer = String::new();
        stream.read_to_string(&mut answer).await.unwrap();
        assert!(answer.starts_with("HTTP/1.1 200") && answer.ends_with("hello"), "{answer}");
    };
    // A client with the token that is waiting keeps its place.
    let mut waiting = TcpStream::connect(address).await.unwrap();
    let begin =
        "POST / HTTP/1.1\r\nhost: h\r\nauthorization: Bearer good token\r\ncontent-length: 4\r\n\r\nwa";
    waiting.write_all(begin.as_bytes()).await.unwrap();
    good().await;
    let beginnings: [&[u8]; 4] = [
        b"",
        b"POST / HTTP/1.1\r\nhost:",
        b"POST / HTTP/1.1\r\nhost: h\r\ncontent-length: 100\r\n\r\nx",
        b"POST / HTTP/1.1\r\nauthorization: Bearer bad token!\r\ncontent-length: 100\r\n\r\n",
    ];
    let mut half_open = Vec::new();
    for number in 0..400 {
        let mut stream = TcpStream::connect(address).await.unwrap();
        // The server may have closed the connection already.
        let _ = stream.write_all(beginnings[number % beginnings.len()]).await;
        half_open.push(stream);
        if number % 100 == 99 {
            tokio::time::timeout(Duration::from_mins(1), good()).await.expect("the good client is kept out");
        }
    }
    waiting.write_all(b"it").await.unwrap();
    let mut answer = [0; 12];
    waiting.read_exact(&mut answer).await.unwrap();
    assert_eq!(&answer, b"HTTP/1.1 200");
    stop.send(()).unwrap();
    tokio::time::timeout(PATIENCE, serving).await.expect("it stops").unwrap().unwrap();
}
