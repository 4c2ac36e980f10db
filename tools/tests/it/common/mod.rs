//! A toolbox with one faulty source, and the checks that all kinds of sources must pass.

#![allow(dead_code, reason = "each test uses a part of it")]

use serde_json::Map;
pub use sojourn_testkit::PATIENCE;
use sojourn_testkit::eventually;
use sojourn_tools::{CallContext, CallLimits, CallProgress, ToolCall, ToolOutcome, ToolSource, Toolbox};
use std::io::{BufRead as _, BufReader, Read as _, Write as _};
use std::net::TcpListener;
use std::path::Path;
use std::sync::{Arc, Mutex};
use std::time::Duration;

/// A time limit, in milliseconds, that no test reaches.
pub const FOR_EVER: u64 = 600_000;

/// Command line of a test server with this fault.
pub fn faulty(server: &str, fault: &str) -> Vec<String> {
    let server = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/servers").join(server);
    ["python3", server.to_str().unwrap(), fault].map(str::to_owned).to_vec()
}

pub struct Bench {
    pub source: Arc<dyn ToolSource>,
    pub toolbox: Toolbox,
}

impl Bench {
    /// A bench whose calls may take ten seconds, so that on a busy machine too only one that hangs does, and whose results
    /// may have one megabyte.
    pub fn new(source: Arc<dyn ToolSource>) -> Self {
        let limits = CallLimits { timeout: Duration::from_secs(10), result_bytes: 1 << 20 };
        let toolbox = Toolbox::new(vec![Arc::clone(&source)], limits);
        Self { source, toolbox }
    }

    pub async fn call(&self, name: &str) -> ToolOutcome {
        match self.toolbox.validate(&ToolCall { name: name.into(), args: Map::new() }) {
            Ok(ready) => ready.run(CallContext::default()).await,
            Err(refusal) => ToolOutcome::failed(refusal.to_string()),
        }
    }

    /// Waits until the tool exists or does not exist. Returns the notices.
    pub async fn until(&self, name: &str, there: bool) -> Vec<String> {
        let mut notices = Vec::new();
        eventually(&format!("`{name}` there: {there}"), async || {
            notices.extend(self.toolbox.refresh().notices);
            (self.toolbox.specs().iter().any(|spec| spec.name == name) == there).then_some(())
        })
        .await;
        notices
    }
}

/// The first notice of the source.
pub async fn first_notice(source: &dyn ToolSource) -> String {
    eventually("it says something", async || source.notices().into_iter().next()).await
}

/// A fault, whether its call succeeds all the same, and a part of the outcome's text.
pub type Case = (&'static str, bool, &'static str);

/// Each fault fails the affected call, and the peer stays connected.
pub async fn each_fails_one_call(bench: impl AsyncFn(&str) -> Bench, cases: &[Case]) {
    for &(fault, ok, part) in cases {
        let bench = bench(fault).await;
        let outcome = bench.call("faulty_misbehave").await;
        let words = outcome.to_text();
        assert!(outcome.ok == ok && words.contains(part), "{fault}: {outcome:?}");
        let after = bench.call("faulty_behave").await;
        assert_eq!((after.ok, after.to_text().as_str()), (true, "well"), "{fault}, afterwards");
        bench.source.close().await;
    }
}

/// A peer that dies is restarted, and its tools are withdrawn meanwhile. Each case is a fault, a part of the
/// call's message, and a part of the source's notice.
pub async fn each_is_restarted(
    bench: impl AsyncFn(&str) -> Bench,
    cases: &[(&'static str, &'static str, &'static str)],
) {
    for &(fault, told, said) in cases {
        let bench = bench(fault).await;
        let outcome = bench.call("faulty_misbehave").await;
        assert!(!outcome.ok && outcome.message.contains(told), "{fault}: {outcome:?}");
        let notices = bench.until("faulty_behave", false).await;
        assert!(
            notices.iter().any(|notice| notice.contains("the next attempt is in 1 s")),
            "{fault}: {notices:?}"
        );
        assert!(notices.iter().any(|notice| notice.contains(said)), "{fault}: {notices:?}");
        let gone = bench.call("faulty_behave").await;
        assert!(gone.message.starts_with("no tool named"), "{fault}: {gone:?}");
        bench.until("faulty_behave", true).await;
        assert!(bench.call("faulty_behave").await.ok, "{fault}: not back");
        bench.source.close().await;
    }
}

/// Two concurrent calls receive their own progress, in order, and none of the other's.
pub async fn each_call_receives_its_own_progress(bench: impl AsyncFn(&str) -> Bench) {
    let bench = bench("interleave").await;
    let call = async || {
        let heard: Arc<Mutex<Vec<CallProgress>>> = Arc::default();
        let kept = Arc::clone(&heard);
        let context = CallContext {
            progress: Some(Arc::new(move |progress| kept.lock().unwrap().push(progress))),
            ..CallContext::default()
        };
        let call = ToolCall { name: "faulty_misbehave".into(), args: Map::new() };
        let words = bench.toolbox.validate(&call).unwrap().run(context).await.to_text();
        let heard: Vec<String> =
            heard.lock().unwrap().iter().filter_map(|progress| progress.message.clone()).collect();
        (words, heard)
    };
    let (one, other) = tokio::join!(call(), call());
    let (first, second) = if one.0.starts_with("call 0") { (one, other) } else { (other, one) };
    for (number, (words, heard)) in [first, second].into_iter().enumerate() {
        assert_eq!(words, format!("call {number} []"));
        let expected: Vec<String> = (1..5).map(|done| format!("{done} of call {number}")).collect();
        assert_eq!(heard, expected);
    }
    bench.source.close().await;
}

/// Tools added during a call are found, and an unusable tool is skipped alone.
pub async fn tool_lists_are_tracked(bench: impl AsyncFn(&str) -> Bench, unusable: &[&'static str]) {
    let changing = bench("change").await;
    assert!(changing.call("faulty_misbehave").await.ok);
    changing.until("faulty_late", true).await;
    changing.source.close().await;
    for fault in unusable {
        let wrong = bench(fault).await;
        let names: Vec<String> = wrong.toolbox.specs().into_iter().map(|spec| spec.name).collect();
        assert_eq!(names, ["faulty_behave"], "{fault}");
        wrong.source.close().await;
    }
}

/// Address, `127.0.0.1:PORT`, of a server that answers every request with the bytes of `answer`, which sees the request's head.
pub fn raw_server(answer: impl Fn(&str) -> Vec<u8> + Send + Sync + 'static) -> String {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = listener.local_addr().unwrap().to_string();
    let answer = Arc::new(answer);
    std::thread::spawn(move || {
        for mut stream in listener.incoming().flatten() {
            let answer = Arc::clone(&answer);
            std::thread::spawn(move || {
                let mut head = String::new();
                let mut reader = BufReader::new(stream.try_clone().unwrap());
                while reader.read_line(&mut head).unwrap_or(0) > 2 {}
                let length = head.lines().find_map(|line| {
                    let (name, value) = line.split_once(':')?;
                    name.eq_ignore_ascii_case("content-length").then(|| value.trim().parse().ok())?
                });
                let mut body = vec![0; length.unwrap_or(0)];
                let _ = reader.read_exact(&mut body);
                let _ = stream.write_all(&answer(&head));
            });
        }
    });
    address
}
