//! Third-party MCP servers from npm over stdio: `server-everything` and `server-filesystem`.

#![allow(
    clippy::unwrap_used,
    clippy::print_stderr,
    reason = "a test that cannot go on fails; one that is skipped says so"
)]

use crate::common::PATIENCE;
use serde_json::{Value, json};
use sojourn_tools::mcp::{McpSettings, McpSource};
use sojourn_tools::{
    CallContext, CallLimits, CallProgress, Content, ToolCall, ToolOutcome, ToolSource, Toolbox,
};
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::{Arc, LazyLock, Mutex};

const PACKAGES: [&str; 2] = [
    "@modelcontextprotocol/server-everything@2026.8.31",
    "@modelcontextprotocol/server-filesystem@2026.8.31",
];

/// Folder of the installed packages, or why they are missing.
static INSTALLED: LazyLock<Result<PathBuf, String>> = LazyLock::new(|| {
    let cache = std::env::var_os("XDG_CACHE_HOME")
        .map(PathBuf::from)
        .or_else(|| Some(PathBuf::from(std::env::var_os("HOME")?).join(".cache")))
        .ok_or("there is no cache directory")?;
    let place = cache.join("sojourn/npm/servers");
    std::fs::create_dir_all(&place).map_err(|error| error.to_string())?;
    let npm = Command::new("npm")
        .args(["install", "--silent", "--no-audit", "--no-fund", "--prefer-offline", "--prefix"])
        .arg(&place)
        .args(PACKAGES)
        .output()
        .map_err(|error| format!("npm cannot be started: {error}"))?;
    if npm.status.success() {
        Ok(place.join("node_modules/@modelcontextprotocol"))
    } else {
        Err(format!("npm: {}", String::from_utf8_lossy(&npm.stderr).trim()))
    }
});

/// The tools of a server; `None` if the packages cannot be installed.
async fn tools_of(server: &str, argument: &str) -> Option<(Arc<McpSource>, Toolbox)> {
    let place = match &*INSTALLED {
        Ok(place) => place,
        Err(reason) => {
            eprintln!("skipped: {reason}");
            return None;
        }
    };
    let program = place.join(server).join("dist/index.js");
    let command = ["node", program.to_str().unwrap(), argument].map(str::to_owned).to_vec();
    let settings = McpSettings { command, trust_annotations: true, ..McpSettings::default() };
    let source = Arc::new(McpSource::open("it", settings, Path::new(".")).unwrap());
    assert!(source.ready(PATIENCE).await, "{:?}", source.notices());
    let toolbox = Toolbox::new(vec![Arc::clone(&source) as Arc<dyn ToolSource>], CallLimits::default());
    Some((source, toolbox))
}

async fn call(toolbox: &Toolbox, name: &str, args: Value, context: CallContext) -> ToolOutcome {
    let call = ToolCall { name: name.into(), args: args.as_object().unwrap().clone() };
    toolbox.validate(&call).unwrap().run(context).await
}

#[tokio::test]
async fn every_kind_of_content_arrives() {
    let Some((source, toolbox)) = tools_of("server-everything", "stdio").await else { return };
    let plain = CallContext::default;
    let echo = call(&toolbox, "it_echo", json!({"message": "hello"}), plain()).await;
    assert!(echo.ok && echo.to_text().contains("hello"), "{echo:?}");
    let sum = call(&toolbox, "it_get_sum", json!({"a": 20, "b": 22}), plain()).await;
    assert!(sum.to_text().contains("42"), "{sum:?}");
    let image = call(&toolbox, "it_get_tiny_image", json!({}), plain()).await;
    let shows = |piece: &Content| matches!(piece, Content::Image { mime, .. } if mime == "image/png");
    assert!(image.content.iter().any(shows), "{image:?}");
    let structured =
        call(&toolbox, "it_get_structured_content", json!({"location": "Chicago"}), plain()).await;
    assert!(structured.value.as_ref().is_some_and(Value::is_object), "{structured:?}");
    let listed = call(&toolbox, "it_list_resources", json!({}), plain()).await;
    let words = listed.to_text();
    let uri = words.split_whitespace().find(|word| word.contains("://")).unwrap().trim_end_matches(':');
    let read = call(&toolbox, "it_read_resource", json!({"uri": uri}), plain()).await;
    assert!(read.ok && !read.content.is_empty(), "{uri}: {read:?}");
    let prompt = call(&toolbox, "it_get_prompt", json!({"name": "simple-prompt"}), plain()).await;
    assert!(prompt.ok && !prompt.content.is_empty(), "{prompt:?}");
    source.close().await;
}

#[tokio::test]
async fn a_long_call_reports_progress_and_can_be_cancelled() {
    let Some((source, toolbox)) = tools_of("server-everything", "stdio").await else { return };
    let heard: Arc<Mutex<Vec<CallProgress>>> = Arc::default();
    let kept = Arc::clone(&heard);
    let context = CallContext {
        progress: Some(Arc::new(move |progress| kept.lock().unwrap().push(progress))),
        ..CallContext::default()
    };
    let long = "it_trigger_long_running_operation";
    let outcome = call(&toolbox, long, json!({"duration": 1, "steps": 4}), context).await;
    assert!(outcome.ok, "{outcome:?}");
    let done: Vec<f64> = heard.lock().unwrap().iter().map(|progress| progress.done).collect();
    assert!(done.len() >= 2 && done.is_sorted(), "{done:?}");

    let context = CallContext::default();
    let cancel = context.cancel.clone();
    let (outcome, ()) =
        tokio::join!(call(&toolbox, long, json!({"duration": 3600, "steps": 2}), context), async {
            cancel.cancel();
        });
    assert!(outcome.message.contains("interrupted"), "{outcome:?}");
    let echo = call(&toolbox, "it_echo", json!({"message": "still here"}), CallContext::default()).await;
    assert!(echo.to_text().contains("still here"), "{echo:?}");
    source.close().await;
}

#[tokio::test]
async fn files_are_accessible_only_in_the_granted_directory() {
    let root = tempfile::tempdir().unwrap();
    let root = root.path().canonicalize().unwrap();
    let Some((source, toolbox)) = tools_of("server-filesystem", root.to_str().unwrap()).await else { return };
    let path = root.join("note.txt");
    let plain = CallContext::default;
    let written = call(&toolbox, "it_write_file", json!({"path": path, "content": "kept"}), plain()).await;
    assert!(written.ok, "{written:?}");
    assert_eq!(std::fs::read_to_string(&path).unwrap(), "kept");
    let read = call(&toolbox, "it_read_text_file", json!({"path": path}), plain()).await;
    assert!(read.to_text().contains("kept"), "{read:?}");
    let outside = call(&toolbox, "it_read_text_file", json!({"path": "/etc/hostname"}), plain()).await;
    assert!(!outside.ok, "{outside:?}");
    let reads = |name: &str| {
        let spec = toolbox.specs().into_iter().find(|spec| spec.name == name).unwrap();
        !spec.effects.write
    };
    assert!(reads("it_read_text_file") && !reads("it_write_file"), "annotations determine the effects");
    source.close().await;
}
