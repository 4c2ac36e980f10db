//! A line that moves while something takes long and nothing is known about how far it is.

use crate::{output, progress};
use indicatif::{ProgressBar, ProgressStyle};
use sojourn_tools::ToolSource;
use sojourn_tools::outside::terminal;
use std::time::Duration;

/// How long nothing is said about a source that has not listed its tools.
const SILENT: Duration = Duration::from_secs(2);

/// Waits until a source has listed its tools, at most for `within`, and says so on stderr. Returns whether it has.
pub async fn for_tools(source: &dyn ToolSource, name: &str, within: Duration) -> bool {
    let mut settled = Box::pin(source.ready(within));
    if let Ok(ready) = tokio::time::timeout(SILENT, &mut settled).await {
        return ready;
    }
    let text = format!("waiting up to {} s for the tools of `{name}`", within.as_secs());
    let _waiting = Waiting::beside_progress(&text);
    settled.await
}

/// Shows a moving line until it is dropped. Where stderr is no terminal, one line is printed at the beginning.
pub struct Waiting(Option<ProgressBar>);

impl Waiting {
    /// Waits for what `text` says.
    pub fn on(text: &str) -> Self {
        if !output::is_watched() {
            output::note(text);
            return Self(None);
        }
        let bar = ProgressBar::new_spinner();
        if let Ok(style) = ProgressStyle::with_template("{spinner} {elapsed_precise}  {msg}") {
            bar.set_style(style);
        }
        bar.set_message(terminal::escaped(text).into_owned());
        bar.enable_steady_tick(Duration::from_millis(200));
        Self(Some(bar))
    }

    /// Waits for what `text` says. A terminal has room for one moving line: where a run's own is there, it goes on, below one
    /// line that says what is waited for.
    pub fn beside_progress(text: &str) -> Self {
        if progress::is_shown() {
            progress::note(text);
            return Self(None);
        }
        Self::on(text)
    }

    /// Changes the line on a terminal.
    pub fn show(&self, text: impl FnOnce() -> String) {
        if let Some(bar) = &self.0 {
            bar.set_message(terminal::escaped(&text()).into_owned());
        }
    }
}

impl Drop for Waiting {
    fn drop(&mut self) {
        if let Some(bar) = &self.0 {
            bar.finish_and_clear();
        }
    }
}
