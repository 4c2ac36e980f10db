//! A component that tries what it was not granted, and misbehaves in every other way.

use serde_json::{Value, json};

wit_bindgen::generate!({ path: "../../../wit", world: "plugin" });

struct Hostile;
export!(Hostile);

impl Guest for Hostile {
    fn describe() -> String {
        let names = [
            "spin", "grow", "panic", "deep", "chatter", "no_json", "refuse", "large", "variables", "read", "write", "connect", "get",
            "remember", "wait", "time",
        ];
        let tools: Vec<Value> =
            names.iter().map(|name| json!({"name": name, "input": {"type": "object"}})).collect();
        json!({"tools": tools}).to_string()
    }

    fn call(request: Request) -> Result<String, String> {
        let args: Value = serde_json::from_str(&request.args).map_err(|error| error.to_string())?;
        let text = |name: &str| args[name].as_str().unwrap_or_default();
        let told = |value: Value| Ok(value.to_string());
        match request.tool.as_str() {
            "spin" => loop {
                std::hint::spin_loop();
            },
            "grow" => {
                let mut kept = Vec::new();
                loop {
                    kept.push(vec![1_u8; 1 << 20]);
                    std::hint::black_box(&kept);
                }
            }
            "panic" => panic!("it was too much for me"),
            "deep" => told(json!(deep(1))),
            "chatter" => {
                for _ in 0..200_000 {
                    eprintln!("{}", "x".repeat(100));
                }
                told(json!("said"))
            }
            "no_json" => Ok("{".to_owned()),
            "refuse" => Err("not today".to_owned()),
            "large" => told(json!("x".repeat(8 << 20))),
            "wait" => {
                std::thread::sleep(std::time::Duration::from_secs(60));
                told(json!("waited"))
            }
            "time" => {
                let wall = || std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH).map_or(-1, |time| time.as_millis() as i64);
                let (begun, before) = (std::time::Instant::now(), wall());
                std::thread::sleep(std::time::Duration::from_millis(20));
                told(json!({"before": before, "after": wall(), "told": request.now_ms, "goes": begun.elapsed().as_millis() >= 20}))
            }
            "variables" => told(std::env::vars().map(|(name, value)| (name, json!(value))).collect::<serde_json::Map<_, _>>().into()),
            "read" => match std::fs::read_to_string(text("path")) {
                Ok(read) => told(json!(read)),
                Err(error) => Err(error.to_string()),
            },
            "write" => match std::fs::write(text("path"), "mine") {
                Ok(()) => told(json!("written")),
                Err(error) => Err(error.to_string()),
            },
            "connect" => match std::net::TcpStream::connect(text("address")) {
                Ok(_) => told(json!("connected")),
                Err(error) => Err(error.to_string()),
            },
            "get" => get(text("host"), text("path")).map(|status| json!(status).to_string()),
            "remember" => {
                // Whatever one call leaves must not be there for the next.
                static CALLS: std::sync::atomic::AtomicU32 = std::sync::atomic::AtomicU32::new(0);
                told(json!(CALLS.fetch_add(1, std::sync::atomic::Ordering::Relaxed)))
            }
            other => Err(format!("no tool `{other}`")),
        }
    }
}

fn deep(depth: u64) -> u64 {
    if depth == u64::MAX { 0 } else { std::hint::black_box(deep(depth + 1)) + 1 }
}

fn get(host: &str, path: &str) -> Result<u16, String> {
    use wasip2::http::{outgoing_handler, types};
    let request = types::OutgoingRequest::new(types::Fields::new());
    let set = request.set_scheme(Some(&types::Scheme::Http)).is_ok()
        && request.set_authority(Some(host)).is_ok()
        && request.set_path_with_query(Some(path)).is_ok();
    if !set {
        return Err("the request cannot be made".to_owned());
    }
    let response = outgoing_handler::handle(request, None).map_err(|error| format!("{error:?}"))?;
    response.subscribe().block();
    match response.get() {
        Some(Ok(Ok(response))) => Ok(response.status()),
        other => Err(format!("{other:?}")),
    }
}
