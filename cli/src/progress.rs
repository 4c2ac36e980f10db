//! Shows the progress of a run: a few lines that are redrawn on a terminal, one line for each milestone elsewhere.

use crate::run_stats::{Activity, RunStats};
use crate::{duration, logbook, output};
use indicatif::{ProgressBar, ProgressStyle};
use sojourn_core::{Milestone, Notice, Observer, SkillEvent};
use sojourn_tools::outside::terminal;
use std::fmt::Write as _;
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

/// Observes a run and shows its progress on stderr.
pub struct Progress {
    stats: Mutex<RunStats>,
    begun: Instant,
    bar: Option<ProgressBar>,
    /// The number of achievements of the environment.
    achievements: usize,
    /// A prefix of each line, which distinguishes runs that follow each other.
    label: String,
}

impl Progress {
    /// Shows a run in an environment with this number of achievements.
    pub fn new(achievements: usize, label: &str) -> Self {
        let bar = output::is_watched().then(|| {
            let bar = ProgressBar::new_spinner();
            if let Ok(style) = ProgressStyle::with_template("{spinner} {elapsed_precise}  {msg}") {
                bar.set_style(style);
            }
            bar.enable_steady_tick(Duration::from_millis(200));
            bar
        });
        Self { stats: Mutex::default(), begun: Instant::now(), bar, achievements, label: label.to_owned() }
    }

    /// The statistics up to now.
    pub fn stats(&self) -> MutexGuard<'_, RunStats> {
        self.stats.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The time since the progress began.
    pub fn elapsed(&self) -> Duration {
        self.begun.elapsed()
    }

    /// Prints a line above those that are redrawn.
    pub fn say(&self, text: &str) {
        let line =
            format!("{} {}{text}", duration::clock(self.begun.elapsed().as_millis() as i64), self.label);
        match &self.bar {
            Some(bar) => bar.suspend(|| output::note(line)),
            None => output::note(line),
        }
    }

    /// Removes the redrawn lines.
    pub fn finish(&self) {
        if let Some(bar) = &self.bar {
            bar.finish_and_clear();
        }
    }

    fn redraw(&self, stats: &RunStats) {
        if let Some(bar) = &self.bar {
            let status = status(stats, self.achievements, &self.label);
            bar.set_message(terminal::escaped(&status).into_owned());
        }
    }
}

impl Observer for Progress {
    fn notice(&self, notice: &Notice<'_>) {
        let news = {
            let mut stats = self.stats();
            let known = stats.first.len();
            stats.note(notice);
            self.redraw(&stats);
            stats.first.len() > known
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

/// Milestones that are too frequent for a line of their own.
fn is_small(milestone: &Milestone) -> bool {
    matches!(milestone, Milestone::TaskDone { .. } | Milestone::TaskChosen { learning: false, .. })
}

/// The redrawn lines.
fn status(stats: &RunStats, achievements: usize, label: &str) -> String {
    let (steps, here) =
        stats.episodes.last().map_or((0, 0), |episode| (episode.steps, episode.unlocked.len()));
    let activity = match stats.activity {
        Activity::Acting => "",
        Activity::Thinking => " (thinking)",
        Activity::Practising => " (trying programs)",
    };
    let mut text = format!(
        "{label}step {}, episode {} (step {steps}), {}{activity}",
        stats.steps,
        stats.episodes.len(),
        stats.task.as_deref().unwrap_or("choosing a task"),
    );
    let _ = write!(
        text,
        "\n            achievements: {here} in this episode, {} of {achievements} in all; skills learned: {}",
        stats.first.len(),
        stats.skills.len()
    );
    if let Some(speed) = stats.tokens_per_second() {
        let _ = write!(text, "; {speed:.1} tokens/s");
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_status_shows_steps_tasks_and_achievements() {
        let mut stats = RunStats::default();
        stats.note(&Notice::Episode { seed: 1 });
        stats.step(false, &["collect_wood".to_owned()], None);
        stats.generated = (100, 5000);
        assert_eq!(
            status(&stats, 22, ""),
            "step 1, episode 1 (step 1), choosing a task\n            achievements: 1 in this episode, 1 of 22 in all; \
             skills learned: 0; 20.0 tokens/s"
        );
    }
}
