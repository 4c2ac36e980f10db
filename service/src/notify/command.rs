//! A message on the standard input of a program.

use super::{Addressees, Undelivered};
use sojourn_memory::Message;
use sojourn_subprocess::{ProcessTree, command};
use std::process::Stdio;
use std::time::Duration;
use tokio::io::AsyncWriteExt as _;

/// Time limit of the program. It ends with everything that it started.
const TIMEOUT: Duration = Duration::from_secs(30);

pub(super) async fn deliver(addressees: &Addressees, message: &Message) -> Result<(), Undelivered> {
    let line = &addressees.settings.command;
    run(line, &[], addressees, Some(&message.new.body)).await
}

/// Runs a program to its end, with `input` on its standard input.
pub(super) async fn run(
    line: &[String],
    env: &[String],
    addressees: &Addressees,
    input: Option<&str>,
) -> Result<(), Undelivered> {
    let name = line.first().cloned().unwrap_or_default();
    let failed = |what: String| Undelivered::ForNow(format!("`{name}` {what}"));
    let mut command = command(line, env, &addressees.directory)
        .map_err(|error| Undelivered::ForEver(format!("`{name}` cannot be run: {error}")))?;
    let stdin = if input.is_some() { Stdio::piped() } else { Stdio::null() };
    command.stdin(stdin).stdout(Stdio::null()).stderr(Stdio::null());
    let mut child = command.spawn().map_err(|error| failed(format!("cannot be run: {error}")))?;
    let _tree = ProcessTree::of(child.id());
    let work = async {
        if let (Some(mut stdin), Some(input)) = (child.stdin.take(), input) {
            // A program that does not read its input may still do its work.
            let _ = stdin.write_all(input.as_bytes()).await;
        }
        child.wait().await
    };
    match tokio::time::timeout(TIMEOUT, work).await {
        Ok(Ok(status)) if status.success() => Ok(()),
        Ok(Ok(status)) => Err(failed(format!("failed: {status}"))),
        Ok(Err(error)) => Err(failed(format!("failed: {error}"))),
        Err(_) => Err(failed(format!("took longer than {} s", TIMEOUT.as_secs()))),
    }
}
