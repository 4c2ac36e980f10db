//! A frame as lines of a given width: the environment on the left, the agent on the right.

use crate::duration;
use crate::logbook::{Film, Frame};
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
    /// Lines of the right column that are scrolled away.
    pub scroll: usize,
    /// Whether the keys are shown instead of the record.
    pub help: bool,
    /// The number of the record to jump to, as far as it is typed.
    pub jump: Option<u64>,
}

impl Standing {
    /// At the frame of this index; without a speed, paused.
    pub fn at(index: usize, speed: Option<f64>) -> Self {
        let (playing, speed) = (speed.is_some(), speed.unwrap_or(1.0));
        Self { index, playing, speed, scroll: 0, help: false, jump: None }
    }
}

/// The keys, for the last line.
const KEYS: &str =
    "? keys · space play/pause · n next · p previous · f failure · g jump · ↑↓ scroll · q quit";

/// What `?` shows.
const HELP: &[(&str, &str)] = &[
    ("space", "play or pause"),
    ("n, →, Enter", "the next record"),
    ("p, ←", "the record before"),
    ("Home, End", "the first and the last record"),
    ("f", "the next failure"),
    ("a", "the next achievement"),
    ("d", "the next death"),
    ("g", "jump to a record: type its number, then Enter"),
    ("↓, ↑", "scroll the right side by a line"),
    ("Page Down, Page Up", "scroll it by a screen"),
    ("+, -", "twice or half the speed"),
    ("?", "show or hide these keys"),
    ("q, Esc", "quit"),
];

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
                duration::clock(film.clock.at(frame.seq, frame.at_ms)),
                frame.episode,
                frame.step
            ),
            width,
        ),
        cut(&format!("{mark}{}", frame.line), width),
        "─".repeat(width),
    ];
    let Columns { left, right, room } = Columns::of(width, height);
    if standing.help {
        let keys = HELP.iter().map(|(key, what)| format!("{key:<19}{what}").chars().take(width).collect());
        out.extend(keys.chain(std::iter::repeat(String::new())).take(room));
        out.push("─".repeat(width));
        out.push(cut("? back · q quit", width));
        return out;
    }
    let (world, mind) =
        (wrapped(&frame.view, left), visible(mind(frame, right), standing.scroll, (right, room)));
    for row in 0..room {
        let cell = |column: &[String]| column.get(row).cloned().unwrap_or_default();
        let (world, mind) = (cell(&world), cell(&mind));
        let gap = " ".repeat(left.saturating_sub(world.chars().count()));
        out.push(format!("{world}{gap} │ {mind}").trim_end().to_owned());
    }
    out.push("─".repeat(width));
    out.push(match standing.jump {
        None => cut(KEYS, width),
        Some(0) => cut("jump to record: _", width),
        Some(typed) => cut(&format!("jump to record: {typed}_ (Enter to go there, Esc to stay)"), width),
    });
    out
}

/// The size of the two columns.
struct Columns {
    left: usize,
    right: usize,
    room: usize,
}

impl Columns {
    fn of(width: usize, height: usize) -> Self {
        // Three lines above and two below.
        let left = (width * 2 / 5).max(1);
        Self { left, right: width.saturating_sub(left + 3).max(1), room: height.saturating_sub(5) }
    }
}

/// How far the right column of a frame can be scrolled on a screen of this size, and the number of its rows.
pub fn depth(frame: &Frame, (width, height): (usize, usize)) -> (usize, usize) {
    let Columns { right, room, .. } = Columns::of(width, height);
    (mind(frame, right).len().saturating_sub(room), room)
}

/// The rows of a column from `scroll` on. Where more follow, the last row says how many.
fn visible(column: Vec<String>, scroll: usize, (width, room): (usize, usize)) -> Vec<String> {
    let scroll = scroll.min(column.len().saturating_sub(room));
    let hidden = column.len().saturating_sub(scroll + room);
    let mut rows: Vec<String> = column.into_iter().skip(scroll).take(room).collect();
    if hidden > 0
        && let Some(last) = rows.last_mut()
    {
        *last = cut(&format!("… {} more lines: ↓", hidden + 1), width);
    }
    rows
}

/// How the episode ended, the task, the calls, the memories and the decision.
fn mind(frame: &Frame, width: usize) -> Vec<String> {
    let mut out = Vec::new();
    let mut section = |name: &str, body: Vec<String>| {
        if !body.is_empty() {
            out.push(name.to_uppercase());
            out.extend(body);
            out.push(String::new());
        }
    };
    section("ending", frame.ending.iter().flat_map(|line| wrapped(line, width)).collect());
    let picture = frame.picture.as_ref().map(|picture| wrapped(&picture.media.to_string(), width));
    section("picture", picture.unwrap_or_default());
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
    out.truncate(out.len().saturating_sub(1));
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
pub mod tests {
    use super::*;
    use crate::logbook::RunClock;

    pub fn film() -> Film {
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
            ending: Vec::new().into(),
            picture: None,
            failure: false,
            achievement: true,
            death: false,
        };
        Film { frames: vec![frame], clock: RunClock::default() }
    }

    #[test]
    fn a_screen_shows_the_world_beside_the_mind() {
        let standing = Standing::at(0, Some(8.0));
        insta::assert_snapshot!(lines(&film(), "run · crafter", standing, (72, 20)).join("\n"));
    }

    #[test]
    fn no_screen_is_too_small() {
        let standing = Standing::at(0, None);
        for size in [(0, 0), (1, 1), (7, 3), (20, 6), (300, 2)] {
            for standing in
                [standing, Standing { help: true, ..standing }, Standing { jump: Some(7), ..standing }]
            {
                let lines = lines(&film(), "run", standing, size);
                assert!(
                    lines.iter().all(|line| line.chars().count() <= size.0.max(5)),
                    "{size:?}: {lines:?}"
                );
            }
        }
    }

    #[test]
    fn a_death_is_told_and_long_columns_scroll() {
        let mut film = film();
        film.frames[0].ending = [
            "died: killed by a zombie",
            "health 0, food 4",
            "the last steps:",
            "· move_left, health 3→1",
            "· noop, health 1→0, the episode is over: killed by a zombie",
        ]
        .map(str::to_owned)
        .into();
        let (size, top) = ((72, 14), Standing::at(0, None));
        let end = depth(&film.frames[0], size).0;
        let bottom = Standing { scroll: end, ..top };
        let screens = [top, bottom].map(|standing| lines(&film, "run · crafter", standing, size).join("\n"));
        insta::assert_snapshot!(screens.join("\n\n"));
        // Scrolling further shows nothing else.
        let beyond = Standing { scroll: usize::MAX, ..top };
        assert_eq!(lines(&film, "run · crafter", beyond, size).join("\n"), screens[1]);
    }

    #[test]
    fn the_keys_are_shown() {
        let standing = Standing { help: true, ..Standing::at(0, None) };
        insta::assert_snapshot!(lines(&film(), "run · crafter", standing, (72, 20)).join("\n"));
    }
}
