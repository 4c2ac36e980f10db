//! The interactive viewer of a film.

use super::film::Film;
use super::screen::{Standing, lines};
use anyhow::Result;
use crossterm::event::{self, Event, KeyCode, KeyEventKind, KeyModifiers};
use crossterm::{cursor, execute, queue, style, terminal};
use std::io::{Write as _, stdout};
use std::time::{Duration, Instant};

/// The longest and the shortest time that a frame stays while playing: answers take seconds, steps none.
const LONGEST: Duration = Duration::from_secs(2);
const SHORTEST: Duration = Duration::from_millis(40);

/// The terminal in raw mode and on the alternate screen, restored when this is dropped.
struct Screen;

impl Screen {
    fn open() -> Result<Self> {
        terminal::enable_raw_mode()?;
        let screen = Self;
        execute!(stdout(), terminal::EnterAlternateScreen, cursor::Hide)?;
        Ok(screen)
    }
}

impl Drop for Screen {
    fn drop(&mut self) {
        // An error here cannot be reported any more.
        let _ = execute!(stdout(), cursor::Show, terminal::LeaveAlternateScreen);
        let _ = terminal::disable_raw_mode();
    }
}

/// Shows the film until the user quits. Without a speed it waits for a key at each frame.
pub fn show(film: &Film, title: &str, at: u64, pace: Option<f64>) -> Result<()> {
    let Some(end) = film.frames.len().checked_sub(1) else { return Ok(()) };
    let index = film.frames.iter().position(|frame| frame.seq >= at).unwrap_or(end);
    let mut standing = Standing { index, playing: pace.is_some(), speed: pace.unwrap_or(1.0) };
    let _screen = Screen::open()?;
    loop {
        draw(film, title, standing)?;
        let until = standing.playing.then(|| Instant::now() + stay(film, standing));
        let Some(key) = wait(until)? else {
            standing.playing &= standing.index < end;
            standing.index = (standing.index + 1).min(end);
            continue;
        };
        let Some(next) = pressed(film, standing, key) else { return Ok(()) };
        standing = next;
    }
}

/// The time that a frame stays before the next one.
fn stay(film: &Film, standing: Standing) -> Duration {
    let at = |index: usize| film.frames.get(index).map(|frame| frame.at_ms);
    let waited = at(standing.index + 1)
        .zip(at(standing.index))
        .map_or(0, |(next, now)| next.saturating_sub(now).max(0));
    Duration::from_secs_f64(waited as f64 / 1000.0 / standing.speed).clamp(SHORTEST, LONGEST)
}

/// The next key; `None` after the time, or when the window was resized.
fn wait(until: Option<Instant>) -> Result<Option<KeyCode>> {
    loop {
        if let Some(until) = until
            && !event::poll(until.saturating_duration_since(Instant::now()))?
        {
            return Ok(None);
        }
        match event::read()? {
            Event::Key(key) if key.kind == KeyEventKind::Press => {
                let stop = key.code == KeyCode::Char('c') && key.modifiers.contains(KeyModifiers::CONTROL);
                return Ok(Some(if stop { KeyCode::Char('q') } else { key.code }));
            }
            Event::Resize(..) => return Ok(Some(KeyCode::Null)),
            _ => {}
        }
    }
}

/// The state of the viewer after a key; `None` to quit.
fn pressed(film: &Film, standing: Standing, key: KeyCode) -> Option<Standing> {
    let last = film.frames.len() - 1;
    let to = |index: usize| Standing { index: index.min(last), playing: false, ..standing };
    Some(match key {
        KeyCode::Char('q') | KeyCode::Esc => return None,
        KeyCode::Char(' ') => Standing { playing: !standing.playing, ..standing },
        KeyCode::Char('n') | KeyCode::Right | KeyCode::Enter => to(standing.index + 1),
        KeyCode::Char('p') | KeyCode::Left => to(standing.index.saturating_sub(1)),
        KeyCode::Char('f') => to(film.next(standing.index, |frame| frame.failure).unwrap_or(last)),
        KeyCode::Char('a') => to(film.next(standing.index, |frame| frame.achievement).unwrap_or(last)),
        KeyCode::Home => to(0),
        KeyCode::End => to(last),
        KeyCode::Char('+') => Standing { speed: (standing.speed * 2.0).min(1024.0), ..standing },
        KeyCode::Char('-') => Standing { speed: (standing.speed / 2.0).max(0.125), ..standing },
        _ => standing,
    })
}

fn draw(film: &Film, title: &str, standing: Standing) -> Result<()> {
    let (width, height) = terminal::size()?;
    let mut out = stdout().lock();
    queue!(out, terminal::BeginSynchronizedUpdate)?;
    for (row, line) in lines(film, title, standing, (width.into(), height.into())).iter().enumerate() {
        let row = u16::try_from(row).unwrap_or(u16::MAX);
        if row < height {
            queue!(
                out,
                cursor::MoveTo(0, row),
                style::Print(line),
                terminal::Clear(terminal::ClearType::UntilNewLine)
            )?;
        }
    }
    queue!(out, terminal::EndSynchronizedUpdate)?;
    Ok(out.flush()?)
}
