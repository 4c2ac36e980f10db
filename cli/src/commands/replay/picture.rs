//! A run as one picture: a bar for each episode, with the skills that ran, what was unlocked and learned, and how it ended.

use crate::logbook::{Reading, reason_line};
use crate::output::counted;
use anyhow::Result;
use sojourn_core::{Effect, Event, LessonKind, LogRecord, Milestone, SkillEvent};
use sojourn_memory::{RecordQuery, RunInfo, Store};
use sojourn_tools::EndingKind;
use sojourn_tools::outside::html;
use std::collections::{BTreeMap, BTreeSet};
use std::fmt::Write as _;

/// The most episodes that are drawn, the first.
const EPISODES: usize = 60;
/// The most calls of one episode that are drawn, and the most texts below its bar.
const CALLS: usize = 2000;
const NOTES: usize = 12;
/// The longest line of text, in characters.
const LINE: usize = 118;

const WIDTH: f64 = 960.0;
const MARGIN: f64 = 20.0;
const BAR: f64 = 24.0;
const ROW: f64 = 17.0;
/// Width of a character of the 12-pixel face, about.
const CHARACTER: f64 = 7.0;
/// Colours that can be told apart, light enough for black text.
const COLOURS: [&str; 12] = [
    "#8ecae6", "#ffd166", "#95d5b2", "#f4a6b8", "#cdb4db", "#f6bd60", "#a3c4f3", "#b9fbc0", "#ffadad",
    "#d0c8a0", "#98f5e1", "#e0aaff",
];

/// The parts of a run that are drawn.
#[derive(Debug, Default)]
pub struct Picture {
    title: String,
    episodes: Vec<Episode>,
    /// Episodes that are not drawn.
    more: usize,
    /// Why the run ended.
    ended: Option<String>,
    /// Achievements that were unlocked in an episode before.
    known: BTreeSet<String>,
}

#[derive(Debug, Default)]
struct Episode {
    seed: u64,
    steps: u64,
    calls: Vec<Call>,
    /// Names of achievements that were unlocked for the first time in the run.
    unlocked: Vec<String>,
    achievements: BTreeSet<String>,
    /// Skills and reflexes that were learned.
    learned: Vec<String>,
    lessons: Vec<String>,
    /// How it ended, and whether by a death.
    ending: Option<(String, bool)>,
}

/// A call of a skill or a tool, between two steps of the episode.
#[derive(Debug)]
struct Call {
    name: String,
    from: u64,
    to: u64,
    failed: bool,
}

impl Picture {
    /// Reads a run.
    ///
    /// # Errors
    /// When the run cannot be read.
    pub async fn of(store: &Store, info: &RunInfo) -> Result<Self> {
        let mut reading = Reading::new(store, info, RecordQuery::all()).await?;
        let mut picture = Self { title: format!("{} · {}", info.id, info.environment), ..Self::default() };
        while let Some((_, content)) = reading.next().await? {
            if let Some(content) = content {
                picture.add(&content);
            }
        }
        Ok(picture)
    }

    fn add(&mut self, record: &LogRecord) {
        if let LogRecord::Event(event) = record
            && let Event::EpisodeStarted { seed, .. } = &**event
        {
            if self.episodes.len() == EPISODES {
                self.more += 1;
            } else {
                self.episodes.push(Episode { seed: *seed, ..Episode::default() });
            }
        }
        if let LogRecord::Effect(effect) = record
            && let Effect::Finish { reason } = &**effect
        {
            self.ended = Some(reason_line(reason));
        }
        if self.more > 0 {
            return;
        }
        let Some(episode) = self.episodes.last_mut() else { return };
        match record {
            LogRecord::Effect(effect) => episode.effect(effect),
            LogRecord::Event(event) => episode.event(event),
            LogRecord::SkillEvent(event) => {
                if let SkillEvent::Stepped(step) = &**event {
                    episode.steps += 1;
                    episode.achievements.extend(step.unlocked.iter().cloned());
                    for name in &step.unlocked {
                        if self.known.insert(name.clone()) {
                            episode.unlocked.push(name.clone());
                        }
                    }
                    if let Some(ending) = &step.ended {
                        episode.ending = Some((ending.cause.clone(), ending.kind == EndingKind::Died));
                    }
                }
            }
            LogRecord::Started(_) | LogRecord::ToolDecision(_) | LogRecord::ControlRecord(_) => {}
        }
    }

    /// The picture as an SVG document.
    pub fn to_svg(&self) -> String {
        let colours = self.colours();
        let longest = self.episodes.iter().map(|episode| episode.steps).max().unwrap_or(0).max(1);
        let mut body = Drawing { y: MARGIN + ROW, svg: String::new() };
        body.text("font-size=\"15\" font-weight=\"bold\"", &self.title);
        let mut used = BTreeSet::new();
        for (number, episode) in (1..).zip(&self.episodes) {
            body.y += ROW / 2.0;
            body.text("font-weight=\"bold\"", &episode.headline(number));
            body.bar(episode, longest, &colours);
            for (style, note) in episode.notes(&mut used) {
                for line in wrapped(&note) {
                    body.text(style, &line);
                }
            }
        }
        body.y += ROW / 2.0;
        body.legend(&colours);
        if self.more > 0 {
            body.text("fill=\"#666\"", &format!("and {} more episodes", self.more));
        }
        if let Some(reason) = &self.ended {
            body.text("fill=\"#666\"", &format!("the run ended: {reason}"));
        }
        let width = WIDTH + 2.0 * MARGIN;
        let height = body.y + MARGIN - ROW / 2.0;
        format!(
            "<svg xmlns=\"http://www.w3.org/2000/svg\" viewBox=\"0 0 {width:.0} {height:.0}\" width=\"{width:.0}\" \
             height=\"{height:.0}\" font-family=\"ui-monospace, monospace\" font-size=\"12\">\n\
             <title>{}</title>\n<rect width=\"100%\" height=\"100%\" fill=\"white\"/>\n{}</svg>\n",
            html::escaped(&self.title),
            body.svg
        )
    }

    /// A colour for each called name, in the order of the first calls.
    fn colours(&self) -> BTreeMap<&str, &'static str> {
        let mut colours = BTreeMap::new();
        for call in self.episodes.iter().flat_map(|episode| &episode.calls) {
            let next = COLOURS[colours.len() % COLOURS.len()];
            colours.entry(call.name.as_str()).or_insert(next);
        }
        colours
    }
}

impl Episode {
    fn effect(&mut self, effect: &Effect) {
        match effect {
            Effect::Act { call, .. } if self.calls.len() < CALLS => {
                self.calls.push(Call {
                    name: call.name.clone(),
                    from: self.steps,
                    to: self.steps,
                    failed: false,
                });
            }
            Effect::Remember { memory } if memory.kind == LessonKind::Reflection => {
                self.lessons.push(memory.text.clone());
            }
            Effect::ReportMilestone { milestone } => match milestone {
                Milestone::SkillAdmitted { skill, .. } => self.learned.push(skill.clone()),
                Milestone::ReflexAdmitted { reflex, .. } => self.learned.push(reflex.clone()),
                Milestone::TaskDone { task, verified: false, .. } => {
                    if let Some(call) = self.calls.last_mut().filter(|call| call.name == *task) {
                        call.failed = true;
                    }
                }
                Milestone::EpisodeEnded { cause, .. } => {
                    self.ending.get_or_insert_with(|| (cause.clone(), false));
                }
                _ => {}
            },
            _ => {}
        }
    }

    fn event(&mut self, event: &Event) {
        if let Event::Acted { report } = event
            && let Some(call) = self.calls.last_mut()
        {
            call.to = self.steps;
            call.failed |= report.error.is_some();
        }
    }

    fn headline(&self, number: usize) -> String {
        let ending = self.ending.as_ref().map_or("not over", |(cause, _)| cause.as_str());
        format!(
            "episode {number} · world {} · {} · {} · {ending}",
            self.seed,
            counted(self.steps, "step"),
            counted(self.achievements.len() as u64, "achievement"),
        )
    }

    /// The lines below the bar, each with its style. `used` are the names that were called with success before.
    fn notes<'e>(&'e self, used: &mut BTreeSet<&'e str>) -> Vec<(&'static str, String)> {
        let mut notes = Vec::new();
        if !self.unlocked.is_empty() {
            notes.push(("fill=\"#225\"", format!("unlocked: {}", self.unlocked.join(", "))));
        }
        if !self.learned.is_empty() {
            notes.push(("fill=\"#171\"", format!("learned: {}", self.learned.join(", "))));
        }
        let (mut again, mut calls) = (BTreeSet::new(), 0);
        for call in self.calls.iter().filter(|call| !call.failed) {
            if !used.insert(&call.name) {
                again.insert(call.name.as_str());
                calls += 1;
            }
        }
        if calls > 0 {
            let (skills, calls) = (counted(again.len() as u64, "skill"), counted(calls, "call"));
            notes.push(("fill=\"#666\"", format!("reused: {skills} in {calls}")));
        }
        for lesson in self.lessons.iter().take(NOTES) {
            notes.push(("fill=\"#a11\" font-style=\"italic\"", format!("lesson: {lesson}")));
        }
        notes
    }
}

/// The body of the document, drawn from above.
struct Drawing {
    y: f64,
    svg: String,
}

impl Drawing {
    fn text(&mut self, style: &str, text: &str) {
        let text = html::escaped(text);
        let _ = writeln!(self.svg, "<text x=\"{MARGIN:.0}\" y=\"{:.0}\" {style}>{text}</text>", self.y);
        self.y += ROW;
    }

    /// The episode's calls, as wide as their steps in relation to the longest episode.
    fn bar(&mut self, episode: &Episode, longest: u64, colours: &BTreeMap<&str, &'static str>) {
        let top = self.y - ROW + 6.0;
        let scale = (WIDTH - BAR) / longest as f64;
        let at = |step: u64| MARGIN + step as f64 * scale;
        let _ = writeln!(
            self.svg,
            "<rect x=\"{MARGIN:.0}\" y=\"{top:.0}\" width=\"{:.1}\" height=\"{BAR:.0}\" fill=\"#eee\"/>",
            episode.steps as f64 * scale
        );
        for call in episode.calls.iter().filter(|call| call.to > call.from) {
            let (x, width) = (at(call.from), (call.to - call.from) as f64 * scale);
            let colour = colours.get(call.name.as_str()).copied().unwrap_or("#ddd");
            let pale = if call.failed { " fill-opacity=\"0.3\"" } else { "" };
            let failed = if call.failed { ", failed" } else { "" };
            let name = html::escaped(&call.name);
            let steps = call.to - call.from;
            let _ = writeln!(
                self.svg,
                "<rect x=\"{x:.1}\" y=\"{top:.0}\" width=\"{width:.1}\" height=\"{BAR:.0}\" fill=\"{colour}\"{pale} \
                 stroke=\"white\" stroke-width=\"0.5\"><title>{name}, {steps} steps{failed}</title></rect>"
            );
            if call.name.chars().count() as f64 * CHARACTER + 6.0 < width {
                let _ =
                    writeln!(self.svg, "<text x=\"{:.1}\" y=\"{:.0}\">{name}</text>", x + 3.0, top + 16.0);
            }
        }
        if episode.ending.as_ref().is_some_and(|(_, died)| *died) {
            let _ = writeln!(
                self.svg,
                "<text x=\"{:.1}\" y=\"{:.0}\" font-size=\"18\" fill=\"#a11\">✝</text>",
                at(episode.steps) + 4.0,
                top + 18.0
            );
        }
        self.y = top + BAR + ROW - 3.0;
    }

    /// The colour of each name, in rows.
    fn legend(&mut self, colours: &BTreeMap<&str, &'static str>) {
        let mut x = MARGIN;
        for (name, colour) in colours {
            let width = name.chars().count().min(LINE) as f64 * CHARACTER + 32.0;
            if x + width > MARGIN + WIDTH && x > MARGIN {
                x = MARGIN;
                self.y += ROW;
            }
            let (name, top) = (html::escaped(&name.chars().take(LINE).collect::<String>()), self.y - 10.0);
            let _ = writeln!(
                self.svg,
                "<rect x=\"{x:.0}\" y=\"{top:.0}\" width=\"12\" height=\"12\" fill=\"{colour}\"/>\
                 <text x=\"{:.0}\" y=\"{:.0}\" fill=\"#444\">{name}</text>",
                x + 17.0,
                self.y
            );
            x += width;
        }
        if !colours.is_empty() {
            self.y += 1.5 * ROW;
        }
    }
}

/// The text in lines of at most [`LINE`] characters, broken between words where that is possible.
fn wrapped(text: &str) -> Vec<String> {
    let mut lines = vec![String::new()];
    for word in text.split_whitespace() {
        let mut word: Vec<char> = word.chars().collect();
        let used = lines.last().map_or(0, |line| line.chars().count());
        if used > 0 && used + 1 + word.len() > LINE {
            lines.push("  ".to_owned());
        } else if used > 0 {
            word.insert(0, ' ');
        }
        if let Some(line) = lines.last_mut() {
            line.extend(word.into_iter().take(LINE));
        }
    }
    lines.truncate(NOTES);
    lines
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_life_and_a_death_are_drawn() {
        let call = |name: &str, from, to, failed| Call { name: name.to_owned(), from, to, failed };
        let names = |names: &[&str]| names.iter().map(|&name| name.to_owned()).collect::<Vec<_>>();
        let first = Episode {
            seed: 7,
            steps: 100,
            calls: vec![
                call("collect_wood", 0, 40, false),
                call("eat_cow", 40, 95, true),
                call("collect_wood", 95, 100, false),
            ],
            unlocked: names(&["collect_wood", "eat_cow"]),
            achievements: names(&["collect_wood", "eat_cow"]).into_iter().collect(),
            learned: names(&["collect_stone"]),
            lessons: names(&["killed by a zombie: Do not sleep in the <open>."]),
            ending: Some(("killed by a zombie".to_owned(), true)),
        };
        let second = Episode { seed: 8, steps: 10, ..Episode::default() };
        let picture = Picture {
            title: "20260101-000000-0000 · crafter".to_owned(),
            episodes: vec![first, second],
            ended: Some("the step budget is used up".to_owned()),
            ..Picture::default()
        };
        insta::assert_snapshot!(picture.to_svg());
    }

    #[test]
    fn a_long_text_is_broken_between_words_and_a_long_word_is_cut() {
        let lines = wrapped(&format!("{} {}", "word ".repeat(60), "x".repeat(500)));
        assert!(lines.len() > 2 && lines.iter().all(|line| line.chars().count() <= LINE + 2), "{lines:?}");
        assert_eq!(wrapped(""), [""]);
    }
}
