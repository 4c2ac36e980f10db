//! A frame as lines of a given width: the environment on the left, the agent on the right.

use super::film::{Film, Frame};
use crate::duration;
use sojourn_tools::outside::terminal;

/// The state of the viewer.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Standing {
    /// The index of the frame.
    pub index: usize,
    /// Whether it plays.
    pub playing: bool,
    /// The speed, as a multiple of real time.
    pub speed: f64,
}

/// The keys, for the last line.
const KEYS: &str =
    "space play/pause · n next · p previous · f next failure · a next achievement · +/- speed · q quit";

/// The lines of a screen of this size.
pub fn lines(film: &Film, title: &str, standing: Standing, (width, height): (usize, usize)) -> Vec<String> {
    let frame = &film.frames[standing.index];
    let mark = match (frame.failure, frame.achievement) {
        (_, true) => "★ ",
        (true, false) => "✗ ",
        (false, false) => "",
    };
    let state = if standing.playing { format!("▶ ×{}", standing.speed) } else { "paused".to_owned() };
    let last = film.frames.last().map_or(0, |frame| frame.seq);
    let mut out = vec![
        cut(
            &format!(
                "{title} · {} of {last} · {} · episode {} step {} · {state}",
                frame.seq,
                duration::clock(frame.at_ms.saturating_sub(film.begun_ms)),
                frame.episode,
                frame.step
            ),
            width,
        ),
        cut(&format!("{mark}{}", frame.line), width),
        "─".repeat(width),
    ];
    let room = height.saturating_sub(out.len() + 2);
    let left = (width * 2 / 5).max(1);
    let right = width.saturating_sub(left + 3).max(1);
    let (world, mind) = (wrapped(&frame.view, left), mind(frame, right, room));
    for row in 0..room {
        let cell = |column: &[String]| column.get(row).cloned().unwrap_or_default();
        let (world, mind) = (cell(&world), cell(&mind));
        let gap = " ".repeat(left.saturating_sub(world.chars().count()));
        out.push(format!("{world}{gap} │ {mind}").trim_end().to_owned());
    }
    out.push("─".repeat(width));
    out.push(cut(KEYS, width));
    out
}

/// The task, the calls, the decision and the memories, the shorter ones first.
fn mind(frame: &Frame, width: usize, room: usize) -> Vec<String> {
    let mut out = Vec::new();
    let mut section = |name: &str, body: Vec<String>| {
        if !body.is_empty() {
            out.push(name.to_uppercase());
            out.extend(body);
            out.push(String::new());
        }
    };
    section("task", wrapped(&frame.task, width));
    let calls = frame.calls.iter().enumerate();
    section(
        "calls",
        calls.flat_map(|(depth, call)| wrapped(&format!("{}{call}", "  ".repeat(depth)), width)).collect(),
    );
    section(
        "memory",
        frame.memories.iter().flat_map(|memory| wrapped(&format!("· {memory}"), width)).collect(),
    );
    section("decision", wrapped(&frame.decision, width));
    if out.len() > room && room > 0 {
        out.truncate(room - 1);
        out.push("…".to_owned());
    }
    out
}

/// The text in lines of at most `width` characters, broken between words where there are any.
fn wrapped(text: &str, width: usize) -> Vec<String> {
    let mut out = Vec::new();
    for line in terminal::escaped(text).trim_end().lines() {
        let mut rest = line;
        while rest.chars().count() > width {
            let end = rest.char_indices().nth(width).map_or(rest.len(), |(at, _)| at);
            let at = rest[..end].rfind(' ').filter(|&at| at > 0).unwrap_or(end);
            out.push(rest[..at].trim_end().to_owned());
            rest = rest[at..].trim_start();
        }
        out.push(rest.to_owned());
    }
    out
}

fn cut(text: &str, width: usize) -> String {
    let line = terminal::escaped(text).split_whitespace().collect::<Vec<_>>().join(" ");
    if line.chars().count() <= width {
        return line;
    }
    line.chars().take(width.saturating_sub(1)).chain(['…']).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn film() -> Film {
        let frame = Frame {
            seq: 41,
            at_ms: 61_000,
            line: "stepped  do, unlocked collect_drink".to_owned(),
            episode: 1,
            step: 14,
            view: "health 9, food 9\nfacing west: water".into(),
            task: "learning collect_drink".into(),
            decision: "const before = observe();\nreturn interact();".into(),
            calls: vec!["collect_drink()".to_owned(), "interact()".to_owned()].into(),
            memories: vec!["Water is found by walking west for a while.".to_owned()].into(),
            failure: false,
            achievement: true,
        };
        Film { frames: vec![frame], begun_ms: 0 }
    }

    #[test]
    fn a_screen_shows_the_world_beside_the_mind() {
        let standing = Standing { index: 0, playing: true, speed: 8.0 };
        insta::assert_snapshot!(lines(&film(), "run · crafter", standing, (72, 20)).join("\n"));
    }

    #[test]
    fn no_screen_is_too_small() {
        let standing = Standing { index: 0, playing: false, speed: 1.0 };
        for size in [(0, 0), (1, 1), (7, 3), (20, 6), (300, 2)] {
            let lines = lines(&film(), "run", standing, size);
            assert!(lines.iter().all(|line| line.chars().count() <= size.0.max(5)), "{size:?}: {lines:?}");
        }
    }
}
