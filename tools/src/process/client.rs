//! Request and response matching with one child process, until it ends.

use super::wire::{Incoming, Request};
use crate::CallProgress;
use crate::framing::{self, Frame, FrameDecoder, MAX_MESSAGE_BYTES, NoiseBudget};
use crate::subprocess::{ProcessTree, StderrLog, command};
use serde_json::Value;
use std::collections::BTreeMap;
use std::path::Path;
use std::process::Stdio;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use tokio::io::{AsyncWriteExt as _, BufReader};
use tokio::process::ChildStdin;
use tokio::sync::{Mutex as AsyncMutex, Notify, oneshot};
use tokio_util::sync::CancellationToken;

type Sink = Arc<dyn Fn(CallProgress) + Send + Sync>;
type Response = Result<Value, RequestError>;

/// Why a request got no result.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum RequestError {
    /// The process answered with an error.
    #[error("{0}")]
    Rejected(String),
    /// The process has ended, or cannot be reached.
    #[error("{0}")]
    Disconnected(String),
}

/// A running child process that answers requests. Dropping it ends the process and everything that it started.
pub struct ProcessClient {
    stdin: AsyncMutex<ChildStdin>,
    waiting: Mutex<BTreeMap<u64, Waiting>>,
    last: AtomicU64,
    stderr_log: StderrLog,
    /// Notified when the process announces a change of its tools.
    pub changed: Notify,
    /// Cancelled when the process has ended.
    pub ended: CancellationToken,
    /// The process and everything that it started; ended on drop, before the process is waited for.
    _tree: ProcessTree,
    _child: tokio::process::Child,
}

struct Waiting {
    response: oneshot::Sender<Response>,
    progress: Option<Sink>,
}

impl ProcessClient {
    /// Starts the program `line` in `directory`, with access to the environment variables `env`.
    pub fn begin(line: &[String], env: &[String], directory: &Path) -> Result<Arc<Self>, String> {
        let mut child = command(line, env, directory)
            .and_then(|mut command| {
                command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped()).spawn()
            })
            .map_err(|error| {
                format!("cannot start `{}`: {error}", line.first().map_or("", String::as_str))
            })?;
        let tree = ProcessTree::of(child.id());
        let (Some(stdin), Some(stdout), Some(stderr)) =
            (child.stdin.take(), child.stdout.take(), child.stderr.take())
        else {
            return Err("the process has no standard streams".to_owned());
        };
        let stderr_log = StderrLog::default();
        stderr_log.listen(stderr);
        let client = Arc::new(Self {
            stdin: AsyncMutex::new(stdin),
            waiting: Mutex::default(),
            last: AtomicU64::new(0),
            stderr_log,
            changed: Notify::new(),
            ended: CancellationToken::new(),
            _tree: tree,
            _child: child,
        });
        let weak = Arc::downgrade(&client);
        tokio::spawn(async move {
            let (mut reader, mut lines) =
                (BufReader::with_capacity(1 << 16, stdout), FrameDecoder::new(MAX_MESSAGE_BYTES));
            let mut noise = NoiseBudget::default();
            while let Ok(Some(line)) = framing::next(&mut reader, &mut lines).await {
                let Some(client) = weak.upgrade() else { return };
                if let Err(reason) = client.process(line, &mut noise) {
                    client.stderr_log.abandon(reason);
                    break;
                }
            }
            if let Some(client) = weak.upgrade() {
                // The last lines of standard error may still be in the pipe.
                tokio::time::sleep(std::time::Duration::from_millis(50)).await;
                client.end();
            }
        });
        Ok(client)
    }

    /// Sends a request and waits for the response. Dropping the future sends a cancellation.
    pub async fn request(self: &Arc<Self>, method: &str, params: Value, progress: Option<Sink>) -> Response {
        let id = self.last.fetch_add(1, Ordering::Relaxed) + 1;
        let (response, received) = oneshot::channel();
        self.waiting().insert(id, Waiting { response, progress });
        let mut pending = PendingRequest { client: Arc::clone(self), id, open: true };
        if self.ended.is_cancelled() {
            pending.open = false;
            self.waiting().remove(&id);
            return Err(RequestError::Disconnected(self.explain("the process has ended")));
        }
        let sent = self.send(&Request { id: Some(id), method, params }).await;
        let answer = match sent {
            Ok(()) => received
                .await
                .unwrap_or_else(|_| Err(RequestError::Disconnected(self.explain("the process ended")))),
            Err(error) => Err(RequestError::Disconnected(
                self.explain(&format!("the process does not accept requests: {error}")),
            )),
        };
        pending.open = false;
        self.waiting().remove(&id);
        answer
    }

    /// `reason`, followed by the last lines of the process's standard error.
    pub fn explain(&self, reason: &str) -> String {
        self.stderr_log.explain(reason)
    }

    async fn send(&self, ask: &Request<'_>) -> std::io::Result<()> {
        let mut line = serde_json::to_vec(ask)?;
        line.push(b'\n');
        let mut stdin = self.stdin.lock().await;
        stdin.write_all(&line).await?;
        stdin.flush().await
    }

    /// Processes one frame. An error is the reason to disconnect.
    fn process(&self, line: Frame, noise: &mut NoiseBudget) -> Result<(), String> {
        let line = match line {
            Frame::Complete(line) if framing::has_too_many_values(&line) => {
                let answered = framing::answered_id(&line).and_then(|id| id.as_u64());
                self.settle(answered, Err(RequestError::Rejected(framing::TOO_MANY_VALUES.to_owned())));
                return noise.add(line.len() as u64 + 1);
            }
            Frame::Complete(line) => line,
            Frame::Oversized { bytes, answered: Some(id) } => {
                self.settle(id.as_u64(), Err(RequestError::Rejected(framing::oversized(bytes))));
                noise.message();
                return Ok(());
            }
            Frame::Oversized { bytes, answered: None } => {
                self.stderr_log.add(&format!("an oversized line of {bytes} bytes was skipped\n"));
                return noise.add(bytes);
            }
            Frame::Unterminated { bytes } => return Err(framing::unterminated(bytes)),
        };
        let mut incoming = match serde_json::from_slice::<Incoming>(&line) {
            Ok(incoming) => incoming,
            Err(error) => {
                // A line that is not a message is kept for error messages, like standard error.
                let text = String::from_utf8_lossy(&line).chars().take(200).collect::<String>();
                self.stderr_log.add(&format!("{text}\n"));
                let answered = framing::answered_id(&line).and_then(|id| id.as_u64());
                self.settle(
                    answered,
                    Err(RequestError::Rejected(format!("its response is not valid: {error}"))),
                );
                return noise.add(line.len() as u64 + 1);
            }
        };
        let bytes = line.len() as u64 + 1;
        let mut is_message = incoming.tools_changed;
        if incoming.tools_changed {
            self.changed.notify_one();
        }
        if let Some(progress) = incoming.progress.take() {
            is_message = true;
            let sink = self.waiting().get(&progress.id).and_then(|waiting| waiting.progress.clone());
            if let Some(sink) = sink {
                sink(CallProgress { done: progress.done, total: progress.total, message: progress.message });
            }
        }
        let id = incoming.id;
        // A line with an id but no result may be an echo of the request.
        if let Some(answer) = incoming.response() {
            is_message = true;
            self.settle(id, answer.map_err(RequestError::Rejected));
        }
        if is_message {
            noise.message();
            return Ok(());
        }
        noise.add(bytes)
    }

    /// Delivers the response of the request `id`.
    fn settle(&self, id: Option<u64>, response: Response) {
        let Some(waiting) = id.and_then(|id| self.waiting().remove(&id)) else { return };
        // The caller may have stopped waiting.
        let _ = waiting.response.send(response);
    }

    fn end(&self) {
        self.ended.cancel();
        let waiting = std::mem::take(&mut *self.waiting());
        for (_, waiting) in waiting {
            let _ = waiting.response.send(Err(RequestError::Disconnected(self.explain("the process ended"))));
        }
    }

    fn waiting(&self) -> MutexGuard<'_, BTreeMap<u64, Waiting>> {
        self.waiting.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// A request that waits for its response.
struct PendingRequest {
    client: Arc<ProcessClient>,
    id: u64,
    open: bool,
}

impl Drop for PendingRequest {
    fn drop(&mut self) {
        if !self.open {
            return;
        }
        self.client.waiting().remove(&self.id);
        let (client, id) = (Arc::clone(&self.client), self.id);
        tokio::spawn(async move {
            let params = serde_json::json!({"id": id});
            // The process may have ended already.
            let _ = client.send(&Request { id: None, method: "cancel", params }).await;
        });
    }
}
