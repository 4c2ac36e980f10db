//! Shows a run while it goes on: a few lines that are redrawn on a terminal, one line a milestone elsewhere.

use crate::chronicle::{Activity, Chronicle};
use crate::{duration, logbook, output};
use indicatif::{ProgressBar, ProgressStyle};
use sojourn_core::{Milestone, Notice, Observer, SkillEvent};
use std::fmt::Write as _;
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

/// Watches a run and shows it.
pub struct Progress {
    chronicle: Mutex<Chronicle>,
    begun: Instant,
    bar: Option<ProgressBar>,
    /// Achievements that can be unlocked.
    achievements: usize,
    /// What stands before each line, where several runs follow each other.
    label: String,
}

impl Progress {
    /// Shows a run in an environment with so many achievements.
    pub fn new(achievements: usize, label: &str) -> Self {
        let bar = output::is_watched().then(|| {
            let bar = ProgressBar::new_spinner();
            if let Ok(style) = ProgressStyle::with_template("{spinner} {elapsed_precise}  {msg}") {
                bar.set_style(style);
            }
            bar.enable_steady_tick(Duration::from_millis(200));
            bar
        });
        Self {
            chronicle: Mutex::default(),
            begun: Instant::now(),
            bar,
            achievements,
            label: label.to_owned(),
        }
    }

    /// What happened so far.
    pub fn chronicle(&self) -> MutexGuard<'_, Chronicle> {
        self.chronicle.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// How long it took so far.
    pub fn elapsed(&self) -> Duration {
        self.begun.elapsed()
    }

    /// Says something without disturbing the lines that are redrawn.
    pub fn say(&self, text: &str) {
        let line =
            format!("{} {}{text}", duration::clock(self.begun.elapsed().as_millis() as i64), self.label);
        match &self.bar {
            Some(bar) => bar.suspend(|| output::note(line)),
            None => output::note(line),
        }
    }

    /// Takes the lines away.
    pub fn finish(&self) {
        if let Some(bar) = &self.bar {
            bar.finish_and_clear();
        }
    }

    fn redraw(&self, chronicle: &Chronicle) {
        if let Some(bar) = &self.bar {
            bar.set_message(status(chronicle, self.achievements, &self.label));
        }
    }
}

impl Observer for Progress {
    fn notice(&self, notice: &Notice<'_>) {
        let news = {
            let mut chronicle = self.chronicle();
            let known = chronicle.first.len();
            chronicle.note(notice);
            self.redraw(&chronicle);
            chronicle.first.len() > known
        };
        match notice {
            Notice::Milestone { milestone, replayed: false } if !is_small(milestone) => {
                self.say(&logbook::milestone_line(milestone));
            }
            Notice::Skill { event: SkillEvent::Stepped(step), replayed: false } if news => {
                self.say(&format!("unlocked {} for the first time", step.unlocked.join(", ")));
            }
            _ => {}
        }
    }
}

/// What comes too often to be worth a line.
fn is_small(milestone: &Milestone) -> bool {
    matches!(milestone, Milestone::TaskDone { .. } | Milestone::TaskChosen { learning: false, .. })
}

/// The lines that are redrawn.
fn status(chronicle: &Chronicle, achievements: usize, label: &str) -> String {
    let (steps, here) =
        chronicle.episodes.last().map_or((0, 0), |episode| (episode.steps, episode.unlocked.len()));
    let activity = match chronicle.activity {
        Activity::Acting => "",
        Activity::Thinking => " (thinking)",
        Activity::Practising => " (trying programs)",
    };
    let mut text = format!(
        "{label}step {}, episode {} (step {steps}), {}{activity}",
        chronicle.steps,
        chronicle.episodes.len(),
        chronicle.task.as_deref().unwrap_or("choosing a task"),
    );
    let _ = write!(
        text,
        "\n            achievements: {here} in this episode, {} of {achievements} in all; skills learned: {}",
        chronicle.first.len(),
        chronicle.skills.len()
    );
    if let Some(speed) = chronicle.tokens_per_second() {
        let _ = write!(text, "; {speed:.1} tokens/s");
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_status_tells_where_the_run_stands() {
        let mut chronicle = Chronicle::default();
        chronicle.note(&Notice::Episode { seed: 1 });
        chronicle.step(false, &["collect_wood".to_owned()], None);
        chronicle.generated = (100, 5000);
        assert_eq!(
            status(&chronicle, 22, ""),
            "step 1, episode 1 (step 1), choosing a task\n            achievements: 1 in this episode, 1 of 22 in all; \
             skills learned: 0; 20.0 tokens/s"
        );
    }
}
