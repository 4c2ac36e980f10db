//! Reading HTML and PDF in a process of its own, so that a document that stops the parser does not stop the batch.
//!
//! The process is this program again. It gets the bytes on standard input, limits its own memory, and answers with one line
//! of JSON. It ends with its parent.

use super::extract::{Extracted, Format, extract};
use crate::output;
use anyhow::{Context as _, Result};
use rustix::process::{Resource, Rlimit, Signal, getrlimit, set_parent_process_death_signal, setrlimit};
use std::any::Any;
use std::io::Read as _;
use std::process::Stdio;
use std::time::Duration;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::process::Command;

/// The most memory that reading one document may take, in bytes of address space.
const MEMORY: u64 = 2 << 30;
/// The stack of the thread that reads: parsers recurse.
const STACK: usize = 64 << 20;
/// The longest answer, in bytes.
const LONGEST_ANSWER: u64 = 256 << 20;
/// How long reading one document may take.
const PATIENCE: Duration = Duration::from_mins(2);

/// Reads a document in another process.
///
/// # Errors
/// An error of the process. The inner error is the fault of the document, for a person.
pub async fn read(bytes: &[u8], format: Format, declared: Option<&str>) -> Result<Result<Extracted, String>> {
    let program = std::env::current_exe().context("cannot find this program")?;
    let mut command = Command::new(program);
    // It opens no home; without the variables of this process it might find none.
    command.args(["--home", "/", "knowledge", "read-document", format.name()]);
    if let Some(declared) = declared {
        command.arg("--encoding").arg(declared);
    }
    command.env_clear().stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::null()).kill_on_drop(true);
    let mut child = command.spawn().context("cannot start the process that reads documents")?;
    let (input, answer) = (child.stdin.take(), child.stdout.take());
    let talk = async {
        let send = async {
            if let Some(mut input) = input {
                // A process that has ended says why by its status.
                let _ = input.write_all(bytes).await;
            }
        };
        let receive = async {
            let mut received = Vec::new();
            if let Some(answer) = answer {
                answer.take(LONGEST_ANSWER).read_to_end(&mut received).await?;
            }
            Ok::<_, std::io::Error>(received)
        };
        let ((), received) = tokio::join!(send, receive);
        Ok::<_, std::io::Error>((received?, child.wait().await?))
    };
    let Ok(done) = tokio::time::timeout(PATIENCE, talk).await else {
        return Ok(Err(format!("reading it takes more than {} seconds", PATIENCE.as_secs())));
    };
    let (received, status) = done.context("cannot talk to the process that reads documents")?;
    if let Ok(answer) = serde_json::from_slice::<Result<Extracted, String>>(&received) {
        return Ok(answer);
    }
    Ok(Err(format!(
        "its parser gave up ({status}): it may be damaged, or need more than {} MB of memory",
        MEMORY >> 20
    )))
}

/// Acts as that process.
///
/// # Errors
/// When the input or output fails.
pub fn serve(format: &str, declared: Option<&str>) -> Result<()> {
    let format = Format::named(format).with_context(|| format!("unknown format `{format}`"))?;
    // Where the system has no such limits, the parent's patience is the only one.
    let _ = set_parent_process_death_signal(Some(Signal::KILL));
    let limit = |resource, most| {
        let maximum = getrlimit(resource).maximum.map_or(most, |maximum| maximum.min(most));
        let _ = setrlimit(resource, Rlimit { current: Some(maximum), maximum: Some(maximum) });
    };
    limit(Resource::As, MEMORY);
    limit(Resource::Fsize, 0);
    limit(Resource::Core, 0);
    let mut bytes = Vec::new();
    std::io::stdin().take(super::read::LARGEST + 1).read_to_end(&mut bytes)?;
    // A panic is an answer, not a message for the terminal.
    std::panic::set_hook(Box::new(|_| ()));
    let declared = declared.map(str::to_owned);
    let work = move || extract(&bytes, format, declared.as_deref());
    let thread = std::thread::Builder::new().stack_size(STACK).spawn(work)?;
    let answer = thread.join().unwrap_or_else(|cause| {
        let reason = panic_message(&*cause).unwrap_or("no reason");
        Err(format!("its parser does not understand it ({reason})"))
    });
    output::json_line(&answer)?;
    Ok(())
}

/// The message of a panic, if it has one.
pub fn panic_message(cause: &(dyn Any + Send)) -> Option<&str> {
    cause.downcast_ref::<String>().map(String::as_str).or_else(|| cause.downcast_ref::<&str>().copied())
}
