//! The interactive viewer of a film.

use super::screen::{Standing, depth, lines};
use crate::full_screen::Screen;
use crate::logbook::Film;
use anyhow::Result;
use crossterm::event::{self, Event, KeyCode, KeyEventKind, KeyModifiers};
use crossterm::{cursor, queue, style, terminal};
use std::io::{Write as _, stdout};
use std::time::{Duration, Instant};

/// The longest and the shortest time that a frame stays while playing: answers take seconds, steps none.
const LONGEST: Duration = Duration::from_secs(2);
const SHORTEST: Duration = Duration::from_millis(40);

/// Shows the film until the user quits. Without a speed it waits for a key at each frame.
pub fn show(film: &Film, title: &str, at: u64, pace: Option<f64>) -> Result<()> {
    let Some(end) = film.frames.len().checked_sub(1) else { return Ok(()) };
    let index = film.frames.iter().position(|frame| frame.seq >= at).unwrap_or(end);
    let mut standing = Standing::at(index, pace);
    let _screen = Screen::open()?;
    loop {
        draw(film, title, standing)?;
        let until = standing.playing.then(|| Instant::now() + stay(film, standing));
        let Some(key) = wait(until)? else {
            standing.playing &= standing.index < end;
            (standing.index, standing.scroll) = ((standing.index + 1).min(end), 0);
            continue;
        };
        let (width, height) = terminal::size()?;
        let Some(next) = pressed(film, standing, key, (width.into(), height.into())) else { return Ok(()) };
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

/// The state of the viewer after a key, on a screen of this size; `None` to quit.
fn pressed(film: &Film, standing: Standing, key: KeyCode, size: (usize, usize)) -> Option<Standing> {
    if let Some(typed) = standing.jump {
        return Some(jumping(film, standing, typed, key));
    }
    let last = film.frames.len() - 1;
    let to = |index: usize| Standing { speed: standing.speed, ..Standing::at(index.min(last), None) };
    let (deepest, room) = depth(&film.frames[standing.index], size);
    let scrolled = |scroll: usize| Standing { scroll: scroll.min(deepest), playing: false, ..standing };
    Some(match key {
        KeyCode::Char('?') | KeyCode::Esc if standing.help => Standing { help: false, ..standing },
        KeyCode::Char('q') | KeyCode::Esc => return None,
        KeyCode::Char('?') => Standing { help: true, playing: false, ..standing },
        KeyCode::Char('g') => Standing { jump: Some(0), playing: false, ..standing },
        KeyCode::Char('d') => to(film.next(standing.index, |frame| frame.death).unwrap_or(last)),
        KeyCode::Down => scrolled(standing.scroll.saturating_add(1)),
        KeyCode::Up => scrolled(standing.scroll.saturating_sub(1)),
        KeyCode::PageDown => scrolled(standing.scroll.saturating_add(room.max(1))),
        KeyCode::PageUp => scrolled(standing.scroll.saturating_sub(room.max(1))),
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

/// The state of the viewer after a key of the number of a record.
fn jumping(film: &Film, standing: Standing, typed: u64, key: KeyCode) -> Standing {
    let jump = match key {
        KeyCode::Char(digit) if digit.is_ascii_digit() => {
            let digit = digit.to_digit(10).unwrap_or_default();
            Some(typed.saturating_mul(10).saturating_add(u64::from(digit)))
        }
        KeyCode::Backspace => Some(typed / 10),
        KeyCode::Enter => {
            let last = film.frames.len() - 1;
            let index = film.frames.iter().position(|frame| frame.seq >= typed).unwrap_or(last);
            let index = if typed == 0 { standing.index } else { index };
            return Standing { index, scroll: 0, jump: None, ..standing };
        }
        KeyCode::Esc | KeyCode::Char('q' | 'g') => None,
        _ => Some(typed),
    };
    Standing { jump, ..standing }
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

#[cfg(test)]
mod tests {
    use super::*;
    use crate::commands::replay::screen::tests::film;

    #[test]
    fn a_number_is_typed_to_jump_to_a_record() {
        let mut film = film();
        for seq in [42, 142] {
            let frame = crate::logbook::Frame { seq, ..film.frames[0].clone() };
            film.frames.push(frame);
        }
        let press = |standing, key| pressed(&film, standing, key, (72, 20)).unwrap();
        let typed = ['g', '1', '4', '2'].map(KeyCode::Char).into_iter().fold(Standing::at(0, None), press);
        assert_eq!((typed.index, typed.jump), (0, Some(142)));
        assert_eq!(press(typed, KeyCode::Enter), Standing::at(2, None));
        assert_eq!(press(typed, KeyCode::Esc), Standing::at(0, None));
        let helped = press(Standing::at(1, None), KeyCode::Char('?'));
        assert!(helped.help);
        assert_eq!(press(helped, KeyCode::Esc), Standing::at(1, None));
    }
}
