//! Components can use exactly what they were granted, and no fault of theirs harms the run.

#![cfg(feature = "wasm")]
#![allow(
    clippy::unwrap_used,
    clippy::print_stderr,
    reason = "a test that cannot go on fails; one that is skipped says so"
)]

use crate::common::{Bench, PATIENCE, first_notice};
use serde_json::{Value, json};
use sojourn_tools::wasm::{WasmSettings, WasmSource};
use sojourn_tools::{CallContext, Effects, ToolCall, ToolOutcome, ToolSource as _};
use std::io::{Read as _, Write as _};
use std::net::TcpListener;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::{Arc, LazyLock};

/// The compiled hostile component, or why it cannot be compiled.
static HOSTILE: LazyLock<Result<PathBuf, String>> = LazyLock::new(|| {
    let manifest = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/guests/hostile/Cargo.toml");
    let target = Path::new(env!("CARGO_TARGET_TMPDIR")).join("guests");
    // Without rustup the target may be installed all the same.
    let _ = Command::new("rustup").args(["target", "add", "wasm32-wasip2"]).output();
    let built = Command::new(env!("CARGO"))
        .args(["build", "--release", "--target", "wasm32-wasip2", "--manifest-path"])
        .arg(manifest)
        .arg("--target-dir")
        .arg(&target)
        .env_remove("RUSTFLAGS")
        .env_remove("CARGO_ENCODED_RUSTFLAGS")
        .output()
        .map_err(|error| error.to_string())?;
    let said = String::from_utf8_lossy(&built.stderr).into_owned();
    if said.contains("target may not be installed") {
        return Err("Rust has no target wasm32-wasip2 here".to_owned());
    }
    assert!(built.status.success(), "{said}");
    Ok(target.join("wasm32-wasip2/release/hostile.wasm"))
});

/// The hostile component with these grants.
async fn hostile(grants: &Value) -> Option<Bench> {
    let component = match &*HOSTILE {
        Ok(component) => component,
        Err(reason) => {
            eprintln!("skipped: {reason}");
            return None;
        }
    };
    let mut settings = json!({"component": component});
    settings.as_object_mut().unwrap().extend(grants.as_object().unwrap().clone());
    let settings: WasmSettings = serde_json::from_value(settings).unwrap();
    let source = Arc::new(WasmSource::open("it", settings, Path::new("/")));
    assert!(source.ready(PATIENCE).await, "{:?}", source.notices());
    Some(Bench::new(source))
}

async fn call(bench: &Bench, tool: &str, args: &Value) -> ToolOutcome {
    let call = ToolCall { name: format!("it_{tool}"), args: args.as_object().unwrap().clone() };
    bench.toolbox.validate(&call).unwrap().run(CallContext::default()).await
}

#[tokio::test(flavor = "multi_thread")]
async fn any_fault_fails_one_call() {
    let Some(bench) = hostile(&json!({"memory_mib": 64})).await else { return };
    for (tool, part) in [
        ("spin", "did not answer within 10 s"),
        ("wait", "did not answer within 10 s"),
        ("grow", "memory"),
        ("panic", "it was too much for me"),
        ("deep", "call stack exhausted"),
        ("no_json", "the result is not valid JSON"),
        ("refuse", "not today"),
        ("large", "bytes"),
    ] {
        let outcome = call(&bench, tool, &json!({})).await;
        assert!(!outcome.ok && outcome.message.contains(part), "{tool}: {outcome:?}");
        let after = call(&bench, "remember", &json!({})).await;
        assert_eq!(after.value, Some(json!(0)), "{tool}: state passed to the next call");
    }
    // Writes more output than is kept; whether that fails is up to the component.
    call(&bench, "chatter", &json!({})).await;
    assert_eq!(call(&bench, "remember", &json!({})).await.value, Some(json!(0)));
}

#[tokio::test(flavor = "multi_thread")]
async fn the_wall_clock_is_fixed_at_the_time_of_the_call() {
    let Some(bench) = hostile(&json!({})).await else { return };
    for now_ms in [1_764_000_000_123_i64, 0, 1_764_000_000_123] {
        let call = ToolCall { name: "it_time".into(), args: serde_json::Map::new() };
        let context = CallContext { now_ms, ..CallContext::default() };
        let outcome = bench.toolbox.validate(&call).unwrap().run(context).await;
        let seen = json!({"before": now_ms, "after": now_ms, "told": now_ms, "goes": true});
        assert_eq!(outcome.value, Some(seen), "{outcome:?}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn other_calls_do_not_wait_for_one_that_spins() {
    let Some(bench) = hostile(&json!({})).await else { return };
    let nothing = json!({});
    let spinning = call(&bench, "spin", &nothing);
    let others = async {
        for _ in 0..20 {
            assert!(call(&bench, "remember", &nothing).await.ok);
        }
        true
    };
    // The other calls must finish before the spinning one is stopped.
    tokio::select! {
        through = others => assert!(through),
        outcome = spinning => panic!("{outcome:?}"),
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_component_sees_only_granted_directories_and_variables() {
    let place = tempfile::tempdir().unwrap();
    for directory in ["open", "closed", "secret"] {
        std::fs::create_dir(place.path().join(directory)).unwrap();
        std::fs::write(place.path().join(directory).join("file"), directory).unwrap();
    }
    std::os::unix::fs::symlink(place.path().join("secret/file"), place.path().join("closed/link")).unwrap();
    let at = |name: &str| place.path().join(name);
    let grants = json!({
        "directories": {"/open": {"path": at("open"), "write": true}, "/closed": {"path": at("closed")}},
        "env": ["PATH", "NO_SUCH_VARIABLE"],
    });
    let Some(bench) = hostile(&grants).await else { return };
    let variables = call(&bench, "variables", &json!({})).await.value.unwrap();
    assert_eq!(variables, json!({"PATH": std::env::var("PATH").unwrap()}));

    let read = async |path: &str| call(&bench, "read", &json!({"path": path})).await;
    assert_eq!(read("/open/file").await.to_text(), "open");
    assert_eq!(read("/closed/file").await.to_text(), "closed");
    let outside = at("secret/file").to_str().unwrap().to_owned();
    for path in
        ["/secret/file", "/closed/../secret/file", "/closed/link", "/etc/passwd", "file", outside.as_str()]
    {
        let outcome = read(path).await;
        assert!(!outcome.ok, "{path}: {outcome:?}");
    }
    let write = async |path: &str| call(&bench, "write", &json!({"path": path})).await.ok;
    assert!(write("/open/new").await);
    assert_eq!(std::fs::read_to_string(at("open/new")).unwrap(), "mine");
    for path in ["/closed/new", "/closed/file", "/open/../secret/file", "/new"] {
        assert!(!write(path).await, "{path}");
    }
    assert_eq!(std::fs::read_to_string(at("closed/file")).unwrap(), "closed");
    assert_eq!(std::fs::read_to_string(at("secret/file")).unwrap(), "secret");
}

/// Starts a server that answers every request with 204; returns its address.
fn server() -> String {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = listener.local_addr().unwrap().to_string();
    std::thread::spawn(move || {
        for mut stream in listener.incoming().flatten() {
            let _ = stream.read(&mut [0; 1024]);
            let _ = stream.write_all(b"HTTP/1.1 204 No Content\r\nconnection: close\r\n\r\n");
        }
    });
    address
}

#[tokio::test(flavor = "multi_thread")]
async fn a_component_contacts_only_granted_hosts_and_only_by_http() {
    let (listed, other) = (server(), server());
    let Some(bench) = hostile(&json!({"hosts": [listed]})).await else { return };
    let get = async |host: &str| call(&bench, "get", &json!({"host": host, "path": "/"})).await;
    assert_eq!(get(&listed).await.value, Some(json!(204)));
    for host in [other.as_str(), "localhost:1", "example.org"] {
        let outcome = get(host).await;
        assert!(!outcome.ok && outcome.message.contains("Denied"), "{host}: {outcome:?}");
    }
    for address in [&listed, &other] {
        let outcome = call(&bench, "connect", &json!({"address": address})).await;
        assert!(!outcome.ok, "a socket is no request: {outcome:?}");
    }
    let Some(mute) = hostile(&json!({})).await else { return };
    let outcome = call(&mute, "get", &json!({"host": listed, "path": "/"})).await;
    assert!(!outcome.ok, "{outcome:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn effects_are_limited_by_the_grants() {
    let effects = async |grants: &Value| {
        let bench = hostile(grants).await?;
        let specs = bench.toolbox.specs();
        Some(specs.into_iter().find(|spec| spec.name == "it_spin").unwrap().effects)
    };
    let Some(none) = effects(&json!({})).await else { return };
    assert_eq!(
        none,
        Effects { idempotent: true, ..Effects::default() },
        "it said nothing, and can do nothing"
    );
    let worst = Effects { write: true, network: true, irreversible: true, idempotent: false };
    assert_eq!(effects(&json!({"hosts": ["localhost"]})).await.unwrap(), worst);
    let place = tempfile::tempdir().unwrap();
    let writes = json!({"directories": {"/it": {"path": place.path(), "write": true}}});
    assert_eq!(effects(&writes).await.unwrap(), Effects { network: false, ..worst });
    let known = json!({"hosts": ["localhost"], "effects": {"spin": {"network": true}}});
    assert_eq!(effects(&known).await.unwrap(), Effects { network: true, ..Effects::default() });
}

#[tokio::test(flavor = "multi_thread")]
async fn a_new_or_changed_component_file_is_loaded() {
    let Ok(component) = &*HOSTILE else { return };
    let place = tempfile::tempdir().unwrap();
    let settings: WasmSettings = serde_json::from_value(json!({"component": "it.wasm"})).unwrap();
    let source = Arc::new(WasmSource::open("it", settings, place.path()));
    assert!(!source.ready(PATIENCE).await);
    let notice = first_notice(&*source).await;
    assert!(notice.contains("cannot read"), "{notice}");
    let file = place.path().join("it.wasm");
    std::fs::write(&file, b"\0asm").unwrap();
    let notice = first_notice(&*source).await;
    assert!(notice.contains("does not implement"), "{notice}");
    let bench = Bench::new(source);
    std::fs::copy(component, &file).unwrap();
    bench.until("it_spin", true).await;
    std::fs::write(&file, b"no component any more").unwrap();
    let notices = bench.until("it_spin", false).await;
    assert!(notices.iter().any(|notice| notice.contains("the component file has changed")), "{notices:?}");
}
