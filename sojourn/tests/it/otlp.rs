//! A run tells a collector what it does while it does it.

#![allow(clippy::unwrap_used, clippy::expect_used, reason = "a test that cannot go on fails")]

use crate::support::{endpoint, sojourn};
use opentelemetry_proto::tonic::collector::trace::v1::ExportTraceServiceRequest;
use opentelemetry_proto::tonic::common::v1::any_value::Value;
use opentelemetry_proto::tonic::trace::v1::Span;
use prost::Message as _;
use std::io::{BufRead as _, BufReader, Read as _, Write as _};
use std::net::TcpListener;
use std::sync::{Arc, Mutex};

/// A collector that keeps what it is sent.
fn collector() -> (String, Arc<Mutex<Vec<Span>>>) {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = format!("http://{}", listener.local_addr().unwrap());
    let spans = Arc::new(Mutex::new(Vec::new()));
    let kept = Arc::clone(&spans);
    std::thread::spawn(move || {
        for mut stream in listener.incoming().flatten() {
            let kept = Arc::clone(&kept);
            std::thread::spawn(move || {
                let mut reader = BufReader::new(stream.try_clone().unwrap());
                loop {
                    let (mut length, mut path) = (0, String::new());
                    loop {
                        let mut line = String::new();
                        if reader.read_line(&mut line).unwrap_or(0) == 0 {
                            return;
                        }
                        if path.is_empty() {
                            line.split(' ').nth(1).unwrap().clone_into(&mut path);
                        }
                        if line.trim().is_empty() {
                            break;
                        }
                        if let Some((name, value)) = line.split_once(':')
                            && name.eq_ignore_ascii_case("content-length")
                        {
                            length = value.trim().parse().unwrap();
                        }
                    }
                    let mut body = vec![0; length];
                    reader.read_exact(&mut body).unwrap();
                    assert_eq!(path, "/v1/traces");
                    let request = ExportTraceServiceRequest::decode(body.as_slice()).unwrap();
                    let scopes = request.resource_spans.into_iter().flat_map(|resource| resource.scope_spans);
                    kept.lock().unwrap().extend(scopes.flat_map(|scope| scope.spans));
                    stream.write_all(b"HTTP/1.1 200 OK\r\ncontent-length: 0\r\n\r\n").unwrap();
                }
            });
        }
    });
    (address, spans)
}

fn attribute<'a>(span: &'a Span, key: &str) -> Option<&'a Value> {
    span.attributes.iter().find(|one| one.key == key)?.value.as_ref()?.value.as_ref()
}

#[test]
fn spans_are_named_nested_and_counted_as_the_conventions_say() {
    let dir = tempfile::tempdir().unwrap();
    let agent = format!(
        "environment = \"crafter\"\nmodel = \"scripted\"\nembedding = \"none\"\n\
         [controller]\nkind = \"openai\"\nbase_url = \"{}\"\n",
        endpoint()
    );
    std::fs::write(dir.path().join("agent.toml"), agent).unwrap();
    let (address, spans) = collector();
    let args =
        ["run", "agent.toml", "--steps", "40", "--time", "3m", "--seed", "1", "--json", "--otlp", &address];
    let output = sojourn(dir.path(), &args);
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));

    let spans = spans.lock().unwrap();
    let named = |name: &str| spans.iter().filter(|span| span.name == name).collect::<Vec<_>>();
    let agents = named("invoke_agent crafter");
    assert_eq!(agents.len(), 1);
    let result: serde_json::Value = serde_json::from_slice(&output.stdout).unwrap();
    let run = Value::StringValue(result["run"].as_str().unwrap().to_owned());
    assert_eq!(attribute(agents[0], "gen_ai.agent.id"), Some(&run));
    let (chats, calls) = (named("chat scripted"), named("execute_tool collect_wood"));
    assert!(
        !chats.is_empty() && !calls.is_empty(),
        "{:?}",
        spans.iter().map(|span| &span.name).collect::<Vec<_>>()
    );
    for span in chats.iter().chain(&calls) {
        assert_eq!((&span.parent_span_id, &span.trace_id), (&agents[0].span_id, &agents[0].trace_id));
        assert!(span.start_time_unix_nano >= agents[0].start_time_unix_nano);
        assert!(span.end_time_unix_nano <= agents[0].end_time_unix_nano);
    }
    assert_eq!(attribute(chats[0], "gen_ai.operation.name"), Some(&Value::StringValue("chat".into())));
    assert_eq!(attribute(chats[0], "gen_ai.usage.output_tokens"), Some(&Value::IntValue(20)));
    assert_eq!(attribute(calls[0], "gen_ai.tool.name"), Some(&Value::StringValue("collect_wood".into())));
}

#[test]
fn a_collector_that_is_not_there_does_not_stop_a_run() {
    let dir = tempfile::tempdir().unwrap();
    let agent = format!(
        "environment = \"crafter\"\nmodel = \"scripted\"\nembedding = \"none\"\n\
         [controller]\nkind = \"openai\"\nbase_url = \"{}\"\n",
        endpoint()
    );
    std::fs::write(dir.path().join("agent.toml"), agent).unwrap();
    let run = ["run", "agent.toml", "--steps", "10", "--seed", "1", "--json", "--otlp"];
    let output = sojourn(dir.path(), &[&run[..], &["http://127.0.0.1:9"]].concat());
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    let output = sojourn(dir.path(), &[&run[..], &["localhost:4318"]].concat());
    assert_eq!(output.status.code(), Some(2));
    assert!(String::from_utf8_lossy(&output.stderr).contains("not an HTTP address"));
}
