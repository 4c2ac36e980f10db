//! The plugin's side of the protocol: serves this program's tools.

use crate::framing::{self, Frame, FrameDecoder, MAX_MESSAGE_BYTES};
use crate::{CallContext, CallLimits, CallProgress, FixedSource, Tool, ToolCall, Toolbox};
use serde::Deserialize;
use serde_json::{Map, Value, json};
use std::collections::BTreeMap;
use std::io;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;
use tokio::io::{AsyncBufRead, AsyncWrite, AsyncWriteExt as _, BufReader};
use tokio::sync::mpsc;
use tokio_util::sync::CancellationToken;

#[derive(Deserialize)]
struct Request {
    id: Option<u64>,
    method: String,
    #[serde(default)]
    params: Params,
}

#[derive(Default, Deserialize)]
struct Params {
    id: Option<u64>,
    #[serde(default)]
    tool: String,
    #[serde(default)]
    args: Map<String, Value>,
    #[serde(default)]
    now_ms: i64,
    #[serde(default)]
    idempotency_key: String,
}

/// Serves tools over the standard streams until end of input. This is the whole of a plugin's `main`.
///
/// # Errors
/// A stream fails.
pub async fn serve(tools: Vec<Arc<dyn Tool>>) -> io::Result<()> {
    serve_on(tools, BufReader::new(tokio::io::stdin()), tokio::io::stdout()).await
}

/// As [`serve`], over other streams. Calls run concurrently; a line that is not a request is ignored.
///
/// # Errors
/// A stream fails.
pub async fn serve_on<R, W>(tools: Vec<Arc<dyn Tool>>, mut reader: R, mut writer: W) -> io::Result<()>
where
    R: AsyncBufRead + Unpin,
    W: AsyncWrite + Unpin + Send + 'static,
{
    // The caller enforces time limits; a tool's own `timeout_ms` still applies.
    let limits = CallLimits { timeout: Duration::MAX, result_bytes: MAX_MESSAGE_BYTES };
    let toolbox = Arc::new(Toolbox::new(vec![Arc::new(FixedSource::new("", tools))], limits));
    let running: Arc<Mutex<BTreeMap<u64, CancellationToken>>> = Arc::default();
    let (say, mut said) = mpsc::unbounded_channel::<Value>();
    let writing = tokio::spawn(async move {
        while let Some(message) = said.recv().await {
            let mut line = message.to_string().into_bytes();
            line.push(b'\n');
            writer.write_all(&line).await?;
            writer.flush().await?;
        }
        io::Result::Ok(())
    });
    let mut lines = FrameDecoder::new(MAX_MESSAGE_BYTES);
    while let Some(line) = framing::next(&mut reader, &mut lines).await? {
        let line = match line {
            Frame::Complete(line) => line,
            Frame::Oversized { .. } => continue,
            Frame::Unterminated { bytes } => return Err(io::Error::other(framing::unterminated(bytes))),
        };
        let Ok(request) = serde_json::from_slice::<Request>(&line) else { continue };
        match (request.method.as_str(), request.id) {
            ("describe", Some(id)) => {
                let tools: Vec<Value> = toolbox.specs().into_iter().map(|spec| offer(&spec)).collect();
                // Sending fails only after the writer has ended.
                let _ = say.send(json!({"id": id, "result": {"tools": tools}}));
            }
            ("call", Some(id)) => {
                let cancel = CancellationToken::new();
                running.lock().unwrap_or_else(PoisonError::into_inner).insert(id, cancel.clone());
                let (toolbox, running, say) = (Arc::clone(&toolbox), Arc::clone(&running), say.clone());
                tokio::spawn(async move {
                    let answer = answer(&toolbox, id, request.params, cancel, say.clone()).await;
                    running.lock().unwrap_or_else(PoisonError::into_inner).remove(&id);
                    let _ = say.send(answer);
                });
            }
            ("cancel", _) => {
                let running = running.lock().unwrap_or_else(PoisonError::into_inner);
                if let Some(cancel) = request.params.id.and_then(|id| running.get(&id)) {
                    cancel.cancel();
                }
            }
            (other, Some(id)) => {
                let _ = say.send(json!({"id": id, "error": format!("unknown method `{other}`")}));
            }
            _ => {}
        }
    }
    drop(say);
    writing.await.map_err(io::Error::other)?
}

fn offer(spec: &crate::ToolSpec) -> Value {
    let mut offer = json!({
        "name": spec.name, "description": spec.description, "input": spec.input_schema(), "effects": spec.effects,
    });
    if let Some(returns) = spec.returns {
        offer["returns"] = json!(returns);
    }
    if let Some(timeout_ms) = spec.timeout_ms {
        offer["timeout_ms"] = timeout_ms.into();
    }
    offer
}

async fn answer(
    toolbox: &Toolbox,
    id: u64,
    params: Params,
    cancel: CancellationToken,
    say: mpsc::UnboundedSender<Value>,
) -> Value {
    let progress = move |progress: CallProgress| {
        let CallProgress { done, total, message } = progress;
        let _ = say.send(json!({"progress": {"id": id, "done": done, "total": total, "message": message}}));
    };
    let context = CallContext {
        now_ms: params.now_ms,
        idempotency_key: params.idempotency_key,
        cancel,
        progress: Some(Arc::new(progress)),
        media: None,
        allows_part: None,
    };
    match toolbox.validate(&ToolCall { name: params.tool, args: params.args }) {
        Ok(ready) => json!({"id": id, "result": ready.run(context).await}),
        Err(refusal) => json!({"id": id, "error": refusal.to_string()}),
    }
}
