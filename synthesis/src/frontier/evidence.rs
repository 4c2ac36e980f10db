//! What was seen of calls: the state before each, and what changed.

use crate::exploration::Random;
use crate::play::{Features, Path, Paths, Scalar};
use sojourn_tools::ToolCall;
use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

/// Records that are kept of one call: those with a change that matters, and those without one.
const KEPT: usize = 400;
/// A change that so many tools bring about, or a third of all tools if those are more, is movement or a clock.
const TOOLS: usize = 3;
/// A tool counts among these if it did so in one of so many calls.
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
    /// Largest number that was seen at each path.
    pub largest: BTreeMap<usize, f64>,
    /// Numbers in the first states of episodes, where they were always the same.
    pub at_start: BTreeMap<usize, Option<f64>>,
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
            let Some(number) = value.number() else { continue };
            let same = self.at_start.entry(path).or_insert(Some(number));
            if same.is_some_and(|same| same.total_cmp(&number).is_ne()) {
                *same = None;
            }
            let largest = self.largest.entry(path).or_insert(number);
            *largest = largest.max(number);
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
                let largest = self.largest.entry(path).or_insert(number);
                *largest = largest.max(number);
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
            // What is rare stays: one of two draws without a change that matters is replaced.
            let matters = |record: &Record| record.changes.iter().any(|(change, _)| !self.ambient.contains(change));
            let at = random.below(tested.records.len());
            if !matters(&tested.records[at]) || matters(&record) {
                tested.records[at] = record;
            }
        }
        seen
    }

    /// Decides again what movement and time change.
    pub(super) fn review(&mut self) {
        let mut made: BTreeMap<&str, u32> = BTreeMap::new();
        let mut by_tool: BTreeMap<(&Change, &str), u32> = BTreeMap::new();
        for tested in &self.calls {
            *made.entry(&tested.call.name).or_default() += tested.made;
            for (change, count) in &tested.counts {
                *by_tool.entry((change, &tested.call.name)).or_default() += count;
            }
        }
        let many = TOOLS.max(made.len().div_ceil(3));
        let mut tools: BTreeMap<&Change, usize> = BTreeMap::new();
        for ((change, tool), count) in &by_tool {
            if *count > 1 && count * OFTEN >= made.get(tool).copied().unwrap_or(0) {
                *tools.entry(change).or_default() += 1;
            }
        }
        let mut ambient: BTreeSet<Change> =
            tools.into_iter().filter(|(_, tools)| *tools >= many).map(|(change, _)| change.clone()).collect();
        // What lies in an object whose numbers mostly move moves too, also where it was seldom seen.
        let rising = |path: usize| ambient.contains(&Change::Rose(path));
        let mut groups: BTreeMap<&str, (usize, usize)> = BTreeMap::new();
        let numbers: BTreeSet<usize> =
            by_tool.keys().filter(|(change, _)| matches!(change, Change::Rose(_))).map(|(change, _)| change.path()).collect();
        let group = |path: usize| {
            self.paths.path(path).and_then(|path| path.names().split_first()).filter(|(_, rest)| !rest.is_empty())
        };
        for path in &numbers {
            if let Some((first, _)) = group(*path) {
                let (moving, all) = groups.entry(first).or_default();
                *moving += usize::from(rising(*path));
                *all += 1;
            }
        }
        let moves = |path: usize| {
            rising(path)
                || group(path)
                    .and_then(|(first, _)| groups.get(first.as_str()))
                    .is_some_and(|(moving, all)| moving * 3 >= *all && *moving > 0)
        };
        let moving: BTreeSet<usize> = self.largest.keys().copied().filter(|path| moves(*path)).collect();
        ambient.extend(moving.iter().map(|path| Change::Rose(*path)));
        (self.ambient, self.moving) = (ambient, moving);
    }

    /// Whether the path is a number that is counted: it does not move, and is whole.
    pub(super) fn is_counter(&self, path: usize) -> bool {
        self.largest.contains_key(&path) && !self.moving.contains(&path)
    }

    /// The largest value, where the number has it at the start of every episode: it falls by itself and is raised again.
    pub(super) fn ceiling(&self, path: usize) -> Option<f64> {
        let start = self.at_start.get(&path).copied().flatten()?;
        let largest = self.largest.get(&path)?;
        (start > 0.0 && start >= *largest).then_some(start)
    }

    /// The call after which the number fell most often, and how often it did in one call.
    pub(super) fn waiting(&self, path: usize) -> Option<(&ToolCall, f64)> {
        let rate = |tested: &Tested| {
            f64::from(tested.counts.get(&Change::Fell(path)).copied().unwrap_or(0)) / f64::from(tested.made.max(1))
        };
        let best = self.calls.iter().filter(|tested| tested.made > 4).max_by(|a, b| rate(a).total_cmp(&rate(b)))?;
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
