//! `sojourn top`: the runs under way, again and again.

use crate::args::Top;
use crate::commands::ps::{COLUMNS, NUMBERS, Overview};
use crate::full_screen::Screen;
use crate::home::Home;
use crate::{output, table};
use anyhow::Result;
use crossterm::event::{self, Event, KeyCode, KeyEventKind, KeyModifiers};
use crossterm::{cursor, queue, style, terminal};
use serde_json::json;
use sojourn_service::{disk_free, now_ms};
use sojourn_tools::outside::terminal::escaped;
use std::io::{self, Write as _, stdout};
use std::time::{Duration, Instant};
use tokio::signal::unix::{SignalKind, signal};

/// The shortest time between two looks: a look reads the database.
const SHORTEST: Duration = Duration::from_millis(200);

/// Shows the runs under way until the user quits; once, where it is asked for or stdout is no terminal.
///
/// # Errors
/// The home cannot be read, or stdout cannot be written.
pub async fn top(home: &Home, args: Top) -> Result<()> {
    let store = home.store().await?;
    let look = async || -> Result<Overview> {
        let mut overview = Overview::of(home, &store).await?;
        sort(&mut overview);
        Ok(overview)
    };
    let free = || disk_free(home.path()).ok();
    if args.json {
        let overview = look().await?;
        let mut document = overview.json();
        document["at_ms"] = now_ms().into();
        document["disk_free_bytes"] = json!(free());
        document["approvals"] = overview.approvals.into();
        return Ok(output::json(&document)?);
    }
    if args.once || !output::is_terminal() {
        let overview = look().await?;
        return Ok(output::line(lines(&overview, free(), table::terminal_width()).join("\n"))?);
    }
    let every = args.every.max(SHORTEST);
    let mut terminations = signal(SignalKind::terminate())?;
    let _screen = Screen::open()?;
    loop {
        let (width, height) = terminal::size()?;
        let overview = look().await?;
        let lines = lines(&overview, free(), Some(usize::from(width)));
        draw(&lines, (width, height))?;
        let pressed = tokio::task::spawn_blocking(move || quits_within(every));
        tokio::select! {
            quit = pressed => if quit?? { return Ok(()) },
            _ = terminations.recv() => return Ok(()),
        }
    }
}

/// The busiest first: a run that asks the model, then one that steps.
fn sort(overview: &mut Overview) {
    overview.live.sort_by(|one, other| {
        let busy = |live: &sojourn_service::live::LiveRun| {
            (live.report.tokens_per_second, live.report.steps_per_second)
        };
        let (one_busy, other_busy) = (busy(one), busy(other));
        other_busy
            .0
            .total_cmp(&one_busy.0)
            .then(other_busy.1.total_cmp(&one_busy.1))
            .then(one.run.cmp(&other.run))
    });
}

/// The screen for a terminal of this width, or for none.
fn lines(overview: &Overview, disk_free: Option<u64>, width: Option<usize>) -> Vec<String> {
    let mut lines = vec![title(overview, disk_free), String::new()];
    if !overview.live.is_empty() {
        let shown = table::with_texts(COLUMNS, &NUMBERS, overview.rows(), width);
        lines.extend(shown.lines().map(str::to_owned));
    }
    lines.extend(overview.open_lines());
    lines
}

/// All runs together.
fn title(overview: &Overview, disk_free: Option<u64>) -> String {
    let live = &overview.live;
    // The sum of no numbers is a negative zero.
    let sum = |numbers: &mut dyn Iterator<Item = f64>| numbers.fold(0.0, |sum, number| sum + number);
    let steps = sum(&mut live.iter().map(|live| live.report.steps_per_second));
    let tokens = sum(&mut live.iter().map(|live| live.report.tokens_per_second));
    let memory: u64 = live.iter().filter_map(|live| live.memory_bytes).sum();
    let mut parts = vec![
        output::counted(live.len(), "run"),
        format!("{steps:.1} steps/s"),
        format!("{tokens:.1} tokens/s"),
        format!("{} of memory", output::bytes(memory)),
    ];
    if overview.approvals > 0 {
        parts.push(format!("{} to answer", output::counted(overview.approvals, "approval")));
    }
    if let Some(free) = disk_free {
        parts.push(format!("{} of the disk free", output::bytes(free)));
    }
    parts.push(match overview.daemon {
        Some(process) => format!("daemon {process}"),
        None => "no daemon".to_owned(),
    });
    parts.join(" · ")
}

/// Draws the lines that there is room for; the last line of the screen says how to leave.
fn draw(lines: &[String], (width, height): (u16, u16)) -> io::Result<()> {
    let room = usize::from(height.saturating_sub(1));
    let mut out = stdout().lock();
    queue!(out, terminal::BeginSynchronizedUpdate, terminal::Clear(terminal::ClearType::All))?;
    let hidden = lines.len().saturating_sub(room);
    let keys = match hidden {
        0 => "q quit".to_owned(),
        _ => format!("q quit · {} more below", output::counted(hidden, "line")),
    };
    let shown = lines.iter().take(room).zip(0..).chain([(&keys, height.saturating_sub(1))]);
    for (line, row) in shown {
        let line: String = escaped(line).chars().take(usize::from(width)).collect();
        queue!(out, cursor::MoveTo(0, row), style::Print(line))?;
    }
    queue!(out, terminal::EndSynchronizedUpdate)?;
    out.flush()
}

/// Waits for this time. Returns early with true when the user quits, and with false when the window was resized.
fn quits_within(every: Duration) -> io::Result<bool> {
    let until = Instant::now() + every;
    while event::poll(until.saturating_duration_since(Instant::now()))? {
        match event::read()? {
            Event::Key(key) if key.kind == KeyEventKind::Press => {
                let is_interrupt =
                    key.code == KeyCode::Char('c') && key.modifiers.contains(KeyModifiers::CONTROL);
                if is_interrupt || matches!(key.code, KeyCode::Char('q') | KeyCode::Esc) {
                    return Ok(true);
                }
            }
            Event::Resize(..) => return Ok(false),
            _ => {}
        }
    }
    Ok(false)
}

#[cfg(test)]
mod tests {
    use super::*;
    use sojourn_memory::RunId;
    use sojourn_service::live::{LiveRun, Report};

    fn live(random: u16, tokens_per_second: f64, steps_per_second: f64) -> LiveRun {
        let report =
            Report { tokens_per_second, steps_per_second, task: "exploring".into(), ..Report::default() };
        let run = RunId::new(0, random);
        LiveRun { run, process: 7, memory_bytes: Some(50_000_000), reported_ms: 0, report }
    }

    #[test]
    fn the_busiest_run_comes_first_and_all_are_summed_up() {
        let live = vec![live(1, 0.0, 9.0), live(2, 3.0, 0.0), live(3, 0.0, 80.5)];
        let expected: Vec<RunId> = [&live[1], &live[2], &live[0]].map(|live| live.run.clone()).into();
        let mut overview = Overview { live, open: Vec::new(), daemon: Some(12), approvals: 1 };
        sort(&mut overview);
        assert_eq!(overview.live.iter().map(|live| live.run.clone()).collect::<Vec<_>>(), expected);
        let lines = lines(&overview, Some(3_000_000_000), None);
        assert_eq!(
            lines[0],
            "3 runs · 89.5 steps/s · 3.0 tokens/s · 150 MB of memory · 1 approval to answer · 3.0 GB of the disk free \
             · daemon 12"
        );
        assert_eq!(lines.len(), 7, "a title, a gap, a head with its line, and the runs: {lines:?}");
        let idle = Overview { live: Vec::new(), open: Vec::new(), daemon: None, approvals: 0 };
        assert_eq!(title(&idle, None), "0 runs · 0.0 steps/s · 0.0 tokens/s · 0 B of memory · no daemon");
    }
}
