//! Watches a person in a browser, or carries lines out in a person's place.

use crate::error::{Failure, Kind};
use crate::output;
use crate::session::Signals;
use anyhow::Result;
use serde_json::Value;
use sojourn_browser::{PageAction, RecordedAction, Recorder, WebSettings};
use std::collections::BTreeSet;
use std::sync::Arc;

/// What was done in the browser, which still shows the last page unless the person has closed it.
pub struct Watched {
    pub actions: Vec<RecordedAction>,
    /// The last page, as the observation's state has it.
    pub last: Value,
    /// Addresses that something was sent to.
    pub sent: Vec<String>,
    recorder: Recorder,
}

/// Opens the start page of a task, and records until the person is done or the lines are over. `is_new` says that the site has no
/// agent file yet: then everything may be sent to its hosts, as a person's browser does.
pub async fn watch(
    settings: &WebSettings,
    task: &str,
    is_new: bool,
    lines: Option<Vec<String>>,
    quiet: bool,
) -> Result<Watched> {
    let start = settings.tasks.get(task).and_then(|task| task.start.as_ref()).unwrap_or(&settings.start);
    let mut browser = settings.browser_settings().map_err(|reason| Failure::new(Kind::Usage, reason))?;
    browser.visible = lines.is_none();
    if is_new {
        browser.grants = None;
    }
    sojourn_browser::require(browser.program.as_deref())?;
    if browser.visible {
        needs_display()?;
    }
    let mut recorder = Recorder::start(&browser, start).await?;
    recorder.page().allow_secrets(Arc::new(settings.secret_texts()));
    let mut told = Told { quiet, count: 0, notes: BTreeSet::new() };
    if let Some(lines) = lines {
        carry_out(&mut recorder, &lines, &mut told).await?;
    } else {
        output::note(format!(
            "a window shows {start}: do the task in it, then close the window or press Ctrl-C here"
        ));
        let mut signals = Signals::listen()?;
        loop {
            tokio::select! {
                open = recorder.wait() => if !open? { break },
                _ = signals.recv() => break,
            }
            told.news(&mut recorder);
        }
    }
    recorder.finish().await?;
    told.news(&mut recorder);
    let sent = recorder.sent().iter().cloned().collect();
    Ok(Watched { actions: recorder.actions().to_vec(), last: recorder.last().clone(), sent, recorder })
}

async fn carry_out(recorder: &mut Recorder, lines: &[String], told: &mut Told) -> Result<()> {
    for line in lines {
        let call = PageAction::call(line).ok_or_else(|| {
            Failure::new(Kind::Usage, format!("`{line}` is no action"))
                .hint("one call a line, as `type(\"User name\", \"ada\")` or `click(\"Log in\")`")
        })?;
        if let Err(reason) = recorder.perform(&call).await? {
            return Err(Failure::new(Kind::Failure, format!("`{line}`: {reason}")).into());
        }
        told.news(recorder);
    }
    Ok(())
}

/// A window needs a place to be.
fn needs_display() -> Result<()> {
    let is_set = |name: &str| std::env::var_os(name).is_some_and(|value| !value.is_empty());
    if cfg!(target_os = "linux") && !is_set("DISPLAY") && !is_set("WAYLAND_DISPLAY") {
        return Err(Failure::new(Kind::Usage, "there is no display to show a browser on")
            .hint("record on a machine with one, or let `--input FILE` carry out the actions of a file")
            .into());
    }
    Ok(())
}

impl Watched {
    /// The first expression that is true on the last page; the first one where the page is closed.
    pub async fn first_that_holds(&mut self, expressions: Vec<String>) -> Option<String> {
        for expression in expressions {
            if self.recorder.holds(&expression).await.unwrap_or(true) {
                return Some(expression);
            }
        }
        None
    }
}

/// What the person was told.
struct Told {
    quiet: bool,
    count: usize,
    notes: BTreeSet<String>,
}

impl Told {
    /// Tells of the actions and notes since the last time.
    fn news(&mut self, recorder: &mut Recorder) {
        let notes = recorder.take_notes();
        if self.quiet {
            return;
        }
        for (at, action) in recorder.actions().iter().enumerate().skip(self.count) {
            output::note(format!("{:>3}  {}", at + 1, in_words(action)));
        }
        self.count = recorder.actions().len();
        for note in notes {
            if self.notes.insert(note.clone()) {
                output::note(format!("     {note}"));
            }
        }
    }
}

/// An action as a person reads it. Text typed into a password field is not shown.
fn in_words(action: &RecordedAction) -> String {
    let elements = action.state.get("elements").and_then(Value::as_array).map_or(&[][..], Vec::as_slice);
    let shown = |(name, value): (&String, &Value)| {
        let element = elements.iter().find(|one| one.get("id") == Some(value) && name != "text");
        let text =
            |one: &Value, field: &str| one.get(field).and_then(Value::as_str).unwrap_or_default().to_owned();
        match element {
            Some(one) => format!("{} {}", text(one, "role"), Value::from(text(one, "name"))),
            None if action.secret && name == "text" => "(a secret)".to_owned(),
            None => value.to_string(),
        }
    };
    let mut args: Vec<(&String, &Value)> = action.call.args.iter().collect();
    args.sort_by_key(|(name, _)| matches!(name.as_str(), "text" | "option" | "to"));
    let args: Vec<String> = args.into_iter().map(shown).collect();
    format!("{} {}", action.call.name, args.join(", "))
}
