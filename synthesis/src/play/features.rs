//! A state as features: a value for each path, and the paths that tell nothing about where the agent is.

use super::mentions::{self, Mention};
use crate::javascript::quote;
use serde_json::Value;
use std::collections::{BTreeMap, BTreeSet};
use std::fmt::Write as _;

/// Features of one state, at most.
const MOST: usize = 128;
/// Nesting that is read.
const DEEPEST: usize = 6;
/// A text with as many words is prose.
const PROSE: usize = 5;
/// Calls before a path can be recognised as a clock.
const EVIDENCE: usize = 8;
/// Paths of one world, at most.
const PATHS: usize = 512;

/// The variable in which a program keeps what it did last.
pub(crate) const LAST: &str = "previous";

/// Where a feature is found.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Path {
    names: Vec<String>,
    /// The text that a list at `names` holds.
    holds: Option<String>,
    /// How the path depends on what a text of the state names.
    mention: Option<Mention>,
}

impl Path {
    /// The feature as a JavaScript expression over the helpers [`FIELDS`](crate::javascript::FIELDS): a value, or whether a list
    /// holds a text.
    pub(crate) fn javascript(&self) -> String {
        if let Some(Mention::Is(named)) = &self.mention {
            return format!("(at({}) === {})", self.arguments(), named.javascript());
        }
        if self.names.is_empty() && self.holds.is_none() {
            return LAST.to_owned();
        }
        if let Some(Mention::Role(named)) = &self.mention {
            return named.role(&self.names);
        }
        match &self.holds {
            None => format!("at({})", self.arguments()),
            Some(text) => match self.arguments().as_str() {
                "" => format!("listedAt({})", quote(text)),
                names => format!("listedAt({}, {names})", quote(text)),
            },
        }
    }

    /// Whether a state has the feature.
    pub(crate) fn presence(&self) -> String {
        if self.is_membership() { self.javascript() } else { format!("hasAt({})", self.arguments()) }
    }

    /// The feature as a number, `NaN` where it is none.
    pub(crate) fn number(&self) -> String {
        format!("numberAt({})", self.arguments())
    }

    /// The names on the way to the value, or to the list that holds the text.
    pub(crate) fn names(&self) -> &[String] {
        &self.names
    }

    /// The text that the list holds.
    pub(crate) fn holds(&self) -> Option<&str> {
        self.holds.as_deref()
    }

    fn arguments(&self) -> String {
        let mut names: Vec<String> = self.names.iter().map(|name| quote(name)).collect();
        if let Some(Mention::Of(named)) = &self.mention {
            names.insert(named.things.len(), named.javascript());
        }
        names.join(", ")
    }

    /// Whether the feature is that a list holds a text, or a value is what a text names: it is there where that is so.
    pub(crate) fn is_membership(&self) -> bool {
        self.holds.is_some() || matches!(self.mention, Some(Mention::Is(_)))
    }
}

/// A value without parts.
#[derive(Debug, Clone, PartialEq)]
pub(crate) enum Scalar {
    Null,
    Bool(bool),
    Number(f64),
    Text(String),
}

impl Scalar {
    /// The value, where it has no parts.
    pub(crate) fn of(value: &Value) -> Option<Self> {
        Some(match value {
            Value::Null => Self::Null,
            Value::Bool(value) => Self::Bool(*value),
            Value::Number(number) => Self::Number(number.as_f64().unwrap_or(0.0)),
            Value::String(text) => Self::Text(text.clone()),
            Value::Array(_) | Value::Object(_) => return None,
        })
    }

    /// The value as JSON, which is also its JavaScript literal. Whole numbers have no fraction.
    pub(crate) fn json(&self) -> Value {
        match self {
            Self::Null => Value::Null,
            Self::Bool(value) => Value::Bool(*value),
            Self::Number(number) if number.fract() == 0.0 && number.abs() < 9e15 => {
                Value::from(*number as i64)
            }
            Self::Number(number) => Value::from(*number),
            Self::Text(text) => Value::from(text.as_str()),
        }
    }

    pub(crate) fn number(&self) -> Option<f64> {
        match self {
            Self::Number(number) => Some(*number),
            _ => None,
        }
    }

    pub(crate) fn is_prose(&self) -> bool {
        matches!(self, Self::Text(text) if text.split_whitespace().nth(PROSE - 1).is_some())
    }
}

/// The values of a state, in the order of their paths' numbers.
#[derive(Debug, Clone, PartialEq, Default)]
pub(crate) struct Features(Vec<(usize, Scalar)>);

impl Features {
    pub(crate) fn get(&self, path: usize) -> Option<&Scalar> {
        let at = self.0.binary_search_by_key(&path, |(path, _)| *path).ok()?;
        self.0.get(at).map(|(_, value)| value)
    }

    pub(crate) fn iter(&self) -> impl Iterator<Item = (usize, &Scalar)> {
        self.0.iter().map(|(path, value)| (*path, value))
    }
}

/// What is known of one path.
#[derive(Debug, Default, Clone)]
struct Habit {
    /// Calls before and after which the path had a number.
    calls: usize,
    /// Those that changed it.
    changed: usize,
    /// The only amount by which it changed so far.
    amount: Option<f64>,
    /// Whether it changed by different amounts.
    is_irregular: bool,
    /// Calls after which it was not the reward of the call, and not the sum of the episode's rewards.
    not_reward: usize,
    not_return: usize,
    /// Whether it is prose that changed within an episode: a message.
    is_message: bool,
    /// Whether it had different values at all.
    varies: bool,
    first: Option<Scalar>,
}

impl Habit {
    /// Whether it changes by the same amount with every call, or repeats the rewards.
    fn is_account(&self) -> bool {
        let is_clock = self.changed == self.calls && !self.is_irregular;
        self.calls >= EVIDENCE && (is_clock || self.not_reward == 0 || self.not_return == 0)
    }
}

/// All paths that were seen in a world.
#[derive(Debug, Default)]
pub(crate) struct Paths {
    numbers: BTreeMap<Path, usize>,
    known: Vec<Path>,
    habits: Vec<Habit>,
    ignored: BTreeSet<usize>,
    /// Whether features are read of what texts of the state name.
    pub(crate) mentions: bool,
    /// Whether only what holds of whatever a text names tells states apart.
    general: bool,
    /// Whether what was done last tells states apart.
    pub(crate) remembers: bool,
}

impl Paths {
    pub(crate) fn path(&self, number: usize) -> Option<&Path> {
        self.known.get(number)
    }

    /// The number of a path; `None` where there are too many.
    pub(crate) fn number<N: Into<String>>(
        &mut self,
        names: impl Iterator<Item = N>,
        holds: Option<String>,
    ) -> Option<usize> {
        self.intern(Path { names: names.map(Into::into).collect(), holds, mention: None })
    }

    fn intern(&mut self, path: Path) -> Option<usize> {
        let next = self.known.len();
        match self.numbers.get(&path) {
            Some(number) => Some(*number),
            None if next < PATHS => {
                if self.general && self.is_single(&path) {
                    self.ignored.insert(next);
                }
                self.numbers.insert(path.clone(), next);
                self.known.push(path);
                self.habits.push(Habit::default());
                Some(next)
            }
            None => None,
        }
    }

    /// Reads a state.
    pub(crate) fn read(&mut self, state: &Value) -> Features {
        let mut found = BTreeMap::new();
        self.collect(state, &mut Vec::new(), &mut found);
        if self.mentions {
            for (names, mention, value) in mentions::read(state, self.general) {
                if found.len() < MOST
                    && let Some(number) = self.intern(Path { names, holds: None, mention: Some(mention) })
                {
                    found.insert(number, value);
                }
            }
        }
        for (path, value) in &found {
            let habit = &mut self.habits[*path];
            match &habit.first {
                None => habit.first = Some(value.clone()),
                Some(first) => habit.varies |= first != value,
            }
        }
        Features(found.into_iter().collect())
    }

    /// Notes in the features of a state what was done last, where that tells states apart. The path of it has no names.
    pub(crate) fn remember(&mut self, features: &mut Features, done: &str) {
        let path = Path { names: Vec::new(), holds: None, mention: None };
        if self.remembers
            && let Some(number) = self.intern(path)
        {
            self.habits[number].varies = true;
            let at = features.0.partition_point(|(path, _)| *path < number);
            features.0.insert(at, (number, Scalar::Text(done.to_owned())));
        }
    }

    fn collect(&mut self, value: &Value, names: &mut Vec<String>, found: &mut BTreeMap<usize, Scalar>) {
        if found.len() >= MOST || names.len() > DEEPEST {
            return;
        }
        match value {
            Value::Array(items) => {
                for (at, item) in items.iter().enumerate().take(MOST) {
                    if let Value::String(text) = item {
                        self.note(names, Some(text.clone()), Scalar::Bool(true), found);
                    } else {
                        names.push(at.to_string());
                        self.collect(item, names, found);
                        names.pop();
                    }
                }
            }
            Value::Object(fields) => {
                for (name, value) in fields {
                    names.push(name.clone());
                    self.collect(value, names, found);
                    names.pop();
                }
            }
            _ => {
                if let Some(scalar) = Scalar::of(value) {
                    self.note(names, None, scalar, found);
                }
            }
        }
    }

    fn note(
        &mut self,
        names: &[String],
        holds: Option<String>,
        value: Scalar,
        found: &mut BTreeMap<usize, Scalar>,
    ) {
        if let Some(number) = self.intern(Path { names: names.to_vec(), holds, mention: None }) {
            found.insert(number, value);
        }
    }

    /// Notes what a call changed. `total` is the sum of the episode's rewards.
    pub(crate) fn observe(&mut self, before: &Features, after: &Features, reward: f64, total: f64) {
        for (path, is) in after.iter() {
            let habit = &mut self.habits[path];
            let was = before.get(path);
            habit.is_message |= is.is_prose() && was.is_some_and(|was| was != is);
            let (Some(was), Some(is)) = (was.and_then(Scalar::number), is.number()) else { continue };
            habit.calls += 1;
            if (was - is).abs() > 0.0 {
                habit.changed += 1;
                let amount = *habit.amount.get_or_insert(is - was);
                habit.is_irregular |= (amount - (is - was)).abs() > 1e-9;
            }
            habit.not_reward += usize::from((is - reward).abs() > 1e-6);
            habit.not_return += usize::from((is - total).abs() > 1e-6);
        }
    }

    /// Decides again which paths are left out of what tells states apart. Returns whether that changed.
    pub(crate) fn choose(&mut self) -> bool {
        let numbers = 0..self.known.len();
        let mut ignored: BTreeSet<usize> =
            numbers.clone().filter(|path| self.habits[*path].is_account()).collect();
        // Where nothing else varies, a message is the state.
        let messages: Vec<usize> = numbers.clone().filter(|path| self.habits[*path].is_message).collect();
        let others =
            |path: &usize| self.habits[*path].varies && !ignored.contains(path) && !messages.contains(path);
        if numbers.clone().any(|path| others(&path)) {
            ignored.extend(messages);
        }
        if self.general {
            ignored.extend(numbers.filter(|path| self.is_single(&self.known[*path])));
        }
        std::mem::replace(&mut self.ignored, ignored) != self.ignored
    }

    /// Whether the path is left out of what tells states apart.
    pub(crate) fn is_ignored(&self, path: usize) -> bool {
        self.ignored.contains(&path)
    }

    /// The paths that tell states apart and had different values, or were absent at times.
    pub(crate) fn telling(&self) -> impl Iterator<Item = usize> {
        (0..self.known.len()).filter(|path| !self.is_ignored(*path))
    }

    /// Lets only what holds of whatever a text names tell states apart, or everything again.
    /// `remember`: what was done last tells them apart too.
    pub(crate) fn generalise(&mut self, general: bool, remember: bool) {
        (self.general, self.remembers) = (general, remember);
        self.choose();
    }

    /// Whether texts name things.
    pub(crate) fn names_things(&self) -> bool {
        self.known.iter().any(|path| path.mention.is_some())
    }

    /// Whether the path says something of single things, where texts name things: an entry of an object of which a text names one,
    /// that text, or a text beside them that may name others.
    fn is_single(&self, path: &Path) -> bool {
        let named = |other: &Path| match &other.mention {
            None => false,
            Some(Mention::Role(_)) if path.names == other.names => true,
            Some(mention) => {
                let named = mention.named();
                path.names == named.text
                    || (path.names.len() > named.things.len() && path.names.starts_with(&named.things))
            }
        };
        path.mention.is_none() && self.known.iter().any(named)
    }

    /// Of the telling paths those that say nothing of single things. `None` where no text names any.
    pub(crate) fn general(&self) -> Option<Vec<usize>> {
        let general = || self.telling().filter(|path| !self.is_single(&self.known[*path])).collect();
        self.names_things().then(general)
    }

    /// Names of the fields that change with every call or repeat the rewards.
    pub(crate) fn accounts(&self) -> Vec<String> {
        let account =
            |(path, habit): (&Path, &Habit)| habit.is_account().then(|| path.names.last().cloned())?;
        let names: BTreeSet<String> = self.known.iter().zip(&self.habits).filter_map(account).collect();
        names.into_iter().collect()
    }

    /// The texts in a state, those in lists included.
    pub(crate) fn texts(&self, features: &Features) -> Vec<String> {
        let text = |(path, value): (usize, &Scalar)| match (&self.known[path].holds, value) {
            (Some(text), _) | (None, Scalar::Text(text)) => Some(text.clone()),
            _ => None,
        };
        features.iter().filter_map(text).collect()
    }

    /// What tells this state from others.
    pub(crate) fn key(&self, features: &Features) -> String {
        let kept = features.iter().filter(|(path, _)| !self.is_ignored(*path));
        kept.fold(String::new(), |mut key, (path, value)| {
            let _ = writeln!(key, "{path}={}", value.json());
            key
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn lived(states: &[Value], rewards: &[f64]) -> (Paths, Vec<Features>) {
        let mut paths = Paths::default();
        let features: Vec<Features> = states.iter().map(|state| paths.read(state)).collect();
        let mut total = 0.0;
        for (pair, reward) in features.windows(2).zip(rewards) {
            total += reward;
            paths.observe(&pair[0], &pair[1], *reward, total);
        }
        paths.choose();
        (paths, features)
    }

    #[test]
    fn clocks_rewards_and_messages_do_not_tell_states_apart_and_positions_do() {
        let state = |step: usize| {
            json!({"step": step, "gain": -1, "sum": -(step as i64), "at": step % 3, "holds": ["lamp"],
                "heard": format!("Once upon a time it was {step}.")})
        };
        let states: Vec<Value> = (0..20).map(state).collect();
        let (paths, features) = lived(&states, &[-1.0; 19]);
        assert_eq!(paths.key(&features[3]), paths.key(&features[6]));
        assert_ne!(paths.key(&features[3]), paths.key(&features[4]));
        let kept: Vec<String> =
            paths.telling().filter_map(|path| paths.path(path)).map(Path::javascript).collect();
        assert_eq!(kept, [r#"at("at")"#, r#"listedAt("lamp", "holds")"#]);
    }

    #[test]
    fn where_a_world_only_talks_its_text_is_the_state() {
        let text = |step: usize| json!({"text": format!("You are now in the room {}.", step % 2)});
        let (paths, features) = lived(&(0..12).map(text).collect::<Vec<_>>(), &[0.0; 11]);
        assert_ne!(paths.key(&features[0]), paths.key(&features[1]));
    }

    #[test]
    fn a_whole_number_is_the_same_with_and_without_a_fraction() {
        let (paths, features) = lived(&[json!({"p": 1}), json!({"p": 1.0})], &[0.0]);
        assert_eq!(paths.key(&features[0]), paths.key(&features[1]));
    }
}
