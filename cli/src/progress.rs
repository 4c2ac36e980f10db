//! Shows the progress of a run: a few lines that are redrawn on a terminal, one line for each milestone elsewhere.

use crate::run_stats::{Activity, RunStats};
use crate::{duration, logbook, output};
use indicatif::{ProgressBar, ProgressStyle};
use sojourn_core::{LongWork, Milestone, Noted, Notice, Observer, Purpose, SkillEvent};
use sojourn_tools::outside::terminal;
use std::fmt::Write as _;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

/// Without a terminal, a line at least this often says what a run is busy with.
const LONGEST_SILENCE: Duration = Duration::from_secs(30);
/// The column at which the text of a line begins, after its time.
const INDENT: usize = 9;
/// How often it is looked at whether such a line is due.
const LOOK: Duration = Duration::from_secs(1);

/// The redrawn lines of this process. A terminal has room for one bar, and a question has to be able to take it away.
static BAR: Mutex<Bar> = Mutex::new(Bar::None);

enum Bar {
    None,
    Shown(ProgressBar),
    /// A person reads a question.
    Paused {
        elapsed: Duration,
        message: String,
    },
}

fn bar() -> MutexGuard<'static, Bar> {
    BAR.lock().unwrap_or_else(PoisonError::into_inner)
}

fn shown(elapsed: Duration, message: String) -> Bar {
    let bar = ProgressBar::new_spinner().with_elapsed(elapsed).with_message(message);
    if let Ok(style) = ProgressStyle::with_template("{spinner} {elapsed_precise}  {msg}") {
        bar.set_style(style);
    }
    bar.enable_steady_tick(Duration::from_millis(200));
    Bar::Shown(bar)
}

/// Whether redrawn lines are on the terminal.
pub fn is_shown() -> bool {
    !matches!(*bar(), Bar::None)
}

/// Prints a line for the person at the terminal, above the lines that are redrawn.
pub fn note(line: &str) {
    match &*bar() {
        Bar::Shown(bar) => bar.suspend(|| output::note(line)),
        Bar::None | Bar::Paused { .. } => output::note(line),
    }
}

/// Keeps the redrawn lines away as long as it lives, so that they do not erase what else is on the terminal.
pub struct Pause(());

/// Removes the redrawn lines until the result is dropped.
pub fn pause() -> Pause {
    let mut bar = bar();
    if let Bar::Shown(shown) = &*bar {
        let (elapsed, message) = (shown.elapsed(), shown.message());
        shown.finish_and_clear();
        *bar = Bar::Paused { elapsed, message };
    }
    Pause(())
}

impl Drop for Pause {
    fn drop(&mut self) {
        let mut bar = bar();
        if let Bar::Paused { elapsed, message } = &mut *bar {
            *bar = shown(*elapsed, std::mem::take(message));
        }
    }
}

/// Observes a run and shows its progress on stderr.
pub struct Progress {
    stats: Mutex<RunStats>,
    /// When the run's own time was last known, and what it was then.
    known: Mutex<(Instant, Duration)>,
    /// Whether the progress is redrawn.
    redrawn: bool,
    /// When the last line was printed.
    printed: Mutex<Instant>,
    /// The number of achievements of the environment.
    achievements: AtomicUsize,
    /// Whether no further line is wanted.
    finished: AtomicBool,
    /// A prefix of each line, which distinguishes runs that follow each other.
    label: String,
}

impl Progress {
    /// Shows a run in an environment with this number of achievements, until it is dropped.
    pub fn new(achievements: usize, label: &str) -> Arc<Self> {
        let redrawn = output::is_watched();
        if redrawn {
            *bar() = shown(Duration::ZERO, String::new());
        }
        let begun = Instant::now();
        let (stats, printed, label) = (Mutex::default(), Mutex::new(begun), label.to_owned());
        let progress = Arc::new(Self {
            stats,
            known: Mutex::new((begun, Duration::ZERO)),
            redrawn,
            printed,
            achievements: AtomicUsize::new(achievements),
            finished: AtomicBool::new(false),
            label,
        });
        if !redrawn {
            break_silence(&progress);
        }
        progress
    }

    /// Sets the number of achievements of the environment, where it was not known at first.
    pub fn of(&self, achievements: usize) {
        self.achievements.store(achievements, Ordering::Relaxed);
    }

    /// The statistics up to now.
    pub fn stats(&self) -> MutexGuard<'_, RunStats> {
        self.stats.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The run's own time: since the progress began, until [`runs`](Self::runs) was called.
    pub fn elapsed(&self) -> Duration {
        let (at, ran) = *self.known.lock().unwrap_or_else(PoisonError::into_inner);
        at.elapsed().saturating_add(ran)
    }

    /// The run begins or goes on now, and has run for this time: from here on, times are those that its log will have.
    pub fn runs(&self, ran: Duration) {
        *self.known.lock().unwrap_or_else(PoisonError::into_inner) = (Instant::now(), ran);
        let mut bar = bar();
        match &mut *bar {
            Bar::None => {}
            Bar::Shown(before) => {
                let message = before.message();
                before.finish_and_clear();
                *bar = shown(ran, message);
            }
            Bar::Paused { elapsed, .. } => *elapsed = ran,
        }
    }

    /// Prints a line above those that are redrawn.
    pub fn say(&self, text: &str) {
        // A world wrote parts of the text: none of its lines looks like one of these.
        let text = terminal::one_line(text);
        let line = format!("{} {}{text}", duration::clock(self.elapsed().as_millis() as i64), self.label);
        let line = if self.redrawn { output::folded(&line, INDENT) } else { line };
        *self.printed.lock().unwrap_or_else(PoisonError::into_inner) = Instant::now();
        note(&line);
    }

    /// Removes the redrawn lines, and prints none for long phases any more.
    pub fn finish(&self) {
        self.finished.store(true, Ordering::Relaxed);
        if let Bar::Shown(bar) = std::mem::replace(&mut *bar(), Bar::None) {
            bar.finish_and_clear();
        }
    }

    /// The line for a long phase in which nothing was printed for `longest`.
    fn overdue(&self, longest: Duration) -> Option<String> {
        let quiet = self.printed.lock().unwrap_or_else(PoisonError::into_inner).elapsed();
        (quiet >= longest).then(|| {
            let stats = self.stats();
            summary(&stats, "", stats.episodes.last().map_or(0, |episode| episode.steps))
        })
    }

    fn redraw(&self, stats: &RunStats) {
        if !self.redrawn {
            return;
        }
        let status = status(stats, self.achievements.load(Ordering::Relaxed), &self.label);
        let status = terminal::one_line(&status).into_owned();
        match &mut *bar() {
            Bar::None => {}
            Bar::Shown(bar) => bar.set_message(status),
            Bar::Paused { message, .. } => *message = status,
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
            Notice::Milestone { milestone, noted: Noted { replayed: false, .. } } if !is_small(milestone) => {
                self.say(&logbook::milestone_line(milestone));
            }
            Notice::Skill { event: SkillEvent::Stepped(step), noted: Noted { replayed: false, .. } }
                if news =>
            {
                self.say(&format!("unlocked {} for the first time", step.unlocked.join(", ")));
            }
            _ => {}
        }
    }
}

/// Prints a line whenever nothing else was printed for [`LONGEST_SILENCE`], also while nothing advances: a model that reads a long
/// prompt reports nothing.
fn break_silence(progress: &Arc<Progress>) {
    let progress = Arc::downgrade(progress);
    let watch = move || {
        while let Some(progress) = progress.upgrade().filter(|it| !it.finished.load(Ordering::Relaxed)) {
            if let Some(line) = progress.overdue(LONGEST_SILENCE) {
                progress.say(&line);
            }
            drop(progress);
            std::thread::sleep(LOOK);
        }
    };
    // Without the thread, milestones are still printed.
    let _ = std::thread::Builder::new().name("progress".to_owned()).spawn(watch);
}

/// Milestones that are too frequent for a line of their own.
fn is_small(milestone: &Milestone) -> bool {
    matches!(milestone, Milestone::TaskDone { .. } | Milestone::TaskChosen { learning: false, .. })
}

/// The first of the redrawn lines: where the run is, and what it is busy with. `steps` are those of the episode.
fn summary(stats: &RunStats, label: &str, steps: u64) -> String {
    format!(
        "{label}step {}, episode {} (step {steps}), {}",
        stats.steps,
        stats.episodes.len(),
        busy_with(stats),
    )
}

/// The task of a run, and what it is busy with.
pub fn busy_with(stats: &RunStats) -> String {
    format!("{}{}", stats.task.as_deref().unwrap_or("choosing a task"), activity(stats.activity))
}

/// What the run is busy with, in brackets; empty while it acts.
fn activity(activity: Activity) -> String {
    let counted =
        |what: &str, part: &str, number: usize, of: usize| format!(" ({what}, {part} {number} of {of})");
    match activity {
        Activity::Acting => String::new(),
        Activity::Thinking { purpose, round } => {
            let what = match purpose {
                Purpose::Choose => "thinking",
                Purpose::Write => "writing programs",
                Purpose::WriteReflex => "writing a reflex",
                Purpose::Reflect | Purpose::Consolidate | Purpose::Compare => "drawing lessons",
            };
            match round {
                Some((number, of)) => counted(what, "round", number as usize, of as usize),
                None => format!(" ({what})"),
            }
        }
        Activity::Practising { part: None } => " (practising)".to_owned(),
        Activity::Practising { part: Some((work, number, of)) } => match work {
            LongWork::Exploration => counted("exploring", "episode", number, of),
            LongWork::SkillTrials => counted("trying programs", "world", number, of),
            LongWork::Cases => counted("testing skills again", "case", number, of),
            LongWork::ReflexTrials => counted("trying a reflex", "world", number, of),
        },
    }
}

/// The redrawn lines.
fn status(stats: &RunStats, achievements: usize, label: &str) -> String {
    let (steps, here) =
        stats.episodes.last().map_or((0, 0), |episode| (episode.steps, episode.unlocked.len()));
    let mut text = summary(stats, label, steps);
    let _ = write!(
        text,
        "\n            achievements: {here} here, {} of {achievements} in all; skills: {}",
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
    use sojourn_memory::EventSeq;

    fn noted(replayed: bool) -> Noted {
        Noted { seq: EventSeq(1), at_ms: 0, replayed, foreign: false }
    }

    #[test]
    fn every_long_phase_says_how_far_it_is() {
        let mut stats = RunStats::default();
        stats.note(&Notice::Episode { seed: 1 });
        let chosen = Milestone::TaskChosen { task: "swim".to_owned(), learning: true };
        stats.note(&Notice::Milestone { milestone: &chosen, noted: noted(false) });
        let asking = |purpose, round| Notice::AskingController { purpose, round };
        let part = |work, number, of| Notice::Advanced { work, number, of };
        let lines: Vec<String> = [
            asking(Purpose::Choose, None),
            part(LongWork::Exploration, 37, 200),
            asking(Purpose::Write, Some((2, 4))),
            part(LongWork::SkillTrials, 3, 5),
            part(LongWork::Cases, 1, 3),
            asking(Purpose::WriteReflex, Some((1, 2))),
            part(LongWork::ReflexTrials, 9, 64),
            asking(Purpose::Consolidate, None),
        ]
        .iter()
        .map(|notice| {
            stats.note(notice);
            summary(&stats, "", 0)
        })
        .collect();
        insta::assert_snapshot!(lines.join("\n"), @r"
        step 0, episode 1 (step 0), learning swim (thinking)
        step 0, episode 1 (step 0), learning swim (exploring, episode 37 of 200)
        step 0, episode 1 (step 0), learning swim (writing programs, round 2 of 4)
        step 0, episode 1 (step 0), learning swim (trying programs, world 3 of 5)
        step 0, episode 1 (step 0), learning swim (testing skills again, case 1 of 3)
        step 0, episode 1 (step 0), learning swim (writing a reflex, round 1 of 2)
        step 0, episode 1 (step 0), learning swim (trying a reflex, world 9 of 64)
        step 0, episode 1 (step 0), learning swim (drawing lessons)
        ");
    }

    #[test]
    fn a_phase_that_reports_nothing_is_not_silent() {
        let progress = Progress::new(22, "");
        let chosen = Milestone::TaskChosen { task: "swim".to_owned(), learning: true };
        progress.notice(&Notice::Milestone { milestone: &chosen, noted: noted(true) });
        progress.notice(&Notice::AskingController { purpose: Purpose::Write, round: Some((1, 4)) });
        assert_eq!(progress.overdue(Duration::from_hours(1)), None);
        assert_eq!(
            progress.overdue(Duration::ZERO).as_deref(),
            Some("step 0, episode 0 (step 0), learning swim (writing programs, round 1 of 4)")
        );
        progress.say("something");
        assert_eq!(progress.overdue(Duration::from_secs(20)), None);
    }

    #[test]
    fn the_status_shows_steps_tasks_and_achievements() {
        let mut stats = RunStats::default();
        stats.note(&Notice::Episode { seed: 1 });
        stats.step(false, &["collect_wood".to_owned()], None);
        stats.generated = (100, 5000);
        assert_eq!(
            status(&stats, 22, ""),
            "step 1, episode 1 (step 1), choosing a task\n            achievements: 1 here, 1 of 22 in all; \
             skills: 0; 20.0 tokens/s"
        );
    }
}
