//! What was seen of calls: the state before each, and what changed.

use crate::exploration::Random;
use crate::play::{Features, Path, Paths, Scalar};
use sojourn_tools::ToolCall;
use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

/// Records that are kept of one call: those with a change that matters, and those without one.
const KEPT: usize = 400;
/// Number of tools, or a third of all tools if that is more, from which on a change that they bring about is movement or a clock.
const TOOLS: usize = 3;
/// A tool counts among these if it did so in one of this number of calls.
const OFTEN: u32 = 50;

/// A change that a call may bring about, by the numbers of paths.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Change {
    /// The number there rose.
    Rose(usize),
    /// The number there fell.
    Fell(usize),
    /// The list got its member.
    Gained(usize),
    /// The field got this value, as JSON.
    Became(usize, String),
}

impl Change {
    fn path(&self) -> usize {
        match self {
            Self::Rose(path) | Self::Fell(path) | Self::Gained(path) | Self::Became(path, _) => *path,
        }
    }
}

/// A call that was made.
#[derive(Debug, Clone)]
pub(super) struct Record {
    pub before: Arc<Features>,
    /// What changed, with the amount where it is a number.
    pub changes: Vec<(Change, f64)>,
}

impl Record {
    pub(super) fn change(&self, change: &Change) -> Option<f64> {
        self.changes.iter().find(|(one, _)| one == change).map(|(_, amount)| *amount)
    }
}

/// One call, and what came of it.
#[derive(Debug)]
pub(super) struct Tested {
    pub call: ToolCall,
    pub made: u32,
    /// Environment steps that it took.
    pub steps: u64,
    pub counts: BTreeMap<Change, u32>,
    pub records: Vec<Record>,
}

/// What was seen of all calls.
#[derive(Debug, Default)]
pub(super) struct Evidence {
    pub paths: Paths,
    pub calls: Vec<Tested>,
    numbers: BTreeMap<String, usize>,
    /// Paths of numbers that are not whole.
    fractions: BTreeSet<usize>,
    /// Largest number that was seen at each path.
    pub largest: BTreeMap<usize, f64>,
    /// Values in the first states of episodes, where they were always the same.
    at_start: BTreeMap<usize, Option<Scalar>>,
    /// Changes that many tools bring about.
    pub ambient: BTreeSet<Change>,
    /// Paths of numbers that movement or time changes.
    pub moving: BTreeSet<usize>,
}

impl Evidence {
    /// The number of a call.
    pub(super) fn number(&mut self, call: &ToolCall) -> usize {
        let key = sojourn_tools::as_javascript(call);
        let next = self.calls.len();
        let number = *self.numbers.entry(key).or_insert(next);
        if number == next {
            let call = call.clone();
            self.calls.push(Tested { call, made: 0, steps: 0, counts: BTreeMap::new(), records: Vec::new() });
        }
        number
    }

    /// Notes the first state of an episode.
    pub(super) fn begin(&mut self, state: &Features) {
        for (path, value) in state.iter() {
            let same = self.at_start.entry(path).or_insert_with(|| Some(value.clone()));
            if same.as_ref().is_some_and(|same| same != value) {
                *same = None;
            }
            if let Some(number) = value.number() {
                self.note_number(path, number);
            }
        }
    }

    fn note_number(&mut self, path: usize, number: f64) {
        let largest = self.largest.entry(path).or_insert(number);
        *largest = largest.max(number);
        if number.fract() != 0.0 {
            self.fractions.insert(path);
        }
    }

    /// Notes what came of a call.
    pub(super) fn add(
        &mut self,
        call: usize,
        (before, after): (&Arc<Features>, &Features),
        steps: u32,
        random: &mut Random,
    ) -> Vec<Change> {
        let changes = changes(&self.paths, before, after);
        for (path, value) in after.iter() {
            if let Some(number) = value.number() {
                self.note_number(path, number);
            }
        }
        let tested = &mut self.calls[call];
        tested.made += 1;
        tested.steps += u64::from(steps.max(1));
        for (change, _) in &changes {
            *tested.counts.entry(change.clone()).or_default() += 1;
        }
        let seen = changes.iter().map(|(change, _)| change.clone()).collect();
        let record = Record { before: Arc::clone(before), changes };
        if tested.records.len() < KEPT {
            tested.records.push(record);
        } else {
            // What is rare stays.
            let often = |record: &Record| {
                let changes = record.changes.iter().filter(|(change, _)| !self.ambient.contains(change));
                changes.filter_map(|(change, _)| tested.counts.get(change)).copied().min().unwrap_or(u32::MAX)
            };
            let at = random.below(tested.records.len());
            if often(&tested.records[at]) >= often(&record) {
                tested.records[at] = record;
            }
        }
        seen
    }

    /// Decides again what movement and time change.
    pub(super) fn review(&mut self) {
        // What differs by its place in a list only, or by the value that a field gets, is of one kind.
        let kind = |change: &Change| {
            let names = self.paths.path(change.path()).map(Path::names).unwrap_or_default();
            let is_place = |name: &String| name.chars().all(|c| c.is_ascii_digit());
            let names: Vec<&str> =
                names.iter().map(|name| if is_place(name) { "*" } else { name.as_str() }).collect();
            (matches!(change, Change::Rose(_)), matches!(change, Change::Fell(_)), names)
        };
        let mut made: BTreeMap<&str, u32> = BTreeMap::new();
        let mut by_tool: BTreeMap<_, u32> = BTreeMap::new();
        let mut all: BTreeSet<&Change> = BTreeSet::new();
        for tested in &self.calls {
            *made.entry(&tested.call.name).or_default() += tested.made;
            for (change, count) in &tested.counts {
                *by_tool.entry((kind(change), tested.call.name.as_str())).or_default() += count;
                all.insert(change);
            }
        }
        let many = TOOLS.max(made.len().div_ceil(3));
        let mut tools: BTreeMap<_, usize> = BTreeMap::new();
        for ((kind, tool), count) in &by_tool {
            let often = *count > 1 && count * OFTEN >= made.get(tool).copied().unwrap_or(0);
            *tools.entry(kind.clone()).or_default() += usize::from(often);
        }
        let wanders = |change: &Change| tools.get(&kind(change)).is_some_and(|tools| *tools >= many);
        // What lies in an object whose numbers mostly move moves too, also where it was seldom seen.
        let mut groups: BTreeMap<&str, (usize, usize)> = BTreeMap::new();
        let group = |path: usize| match self.paths.path(path).map(Path::names) {
            Some([first, _, ..]) => Some(first.as_str()),
            _ => None,
        };
        for change in all.iter().filter(|change| matches!(change, Change::Rose(_))) {
            if let Some(first) = group(change.path()) {
                let (moving, all) = groups.entry(first).or_default();
                *moving += usize::from(wanders(change));
                *all += 1;
            }
        }
        let in_moving = |path: usize| {
            group(path)
                .and_then(|first| groups.get(first))
                .is_some_and(|(moving, all)| *moving > 0 && moving * 3 >= *all)
        };
        let moving: BTreeSet<usize> = self
            .largest
            .keys()
            .copied()
            .filter(|path| wanders(&Change::Rose(*path)) || in_moving(*path))
            .collect();
        let mut ambient: BTreeSet<Change> =
            all.into_iter().filter(|change| wanders(change) || in_moving(change.path())).cloned().collect();
        ambient.extend(moving.iter().map(|path| Change::Rose(*path)));
        (self.ambient, self.moving) = (ambient, moving);
    }

    /// Whether the path is a number that is counted: it does not move, and is whole.
    pub(super) fn is_counter(&self, path: usize) -> bool {
        self.largest.contains_key(&path) && !self.moving.contains(&path) && !self.fractions.contains(&path)
    }

    /// The largest value, where the number has it at the start of every episode: it falls by itself and is raised again.
    pub(super) fn ceiling(&self, path: usize) -> Option<f64> {
        let start = self.at_start.get(&path)?.as_ref()?.number()?;
        let largest = self.largest.get(&path)?;
        (start > 0.0 && start >= *largest).then_some(start)
    }

    /// Whether every episode begins with this.
    pub(super) fn is_at_start(&self, change: &Change) -> bool {
        let start = |path: &usize| self.at_start.get(path).and_then(Option::as_ref);
        match change {
            Change::Became(path, value) => {
                start(path).map(|start| start.json().to_string()).as_ref() == Some(value)
            }
            Change::Gained(path) => start(path).is_some(),
            Change::Rose(_) | Change::Fell(_) => false,
        }
    }

    /// The call after which the number fell most often where it had its largest value, and how often it did in one call.
    pub(super) fn waiting(&self, path: usize, ceiling: f64) -> Option<(&ToolCall, f64)> {
        let rate = |tested: &Tested| {
            let full = |record: &&Record| {
                record.before.get(path).and_then(Scalar::number).is_some_and(|number| number >= ceiling)
            };
            let (mut made, mut fell) = (0_u32, 0_u32);
            for record in tested.records.iter().filter(full) {
                made += 1;
                fell += u32::from(record.change(&Change::Fell(path)).is_some());
            }
            // Once or twice is luck.
            f64::from(fell) / f64::from(made + 3)
        };
        let best = self.calls.iter().max_by(|a, b| rate(a).total_cmp(&rate(b)))?;
        (rate(best) > 0.0).then(|| (&best.call, rate(best)))
    }

    /// In how many calls of a tool a change happened, of how many environment steps.
    pub(super) fn total(&self, change: &Change) -> (u32, u64) {
        let count = |tested: &Tested| tested.counts.get(change).copied().unwrap_or(0);
        (self.calls.iter().map(count).sum(), self.calls.iter().map(|tested| tested.steps).sum())
    }
}

/// What changed from one state to the next.
fn changes(paths: &Paths, before: &Features, after: &Features) -> Vec<(Change, f64)> {
    let mut found = Vec::new();
    for (path, is) in after.iter() {
        let was = before.get(path);
        if was == Some(is) {
            continue;
        }
        let holds = paths.path(path).is_some_and(Path::is_membership);
        match is {
            Scalar::Number(is) => {
                let was = was.and_then(Scalar::number).unwrap_or(0.0);
                let by = (is - was).abs();
                if *is > was {
                    found.push((Change::Rose(path), by));
                } else if *is < was {
                    found.push((Change::Fell(path), by));
                }
            }
            _ if holds => found.push((Change::Gained(path), 1.0)),
            Scalar::Bool(_) | Scalar::Text(_) if !is.is_prose() => {
                found.push((Change::Became(path, is.json().to_string()), 1.0));
            }
            _ => {}
        }
    }
    // A number that is gone is none.
    for (path, was) in before.iter() {
        if let Some(was) = was.number()
            && after.get(path).is_none()
            && was > 0.0
        {
            found.push((Change::Fell(path), was));
        }
    }
    found
}
