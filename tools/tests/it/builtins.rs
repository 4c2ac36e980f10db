//! Built-in tools: their results, and attempts to misuse them.

#![allow(clippy::unwrap_used, clippy::expect_used, reason = "a test that cannot go on fails")]

use async_trait::async_trait;
use serde_json::{Value, json};
use sojourn_tools::builtin::Person;
use sojourn_tools::{CallContext, CallLimits, SourceSettings, ToolCall, ToolOutcome, Toolbox};
use std::io::{BufRead as _, BufReader, Write as _};
use std::net::TcpListener;
use std::path::Path;
use std::sync::Arc;

fn open(settings: &Value, directory: &Path, person: Option<Arc<dyn Person>>) -> Result<Toolbox, String> {
    let settings: SourceSettings =
        serde_json::from_value(settings.clone()).map_err(|error| error.to_string())?;
    let source = settings.open("it", directory, person, None).map_err(|error| error.to_string())?;
    Ok(Toolbox::new(vec![source], CallLimits::default()))
}

async fn call(toolbox: &Toolbox, name: &str, args: Value) -> ToolOutcome {
    let Value::Object(args) = args else { panic!("not an object") };
    match toolbox.validate(&ToolCall { name: name.into(), args }) {
        Ok(ready) => ready.run(CallContext { now_ms: 7, ..CallContext::default() }).await,
        Err(refusal) => ToolOutcome::failed(refusal.to_string()),
    }
}

#[tokio::test]
async fn files_outside_the_directory_are_out_of_reach() {
    let place = tempfile::tempdir().unwrap();
    let root = place.path().join("root");
    std::fs::create_dir_all(root.join("deep")).unwrap();
    std::fs::write(place.path().join("secret"), "sesame").unwrap();
    std::fs::write(root.join("deep/a.txt"), "one\ntwo words\n").unwrap();
    std::os::unix::fs::symlink(place.path().join("secret"), root.join("link")).unwrap();
    std::os::unix::fs::symlink(place.path(), root.join("up")).unwrap();
    let reads = open(&json!({"kind": "files", "root": "root"}), place.path(), None).unwrap();
    assert_eq!(call(&reads, "it_read", json!({"path": "deep/a.txt"})).await.to_text(), "one\ntwo words\n");
    assert_eq!(call(&reads, "it_list", json!({})).await.to_text(), "deep/\nlink\nup");
    assert_eq!(
        call(&reads, "it_search", json!({"text": "two"})).await.to_text(),
        "./deep/a.txt:2: two words"
    );
    let absolute = place.path().join("secret");
    for path in ["../secret", "link", "up/secret", "deep/../../secret", absolute.to_str().unwrap()] {
        let outcome = call(&reads, "it_read", json!({"path": path})).await;
        assert!(!outcome.ok && !outcome.to_text().contains("sesame"), "{path}: {outcome:?}");
    }
    assert!(
        call(&reads, "it_write", json!({"path": "x", "text": ""})).await.message.starts_with("no tool named")
    );

    let writes = open(&json!({"kind": "files", "root": "root", "write": true}), place.path(), None).unwrap();
    assert!(call(&writes, "it_write", json!({"path": "new/b.txt", "text": "hello"})).await.ok);
    assert_eq!(std::fs::read_to_string(root.join("new/b.txt")).unwrap(), "hello");
    for path in ["../out", "up/out", "link"] {
        assert!(!call(&writes, "it_write", json!({"path": path, "text": "x"})).await.ok, "{path}");
    }
    assert_eq!(std::fs::read_to_string(place.path().join("secret")).unwrap(), "sesame");
    assert!(!place.path().join("out").exists());
}

#[tokio::test]
async fn special_files_are_refused_and_long_listings_are_cut_with_a_note() {
    let place = tempfile::tempdir().unwrap();
    let made = std::process::Command::new("mkfifo").arg(place.path().join("pipe")).status().unwrap();
    assert!(made.success());
    let toolbox = open(&json!({"kind": "files", "root": ".", "write": true}), place.path(), None).unwrap();
    for (name, args) in
        [("it_read", json!({"path": "pipe"})), ("it_write", json!({"path": "pipe", "text": "x"}))]
    {
        let outcome = call(&toolbox, name, args).await;
        assert_eq!((outcome.ok, outcome.message.as_str()), (false, "this is not a regular file"));
    }
    for number in 0..600 {
        std::fs::write(place.path().join(format!("f{number}")), "").unwrap();
    }
    let listed = call(&toolbox, "it_list", json!({})).await.to_text();
    assert!(listed.ends_with("[101 more are not shown]"), "{listed}");
}

/// A server that answers every request with `answer`.
fn server(answer: impl Fn(&str) -> String + Send + 'static) -> String {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = listener.local_addr().unwrap().to_string();
    std::thread::spawn(move || {
        for mut stream in listener.incoming().flatten() {
            let mut head = String::new();
            let mut reader = BufReader::new(stream.try_clone().unwrap());
            while reader.read_line(&mut head).unwrap_or(0) > 2 {}
            let _ = stream.write_all(answer(&head).as_bytes());
        }
    });
    address
}

fn page(kind: &str, body: &str) -> String {
    format!(
        "HTTP/1.1 200 OK\r\ncontent-type: {kind}\r\ncontent-length: {}\r\nconnection: close\r\n\r\n{body}",
        body.len()
    )
}

#[tokio::test]
async fn only_allowed_hosts_are_contacted_also_by_redirects() {
    let inner = server(|_| page("text/plain", "internal"));
    let target = inner.clone();
    let outer = server(move |head| {
        if head.starts_with("GET /away") {
            format!(
                "HTTP/1.1 302 Found\r\nlocation: http://{target}/\r\ncontent-length: 0\r\nconnection: close\r\n\r\n"
            )
        } else if head.starts_with("GET /large") {
            page("text/plain", &"x".repeat(100_000))
        } else {
            page("text/html", "<h1>Title</h1><script>alert(1)</script><p>Some <b>text</b>.</p>")
        }
    });
    let settings = json!({"kind": "fetch", "hosts": [outer], "most_bytes": 50_000});
    let toolbox = open(&settings, Path::new("."), None).unwrap();
    let text = call(&toolbox, "it_get", json!({"url": format!("http://{outer}/")})).await.to_text();
    assert!(text.contains("Title") && text.contains("text") && !text.contains("alert"), "{text}");
    for (url, part) in [
        (format!("http://{outer}/away"), "is not in `hosts`"),
        (format!("http://{inner}/"), "is not in `hosts`"),
        (format!("http://{outer}/large"), "more than 50000 bytes"),
        ("file:///etc/passwd".to_owned(), "only http and https"),
        ("nonsense".to_owned(), "is not a URL"),
    ] {
        let outcome = call(&toolbox, "it_get", json!({"url": url})).await;
        assert!(!outcome.ok && outcome.message.contains(part), "{url}: {outcome:?}");
    }
    let none = open(&json!({"kind": "fetch", "hosts": []}), Path::new("."), None).err().unwrap();
    assert!(none.contains("tools.it: `hosts` is empty"), "{none}");
}

#[tokio::test]
async fn an_http_tool_places_arguments_and_secrets() {
    let heard = server(|head| page("application/json", &json!({"head": head}).to_string()));
    let settings = json!({
        "kind": "http", "description": "", "url": format!("http://{heard}/city/{{name}}"), "hosts": [heard],
        "input": {"type": "object", "properties": {"name": {"type": "string"}, "days": {"type": "integer"}}},
        "headers": {"x-key": "k ${CARGO_PKG_NAME}"}, "secrets": ["CARGO_PKG_NAME"],
    });
    let toolbox = open(&settings, Path::new("."), None).unwrap();
    let outcome = call(&toolbox, "it", json!({"name": "a/b", "days": 3})).await;
    let head = outcome.value.unwrap()["head"].as_str().unwrap().to_lowercase();
    assert!(head.starts_with("get /city/a%2fb?days=3 "), "{head}");
    assert!(head.contains("x-key: k sojourn-tools"), "{head}");
    let again = heard.clone();
    let turns = server(move |head| {
        let host = if head.starts_with("GET /same") { "" } else { again.as_str() };
        let to = if host.is_empty() { "/there".to_owned() } else { format!("http://{host}/") };
        if head.starts_with("GET /there") {
            return page("text/plain", "here");
        }
        format!("HTTP/1.1 302 Found\r\nlocation: {to}\r\ncontent-length: 0\r\nconnection: close\r\n\r\n")
    });
    let redirected = |path: &str, secrets: Value| {
        let settings = json!({
            "kind": "http", "description": "", "url": format!("http://{turns}/{path}"), "hosts": [turns, heard],
            "headers": {"x-key": if secrets == json!([]) { "plain" } else { "${CARGO_PKG_NAME}" }}, "secrets": secrets,
        });
        open(&settings, Path::new("."), None).unwrap()
    };
    let secret = json!(["CARGO_PKG_NAME"]);
    let refused = call(&redirected("away", secret.clone()), "it", json!({})).await;
    assert!(!refused.ok && refused.message.contains("follows no redirect"), "{refused:?}");
    assert_eq!(call(&redirected("same", secret), "it", json!({})).await.to_text(), "here");
    assert!(
        call(&redirected("away", json!([])), "it", json!({})).await.ok,
        "without a secret the redirect is followed"
    );
    let unlisted = json!({"kind": "http", "description": "", "url": "http://h/", "hosts": ["h"], "headers": {"a": "${HOME}"}});
    let error = open(&unlisted, Path::new("."), None).err().unwrap();
    assert!(error.contains("uses `HOME`, which `secrets` does not list"), "{error}");
}

#[tokio::test]
async fn a_shell_must_be_enabled_and_leaves_no_process_behind() {
    let place = tempfile::tempdir().unwrap();
    let off = open(&json!({"kind": "shell"}), place.path(), None).err().unwrap();
    assert!(off.contains("needs `enabled = true`"), "{off}");
    let roomy = json!({"kind": "shell", "enabled": true});
    let roomy = open(&roomy, place.path(), None).unwrap();
    let outcome = call(&roomy, "it_run", json!({"command": "pwd; echo oops >&2; exit 3"})).await;
    assert!(
        !outcome.ok && outcome.message.contains('3') && outcome.to_text().contains("oops"),
        "{outcome:?}"
    );
    assert!(outcome.to_text().contains(place.path().canonicalize().unwrap().to_str().unwrap()));
    let much = call(&roomy, "it_run", json!({"command": "seq 1 100000"})).await;
    assert!(much.ok && much.to_text().starts_with("1\n2\n"), "{}", much.message);
    let odd = call(&roomy, "it_run", json!({"command": r"printf 'a\377\376b'"})).await;
    assert!(odd.ok && odd.message.contains("no UTF-8, shown as U+FFFD: 2"), "{odd:?}");
    let behind = call(&roomy, "it_run", json!({"command": "(sleep 30; touch late) & echo hi"})).await;
    assert_eq!((behind.ok, behind.to_text().as_str()), (true, "hi"));
    // What a call leaves behind after its time limit would touch a file once it is told to.
    let hurried = json!({"kind": "shell", "enabled": true, "timeout_ms": 300});
    let hurried = open(&hurried, place.path(), None).unwrap();
    let left = "(while [ ! -e now ]; do sleep 0.05; done; touch late) & sleep 600";
    assert!(call(&hurried, "it_run", json!({"command": left})).await.message.contains("did not answer"));
    std::fs::write(place.path().join("now"), "").unwrap();
    tokio::time::sleep(std::time::Duration::from_millis(500)).await;
    assert!(!place.path().join("late").exists(), "a background process outlived its call");
}

#[tokio::test]
async fn a_question_is_answered_by_the_user_or_by_the_settings() {
    struct Ada;
    #[async_trait]
    impl Person for Ada {
        async fn answer(&self, question: &str) -> Option<String> {
            (question == "who?").then(|| "Ada".to_owned())
        }
    }
    let here = open(&json!({"kind": "human"}), Path::new("."), Some(Arc::new(Ada))).unwrap();
    assert_eq!(call(&here, "it_ask", json!({"question": "who?"})).await.to_text(), "Ada");
    let away = open(&json!({"kind": "human", "unattended": "go on"}), Path::new("."), None).unwrap();
    assert_eq!(call(&away, "it_ask", json!({"question": "may I?"})).await.to_text(), "go on");
    let silent = open(&json!({"kind": "human"}), Path::new("."), None).unwrap();
    assert!(!call(&silent, "it_ask", json!({"question": "may I?"})).await.ok);
}

#[tokio::test]
async fn the_clock_shows_the_time_of_the_log_and_source_names_are_validated() {
    let clock = open(&json!({"kind": "clock"}), Path::new("."), None).unwrap();
    assert_eq!(call(&clock, "it_now", json!({})).await.value, Some(json!(7)));
    let settings: SourceSettings = serde_json::from_value(json!({"kind": "clock"})).unwrap();
    let error = settings.open("my clock", Path::new("."), None, None).err().unwrap().to_string();
    assert!(error.contains("letters, digits and `_`"), "{error}");
}
