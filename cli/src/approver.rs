//! Asks the person at the terminal to approve calls of tools, and the questions that tools ask the user.

mod kept;

pub use kept::Kept;

use crate::{output, progress};
use async_trait::async_trait;
use serde_json::{Map, Value};
use sojourn_controller::Cancel;
use sojourn_core::{Approval, Approver, Question, Unattended, call_hash};
use sojourn_tools::ToolSpec;
use sojourn_tools::builtin::Person;
use sojourn_tools::outside::terminal::{escaped, escaped_json, one_line};
use std::collections::BTreeSet;
use std::fmt::Write as _;
use std::fs::{File, OpenOptions};
use std::io::{self, BufRead as _, BufReader, Write as _};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use unicode_width::UnicodeWidthChar as _;

/// Characters of one line of a question; longer lines are continued on the next.
const WIDTH: usize = 100;
/// Lines shown before the person is asked for more.
const PAGE: usize = 40;
/// Limit on the lines of arguments of one question. A call with more is refused, because no person would read it all.
const MOST_LINES: usize = 1000;

/// Whether this process puts no question at the terminal, even if it has one.
static NOBODY_IS_THERE: AtomicBool = AtomicBool::new(false);

/// From now on, no question is put at the terminal.
pub fn ask_nobody() {
    NOBODY_IS_THERE.store(true, Ordering::Relaxed);
}

/// Whether somebody can be asked at the terminal.
pub fn somebody_is_there() -> bool {
    terminal().is_ok()
}

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
        // No line of the question looks like one of this program's.
        let plain = escaped(question).replace('\n', "\n    ");
        let asked = tokio::task::spawn_blocking(move || ask(&[format!("\nThe agent asks: {plain}\n> ")]));
        let line = asked.await.ok()?.ok()?;
        Some(line.trim().to_owned()).filter(|line| !line.is_empty())
    }

    fn show_page(&self, reason: &str, address: &str) -> bool {
        let _pause = progress::pause();
        output::note(format!("{}: open this in a browser\n  {}", one_line(reason), one_line(address)));
        true
    }
}

/// The controlling terminal of this process; a service has none.
fn terminal() -> io::Result<File> {
    if NOBODY_IS_THERE.load(Ordering::Relaxed) {
        return Err(io::ErrorKind::NotFound.into());
    }
    OpenOptions::new().read(true).write(true).open("/dev/tty")
}

struct Terminal {
    cancel: Cancel,
    /// Hashes of the calls that the user approved for the rest of this process.
    always: Mutex<BTreeSet<String>>,
}

#[async_trait]
impl Approver for Terminal {
    async fn approve(&self, question: &Question<'_>) -> Option<Approval> {
        let Question { spec, args, .. } = question;
        let always = || self.always.lock().unwrap_or_else(PoisonError::into_inner);
        let shown = call_hash(spec, args);
        if always().contains(&shown) {
            return Some(Approval::new(true, "the user, who said always"));
        }
        let pages = match pages(spec, args) {
            Ok(pages) => pages,
            Err(refusal) => {
                output::note(format!("`{}` was not called: {refusal}", spec.name));
                return Some(Approval::new(false, refusal));
            }
        };
        let asked = tokio::task::spawn_blocking(move || ask(&pages));
        let answer = tokio::select! {
            answer = asked => answer.ok().and_then(Result::ok).unwrap_or_default(),
            // A resume asks again.
            () = self.cancel.cancelled() => return None,
        };
        Some(match answer.trim().to_lowercase().as_str() {
            "y" | "yes" => Approval::new(true, "the user"),
            "a" | "always" => {
                always().insert(shown);
                Approval::new(true, "the user, who said always")
            }
            _ => Approval::new(false, "the user said no"),
        })
    }
}

/// The question, in pages that show the whole call. A model wrote the arguments: nothing in them can move the cursor, and
/// nothing is left out.
///
/// # Errors
/// The call is too long for anybody to read.
fn pages(spec: &ToolSpec, args: &Map<String, Value>) -> Result<Vec<String>, String> {
    let lines = shown_lines(args)?;
    let pages = lines.len().div_ceil(PAGE).max(1);
    let mut shown: Vec<String> = Vec::with_capacity(pages);
    for (number, page) in (1..).zip(lines.chunks(PAGE)) {
        let mut text = String::new();
        if number == 1 {
            let cannot = if spec.effects.irreversible { ", which cannot be undone" } else { "" };
            text = format!("\nThe agent wants to call `{}`{cannot}, with\n", one_line(&spec.name));
        }
        text.push_str(&page.join("\n"));
        if number < pages {
            let _ = write!(text, "\n[page {number} of {pages}; Enter shows the next one, n refuses] ");
        } else {
            text.push_str("\nMay it? [y]es, [a]lways exactly this call in this run, [N]o: ");
        }
        shown.push(text);
    }
    Ok(shown)
}

/// All arguments, in lines that show every character as itself or by its number.
///
/// # Errors
/// They are too long for anybody to read.
pub fn shown_lines(args: &Map<String, Value>) -> Result<Vec<String>, String> {
    let json = serde_json::to_string_pretty(args).unwrap_or_default();
    let mut lines: Vec<String> = Vec::new();
    for line in escaped_json(&json).split('\n') {
        let characters: Vec<char> = line.chars().flat_map(seen).collect();
        lines.extend(characters.chunks(WIDTH).map(|part| part.iter().collect::<String>()));
    }
    if lines.len() > MOST_LINES {
        return Err(format!(
            "its arguments have {} bytes, too many to be read and approved by a person",
            json.len()
        ));
    }
    Ok(lines)
}

/// The character, or its number where nobody sees it as itself: joiners, combining marks and other spaces than U+0020.
fn seen(character: char) -> Vec<char> {
    let plain = character == ' ' || (character.width().unwrap_or(0) > 0 && !character.is_whitespace());
    if plain { vec![character] } else { character.escape_unicode().collect() }
}

/// Shows the pages, each after an answer to the one before, and returns the answer to the last. An answer to an earlier page
/// other than an empty line ends the question with it.
fn ask(pages: &[String]) -> io::Result<String> {
    let _pause = progress::pause();
    let mut terminal = terminal()?;
    let mut answers = BufReader::new(terminal.try_clone()?);
    let mut answer = String::new();
    for (position, page) in pages.iter().enumerate() {
        // Input that was typed before a question is no answer to it.
        let _ = rustix::termios::tcflush(&terminal, rustix::termios::QueueSelector::IFlush);
        terminal.write_all(page.as_bytes())?;
        terminal.flush()?;
        answer.clear();
        let read = answers.read_line(&mut answer)?;
        let more = position + 1 < pages.len();
        if read == 0 || (more && !answer.trim().is_empty()) {
            // Only the whole call can be approved.
            return Ok("n".to_owned());
        }
    }
    Ok(answer)
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;
    use sojourn_tools::outside::terminal::is_unsafe;

    fn asked(args: &Value) -> Result<Vec<String>, String> {
        pages(&ToolSpec::new("pay", ""), args.as_object().unwrap())
    }

    #[test]
    fn arguments_cannot_paint_over_the_question() {
        let args = json!({"to": "bob\u{1b}[2K\r\u{8}ok\u{202e}\u{9b}\u{200b}", "note": "x".repeat(2000)});
        let pages = asked(&args).unwrap().concat();
        assert!(!pages.contains(|c: char| c != '\n' && is_unsafe(c)), "{pages}");
        assert!(pages.contains("`pay`") && pages.ends_with("[N]o: "));
    }

    #[test]
    fn what_nobody_sees_as_itself_is_spelt_out() {
        let pages =
            asked(&json!({"to\u{200d}do": "a\u{a0}b\u{3000}c e\u{301} größer 日本"})).unwrap().concat();
        for part in ["to\\u{200d}do", "a\\u{a0}b\\u{3000}c e\\u{301} größer 日本"] {
            assert!(pages.contains(part), "{pages}");
        }
    }

    #[test]
    fn the_question_shows_what_stands_after_600_characters() {
        let harmless = "echo ".repeat(2000);
        let args = json!({"command": format!("{harmless}; rm -r ~"), "z": [1, {"last": "argument"}]});
        let pages = asked(&args).unwrap();
        assert!(pages.len() > 2, "{}", pages.len());
        let text = pages
            .iter()
            .flat_map(|page| page.lines())
            .filter(|line| !line.starts_with('['))
            .collect::<String>();
        assert!(text.contains("; rm -r ~") && text.contains("\"last\": \"argument\""));
        assert_eq!(text.matches("echo ").count(), 2000);
        let questions = pages.iter().filter(|page| page.contains("May it?")).count();
        assert!(questions == 1 && pages.last().unwrap().contains("May it?"));
    }

    #[test]
    fn a_call_that_is_too_long_to_be_read_is_refused() {
        let refusal = asked(&json!({"command": "x".repeat(WIDTH * MOST_LINES)})).unwrap_err();
        assert!(refusal.contains("too many to be read"), "{refusal}");
    }

    #[test]
    fn no_arguments_are_one_page() {
        assert_eq!(asked(&json!({})).unwrap().len(), 1);
    }
}
