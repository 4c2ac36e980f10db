//! The memory of one episode: lines of text, places and the ways between them, and which calls were made where. The traits of each possible
//! call come from it. Programs carry the same logic with them (`policy.js`).

use super::weights::Names;
use serde_json::Value;
use sojourn_tools::ToolCall;
use std::collections::{BTreeMap, BTreeSet, VecDeque};

/// Lines, characters of one text, calls and places of one episode, at most.
const LINES: usize = 400;
const TEXT: usize = 4000;
const CALLS: usize = 2000;
const PLACES: usize = 200;
/// Nesting that is read.
const DEEPEST: usize = 4;
/// Words that a call or a line may have beside the ones that they share, to be told apart by them.
const LONG: usize = 2;
/// Worth of a call that is one step further away.
const FAR: f64 = 0.9;
/// What each time that a call was made at a place takes from its worth there, and each step on the way from any.
const TIRED: f64 = 0.1;
const STEP: f64 = 0.001;
/// Less is no difference.
const EPSILON: f64 = 1e-9;

/// How a world's texts and calls are read.
#[derive(Debug, Clone, Default)]
pub(super) struct Shape {
    /// Whether a call is the one text that the only action takes.
    pub(super) only: bool,
    /// The field of whose text the first line says where the agent is.
    pub(super) place: Option<String>,
}

/// A line of a text in a field.
#[derive(Debug)]
struct Line {
    field: String,
    words: Vec<String>,
}

/// A call that was offered.
struct Offered {
    call: ToolCall,
    verb: String,
    args: Vec<String>,
    /// Its own traits.
    own: Vec<u32>,
    /// The lines that name something of it: the line's number, and pairs of traits, where it is shown now and where it was before.
    hits: Vec<(usize, Vec<(u32, u32)>)>,
    made: u32,
    /// What came of it last: `+`, `-` or `0`.
    sign: Option<char>,
    /// The trait that says what came of the latest call about the same thing.
    after: Option<u32>,
}

#[derive(Debug, Default)]
struct Place {
    words: Vec<String>,
    offers: Vec<usize>,
    shown: BTreeSet<usize>,
    /// The round in which it was seen last.
    round: u32,
    tries: BTreeMap<usize, u32>,
    last: BTreeMap<usize, u32>,
    ways: Vec<(usize, usize)>,
    /// For each place from which one comes: lines that were read, and fields that name this place.
    named: BTreeMap<usize, (usize, BTreeSet<String>)>,
}

/// A call that could be made at a place.
#[derive(Debug, Clone, Copy)]
pub(super) struct Chance {
    pub(super) place: usize,
    pub(super) call: usize,
    /// What it is worth by its traits.
    pub(super) worth: f64,
    /// What it may be worth beyond that.
    pub(super) hope: f64,
    /// How many steps away the place is.
    pub(super) far: i32,
    /// The call that leads there, or the call itself.
    pub(super) first: usize,
}

/// The memory of one episode.
pub(super) struct Memory<'a> {
    shape: &'a Shape,
    lines: Vec<Line>,
    line_numbers: BTreeMap<String, usize>,
    calls: Vec<Offered>,
    call_numbers: BTreeMap<String, usize>,
    places: Vec<Place>,
    place_numbers: BTreeMap<String, usize>,
    made: Vec<(usize, char)>,
    here: usize,
    round: u32,
}

impl<'a> Memory<'a> {
    pub(super) fn new(shape: &'a Shape) -> Self {
        Self {
            shape,
            lines: Vec::new(),
            line_numbers: BTreeMap::new(),
            calls: Vec::new(),
            call_numbers: BTreeMap::new(),
            places: Vec::new(),
            place_numbers: BTreeMap::new(),
            made: Vec::new(),
            here: 0,
            round: 0,
        }
    }

    /// The number of the place where the agent is.
    pub(super) fn here(&self) -> usize {
        self.here
    }

    /// Places that were seen.
    pub(super) fn places(&self) -> usize {
        self.places.len()
    }

    /// Lines that were seen.
    pub(super) fn lines(&self) -> usize {
        self.lines.len()
    }

    pub(super) fn call(&self, call: usize) -> &ToolCall {
        &self.calls[call].call
    }

    /// Numbers of the calls that are possible now.
    pub(super) fn offers(&self) -> &[usize] {
        self.places.get(self.here).map_or(&[], |place| &place.offers)
    }

    /// Whether a call was made here.
    pub(super) fn was_tried(&self, call: usize) -> bool {
        self.places[self.here].tries.contains_key(&call)
    }

    /// Takes in a state and the calls that are possible in it.
    pub(super) fn see(&mut self, state: &Value, offers: &[ToolCall], names: &mut Names) {
        let mut texts = Vec::new();
        texts_in(state, "", &mut texts, 0);
        let mut shown = BTreeSet::new();
        let mut key: Vec<String> = Vec::new();
        for (field, text) in texts {
            let said = lines_of(text);
            if self.shape.place.as_ref() == Some(&field) && key.is_empty() {
                key = said.first().cloned().unwrap_or_default();
            }
            for words in said {
                shown.extend(self.line(&field, words, names));
            }
        }
        let name = key.join(" ");
        self.here = if let Some(number) = self.place_numbers.get(&name) {
            *number
        } else {
            let number = if self.places.len() < PLACES {
                self.places.push(Place { words: key, ..Place::default() });
                self.places.len() - 1
            } else {
                0
            };
            self.place_numbers.insert(name, number);
            number
        };
        let mut known = Vec::new();
        for call in offers.iter().filter_map(|offer| self.number(offer, names)).collect::<Vec<_>>() {
            if !known.contains(&call) {
                known.push(call);
            }
        }
        let place = &mut self.places[self.here];
        (place.offers, place.shown, place.round) = (known, shown, self.round);
    }

    /// The number of a line, which is new or known.
    fn line(&mut self, field: &str, words: Vec<String>, names: &mut Names) -> Option<usize> {
        let name = format!("{field}\n{}", words.join(" "));
        if let Some(number) = self.line_numbers.get(&name) {
            return Some(*number);
        }
        let number = self.lines.len();
        if number >= LINES {
            return None;
        }
        let line = Line { field: field.to_owned(), words };
        for call in &mut self.calls {
            call.hit(number, &line, names);
        }
        self.lines.push(line);
        self.line_numbers.insert(name, number);
        Some(number)
    }

    fn number(&mut self, offer: &ToolCall, names: &mut Names) -> Option<usize> {
        let text = text_of(offer, self.shape.only);
        if let Some(number) = self.call_numbers.get(&text) {
            return Some(*number);
        }
        if self.calls.len() >= CALLS {
            return None;
        }
        let mut args = words(&text);
        let verb = if args.is_empty() { String::new() } else { args.remove(0) };
        let mut own =
            BTreeSet::from([names.number(&format!("v:{verb}")), names.number(&format!("c:{text}"))]);
        for (at, word) in args.iter().enumerate() {
            own.insert(names.number(&format!("a:{verb} {word}")));
            own.extend(args[at + 1..].iter().map(|other| names.number(&format!("w:{verb} {word} {other}"))));
        }
        let own = own.into_iter().collect();
        let mut call = Offered {
            call: offer.clone(),
            verb,
            args,
            own,
            hits: Vec::new(),
            made: 0,
            sign: None,
            after: None,
        };
        for (other, sign) in &self.made {
            let other = &self.calls[*other];
            call.follow(&other.verb, &other.args, *sign, names);
        }
        for (number, line) in self.lines.iter().enumerate() {
            call.hit(number, line, names);
        }
        self.calls.push(call);
        self.call_numbers.insert(text, self.calls.len() - 1);
        Some(self.calls.len() - 1)
    }

    /// The traits of a call at a place.
    pub(super) fn traits(&mut self, at: usize, call: usize, names: &mut Names) -> Vec<u32> {
        let to = self.places[at].ways.iter().find(|(by, _)| *by == call).map(|(_, to)| *to);
        let named = to.map(|to| self.named_in(to, at)).unwrap_or_default();
        let (place, offered) = (&self.places[at], &self.calls[call]);
        let verb = &offered.verb;
        let mut traits: BTreeSet<u32> = offered.own.iter().chain(&offered.after).copied().collect();
        for (line, pairs) in &offered.hits {
            let is_shown = place.shown.contains(line);
            traits.extend(pairs.iter().map(|(now, before)| if is_shown { *now } else { *before }));
        }
        let mut add = |name: String| traits.insert(names.number(&name));
        if let Some(times) = place.tries.get(&call) {
            add(format!("k{}:{verb}", (*times).min(3)));
        }
        if place.last.get(&call) == Some(&self.round) {
            add(format!("kr:{verb}"));
        }
        if offered.made > 0 {
            add(format!("m{}:{verb}", offered.made.min(3)));
        }
        if let Some(sign) = offered.sign {
            add(format!("again{sign}:{verb}"));
        }
        if let Some(to) = to {
            let age = if self.places[to].round == self.round { "old" } else { "fresh" };
            add(format!("to:{verb}"));
            add(format!("to:{age} {verb}"));
            for field in named {
                add(format!("to:{age} named {field}"));
            }
        }
        traits.into_iter().collect()
    }

    /// The fields whose lines name a place by the words that it has and the place one comes from has not.
    fn named_in(&mut self, to: usize, from: usize) -> BTreeSet<String> {
        let (mut read, mut fields) = self.places[to].named.remove(&from).unwrap_or_default();
        let name = &self.places[to].words;
        let own: Vec<&String> = name.iter().filter(|word| !self.places[from].words.contains(*word)).collect();
        for line in &self.lines[read..] {
            let is_longer = self.shape.place.as_ref() != Some(&line.field) && line.words.len() > name.len();
            if is_longer && !own.is_empty() && own.iter().all(|word| line.words.contains(*word)) {
                fields.insert(line.field.clone());
            }
        }
        read = self.lines.len();
        self.places[to].named.insert(from, (read, fields.clone()));
        fields
    }

    /// All calls at the places that can be walked to, the nearest first.
    pub(super) fn chances(&mut self, names: &mut Names, weights: &[f64]) -> Vec<Chance> {
        let mut chances = Vec::new();
        if self.places.is_empty() {
            return chances;
        }
        let mut queue = VecDeque::from([(self.here, 0, None)]);
        let mut met = BTreeSet::from([self.here]);
        while let Some((at, far, first)) = queue.pop_front() {
            for call in self.places[at].offers.clone() {
                let traits = self.traits(at, call, names);
                let worth = traits.iter().filter_map(|one| weights.get(*one as usize)).sum();
                let hope = names.hope(&traits);
                chances.push(Chance { place: at, call, worth, hope, far, first: first.unwrap_or(call) });
            }
            for (call, to) in self.places[at].ways.clone() {
                if self.places[at].offers.contains(&call) && met.insert(to) {
                    queue.push_back((to, far + 1, Some(first.unwrap_or(call))));
                }
            }
        }
        chances
    }

    /// The call to make: the best chance, or the first call on the way there. `hopeful`: what is not known counts too.
    pub(super) fn choose(&self, chances: &[Chance], hopeful: bool) -> Option<usize> {
        let mut best = None;
        let mut most = f64::NEG_INFINITY;
        for chance in chances {
            let tries = self.places[chance.place].tries.get(&chance.call).copied().unwrap_or(0);
            let hope = if hopeful { chance.hope } else { 0.0 };
            let worth = chance.worth + hope - TIRED * f64::from(tries);
            let near = if worth > 0.0 { worth * FAR.powi(chance.far) } else { worth };
            let now = near - STEP * f64::from(chance.far);
            if now > most + EPSILON {
                (most, best) = (now, Some(chance.first));
            }
        }
        best
    }

    /// Notes that a call was made at a place and by how much the sum of rewards rose.
    pub(super) fn came(&mut self, call: usize, from: usize, gain: f64, names: &mut Names) {
        let place = &mut self.places[from];
        *place.tries.entry(call).or_default() += 1;
        place.last.insert(call, self.round);
        let sign = if gain > EPSILON {
            '+'
        } else if gain < -EPSILON {
            '-'
        } else {
            '0'
        };
        let made = &mut self.calls[call];
        made.made += 1;
        made.sign = Some(sign);
        let (verb, args) = (made.verb.clone(), made.args.clone());
        self.made.push((call, sign));
        let others = self.calls.iter_mut().enumerate().filter(|(number, _)| *number != call);
        others.for_each(|(_, other)| other.follow(&verb, &args, sign, names));
        self.round += u32::from(gain > EPSILON);
    }

    /// Notes where a call led, after what followed was seen.
    pub(super) fn went(&mut self, call: usize, from: usize) {
        let (here, ways) = (self.here, &mut self.places[from].ways);
        match ways.iter_mut().find(|(by, _)| *by == call) {
            Some(way) if here != from => way.1 = here,
            None if here != from => ways.push((call, here)),
            _ => ways.retain(|(by, _)| *by != call),
        }
    }
}

impl Offered {
    /// Notes that another call was made, if it is about the same thing: all that one names, the other names too.
    fn follow(&mut self, verb: &str, args: &[String], sign: char, names: &mut Names) {
        let is_about = !self.args.is_empty()
            && !args.is_empty()
            && (is_subset(&self.args, args) || is_subset(args, &self.args));
        if is_about {
            self.after = Some(names.number(&format!("{}<{verb}{sign}", self.verb)));
        }
    }

    /// Notes what a line has to do with the call.
    fn hit(&mut self, number: usize, line: &Line, names: &mut Names) {
        let pairs: Vec<(u32, u32)> = self
            .pairs(line)
            .into_iter()
            .map(|name| (names.number(&format!("n{name}")), names.number(&format!("t{name}"))))
            .collect();
        if !pairs.is_empty() {
            self.hits.push((number, pairs));
        }
    }

    /// What the call has beside the words of the line, and the line beside those of the call; where the line has all of them, also
    /// whatever the verb is.
    fn pairs(&self, line: &Line) -> Vec<String> {
        let (own, args) = (&line.words, &self.args);
        if !args.iter().any(|word| own.contains(word)) {
            return Vec::new();
        }
        let rest: Vec<&str> = args.iter().filter(|word| !own.contains(word)).map(String::as_str).collect();
        if rest.len() > LONG {
            return Vec::new();
        }
        let left: Vec<&str> = own
            .iter()
            .filter(|word| **word != self.verb && !args.contains(word))
            .map(String::as_str)
            .collect();
        let tail = if left.len() > LONG { format!("{}...", own[0]) } else { left.join(" ") };
        let (field, verb) = (&line.field, &self.verb);
        let mut names = vec![format!("{field}:{verb}|{}|{tail}", rest.join(" "))];
        if rest.is_empty() {
            names.push(format!("{field}:*|{}|{tail}", u8::from(own.contains(verb))));
        }
        names
    }
}

fn is_subset(one: &[String], other: &[String]) -> bool {
    one.iter().all(|word| other.contains(word))
}

/// The text of a call: the one that the only action takes, or the name and the arguments.
fn text_of(call: &ToolCall, only: bool) -> String {
    let text = |value: &Value| value.as_str().map_or_else(|| value.to_string(), str::to_owned);
    let values: Vec<String> = call.args.values().map(text).collect();
    match &values[..] {
        [value] if only => value.clone(),
        _ => std::iter::once(call.name.clone()).chain(values).collect::<Vec<_>>().join(" "),
    }
}

/// The texts in a value, each with the names on the way to it; those in lists have the name of the list.
pub(super) fn texts_in<'v>(value: &'v Value, field: &str, found: &mut Vec<(String, &'v str)>, depth: usize) {
    match value {
        Value::String(text) => found.push((field.to_owned(), text)),
        Value::Array(items) if depth < DEEPEST => {
            for item in items {
                texts_in(item, field, found, depth + 1);
            }
        }
        Value::Object(fields) if depth < DEEPEST => {
            for (name, value) in fields {
                let field = if field.is_empty() { name.clone() } else { format!("{field}/{name}") };
                texts_in(value, &field, found, depth + 1);
            }
        }
        _ => {}
    }
}

/// The lines and sentences of a text, as words.
pub(super) fn lines_of(text: &str) -> Vec<Vec<String>> {
    let chars: Vec<char> = text.chars().take(TEXT).collect();
    let mut lines = vec![String::new()];
    for (at, c) in chars.iter().enumerate() {
        let is_last = chars.get(at + 1).is_none_or(|next| matches!(next, ' ' | '\t' | '\r' | '\n'));
        if *c == '\n' || matches!(c, '.' | '!' | '?' | ':' | ';') && is_last {
            lines.push(String::new());
        } else if let Some(line) = lines.last_mut() {
            line.push(*c);
        }
    }
    lines.iter().map(|line| words(line)).filter(|words| !words.is_empty()).collect()
}

/// The runs of letters and digits, in small letters.
fn words(text: &str) -> Vec<String> {
    let text = text.to_lowercase();
    text.split(|c: char| !c.is_alphanumeric()).filter(|word| !word.is_empty()).map(str::to_owned).collect()
}
