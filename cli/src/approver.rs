//! Asks the person at the terminal to approve calls of tools, and the questions that tools ask the user.

use crate::output;
use async_trait::async_trait;
use serde_json::{Map, Value};
use sojourn_controller::Cancel;
use sojourn_core::{Approval, Approver, Unattended};
use sojourn_tools::ToolSpec;
use sojourn_tools::builtin::Person;
use std::collections::BTreeSet;
use std::fs::{File, OpenOptions};
use std::io::{self, BufRead as _, BufReader, Write as _};
use std::sync::{Arc, Mutex, PoisonError};

/// The maximum number of characters of the arguments in a question.
const SHOWN: usize = 600;

/// An approver that asks at the terminal; one that denies everything where there is none.
pub fn approver(cancel: Cancel) -> Arc<dyn Approver> {
    match terminal() {
        Ok(_) => Arc::new(Terminal { cancel, always: Mutex::default() }),
        Err(_) => Arc::new(Unattended),
    }
}

/// The person at the terminal, who answers questions of tools; `None` where there is no terminal.
pub fn person() -> Option<Arc<dyn Person>> {
    terminal().ok().map(|_| Arc::new(AtTerminal) as Arc<dyn Person>)
}

struct AtTerminal;

#[async_trait]
impl Person for AtTerminal {
    async fn answer(&self, question: &str) -> Option<String> {
        let plain: String = question.chars().filter(|c| !c.is_control()).collect();
        let asked = tokio::task::spawn_blocking(move || ask(&format!("\nThe agent asks: {plain}\n> ")));
        let line = asked.await.ok()?.ok()?;
        Some(line.trim().to_owned()).filter(|line| !line.is_empty())
    }

    fn show_page(&self, reason: &str, address: &str) -> bool {
        let plain = |text: &str| text.chars().filter(|c| !c.is_control()).collect::<String>();
        output::note(format!("{}: open this in a browser\n  {}", plain(reason), plain(address)));
        true
    }
}

/// The controlling terminal of this process; a service has none.
fn terminal() -> io::Result<File> {
    OpenOptions::new().read(true).write(true).open("/dev/tty")
}

struct Terminal {
    cancel: Cancel,
    /// Tools that the user approved for the rest of this process.
    always: Mutex<BTreeSet<String>>,
}

#[async_trait]
impl Approver for Terminal {
    async fn approve(&self, spec: &ToolSpec, args: &Map<String, Value>) -> Approval {
        let always = || self.always.lock().unwrap_or_else(PoisonError::into_inner);
        if always().contains(&spec.name) {
            return Approval { granted: true, by: "the user, who said always".to_owned() };
        }
        let question = question(spec, args);
        let asked = tokio::task::spawn_blocking(move || ask(&question));
        let answer = tokio::select! {
            answer = asked => answer.ok().and_then(Result::ok).unwrap_or_default(),
            () = self.cancel.cancelled() => return Approval { granted: false, by: "the run was stopped".to_owned() },
        };
        match answer.trim().to_lowercase().as_str() {
            "y" | "yes" => Approval { granted: true, by: "the user".to_owned() },
            "a" | "always" => {
                always().insert(spec.name.clone());
                Approval { granted: true, by: "the user, who said always".to_owned() }
            }
            _ => Approval { granted: false, by: "the user said no".to_owned() },
        }
    }
}

/// The question. A model wrote the arguments: control characters are removed, so that nothing can move the cursor.
fn question(spec: &ToolSpec, args: &Map<String, Value>) -> String {
    let args = Value::Object(args.clone()).to_string();
    let mut shown: String = args.chars().filter(|c| !c.is_control()).take(SHOWN).collect();
    if shown.len() < args.len() {
        shown.push('…');
    }
    let cannot = if spec.effects.irreversible { ", which cannot be undone" } else { "" };
    format!(
        "\nThe agent wants to call {}({shown}){cannot}.\nMay it? [y]es, [a]lways in this run, [N]o: ",
        spec.name
    )
}

fn ask(question: &str) -> io::Result<String> {
    let mut terminal = terminal()?;
    terminal.write_all(question.as_bytes())?;
    terminal.flush()?;
    let mut line = String::new();
    BufReader::new(terminal).read_line(&mut line)?;
    Ok(line)
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn arguments_cannot_paint_over_the_question() {
        let spec = ToolSpec::new("pay", "");
        let args = json!({"to": "bob\u{1b}[2K\r\u{8}ok", "note": "x".repeat(2000)});
        let question = question(&spec, args.as_object().unwrap());
        assert_eq!(question.matches('\u{1b}').count(), 0);
        assert!(question.contains("pay({") && question.contains('…') && question.len() < 900);
    }
}
