//! Questions and answers with one process, until it ends.

use super::wire::{Ask, Told};
use crate::CallProgress;
use crate::child::{Complaints, Group, command};
use crate::lines::{self, Line, Lines, MESSAGE, Noise};
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
type Answer = Result<Value, Fault>;

/// Why there is no answer.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Fault {
    /// The program says that it cannot.
    #[error("{0}")]
    Said(String),
    /// The program is gone.
    #[error("{0}")]
    Gone(String),
}

/// A process that is spoken with.
pub struct Conversation {
    stdin: AsyncMutex<ChildStdin>,
    waiting: Mutex<BTreeMap<u64, Waiting>>,
    last: AtomicU64,
    complaints: Complaints,
    /// Rung when what it offers has changed.
    pub changed: Notify,
    /// Thrown when it has ended.
    pub ended: CancellationToken,
    /// The process, which ends with the conversation.
    _child: tokio::process::Child,
    _group: Group,
}

struct Waiting {
    answer: oneshot::Sender<Answer>,
    progress: Option<Sink>,
}

impl Conversation {
    /// Starts the program `line`, which may see the variables `env`, in `directory`.
    pub fn begin(line: &[String], env: &[String], directory: &Path) -> Result<Arc<Self>, String> {
        let mut child = command(line, env, directory)
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .map_err(|error| format!("`{}` cannot be started: {error}", line[0]))?;
        let group = Group::of(child.id());
        let (Some(stdin), Some(stdout), Some(stderr)) =
            (child.stdin.take(), child.stdout.take(), child.stderr.take())
        else {
            return Err("the program has no standard input and output".to_owned());
        };
        let complaints = Complaints::default();
        complaints.listen(stderr);
        let conversation = Arc::new(Self {
            stdin: AsyncMutex::new(stdin),
            waiting: Mutex::default(),
            last: AtomicU64::new(0),
            complaints,
            changed: Notify::new(),
            ended: CancellationToken::new(),
            _child: child,
            _group: group,
        });
        let heard = Arc::downgrade(&conversation);
        tokio::spawn(async move {
            let (mut reader, mut lines) = (BufReader::with_capacity(1 << 16, stdout), Lines::new(MESSAGE));
            let mut noise = Noise::default();
            while let Ok(Some(line)) = lines::next(&mut reader, &mut lines).await {
                let Some(conversation) = heard.upgrade() else { return };
                if let Err(verdict) = conversation.hear(line, &mut noise) {
                    conversation.complaints.give_up(verdict);
                    break;
                }
            }
            if let Some(conversation) = heard.upgrade() {
                // What it wrote while it died may still be on its way.
                tokio::time::sleep(std::time::Duration::from_millis(50)).await;
                conversation.end();
            }
        });
        Ok(conversation)
    }

    /// Asks, and waits for the answer; dropped before, the program is told that nobody waits any more.
    pub async fn ask(self: &Arc<Self>, method: &str, params: Value, progress: Option<Sink>) -> Answer {
        let id = self.last.fetch_add(1, Ordering::Relaxed) + 1;
        let (answer, answered) = oneshot::channel();
        self.waiting().insert(id, Waiting { answer, progress });
        let mut question = Question { conversation: Arc::clone(self), id, open: true };
        if self.ended.is_cancelled() {
            question.open = false;
            self.waiting().remove(&id);
            return Err(Fault::Gone(self.why("the program has ended")));
        }
        let sent = self.send(&Ask { id: Some(id), method, params }).await;
        let answer = match sent {
            Ok(()) => answered.await.unwrap_or_else(|_| Err(Fault::Gone(self.why("the program ended")))),
            Err(error) => Err(Fault::Gone(self.why(&format!("the program does not listen: {error}")))),
        };
        question.open = false;
        self.waiting().remove(&id);
        answer
    }

    /// `reason`, and what the program said before.
    pub fn why(&self, reason: &str) -> String {
        self.complaints.after(reason)
    }

    async fn send(&self, ask: &Ask<'_>) -> std::io::Result<()> {
        let mut line = serde_json::to_vec(ask)?;
        line.push(b'\n');
        let mut stdin = self.stdin.lock().await;
        stdin.write_all(&line).await?;
        stdin.flush().await
    }

    /// Takes a line in; says why the program is given up, if it is.
    fn hear(&self, line: Line, noise: &mut Noise) -> Result<(), String> {
        let line = match line {
            Line::Whole(line) => line,
            Line::TooLong { bytes, answered: Some(id) } => {
                self.settle(id.as_u64(), Err(Fault::Said(lines::too_long(bytes))));
                noise.message();
                return Ok(());
            }
            Line::TooLong { bytes, answered: None } => {
                self.complaints.add(&format!("a line of {bytes} bytes was left out\n"));
                return noise.add(bytes);
            }
            Line::Endless { bytes } => return Err(lines::endless(bytes)),
        };
        let mut told = match serde_json::from_slice::<Told>(&line) {
            Ok(told) => told,
            Err(error) => {
                // What is no message is noise: kept for errors, like what comes on the standard error.
                let said = String::from_utf8_lossy(&line).chars().take(200).collect::<String>();
                self.complaints.add(&format!("{said}\n"));
                let answered = lines::answered(&line).and_then(|id| id.as_u64());
                self.settle(answered, Err(Fault::Said(format!("its answer cannot be read: {error}"))));
                return noise.add(line.len() as u64 + 1);
            }
        };
        let bytes = line.len() as u64 + 1;
        let mut heard = told.tools_changed;
        if told.tools_changed {
            self.changed.notify_one();
        }
        if let Some(progress) = told.progress.take() {
            heard = true;
            let sink = self.waiting().get(&progress.id).and_then(|waiting| waiting.progress.clone());
            if let Some(sink) = sink {
                sink(CallProgress { done: progress.done, total: progress.total, message: progress.message });
            }
        }
        let id = told.id;
        // A line that has a number and no answer is an echo of the question.
        if let Some(answer) = told.answer() {
            heard = true;
            self.settle(id, answer.map_err(Fault::Said));
        }
        if heard {
            noise.message();
            return Ok(());
        }
        noise.add(bytes)
    }

    /// Gives whoever asked the answer.
    fn settle(&self, id: Option<u64>, answer: Answer) {
        let Some(waiting) = id.and_then(|id| self.waiting().remove(&id)) else { return };
        // They may have gone.
        let _ = waiting.answer.send(answer);
    }

    fn end(&self) {
        self.ended.cancel();
        let waiting = std::mem::take(&mut *self.waiting());
        for (_, waiting) in waiting {
            let _ = waiting.answer.send(Err(Fault::Gone(self.why("the program ended"))));
        }
    }

    fn waiting(&self) -> MutexGuard<'_, BTreeMap<u64, Waiting>> {
        self.waiting.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// A question that waits for its answer.
struct Question {
    conversation: Arc<Conversation>,
    id: u64,
    open: bool,
}

impl Drop for Question {
    fn drop(&mut self) {
        if !self.open {
            return;
        }
        self.conversation.waiting().remove(&self.id);
        let (conversation, id) = (Arc::clone(&self.conversation), self.id);
        tokio::spawn(async move {
            let params = serde_json::json!({"id": id});
            // A program that does not listen any more need not be told.
            let _ = conversation.send(&Ask { id: None, method: "cancel", params }).await;
        });
    }
}
